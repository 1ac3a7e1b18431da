"""A process of the test's own that may kill itself, made by forking so that it costs no import."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from functools import partial


def killed() -> None:
    """Die at once, as by a power cut: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


def _say(descriptor: int, word: str) -> None:
    os.write(descriptor, f"{word}\n".encode())


class Child:
    """A forked process that runs a function which may say things."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        """`work` is given `say`. A child that returns ends with exit code 0, one that raises with 1."""
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(reading)
                work(partial(_say, writing))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writing)
        self._said = os.fdopen(reading)

    def hears(self) -> str:
        """The next thing it says; empty when it has ended."""
        return self._said.readline().rstrip("\n")

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> tuple[int, list[str]]:
        """Wait for its end: the signal that killed it (0: none) and what else it said."""
        rest = self._said.read().splitlines()
        self._said.close()
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed; see its traceback"
        return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0), rest
