"""Sessions and connections of a fake Discord's gateway.

A session outlives its connection: what happens while nobody is connected is kept and replayed on RESUME,
until the session is forgotten.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import zlib
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web
from fakes.discord_model import Json

DISPATCH = 0
COMMANDS_A_MINUTE = 120
_KEPT_FOR_REPLAY = 20_000


@dataclass(eq=False)
class Session:
    """What one IDENTIFY began: an id, the events sent so far, and at most one connection."""

    intents: int
    large_threshold: int
    shard: tuple[int, int]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    sequence: int = 0
    events: deque[tuple[int, Json]] = field(default_factory=lambda: deque(maxlen=_KEPT_FOR_REPLAY))
    connection: Connection | None = None

    def covers(self, guild_id: int | None) -> bool:
        """Whether this shard gets the guild's events; direct messages go to shard 0."""
        number, count = self.shard
        return number == (0 if guild_id is None else (guild_id >> 22) % count)

    def dispatch(self, event: str, data: Json) -> None:
        self.sequence += 1
        payload = {"op": DISPATCH, "t": event, "s": self.sequence, "d": data}
        self.events.append((self.sequence, payload))
        if self.connection is not None and not self.connection.withholds:
            self.connection.send(payload)

    def can_replay_from(self, sequence: int) -> bool:
        return not self.events or sequence + 1 >= self.events[0][0]


class Connection:
    """One WebSocket. Sending never waits: a writer task empties the outbox in order.

    A connection that is `silent` sends nothing at all; one that `withholds` acknowledges heartbeats and no
    more. Either stays so to its end, since what it left out could not be made good.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, *, compressed: bool) -> None:
        self.socket = socket
        self.silent = False
        self.withholds = False
        self.closes = False
        self.session: Session | None = None
        self.commands: deque[float] = deque(maxlen=COMMANDS_A_MINUTE)
        self._request = request
        self._deflate = zlib.compressobj() if compressed else None
        self._outbox: asyncio.Queue[Json | int] = asyncio.Queue()

    def send(self, payload: Json) -> None:
        if not self.silent:
            self._outbox.put_nowait(payload)

    def close(self, code: int) -> None:
        """Close in good order, after what is already on its way."""
        self.closes = True
        self._outbox.put_nowait(code)

    def abort(self) -> None:
        """Cut the TCP connection: the client sees 1006, a connection lost without a close frame."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write(self) -> None:
        while True:
            item = await self._outbox.get()
            if isinstance(item, int):
                # Only the frame: `socket.close` cuts the line at once while somebody receives, and then the
                # code is lost with it. The client's answer ends the connection.
                assert self.socket._writer is not None
                await self.socket._writer.close(item)
                await asyncio.sleep(1.0)
                return self.abort()
            text = json.dumps(item)
            if self._deflate is None:
                await self.socket.send_str(text)
            else:
                data = self._deflate.compress(text.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
                await self.socket.send_bytes(data)
