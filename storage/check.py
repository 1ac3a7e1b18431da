"""What must always hold in the tables, as questions for whatever breaks it (design: I9, I11, I13)."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from msgspec import Struct
from sqlalchemy import Column, Text, and_, func, literal_column, or_, select, text, union

from storage import address, schema
from storage.address import Address
from storage.sql import Engine, Sql, Statement
from storage.sqlite import connect_only_to_look
from storage.tables import (
    agent,
    agent_skill,
    console_session,
    external_id,
    identity,
    interval,
    link,
    load_report,
    membership,
    notice,
    presence,
)

SHOWN = 5
"""Examples of what breaks a rule in one line."""


class Rule(Struct, frozen=True):
    """Something that always holds, and a query for the ids where it doesn't."""

    name: str
    broken: Statement


def _tiles() -> Statement:
    following = func.lead(interval.c.since).over(partition_by=interval.c.agent_id, order_by=interval.c.since)
    each = select(interval.c.agent_id, interval.c.ended_at, following.label("next_since")).subquery()
    gap = and_(each.c.next_since.is_not(None), each.c.ended_at.is_distinct_from(each.c.next_since))
    ended = and_(each.c.next_since.is_(None), each.c.ended_at.is_not(None))
    return Statement(select(each.c.agent_id).where(or_(gap, ended)).distinct().order_by(each.c.agent_id))


def _open_is_current() -> Statement:
    both = presence.outerjoin(
        interval, and_(interval.c.agent_id == presence.c.agent_id, interval.c.ended_at.is_(None))
    )
    columns = ("presence", "since", "reason", "source", "note", "confirmed", "presence_since", "reason_code")
    differs = [presence.c[name].is_distinct_from(interval.c[name]) for name in columns]
    found = select(presence.c.agent_id).select_from(both)
    return Statement(found.where(or_(*differs)).distinct().order_by(presence.c.agent_id))


def _missing(key: Column[Any], other: Column[Any]) -> Statement:
    """Those whose key has no partner."""
    joined = key.table.outerjoin(other.table, other == key)
    return Statement(select(key).select_from(joined).where(other.is_(None)).order_by(key))


def _half_merged() -> Statement:
    """Merged, and yet there, or with an account left, or into nobody."""
    into = agent.alias("into")
    joined = agent.outerjoin(identity, identity.c.agent_id == agent.c.id).outerjoin(
        into, into.c.id == agent.c.merged_into
    )
    wrong = or_(agent.c.removed.is_(False), identity.c.id.is_not(None), into.c.id.is_(None))
    found = select(agent.c.id).select_from(joined).where(agent.c.merged_into.is_not(None), wrong)
    return Statement(found.distinct().order_by(agent.c.id))


def _strays() -> Statement:
    """Rows of another organization than their agent's."""
    queries = []
    for table in OF_AN_AGENT:
        joined = table.join(agent, agent.c.id == table.c.agent_id)
        elsewhere = table.c.organization_id != agent.c.organization_id
        which = literal_column(f"'{table.name} of '", Text).concat(agent.c.id)
        queries.append(select(which).select_from(joined).where(elsewhere))
    return Statement(union(*queries))


OF_AN_AGENT = (
    presence,
    identity,
    link,
    console_session,
    interval,
    membership,
    agent_skill,
    external_id,
    load_report,
    notice,
)
RULES = (
    Rule("intervals tile each agent's time, without gap or overlap", _tiles()),
    Rule("each agent's open interval is the one they are in", _open_is_current()),
    Rule("each agent has facts", _missing(agent.c.id, presence.c.agent_id)),
    Rule("each link has its identity", _missing(link.c.identity_id, identity.c.id)),
    Rule(
        "each link belongs to its identity's agent",
        Statement(
            select(link.c.identity_id)
            .select_from(link.join(identity, identity.c.id == link.c.identity_id))
            .where(link.c.agent_id != identity.c.agent_id)
        ),
    ),
    Rule("who became part of another agent is gone, and that one is known", _half_merged()),
    Rule(
        "the next event comes after all events",
        Statement(
            lambda engine: text(
                "SELECT max(position) FROM event HAVING max(position) > "
                + (
                    "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event')"
                    if engine is Engine.SQLITE
                    else "(SELECT last_value FROM event_position_seq)"
                )
            )
        ),
    ),
    Rule("each row is in its agent's organization", _strays()),
)


def check(url: str) -> list[str]:
    """One line for each thing that was looked at: it begins with `ok` or with `BROKEN`. Writes nothing.

    Raises Unusable and Unavailable where there is nothing to look at.
    """
    where = address.parse(url)
    schema.refuse_unfit(url)
    lines = [f"ok: schema {schema.NEWEST}"]
    try:
        with _looking(where) as sql:
            if where.engine is Engine.SQLITE:
                lines += _structure(sql)
            for rule in RULES:
                broken = [str(record[0]) for record in sql.all(rule.broken)]
                lines.append(_line(rule.name, broken))
    except sqlite3.DatabaseError as error:
        lines.append(_line("the file can be read", [str(error)]))
    return lines


def _line(name: str, broken: list[str]) -> str:
    if not broken:
        return f"ok: {name}"
    more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    return f"BROKEN: {name}: not so for {', '.join(broken[:SHOWN])}{more}"


def _structure(sql: Sql) -> list[str]:
    """SQLite's own checks, which read the whole file."""
    found = [record[0] for record in sql.all(Statement(text(f"PRAGMA integrity_check({SHOWN})")))]
    orphans = [
        f"{record[0]} row {record[1]}" for record in sql.all(Statement(text("PRAGMA foreign_key_check")))
    ]
    return [
        _line("the file's structure", [] if found == ["ok"] else found),
        _line("every row's parent is there", orphans),
    ]


@contextmanager
def _looking(where: Address) -> Iterator[Sql]:
    """One snapshot that nothing can be written in."""
    if where.engine is Engine.SQLITE:
        with closing(connect_only_to_look(where.path)) as connection:
            connection.execute("BEGIN")
            yield Sql(connection.cursor(), Engine.SQLITE, writing=False)
        return
    from storage.postgres import connect

    with closing(connect(where.conninfo)) as server:
        cursor = server.cursor()
        cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Sql(cursor, Engine.POSTGRESQL, writing=False)
