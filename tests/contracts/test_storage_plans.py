"""No statement reads more than it is asked for: both engines tell how they would run each of them.

With few rows in a table nobody notices that a statement walks all of them; with a year's, everybody does.
"""

from __future__ import annotations

import pkgutil
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module

import psycopg
import pytest

import storage
from storage.database import _schema
from storage.forgetting import FORGOTTEN
from storage.sql import Engine, Statement
from storage.tables import Row

EVERYTHING = {
    *("KEYS", "KEYS_OF", "FEEDS", "WORKSPACES"),
    *("EVERYONE", "IDENTITIES_OF_ALL", "EXTERNALS_OF_ALL", "TEAMS_OF_ALL", "SKILLS_OF_ALL"),
    *("OLDEST_EVENTS", "NEWEST_TO_FORGET", "NEWEST_EVENTS"),
    "SESSIONS_OF_ALL",
}
"""Statements that are there to read all an organization has, the last three in an index's order up to a
limit."""
FEW = {"organization", "workspace", "team", "skill", "identify"}
"""Tables of a handful of rows; Discord allows a thousand identifies a day."""
ROWS = 4000
FILLED = {
    "agent": "'a' || i, 'o', 'n', NULL, false, 'agent', 1, false, 1, 1",
    "presence": "'a' || i, 'o', 1, 'away', 1, 'agent', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
    " false, 'away', 1, 's', 'a', '', true, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    "delivery": "'o', 'k' || i, i",
    "event": "i, 'e' || i, 'o', 'a' || i % 100, 't', i, '{}'",
    "audit": "'u' || i, 'o', i, 'a', 'b', 'c', '{}'",
    "notice": "'n' || i, 'o', 'a' || i % 100, 't', i, i, 0, NULL, 'sent', i",
    "interval": "'a' || i % 100, i, CASE WHEN i <= 3900 THEN i + 100 END, "
    " 'o', 'away', 's', 'a', '', true, NULL, NULL",
    "load_report": "'a' || i, 's', 'o', 1, 1, i",
    "summary_post": "'o', 's' || i % 5, 'l' || i, i, true, NULL, NULL, i",
    "link_code": "'o', 'n' || i, '', 'a' || i, 'i', i, 0, NULL",
    "link_try": "'o', 'p' || i, 1, i",
    "setting": "'o', 's' || i, '', 1",
    "identity": "'i' || i, 'o', 'a' || i, 'w', 'p', 'x' || i, 'n', '', false, true, 0",
    "link": "'i' || i, 'o', 'a' || i, 'w', 'connected', 1, 1, 1, false",
    "console_session": "'a' || i, 'k', 'o', 'w', 'connected', 1, 1, 1, 1",
    "external_id": "'o', 's', 'x' || i, 'a' || i",
    "membership": "'a' || i, 't', 'o'",
    "agent_skill": "'a' || i, 't', 'o'",
    "api_key": "'k' || i, 'o', 'n', '', '', 1, NULL, NULL, NULL",
}
"""A row of each table that grows, by its number."""


def statements() -> dict[str, Statement]:
    """All that the storage runs, by name, but for inserts, which find nothing."""
    found = {
        name: value
        for module in pkgutil.iter_modules(storage.__path__, "storage.")
        if not module.ispkg
        for name, value in vars(import_module(module.name)).items()
        if isinstance(value, Statement) and not value.compiled(Engine.SQLITE).sql.startswith("INSERT")
    }
    found |= {f"forgetting number {number}": one.statement for number, one in enumerate(FORGOTTEN)}
    return found


STATEMENTS = statements()
CAREFUL = sorted(STATEMENTS.keys() - EVERYTHING)


@pytest.fixture(scope="module")
def sqlite_tables() -> Iterator[sqlite3.Connection]:
    """The schema, in memory."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_schema())
        yield connection


@pytest.fixture(scope="module")
def postgres_tables(postgres_schema: str) -> Iterator[psycopg.Connection[tuple[str]]]:
    """Tables with rows, and with statistics, by which PostgreSQL decides; undone at the end."""
    with psycopg.connect(postgres_schema) as connection:
        connection.execute("SET session_replication_role = replica")  # foreign keys are not looked at
        for table, row in FILLED.items():
            sql = f'INSERT INTO "{table}" SELECT {row} FROM generate_series(1, {ROWS}) AS i'
            connection.execute(sql.encode())
        connection.execute("ANALYZE")
        yield connection
        connection.rollback()


def test_those_that_read_everything_are_known_by_their_names() -> None:
    assert STATEMENTS.keys() >= EVERYTHING
    assert len(CAREFUL) > 35


@pytest.mark.parametrize("name", CAREFUL)
def test_sqlite_finds_what_it_needs_by_an_index(sqlite_tables: sqlite3.Connection, name: str) -> None:
    """A search for `organization_id` alone reads all its rows as well."""
    sql = STATEMENTS[name].compiled(Engine.SQLITE).sql
    plan = sqlite_tables.execute("EXPLAIN QUERY PLAN " + sql, [1] * sql.count("?")).fetchall()
    for *_, step in plan:
        table = step.split()[1]
        if "VIRTUAL TABLE" in step or table in FEW:  # a list that was given as a parameter
            continue
        assert not step.startswith("SCAN"), step
        assert not step.endswith("(organization_id=?)"), step


@pytest.mark.parametrize("name", CAREFUL)
def test_postgresql_finds_what_it_needs_by_an_index(
    postgres_tables: psycopg.Connection[tuple[str]], name: str
) -> None:
    sql = STATEMENTS[name].compiled(Engine.POSTGRESQL).sql
    values = {parameter: value_of(parameter) for parameter in re.findall(r"%\((\w+)\)s", sql)}
    plan = [line for (line,) in postgres_tables.execute(f"EXPLAIN {sql}".encode(), values)]
    walked = [found[1] for line in plan if (found := re.search(r"Seq Scan on (\w+)", line))]
    assert set(walked) <= FEW, "\n".join(plan)


def value_of(parameter: str) -> object:
    """One like those that are in the tables, and of instants one that few rows come before or after."""
    types = {
        column.name: column.type.python_type for table in Row.metadata.tables.values() for column in table.c
    }
    kind = types.get(parameter, str if parameter.startswith("the_") else int)
    if parameter == "agents":
        return '["a1", "a2"]'
    if kind is int:
        return ROWS - 10 if parameter in ("after", "now", "from", "until") else 5
    return {str: "o" if "organization" in parameter else "a1", bool: True, bytes: b""}[kind]


def test_history_reads_nothing_from_before_the_time_asked_for(
    sqlite_tables: sqlite3.Connection, postgres_tables: psycopg.Connection[tuple[str]]
) -> None:
    """A summary of a day costs the same after a year as on the first day: the index is bounded below too."""
    found = STATEMENTS["HISTORY"].compiled(Engine.SQLITE).sql
    plan = sqlite_tables.execute("EXPLAIN QUERY PLAN " + found, [1] * found.count("?")).fetchall()
    steps = [step for *_, step in plan]
    assert "SEARCH interval USING PRIMARY KEY (agent_id=? AND since>? AND since<?)" in steps
    found = STATEMENTS["HISTORY"].compiled(Engine.POSTGRESQL).sql
    values = {parameter: value_of(parameter) for parameter in re.findall(r"%\((\w+)\)s", found)}
    values["from"] = ROWS // 2
    lines = [line for (line,) in postgres_tables.execute(f"EXPLAIN {found}".encode(), values)]
    (bounds,) = (line for line in lines if "Index Cond" in line and "COALESCE" in line)
    assert "since >= COALESCE" in bounds
    assert "since <" in bounds
