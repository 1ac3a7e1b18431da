"""What the configuration says of teams, skills and leads, applied by what has changed in it.

The database owns who is where (`docs/adr/0009-teams.md`): leads change it in chat. The configuration of
the last start is remembered, and a start applies only the difference.
"""

import logging
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bot.config import Config
from bot.config.tables import TeamTable
from bot.domain.agent import Agent, Identity, Role, Skill, Team, Workspace, slug_among
from bot.domain.events import AuditEntry
from bot.domain.hours import Hours
from bot.domain.hours_set import or_none, with_week
from bot.domain.hours_text import read_days, read_weekly
from bot.domain.ids import new_id
from bot.ports import EVENTS_MARK, RESTORED_FROM, Transaction

log = logging.getLogger("rollcall.core")
REMEMBERED = "configured"
"""The organization's setting that holds what the configuration said at the last start, as JSON."""


class Listed(Struct, frozen=True):
    """A team or a skill of the configuration."""

    name: str
    members: tuple[str, ...] = ()
    """As the configuration names people, `platform:workspace:person`."""
    everyone: bool = False
    hours: str = ""
    zone: str = ""
    """Where anything is said of hours or days off."""
    days_off: tuple[str, ...] = ()

    def hours_after(self, was: "Listed", there: Hours | None) -> Hours | None:
        """A team's hours with what has changed in the configuration since it said `was`."""
        hours = there
        if self.hours != was.hours or (self.hours and self.zone != was.zone):
            week = read_weekly(self.hours) if self.hours else ()
            hours = with_week(hours, self.zone or was.zone, week)
        elif self.days_off and hours is not None and hours.zone == was.zone:
            hours = replace(hours, zone=self.zone)
        if self.days_off != was.days_off:
            kept = set(hours.days_off if hours is not None else ())
            kept -= {read_days(gone, None) for gone in set(was.days_off) - set(self.days_off)}
            kept |= {read_days(new, None) for new in set(self.days_off) - set(was.days_off)}
            hours = or_none(replace(hours or Hours(self.zone or was.zone), days_off=tuple(sorted(kept))))
        return hours


class Places(Struct, frozen=True):
    """What the configuration gives to whom."""

    spaces: Mapping[str, str]
    """How a person's name begins, by the workspace's id."""
    leads: Set[str]
    teams: Mapping[str, Set[str] | None]
    """By slug, who is in it; None: everybody."""
    skills: Mapping[str, Set[str]]

    def role(self, agent: Agent) -> Role:
        """A lead by an account that is there: whoever has left the workspace in which they are named is none
        by it any more."""
        there = tuple(one for one in agent.identities if one.present)
        return Role.AGENT if self._names(there).isdisjoint(self.leads) else Role.LEAD

    def _names(self, identities: Sequence[Identity]) -> set[str]:
        return {
            self.spaces[one.workspace_id] + one.external_id
            for one in identities
            if one.workspace_id in self.spaces
        }

    def given(self, agent: Agent) -> Agent:
        """The agent with their role, teams and skills; the same one where that is so already."""
        names, role = self._names(agent.identities), self.role(agent)
        teams = tuple(slug for slug, who in self.teams.items() if who is None or not names.isdisjoint(who))
        skills = tuple(slug for slug, who in self.skills.items() if not names.isdisjoint(who))
        if (role, teams, skills) == (agent.role, agent.teams, agent.skills):
            return agent
        return replace(agent, role=role, teams=teams, skills=skills)


class Configured(Struct, frozen=True):
    """The part of a configuration that says who is where."""

    leads: tuple[str, ...] = ()
    teams: Mapping[str, Listed] = {}
    """By slug, in order."""
    skills: Mapping[str, Listed] = {}

    @classmethod
    def of(cls, config: Config) -> Self:
        """What a configuration says."""
        return cls(
            config.organization.leads,
            {team.slug: _listed(team, config.organization.zone) for team in config.team},
            {skill.slug: Listed(skill.name, skill.agents) for skill in config.skill},
        )

    def known_as(self, teams: Sequence[Team], skills: Sequence[Skill]) -> Self:
        """The same by the slugs that teams and skills now have: a slug that was changed goes on to work."""
        return replace(
            self, teams=_by_present_slug(self.teams, teams), skills=_by_present_slug(self.skills, skills)
        )

    def places(self, workspaces: Sequence[Workspace]) -> Places:
        """What it gives to whom in these workspaces."""
        return Places(
            {one.id: f"{one.platform}:{one.external_id}:" for one in workspaces},
            frozenset(self.leads),
            {slug: None if one.everyone else frozenset(one.members) for slug, one in self.teams.items()},
            {slug: frozenset(one.members) for slug, one in self.skills.items()},
        )


def _by_present_slug(said: Mapping[str, Listed], there: Sequence[Team | Skill]) -> dict[str, Listed]:
    """What is said of a slug that is one now counts more than what is said of a former one."""
    found: dict[str, Listed] = {}
    for slug, one in said.items():
        now = slug_among(there, slug) or slug
        if now == slug or now not in said:
            found[now] = one
    return found


def places_now(tx: Transaction, organization_id: str, config: Config) -> Places:
    """What a configuration gives to whom, by the slugs and in the workspaces that there now are."""
    members = tx.members
    said = Configured.of(config).known_as(members.teams(organization_id), members.skills(organization_id))
    return said.places(members.workspaces(organization_id))


def with_role(agent: Agent, config: Config, workspaces: Sequence[Workspace]) -> Agent:
    """The role goes with the accounts that are there, of which some may have left, or come back."""
    return replace(agent, role=Configured.of(config).places(workspaces).role(agent))


def _listed(team: TeamTable, zone: str) -> Listed:
    said = bool(team.hours or team.days_off)
    return Listed(
        team.name, team.members, team.everyone, team.hours, (team.zone or zone) if said else "", team.days_off
    )


class Beginning(Struct, frozen=True):
    """A start: what is to be applied to agents, after the lists themselves."""

    organization_id: str
    was: Configured | None
    """At the last start; None: nothing is remembered, and the configuration holds in full."""
    said: Configured
    fresh: Set[str]
    """Teams that were not there before: they have the members that the configuration names, and no
    others who may have been in one of that name long ago."""
    fresh_skills: Set[str]

    def moved(
        self, agent: Agent, before: Places | None, after: Places, teams: Sequence[str], skills: Sequence[str]
    ) -> Agent:
        """The agent with what has changed for them; the same one where nothing has. `teams`, `skills`:
        the lists, in whose order theirs stand."""
        new = after.given(agent)
        if before is None:
            return new
        old = before.given(agent)
        role = agent.role if old.role is new.role else new.role
        in_teams = _merged(agent.teams, old.teams, new.teams, self.fresh, teams)
        with_skills = _merged(agent.skills, old.skills, new.skills, self.fresh_skills, skills)
        if (role, in_teams, with_skills) == (agent.role, agent.teams, agent.skills):
            return agent
        return replace(agent, role=role, teams=in_teams, skills=with_skills)


def _merged(
    has: Sequence[str], old: Sequence[str], new: Sequence[str], fresh: Set[str], order: Sequence[str]
) -> tuple[str, ...]:
    """What somebody has, with what the configuration newly gives and without what it takes back."""
    kept = (set(has) - fresh) | (set(new) - set(old)) | (set(new) & fresh)
    kept -= set(old) - set(new)
    return tuple(slug for slug in order if slug in kept)


def begin(tx: Transaction, config: Config, now: datetime) -> Beginning:
    """The organization's row, and the lists of teams and skills, with what has changed in the
    configuration since the last start. What that means for agents is the caller's, and then `remember`."""
    if tx.members.organization(config.organization.slug) is None and tx.members.organizations():
        log.warning(
            "organization %s begins empty, in a database that has others; if only its slug was changed, "
            "change it back: its people are under the old one",
            config.organization.slug,
        )
    organization_id = tx.members.ensure_organization(config.organization.slug, config.organization.name, now)
    there = tx.members.teams(organization_id), tx.members.skills(organization_id)
    kept, said = tx.ledger.setting(organization_id, REMEMBERED), Configured.of(config).known_as(*there)
    was = msgspec.json.decode(kept, type=Configured).known_as(*there) if kept else None
    teams = {team.slug: team for team in there[0]}
    skills = {skill.slug: skill for skill in there[1]}
    named = _names(was.teams if was else None, said.teams, {slug: team.name for slug, team in teams.items()})
    wanted = [_team(slug, name, teams.get(slug), was, said) for slug, name in named.items()]
    if wanted != list(teams.values()):
        tx.members.save_teams(organization_id, wanted, now)
    named = _names(
        was.skills if was else None, said.skills, {slug: skill.name for slug, skill in skills.items()}
    )
    known = [replace(skills.get(slug, Skill(slug, name)), name=name) for slug, name in named.items()]
    if known != list(skills.values()):
        tx.members.save_skills(organization_id, known, now)
    fresh = frozenset(said.teams) - frozenset(teams)
    return Beginning(organization_id, was, said, fresh, frozenset(said.skills) - frozenset(skills))


def _team(slug: str, name: str, there: Team | None, was: Configured | None, said: Configured) -> Team:
    nothing = Listed(name)
    before = was.teams.get(slug, nothing) if was is not None else nothing
    known = there.hours if there is not None and was is not None else None
    hours = said.teams.get(slug, before).hours_after(before, known)
    return replace(there or Team(slug, name), name=name, hours=hours)


def _names(
    was: Mapping[str, Listed] | None, said: Mapping[str, Listed], there: Mapping[str, str]
) -> dict[str, str]:
    """Slug → name of all that there shall be: the configuration's, in its order, then what was made in
    chat. A name changes where the configuration's has."""
    if was is None:
        return {slug: one.name for slug, one in said.items()}
    names: dict[str, str] = {}
    for slug, one in said.items():
        same = slug in was and was[slug].name == one.name
        names[slug] = there.get(slug, one.name) if same else one.name
    for slug, name in there.items():
        if slug not in was:
            names.setdefault(slug, name)
    return names


def remember(tx: Transaction, begun: Beginning, now: datetime) -> None:
    """All of it has been applied: the next start begins from here."""
    if begun.was != begun.said:
        kept = msgspec.json.encode(begun.said).decode()
        tx.ledger.put_setting(begun.organization_id, REMEMBERED, kept, now)


def prepare(tx: Transaction, config: Config, now: datetime) -> str:
    """The organization as configured: its row, teams and skills. Answers its id."""
    return begin(tx, config, now).organization_id


def tell_restored(tx: Transaction, source: str, now: datetime) -> None:
    """Note in each organization that the database was restored from that backup, and that it is told."""
    for one in tx.members.organizations():
        entry = AuditEntry(new_id("aud", now), one, now, "operator", "database.restored", source)
        tx.ledger.audit(entry)
        tx.ledger.put_setting(one, EVENTS_MARK, f"{int(now.timestamp()):x}", now)
    tx.ledger.put_setting("", RESTORED_FROM, "", now)
