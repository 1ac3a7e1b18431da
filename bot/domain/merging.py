"""Two agents become one, and one becomes two: a person on several platforms (`docs/linking.md`).

Pure and total. What holds of the facts of both holds of their union; of two intents the stricter counts.
"""

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from bot.domain.agent import Agent
from bot.domain.facts import (
    CheckIn,
    Choice,
    Facts,
    Intent,
    Interval,
    Link,
    LinkState,
    Policy,
    Presence,
    new_agent,
)
from bot.domain.presence import Feeds, judge
from bot.domain.transition import Change, Moved, ends_check_in, enter, remove, settle
from bot.domain.transition import Step as Decision

STRICTNESS = {Choice.AVAILABLE: 1, Choice.AWAY: 2, Choice.OFF: 3}
NOT_SET = ("rule:enrolled", "rule:return")
"""Whose away it is while nobody has chosen one: it counts for nothing beside a chosen intent."""


class Merged(Struct, frozen=True):
    """What becomes of both: of the agent who stays, and of the one who is absorbed."""

    stays: Facts
    changes: tuple[Change, ...]
    absorbed: Facts
    absorbed_changes: tuple[Change, ...]


def merge(
    facts: Facts, other: Facts, feeds: Feeds, policy: Policy, now: datetime, zone: str | None
) -> Merged:
    """`other` is absorbed: its links and its word count for `facts` from now on, and it is removed.

    The history of each goes on without gap or overlap; neither gets the other's. Being merged is no
    return (rule 8): whoever is seen on either side was not gone. Console sessions of `other` end with it.
    """
    facts, changes = settle(facts, feeds, policy, now)
    other, other_changes = settle(other, feeds, policy, now)
    intent = stricter(facts.intent, other.intent)
    check_in = None if intent.choice is Choice.OFF else _later(facts.check_in, other.check_in)
    united = replace(
        facts,
        intent=intent,
        check_in=check_in,
        links=_union(facts.links, tuple(link for link in other.links if link.beat_at is None)),
        acted_at=_latest(facts.acted_at, other.acted_at),
        last_seen_at=_latest(facts.last_seen_at, other.last_seen_at),
        asked_at=_latest(facts.asked_at, other.asked_at),
        return_asked_on=max(filter(None, (facts.return_asked_on, other.return_asked_on)), default=None),
        reviewed_at=now,
    )
    united, came = enter(united, judge(united, feeds, policy, now), feeds, policy, now)
    gone, left = remove(other, feeds, policy, now, zone)
    moved = tuple(change for change in (*other_changes, *left) if isinstance(change, Moved))
    return Merged(united, (*changes, *came), gone, moved)


def stricter(one: Intent, other: Intent) -> Intent:
    """Signed off before away before available; of two aways the untimed, else the one that ends later; what
    nobody chose last. Beneath a timed one then lies the stricter of what is beneath both."""
    chosen = max(one, other, key=_strictness)
    if chosen.until_at is None:
        return chosen
    return replace(chosen, base=max(_beneath(one), _beneath(other), key=_strictness))


def _strictness(intent: Intent) -> tuple[int, bool, datetime, datetime, str, str, str]:
    unset = intent.choice is Choice.AWAY and intent.by in NOT_SET
    rank = 0 if unset else STRICTNESS[intent.choice]
    ends = intent.until_at or intent.set_at
    return rank, intent.until_at is None, ends, intent.set_at, intent.by, intent.reason, intent.reason_code


def _beneath(intent: Intent) -> Intent:
    if intent.until_at is None:
        return intent
    return intent.base or Intent(Choice.AWAY, set_at=intent.set_at, by="rule:until")


def _later(one: CheckIn | None, other: CheckIn | None) -> CheckIn | None:
    both = [check_in for check_in in (one, other) if check_in is not None]
    return max(
        both, key=lambda check_in: (check_in.until_at, check_in.at, check_in.identity_id), default=None
    )


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)


def _union(links: tuple[Link, ...], others: tuple[Link, ...]) -> tuple[Link, ...]:
    """Each identity's newest link once."""
    newest: dict[str, Link] = {}
    for link in (*links, *others):
        old = newest.get(link.identity_id)
        if old is None or (link.epoch, link.seq) > (old.epoch, old.seq):
            newest[link.identity_id] = link
    return tuple(newest.values())


class Own(Struct, frozen=True):
    """What somebody had said for themselves before a link, and what was said of them with it."""

    intent: Intent
    check_in: CheckIn | None
    linked: Intent


def part(
    facts: Facts,
    identity_ids: Collection[str],
    agent_id: str,
    feeds: Feeds,
    policy: Policy,
    now: datetime,
    own: Own | None = None,
) -> tuple[Decision, Facts]:
    """Accounts become an agent of their own: what is left of `facts`, and the new agent's facts, with what
    was seen of those accounts and nothing set. `own`: the link is undone, and what was said before it counts
    again. Neither is a return (rule 8)."""
    facts, settled = settle(facts, feeds, policy, now)
    check_in = facts.check_in
    if check_in is not None and check_in.identity_id in identity_ids:
        check_in = None
    links = tuple(link for link in facts.links if link.identity_id not in identity_ids)
    left = replace(facts, check_in=check_in, links=links, reviewed_at=now)
    if own is not None:
        left = _given_back(left, own, now)
    verdict = judge(left, feeds, policy, now)
    if verdict.presence is Presence.OFFLINE and facts.interval.presence is not Presence.OFFLINE:
        verdict = replace(verdict, reason="unlinked", source="rule:unlinked")
    left, came = enter(left, verdict, feeds, policy, now)
    seen = tuple(link for link in facts.links if link.identity_id in identity_ids)
    fresh = replace(new_agent(agent_id, now), links=seen)
    verdict = judge(fresh, feeds, policy, now)
    first = Interval(verdict.presence, now, verdict.reason, verdict.source, verdict.note, verdict.confirmed)
    return (left, (*settled, *came)), replace(fresh, interval=first)


def _given_back(facts: Facts, own: Own, now: datetime) -> Facts:
    """The intent of before a link, if nobody has chosen another since; a check-in, where none is left."""
    intent, check_in = facts.intent, facts.check_in
    ended = intent.by == "rule:until" and intent.set_at == own.linked.until_at
    if intent == own.linked or ended:
        intent = own.intent
        if intent.until_at is not None and intent.until_at < now:
            intent = replace(_beneath(intent), set_at=intent.until_at, by="rule:until")
    if check_in is None and own.check_in is not None and intent.choice is not Choice.OFF:
        gone = [link for link in facts.links if link.state is LinkState.DISCONNECTED]
        if now <= own.check_in.until_at and not any(ends_check_in(link, own.check_in) for link in gone):
            check_in = own.check_in
    return replace(facts, intent=intent, check_in=check_in)


def unite(agent: Agent, other: Agent) -> tuple[Agent, tuple[str, ...]]:
    """`agent` with all that `other` has; and the systems in which both had an id, where `agent` keeps
    its own. Capacity, role, name and hours stay; a zone set by hand wins over one that was not."""
    systems = {system for system, _ in agent.externals}
    clashes = tuple(dict.fromkeys(system for system, _ in other.externals if system in systems))
    by_hand = not agent.zone_by_hand and other.zone_by_hand
    return (
        replace(
            agent,
            zone=other.zone if by_hand else agent.zone or other.zone,
            zone_by_hand=agent.zone_by_hand or other.zone_by_hand,
            teams=tuple(dict.fromkeys((*agent.teams, *other.teams))),
            skills=tuple(dict.fromkeys((*agent.skills, *other.skills))),
            hours=agent.hours or other.hours,
            identities=(*agent.identities, *other.identities),
            externals=tuple(
                sorted((*agent.externals, *(pair for pair in other.externals if pair[0] not in systems)))
            ),
        ),
        clashes,
    )


def absorbed(agent: Agent) -> Agent:
    """What is left of an agent who became part of another: a name for the history."""
    return replace(agent, removed=True, identities=(), externals=())


def without(agent: Agent, identity_ids: Collection[str]) -> Agent:
    """The agent without some accounts; where the first goes, the first of the others names them."""
    left = tuple(other for other in agent.identities if other.id not in identity_ids)
    named = agent.identities[0].id in identity_ids and left
    return replace(agent, identities=left, name=left[0].name if named else agent.name)
