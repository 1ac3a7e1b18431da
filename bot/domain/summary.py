"""What a stretch of time was like for a team: folded from its agents' intervals."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from bot.domain.facts import Interval, Presence


class Fold(Struct, frozen=True):
    """A team's stretch [since, until)."""

    since: datetime
    until: datetime
    available: Mapping[str, timedelta]
    """How long each agent was Available; only those who were."""
    covered: timedelta
    """How long at least one agent was Available."""

    @property
    def share(self) -> float:
        """Covered, as a part of the whole, 0 to 1."""
        length = self.until - self.since
        return self.covered / length if length else 0.0


def fold(
    history: Mapping[str, Sequence[tuple[Interval, datetime | None]]], since: datetime, until: datetime
) -> Fold:
    """Fold agents' intervals (each with its end, None: still open) over [since, until)."""
    available: dict[str, timedelta] = {}
    spans: list[tuple[datetime, datetime]] = []
    for agent_id, intervals in history.items():
        for interval, ended_at in intervals:
            begin, end = max(interval.since, since), min(ended_at or until, until)
            if interval.presence is Presence.AVAILABLE and begin < end:
                available[agent_id] = available.get(agent_id, timedelta()) + (end - begin)
                spans.append((begin, end))
    covered, reached = timedelta(), since
    for begin, end in sorted(spans):
        if end > reached:
            covered += end - max(begin, reached)
            reached = end
    return Fold(since, until, available, covered)
