"""How a typed line parts: what it begins with, and what stands behind."""

from collections.abc import Sequence

from bot.domain.slugs import slug_of


def leading_slug(said: Sequence[str], known: Sequence[str]) -> tuple[str, str] | None:
    """The known slug that a line begins with, as it stands or as the words that make it, and the rest. One
    word, if that is enough; else as many as possible."""
    for count in (1, *range(len(said), 1, -1)):
        slug = slug_of(" ".join(said[:count]))
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
