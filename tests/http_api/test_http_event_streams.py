"""How streams of events live and end: heartbeats, keys, listeners that do not read, the way out."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from event_house import deaf, follower, names, positions, until_open
from http_house import house

from adapters.http import stream
from bot.domain.errors import Unavailable
from bot.service import keys


async def test_who_does_not_read_is_dropped_at_the_bound_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 27: at most 256 KB wait for one connection; then it is told `reset`, and hung up on."""
    monkeypatch.setattr(stream, "FLUSH_WITHIN", 0.2)
    async with house() as at:
        ann = await at.agent("Ann")
        one = await follower(at)
        slow, connection = await deaf(at)
        most = 0
        async with one:
            await one.begun()
            async with asyncio.timeout(10):
                number = 0
                while at.server.app.stream.dropped == 0:
                    await names(at, ann, *range(number, number + 50))
                    number += 50
                    await one.some(50)
                    most = max(most, connection.transport.get_write_buffer_size())
            assert 200_000 < most <= stream.MOST_WAITING
            await until_open(at, 1)
            page = (await at.client.get("/metrics")).text
            assert 'rollcall_event_listeners{organization="default"} 1.0' in page
            assert 'rollcall_event_listeners_dropped_total{organization="default"} 1.0' in page
        async with asyncio.timeout(5):
            while connection in connection.connections:
                await asyncio.sleep(0.02)
        slow.close()


async def test_a_slow_one_that_reads_after_all_finds_reset_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it got is whole and in order; what it did not get, it knows of."""
    monkeypatch.setattr(stream, "MOST_WAITING", 3000)
    async with house() as at:
        ann = await at.agent("Ann")
        async with await follower(at) as one:
            await one.begun()
            begun = int(one.last or "")
            (connection,) = at.server.app.stream._open
            monkeypatch.setattr(connection.transport, "get_write_buffer_size", lambda: 2900)
            await names(at, ann, 1, 2)
            told = await one.rest()
            assert told[-1].type == "reset"
            assert told[-1].data["reason"] == "slow"
            assert [one.id for one in told[:-1]] == (await positions(at, begun))[: len(told) - 1]


async def test_heartbeats_keep_a_quiet_stream_alive() -> None:
    async with house() as at, await follower(at) as one:
        await one.begun()
        await at.clock.advance(seconds=15)
        async with asyncio.timeout(2):
            assert await one.reader.readuntil(b":\n\n\r\n")


async def test_a_stream_ends_soon_after_its_key() -> None:
    """Revoked by another process, or expired; others go on."""
    async with house() as at:
        ann = await at.agent("Ann")
        short = await at.key("read", lasts=timedelta(minutes=1))
        revoked = await at.key("read")
        async with (
            await follower(at, key=short) as first,
            await follower(at, key=revoked) as second,
            await follower(at) as third,
        ):
            for one in (first, second, third):
                await one.begun()
            now, owner = at.clock.now(), at.core.organization_id
            key_id = keys.id_of(revoked)
            assert key_id is not None
            await at.store.write(lambda tx: keys.revoke(tx, owner, key_id, now))
            await at.clock.advance(seconds=9)
            assert await second.rest() == []
            assert second.comments == ["the key counts no longer"]
            await at.clock.advance(seconds=60)
            assert await first.rest() == []
            await names(at, ann, 1)
            assert (await third.next()) is not None
            assert at.server.app.stream.listeners == 1


async def test_streams_are_told_to_come_back_when_the_program_leaves() -> None:
    """Row 38: at once, whether they are live, catching up, or not reading."""
    async with house() as at:
        await at.agent("Ann")
        async with await follower(at) as one:
            await one.begun()
            async with asyncio.timeout(2):
                await at.server.stop()
            assert await one.rest() == []
            assert one.comments == ["Rollcall is stopping; come back"]
            assert 1000 <= one.retry <= 5000


async def test_who_does_not_read_does_not_hold_the_program(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 38: something still waits for it when the program leaves; after a while it is hung up on."""
    monkeypatch.setattr(stream, "FLUSH_WITHIN", 0.2)
    async with house() as at:
        ann = await at.agent("Ann")
        slow, connection = await deaf(at)
        number = 0
        async with asyncio.timeout(10):
            while connection.transport.get_write_buffer_size() < 10_000:
                await names(at, ann, *range(number, number + 50))
                number += 50
                await asyncio.sleep(0.01)
        async with asyncio.timeout(2):
            await at.server.stop()
        slow.close()
    assert caplog.text == ""


async def test_streams_leave_room_for_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "most_streams", lambda: 1)
    async with house() as at:
        async with await follower(at) as one, await follower(at) as other:
            assert (one.status, other.status) == (200, 503)
            assert b"retry-after: " in other.head
        await until_open(at, 0)
        async with await follower(at) as one:
            assert one.status == 200


async def test_while_the_database_is_away_streams_stay_and_go_on_after_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        async with await follower(at) as one:
            await one.begun()
            begun = int(one.last or "")
            publisher = at.server.app.stream.publisher
            real = at.store.read
            ahead = await follower(at, str(publisher.head + 1))

            async def gone(_: object) -> None:
                raise Unavailable("gone")

            monkeypatch.setattr(at.store, "read", gone)
            await names(at, ann, 1, 2)
            await at.clock.advance(seconds=3)
            assert caplog.text.count("events wait") == 1
            async with ahead:
                assert ahead.status == 503
            monkeypatch.setattr(at.store, "read", real)
            await at.clock.advance(seconds=1.1)
            assert [told.id for told in await one.some(2)] == await positions(at, begun)
