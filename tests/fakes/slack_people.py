"""Web API methods about who is there: the app itself, members, user groups, direct messages."""

from __future__ import annotations

import base64

from fakes.slack_messages import Json
from fakes.slack_request import Request
from fakes.slack_workspace import SlackError, User


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


def _user_json(request: Request, user: User) -> Json:
    return user.as_json(request.world.clock(), "users:read.email" in request.token.scopes)


def users_get_presence(request: Request) -> Json:
    """Others are only active or away; more is told of the token's own user alone."""
    own = request.workspace.bot_user
    user = request.user(request.get("user", own))
    if user.is_stranger:
        raise SlackError("user_not_visible")
    if user.id != own:
        return {"presence": "away" if user.deleted else user.presence}
    shown = {"presence": "active", "online": True, "auto_away": False, "manual_away": False}
    return shown | {"connection_count": 1, "last_activity": int(request.world.clock())}


def users_info(request: Request) -> Json:
    return {"user": _user_json(request, request.user(request.get("user", "")))}


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
        user = request.user(users[0])
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
    if any(request.user(one).is_stranger for one in asked):
        raise SlackError("user_not_visible")
    shown = {one: request.user(one).dnd_status() for one in asked}
    return {"users": shown, "cached": True}


def bots_info(request: Request) -> Json:
    workspace = request.workspace
    if request.get("bot", workspace.bot_id) != workspace.bot_id:
        raise SlackError("bot_not_found")
    bot: Json = {"id": workspace.bot_id, "deleted": False, "name": workspace.users[workspace.bot_user].name}
    bot |= {"updated": 1, "app_id": request.world.app_id, "user_id": workspace.bot_user, "icons": {}}
    return {"bot": bot}
