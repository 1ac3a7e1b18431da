"""Agents with their identities, teams and skills."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, bindparam, delete, insert, select, update

from bot.domain.agent import Agent
from bot.domain.facts import Facts
from storage import tables
from storage.agents import (
    IDENTITY,
    NAME,
    PROFILE,
    agent_from,
    identity_columns,
    identity_from,
    profile_columns,
    profile_values,
)
from storage.everyone import everyone
from storage.organizations import OrganizationRows, living
from storage.presence import Presences
from storage.sql import Sql, Statement, micros, named, upsert

_of_agent: Any = bindparam("agent_id")
_of_organization: Any = bindparam("organization_id")


def _by_id(locked: bool) -> Statement:
    found = select(*profile_columns).where(tables.agent.c.id == _of_agent)
    return Statement(found.with_for_update() if locked else found)


AGENT, AGENT_LOCKED = _by_id(False), _by_id(True)
BY_IDENTITY = Statement(
    select(tables.identity.c.agent_id).where(
        tables.identity.c.workspace_id == bindparam("workspace_id"),
        tables.identity.c.external_id == bindparam("external_id"),
    )
)
BY_EXTERNAL = Statement(
    select(tables.external_id.c.agent_id).where(
        tables.external_id.c.organization_id == _of_organization,
        tables.external_id.c.system == bindparam("system"),
        tables.external_id.c.external_id == bindparam("external_id"),
    )
)
ADD_AGENT = Statement(insert(tables.agent).values(named(tables.agent)))
SAVE_AGENT = Statement(
    update(tables.agent)
    .where(tables.agent.c.id == bindparam("the_id"))
    .values(named(tables.agent, *PROFILE[1:8], "updated_at"))
)
PUT_IDENTITY = Statement(insert(tables.identity).values(named(tables.identity)))
SAVE_IDENTITY = Statement(
    update(tables.identity)
    .where(tables.identity.c.id == bindparam("the_id"))
    .values(named(tables.identity, *IDENTITY[5:], "rank"))
)
DELETE_IDENTITY = Statement(delete(tables.identity).where(tables.identity.c.id == bindparam("id")))
DELETE_LINK = Statement(delete(tables.link).where(tables.link.c.identity_id == bindparam("id")))


def _owned_by_one(owned: Table, slug: str, table: Table) -> Statement:
    """(slug,) of an agent's living teams or skills, in the order of the list."""
    same = (table.c.organization_id == owned.c.organization_id) & (table.c.slug == owned.c[slug])
    found = select(owned.c[slug]).select_from(owned.join(table, same))
    return Statement(
        found.where(owned.c.agent_id == _of_agent, living(table)).order_by(table.c.rank, table.c.slug)
    )


def _clear_slugs(owned: Table, slug: str, table: Table) -> Statement:
    """What is archived stays, so that it is there again with the team or skill."""
    listed = select(table.c.slug).where(table.c.organization_id == owned.c.organization_id, living(table))
    return Statement(delete(owned).where(owned.c.agent_id == _of_agent, owned.c[slug].in_(listed)))


TEAMS_OF = _owned_by_one(tables.membership, "team_slug", tables.team)
CLEAR_TEAMS = _clear_slugs(tables.membership, "team_slug", tables.team)
JOIN_TEAM = upsert(tables.membership)
SKILLS_OF = _owned_by_one(tables.agent_skill, "skill_slug", tables.skill)
CLEAR_SKILLS = _clear_slugs(tables.agent_skill, "skill_slug", tables.skill)
GIVE_SKILL = upsert(tables.agent_skill)
_external = [tables.external_id.c[name] for name in ("agent_id", "system", "external_id")]
EXTERNALS_OF = Statement(
    select(*_external)
    .where(tables.external_id.c.agent_id == _of_agent)
    .order_by(tables.external_id.c.system, tables.external_id.c.external_id)
)
CLEAR_EXTERNALS = Statement(delete(tables.external_id).where(tables.external_id.c.agent_id == _of_agent))
PUT_EXTERNAL = Statement(insert(tables.external_id).values(named(tables.external_id)))
IDENTITIES_OF = Statement(
    select(*identity_columns).where(tables.identity.c.agent_id == _of_agent).order_by(tables.identity.c.rank)
)


class MemberRows(OrganizationRows):
    """Implements `bot.ports.Members`. Teams and skills of an agent stand in the order of the lists."""

    __slots__ = ("_presence",)

    def __init__(self, sql: Sql, presence: Presences) -> None:
        super().__init__(sql)
        self._presence = presence

    def agent(self, agent_id: str) -> Agent | None:
        """Also a removed one. In a write nobody else can change their profile until it is over."""
        profile = self._sql.first(AGENT_LOCKED if self._sql.writing else AGENT, agent_id=agent_id)
        if profile is None:
            return None
        name = profile[NAME]
        return agent_from(
            profile,
            tuple(record[0] for record in self._sql.all(TEAMS_OF, agent_id=agent_id)),
            tuple(record[0] for record in self._sql.all(SKILLS_OF, agent_id=agent_id)),
            tuple(identity_from(one, name) for one in self._sql.all(IDENTITIES_OF, agent_id=agent_id)),
            tuple((record[1], record[2]) for record in self._sql.all(EXTERNALS_OF, agent_id=agent_id)),
        )

    def by_identity(self, workspace_id: str, external_id: str) -> Agent | None:
        """Also a removed one: removal is sticky."""
        found = self._sql.first(BY_IDENTITY, workspace_id=workspace_id, external_id=external_id)
        return None if found is None else self.agent(found[0])

    def by_external(self, organization_id: str, system: str, external_id: str) -> Agent | None:
        """Also a removed one."""
        found = self._sql.first(
            BY_EXTERNAL, organization_id=organization_id, system=system, external_id=external_id
        )
        return None if found is None else self.agent(found[0])

    def add(self, agent: Agent, facts: Facts, now: datetime) -> None:
        """A new agent with identities, teams, skills and facts, its first interval opened.

        Raises Conflict when one of the identities or external ids already belongs to somebody.
        """
        self._sql.run(
            ADD_AGENT,
            id=agent.id,
            organization_id=agent.organization_id,
            created_at=micros(now),
            merged_into=None,
            **profile_values(agent, now),
        )
        self._save_identities(agent, known=set())
        self._save_lists(agent)
        self._presence.add(agent.organization_id, facts)

    def save(self, agent: Agent, now: datetime) -> None:
        """The agent as it now is: profile, identities, teams, skills, external ids.

        Raises Conflict as `add` does.
        """
        self._sql.run(SAVE_AGENT, the_id=agent.id, **profile_values(agent, now))
        known = {record[1] for record in self._sql.all(IDENTITIES_OF, agent_id=agent.id)}
        self._save_identities(agent, known)
        self._sql.run(CLEAR_TEAMS, agent_id=agent.id)
        self._sql.run(CLEAR_SKILLS, agent_id=agent.id)
        self._sql.run(CLEAR_EXTERNALS, agent_id=agent.id)
        self._save_lists(agent)

    def _save_identities(self, agent: Agent, known: set[str]) -> None:
        for identity_id in known - {identity.id for identity in agent.identities}:
            self._sql.run(DELETE_LINK, id=identity_id)
            self._sql.run(DELETE_IDENTITY, id=identity_id)
        for rank, identity in enumerate(agent.identities):
            changing = {
                "name": identity.name,
                "avatar_url": identity.avatar_url,
                "is_admin": identity.is_admin,
                "present": identity.present,
                "rank": rank,
            }
            if identity.id in known:
                self._sql.run(SAVE_IDENTITY, the_id=identity.id, **changing)
                continue
            self._sql.run(
                PUT_IDENTITY,
                id=identity.id,
                organization_id=agent.organization_id,
                agent_id=agent.id,
                workspace_id=identity.workspace_id,
                platform=identity.platform,
                external_id=identity.external_id,
                **changing,
            )

    def _save_lists(self, agent: Agent) -> None:
        owner = {"agent_id": agent.id, "organization_id": agent.organization_id}
        for slug in agent.teams:  # one that is archived by now is still theirs, and stays
            self._sql.run(JOIN_TEAM, **owner, team_slug=slug)
        for slug in agent.skills:
            self._sql.run(GIVE_SKILL, **owner, skill_slug=slug)
        self._sql.many(
            PUT_EXTERNAL,
            [{**owner, "system": system, "external_id": name} for system, name in agent.externals],
        )

    def everyone(self, organization_id: str) -> Sequence[tuple[Agent, Facts]]:
        """All agents with their facts, the removed ones left out, the oldest first: a few statements."""
        teams = [team.slug for team in self.teams(organization_id)]
        skills = [skill.slug for skill in self.skills(organization_id)]
        return everyone(self._sql, organization_id, teams, skills)
