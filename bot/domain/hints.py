"""Hints: what a platform shows of somebody beside their presence, a call or do-not-disturb.

A hint never changes presence. What it means for new chats is the organization's to say (`OnHint`).
It is seen, not said: kept in memory only, and only as long as we see its source.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class HintKind(StrEnum):
    """What is hinted at."""

    CALL = "call"
    """In a Slack huddle, or in a voice channel of a Discord server."""
    DO_NOT_DISTURB = "do_not_disturb"


class OnHint(StrEnum):
    """What comes of a hint of one kind."""

    OFF = "off"
    """Not looked for at all."""
    SHOW = "show"
    NO_NEW_CHATS = "no_new_chats"
    """Shown, and while it holds whoever is Available gets no new chats."""


class Hint(Struct, frozen=True, gc=False):
    """One hint of one identity; it holds from `since` until `until_at`, both included."""

    kind: HintKind
    platform: str
    since: datetime
    until_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it holds at `now`: one that is known beforehand does not hold yet."""
        return self.since <= now and not self.over(now)

    def over(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.until_at is not None and self.until_at < now


def kinds(hints: Iterable[Hint]) -> tuple[HintKind, ...]:
    """What is hinted at, each kind once, however many platforms say so."""
    told = {hint.kind for hint in hints}
    return tuple(kind for kind in HintKind if kind in told)
