"""PostgreSQL: connections, what their errors mean, and the store.

Operations run on a few threads, each with a connection of its own that it replaces when it breaks.
Facts that are read for a write are locked until it is over; events are written last, under one lock
for each organization, so that their positions follow the order of commits.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import uuid4

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

from bot.domain.errors import Unavailable
from bot.ports import Transaction
from storage import errors
from storage.errors import Unusable, WroteInRead
from storage.job import Job, answer
from storage.sql import Engine, Sql
from storage.transaction import Rows

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

THREADS = 8
"""Operations at once. More would only wait for the same locks."""
TRIES = 5
"""How often an operation is run anew after a deadlock or a broken connection."""
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
DECIDED_TRIES, DECIDED_PAUSE = 15, 0.2
"""How long to look for the outcome of a commit whose connection broke: 3 s."""
MARK = (
    "INSERT INTO commit_mark VALUES (%s, %s, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
    " ON CONFLICT (worker) DO UPDATE SET token = excluded.token, marked_at = excluded.marked_at"
)
MARKED = "SELECT token FROM commit_mark WHERE worker = %s FOR UPDATE"
FORGET_MARKS = (
    "DELETE FROM commit_mark WHERE marked_at < (extract(epoch FROM clock_timestamp()) - 86400) * 1000000"
)
LOCK_EVENTS = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def connect(conninfo: str, *, autocommit: bool = True) -> Connection:
    """A connection with our limits.

    Raises Unavailable when the server doesn't answer, and Unusable when it is too old or would lose
    what it has confirmed.
    """
    try:
        parameters = {**DEFAULTS, **conninfo_to_dict(conninfo)}
        connection = psycopg.connect(**parameters, autocommit=True)
    except psycopg.OperationalError as error:
        raise errors.unreachable() from error
    try:
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


class Worker:
    """One thread's connection, opened when it is needed and again when it broke."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._name = uuid4().hex
        self._connection: Connection | None = None

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._conninfo)
        return self._connection

    def write(self, operation: Callable[[Transaction], T]) -> T:
        """Runs it until it commits, is refused, or can't be run. It may run several times, of which
        only the last is kept."""
        for left in reversed(range(TRIES)):
            connection = self._open()
            token = uuid4().hex
            try:
                result = self._prepare(connection, operation, token)
            except psycopg.Error as error:
                again = connection.closed or isinstance(error, DeadlockDetected | SerializationFailure)
                if not again or left == 0:
                    raise
                continue
            try:
                connection.execute("COMMIT")
            except psycopg.Error as error:
                if not connection.closed:
                    raise
                if self._was_kept(token, error):
                    return result
                continue
            return result
        raise errors.unreachable()

    def _prepare(self, connection: Connection, operation: Callable[[Transaction], T], token: str) -> T:
        """Everything up to the commit; undone where it fails."""
        cursor = connection.cursor()
        try:
            cursor.execute("BEGIN")
            rows = Rows(Sql(cursor, Engine.POSTGRESQL, writing=True))
            result = operation(rows)
            cursor.execute(MARK, (self._name, token))
            for organization_id in sorted({event.organization_id for event in rows.ledger.owed}):
                cursor.execute(LOCK_EVENTS, (organization_id,))
            rows.ledger.flush()
        except BaseException:
            _undo(connection)
            raise
        return result

    def _was_kept(self, token: str, error: psycopg.Error) -> bool:
        """Whether a commit whose connection broke took place. Raises Unavailable when nobody can say."""
        for _ in range(DECIDED_TRIES):
            try:
                # FOR UPDATE waits for the old connection's transaction, if the server still runs it.
                record = self._open().execute(MARKED, (self._name,)).fetchone()
            except (psycopg.Error, Unavailable):
                time.sleep(DECIDED_PAUSE)
            else:
                return record is not None and record[0] == token
        raise errors.undecided() from error

    def read(self, operation: Callable[[Transaction], T]) -> T:
        """Runs it on a consistent snapshot."""
        for left in reversed(range(TRIES)):
            connection = self._open()
            cursor = connection.cursor()
            try:
                cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return operation(Rows(Sql(cursor, Engine.POSTGRESQL, writing=False)))
            except ReadOnlySqlTransaction as error:
                mistake = "an operation given to Store.read tried to write; give it to Store.write"
                raise WroteInRead(mistake) from error
            except psycopg.Error:
                if not connection.closed or left == 0:
                    raise
            finally:
                _undo(connection)
        raise errors.unreachable()

    def forget_marks(self) -> None:
        """Those of threads that ended over a day ago."""
        self._open().execute(FORGET_MARKS)


def _undo(connection: Connection) -> None:
    try:
        if not connection.closed:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()  # whatever it had begun, the server undoes it


class PostgresStore:
    """Implements `bot.ports.Store`."""

    def __init__(self, conninfo: str) -> None:
        """The database is there and of this program's schema. Raises as `connect` does."""
        self._conninfo = conninfo
        self._closed = False
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rollcall-postgres")
        self._local = threading.local()
        self._workers: list[Worker] = []
        first = Worker(conninfo)
        first.forget_marks()
        first.close()

    async def write(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`. When the caller is cancelled, the operation is either withdrawn or
        its commit is awaited first; in both cases nothing happens after the CancelledError."""
        return await self._ask(operation, Worker.write)

    async def read(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`."""
        return await self._ask(operation, Worker.read)

    async def _ask(
        self, operation: Callable[[Transaction], T], run: Callable[[Worker, Callable[[Transaction], T]], T]
    ) -> T:
        if self._closed:
            raise errors.closed()
        job = Job(operation)
        self._threads.submit(self._serve, job, run)
        return await job.outcome()

    def _serve(self, job: Job[Any], run: Callable[[Worker, Any], Any]) -> None:
        if not job.begin():
            return
        try:
            job.result = run(self._worker(), job.operation)
        except BaseException as error:
            job.error = told(error)
        answer([job])

    def _worker(self) -> Worker:
        """This thread's own."""
        worker: Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = Worker(self._conninfo)
            self._workers.append(worker)
        return worker

    async def close(self) -> None:
        """See `bot.ports.Store`."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        for worker in self._workers:
            worker.close()
