"""The SQLite store: one writer thread that commits whatever is waiting at once, and readers beside it.

Waiting for the disk is what a durable commit costs, and it costs the same for one operation as for a
hundred. Each operation runs in its own savepoint, so what one of them raises undoes it alone.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from bot.ports import Transaction
from storage import errors
from storage.job import Job, answer
from storage.sql import Engine, Sql
from storage.sqlite import (
    BUSY_MILLISECONDS,
    Durability,
    code,
    connect,
    connect_reader,
    is_fatal,
    read,
    told,
    told_in_read,
)
from storage.transaction import Rows

T = TypeVar("T")
log = logging.getLogger("rollcall.storage")

MOST_AT_ONCE = 256
"""Operations in one commit: some ten milliseconds, so that nobody's answer waits for a crowd."""
READERS = 2
READERS_WITHIN, WRITER_WITHIN = 0.6, 2.4
"""Seconds that closing waits; the writer's suffice to refuse those who wait for a locked database."""
BUSY_TRIES = 10
"""How often a batch asks for a locked database, a tenth of the patience each time, so that operations
that come while others wait are refused after their own two seconds and not after somebody else's."""


class SqliteStore:
    """Implements `bot.ports.Store` on a file."""

    def __init__(self, path: str, durability: Durability) -> None:
        """Opens the file and starts the threads; it is in order and of this program's schema."""
        self._path = path
        self._durability: Durability = durability
        self._writes: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._reads: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._closed = False
        self._connection = self._connect()
        readers = [connect_reader(path) for _ in range(READERS)]
        self._threads = [
            threading.Thread(
                target=self._serve_reads, args=(reader,), name=f"rollcall-read-{number}", daemon=True
            )
            for number, reader in enumerate(readers)
        ]
        self._threads.append(threading.Thread(target=self._serve_writes, name="rollcall-write", daemon=True))
        for thread in self._threads:
            thread.start()

    def _connect(self) -> sqlite3.Connection:
        return connect(self._path, self._durability, busy_milliseconds=BUSY_MILLISECONDS // BUSY_TRIES)

    async def write(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`. When the caller is cancelled, the operation is either withdrawn or
        its commit is awaited first; in both cases nothing happens after the CancelledError."""
        return await self._ask(self._writes, operation)

    async def read(self, operation: Callable[[Transaction], T]) -> T:
        """See `bot.ports.Store`."""
        return await self._ask(self._reads, operation)

    async def _ask(self, queue: SimpleQueue[Job[Any] | None], operation: Callable[[Transaction], T]) -> T:
        if self._closed:
            raise errors.closed()
        job = Job(operation)
        queue.put(job)
        return await job.outcome()

    async def close(self) -> None:
        """See `bot.ports.Store`. The writer goes last, so that it is the one that checkpoints. A disk
        that hangs is not waited for: the threads end with the program, which harms no database."""
        if self._closed:
            return
        self._closed = True
        readers, writer = self._threads[:-1], self._threads[-1]
        for _ in readers:
            self._reads.put(None)
        for reader in readers:
            await asyncio.to_thread(reader.join, READERS_WITHIN / READERS)
        self._writes.put(None)
        await asyncio.to_thread(writer.join, WRITER_WITHIN)
        if any(thread.is_alive() for thread in self._threads):
            log.warning("the database did not end what was under way in time; it is left as it is")

    # --- the reading threads ---

    def _serve_reads(self, connection: sqlite3.Connection) -> None:
        while (job := self._reads.get()) is not None:
            if not job.begin():
                continue
            try:
                job.result = read(connection, job.operation)
            except BaseException as error:
                job.error = told_in_read(error)
            answer([job])
        connection.close()

    # --- the writing thread ---

    def _serve_writes(self) -> None:
        waiting: list[Job[Any]] = []
        open_for_more = True
        while open_for_more or waiting:
            if open_for_more:
                open_for_more = self._collect(waiting)
            if waiting:
                waiting = self._commit(waiting)
        self._connection.close()

    def _collect(self, waiting: list[Job[Any]]) -> bool:
        """Add whoever is in the queue; sleep only when nobody waits. False: the store is closing."""
        try:
            while len(waiting) < MOST_AT_ONCE:
                job = self._writes.get_nowait() if waiting else self._writes.get()
                if job is None:
                    return False
                waiting.append(job)
        except Empty:
            pass
        return True

    def _commit(self, batch: list[Job[Any]]) -> list[Job[Any]]:
        """Run them all and commit once. Answers those who still wait for another process."""
        try:
            self._begin()
        except sqlite3.Error as error:
            if code(error) == sqlite3.SQLITE_BUSY:
                return self._wait_longer(batch)
            self._refuse([job for job in batch if job.begin()], error)
            return []
        begun = [job for job in batch if job.begin()]
        try:
            for job in begun:
                self._run(job)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._refuse(begun, error)
        else:
            answer(begun)
        return []

    def _begin(self) -> None:
        """A transaction that holds the write lock; what a failed one may have left is undone first."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._connection.execute("BEGIN IMMEDIATE")

    def _run(self, job: Job[Any]) -> None:
        """One operation in its savepoint. Raises only what makes the whole batch impossible."""
        cursor = self._connection.cursor()
        cursor.execute("SAVEPOINT operation")
        try:
            rows = Rows(Sql(cursor, Engine.SQLITE, writing=True))
            job.result = job.operation(rows)
            rows.ledger.flush()
        except BaseException as error:
            if is_fatal(error) or not self._connection.in_transaction:
                raise
            job.error = told(error)
            cursor.execute("ROLLBACK TO operation")
        cursor.execute("RELEASE operation")

    def _wait_longer(self, batch: Sequence[Job[Any]]) -> list[Job[Any]]:
        """Another process holds the lock: refuse those who have waited long enough."""
        patient, refused = [], []
        for job in batch:
            job.refusals += 1
            if job.refusals < BUSY_TRIES:
                patient.append(job)
            elif job.begin():
                job.error = errors.locked()
                refused.append(job)
        answer(refused)
        return patient

    def _refuse(self, batch: Sequence[Job[Any]], error: BaseException) -> None:
        """The database could not keep them: none of them was kept."""
        log.error("a commit failed: %s", error, extra={"operations": len(batch)})
        for job in batch:
            if job.error is None:
                refusal = told(error) if is_fatal(error) else errors.failing()
                refusal.__cause__ = error
                job.error = refusal
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            log.exception("a failed transaction could not be rolled back; it is tried again before the next")
        answer(batch)
