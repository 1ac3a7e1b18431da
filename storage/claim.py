"""One running Rollcall a database: two would answer every command and post every summary twice.

`rollcall run` claims, and so does `rollcall db upgrade`; keys, checks and backups work beside it. The claim
ends with the process that holds it, however that ends.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bot.domain.errors import RollcallError
from storage import address, errors
from storage.address import MEMORY
from storage.errors import Unusable
from storage.sql import Engine

TRIES, PAUSE = 20, 0.1
"""How long to try: a process that was just killed may not have been noticed yet."""


class Claim(Protocol):
    """What a running program holds."""

    def tell(self, lost: Callable[[RollcallError], None]) -> None:
        """`lost` is called once, from any thread, when another has taken it while PostgreSQL was away, or
        when nobody can tell any more."""
        ...

    def release(self) -> None:
        """Another may run on the database now."""
        ...


def claim(url: str) -> Claim:
    """Takes the database for one running program, until it is released or the process ends.

    Raises Unusable when another has it, and Unavailable when the database doesn't answer.
    """
    where = address.parse(url)
    if where.engine is Engine.POSTGRESQL:
        from storage.postgres_claim import PostgresClaim

        return PostgresClaim(where.conninfo, TRIES, PAUSE)
    if where.path == MEMORY:
        raise address.outlived()
    return FileClaim(Path(where.path))


class FileClaim:
    """SQLite: an exclusive lock on `<file>.lock`, which the system lets go when the process ends."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unusable(
                f"The file {path.name} beside the database can't be opened ({error.strerror}). See that "
                "its folder exists and that Rollcall may write there.",
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
        for left in reversed(range(TRIES)):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if left == 0:
                    holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
                    raise errors.taken_by_another(
                        f" (process {holder})" if holder.isdigit() else ""
                    ) from None
                time.sleep(PAUSE)
            else:
                return

    def tell(self, lost: Callable[[RollcallError], None]) -> None:
        """See `Claim`. A lock on a file is never lost, so there is nobody to tell."""

    def release(self) -> None:
        """See `Claim`. The file stays: who removed it might remove another's."""
        os.close(self._descriptor)
