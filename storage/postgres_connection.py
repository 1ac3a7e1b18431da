"""Connections to PostgreSQL: what they are opened with, what their errors mean, and how one is cut off.

A server that is frozen says nothing at all, so nothing of the server's can end the wait for it. Shutting
the socket down can: whoever waits on it hears at once that the connection is gone.
"""

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import (
    DeadlockDetected,
    DiskFull,
    LockNotAvailable,
    ReadOnlySqlTransaction,
    SerializationFailure,
    UniqueViolation,
)

from storage import errors
from storage.errors import Unusable

Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST_SERVER = 140_000
DEFAULTS: dict[str, Any] = {
    "application_name": "rollcall",
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A server that vanished is noticed within about ten seconds; the address may say otherwise."""
LIMITS = (
    "SET lock_timeout = '2s'; SET statement_timeout = '30s';SET idle_in_transaction_session_timeout = '10s'"
)
SETTLED_WITHIN = 3.0
"""Seconds for the few statements with which a connection begins."""
WRONG_OPTION = re.compile(r'parameter: "(\w+)"|option "(\w+)"|invalid (\w+) value:|bad value for (\w+)')
"""How libpq and psycopg name an option of the address that they can't use."""


class Cutter:
    """Ends a connection that another thread is waiting on, which closing it can't do safely."""

    def __init__(self, connection: Connection) -> None:
        """A second descriptor of the socket: it stays valid when the connection is closed meanwhile."""
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))

    def cut(self) -> None:
        """Whoever waits on the connection gets an OperationalError at once."""
        with suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()


@contextmanager
def cut_off_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Statements within it end after so long, whatever the server does."""
    cutter = Cutter(connection)
    timer = threading.Timer(seconds, cutter.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        cutter.close()


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Statements within it are sent without waiting for the answer to the one before, so that a server
    some way off costs a round trip for each answer that is read and not for each statement.

    Raises the first error, at the latest when it ends; what was sent after that one has not been run.
    """
    first: BaseException | None = None
    try:
        with connection.pipeline():
            try:
                yield
            except BaseException as error:
                first = error
    except psycopg.Error as error:
        # After an error, those behind it are each answered with one of their own.
        raise (first or error) from (first or error).__cause__
    if first is not None:
        raise first


def connect(conninfo: str, *, autocommit: bool = True) -> Connection:
    """A connection with our limits.

    Raises Unavailable when the server doesn't answer, and Unusable when the address has an option it
    can't have, or the server is too old or would lose what it has confirmed.
    """
    try:
        parameters = {**DEFAULTS, **conninfo_to_dict(conninfo)}
        connection = psycopg.connect(**parameters, autocommit=True)
    except psycopg.Error as error:
        refuse_wrong_option(error, conninfo)
        raise errors.unreachable() from error
    try:
        with cut_off_after(connection, SETTLED_WITHIN):
            connection.execute(LIMITS)
            record = connection.execute("SELECT current_setting('synchronous_commit')").fetchone()
        if record is not None and record[0] == "off":
            raise Unusable(
                "PostgreSQL is set to synchronous_commit = off, with which a crash loses what it had "
                "confirmed. Set it to on for Rollcall: ALTER DATABASE … SET synchronous_commit = on"
            )
        if connection.info.server_version < OLDEST_SERVER:
            raise Unusable("Rollcall needs PostgreSQL 14 or newer; upgrade the server.")
        connection.autocommit = autocommit
    except BaseException as error:
        connection.close()
        raise told(error) from error.__cause__
    return connection


def refuse_wrong_option(error: psycopg.Error, conninfo: str) -> None:
    """Raises Unusable when it is the address that is at fault. Names the option, never shows a value."""
    found = WRONG_OPTION.search(str(error))
    if found is None and not isinstance(error, psycopg.ProgrammingError):
        return
    # An @ behind the question mark: a password that was not percent-encoded may have been cut there.
    told_apart = "@" not in conninfo.partition("?")[2].replace("%40", "@")
    name = next(filter(None, found.groups())) if found and told_apart else None
    at_fault = f"an option that PostgreSQL can't use: {name}" if name else "something PostgreSQL can't use"
    raise Unusable(
        f"database.url has {at_fault}. Correct it or leave it out; with an option it looks like "
        "postgresql://rollcall@localhost/rollcall?sslmode=require. A ?, @ or / in a password is written "
        "%3F, %40 or %2F.",
        field="database.url",
    ) from None


def ask(conninfo: str, table: str, query: str) -> Any:
    """The first value of a query's answer; None when the table isn't there."""
    with connect(conninfo) as connection:
        exists = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
        record = connection.execute(query.encode()).fetchone() if exists and exists[0] else None
    return None if record is None else record[0]


def told(error: BaseException) -> BaseException:
    """The error as the caller of an operation hears it."""
    if not isinstance(error, psycopg.Error):
        return error
    refusal: BaseException
    if isinstance(error, UniqueViolation):
        refusal = errors.taken()
    elif isinstance(error, LockNotAvailable | DeadlockDetected | SerializationFailure):
        refusal = errors.locked()
    elif isinstance(error, DiskFull):
        refusal = errors.full()
    elif isinstance(error, ReadOnlySqlTransaction):
        refusal = errors.read_only()
    elif isinstance(error, psycopg.OperationalError):
        refusal = errors.unreachable()
    else:
        return error
    refusal.__cause__ = error
    return refusal
