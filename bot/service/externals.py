"""How other systems name agents: one external id for each (agent, system), unique in an organization.

Each function is one operation on one transaction.
"""

from datetime import datetime

from msgspec.structs import replace

from bot.domain.agent import Agent
from bot.domain.errors import Conflict, NotFound
from bot.message import words
from bot.ports import Transaction
from bot.service import members


def name_agent(
    tx: Transaction, agent_id: str, system: str, external_id: str | None, actor: str, now: datetime
) -> Agent:
    """Let `system` know the agent as `external_id`, or (None) no longer. Answers the agent as stored.

    Saying what is so already writes nothing. Raises NotFound for an unknown or removed agent,
    Conflict where another agent has that id.
    """
    agent = tx.members.agent(agent_id)
    if agent is None or agent.removed:
        raise NotFound("There is no such agent.")
    externals = dict(agent.externals)
    if externals.get(system) == external_id:
        return agent
    if external_id is None:
        del externals[system]
    else:
        holder = tx.members.by_external(agent.organization_id, system, external_id)
        if holder is not None and holder.removed:
            take(tx, holder, system, actor, now)
        elif holder is not None and holder.id != agent.id:
            raise Conflict(
                f"{words(external_id, 40)} in {system} is another agent already: {holder.id}. "
                "Take it from them first."
            )
        externals[system] = external_id
    renewed = replace(agent, externals=tuple(sorted(externals.items())))
    return members.save(tx, renewed, actor, now)


def take(tx: Transaction, holder: Agent, system: str, actor: str, now: datetime) -> None:
    """Whoever was removed keeps no name that an agent needs."""
    left = tuple(named for named in holder.externals if named[0] != system)
    members.save(tx, replace(holder, externals=left), actor, now)
