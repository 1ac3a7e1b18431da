"""`rollcall db check`: looks at everything that must always hold, and says what does not."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import text

from storage import address, schema
from storage.address import Address
from storage.rules import RULES
from storage.sql import Engine, Sql, Statement
from storage.sqlite import connect_only_to_look

SHOWN = 5
"""Examples of what breaks a rule in one line."""


def check(url: str) -> list[str]:
    """One line for each thing that was looked at: it begins with `ok` or with `BROKEN`. Writes nothing.

    Raises Unusable and Unavailable where there is nothing to look at.
    """
    where = address.parse(url)
    schema.refuse_unfit(url)
    lines = [f"ok: schema {schema.NEWEST}"]
    try:
        with _looking(where) as sql:
            if where.engine is Engine.SQLITE:
                lines.append(_structure(sql))
            for rule in RULES:
                broken = [str(record[0]) for record in sql.all(rule.broken)]
                lines.append(_line(rule.name, broken))
    except sqlite3.DatabaseError as error:
        lines.append(_line("the file can be read", [str(error)]))
    return lines


def _line(name: str, broken: list[str]) -> str:
    if not broken:
        return f"ok: {name}"
    more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    return f"BROKEN: {name}: not so for {', '.join(broken[:SHOWN])}{more}"


def _structure(sql: Sql) -> str:
    """SQLite's own check, which reads the whole file."""
    found = [record[0] for record in sql.all(Statement(text(f"PRAGMA integrity_check({SHOWN})")))]
    return _line("the file's structure", [] if found == ["ok"] else found)


@contextmanager
def _looking(where: Address) -> Iterator[Sql]:
    """One snapshot that nothing can be written in."""
    if where.engine is Engine.SQLITE:
        with closing(connect_only_to_look(where.path)) as connection:
            connection.execute("BEGIN")
            yield Sql(connection.cursor(), Engine.SQLITE, writing=False)
        return
    from storage.postgres import connect

    with closing(connect(where.conninfo)) as server:
        cursor = server.cursor()
        cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Sql(cursor, Engine.POSTGRESQL, writing=False)
