"""A console session that is kept open: a heartbeat as often as Rollcall asks for, and a logout at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from adapters.client.documents import Session
from adapters.client.problems import ClientError, Refused, TooMany, Unavailable

Beat = Callable[[], Awaitable[Session]]


class Console:
    """One session, open within `async with`. A beat that fails is made up for by the next one; where it is
    refused for good (the agent was removed, the key ended), the beating stops: `ended`, `problem`."""

    def __init__(self, beat: Beat, log_out: Beat, every_s: float | None = None) -> None:
        self._beat = beat
        self._log_out = log_out
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self.session: Session | None = None
        """As of the last beat that was answered."""
        self.beats = 0
        self.problem: ClientError | None = None
        """Of the last beat; None: it was answered."""
        self.ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._once()
        self._task = asyncio.create_task(self._keep())
        return self

    async def _once(self) -> None:
        self.session = await self._beat()
        self.beats += 1
        self.problem = None

    async def _keep(self) -> None:
        while True:
            every = self._every_s or (self.session.beat_every_s if self.session else 15)
            await asyncio.sleep(every)
            try:
                await self._once()
            except ClientError as problem:
                self.problem = problem
                if isinstance(problem, Refused) and not isinstance(problem, TooMany | Unavailable):
                    self.ended.set()
                    return

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if not self.ended.is_set():
            await self._log_out()
