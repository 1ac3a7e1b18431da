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
from storage.database import ensure_schema, open_store
from storage.rules import RULES

PARENT = "every row's parent is there"
TILES = "intervals tile each agent's time, without gap or overlap, and the last is open"
OPEN = "each agent's open interval is the one they are in"
FACTS = "each agent has facts"
HISTORY = "each agent has a history"
VERSION = "facts that have moved have a version that rose"
LINKS = "each link is of its account's agent and workspace"
ACCOUNT = "each account is one agent's"
PLACE = "each account and feed is of its workspace's organization and platform"
NAMED = "an agent has one id in each other system"
SESSIONS = "an agent has at most 20 console sessions"
REMOVED = "who was removed is Offline and holds nothing"
MERGED = "who became part of another agent is gone, and that one is known"
CIRCLE = "going from who was merged to who goes on for them comes to an end"
NEGATIVE = "loads and capacities are not negative"
NEXT = "the next event comes after all events"
FORGOTTEN = "no event stands before those that were forgotten"
EVENT = "each event is of an organization that is there, and about an agent of it"
AUDIT = "what was changed and told is in the audit"
SUMMARY = "a summary that is over was begun, and its end is known"
ORGANIZATION = "each row is in its agent's organization"
OWNER = "each row's organization is there"

BOTH = "('{0}', '{1}')"
GONE = (
    f"DELETE FROM link WHERE agent_id IN {BOTH}",
    f"DELETE FROM identity WHERE agent_id IN {BOTH}",
    f"UPDATE agent SET removed = true WHERE id IN {BOTH}",
    f"UPDATE presence SET presence = 'offline' WHERE agent_id IN {BOTH}",
    f"UPDATE interval SET presence = 'offline' WHERE agent_id IN {BOTH} AND ended_at IS NULL",
)
SESSION = (
    "INSERT INTO console_session (agent_id, key, organization_id, feed_id, state, since, epoch, seq, beat_at)"
    " SELECT '{0}', 'k%d', organization_id, (SELECT min(id) FROM workspace), 'connected', 0, 1, 1, 0"
    " FROM agent WHERE id = '{0}'"
)
SUMMARY_POST = (
    "INSERT INTO summary_post (organization_id, schedule, slot, claimed_until, begun, outcome, finished_at)"
    " SELECT organization_id, 'morning', '2026-03-02', 0, %s FROM agent WHERE id = '{0}'"
)
HARM: dict[str, tuple[tuple[str, ...], str]] = {
    "a gap": (
        ("UPDATE interval SET ended_at = ended_at - 1 WHERE agent_id = '{0}' AND ended_at IS NOT NULL",),
        TILES,
    ),
    "an overlap": (
        ("UPDATE interval SET ended_at = ended_at + 1 WHERE agent_id = '{0}' AND ended_at IS NOT NULL",),
        TILES,
    ),
    "no open interval": (
        ("UPDATE interval SET ended_at = since + 1 WHERE agent_id = '{0}' AND ended_at IS NULL",),
        TILES,
    ),
    "another presence": (("UPDATE presence SET presence = 'offline' WHERE agent_id = '{0}'",), OPEN),
    "another note": (("UPDATE interval SET note = 'x' WHERE agent_id = '{0}' AND ended_at IS NULL",), OPEN),
    "no facts": (("DELETE FROM presence WHERE agent_id = '{0}'",), FACTS),
    "no history": (("DELETE FROM interval WHERE agent_id = '{0}'",), HISTORY),
    "a version set back": (("UPDATE presence SET version = 0 WHERE agent_id = '{0}'",), VERSION),
    "a link without an account": (("DELETE FROM identity WHERE agent_id = '{0}'",), PARENT),
    "an account without an agent": (
        (
            "DELETE FROM link WHERE agent_id = '{0}'",
            "UPDATE identity SET agent_id = 'nobody' WHERE agent_id = '{0}'",
        ),
        PARENT,
    ),
    "a membership in no team": (
        ("UPDATE membership SET team_slug = 'ghosts' WHERE agent_id = '{0}'",),
        PARENT,
    ),
    "another's link": (("UPDATE link SET agent_id = '{1}' WHERE agent_id = '{0}'",), LINKS),
    "a link of another feed": (
        ("UPDATE link SET feed_id = (SELECT max(id) FROM workspace) WHERE agent_id = '{0}'",),
        LINKS,
    ),
    "another platform": (("UPDATE identity SET platform = 'x' WHERE agent_id = '{0}'",), PLACE),
    "two names in a help desk": (
        (
            "INSERT INTO external_id (organization_id, system, external_id, agent_id)"
            " SELECT organization_id, 'chatwoot', 'again', id FROM agent WHERE id = '{0}'",
        ),
        NAMED,
    ),
    "21 sessions": (tuple(SESSION % number for number in range(21)), SESSIONS),
    "removed and there": (("UPDATE agent SET removed = true WHERE id = '{0}'",), REMOVED),
    "removed with an open word": (
        (
            *GONE,
            "UPDATE presence SET check_in_identity_id = 'x', check_in_at = 0, check_in_until_at = 1"
            " WHERE agent_id = '{0}'",
        ),
        REMOVED,
    ),
    "removed with a session": ((*GONE, SESSION % 1), REMOVED),
    "merged and there": (("UPDATE agent SET merged_into = '{1}' WHERE id = '{0}'",), MERGED),
    "merged into nobody": ((*GONE, "UPDATE agent SET merged_into = 'nobody' WHERE id = '{0}'"), MERGED),
    "merged in a circle": (
        (
            *GONE,
            "UPDATE agent SET merged_into = '{1}' WHERE id = '{0}'",
            "UPDATE agent SET merged_into = '{0}' WHERE id = '{1}'",
        ),
        CIRCLE,
    ),
    "an event that was forgotten": (
        (
            "INSERT INTO setting (organization_id, key, value, updated_at)"
            " SELECT organization_id, 'events_forgotten', '1', 0 FROM agent WHERE id = '{0}'",
        ),
        FORGOTTEN,
    ),
    "nobody's event": (("UPDATE event SET organization_id = 'nobody' WHERE agent_id = '{0}'",), EVENT),
    "an event about nobody": (("UPDATE event SET agent_id = 'nobody' WHERE agent_id = '{0}'",), EVENT),
    "told and not audited": (("UPDATE event SET type = 'agent.updated' WHERE agent_id = '{0}'",), AUDIT),
    "posted and not begun": ((SUMMARY_POST % "false, 'posted', 1",), SUMMARY),
    "over without an end": ((SUMMARY_POST % "true, NULL, 1",), SUMMARY),
    "another organization": (
        ("UPDATE interval SET organization_id = 'x' WHERE agent_id = '{0}'",),
        ORGANIZATION,
    ),
    "nobody's delivery": (
        ("INSERT INTO delivery (organization_id, key, keep_until) VALUES ('nobody', '{0}', 0)",),
        OWNER,
    ),
}
NOT_NAMED = (PARENT, LINKS, PLACE, FORGOTTEN, EVENT, AUDIT, SUMMARY)
"""Rules that name other rows than agents."""


@pytest.fixture
def small(url: str) -> Small:
    """Two agents with history, links and events."""
    return asyncio.run(_small(url))


async def _small(url: str) -> Small:
    store = open_store(url)
    made = await filled(store)
    for agent in made.agents:
        await store.write(changing(agent.id, made.organization_id, 60))
    await _link(store, made)
    await store.close()
    return made


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


def harm(url: str, *statements: str) -> None:
    """Change rows behind the database's own rules, as only damage or a wrong program can."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            file.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                file.execute(statement)
        return
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SET session_replication_role = replica")  # foreign keys are not looked at
        for statement in statements:
            server.execute(statement.encode())


def broken(url: str) -> list[str]:
    """The lines that are not ok."""
    return [line for line in admin.check(url) if not line.startswith("ok: ")]


def test_a_sound_database_is_ok_in_everything(url: str, small: Small) -> None:
    lines = admin.check(url)
    assert all(line.startswith("ok: ") for line in lines)
    assert {rule.name for rule in RULES} <= {line.removeprefix("ok: ") for line in lines}
    named = {rule for _, rule in HARM.values()} | {NEXT, ACCOUNT, NEGATIVE}
    assert named == {rule.name for rule in RULES}, "every rule is broken by one of these tests"


@pytest.mark.parametrize("what", list(HARM))
def test_what_is_broken_is_named_and_nothing_else(url: str, small: Small, what: str) -> None:
    statements, rule = HARM[what]
    first, second = (agent.id for agent in small.agents)
    harm(url, *(statement.format(first, second) for statement in statements))
    (line,) = broken(url)
    assert line.startswith(f"BROKEN: {rule}: not so for ")
    if rule not in NOT_NAMED:
        assert first in line
        assert (second in line) is (rule == CIRCLE)


UNGUARDED = {
    "two agents of one account": (
        ACCOUNT,
        {
            "sqlite": (
                "CREATE TABLE other AS SELECT * FROM identity",
                "DROP TABLE identity",
                "ALTER TABLE other RENAME TO identity",
            ),
            "postgresql": ("ALTER TABLE identity DROP CONSTRAINT uq_identity_workspace_id",),
        },
        "INSERT INTO identity (id, organization_id, agent_id, workspace_id, platform, external_id, name,"
        " avatar_url, is_admin, present, rank) SELECT 'idn_other', organization_id, '{1}', workspace_id,"
        " platform, external_id, name, avatar_url, is_admin, present, 9 FROM identity"
        " WHERE agent_id = '{0}' AND rank = 0",
    ),
    "a negative load": (
        NEGATIVE,
        {"sqlite": (), "postgresql": ("ALTER TABLE load_report DROP CONSTRAINT ck_load_report_units",)},
        "INSERT INTO load_report (agent_id, source, organization_id, units, as_of, expires_at)"
        " SELECT id, 'chatwoot', organization_id, -1, 0, 1 FROM agent WHERE id = '{0}'",
    ),
    "a negative capacity": (
        NEGATIVE,
        {"sqlite": (), "postgresql": ("ALTER TABLE agent DROP CONSTRAINT ck_agent_capacity",)},
        "UPDATE agent SET capacity = -1 WHERE id = '{0}'",
    ),
}


@pytest.mark.parametrize("what", list(UNGUARDED))
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_the_database_itself_refuses_is_named_where_it_did_not(
    engine: str, what: str, request: pytest.FixtureRequest
) -> None:
    """A database of its own: its constraints are taken away."""
    url: str = request.getfixturevalue("sqlite_url" if engine == "sqlite" else "postgres_url")
    ensure_schema(url)
    small = asyncio.run(_small(url))
    rule, unguarded, statement = UNGUARDED[what]
    harm(url, *unguarded[engine], statement.format(*(agent.id for agent in small.agents)))
    (line,) = broken(url)
    assert line.startswith(f"BROKEN: {rule}: not so for ")


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
