"""A PostgreSQL that is frozen: it takes connections and says nothing. Nobody waits for it for long."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from postgres_server import PostgresServer
from storage_faults.stores import START
from whole_program import WholeProgram

from bot.domain.errors import Unavailable
from bot.ports import Store, Transaction
from storage.database import open_store


def processes(server: PostgresServer) -> list[psutil.Process]:
    """The server's, its parent first."""
    process: subprocess.Popen[bytes] | None = server._process
    assert process is not None
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Within it no process of the server runs, and its sockets stay open."""
    stopped = processes(server)
    try:
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        yield
    finally:
        for process in stopped:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


async def put(store: Store, value: str) -> None:
    await store.write(lambda tx: tx.ledger.put_setting("org_1", "key", value, START))


async def got(store: Store) -> str | None:
    return await store.read(lambda tx: tx.ledger.setting("org_1", "key"))


async def until_written(store: Store, value: str) -> float:
    """Seconds until the store writes again."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            await put(store, value)
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return loop.time() - began


async def test_callers_of_a_frozen_server_are_told_in_time_and_it_is_used_again_when_it_thaws(
    postgres_server: PostgresServer, postgres_empty: str
) -> None:
    """Eight have begun and wait 5 s; those behind them are refused after 2 s; back within 10 s (I7)."""
    store = open_store(postgres_empty)
    await asyncio.gather(*(put(store, "before") for _ in range(20)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    took: list[float] = []

    async def ask(number: int) -> str:
        try:
            await (put(store, "frozen") if number % 2 else got(store))
        except Unavailable as error:
            took.append(loop.time() - began)
            return error.sentence
        return "kept"

    with frozen(postgres_server):
        told = await asyncio.gather(*(ask(number) for number in range(20)))
        assert all("nothing was changed" in sentence for sentence in told), "none had come to its commit"
        assert len([seconds for seconds in took if seconds < 3]) >= 10, "they were not even begun"
        assert max(took) < 6
    assert await until_written(store, "after") < 10
    assert await got(store) == "after"
    await store.close()


async def test_a_commit_that_is_frozen_in_the_middle_is_said_to_be_in_doubt(
    postgres_server: PostgresServer, postgres_empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may carry it out when it thaws: the caller is told so, and may ask again."""
    store = open_store(postgres_empty)
    await put(store, "before")
    execute: Any = psycopg.Connection.execute
    freezer = frozen(postgres_server)

    def freezing(connection: object, query: str, *values: object) -> object:
        if query == "COMMIT":
            freezer.__enter__()
        return execute(connection, query, *values)

    monkeypatch.setattr(psycopg.Connection, "execute", freezing)
    try:
        with pytest.raises(Unavailable, match=r"may or may not have been\. Do the same again"):
            await put(store, "in doubt")
    finally:
        monkeypatch.setattr(psycopg.Connection, "execute", execute)
        freezer.__exit__(None, None, None)
    assert await until_written(store, "again") < 10
    assert await got(store) == "again"
    await store.close()


async def test_nothing_is_committed_once_the_caller_was_told_that_nothing_was_changed(
    postgres_empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operation itself dawdles past its time; what it wrote is undone."""
    monkeypatch.setattr("storage.postgres.ANSWER_SECONDS", 0.2)
    store = open_store(postgres_empty)
    go, gone = threading.Event(), threading.Event()

    def dawdling(tx: Transaction) -> None:
        tx.ledger.put_setting("org_1", "key", "late", START)
        go.wait(10)
        gone.set()

    with pytest.raises(Unavailable, match="nothing was changed"):
        await store.write(dawdling)
    go.set()
    assert await asyncio.to_thread(gone.wait, 10)
    await store.close()
    again = open_store(postgres_empty)
    assert await got(again) is None
    await again.close()


async def test_a_store_of_a_frozen_server_closes_within_3_seconds(
    postgres_server: PostgresServer, postgres_empty: str
) -> None:
    store = open_store(postgres_empty)
    await put(store, "before")
    loop = asyncio.get_running_loop()
    with frozen(postgres_server):
        asked = [asyncio.ensure_future(put(store, "frozen")) for _ in range(12)]
        await asyncio.sleep(0.1)
        began = loop.time()
        await store.close()
        assert loop.time() - began < 3.2
        told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in told)


async def test_sigterm_leaves_in_time_with_a_frozen_database(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    """The whole program, with a question on its way: exit code 0 in under 10 s."""
    async with WholeProgram(tmp_path, {"database": {"url": postgres_url}}) as program:
        loop = asyncio.get_running_loop()
        with frozen(postgres_server):
            await asyncio.sleep(1.5)  # its ticks run into the frozen server
            began = loop.time()
            assert await program.stop() == 0
            assert loop.time() - began < 10
        assert program.logged()[-1]["event"] == "stopped"
