"""Which database an address names."""

import os
from pathlib import Path

from msgspec import Struct
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import Unusable
from storage.sql import Engine

MEMORY = ":memory:"


class Address(Struct, frozen=True):
    """A database's address, taken apart. Never shown whole: it may hold a password."""

    engine: Engine
    path: str = ""
    """SQLite: the file, or `:memory:`."""
    conninfo: str = ""
    """PostgreSQL: what libpq takes."""
    shown: str = ""
    """PostgreSQL: the address as it may be shown, without a password."""


def parse(url: str) -> Address:
    """Takes `sqlite:///path` or `postgresql://user:password@host/name` apart.

    Raises Unusable, not showing the address.
    """
    try:
        parts = make_url(url)
        engine = Engine(parts.get_backend_name())
    except (ArgumentError, ValueError):
        raise Unusable(
            "database.url must begin with sqlite:/// or postgresql://, for example "
            "sqlite:///rollcall.sqlite3 or postgresql://rollcall@localhost/rollcall.",
            field="database.url",
        ) from None
    if engine is Engine.SQLITE:
        return Address(engine, path=parts.database or MEMORY)
    parts = parts.set(drivername="postgresql")
    query = {name: value for name, value in parts.query.items() if "password" not in name}
    public = URL.create("postgresql", parts.username, None, parts.host, parts.port, parts.database, query)
    return Address(
        engine, conninfo=parts.render_as_string(hide_password=False), shown=public.render_as_string()
    )


def outlived() -> Unusable:
    """The refusal of a database in memory."""
    return Unusable(
        "Rollcall needs a database that outlives it: name a file, for example sqlite:///rollcall.sqlite3.",
        field="database.url",
    )


def of_file(path: Path) -> str:
    """The address of a SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def make_file(path: str) -> None:
    """Create an empty database file that only its owner may read; SQLite's own files beside it follow.

    Raises Unusable where that can't be done.
    """
    if path == MEMORY:
        raise outlived()
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unusable(
            f"The database file {Path(path).name} can't be made or opened ({error.strerror}). See that its "
            "folder exists and that Rollcall may write there.",
            field="database.url",
        ) from error
