"""Presence of the whole core is what a naive model says, whatever people, platforms, programs and time do.

`world_machine.py` has 28 rules and a beginning; each run of an example is up to 30 of them, and after each
one everything that is shown or stored is compared with the model: presence, reason, source, whether it is
confirmed and since when not, what is chosen and what lies beneath it, the check-in, who is routable and how
many are what, each agent's whole history, and the facts in memory with those in the database; `rollcall db
check` looks at the end and before each start. Once the clock was set back, only what is promised for that is
looked at: no burst, history that tiles, numbers that agree, memory that is what is stored. The same
machine runs on SQLite with its writer thread, on PostgreSQL, and behind the HTTP server on a socket, where
whatever the API can do or tell goes over the API. Within a day of a link unlinking undoes it; the machine
waits that day out, and undoing has tests of its own (tests/service).

In the usual run there are 60, 20 and 12 examples, always the same; `ROLLCALL_LONG=1` tries twenty times as
many, others each time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from machine.world_machine import Presence

from storage.database import ensure_schema
from storage.tables import Row

STEPS = 30
LONG = 20 if os.environ.get("ROLLCALL_LONG") == "1" else 1


def run(machine: Callable[[], Presence], examples: int) -> None:
    """So many examples; a failure is shown as the shortest sequence of rules that fails."""
    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # any maker of machines will do
        settings=settings(
            max_examples=examples * LONG,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=LONG == 1,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def fresh_file(tmp_path: Path) -> Callable[[], str]:
    """Addresses of SQLite files with nothing but the schema, one after the other."""
    template, numbers = tmp_path / "schema.sqlite3", count()
    ensure_schema(f"sqlite:///{template}")

    def fresh() -> str:
        file = shutil.copy(template, tmp_path / f"{next(numbers)}.sqlite3")
        return f"sqlite:///{file}"

    return fresh


def test_on_sqlite_presence_is_what_the_model_says(fresh_file: Callable[[], str]) -> None:
    """With the writer thread and its group commits."""
    run(lambda: Presence(fresh_file()), 60)


def test_on_postgresql_presence_is_what_the_model_says(postgres_empty: str) -> None:
    """Each example on the same database, emptied."""
    tables = ", ".join(f'"{table.name}"' for table in Row.metadata.sorted_tables)

    def fresh() -> Presence:
        with psycopg.connect(postgres_empty, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())
        return Presence(postgres_empty)

    run(fresh, 20)


def test_over_http_presence_is_what_the_model_says(fresh_file: Callable[[], str]) -> None:
    """Programs ask over connections to the real server."""
    run(lambda: Presence(fresh_file(), http=True), 12)
