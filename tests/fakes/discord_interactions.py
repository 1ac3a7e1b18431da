"""Interactions of a fake Discord: what a person did, the payload an app gets for it, and what they then see.

Follows https://docs.discord.com/developers/interactions/receiving-and-responding (API v10).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from fakes.discord_model import (
    EPHEMERAL,
    EVERY_PERMISSION,
    Button,
    Channel,
    Guild,
    Json,
    Message,
    User,
    snowflake,
)

COMMAND, COMPONENT, AUTOCOMPLETE = 2, 3, 4
ANSWER, DEFER, DEFER_UPDATE, UPDATE, CHOICES = 4, 5, 6, 7, 8
ALLOWED_ANSWERS = {
    COMMAND: {ANSWER, DEFER},
    COMPONENT: {ANSWER, DEFER, DEFER_UPDATE, UPDATE},
    AUTOCOMPLETE: {CHOICES},
}
NO_RESPONSE = "The application did not respond"


@dataclass(eq=False)
class Interaction:
    """One interaction; `began_at` is in the loop's seconds, `shown` counts what the person got to see."""

    type: int
    user: User
    guild: Guild | None
    channel: Channel
    data: Json
    began_at: float
    source: Message | None = None
    id: int = field(default_factory=snowflake)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    answer: int | None = None
    answered_after: float | None = None
    loading: bool = False
    deferred_flags: int = 0
    original: Message | None = None
    follow_ups: list[Message] = field(default_factory=list)
    choices: list[Json] | None = None
    shown: int = 0
    expired: bool = False

    def payload(self, application_id: int) -> Json:
        """INTERACTION_CREATE: with the member and their permissions in a guild, the user alone elsewhere."""
        body: Json = {
            "id": str(self.id),
            "application_id": str(application_id),
            "type": self.type,
            "data": self.data,
            "channel_id": str(self.channel.id),
            "channel": self.channel.payload(),
            "token": self.token,
            "version": 1,
            "app_permissions": str(EVERY_PERMISSION),
            "locale": self.user.locale,
            "entitlements": [],
            "attachment_size_limit": 10 * 1024 * 1024,
        }
        if self.source is not None:
            body["message"] = self.source.payload()
        if self.guild is None:
            owners = {"1": str(self.user.id)}
            return body | {
                "user": self.user.payload(),
                "context": 1,
                "authorizing_integration_owners": owners,
            }
        permissions = self.guild.permissions(self.user)
        body["channel"]["permissions"] = str(permissions)
        return body | {
            "guild_id": str(self.guild.id),
            "guild": {"id": str(self.guild.id), "locale": self.guild.locale, "features": []},
            "guild_locale": self.guild.locale,
            "member": self.guild.members[self.user.id].payload(permissions=permissions),
            "context": 0,
            "authorizing_integration_owners": {"0": str(self.guild.id)},
        }

    def metadata(self) -> Json:
        """What messages that answer this interaction carry about it."""
        body: Json = {"id": str(self.id), "type": self.type, "user": self.user.payload()}
        body["authorizing_integration_owners"] = {"0": str(self.guild.id)} if self.guild else {}
        if self.source is not None:
            body["interacted_message_id"] = str(self.source.id)
        return body


@dataclass(frozen=True)
class Reply:
    """What the person sees after a command or a click; it follows later edits and follow-ups.

    `failed` is Discord's red "The application did not respond"; `thinking` its "… is thinking".
    """

    interaction: Interaction
    failed: bool = False

    @property
    def message(self) -> Message | None:
        """The first thing shown: the answer, or the first follow-up after a deferred update."""
        if self.interaction.loading:
            return None
        changed = self.interaction.original is not None and self.interaction.answer != DEFER_UPDATE
        if changed or not self.interaction.follow_ups:
            return self.interaction.original
        return self.interaction.follow_ups[0]

    @property
    def thinking(self) -> bool:
        return self.interaction.loading

    @property
    def ephemeral(self) -> bool:
        """Only the person sees it."""
        if self.message is None:
            return bool(self.interaction.deferred_flags & EPHEMERAL)
        return self.message.ephemeral

    @property
    def content(self) -> str:
        return NO_RESPONSE if self.failed else self.message.content if self.message else ""

    @property
    def embeds(self) -> list[Json]:
        return self.message.embeds if self.message else []

    @property
    def components(self) -> list[Json]:
        return self.message.components if self.message else []

    @property
    def buttons(self) -> list[Button]:
        return self.message.buttons if self.message else []

    @property
    def text(self) -> str:
        """Every word shown: content, embeds and button labels, a part a line."""
        return NO_RESPONSE if self.failed else self.message.text if self.message else ""

    @property
    def follow_ups(self) -> list[Message]:
        return self.interaction.follow_ups

    @property
    def acknowledged_after(self) -> float | None:
        """Seconds from the deed to the first answer, a deferral counted; None without one."""
        return self.interaction.answered_after
