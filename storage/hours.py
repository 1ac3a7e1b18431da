"""Working hours as JSON in one column: always read and written whole, and the same for many agents."""

from functools import lru_cache

import msgspec

from bot.domain.hours import Hours

_decode = msgspec.json.Decoder(Hours).decode


@lru_cache(maxsize=1024)
def hours_from(kept: str | None) -> Hours | None:
    """The hours in a column; the same hours are the same object."""
    return None if kept is None else _decode(kept)


def hours_kept(hours: Hours | None) -> str | None:
    """The hours as a column keeps them."""
    return None if hours is None else msgspec.json.encode(hours).decode()
