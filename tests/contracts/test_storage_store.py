"""What a store promises of its transactions, on every storage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from storage_faults.stores import START, event, filled, toggled

from bot.domain.errors import Conflict, Unavailable
from bot.ports import Store, Transaction
from storage.database import open_store
from storage.errors import WroteInRead


class Upset(Exception):
    """Raised by an operation."""


def put(key: str, value: str = "1") -> Callable[[Transaction], None]:
    """An operation that leaves a setting."""
    return lambda tx: tx.ledger.put_setting("org_1", key, value, START)


async def setting(store: Store, key: str) -> str | None:
    """What was left."""
    return await store.read(lambda tx: tx.ledger.setting("org_1", key))


async def test_what_an_operation_raises_undoes_it_alone(store: Store) -> None:
    """Of operations that commit together, each second one fails after it has written."""

    def failing(tx: Transaction) -> None:
        put("failed")(tx)
        raise Upset

    operations = [failing if number % 2 else put(f"kept {number}") for number in range(32)]
    outcomes = await asyncio.gather(*(store.write(one) for one in operations), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Upset] * 16
    assert await setting(store, "failed") is None
    assert [await setting(store, f"kept {number}") for number in range(0, 32, 2)] == ["1"] * 16


async def test_a_broken_rule_of_the_database_undoes_only_its_operation(store: Store) -> None:
    small = await filled(store)
    facts = await store.read(lambda tx: tx.presence.facts(small.agents[0].id))
    assert facts is not None
    after, intervals = toggled(facts, START + timedelta(hours=1))

    def twice(tx: Transaction) -> None:
        """The second event has the id of the first."""
        tx.presence.save(facts, after, intervals)
        tx.ledger.events([event("org_1", "agt_1", 1), event("org_1", "agt_1", 1)])

    outcomes = await asyncio.gather(
        store.write(put("before")), store.write(twice), store.write(put("after")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict, type(None)]
    assert await setting(store, "before") == await setting(store, "after") == "1"
    assert await store.read(lambda tx: tx.presence.facts(small.agents[0].id)) == facts


async def test_writing_in_a_read_is_an_error_and_writes_nothing(store: Store) -> None:
    for operation in (put("sneaked"), lambda tx: tx.ledger.events([event("org_1", "agt_1", 1)])):
        with pytest.raises(WroteInRead):
            await store.read(operation)
    assert await setting(store, "sneaked") is None
    await store.write(put("allowed"))
    assert await setting(store, "allowed") == "1"


async def test_a_read_raises_what_its_operation_raises(store: Store) -> None:
    def upset(tx: Transaction) -> None:
        raise Upset

    with pytest.raises(Upset):
        await store.read(upset)
    assert await setting(store, "anything") is None


async def test_a_read_sees_one_instant(url: str) -> None:
    """What is committed while it runs, it does not see."""
    store = open_store(url)
    begun, written = threading.Event(), threading.Event()

    def looking(tx: Transaction) -> tuple[str | None, str | None]:
        first = tx.ledger.setting("org_1", "key")
        begun.set()
        assert written.wait(10)
        return first, tx.ledger.setting("org_1", "key")

    await store.write(put("key", "old"))
    reading = asyncio.ensure_future(store.read(looking))
    assert await asyncio.to_thread(begun.wait, 10)
    await store.write(put("key", "new"))
    written.set()
    assert await reading == ("old", "old")
    assert await setting(store, "key") == "new"
    await store.close()


async def test_a_cancelled_write_that_had_not_begun_never_happens(url: str) -> None:
    """All threads are busy, so it waits in the queue."""
    store = open_store(url)
    release = threading.Event()
    busy = [asyncio.ensure_future(store.write(lambda tx: release.wait(10))) for _ in range(8)]
    await asyncio.sleep(0.05)  # the threads take these first
    waiting = asyncio.ensure_future(store.write(put("withdrawn")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 1)
    release.set()
    await asyncio.gather(*busy)
    assert await setting(store, "withdrawn") is None
    await store.close()


async def test_a_cancelled_write_that_had_begun_is_over_when_its_caller_hears(url: str) -> None:
    """Nothing is written after the CancelledError: it was committed before, once."""
    store = open_store(url)
    begun, release = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        begun.set()
        assert release.wait(10)
        tx.ledger.put_setting("org_1", "count", str(int(tx.ledger.setting("org_1", "count") or 0) + 1), START)

    writing = asyncio.ensure_future(store.write(slow))
    assert await asyncio.to_thread(begun.wait, 10)
    writing.cancel()
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.sleep(0.02)
    assert not writing.done(), "it is still being decided"
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await setting(store, "count") == "1"
    await store.close()


async def test_closing_finishes_what_is_under_way_and_refuses_the_rest(url: str) -> None:
    store = open_store(url)
    begun, release = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        begun.set()
        assert release.wait(10)
        put("slow")(tx)

    under_way = [asyncio.ensure_future(store.write(slow))]
    assert await asyncio.to_thread(begun.wait, 10)
    under_way += [asyncio.ensure_future(store.write(put(f"queued {number}"))) for number in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="shutting down"):
        await store.write(put("late"))
    release.set()
    await closing
    await asyncio.gather(*under_way)
    await store.close()
    again = open_store(url)
    kept = [await setting(again, key) for key in ("slow", "queued 0", "queued 19", "late")]
    assert kept == ["1", "1", "1", None]
    await again.close()
