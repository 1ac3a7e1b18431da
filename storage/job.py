"""An operation on its way to another thread and back."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from bot.ports import Transaction

T = TypeVar("T")


class Job(Generic[T]):
    """One operation that a caller waits for while a thread runs it.

    A caller that is cancelled either withdraws the operation before a thread has begun it, or stays
    until its outcome is decided: nothing is ever written after the caller has been told to go.

    Where the database itself says nothing any more, `give_up` decides the outcome without it.
    """

    __slots__ = (
        "_answer",
        "_commit",
        "_commits",
        "_decided",
        "_loop",
        "_started",
        "answered",
        "error",
        "given_up",
        "operation",
        "refusals",
        "result",
    )

    def __init__(self, operation: Callable[[Transaction], T]) -> None:
        self.operation = operation
        self.result: T
        self.error: BaseException | None = None
        self.refusals = 0
        """How often the database was found locked."""
        self.answered = False
        """The thread is done with it, though its caller may not know yet."""
        self.given_up: BaseException | None = None
        """What the caller hears instead of the thread's answer."""
        self._commit = threading.Lock()
        self._commits = False
        self._loop = asyncio.get_running_loop()
        self._decided = False
        self._answer: asyncio.Future[None] | None = None
        self._started = threading.Lock()

    def begin(self) -> bool:
        """For the thread, once, before it runs the operation. False: it was withdrawn."""
        return self._started.acquire(blocking=False)

    def may_commit(self) -> bool:
        """For the thread, before it commits. False: the caller has been told that nothing was changed."""
        if not self._commits:
            self._commits = self._commit.acquire(blocking=False)
        return self._commits

    def withdraw(self, refusal: BaseException) -> bool:
        """From the event loop: refuse it, unless a thread has begun it."""
        if self._decided or not self._started.acquire(blocking=False):
            return False
        self.given_up = refusal
        self._wake()
        return True

    def give_up(self, unchanged: BaseException, in_doubt: BaseException) -> bool:
        """From the event loop: decide it now. False: it was decided already.

        The caller hears `unchanged` when nothing has been committed and nothing will be any more, and
        `in_doubt` when the commit is under way.
        """
        if self._decided or self.answered:
            return False
        self.given_up = unchanged if self._commit.acquire(blocking=False) else in_doubt
        self._wake()
        return True

    async def outcome(self) -> T:
        """What the operation answered, or the error it ended with."""
        cancelled = False
        while not self._decided:
            self._answer = self._loop.create_future()
            try:
                await self._answer
            except asyncio.CancelledError:
                if self._started.acquire(blocking=False):
                    raise
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
        if self.given_up is not None:
            raise self.given_up
        if self.error is not None:
            raise self.error
        return self.result

    def _wake(self) -> None:
        self._decided = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)


def answer(jobs: Sequence[Job[object]]) -> None:
    """From the thread: wake everybody who waits for these, with one call into each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job[object]]] = {}
    for job in jobs:
        job.answered = True
        by_loop.setdefault(job._loop, []).append(job)
    for loop, waiting in by_loop.items():
        with contextlib.suppress(RuntimeError):  # its loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(_wake_all, waiting)


def _wake_all(jobs: Sequence[Job[object]]) -> None:
    for job in jobs:
        job._wake()
