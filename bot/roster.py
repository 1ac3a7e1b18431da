"""The roster: the facts of everybody in memory, and the answers that follow from them.

It is a cache: after each commit the changed agents are put in. A query settles what has come due
since the last one (a heap of deadlines, so nothing is scanned) and reads from pools in which the
routable agents stand in the order in which they would be given work.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from bot.domain.agent import Agent, Identity
from bot.domain.facts import Facts, Feed, Link, Policy, Presence
from bot.domain.presence import Verdict, deadline, judge
from bot.domain.routing import Reason, why_not_routable
from bot.domain.transition import settle
from bot.ports import Load


class Pool:
    """The agents of one team (or skill, or all), the routable ones in order of least load.

    A bucket for each load ratio keeps its agents in the order in which they came: the longest idle
    first. Buckets are few, so the order over all of them is a sort of their ratios.
    """

    __slots__ = ("available", "away", "buckets", "offline", "revision", "routable")

    def __init__(self) -> None:
        self.buckets: dict[float, dict[str, None]] = {}
        self.routable = self.available = self.away = self.offline = 0
        self.revision = 0
        """Rises with whatever could change an answer about this pool."""

    def enter(self, agent_id: str, ratio: float) -> None:
        """The agent is routable at this load ratio, and the last in its bucket."""
        bucket = self.buckets.get(ratio)
        if bucket is None:
            bucket = self.buckets[ratio] = {}
        bucket[agent_id] = None
        self.routable += 1

    def leave(self, agent_id: str, ratio: float) -> None:
        """The agent is not routable at this ratio any more."""
        bucket = self.buckets[ratio]
        del bucket[agent_id]
        if not bucket:
            del self.buckets[ratio]
        self.routable -= 1

    def move(self, agent_id: str, before: float, after: float) -> None:
        """From one bucket to the end of another."""
        self.leave(agent_id, before)
        self.enter(agent_id, after)

    def best(self) -> Iterator[str]:
        """Routable agents, the one to take first at first."""
        for ratio in sorted(self.buckets):
            yield from self.buckets[ratio]

    def count(self, presence: Presence, by: int) -> None:
        """One agent more (1) or less (-1) of a presence."""
        if presence is Presence.AVAILABLE:
            self.available += by
        elif presence is Presence.AWAY:
            self.away += by
        else:
            self.offline += by


class Entry:
    """One agent as the roster holds them."""

    __slots__ = (
        "agent",
        "due_at",
        "facts",
        "load",
        "load_known",
        "place",
        "settled",
        "stored_due_at",
        "verdict",
    )

    def __init__(self, agent: Agent, facts: Facts) -> None:
        self.agent = agent
        self.facts = facts
        """As stored, but for the marks of the newest observations that changed nothing."""
        self.settled = facts
        """The same with what has come due since; the stored facts follow with the next tick."""
        self.verdict: Verdict
        self.due_at: datetime | None = None
        self.stored_due_at: datetime | None = None
        """For when it stands in the heaps, so that a renewal does not make them grow."""
        self.load = 0
        self.load_known = False
        self.place: float | None = None
        """The load ratio under which it stands in its pools; None: not routable."""


class Row(Struct, frozen=True):
    """An agent as a query answers."""

    agent: Agent
    facts: Facts
    verdict: Verdict
    load: int
    load_known: bool

    @property
    def since(self) -> datetime:
        """Since when this presence stands."""
        return self.facts.interval.standing_since


class Roster:
    """Everybody's facts and verdicts of one organization."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.feeds: dict[str, Feed] = {}
        self.revision = 0
        self._entries: dict[str, Entry] = {}
        self._pools: dict[tuple[str, str], Pool] = {("", ""): Pool()}
        self._due: list[tuple[datetime, str]] = []
        self._stored_due: list[tuple[datetime, str]] = []
        self._by_identity: dict[tuple[str, str], str] = {}
        self._by_external: dict[tuple[str, str], str] = {}
        self._loads: dict[str, dict[str, Load]] = {}

    # --- putting in ---

    def load(
        self,
        everyone: Iterable[tuple[Agent, Facts]],
        feeds: Iterable[Feed],
        loads: Iterable[Load],
        now: datetime,
    ) -> None:
        """Everything anew, from storage."""
        self.feeds = {feed.id: feed for feed in feeds}
        for report in loads:
            self._loads.setdefault(report.agent_id, {})[report.source] = report
        for agent, facts in everyone:
            self.put(agent, facts, now)

    def put(self, agent: Agent, facts: Facts, now: datetime) -> None:
        """An agent as just committed. What is older than what is here is ignored; a removed agent
        leaves the roster."""
        entry = self._entries.get(agent.id)
        if agent.removed:
            self.drop(agent.id)
            return
        if entry is None:
            entry = self._entries[agent.id] = Entry(agent, facts)
            self._name(agent)
            self._judge(entry, facts, now, first=True)
            return
        if facts.version < entry.facts.version:
            return
        facts = _with_marks(facts, entry.facts.links)
        if entry.agent is not agent and entry.agent != agent:
            self._unname(entry.agent)
            self._leave_pools(entry)
            entry.agent = agent
            self._name(agent)
            entry.facts = facts
            self._judge(entry, facts, now, first=True)
            return
        entry.facts = facts
        self._judge(entry, facts, now)

    def mark(self, agent_id: str, facts: Facts, now: datetime) -> None:
        """Facts of the version that is here, changed in nothing that needs to be stored."""
        entry = self._entries.get(agent_id)
        if entry is not None and entry.facts.version == facts.version:
            entry.facts = facts
            self._judge(entry, facts, now)

    def drop(self, agent_id: str) -> None:
        """The agent is no longer one."""
        entry = self._entries.pop(agent_id, None)
        if entry is not None:
            self._unname(entry.agent)
            self._leave_pools(entry)

    def set_feed(self, feed: Feed) -> None:
        """The feed is in another state; whoever hangs on it is to be reviewed next."""
        self.feeds[feed.id] = feed
        self.revision += 1

    def drop_feed(self, feed_id: str) -> None:
        """No links at all from here."""
        self.feeds.pop(feed_id, None)
        self.revision += 1

    def put_load(self, report: Load, now: datetime) -> None:
        """Units held elsewhere."""
        self._loads.setdefault(report.agent_id, {})[report.source] = report
        entry = self._entries.get(report.agent_id)
        if entry is not None:
            self._judge(entry, entry.settled, now)

    # --- asking ---

    def __len__(self) -> int:
        return len(self._entries)

    def facts(self, agent_id: str) -> Facts | None:
        """As stored: what a change starts from."""
        entry = self._entries.get(agent_id)
        return entry.facts if entry else None

    def agent(self, agent_id: str) -> Agent | None:
        """By id."""
        entry = self._entries.get(agent_id)
        return entry.agent if entry else None

    def by_identity(self, workspace_id: str, external_id: str) -> Agent | None:
        """By a platform's user id."""
        agent_id = self._by_identity.get((workspace_id, external_id))
        return self.agent(agent_id) if agent_id else None

    def identity(self, workspace_id: str, external_id: str) -> tuple[Agent, Identity] | None:
        """An agent with the identity that a platform's user id names."""
        agent = self.by_identity(workspace_id, external_id)
        if agent is None:
            return None
        for identity in agent.identities:
            if identity.workspace_id == workspace_id and identity.external_id == external_id:
                return agent, identity
        return None

    def by_external(self, system: str, external_id: str) -> Agent | None:
        """By a help desk's id."""
        agent_id = self._by_external.get((system, external_id))
        return self.agent(agent_id) if agent_id else None

    def row(self, agent_id: str, now: datetime) -> Row | None:
        """One agent at `now`."""
        self.settle(now)
        entry = self._entries.get(agent_id)
        return _row(entry) if entry else None

    def rows(self, now: datetime, team: str | None = None, skill: str | None = None) -> list[Row]:
        """Everybody (of a team, with a skill) at `now`, by name."""
        self.settle(now)
        found = [
            _row(entry)
            for entry in self._entries.values()
            if (team is None or team in entry.agent.teams) and (skill is None or skill in entry.agent.skills)
        ]
        return sorted(found, key=lambda row: (row.agent.name.casefold(), row.agent.id))

    def pool(self, now: datetime, team: str | None = None, skill: str | None = None) -> Pool:
        """The pool of a team, a skill, both, or everybody; settled to `now`."""
        self.settle(now)
        return self._pools.get((team or "", skill or "")) or Pool()

    def best(
        self, now: datetime, limit: int, team: str | None = None, skills: Sequence[str] = ()
    ) -> tuple[list[Row], int]:
        """The best `limit` routable agents, the one to take first at first, and how many there are."""
        pool = self.pool(now, team, skills[0] if skills else None)
        if len(skills) < 2:
            return [_row(self._entries[agent_id]) for agent_id in islice(pool.best(), limit)], pool.routable
        wanted = set(skills)
        found = [
            entry
            for entry in (self._entries[agent_id] for agent_id in pool.best())
            if wanted.issubset(entry.agent.skills)
        ]
        return [_row(entry) for entry in found[:limit]], len(found)

    def why_not(
        self, agent_id: str, now: datetime, team: str | None = None, skills: Collection[str] = ()
    ) -> tuple[Reason, ...]:
        """Every reason why the agent is not routable now. Raises KeyError for an unknown id."""
        self.settle(now)
        entry = self._entries[agent_id]
        return why_not_routable(entry.agent, entry.verdict, entry.load, team, skills)

    def on_feed(self, feed_id: str) -> list[str]:
        """Ids of the agents with an identity in that workspace."""
        return [
            agent_id
            for agent_id, entry in self._entries.items()
            if any(identity.workspace_id == feed_id for identity in entry.agent.identities)
        ]

    def everyone(self) -> Iterable[Agent]:
        """All agents, in no order."""
        return (entry.agent for entry in self._entries.values())

    # --- time ---

    def settle(self, now: datetime) -> None:
        """Let time have its consequences for the answers; what is stored follows with the tick."""
        while self._due and self._due[0][0] < now:
            at, agent_id = heapq.heappop(self._due)
            entry = self._entries.get(agent_id)
            if entry is not None and entry.due_at == at:
                entry.due_at = None
                self._judge(entry, entry.settled, now)

    def due(self, now: datetime) -> list[str]:
        """Agents whose stored facts are behind time, each once; they are not named again until put."""
        found: dict[str, None] = {}
        while self._stored_due and self._stored_due[0][0] < now:
            _, agent_id = heapq.heappop(self._stored_due)
            entry = self._entries.get(agent_id)
            if entry is not None:
                at = deadline(entry.facts, self.feeds, self.policy)
                if at is not None and at < now:
                    found[agent_id] = None
        return list(found)

    def due_again(self, agent_id: str, at: datetime) -> None:
        """What was due could not be stored: it is due again."""
        heapq.heappush(self._stored_due, (at, agent_id))

    # --- inside ---

    def _judge(self, entry: Entry, facts: Facts, now: datetime, *, first: bool = False) -> None:
        agent = entry.agent
        at = deadline(facts, self.feeds, self.policy)
        if facts is entry.facts and at is not None and at != entry.stored_due_at:
            entry.stored_due_at = at
            heapq.heappush(self._stored_due, (at, agent.id))
        if at is not None and at < now:
            facts, _ = settle(facts, self.feeds, self.policy, now)
            at = deadline(facts, self.feeds, self.policy)
        entry.settled = facts
        old = None if first else entry.verdict
        verdict = entry.verdict = judge(facts, self.feeds, self.policy, now)
        reports = self._loads.get(agent.id)
        load, known = 0, False
        if reports:
            load, known, at = _sum(reports, now, at)
        if at is not None and at != entry.due_at:
            entry.due_at = at
            heapq.heappush(self._due, (at, agent.id))
        place = load / agent.capacity if verdict.reachable and load < agent.capacity else None
        before = entry.place
        changed = first or place != before or load != entry.load or verdict != old
        entry.load, entry.load_known = load, known
        if not changed:
            return
        self.revision += 1
        for pool in self._pools_of(agent):
            pool.revision += 1
            if old is None or old.presence is not verdict.presence:
                if old is not None:
                    pool.count(old.presence, -1)
                pool.count(verdict.presence, 1)
            if place != before:
                if before is not None:
                    pool.leave(agent.id, before)
                if place is not None:
                    pool.enter(agent.id, place)
        entry.place = place

    def _pools_of(self, agent: Agent) -> Iterator[Pool]:
        pools = self._pools
        for team in ("", *agent.teams):
            for skill in ("", *agent.skills):
                pool = pools.get((team, skill))
                if pool is None:
                    pool = pools[team, skill] = Pool()
                yield pool

    def _leave_pools(self, entry: Entry) -> None:
        self.revision += 1
        for pool in self._pools_of(entry.agent):
            pool.revision += 1
            pool.count(entry.verdict.presence, -1)
            if entry.place is not None:
                pool.leave(entry.agent.id, entry.place)
        entry.place = None

    def _name(self, agent: Agent) -> None:
        for identity in agent.identities:
            if identity.present:
                self._by_identity[identity.workspace_id, identity.external_id] = agent.id
        for named in agent.externals:
            self._by_external[named] = agent.id

    def _unname(self, agent: Agent) -> None:
        for identity in agent.identities:
            self._by_identity.pop((identity.workspace_id, identity.external_id), None)
        for named in agent.externals:
            self._by_external.pop(named, None)


def _row(entry: Entry) -> Row:
    return Row(entry.agent, entry.settled, entry.verdict, entry.load, entry.load_known)


def _sum(
    reports: Mapping[str, Load], now: datetime, at: datetime | None
) -> tuple[int, bool, datetime | None]:
    """Units held elsewhere, whether anybody said so, and the next instant at which that changes."""
    load, known = 0, False
    for report in reports.values():
        if now <= report.expires_at:
            load += report.units
            known = True
            if at is None or report.expires_at < at:
                at = report.expires_at
    return load, known, at


def _with_marks(facts: Facts, known: tuple[Link, ...]) -> Facts:
    """Keep the newest marks: a repetition that is not stored must not let an older fact in later."""
    if not known or facts.links is known:
        return facts
    marks = {link.identity_id: link for link in known}
    links = tuple(
        replace(link, epoch=old.epoch, seq=old.seq)
        if (old := marks.get(link.identity_id)) is not None
        and old.state is link.state
        and (old.epoch, old.seq) > (link.epoch, link.seq)
        else link
        for link in facts.links
    )
    return replace(facts, links=links) if links != facts.links else facts
