"""`rollcall db check` finds whatever breaks a rule that always holds."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import psycopg
import pytest
from msgspec.structs import replace
from storage_faults.stores import START, Small, changing, filled

from bot.domain.facts import Link, LinkState
from bot.ports import Store, Transaction
from storage import admin
from storage.check import RULES
from storage.database import open_store

TILES = "intervals tile each agent's time, without gap or overlap"
OPEN = "each agent's open interval is the one they are in"
FACTS = "each agent has facts"
LINKED = "each link has its identity"
OWNED = "each link belongs to its identity's agent"
NEXT = "the next event comes after all events"
MERGED = "who became part of another agent is gone, and that one is known"
ORGANIZATION = "each row is in its agent's organization"

HARM = {
    "a gap": (
        "UPDATE interval SET ended_at = ended_at - 1 WHERE agent_id = '{0}' AND ended_at IS NOT NULL",
        TILES,
    ),
    "an overlap": (
        "UPDATE interval SET ended_at = ended_at + 1 WHERE agent_id = '{0}' AND ended_at IS NOT NULL",
        TILES,
    ),
    "no open interval": (
        "UPDATE interval SET ended_at = since + 1 WHERE agent_id = '{0}' AND ended_at IS NULL",
        OPEN,
    ),
    "another presence": ("UPDATE presence SET presence = 'offline' WHERE agent_id = '{0}'", OPEN),
    "another note": ("UPDATE interval SET note = 'x' WHERE agent_id = '{0}' AND ended_at IS NULL", OPEN),
    "no facts": ("DELETE FROM presence WHERE agent_id = '{0}'", FACTS),
    "no identity": ("DELETE FROM identity WHERE agent_id = '{0}'", LINKED),
    "another's link": ("UPDATE link SET agent_id = '{1}' WHERE agent_id = '{0}'", OWNED),
    "merged and there": ("UPDATE agent SET merged_into = '{1}' WHERE id = '{0}'", MERGED),
    "another organization": (
        "UPDATE identity SET organization_id = 'x' WHERE agent_id = '{0}'",
        ORGANIZATION,
    ),
}


@pytest.fixture
def small(url: str) -> Small:
    """Two agents with history, links and events."""

    async def work() -> Small:
        store = open_store(url)
        made = await filled(store)
        for agent in made.agents:
            await store.write(changing(agent.id, made.organization_id, 60))
        await _link(store, made)
        await store.close()
        return made

    return asyncio.run(work())


async def _link(store: Store, small: Small) -> None:
    def link(tx: Transaction) -> None:
        for agent in small.agents:
            before = tx.presence.facts(agent.id)
            assert before is not None
            links = tuple(
                Link(i.id, i.workspace_id, LinkState.CONNECTED, START, 1, 1) for i in agent.identities
            )
            tx.presence.save(before, replace(before, links=links), [])

    await store.write(link)


def harm(url: str, statement: str) -> None:
    """Change rows behind the database's own rules, as only damage or a wrong program can."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            file.execute(statement)
        return
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SET session_replication_role = replica")  # foreign keys are not looked at
        server.execute(statement.encode())


def broken(url: str) -> list[str]:
    """The lines that are not ok."""
    return [line for line in admin.check(url) if not line.startswith("ok: ")]


def test_a_sound_database_is_ok_in_everything(url: str, small: Small) -> None:
    lines = admin.check(url)
    assert all(line.startswith("ok: ") for line in lines)
    assert {rule.name for rule in RULES} <= {line.removeprefix("ok: ") for line in lines}
    named = {rule for _, rule in HARM.values()} | {NEXT}
    assert named == {rule.name for rule in RULES}, "every rule is broken by one of these tests"


@pytest.mark.parametrize("what", list(HARM))
def test_what_is_broken_is_named_with_whose_it_is(url: str, small: Small, what: str) -> None:
    statement, rule = HARM[what]
    harm(url, statement.format(*(agent.id for agent in small.agents)))
    lines = broken(url)
    (line,) = (line for line in lines if line.startswith(f"BROKEN: {rule}: not so for "))
    if what not in {"no identity", "another's link"}:
        assert small.agents[0].id in line
        assert small.agents[1].id not in line


def test_a_counter_of_events_set_back_is_named(url: str, small: Small) -> None:
    """The next event would get the position of one that readers have passed."""
    if url.startswith("sqlite"):
        harm(url, "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'event'")
    else:
        harm(url, "SELECT setval('event_position_seq', 1)")
    assert broken(url) == [f"BROKEN: {NEXT}: not so for 2"]


def test_many_are_counted_and_some_named(sqlite_url: str) -> None:
    async def work() -> None:
        store = open_store(sqlite_url)
        await filled(store, agents=20)
        await store.close()

    asyncio.run(work())
    harm(sqlite_url, "DELETE FROM presence")
    (line,) = (line for line in broken(sqlite_url) if FACTS in line)
    assert line.endswith(" and 15 more")
    assert line.count("agt_") == 5
