"""Working hours of teams and agents as they are set: one operation on one transaction each.

What is changed is a part of the hours as they are stored, so that one who sets the week and another who
adds a day off at the same time both get their way.
"""

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from bot.domain.agent import Agent, Team
from bot.domain.errors import NotFound
from bot.domain.events import AuditEntry, Event
from bot.domain.hours import Hours
from bot.domain.hours_text import weekly_text
from bot.domain.ids import new_id
from bot.ports import Transaction
from bot.service import teams
from bot.service.deliveries import is_first
from bot.service.members import About

Change = Callable[[Hours | None], Hours | None]


def _about(hours: Hours | None) -> About:
    if hours is None:
        return {"weekly": "", "zone": None, "days_off": 0}
    return {"weekly": weekly_text(hours.weekly), "zone": hours.zone, "days_off": len(hours.days_off)}


def set_agent_hours(
    tx: Transaction, agent_id: str, change: Change, actor: str, now: datetime, delivery: str = ""
) -> Agent:
    """An agent with other hours of their own. What is so already writes nothing. Raises NotFound, and what
    `change` refuses with."""
    stored = tx.members.agent(agent_id)
    if stored is None or not is_first(tx, stored.organization_id, delivery, now):
        return teams.alter(tx, agent_id, lambda agent: agent, "agent.hours", {}, actor, now)
    hours = change(stored.hours)
    return teams.alter(
        tx, agent_id, lambda agent: replace(agent, hours=hours), "agent.hours", _about(hours), actor, now
    )


def set_team_hours(
    tx: Transaction,
    organization_id: str,
    slug: str,
    change: Change,
    actor: str,
    now: datetime,
    delivery: str = "",
) -> Team:
    """A team with other hours, as for an agent."""
    team = next((one for one in tx.members.teams(organization_id) if one.slug == slug), None)
    if team is None:
        raise NotFound("That team is not there any more.")
    if not is_first(tx, organization_id, delivery, now):
        return team
    hours = change(team.hours)
    if hours == team.hours:
        return team
    changed = replace(team, hours=hours)
    tx.members.save_team(organization_id, changed, now)
    about = {"slug": slug, **_about(hours)}
    tx.ledger.audit(AuditEntry(new_id("aud", now), organization_id, now, actor, "team.hours", slug, about))
    tx.ledger.events([Event(new_id("evt", now), organization_id, None, "team.hours", now, about)])
    return changed
