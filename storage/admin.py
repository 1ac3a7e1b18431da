"""What an operator does to a database: check it, back it up, restore it."""

import os
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import NullPool, create_engine

from bot.ports import RESTORED_FROM
from storage import address, schema
from storage.check import check
from storage.errors import Unusable, full
from storage.migrations import REVISIONS
from storage.sql import Engine
from storage.sqlite import code, connect_only_to_look, refuse_damaged

__all__ = ["backup", "check", "restore"]


def backup(url: str, target: Path) -> None:
    """Copies a SQLite database to a new file while it is in use, and verifies the copy.

    Raises Unusable when the target is there already or can't be written, and for PostgreSQL, whose own
    tool does this; the sentence has the command.
    """
    where = address.parse(url)
    if where.engine is Engine.POSTGRESQL:
        command = f"pg_dump --format=custom --file={shlex.quote(str(target))} {shlex.quote(where.shown)}"
        raise Unusable(f"PostgreSQL is backed up with its own tool. Run: {command}")
    schema.refuse_unfit(url)
    if target.exists():
        raise Unusable(f"{target} is there already and was left as it is. Choose another name.")
    partial = target.with_name(target.name + ".partial")
    try:
        _copy(where.path, partial)
        os.link(partial, target)  # unlike a rename it never replaces a file made meanwhile
        partial.unlink()
        _sync_folder(target)
    finally:
        partial.unlink(missing_ok=True)


def restore(source: Path, url: str, force: bool = False) -> None:
    """Puts a backup in the place of the SQLite database, which nobody may have open, and notes that it
    was restored. What was there is kept beside it, named `….replaced`.

    Raises Unusable when the backup is damaged or newer than this program, when a database is there
    and `force` is not given, and for PostgreSQL.
    """
    where = address.parse(url)
    if where.engine is Engine.POSTGRESQL:
        command = (
            f"pg_restore --clean --if-exists --dbname={shlex.quote(where.shown)} {shlex.quote(str(source))}"
        )
        raise Unusable(f"PostgreSQL is restored with its own tool. Stop Rollcall, then run: {command}")
    if not source.exists():
        raise Unusable(f"There is no file {source}.")
    refuse_damaged(str(source))
    _refuse_strange(source)
    target = Path(where.path)
    occupied = target.exists() and target.stat().st_size > 0
    if occupied and not force:
        raise Unusable(
            f"{target} holds a database already, and nothing was changed. To replace it (it is kept as "
            f"{target.name}.replaced), add --force."
        )
    partial = target.with_name(target.name + ".partial")
    try:
        _copy(str(source), partial)
        _note_restored(partial, source.name)
        if occupied:
            _set_aside(target)
        partial.replace(target)
        _sync_folder(target)
    finally:
        partial.unlink(missing_ok=True)


def _refuse_strange(source: Path) -> None:
    """Only a Rollcall's database that this program knows is restored."""
    found = schema.current_revision(address.of_file(source))
    if found is None:
        raise Unusable(f"{source} is not a backup of Rollcall's, so nothing was changed.")
    if found not in REVISIONS:
        schema.refuse_unfit(address.of_file(source))


def _copy(source: str, target: Path) -> None:
    """One consistent copy, readable by its owner only, whole and on the disk when this returns."""
    target.unlink(missing_ok=True)
    address.make_file(str(target))
    try:
        with closing(connect_only_to_look(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        if code(error) == sqlite3.SQLITE_FULL:
            raise full() from error
        raise Unusable(f"{source} could not be copied to {target}: {error}.") from error
    refuse_damaged(str(target))
    _sync(target)


def _note_restored(file: Path, name: str) -> None:
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(file), poolclass=NullPool)
    with engine.begin() as connection:
        schema.remember(connection, RESTORED_FROM, name)
    _sync(file)


def _set_aside(target: Path) -> None:
    """Keep what is replaced, and see that nobody uses it and that no journal of it is left."""
    try:
        with closing(sqlite3.connect(target, timeout=0)) as old:
            # Leaving WAL takes the file alone, and so fails while any other program has it open.
            old.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if code(error) == sqlite3.SQLITE_BUSY:
            raise Unusable(
                f"Another program has {target.name} open, and nothing was changed. Stop Rollcall first."
            ) from error
        # It is damaged; its journals would be taken for the new file's.
    replaced = target.with_name(target.name + ".replaced")
    for end in ("-wal", "-shm", "-journal"):
        left = target.with_name(target.name + end)
        if left.exists():
            left.replace(replaced.with_name(replaced.name + end))
    replaced.unlink(missing_ok=True)
    os.link(target, replaced)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(file: Path) -> None:
    _sync(file.absolute().parent)
