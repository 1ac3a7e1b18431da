"""Row 1: killed between any two steps of a change. What was acknowledged is there, what was not is there
whole or not at all, and a retry succeeds (I4, I9, I11)."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from storage_faults.forked import Child, killed
from storage_faults.stores import Small, changing, fill, filled

from bot.domain.facts import Facts
from bot.ports import Store, Transaction
from storage import admin
from storage.database import open_store
from storage.sqlite import connect

STEPS = ["begun", "facts read", "facts saved", "audited", "events owed"]
COMMITS = ["before the commit", "after the commit"]
ROUNDS = 40 if os.environ.get("ROLLCALL_LONG") == "1" else 4


async def with_store(url: str, work: Callable[[Store], Any]) -> Any:
    """Open, work, close."""
    store = open_store(url)
    try:
        return await work(store)
    finally:
        await store.close()


def run(url: str, work: Callable[[Store], Any]) -> Any:
    """The same from a test without an event loop, so that it can fork."""
    return asyncio.run(with_store(url, work))


def die_at_commit(point: str) -> None:
    """In the child: be killed at a point that no operation sees."""
    if point == "after the commit":
        for module in ("group_commit", "postgres"):
            patch(f"storage.{module}.answer", lambda jobs: killed()).start()
        return

    def watched(*where: Any, **how: Any) -> sqlite3.Connection:
        connection = connect(*where, **how)
        connection.set_trace_callback(lambda sql: killed() if sql == "COMMIT" else None)
        return connection

    def execute(connection: Any, query: Any, *values: Any, **how: Any) -> Any:
        if query == "COMMIT":
            killed()
        return run_it(connection, query, *values, **how)

    run_it = psycopg.Connection.execute
    patch("storage.group_commit.connect", watched).start()
    patch("psycopg.Connection.execute", execute).start()


def change_and_die(url: str, small: Small, point: str, say: Callable[[str], None]) -> None:
    """The child: one change that is answered, and one in which it dies."""
    change = partial(changing, small.agents[0].id, small.organization_id)
    run(url, lambda store: store.write(change(1)))
    say("answered 1")
    if point in COMMITS:
        die_at_commit(point)
    run(url, lambda store: store.write(change(2, lambda step: killed() if step == point else None)))
    say("answered 2")


def kept(tx: Transaction, small: Small) -> tuple[list[str], list[Facts]]:
    """The ids of all events, and everybody's facts; each change counts one of both."""
    events = [event.id for _, event in tx.ledger.events_after(small.organization_id, 0, 100_000)]
    facts = [facts for _, facts in tx.members.everyone(small.organization_id)]
    return events, facts


async def everything(store: Store, small: Small) -> tuple[list[str], list[Facts]]:
    """What is kept, read by a new process."""
    return await store.read(partial(kept, small=small))


def sound(url: str) -> None:
    """All that `rollcall db check` looks at is in order."""
    assert [line for line in admin.check(url) if not line.startswith("ok")] == []


@pytest.mark.parametrize("point", [*STEPS, *COMMITS])
def test_killed_between_two_steps_nothing_is_half_done_and_a_retry_succeeds(url: str, point: str) -> None:
    small: Small = run(url, filled)
    agent_id = small.agents[0].id
    child = Child(partial(change_and_die, url, small, point))
    assert child.end() == (signal.SIGKILL, ["answered 1"])
    sound(url)
    events, facts = run(url, partial(everything, small=small))
    expected = 2 if point == "after the commit" else 1
    assert events == [f"evt_{agent_id}_{number}" for number in range(1, expected + 1)]
    assert facts[0].version == expected
    retried = run(url, lambda store: store.write(changing(agent_id, small.organization_id, 3)))
    assert retried.version == expected + 1
    sound(url)


def change_for_ever(url: str, small: Small, say: Callable[[str], None]) -> None:
    """The child: every agent changes as fast as it can, and says each change that was answered."""

    async def work(store: Store) -> None:
        async def one(agent_id: str) -> None:
            number = 0
            while True:
                number += 1
                await store.write(changing(agent_id, small.organization_id, number))
                say(f"evt_{agent_id}_{number}")

        await asyncio.gather(*(one(agent.id) for agent in small.agents))

    run(url, work)


def test_killed_at_any_moment_no_answered_change_is_lost(url: str) -> None:
    """Eight callers write at once, so the moments are in the middle of group commits."""
    for round_ in range(ROUNDS):
        small: Small = run(url, partial(filled_anew, round_=round_))
        child = Child(partial(change_for_ever, url, small))
        said = [child.hears() for _ in range(40 + 13 * round_)]
        child.kill()
        _, rest = child.end()
        sound(url)
        events, facts = run(url, partial(everything, small=small))
        assert set(said + rest) <= set(events)
        assert len(events) - len(said + rest) <= len(small.agents), "one each could be under way"
        assert sum(one.version for one in facts) == len(events)


async def filled_anew(store: Store, round_: int) -> Small:
    """A team of eight in an organization of this round's own."""
    return await store.write(lambda tx: fill(tx, 8, f"round-{round_}"))


def test_the_child_would_have_finished_had_it_not_been_killed(url: str) -> None:
    """So that the other tests say something."""
    small: Small = run(url, filled)
    child = Child(partial(change_and_die, url, small, "no such point"))
    assert child.end() == (0, ["answered 1", "answered 2"])
