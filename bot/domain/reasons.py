"""Reason codes: what an Away is for, in words that reports can add up, beside what somebody typed."""

import re
import unicodedata
from collections.abc import Mapping

from msgspec import Struct

_JOINT = re.compile(r"^[\s,;:.!?|–—-]+")


class Reasons(Struct, frozen=True):
    """The codes of an organization."""

    names: Mapping[str, str]
    """Slug → name, in the configuration's order."""

    def name(self, slug: str) -> str:
        """What people read; of a code that there is no longer, its slug."""
        return self.names.get(slug, slug)

    def of(self, typed: str) -> str:
        """The slug of the code that these words begin with, by slug or name in any case; of several the
        longest. Empty where there is none: they must be whole words, so `lunchtime` is no `lunch`."""
        known = {key: slug for slug, name in self.names.items() for key in _keys(slug, name)}
        return _beginning(typed.split(), known)[0]


USUAL = Reasons({"lunch": "Lunch", "break": "Break", "training": "Training", "meeting": "Meeting"})
"""Where an organization has none of its own."""


def _keys(slug: str, name: str) -> list[str]:
    """By what a code is recognised: small letters and digits of any script without their marks, hyphens
    between; of a name without any, by its slug alone."""
    return [key for key in (_key(name), _key(slug)) if key]


def _key(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words.casefold())
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", "-", kept).strip("-")


def _beginning(said: list[str], known: Mapping[str, str]) -> tuple[str, list[str]]:
    """What the longest known beginning stands for, and the words behind it."""
    longest = max((key.count("-") + 1 for key in known), default=0)
    for count in range(min(len(said), longest), 0, -1):
        key = _key(" ".join(said[:count]))
        if key in known:
            return known[key], said[count:]
    return "", said


def twins(reasons: Reasons) -> tuple[str, str] | None:
    """Two slugs that the same words would be recognised as, if there are any."""
    known: dict[str, str] = {}
    for slug, name in reasons.names.items():
        for key in _keys(slug, name):
            if known.setdefault(key, slug) != slug:
                return known[key], slug
    return None


def in_words(name: str, slug: str, note: str) -> str:
    """An Away's reason as people read it: `Training: new billing flow`, the code's name before what was typed
    beside it. Without a code, the note."""
    if not slug:
        return note
    _, behind = _beginning(note.split(), dict.fromkeys(_keys(slug, name), slug))
    rest = _JOINT.sub("", " ".join(behind))
    return f"{name}: {rest}" if rest else name
