"""Events, the audit, notices, and the small memories: deliveries, identifies, settings, summaries, keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.types import BigInteger

from bot.domain.events import AuditEntry, Event
from bot.ports import ApiKey, NoticeRow
from storage import forgetting, tables
from storage.sql import (
    Record,
    Sql,
    Statement,
    instant,
    instant_or_none,
    micros,
    micros_or_none,
    named,
    upsert,
)

NOTICE_CLAIM = timedelta(seconds=60)
"""Longer than any platform takes to accept a direct message (`bot.ports.Ledger.due_notices`)."""
SUMMARY_CLAIM = timedelta(minutes=5)
"""Longer than anybody takes between claiming a slot and beginning to post (`claim_summary`)."""
IDENTIFY_WINDOW = timedelta(hours=24)
"""What Discord counts identifies over."""

Data = dict[str, str | int | bool | None]
_now = bindparam("now", type_=BigInteger)

ADD_EVENT = Statement(
    insert(tables.event).values(
        named(tables.event, "id", "organization_id", "agent_id", "type", "at", "data")
    )
)
EVENTS_AFTER = Statement(
    select(*(tables.event.c[n] for n in ("position", "id", "agent_id", "type", "at", "data")))
    .where(
        tables.event.c.organization_id == bindparam("organization_id"),
        tables.event.c.position > bindparam("after"),
    )
    .order_by(tables.event.c.position)
    .limit(bindparam("most"))
)
NEWEST_EVENTS = Statement(
    select(*(tables.event.c[n] for n in ("position", "id", "agent_id", "type", "at", "data")))
    .where(tables.event.c.organization_id == bindparam("organization_id"))
    .order_by(tables.event.c.position.desc())
    .limit(bindparam("most"))
)
ADD_AUDIT = Statement(insert(tables.audit).values(named(tables.audit)))
ADD_NOTICE = Statement(insert(tables.notice).values(named(tables.notice)))
_notice = [
    tables.notice.c[name]
    for name in ("id", "organization_id", "agent_id", "told", "due_at", "expires_at", "attempts", "data")
]
CLAIM_NOTICES = Statement(
    update(tables.notice)
    .where(
        tables.notice.c.id.in_(
            select(tables.notice.c.id)
            .where(
                tables.notice.c.organization_id == bindparam("organization_id"),
                tables.notice.c.outcome.is_(None),
                tables.notice.c.due_at <= _now,
                tables.notice.c.claimed_until.is_(None) | (tables.notice.c.claimed_until < _now),
            )
            .order_by(tables.notice.c.due_at, tables.notice.c.id)
            .limit(bindparam("most"))
            .with_for_update(skip_locked=True)
        )
    )
    .values(named(tables.notice, "claimed_until"))
    .returning(*_notice)
)
FINISH_NOTICE = Statement(
    update(tables.notice)
    .where(tables.notice.c.id == bindparam("the_id"), tables.notice.c.outcome.is_(None))
    .values(named(tables.notice, "outcome", "finished_at"))
)
RETRY_NOTICE = Statement(
    update(tables.notice)
    .where(tables.notice.c.id == bindparam("the_id"), tables.notice.c.outcome.is_(None))
    .values(attempts=tables.notice.c.attempts + 1, claimed_until=None, **named(tables.notice, "due_at"))
)
ADD_DELIVERY = upsert(
    tables.delivery, change=("keep_until",), where=lambda new: tables.delivery.c.keep_until < _now
)
"""A key whose time has passed counts as new, whether or not it has been forgotten already."""
_identifies_of = tables.identify.c.organization_id == bindparam("organization_id")
FORGET_IDENTIFIES = Statement(
    delete(tables.identify).where(_identifies_of, tables.identify.c.at <= bindparam("since"))
)
COUNT_IDENTIFIES = Statement(
    select(func.count())
    .select_from(tables.identify)
    .where(_identifies_of, tables.identify.c.at > bindparam("since"))
)
ADD_IDENTIFY = Statement(insert(tables.identify).values(named(tables.identify, "organization_id", "at")))
SETTING = Statement(
    select(tables.setting.c.value).where(
        tables.setting.c.organization_id == bindparam("organization_id"),
        tables.setting.c["key"] == bindparam("key"),
    )
)
PUT_SETTING = upsert(tables.setting, change=("value", "updated_at"))
CLAIM_SUMMARY = upsert(
    tables.summary_post,
    change=("claimed_until",),
    where=lambda new: (
        (tables.summary_post.c.claimed_until < new.claimed_until - SUMMARY_CLAIM // timedelta(microseconds=1))
        & tables.summary_post.c.begun.is_(False)
        & tables.summary_post.c.finished_at.is_(None)
    ),
)
_slot = (
    tables.summary_post.c.organization_id == bindparam("the_organization"),
    tables.summary_post.c.schedule == bindparam("the_schedule"),
    tables.summary_post.c.slot == bindparam("the_slot"),
)
BEGIN_SUMMARY = Statement(
    update(tables.summary_post).where(*_slot).values(named(tables.summary_post, "begun"))
)
RELEASE_SUMMARY = Statement(
    update(tables.summary_post)
    .where(*_slot, tables.summary_post.c.finished_at.is_(None))
    .values(named(tables.summary_post, "begun", "claimed_until"))
)
FINISH_SUMMARY = Statement(
    update(tables.summary_post)
    .where(*_slot)
    .values(named(tables.summary_post, "message_id", "outcome", "finished_at"))
)
ADD_KEY = Statement(insert(tables.api_key).values(named(tables.api_key)))
_keys = select(tables.api_key).order_by(tables.api_key.c.id)
KEYS = Statement(_keys)
KEYS_OF = Statement(_keys.where(tables.api_key.c.organization_id == bindparam("organization_id")))
REVOKE_KEY = Statement(
    update(tables.api_key)
    .where(tables.api_key.c.id == bindparam("the_id"), tables.api_key.c.revoked_at.is_(None))
    .values(named(tables.api_key, "revoked_at"))
    .returning(tables.api_key.c.id)
)
TOUCH_KEY = Statement(
    update(tables.api_key)
    .where(
        tables.api_key.c.id == bindparam("the_id"),
        tables.api_key.c.last_used_at.is_(None) | (tables.api_key.c.last_used_at < bindparam("last_used_at")),
    )
    .values(named(tables.api_key, "last_used_at"))
)


def _json(value: Mapping[str, str | int | bool | None] | Sequence[str]) -> str:
    return msgspec.json.encode(value).decode()


class LedgerRows:
    """Implements `bot.ports.Ledger`."""

    __slots__ = ("_sql", "owed")

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self.owed: list[Event] = []
        """Events of this transaction; the store writes them last (`flush`), so that with PostgreSQL
        the lock that keeps their positions in commit order is held for a moment only."""

    def events(self, events: Sequence[Event]) -> None:
        """Into the outbox, when the operation has ended; it does not see them itself."""
        if not self._sql.writing:
            self._add_events(events)  # the database refuses, as it does any other write
        self.owed.extend(events)

    def flush(self) -> None:
        """Write the events of this transaction."""
        self._add_events(self.owed)
        self.owed = []

    def _add_events(self, events: Sequence[Event]) -> None:
        for event in events:
            self._sql.run(
                ADD_EVENT,
                id=event.id,
                organization_id=event.organization_id,
                agent_id=event.agent_id,
                type=event.type,
                at=micros(event.at),
                data=_json(event.data),
            )

    def events_after(self, organization_id: str, position: int, limit: int) -> Sequence[tuple[int, Event]]:
        """The next events with their positions, the oldest first."""
        records = self._sql.all(EVENTS_AFTER, organization_id=organization_id, after=position, most=limit)
        return [_placed(organization_id, record) for record in records]

    def newest_events(self, organization_id: str, limit: int) -> Sequence[tuple[int, Event]]:
        """The newest events with their positions, the oldest of them first."""
        records = self._sql.all(NEWEST_EVENTS, organization_id=organization_id, most=limit)
        return [_placed(organization_id, record) for record in reversed(records)]

    def audit(self, entry: AuditEntry) -> None:
        """Keep who did what to whom."""
        self._sql.run(
            ADD_AUDIT,
            id=entry.id,
            organization_id=entry.organization_id,
            at=micros(entry.at),
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            data=_json(entry.data),
        )

    def notice(self, notice: NoticeRow) -> None:
        """Owe an agent a direct message."""
        self._sql.run(
            ADD_NOTICE,
            id=notice.id,
            organization_id=notice.organization_id,
            agent_id=notice.agent_id,
            told=notice.told,
            due_at=micros(notice.due_at),
            expires_at=micros(notice.expires_at),
            attempts=notice.attempts,
            claimed_until=None,
            outcome=None,
            finished_at=None,
            data=_json(notice.data) if notice.data else None,
        )

    def due_notices(self, organization_id: str, now: datetime, limit: int) -> Sequence[NoticeRow]:
        """Owed and due, also expired ones, the longest due first; claimed until `now` + 60 s."""
        records = self._sql.all(
            CLAIM_NOTICES,
            organization_id=organization_id,
            now=micros(now),
            claimed_until=micros(now + NOTICE_CLAIM),
            most=limit,
        )
        found = [
            NoticeRow(
                notice_id,
                organization,
                agent_id,
                told,
                instant(due_at),
                instant(expires_at),
                attempts,
                msgspec.json.decode(data, type=dict[str, str]) if data else {},
            )
            for notice_id, organization, agent_id, told, due_at, expires_at, attempts, data in records
        ]
        return sorted(found, key=lambda notice: (notice.due_at, notice.id))

    def finish_notice(self, notice_id: str, outcome: str, now: datetime) -> None:
        """`sent`, `expired` or `unreachable`: it is owed no longer."""
        self._sql.run(FINISH_NOTICE, the_id=notice_id, outcome=outcome, finished_at=micros(now))

    def retry_notice(self, notice_id: str, due_at: datetime) -> None:
        """One attempt more has failed; it is due again, and claimed by nobody."""
        self._sql.run(RETRY_NOTICE, the_id=notice_id, due_at=micros(due_at))

    def first_time(self, organization_id: str, key: str, now: datetime, keep_until: datetime) -> bool:
        """True once for a key, until `keep_until` has passed."""
        added = self._sql.first(
            ADD_DELIVERY,
            organization_id=organization_id,
            key=key,
            keep_until=micros(keep_until),
            now=micros(now),
        )
        return added is not None

    def forget(self, organization_id: str, now: datetime) -> bool:
        """Forget some of what is old enough; True: there is more. See `bot.ports.Ledger`."""
        return forgetting.forget(self._sql, organization_id, now)

    def count_identify(self, organization_id: str, now: datetime) -> int:
        """Identifies in the 24 h before `now`."""
        since = micros(now - IDENTIFY_WINDOW)
        record = self._sql.first(COUNT_IDENTIFIES, organization_id=organization_id, since=since)
        return 0 if record is None else int(record[0])

    def add_identify(self, organization_id: str, now: datetime) -> None:
        """One more identify; those that count no longer are forgotten."""
        since = micros(now - IDENTIFY_WINDOW)
        self._sql.run(FORGET_IDENTIFIES, organization_id=organization_id, since=since)
        self._sql.run(ADD_IDENTIFY, organization_id=organization_id, at=micros(now))

    def setting(self, organization_id: str, key: str) -> str | None:
        """What was put, or None."""
        record = self._sql.first(SETTING, organization_id=organization_id, key=key)
        return None if record is None else record[0]

    def put_setting(self, organization_id: str, key: str, value: str, now: datetime) -> None:
        """Remember a small thing."""
        self._sql.first(
            PUT_SETTING, organization_id=organization_id, key=key, value=value, updated_at=micros(now)
        )

    def claim_summary(self, organization_id: str, schedule: str, slot: str, now: datetime) -> bool:
        """True for the one caller that may post this slot. See `bot.ports.Ledger`."""
        claimed = self._sql.first(
            CLAIM_SUMMARY,
            organization_id=organization_id,
            schedule=schedule,
            slot=slot,
            claimed_until=micros(now + SUMMARY_CLAIM),
            begun=False,
            message_id=None,
            outcome=None,
            finished_at=None,
        )
        return claimed is not None

    def begin_summary(self, organization_id: str, schedule: str, slot: str) -> None:
        """From here on a crash means "perhaps posted", and it is not posted again."""
        self._sql.run(
            BEGIN_SUMMARY, the_organization=organization_id, the_schedule=schedule, the_slot=slot, begun=True
        )

    def release_summary(self, organization_id: str, schedule: str, slot: str, until: datetime) -> None:
        """It was certainly not posted: it may be claimed again after `until`. A finished one stays."""
        self._sql.run(
            RELEASE_SUMMARY,
            the_organization=organization_id,
            the_schedule=schedule,
            the_slot=slot,
            begun=False,
            claimed_until=micros(until),
        )

    def finish_summary(
        self,
        organization_id: str,
        schedule: str,
        slot: str,
        outcome: str,
        now: datetime,
        message_id: str | None = None,
    ) -> None:
        """The slot is over, posted as `message_id` or not. See `bot.ports.Ledger`."""
        self._sql.run(
            FINISH_SUMMARY,
            the_organization=organization_id,
            the_schedule=schedule,
            the_slot=slot,
            message_id=message_id,
            outcome=outcome,
            finished_at=micros(now),
        )

    def add_key(self, key: ApiKey) -> None:
        """A new key; its secret is only here as a hash."""
        self._sql.run(
            ADD_KEY,
            id=key.id,
            organization_id=key.organization_id,
            name=key.name,
            scopes=_json(key.scopes),
            secret_hash=key.secret_hash,
            created_at=micros(key.created_at),
            expires_at=micros_or_none(key.expires_at),
            revoked_at=micros_or_none(key.revoked_at),
            last_used_at=micros_or_none(key.last_used_at),
        )

    def keys(self, organization_id: str | None = None) -> Sequence[ApiKey]:
        """Revoked and expired ones too, the oldest first; None: of every organization."""
        if organization_id is None:
            return [_key_from(record) for record in self._sql.all(KEYS)]
        return [_key_from(record) for record in self._sql.all(KEYS_OF, organization_id=organization_id)]

    def revoke_key(self, key_id: str, now: datetime) -> bool:
        """False when there is no such key that is not yet revoked."""
        return self._sql.first(REVOKE_KEY, the_id=key_id, revoked_at=micros(now)) is not None

    def touch_keys(self, used: Mapping[str, datetime]) -> None:
        """When keys were last used; never backwards."""
        rows = [{"the_id": key_id, "last_used_at": micros(used[key_id])} for key_id in sorted(used)]
        self._sql.many(TOUCH_KEY, rows)


def _placed(organization_id: str, record: Record) -> tuple[int, Event]:
    position, event_id, agent_id, kind, at, data = record
    return position, Event(event_id, organization_id, agent_id, kind, instant(at), _data(data))


def _data(text: str) -> Data:
    return msgspec.json.decode(text, type=Data)


def _key_from(record: Record) -> ApiKey:
    key_id, organization_id, name, scopes, secret_hash, created_at, expires_at, revoked_at, used_at = record
    return ApiKey(
        key_id,
        organization_id,
        name,
        tuple(msgspec.json.decode(scopes, type=list[str])),
        bytes(secret_hash),
        instant(created_at),
        instant_or_none(expires_at),
        instant_or_none(revoked_at),
        instant_or_none(used_at),
    )
