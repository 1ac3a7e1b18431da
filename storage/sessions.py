"""Console sessions as records of `console_session`, and back: links of an agent beside their identities'."""

from collections.abc import Sequence
from sys import intern

from sqlalchemy import bindparam, delete, select

from bot.domain.facts import Link
from bot.domain.sessions import PREFIX, link_id
from storage import tables
from storage.facts import STATES
from storage.sql import Record, Sql, Statement, instant, micros, upsert

_COLUMNS = ("agent_id", "key", "feed_id", "state", "since", "epoch", "seq", "beat_at")
_columns = [tables.console_session.c[name] for name in _COLUMNS]
_owner = (
    select(tables.presence.c.organization_id)
    .where(tables.presence.c.agent_id == bindparam("agent_id"))
    .scalar_subquery()
)
SESSIONS_OF = Statement(
    select(*_columns)
    .where(tables.console_session.c.agent_id == bindparam("agent_id"))
    .order_by(tables.console_session.c.key)
)
SESSIONS_OF_ALL = Statement(
    select(*_columns)
    .where(tables.console_session.c.organization_id == bindparam("organization_id"))
    .order_by(tables.console_session.c.agent_id, tables.console_session.c.key)
)
PUT_SESSION = upsert(
    tables.console_session,
    change=("feed_id", "state", "since", "epoch", "seq", "beat_at"),
    found={"organization_id": _owner},
)
DELETE_SESSION = Statement(
    delete(tables.console_session).where(
        tables.console_session.c.agent_id == bindparam("agent_id"),
        tables.console_session.c.key == bindparam("key"),
    )
)


def is_session(identity_id: str) -> bool:
    """Whether a link of that id is a console's."""
    return identity_id.startswith(PREFIX)


def sessions_of(sql: Sql, agent_id: str) -> tuple[Link, ...]:
    """An agent's, by key."""
    return tuple(_link(record) for record in sql.all(SESSIONS_OF, agent_id=agent_id))


def sessions_of_all(sql: Sql, organization_id: str) -> dict[str, tuple[Link, ...]]:
    """Everybody's, by agent; whoever has none is not in it."""
    found: dict[str, tuple[Link, ...]] = {}
    for record in sql.each(SESSIONS_OF_ALL, organization_id=organization_id):
        found[record[0]] = (*found.get(record[0], ()), _link(record))
    return found


def put_session(sql: Sql, agent_id: str, link: Link) -> None:
    """The session as it now is. Raises ValueError for a link that is none."""
    if link.beat_at is None:
        raise ValueError("a console session has a last heartbeat")
    sql.run(
        PUT_SESSION,
        agent_id=agent_id,
        key=link.identity_id.removeprefix(PREFIX),
        feed_id=link.feed_id,
        state=link.state.value,
        since=micros(link.since),
        epoch=link.epoch,
        seq=link.seq,
        beat_at=micros(link.beat_at),
    )


def delete_sessions(sql: Sql, agent_id: str, links: Sequence[str]) -> None:
    """These are forgotten."""
    for identity_id in links:
        sql.run(DELETE_SESSION, agent_id=agent_id, key=identity_id.removeprefix(PREFIX))


def _link(record: Record) -> Link:
    _, key, feed_id, state, since, epoch, seq, beat_at = record
    return Link(
        link_id(key), intern(feed_id), STATES[state], instant(since), epoch, seq, beat_at=instant(beat_at)
    )
