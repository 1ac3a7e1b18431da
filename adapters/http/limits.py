"""How many requests are answered: token buckets a key, and a bucket of wrong keys for each address."""

import math
from collections.abc import Iterable

WRONG_KEYS_PER_MINUTE = 60
"""After so many wrong keys from one address it is told 429 instead of 401. A right key is never held
up by it: others behind the same proxy go on working."""
MOST_ADDRESSES = 10_000


class Bucket:
    """Holds `size` tokens, and as many come back evenly over a minute. Instants are monotonic seconds."""

    __slots__ = ("at", "per_second", "size", "tokens")

    def __init__(self, size: int, now: float) -> None:
        self.size = size
        self.per_second = size / 60
        self.tokens = float(size)
        self.at = now

    def take(self, now: float) -> bool:
        """Take one; False when there is none."""
        tokens = self.tokens + (now - self.at) * self.per_second
        if tokens > self.size:
            tokens = self.size
        self.at = now
        if tokens < 1:
            self.tokens = tokens
            return False
        self.tokens = tokens - 1
        return True

    @property
    def wait(self) -> int:
        """Whole seconds until the next token is there; at least 1."""
        return max(1, math.ceil((1 - self.tokens) / self.per_second))

    @property
    def full_in(self) -> int:
        """Whole seconds until all tokens are there, rounded up."""
        return int((self.size - self.tokens) / self.per_second) + 1


class Buckets:
    """A bucket for each name. At most `most` are kept; the one that is first in the order goes first."""

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self._most = most
        self._buckets: dict[str, Bucket] = {}

    def of(self, name: str, now: float) -> Bucket:
        """The bucket of a name; a new one is full."""
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= self._most:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[name] = Bucket(self.size, now)
        return bucket

    def newest(self, name: str, now: float) -> Bucket:
        """The same, and whoever was here just now is forgotten last."""
        bucket = self._buckets.pop(name, None) or self.of(name, now)
        self._buckets[name] = bucket
        return bucket

    def keep(self, names: Iterable[str]) -> None:
        """Forget every other name."""
        wanted = set(names)
        for name in [name for name in self._buckets if name not in wanted]:
            del self._buckets[name]
