"""The newest events in memory, as they are sent, so that whoever was away for a moment costs no reading."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from bot.publishing import Placed

KEPT = 1000
"""Events at least, at most twice as many."""
PIECE = 64 * 1024
"""Bytes sent at once: a few events, if their notes are long, since more would look like not reading."""


def at_once(frames: Sequence[bytes]) -> int:
    """How many of these, the first at least, make a piece."""
    return max(1, bisect_right(list(accumulate(map(len, frames))), PIECE))


class Recent:
    """The newest events as they are sent: all those behind `floor`, up to `head`."""

    def __init__(self) -> None:
        self.floor = self.head = 0
        self._positions: list[int] = []
        self._frames: list[bytes] = []
        self._events: list[Placed] = []

    def begin(self, position: int) -> None:
        """Nothing is here yet of what comes behind this position."""
        self.floor = self.head = position

    def add(self, placed: Sequence[Placed], frames: Sequence[bytes]) -> None:
        """The next ones, and how they are sent to who sees everything."""
        self._positions += [position for position, _ in placed]
        self._frames += frames
        self._events += placed
        self.head = self._positions[-1]
        if len(self._positions) > 2 * KEPT:
            self.floor = self._positions[-KEPT - 1]
            del self._positions[:-KEPT], self._frames[:-KEPT], self._events[:-KEPT]

    def behind(self, position: int) -> tuple[bytes, int]:
        """Some of those behind a position that is not before `floor`, and the position of the last."""
        begin = bisect_right(self._positions, position)
        frames = self._frames[begin : begin + KEPT]
        count = at_once(frames)
        last = self._positions[begin : begin + count]
        return b"".join(frames[:count]), last[-1] if last else position

    def events_behind(self, position: int) -> Sequence[Placed]:
        """Some of the same, themselves."""
        begin = bisect_right(self._positions, position)
        count = at_once(self._frames[begin : begin + KEPT])
        return self._events[begin : begin + count]
