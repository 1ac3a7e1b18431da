"""The audit, read: the newest entries, or those behind one, of everybody or about one agent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, or_, select
from sqlalchemy.types import BigInteger

from bot.domain.events import AuditEntry
from storage.sql import Record, Sql, Statement, instant, micros
from storage.tables import audit

_columns = [audit.c[name] for name in ("id", "at", "actor", "action", "subject", "data")]
_of_organization = audit.c.organization_id == bindparam("organization_id")
_of_subject = audit.c.subject == bindparam("subject")
_at: Any = bindparam("at", type_=BigInteger)
_behind = and_(audit.c.at >= _at, or_(audit.c.at > _at, audit.c.id > bindparam("behind")))


def _newest(*where: ColumnElement[bool]) -> Statement:
    found = select(*_columns).where(_of_organization, *where)
    return Statement(found.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(bindparam("most")))


def _after(*where: ColumnElement[bool]) -> Statement:
    found = select(*_columns).where(_of_organization, _behind, *where)
    return Statement(found.order_by(audit.c.at, audit.c.id).limit(bindparam("most")))


NEWEST_AUDIT, NEWEST_AUDIT_OF = _newest(), _newest(_of_subject)
AUDIT_AFTER, AUDIT_OF_AFTER = _after(), _after(_of_subject)


def newest(sql: Sql, organization_id: str, subject: str | None, limit: int) -> Sequence[AuditEntry]:
    """The newest first."""
    asked = {"organization_id": organization_id, "most": limit}
    if subject is None:
        found = sql.all(NEWEST_AUDIT, **asked)
    else:
        found = sql.all(NEWEST_AUDIT_OF, **asked, subject=subject)
    return [_entry(organization_id, record) for record in found]


def after(
    sql: Sql, organization_id: str, place: tuple[datetime, str] | None, subject: str | None, limit: int
) -> Sequence[AuditEntry]:
    """The oldest first, behind an instant and id; None: from the oldest kept."""
    at, behind = (micros(place[0]), place[1]) if place is not None else (0, "")
    asked = {"organization_id": organization_id, "at": at, "behind": behind, "most": limit}
    if subject is None:
        found = sql.all(AUDIT_AFTER, **asked)
    else:
        found = sql.all(AUDIT_OF_AFTER, **asked, subject=subject)
    return [_entry(organization_id, record) for record in found]


def _entry(organization_id: str, record: Record) -> AuditEntry:
    entry_id, at, actor, action, subject, data = record
    about = msgspec.json.decode(data, type=dict[str, str | int | bool | None])
    return AuditEntry(entry_id, organization_id, instant(at), actor, action, subject, about)
