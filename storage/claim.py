"""One running Rollcall a database: two would answer every command and post every summary twice.

Only `rollcall run` claims; keys, checks and backups work beside it. The claim ends with the process that
holds it, however that ends.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psycopg

from bot.domain.errors import RollcallError, Unavailable
from storage import address, errors
from storage.errors import Unusable
from storage.postgres_connection import Connection, connect, cut_off_after
from storage.sql import Engine

TAKE_WITHIN, TAKE_PAUSE = 2.0, 0.1
"""How long to try: a process that was just killed may not have been noticed yet."""
LOOK_EVERY = 3.0
"""Seconds between looks whether PostgreSQL still holds the lock for us."""
ANSWERS_WITHIN = 3.0
LOST_AFTER = 30.0
"""How long another may hold the lock, after our connection broke, before it counts as lost. A server
that did not see our old connection break keeps the lock for it for about 10 s (`NOTICED_SOON`)."""
NOTICED_SOON = (
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2;"
    "SET idle_session_timeout = 0"
)
"""So that the server lets the lock go within about 10 s when this machine vanishes."""
TAKE = "SELECT pg_try_advisory_lock(1380928620, hashtext(coalesce(current_schema(), '')))"
"""PostgreSQL's advisory lock of a running Rollcall, "Roll" in ASCII and the schema it works in."""


class Claim(Protocol):
    """What a running program holds."""

    def release(self) -> None:
        """Another may run on the database now."""
        ...


def claim(url: str, lost: Callable[[RollcallError], None]) -> Claim:
    """Takes the database for one running program, until it is released or the process ends.

    Raises Unusable when another has it, and Unavailable when the database doesn't answer. `lost` is
    called, from a thread, when another has taken it while PostgreSQL was away.
    """
    where = address.parse(url)
    if where.engine is Engine.POSTGRESQL:
        return PostgresClaim(where.conninfo, lost)
    return FileClaim(Path(where.path))


def taken_by_another(holder: str = "") -> Unusable:
    """The refusal to run beside another."""
    return Unusable(
        f"Another Rollcall{holder} is running on this database, so this one does not: both would answer "
        "every command and post every summary. Stop the other one, or give this one a database of its own "
        "(database.url).",
        field="database.url",
    )


class FileClaim:
    """SQLite: an exclusive lock on `<file>.lock`, which the system lets go when the process ends."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unusable(
                f"The file {path.name} beside the database can't be opened ({error.strerror}). See that "
                "Rollcall may write in that folder.",
                field="database.url",
            ) from error
        try:
            self._lock()
        except BaseException:
            os.close(self._descriptor)
            raise
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _lock(self) -> None:
        for left in reversed(range(int(TAKE_WITHIN / TAKE_PAUSE))):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if left == 0:
                    holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
                    raise taken_by_another(f" (process {holder})" if holder.isdigit() else "") from None
                time.sleep(TAKE_PAUSE)
            else:
                return

    def release(self) -> None:
        """See `Claim`. The file stays: who removed it might remove another's."""
        os.close(self._descriptor)


class PostgresClaim:
    """PostgreSQL: an advisory lock of a connection that does nothing else, taken again when it broke."""

    def __init__(self, conninfo: str, lost: Callable[[RollcallError], None]) -> None:
        self._conninfo = conninfo
        self._lost = lost
        self._released = threading.Event()
        self._connection: Connection | None = None
        self._held = False
        """This connection took the lock; asking for it again would only count it twice."""
        for left in reversed(range(int(TAKE_WITHIN / TAKE_PAUSE))):
            if self._take():
                break
            if left == 0:
                self._drop()
                raise taken_by_another()
            time.sleep(TAKE_PAUSE)
        self._thread = threading.Thread(target=self._keep, name="rollcall-claim", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """See `Claim`. A server that says nothing lets go when it finds this connection gone."""
        self._released.set()
        self._thread.join(1.0)

    def _take(self) -> bool:
        """Whether we have it. Raises Unavailable when the server doesn't answer."""
        if self._connection is None:
            self._connection = connect(self._conninfo)
        try:
            with cut_off_after(self._connection, ANSWERS_WITHIN):
                self._connection.execute(NOTICED_SOON)
                record = self._connection.execute(TAKE).fetchone()
        except psycopg.OperationalError as error:
            self._drop()
            raise errors.silent() from error
        self._held = bool(record and record[0])
        return self._held

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._held = False

    def _keep(self) -> None:
        """Look now and then, and take it again; give up when another has it for long."""
        refused = 0.0
        while not self._released.wait(LOOK_EVERY):
            try:
                if self._still():
                    continue
                refused = 0.0 if self._take() else refused + LOOK_EVERY
            except Unavailable:
                continue
            if refused >= LOST_AFTER:
                self._lost(taken_by_another())
                break
        self._drop()

    def _still(self) -> bool:
        """Whether the connection that took it is alive. One that only waits for it is not."""
        if self._connection is None or not self._held:
            return False
        try:
            with cut_off_after(self._connection, ANSWERS_WITHIN):
                self._connection.execute("SELECT 1")
        except psycopg.Error:
            self._drop()
            return False
        return True
