"""What is written to: a terminal with colours, or plain lines where there is none."""

import os
import shutil
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.text import Text

from adapters.console.render import INDENT, Folding, Renderer, inline
from bot.message import Line, Message

PLAIN_WIDTH = 110


class Screen:
    """The standard output, whatever stands behind it at the moment of writing."""

    def __init__(self, *, interactive: bool, colour: bool) -> None:
        self.interactive = interactive
        """Somebody can type."""
        self.gone = False
        """Nobody reads any more: the pipe or the terminal was closed."""
        self._renderer = Renderer(colour=colour)

    @classmethod
    def of_this_process(cls) -> "Screen":
        """With a prompt where both ends are a terminal; without colours where NO_COLOR says so."""
        interactive = sys.stdin.isatty() and sys.stdout.isatty()
        return cls(interactive=interactive, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))

    @property
    def width(self) -> int:
        """Columns."""
        return shutil.get_terminal_size().columns if self.interactive else PLAIN_WIDTH

    def show(self, message: Message, now: datetime, zone: ZoneInfo) -> None:
        """A message, with the reader's own times."""
        self.write(self._renderer.message(message, now, zone, self.width) + "\n")

    def tell(self, line: Line, now: datetime, zone: ZoneInfo, colour: str = "") -> None:
        """One line with the time before it."""
        text = Text(f"{now.astimezone(zone):%H:%M:%S}  ", "bright_black")
        text.append("● " if colour else "  ", colour)
        text.append_text(inline(line, now, zone))
        self.write(self._renderer.lines([Folding(text, rest=INDENT * 6)], self.width))

    def write(self, text: str) -> None:
        """As it is; into nothing once nobody reads any more."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            self.gone = True
            # What is still buffered would fail again when Python leaves.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
