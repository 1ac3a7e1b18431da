"""Facts, intervals, feeds and loads, on every storage."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from storage_faults.stores import START, changing, filled, toggled

from bot.domain.errors import Conflict
from bot.domain.facts import (
    CheckIn,
    Choice,
    Facts,
    Feed,
    FeedState,
    Intent,
    Interval,
    Link,
    LinkState,
    Presence,
    new_agent,
)
from bot.ports import Load, Store, StoredFeed
from storage.sql import EPOCH, instant, micros

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def facts_of(store: Store, agent_id: str) -> Facts:
    """The facts as stored."""
    found = await store.read(lambda tx: tx.presence.facts(agent_id))
    assert found is not None
    return found


@given(st.timedeltas(timedelta(0), datetime(2106, 1, 1, tzinfo=UTC) - EPOCH))
def test_instants_are_exact_to_the_microsecond(passed: timedelta) -> None:
    assert instant(micros(EPOCH + passed)) == EPOCH + passed


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        micros(datetime(2026, 3, 2))  # noqa: DTZ001 – what is refused


async def test_all_facts_are_kept(store: Store) -> None:
    small = await filled(store)
    agent = small.agents[0]
    fresh = await facts_of(store, agent.id)
    assert fresh == new_agent(agent.id, START)
    tick = timedelta(microseconds=1)
    interval = Interval(
        Presence.AWAY,
        START + HOUR,
        "set",
        "lead:agt_9",
        "zu Tisch \N{POT OF FOOD}",
        False,
        START + tick,
        "lunch",
    )
    full = replace(
        fresh,
        intent=Intent(
            Choice.AWAY,
            START + HOUR,
            "lead:agt_9",
            "zu Tisch",
            START + 2 * HOUR,
            Intent(Choice.AWAY, START, "agent", "all day", reason_code="training"),
            "lunch",
        ),
        interval=interval,
        check_in=CheckIn(agent.identities[0].id, START + tick, START + 8 * HOUR, warned=True),
        links=(
            Link(agent.identities[1].id, small.discord.id, LinkState.SUSPECT, START + tick, 4, 9),
            Link(
                agent.identities[0].id, small.slack.id, LinkState.IDLE, START, 2, 1_763_829_012_345, weak=True
            ),
        ),
        acted_at=START + tick,
        last_seen_at=START + 2 * tick,
        asked_at=START + 3 * tick,
        return_asked_on=date(2026, 3, 1),
        reviewed_at=START + 4 * tick,
    )
    saved = await store.write(lambda tx: tx.presence.save(fresh, full, [interval]))
    assert saved == replace(full, version=1)
    assert await facts_of(store, agent.id) == saved
    history = await store.read(lambda tx: tx.presence.history([agent.id], START, START + DAY))
    assert history[agent.id] == [(fresh.interval, interval.since), (interval, None)]
    bare = replace(fresh, interval=replace(interval, since=START + 3 * HOUR), version=1)
    await store.write(lambda tx: tx.presence.save(saved, bare, [bare.interval]))
    assert await facts_of(store, agent.id) == replace(bare, version=2)
    assert await store.read(lambda tx: tx.presence.facts("agt_none")) is None


async def test_facts_saved_on_an_old_version_conflict_and_change_nothing(store: Store) -> None:
    small = await filled(store)
    old = await facts_of(store, small.agents[0].id)
    after, intervals = toggled(old, START + HOUR)
    saved = await store.write(lambda tx: tx.presence.save(old, after, intervals))
    other, more = toggled(old, START + 2 * HOUR)
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.presence.save(old, other, more))
    assert await facts_of(store, old.agent_id) == saved
    stranger = new_agent("agt_none", START)
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.presence.save(stranger, stranger, []))


async def test_facts_saved_on_an_old_version_conflict_whatever_else_would_be_wrong_with_them(
    store: Store,
) -> None:
    """The interval that they would close began after its end, by another one's clock."""
    small = await filled(store)
    agent_id = small.agents[0].id
    first = await facts_of(store, agent_id)
    saved = await store.write(changing(agent_id, small.organization_id, 7200))
    late, intervals = toggled(first, START + HOUR)
    with pytest.raises(Conflict, match="presence has just changed"):
        await store.write(lambda tx: tx.presence.save(first, late, intervals))
    assert await facts_of(store, agent_id) == saved


async def test_no_update_is_lost_among_32_writers(store: Store) -> None:
    """Each reads, and saves in another transaction; whoever comes too late reads again. So there are
    as many versions as writers who were told that theirs was kept."""
    small = await filled(store)
    agent_id = small.agents[0].id

    async def one(number: int) -> None:
        before = await facts_of(store, agent_id)
        await asyncio.sleep(0)  # let the others read the same
        after = replace(before, acted_at=START + timedelta(seconds=number))
        try:
            await store.write(lambda tx: tx.presence.save(before, after, []))
        except Conflict:
            await one(number)

    await asyncio.gather(*(one(number) for number in range(32)))
    assert (await facts_of(store, agent_id)).version == 32


async def test_no_update_is_lost_when_facts_are_read_in_the_write(store: Store) -> None:
    """Facts read in a write are the writer's alone until it ends: nobody conflicts."""
    small = await filled(store)
    agent_id = small.agents[0].id
    operations = [changing(agent_id, small.organization_id, number) for number in range(32)]
    await asyncio.gather(*(store.write(operation) for operation in operations))
    assert (await facts_of(store, agent_id)).version == 32
    history = await store.read(lambda tx: tx.presence.history([agent_id], START, START + DAY))
    assert len(history[agent_id]) == 33


async def test_intervals_tile_an_agents_time(store: Store) -> None:
    """Several may be opened at once, as when deadlines are settled late."""
    small = await filled(store)
    before = await facts_of(store, small.agents[0].id)
    opened = [
        Interval(Presence.AVAILABLE, START + HOUR, "set", "agent", "a note"),
        Interval(Presence.AVAILABLE, START + 2 * HOUR, "unobserved", "slack", "", False, START + HOUR),
        Interval(Presence.OFFLINE, START + 3 * HOUR, "disconnected", "slack"),
    ]
    await store.write(lambda tx: tx.presence.save(before, replace(before, interval=opened[2]), opened))
    history = await store.read(lambda tx: tx.presence.history([before.agent_id], START, START + DAY))
    assert history == {
        before.agent_id: [
            (before.interval, START + HOUR),
            (opened[0], START + 2 * HOUR),
            (opened[1], START + 3 * HOUR),
            (opened[2], None),
        ]
    }


async def test_an_interval_replaced_at_its_own_instant_leaves_no_trace(store: Store) -> None:
    small = await filled(store)
    before = await facts_of(store, small.agents[0].id)
    first = Interval(Presence.AVAILABLE, START + HOUR, "set", "agent")
    middle = Interval(Presence.AWAY, START + 2 * HOUR, "set", "agent", "brief")
    last = Interval(Presence.OFFLINE, START + 2 * HOUR, "signed_off", "agent")
    saved = await store.write(
        lambda tx: tx.presence.save(before, replace(before, interval=last), [first, middle, last])
    )
    again = Interval(Presence.AVAILABLE, START + 2 * HOUR, "set", "lead:agt_1")
    await store.write(lambda tx: tx.presence.save(saved, replace(saved, interval=again), [again]))
    history = await store.read(lambda tx: tx.presence.history([before.agent_id], START, START + DAY))
    assert history[before.agent_id] == [
        (before.interval, START + HOUR),
        (first, START + 2 * HOUR),
        (again, None),
    ]


async def test_a_clock_set_back_leaves_no_gap_and_no_overlap(store: Store) -> None:
    """Row 5, as far as storage has a part: what would begin before its predecessor begins with it."""
    small = await filled(store)
    before = await facts_of(store, small.agents[0].id)
    first = Interval(Presence.AVAILABLE, START + 2 * HOUR, "set", "agent")
    saved = await store.write(lambda tx: tx.presence.save(before, replace(before, interval=first), [first]))
    early = Interval(Presence.AWAY, START + HOUR, "set", "agent")
    answered = await store.write(lambda tx: tx.presence.save(saved, replace(saved, interval=early), [early]))
    assert answered.interval == replace(early, since=first.since)
    assert await facts_of(store, before.agent_id) == answered
    history = await store.read(lambda tx: tx.presence.history([before.agent_id], START, START + DAY))
    assert history[before.agent_id] == [(before.interval, first.since), (answered.interval, None)]


async def test_history_is_what_touches_the_time_asked_for(store: Store) -> None:
    small = await filled(store)
    ids = [agent.id for agent in small.agents]
    before = await facts_of(store, ids[0])
    opened = [Interval(Presence.AWAY, START + n * HOUR, "set", "agent", str(n)) for n in (1, 2, 3)]
    await store.write(lambda tx: tx.presence.save(before, replace(before, interval=opened[-1]), opened))

    async def notes(since: datetime, until: datetime) -> list[str]:
        found = await store.read(lambda tx: tx.presence.history([*ids, "agt_none"], since, until))
        assert list(found) == [*ids, "agt_none"]
        assert found["agt_none"] == []
        return [interval.note for interval, _ in found[ids[0]]]

    assert await notes(START, START + HOUR) == [""]
    assert await notes(START + HOUR, START + 2 * HOUR) == ["1"]
    assert await notes(START + 1.5 * HOUR, START + 2.5 * HOUR) == ["1", "2"]
    assert await notes(START + 5 * HOUR, START + DAY) == ["3"]
    assert await notes(START - DAY, START) == []


async def test_saving_facts_in_another_interval_than_the_last_is_a_mistake(store: Store) -> None:
    small = await filled(store)
    before = await facts_of(store, small.agents[0].id)
    after, intervals = toggled(before, START + HOUR)
    with pytest.raises(ValueError, match="another interval"):
        await store.write(lambda tx: tx.presence.save(before, after, []))
    with pytest.raises(ValueError, match="another interval"):
        await store.write(lambda tx: tx.presence.save(before, before, intervals))


async def test_feeds_are_kept_with_their_epochs(store: Store) -> None:
    small = await filled(store)
    organization_id = small.organization_id
    feed = Feed(
        small.slack.id, "slack", FeedState.LIVE, 3, START, START - HOUR, timedelta(seconds=60), timedelta(120)
    )
    await store.write(lambda tx: tx.presence.save_feed(organization_id, feed, START + HOUR))
    other = replace(feed, id=small.discord.id, platform="discord", state=FeedState.STALE)
    await store.write(lambda tx: tx.presence.save_feed(organization_id, other, START))
    ended = ((3, START + HOUR), (1, START - HOUR))
    newer = replace(feed, state=FeedState.DOWN, epoch=4, lost_at=START + HOUR, ended=ended)
    await store.write(lambda tx: tx.presence.save_feed(organization_id, newer, START + 2 * HOUR))
    kept = await store.read(lambda tx: tx.presence.feeds(organization_id))
    assert {one.id: one for one in kept} == {
        small.slack.id: StoredFeed(
            small.slack.id, FeedState.DOWN, 4, START, START + HOUR, START + 2 * HOUR, ended
        ),
        small.discord.id: StoredFeed(small.discord.id, FeedState.STALE, 3, START, START - HOUR, START),
    }


async def test_a_later_report_of_load_wins_however_they_arrive(store: Store) -> None:
    small = await filled(store)
    organization_id = small.organization_id
    load = Load(small.agents[0].id, "chatwoot", 2, START + HOUR, START + 2 * HOUR)
    older = replace(load, units=9, as_of=START)
    same = replace(load, units=3)
    other = replace(load, source="zendesk", expires_at=START + HOUR)

    async def put(one: Load) -> bool:
        return await store.write(lambda tx: tx.presence.put_load(organization_id, one))

    assert [await put(one) for one in (load, older, same, other)] == [True, False, True, True]

    async def loads(now: datetime) -> list[Load]:
        return list(await store.read(lambda tx: tx.presence.loads(organization_id, now)))

    assert await loads(START + HOUR) == [same, other], "a report still holds at the instant it expires"
    assert await loads(START + HOUR + timedelta(microseconds=1)) == [same]
