"""Working hours of agents and teams, set and shown at once: for chat and for the HTTP API."""

from bot.core import Rollcall
from bot.domain.agent import Agent, Team
from bot.service.hours import Change, set_agent_hours, set_team_hours


async def change_agent(
    core: Rollcall, agent_id: str, change: Change, actor: str, delivery: str = ""
) -> Agent:
    """Change an agent's own hours. Raises NotFound, and what `change` refuses with."""
    now = core.clock.now()
    return await core.changes.stored(
        agent_id, lambda tx: set_agent_hours(tx, agent_id, change, actor, now, delivery)
    )


async def change_team(core: Rollcall, slug: str, change: Change, actor: str, delivery: str = "") -> Team:
    """Change a team's hours. Raises NotFound, and what `change` refuses with."""
    return await core.lists.change(
        lambda tx, now: set_team_hours(tx, core.organization_id, slug, change, actor, now, delivery)
    )
