"""PostgreSQL's side of `claim.py`: the lock, and the connection that keeps it."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import psycopg

from bot.domain.errors import RollcallError, Unavailable
from storage import errors
from storage.postgres_connection import Connection, connect, cut_off_after

log = logging.getLogger("rollcall.storage")
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
WHO = "pg_backend_pid()"
"""The server's process that answers; the lock is its own."""
TAKE = f"SELECT pg_try_advisory_lock(1380928620, hashtext(coalesce(current_schema(), ''))), {WHO}"
"""PostgreSQL's advisory lock of a running Rollcall, "Roll" in ASCII and the schema it works in."""


class PostgresClaim:
    """PostgreSQL: an advisory lock of a connection that does nothing else, taken again when it broke."""

    def __init__(self, conninfo: str, tries: int, pause: float) -> None:
        """Tries so often, with so many seconds between. Raises as `claim` does."""
        self._conninfo = conninfo
        self._told: Future[RollcallError] = Future()
        self._released = threading.Event()
        self._connection: Connection | None = None
        self._process = 0
        """The server's process that took the lock."""
        self._held = False
        """This connection took the lock; asking for it again would only count it twice."""
        for left in reversed(range(tries)):
            if self._take():
                break
            if left == 0:
                self._drop()
                raise errors.taken_by_another()
            time.sleep(pause)
        self._thread = threading.Thread(target=self._keep, name="rollcall-claim", daemon=True)
        self._thread.start()

    def tell(self, lost: Callable[[RollcallError], None]) -> None:
        """See `Claim`. At once, if it is lost already."""
        self._told.add_done_callback(lambda told: lost(told.result()))

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
                record = self._connection.execute(TAKE.encode()).fetchone()
        except psycopg.OperationalError as error:
            self._drop()
            raise errors.silent() from error
        if record is not None:
            self._held, self._process = record
        return self._held

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._held = False

    def _keep(self) -> None:
        """Until it is released or lost; whatever ends the looking before is a loss, and is told."""
        try:
            lost = self._look()
        except RollcallError as refusal:
            lost = refusal
        except Exception:
            log.exception("nobody looks any more whether this Rollcall still has its database")
            lost = errors.unwatched()
        if lost is not None:
            self._told.set_result(lost)
            self._released.wait()  # whoever is told leaves first; then another may have it
        self._drop()

    def _look(self) -> RollcallError | None:
        """Look now and then, and take it again. Answers when it is released (None), or when another has
        had it for long. Raises whatever else makes it impossible to have it."""
        refused = 0.0
        while not self._released.wait(LOOK_EVERY):
            try:
                if self._still():
                    continue
                refused = 0.0 if self._take() else refused + LOOK_EVERY
            except Unavailable:
                continue
            if refused >= LOST_AFTER:
                return errors.taken_by_another()
        return None

    def _still(self) -> bool:
        """Whether the connection that took it is alive. One that only waits for it is not.

        Raises Unusable when it leads to another process of the server than the one that took it.
        """
        if self._connection is None or not self._held:
            return False
        try:
            with cut_off_after(self._connection, ANSWERS_WITHIN):
                record = self._connection.execute(f"SELECT {WHO}".encode()).fetchone()
        except psycopg.Error:
            self._drop()
            return False
        if record is not None and record[0] != self._process:
            raise errors.pooled()
        return True
