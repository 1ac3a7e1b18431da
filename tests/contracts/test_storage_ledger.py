"""Events, audit, notices and the small memories, on every storage."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from storage_faults.stores import START, event, filled

from bot.domain.errors import Conflict
from bot.domain.events import AuditEntry, Event
from bot.ports import ApiKey, NoticeRow, Store, Transaction

TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def events_after(store: Store, organization_id: str, position: int = 0) -> list[tuple[int, Event]]:
    """All events behind a position."""
    return list(await store.read(lambda tx: tx.ledger.events_after(organization_id, position, 1000)))


async def test_events_come_out_as_they_went_in_and_in_order(store: Store) -> None:
    odd = Event(
        "evt_odd",
        "org_1",
        None,
        "team.changed",
        START,
        {"a": None, "b": True, "c": "\N{SNOWMAN} \\ \"'", "d": -3},
    )
    many = [event("org_1", "agt_1", number) for number in range(5)]
    await store.write(lambda tx: tx.ledger.events([*many[:3], event("org_2", "agt_9", 0)]))

    def in_two_parts(tx: Transaction) -> None:
        tx.ledger.events(many[3:])
        tx.ledger.events([odd])

    await store.write(in_two_parts)
    found = await events_after(store, "org_1")
    assert [one for _, one in found] == [*many, odd]
    positions = [position for position, _ in found]
    assert positions == sorted(set(positions))
    assert await events_after(store, "org_1", positions[3]) == found[4:]
    limited = await store.read(lambda tx: tx.ledger.events_after("org_1", 0, 2))
    assert list(limited) == found[:2]
    newest = await store.read(lambda tx: tx.ledger.newest_events("org_1", 2))
    assert list(newest) == found[-2:]
    assert await store.read(lambda tx: tx.ledger.newest_events("org_3", 2)) == []
    assert [one.id for _, one in await events_after(store, "org_2")] == ["evt_agt_9_0"]


async def test_no_event_is_kept_of_what_was_refused(store: Store) -> None:
    """I11: a change and its event commit together, or neither does."""

    def refused(tx: Transaction) -> None:
        tx.ledger.events([event("org_1", "agt_1", 1)])
        tx.ledger.put_setting("org_1", "key", "value", START)
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        await store.write(refused)
    assert await events_after(store, "org_1") == []
    assert await store.read(lambda tx: tx.ledger.setting("org_1", "key")) is None


async def test_a_reader_of_events_never_passes_a_late_one(store: Store) -> None:
    """Positions follow commit order: whoever reads to the end has missed nothing behind it."""
    seen: list[int] = []

    async def write(number: int) -> None:
        await store.write(lambda tx: tx.ledger.events([event("org_1", f"agt_{number}", number)]))

    writers = [asyncio.ensure_future(write(number)) for number in range(60)]
    while not all(writer.done() for writer in writers):
        seen += [position for position, _ in await events_after(store, "org_1", seen[-1] if seen else 0)]
        await asyncio.sleep(0)
    seen += [position for position, _ in await events_after(store, "org_1", seen[-1] if seen else 0)]
    assert seen == [position for position, _ in await events_after(store, "org_1")]
    assert len(seen) == 60


async def test_an_event_or_audit_id_is_kept_once(store: Store) -> None:
    entry = AuditEntry("aud_1", "org_1", START, "operator", "agent.removed", "agt_1", {"note": None, "n": 1})
    await store.write(lambda tx: tx.ledger.audit(entry))
    await store.write(lambda tx: tx.ledger.events([event("org_1", "agt_1", 1)]))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.ledger.audit(entry))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.ledger.events([event("org_1", "agt_1", 1)]))


async def test_a_notice_is_claimed_once_until_its_claim_lapses(store: Store) -> None:
    small = await filled(store)
    organization_id = small.organization_id
    first = NoticeRow("ntc_1", organization_id, small.agents[0].id, "returned", START, START + HOUR)
    said = {"by": "Ann \N{BOUQUET} 'quoted' %s"}
    second = replace(first, id="ntc_2", due_at=START + MINUTE, agent_id=small.agents[1].id, data=said)
    await store.write(lambda tx: tx.ledger.notice(second))
    await store.write(lambda tx: tx.ledger.notice(first))

    async def due(now: datetime, limit: int = 10) -> list[NoticeRow]:
        return list(await store.write(lambda tx: tx.ledger.due_notices(organization_id, now, limit)))

    assert await due(START - TICK) == []
    assert await due(START) == [first]
    assert await due(START + MINUTE) == [second], "a claim still holds at the instant it lapses"
    assert await due(START + MINUTE + TICK) == [first]
    assert await due(START + 10 * MINUTE, limit=1) == [first]
    assert await due(START + 10 * MINUTE, limit=1) == [second]
    await store.write(lambda tx: tx.ledger.retry_notice("ntc_1", START + 20 * MINUTE))
    assert await due(START + 15 * MINUTE) == [second]
    assert await due(START + 20 * MINUTE) == [
        second,
        replace(first, due_at=START + 20 * MINUTE, attempts=1),
    ]
    await store.write(lambda tx: tx.ledger.finish_notice("ntc_1", "sent", START + 20 * MINUTE))
    await store.write(lambda tx: tx.ledger.finish_notice("ntc_2", "expired", START + 20 * MINUTE))
    await store.write(lambda tx: tx.ledger.retry_notice("ntc_1", START + HOUR))
    assert await due(START + 24 * HOUR) == []


async def test_two_who_ask_at_once_never_get_the_same_notice(store: Store) -> None:
    small = await filled(store)
    agent_id = small.agents[0].id

    def owe(tx: Transaction) -> None:
        for number in range(20):
            name = f"ntc_{number:02}"
            tx.ledger.notice(
                NoticeRow(name, small.organization_id, agent_id, "returned", START, START + HOUR)
            )

    await store.write(owe)

    async def claim() -> Sequence[NoticeRow]:
        return await store.write(lambda tx: tx.ledger.due_notices(small.organization_id, START, 5))

    found = await asyncio.gather(*(claim() for _ in range(8)))
    claimed = sorted(notice.id for batch in found for notice in batch)
    assert claimed == [f"ntc_{number:02}" for number in range(20)]


async def test_a_delivery_is_new_once_until_it_is_forgotten(store: Store) -> None:
    """Row 15: repeated deliveries are known, across organizations apart."""

    async def first_time(key: str, now: datetime, organization_id: str = "org_1") -> bool:
        return await store.write(lambda tx: tx.ledger.first_time(organization_id, key, now, now + HOUR))

    assert await first_time("a", START)
    assert not await first_time("a", START + MINUTE)
    assert not await first_time("a", START + HOUR)
    assert await first_time("b", START + MINUTE)
    assert await first_time("a", START + MINUTE, "org_2")
    assert await first_time("a", START + HOUR + TICK)
    answers = await asyncio.gather(*(first_time("c", START) for _ in range(16)))
    assert sorted(answers) == [False] * 15 + [True]


async def test_identifies_are_counted_over_a_day(store: Store) -> None:
    """Row 12: also at one instant, and not those of 24 h ago; each organization's bot has its own."""

    async def identify(at: datetime, organization_id: str = "org_1") -> None:
        await store.write(lambda tx: tx.ledger.add_identify(organization_id, at))

    for at in (START, START, START + HOUR):
        await identify(at)

    async def count(now: datetime, organization_id: str = "org_1") -> int:
        return await store.read(lambda tx: tx.ledger.count_identify(organization_id, now))

    day = timedelta(hours=24)
    assert await count(START + HOUR) == 3
    assert await count(START + day - TICK) == 3
    assert await count(START + day) == 1
    await identify(START + day)
    assert await count(START + day) == 2
    await identify(START + day, "org_2")
    assert (await count(START + day), await count(START + day, "org_2")) == (2, 1)
    assert await count(START + 3 * day) == 0


async def test_a_setting_is_the_last_value_put(store: Store) -> None:
    await store.write(lambda tx: tx.ledger.put_setting("org_1", "hash", "1", START))
    await store.write(lambda tx: tx.ledger.put_setting("org_1", "hash", "2", START))
    found = await store.read(
        lambda tx: (tx.ledger.setting("org_1", "hash"), tx.ledger.setting("org_2", "hash"))
    )
    assert found == ("2", None)


async def test_a_summary_slot_is_claimed_by_one(store: Store) -> None:
    """I10: a claim that came to nothing lapses, one that may have been posted never does."""
    slot = ("org_1", "morning", "2026-03-02T09:00")

    async def claim(now: datetime, name: str = "2026-03-02T09:00") -> bool:
        return await store.write(lambda tx: tx.ledger.claim_summary("org_1", "morning", name, now))

    answers = await asyncio.gather(*(claim(START) for _ in range(8)))
    assert sorted(answers) == [False] * 7 + [True]
    assert not await claim(START + 5 * MINUTE)
    assert await claim(START + 5 * MINUTE + TICK)
    await store.write(lambda tx: tx.ledger.begin_summary(*slot))
    await store.write(lambda tx: tx.ledger.release_summary(*slot, START + 20 * MINUTE))
    assert not await claim(START + 20 * MINUTE), "told to wait"
    assert await claim(START + 20 * MINUTE + TICK)
    await store.write(lambda tx: tx.ledger.begin_summary(*slot))
    assert not await claim(START + HOUR), "perhaps posted"
    await store.write(lambda tx: tx.ledger.finish_summary(*slot, "posted", START + HOUR, "msg_1"))
    await store.write(lambda tx: tx.ledger.release_summary(*slot, START + HOUR))
    assert not await claim(START + 2 * HOUR), "posted"
    assert await claim(START, "2026-03-03T09:00")
    await store.write(
        lambda tx: tx.ledger.finish_summary("org_1", "morning", "2026-03-03T09:00", "refused", START)
    )
    assert not await claim(START + HOUR, "2026-03-03T09:00"), "given up"


async def test_keys_are_kept_hashed_and_revoked_once(store: Store) -> None:
    small = await filled(store)
    organization_id = small.organization_id
    key = ApiKey(
        "key_1", organization_id, "live chat", ("read", "presence"), b"\x00\xffhash", START, START + HOUR
    )
    bare = ApiKey("key_2", organization_id, "other", (), b"", START)
    await store.write(lambda tx: tx.ledger.add_key(key))
    await store.write(lambda tx: tx.ledger.add_key(bare))
    assert list(await store.read(lambda tx: tx.ledger.keys(organization_id))) == [key, bare]
    assert list(await store.read(lambda tx: tx.ledger.keys())) == [key, bare]
    assert list(await store.read(lambda tx: tx.ledger.keys("org_other"))) == []
    assert await store.write(lambda tx: tx.ledger.revoke_key("key_1", START))
    assert not await store.write(lambda tx: tx.ledger.revoke_key("key_1", START + HOUR))
    assert not await store.write(lambda tx: tx.ledger.revoke_key("key_none", START))
    used = {"key_1": START + HOUR, "key_2": START, "key_none": START}
    await store.write(lambda tx: tx.ledger.touch_keys(used))
    await store.write(lambda tx: tx.ledger.touch_keys({"key_1": START}))
    await store.write(lambda tx: tx.ledger.touch_keys({}))
    assert list(await store.read(lambda tx: tx.ledger.keys())) == [
        replace(key, revoked_at=START, last_used_at=START + HOUR),
        replace(bare, last_used_at=START),
    ]
