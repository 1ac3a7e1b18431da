"""What Rollcall says, free of any platform: lines of spans, sections, buttons.

Adapters render a `Message` within their platform's limits. Every span that holds words is literal:
a renderer escapes it, so that nothing a person typed can mention, link, format or break anything.
"""

from datetime import datetime
from enum import StrEnum

import regex
from msgspec import Struct


class Strong(Struct, frozen=True):
    """Words that stand out."""

    text: str


class Code(Struct, frozen=True):
    """Something to type, shown as it is typed."""

    text: str


class TimeStyle(StrEnum):
    """How an instant is shown, always in the reader's own zone."""

    TIME = "time"
    """14:30; with the day where it is not today and the platform cannot tell by itself."""
    DATE_TIME = "date_time"
    RELATIVE = "relative"
    """"in 5 minutes" where the platform has it, else the clock time."""


class Moment(Struct, frozen=True):
    """An instant."""

    at: datetime
    style: TimeStyle = TimeStyle.TIME


Span = str | Strong | Code | Moment
Line = tuple[Span, ...]


class ButtonStyle(StrEnum):
    """How much a button asks for attention."""

    PRIMARY = "primary"
    PLAIN = "plain"
    DANGER = "danger"


class Button(Struct, frozen=True):
    """A button that survives restarts: a click dispatches the command `action` with `arguments`."""

    label: str
    action: str
    """The name of a command in the table, e.g. `available` or `who`."""
    arguments: tuple[tuple[str, str], ...] = ()
    style: ButtonStyle = ButtonStyle.PLAIN


class Section(Struct, frozen=True):
    """A heading with lines below it."""

    heading: Line
    lines: tuple[Line, ...]


class Tone(StrEnum):
    """What the colour beside a message says."""

    GOOD = "good"
    AWAY = "away"
    QUIET = "quiet"
    PROBLEM = "problem"


class Message(Struct, frozen=True):
    """One message: what a command answers, a direct message, or a summary in a channel."""

    lines: tuple[Line, ...]
    sections: tuple[Section, ...] = ()
    buttons: tuple[Button, ...] = ()
    """At most 5."""
    tone: Tone = Tone.QUIET
    footer: Line = ()
    replaces: bool = False
    """Answering a click: the message that was clicked is replaced, else a new private one is shown."""


_INVISIBLE = regex.compile(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}--[\u200d\ufe0f]]", regex.V1)
_MARKS = regex.compile(r"(\p{M}{3})\p{M}+")


def words(text: str, most: int = 80) -> str:
    """A person's words, fit to stand in a line: one line, no controls or direction overrides, at
    most three marks on a letter, at most `most` graphemes and twice as many code points; cut with …
    """
    text = _MARKS.sub(r"\1", _INVISIBLE.sub("", " ".join(text.split())))
    kept: list[str] = []
    size = 0
    for grapheme in regex.findall(r"\X", text[: most * 20]):
        size += len(grapheme)
        if len(kept) == most or size > most * 2:
            return "".join(kept[: most - 1]).rstrip() + "…"
        kept.append(grapheme)
    return "".join(kept)
