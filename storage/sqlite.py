"""SQLite: connections, what their errors mean, and the store without threads."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

from bot.domain.errors import Unavailable
from bot.ports import Transaction
from storage import errors
from storage.errors import Unusable, WroteInRead
from storage.sql import Engine, Sql
from storage.transaction import Rows

T = TypeVar("T")
Durability = Literal["full", "normal"]

BUSY_MILLISECONDS = 2_000
"""How long anybody waits for a database that another process holds (row 3 of the faults)."""
FATAL = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""Errors of the database and not of the operation: the transaction as a whole can't be kept."""
TAKEN = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


def code(error: BaseException) -> int:
    """SQLite's primary result code, 0 for another kind of error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_fatal(error: BaseException) -> bool:
    """Whether it says that the database, and not the operation, is at fault."""
    return code(error) in FATAL


def told(error: BaseException) -> BaseException:
    """The error as the caller of an operation hears it."""
    if getattr(error, "sqlite_errorcode", 0) in TAKEN:
        refusal: BaseException = errors.taken()
    elif is_fatal(error):
        refusal = _unavailable(code(error))
    else:
        return error
    refusal.__cause__ = error
    return refusal


def _unavailable(primary: int) -> Unavailable:
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return errors.locked()
    if primary == sqlite3.SQLITE_FULL:
        return errors.full()
    if primary == sqlite3.SQLITE_READONLY:
        return errors.read_only()
    return errors.failing()


def told_in_read(error: BaseException) -> BaseException:
    """The same for an operation that may only read."""
    if code(error) == sqlite3.SQLITE_READONLY:
        mistake = WroteInRead("an operation given to Store.read tried to write; give it to Store.write")
        mistake.__cause__ = error
        return mistake
    return told(error)


def connect(
    path: str, durability: Durability, *, busy_milliseconds: int = BUSY_MILLISECONDS
) -> sqlite3.Connection:
    """A connection that may write. Transactions are begun and ended by hand."""
    connection = sqlite3.connect(
        path,
        timeout=busy_milliseconds / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL" if durability == "full" else "PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def connect_reader(path: str) -> sqlite3.Connection:
    """A connection beside the writer's. It refuses to write, and so never checkpoints either: two
    connections that do may corrupt a WAL database (SQLite 3.7.0 to 3.51.2)."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_MILLISECONDS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def connect_only_to_look(path: str) -> sqlite3.Connection:
    """A connection that leaves the file as it is, even when it is the last one to close."""
    return sqlite3.connect(
        f"file:{quote(path)}?mode=ro", timeout=BUSY_MILLISECONDS / 1000, uri=True, isolation_level=None
    )


def refuse_damaged(path: str) -> None:
    """Walks the whole file's structure; does not write. Raises Unusable when it is damaged."""
    try:
        look = connect_only_to_look(path)
        try:
            (found,) = look.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            look.close()
    except sqlite3.OperationalError as error:
        if code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise errors.locked() from error
        raise Unusable(
            f"The database file {Path(path).name} can't be opened ({error}), so Rollcall does not start. "
            "Make it and its folder readable and writable for Rollcall."
        ) from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, str(error)) from error
    if found != "ok":
        raise damaged(path, found)


def damaged(path: str, finding: str) -> Unusable:
    """The refusal to use a damaged file."""
    first = " ".join(finding.split())
    return Unusable(
        f"The database file {Path(path).name} is damaged ({first}), so Rollcall does not start and has "
        f"changed nothing in it. What to do: {errors.DAMAGED}."
    )


def read(connection: sqlite3.Connection, operation: Callable[[Transaction], T]) -> T:
    """Runs it on a consistent snapshot."""
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    try:
        return operation(Rows(Sql(cursor, Engine.SQLITE, writing=False)))
    finally:
        if connection.in_transaction:
            cursor.execute("ROLLBACK")


class InlineStore:
    """A store that runs operations at once where it is called: for virtual time and tools.

    While it waits for the disk, or for another process, so does the event loop.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def write(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`."""
        cursor = self._connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            rows = Rows(Sql(cursor, Engine.SQLITE, writing=True))
            result = operation(rows)
            rows.ledger.flush()
            cursor.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                cursor.execute("ROLLBACK")
            refusal = told(error)
            if refusal is error:
                raise
            raise refusal from error
        return result

    async def read(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`."""
        self._connection.execute("PRAGMA query_only = ON")
        try:
            return read(self._connection, operation)
        except sqlite3.Error as error:
            refusal = told_in_read(error)
            if refusal is error:
                raise
            raise refusal from error
        finally:
            self._connection.execute("PRAGMA query_only = OFF")

    async def close(self) -> None:
        """See `bot.ports.Store`."""
        self._connection.close()
