"""Codes that make two accounts one agent, and the wrong tries at them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ClauseElement, bindparam, case, delete, select, update
from sqlalchemy.types import BigInteger

from bot.ports import LinkCode, Undo
from storage import tables
from storage.sql import Engine, Sql, Statement, inserting, instant, micros, named, upsert

_code, _try = tables.link_code, tables.link_try
_now = bindparam("now", type_=BigInteger)
_named = (_code.c.organization_id == bindparam("the_organization"), _code.c.name == bindparam("the_name"))
_open = (*_named, _code.c.used_at.is_(None), _code.c.expires_at >= _now, _code.c.tries < bindparam("most"))
VOID = Statement(
    delete(_code).where(
        _code.c.organization_id == bindparam("the_organization"),
        _code.c.agent_id == bindparam("the_agent"),
        _code.c.used_at.is_(None),
    )
)
PUT = upsert(_code)
CODE = Statement(
    select(_code.c.secret_hash, _code.c.agent_id, _code.c.identity_id, _code.c.expires_at).where(*_open)
)
USE = Statement(update(_code).where(*_open).values(used_at=_now).returning(_code.c.name))
KEEP = Statement(update(_code).where(*_named).values(named(_code, "undo", "expires_at")))
UNDOS = Statement(
    select(_code.c.undo)
    .where(
        _code.c.organization_id == bindparam("the_organization"),
        _code.c.expires_at >= _now,
        _code.c.undo.is_not(None),
    )
    .order_by(_code.c.used_at, _code.c.name)
)


def _count_try(engine: Engine) -> ClauseElement:
    """One statement, so that two tries at once count twice. Tries of long ago count no longer."""
    first = inserting(engine, _try).values({**named(_try), "tries": 1})
    over = _try.c.until_at < _now
    counted: ClauseElement = first.on_conflict_do_update(
        index_elements=list(_try.primary_key.columns),
        set_={"tries": case((over, 1), else_=_try.c.tries + 1), "until_at": first.excluded.until_at},
        where=over | (_try.c.tries < bindparam("most")),
    ).returning(_try.c.person)
    return counted


COUNT_TRY = Statement(_count_try)
MISSED = Statement(update(_code).where(*_named).values(tries=_code.c.tries + 1))
SPENT = Statement(
    select(_try.c.tries).where(
        _try.c.organization_id == bindparam("the_organization"),
        _try.c.person == bindparam("the_person"),
        _try.c.until_at >= _now,
        _try.c.tries >= bindparam("most"),
    )
)
FORGIVE = Statement(
    update(_try)
    .where(
        _try.c.organization_id == bindparam("organization_id"),
        _try.c.person == bindparam("the_person"),
        _try.c.tries > 0,
    )
    .values(tries=_try.c.tries - 1)
)
ABSORBED = Statement(
    update(tables.agent)
    .where(tables.agent.c.id == bindparam("the_id"))
    .values(named(tables.agent, "merged_into"))
)
OWED_TO = Statement(
    update(tables.notice)
    .where(
        tables.notice.c.agent_id == bindparam("the_agent"),
        tables.notice.c.outcome.is_(None),
    )
    .values(named(tables.notice, "agent_id"))
)


class LinkRows:
    """Implements `bot.ports.Linking`."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def put(self, code: LinkCode) -> bool:
        """Keep it; the agent's codes before it are void. False: another agent's has that name."""
        self._sql.run(VOID, the_organization=code.organization_id, the_agent=code.agent_id)
        kept = self._sql.first(
            PUT,
            organization_id=code.organization_id,
            name=code.name,
            secret_hash=code.secret_hash,
            agent_id=code.agent_id,
            identity_id=code.identity_id,
            expires_at=micros(code.expires_at),
            tries=0,
            used_at=None,
            undo=None,
        )
        return kept is not None

    def code(self, organization_id: str, name: str, now: datetime, most: int) -> LinkCode | None:
        """One that may still be used; at the very instant at which it expires it may."""
        found = self._sql.first(
            CODE, the_organization=organization_id, the_name=name, now=micros(now), most=most
        )
        if found is None:
            return None
        secret_hash, agent_id, identity_id, expires_at = found
        return LinkCode(organization_id, name, bytes(secret_hash), agent_id, identity_id, instant(expires_at))

    def use(self, code: LinkCode, now: datetime, most: int) -> bool:
        """True for the one caller who may: it cannot be used again."""
        used = self._sql.first(
            USE, the_organization=code.organization_id, the_name=code.name, now=micros(now), most=most
        )
        return used is not None

    def keep(self, organization_id: str, undo: Undo, until_at: datetime) -> None:
        """What the link by a used code has brought: for as long as the code's row is there."""
        self._sql.run(
            KEEP,
            the_organization=organization_id,
            the_name=undo.name,
            undo=msgspec.json.encode(undo).decode(),
            expires_at=micros(until_at),
        )

    def undos(self, organization_id: str, now: datetime) -> Sequence[Undo]:
        """The links that can be undone now, the oldest first."""
        kept = self._sql.all(UNDOS, the_organization=organization_id, now=micros(now))
        return [msgspec.json.decode(record[0], type=Undo) for record in kept]

    def missed(self, organization_id: str, name: str) -> None:
        """A wrong try at the code of that name, if there is one."""
        self._sql.run(MISSED, the_organization=organization_id, the_name=name)

    def may_try(
        self, organization_id: str, person: str, now: datetime, until_at: datetime, most: int
    ) -> bool:
        """Counts a try, which lengthens the time for which all of them count. One that is refused counts
        for nothing, so that the time comes to an end."""
        counted = self._sql.first(
            COUNT_TRY,
            organization_id=organization_id,
            person=person,
            now=micros(now),
            until_at=micros(until_at),
            most=most,
        )
        return counted is not None

    def spent(self, organization_id: str, person: str, now: datetime, most: int) -> bool:
        """Whether the person has had all their tries, so that none counts now."""
        found = self._sql.first(
            SPENT, the_organization=organization_id, the_person=person, now=micros(now), most=most
        )
        return found is not None

    def forgive(self, organization_id: str, person: str) -> None:
        """The person's newest try counts no longer; those before it do."""
        self._sql.run(FORGIVE, organization_id=organization_id, the_person=person)

    def absorbed(self, agent_id: str, into: str) -> None:
        """Note in whom a removed agent goes on: what they were still to be told is owed to that one."""
        self._sql.run(ABSORBED, the_id=agent_id, merged_into=into)
        self._sql.run(OWED_TO, the_agent=agent_id, agent_id=into)
