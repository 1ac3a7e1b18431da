"""One running program a database: who takes it, who is refused, and what happens when it is lost."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from whole_program import WholeProgram

from adapters.clock import SystemClock
from bot.config import Config
from bot.domain.errors import RollcallError
from bot.wiring import (
    Program,
    backup_database,
    check_database,
    open_beside,
    open_program,
    upgrade_database,
)
from storage import claim as claims
from storage import postgres_claim, schema
from storage.claim import Claim, claim
from storage.database import ensure_schema, open_store
from storage.errors import Unusable
from storage.schema import NEWEST, current_revision, downgrade

QUIET = Config.model_validate({"http": {"enabled": False}})


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database of its own."""
    made = f"sqlite:///{tmp_path / 'rollcall.sqlite3'}"
    ensure_schema(made)
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def claimable(request: pytest.FixtureRequest) -> str:
    """A database of each kind."""
    fixture = "url" if request.param == "sqlite" else "postgres_url"
    made: str = request.getfixturevalue(fixture)
    return made


def test_a_database_is_claimed_once_and_again_after_its_release(
    claimable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "TRIES", 2)
    first = claim(claimable)
    with pytest.raises(Unusable, match=r"Another Rollcall.* is running on this database.*Stop the other one"):
        claim(claimable)
    first.release()
    claim(claimable).release()


def test_nothing_upgrades_a_database_on_which_a_program_runs(
    claimable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be an older one, and works on the schema as it is. A key is made on no other schema either."""
    monkeypatch.setattr(claims, "TRIES", 1)
    config = Config.model_validate({"http": {"enabled": False}, "database": {"url": claimable}})
    ensure_schema(claimable)
    downgrade(claimable, "base")
    running = claim(claimable)
    with pytest.raises(Unusable, match="Another Rollcall"):
        open_program(config)
    with pytest.raises(Unusable, match="Another Rollcall"):
        upgrade_database(claimable)
    assert current_revision(claimable) is None
    running.release()
    assert upgrade_database(claimable) == NEWEST
    monkeypatch.setattr(schema, "NEWEST", "9999")
    monkeypatch.setattr(schema, "REVISIONS", (NEWEST, "9999"))
    with pytest.raises(Unusable, match=rf"has schema {NEWEST}.*run: rollcall db upgrade"):
        open_beside(config)
    assert current_revision(claimable) == NEWEST


async def test_a_second_program_refuses_and_other_commands_work_beside_the_first(tmp_path: Path) -> None:
    """kill -9 lets the database go at once."""
    first, second = WholeProgram(tmp_path, {}), WholeProgram(tmp_path, {})
    async with first:
        second.key = first.key
        with pytest.raises(AssertionError, match=r"expected 'listening', got ''"):
            await second.start()
        assert second.process is not None
        assert await second.process.wait() == 1
        assert first.process is not None
        assert f"Another Rollcall (process {first.process.pid}) is running" in first.log.read_text()
        assert await first._make_key()
        url = first.config["database"]["url"]
        checked = await asyncio.to_thread(check_database, url)
        assert checked
        assert all(line.startswith("ok") for line in checked)
        await asyncio.to_thread(backup_database, url, tmp_path / "copy.sqlite3")
        with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as copy:
            assert copy.execute("SELECT count(*) FROM api_key").fetchone() == (2,)
        await first.restart(kill=True)


async def test_the_claim_is_taken_again_when_postgresql_ended_its_connection(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart of the server lets go of it; the program takes it back, and only that once."""
    monkeypatch.setattr(postgres_claim, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(claims, "TRIES", 2)
    held = claim(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        (before,) = other.execute(holders).fetchone() or (None,)
        other.execute("SELECT pg_terminate_backend(%s)", (before,))
        async with asyncio.timeout(5):
            while (other.execute(holders).fetchone() or (before,)) == (before,):
                await asyncio.sleep(0.02)
    with pytest.raises(Unusable):
        claim(postgres_url)
    held.release()
    claim(postgres_url).release()


async def test_a_program_leaves_when_another_took_its_database(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server was away. It says why."""
    monkeypatch.setattr(postgres_claim, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(postgres_claim, "LOST_AFTER", 0.1)
    monkeypatch.setattr(claims, "TRIES", 2)
    ensure_schema(postgres_url)
    program = Program(QUIET, open_store(postgres_url), SystemClock(), claim(postgres_url))
    up = asyncio.Event()
    running = asyncio.ensure_future(program.run(asyncio.Event(), lambda _: up.set()))
    await up.wait()
    with psycopg.connect(postgres_url, autocommit=True) as other:
        # In one transaction of the server's the other takes it at the moment it is free.
        other.execute(
            "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory';"
            " PERFORM pg_advisory_lock(1380928620, hashtext(coalesce(current_schema(), ''))); END $$"
        )
        with pytest.raises(Unusable, match="Another Rollcall"):
            async with asyncio.timeout(5):
                await running


def tells(held: Claim) -> Future[RollcallError]:
    """What it says when it is lost."""
    told: Future[RollcallError] = Future()
    held.tell(told.set_result)
    return told


def end_connections(other: psycopg.Connection[Any]) -> None:
    """Of all others in this database."""
    other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_a_claim_that_postgresql_no_longer_allows_is_told_as_lost(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server was set to lose what it confirms, and ended the connection."""
    monkeypatch.setattr(postgres_claim, "LOOK_EVERY", 0.05)
    held = claim(postgres_url)
    told = tells(held)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        name = other.info.dbname
        other.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
        end_connections(other)
        refusal = told.result(5)
        assert isinstance(refusal, Unusable)
        assert "synchronous_commit = off" in refusal.sentence
    held.release()


def test_a_claim_that_nobody_can_look_after_any_more_is_told_as_lost(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No descriptor is left, say; and the lock is kept until it is released."""
    monkeypatch.setattr(postgres_claim, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(claims, "TRIES", 1)
    held = claim(postgres_url)
    told = tells(held)
    with monkeypatch.context() as broken:

        def no_more(*_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        broken.setattr(postgres_claim, "cut_off_after", no_more)
        assert "can no longer see whether it is alone" in str(told.result(5))
    assert "Too many open files" in caplog.text
    with pytest.raises(Unusable, match="Another Rollcall"):
        claim(postgres_url)
    held.release()
    claim(postgres_url).release()


def test_a_claim_through_a_pool_that_changes_connections_is_told_as_lost(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgBouncer in transaction mode: another process of the server answers than the one that took it."""
    monkeypatch.setattr(postgres_claim, "LOOK_EVERY", 0.05)
    held = claim(postgres_url)
    told = tells(held)
    monkeypatch.setattr(postgres_claim, "WHO", "pg_backend_pid() + 1")
    assert "PgBouncer" in str(told.result(5))
    held.release()
