"""Slack's Web API as far as Rollcall's kind of app uses it, strict about everything sent to it.

Arguments, scopes, tiers and errors are those of each method's page (docs.slack.dev/reference/methods).
Real Slack forgives some mistakes made here; each is refused with a documented error and remembered.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from fakes.slack_blocks import message_problems, view_problems
from fakes.slack_workspace import Call, Json, Message, SlackError, Token, User, View, Workspace, World

TIER = {2: 20, 3: 50, 4: 100}
# Bolt adds the team's id to every call: an org-wide token needs it, any other ignores it.
EVERYWHERE = {"token", "team_id"}
POST_BURST = 5  # "one a second a channel, short bursts allowed": Slack does not say how short


@dataclass
class Request:
    """A call that passed the checks of token, scope and arguments."""

    world: World
    workspace: Workspace
    token: Token
    arguments: Json

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.arguments.get(name, default)

    def refuse(self, error: str, what: str) -> SlackError:
        """An error that also counts as a violation."""
        self.world.violate("Web API", what)
        return SlackError(error, response_metadata={"messages": [f"[ERROR] {what}"]})


@dataclass(frozen=True)
class Method:
    """A method's page: its arguments with their kinds, what it needs, and how often it may be called."""

    answer: Callable[[Request], Json]
    arguments: dict[str, str]
    required: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    per_minute: int | None = None
    app_level: bool = False


@dataclass
class Fault:
    """How the next calls of a method go wrong; `times=None` until healed."""

    method: str
    times: int | None
    error: str | None = None
    status: int | None = None
    retry_after: int | None = None
    seconds: float = 0.0
    cut: bool = False

    def takes(self, method: str) -> bool:
        if self.method not in {method, "*"} or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def auth_test(request: Request) -> Json:
    workspace = request.workspace
    return {
        "url": f"https://{workspace.domain}.slack.com/",
        "team": workspace.name,
        "user": workspace.users[workspace.bot_user].name,
        "team_id": workspace.id,
        "user_id": workspace.bot_user,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    } | ({"enterprise_id": workspace.enterprise_id} if workspace.enterprise_id else {})


def _user(request: Request, user_id: str) -> User:
    try:
        return request.workspace.users[user_id]
    except KeyError:
        raise SlackError("user_not_found") from None


def _user_json(request: Request, user: User) -> Json:
    return user.as_json(request.world.clock(), "users:read.email" in request.token.scopes)


def users_get_presence(request: Request) -> Json:
    """Others are only active or away; more is told of the token's own user alone."""
    own = request.workspace.bot_user
    user = _user(request, request.get("user", own))
    if user.is_stranger:
        raise SlackError("user_not_visible")
    if user.id != own:
        return {"presence": "away" if user.deleted else user.presence}
    shown = {"presence": "active", "online": True, "auto_away": False, "manual_away": False}
    return shown | {"connection_count": 1, "last_activity": int(request.world.clock())}


def users_info(request: Request) -> Json:
    return {"user": _user_json(request, _user(request, request.get("user", "")))}


def users_list(request: Request) -> Json:
    """Everybody, the deleted included, a page at a time; presence is not among it."""
    users = list(request.workspace.users.values())
    limit = int(request.get("limit") or 0)
    if not 0 <= limit <= 1000:
        raise request.refuse("invalid_limit", "users.list: limit is 1 to 1000")
    start = 0
    if request.get("cursor"):
        try:
            start = int(base64.b64decode(request["cursor"], validate=True).removeprefix(b"user:"))
        except ValueError:
            raise SlackError("invalid_cursor") from None
    end = start + (limit or len(users))
    following = base64.b64encode(f"user:{end}".encode()).decode() if end < len(users) else ""
    return {
        "members": [_user_json(request, user) for user in users[start:end]],
        "cache_ts": int(request.world.clock()),
        "response_metadata": {"next_cursor": following},
    }


def conversations_open(request: Request) -> Json:
    world, workspace = request.world, request.workspace
    if request.get("channel"):
        channel = workspace.channels.get(request["channel"])
        if channel is None:
            raise SlackError("channel_not_found")
        if channel.user is None:
            raise SlackError("method_not_supported_for_channel_type")
        already = True
    else:
        users = [one for one in str(request.get("users", "")).split(",") if one]
        if not users:
            raise SlackError("users_list_not_supplied")
        if len(users) > 1:
            raise request.refuse("too_many_users", "conversations.open: the fake opens one person's only")
        user = _user(request, users[0])
        if user.deleted:
            raise SlackError("user_disabled")
        if user.is_bot:
            raise SlackError("cannot_dm_bot")
        already = any(one.user == user.id for one in workspace.channels.values())
        if request.get("prevent_creation") and not already:
            raise SlackError("channel_not_found")
        channel = world.direct_channel(workspace, user.id)
    whole = {"id": channel.id, "is_im": True, "user": channel.user, "is_open": True}
    shown = whole if request.get("return_im") else {"id": channel.id}
    return {"no_op": already, "already_open": already, "channel": shown}


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
    channel, user = _postable(request), _user(request, str(request["user"]))
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
    user = _user(request, str(request["user_id"]))
    for view in request.world.views:
        if view.user == user.id and view.team_id == request.workspace.id and view.body["type"] == "home":
            return _replace_view(request, view, body)
    return _store_view(request, user.id, body)


def _group_json(request: Request, group_id: str) -> Json:
    members = sorted(request.workspace.groups[group_id])
    shown: Json = {"id": group_id, "team_id": request.workspace.id, "is_usergroup": True}
    shown |= {"name": group_id.lower(), "handle": group_id.lower(), "date_delete": 0}
    if request.get("include_users"):
        shown["users"] = members
    if request.get("include_count"):
        shown["user_count"] = len(members)
    return shown


def usergroups_list(request: Request) -> Json:
    return {"usergroups": [_group_json(request, one) for one in request.workspace.groups]}


def _group(request: Request) -> str:
    group_id = str(request["usergroup"])
    if group_id not in request.workspace.groups:
        raise SlackError("no_such_subteam")
    return group_id


def usergroups_users_list(request: Request) -> Json:
    return {"users": sorted(request.workspace.groups[_group(request)])}


def usergroups_users_update(request: Request) -> Json:
    group_id = _group(request)
    users = [one for one in str(request["users"]).split(",") if one]
    if not users:
        raise SlackError("no_users_provided")
    if not all(one in request.workspace.users for one in users):
        raise SlackError("invalid_users")
    request.workspace.groups[group_id] = set(users)
    request.world.changed()
    return {"usergroup": _group_json(request, group_id) | {"users": sorted(users)}}


def dnd_team_info(request: Request) -> Json:
    """`dnd_enabled` means that a schedule exists, not that it holds now."""
    asked = [one for one in str(request["users"]).split(",") if one]
    if not asked:
        raise SlackError("no_users_provided")
    if len(asked) > 50:
        raise request.refuse("too_many_users", f"dnd.teamInfo: {len(asked)} users, at most 50")
    shown = {}
    for one in asked:
        start, end = _user(request, one).dnd or (1, 1)
        enabled = request.workspace.users[one].dnd is not None
        shown[one] = {"dnd_enabled": enabled, "next_dnd_start_ts": int(start), "next_dnd_end_ts": int(end)}
    return {"users": shown, "cached": True}


def bots_info(request: Request) -> Json:
    workspace = request.workspace
    if request.get("bot", workspace.bot_id) != workspace.bot_id:
        raise SlackError("bot_not_found")
    bot: Json = {"id": workspace.bot_id, "deleted": False, "name": workspace.users[workspace.bot_user].name}
    bot |= {"updated": 1, "app_id": request.world.app_id, "user_id": workspace.bot_user, "icons": {}}
    return {"bot": bot}


_MESSAGE = {
    **dict.fromkeys(("channel", "text", "markdown_text", "parse", "thread_ts", "username"), "string"),
    **dict.fromkeys(("icon_emoji", "icon_url"), "string"),
    **dict.fromkeys(("as_user", "link_names"), "boolean"),
    **dict.fromkeys(("blocks", "attachments", "metadata"), "json"),
}
_POSTED = dict.fromkeys(
    ("mrkdwn", "reply_broadcast", "unfurl_app_links", "unfurl_links", "unfurl_media"), "boolean"
)
_UPDATED = {key: kind for key, kind in _MESSAGE.items() if key not in {"username", "icon_emoji", "icon_url"}}
_GROUP_FLAGS = {"include_count": "boolean", "include_disabled": "boolean", "include_users": "boolean"}
_CHAT, _READ = frozenset({"chat:write"}), frozenset({"users:read"})
_GROUPS_READ, _GROUPS_WRITE = frozenset({"usergroups:read"}), frozenset({"usergroups:write"})


def _needs(*names: str) -> frozenset[str]:
    return frozenset(names)


METHODS: dict[str, Method] = {
    "auth.test": Method(auth_test, {}),
    "users.getPresence": Method(users_get_presence, {"user": "string"}, _needs(), _READ, TIER[3]),
    "users.info": Method(
        users_info, {"user": "string", "include_locale": "boolean"}, _needs(), _READ, TIER[4]
    ),
    "users.list": Method(
        users_list,
        {"cursor": "string", "limit": "number", "include_locale": "boolean"},
        _needs(),
        _READ,
        TIER[2],
    ),
    "conversations.open": Method(
        conversations_open,
        {"channel": "string", "users": "string", "return_im": "boolean", "prevent_creation": "boolean"},
        _needs(),
        _needs("im:write"),
        TIER[3],
    ),
    "chat.postMessage": Method(chat_post_message, _MESSAGE | _POSTED, _needs("channel"), _CHAT),
    "chat.postEphemeral": Method(
        chat_post_ephemeral, _MESSAGE | {"user": "string"}, _needs("channel", "user"), _CHAT, TIER[4]
    ),
    "chat.update": Method(
        chat_update,
        _UPDATED | {"ts": "string", "file_ids": "json", "reply_broadcast": "boolean"},
        _needs("channel", "ts"),
        _CHAT,
        TIER[3],
    ),
    "chat.delete": Method(
        chat_delete,
        {"channel": "string", "ts": "string", "as_user": "boolean"},
        _needs("channel", "ts"),
        _CHAT,
        TIER[3],
    ),
    "views.open": Method(
        views_open,
        {"trigger_id": "string", "interactivity_pointer": "string", "view": "json"},
        _needs("view"),
        per_minute=TIER[4],
    ),
    "views.update": Method(
        views_update,
        {"view_id": "string", "external_id": "string", "hash": "string", "view": "json"},
        _needs("view"),
        per_minute=TIER[4],
    ),
    "views.publish": Method(
        views_publish,
        {"user_id": "string", "view": "json", "hash": "string", "interactivity_pointer": "string"},
        _needs("user_id", "view"),
        per_minute=TIER[4],
    ),
    "usergroups.list": Method(
        usergroups_list, _GROUP_FLAGS | {"team_id": "string"}, _needs(), _GROUPS_READ, TIER[2]
    ),
    "usergroups.users.list": Method(
        usergroups_users_list,
        {"usergroup": "string", "include_disabled": "boolean"},
        _needs("usergroup"),
        _GROUPS_READ,
        TIER[2],
    ),
    "usergroups.users.update": Method(
        usergroups_users_update,
        {"usergroup": "string", "users": "list", "include_count": "boolean"},
        _needs("usergroup", "users"),
        _GROUPS_WRITE,
        TIER[2],
    ),
    "dnd.teamInfo": Method(dnd_team_info, {"users": "list"}, _needs("users"), _needs("dnd:read"), TIER[2]),
    "bots.info": Method(bots_info, {"bot": "string"}, _needs(), _READ, TIER[3]),
}


class WebApi:
    """Answers `/api/<method>`: token, scope, arguments, limits and injected faults, then the method."""

    def __init__(self, world: World, open_socket: Callable[[], str]) -> None:
        self.world = world
        self.faults: list[Fault] = []
        self.limits_on = False
        self.impatient: list[str] = []
        self.closing = asyncio.Event()
        self._recent: dict[tuple[str, str, str], deque[float]] = defaultdict(deque)
        self._waits: dict[tuple[str, str], float] = {}
        connect = Method(
            lambda _: {"url": open_socket()}, {}, scopes=_needs("connections:write"), app_level=True
        )
        self.methods = METHODS | {"apps.connections.open": connect}

    async def handle(self, http: web.Request) -> web.StreamResponse:
        name = http.match_info["method"]
        arguments, team_id = await _arguments(http), None
        token = self.world.tokens.get(_bearer(http, arguments))
        if token is not None:
            team_id = token.team_id
        fault = next((one for one in self.faults if one.takes(name)), None)
        if fault is not None and fault.seconds:
            await _pause(self.closing, fault.seconds)
        if fault is not None and fault.cut:
            self._record(name, arguments, team_id, 0, {})
            assert http.transport is not None
            http.transport.abort()
            return web.Response()
        status, headers, answer = self._answer(http, name, arguments, token, fault)
        self._record(name, arguments, team_id, status, answer)
        if token is not None:
            headers["X-OAuth-Scopes"] = ",".join(sorted(token.scopes))
        if status >= 500:
            return web.Response(status=status, text="upstream error", headers=headers)
        return web.json_response(answer, status=status, headers=headers)

    def _record(self, name: str, arguments: Json, team_id: str | None, status: int, answer: Json) -> None:
        self.world.calls.append(Call(name, arguments, team_id, self.world.clock(), status, answer))
        self.world.changed()

    def _answer(
        self, http: web.Request, name: str, arguments: Json, token: Token | None, fault: Fault | None
    ) -> tuple[int, dict[str, str], Json]:
        try:
            if name not in self.methods:
                self.world.violate(name, "no such method")
                raise SlackError("unknown_method", req_method=name)
            method = self.methods[name]
            workspace = self._authenticated(http, method, arguments, token)
            assert token is not None
            arguments = self._checked(name, method, arguments)
            wait = self._wait(name, method, arguments, workspace.id, fault)
            if wait:
                self._waits[(name, workspace.id)] = self.world.clock() + wait
                return 429, {"Retry-After": str(wait)}, {"ok": False, "error": "ratelimited"}
            if fault is not None and fault.status is not None:
                return fault.status, {}, {"ok": False, "error": fault.error or "internal_error"}
            if fault is not None and fault.error is not None:
                raise SlackError(fault.error)
            return 200, {}, {"ok": True} | method.answer(Request(self.world, workspace, token, arguments))
        except SlackError as refusal:
            return 200, {}, {"ok": False, "error": refusal.error} | refusal.details

    def _authenticated(
        self, http: web.Request, method: Method, arguments: Json, token: Token | None
    ) -> Workspace:
        """The workspace of the token; for the app-level one the first, which its method never looks at."""
        if token is None:
            raise SlackError("invalid_auth" if _bearer(http, arguments) else "not_authed")
        if token.dead is not None:
            raise SlackError(token.dead)
        if (token.team_id is None) != method.app_level:
            raise SlackError("not_allowed_token_type")
        if method.scopes and not method.scopes & token.scopes:
            needed, provided = ",".join(sorted(method.scopes)), ",".join(sorted(token.scopes))
            raise SlackError("missing_scope", needed=needed, provided=provided)
        return self.world.workspaces[token.team_id or next(iter(self.world.workspaces))]

    def _checked(self, name: str, method: Method, raw: Json) -> Json:
        """The arguments with their documented types; anything undocumented is refused."""
        checked: Json = {}
        for key, value in raw.items():
            if key in EVERYWHERE:
                continue
            if key not in method.arguments:
                self.world.violate(name, f"undocumented argument {key!r}")
                raise SlackError("invalid_arg_name")
            try:
                checked[key] = _typed(method.arguments[key], value)
            except ValueError as problem:
                self.world.violate(name, f"{key}: {problem}")
                if key == "blocks":
                    raise SlackError("invalid_blocks_format") from None
                raise SlackError(
                    "invalid_arguments", response_metadata={"messages": [f"[ERROR] {key}: {problem}"]}
                ) from None
        missing = sorted(method.required - {key for key, value in checked.items() if value not in (None, "")})
        if missing:
            self.world.violate(name, f"missing {', '.join(missing)}")
            messages = [f"[ERROR] missing required field: {one}" for one in missing]
            raise SlackError("invalid_arguments", response_metadata={"messages": messages})
        return checked

    def _wait(self, name: str, method: Method, arguments: Json, team_id: str, fault: Fault | None) -> int:
        """Seconds to put into Retry-After, or 0 when the call may go through."""
        now = self.world.clock()
        if now < self._waits.get((name, team_id), 0.0):
            left = self._waits[(name, team_id)] - now
            self.impatient.append(f"{name} called {left:.2f} s before its Retry-After had passed")
        if fault is not None and fault.retry_after is not None:
            return fault.retry_after
        if not self.limits_on:
            return 0
        allowed, window, bucket = method.per_minute, 60.0, ""
        if name == "chat.postMessage":
            allowed, window, bucket = POST_BURST, float(POST_BURST), str(arguments.get("channel"))
        if allowed is None:
            return 0
        recent = self._recent[(name, team_id, bucket)]
        while recent and recent[0] <= now - window:
            recent.popleft()
        if len(recent) >= allowed:
            return max(1, math.ceil(recent[0] + window - now))
        recent.append(now)
        return 0


async def _arguments(http: web.Request) -> Json:
    arguments: Json = dict(http.query)
    if http.method == "POST" and http.can_read_body:
        if http.content_type == "application/json":
            body = await http.json()
            return arguments | (body if isinstance(body, dict) else {})
        arguments |= {key: value for key, value in (await http.post()).items() if isinstance(value, str)}
    return arguments


def _bearer(http: web.Request, arguments: Json) -> str:
    header = http.headers.get("Authorization", "")
    return header.removeprefix("Bearer ") if header.startswith("Bearer ") else str(arguments.get("token", ""))


def _typed(kind: str, value: Any) -> Any:
    if kind == "string":
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a string")
        return value
    if kind == "number":
        return int(value)
    if kind == "boolean":
        if value in (True, "true", "1", 1):
            return True
        if value in (False, "false", "0", 0):
            return False
        raise ValueError(f"{value!r} is neither true nor false")
    if kind == "list":
        return ",".join(value) if isinstance(value, list) else str(value)
    return json.loads(value) if isinstance(value, str) else value


async def _pause(closing: asyncio.Event, seconds: float) -> None:
    """Wait, but never longer than the fake lives."""
    try:
        await asyncio.wait_for(closing.wait(), seconds)
    except TimeoutError:
        return
