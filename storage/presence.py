"""Facts, links, intervals, feeds and loads."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from sys import intern

import msgspec
from msgspec.structs import replace
from sqlalchemy import ClauseElement, bindparam, delete, func, insert, select, update

from bot.domain.errors import Conflict
from bot.domain.facts import Facts, Feed, FeedState, Interval, Link
from bot.ports import Load, StoredFeed
from storage import tables
from storage.facts import (
    FACTS_WIDTH,
    PRESENCES,
    facts_columns,
    facts_from,
    facts_values,
    interval_values,
    link_columns,
    link_from,
)
from storage.sessions import delete_sessions, is_session, put_session, sessions_of
from storage.sql import (
    Engine,
    Sql,
    Statement,
    instant,
    instant_or_none,
    listed,
    micros,
    named,
    upsert,
)

_with_links = (
    select(*facts_columns, tables.link.c.identity_id, *link_columns)
    .select_from(tables.presence.outerjoin(tables.link, tables.link.c.agent_id == tables.presence.c.agent_id))
    .where(tables.presence.c.agent_id == bindparam("agent_id"))
    .order_by(tables.link.c.identity_id)
)
FACTS = Statement(_with_links)
FACTS_LOCKED = Statement(_with_links.with_for_update(of=tables.presence))
ADD_FACTS = Statement(insert(tables.presence).values(named(tables.presence)))
SAVE_FACTS = Statement(
    update(tables.presence)
    .where(
        tables.presence.c.agent_id == bindparam("the_agent"),
        tables.presence.c.version == bindparam("old_version"),
    )
    .values(named(tables.presence, *(column.name for column in facts_columns)))
    .returning(tables.presence.c.version)
)
_owner = (
    select(tables.presence.c.organization_id)
    .where(tables.presence.c.agent_id == bindparam("agent_id"))
    .scalar_subquery()
)
"""The agent's organization, found by the database, so that nobody has to wait for it."""
PUT_LINK = upsert(
    tables.link,
    change=("organization_id", "agent_id", "feed_id", "state", "since", "epoch", "seq", "weak"),
    found={"organization_id": _owner},
)
DELETE_LINK = Statement(delete(tables.link).where(tables.link.c.identity_id == bindparam("identity_id")))
ADD_INTERVAL = Statement(
    insert(tables.interval).values({**named(tables.interval), "organization_id": _owner})
)
_INTERVAL = ("since", "presence", "reason", "source", "note", "confirmed", "presence_since", "reason_code")
CLOSE_INTERVAL = Statement(
    update(tables.interval)
    .where(tables.interval.c.agent_id == bindparam("the_agent"), tables.interval.c.ended_at.is_(None))
    .values(named(tables.interval, "ended_at"))
)
REPLACE_INTERVAL = Statement(
    update(tables.interval)
    .where(tables.interval.c.agent_id == bindparam("the_agent"), tables.interval.c.ended_at.is_(None))
    .values(named(tables.interval, "ended_at", *_INTERVAL))
)


def _history(engine: Engine) -> ClauseElement:
    """Of each agent asked for, from the last interval that began at or before the time asked for: what
    came before it is not even read."""
    asked, earlier = listed(engine, "agents"), tables.interval.alias("earlier")
    last_before = (
        select(func.max(earlier.c.since))
        .where(earlier.c.agent_id == asked.c.value, earlier.c.since <= bindparam("from"))
        .scalar_subquery()
    )
    return (
        select(
            tables.interval.c.agent_id,
            tables.interval.c.ended_at,
            *(tables.interval.c[name] for name in _INTERVAL),
        )
        .select_from(asked.join(tables.interval, tables.interval.c.agent_id == asked.c.value))
        .where(
            tables.interval.c.since >= func.coalesce(last_before, bindparam("from")),
            tables.interval.c.since < bindparam("until"),
            tables.interval.c.ended_at.is_(None) | (tables.interval.c.ended_at > bindparam("from")),
        )
        .order_by(tables.interval.c.agent_id, tables.interval.c.since)
    )


HISTORY = Statement(_history)
_FEED = ("epoch", "live_at", "lost_at", "seen_at", "ended")
FEEDS = Statement(
    select(*(tables.feed.c[name] for name in ("workspace_id", "state", *_FEED)))
    .where(tables.feed.c.organization_id == bindparam("organization_id"))
    .order_by(tables.feed.c.workspace_id)
)
ENDED = msgspec.json.Decoder(list[tuple[int, int]])
"""Epochs with the microseconds at which each was lost."""
PUT_FEED = upsert(tables.feed, change=("platform", "state", *_FEED))
PUT_LOAD = upsert(
    tables.load_report,
    change=("units", "as_of", "expires_at"),
    where=lambda new: tables.load_report.c.as_of <= new.as_of,
)
LOADS = Statement(
    select(*(tables.load_report.c[n] for n in ("agent_id", "source", "units", "as_of", "expires_at")))
    .where(
        tables.load_report.c.organization_id == bindparam("organization_id"),
        tables.load_report.c.expires_at >= bindparam("now"),
    )
    .order_by(tables.load_report.c.agent_id, tables.load_report.c.source)
)


def _tiled(open_one: Interval, opened: Sequence[Interval]) -> list[Interval]:
    """The open interval and those after it as history keeps them, each of some length but the last.

    One that is replaced at its own instant leaves no trace; one that a clock set back would put
    before its predecessor begins with it, so that time is tiled all the same (I9).
    """
    kept = [open_one]
    for interval in opened:
        if interval.since <= kept[-1].since:
            kept[-1] = replace(interval, since=kept[-1].since)
        else:
            kept.append(interval)
    return kept


class Presences:
    """Implements `bot.ports.PresenceStore`."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def facts(self, agent_id: str) -> Facts | None:
        """The stored facts; in a write nobody else can change them until it is over."""
        records = self._sql.all(FACTS_LOCKED if self._sql.writing else FACTS, agent_id=agent_id)
        if not records:
            return None
        found = [record[FACTS_WIDTH:] for record in records]
        links = tuple(link_from(record[0], record[1:]) for record in found if record[0] is not None)
        links += sessions_of(self._sql, agent_id)
        return facts_from(agent_id, records[0][:FACTS_WIDTH], links)

    def add(self, organization_id: str, facts: Facts) -> None:
        """The facts of a new agent, their first interval opened."""
        agent_id = facts.agent_id
        stored = facts_values(facts, facts.version)
        self._sql.run(ADD_FACTS, agent_id=agent_id, organization_id=organization_id, **stored)
        self._sql.run(ADD_INTERVAL, agent_id=agent_id, ended_at=None, **interval_values(facts.interval))
        self._save_links(agent_id, (), facts.links)

    def save(self, before: Facts, after: Facts, intervals: Sequence[Interval]) -> Facts:
        """See `bot.ports.PresenceStore`. Where a clock was set back, the interval answered begins with
        the one it follows."""
        last = intervals[-1] if intervals else before.interval
        if last != after.interval or before.agent_id != after.agent_id:
            raise ValueError("the facts are in another interval than the last one opened")
        kept = _tiled(before.interval, intervals)
        saved = replace(after, version=before.version + 1, interval=kept[-1])
        self._sql.must(
            SAVE_FACTS,
            Conflict("The agent's presence has just changed, so nothing was done. Look again."),
            the_agent=after.agent_id,
            old_version=before.version,
            **facts_values(saved, saved.version),
        )
        if intervals:
            self._save_intervals(after.agent_id, before.interval, kept)
        if before.links is not after.links:
            self._save_links(after.agent_id, before.links, after.links)
        return saved

    def _save_intervals(self, agent_id: str, open_one: Interval, kept: Sequence[Interval]) -> None:
        ends = [micros(interval.since) for interval in kept[1:]]
        if kept[0] is open_one:
            self._sql.run(CLOSE_INTERVAL, the_agent=agent_id, ended_at=ends[0])
        else:
            end = ends[0] if ends else None
            self._sql.run(REPLACE_INTERVAL, the_agent=agent_id, ended_at=end, **interval_values(kept[0]))
        for interval, ended_at in zip(kept[1:], (*ends[1:], None), strict=False):  # one interval: none to add
            self._sql.run(ADD_INTERVAL, agent_id=agent_id, ended_at=ended_at, **interval_values(interval))

    def _save_links(self, agent_id: str, before: Sequence[Link], after: Sequence[Link]) -> None:
        gone = {link.identity_id: link for link in before}
        for link in after:
            if gone.pop(link.identity_id, None) == link:
                continue
            if link.beat_at is not None:
                put_session(self._sql, agent_id, link)
                continue
            self._sql.run(
                PUT_LINK,
                identity_id=link.identity_id,
                agent_id=agent_id,
                feed_id=link.feed_id,
                state=link.state.value,
                since=micros(link.since),
                epoch=link.epoch,
                seq=link.seq,
                weak=link.weak,
            )
        for identity_id in gone:
            if not is_session(identity_id):
                self._sql.run(DELETE_LINK, identity_id=identity_id)
        delete_sessions(self._sql, agent_id, list(filter(is_session, gone)))

    def history(
        self, agent_ids: Sequence[str], since: datetime, until: datetime
    ) -> Mapping[str, Sequence[tuple[Interval, datetime | None]]]:
        """Intervals that touch [since, until), each with its end, oldest first; every agent asked for
        has an entry."""
        found: dict[str, list[tuple[Interval, datetime | None]]] = {agent_id: [] for agent_id in agent_ids}
        asked = msgspec.json.encode(list(found)).decode()
        values = {"agents": asked, "from": micros(since), "until": micros(until)}
        for record in self._sql.all(HISTORY, **values):
            agent_id, ended_at, began, presence, reason, source, note, confirmed, stands, code = record
            interval = Interval(
                PRESENCES[presence],
                instant(began),
                intern(reason),
                intern(source),
                note,
                bool(confirmed),
                instant_or_none(stands),
                intern(code or ""),
            )
            found[agent_id].append((interval, instant_or_none(ended_at)))
        return found

    def feeds(self, organization_id: str) -> Sequence[StoredFeed]:
        """Every feed ever had."""
        return [
            StoredFeed(
                feed_id,
                FeedState(state),
                epoch,
                instant(live_at),
                instant(lost_at),
                instant(seen_at),
                tuple((over, instant(at)) for over, at in ENDED.decode(ended)),
            )
            for feed_id, state, epoch, live_at, lost_at, seen_at, ended in self._sql.all(
                FEEDS, organization_id=organization_id
            )
        ]

    def save_feed(self, organization_id: str, feed: Feed, seen_at: datetime) -> None:
        """The feed as it now is."""
        self._sql.first(
            PUT_FEED,
            workspace_id=feed.id,
            organization_id=organization_id,
            platform=feed.platform,
            state=feed.state.value,
            epoch=feed.epoch,
            live_at=micros(feed.live_at),
            lost_at=micros(feed.lost_at),
            seen_at=micros(seen_at),
            ended=msgspec.json.encode([(epoch, micros(at)) for epoch, at in feed.ended]).decode(),
        )

    def put_load(self, organization_id: str, load: Load) -> bool:
        """False when a report with a later `as_of` is already kept for that agent and source."""
        kept = self._sql.first(
            PUT_LOAD,
            organization_id=organization_id,
            agent_id=load.agent_id,
            source=load.source,
            units=load.units,
            as_of=micros(load.as_of),
            expires_at=micros(load.expires_at),
        )
        return kept is not None

    def loads(self, organization_id: str, now: datetime) -> Sequence[Load]:
        """Those that have not expired; a report still holds at the very instant it expires."""
        records = self._sql.all(LOADS, organization_id=organization_id, now=micros(now))
        return [
            Load(agent_id, intern(source), units, instant(as_of), instant(expires_at))
            for agent_id, source, units, as_of, expires_at in records
        ]
