"""What `rollcall doctor` looks at in the database: reachable, writable, its version, who runs on it."""

import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bot.domain.errors import RollcallError
from bot.ports import Finding
from storage import address, schema
from storage.address import MEMORY
from storage.migrations import REVISIONS
from storage.sql import Engine
from storage.sqlite import code, connect_only_to_look

OLDEST_SQLITE = (3, 38, 0)
LEAST_SPACE = 100 * 1024 * 1024
"""Bytes: some weeks of a large team, and room for SQLite's log."""
WAL_MENDED = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""Where SQLite's WAL bug is mended: from the first on, and from the others on in their own series."""


def findings(url: str) -> Iterator[Finding]:
    """Each thing in turn; what stands on one that is broken is not looked at. Writes nothing."""
    try:
        where = address.parse(url)
    except RollcallError as problem:
        yield Finding("database", False, problem.sentence)
        return
    if where.engine is Engine.POSTGRESQL:
        yield from _postgres(url, where.conninfo)
        return
    if where.path == MEMORY:
        yield Finding("database", False, address.outlived().sentence)
        return
    yield _sqlite_version(sqlite3.sqlite_version_info)
    file = Path(where.path)
    yield from _writable(file)
    yield _space(file)
    if file.exists() and file.stat().st_size > 0:
        yield from _schema(url)
    yield _claim(file)


def _sqlite_version(version: tuple[int, int, int]) -> Finding:
    called = ".".join(map(str, version))
    if version < OLDEST_SQLITE:
        said = f"{called} is too old: Rollcall needs 3.38. Use a Python that brings a newer one"
        return Finding("SQLite", False, said)
    newest, *others = WAL_MENDED
    mended = version >= newest or any(version[:2] == one[:2] and version >= one for one in others)
    bug = (
        ""
        if mended
        else ", whose WAL bug needs two writers at once: Rollcall has one; let no other tool write"
    )
    return Finding("SQLite", True, called + bug)


def _writable(file: Path) -> Iterator[Finding]:
    folder = file.absolute().parent
    if not folder.is_dir():
        yield Finding("database", False, f"there is no folder {folder}. Make it: mkdir -p {folder}")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "database", False, f"Rollcall may not write in {folder}, where SQLite keeps three files."
        )
        return
    if not file.exists():
        yield Finding("database", True, f"{file.name} is not there yet; the first start makes it")
        return
    if not os.access(file, os.R_OK | os.W_OK):
        yield Finding(
            "database", False, f"Rollcall may not read and write {file}. Give the file to its user."
        )
        return
    try:
        with closing(connect_only_to_look(str(file))) as look:
            look.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        busy = code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        repair = (
            "another program holds it locked; close the database tool that has it open"
            if busy
            else f'it can\'t be read ({type(error).__name__}). What to do: docs/operations.md, "damaged"'
        )
        yield Finding("database", False, f"{file.name}: {repair}")
        return
    yield Finding("database", True, f"{file.name} can be read and written")


def _space(file: Path) -> Finding:
    folder = file.absolute().parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        return Finding("disk space", False, f"{folder}: {problem.strerror}. See that the disk is there.")
    shown = f"{free / 1e9:.1f} GB free"
    if free < LEAST_SPACE:
        return Finding(
            "disk space", False, f"only {free / 1e6:.0f} MB free in {folder}. Free some space there."
        )
    return Finding("disk space", True, shown)


def _schema(url: str) -> Iterator[Finding]:
    try:
        found = schema.current_revision(url)
    except RollcallError as problem:
        yield Finding("schema", False, problem.sentence)
        return
    if found is None:
        yield Finding("schema", True, "none yet; the first start makes it")
    elif found == schema.NEWEST:
        yield Finding("schema", True, found)
    elif found in REVISIONS:
        said = f"it is at {found}, this program at {schema.NEWEST}. Back up, then run: rollcall db upgrade"
        yield Finding("schema", False, said)
    else:
        try:
            schema.refuse_unfit(url)
        except RollcallError as problem:
            yield Finding("schema", False, problem.sentence)


def _claim(file: Path) -> Finding:
    """Who runs: whoever holds the lock. It is looked at by taking it for a moment, as nothing else tells."""
    lock = file.with_name(file.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno == errno.ENOENT:
            return Finding("running", True, "no Rollcall runs on this database")
        return Finding(
            "running", False, f"{lock.name} can't be opened ({problem.strerror}). Give it to Rollcall."
        )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        who = f" (process {holder})" if holder.isdigit() else ""
        return Finding("running", True, f"a Rollcall runs on this database{who}")
    finally:
        os.close(descriptor)
    return Finding("running", True, "no Rollcall runs on this database")


def _postgres(url: str, conninfo: str) -> Iterator[Finding]:
    try:
        from storage.postgres_claim import TAKE
        from storage.postgres_connection import connect
    except ImportError:
        yield Finding(
            "database", False, "PostgreSQL's driver is missing. Run: pip install 'rollcall[postgres]'"
        )
        return
    try:
        server = connect(conninfo)
    except RollcallError as problem:  # also: too old, synchronous_commit = off
        yield Finding("database", False, problem.sentence)
        return
    with closing(server):
        row = server.execute(
            "SELECT pg_backend_pid(), current_setting('transaction_read_only'),"
            " current_setting('synchronous_commit'), has_schema_privilege(current_schema(), 'CREATE')"
        ).fetchone()
        if row is None or row[3] is None:
            yield Finding(
                "database", False, "the database has no schema to work in. Run: CREATE SCHEMA public"
            )
            return
        process, only_read, commit, may_create = row
        if only_read == "on":
            yield Finding(
                "database", False, "it can only be read: it is a standby, or default_transaction_read_only"
            )
        elif not may_create:
            said = "its user may make no tables. Run: GRANT CREATE ON SCHEMA public TO that user"
            yield Finding("database", False, said)
        else:
            number = server.info.server_version
            said = f"PostgreSQL {number // 10000}.{number % 10000}, synchronous_commit = {commit}"
            yield Finding("database", True, said)
        pooled = process != server.info.backend_pid
        alone = "a pool stands before it: it must be in session mode (docs/operations.md)"
        yield Finding("connection", True, alone if pooled else "PostgreSQL itself, no pool before it")
        yield from _schema(url)
        taken = server.execute(TAKE.encode()).fetchone()
        free = taken is not None and bool(taken[0])
        yield Finding("running", True, f"{'no' if free else 'a'} Rollcall runs on this database")
