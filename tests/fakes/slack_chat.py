"""Web API methods that show something: messages and views."""

from __future__ import annotations

from fakes.slack_blocks import message_problems, view_problems
from fakes.slack_messages import Json, Message, View
from fakes.slack_request import Request
from fakes.slack_workspace import SlackError


def _checked_message(request: Request, where: str, longest: int | None = None) -> Json:
    body = request.arguments
    problems = message_problems(body)
    if longest is not None and len(str(body.get("text") or "")) > longest:
        problems.append(("msg_too_long", f"text over {longest} characters"))
    if problems:
        error, first = problems[0]
        for _, what in problems[1:]:
            request.world.violate("Web API", f"{where}: {what}")
        raise request.refuse(error, f"{where}: {first}")
    return body


def _postable(request: Request) -> str:
    """The id of the channel to post into, when the bot may."""
    workspace = request.workspace
    channel = request.world.channel(workspace, str(request["channel"]))
    if channel.is_archived:
        raise SlackError("is_archived")
    if channel.user is not None and not workspace.messages_tab_enabled:
        raise SlackError("messages_tab_disabled")
    public = not channel.is_private and "chat:write.public" in request.token.scopes
    if workspace.bot_user not in channel.members and not public:
        raise SlackError("channel_not_found" if channel.is_private else "not_in_channel")
    return channel.id


def chat_post_message(request: Request) -> Json:
    body = _checked_message(request, "chat.postMessage")
    channel = _postable(request)
    message = request.world.post(request.workspace, channel, body, "chat.postMessage")
    shown = request.world.message_json(request.workspace, message)
    return {"channel": channel, "ts": message.ts, "message": shown}


def chat_post_ephemeral(request: Request) -> Json:
    body = _checked_message(request, "chat.postEphemeral")
    channel, user = _postable(request), request.user(str(request["user"]))
    if user.id not in request.workspace.channels[channel].members:
        raise SlackError("user_not_in_channel")
    message = request.world.post(request.workspace, channel, body, "chat.postEphemeral", user.id)
    return {"message_ts": message.ts}


def _own_message(request: Request) -> Message:
    if request["channel"] not in request.workspace.channels:
        raise SlackError("channel_not_found")
    for message in request.world.messages:
        here = message.channel == request["channel"] and message.ts == str(request["ts"])
        if here and not message.ephemeral and not message.deleted:
            return message
    raise SlackError("message_not_found")


def chat_update(request: Request) -> Json:
    """Ephemeral messages can't be found by it; the text is held to 4,000 characters."""
    body = _checked_message(request, "chat.update", longest=4000)
    message = _own_message(request)
    request.world.rewrite(message, body)
    shown = request.world.message_json(request.workspace, message)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": shown}


def chat_delete(request: Request) -> Json:
    message = _own_message(request)
    message.deleted = True
    request.world.changed()
    return {"channel": message.channel, "ts": message.ts}


def _checked_view(request: Request, where: str, kind: str | None = None) -> Json:
    view = request["view"]
    if problems := view_problems(view):
        error, first = problems[0]
        raise request.refuse(error, f"{where}: {first}")
    if kind is not None and view["type"] != kind:
        raise request.refuse("invalid_arguments", f"{where}: wants a {kind} view, got {view['type']}")
    named = {"blocks": request.world.named_blocks(view["blocks"])}
    return {**view, **named}


def _store_view(request: Request, user_id: str, body: Json) -> Json:
    world = request.world
    view = View(f"V{world.number():08d}", request.workspace.id, user_id, body, world.ts())
    world.views.append(view)
    world.changed()
    return {"view": view.as_json()}


def _replace_view(request: Request, view: View, body: Json) -> Json:
    if request.get("hash") and request["hash"] != view.hash:
        raise SlackError("hash_conflict")
    view.body, view.hash, view.edits = body, request.world.ts(), view.edits + 1
    request.world.changed()
    return {"view": view.as_json()}


def views_open(request: Request) -> Json:
    world, trigger_id = request.world, str(request.get("trigger_id", ""))
    body = _checked_view(request, "views.open", "modal")
    if trigger_id not in world.triggers:
        raise SlackError("invalid_trigger_id")
    ends, team_id, user_id, used = world.triggers[trigger_id]
    if used:
        raise SlackError("exchanged_trigger_id")
    if team_id != request.workspace.id:
        raise SlackError("invalid_trigger_id")
    if world.clock() > ends:
        raise SlackError("expired_trigger_id")
    world.triggers[trigger_id] = (ends, team_id, user_id, True)
    return _store_view(request, user_id, body)


def views_update(request: Request) -> Json:
    body = _checked_view(request, "views.update")
    for view in request.world.views:
        if view.team_id == request.workspace.id and (
            view.id == request.get("view_id")
            or ("external_id" in request.arguments and view.body.get("external_id") == request["external_id"])
        ):
            return _replace_view(request, view, body)
    raise SlackError("not_found")


def views_publish(request: Request) -> Json:
    body = _checked_view(request, "views.publish", "home")
    user = request.user(str(request["user_id"]))
    for view in request.world.views:
        if view.user == user.id and view.team_id == request.workspace.id and view.body["type"] == "home":
            return _replace_view(request, view, body)
    return _store_view(request, user.id, body)
