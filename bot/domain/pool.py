"""A pool: the agents of one team or skill, counted, and in the order in which they are given work."""

import heapq
from collections.abc import Iterator
from datetime import datetime

from bot.domain.facts import Presence

AVAILABLE, AWAY = Presence.AVAILABLE, Presence.AWAY  # an enum's members take four times as long to look up
GAPS = 64
"""So many, and an eighth of the agents, before closing them is worth its while."""


class Pool:
    """The agents of one team (or skill, or all), the routable ones in order of least load.

    A bucket for each load ratio keeps its agents in the order in which they came: the longest idle
    first. Buckets are few, so the order over all of them is a sort of their ratios.
    """

    __slots__ = (
        "_coming",
        "_expected",
        "_spare",
        "available",
        "away",
        "buckets",
        "offline",
        "revision",
        "routable",
    )

    def __init__(self) -> None:
        self.buckets: dict[float, dict[str, None]] = {}
        self.routable = self.available = self.away = self.offline = 0
        self.revision = 0
        """Another, higher one with every change of an answer about this pool; 0: never had anybody."""
        self._spare = GAPS
        """How many more may leave before the gaps they leave are closed."""
        self._expected: dict[str, datetime] = {}
        self._coming: list[tuple[datetime, str]] = []
        """A heap of these, some of them out of date."""

    def move(self, agent_id: str, before: float | None, after: float | None) -> None:
        """From one load ratio to the end of another's bucket; None: not routable."""
        buckets = self.buckets
        if before is not None:
            left = buckets[before]
            del left[agent_id]
            if not left:
                del buckets[before]
            self.routable -= 1
            self._spare -= 1
            if not self._spare:
                self._close_gaps()
                buckets = self.buckets
        if after is not None:
            joined = buckets.get(after)
            if joined is None:
                joined = buckets[after] = {}
            joined[agent_id] = None
            self.routable += 1

    def _close_gaps(self) -> None:
        """Whoever leaves a dict leaves a gap that every reader from its start steps over."""
        self.buckets = {ratio: dict.fromkeys(bucket) for ratio, bucket in self.buckets.items()}
        self._spare = GAPS + self.routable // 8

    def stand_as_in(self, other: "Pool", ratio: float) -> None:
        """Those at this ratio take the order in which they stand in a pool that has them all."""
        mine = self.buckets[ratio]
        self.buckets[ratio] = {agent_id: None for agent_id in other.buckets[ratio] if agent_id in mine}

    def best(self) -> Iterator[str]:
        """Routable agents, the one to take first at first."""
        for ratio in sorted(self.buckets):
            yield from self.buckets[ratio]

    def expect(self, agent_id: str, at: datetime | None) -> None:
        """When that agent is expected; None: nobody knows."""
        if at is None:
            self._expected.pop(agent_id, None)
            return
        self._expected[agent_id] = at
        if len(self._coming) > 2 * len(self._expected) + GAPS:
            self._coming = [(when, one) for one, when in self._expected.items()]
            heapq.heapify(self._coming)
        else:
            heapq.heappush(self._coming, (at, agent_id))

    def next_expected(self) -> datetime | None:
        """When the first of them is expected; None: nobody knows."""
        coming, expected = self._coming, self._expected
        while coming and expected.get(coming[0][1]) != coming[0][0]:
            heapq.heappop(coming)
        return coming[0][0] if coming else None

    def count(self, presence: Presence, by: int) -> None:
        """One agent more (1) or less (-1) of a presence."""
        if presence is AVAILABLE:
            self.available += by
        elif presence is AWAY:
            self.away += by
        else:
            self.offline += by

    @property
    def agents(self) -> int:
        """How many there are in all."""
        return self.available + self.away + self.offline
