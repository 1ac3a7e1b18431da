"""Whoever begins in the past is brought to the present piece by piece, and never waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from event_house import deaf, follower, happened, names, positions, until_gone, until_open
from follower import Follower
from http_house import House, house, spoken, where
from storage_faults.stores import event

from adapters.http import protocol, stream
from adapters.http.protocol import Protocol
from bot.publishing import Page
from bot.service import keys
from storage.database import open_inline

LONG = "昼" * 4000
"""A note of 12 kB, as long as chat takes one."""


async def test_what_the_database_has_and_nobody_was_handed_yet_comes_once() -> None:
    """Another process writes, and somebody catches up before that was found: in order, and all go on."""
    store = open_inline()
    async with house(store=store) as at:
        ann = await at.agent("Ann")
        server = at.server.app.stream
        other = await store.write(lambda tx: tx.members.ensure_organization("other", "Other", at.clock.now()))
        await store.write(lambda tx: tx.ledger.events([event(other, "agt_x", n) for n in range(5)]))
        await names(at, ann, 1, 2, 3)
        await server.publisher.publish()
        newest = await server.publisher.begin(2)
        server.recent = stream.Recent()  # as a start finds it
        server.recent.begin(newest[0][0] - 1)
        server.recent.add([position for position, _ in newest], list(map(server._frame, newest)))
        at.core.changes.events_written = asyncio.Event()  # nobody is woken
        await names(at, ann, 4)
        async with await follower(at, "0") as one:
            async with asyncio.timeout(5):
                while not server._live:
                    await asyncio.sleep(0.01)
            await server.publisher.publish()
            await names(at, ann, 5)
            await server.publisher.publish()
            stored = await positions(at)
            assert [told.id for told in await one.some(len(stored))] == stored


async def test_a_burst_of_long_notes_drops_nobody_who_reads() -> None:
    """30 of them are more than may wait for one connection; they are handed on a few at a time."""
    async with house() as at:
        ann = await at.agent("Ann")
        async with await follower(at) as one:
            await one.begun()
            begun = int(one.last or "")
            reading = asyncio.create_task(one.some(30))
            await happened(at, ann, 30, LONG)
            assert [told.id for told in await reading] == await positions(at, begun)
            assert at.server.app.stream.dropped == 0


@pytest.mark.parametrize("last", ["1", None], ids=["from the past", "from now on"])
async def test_who_joins_in_the_middle_of_a_burst_is_told_each_once(
    last: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        server = at.server.app.stream
        tell, second = server._tell, Follower(at.server.address, await at.key("read"), last)
        joined = asyncio.Event()

        async def slowly(said: bytes, listeners: Mapping[Protocol, object]) -> None:
            await tell(said, listeners)
            if not joined.is_set():
                joined.set()
                await second.__aenter__()
                while len(server._live) < 2:
                    await asyncio.sleep(0.01)

        async with await follower(at) as first:
            await first.begun()
            begun = int(first.last or "")
            monkeypatch.setattr(server, "_tell", slowly)
            reading = asyncio.create_task(first.some(30))
            await happened(at, ann, 30, LONG)
            stored = await positions(at, begun)
            assert [told.id for told in await reading] == stored
            await second.begun()
            all_of_it = await positions(at, int(second.last or ""))
            assert last is not None or 0 < len(all_of_it) < len(stored)
            assert [told.id for told in await second.some(len(all_of_it))] == all_of_it
            await second.__aexit__(None, None, None)


async def test_a_page_of_long_notes_does_not_wait_for_who_does_not_read() -> None:
    """Row 27, catching up out of the database: one piece in hand."""
    async with house() as at:
        ann = await at.agent("Ann")
        await happened(at, ann, 100, LONG)
        await happened(at, ann, 2500)
        slow, connection = await deaf(at, "1")
        assert at.server.app.stream.recent.floor > 100
        for _ in range(50):
            await asyncio.sleep(0.002)
        assert 0 < connection.transport.get_write_buffer_size() <= stream.PIECE + len(LONG.encode()) + 1000
        slow.close()


@asynccontextmanager
async def behind(at: House, key: str | None = None) -> AsyncIterator[Follower]:
    """Somebody who catches up, and whose reading of the database takes until the block ends."""
    ann = await at.agent("Ann")
    await happened(at, ann, 2500)
    held = asyncio.Event()

    async def page(after: int | None, limit: int) -> Page:
        await held.wait()
        return Page((), 0)

    at.server.app.stream.publisher.page = page  # type: ignore[method-assign]
    async with await follower(at, "1", key) as one:
        await until_open(at, 1)
        try:
            yield one
        finally:
            held.set()


async def test_who_catches_up_is_told_to_come_back_when_the_program_leaves() -> None:
    """Row 38: also who is not live yet."""
    async with house() as at, behind(at) as one:
        leaving = asyncio.create_task(at.server.stop())
        assert await one.rest() == []
        assert one.comments == ["Rollcall is stopping; come back"]
        assert one.retry != 2000
    await leaving


async def test_who_catches_up_ends_with_its_key() -> None:
    async with house() as at:
        key = await at.key("read")
        async with behind(at, key) as one:
            now, owner, key_id = at.clock.now(), at.core.organization_id, keys.id_of(key)
            assert key_id is not None
            await at.store.write(lambda tx: keys.revoke(tx, owner, key_id, now))
            await at.clock.advance(seconds=9)
            assert await one.rest() == []
            assert one.comments == ["the key counts no longer"]


async def test_who_catches_up_hears_heartbeats_too() -> None:
    """So that silence means the same for everybody."""
    async with house() as at, behind(at) as one:
        await at.clock.advance(seconds=15)
        async with asyncio.timeout(2):
            assert (await one.reader.readuntil(b":\n\n\r\n")).endswith(b"3\r\n:\n\n\r\n")


async def test_who_takes_nothing_while_it_catches_up_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is not counted as dropped: nothing is lost to it."""
    monkeypatch.setattr(stream, "STALLED", 0.1)
    async with house() as at:
        ann = await at.agent("Ann")
        await happened(at, ann, 1000)
        slow, connection = await deaf(at, "1")
        await until_gone(connection)
        assert at.server.app.stream.dropped == 0
        slow.close()


async def test_only_a_few_read_the_database_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as at, AsyncExitStack() as stack:
        ann = await at.agent("Ann")
        await happened(at, ann, 2500)
        publisher = at.server.app.stream.publisher
        page, reading, most = publisher.page, 0, 0

        async def counted(after: int | None, limit: int) -> Page:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            await asyncio.sleep(0.01)
            try:
                return await page(after, limit)
            finally:
                reading -= 1

        monkeypatch.setattr(publisher, "page", counted)
        key = await at.key("read")
        some = [await stack.enter_async_context(await follower(at, "1", key)) for _ in range(8)]
        stored = await positions(at, 1)
        for told in await asyncio.gather(*(one.some(len(stored)) for one in some)):
            assert [one.id for one in told] == stored
        assert most == stream.READERS


async def test_nobody_reads_on_for_who_has_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await happened(at, ann, 4000)
        publisher = at.server.app.stream.publisher
        page, reads, begun = publisher.page, 0, asyncio.Event()

        async def counted(after: int | None, limit: int) -> Page:
            nonlocal reads
            reads += 1
            if reads == 2:
                await begun.wait()
                one.writer.transport.abort()
                (connection,) = at.server.app.stream._open
                await until_gone(connection)
            return await page(after, limit)

        monkeypatch.setattr(publisher, "page", counted)
        one = await follower(at, "1")
        await one.__aenter__()
        begun.set()
        await until_open(at, 0)
        assert reads == 2


async def test_who_is_let_in_while_the_program_leaves_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the answer has begun it is 503; after that, the last words of a stream."""
    async with house() as at:
        server = at.server.app.stream
        position = server._position

        async def leaves(name: str) -> int | None:
            server.leave()
            return await position(name)

        monkeypatch.setattr(server, "_position", leaves)
        async with await follower(at, "0") as one:
            assert one.status == 503
            assert b"retry-after: " in one.head
    async with house() as at:
        server = at.server.app.stream
        head = stream._head

        def leaves_now(asked: object) -> object:
            server.leave()
            return head(asked)  # type: ignore[arg-type]

        monkeypatch.setattr(stream, "_head", leaves_now)
        async with await follower(at) as one:
            assert await one.rest() == []
            assert one.comments == ["Rollcall is stopping; come back"]


async def test_places_are_counted_when_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many ask at once, and each looks its position up first."""
    monkeypatch.setattr(stream, "most_streams", lambda: 1)
    async with house() as at:
        server = at.server.app.stream
        position, both, waiting = server._position, asyncio.Event(), 0

        async def together(name: str) -> int | None:
            nonlocal waiting
            waiting += 1
            if waiting == 2:
                both.set()
            await both.wait()
            return await position(name)

        monkeypatch.setattr(server, "_position", together)
        key = await at.key("read")
        first, second = await follower(at, "0", key), await follower(at, "0", key)
        await asyncio.gather(first.__aenter__(), second.__aenter__())
        assert sorted([first.status, second.status]) == [200, 503]
        for one in (first, second):
            await one.__aexit__(None, None, None)


@pytest.mark.parametrize(
    "rest", [b"GET /v1/ag", b"\x16\x03\x01 nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: %b"]
)
async def test_a_stream_is_only_closed_when_what_follows_is_refused(
    rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another answer would stand in the middle of its pieces."""
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.2)
    if b"%b" in rest:
        rest = rest % (b"x" * 40_000)
    async with house() as at:
        key = await at.key("read")
        reader, writer = await asyncio.open_connection(*where(at.server))
        writer.write(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        await reader.readuntil(b"id: 0\n\n\r\n")
        writer.write(rest)
        try:
            async with asyncio.timeout(3):
                assert await reader.read() == b""
        except ConnectionResetError:
            pass  # it was closed before all of that was read
        writer.close()
        await until_open(at, 0)


async def test_a_request_behind_a_stream_is_no_error_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    for ends in ("the client goes", "the program leaves"):
        async with house() as at:
            ann = await at.agent("Ann")
            one = f"Host: x\r\nAuthorization: Bearer {await at.key('read')}\r\n\r\n"
            reader, writer = await asyncio.open_connection(*where(at.server))
            writer.write(f"GET /v1/events HTTP/1.1\r\n{one}GET /v1/agents HTTP/1.1\r\n{one}".encode())
            await until_open(at, 1)
            (connection,) = at.server.app.stream._open
            await reader.readuntil(b"\n\n\r\n")
            if ends == "the client goes":
                writer.transport.abort()
                while connection in connection.connections:
                    await names(at, ann, at.core.roster.revision)
                    await asyncio.sleep(0.01)
            else:
                at.server.app.stream.leave()
                await reader.read()
                writer.close()
            await until_open(at, 0)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("version", "fields", "words"),
    [
        ("1.1", "Last-Event-ID: 1\r\nLast-Event-ID: 2\r\n", b"more than once"),
        ("1.0", "", b"needs HTTP/1.1"),
    ],
)
async def test_a_stream_that_cannot_be_told_apart_or_cut_into_pieces_is_refused(
    version: str, fields: str, words: bytes
) -> None:
    async with house() as at:
        key = await at.key("read")
        head = f"GET /v1/events HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{fields}"
        answer = await spoken(at.server, f"{head}Connection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert words in answer
        page = f"GET /v1/events?after= HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        answer = await spoken(at.server, f"{page}Connection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"transfer-encoding" not in answer
