"""Everybody out of the database at once: what a start and a resync read.

Each table is read once, from its beginning to its end, and put together by agent.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from operator import itemgetter
from sys import intern
from typing import Any

from sqlalchemy import Table, bindparam, select

from bot.domain.agent import Agent, Identity
from bot.domain.facts import Facts, Link
from storage import tables
from storage.agents import IDENTITY_WIDTH, NAME, agent_from, identity_columns, identity_from, profile_columns
from storage.facts import FACTS_WIDTH, facts_columns, facts_from, link_columns, link_from
from storage.sessions import sessions_of_all
from storage.sql import Record, Sql, Statement

_of_organization: Any = bindparam("organization_id")


def _owned(owned: Table, slug: str) -> Statement:
    """(agent id, slug) of everybody's teams or skills in any order, the archived ones too."""
    return Statement(
        select(owned.c.agent_id, owned.c[slug]).where(owned.c.organization_id == _of_organization)
    )


TEAMS_OF_ALL = _owned(tables.membership, "team_slug")
SKILLS_OF_ALL = _owned(tables.agent_skill, "skill_slug")
EXTERNALS_OF_ALL = Statement(
    select(*(tables.external_id.c[name] for name in ("agent_id", "system", "external_id")))
    .where(tables.external_id.c.organization_id == _of_organization)
    .order_by(tables.external_id.c.system, tables.external_id.c.external_id)
)
IDENTITIES_OF_ALL = Statement(
    select(*identity_columns, tables.identity.c.rank, *link_columns)
    .select_from(tables.identity.outerjoin(tables.link, tables.link.c.identity_id == tables.identity.c.id))
    .where(tables.identity.c.organization_id == _of_organization)
)
"""In any order: sorting the few of each agent costs less than having all of them sorted."""
EVERYONE = Statement(
    select(*facts_columns, *profile_columns)
    .select_from(tables.agent.join(tables.presence, tables.presence.c.agent_id == tables.agent.c.id))
    .where(tables.presence.c.organization_id == _of_organization, tables.agent.c.removed.is_(False))
    .order_by(tables.presence.c.agent_id)
)
RANK = IDENTITY_WIDTH
"""Where a record of IDENTITIES_OF_ALL has the identity's place among the agent's; the link follows."""
_rank = itemgetter(RANK)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python looks for no garbage meanwhile. What everybody is read into stays, so it would look through
    it again and again and find nothing, for a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collection()
def everyone(
    sql: Sql, organization_id: str, teams: Sequence[str], skills: Sequence[str]
) -> list[tuple[Agent, Facts]]:
    """All agents with their facts, the removed ones left out, the oldest first.

    `teams` and `skills` are the slugs of the living ones in the order in which an agent's stand.
    """
    whose = {"organization_id": organization_id}
    teams_of = _slugs(sql.each(TEAMS_OF_ALL, **whose), teams)
    skills_of = _slugs(sql.each(SKILLS_OF_ALL, **whose), skills)
    externals: dict[str, tuple[tuple[str, str], ...]] = {}
    for agent_id, system, external_id in sql.each(EXTERNALS_OF_ALL, **whose):
        externals[agent_id] = (*externals.get(agent_id, ()), (intern(system), external_id))
    identities_of: dict[str, list[Record]] = {}
    for record in sql.each(IDENTITIES_OF_ALL, **whose):
        identities_of.setdefault(record[0], []).append(record)
    sessions = sessions_of_all(sql, organization_id)
    found = []
    for record in sql.each(EVERYONE, **whose):
        profile = record[FACTS_WIDTH:]
        agent_id = profile[0]
        # Taken out, so that what is made of them finds room where they were.
        identities, links = _identities(identities_of.pop(agent_id, []), profile[NAME])
        agent = agent_from(
            profile,
            teams_of.get(agent_id, ()),
            skills_of.get(agent_id, ()),
            identities,
            externals.get(agent_id, ()),
        )
        links += sessions.get(agent_id, ())
        found.append((agent, facts_from(agent_id, record[:FACTS_WIDTH], links)))
    return found


def _slugs(records: Iterator[Record], listed: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By agent what is on the list, in its order; the same slugs are the same tuple."""
    order = {slug: rank for rank, slug in enumerate(listed)}

    @cache
    def joined(slugs: tuple[str, ...], slug: str) -> tuple[str, ...]:
        return tuple(sorted((*slugs, slug), key=order.__getitem__))

    found: dict[str, tuple[str, ...]] = {}
    for agent_id, slug in records:
        if slug in order:
            found[agent_id] = joined(found.get(agent_id, ()), slug)
    return found


def _identities(records: list[Record], agent_name: str) -> tuple[tuple[Identity, ...], tuple[Link, ...]]:
    """An agent's identities in their order, and the links of those that have one."""
    records.sort(key=_rank)
    identities, links = [], []
    for record in records:
        identity = identity_from(record[:RANK], agent_name)
        identities.append(identity)
        if record[RANK + 1] is not None:
            links.append(link_from(identity.id, record[RANK + 1 :]))
    return tuple(identities), tuple(links)
