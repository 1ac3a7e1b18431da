"""Rows 2 and 3: a full or read-only disk, and a database that another process holds."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from storage_faults.forked import Child
from storage_faults.stores import START, changing, filled

from bot.domain.errors import Unavailable
from bot.ports import Store, Transaction
from storage import admin
from storage.database import ensure_schema, open_store
from storage.group_commit import SqliteStore

PATIENCE = (1.5, 2.6)
"""Seconds after which a locked database is refused: about two."""


def put(key: str, size: int, owner: str = "org_1") -> Callable[[Transaction], None]:
    """An operation that leaves so many characters."""
    return lambda tx: tx.ledger.put_setting(owner, key, "x" * size, START)


async def present(store: Store, keys: range, owner: str) -> list[int]:
    """Which of them were kept."""

    def look(tx: Transaction) -> list[int]:
        return [key for key in keys if tx.ledger.setting(owner, str(key)) is not None]

    return await store.read(look)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB: a tmpfs of its own where root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = False
    with suppress(OSError, subprocess.CalledProcessError):
        options = ["mount", "-t", "tmpfs", "-o", "size=1m", "rollcall-test", str(disk)]
        subprocess.run(options, check=True, capture_output=True)
        mounted = True
    yield disk
    if mounted:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def limit_pages(store: Store, disk: Path, pages: int) -> None:
    """Where nothing can be mounted, the file itself may not grow: SQLite says the same."""
    assert isinstance(store, SqliteStore)
    if not disk.is_mount():
        store._connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_a_full_disk_refuses_writes_keeps_what_it_confirmed_and_still_reads(small_disk: Path) -> None:
    """Row 2, with eight callers at once, and room again in the end."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    url = f"sqlite:///{small_disk}/rollcall.sqlite3"
    ensure_schema(url)
    store = open_store(url)
    owner = await store.write(lambda tx: tx.members.ensure_organization("default", "Acme", START))
    limit_pages(store, small_disk, 200)
    kept: list[int] = []
    refused: set[str] = set()

    async def fill(key: int) -> None:
        try:
            await store.write(put(str(key), 20_000, owner))
        except Unavailable as error:
            refused.add(error.sentence)
        else:
            kept.append(key)

    for start in range(0, 96, 8):
        await asyncio.gather(*(fill(key) for key in range(start, start + 8)))
    assert kept
    assert len(refused) == 1
    assert "disk is full, so nothing was changed" in refused.pop()
    assert await present(store, range(96), owner) == sorted(kept), "reads go on, and say what was confirmed"
    ballast.unlink()
    limit_pages(store, small_disk, 10_000)
    await store.write(put("again", 10, owner))
    assert await store.read(lambda tx: tx.ledger.setting(owner, "again")) == "x" * 10
    await store.close()
    assert [line for line in admin.check(url) if not line.startswith("ok")] == []


async def test_a_database_turned_read_only_refuses_writes_and_still_reads(sqlite_url: str) -> None:
    """Row 2. SQLite is told so itself, because root may write to any file."""
    store = open_store(sqlite_url)
    assert isinstance(store, SqliteStore)
    await store.write(put("before", 1))
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Unavailable, match="only be read just now, so nothing was changed"):
        await store.write(put("during", 1))
    assert await store.read(lambda tx: tx.ledger.setting("org_1", "before")) == "x"
    store._connection.execute("PRAGMA query_only = OFF")
    await store.write(put("after", 1))
    await store.close()


def hold(path: str, seconds: float, say: Callable[[str], None]) -> None:
    """Another process: it holds the write lock for so long."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        say("held")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def test_a_database_held_by_another_process_is_refused_after_two_seconds(sqlite_url: str) -> None:
    """Row 3. Who comes half a second later waits their own two seconds, and gets the lock if it is free
    by then; reads never wait."""
    child = Child(partial(hold, sqlite_url.removeprefix("sqlite:///"), 2.4))
    assert child.hears() == "held"

    async def work() -> None:
        store = open_store(sqlite_url)
        begun = time.monotonic()
        early = [asyncio.ensure_future(store.write(put(f"early {n}", 1))) for n in range(3)]
        await asyncio.sleep(0.8)
        late = asyncio.ensure_future(store.write(put("late", 1)))
        assert await asyncio.wait_for(store.read(lambda tx: tx.ledger.setting("org_1", "late")), 0.5) is None
        for one in early:
            with pytest.raises(Unavailable, match="holds the database locked, so nothing was changed"):
                await one
            assert PATIENCE[0] < time.monotonic() - begun < PATIENCE[1]
        await late
        kept = await store.read(
            lambda tx: [tx.ledger.setting("org_1", key) for key in ("early 0", "early 2", "late")]
        )
        assert kept == [None, None, "x"]
        await store.close()

    asyncio.run(work())
    assert child.end() == (0, [])


async def test_a_row_held_by_another_connection_is_refused_after_two_seconds(postgres_empty: str) -> None:
    """Row 3 with PostgreSQL: only who needs that row waits."""
    store = open_store(postgres_empty)
    small = await filled(store)
    held, free = small.agents[0].id, small.agents[1].id
    with closing(psycopg.connect(postgres_empty)) as other:
        other.execute("SELECT 1 FROM presence WHERE agent_id = %s FOR UPDATE", (held,))
        begun = time.monotonic()
        blocked = asyncio.ensure_future(store.write(changing(held, small.organization_id, 1)))
        await asyncio.wait_for(store.write(changing(free, small.organization_id, 1)), 1)
        assert await store.read(lambda tx: tx.presence.facts(held)) is not None
        with pytest.raises(Unavailable, match="holds the database locked, so nothing was changed"):
            await blocked
        assert PATIENCE[0] < time.monotonic() - begun < PATIENCE[1]
    await store.write(changing(held, small.organization_id, 2))
    await store.close()
