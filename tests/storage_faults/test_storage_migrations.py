"""Row 36, and the steps of the schema: up, down and up again on both engines, and killed in between."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event
from sqlalchemy import Engine as SqlAlchemy
from storage_faults.forked import Child, killed
from storage_faults.stores import filled

from bot.domain.errors import Unavailable
from storage import address, postgres_connection, schema
from storage.database import _schema, current_revision, ensure_schema, open_store, upgrade
from storage.errors import Unusable
from storage.migrations import REVISIONS
from storage.tables import Row


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without a schema; with SQLite there is no file yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rollcall.sqlite3"
    url: str = request.getfixturevalue("postgres_url")
    return url


def run_sql(url: str, *statements: str) -> list[Any]:
    """The records of the last statement, everything committed."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            return [file.execute(statement).fetchall() for statement in statements][-1]
    with psycopg.connect(url, autocommit=True) as server:
        cursors = [server.execute(statement.encode()) for statement in statements]
        return cursors[-1].fetchall() if cursors[-1].description else []


def tables_of(url: str) -> set[str]:
    """Those of ours; SQLite keeps some for itself."""
    if url.startswith("sqlite"):
        found = run_sql(url, "SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        found = run_sql(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name for (name,) in found if not name.startswith("sqlite_")}


def test_up_down_and_up_again(bare: str) -> None:
    expected = set(Row.metadata.tables) | {"alembic_version"}
    assert current_revision(bare) is None
    for _ in range(2):
        upgrade(bare)
        assert current_revision(bare) == REVISIONS[-1]
        assert tables_of(bare) == expected
        asyncio.run(_use(bare))
        schema.downgrade(bare, "base")
        assert current_revision(bare) is None
        assert tables_of(bare) == {"alembic_version"}


async def _use(url: str) -> None:
    store = open_store(url)
    await filled(store)
    await store.close()


def test_the_migrations_come_to_the_tables(bare: str) -> None:
    """Alembic finds nothing to add, drop or alter."""
    upgrade(bare)
    with schema.transaction(address.parse(bare)) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Row.metadata) == []


def test_the_migrations_come_to_the_tables_to_the_letter(sqlite_url: str) -> None:
    """Their CHECKs too, which Alembic does not compare: the same statements make both."""

    def statements(connection: sqlite3.Connection) -> dict[str, str]:
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        found = {name: re.sub(r"\s+", " ", sql) for name, sql in connection.execute(query)}
        found.pop("alembic_version", None)
        return {name: "".join(sorted(re.split(r"(?<=[,(]) ?|(?=\))", sql))) for name, sql in found.items()}

    with (
        closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as migrated,
        closing(sqlite3.connect(":memory:")) as made,
    ):
        made.executescript(_schema())
        assert statements(migrated) == statements(made)


def test_the_known_revisions_are_those_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(REVISIONS))
    assert resources.files("storage.migrations").joinpath("env.py").is_file()


def upgrade_and_die(url: str, step: int, say: Callable[[str], None]) -> None:
    """The child: it is killed before its upgrade's statement of that number."""
    count = 0

    def executing(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == step:
            killed()

    event.listen(SqlAlchemy, "before_cursor_execute", executing)
    event.listen(SqlAlchemy, "commit", lambda connection: killed() if step == -1 else None)
    upgrade(url)
    say(str(count))


def test_an_upgrade_killed_at_any_step_has_not_happened_and_succeeds_the_next_time(bare: str) -> None:
    """Every fifth statement, and the commit; in one transaction on both engines."""
    for step in [1, *range(5, 41, 5), -1]:
        assert Child(partial(upgrade_and_die, bare, step)).end() == (signal.SIGKILL, [])
        assert current_revision(bare) is None
        assert not bare.startswith("postgresql") or tables_of(bare) == set()
    upgrade(bare)
    asyncio.run(_use(bare))


def test_the_child_would_have_upgraded_had_it_not_been_killed(bare: str) -> None:
    ended, said = Child(partial(upgrade_and_die, bare, 10_000)).end()
    assert ended == 0
    assert int(said[0]) > 40
    assert current_revision(bare) == REVISIONS[-1]


def test_a_database_newer_than_the_program_is_refused_naming_both(bare: str) -> None:
    upgrade(bare)
    run_sql(
        bare,
        "UPDATE alembic_version SET version_num = '9999'",
        "UPDATE setting SET value = '42.0.1' WHERE key = 'upgraded_by'",
    )
    for use in (open_store, ensure_schema, upgrade):
        with pytest.raises(Unusable) as refusal:
            use(bare)
        assert "schema 9999, made by a newer Rollcall (42.0.1)" in refusal.value.sentence
        assert f"({schema.program_version()}) knows schemas up to {REVISIONS[-1]}" in refusal.value.sentence
    assert current_revision(bare) == "9999"


def test_a_database_older_than_the_program_is_not_opened_before_it_is_upgraded(
    bare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(bare)
    monkeypatch.setattr(schema, "REVISIONS", (*REVISIONS, "0999"))
    monkeypatch.setattr(schema, "NEWEST", "0999")
    with pytest.raises(Unusable, match=rf"has schema {REVISIONS[-1]}.* works on schema 0999.*db upgrade"):
        open_store(bare)


def test_an_empty_database_is_not_opened_and_an_upgrade_makes_it(bare: str) -> None:
    with pytest.raises(Unusable, match="rollcall db upgrade"):
        open_store(bare)
    ensure_schema(bare)
    asyncio.run(_use(bare))


def test_the_schema_says_who_made_it(bare: str) -> None:
    upgrade(bare)
    upgrade(bare)
    said = run_sql(bare, "SELECT organization_id, value FROM setting WHERE key = 'upgraded_by'")
    assert said == [("", schema.program_version())]


def test_two_upgrades_at_once_are_one(bare: str) -> None:
    """Two replicas that start together."""
    problems: list[BaseException] = []

    def up() -> None:
        try:
            upgrade(bare)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert current_revision(bare) == REVISIONS[-1]


def test_a_step_may_take_longer_than_a_statement_otherwise_may(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebuilding a large table of PostgreSQL's takes minutes."""
    monkeypatch.setattr(
        postgres_connection,
        "LIMITS",
        "SET statement_timeout = '50ms'; SET idle_in_transaction_session_timeout = '50ms'",
    )
    migrate = schema.migrate

    def slowly(connection: Connection, revision: str) -> None:
        connection.exec_driver_sql("SELECT pg_sleep(0.2)")
        time.sleep(0.2)
        migrate(connection, revision)

    monkeypatch.setattr(schema, "migrate", slowly)
    upgrade(postgres_url)
    assert current_revision(postgres_url) == REVISIONS[-1]


def test_identifies_counted_so_far_are_those_of_the_organization_that_was_served(bare: str) -> None:
    """Discord counts on while Rollcall is upgraded."""
    upgrade(bare)
    schema.downgrade(bare, "0005")
    run_sql(
        bare,
        "INSERT INTO organization VALUES ('org_1', 'default', 'Acme', 1)",
        "INSERT INTO identify (at) VALUES (7)",
        "INSERT INTO identify (at) VALUES (8)",
    )
    upgrade(bare)
    assert run_sql(bare, "SELECT organization_id, at FROM identify ORDER BY id") == [
        ("org_1", 7),
        ("org_1", 8),
    ]
    schema.downgrade(bare, "0005")
    assert run_sql(bare, "SELECT at FROM identify ORDER BY id") == [(7,), (8,)]


def test_an_upgrade_that_meets_a_lock_says_so_and_has_not_happened(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that somebody runs on the tables, in a transaction that they left open."""
    upgrade(postgres_url)
    schema.downgrade(postgres_url, REVISIONS[0])
    monkeypatch.setattr(schema, "PATIENCE", schema.PATIENCE.replace("10s", "100ms"))
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT count(*) FROM delivery")
        with pytest.raises(Unavailable, match=r"was not upgraded and nothing was changed.*long transaction"):
            upgrade(postgres_url)
    assert current_revision(postgres_url) == REVISIONS[0]
    upgrade(postgres_url)
    assert current_revision(postgres_url) == REVISIONS[-1]
