"""Organizations with their workspaces, teams and skills."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.types import Text

from bot.domain.agent import Skill, Team, Workspace
from bot.domain.ids import new_id
from storage import tables
from storage.hours import hours_from, hours_kept
from storage.sql import Sql, Statement, micros, named, upsert

_of_organization: Any = bindparam("organization_id")

ADD_ORGANIZATION = Statement(insert(tables.organization).values(named(tables.organization)))
ORGANIZATION = Statement(
    select(tables.organization.c.id, tables.organization.c.name).where(
        tables.organization.c.slug == bindparam("slug")
    )
)
ORGANIZATIONS = Statement(select(tables.organization.c.id).order_by(tables.organization.c.id))
NAME_ORGANIZATION = Statement(
    update(tables.organization)
    .where(tables.organization.c.id == bindparam("the_id"))
    .values(named(tables.organization, "name"))
)
_workspace = [tables.workspace.c[n] for n in ("id", "organization_id", "platform", "external_id", "name")]
ADD_WORKSPACE = Statement(insert(tables.workspace).values(named(tables.workspace)))
WORKSPACE = Statement(
    select(*_workspace).where(
        tables.workspace.c.organization_id == _of_organization,
        tables.workspace.c.platform == bindparam("platform"),
        tables.workspace.c.external_id == bindparam("external_id"),
    )
)
NAME_WORKSPACE = Statement(
    update(tables.workspace)
    .where(tables.workspace.c.id == bindparam("the_id"))
    .values(named(tables.workspace, "name"))
)
WORKSPACES = Statement(
    select(*_workspace)
    .where(tables.workspace.c.organization_id == _of_organization)
    .order_by(tables.workspace.c.id)
)


def living(table: Table) -> ColumnElement[bool]:
    """Not archived."""
    return table.c.archived_at.is_(None)


class Lists:
    """The teams or the skills of an organization."""

    def __init__(self, table: Table, *columns: str) -> None:
        self.table = table
        self.columns = columns
        self.living = Statement(
            select(*(table.c[name] for name in columns))
            .where(table.c.organization_id == _of_organization, living(table))
            .order_by(table.c.rank, table.c.slug)
        )
        self.archive = Statement(
            update(table)
            .where(table.c.organization_id == _of_organization, living(table))
            .values(archived_at=bindparam("now", type_=table.c.archived_at.type))
        )
        self.put = upsert(table, change=(*columns[1:], "rank", "archived_at"))
        last = select(func.coalesce(func.max(table.c.rank) + 1, 0)).where(
            table.c.organization_id == _of_organization
        )
        self.put_one = upsert(
            table, change=(*columns[1:], "archived_at"), found={"rank": last.scalar_subquery()}
        )

        owned, slug = OWNED[table.name]
        of_old = (owned.c.organization_id == _of_organization) & (owned.c[slug] == bindparam("old"))
        self.empty = Statement(delete(owned).where(of_old))
        self.move = Statement(update(owned).where(of_old).values({slug: bindparam("slug", type_=Text)}))
        one = (table.c.organization_id == _of_organization) & (table.c.slug == bindparam("old"))
        self.archive_one = Statement(
            update(table).where(one).values(archived_at=bindparam("now", type_=table.c.archived_at.type))
        )
        self.delete = Statement(delete(table).where(one))
        kept = [column.name for column in table.c if column.name != "slug"]
        self.copy = Statement(
            insert(table).from_select(
                ["slug", *kept],
                select(bindparam("slug", type_=Text), *(table.c[name] for name in kept)).where(one),
            )
        )

    def change_slug(self, sql: Sql, organization_id: str, old: str, slug: str) -> None:
        """The same row under another slug, and all that belongs to it. An archived one of that slug goes."""
        for statement in (self.empty, self.delete):
            sql.run(statement, organization_id=organization_id, old=slug)
        for statement in (self.copy, self.move):
            sql.run(statement, organization_id=organization_id, old=old, slug=slug)
        sql.run(self.delete, organization_id=organization_id, old=old)

    def end(self, sql: Sql, organization_id: str, slug: str, now: datetime) -> None:
        """Archived, and nobody's: who was in it is not in it again when there is another of that slug."""
        sql.run(self.empty, organization_id=organization_id, old=slug)
        sql.run(self.archive_one, organization_id=organization_id, old=slug, now=micros(now))

    def save(
        self, sql: Sql, organization_id: str, rows: Sequence[Sequence[str | None]], now: datetime
    ) -> None:
        """These are the living ones, in this order."""
        sql.run(self.archive, organization_id=organization_id, now=micros(now))
        for rank, row in enumerate(rows):
            values = dict(zip(self.columns, row, strict=True))
            sql.first(
                self.put,
                organization_id=organization_id,
                rank=rank,
                created_at=micros(now),
                archived_at=None,
                **values,
            )

    def save_one(self, sql: Sql, organization_id: str, row: Sequence[str | None], now: datetime) -> None:
        """A known one stays where it stands in the list, a new one comes last."""
        sql.first(
            self.put_one,
            organization_id=organization_id,
            created_at=micros(now),
            archived_at=None,
            **dict(zip(self.columns, row, strict=True)),
        )


OWNED: Mapping[str, tuple[Table, str]] = {
    "team": (tables.membership, "team_slug"),
    "skill": (tables.agent_skill, "skill_slug"),
}
"""By table, what is owned by slug: it moves with a slug that is changed."""
TEAMS = Lists(tables.team, "slug", "name", "color", "aliases", "hours")
SKILLS = Lists(tables.skill, "slug", "name", "aliases")


def _json(aliases: Sequence[str]) -> str | None:
    return msgspec.json.encode(aliases).decode() if aliases else None


def _aliases(kept: str | None) -> tuple[str, ...]:
    return msgspec.json.decode(kept, type=tuple[str, ...]) if kept else ()


def _team_row(team: Team) -> tuple[str | None, ...]:
    return team.slug, team.name, team.color, _json(team.aliases), hours_kept(team.hours)


class OrganizationRows:
    """The part of `bot.ports.Members` that is not about agents."""

    __slots__ = ("_sql",)

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def organization(self, slug: str) -> str | None:
        """The id of the organization of that slug, if there is one."""
        found = self._sql.first(ORGANIZATION, slug=slug)
        return None if found is None else found[0]

    def organizations(self) -> Sequence[str]:
        """The ids of all in this database, the oldest first."""
        return [record[0] for record in self._sql.all(ORGANIZATIONS)]

    def ensure_organization(self, slug: str, name: str, now: datetime) -> str:
        """The id of the organization of that slug, new or known, which now has that name."""
        found = self._sql.first(ORGANIZATION, slug=slug)
        if found is None:
            organization_id = new_id("org", now)
            self._sql.run(ADD_ORGANIZATION, id=organization_id, slug=slug, name=name, created_at=micros(now))
            return organization_id
        known: str = found[0]
        if found[1] != name:
            self._sql.run(NAME_ORGANIZATION, the_id=known, name=name)
        return known

    def ensure_workspace(
        self, organization_id: str, platform: str, external_id: str, name: str, now: datetime
    ) -> Workspace:
        """The workspace of that platform's id, new or known, which now has that name."""
        key = {"organization_id": organization_id, "platform": platform, "external_id": external_id}
        found = self._sql.first(WORKSPACE, **key)
        workspace_id = new_id("wsp", now) if found is None else found[0]
        if found is None:
            self._sql.run(ADD_WORKSPACE, id=workspace_id, name=name, created_at=micros(now), **key)
        elif found[4] != name:
            self._sql.run(NAME_WORKSPACE, the_id=workspace_id, name=name)
        return Workspace(workspace_id, organization_id, platform, external_id, name)

    def workspaces(self, organization_id: str) -> Sequence[Workspace]:
        """The oldest first."""
        return [Workspace(*record) for record in self._sql.all(WORKSPACES, organization_id=organization_id)]

    def teams(self, organization_id: str) -> Sequence[Team]:
        """The living ones, in the order of the configuration."""
        found = self._sql.all(TEAMS.living, organization_id=organization_id)
        return [
            Team(slug, name, color, _aliases(aliases), hours_from(hours))
            for slug, name, color, aliases, hours in found
        ]

    def skills(self, organization_id: str) -> Sequence[Skill]:
        """The living ones, in the order of the configuration."""
        found = self._sql.all(SKILLS.living, organization_id=organization_id)
        return [Skill(slug, name, _aliases(kept)) for slug, name, kept in found]

    def save_teams(self, organization_id: str, teams: Sequence[Team], now: datetime) -> None:
        """These are the teams: others are archived, their history stays."""
        TEAMS.save(self._sql, organization_id, [_team_row(team) for team in teams], now)

    def save_skills(self, organization_id: str, skills: Sequence[Skill], now: datetime) -> None:
        """These are the skills: others are archived."""
        rows = [(skill.slug, skill.name, _json(skill.aliases)) for skill in skills]
        SKILLS.save(self._sql, organization_id, rows, now)

    def save_team(self, organization_id: str, team: Team, now: datetime) -> None:
        """One team, new (then the last of the list) or by its slug as it now is; no other is touched."""
        TEAMS.save_one(self._sql, organization_id, _team_row(team), now)

    def save_skill(self, organization_id: str, skill: Skill, now: datetime) -> None:
        """One skill, as `save_team`."""
        SKILLS.save_one(self._sql, organization_id, (skill.slug, skill.name, _json(skill.aliases)), now)

    def change_slug(self, organization_id: str, listed: Team | Skill, slug: str) -> None:
        """The team or skill is known by another slug, with everybody in it."""
        lists = TEAMS if isinstance(listed, Team) else SKILLS
        lists.change_slug(self._sql, organization_id, listed.slug, slug)

    def end_list(self, organization_id: str, listed: Team | Skill, now: datetime) -> None:
        """Archive a team or skill; nobody is in it any more."""
        lists = TEAMS if isinstance(listed, Team) else SKILLS
        lists.end(self._sql, organization_id, listed.slug, now)
