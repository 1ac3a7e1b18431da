"""What must always hold in the tables, each as a question for whatever breaks it (design: I4 to I13)."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    Text,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
    union,
    union_all,
)

from bot.domain.sessions import MOST_SESSIONS
from bot.ports import EVENTS_FORGOTTEN
from storage.sql import Engine, Statement
from storage.tables import (
    Row,
    agent,
    agent_skill,
    audit,
    console_session,
    event,
    external_id,
    feed,
    identity,
    interval,
    link,
    load_report,
    membership,
    notice,
    organization,
    presence,
    setting,
    summary_post,
    workspace,
)

OF_AN_AGENT = (
    presence,
    identity,
    link,
    console_session,
    interval,
    membership,
    agent_skill,
    external_id,
    load_report,
    notice,
)
AUDITED = ("agent.", "team.", "skill.")
"""How the types of events begin of which the audit has a line, written in the same transaction."""


class Rule(Struct, frozen=True):
    """Something that always holds, and a query for the ids where it doesn't."""

    name: str
    broken: Statement


def _which(table: Table) -> ColumnElement[str]:
    """A row by its table and key: `membership agt_… support`."""
    named: ColumnElement[str] = literal_column(f"'{table.name}'", Text)
    for column in table.primary_key.columns:
        named = named.concat(" ").concat(cast(column, Text))
    return named


def _orphans(table: Table) -> Iterable[Select[Any]]:
    """Rows whose parent is not there, for each of the table's foreign keys."""
    for number, key in enumerate(sorted(table.foreign_key_constraints, key=lambda one: str(one.name))):
        parent = key.referred_table.alias(f"parent_{number}")
        same = and_(*(one.parent == parent.c[one.column.name] for one in key.elements))
        missing = parent.c[key.elements[0].column.name].is_(None)
        given = key.elements[0].parent.is_not(None)
        yield select(_which(table)).select_from(table.outerjoin(parent, same)).where(missing, given)


def _parentless() -> Statement:
    return Statement(union_all(*(one for table in Row.metadata.sorted_tables for one in _orphans(table))))


def _tiles() -> Statement:
    following = func.lead(interval.c.since).over(partition_by=interval.c.agent_id, order_by=interval.c.since)
    each = select(interval.c.agent_id, interval.c.ended_at, following.label("next_since")).subquery()
    gap = and_(each.c.next_since.is_not(None), each.c.ended_at.is_distinct_from(each.c.next_since))
    ended = and_(each.c.next_since.is_(None), each.c.ended_at.is_not(None))
    return Statement(select(each.c.agent_id).where(or_(gap, ended)).distinct().order_by(each.c.agent_id))


def _open_is_current() -> Statement:
    """The open interval is the one in the facts. Where history ends, only the rule above says so."""
    both = presence.join(
        interval, and_(interval.c.agent_id == presence.c.agent_id, interval.c.ended_at.is_(None))
    )
    columns = ("presence", "since", "reason", "source", "note", "confirmed", "presence_since", "reason_code")
    differs = [presence.c[name].is_distinct_from(interval.c[name]) for name in columns]
    found = select(presence.c.agent_id).select_from(both)
    return Statement(found.where(or_(*differs)).distinct().order_by(presence.c.agent_id))


def _no_history() -> Statement:
    joined = presence.outerjoin(interval, interval.c.agent_id == presence.c.agent_id)
    return Statement(select(presence.c.agent_id).select_from(joined).where(interval.c.agent_id.is_(None)))


def _versionless() -> Statement:
    """Facts that moved raised their version, by which a change made from older ones is refused."""
    moves = func.count(interval.c.since)
    joined = presence.join(interval, interval.c.agent_id == presence.c.agent_id)
    found = select(presence.c.agent_id).select_from(joined).group_by(presence.c.agent_id, presence.c.version)
    return Statement(found.having(or_(presence.c.version < 0, and_(presence.c.version == 0, moves > 1))))


def _factless() -> Statement:
    joined = agent.outerjoin(presence, presence.c.agent_id == agent.c.id)
    return Statement(select(agent.c.id).select_from(joined).where(presence.c.agent_id.is_(None)))


def _strange_links() -> Statement:
    """A link is its identity's: of the same agent, fed by the same workspace."""
    joined = link.join(identity, identity.c.id == link.c.identity_id)
    wrong = or_(link.c.agent_id != identity.c.agent_id, link.c.feed_id != identity.c.workspace_id)
    return Statement(select(link.c.identity_id).select_from(joined).where(wrong))


def _several(table: Table, *key: str, most: int = 1) -> Statement:
    """Agents (or accounts) of whom there are more than so many rows with the same key."""
    columns = [table.c[name] for name in key]
    named: ColumnElement[Any] = columns[0]
    for column in columns[1:]:
        named = named.concat(" ").concat(column)
    return Statement(select(named).group_by(*columns).having(func.count() > most))


def _half_merged() -> Statement:
    """Merged, and yet there, or with an account left, or into nobody."""
    into = agent.alias("into")
    joined = agent.outerjoin(identity, identity.c.agent_id == agent.c.id).outerjoin(
        into, into.c.id == agent.c.merged_into
    )
    wrong = or_(agent.c.removed.is_(False), identity.c.id.is_not(None), into.c.id.is_(None))
    found = select(agent.c.id).select_from(joined).where(agent.c.merged_into.is_not(None), wrong)
    return Statement(found.distinct().order_by(agent.c.id))


def _circles() -> Statement:
    """Whoever comes back to themselves by going from each merged agent to the one who goes on for them."""
    begun = select(agent.c.id.label("first"), agent.c.merged_into.label("last")).where(
        agent.c.merged_into.is_not(None)
    )
    walk = begun.cte("walk", recursive=True)
    further = select(walk.c.first, agent.c.merged_into).where(
        agent.c.id == walk.c.last, agent.c.merged_into.is_not(None)
    )
    walk = walk.union(further)  # each pair once, so that it ends in a circle too
    return Statement(select(walk.c.first).where(walk.c.first == walk.c.last).order_by(walk.c.first))


def _holding_on() -> Statement:
    """Removed, and yet seen somewhere, trusted on their word, or anything but Offline (rule 13)."""
    there = presence.join(agent, agent.c.id == presence.c.agent_id)
    holds = or_(presence.c.presence != "offline", presence.c.check_in_until_at.is_not(None))
    queries = [select(agent.c.id).select_from(there).where(agent.c.removed, holds)]
    for table in (link, console_session):
        joined = table.join(agent, agent.c.id == table.c.agent_id)
        queries.append(select(agent.c.id).select_from(joined).where(agent.c.removed))
    return Statement(union(*queries))


def _strays() -> Statement:
    """Rows of another organization than their agent's."""
    queries = []
    for table in OF_AN_AGENT:
        joined = table.join(agent, agent.c.id == table.c.agent_id)
        elsewhere = table.c.organization_id != agent.c.organization_id
        which = literal_column(f"'{table.name} of '", Text).concat(agent.c.id)
        queries.append(select(which).select_from(joined).where(elsewhere))
    return Statement(union(*queries))


def _strange_accounts() -> Statement:
    """Of another organization or platform than the workspace they are in."""
    queries = []
    for table, key in ((identity, identity.c.workspace_id), (feed, feed.c.workspace_id)):
        joined = table.join(workspace, workspace.c.id == key)
        wrong = or_(
            table.c.organization_id != workspace.c.organization_id, table.c.platform != workspace.c.platform
        )
        queries.append(select(_which(table)).select_from(joined).where(wrong))
    return Statement(union(*queries))


def _ownerless() -> Statement:
    """Rows of an organization that is not there. Those with a foreign key are looked at by another rule."""
    queries = []
    for table in Row.metadata.sorted_tables:
        column = table.c.get("organization_id")
        if column is None or column.foreign_keys or table in OF_AN_AGENT or table is event:
            continue
        joined = table.outerjoin(organization, organization.c.id == column)
        missing = and_(organization.c.id.is_(None), column != "")
        queries.append(select(_which(table)).select_from(joined).where(missing))
    return Statement(union_all(*queries))


def _strange_events() -> Statement:
    """Of an organization that is not there, or about an agent who is not in it."""
    joined = event.outerjoin(organization, organization.c.id == event.c.organization_id).outerjoin(
        agent, agent.c.id == event.c.agent_id
    )
    nobodys = and_(
        event.c.agent_id.is_not(None), agent.c.organization_id.is_distinct_from(event.c.organization_id)
    )
    found = select(event.c.id).select_from(joined).where(or_(organization.c.id.is_(None), nobodys))
    return Statement(found.order_by(event.c.position))


def _events_ahead(engine: Engine) -> Any:
    """The next position is given by a counter that the engine keeps."""
    counter = (
        "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event')"
        if engine is Engine.SQLITE
        else "(SELECT last_value FROM event_position_seq)"
    )
    return text(f"SELECT max(position) FROM event HAVING max(position) > {counter}")


def _events_behind() -> Statement:
    """Events at or before the one that was forgotten last: who resumes there would miss some."""
    forgotten = and_(
        setting.c.organization_id == event.c.organization_id, setting.c["key"] == EVENTS_FORGOTTEN
    )
    behind = event.c.position <= cast(setting.c.value, BigInteger)
    found = select(event.c.id).select_from(event.join(setting, forgotten)).where(behind)
    return Statement(found.order_by(event.c.position))


def _unaudited() -> Statement:
    """Changes of people and lists: event and audit are written together, and the audit is kept longer."""
    of_nobody = event.c.agent_id.is_(None)  # teams and skills, of which there are few
    of_an_agent = audit.c.subject == event.c.agent_id
    queries = [_untold(of_nobody, of_nobody), _untold(event.c.agent_id.is_not(None), of_an_agent)]
    return Statement(union_all(*queries))


def _untold(which: ColumnElement[bool], same_one: ColumnElement[bool]) -> Select[Any]:
    same = and_(
        audit.c.organization_id == event.c.organization_id,
        same_one,
        audit.c.at == event.c.at,
        audit.c.action == event.c.type,
    )
    kinds = or_(*(event.c.type.startswith(kind) for kind in AUDITED))
    found = select(event.c.id).select_from(event.outerjoin(audit, same))
    return found.where(kinds, which, audit.c.id.is_(None))


def _summaries() -> Statement:
    """A slot is over or it is not; one that is over was begun."""
    over = summary_post.c.finished_at.is_not(None)
    ended = summary_post.c.outcome.is_not(None)
    wrong = or_(and_(over, ~ended), and_(ended, ~over), and_(over, summary_post.c.begun.is_(False)))
    return Statement(select(_which(summary_post)).where(wrong))


def _negative() -> Statement:
    units = select(_which(load_report)).where(load_report.c.units < 0)
    capacity = select(_which(agent)).where(agent.c.capacity < 0)
    return Statement(union(units, capacity))


RULES = (
    Rule("every row's parent is there", _parentless()),
    Rule("intervals tile each agent's time, without gap or overlap, and the last is open", _tiles()),
    Rule("each agent's open interval is the one they are in", _open_is_current()),
    Rule("each agent has facts", _factless()),
    Rule("each agent has a history", _no_history()),
    Rule("facts that have moved have a version that rose", _versionless()),
    Rule("each link is of its account's agent and workspace", _strange_links()),
    Rule("each account is one agent's", _several(identity, "workspace_id", "external_id")),
    Rule("each account and feed is of its workspace's organization and platform", _strange_accounts()),
    Rule("an agent has one id in each other system", _several(external_id, "agent_id", "system")),
    Rule(
        f"an agent has at most {MOST_SESSIONS} console sessions",
        _several(console_session, "agent_id", most=MOST_SESSIONS),
    ),
    Rule("who was removed is Offline and holds nothing", _holding_on()),
    Rule("who became part of another agent is gone, and that one is known", _half_merged()),
    Rule("going from who was merged to who goes on for them comes to an end", _circles()),
    Rule("loads and capacities are not negative", _negative()),
    Rule("the next event comes after all events", Statement(_events_ahead)),
    Rule("no event stands before those that were forgotten", _events_behind()),
    Rule("each event is of an organization that is there, and about an agent of it", _strange_events()),
    Rule("what was changed and told is in the audit", _unaudited()),
    Rule("a summary that is over was begun, and its end is known", _summaries()),
    Rule("each row is in its agent's organization", _strays()),
    Rule("each row's organization is there", _ownerless()),
)
"""Positions of events rise by themselves: they are the table's key."""
