"""The stream of events and its pages: every change once and in order, or `reset` (I12)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from event_house import follower, names, positions
from http_house import house
from storage_faults.stores import event

from adapters.http import recent as newest
from adapters.http import stream
from bot.ports import EVENTS_FORGOTTEN, EVENTS_MARK
from storage import forgetting


async def test_a_change_reaches_whoever_follows() -> None:
    async with house() as at:
        ann = await at.agent("Ann", available=False)
        async with await follower(at) as one, await follower(at) as other:
            assert b"content-type: text/event-stream" in one.head
            assert b"cache-control: no-store" in one.head
            assert b"x-request-id: " in one.head
            await one.begun()
            await other.begun()
            await at.available(ann)
            told = await one.next()
            assert told is not None
            assert (told.type, told.data["agent_id"]) == ("presence.changed", ann.id)
            assert told.data["data"]["presence"] == "available"
            assert told.data["position"] == told.id == one.last
            assert await other.next() == told


async def test_what_another_process_writes_is_found_within_a_second_or_so() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        async with await follower(at) as one:
            await one.begun()
            await names(at, ann, 1)
            await one.next()
            at.core.changes.events_written = asyncio.Event()  # nobody tells the publisher
            await names(at, ann, 2)
            with pytest.raises(TimeoutError):
                await one.next(0.1)
            await at.clock.advance(seconds=1.1)
            assert (await one.next()) is not None


@pytest.mark.parametrize("kept", [1000, 3], ids=["in memory", "in the database"])
async def test_who_comes_back_misses_nothing_while_writes_go_on(
    monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """I12: hung up on again and again, in the middle of reading."""
    monkeypatch.setattr(newest, "KEPT", kept)
    monkeypatch.setattr(stream, "KEPT", kept)
    monkeypatch.setattr(newest, "PIECE", 700)
    async with house() as at:
        ann = await at.agent("Ann")
        begun = at.server.app.stream.publisher.head
        async with await follower(at) as one:
            last = (await one.begun()).last
        assert last is not None
        begun = int(last)
        writing = asyncio.create_task(names(at, ann, *range(200)))
        got: list[str] = []
        while len(got) < 200:
            async with await follower(at, last) as one:
                got += [told.id for told in await one.some(min(7, 200 - len(got)))]
                last = one.last
        await writing
        assert got == await positions(at, begun)


async def test_a_position_from_a_page_is_good_for_the_stream_and_the_other_way_round() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await names(at, ann, *range(5))
        first = (await at.ask("/v1/events?after=&limit=3")).json()
        assert (len(first["events"]), first["more"], first["reset"]) == (3, True, False)
        rest = (await at.ask(f"/v1/events?after={first['last']}")).json()
        assert (rest["more"], rest["reset"]) == (False, False)
        assert [one["position"] for one in first["events"] + rest["events"]] == await positions(at)
        async with await follower(at, first["last"]) as one:
            told = await one.some(len(rest["events"]))
            assert [one.data for one in told] == rest["events"]
            await names(at, ann, 9)
            assert (await one.next()) is not None
            page = (await at.ask(f"/v1/events?after={one.last}")).json()
            assert (page["events"], page["last"]) == ([], one.last)


async def test_a_page_that_is_ahead_of_the_stream_is_no_reason_for_reset() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await names(at, ann, 1)
        publisher = at.server.app.stream.publisher
        async with asyncio.timeout(2):
            while publisher.head != int((await positions(at))[-1]):
                await asyncio.sleep(0.01)
        at.core.changes.events_written = asyncio.Event()
        await names(at, ann, 2)
        last = (await at.ask("/v1/events?after=")).json()["last"]
        async with await follower(at, last) as one:
            await names(at, ann, 3)
            await at.clock.advance(seconds=1.1)
            told = await one.next()
            assert told is not None
            assert told.type == "agent.updated"


async def test_who_was_away_for_too_long_is_told_reset_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """I12: what came behind their position was deleted."""
    monkeypatch.setattr(forgetting, "NEWEST_EVENTS", 2)
    monkeypatch.setattr(newest, "KEPT", 2)
    monkeypatch.setattr(stream, "KEPT", 2)
    async with house() as at:
        ann = await at.agent("Ann")
        async with await follower(at) as one:
            last = (await one.begun()).last
        await names(at, ann, *range(20))
        at.clock.at += timedelta(days=30)
        while await at.core.forget():
            pass
        assert len(await positions(at)) == 2
        async with await follower(at, last) as one:
            reset = await one.next()
            assert reset is not None
            assert (reset.type, reset.data["reason"]) == ("reset", "forgotten")
            assert reset.id == (await positions(at))[-1]
            await names(at, ann, 99)
            told = await one.next()
            assert told is not None
            assert [told.id] == await positions(at, int(reset.id))
        page = (await at.ask(f"/v1/events?after={last}")).json()
        assert (page["reset"], page["events"], page["last"]) == (True, [], told.id)
        assert (await at.ask("/v1/events?after=")).json()["reset"] is False
        forgotten = await at.core.setting(EVENTS_FORGOTTEN)
        assert (await at.ask(f"/v1/events?after={forgotten}")).json()["reset"] is False


def test_memory_has_everything_behind_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions have gaps: other organizations have theirs between."""
    monkeypatch.setattr(newest, "KEPT", 3)
    monkeypatch.setattr(stream, "KEPT", 3)
    recent = newest.Recent()
    recent.begin(10)
    given: list[int] = []
    for position in range(12, 60, 2):
        recent.add([(position, event("org_1", "agt_1", position))], [b"%d " % position])
        given.append(position)
        for behind in range(recent.floor, position):
            frames, last = recent.behind(behind)
            wanted = [one for one in given if one > behind][: len(frames.split())]
            assert [int(one) for one in frames.split()] == wanted
            assert last == wanted[-1]
            assert [one for one, _ in recent.events_behind(behind)] == wanted
        assert recent.behind(position) == (b"", position) == (b"", recent.head)
        assert recent.floor in [10, *given]


@pytest.mark.parametrize("last", ["999999999", "agt_1", "-1", "1f-1", "9" * 30, "\N{SNOWMAN}"])
async def test_a_position_that_there_never_was_is_told_reset(last: str) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        async with await follower(at, last) as one:
            reset = await one.next()
            assert reset is not None
            assert (reset.type, reset.data["reason"]) == ("reset", "unknown")
            await names(at, ann, 1)
            assert (await one.next()) is not None
        page = (await at.ask(f"/v1/events?after={last}")).json()
        assert (page["reset"], page["events"]) == (True, [])


async def test_positions_of_before_a_backup_was_restored_are_told_reset() -> None:
    """They are given a second time, for other events."""
    async with house() as at:
        ann = await at.agent("Ann")
        last = (await at.ask("/v1/events?after=")).json()["last"]
        await at.core.put_setting(EVENTS_MARK, "65f0c0de")
        await at.server.app.stream.begin()
        await names(at, ann, 1)
        assert (await at.ask(f"/v1/events?after={last}")).json()["reset"] is True
        assert (await at.ask("/v1/events?after=")).json()["last"].startswith("65f0c0de-")


async def test_who_may_not_follow_is_told_so() -> None:
    async with house() as at:
        assert (await at.client.get("/v1/events")).status_code == 401
        assert (await at.ask("/v1/events", scope="route")).json()["code"] == "forbidden"
        assert (await at.ask("/v1/events?after=", scope="route")).json()["code"] == "forbidden"
        assert (await at.ask("/v1/events", method="POST", scope="read")).status_code == 405


async def test_other_methods_and_parameters() -> None:
    async with house() as at:
        head = await at.ask("/v1/events", method="HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "text/event-stream"
        options = await at.ask("/v1/events", method="OPTIONS")
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        for query, code, field in (
            ("limit=3", "bad_value", "after"),
            ("after=&limit=501", "bad_value", "limit"),
            ("after=&limit=x", "bad_value", "limit"),
            ("afetr=1", "unknown_parameter", "afetr"),
            ("after=1&after=2", "repeated_parameter", "after"),
        ):
            refused = (await at.ask(f"/v1/events?{query}")).json()
            assert (refused["code"], refused["errors"][0]["field"]) == (code, field), query
        assert at.server.app.stream.listeners == 0


async def test_another_organizations_events_are_not_told() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        now = at.clock.now()
        other = await at.store.write(lambda tx: tx.members.ensure_organization("other", "Other", now))
        async with await follower(at) as one:
            await one.begun()
            await at.store.write(lambda tx: tx.ledger.events([event(other, "agt_x", 1)]))
            await names(at, ann, 1)
            told = await one.next()
            assert told is not None
            assert told.data["agent_id"] == ann.id
        page = (await at.ask("/v1/events?after=")).json()
        assert {one["agent_id"] for one in page["events"]} == {ann.id}


async def test_an_agent_who_can_not_be_read_again_keeps_nobodys_events_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What another process wrote is taken over with its event; one broken row must not stop all."""
    async with house() as at:
        ann = await at.agent("Ann")

        async def broken(agent_id: str) -> None:
            raise LookupError("a row that nobody can read")

        async with await follower(at) as one:
            await one.begun()
            monkeypatch.setattr(at.core.changes, "refresh", broken)
            await names(at, ann, 1)
            told = await one.next()
            assert told is not None
            assert told.type == "agent.updated"
