"""Reason codes: what an Away is for, in words that reports can add up, beside what somebody typed."""

import re
import unicodedata
from collections.abc import Mapping

from msgspec import Struct

DEFAULTS: Mapping[str, str] = {
    "lunch": "Lunch",
    "break": "Break",
    "training": "Training",
    "meeting": "Meeting",
}
"""Slug → name, where an organization has none of its own."""
_JOINT = re.compile(r"^[\s,;:.!?|–—-]+")


class Reasons(Struct, frozen=True):
    """The codes of an organization."""

    names: Mapping[str, str] = DEFAULTS
    """Slug → name, in the configuration's order."""

    def name(self, slug: str) -> str:
        """What people read; of a code that there is no longer, its slug."""
        return self.names.get(slug, slug)

    def of(self, typed: str) -> str:
        """The slug of the code that these words begin with, by slug or name in any case; of several the
        longest. Empty where there is none: it must be whole words, so `lunchtime` is no `lunch`."""
        known = {key_of(one): slug for slug, name in self.names.items() for one in (name, slug)}
        said = typed.split()
        longest = max((key.count("-") + 1 for key in known), default=0)
        for count in range(min(len(said), longest), 0, -1):
            slug = known.get(key_of(" ".join(said[:count])))
            if slug:
                return slug
        return ""


def key_of(words: str) -> str:
    """Words by which a code is recognised: small letters and digits of any script without their marks,
    hyphens between. Two codes must not share one."""
    plain = unicodedata.normalize("NFKD", words.casefold())
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", "-", kept).strip("-")


def in_words(name: str, slug: str, note: str) -> str:
    """An Away's reason as people read it: `Training: new billing flow`, the code's name before what was typed
    beside it. Without a code, the note."""
    if not slug:
        return note
    said = note.split()
    keys = {key_of(name), key_of(slug)}
    longest = max(key.count("-") + 1 for key in keys)
    for count in range(min(len(said), longest), 0, -1):
        if key_of(" ".join(said[:count])) in keys:
            said = said[count:]
            break
    rest = _JOINT.sub("", " ".join(said))
    return f"{name}: {rest}" if rest else name
