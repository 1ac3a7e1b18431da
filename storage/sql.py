"""Statements of SQLAlchemy Core, compiled once for each engine and run on the driver's own cursor.

Core spends more on building and compiling a statement than SQLite on running it, and would eat what
group commit wins; so it is asked once, at a statement's first use.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import Any, Protocol

from msgspec import Struct
from sqlalchemy import (
    JSON,
    BindParameter,
    ClauseElement,
    ColumnElement,
    Dialect,
    Table,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    func,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Record = tuple[Any, ...]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """An aware instant as microseconds since 1970 UTC. Raises TypeError for a naive one."""
    return (at - EPOCH) // MICROSECOND


def micros_or_none(at: datetime | None) -> int | None:
    return None if at is None else (at - EPOCH) // MICROSECOND


@lru_cache(maxsize=32)
def instant(value: int) -> datetime:
    """The aware UTC instant of so many microseconds. Exact from 1970 to 2106: a float of seconds is
    within a quarter of a microsecond there, and half the price of adding a timedelta.

    The newest are remembered: most of one agent's facts are of a few instants, which they then share.
    """
    return datetime.fromtimestamp(value / 1e6, UTC)


def instant_or_none(value: int | None) -> datetime | None:
    return None if value is None else instant(value)


class Engine(StrEnum):
    """The databases Rollcall runs on."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


def _dialect(engine: Engine) -> Dialect:
    if engine is Engine.SQLITE:
        return sqlite.dialect(paramstyle="qmark")
    from sqlalchemy.dialects.postgresql import psycopg

    dialect: Dialect = psycopg.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
    return dialect


def inserting(engine: Engine, table: Table) -> Any:
    """Both engines know ON CONFLICT; Core has an insert of its own for each."""
    if engine is Engine.SQLITE:
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


class Compiled(Struct, frozen=True):
    """A statement as one engine's driver takes it."""

    sql: str
    values: Callable[[dict[str, Any]], Any]
    """Its parameters, from a dictionary of their names, as the driver wants them."""


class Statement:
    """One statement; its values are named parameters, given anew at each run."""

    __slots__ = ("_build", "_compiled")

    def __init__(self, statement: ClauseElement | Callable[[Engine], ClauseElement]) -> None:
        """`statement` may be a function of the engine where the two are built differently."""
        self._build = statement
        self._compiled: dict[Engine, Compiled] = {}

    def compiled(self, engine: Engine) -> Compiled:
        """The same for an engine, made at its first use."""
        found = self._compiled.get(engine)
        if found is None:
            built = self._build(engine) if callable(self._build) else self._build
            made = built.compile(dialect=_dialect(engine))
            assert isinstance(made, SQLCompiler)
            found = self._compiled[engine] = Compiled(str(made), _values(made))
        return found


def _values(made: SQLCompiler) -> Callable[[dict[str, Any]], Any]:
    """Values by position where the driver takes them so, which for SQLite costs a third less than by
    name; and with those that the statement itself fixes."""
    fixed = {name: bind.effective_value for name, bind in made.binds.items() if not bind.required}
    names = made.positiontup
    if names is None:
        return lambda values: {**values, **fixed} if fixed else values
    if fixed or len(names) < 2:
        return lambda values: [fixed[name] if name in fixed else values[name] for name in names]
    return itemgetter(*names)


def named(table: Table, *columns: str) -> dict[str, BindParameter[Any]]:
    """A parameter of its column's name and type for each of them, or for all."""
    return {name: bindparam(name, type_=table.c[name].type) for name in columns or list(table.c.keys())}


def upsert(
    table: Table,
    *,
    change: Sequence[str] = (),
    where: Callable[[Any], ColumnElement[bool]] | None = None,
    found: Mapping[str, Any] | None = None,
) -> Statement:
    """Insert a row of all columns; where its key exists, change the columns named. The values are
    parameters, but for columns that the database is to find by an expression.

    `where` answers, given the row that would be inserted, whether to change. RETURNING yields one
    record if a row was inserted or changed, none otherwise.
    """

    def build(engine: Engine) -> ClauseElement:
        insert = inserting(engine, table).values({**named(table), **(found or {})})
        key = list(table.primary_key.columns)
        if not change:
            insert = insert.on_conflict_do_nothing(index_elements=key)
        else:
            insert = insert.on_conflict_do_update(
                index_elements=key,
                set_={name: insert.excluded[name] for name in change},
                where=None if where is None else where(insert.excluded),
            )
        returned: ClauseElement = insert.returning(key[0])
        return returned

    return Statement(build)


def listed(engine: Engine, name: str) -> TableValuedAlias:
    """The members of a JSON list of strings given as one parameter, as a table of one column: `value`."""
    if engine is Engine.SQLITE:
        return func.json_each(bindparam(name, type_=Text)).table_valued("value", name="listed")
    given = cast(bindparam(name, type_=Text), JSON)
    return func.json_array_elements_text(given).table_valued("value", name="listed")


class Cursor(Protocol):
    """What both drivers' cursors have in common. The result may be the cursor itself."""

    @property
    def connection(self) -> Any: ...
    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, values: Any = ..., /) -> Any: ...
    def executemany(self, sql: str, rows: Any, /) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Sql:
    """Runs statements on one cursor, inside whatever transaction that is in.

    PostgreSQL's answers are not waited for before one is read: what takes none costs no round trip, and
    its error comes with a later statement or at the end.
    """

    __slots__ = ("_cursor", "_musts", "engine", "writing")

    def __init__(self, cursor: Cursor, engine: Engine, *, writing: bool) -> None:
        self._cursor = cursor
        self._musts: list[tuple[Cursor, Exception]] = []
        self.engine = engine
        self.writing = writing

    def _execute(self, cursor: Cursor, statement: Statement, values: dict[str, Any]) -> Cursor:
        compiled = statement.compiled(self.engine)
        cursor.execute(compiled.sql, compiled.values(values))
        return cursor

    def _answering(self) -> Cursor:
        """A cursor on which nothing but the answer to one statement comes in: where answers are not waited
        for, those of earlier statements would be taken for it."""
        return self._cursor if self.engine is Engine.SQLITE else self._cursor.connection.cursor()

    def all(self, statement: Statement, **values: Any) -> list[Record]:
        return self._execute(self._answering(), statement, values).fetchall()

    def each(self, statement: Statement, **values: Any) -> Iterator[Record]:
        """One after the other, for long results; with SQLite the next statement ends it."""
        return iter(self._execute(self._answering(), statement, values))

    def first(self, statement: Statement, **values: Any) -> Record | None:
        # All of them, because a statement not read to its end is still in progress for SQLite.
        records = self.all(statement, **values)
        return records[0] if records else None

    def run(self, statement: Statement, **values: Any) -> None:
        """Nobody asks what came of it."""
        self._execute(self._cursor, statement, values)

    def must(self, statement: Statement, refusal: Exception, **values: Any) -> None:
        """Run a statement with RETURNING that must change a row: where it changes none, the transaction
        ends with the refusal, at once or, with PostgreSQL, when its store asks (`refuse_unmet`)."""
        if self.engine is Engine.SQLITE:
            if self.first(statement, **values) is None:
                raise refusal
            return
        self._musts.append((self._execute(self._answering(), statement, values), refusal))

    def refuse_unmet(self) -> None:
        """Raises the refusal of the first that changed no row, of those that were answered."""
        for cursor, refusal in self._musts:
            if cursor.rowcount == 0:
                raise refusal

    def many(self, statement: Statement, rows: Sequence[dict[str, Any]]) -> None:
        """Once for each of the rows."""
        if rows:
            compiled = statement.compiled(self.engine)
            self._cursor.executemany(compiled.sql, [compiled.values(row) for row in rows])
