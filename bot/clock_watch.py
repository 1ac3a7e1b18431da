"""Notices that the clock of the machine was set back, sees to it that no grace becomes longer, and says so.

A clock that was set forward needs nothing: what is due comes at once, each at its own instant, and consoles
are seen to by `bot.sessions`. The rules are in `docs/presence.md`.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from bot.changes import Changes
from bot.domain.agent import Agent
from bot.domain.facts import Facts
from bot.domain.set_back import facts_set_back
from bot.domain.transition import Step as Decision
from bot.feeds import FeedStates
from bot.ports import Clock

SET_BACK = timedelta(seconds=10)
"""Less is how time services put right what drifted."""
Report = Callable[[str, str | None, str | None], None]


class ClockWatch:
    """The clock on the wall beside the one that never goes back."""

    def __init__(self, clock: Clock, changes: Changes, feeds: FeedStates, report: Report) -> None:
        """`report` as `bot.ports.Core` has it."""
        self._clock = clock
        self._changes = changes
        self._feeds = feeds
        self._report = report
        self._now: datetime | None = None
        self._passed = 0.0
        self._owed = timedelta()
        """By how much it was set back since everybody's facts were last put right."""
        self._showed: datetime | None = None
        """What it showed before it was set back, until it shows that again."""

    def begin(self, seen: Iterable[datetime]) -> None:
        """The first look. `seen`: what it showed at some instants in an earlier run; since then it was set
        back where the newest of them lies ahead, by as much at least."""
        self._now, self._passed = max(seen, default=self._clock.now()), self._clock.monotonic()
        self.look()

    def look(self) -> None:
        """Whether it was set back since the last look; the banner, and its end. At once."""
        now, passed = self._clock.now(), self._clock.monotonic()
        if self._now is not None:
            expected = self._now + timedelta(seconds=passed - self._passed)
            if expected - now > SET_BACK:
                self._owed += expected - now
                self._showed = max(expected, self._showed or expected)
                self._report("clock", None, _sentence(self._showed - now, self._showed))
            elif self._showed is not None and now >= self._showed:
                self._showed = None
                self._report("clock", None, None)
        self._now, self._passed = now, passed

    async def put_right(self) -> None:
        """Everybody's facts by the clock as it now goes. Raises Unavailable; then the next call goes on."""
        by = self._owed
        if not by:
            return
        self._feeds.set_back(by, self._clock.now())
        roster = self._changes.roster

        def decide(facts: Facts, at: datetime, agent: Agent) -> Decision:
            return facts_set_back(facts, by, roster.feeds, roster.policy, at, agent.zone)

        await self._changes.many([agent.id for agent in roster.everyone()], decide)
        self._owed -= by


def _sentence(by: timedelta, showed: datetime) -> str:
    minutes = max(1, round(by.total_seconds() / 60))
    length = f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
    return (
        f"The clock of Rollcall's machine was set back by {length}. Presence goes on, but until it shows "
        f"{showed:%Y-%m-%d %H:%M} UTC again history is not exact, and whoever is away for a while is so for "
        "longer. See that the machine's time service runs (timedatectl)."
    )
