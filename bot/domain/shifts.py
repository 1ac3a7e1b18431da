"""Hours as time goes by: whether they are open just now, until when that holds, and who is expected when."""

from datetime import datetime

from bot.domain.facts import Intent
from bot.domain.hours import LONG_AGO, Hours


class Shift:
    """Hours at the instant last asked for. All who have the same hours may share one."""

    __slots__ = ("__weakref__", "begins_at", "changes_at", "hours", "open", "since")

    def __init__(self, hours: Hours) -> None:
        self.hours = hours
        self.open = True
        self.since = LONG_AGO
        self.changes_at: datetime | None = LONG_AGO
        """The first instant at which `open` is another; None: never."""
        self.begins_at: datetime | None = None
        """When it opens next, having been closed; None: never."""

    def at(self, now: datetime) -> bool:
        """Whether it is open at `now`. Worked out anew only where `now` is in another stretch."""
        if now < self.since or (self.changes_at is not None and now >= self.changes_at):
            hours = self.hours
            self.since, self.open = now, hours.open_at(now)
            self.changes_at, self.begins_at = hours.changes_at(now), hours.begins_at(now)
        return self.open


def expected_at(intent: Intent, shift: Shift | None) -> datetime | None:
    """When somebody is expected by what they said and by their own hours: when a timed away ends, or the
    shift begins in which they are back; else when their next shift begins. None: nobody knows."""
    until_at = intent.until_at
    if shift is None:
        return until_at
    return shift.begins_at if until_at is None else shift.hours.opens_at(until_at)
