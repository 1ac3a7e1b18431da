"""The event stream, followed for good: taken up again where it broke off, or told `Reset`.

Server-sent events as WHATWG's HTML defines them, as far as Rollcall sends them.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from adapters.client.calls import Calls
from adapters.client.documents import Event, Reset
from adapters.client.problems import Refused, TooMany, Unavailable, Unreachable, refusal


class _Over(Unreachable):
    """Ended by Rollcall, which said when to come back."""


PATH = "/v1/events"
SILENCE = 45.0
"""Seconds without a byte after which a connection is dead: something comes every 15 s."""


class Following:
    """The changes from a position on: `async with` opens the stream, `async for` gives `Event` and `Reset`.

    `last` is where it stands, to come back with. It goes on until it is left, whatever breaks; only what
    waiting does not mend (a key that does not count) is raised.
    """

    def __init__(self, calls: Calls, last: str | None = None, silence_s: float = SILENCE) -> None:
        self._calls = calls
        self._silence_s = silence_s
        self._answer: aiohttp.ClientResponse | None = None
        self._blocks: AsyncIterator[dict[str, str]] | None = None
        self._wait_s = 2.0
        self.last = last
        self.opened = 0
        """How often the stream was opened."""

    async def __aenter__(self) -> Self:
        await self._open()
        while self.last is None:  # the first block tells where it begins
            block = await self._next_block()
            if block is None:
                raise Unreachable("the stream ended before it began")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Reset:
        backoff = self._calls.backoff(30.0)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((TooMany, Unavailable, Unreachable)),
            wait=lambda state: max(backoff(state), self._told_to_wait(state)),
            after=lambda _: self._close(),
            reraise=True,
        ):
            with attempt:
                return await self._one()
        raise AssertionError("it goes on for good")

    async def _one(self) -> Event | Reset:
        """The next change of an open stream. Raises ClientError."""
        while True:
            if self._blocks is None:
                await self._open()
            block = await self._next_block()
            if block is None:
                raise _Over("the stream is over")
            if "data" in block:
                return _told(block)

    def _told_to_wait(self, state: RetryCallState) -> float:
        problem = state.outcome.exception() if state.outcome is not None else None
        if isinstance(problem, _Over):
            return self._wait_s
        return (problem.retry_after or 0.0) if isinstance(problem, Refused) else 0.0

    async def _open(self) -> None:
        self._close()
        more = {"Accept": "text/event-stream"}
        if self.last is not None:
            more["Last-Event-ID"] = self.last
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=self._silence_s)
        try:
            answer = await self._calls.session.get(
                self._calls.url(PATH),
                headers=self._calls.headers(more),
                timeout=timeout,
                allow_redirects=False,
            )
            if answer.status != 200:
                found = await answer.read()
                answer.close()
                raise refusal(answer.status, found, answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unreachable(f"no stream: {type(problem).__name__}") from None
        self.opened += 1
        self._answer = answer
        self._blocks = _blocks(answer.content)

    async def _next_block(self) -> dict[str, str] | None:
        """The next block's fields; None: the stream is over."""
        assert self._blocks is not None  # it was opened
        try:
            block = await anext(self._blocks, None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            raise Unreachable(f"the stream broke: {type(problem).__name__}") from None
        if block is not None:
            self.last = block.get("id", self.last)
            if block.get("retry", "").isdecimal():
                self._wait_s = int(block["retry"]) / 1000
        return block

    def _close(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._answer = self._blocks = None


async def _blocks(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, str]]:
    """What stands between empty lines, by field. A block that is cut short is none."""
    fields: dict[str, str] = {}
    async for raw in content:
        line = raw.decode("utf-8").rstrip("\n")
        if not raw.endswith(b"\n"):
            return
        if line:
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        elif fields:
            yield fields
            fields = {}


def _told(block: dict[str, str]) -> Event | Reset:
    try:
        if block.get("event") == "reset":
            return msgspec.json.decode(block["data"], type=Reset)
        return msgspec.json.decode(block["data"], type=Event)
    except msgspec.DecodeError as problem:
        raise Unreachable(f"an event that can't be read: {problem}") from None
