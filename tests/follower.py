"""Follows the event stream as a program would: a connection of its own, server-sent events line by line."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit


class Told(NamedTuple):
    """One event of the stream."""

    id: str
    type: str
    data: dict[str, Any]


class Follower:
    """One stream. `async with` opens it and hangs up; `last` is what goes into Last-Event-ID."""

    def __init__(self, address: str, key: str, last: str | None = None) -> None:
        self._host, self._port = urlsplit(address).hostname, urlsplit(address).port
        self._key = key
        self.last = last
        self.retry = 0
        self.comments: list[str] = []
        self.status = 0
        self.head = b""
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._host, self._port)
        last = "" if self.last is None else f"Last-Event-ID: {self.last}\r\n"
        self.writer.write(
            f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n{last}\r\n".encode()
        )
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        self.status = int(self.head.split()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    async def begun(self) -> Self:
        """Wait for the first position."""
        async with asyncio.timeout(5):
            while self.last is None:
                await self._block()
        return self

    async def next(self, within: float = 5.0) -> Told | None:
        """The next event; None: the stream is over."""
        async with asyncio.timeout(within):
            while (block := await self._block()) is not None:
                if "data" in block:
                    return Told(block["id"], block["event"], json.loads(block["data"]))
        return None

    async def some(self, count: int) -> list[Told]:
        """The next so many events."""
        found = [await self.next() for _ in range(count)]
        return [told for told in found if told is not None]

    async def rest(self, within: float = 5.0) -> list[Told]:
        """Everything until the stream is over."""
        found = []
        while (told := await self.next(within)) is not None:
            found.append(told)
        return found

    async def _block(self) -> dict[str, str] | None:
        """The fields of one block; None: the stream is over, in order or not."""
        block: dict[str, str] = {}
        try:
            while line := await self._line():
                name, _, value = line.partition(": ")
                if not name:
                    self.comments.append(value)
                elif name == "retry":
                    self.retry = int(value)
                else:
                    block[name] = value
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        if "id" in block:
            self.last = block["id"]
        return block

    _piece = b""

    async def _line(self) -> str:
        while b"\n" not in self._piece:
            size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
            more = await self.reader.readexactly(size + 2)
            if size == 0:
                raise asyncio.IncompleteReadError(b"", None)
            self._piece += more[:-2]
        line, _, self._piece = self._piece.partition(b"\n")
        return line.decode()
