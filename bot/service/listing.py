"""The teams and skills of a roster file, as `rollcall apply` makes them so."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from bot.domain.agent import Skill, Team
from bot.domain.errors import BadInput
from bot.message import words
from bot.ports import Transaction
from bot.service import teams
from bot.service.roster_file import Listed, RosterFile

ACTOR = "operator"


class Lists(Struct, frozen=True):
    """The slugs of the teams and skills in their order, and those that were not there before."""

    teams: Sequence[str]
    skills: Sequence[str]
    fresh_teams: frozenset[str]
    fresh_skills: frozenset[str]


def apply_lists(
    tx: Transaction, organization_id: str, file: RosterFile, prune: bool, now: datetime, told: list[str]
) -> Lists:
    """Make the teams and skills what the file says; a line each into `told`. Raises BadInput."""
    old_teams, old_skills = tx.members.teams(organization_id), tx.members.skills(organization_id)
    colors = {team.slug: team.color for team in old_teams}
    in_teams = _merged([(one.slug, one.name) for one in old_teams], file.team, prune)
    in_skills = _merged([(one.slug, one.name) for one in old_skills], file.skill, prune)
    made_teams = [Team(slug, name, colors.get(slug, "")) for slug, name in in_teams.items()]
    made_skills = [Skill(slug, name) for slug, name in in_skills.items()]
    if made_teams != list(old_teams):
        tx.members.save_teams(organization_id, made_teams, now)
    if made_skills != list(old_skills):
        tx.members.save_skills(organization_id, made_skills, now)
    kinds = (
        ("team", {one.slug: one.name for one in old_teams}, in_teams),
        ("skill", {one.slug: one.name for one in old_skills}, in_skills),
    )
    for what, old, new in kinds:
        for kind, slug, name, line in _differences(what, old, new):
            teams.announce(tx, organization_id, kind, slug, name, ACTOR, now)
            told.append(line)
    if list(colors) != list(in_teams) and {*colors} == {*in_teams}:
        told.append("teams: in another order")
    if [one.slug for one in old_skills] != list(in_skills) and {one.slug for one in old_skills} == {
        *in_skills
    }:
        told.append("skills: in another order")
    return Lists(
        list(in_teams),
        list(in_skills),
        frozenset(in_teams) - frozenset(colors),
        frozenset(in_skills) - {one.slug for one in old_skills},
    )


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
    what: str, old: Mapping[str, str], new: Mapping[str, str]
) -> list[tuple[str, str, str, str]]:
    """Kind of the event, slug, name, and the line."""
    kinds = {
        "team": ("team.created", "team.renamed", "team.archived"),
        "skill": ("skill.created", "skill.renamed", "skill.archived"),
    }
    created, renamed, archived = kinds[what]
    found = []
    for slug, name in new.items():
        if slug not in old:
            found.append((created, slug, name, f"{what} {slug}: new, called {words(name)}"))
        elif old[slug] != name:
            found.append(
                (renamed, slug, name, f"{what} {slug}: called {words(name)}, was {words(old[slug])}")
            )
    ended = [slug for slug in old if slug not in new]
    return found + [(archived, slug, old[slug], f"{what} {slug}: ends") for slug in ended]
