"""What is old enough is forgotten, a little at a time, and nothing else is."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import psycopg
import pytest
from msgspec.structs import replace
from storage_faults.stores import START, Small, changing, event, filled

from bot.domain.events import AuditEntry
from bot.ports import EVENTS_FORGOTTEN, LinkCode, Load, NoticeRow, Store, Transaction
from storage import admin, forgetting, ledger, tables
from storage.database import open_store
from storage.sql import Statement, micros

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN"
    " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
)


async def forget(store: Store, organization_id: str, now: datetime) -> bool:
    """One call."""
    return await store.write(lambda tx: tx.ledger.forget(organization_id, now))


async def forget_all(store: Store, organization_id: str, now: datetime) -> int:
    """Calls until there is no more; answers how many it took."""
    calls = 1
    while await forget(store, organization_id, now):
        calls += 1
    return calls


async def count(store: Store, table: str) -> int:
    """Rows of a table."""
    statement = Statement(tables.Row.metadata.tables[table].select())
    return await store.read(lambda tx: len(tx.ledger._sql.all(statement)))  # type: ignore[attr-defined]


async def one_of_each(store: Store) -> Small:
    """Rows of every kind that is forgotten, dated `START` and left as they are when all is done."""
    small = await filled(store)
    organization_id, agent_id = small.organization_id, small.agents[0].id

    def operation(tx: Transaction) -> None:
        tx.ledger.first_time(organization_id, "a", START - HOUR, START)
        tx.presence.put_load(organization_id, Load(agent_id, "s", 1, START - HOUR, START))
        owed = NoticeRow("ntc_1", organization_id, agent_id, "returned", START - DAY, START)
        tx.ledger.notice(owed)
        tx.ledger.notice(replace(owed, id="ntc_owed"))
        tx.ledger.finish_notice("ntc_1", "sent", START)
        tx.ledger.claim_summary(organization_id, "s", "slot", START - ledger.SUMMARY_CLAIM)
        tx.linking.put(LinkCode(organization_id, "AAAA", b"", agent_id, "idn_1", START))
        tx.linking.may_try(organization_id, "p", START - HOUR, START, 5)
        tx.ledger.audit(AuditEntry("aud_1", organization_id, START, "o", "set", agent_id))

    await store.write(operation)
    return small


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        ("delivery", timedelta(0)),
        ("link_code", timedelta(0)),
        ("link_try", timedelta(0)),
        ("load_report", DAY),
        ("notice", 30 * DAY),
        ("summary_post", 30 * DAY),
        ("audit", 400 * DAY),
    ],
)
async def test_each_is_kept_for_its_time_and_then_forgotten(
    store: Store, table: str, kept: timedelta
) -> None:
    """At the very end of its time it is still there; of another organization it stays. A notice that is
    still owed stays too."""
    small = await one_of_each(store)
    there = await count(store, table)
    assert not await forget(store, small.organization_id, START + kept)
    assert not await forget(store, "org_other", START + 1000 * DAY)
    assert await count(store, table) == there
    assert not await forget(store, small.organization_id, START + kept + TICK)
    assert await count(store, table) == there - 1


async def test_a_key_that_is_not_forgotten_yet_counts_as_new_after_its_time(store: Store) -> None:
    """The answer does not depend on when what is old is forgotten."""

    async def first(now: datetime) -> bool:
        return await store.write(lambda tx: tx.ledger.first_time("org_1", "a", now, now + HOUR))

    assert [await first(START), await first(START + HOUR), await first(START + HOUR + TICK)] == [
        *(True, False, True)
    ]
    assert not await first(START + 2 * HOUR), "remembered anew"
    await forget(store, "org_1", START + 2 * HOUR)
    assert not await first(START + 2 * HOUR)


async def test_history_loses_whole_intervals_at_its_beginning_and_still_tiles(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I9, and the one that is open stays however old it is. A few in each call."""
    monkeypatch.setattr(forgetting, "MOST", 4)
    store = open_store(url)
    small = await filled(store)
    organization_id = small.organization_id
    for day in range(1, 11):
        for agent in small.agents:
            await store.write(changing(agent.id, organization_id, day * 86_400))
    ids = [agent.id for agent in small.agents]

    async def left() -> list[int]:
        past = await store.read(lambda tx: tx.presence.history(ids, START, START + 900 * DAY))
        return [(interval.since - START).days for interval, _ in past[ids[0]]]

    assert await left() == list(range(11))
    assert await forget(store, organization_id, START + 405 * DAY)
    assert await left() == list(range(2, 11)), "two of each agent's in one call"
    assert await forget_all(store, organization_id, START + 405 * DAY) == 2
    assert await left() == list(range(4, 11)), "the one that ended 400 days ago is kept"
    assert all(line.startswith("ok: ") for line in admin.check(url))
    await forget_all(store, organization_id, START + 1000 * DAY)
    assert await left() == [10]
    assert all(line.startswith("ok: ") for line in admin.check(url))
    await store.close()


async def test_events_are_forgotten_in_their_order_but_for_the_newest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I12: whoever resumes can tell whether something was missed, and never misses one in between."""
    monkeypatch.setattr(forgetting, "MOST", 4)
    monkeypatch.setattr(forgetting, "NEWEST_EVENTS", 5)
    at = [START, START + DAY, START, START + 9 * DAY, *[START] * 10]
    for number, instant in enumerate(at):
        await store.write(
            lambda tx, number=number, instant=instant: tx.ledger.events(  # type: ignore[misc]
                [event("org_1", "agt_1", number, instant), event("org_2", "agt_2", number, instant)]
            )
        )
    all_of_them = await store.read(lambda tx: tx.ledger.events_after("org_1", 0, 100))

    async def left() -> int:
        kept = await store.read(lambda tx: tx.ledger.events_after("org_1", 0, 100))
        assert list(kept) == list(all_of_them)[-len(kept) :], "never one behind a newer one"
        noted = await store.read(lambda tx: tx.ledger.setting("org_1", EVENTS_FORGOTTEN))
        gone = len(all_of_them) - len(kept)
        assert noted == (str(all_of_them[gone - 1][0]) if gone else None)
        return len(kept)

    assert not await forget(store, "org_1", START + 7 * DAY)
    assert await left() == 14
    assert not await forget(store, "org_1", START + 7 * DAY + TICK)
    assert await left() == 13
    assert not await forget(store, "org_1", START + 9 * DAY)
    assert await left() == 11, "the fourth is new, and older ones behind it wait for it"
    assert await forget(store, "org_1", START + 17 * DAY)
    assert await left() == 7
    assert await forget_all(store, "org_1", START + 17 * DAY) == 1
    assert await left() == 5, "the newest stay however old they are"
    assert len(await store.read(lambda tx: tx.ledger.events_after("org_2", 0, 100))) == 14


async def test_what_is_forgotten_in_one_call_is_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "MOST", 10)

    def many(tx: Transaction) -> None:
        for number in range(25):
            tx.ledger.first_time("org_1", str(number), START, START + HOUR)

    await store.write(many)
    assert await forget(store, "org_1", START + DAY)
    assert await count(store, "delivery") == 15
    assert await forget_all(store, "org_1", START + DAY) == 2
    assert await count(store, "delivery") == 0


async def test_a_key_that_is_remembered_anew_while_it_is_forgotten_is_known(postgres_empty: str) -> None:
    """PostgreSQL: forgetting waits for whoever has the row, and then looks at it again."""
    store = open_store(postgres_empty)

    async def first(now: datetime) -> bool:
        return await store.write(lambda tx: tx.ledger.first_time("org_1", "a", now, now + HOUR))

    assert await first(START)
    async with (
        await psycopg.AsyncConnection.connect(postgres_empty) as other,
        await psycopg.AsyncConnection.connect(postgres_empty, autocommit=True) as watching,
    ):
        await other.execute("UPDATE delivery SET keep_until = %s", (micros(START + 2 * DAY),))
        forgetting = asyncio.ensure_future(forget(store, "org_1", START + DAY))
        while await (await watching.execute(WAITING)).fetchone() == (0,):
            assert not forgetting.done()
        await other.commit()
        await forgetting
    assert not await first(START + DAY)
    await store.close()
