"""`rollcall doctor` looks at the database: each thing is ok, or the exact repair is said."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from doctor_place import CANARY, Place

from storage import doctor as of_database
from storage import postgres_connection
from storage.claim import claim
from storage.database import ensure_schema


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_database_to_come_is_well_and_stays_to_come(place: Place) -> None:
    looked = await place.look()
    assert looked.broken() == []
    assert looked.ok("database") == "rollcall.sqlite3 is not there yet; the first start makes it"
    assert sorted(one.name for one in place.folder.iterdir()) == ["rollcall.toml"]


async def test_a_running_rollcall_is_seen_and_not_disturbed(place: Place) -> None:
    ensure_schema(place.url)
    looked = await place.look()
    assert looked.ok("running") == "no Rollcall runs on this database"
    assert looked.ok("schema")
    held = claim(place.url)
    looked = await place.look()
    held.release()
    assert looked.ok("running").startswith("a Rollcall runs on this database (process ")
    assert looked.broken() == []


async def test_each_fault_of_a_database_has_its_repair(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.config["database"] = {"url": f"sqlite:///{place.folder}/none/rollcall.sqlite3"}
    (folder, *_) = (await place.look()).broken()
    assert folder.endswith(f"Make it: mkdir -p {place.folder}/none")
    place.config["database"] = {"url": "mysql://x"}
    (address,) = (await place.look()).broken()
    assert address.startswith("database: database.url must begin with sqlite:/// or postgresql://")
    place.config["database"] = {"url": f"sqlite:///{place.folder}/rollcall.sqlite3"}
    ensure_schema(place.url)
    with closing(sqlite3.connect(place.folder / "rollcall.sqlite3")) as file:
        file.execute("UPDATE alembic_version SET version_num = '0001'")
        file.commit()
    (old,) = (await place.look()).broken()
    assert old.startswith("schema: it is at 0001, this program at ")
    assert old.endswith("Back up, then run: rollcall db upgrade")
    with closing(sqlite3.connect(place.folder / "rollcall.sqlite3")) as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
        file.commit()
    (new,) = (await place.look()).broken()
    assert "made by a newer Rollcall" in new
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1_000_000))
    space, _ = (await place.look()).broken()
    assert space.startswith("disk space: only 1 MB free in ")
    (place.folder / "rollcall.sqlite3").write_bytes(b"no database at all" * 100)
    (damaged, *_) = (await place.look()).broken()
    assert damaged.startswith("database: rollcall.sqlite3: it can't be read (DatabaseError)")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ((3, 37, 2), "3.37.2 is too old: Rollcall needs 3.38"),
        ((3, 44, 6), "3.44.6"),
        ((3, 44, 5), "3.44.5, whose WAL bug"),
        ((3, 50, 7), "3.50.7"),
        ((3, 51, 2), "3.51.2, whose WAL bug"),
        ((3, 52, 0), "3.52.0"),
    ],
)
def test_sqlite_is_named_with_its_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], said: str
) -> None:
    """platforms.md: mended in 3.51.3, 3.50.7 and 3.44.6."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    first = next(iter(of_database.findings(f"sqlite:///{tmp_path}/r.sqlite3")))
    assert first.ok is (version >= (3, 38, 0))
    assert first.said == said or (len(said) > 7 and first.said.startswith(said))


async def test_postgresql_is_named_with_what_matters(place: Place, postgres_url: str) -> None:
    ensure_schema(postgres_url)
    place.config["database"] = {"url": postgres_url}
    looked = await place.look()
    assert looked.broken() == []
    assert looked.ok("database").endswith("synchronous_commit = on")
    assert looked.ok("connection") == "PostgreSQL itself, no pool before it"
    assert looked.ok("running") == "no Rollcall runs on this database"
    held = await asyncio.to_thread(claim, postgres_url)
    assert (await place.look()).ok("running") == "a Rollcall runs on this database"
    held.release()
    name = postgres_url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
    (lossy,) = (await place.look()).broken()
    assert "ALTER DATABASE … SET synchronous_commit = on" in lossy


async def test_a_postgresql_that_is_away_is_told_without_its_password(place: Place) -> None:
    place.config["database"] = {"url": f"postgresql://rollcall:{CANARY}@127.0.0.1:1/rollcall"}
    (away,) = (await place.look()).broken()
    assert away.startswith("database: The database can't be reached")
    assert CANARY not in away


async def test_a_pool_before_postgresql_is_named(
    place: Place, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells a process of its own, and another one of the server answers."""

    class Pooled:
        def __init__(self, real: psycopg.Connection[Any]) -> None:
            self._real = real
            self.info = SimpleNamespace(server_version=real.info.server_version, backend_pid=1)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self._real.close()

    ensure_schema(postgres_url)
    real = postgres_connection.connect
    monkeypatch.setattr(postgres_connection, "connect", lambda conninfo: Pooled(real(conninfo)))
    place.config["database"] = {"url": postgres_url}
    assert (await place.look()).ok("connection").startswith("a pool stands before it: it must be in session")
