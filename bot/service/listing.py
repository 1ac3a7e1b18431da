"""The teams and skills of a roster file, as `rollcall apply` makes them so."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from bot.config import Config
from bot.domain.agent import Skill, Team
from bot.domain.errors import BadInput
from bot.domain.hours import Hours
from bot.domain.hours_text import days_text, weekly_text
from bot.domain.named import clash
from bot.message import words
from bot.ports import Transaction
from bot.service import teams
from bot.service.hours import set_team_hours
from bot.service.roster_file import Listed, RosterFile

ACTOR = "operator"
Listing = Sequence[Team] | Sequence[Skill]


class Lists(Struct, frozen=True):
    """The slugs of the teams and skills in their order, and those that were not there before."""

    teams: Sequence[str]
    skills: Sequence[str]
    fresh_teams: frozenset[str]
    fresh_skills: frozenset[str]
    former_teams: Mapping[str, str]
    """The slug of now, by each that was a team's before."""
    former_skills: Mapping[str, str]


def apply_lists(
    tx: Transaction,
    organization_id: str,
    file: RosterFile,
    prune: bool,
    config: Config,
    now: datetime,
    told: list[str],
) -> Lists:
    """Make the teams and skills what the file says; a line each into `told`. Raises BadInput."""
    old_teams, old_skills = tx.members.teams(organization_id), tx.members.skills(organization_id)
    _refuse_former(old_teams, file.team)
    _refuse_former(old_skills, file.skill)
    teams_before, skills_before = {one.slug: one for one in old_teams}, {one.slug: one for one in old_skills}
    in_teams = _merged([(one.slug, one.name) for one in old_teams], file.team, prune)
    in_skills = _merged([(one.slug, one.name) for one in old_skills], file.skill, prune)
    made_teams = [
        replace(teams_before.get(slug, Team(slug, name)), name=name) for slug, name in in_teams.items()
    ]
    hours = {row.slug: row.hours.hours() for row in file.team if row.hours is not None}
    made_skills = [
        replace(skills_before.get(slug, Skill(slug, name)), name=name) for slug, name in in_skills.items()
    ]
    _refuse_configured("team", old_teams, in_teams, [one.slug for one in config.team])
    _refuse_configured("skill", old_skills, in_skills, [one.slug for one in config.skill])
    _refuse_other("team", [one for one in made_teams if one not in old_teams], "skill", made_skills)
    _refuse_other("skill", [one for one in made_skills if one not in old_skills], "team", made_teams)
    if made_teams != list(old_teams):
        tx.members.save_teams(organization_id, made_teams, now)
    if made_skills != list(old_skills):
        tx.members.save_skills(organization_id, made_skills, now)
    for what, old, new in (("team", teams_before, in_teams), ("skill", skills_before, in_skills)):
        for kind, listed, line in _differences(what, old, new):
            teams.announce(tx, organization_id, kind, listed, ACTOR, now)
            told.append(line)
        if list(old) != list(new) and {*old} == {*new}:
            told.append(f"{what}s: in another order")
    for team in made_teams:
        wanted = hours.get(team.slug, team.hours)
        if wanted != team.hours:
            change = partial(_as_said, wanted)
            set_team_hours(tx, organization_id, team.slug, change, ACTOR, now)
            told.append(f"team {team.slug}: {works(wanted)}")
    return Lists(
        list(in_teams),
        list(in_skills),
        frozenset(in_teams) - frozenset(teams_before),
        frozenset(in_skills) - frozenset(skills_before),
        _former(made_teams),
        _former(made_skills),
    )


def _former(listed: Listing) -> dict[str, str]:
    return {slug: one.slug for one in listed for slug in one.aliases}


def _refuse_configured(what: str, there: Listing, kept: Collection[str], configured: Collection[str]) -> None:
    """What the configuration names would be back with the next start."""
    for one in there:
        if one.slug not in kept and not {one.slug, *one.aliases}.isdisjoint(configured):
            raise BadInput(
                f"--prune would end the {what} {one.slug}, which stands in the configuration and would be "
                f'back with the next start. Add it to the file, as in [[{what}]] slug = "{one.slug}", '
                f'name = "{words(one.name)}"; or take it out of the configuration and start again.'
            )


def _refuse_other(what: str, changed: Listing, other: str, others: Listing) -> None:
    """A team and a skill of one name: `/who german` would show but one of them."""
    for one in changed:
        there = clash(others, one.slug, one.name)
        if there is not None:
            raise BadInput(
                f"[[{what}]] {one.slug}: called {words(one.name)}, it would be taken for the {other} "
                f"{there.slug}, called {words(there.name)}. Take another name or slug."
            )


def _refuse_former(there: Listing, rows: Sequence[Listed]) -> None:
    """A slug of before leads to what has another one now, and can't be a second one's."""
    for row in rows:
        now = next((one.slug for one in there if row.slug in one.aliases), None)
        if now is not None:
            raise BadInput(f"slug: {row.slug} was the slug of {now}, and still leads to it. Write {now}.")


def _as_said(said: Hours | None, there: Hours | None) -> Hours | None:
    return said


def works(hours: Hours | None) -> str:
    """Hours in a few words."""
    if hours is None:
        return "no hours"
    off = ", ".join(days_text(one) for one in hours.days_off)
    week = weekly_text(hours.weekly) or "always"
    return f"works {week} {hours.zone}{', off ' if off else ''}{off}"


def _merged(old: Sequence[tuple[str, str]], rows: Sequence[Listed], prune: bool) -> dict[str, str]:
    """Slug → name: the file's in its order, then those it does not speak of. Raises BadInput where two
    would be called the same."""
    new = {row.slug: row.name for row in rows}
    if not prune:
        for slug, name in old:
            new.setdefault(slug, name)
    by_name: dict[str, str] = {}
    for slug, name in new.items():
        other = by_name.setdefault(name.casefold(), slug)
        if other != slug:
            raise BadInput(f"{slug} and {other} would both be called {words(name, 40)}. Take another name.")
    return new


def _differences(
    what: str, old: Mapping[str, Team] | Mapping[str, Skill], new: Mapping[str, str]
) -> list[tuple[str, Team | Skill, str]]:
    """Kind of the event, what it is about, and the line."""
    made = Team if what == "team" else Skill
    found: list[tuple[str, Team | Skill, str]] = []
    for slug, name in new.items():
        before = old.get(slug)
        if before is None:
            line = f"{what} {slug}: new, called {words(name)}"
            found.append((f"{what}.created", made(slug, name), line))
        elif before.name != name:
            line = f"{what} {slug}: called {words(name)}, was {words(before.name)}"
            found.append((f"{what}.renamed", replace(before, name=name), line))
    ended = [before for slug, before in old.items() if slug not in new]
    return found + [(f"{what}.ended", before, f"{what} {before.slug}: ends") for before in ended]
