"""The roster the slow way: facts in a dict, and every answer worked out anew from all of them.

It has no heap, no index, no pool and no revision. What it takes from `bot/` is the domain alone: `judge`,
`settle` and `deadline`. The one thing it remembers is whose turn is whose: it walks through every instant
at which time alone changes anything, looks at everybody, and notes who came to another load ratio.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import NamedTuple

from msgspec.structs import replace

from bot.domain.agent import Agent
from bot.domain.facts import Facts, Feed, Link, Policy, Presence
from bot.domain.hints import Hint, HintKind
from bot.domain.presence import TICK, Verdict, deadline, judge
from bot.domain.routing import OF_HINTS, Reason, why_not_routable
from bot.domain.transition import settle
from bot.ports import Load


class Shown(NamedTuple):
    """What anybody may be shown of an agent."""

    agent: Agent
    verdict: Verdict
    since: datetime
    until: datetime | None
    last_seen_at: datetime | None
    load: int
    load_known: bool
    hints: tuple[Hint, ...]


class PoolAnswer(NamedTuple):
    """All that can be asked of a pool."""

    available: int
    away: int
    offline: int
    routable: tuple[str, ...]
    rows: tuple[Shown, ...]


@dataclass
class NaiveRoster:
    """Everybody, as last put."""

    policy: Policy
    now: datetime
    feeds: dict[str, Feed] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    loads: dict[tuple[str, str], Load] = field(default_factory=dict)
    hints: dict[tuple[str, str, HintKind], Hint] = field(default_factory=dict)
    """By workspace, platform's id and kind."""
    named: set[str] = field(default_factory=set)
    """Told by `due`, and not put since."""
    _turns: dict[str, tuple[float | None, int]] = field(default_factory=dict)
    _counter: count[int] = field(default_factory=count)

    # --- putting in ---

    def put(self, agent: Agent, facts: Facts, *, fresh: bool = True) -> None:
        """As the roster's. `fresh`: the facts are put, not only the profile with the facts it has."""
        old = self.facts.get(agent.id)
        if agent.removed:
            self.drop(agent.id)
            return
        if old is not None:
            if facts.version < old.version:
                return
            facts = replace(
                facts,
                links=tuple(
                    max((link, *(o for o in old.links if _same_but_for_marks(o, link))), key=_mark)
                    for link in facts.links
                ),
            )
        self.agents[agent.id], self.facts[agent.id] = agent, facts
        if fresh:
            self.named.discard(agent.id)

    def mark(self, facts: Facts) -> None:
        """As the roster's."""
        if facts.agent_id in self.facts and self.facts[facts.agent_id].version == facts.version:
            self.facts[facts.agent_id] = facts
            self.named.discard(facts.agent_id)

    def drop(self, agent_id: str) -> None:
        """As the roster's."""
        for known in (self.agents, self.facts, self._turns):
            known.pop(agent_id, None)
        self.named.discard(agent_id)
        self.loads = {key: load for key, load in self.loads.items() if key[0] != agent_id}

    def put_load(self, load: Load) -> None:
        """As the roster's: what has ended is forgotten, and storage alone knows how old it was."""
        old = self.loads.get((load.agent_id, load.source))
        if old is not None and old.expires_at < self.now:
            old = None
        if load.agent_id in self.agents and (old is None or old.as_of <= load.as_of):
            self.loads[load.agent_id, load.source] = load

    def put_hint(self, workspace_id: str, external_id: str, kind: HintKind, hint: Hint | None) -> None:
        """As the roster's."""
        self.hints.pop((workspace_id, external_id, kind), None)
        if hint is not None:
            self.hints[workspace_id, external_id, kind] = hint

    # --- time ---

    def pass_time(self, now: datetime) -> None:
        """Every instant at which time alone changes something, one after the other."""
        while True:
            ends = [at for agent_id in self.agents for at in self._ends(agent_id)]
            next_at = min((at + TICK for at in ends if at >= self.now), default=now)
            if next_at >= now:
                break
            self.now = next_at
            self.look(sorted(self.agents))
        self.now = now
        self.look(sorted(self.agents))

    def _ends(self, agent_id: str) -> list[datetime]:
        at = deadline(self.settled(agent_id), self.feeds, self.policy)
        loads = [load.expires_at for key, load in self.loads.items() if key[0] == agent_id]
        hints = [end for hint in self._all_hints(agent_id) for end in (hint.since - TICK, hint.until_at)]
        return [*loads, *([] if at is None else [at]), *(end for end in hints if end is not None)]

    def _all_hints(self, agent_id: str) -> list[Hint]:
        return [
            hint
            for one in self.agents[agent_id].identities
            if one.present
            for (workspace_id, external_id, _), hint in self.hints.items()
            if (workspace_id, external_id) == (one.workspace_id, one.external_id)
        ]

    def look(self, everybody: Iterable[str] = ()) -> None:
        """Who is at another load ratio than before has come there now; of several, in this order."""
        for agent_id in everybody or self.agents:
            place = self.place(agent_id)
            if self._turns.get(agent_id, (None, 0))[0] != place:
                self._turns[agent_id] = place, next(self._counter)
        self.named -= {agent_id for agent_id in self.named if not self.behind(agent_id)}

    # --- asking ---

    def settled(self, agent_id: str) -> Facts:
        """With what has come due."""
        return settle(self.facts[agent_id], self.feeds, self.policy, self.now)[0]

    def behind(self, agent_id: str) -> bool:
        """Whether the stored facts lack what has come due."""
        at = deadline(self.facts[agent_id], self.feeds, self.policy)
        return at is not None and at < self.now

    def verdict(self, agent_id: str) -> Verdict:
        """Now."""
        return judge(self.settled(agent_id), self.feeds, self.policy, self.now)

    def load(self, agent_id: str) -> tuple[int, bool]:
        """Units, and whether anybody says so."""
        told = [
            load.units
            for key, load in self.loads.items()
            if key[0] == agent_id and self.now <= load.expires_at
        ]
        return sum(told), bool(told)

    def place(self, agent_id: str) -> float | None:
        """The load ratio of a routable agent."""
        agent, (load, _) = self.agents[agent_id], self.load(agent_id)
        free = self.verdict(agent_id).reachable and not self.hinted(agent_id)
        return load / agent.capacity if free and load < agent.capacity else None

    def hints_of(self, agent_id: str) -> tuple[Hint, ...]:
        """Those that hold, of somebody who is logged in."""
        if self.verdict(agent_id).presence is Presence.OFFLINE:
            return ()
        return tuple(
            hint
            for hint in self._all_hints(agent_id)
            if hint.since <= self.now and (hint.until_at is None or self.now <= hint.until_at)
        )

    def hinted(self, agent_id: str) -> tuple[Reason, ...]:
        """Calls stop new chats, or do-not-disturb does, by the policy."""
        stops = {kind for kind in HintKind if self.policy.on_hint(kind).value == "no_new_chats"}
        told = {hint.kind for hint in self.hints_of(agent_id)}
        return tuple(OF_HINTS[kind] for kind in HintKind if kind in stops & told)

    def shown(self, agent_id: str) -> Shown:
        """One agent."""
        facts, (load, known) = self.settled(agent_id), self.load(agent_id)
        return Shown(
            self.agents[agent_id],
            self.verdict(agent_id),
            facts.interval.standing_since,
            facts.intent.until_at,
            facts.last_seen_at,
            load,
            known,
            self.hints_of(agent_id),
        )

    def within(self, team: str | None, skills: tuple[str, ...]) -> list[str]:
        """Who is in the team and has the skills."""
        return [
            agent.id
            for agent in self.agents.values()
            if (team is None or team in agent.teams) and set(skills) <= set(agent.skills)
        ]

    def best(self, team: str | None, skills: tuple[str, ...]) -> list[str]:
        """Routable agents in order."""
        found = [
            (*self._turns[agent_id], agent_id)
            for agent_id in self.within(team, skills)
            if self.place(agent_id) is not None
        ]
        return [agent_id for _, _, agent_id in sorted(found)]

    def pool(self, team: str | None, skill: str | None) -> PoolAnswer:
        """All of one pool."""
        within = self.within(team, () if skill is None else (skill,))
        rows = sorted(
            (self.shown(agent_id) for agent_id in within),
            key=lambda row: (row.agent.name.casefold(), row.agent.id),
        )
        counts = [sum(row.verdict.presence is presence for row in rows) for presence in Presence]
        best = self.best(team, () if skill is None else (skill,))
        return PoolAnswer(counts[0], counts[1], counts[2], tuple(best), tuple(rows))

    def why_not(self, agent_id: str, team: str | None, skills: tuple[str, ...]) -> tuple[Reason, ...]:
        """Every reason."""
        return why_not_routable(
            self.agents[agent_id],
            self.verdict(agent_id),
            self.load(agent_id)[0],
            team,
            skills,
            self.hinted(agent_id),
        )

    def by_identity(self, workspace_id: str, external_id: str) -> list[Agent]:
        """Whoever has it, and is still there."""
        return [
            agent
            for agent in self.agents.values()
            for one in agent.identities
            if one.present and (one.workspace_id, one.external_id) == (workspace_id, external_id)
        ]

    def by_external(self, system: str, external_id: str) -> list[Agent]:
        """Whoever is named so."""
        return [agent for agent in self.agents.values() if (system, external_id) in agent.externals]


def _same_but_for_marks(one: Link, other: Link) -> bool:
    return (one.identity_id, one.state) == (other.identity_id, other.state)


def _mark(link: Link) -> tuple[int, int]:
    return link.epoch, link.seq
