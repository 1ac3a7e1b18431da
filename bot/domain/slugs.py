"""Slugs: what teams and skills are known by, made of their names."""

import re
import unicodedata

LONGEST_SLUG = 32
"""Characters, as in the configuration."""


def slug_of(name: str) -> str:
    """Small letters and digits of a name without their marks, with hyphens between words, at most 32.
    Empty where nothing of that is in the name."""
    return hyphened(name)[:LONGEST_SLUG].rstrip("-")


def hyphened(name: str) -> str:
    """The same, however long."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "-", kept).strip("-")
