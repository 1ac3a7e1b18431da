"""The PostgreSQL store.

Operations run on a few threads, each with a connection of its own that it replaces when it breaks.
Facts that are read for a write are locked until it is over; events are written last, under one lock
for each organization, so that their positions follow the order of commits. A server that
says nothing is not waited for.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
from psycopg.errors import DeadlockDetected, ReadOnlySqlTransaction, SerializationFailure

from bot.domain.errors import RollcallError, Unavailable
from bot.ports import Transaction
from storage import errors
from storage.errors import WroteInRead
from storage.job import Job, answer
from storage.postgres_connection import Connection, Cutter, ask, connect, pipelined, told
from storage.sql import Engine, Sql
from storage.transaction import Rows

__all__ = ["PostgresStore", "ask", "connect"]

T = TypeVar("T")

THREADS = 8
"""Operations at once. More would only wait for the same locks."""
TRIES = 5
"""How often an operation is run anew after a deadlock or a broken connection."""
QUEUE_SECONDS = 2.0
"""How long an operation waits to be begun while nothing comes back from the server (design: after 2 s
the database counts as one that can't be written)."""
ANSWER_SECONDS = 5.0
"""How long anybody waits for an answer in all; more than two waits for a lock, of 2 s each."""
CLOSE_SECONDS = 2.0
"""How long closing waits for what is under way; then connections are cut, and at most 0.5 s more."""
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


class Worker:
    """One thread's connection, opened when it is needed and again when it broke."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._name = uuid4().hex
        self._connection: Connection | None = None
        self._cutter: Cutter | None = None
        self._job: Job[Any] | None = None
        self._lock = threading.Lock()
        """Held while it changes what it is at, so that nobody cuts the wrong thing off."""

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._cutter is not None:
                self._cutter.close()
                self._cutter = None
        if self._connection is not None:
            self._connection.close()

    def serve(self, job: Job[Any], run: "Run") -> None:
        """Run a job to its end, in this worker's thread."""
        with self._lock:
            self._job = job
        try:
            if job.begin():
                job.result = run(self, job)
        except BaseException as error:
            job.error = told(error)
        finally:
            with self._lock:
                self._job = None

    def cut(self, job: Job[Any]) -> None:
        """From another thread: nobody waits for this job any more, so neither does this worker."""
        with self._lock:
            if self._job is job and self._cutter is not None:
                self._cutter.cut()

    def _open(self, job: Job[Any] | None = None) -> Connection:
        """The connection. Raises Unavailable too when the job has been given up meanwhile."""
        if self._connection is None or self._connection.closed:
            self.close()
            self._connection = connect(self._conninfo)
            with self._lock:
                self._cutter = Cutter(self._connection)
        if job is not None and job.given_up is not None:
            raise errors.silent()
        return self._connection

    def write(self, job: Job[T]) -> T:
        """Runs it until it commits, is refused, or can't be run. It may run several times, of which
        only the last is kept."""
        for left in reversed(range(TRIES)):
            connection = self._open(job)
            token = uuid4().hex
            try:
                result = self._prepare(connection, job.operation, token)
            except psycopg.Error as error:
                again = connection.closed or isinstance(error, DeadlockDetected | SerializationFailure)
                if not again or left == 0:
                    raise
                continue
            if not job.may_commit():
                _undo(connection)
                raise errors.silent()
            try:
                connection.execute("COMMIT")
            except psycopg.Error as error:
                if not connection.closed:
                    raise
                if self._was_kept(job, token, error):
                    return result
                continue
            return result
        raise errors.unreachable()

    def _prepare(self, connection: Connection, operation: Callable[[Transaction], T], token: str) -> T:
        """Everything up to the commit; undone where it fails."""
        cursor = connection.cursor()
        sql = Sql(cursor, Engine.POSTGRESQL, writing=True)
        rows = Rows(sql)
        try:
            with pipelined(connection):
                cursor.execute("BEGIN")
                result = operation(rows)
                cursor.execute(MARK, (self._name, token))
                for organization_id in sorted({event.organization_id for event in rows.ledger.owed}):
                    cursor.execute(LOCK_EVENTS, (organization_id,))
                rows.ledger.flush()
            sql.refuse_unmet()
        except BaseException as error:
            _undo(connection)
            if isinstance(error, psycopg.IntegrityError):
                sql.refuse_unmet()  # what was written on a row that is not as it was broke another rule
            raise
        return result

    def _was_kept(self, job: Job[T], token: str, error: psycopg.Error) -> bool:
        """Whether a commit whose connection broke took place. Raises Unavailable when nobody can say."""
        for _ in range(DECIDED_TRIES):
            if job.given_up is not None:
                break
            try:
                # FOR UPDATE waits for the old connection's transaction, if the server still runs it.
                record = self._open(job).execute(MARKED, (self._name,)).fetchone()
            except (psycopg.Error, Unavailable):
                time.sleep(DECIDED_PAUSE)
            else:
                return record is not None and record[0] == token
        raise errors.undecided() from error

    def read(self, job: Job[T]) -> T:
        """Runs it on a consistent snapshot."""
        for left in reversed(range(TRIES)):
            connection = self._open(job)
            cursor = connection.cursor()
            try:
                with pipelined(connection):
                    cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    return job.operation(Rows(Sql(cursor, Engine.POSTGRESQL, writing=False)))
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


Run = Callable[[Worker, Job[Any]], Any]


class PostgresStore:
    """Implements `bot.ports.Store`."""

    def __init__(self, conninfo: str) -> None:
        """The database is there and of this program's schema. Raises as `connect` does."""
        self._closed = False
        self._waiting: SimpleQueue[tuple[Job[Any], Run] | None] = SimpleQueue()
        self._jobs: set[Job[Any]] = set()
        """Those whose callers wait; only the event loop touches it."""
        self._heard_at = 0.0
        """When the server last brought anything to an end, by the event loop's clock."""
        self._conninfo = conninfo
        self._workers: list[Worker] = []
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        first = Worker(conninfo)
        try:
            first.forget_marks()
        finally:
            first.close()

    async def write(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`. When the caller is cancelled, the operation is either withdrawn or
        its outcome is awaited first, for at most `ANSWER_SECONDS`."""
        return await self._ask(operation, Worker.write, errors.late)

    async def read(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`."""
        return await self._ask(operation, Worker.read, errors.silent)

    async def _ask(
        self, operation: Callable[[Transaction], T], run: Run, in_doubt: Callable[[], RollcallError]
    ) -> T:
        if self._closed:
            raise errors.closed()
        loop = asyncio.get_running_loop()
        job = Job(operation)
        self._jobs.add(job)
        self._waiting.put((job, run))
        if not self._idle.acquire(blocking=False) and len(self._threads) < THREADS:
            self._one_more()
        asked_at = loop.time()
        timers = [
            loop.call_later(QUEUE_SECONDS, self._withdraw, job, asked_at),
            loop.call_later(ANSWER_SECONDS, self._give_up, job, in_doubt),
        ]
        try:
            return await job.outcome()
        finally:
            self._jobs.discard(job)
            if job.answered:
                self._heard_at = loop.time()
            for timer in timers:
                timer.cancel()

    def _withdraw(self, job: Job[Any], asked_at: float) -> None:
        """Nobody began it. Where others were answered meanwhile, there is only a crowd before it."""
        if self._heard_at < asked_at:
            job.withdraw(errors.silent())

    def _give_up(self, job: Job[Any], in_doubt: Callable[[], RollcallError]) -> None:
        if job.withdraw(errors.silent()) or job.give_up(errors.silent(), in_doubt()):
            for worker in self._workers:
                worker.cut(job)

    def _one_more(self) -> None:
        """Another thread, a daemon: a server that says nothing must not keep the program from leaving."""
        worker = Worker(self._conninfo)
        name = f"rollcall-postgres-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, args=(worker,), name=name, daemon=True)
        self._workers.append(worker)
        self._threads.append(thread)
        thread.start()

    def _serve(self, worker: Worker) -> None:
        while (asked := self._waiting.get()) is not None:
            job, run = asked
            worker.serve(job, run)
            self._idle.release()
            answer([job])
        worker.close()

    async def close(self) -> None:
        """See `bot.ports.Store`. What the server does not bring to an end in time is given up."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        if not await self._ended(CLOSE_SECONDS):
            for job in list(self._jobs):
                self._give_up(job, errors.late)
            await self._ended(0.5)

    async def _ended(self, seconds: float) -> bool:
        """Waits for the threads, so long at most. Answers whether they have ended."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while any(thread.is_alive() for thread in self._threads):
            if loop.time() >= until:
                return False
            await asyncio.sleep(0.01)
        return True
