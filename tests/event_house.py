"""The event stream over a running API: who follows, what happens, what is stored, who reads nothing."""

from __future__ import annotations

import asyncio
import socket

from follower import Follower
from http_house import House, where
from msgspec.structs import replace
from storage_faults.stores import event

from adapters.http.protocol import Protocol
from bot.domain.agent import Agent


async def follower(at: House, last: str | None = None, key: str | None = None) -> Follower:
    return Follower(at.server.address, key or await at.key("read"), last)


async def names(at: House, agent: Agent, *numbers: int) -> None:
    """One event each."""
    for number in numbers:
        await at.core.name_agent(agent.id, "desk", str(number), "test")


async def positions(at: House, after: int = 0) -> list[str]:
    """What the database holds."""
    owner = at.core.organization_id
    found = await at.store.read(lambda tx: tx.ledger.events_after(owner, after, 100_000))
    return [str(position) for position, _ in found]


async def until_open(at: House, count: int) -> None:
    async with asyncio.timeout(5):
        while at.server.app.stream.listeners != count:
            await asyncio.sleep(0.01)


async def deaf(at: House, last: str | None = None) -> tuple[socket.socket, Protocol]:
    """The one listener, who reads nothing, and whose buffers on the way are small; and our side of it."""
    loop = asyncio.get_running_loop()
    listening = at.server._socket
    assert listening is not None
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # whom it accepts has it from there
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.setblocking(False)
    await loop.sock_connect(slow, where(at.server))
    field = "" if last is None else f"Last-Event-ID: {last}\r\n"
    key = await at.key("read")
    head = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{field}\r\n"
    await loop.sock_sendall(slow, head.encode())
    await until_open(at, 1)
    (connection,) = at.server.app.stream._open
    return slow, connection


async def until_gone(connection: Protocol) -> None:
    async with asyncio.timeout(5):
        while connection in connection.connections:
            await asyncio.sleep(0.01)


async def happened(at: House, agent: Agent, count: int, note: str = "") -> None:
    """So many events at once, which have all been handed on."""
    owner, first = at.core.organization_id, at.server.app.stream.publisher.head
    for begin in range(first, first + count, 500):
        some = [event(owner, agent.id, n) for n in range(begin, min(first + count, begin + 500))]
        if note:
            some = [replace(one, data={**one.data, "note": note}) for one in some]
        await at.store.write(lambda tx: tx.ledger.events(some))  # noqa: B023
    await at.server.app.stream.publisher.publish()
