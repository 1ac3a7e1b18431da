"""What a fake Slack knows: workspaces, people, channels, messages, tokens, and what clients did wrong.

Shapes follow Slack's object reference (docs.slack.dev/reference/objects) and the pages of the methods.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from fakes.slack_messages import Json, Message, View

Found = TypeVar("Found")

BOT_SCOPES = frozenset(
    {"commands", "chat:write", "users:read", "im:write", "files:write"}
    | {"usergroups:read", "usergroups:write", "dnd:read", "users:read.email"}
)


class SlackError(Exception):
    """A documented refusal of a Web API call, answered as `ok: false` with HTTP 200."""

    def __init__(self, error: str, **details: Any) -> None:
        super().__init__(error)
        self.error = error
        self.details = details


@dataclass
class User:
    """A member of a workspace; `tz=None` is a person whose time zone Slack does not tell."""

    id: str
    team_id: str
    name: str
    real_name: str
    tz: str | None = "Europe/London"
    is_admin: bool = False
    is_owner: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    deleted: bool = False
    email: str = ""
    image: str = ""
    status_text: str = ""
    huddle_state: Literal["default_unset", "in_a_huddle"] = "default_unset"
    huddle_ends: int = 0
    presence: Literal["active", "away"] = "away"
    dnd: tuple[float, float] | None = None
    updated: int = 0

    def dnd_status(self) -> Json:
        """As others see it: no word of a snooze, which only the person's own token is told (dnd.info)."""
        start, end = self.dnd or (1, 1)
        return {
            "dnd_enabled": self.dnd is not None,
            "next_dnd_start_ts": int(start),
            "next_dnd_end_ts": int(end),
        }

    def as_json(self, now: float, with_email: bool) -> Json:
        """The user object; strangers come reduced, the deleted without role and zone, as documented."""
        profile: Json = {
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "status_text": self.status_text,
            "status_emoji": "",
            "avatar_hash": hashlib.sha1(self.id.encode()).hexdigest()[:12],
            "huddle_state": self.huddle_state,
            "huddle_state_expiration_ts": self.huddle_ends,
            "team": self.team_id,
        }
        if self.huddle_state == "in_a_huddle":
            profile["huddle_state_call_id"] = f"R{self.id[1:]}"
        for size in (24, 32, 48, 72, 192, 512):
            profile[f"image_{size}"] = self.image or f"https://avatars.example/{self.id}_{size}.png"
        if with_email and self.email and not self.is_stranger:
            profile["email"] = self.email
        shown: Json = {"id": self.id, "team_id": self.team_id, "name": self.name, "deleted": self.deleted}
        shown |= {"profile": profile, "is_bot": self.is_bot, "is_app_user": False, "updated": self.updated}
        if self.deleted:
            return shown
        if self.is_stranger:
            return shown | {"is_stranger": True, "real_name": self.real_name}
        shown |= {
            "color": "9f69e7",
            "real_name": self.real_name,
            "is_admin": self.is_admin,
            "is_owner": self.is_owner,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
        }
        if self.tz is not None:
            local = datetime.fromtimestamp(now, ZoneInfo(self.tz))
            offset = local.utcoffset()
            assert offset is not None
            shown |= {"tz": self.tz, "tz_label": local.tzname(), "tz_offset": int(offset.total_seconds())}
        return shown


@dataclass
class Channel:
    """A channel (`C…`), or a direct message (`D…`) when `user` is set."""

    id: str
    team_id: str
    name: str
    members: set[str] = field(default_factory=set)
    user: str | None = None
    is_private: bool = False
    is_archived: bool = False


@dataclass
class Workspace:
    """One Slack workspace with this app installed in it."""

    id: str
    name: str
    domain: str
    bot_token: str
    bot_user: str
    bot_id: str
    enterprise_id: str | None = None
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    messages_tab_enabled: bool = True


@dataclass
class Token:
    """A bot token of one workspace, or the app-level token; `dead` is the error it now answers."""

    value: str
    team_id: str | None
    scopes: set[str]
    dead: str | None = None


@dataclass(frozen=True)
class Call:
    """One request to the Web API, and how it was answered (`status` 0: the connection was cut)."""

    method: str
    arguments: Json
    team_id: str | None
    at: float
    status: int
    answer: Json


class World:
    """The state shared by the parts of the fake, and the one place where waiting and complaints live."""

    def __init__(self, clock: Callable[[], float], app_id: str) -> None:
        self.clock = clock
        self.app_id = app_id
        self.workspaces: dict[str, Workspace] = {}
        self.tokens: dict[str, Token] = {}
        self.messages: list[Message] = []
        self.views: list[View] = []
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.triggers: dict[str, tuple[float, str, str, bool]] = {}
        self._numbers = iter(range(1, 10**9))
        self._last_ts = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def number(self) -> int:
        return next(self._numbers)

    def violate(self, where: str, what: str) -> None:
        """Remember that a client broke a documented rule; tests assert that nobody did."""
        self.violations.append(f"{where}: {what}")

    def ts(self) -> str:
        """A message's id: seconds with six digits, unique and rising."""
        self._last_ts = max(int(self.clock() * 1_000_000), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def user(self, user_id: str) -> User:
        for workspace in self.workspaces.values():
            if user_id in workspace.users:
                return workspace.users[user_id]
        raise SlackError("user_not_found")

    def channel(self, workspace: Workspace, named: str) -> Channel:
        """The channel of an id or a name; a member's id stands for the direct message with them."""
        if named in workspace.channels:
            return workspace.channels[named]
        if named in workspace.users:
            return self.direct_channel(workspace, named)
        for channel in workspace.channels.values():
            if channel.user is None and channel.name == named.removeprefix("#"):
                return channel
        raise SlackError("channel_not_found")

    def direct_channel(self, workspace: Workspace, user_id: str) -> Channel:
        """The direct message between the bot and this member, opened when there was none."""
        for channel in workspace.channels.values():
            if channel.user == user_id:
                return channel
        members = {user_id, workspace.bot_user}
        opened = Channel(f"D{self.number():08d}", workspace.id, "directmessage", members, user_id)
        workspace.channels[opened.id] = opened
        return opened

    def named_blocks(self, blocks: list[Json]) -> list[Json]:
        """The blocks as Slack stores them: block and action ids that were left out are filled in."""
        stored = []
        for given in blocks:
            block: Json = {"block_id": f"b{self.number()}"} | given
            if block["type"] in {"actions", "context_actions"}:
                block["elements"] = [{"action_id": f"a{self.number()}"} | e for e in block["elements"]]
            elif block["type"] == "section" and block.get("accessory", {}).get("type") not in (None, "image"):
                block["accessory"] = {"action_id": f"a{self.number()}"} | block["accessory"]
            stored.append(block)
        return stored

    def post(
        self,
        workspace: Workspace,
        channel: str,
        body: Json,
        via: str,
        only_for: str | None = None,
        answering: str | None = None,
    ) -> Message:
        """Show a message whose body was already checked."""
        message = Message(
            ts=self.ts(),
            team_id=workspace.id,
            channel=channel,
            text=str(body.get("text") or body.get("markdown_text") or ""),
            blocks=self.named_blocks(body.get("blocks") or []),
            via=via,
            only_for=only_for,
            answering=answering,
            thread_ts=body.get("thread_ts"),
            links_names=bool(body.get("link_names")) or body.get("parse") == "full",
            sent=body,
        )
        self.messages.append(message)
        self.changed()
        return message

    def rewrite(self, message: Message, body: Json) -> None:
        """Give a message new content: blocks stay only when no text was given (chat.update's page)."""
        if "blocks" in body or "text" in body:
            message.blocks = self.named_blocks(body.get("blocks") or [])
        message.text = str(body.get("text", message.text))
        message.edits += 1
        message.sent = body
        self.changed()

    def message_json(self, workspace: Workspace, message: Message) -> Json:
        shown = {"type": "message", "user": workspace.bot_user, "bot_id": workspace.bot_id}
        shown |= {"app_id": self.app_id, "team": workspace.id, "text": message.text, "ts": message.ts}
        if message.thread_ts:
            shown["thread_ts"] = message.thread_ts
        return shown | ({"blocks": message.blocks} if message.blocks else {})

    def trigger(self, team_id: str, user_id: str) -> str:
        """A trigger id: good once, for three seconds (docs.slack.dev/interactivity)."""
        trigger_id = f"{self.number()}.{self.number()}.{hashlib.sha1(user_id.encode()).hexdigest()}"
        self.triggers[trigger_id] = (self.clock() + 3.0, team_id, user_id, False)
        return trigger_id

    def changed(self) -> None:
        """Wake everybody who waits for something to be so."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, look: Callable[[], Found | None], timeout: float) -> Found | None:
        """What `look` finds, as soon as it finds something; None when `timeout` seconds have passed."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout
        while True:
            found = look()
            if found is not None and found is not False:
                return found
            woken: asyncio.Future[None] = loop.create_future()
            self._waiting.add(woken)
            try:
                await asyncio.wait_for(woken, ends - loop.time())
            except TimeoutError:
                self._waiting.discard(woken)
                return look() or None
