"""Whatever is put, marked, dropped or reported, and however time passes: every answer of the roster is
what a naive one works out anew, and a pool's revision tells whether its answer is still the same.

`naive_roster.py` is the model. Waits are drawn so that they end on, just before and just after instants at
which something ends; some changes come after several waits during which nobody asked.
`ROLLCALL_LONG=1` tries twenty times as many histories.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from service.naive_roster import NaiveRoster, PoolAnswer, Shown

from bot.domain.agent import Agent, Identity
from bot.domain.choices import act, choose_available, choose_away, sign_off
from bot.domain.errors import SignedOff
from bot.domain.facts import Facts, Feed, FeedState, Observation, Policy, Seen, new_agent, with_end
from bot.domain.hints import Hint, HintKind, OnHint
from bot.domain.presence import TICK
from bot.domain.transition import Step, observe, review, settle
from bot.ports import Load
from bot.roster import Roster, Row
from bot.service.presence import needs_storing

LONG = 20 if os.environ.get("ROLLCALL_LONG") == "1" else 1
START = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
PLACES = {"guild": "discord", "acme": "slack"}
PEOPLE = ("ana", "bo", "cy", "di")
TEAMS = ((), ("sales",), ("sales", "support"), ("support",))
SKILLS = ((), ("french",), ("french", "billing"))
POOLS = list(product((None, "sales", "support"), (None, "french", "billing")))
QUESTIONS = [*((team, () if skill is None else (skill,)) for team, skill in POOLS), (None, SKILLS[2])]
SPANS = [
    timedelta(seconds=1),
    timedelta(seconds=60),
    timedelta(seconds=120),
    timedelta(minutes=10),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=8),
]


class Play:
    """One history, told to the roster and to the model alike."""

    def __init__(self) -> None:
        policy = Policy(in_call=OnHint.NO_NEW_CHATS)
        self.now = START
        self.roster = Roster(policy)
        self.model = NaiveRoster(policy, START)
        self.stored: dict[str, tuple[Agent, Facts]] = {}
        """As the database has it: without the marks of observations that changed nothing."""
        self.seq = 0

    # --- what happens ---

    def wait(self, long: int, beside: int) -> None:
        """Time passes."""
        self.now += SPANS[long % len(SPANS)] + (beside % 3 - 1) * TICK

    def put(self, agent: Agent, facts: Facts) -> None:
        """A commit, shown."""
        self.model.pass_time(self.now)
        self.stored[agent.id] = agent, facts
        fresh = facts is not self.roster.facts(agent.id)
        self.roster.put(agent, facts, self.now)
        self.model.put(agent, facts, fresh=fresh)
        self.model.look()

    def enrol(self, who: int, what: int) -> None:
        """Somebody new, or somebody there already with another profile."""
        name = PEOPLE[who % len(PEOPLE)]
        known = self.roster.agent(name)
        places = list(PLACES.items())[: 1 + what % 2]
        agent = Agent(
            name,
            "org_1",
            f"{name} {what % 2}",
            teams=TEAMS[what % len(TEAMS)],
            skills=SKILLS[what // 2 % len(SKILLS)],
            capacity=1 + what % 3,
            identities=tuple(
                Identity(f"{name}@{place}", place, platform, name, present=what % 5 != 4)
                for place, platform in places
            ),
            externals=(("chatwoot", name),) if what % 2 else (),
        )
        facts = self.roster.facts(name) if known else new_agent(name, self.now)
        assert facts is not None
        self.put(agent, facts)

    def change(self, who: int, decide: Callable[[Facts], Step]) -> None:
        """As the core does it: stored and put if it must be stored, else marked."""
        name = PEOPLE[who % len(PEOPLE)]
        before, agent = self.roster.facts(name), self.roster.agent(name)
        if before is None or agent is None:
            return
        try:
            after, changes = decide(before)
        except SignedOff:
            return
        if needs_storing(before, after) or changes:
            self.put(agent, replace(after, version=before.version + 1))
        else:
            self.model.pass_time(self.now)
            self.roster.mark(name, after, self.now)
            self.model.mark(after)
            self.model.look()

    def sight(self, who: int, what: int) -> None:
        """A feed says something of somebody, sometimes an old thing."""
        place = list(PLACES)[what % 2]
        feed = self.roster.feeds.get(place)
        if feed is None:
            return
        self.seq += 1
        seen = Observation(
            f"{PEOPLE[who % len(PEOPLE)]}@{place}",
            place,
            (Seen.CONNECTED, Seen.DISCONNECTED, Seen.AWAY)[what // 2 % 3],
            self.now,
            feed.epoch,
            self.seq if what % 7 else self.seq // 2,
        )
        feeds, policy = self.roster.feeds, self.roster.policy
        self.change(who, lambda facts: observe(facts, seen, feeds, policy, self.now, None))

    def say(self, who: int, what: int) -> None:
        """A command."""
        feeds, policy, now = self.roster.feeds, self.roster.policy, self.now
        name = PEOPLE[who % len(PEOPLE)]
        until_at = now + SPANS[2 + what % 4]
        said: list[Callable[[Facts], Step]] = [
            lambda facts: choose_available(facts, feeds, policy, now, identity_id=f"{name}@acme"),
            lambda facts: choose_available(facts, feeds, policy, now, by="lead:di", note="please"),
            lambda facts: choose_away(facts, feeds, policy, now, until_at=until_at),
            lambda facts: choose_away(facts, feeds, policy, now, reason="lunch", reason_code="lunch"),
            lambda facts: act(facts, feeds, policy, now, None),
            lambda facts: sign_off(facts, feeds, policy, now),
        ]
        self.change(who, said[what % len(said)])

    def feed(self, who: int, what: int) -> None:
        """A feed comes, goes or is switched off. The core reviews everybody then, perhaps not at once."""
        place = list(PLACES)[who % 2]
        old = self.roster.feeds.get(place)
        epoch = 1 if old is None else old.epoch + what % 2
        state = (FeedState.LIVE, FeedState.LIVE, FeedState.LIVE, FeedState.DOWN, FeedState.STALE)[what % 5]
        live_at = self.now if state is FeedState.LIVE or old is None else old.live_at
        self.model.pass_time(self.now)
        self.roster.settle(self.now)
        if what % 11 == 10:
            self.roster.drop_feed(place)
            self.model.feeds.pop(place, None)
        else:
            lost_at = self.now if old is None or old.state is FeedState.LIVE else old.lost_at
            ended = () if old is None else old.ended if epoch == old.epoch else with_end(old, lost_at)
            feed = Feed(
                place,
                PLACES[place],
                state,
                epoch,
                live_at,
                lost_at,
                timedelta(seconds=60),
                timedelta(seconds=120),
                ended,
            )
            self.roster.set_feed(feed)
            self.model.feeds[place] = feed
        self.roster.settle(self.now)
        self.model.look()
        if what % 3:
            feeds, policy = self.roster.feeds, self.roster.policy
            for at in range(len(PEOPLE)):
                self.change(at, lambda facts: review(facts, feeds, policy, self.now, None))

    def read_again(self, who: int, what: int) -> None:
        """What is stored is put again, or something older than it, or the agent is no longer one."""
        name = PEOPLE[who % len(PEOPLE)]
        if name not in self.stored:
            return
        agent, facts = self.stored[name][0], replace(self.stored[name][1])
        self.model.pass_time(self.now)
        if what % 4 == 3:
            self.roster.put(replace(agent, removed=True), facts, self.now)
            self.model.drop(name)
        elif what % 4 == 2:
            self.roster.drop(name)
            self.model.drop(name)
        elif what % 4 == 1 and self.roster.agent(name) is not None:
            older = replace(new_agent(name, self.now), version=facts.version - 1)
            self.roster.put(replace(agent, name="older"), older, self.now)
        else:
            self.roster.put(agent, facts, self.now)
            self.model.put(agent, facts)
        self.model.look()

    def report(self, who: int, what: int) -> None:
        """Units held elsewhere, sometimes late."""
        name = PEOPLE[who % len(PEOPLE)]
        load = Load(
            name,
            ("chatwoot", "phone")[what % 2],
            what // 2 % 3,
            self.now - (what % 3) * SPANS[1],
            self.now + SPANS[what % 6],
        )
        self.model.pass_time(self.now)
        self.roster.put_load(load, self.now)
        self.model.put_load(load)
        self.model.look()

    def hint(self, who: int, what: int) -> None:
        """Somebody enters a call or leaves it, or will not be disturbed for a while, now or later."""
        name, place = PEOPLE[who % len(PEOPLE)], list(PLACES)[what % 2]
        kind = list(HintKind)[what // 2 % 2]
        since = self.now + SPANS[what % 5] if what % 3 == 0 else self.now
        ends = None if what % 4 == 0 else since + SPANS[what // 4 % 6]
        hint = None if what % 5 == 4 else Hint(kind, PLACES[place], since, ends)
        self.model.pass_time(self.now)
        self.roster.put_hint(place, name, kind, hint, self.now)
        self.model.put_hint(place, name, kind, hint)
        self.model.look()

    def tick(self, who: int, what: int) -> None:
        """The clock's: whoever is behind time is named once, and stored, or is due again."""
        self.model.pass_time(self.now)
        named = self.roster.due(self.now)
        behind = {agent_id for agent_id in self.model.agents if self.model.behind(agent_id)}
        assert sorted(named) == sorted(behind - self.model.named)
        self.model.named |= set(named)
        feeds, policy = self.roster.feeds, self.roster.policy
        for nth, agent_id in enumerate(named):
            if (what >> nth) % 3 == 0:
                self.roster.due_again(agent_id, self.now)
                self.now += TICK
                self.model.pass_time(self.now)
                self.model.named.discard(agent_id)
            elif (what >> nth) % 3 == 1:
                who = PEOPLE.index(agent_id)
                self.change(who, lambda facts: settle(facts, feeds, policy, self.now))

    # --- what is answered ---

    def check(self) -> dict[tuple[str | None, str | None], tuple[PoolAnswer, int]]:
        """Every answer; the pools' with their revisions."""
        roster, model, now = self.roster, self.model, self.now
        pools = {key: (answered(roster, now, *key), roster.pool(now, *key).revision) for key in POOLS}
        model.pass_time(now)
        assert {key: answer for key, (answer, _) in pools.items()} == {k: model.pool(*k) for k in POOLS}
        assert len(roster) == len(model.agents)
        for team, skills in QUESTIONS:
            best = model.best(team, skills)
            for limit in (0, 1, 3):
                rows, routable = roster.best(now, limit, team, skills)
                assert ([row.agent.id for row in rows], routable) == (best[:limit], len(best))
        for name in PEOPLE:
            row = roster.row(name, now)
            assert (row and shown(row)) == (model.shown(name) if name in model.agents else None)
            if row is not None:
                assert roster.facts(name) == model.facts[name]
                for team, skills in QUESTIONS:
                    assert roster.why_not(name, now, team, skills) == model.why_not(name, team, skills)
            for place in PLACES:
                found = roster.by_identity(place, name)
                assert ([found] if found else []) == model.by_identity(place, name)
            named = roster.by_external("chatwoot", name)
            assert ([named] if named else []) == model.by_external("chatwoot", name)
        for place in PLACES:
            there = [name for name in model.agents if model.by_identity(place, name)]
            assert sorted(roster.on_feed(place)) == sorted(there)
        return pools


def shown(row: Row) -> Shown:
    """A row as the model gives it."""
    until_at, last_seen_at = row.facts.intent.until_at, row.facts.last_seen_at
    return Shown(
        row.agent, row.verdict, row.since, until_at, last_seen_at, row.load, row.load_known, row.hints
    )


def answered(roster: Roster, now: datetime, team: str | None, skill: str | None) -> PoolAnswer:
    """All that the roster says of a pool."""
    pool = roster.pool(now, team, skill)
    rows, routable = roster.best(now, 99, team, () if skill is None else (skill,))
    assert routable == pool.routable
    return PoolAnswer(
        pool.available,
        pool.away,
        pool.offline,
        tuple(row.agent.id for row in rows),
        tuple(shown(row) for row in roster.rows(now, team, skill)),
    )


WHATS = [
    *[Play.wait] * 4, *[Play.sight] * 6, *[Play.say] * 4, *[Play.report] * 3,
    *[Play.feed] * 2, *[Play.enrol] * 2, Play.read_again, *[Play.tick] * 2, *[Play.hint] * 3,
]  # fmt: skip
SINGLE = (Play.sight, Play.say, Play.report, Play.enrol, Play.read_again, Play.hint)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(WHATS), st.integers(0, 41), st.integers(0, 41), st.sampled_from([True, True, False])
    ),
    min_size=1,
    max_size=40,
)


@settings(
    max_examples=150 * LONG,
    deadline=None,
    derandomize=LONG == 1,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(EVENTS)
def test_every_answer_is_what_the_facts_say_at_that_instant(
    events: list[tuple[Callable[[Play, int, int], None], int, int, bool]],
) -> None:
    """And a pool's revision is another if, and after a single change only if, its answer is another."""
    play = Play()
    for place in range(len(PLACES)):
        play.feed(place, 0)
    for who in range(3):
        play.enrol(who, who)
        play.sight(who, 1 + who % 2)
        play.say(who, who // 2)
    before, unasked = play.check(), 0
    for happens, who, what, asked in events:
        happens(play, who, what)
        unasked += 1
        if not asked:
            continue
        after = play.check()
        for key, (answer, revision) in after.items():
            if answer != before[key][0]:
                assert revision > before[key][1] or answer.rows == ()
            elif unasked == 1 and happens in SINGLE:
                assert revision == before[key][1]
        before, unasked = after, 0
