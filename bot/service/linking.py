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
from bot.domain.errors import Conflict, NotFound
from bot.domain.events import AuditEntry, Event
from bot.domain.facts import Facts, Policy, Presence
from bot.domain.ids import new_id
from bot.domain.presence import Feeds
from bot.domain.transition import Told
from bot.message import words
from bot.ports import ACCOUNT, LinkCode, Load, NoticeRow, Person, Transaction
from bot.service import members
from bot.service.configured import Configured, Places
from bot.service.deliveries import is_first
from bot.service.presence import Step, moved, record

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


def _audit(
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
    _audit(tx, house, now, f"agent:{agent.id}", "link.asked", agent.id, platform=identity.platform)
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
        return Written(Outcome.REPEATED)
    who = f"{person.workspace_id}:{person.profile.external_id}"
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
        _audit(
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
    _audit(
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
    tx.ledger.notice(_notice(house, asker.id, Told.LINKED, code.identity_id, now))
    return written


def _fit(asker: Agent, code: LinkCode, confirmer: Agent | None, person: Person) -> bool:
    """Both are there, the account that asked is still the asker's, and no workspace would be there twice:
    two accounts of one workspace are two people."""
    if asker.removed or (confirmer is not None and confirmer.removed):
        return False
    there = {one.workspace_id for one in asker.identities if one.present}
    others = {one.workspace_id for one in confirmer.identities if one.present} if confirmer else set()
    asked_here = any(one.id == code.identity_id and one.present for one in asker.identities)
    return asked_here and there.isdisjoint({*others, person.workspace_id})


def _places(tx: Transaction, house: House) -> Places:
    """What the configuration gives to whom."""
    return Configured.of(house.config).places(tx.members.workspaces(house.organization_id))


def _with_role(tx: Transaction, house: House, agent: Agent) -> Agent:
    """The role goes with the accounts that the configuration names, and with nothing else."""
    return replace(agent, role=_places(tx, house).given(agent).role)


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
        named = _places(tx, house).given(replace(asker, identities=(identity,)))
        united, _ = merging.unite(joined, replace(named, identities=(), externals=()))
        agent = members.save(tx, _with_role(tx, house, united), actor, now)
        return Written(Outcome.LINKED, ((agent, before[asker.id]),))
    united, clashes = merging.unite(asker, confirmer)
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
    _audit(tx, house, now, actor, "agent.merged", gone.id, into=asker.id)
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


def unlink(
    before: Mapping[str, Facts],
    tx: Transaction,
    *,
    house: House,
    agent_id: str,
    identity_id: str,
    new_agent_id: str,
    tell: bool,
    actor: str,
    delivery: str,
    now: datetime,
) -> Written:
    """An account becomes an agent of its own again, with nothing set; history stays where it is. Raises
    NotFound where the account is no longer the agent's, or the only one that is left of them."""
    if not is_first(tx, house.organization_id, delivery, now):
        return Written(Outcome.REPEATED)
    agent = tx.members.agent(agent_id)
    identity = next((one for one in agent.identities if one.id == identity_id), None) if agent else None
    if (
        agent is None
        or identity is None
        or not any(one.present for one in agent.identities if one.id != identity_id)
    ):
        raise NotFound("That account is not linked to another one any more.")
    (left, changes), fresh = merging.part(
        before[agent_id], identity_id, new_agent_id, house.feeds, house.policy, now, agent.zone
    )
    rest = members.save(tx, _with_role(tx, house, merging.without(agent, identity)), actor, now)
    facts = record(tx, house.organization_id, Step(before[agent_id], left, changes), now)
    name = words(identity.name) or identity.external_id
    alone = Agent(new_agent_id, house.organization_id, name, agent.zone, identities=(identity,))
    alone = _places(tx, house).given(alone)
    tx.members.add(alone, fresh, now)
    members.announce(tx, alone, "agent.enrolled", actor, now)
    if fresh.interval.presence is not Presence.OFFLINE:
        tx.ledger.events([moved(house.organization_id, alone.id, fresh.interval, now)])
    _audit(tx, house, now, actor, "agent.unlinked", agent_id, platform=identity.platform, agent=alone.id)
    if tell:
        tx.ledger.notice(_notice(house, alone.id, Told.UNLINKED, identity.id, now))
    return Written(Outcome.LINKED, ((rest, facts), (alone, fresh)))


def _notice(house: House, agent_id: str, told: Told, identity_id: str, now: datetime) -> NoticeRow:
    """A word to one account of an agent's, and to no other."""
    return NoticeRow(
        new_id("ntc", now),
        house.organization_id,
        agent_id,
        told.value,
        now,
        now + WORTH_TELLING,
        data={ACCOUNT: identity_id},
    )
