"""How a typed line parts: what it begins with, and what stands behind."""

from collections.abc import Sequence

from bot.domain.slugs import LONGEST_SLUG, hyphened

MOST_WORDS = LONGEST_SLUG // 2 + 1
"""No slug is made of more. A name whose slug was cut is not found by its words, only by the slug."""


def leading_slug(said: Sequence[str], known: Sequence[str]) -> tuple[str, str] | None:
    """The known slug that a line begins with, as it stands or as the words that make it, and the rest.
    Of several the longest: whoever types `billing eu` means no team `billing`."""
    for count in range(min(len(said), MOST_WORDS), 0, -1):
        slug = hyphened(" ".join(said[:count]))
        if slug in known:
            return slug, " ".join(said[count:])
    return None


def before_person(said: Sequence[str], people: Sequence[str]) -> tuple[str, str]:
    """What stands before a person who is named at the end, with @ or as one of `people`, and the person."""
    there = [at for at, word in enumerate(said) if at and (word.startswith("@") or word in people)]
    cut = there[0] if there else len(said)
    return " ".join(said[:cut]), " ".join(said[cut:])


def around_choice(text: str, choices: Sequence[str]) -> tuple[str, str, str] | None:
    """What stands before the first of these words that is not the first of all, that word, what follows."""
    said = text.split(" ")
    for at, word in enumerate(said):
        if at and word.lower() in choices:
            return " ".join(said[:at]).strip(), word.lower(), " ".join(said[at + 1 :]).strip()
    return None
