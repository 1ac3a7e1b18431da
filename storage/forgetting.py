"""What is forgotten, and when: without it these tables would only grow. The times: `docs/operations.md`.

Each call deletes a few rows of each table, the oldest first, found by an index; so history loses whole
intervals at its beginning, and still tiles (I9).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Column, Table, bindparam, delete, select, tuple_

from bot.ports import EVENTS_FORGOTTEN
from storage import tables
from storage.sql import Sql, Statement, micros, upsert

MOST = 100
"""Rows of one table in one call: a few milliseconds of the writer's time in all."""
HISTORY_KEPT = timedelta(days=400)
"""A year can be compared with the year before it."""
EVENTS_KEPT = timedelta(days=7)
"""Who follows the events may be away over a long weekend."""
NEWEST_EVENTS = 10_000
"""These are kept however old they are: after a long standstill, what is told late is dated back."""


class Forgetting:
    """Rows of one table that are forgotten so long after an instant of theirs."""

    def __init__(self, table: Table, column: str, kept: timedelta) -> None:
        """The table has an index of its organization and that column."""
        at: Column[int] = table.c[column]
        key: Sequence[Column[str]] = list(table.primary_key.columns)
        oldest = (
            select(*key)
            .where(table.c.organization_id == bindparam("organization_id"), at < bindparam("before"))
            .order_by(at)
            .limit(bindparam("most"))
        )
        still = at < bindparam("before")  # PostgreSQL asks again about a row that it had to wait for
        self.kept = kept
        self.statement = Statement(delete(table).where(tuple_(*key).in_(oldest), still).returning(key[0]))


FORGOTTEN = (
    Forgetting(tables.delivery, "keep_until", timedelta(0)),
    Forgetting(tables.link_code, "expires_at", timedelta(0)),
    Forgetting(tables.link_try, "until_at", timedelta(0)),
    Forgetting(tables.load_report, "expires_at", timedelta(days=1)),
    Forgetting(tables.notice, "finished_at", timedelta(days=30)),
    Forgetting(tables.summary_post, "claimed_until", timedelta(days=30)),
    Forgetting(tables.audit, "at", HISTORY_KEPT),
    Forgetting(tables.interval, "ended_at", HISTORY_KEPT),
)
_of_organization = tables.event.c.organization_id == bindparam("organization_id")
OLDEST_EVENTS = Statement(
    select(tables.event.c.position, tables.event.c.at)
    .where(_of_organization)
    .order_by(tables.event.c.position)
    .limit(bindparam("most"))
)
NEWEST_TO_FORGET = Statement(
    select(tables.event.c.position)
    .where(_of_organization)
    .order_by(tables.event.c.position.desc())
    .limit(1)
    .offset(bindparam("newest"))
)
FORGET_EVENTS = Statement(
    delete(tables.event).where(_of_organization, tables.event.c.position <= bindparam("last"))
)
NOTE_FORGOTTEN = upsert(tables.setting, change=("value", "updated_at"))


def forget(sql: Sql, organization_id: str, now: datetime) -> bool:
    """Forget some of what is old enough. True: there is more, and it may be called again at once."""
    more = _forget_events(sql, organization_id, now)
    for forgetting in FORGOTTEN:
        before = micros(now - forgetting.kept)
        gone = sql.all(forgetting.statement, organization_id=organization_id, before=before, most=MOST)
        more = more or len(gone) == MOST
    return more


def _forget_events(sql: Sql, organization_id: str, now: datetime) -> bool:
    """Never one behind a newer one: what is left is everything after some position, which is noted."""
    before, last = micros(now - EVENTS_KEPT), 0
    oldest = sql.all(OLDEST_EVENTS, organization_id=organization_id, most=MOST)
    for position, at in oldest:
        if at >= before:
            break
        last = position
    if last == 0:
        return False
    edge = sql.first(NEWEST_TO_FORGET, organization_id=organization_id, newest=NEWEST_EVENTS)
    if edge is None:
        return False
    last = min(last, edge[0])
    sql.run(FORGET_EVENTS, organization_id=organization_id, last=last)
    sql.first(
        NOTE_FORGOTTEN,
        organization_id=organization_id,
        key=EVENTS_FORGOTTEN,
        value=str(last),
        updated_at=micros(now),
    )
    return len(oldest) == MOST and bool(last == oldest[-1][0])
