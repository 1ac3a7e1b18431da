"""The program's frame: how it leaves, how it starts parts again, and that it runs once a database."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from desk import ManualClock
from whole_program import WholeProgram

from adapters.clock import SystemClock
from adapters.http.server import HttpServer
from bot.config import Config
from bot.domain.errors import RollcallError, Unavailable
from bot.ports import Store
from bot.wiring import (
    Program,
    backup_database,
    check_database,
    open_beside,
    open_program,
    restore_database,
    upgrade_database,
)
from storage import claim as claims
from storage import errors, postgres_claim, schema
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


async def closes(store: Store) -> bool:
    """Whether it has been closed."""
    try:
        await store.read(lambda tx: None)
    except RollcallError as error:
        return "shutting down" in error.sentence
    return False


def fails() -> asyncio.Future[None]:
    """Something behind an answer that met a bug."""

    async def write() -> None:
        raise RuntimeError("a background write met a bug")

    return asyncio.ensure_future(write())


async def test_leaving_survives_what_fails_behind_answers(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged, the later steps are taken, and the store is closed."""
    program, stop = Program(QUIET, open_store(url), SystemClock()), asyncio.Event()
    seen: list[bool] = []
    mark = program.core.mark_feeds_seen

    async def noted() -> None:
        seen.append(True)
        await mark()

    program.core.mark_feeds_seen = noted  # type: ignore[method-assign]

    async def finish() -> None:
        await fails()

    program.core.dispatcher.finish = finish  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        await program.run(stop, lambda _: stop.set())
    assert await closes(program.store)
    assert seen
    assert "what goes on behind answers ended badly" in caplog.text


async def test_a_step_that_never_ends_does_not_keep_the_program(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It also refuses to be cancelled, as a write under way does."""
    monkeypatch.setattr("bot.wiring.LEAVE_WITHIN", 0.1)
    program, stop, over = Program(QUIET, open_store(url), SystemClock()), asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    program.core.dispatcher.finish = stubborn  # type: ignore[method-assign]
    async with asyncio.timeout(2):
        await program.run(stop, lambda _: stop.set())
    assert await closes(program.store)
    assert "did not end in time" in caplog.text
    over.set()


async def test_a_program_that_can_not_start_closes_its_store_and_gives_the_database_back(url: str) -> None:
    program = Program(QUIET, open_store(url), SystemClock(), claim(url))

    async def refused() -> None:
        raise errors.locked()

    program.core.start = refused  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="holds the database locked"):
        await program.run(asyncio.Event())
    assert await closes(program.store)
    claim(url).release()


async def test_a_program_whose_http_server_ended_by_itself_leaves_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks after it starts it again; a bot without its API would look well and be deaf."""

    async def broken(server: HttpServer) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(HttpServer, "run", broken)
    program = open_program(
        Config.model_validate(
            {"http": {"port": 0}, "database": {"url": f"sqlite:///{tmp_path / 'rollcall.sqlite3'}"}}
        )
    )
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="Too many open files"):
            await program.run(asyncio.Event())
    assert await closes(program.store)


class CountingClock(ManualClock):
    """Notes how long it was asked to wait, and waits no time."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


@pytest.mark.parametrize(("ran", "grows"), [(59, True), (60, False)])
async def test_the_waits_before_restarts_begin_anew_after_a_minute_of_health(
    url: str, monkeypatch: pytest.MonkeyPatch, ran: float, grows: bool
) -> None:
    """Each time it runs so many seconds and fails. Waits are random up to a limit, here the limit itself."""
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    clock = CountingClock()
    program = Program(QUIET, open_store(url), clock)

    async def run() -> None:
        clock.advance(seconds=ran)
        if len(clock.waits) == 10:
            raise asyncio.CancelledError
        raise OSError("the gateway had a hiccup")

    with pytest.raises(asyncio.CancelledError):
        await program._again("x", run)
    assert max(clock.waits) == (30 if grows else clock.waits[0])
    assert clock.waits[0] <= 2
    await program.store.close()


# --- one running program a database ---


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


# --- addresses that can't be used ---


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("foo=bar", "foo"),
        ("connect_timeout=zz", "connect_timeout"),
        ("keepalives_idle=zz", "keepalives_idle"),
        ("sslmode=zz", "sslmode"),
        ("foo=p@ss-word", ""),
    ],
)
def test_a_wrong_option_of_an_address_is_named_and_no_password_is_shown(option: str, named: str) -> None:
    with pytest.raises(Unusable, match=r"database\.url has ") as refused:
        open_store(f"postgresql://rollcall:sesame-open@127.0.0.1:1/rollcall?{option}")
    assert refused.value.field == "database.url"
    assert f"can't use: {named}." in refused.value.sentence or not named
    assert "sesame-open" not in refused.value.sentence
    assert "ss-word" not in refused.value.sentence


def test_a_database_in_memory_is_refused_before_a_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("sqlite:///:memory:", "sqlite://"):
        with pytest.raises(Unusable, match="outlives it"):
            ensure_schema(address)
    assert list(tmp_path.iterdir()) == []


# --- a restored backup ---


async def test_the_first_start_on_a_restored_backup_says_so_once(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, and in the audit."""
    backup_database(url, tmp_path / "monday.sqlite3")
    restore_database(tmp_path / "monday.sqlite3", url, force=True)
    at_once = asyncio.Event()
    at_once.set()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await Program(QUIET, open_store(url), SystemClock()).run(at_once)
    told = [line for line in caplog.messages if "restored" in line]
    assert told == ["this database was restored from monday.sqlite3: what happened after that backup is gone"]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        noted = database.execute("SELECT actor, action, subject FROM audit").fetchall()
    assert noted == [("operator", "database.restored", "monday.sqlite3")]


async def test_a_running_program_forgets_what_it_has_kept_for_long_enough(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a minute, and each tick while there is more."""
    clock = CountingClock()
    program = Program(QUIET, open_store(url), clock)
    await program.core.start()
    answers = iter([True, True, False, False])
    asked: list[float] = []

    async def forget() -> bool:
        asked.append(clock.monotonic())
        more = next(answers, None)
        if more is None:
            raise asyncio.CancelledError
        return more

    async def sleep(seconds: float) -> None:
        clock.advance(seconds=seconds)

    monkeypatch.setattr(program.core, "forget", forget)
    monkeypatch.setattr(clock, "sleep", sleep)
    began = clock.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await program._ticks()
    assert [at - began for at in asked] == [60, 61, 62, 122, 182]
    await program.store.close()
