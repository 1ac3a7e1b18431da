"""The store over whichever database an address names."""

from functools import cache

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from bot.ports import Store
from storage import address
from storage.address import MEMORY
from storage.group_commit import SqliteStore
from storage.schema import current_revision, ensure_schema, refuse_unfit, upgrade
from storage.sql import Engine
from storage.sqlite import Durability, InlineStore, connect, refuse_damaged
from storage.tables import Row

__all__ = ["current_revision", "ensure_schema", "open_inline", "open_store", "upgrade"]


def open_store(url: str, durability: Durability = "full") -> Store:
    """The store over `sqlite:///path` or `postgresql://…`, its threads started; close it at the end.

    Raises Unusable when the database is damaged, or its schema newer or older than this program, or
    when it would not keep what it confirms; Unavailable when it doesn't answer.
    """
    where = address.parse(url)
    if where.engine is Engine.POSTGRESQL:
        from storage.postgres import PostgresStore

        refuse_unfit(url)
        return PostgresStore(where.conninfo)
    if where.path == MEMORY:
        raise address.outlived()
    refuse_unfit(url)
    refuse_damaged(where.path)
    return SqliteStore(where.path, durability)


def open_inline(url: str = "sqlite://", durability: Durability = "full") -> InlineStore:
    """A store without threads, for tests in virtual time. In memory it begins with an empty schema;
    a file has to have one."""
    where = address.parse(url)
    if where.path == MEMORY:
        connection = connect(MEMORY, durability)
        connection.executescript(_schema())
    else:
        refuse_unfit(url)
        connection = connect(where.path, durability)
    return InlineStore(connection)


@cache
def _schema() -> str:
    """The tables as SQLite's statements; the migrations come to the same, which tests hold."""
    dialect = sqlite.dialect()
    made: list[str] = []
    for table in Row.metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        made.extend(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
    return ";\n".join(made)
