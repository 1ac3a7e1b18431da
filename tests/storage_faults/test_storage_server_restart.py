"""Row 24: PostgreSQL is stopped at once in the middle of commits, and comes back."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from postgres_server import PostgresServer
from storage_faults.stores import START, changing, event, filled

from bot.domain.errors import Unavailable
from bot.ports import Store, Transaction
from storage import admin, errors, postgres
from storage.database import open_store
from storage.errors import Unusable

ROUNDS = 20 if os.environ.get("ROLLCALL_LONG") == "1" else 2
CALLERS = 12


class Tally:
    """What callers were told of the events they wrote."""

    def __init__(self, organization_id: str, agent_id: str) -> None:
        self.organization_id, self.agent_id = organization_id, agent_id
        self.kept: set[str] = set()
        self.refused: set[str] = set()
        self.undecided: set[str] = set()
        self.sentences: set[str] = set()

    async def write(self, store: Store, number: int) -> None:
        """One event, and what came of it."""
        one = event(self.organization_id, self.agent_id, number)
        try:
            await store.write(lambda tx: tx.ledger.events([one]))
        except Unavailable as error:
            self.sentences.add(error.sentence)
            (self.undecided if "may or may not" in error.sentence else self.refused).add(one.id)
        else:
            self.kept.add(one.id)


async def test_what_was_confirmed_is_kept_and_what_was_refused_is_not(
    postgres_server: PostgresServer, postgres_empty: str
) -> None:
    """A commit whose connection broke is looked up when the server is back, so that hardly anybody is
    left in doubt; nobody is told wrong."""
    store = open_store(postgres_empty)
    small = await filled(store, 1)
    owner = small.organization_id
    tally = Tally(owner, small.agents[0].id)
    stopped = asyncio.Event()
    number = 0

    async def caller() -> None:
        nonlocal number
        while not stopped.is_set():
            number += 1
            await tally.write(store, number)
            await asyncio.sleep(0.001)

    callers = [asyncio.ensure_future(caller()) for _ in range(CALLERS)]
    for _ in range(ROUNDS):
        before = len(tally.kept)
        while len(tally.kept) < before + 100:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(postgres_server.stop, crash=True)
        known = len(tally.refused)
        while len(tally.refused) < known + 20:  # they go on asking while it is away
            await asyncio.sleep(0.01)
        await asyncio.to_thread(postgres_server.start)
    back = len(tally.kept)
    while len(tally.kept) < back + 20:
        await asyncio.sleep(0.01)
    stopped.set()
    await asyncio.gather(*callers)
    found = await store.read(lambda tx: [one.id for _, one in tx.ledger.events_after(owner, 0, 1_000_000)])
    await store.close()
    assert len(found) == len(set(found))
    assert tally.kept <= set(found), "confirmed and lost"
    assert not tally.refused & set(found), "refused and kept"
    assert tally.kept | tally.refused | tally.undecided >= set(found)
    assert any("can't be reached, so nothing was changed" in sentence for sentence in tally.sentences)
    assert [line for line in admin.check(postgres_empty) if not line.startswith("ok")] == []


async def test_connections_that_the_server_ends_are_replaced_unnoticed(postgres_empty: str) -> None:
    """A restart between two operations: nobody hears of it."""
    store = open_store(postgres_empty)
    small = await filled(store)
    with psycopg.connect(postgres_empty, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'rollcall' AND datname = current_database()"
        )
    await store.write(lambda tx: tx.ledger.put_setting(small.organization_id, "key", "value", START))
    assert await store.read(lambda tx: tx.ledger.setting(small.organization_id, "key")) == "value"
    await store.close()


async def test_a_server_that_would_lose_confirmed_commits_is_refused(postgres_empty: str) -> None:
    """`synchronous_commit = off`, wherever it is set; what replicas are asked for is the operator's."""
    with pytest.raises(Unusable, match="synchronous_commit = off"):
        open_store(f"{postgres_empty}&options=-csynchronous_commit%3Doff")
    await open_store(f"{postgres_empty}&options=-csynchronous_commit%3Dlocal").close()


def test_a_server_that_is_away_is_said_to_be(postgres_empty: str) -> None:
    with pytest.raises(Unavailable, match="can't be reached"):
        open_store("postgresql://rollcall@127.0.0.1:1/rollcall")


class BreakingCommit:
    """Stands for `Connection.execute`: the connection breaks at a COMMIT, before or after it took place."""

    def __init__(self, *, took_place: bool, times: int = 1) -> None:
        self.took_place = took_place
        self.left = times
        self.run: Any = psycopg.Connection.execute

    def __call__(self, connection: Any, query: Any, *values: Any, **how: Any) -> Any:
        if query != "COMMIT" or self.left == 0:
            return self.run(connection, query, *values, **how)
        self.left -= 1
        if self.took_place:
            self.run(connection, query)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("took_place", [True, False])
async def test_a_commit_whose_connection_breaks_is_answered_with_the_truth_and_happens_once(
    postgres_empty: str, monkeypatch: pytest.MonkeyPatch, took_place: bool
) -> None:
    store = open_store(postgres_empty)
    small = await filled(store)
    agent_id = small.agents[0].id
    breaking = BreakingCommit(took_place=took_place)
    monkeypatch.setattr(psycopg.Connection, "execute", lambda *given, **how: breaking(*given, **how))
    saved = await store.write(changing(agent_id, small.organization_id, 1))
    assert breaking.left == 0
    assert saved.version == 1
    assert await store.read(lambda tx: tx.presence.facts(agent_id)) == saved
    events = await store.read(lambda tx: tx.ledger.events_after(small.organization_id, 0, 10))
    assert len(events) == 1
    await store.close()


async def test_who_cannot_be_told_whether_it_was_kept_is_told_so(
    postgres_empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke at the commit, and the server does not come back in time."""
    store = open_store(postgres_empty)
    breaking = BreakingCommit(took_place=True)
    monkeypatch.setattr(psycopg.Connection, "execute", lambda *given, **how: breaking(*given, **how))

    def away(conninfo: str) -> psycopg.Connection[Any]:
        raise errors.unreachable()

    await store.read(lambda tx: tx.ledger.setting("org_1", "key"))  # a thread has its connection
    monkeypatch.setattr(postgres, "connect", away)
    monkeypatch.setattr(postgres, "DECIDED_PAUSE", 0.001)
    with pytest.raises(Unavailable, match=r"may or may not have been\. Look before you try again"):
        await store.write(lambda tx: tx.ledger.put_setting("org_1", "key", "value", START))
    await store.close()


async def test_operations_that_lock_each_other_out_are_run_again(postgres_empty: str) -> None:
    """Two that need the same two agents, in opposite order: PostgreSQL ends one, and it is run anew."""
    store = open_store(postgres_empty)
    small = await filled(store)
    one, other = (agent.id for agent in small.agents)
    met = threading.Barrier(2)

    def both(first: str, second: str, number: int, runs: list[int]) -> Callable[[Transaction], None]:
        def operation(tx: Transaction) -> None:
            runs.append(number)
            changing(first, small.organization_id, number)(tx)
            if len(runs) == 1:
                met.wait(10)
            changing(second, small.organization_id, number)(tx)

        return operation

    runs: tuple[list[int], list[int]] = ([], [])
    await asyncio.gather(store.write(both(one, other, 1, runs[0])), store.write(both(other, one, 2, runs[1])))
    assert sorted(map(len, runs)) == [1, 2]
    everyone = await store.read(lambda tx: list(tx.members.everyone(small.organization_id)))
    assert [facts.version for _, facts in everyone] == [2, 2]
    await store.close()
