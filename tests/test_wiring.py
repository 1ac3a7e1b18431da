"""The program's frame: how it starts, how it leaves, and how it starts parts again."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from desk import ManualClock

from adapters.clock import SystemClock
from adapters.http.server import HttpServer
from bot.config import Config
from bot.domain.errors import RollcallError, Unavailable
from bot.ports import EVENTS_MARK, Store
from bot.wiring import (
    Program,
    backup_database,
    open_program,
    restore_database,
)
from storage import errors
from storage.claim import claim
from storage.database import ensure_schema, open_store
from storage.errors import Unusable

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
        await program.houses[0]._again("x", run)
    assert max(clock.waits) == (30 if grows else clock.waits[0])
    assert clock.waits[0] <= 2
    await program.store.close()


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
    """In the log, and in the audit; also in that of an organization that starts later."""
    now = datetime.now(UTC)
    store = open_store(url)
    for slug in ("default", "zenith"):
        await store.write(lambda tx, slug=slug: tx.members.ensure_organization(slug, slug, now))  # type: ignore[misc]
    await store.close()
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
        marks = database.execute("SELECT value FROM setting WHERE key = ?", (EVENTS_MARK,)).fetchall()
    assert noted == [("operator", "database.restored", "monday.sqlite3")] * 2
    assert len(marks) == 2, "positions of events that are given a second time are told apart by it"


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
        await program.houses[0]._ticks()
    assert [at - began for at in asked] == [60, 61, 62, 122, 182]
    await program.store.close()
