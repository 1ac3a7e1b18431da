"""A `Message` as text for a terminal: coloured by ANSI codes, or plain; every word literal.

Nothing that a person typed reaches the terminal as a control code: what could move the cursor,
ring, colour or turn the direction of writing is shown as its code point instead.
"""

import io
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text

from bot.message import Button, ButtonStyle, Code, Line, Message, Moment, Span, Strong, TimeStyle, Tone

BARS = {Tone.GOOD: "green", Tone.AWAY: "yellow", Tone.QUIET: "bright_black", Tone.PROBLEM: "red"}
STYLES = {ButtonStyle.PRIMARY: "bold cyan", ButtonStyle.PLAIN: "cyan", ButtonStyle.DANGER: "bold red"}
NARROWEST = 20
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


class Renderer:
    """Renders for one kind of terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def message(self, message: Message, now: datetime, zone: ZoneInfo, width: int) -> str:
        """Lines that end in a newline, a bar of the message's tone before each; never wider than
        `width`. Buttons are numbered choices."""
        lines = [inline(line, now, zone) for line in message.lines]
        for section in message.sections:
            lines += [Text(), inline(section.heading, now, zone)]
            for line in section.lines:
                text = Text("  ")
                lines.append(text.append_text(inline(line, now, zone)))
        if message.footer:
            footer = inline(message.footer, now, zone)
            footer.stylize("bright_black")
            lines += [Text(), footer] if message.sections else [footer]
        if message.buttons:
            lines += [Text(), _choices(message.buttons)]
        return self.lines(lines, width, bar=BARS[message.tone])

    def lines(self, lines: Sequence[Text], width: int, bar: str = "") -> str:
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
        room = console.width - (2 if bar else 0)
        for line in lines:
            for piece in line.wrap(console, room) or [Text()]:
                piece.rstrip()
                whole = Text.assemble(("▌", bar), " ", piece) if bar else piece
                console.print(whole, soft_wrap=True)
        return out.getvalue()
