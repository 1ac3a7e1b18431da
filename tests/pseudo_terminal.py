"""A terminal for tests: a program behind a pseudo-terminal, what it wrote drawn on a screen by pyte."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pexpect  # type: ignore[import-untyped]
import pyte

UP, TAB, ENTER, CTRL_C, CTRL_D, ESCAPE = "\x1b[A", "\t", "\r", "\x03", "\x04", "\x1b"
PATIENCE = 15.0


class Answering(pyte.HistoryScreen):
    """A screen that answers the program's questions, such as where the cursor is."""

    def __init__(self, columns: int, rows: int, answer: Callable[[str], object]) -> None:
        super().__init__(columns, rows, history=5000)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        """What a terminal types by itself."""
        self._answer(data)


class Terminal:
    """A program in a terminal of so many columns and rows; ended at the end of the `with`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        columns: int = 100,
        rows: int = 40,
        folder: str | None = None,
    ) -> None:
        self.program = pexpect.spawn(
            command[0],
            list(command[1:]),
            env=dict(environment),
            dimensions=(rows, columns),
            echo=False,
            timeout=PATIENCE,
            cwd=folder,
        )
        self.screen = Answering(columns, rows, self.program.send)
        self._stream = pyte.ByteStream(self.screen)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.close(force=True)

    def type(self, keys: str) -> None:
        """Press keys."""
        self.program.send(keys)

    def enter(self, line: str) -> None:
        """Type a line and Enter."""
        self.type(line + ENTER)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, top to bottom, empty lines at its end left out."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    @property
    def everything(self) -> str:
        """What scrolled away, and the screen."""
        columns = range(self.screen.columns)
        gone = ["".join(row[x].data for x in columns).rstrip() for row in self.screen.history.top]
        return "\n".join([*gone, *self.lines])

    def read(self, seconds: float) -> None:
        """Draw what comes within so many seconds, or until the program ends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._draw(left):
            pass

    def wait_for(self, pattern: str, times: int = 1) -> str:
        """Draw until a regular expression is found so many times, also in what scrolled away. Answers
        the last one found; fails with the screen when it does not come."""
        end = time.monotonic() + PATIENCE
        while True:
            found = list(re.finditer(pattern, self.everything, re.MULTILINE))
            if len(found) >= times:
                return found[-1].group()
            left = end - time.monotonic()
            if left <= 0 or not self._draw(left):
                raise AssertionError(f"{pattern!r} did not come {times} times in:\n{self.everything}")

    def ended(self) -> int | None:
        """Draw until the program ends. Its exit code; None if a signal ended it."""
        while self._draw(PATIENCE):
            pass
        self.program.close()
        code: int | None = self.program.exitstatus
        return code

    def _draw(self, seconds: float) -> bool:
        """Draw what comes next. False: nothing came in time, or the program ended."""
        try:
            self._stream.feed(self.program.read_nonblocking(65536, timeout=seconds))
        except (pexpect.EOF, pexpect.TIMEOUT):
            return False
        return True
