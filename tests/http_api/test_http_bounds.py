"""Bounds of a connection: heads that come in pieces and behind others, and answers that nobody reads."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest
from http_house import House, house, where

from adapters.http import protocol, server


async def sent_in_pieces(at: House, pieces: Sequence[bytes]) -> bytes:
    """All that is answered to these pieces, each of which the server gets by itself."""
    reader, writer = await asyncio.open_connection(*where(at.server), limit=2**24)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        writer.write(piece)
        for _ in range(4):
            await asyncio.sleep(0)
    try:
        async with asyncio.timeout(3):
            return await reader.read()
    finally:
        writer.close()


def padded(size: int, *fields: bytes) -> bytes:
    """A request with so long a field."""
    return b"\r\n".join((b"GET /livez HTTP/1.1", b"Host: x", *fields, b"X: " + b"a" * size, b"", b""))


LAST = padded(1, b"Connection: close")


def statuses(answers: bytes) -> list[bytes]:
    """Of all answers that came on a connection."""
    return [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]


async def test_whole_requests_before_half_a_head_are_not_counted_as_head() -> None:
    """A client that sends ahead cuts where its buffer ends."""
    async with house() as at:
        one = padded(700)
        assert statuses(await sent_in_pieces(at, [one * 50 + one[:300], one[300:] + LAST])) == [b"200"] * 52


async def test_a_body_before_half_a_head_is_not_counted_as_head() -> None:
    """Its change was made, so it must not be answered as if it had not been."""
    async with house() as at:
        ann = await at.agent("Ann")
        body = b'{"external_id":"77"}' + b" " * 34_000
        put = (
            f"PUT /v1/agents/{ann.id}/external-ids/crm HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {await at.key('admin')}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        assert statuses(await sent_in_pieces(at, [put + LAST[:30], LAST[30:]])) == [b"200", b"200"]


async def test_requests_cut_anywhere_are_answered_all_and_in_order() -> None:
    """Seeded: what fails, fails again. Bodies, chunks and heads of nearly the most are among them."""
    chance = random.Random(67)
    kinds = (
        (padded(10), b"200"),
        (padded(5_000), b"200"),
        (padded(protocol.LARGEST_HEAD - 100), b"200"),
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"PUT /v1/teams HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n" + b"\r\n\r\n" * 1_500, b"401"),
        (b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"404"),
    )
    async with house() as at:
        for most in (700, 9_000, 60_000):
            chosen = [chance.choice(kinds) for _ in range(30)]
            stream = b"".join(said for said, _ in chosen) + LAST
            pieces = []
            while stream:
                cut = chance.randrange(1, most)
                pieces.append(stream[:cut])
                stream = stream[cut:]
            assert statuses(await sent_in_pieces(at, pieces)) == [*(status for _, status in chosen), b"200"]


async def test_a_head_of_just_the_most_may_be_cut_anywhere_and_stand_behind_others() -> None:
    async with house() as at:
        size = protocol.LARGEST_HEAD - len(b"/livez") - len(b"Host: x\r\nConnection: close\r\nX: \r\n")
        for more, status in ((0, b"200"), (1, b"431")):
            head = padded(size + more, b"Connection: close")
            for cut in (1, 30, len(head) - 1):
                assert statuses(await sent_in_pieces(at, [head[:cut], head[cut:]])) == [status]
            for before in (1, protocol.PIECE - len(padded(1)) - 1):
                stream = padded(before) + head
                assert statuses(await sent_in_pieces(at, [stream[:-1], stream[-1:]]))[-1] == status


@pytest.mark.parametrize("pieces", [1, 5])
async def test_a_head_behind_a_whole_request_is_bounded_too(pieces: int) -> None:
    async with house() as at:
        head = b"GET /livez HTTP/1.1\r\nX: " + b"a" * 40_000
        length = -(-len(head) // pieces)
        parts = [head[begin : begin + length] for begin in range(0, len(head), length)]
        parts[0] = padded(1) + parts[0]
        assert b"431" in statuses(await sent_in_pieces(at, parts))


async def test_what_was_refused_for_its_head_is_not_carried_out() -> None:
    """White space is no field, but it is of the head; the rest of it comes in the same piece."""
    called: list[str] = []

    async def platform(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope["path"])

    async with house(mounts={"/it": platform}) as at:
        head = b"GET /it HTTP/1.1\r\nHost: x\r\nX: " + b" " * 50_000 + b"a\r\n\r\n"
        assert statuses(await sent_in_pieces(at, [head])) == [b"431"]
    assert called == []


async def test_each_head_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends steadily and cuts within heads never has a connection at which no head is waited for."""
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.3)
    async with house() as at:
        reader, writer = await asyncio.open_connection(*where(at.server))
        one = padded(1)
        writer.write(one[:20])
        began = time.monotonic()
        answered = 0
        while time.monotonic() - began < 0.6:
            writer.write(one[20:] + one[:20])
            answered += 1
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.01)
        async with asyncio.timeout(2):
            assert statuses(await reader.read()) == [b"408"], "the last one does not come"
        assert answered > 5
        writer.close()


async def not_reading(at: House, said: bytes) -> socket.socket:
    """A connection that says this, and takes as little as it can."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(opened, where(at.server))
    await loop.sock_sendall(opened, said)
    return opened


async def connections(at: House, most: int) -> None:
    """Returns when there are no more than so many."""
    assert at.server._server is not None
    async with asyncio.timeout(3):
        while len(at.server._server.server_state.connections) > most:
            await asyncio.sleep(0.02)


async def test_who_does_not_read_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No key is needed to ask for what is long, and each such connection keeps one from somebody else."""
    monkeypatch.setattr(protocol, "READ_WITHIN", 0.2)
    async with house() as at:
        await at.client.get("/livez")
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 99
        opened = [await not_reading(at, asked) for _ in range(3)]
        await connections(at, most=1)
        assert (await at.client.get("/livez")).status_code == 200
        for one in opened:
            one.close()
    assert caplog.text == ""


@pytest.mark.parametrize("ends", ["not HTTP", "idle", "says close"])
async def test_closing_does_not_wait_for_ever_for_who_does_not_read(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte that the system does not take is enough: closing would wait for it."""
    monkeypatch.setattr(protocol, "READ_WITHIN", 0.3)
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.1)
    filled = asyncio.Event()

    async def fill(scope: Any, receive: Any, send: Any) -> None:
        assert at.server._server is not None
        (connection,) = at.server._server.server_state.connections
        assert isinstance(connection, protocol.Protocol)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not connection.transport.get_write_buffer_size():
            await send({"type": "http.response.body", "body": b"x" * 4096, "more_body": True})
        connection.flow.resume_writing()  # the last word is said all the same
        await send({"type": "http.response.body", "body": b""})
        filled.set()

    async with house(mounts={"/fill": fill}) as at:
        close = b"Connection: close\r\n" if ends == "says close" else b""
        opened = await not_reading(at, b"GET /fill HTTP/1.1\r\nHost: x\r\n" + close + b"\r\n")
        await filled.wait()
        if ends == "not HTTP":
            await asyncio.get_running_loop().sock_sendall(opened, b"\x16\r\n\r\n")
        await connections(at, most=0)
        opened.close()


async def test_who_reads_late_but_in_time_is_not_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor later, when all of it was read."""
    monkeypatch.setattr(protocol, "READ_WITHIN", 0.6)
    size = 8 * 2**20

    async def long(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]}
        )
        await send({"type": "http.response.body", "body": b"x" * size})

    async with house(mounts={"/long": long}) as at:
        reader, writer = await asyncio.open_connection(*where(at.server))
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        async with asyncio.timeout(3):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(size)
            await asyncio.sleep(0.6)
            writer.write(LAST)
            assert (await reader.read()).endswith(b'{"live":true}')
        writer.close()
