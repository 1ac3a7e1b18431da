"""Teams and skills as leads change them in chat, and who is in them.

Each function is one operation on one transaction.
"""

from collections.abc import Callable
from datetime import datetime

import regex

from bot.domain.agent import Agent, Skill, Team
from bot.domain.errors import BadInput, NotFound
from bot.domain.events import AuditEntry, Event
from bot.domain.ids import new_id
from bot.domain.named import clash
from bot.domain.slugs import slug_of
from bot.message import words
from bot.ports import Transaction
from bot.service import members
from bot.service.deliveries import is_first

LONGEST_NAME = 80
"""Characters, as in the configuration."""
_UNSEEN = regex.compile(r"[\s\p{C}\p{M}\u115f\u1160\u2800\u3164\uffa0]")
"""What shows nothing by itself, also where it counts as a letter or a symbol."""


def name_of(typed: str, field: str) -> str:
    """A name as typed, fit to be shown. Raises BadInput for none that can be seen, or a longer one than 80
    characters, as people count them."""
    name = words(typed, LONGEST_NAME + 1)
    if not _UNSEEN.sub("", name) or len(regex.findall(r"\X", name)) > LONGEST_NAME or _cut(typed, name):
        raise BadInput(f"A name has 1 to {LONGEST_NAME} characters, such as `Billing EU`.", field=field)
    return name


def _cut(typed: str, name: str) -> bool:
    """Whether `words` had to cut it, which it does by marks and code points too."""
    return name.endswith("…") and not typed.rstrip().endswith("…")


def _shown(name: str) -> str:
    return words(name, 40).replace("`", "")


def _refuse_other(there: Team | Skill | None, what: str, field: str) -> None:
    """A team and a skill of one name: `/who german` would show but one of them."""
    if there is not None:
        raise BadInput(
            f"There is a {what} `{there.slug}`, called `{_shown(there.name)}`, and who asks for one would be "
            "shown the other. Take another name.",
            field=field,
        )


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
    there = clash(teams, slug, name)
    if not is_first(tx, organization_id, delivery, now) and there is not None:
        return there
    if there is not None:
        raise BadInput(
            f"There is a team `{there.slug}` already, called `{_shown(there.name)}`. Take another name.",
            field="name",
        )
    _refuse_other(clash(tx.members.skills(organization_id), slug, name), "skill", "name")
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
    other = clash([one for one in teams if one.slug != slug], slug, name)
    if other is not None:
        raise BadInput(
            f"The team `{other.slug}` is called `{_shown(other.name)}`. Take another name.", field="name"
        )
    _refuse_other(clash(tx.members.skills(organization_id), slug, name), "skill", "name")
    renamed = Team(slug, name, team.color)
    tx.members.save_team(organization_id, renamed, now)
    _announce(tx, organization_id, "team.renamed", slug, name, actor, now)
    return renamed


def ensure_skill(tx: Transaction, organization_id: str, typed: str, actor: str, now: datetime) -> Skill:
    """The skill of that name, made if it is new. Raises BadInput for no name."""
    name = name_of(typed, "skill")
    skills = tx.members.skills(organization_id)
    slug = slug_of(name)
    there = clash(skills, slug, name)
    if there is not None:
        return there
    _refuse_other(clash(tx.members.teams(organization_id), slug, name), "team", "skill")
    skill = Skill(slug or _free("skill", {one.slug for one in skills}), name)
    tx.members.save_skill(organization_id, skill, now)
    _announce(tx, organization_id, "skill.created", skill.slug, name, actor, now)
    return skill


def end_skill(
    tx: Transaction, organization_id: str, slug: str, actor: str, now: datetime, delivery: str = ""
) -> None:
    """A skill is no longer one. What is so already writes nothing."""
    skills = tx.members.skills(organization_id)
    skill = next((one for one in skills if one.slug == slug), None)
    if skill is None or not is_first(tx, organization_id, delivery, now):
        return
    tx.members.save_skills(organization_id, [one for one in skills if one is not skill], now)
    _announce(tx, organization_id, "skill.ended", slug, skill.name, actor, now)


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
