"""The schema of a database: which revision it has, whether that fits this program, bringing it there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnClause, NullPool, create_engine, delete, func, insert, literal_column, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from storage import address, errors, tables
from storage.address import Address
from storage.errors import Unusable
from storage.migrations import REVISIONS
from storage.sql import Engine
from storage.sqlite import code, connect, connect_only_to_look, is_fatal, refuse_damaged, told

NEWEST = REVISIONS[-1]
"""The revision this program works on."""
UPGRADED_BY = "upgraded_by"
"""The setting of the database itself that says which Rollcall brought it to its schema."""
NOW = {
    Engine.SQLITE: "unixepoch() * 1000000",
    Engine.POSTGRESQL: "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
}
"""The database's own clock, for what it notes about itself."""
PATIENCE = (
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL lock_timeout = '10s'"
)
"""PostgreSQL: a step may take as long as its tables are large. Who holds a table is not waited for that
long, because everybody else would wait behind the upgrade."""
UPGRADE_LOCK = 0x526F6C6C
"""PostgreSQL's advisory lock for upgrades: "Roll" in ASCII."""


def program_version() -> str:
    """This Rollcall's version, as far as it is installed."""
    try:
        return version("rollcall")
    except PackageNotFoundError:
        return "not installed"


def current_revision(url: str) -> str | None:
    """The revision of the schema, None while there is none. Writes nothing.

    Raises Unusable for a file that is no database, and Unavailable where there is no answer.
    """
    where = address.parse(url)
    found: str | None = _ask(where, "alembic_version", "SELECT version_num FROM alembic_version")
    return found


def refuse_unfit(url: str) -> None:
    """Raises Unusable when the schema is newer or older than this program, naming both versions."""
    found = current_revision(url)
    if found == NEWEST:
        return
    if found is None:
        raise Unusable("The database has no schema yet. Run: rollcall db upgrade")
    if found in REVISIONS:
        raise Unusable(
            f"The database has schema {found}, and this Rollcall ({program_version()}) works on schema "
            f"{NEWEST}. Make a backup, then run: rollcall db upgrade"
        )
    by = _ask(
        address.parse(url),
        "setting",
        f"SELECT value FROM setting WHERE organization_id = '' AND key = '{UPGRADED_BY}'",
    )
    raise Unusable(
        f"The database has schema {found}, made by a newer Rollcall ({by or 'which did not say'}); this "
        f"Rollcall ({program_version()}) knows schemas up to {NEWEST}. Nothing was changed. Start the newer "
        "Rollcall, or go back to a backup from before the upgrade: rollcall db restore"
    )


def ensure_schema(url: str) -> None:
    """Make the database, or bring it up to this program's revision; does nothing where it is there.

    Raises Unusable for a damaged file, and for a database newer than this program.
    """
    if current_revision(url) != NEWEST:
        upgrade(url)


def upgrade(url: str) -> None:
    """To this program's revision, in one transaction: killed half-way, nothing has happened.

    Raises Unusable as `ensure_schema` does, and Unavailable when another process holds the database.
    """
    if current_revision(url) not in (None, *REVISIONS):
        refuse_unfit(url)
    where = address.parse(url)
    if where.engine is Engine.SQLITE:
        address.make_file(where.path)
        refuse_damaged(where.path)
    with transaction(where) as connection:
        migrate(connection, NEWEST)
        remember(connection, UPGRADED_BY, program_version())


def remember(connection: Connection, key: str, value: str) -> None:
    """A setting of the database itself, dated by the database's clock."""
    mine = (tables.setting.c.organization_id == "") & (tables.setting.c["key"] == key)
    connection.execute(delete(tables.setting).where(mine))
    now: ColumnClause[int] = literal_column(NOW[Engine(connection.dialect.name)])
    values = {"organization_id": "", "key": key, "value": value, "updated_at": now}
    connection.execute(insert(tables.setting).values(values))


def downgrade(url: str, revision: str) -> None:
    """Back to an older revision, or to `base`, and all that newer ones kept is lost. For tests of steps."""
    with transaction(address.parse(url)) as connection:
        migrate(connection, revision)


def migrate(connection: Connection, revision: str) -> None:
    """Take Alembic's steps to a revision, up or down, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext

    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    found = MigrationContext.configure(connection).get_current_revision()
    if revision in REVISIONS and (found is None or found <= revision):
        command.upgrade(config, revision)
    else:
        command.downgrade(config, revision)


@contextmanager
def transaction(where: Address) -> Iterator[Connection]:
    """A connection of SQLAlchemy's in a transaction that keeps other upgrades out."""
    if where.engine is Engine.POSTGRESQL:
        from psycopg.errors import LockNotAvailable

        from storage.postgres import connect as connect_postgres
        from storage.postgres_connection import told as told_by_postgres

        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect_postgres(where.conninfo, autocommit=False),
            poolclass=NullPool,
        )
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(PATIENCE)
                connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
                yield connection
        except DBAPIError as error:
            if isinstance(error.orig, LockNotAvailable):
                raise errors.upgrade_locked() from error
            raise told_by_postgres(error.orig or error) from error
        return
    raw = connect(where.path, "full")
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=NullPool)
    try:
        # Foreign keys can only be switched off outside a transaction; rebuilding a table needs it.
        raw.execute("PRAGMA foreign_keys = OFF")
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise RuntimeError("a migration left rows whose parents are gone")
            connection.commit()
    except sqlite3.Error as error:
        raise told(error) from error
    finally:
        raw.close()


def _ask(where: Address, table: str, query: str) -> Any:
    """The first value of a query's answer; None when the table or the database isn't there."""
    if where.engine is Engine.POSTGRESQL:
        from storage.postgres import ask

        return ask(where.conninfo, table, query)
    file = Path(where.path)
    if not file.exists() or file.stat().st_size == 0:
        return None
    try:
        with closing(connect_only_to_look(where.path)) as look:
            exists = look.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            record = look.execute(query).fetchone() if exists else None
    except sqlite3.Error as error:
        if code(error) == sqlite3.SQLITE_BUSY:
            raise errors.locked() from error
        refuse_damaged(where.path)
        raise told(error) if is_fatal(error) else error from None
    return None if record is None else record[0]
