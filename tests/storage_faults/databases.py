"""Every storage, each test on an empty database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_server import PostgresServer

from bot.ports import Store
from storage.database import ensure_schema, open_inline, open_store
from storage.tables import Row


@pytest.fixture(scope="session")
def postgres_schema(postgres_server: PostgresServer) -> str:
    """The address of a database with nothing but the schema, made once."""
    url = postgres_server.url(postgres_server.create_database())
    ensure_schema(url)
    return url


@pytest.fixture
def postgres_empty(postgres_schema: str) -> Iterator[str]:
    """The same for one test; emptied, which takes a tenth of the time that making it does."""
    yield postgres_schema
    tables = ", ".join(f'"{table.name}"' for table in Row.metadata.sorted_tables)
    with psycopg.connect(postgres_schema, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite file with the schema."""
    url = f"sqlite:///{tmp_path}/rollcall.sqlite3"
    ensure_schema(url)
    return url


@pytest.fixture(params=["inline", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    opened: Store
    if request.param == "inline":
        opened = open_inline()
    else:
        fixture = "sqlite_url" if request.param == "sqlite" else "postgres_empty"
        opened = open_store(request.getfixturevalue(fixture))
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a database with the schema, in which several connections can be open."""
    value: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_empty")
    return value
