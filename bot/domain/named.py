"""How people say which team or skill they mean: by its slug, or by its name, in any case."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from bot.domain.slugs import hyphened


class Named(Protocol):
    """A team, or a skill."""

    @property
    def slug(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


N = TypeVar("N", bound=Named)
Spoken = Mapping[str, str] | Collection[str]
"""All that may be said, by which slug each stands for; or slugs alone."""


def keys(name: str) -> tuple[str, ...]:
    """What a name is looked up by: as it stands, and as a slug would be made of it."""
    plain = " ".join(name.split()).casefold()
    return tuple(filter(None, (plain, hyphened(name))))


def spoken(listed: Sequence[Named]) -> dict[str, str]:
    """What people may type for each of a list. A slug is its own, also one of before, before it is anybody's
    name."""
    known = {one.slug: one.slug for one in listed}
    for one in listed:
        for former in one.aliases:
            known.setdefault(former, one.slug)
    for one in listed:
        for key in keys(one.name):
            known.setdefault(key, one.slug)
    return known


def meant(said: str, known: Spoken) -> str | None:
    """The slug of what is said, of what may be said; None: nothing of it."""
    for key in (said, *keys(said)):
        if key in known:
            return known[key] if isinstance(known, Mapping) else key
    return None


def slugs_of(known: Spoken) -> list[str]:
    """The slugs alone, in the order of the list."""
    return list(dict.fromkeys(known.values() if isinstance(known, Mapping) else known))


def clash(listed: Sequence[N], slug: str, name: str) -> N | None:
    """The one of a list that could be meant by the words for a new one."""
    words = {slug, *keys(name)}
    return next((one for one in listed if words & {one.slug, *one.aliases, *keys(one.name)}), None)
