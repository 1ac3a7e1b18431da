"""A `Message` as text for a terminal: coloured by ANSI codes, or plain; every word literal.

Nothing that a person typed reaches the terminal as a control code: what could move the cursor,
ring, colour or turn the direction of writing is shown as its code point instead.
"""

import io
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from bot.message import Button, ButtonStyle, Code, Line, Message, Moment, Span, Strong, TimeStyle, Tone

BARS = {Tone.GOOD: "green", Tone.AWAY: "yellow", Tone.QUIET: "bright_black", Tone.PROBLEM: "red"}
STYLES = {ButtonStyle.PRIMARY: "bold cyan", ButtonStyle.PLAIN: "cyan", ButtonStyle.DANGER: "bold red"}
NARROWEST = 20
INDENT = "  "
JOINERS = "\u200c\u200d"
"""Of the characters without a picture these alone stay: emoji families and some scripts need them."""


def literal(text: str) -> str:
    """The text with everything that is no picture shown as its code point, `<U+001B>`."""
    return "".join(
        character
        if character in JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else f"<U+{ord(character):04X}>"
        for character in text
    )


def clock_time(moment: Moment, now: datetime, zone: ZoneInfo) -> str:
    """14:30; with the day where it is not today."""
    there, today = moment.at.astimezone(zone), now.astimezone(zone).date()
    days = (there.date() - today).days
    if days == 0:
        return f"{there:%H:%M}"
    if days in (1, -1):
        return f"{there:%H:%M} {'tomorrow' if days == 1 else 'yesterday'}"
    if moment.style is TimeStyle.TIME and 0 < days < 7:
        return f"{there:%A %H:%M}"
    return f"{there:%a %-d %b} {there:%H:%M}"


def inline(line: Line, now: datetime, zone: ZoneInfo) -> Text:
    """One line of spans."""
    text = Text()
    for span in line:
        text.append(*_span(span, now, zone))
    return text


def _span(span: Span, now: datetime, zone: ZoneInfo) -> tuple[str, str]:
    if isinstance(span, Strong):
        return literal(span.text), "bold"
    if isinstance(span, Code):
        return literal(span.text), "cyan"
    if isinstance(span, Moment):
        return clock_time(span, now, zone), ""
    return literal(span), ""


def _choices(buttons: Sequence[Button]) -> Text:
    text = Text()
    for number, button in enumerate(buttons, 1):
        text.append(f"{'   ' if number > 1 else ''}[{number}] ", "bright_black")
        text.append(literal(button.label), STYLES[button.style])
    return text


class Folding(Struct, frozen=True):
    """A line that may be too long: what stands before its first piece, and before the others."""

    text: Text
    first: str = ""
    rest: str = ""

    def pieces(self, console: Console, room: int) -> Iterator[Text]:
        """The pieces, none wider than `room`."""
        before = self.first
        if cell_len(before) + cell_len(self.text.plain) <= room:
            yield Text(before).append_text(self.text)
            return
        for piece in self.text.wrap(console, room - len(self.rest)) or [Text()]:
            piece.rstrip()
            yield Text(before).append_text(piece)
            before = self.rest


class Renderer:
    """Renders for one kind of terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def message(self, message: Message, now: datetime, zone: ZoneInfo, width: int) -> str:
        """Lines that end in a newline, a bar of the message's tone before each; never wider than
        `width`. Buttons are numbered choices."""
        lines = [
            Folding(inline(line, now, zone), rest=INDENT if line and isinstance(line[0], Code) else "")
            for line in message.lines
        ]
        for section in message.sections:
            lines += [Folding(Text()), Folding(inline(section.heading, now, zone))]
            lines += [Folding(inline(line, now, zone), INDENT, INDENT * 2) for line in section.lines]
        below = []
        if message.footer:
            below.append(Folding(inline(message.footer, now, zone)))
            below[0].text.stylize("bright_black")
        if message.buttons:
            below.append(Folding(_choices(message.buttons)))
        if below:
            lines += [Folding(Text()), *below]
        return self.lines(lines, width, bar=BARS[message.tone])

    def lines(self, lines: Sequence[Folding], width: int, bar: str = "") -> str:
        """Lines of text, folded to `width`; with a bar in that colour before each."""
        out = io.StringIO()
        console = Console(
            file=out,
            force_terminal=self._colour,
            color_system="standard" if self._colour else None,
            width=max(width, NARROWEST),
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        for line in lines:
            for piece in line.pieces(console, console.width - (2 if bar else 0)):
                whole = Text.assemble(("▌", bar), " ", piece) if bar else piece
                whole.rstrip()
                console.print(whole, soft_wrap=True)
        return out.getvalue()
