"""Teams and skills as leads change them in chat, and who is in them.

Each function is one operation on one transaction.
"""

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from bot.domain.agent import Agent, Skill, Team
from bot.domain.errors import BadInput, NotFound
from bot.domain.events import AuditEntry, Event
from bot.domain.ids import new_id
from bot.domain.slugs import slug_of
from bot.message import words
from bot.ports import Transaction
from bot.service import members
from bot.service.deliveries import is_first

LONGEST_NAME = 80
"""Characters, as in the configuration."""


def name_of(typed: str, field: str) -> str:
    """A name as typed, fit to be shown. Raises BadInput for none, or a longer one than 80 characters."""
    name = words(typed, LONGEST_NAME + 1)
    if not name or len(name) > LONGEST_NAME:
        raise BadInput(f"A name has 1 to {LONGEST_NAME} characters, such as `Billing EU`.", field=field)
    return name


def _shown(name: str) -> str:
    return words(name, 40).replace("`", "")


def _announce(
    tx: Transaction, organization_id: str, kind: str, slug: str, name: str, actor: str, now: datetime
) -> None:
    about = {"slug": slug, "name": name}
    tx.ledger.audit(AuditEntry(new_id("aud", now), organization_id, now, actor, kind, slug, about))
    tx.ledger.events([Event(new_id("evt", now), organization_id, None, kind, now, about)])


def create_team(
    tx: Transaction, organization_id: str, typed: str, actor: str, now: datetime, delivery: str = ""
) -> Team:
    """A new team of that name. Its slug comes of the name; where nothing of it makes one, `team-1`, ….

    Raises BadInput where a team of that slug or name is there already.
    """
    name = name_of(typed, "name")
    teams = tx.members.teams(organization_id)
    slug = slug_of(name) or _free("team", {team.slug for team in teams})
    there = next((one for one in teams if one.slug == slug or one.name.casefold() == name.casefold()), None)
    if not is_first(tx, organization_id, delivery, now) and there is not None:
        return there
    if there is not None:
        raise BadInput(
            f"There is a team `{there.slug}` already, called `{_shown(there.name)}`. Take another name.",
            field="name",
        )
    team = Team(slug, name)
    tx.members.save_team(organization_id, team, now)
    _announce(tx, organization_id, "team.created", slug, name, actor, now)
    return team


def _free(what: str, taken: set[str]) -> str:
    return next(slug for number in range(1, len(taken) + 2) if (slug := f"{what}-{number}") not in taken)


def rename_team(
    tx: Transaction,
    organization_id: str,
    slug: str,
    typed: str,
    actor: str,
    now: datetime,
    delivery: str = "",
) -> Team:
    """The team under its new name; it keeps its slug, by which programs know it.

    Raises NotFound, and BadInput where another team has that name.
    """
    name = name_of(typed, "name")
    teams = tx.members.teams(organization_id)
    team = next((one for one in teams if one.slug == slug), None)
    if team is None:
        raise NotFound("That team is not there any more.")
    if not is_first(tx, organization_id, delivery, now) or team.name == name:
        return team
    other = next((one for one in teams if one.name.casefold() == name.casefold() and one.slug != slug), None)
    if other is not None:
        raise BadInput(
            f"The team `{other.slug}` is called `{_shown(other.name)}`. Take another name.", field="name"
        )
    renamed = replace(team, name=name)
    tx.members.save_team(organization_id, renamed, now)
    _announce(tx, organization_id, "team.renamed", slug, name, actor, now)
    return renamed


def ensure_skill(tx: Transaction, organization_id: str, typed: str, actor: str, now: datetime) -> Skill:
    """The skill of that name, made if it is new. Raises BadInput for no name."""
    name = name_of(typed, "skill")
    skills = tx.members.skills(organization_id)
    slug = slug_of(name)
    for skill in skills:
        if slug == skill.slug or name.casefold() == skill.name.casefold():
            return skill
    skill = Skill(slug or _free("skill", {one.slug for one in skills}), name)
    tx.members.save_skill(organization_id, skill, now)
    _announce(tx, organization_id, "skill.created", skill.slug, name, actor, now)
    return skill


def alter(
    tx: Transaction,
    agent_id: str,
    change: Callable[[Agent], Agent],
    kind: str,
    said: members.About,
    actor: str,
    now: datetime,
    delivery: str = "",
) -> Agent:
    """Change an agent as stored, with an event and an audit row of that kind that say what changed.

    What is so already writes nothing. Raises NotFound for somebody unknown or removed.
    """
    agent = tx.members.agent(agent_id)
    if agent is None or agent.removed:
        raise NotFound("There is no such agent any more.")
    if not is_first(tx, agent.organization_id, delivery, now):
        return agent
    changed = change(agent)
    return agent if changed == agent else members.save(tx, changed, actor, now, kind, said)
