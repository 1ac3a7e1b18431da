"""The table of Web API methods: what each page says of arguments, scopes and how often.

From docs.slack.dev/reference/methods; `apps.connections.open` is added where the sockets are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fakes.slack_chat import (
    chat_delete,
    chat_post_ephemeral,
    chat_post_message,
    chat_update,
    views_open,
    views_publish,
    views_update,
)
from fakes.slack_messages import Json
from fakes.slack_people import (
    auth_test,
    bots_info,
    conversations_open,
    dnd_team_info,
    usergroups_list,
    usergroups_users_list,
    usergroups_users_update,
    users_get_presence,
    users_info,
    users_list,
)
from fakes.slack_request import Request

TIER = {2: 20, 3: 50, 4: 100}


@dataclass(frozen=True)
class Method:
    """A method's page: its arguments with their kinds, what it needs, and how often it may be called."""

    answer: Callable[[Request], Json]
    arguments: dict[str, str]
    required: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    per_minute: int | None = None
    app_level: bool = False


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
    "dnd.teamInfo": Method(
        dnd_team_info, {"users": "list", "team_id": "string"}, _needs("users"), _needs("dnd:read"), TIER[2]
    ),
    "bots.info": Method(bots_info, {"bot": "string"}, _needs(), _READ, TIER[3]),
}
