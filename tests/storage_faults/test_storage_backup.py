"""Rows 4 and 37, as far as storage has a part: copies made while others write, and put back."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from storage_faults.stores import changing, filled

from bot.ports import Store
from storage import admin, schema
from storage.database import ensure_schema, open_store
from storage.errors import Unusable


def sound(url: str) -> bool:
    """All that `rollcall db check` looks at is in order."""
    return all(line.startswith("ok") for line in admin.check(url))


async def events(store: Store, organization_id: str) -> list[str]:
    """The ids of all events."""
    found = await store.read(lambda tx: tx.ledger.events_after(organization_id, 0, 1_000_000))
    return [event.id for _, event in found]


async def test_a_backup_made_under_load_is_one_instant_and_can_be_restored(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = open_store(sqlite_url)
    small = await filled(store, agents=8)
    answered: list[str] = []
    stopped = asyncio.Event()

    async def caller(agent_id: str) -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            await store.write(changing(agent_id, small.organization_id, number))
            answered.append(f"evt_{agent_id}_{number}")

    callers = [asyncio.ensure_future(caller(agent.id)) for agent in small.agents]
    while len(answered) < 50:
        await asyncio.sleep(0.005)
    before = list(answered)
    copy = tmp_path / "copy.sqlite3"
    await asyncio.to_thread(admin.backup, sqlite_url, copy)
    after = len(answered)
    stopped.set()
    await asyncio.gather(*callers)
    kept = await events(store, small.organization_id)
    await store.close()

    assert sound(f"sqlite:///{copy}")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not copy.with_name("copy.sqlite3.partial").exists()
    admin.restore(copy, sqlite_url, force=True)
    assert sound(sqlite_url)
    restored = open_store(sqlite_url)
    found = await events(restored, small.organization_id)
    assert set(before) <= set(found), "what was confirmed before it began is in it"
    assert found == kept[: len(found)], "and nothing is, without all that came before it"
    assert len(found) <= after + len(small.agents)
    said = await restored.read(lambda tx: tx.ledger.setting("", "restored_from"))
    assert said == "copy.sqlite3", "it says so"
    await restored.write(changing(small.agents[0].id, small.organization_id, 1_000_000))
    await restored.close()


async def test_what_is_replaced_is_kept_beside(sqlite_url: str, tmp_path: Path) -> None:
    store = open_store(sqlite_url)
    small = await filled(store)
    admin.backup(sqlite_url, tmp_path / "copy")
    await store.write(changing(small.agents[0].id, small.organization_id, 1))
    await store.close()
    admin.restore(tmp_path / "copy", sqlite_url, force=True)
    with closing(sqlite3.connect(tmp_path / "rollcall.sqlite3.replaced")) as replaced:
        assert replaced.execute("SELECT count(*) FROM event").fetchone() == (1,)
    with closing(sqlite3.connect(tmp_path / "rollcall.sqlite3")) as now:
        assert now.execute("SELECT count(*) FROM event").fetchone() == (0,)


def test_a_backup_never_replaces_a_file(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(Unusable, match="there already"):
        admin.backup(sqlite_url, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "precious"


def test_a_restore_replaces_a_database_only_when_forced(sqlite_url: str, tmp_path: Path) -> None:
    admin.backup(sqlite_url, tmp_path / "copy")
    before = (tmp_path / "rollcall.sqlite3").read_bytes()
    with pytest.raises(Unusable, match="add --force"):
        admin.restore(tmp_path / "copy", sqlite_url)
    assert (tmp_path / "rollcall.sqlite3").read_bytes() == before
    elsewhere = f"sqlite:///{tmp_path}/new.sqlite3"
    admin.restore(tmp_path / "copy", elsewhere)
    assert sound(elsewhere)
    assert (tmp_path / "new.sqlite3").stat().st_mode & 0o777 == 0o600


async def test_a_restore_refuses_while_rollcall_runs(sqlite_url: str, tmp_path: Path) -> None:
    store = open_store(sqlite_url)
    small = await filled(store)
    admin.backup(sqlite_url, tmp_path / "copy")
    with pytest.raises(Unusable, match="Stop Rollcall first"):
        admin.restore(tmp_path / "copy", sqlite_url, force=True)
    await store.write(changing(small.agents[0].id, small.organization_id, 1))
    await store.close()
    assert sound(sqlite_url)


def test_a_damaged_database_is_replaced_by_its_backup(sqlite_url: str, tmp_path: Path) -> None:
    """As the runbook says; what its journals hold is not taken for the new file's."""
    admin.backup(sqlite_url, tmp_path / "copy")
    file = tmp_path / "rollcall.sqlite3"
    file.write_bytes(b"\xff" * 8192)
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).write_bytes(os.urandom(4096))
    with pytest.raises(Unusable):
        open_store(sqlite_url)
    admin.restore(tmp_path / "copy", sqlite_url, force=True)
    assert sound(sqlite_url)
    left = {path.name for path in tmp_path.iterdir()}
    assert "rollcall.sqlite3.replaced" in left
    assert not left & {"rollcall.sqlite3-wal", "rollcall.sqlite3-shm", "rollcall.sqlite3-journal"}


@pytest.mark.parametrize("kind", ["damaged", "another program's", "newer", "missing"])
def test_what_is_no_good_backup_is_not_restored(sqlite_url: str, tmp_path: Path, kind: str) -> None:
    copy = tmp_path / "copy"
    if kind == "another program's":
        with closing(sqlite3.connect(copy)) as other:
            other.execute("CREATE TABLE cats (name)")
    elif kind != "missing":
        admin.backup(sqlite_url, copy)
    if kind == "damaged":
        os.truncate(copy, copy.stat().st_size // 2)
    if kind == "newer":
        with closing(sqlite3.connect(copy, isolation_level=None)) as newer:
            newer.execute("UPDATE alembic_version SET version_num = '9999'")
    before = (tmp_path / "rollcall.sqlite3").read_bytes()
    with pytest.raises(Unusable):
        admin.restore(copy, sqlite_url, force=True)
    assert (tmp_path / "rollcall.sqlite3").read_bytes() == before
    assert schema.current_revision(sqlite_url) == schema.NEWEST
    assert not (tmp_path / "rollcall.sqlite3.replaced").exists()


def test_postgresql_is_backed_up_and_restored_with_its_own_tools(tmp_path: Path) -> None:
    url = "postgresql://rollcall:hunter2@db:5433/rollcall"
    with pytest.raises(
        Unusable, match=r"pg_dump --format=custom --file=\S+/copy postgresql://rollcall@db:5433/rollcall$"
    ):
        admin.backup(url, tmp_path / "copy")
    with pytest.raises(
        Unusable,
        match=r"pg_restore --clean --if-exists --dbname=postgresql://rollcall@db:5433/rollcall \S+/copy$",
    ):
        admin.restore(tmp_path / "copy", url, force=True)


def test_a_database_that_is_not_there_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(Unusable):
        admin.backup(f"sqlite:///{tmp_path}/none.sqlite3", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []
    ensure_schema(f"sqlite:///{tmp_path}/none.sqlite3")
