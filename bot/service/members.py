"""Who is an agent: enrolment, profiles, removal.

Each function is one operation on one transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from bot.config import Config
from bot.config.values import known_zone
from bot.domain.agent import Agent, Identity, Workspace
from bot.domain.errors import NotFound
from bot.domain.events import AuditEntry, Event
from bot.domain.facts import Facts, begin_again, new_agent
from bot.domain.ids import new_id
from bot.message import words
from bot.ports import Person, Profile, Transaction
from bot.service.configured import Configured
from bot.service.deliveries import is_first

About = Mapping[str, str | int | bool | None]


def announce(
    tx: Transaction, agent: Agent, kind: str, actor: str, now: datetime, said: About | None = None
) -> None:
    """Tell the audit and other programs of a change of somebody."""
    about = said or {}
    tx.ledger.audit(AuditEntry(new_id("aud", now), agent.organization_id, now, actor, kind, agent.id, about))
    tx.ledger.events([Event(new_id("evt", now), agent.organization_id, agent.id, kind, now, about)])


def actor_of(person: Person, agent: Agent | None) -> str:
    """Who gives a command, for the audit."""
    return f"agent:{agent.id}" if agent else f"person:{person.platform}:{person.profile.external_id}"


def identity_of(person: Person, now: datetime) -> Identity:
    """A new account of somebody's, as the platform describes them."""
    profile = person.profile
    return Identity(
        new_id("idn", now),
        person.workspace_id,
        person.platform,
        profile.external_id,
        words(profile.name) or profile.external_id,
        profile.avatar_url,
        profile.is_admin,
    )


def account_of(agent: Agent, workspace_id: str, profile: Profile) -> Identity:
    """The agent's account that a platform's profile is about."""
    return next(
        one
        for one in agent.identities
        if one.workspace_id == workspace_id and one.external_id == profile.external_id
    )


def enrol(
    tx: Transaction,
    organization_id: str,
    workspace: Workspace,
    profile: Profile,
    config: Config,
    actor: str,
    now: datetime,
    delivery: str = "",
) -> tuple[Agent, Facts]:
    """Make somebody an agent, or answer the agent they are, with their account there again if it had left.
    A lead's enrolment brings a removed agent back; an agent's own does not (`dispatch` refuses it). A
    `delivery` that was here before changes nothing."""
    known = tx.members.by_identity(workspace.id, profile.external_id)
    is_new = is_first(tx, organization_id, delivery, now)
    if known is not None:
        facts = tx.presence.facts(known.id)
        if facts is None:
            raise NotFound("That agent has no presence on record. Tell whoever runs Rollcall.")
        if known.removed:
            if not is_new:
                return known, facts
            return _brought_back(tx, known, facts, workspace, profile, config, actor, now)
        identity = account_of(known, workspace.id, profile)
        if identity.present:
            return known, facts
        return save(tx, with_profile(known, identity, profile), actor, now), facts
    agent_id = new_id("agt", now)
    identity = identity_of(Person(workspace.id, workspace.platform, profile), now)
    zone = known_zone(profile.zone)
    agent = Agent(agent_id, organization_id, identity.name, zone, identities=(identity,))
    agent = Configured.of(config).places(tx.members.workspaces(organization_id)).given(agent)
    facts = new_agent(agent_id, now)
    tx.members.add(agent, facts, now)
    announce(tx, agent, "agent.enrolled", actor, now)
    return agent, facts


def _brought_back(
    tx: Transaction,
    agent: Agent,
    facts: Facts,
    workspace: Workspace,
    profile: Profile,
    config: Config,
    actor: str,
    now: datetime,
) -> tuple[Agent, Facts]:
    """A removed agent is one again: as the platform and the configuration now describe them, with
    nothing set."""
    identity = account_of(agent, workspace.id, profile)
    agent = with_profile(replace(agent, removed=False), identity, profile)
    agent = Configured.of(config).places(tx.members.workspaces(agent.organization_id)).given(agent)
    tx.members.save(agent, now)
    begun = begin_again(facts, now)
    announce(tx, agent, "agent.enrolled", actor, now)
    return agent, tx.presence.save(facts, begun, [begun.interval])


def with_profile(agent: Agent, identity: Identity, profile: Profile) -> Agent:
    """The agent with what a platform now says of one of their identities. The first identity names
    the agent; a zone set by hand stays."""
    name = words(profile.name) or identity.name
    renewed = replace(
        identity,
        name=name,
        avatar_url=profile.avatar_url or identity.avatar_url,
        is_admin=profile.is_admin,
        present=True,
    )
    identities = tuple(renewed if other.id == identity.id else other for other in agent.identities)
    zone = agent.zone if agent.zone_by_hand else known_zone(profile.zone) or agent.zone
    named = name if agent.identities[0].id == identity.id else agent.name
    return replace(agent, identities=identities, zone=zone, name=named)


def save(
    tx: Transaction,
    agent: Agent,
    actor: str,
    now: datetime,
    kind: str = "agent.updated",
    said: About | None = None,
) -> Agent:
    """Store an agent as changed, with its event and audit row, which say `said`."""
    tx.members.save(agent, now)
    announce(tx, agent, kind, actor, now, said)
    return agent


def save_all(agents: Sequence[Agent], actor: str, now: datetime, tx: Transaction) -> None:
    """Store several agents as changed."""
    for agent in agents:
        save(tx, agent, actor, now)


def gone(agent: Agent, identity: Identity) -> Agent:
    """The agent without that identity's membership; removed when it was the last one."""
    identities = tuple(
        replace(other, present=False) if other.id == identity.id else other for other in agent.identities
    )
    return replace(agent, identities=identities, removed=not any(other.present for other in identities))
