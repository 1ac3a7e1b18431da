"""The roster: the facts of everybody in memory, and the answers that follow from them.

It is a cache: after each commit the changed agents are put in. A query settles what has come due
since the last one (a heap of deadlines, so nothing is scanned) and reads from pools in which the
routable agents stand in the order in which they would be given work.

Every answer is a function of the facts put in, the feeds, the policy and `now`, which never goes
back. Nothing else is kept but the order of those who are equally loaded: who came first stands first.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from bot.domain.agent import Agent, Identity
from bot.domain.facts import Facts, Feed, FeedState, Link, Policy, Presence
from bot.domain.hints import Hint, HintKind
from bot.domain.pool import Pool
from bot.domain.presence import TICK, Verdict, deadline, judge
from bot.domain.reasons import USUAL, Reasons, in_words
from bot.domain.routing import Reason, hinted_against, why_not_routable
from bot.domain.transition import settle
from bot.ports import Load

SLACK = 64
"""What the heap may hold beyond twice what it needs before it is made anew."""


class Group:
    """All who have the same teams and skills, and so stand in the same pools."""

    __slots__ = ("members", "pools", "skills", "teams")

    def __init__(self, teams: tuple[str, ...], skills: tuple[str, ...], pools: tuple[Pool, ...]) -> None:
        self.teams = teams
        self.skills = skills
        self.pools = pools
        self.members = 0

    def agent(self, agent: Agent) -> Agent:
        """The same agent; of their teams and skills the group has the only copy."""
        if agent.teams is self.teams and agent.skills is self.skills:
            return agent
        return replace(agent, teams=self.teams, skills=self.skills)


UNJUDGED = Verdict(Presence.OFFLINE, "", "", "", True, None, False)
"""Nobody has looked at the facts yet: so for a moment whoever is put in first, and counted nowhere."""


class Entry(Struct, gc=False):
    """One agent as the roster holds them."""

    agent: Agent
    group: Group
    facts: Facts
    """As stored, but for the marks of the newest observations that changed nothing."""
    settled: Facts
    """The same with what has come due since; the stored facts follow with the next tick."""
    verdict: Verdict = UNJUDGED
    queued_at: datetime | None = None
    """For when it stands in the heap: never later than its next deadline, so a renewal adds nothing."""
    load: int = 0
    load_known: bool = False
    place: float | None = None
    """The load ratio under which it stands in its pools; None: not routable."""
    hints: tuple[Hint, ...] = ()
    """Those that are shown."""


class Row(Struct, frozen=True):
    """An agent as a query answers."""

    agent: Agent
    facts: Facts
    verdict: Verdict
    load: int
    load_known: bool
    reason_name: str = ""
    """What people call the reason code of the intent; empty without one."""
    hints: tuple[Hint, ...] = ()
    """What platforms show beside the presence of somebody who is logged in."""

    @property
    def reason(self) -> str:
        """Why, as people read it: the code's name, and the agent's own words."""
        intent = self.facts.intent
        return in_words(self.reason_name, intent.reason_code, intent.reason)

    @property
    def note(self) -> str:
        """The same as it stands beside the presence: nothing while they are Offline."""
        return "" if self.verdict.presence is Presence.OFFLINE else self.reason

    @property
    def since(self) -> datetime:
        """Since when this presence stands."""
        return self.facts.interval.standing_since


class Roster:
    """Everybody's facts and verdicts of one organization."""

    def __init__(self, policy: Policy, reasons: Reasons = USUAL) -> None:
        self.policy = policy
        self.reasons = reasons
        self.feeds: dict[str, Feed] = {}
        self.revision = 0
        self._entries: dict[str, Entry] = {}
        self._everybody = Pool()
        self._pools: dict[tuple[str, str], Pool] = {("", ""): self._everybody}
        self._groups: dict[tuple[tuple[str, ...], tuple[str, ...]], Group] = {}
        self._due: list[tuple[datetime, str]] = []
        self._behind: dict[str, datetime] = {}
        """Whose stored facts are behind time, each with the instant after which to say so."""
        self._changed_feeds: set[str] = set()
        self._by_identity: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """By workspace, then by the platform's user id."""
        self._by_external: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._loads: dict[str, dict[str, Load]] = {}
        self._hints: dict[str, dict[str, dict[HintKind, Hint]]] = {}
        """By workspace, then by the platform's user id; also those that begin later."""
        self._verdicts: dict[Verdict, Verdict] = {}
        """The few that many share: without a word of anybody's own or an instant in them."""
        self.before_due: Callable[[], None] = lambda: None
        """Asked before time has a consequence: a feed may have missed that time."""

    # --- putting in ---

    def load(
        self,
        everyone: Iterable[tuple[Agent, Facts]],
        feeds: Iterable[Feed],
        loads: Iterable[Load],
        now: datetime,
    ) -> None:
        """Everything anew, from storage; who has stood longest where they are comes first."""
        for agent_id in list(self._entries):
            self.drop(agent_id)
        self.feeds = {feed.id: feed for feed in feeds}
        for report in loads:
            self._loads.setdefault(report.agent_id, {})[report.source] = report
        for agent, facts in sorted(everyone, key=_standing_since):
            self._add(agent, facts, now)
        for agent_id in self._loads.keys() - self._entries.keys():
            del self._loads[agent_id]

    def put(self, agent: Agent, facts: Facts, now: datetime) -> None:
        """An agent as just committed. What is older than what is here is ignored; a removed agent
        leaves the roster."""
        if agent.removed:
            self.drop(agent.id)
            return
        self.settle(now)
        entry = self._entries.get(agent.id)
        if entry is None:
            self._add(agent, facts, now)
        elif facts.version >= entry.facts.version:
            renamed = entry.agent is not agent and entry.agent != agent
            if renamed:
                self._rename(entry, agent)
            self._judge(entry, _with_marks(facts, entry.facts.links), now, shown=renamed)

    def mark(self, agent_id: str, facts: Facts, now: datetime) -> None:
        """Facts of the version that is here, changed in nothing that needs to be stored."""
        self.settle(now)
        entry = self._entries.get(agent_id)
        if entry is not None and entry.facts.version == facts.version:
            self._judge(entry, facts, now)

    def drop(self, agent_id: str) -> None:
        """The agent is no longer one."""
        entry = self._entries.pop(agent_id, None)
        if entry is None:
            return
        self._loads.pop(agent_id, None)
        self._behind.pop(agent_id, None)
        self._unname(entry.agent)
        self.revision += 1
        for pool in entry.group.pools:
            self._leave(pool, entry)
        self._left(entry.group, entry.agent)

    def set_feed(self, feed: Feed) -> None:
        """The feed is in another state. Answers follow at once, stored facts by a review."""
        self.feeds[feed.id] = feed
        self._changed_feeds.add(feed.id)
        self.revision += 1

    def drop_feed(self, feed_id: str) -> None:
        """No links at all from here."""
        self.feeds.pop(feed_id, None)
        self._changed_feeds.add(feed_id)
        self.revision += 1

    def put_load(self, report: Load, now: datetime) -> None:
        """Units held elsewhere, as storage has kept them, in whichever order they come here: what is older
        than the source's report that counts is ignored."""
        self.settle(now)
        entry = self._entries.get(report.agent_id)
        if entry is None:
            return
        reports = self._loads.setdefault(report.agent_id, {})
        old = reports.get(report.source)
        if old is None or old.as_of <= report.as_of:
            reports[report.source] = report
            self._judge(entry, entry.facts, now)

    def put_hint(
        self, workspace_id: str, external_id: str, kind: HintKind, hint: Hint | None, now: datetime
    ) -> None:
        """What one account hints at from now on; None: nothing of that kind."""
        self.settle(now)
        there = self._hints.get(workspace_id, {})
        hints = dict(there.get(external_id, {}))
        if hints.pop(kind, None) == hint:
            return
        if hint is not None:
            hints[kind] = hint
        if hints:
            self._hints.setdefault(workspace_id, there)[external_id] = hints
        else:
            del there[external_id]
            if not there:
                del self._hints[workspace_id]
        entry = self._entries.get(self._by_identity.get(workspace_id, {}).get(external_id, ""))
        if entry is not None:
            self._judge(entry, entry.facts, now)

    def hint(self, workspace_id: str, external_id: str, kind: HintKind) -> Hint | None:
        """What one account hints at, or is known to hint at later."""
        return self._hints.get(workspace_id, {}).get(external_id, {}).get(kind)

    def hinting(self, workspace_id: str) -> list[str]:
        """The platform's ids of all accounts there that hint at anything."""
        return list(self._hints.get(workspace_id, {}))

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
        agent_id = self._by_identity.get(workspace_id, {}).get(external_id)
        return self._entries[agent_id].agent if agent_id else None

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
        agent_id = self._by_external.get(system, {}).get(external_id)
        return self._entries[agent_id].agent if agent_id else None

    def row(self, agent_id: str, now: datetime) -> Row | None:
        """One agent at `now`."""
        self.settle(now)
        entry = self._entries.get(agent_id)
        return self._row(entry) if entry else None

    def rows(self, now: datetime, team: str | None = None, skill: str | None = None) -> list[Row]:
        """Everybody (of a team, with a skill) at `now`, by name."""
        self.settle(now)
        found = [
            self._row(entry)
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
            best = [self._row(self._entries[agent_id]) for agent_id in islice(pool.best(), limit)]
            return best, pool.routable
        wanted = set(skills)
        found = [
            entry
            for entry in (self._entries[agent_id] for agent_id in pool.best())
            if wanted.issubset(entry.agent.skills)
        ]
        return [self._row(entry) for entry in found[:limit]], len(found)

    def why_not(
        self, agent_id: str, now: datetime, team: str | None = None, skills: Collection[str] = ()
    ) -> tuple[Reason, ...]:
        """Every reason why the agent is not routable now. Raises KeyError for an unknown id."""
        self.settle(now)
        entry = self._entries[agent_id]
        hinted = hinted_against(entry.hints, self.policy)
        return why_not_routable(entry.agent, entry.verdict, entry.load, team, skills, hinted)

    def on_feed(self, feed_id: str) -> list[str]:
        """Ids of the agents with an identity that is present in that workspace, each once."""
        return list(dict.fromkeys(self._by_identity.get(feed_id, {}).values()))

    def seen_on(self, feed_id: str) -> tuple[int, int]:
        """How many agents with an identity in that workspace were seen since its feed began, none while it
        is not live, and how many there are. Looks at all of them: not for hot queries."""
        feed, there = self.feeds.get(feed_id), self.on_feed(feed_id)
        if feed is None or feed.state is not FeedState.LIVE:
            return 0, len(there)

        def seen(links: Iterable[Link]) -> bool:
            return any(link.feed_id == feed_id and link.epoch == feed.epoch for link in links)

        return sum(seen(self._entries[one].facts.links) for one in there), len(there)

    def linked(self, feed_id: str) -> list[str]:
        """Ids of the agents with a link of that feed. Looks at everybody: not for queries."""
        return [
            agent_id
            for agent_id, entry in self._entries.items()
            if any(link.feed_id == feed_id for link in entry.facts.links)
        ]

    def everyone(self) -> Iterable[Agent]:
        """All agents, in no order."""
        return (entry.agent for entry in self._entries.values())

    # --- time ---

    def settle(self, now: datetime) -> None:
        """Let time have its consequences for the answers; what is stored follows with the tick.

        Each comes at its own instant, so that it makes no difference how late anybody asks.
        """
        due = self._due
        if due and due[0][0] < now:
            self.before_due()
        if self._changed_feeds:
            self._judge_anew(now)
        while due and due[0][0] < now:
            at, agent_id = heapq.heappop(due)
            entry = self._entries.get(agent_id)
            if entry is None or entry.queued_at != at:
                continue
            entry.queued_at = None
            real = deadline(entry.settled, self.feeds, self.policy)
            reports = self._loads.get(agent_id)
            if reports:
                ends = min(report.expires_at for report in reports.values())
                real = ends if real is None or ends < real else real
            if self._hints:
                real = _earlier(real, self._hints_change(entry.agent, at))
            if real is not None and real <= at:
                self._judge(entry, entry.facts, at + TICK)
            elif real is not None:
                self._queue(entry, real)

    def due(self, now: datetime) -> list[str]:
        """Agents whose stored facts are behind time, each once; they are not named again until put."""
        self.settle(now)
        found = [agent_id for agent_id, at in self._behind.items() if at < now]
        for agent_id in found:
            del self._behind[agent_id]
        return found

    def due_again(self, agent_id: str, at: datetime) -> None:
        """What was due could not be stored: it is due again after that instant."""
        entry = self._entries.get(agent_id)
        if entry is not None and entry.settled is not entry.facts:
            self._behind[agent_id] = at

    # --- inside ---

    def _row(self, entry: Entry) -> Row:
        code = entry.settled.intent.reason_code
        name = self.reasons.name(code) if code else ""
        return Row(entry.agent, entry.settled, entry.verdict, entry.load, entry.load_known, name, entry.hints)

    def _add(self, agent: Agent, facts: Facts, now: datetime) -> None:
        group = self._group(agent)
        entry = self._entries[agent.id] = Entry(group.agent(agent), group, facts, facts)
        group.members += 1
        self._name(agent)
        self._judge(entry, facts, now, shown=True)

    def _judge_anew(self, now: datetime) -> None:
        """A feed's state counts for everybody with a link there."""
        changed, self._changed_feeds = self._changed_feeds, set()
        for entry in self._entries.values():
            for link in entry.facts.links:
                if link.feed_id in changed:
                    self._judge(entry, entry.facts, now)
                    break

    def _judge(self, entry: Entry, facts: Facts, now: datetime, *, shown: bool = False) -> None:
        """Take these facts for the entry's and answer from them. `shown`: an answer differs already."""
        feeds, policy, agent = self.feeds, self.policy, entry.agent
        before = entry.settled
        settled = facts
        at = deadline(facts, feeds, policy)
        if at is not None and at < now:
            if facts is not entry.facts or before is facts:
                self._behind[agent.id] = at
            settled, _ = settle(facts, feeds, policy, now)
            at = deadline(settled, feeds, policy)
        elif self._behind:
            self._behind.pop(agent.id, None)
        entry.facts, entry.settled = facts, settled
        old, verdict = entry.verdict, judge(settled, feeds, policy, now)
        if verdict != old:
            shown = True
            entry.verdict = self._shared(verdict)
        elif settled is not before:
            shown = shown or _shows_other(before, settled)
        load = 0
        if self._loads and (reports := self._loads.get(agent.id)) is not None:
            load, ends = _sum(reports, now)
            known = ends is not None
            if ends is None:
                del self._loads[agent.id]
            elif at is None or ends < at:
                at = ends
            if load != entry.load or known is not entry.load_known:
                shown = True
                entry.load, entry.load_known = load, known
        hints: tuple[Hint, ...] = ()
        if self._hints:
            hints, at = self._hinted(agent, verdict, now), _earlier(at, self._hints_change(agent, now))
        if hints != entry.hints:
            shown, entry.hints = True, hints
        if at is not None and (entry.queued_at is None or at < entry.queued_at):
            self._queue(entry, at)
        if not shown:
            return
        place = None
        if verdict.reachable and load < agent.capacity and not (hints and hinted_against(hints, policy)):
            place = load / agent.capacity if load else 0.0
        was = None if old is UNJUDGED else old.presence
        self._show(entry, was, verdict.presence, place)

    def _show(self, entry: Entry, was: Presence | None, now: Presence, place: float | None) -> None:
        """An answer about the entry differs; so do those about its pools."""
        revision = self.revision = self.revision + 1
        before, entry.place = entry.place, place
        pools = entry.group.pools
        for pool in pools:
            pool.revision = revision
        if was is not now:
            for pool in pools:
                if was is not None:
                    pool.count(was, -1)
                pool.count(now, 1)
        if place != before:
            agent_id = entry.agent.id
            for pool in pools:
                pool.move(agent_id, before, place)

    def _hinted(self, agent: Agent, verdict: Verdict, now: datetime) -> tuple[Hint, ...]:
        """What is shown beside the presence: nothing of somebody who is not at work."""
        if verdict.presence is Presence.OFFLINE:
            return ()
        return tuple(hint for hint in self._hints_of(agent) if hint.holds(now))

    def _hints_change(self, agent: Agent, after: datetime) -> datetime | None:
        """The last instant, `after` or later, before one of the agent's hints begins or ends."""
        ends = [hint.since - TICK if hint.since > after else hint.until_at for hint in self._hints_of(agent)]
        return min((at for at in ends if at is not None and at >= after), default=None)

    def _hints_of(self, agent: Agent) -> Iterable[Hint]:
        for identity in agent.identities:
            if identity.present:
                yield from self._hints.get(identity.workspace_id, {}).get(identity.external_id, {}).values()

    def _shared(self, verdict: Verdict) -> Verdict:
        if verdict.note or verdict.unconfirmed_since is not None:
            return verdict
        return self._verdicts.setdefault(verdict, verdict)

    def _queue(self, entry: Entry, at: datetime) -> None:
        entry.queued_at = at
        if len(self._due) > 2 * len(self._entries) + SLACK:
            self._due[:] = [
                (other.queued_at, agent_id)
                for agent_id, other in self._entries.items()
                if other.queued_at is not None
            ]
            heapq.heapify(self._due)
        else:
            heapq.heappush(self._due, (at, entry.agent.id))

    def _rename(self, entry: Entry, agent: Agent) -> None:
        """The agent under another name, with other accounts, in other teams; their turn stays."""
        old, group = entry.group, self._group(agent)
        old_agent, entry.agent = entry.agent, group.agent(agent)
        self._unname(old_agent)
        self._name(agent)
        if group is old:
            return
        entry.group = group
        group.members += 1
        self.revision += 1
        for pool in group.pools:
            if pool not in old.pools:
                pool.count(entry.verdict.presence, 1)
                if entry.place is not None:
                    pool.move(agent.id, None, entry.place)
                    pool.stand_as_in(self._everybody, entry.place)
        for pool in old.pools:
            if pool not in group.pools:
                self._leave(pool, entry)
        self._left(old, old_agent)

    def _leave(self, pool: Pool, entry: Entry) -> None:
        pool.revision = self.revision
        pool.count(entry.verdict.presence, -1)
        pool.move(entry.agent.id, entry.place, None)

    def _group(self, agent: Agent) -> Group:
        group = self._groups.get((agent.teams, agent.skills))
        if group is None:
            pools = tuple(self._pools.setdefault(key, Pool()) for key in _keys(agent))
            group = self._groups[agent.teams, agent.skills] = Group(agent.teams, agent.skills, pools)
        return group

    def _left(self, group: Group, agent: Agent) -> None:
        """The agent was of this group: with its last member go the pools that nobody else is in."""
        group.members -= 1
        if not group.members:
            del self._groups[agent.teams, agent.skills]
            for key in _keys(agent):
                pool = self._pools[key]
                if not pool.agents and pool is not self._everybody:
                    del self._pools[key]

    def _name(self, agent: Agent) -> None:
        for identity in agent.identities:
            if identity.present:
                self._by_identity[identity.workspace_id][identity.external_id] = agent.id
        for system, external_id in agent.externals:
            self._by_external[system][external_id] = agent.id

    def _unname(self, agent: Agent) -> None:
        for identity in agent.identities:
            _forget(self._by_identity, identity.workspace_id, identity.external_id, agent.id)
        for system, external_id in agent.externals:
            _forget(self._by_external, system, external_id, agent.id)


def _forget(names: dict[str, dict[str, str]], space: str, name: str, agent_id: str) -> None:
    """The name is the agent's no longer, unless it is another's already."""
    named = names.get(space, {})
    if named.get(name) == agent_id:
        del named[name]
        if not named:
            del names[space]


def _standing_since(known: tuple[Agent, Facts]) -> datetime:
    return known[1].interval.standing_since


def _keys(agent: Agent) -> Iterable[tuple[str, str]]:
    """The pools an agent stands in: (team, skill), each or both of them any."""
    return dict.fromkeys((team, skill) for team in ("", *agent.teams) for skill in ("", *agent.skills))


def _shows_other(before: Facts, after: Facts) -> bool:
    """Whether anybody is shown something else, the verdict being the same: since when, until when."""
    return (
        before.interval.standing_since != after.interval.standing_since
        or before.intent.until_at != after.intent.until_at
        or before.last_seen_at != after.last_seen_at
    )


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return one if other is None or (one is not None and one <= other) else other


def _sum(reports: dict[str, Load], now: datetime) -> tuple[int, datetime | None]:
    """Units held elsewhere, and the next instant at which that changes; None: nobody says so any more.

    What has expired is forgotten.
    """
    units, ends = 0, None
    for report in list(reports.values()):
        if report.expires_at < now:
            del reports[report.source]
            continue
        units += report.units
        if ends is None or report.expires_at < ends:
            ends = report.expires_at
    return units, ends


def _with_marks(facts: Facts, known: tuple[Link, ...]) -> Facts:
    """Keep the newest marks: a repetition that is not stored must not let an older fact in later."""
    for link in facts.links:
        for old in known:
            if old is not link and _later(old, link):
                links = tuple(_with_mark(link, known) for link in facts.links)
                return replace(facts, links=links)
    return facts


def _with_mark(link: Link, known: tuple[Link, ...]) -> Link:
    for old in known:
        if _later(old, link):
            return replace(link, epoch=old.epoch, seq=old.seq, beat_at=old.beat_at)
    return link


def _later(old: Link, link: Link) -> bool:
    """The link as it was last seen, later than storage knows."""
    return (
        old.identity_id == link.identity_id
        and old.state is link.state
        and (old.epoch, old.seq) > (link.epoch, link.seq)
    )
