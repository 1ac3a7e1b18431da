"""What a fake Discord knows: people, guilds, channels and messages, and how each looks on the wire.

The shapes are those of Discord's reference for API v10: user, guild, guild member, role, channel and message
objects (https://docs.discord.com/developers/resources). Ids are integers here and strings on the wire.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

from fakes.discord_voice import voice_channel, voice_state

Json = dict[str, Any]
Status = Literal["online", "idle", "dnd", "offline", "invisible"]

ADMINISTRATOR = 1 << 3
MANAGE_GUILD = 1 << 5
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
USE_APPLICATION_COMMANDS = 1 << 31
EVERY_PERMISSION = (1 << 50) - 1
FOR_EVERYONE = VIEW_CHANNEL | SEND_MESSAGES | USE_APPLICATION_COMMANDS

EPHEMERAL = 1 << 6
LOADING = 1 << 7
GUILD_TEXT, DM = 0, 1
LARGEST_GUILD_LISTED = 75_000

_EPOCH_MS = 1_420_070_400_000
_order = count(1)


def snowflake(ahead: float = 0.0) -> int:
    """A new id: the milliseconds since 2015 above 22 bits that keep ids of one millisecond apart.

    `ahead`: of a moment so many seconds after now.
    """
    at = time.time_ns() // 1_000_000 + int(ahead * 1000)
    return ((at - _EPOCH_MS) << 22) | (next(_order) & 0x3FFFFF)


def iso_now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(eq=False)
class User:
    """A Discord account. Set `accepts_direct_messages` to False for a person who closed their inbox."""

    id: int
    username: str
    global_name: str | None = None
    avatar: str | None = None
    bot: bool = False
    locale: str = "en-US"
    accepts_direct_messages: bool = True

    def payload(self) -> Json:
        return {
            "id": str(self.id),
            "username": self.username,
            "discriminator": "0",
            "global_name": self.global_name,
            "avatar": self.avatar,
            "bot": self.bot,
            "system": False,
            "public_flags": 0,
        }


@dataclass(eq=False)
class Role:
    id: int
    name: str
    permissions: int = 0
    position: int = 1

    def payload(self) -> Json:
        return {
            "id": str(self.id),
            "name": self.name,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "icon": None,
            "unicode_emoji": None,
            "position": self.position,
            "permissions": str(self.permissions),
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }


@dataclass(eq=False)
class Member:
    user: User
    roles: set[int] = field(default_factory=set)
    nick: str | None = None
    avatar: str | None = None
    joined_at: str = field(default_factory=iso_now)

    def payload(self, *, permissions: int | None = None) -> Json:
        """The member object; with `permissions` as interactions carry it."""
        body: Json = {
            "user": self.user.payload(),
            "nick": self.nick,
            "avatar": self.avatar,
            "banner": None,
            "roles": [str(role) for role in sorted(self.roles)],
            "joined_at": self.joined_at,
            "premium_since": None,
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
            "communication_disabled_until": None,
        }
        if permissions is not None:
            body["permissions"] = str(permissions)
        return body


@dataclass(eq=False)
class Channel:
    """A text channel of a guild, or the direct messages with `recipient`; the bot posts if `writable`."""

    id: int
    name: str
    guild_id: int | None = None
    recipient: User | None = None
    writable: bool = True
    voice: bool = False
    messages: list[Message] = field(default_factory=list)

    def payload(self) -> Json:
        last = str(self.messages[-1].id) if self.messages else None
        if self.recipient is not None:
            recipients = [self.recipient.payload()]
            return {
                "id": str(self.id),
                "type": DM,
                "last_message_id": last,
                "flags": 0,
                "recipients": recipients,
            }
        if self.voice:
            return voice_channel(self)
        return {
            "id": str(self.id),
            "type": GUILD_TEXT,
            "guild_id": str(self.guild_id),
            "name": self.name,
            "position": 0,
            "permission_overwrites": [],
            "topic": None,
            "nsfw": False,
            "last_message_id": last,
            "rate_limit_per_user": 0,
            "parent_id": None,
            "flags": 0,
        }


@dataclass(eq=False)
class Guild:
    """A guild; `claimed_members` makes it look bigger than the members that are modelled one by one."""

    id: int
    name: str
    owner: User
    roles: dict[int, Role] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    statuses: dict[int, Status] = field(default_factory=dict)
    voices: dict[int, Channel] = field(default_factory=dict)
    """Who is in which voice channel."""
    claimed_members: int = 0
    always_large: bool = False
    available: bool = True
    has_bot: bool = True
    locale: str = "en-US"

    @property
    def member_count(self) -> int:
        return max(len(self.members), self.claimed_members)

    def is_large(self, threshold: int) -> bool:
        return self.always_large or self.member_count > threshold

    def seen_status(self, user_id: int) -> str:
        """What others see: invisible looks exactly like offline."""
        status = self.statuses.get(user_id, "offline")
        return "offline" if status == "invisible" else status

    def permissions(self, user: User) -> int:
        """Base permissions: the union of @everyone and the member's roles; an administrator has all."""
        if user.id == self.owner.id:
            return EVERY_PERMISSION
        granted = self.roles[self.id].permissions
        for role in self.members[user.id].roles:
            granted |= self.roles[role].permissions
        return EVERY_PERMISSION if granted & ADMINISTRATOR else granted

    def presence(self, user_id: int, *, with_guild: bool = True) -> Json:
        """A presence update; of the user only the id, which is all that Discord promises."""
        status = self.seen_status(user_id)
        body: Json = {
            "user": {"id": str(user_id)},
            "status": status,
            "activities": [],
            "client_status": {} if status == "offline" else {"desktop": status},
        }
        return body | {"guild_id": str(self.id)} if with_guild else body

    def payload(self) -> Json:
        """The guild object, as REST answers it."""
        return {
            "id": str(self.id),
            "name": self.name,
            "icon": None,
            "splash": None,
            "discovery_splash": None,
            "owner_id": str(self.owner.id),
            "afk_channel_id": None,
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": [role.payload() for role in self.roles.values()],
            "emojis": [],
            "features": [],
            "mfa_level": 0,
            "application_id": None,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "vanity_url_code": None,
            "description": None,
            "banner": None,
            "premium_tier": 0,
            "preferred_locale": self.locale,
            "public_updates_channel_id": None,
            "nsfw_level": 0,
            "stickers": [],
            "premium_progress_bar_enabled": False,
            "safety_alerts_channel_id": None,
            "incidents_data": None,
        }

    def create_payload(
        self, bot: User, *, presences: bool, large_threshold: int, voices: bool = False
    ) -> Json:
        """GUILD_CREATE, with the members that Discord lists.

        Without the presence intent, or above 75,000 members, that is the bot alone; above the large threshold
        offline members that have neither role nor nickname are left out.
        """
        large = self.is_large(large_threshold)
        listed: Iterable[Member]
        if not presences or self.member_count > LARGEST_GUILD_LISTED:
            listed = [self.members[bot.id]]
        elif large:
            listed = [
                m
                for m in self.members.values()
                if m.roles or m.nick or m.user is bot or self.seen_status(m.user.id) != "offline"
            ]
        else:
            listed = list(self.members.values())
        return self.payload() | {
            "joined_at": self.members[bot.id].joined_at,
            "large": large,
            "unavailable": False,
            "member_count": self.member_count,
            "voice_states": [voice_state(self, one, whole=False) for one in self.voices if voices],
            "members": [member.payload() for member in listed],
            "channels": [channel.payload() for channel in self.channels.values()],
            "threads": [],
            "presences": [
                self.presence(m.user.id, with_guild=False)
                for m in listed
                if presences and self.seen_status(m.user.id) != "offline"
            ],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }


@dataclass(frozen=True)
class Button:
    """A button as a person sees it; `custom_id` is None for a link."""

    label: str
    custom_id: str | None
    url: str | None
    style: int
    disabled: bool


@dataclass(eq=False)
class Message:
    """A message as it stands now; `earlier` keeps the bodies that edits replaced, oldest first."""

    id: int
    channel: Channel
    author: User
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    flags: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    nonce: str | None = None
    interaction: Json | None = None
    created_at: str = field(default_factory=iso_now)
    edited_at: str | None = None
    deleted: bool = False
    earlier: list[Json] = field(default_factory=list)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def text(self) -> str:
        """Every word a reader sees, one part a line: content, embeds, then button labels."""
        parts = [self.content]
        for embed in self.embeds:
            parts += [
                embed.get("author", {}).get("name", ""),
                embed.get("title", ""),
                embed.get("description", ""),
            ]
            for item in embed.get("fields", []):
                parts += [item["name"], item["value"]]
            parts.append(embed.get("footer", {}).get("text", ""))
        parts += [f"[{button.label}]" for button in self.buttons]
        return "\n".join(part for part in parts if part)

    @property
    def buttons(self) -> list[Button]:
        return [
            Button(c.get("label", ""), c.get("custom_id"), c.get("url"), c["style"], bool(c.get("disabled")))
            for row in self.components
            for c in row["components"]
            if c["type"] == 2
        ]

    def change(self, body: Json) -> None:
        """Apply an edit: fields that are absent stay, null empties them."""
        self.earlier.append({"content": self.content, "embeds": self.embeds, "components": self.components})
        if "content" in body:
            self.content = body["content"] or ""
        if "embeds" in body:
            self.embeds = body["embeds"] or []
        if "components" in body:
            self.components = body["components"] or []
        self.edited_at = iso_now()

    def payload(self) -> Json:
        body: Json = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.payload(),
            "content": self.content,
            "timestamp": self.created_at,
            "edited_timestamp": self.edited_at,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [
                {
                    "id": str(self.id + index),
                    "filename": name,
                    "size": len(data),
                    "url": f"https://cdn.example/{name}",
                    "proxy_url": f"https://cdn.example/{name}",
                }
                for index, (name, data) in enumerate(self.files.items())
            ],
            "embeds": self.embeds,
            "components": self.components,
            "pinned": False,
            "type": 20 if self.interaction else 0,
            "flags": self.flags,
        }
        if self.nonce is not None:
            body["nonce"] = self.nonce
        if self.interaction is not None:
            body["interaction_metadata"] = self.interaction
        return body
