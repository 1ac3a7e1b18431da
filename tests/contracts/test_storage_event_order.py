"""PostgreSQL: who writes events waits for the commit of whoever wrote events of that organization before."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest
from storage_faults.stores import event

from bot.ports import Store
from storage.database import open_store

WAITING = (
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
)


async def test_a_position_is_given_only_when_all_before_it_are_committed(
    postgres_empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is held up in its commit: a second of the same organization waits, so that no reader
    sees its event and goes on behind it; another organization's does not."""
    committing, release = threading.Event(), threading.Event()
    run: Any = psycopg.Connection.execute

    def execute(connection: Any, query: Any, *values: Any, **how: Any) -> Any:
        if query == "COMMIT" and not committing.is_set():
            committing.set()
            assert release.wait(10)
        return run(connection, query, *values, **how)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    store = open_store(postgres_empty)
    first = asyncio.ensure_future(_write(store, "org_1", 1))
    assert await asyncio.to_thread(committing.wait, 10)
    await _write(store, "org_2", 1)
    second = asyncio.ensure_future(_write(store, "org_1", 2))
    async with await psycopg.AsyncConnection.connect(postgres_empty, autocommit=True) as watching:
        while not second.done():
            cursor = await watching.execute(WAITING)
            if await cursor.fetchone() == (1,):
                break
    assert not second.done()
    assert await _numbers(store) == []
    release.set()
    await asyncio.gather(first, second)
    assert await _numbers(store) == [1, 2]
    await store.close()


async def _write(store: Store, organization_id: str, number: int) -> None:
    one = event(organization_id, f"agt_{organization_id}", number)
    await store.write(lambda tx: tx.ledger.events([one]))


async def _numbers(store: Store) -> list[object]:
    found = await store.read(lambda tx: tx.ledger.events_after("org_1", 0, 10))
    return [one.data["n"] for _, one in found]
