"""One person on several platforms: codes, and what making one agent of two writes (`docs/linking.md`).

Each function that takes a transaction is one operation on it. Refusals are answers, not errors: an error
would undo the count of the try.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from hmac import compare_digest

from msgspec import Struct
from msgspec.structs import replace

from bot.config import Config
from bot.domain import merging
from bot.domain.agent import Agent, Identity
from bot.domain.errors import Conflict
from bot.domain.events import AuditEntry, Event
from bot.domain.facts import Facts, Policy
from bot.domain.ids import new_id
from bot.domain.merging import Own
from bot.domain.presence import Feeds
from bot.domain.transition import Told
from bot.ports import ACCOUNT, LinkCode, Load, NoticeRow, Person, Transaction, Undo
from bot.service import members
from bot.service.configured import Places, places_now
from bot.service.deliveries import is_first
from bot.service.presence import Step, record

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No 0 or O, no 1, I or L, no U: nothing that is read as something else."""
HALF = 4
"""Characters of each half: 30^4 is 810,000, of which 5 tries are one in 162,000, for who knows the first
half; for who does not, one in 131 thousand million."""
LASTS = timedelta(minutes=10)
TRIES = 5
"""Wrong ones: of a person until `LASTS` after their last, and at a code."""
WORTH_TELLING = timedelta(hours=24)
"""Who asked learns that the code was used, also when their platform is away for hours."""
_TYPED = re.compile(rf"([{ALPHABET}]{{{HALF}}})[\s-]*([{ALPHABET}]{{{HALF}}})")


class Typed(Struct, frozen=True):
    """A code as somebody typed it; of nothing that could be one, the name is empty."""

    name: str
    secret: str


def drawn() -> Typed:
    """A new code, from the system's randomness."""
    letters = [secrets.choice(ALPHABET) for _ in range(2 * HALF)]
    return Typed("".join(letters[:HALF]), "".join(letters[HALF:]))


def read(text: str) -> Typed:
    """What was typed: in any case, with or without the dash."""
    found = _TYPED.fullmatch(text.strip().strip("`").upper())
    return Typed(found[1], found[2]) if found else Typed("", "")


def hashed(organization_id: str, code: Typed) -> bytes:
    """The hash that is kept of a code's second half. Slow on purpose (some 50 ms and 16 MiB): there are so
    few halves that whoever reads the database could else try all within the ten minutes."""
    salt = f"{organization_id}:{code.name}".encode()
    return hashlib.scrypt(code.secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)


def account_of(person: Person) -> str:
    """Whose tries are counted."""
    return f"{person.workspace_id}:{person.profile.external_id}"


class Outcome(StrEnum):
    """What came of a typed code."""

    LINKED = "linked"
    OWN = "own"
    """It was asked for by the very same agent."""
    REPEATED = "repeated"
    """This delivery was here before."""
    REFUSED = "refused"
    """For whichever reason: the person is never told which."""


class Written(Struct, frozen=True):
    """What an operation on several agents came to: the agents as stored, those who left first."""

    outcome: Outcome
    agents: tuple[tuple[Agent, Facts], ...] = ()
    clashes: tuple[str, ...] = ()
    """Systems in which both had an external id: the asker's is kept."""
    loads: tuple[Load, ...] = ()


class Sides(Struct, frozen=True):
    """Who was found to be concerned before the transaction began; if it finds others, it is tried anew."""

    asker_id: str
    confirmer_id: str


class House(Struct, frozen=True):
    """What decisions are made from."""

    organization_id: str
    config: Config
    feeds: Feeds
    policy: Policy


def audit(
    tx: Transaction, house: House, now: datetime, actor: str, action: str, subject: str, **data: str | None
) -> None:
    tx.ledger.audit(AuditEntry(new_id("aud", now), house.organization_id, now, actor, action, subject, data))


def ask(
    tx: Transaction,
    house: House,
    agent: Agent,
    identity: Identity,
    code: LinkCode,
    delivery: str,
    now: datetime,
) -> bool:
    """Keep a code. False: this delivery was here before, or (so rarely that it is tried again by hand) the
    name is another open code's."""
    if not is_first(tx, house.organization_id, delivery, now) or not tx.linking.put(code):
        return False
    audit(tx, house, now, f"agent:{agent.id}", "link.asked", agent.id, platform=identity.platform)
    return True


def confirm(
    before: Mapping[str, Facts],
    tx: Transaction,
    *,
    house: House,
    sides: Sides,
    person: Person,
    typed: Typed,
    secret_hash: bytes,
    delivery: str,
    now: datetime,
) -> Written:
    """Somebody typed a code. Where it is right they and all accounts of their agent become accounts of the
    agent who asked; in any other case nothing changes but the count of tries."""
    if not is_first(tx, house.organization_id, delivery, now):
        return Written(_repeated(tx, house, person, typed, now))
    who = account_of(person)
    if not tx.linking.may_try(house.organization_id, who, now, now + LASTS, TRIES):
        return Written(Outcome.REFUSED)
    confirmer = tx.members.by_identity(person.workspace_id, person.profile.external_id)
    code = tx.linking.code(house.organization_id, typed.name, now, TRIES) if typed.name else None
    right = code is not None and compare_digest(code.secret_hash, secret_hash)
    asker = tx.members.agent(code.agent_id) if code is not None and right else None
    if code is not None and asker is not None and confirmer is not None and asker.id == confirmer.id:
        tx.linking.forgive(house.organization_id, who)
        return Written(Outcome.OWN)
    if code is None or asker is None or not _fit(asker, code, confirmer, person):
        if typed.name:
            tx.linking.missed(house.organization_id, typed.name)
        subject = confirmer.id if confirmer else who
        audit(
            tx,
            house,
            now,
            members.actor_of(person, confirmer),
            "link.refused",
            subject,
            platform=person.platform,
        )
        return Written(Outcome.REFUSED)
    if sides != Sides(asker.id, confirmer.id if confirmer else ""):
        raise Conflict("Somebody's accounts have just changed, so nothing was done. Try once more.")
    if not tx.linking.use(code, now, TRIES):
        raise Conflict("That code has just been used. Ask for a new one.")
    tx.linking.forgive(house.organization_id, who)
    written = _merged(before, tx, house, asker, confirmer, person, now)
    tx.linking.keep(
        house.organization_id,
        _brought(code, asker, confirmer, before[asker.id], written),
        now + WORTH_TELLING,
    )
    audit(
        tx,
        house,
        now,
        members.actor_of(person, confirmer),
        "agent.linked",
        asker.id,
        platform=person.platform,
        account=person.profile.external_id,
        absorbed=confirmer.id if confirmer else None,
    )
    tx.ledger.notice(notice(house, asker.id, Told.LINKED, code.identity_id, now, {"code": code.name}))
    return written


def _repeated(tx: Transaction, house: House, person: Person, typed: Typed, now: datetime) -> Outcome:
    """What came of that delivery when it was here first: no code, right or wrong, is looked at again."""
    agent = tx.members.by_identity(person.workspace_id, person.profile.external_id)
    came = {one.id for one in agent.identities} if agent else set()
    linked = any(
        one.name == typed.name and agent is not None and one.agent_id == agent.id and came & {*one.came}
        for one in tx.linking.undos(house.organization_id, now)
    )
    return Outcome.LINKED if linked else Outcome.REFUSED


def _brought(code: LinkCode, asker: Agent, confirmer: Agent | None, facts: Facts, written: Written) -> Undo:
    """What of the linked agent came by the link: it goes again when that is undone."""
    agent, after = written.agents[-1]
    own = {one.id for one in asker.identities}
    hours = confirmer.hours if confirmer is not None else None
    return Undo(
        code.name,
        asker.id,
        code.identity_id,
        tuple(one.id for one in asker.identities),
        tuple(one.id for one in agent.identities if one.id not in own),
        Own(facts.intent, facts.check_in, after.intent),
        tuple(slug for slug in agent.teams if slug not in asker.teams),
        tuple(slug for slug in agent.skills if slug not in asker.skills),
        tuple(pair for pair in agent.externals if pair not in asker.externals),
        hours,
        asker.hours is None and hours is not None,
    )


def _fit(asker: Agent, code: LinkCode, confirmer: Agent | None, person: Person) -> bool:
    """Both are there, the account that asked is still the asker's, and no workspace would be there twice:
    two accounts of one workspace are two people."""
    if asker.removed or (confirmer is not None and confirmer.removed):
        return False
    there = {one.workspace_id for one in asker.identities if one.present}
    others = {one.workspace_id for one in confirmer.identities if one.present} if confirmer else set()
    asked_here = any(one.id == code.identity_id and one.present for one in asker.identities)
    return asked_here and there.isdisjoint({*others, person.workspace_id})


def places_in(tx: Transaction, house: House) -> Places:
    """What the configuration gives to whom."""
    return places_now(tx, house.organization_id, house.config)


def in_order(tx: Transaction, agent: Agent) -> Agent:
    """Teams and skills as they stand in the lists, which is how they are read from the storage."""
    teams, skills = tx.members.teams(agent.organization_id), tx.members.skills(agent.organization_id)
    return replace(
        agent,
        teams=tuple(one.slug for one in teams if one.slug in agent.teams),
        skills=tuple(one.slug for one in skills if one.slug in agent.skills),
    )


def _with_role(tx: Transaction, house: House, agent: Agent) -> Agent:
    """The role goes with the accounts that the configuration names, and with nothing else."""
    return replace(agent, role=places_in(tx, house).role(agent))


def _merged(
    before: Mapping[str, Facts],
    tx: Transaction,
    house: House,
    asker: Agent,
    confirmer: Agent | None,
    person: Person,
    now: datetime,
) -> Written:
    actor = members.actor_of(person, confirmer)
    if confirmer is None:
        identity = members.identity_of(person, now)
        joined = replace(asker, identities=(*asker.identities, identity))
        named = places_in(tx, house).given(replace(asker, identities=(identity,)))
        united, _ = merging.unite(joined, replace(named, identities=(), externals=()))
        agent = members.save(tx, _with_role(tx, house, in_order(tx, united)), actor, now)
        return Written(Outcome.LINKED, ((agent, before[asker.id]),))
    united, clashes = merging.unite(asker, confirmer)
    united = in_order(tx, united)
    merged = merging.merge(
        before[asker.id], before[confirmer.id], house.feeds, house.policy, now, confirmer.zone
    )
    gone = merging.absorbed(confirmer)
    tx.members.save(gone, now)  # first: accounts and links are let go before they are taken up
    gone_facts = record(
        tx, house.organization_id, Step(before[confirmer.id], merged.absorbed, merged.absorbed_changes), now
    )
    tx.linking.absorbed(gone.id, asker.id)
    agent = members.save(tx, _with_role(tx, house, united), actor, now)
    facts = record(tx, house.organization_id, Step(before[asker.id], merged.stays, merged.changes), now)
    audit(tx, house, now, actor, "agent.merged", gone.id, into=asker.id)
    tx.ledger.events(
        [Event(new_id("evt", now), house.organization_id, gone.id, "agent.merged", now, {"into": asker.id})]
    )
    loads = _loads(tx, house, gone.id, asker.id, now)
    return Written(Outcome.LINKED, ((gone, gone_facts), (agent, facts)), clashes, loads)


def _loads(tx: Transaction, house: House, gone_id: str, agent_id: str, now: datetime) -> tuple[Load, ...]:
    """One person, one capacity: what other systems said that either holds, both hold."""
    known = tx.presence.loads(house.organization_id, now)
    own = {load.source: load for load in known if load.agent_id == agent_id}
    united = []
    for load in known:
        if load.agent_id != gone_id:
            continue
        beside = own.get(load.source)
        if beside is not None:
            load = replace(
                load,
                units=load.units + beside.units,
                as_of=max(load.as_of, beside.as_of),
                expires_at=min(load.expires_at, beside.expires_at),
            )
        load = replace(load, agent_id=agent_id)
        tx.presence.put_load(house.organization_id, load)
        united.append(load)
    return tuple(united)


def notice(
    house: House,
    agent_id: str,
    told: Told,
    identity_id: str,
    now: datetime,
    data: Mapping[str, str] = {},
) -> NoticeRow:
    """A word to one account of an agent's, and to no other."""
    return NoticeRow(
        new_id("ntc", now),
        house.organization_id,
        agent_id,
        told.value,
        now,
        now + WORTH_TELLING,
        data={ACCOUNT: identity_id, **data},
    )
