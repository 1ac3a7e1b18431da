"""How a typed line parts: what it begins with, and what stands behind."""

from collections.abc import Sequence

from bot.domain.named import Spoken, meant

MOST_WORDS = 40
"""No name that may be given has more."""


def leading(said: Sequence[str], known: Spoken) -> list[tuple[str, str]]:
    """The slugs that a line begins with, each as it stands, as the words that make it, or by its name, and
    the rest; the longest first: whoever types `billing eu` means no team `billing`. A colon says where
    the name ends."""
    found = []
    for count in range(min(len(said), MOST_WORDS), 0, -1):
        words = " ".join(said[:count])
        ends = words.endswith(":")
        slug = meant(words.rstrip(":").lstrip("#"), known)
        if slug is not None:
            if ends:
                return [(slug, " ".join(said[count:]))]
            found.append((slug, " ".join(said[count:])))
    return found


def before_colon(said: Sequence[str]) -> tuple[str, str] | None:
    """What stands before a word with a colon at its end, that word with it, and what follows."""
    ends = next((at for at, word in enumerate(said, 1) if word.endswith(":")), None)
    return None if ends is None else (" ".join(said[:ends]), " ".join(said[ends:]))


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
