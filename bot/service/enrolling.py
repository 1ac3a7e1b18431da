"""Agents as programs make and change them.

Each function is one operation on one transaction.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from bot.config import Config
from bot.domain.agent import Agent, Role, Workspace
from bot.domain.errors import Conflict
from bot.domain.facts import Facts
from bot.message import words
from bot.ports import Profile, Transaction
from bot.service import members, teams
from bot.service.revision import refuse_stale


class Wanted(Struct, frozen=True):
    """What a new agent shall be."""

    external_id: str
    name: str
    zone: str | None
    capacity: int
    role: Role
    teams: Sequence[str] | None = None
    """Slugs; None: those that the configuration gives."""
    skills: Sequence[str] | None = None


def add(
    tx: Transaction,
    organization_id: str,
    workspace: Workspace,
    wanted: Wanted,
    config: Config,
    actor: str,
    now: datetime,
) -> tuple[Agent, Facts]:
    """Enrol somebody by their account there; whoever was removed is an agent again.

    Raises Conflict where they are an agent already, BadInput for a team or skill that there is not.
    """
    known = tx.members.by_identity(workspace.id, wanted.external_id)
    if known is not None and not known.removed:
        raise Conflict(
            f"{words(wanted.external_id, 40)} in {words(workspace.external_id, 40)} is an agent already: "
            f"{known.id}. Change them there."
        )
    given = {}
    if wanted.teams is not None:
        given["teams"] = teams.known(tx.members.teams(organization_id), wanted.teams, "teams")
    if wanted.skills is not None:
        given["skills"] = teams.known(tx.members.skills(organization_id), wanted.skills, "skills")
    by_hand = wanted.zone is not None

    def shaped(agent: Agent) -> Agent:
        agent = replace(agent, name=wanted.name, capacity=wanted.capacity, role=wanted.role, **given)
        return replace(agent, zone=wanted.zone, zone_by_hand=True) if by_hand else agent

    profile = Profile(wanted.external_id, wanted.name, wanted.zone)
    return members.enrol(tx, organization_id, workspace, profile, config, actor, now, shape=shaped)


def change(
    tx: Transaction,
    agent_id: str,
    changed: Callable[[Agent], Agent],
    read: Collection[str],
    actor: str,
    now: datetime,
) -> Agent | None:
    """Change an agent as stored; None: there is none. What is so already writes nothing. Raises Stale."""
    agent = tx.members.agent(agent_id)
    if agent is None or agent.removed:
        return None
    refuse_stale(agent, read)
    renewed = changed(agent)
    if renewed == agent:
        return agent
    if renewed == replace(agent, capacity=renewed.capacity):
        return members.save(tx, renewed, actor, now, "agent.capacity", {"capacity": renewed.capacity})
    return members.save(tx, renewed, actor, now)
