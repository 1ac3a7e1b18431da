"""Whatever arrives, in whatever order, however late: presence is what a naive replay says it is.

`naive_presence.py` is the model. `play` drives the real thing by the same history: each arrival once, with
the clock's ticks in between, or none. Waits are drawn so that arrivals fall on, just before and just after
the instants at which something ends. `ROLLCALL_LONG=1` tries twenty times as many histories.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from domain.naive_presence import (
    MOMENT,
    Answer,
    Arrival,
    Beat,
    FeedLive,
    FeedLost,
    FeedOff,
    History,
    Left,
    LoggedOut,
    Rules,
    Said,
    Saw,
    Stretch,
    Word,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain import sessions
from bot.domain.choices import act, choose_available, choose_away, sign_off
from bot.domain.errors import NotFound, ReasonNeeded, SignedOff
from bot.domain.facts import (
    Facts,
    Feed,
    FeedState,
    Interval,
    Observation,
    OnReturn,
    Policy,
    Seen,
    SlackAway,
    new_agent,
    with_end,
)
from bot.domain.presence import judge
from bot.domain.transition import Change, Moved, Notice, Step, disconnect_identity, observe, review, settle

LONG = 20 if os.environ.get("ROLLCALL_LONG") == "1" else 1
START = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)


def histories_tried(count: int) -> settings:
    """So many histories, twenty times as many in a long run; the same ones every time in a short one."""
    return settings(
        max_examples=count * LONG,
        deadline=None,
        derandomize=LONG == 1,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# Drawing histories


@dataclass(frozen=True)
class Place:
    """A workspace, and the agent's identity in it."""

    workspace: str
    platform: str
    identity: str
    sees: tuple[str, ...]
    grace: timedelta
    trust: timedelta


DISCORD = Place(
    "guild",
    "discord",
    "ana@guild",
    ("connected", "disconnected"),
    timedelta(seconds=60),
    timedelta(seconds=120),
)
SLACK = Place(
    "acme",
    "slack",
    "ana@acme",
    ("connected", "away", "disconnected"),
    timedelta(seconds=150),
    timedelta(seconds=180),
)
OTHER_SLACK = replace(SLACK, workspace="beta", identity="ana@beta", trust=timedelta(seconds=120))
CONSOLE = Place(
    "desk",
    "console",
    "ana@desk",
    ("connected", "disconnected"),
    timedelta(seconds=65),
    timedelta(seconds=120),
)
DESK = Place(
    "sessions",
    "session",
    "session:main",
    (),
    timedelta(seconds=65),
    timedelta(seconds=120),
)
"""Consoles, which send heartbeats."""
OTHER_DESK = replace(DESK, identity="session:other")
PLACES = [
    [DISCORD, DESK],
    [DESK, OTHER_DESK],
    [SLACK, DESK],
    [DESK],
    [SLACK, OTHER_SLACK],
    [DISCORD, SLACK],
    [DISCORD, SLACK, OTHER_SLACK],
    [DISCORD, SLACK, CONSOLE],
    [SLACK],
    [DISCORD],
]

SPANS = [
    timedelta(0),
    timedelta(seconds=15),
    timedelta(seconds=45),
    timedelta(seconds=60),
    timedelta(seconds=65),
    timedelta(seconds=120),
    timedelta(seconds=150),
    timedelta(seconds=180),
    timedelta(minutes=10),
    timedelta(minutes=15),
    timedelta(minutes=25),
    timedelta(minutes=30),
    timedelta(minutes=31),
    timedelta(minutes=32, seconds=30),
    timedelta(hours=2),
    timedelta(hours=7, minutes=45),
    timedelta(hours=8),
    timedelta(hours=16),
]
"""Every duration of the rules, and a grace with the gap after it: arrivals cluster where things end."""

BESIDE = [timedelta(0), -MOMENT, MOMENT]
WHATS = [
    *["drops"] * 8, *["connects"] * 6, *["idle"] * 6, *["saw"] * 2, *["late"] * 2,
    *["live"] * 3, *["lost"] * 3, "off feed", "left",
    *["lead available"] * 3, "lead away", "lead off",
    "available", "away", *["timed away"] * 2, *["act"] * 2, "off",
]  # fmt: skip
"""What arrives, as often as it shows something: mostly links that end and come back. Whoever checks in
or signs off all the time depends on no link."""


@dataclass
class Writer:
    """Writes a history that could happen: sequences rise, epochs rise, feeds come and go."""

    history: History
    places: Sequence[Place]
    now: datetime = START
    epochs: dict[str, int] = field(default_factory=dict)
    live: dict[str, bool] = field(default_factory=dict)
    seq: int = 0
    held_back: list[Saw] = field(default_factory=list)
    signed_off: bool = False

    def add(self, arrival: Arrival) -> None:
        """It arrives."""
        self.history.arrivals.append(arrival)

    def arrive(self, draw: st.DrawFn, what: str) -> None:
        """One thing of a kind, as it may be at this moment."""
        place = draw(st.sampled_from(self.places))
        if not place.sees and what in ("saw", "late", "connects", "drops", "idle", "left"):
            self.console(place, leaves=what in ("drops", "left"))
        elif what in ("saw", "late", "connects", "drops", "idle"):
            self.saw(draw, place, what)
        elif what in ("live", "lost", "off feed"):
            self.feed(draw, place, what)
        elif what == "left":
            self.add(Left(self.now, place.identity))
        else:
            self.said(draw, place, what)

    def console(self, place: Place, *, leaves: bool) -> None:
        """A heartbeat, or the console's logout."""
        if leaves:
            self.add(LoggedOut(self.now, place.identity))
        elif place.workspace in self.live:
            self.add(Beat(self.now, place.identity, place.workspace))

    def saw(self, draw: st.DrawFn, place: Place, what: str) -> None:
        """An observation: at once, dated earlier, held back until others have overtaken it, or once more."""
        if what == "late" and self.held_back:
            late = self.held_back.pop(draw(st.integers(0, len(self.held_back) - 1)))
            self.add(replace(late, at=self.now))
            return
        self.seq += 1
        dated = self.now
        if draw(st.sampled_from([False, False, False, True])):
            dated = max(START, self.now - draw(st.sampled_from(SPANS)))
        epoch = self.epochs.get(place.workspace, 0) - draw(st.sampled_from([0] * 9 + [1]))
        if what in ("saw", "late"):
            seen = draw(st.sampled_from(place.sees))
        else:
            seen = {"connects": "connected", "drops": place.sees[1], "idle": place.sees[1]}[what]
        saw = Saw(self.now, place.identity, place.workspace, seen, dated, epoch, self.seq)
        if what == "late":
            self.held_back.append(saw)
        else:
            self.add(saw)

    def feed(self, draw: st.DrawFn, place: Place, what: str) -> None:
        """A feed changes, as it can: what is not live cannot be lost."""
        workspace = place.workspace
        if what == "live":
            anew = workspace not in self.live or self.live[workspace] or draw(st.booleans())
            self.switch_on(place, anew=anew)
        elif what == "lost" and self.live.get(workspace):
            live_at = max(
                one.at
                for one in self.history.arrivals
                if isinstance(one, FeedLive) and one.workspace == workspace
            )
            since = max(live_at, self.now - draw(st.sampled_from(SPANS[:6])))
            self.live[workspace] = False
            self.add(FeedLost(self.now, workspace, since))
        elif what == "off feed" and workspace in self.live:
            del self.live[workspace]
            self.add(FeedOff(self.now, workspace))

    def switch_on(self, place: Place, *, anew: bool) -> None:
        """The feed is live, resumed or anew."""
        self.epochs[place.workspace] = self.epochs.get(place.workspace, 0) + anew
        self.live[place.workspace] = True
        epoch = self.epochs[place.workspace]
        self.add(FeedLive(self.now, place.workspace, place.platform, epoch, place.grace, place.trust))

    def said(self, draw: st.DrawFn, place: Place, what: str) -> None:
        """A command of the agent's own, or a lead's."""
        if what == "available" or (self.signed_off and draw(st.booleans())):
            self.signed_off = False
            self.add(Said(self.now, "available", identity=place.identity))
            return
        until = None
        by = "lead:bob" if what.startswith("lead") else "agent"
        note, code = draw(st.sampled_from([("", ""), ("lunch", "lunch"), ("lunch", ""), ("", "lunch")]))
        if what == "timed away" or (what == "lead away" and draw(st.booleans())):
            until = self.now + draw(st.sampled_from(SPANS[3:]))
        what = what.split()[-1]
        if self.signed_off and what in ("available", "away"):
            return  # refused; that it is, is tested by itself
        self.signed_off = self.signed_off or what == "off"
        note, code = ("", "") if what in ("act", "off") else (note, code)
        said = Said(self.now, what, by, note, until, code=code if what == "away" else "")
        if not self.history.unexplained(said):
            self.add(said)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A history of up to thirty arrivals for an agent in one to three places."""
    rules = Rules(
        on_return=draw(st.sampled_from(["ask", "ask", "previous", "available"])),
        slack_away=draw(st.sampled_from(["weak", "weak", "absent", "ignore"])),
        restore_within=draw(st.sampled_from([timedelta(hours=2), timedelta(minutes=10)])),
        require_reason=draw(st.sampled_from([False, False, True])),
    )
    zone = draw(st.sampled_from([None, "Pacific/Auckland", "America/New_York"]))
    writer = Writer(History(START, rules, zone), draw(st.sampled_from(PLACES)))
    for place in writer.places:
        if draw(st.sampled_from([True] * 7 + [False])):
            writer.switch_on(place, anew=True)
            if not place.sees:
                writer.console(place, leaves=False)
            elif draw(st.sampled_from([True, True, True, False])):
                writer.seq += 1
                writer.add(Saw(START, place.identity, place.workspace, "connected", START, 1, writer.seq))
    first = draw(st.sampled_from(["lead:bob", "lead:bob", "agent", None]))
    if first is not None:
        identity = writer.places[0].identity if first == "agent" else None
        writer.add(Said(START, "available", first, identity=identity))
    for _ in range(draw(st.integers(1, 25))):
        writer.now = next_instant(draw, writer)
        writer.arrive(draw, draw(st.sampled_from(WHATS)))
    return writer.history


def next_instant(draw: st.DrawFn, writer: Writer) -> datetime:
    """On, just before or just after the end of something that began with a recent arrival, or soon."""
    kind = draw(st.sampled_from(["now", "soon", "soon", "end", "end", "end", "end"]))
    if kind == "now":
        return writer.now
    if kind == "soon":
        return writer.now + timedelta(seconds=draw(st.integers(1, 40)))
    recent = writer.history.arrivals[-4:]
    begun = [writer.now, *(arrival.at for arrival in recent)]
    begun += [said.until for said in recent if isinstance(said, Said) and said.until]
    ends = {
        end + beside
        for begin in begun
        for span in SPANS
        for beside in BESIDE
        if (end := begin + span) + beside > writer.now
    }
    return draw(st.sampled_from(sorted(ends)))


# Driving the real thing


@dataclass
class Played:
    """What the real thing came to: its facts after each arrival, and all changes in order."""

    policy: Policy
    zone: str | None
    facts: Facts
    feeds: dict[str, Feed]
    changes: list[Change]
    kept: list[tuple[datetime, Facts, dict[str, Feed]]]

    def verdict(self, at: datetime) -> Answer:
        """Presence at an instant, from the facts as they were then."""
        after = bisect_right(self.kept, at, key=lambda kept: kept[0])
        _, facts, feeds = self.kept[after - 1]
        facts, _ = settle(facts, feeds, self.policy, at)
        found = judge(facts, feeds, self.policy, at)
        return Answer(
            found.presence.value,
            found.reason,
            found.source,
            found.note,
            found.confirmed,
            found.unconfirmed_since,
            found.reachable,
            found.reason_code,
        )

    @property
    def intervals(self) -> list[Interval]:
        """The first interval, then every one that a change opened."""
        opened = [change.after for change in self.changes if isinstance(change, Moved)]
        return [new_agent("agt_ana", START).interval, *opened]

    @property
    def words(self) -> list[Word]:
        """What the agent was told, in order."""
        return [Word(change.told.value, change.at) for change in self.changes if isinstance(change, Notice)]

    def take(self, step: Step) -> None:
        """The facts move on."""
        self.facts, came = step
        self.changes += came

    def tick(self, now: datetime) -> None:
        """The clock asks what is due."""
        self.take(settle(self.facts, self.feeds, self.policy, now))

    def take_in(self, arrival: Arrival) -> None:
        """One arrival, as the service would bring it."""
        now, policy, feeds, facts = arrival.at, self.policy, self.feeds, self.facts
        if isinstance(arrival, Saw):
            self.take(observe(facts, observation(arrival), feeds, policy, now, self.zone))
        elif isinstance(arrival, Left):
            self.take(disconnect_identity(facts, arrival.identity, feeds, policy, now, self.zone))
        elif isinstance(arrival, Said):
            self.take(command(arrival, facts, feeds, policy, self.zone))
        elif isinstance(arrival, Beat):
            key = arrival.session.removeprefix(sessions.PREFIX)
            self.take(sessions.beat(facts, key, arrival.workspace, feeds, policy, now, self.zone))
        elif isinstance(arrival, LoggedOut):
            key = arrival.session.removeprefix(sessions.PREFIX)
            self.take(sessions.log_out(facts, key, feeds, policy, now, self.zone))
        else:
            self.tick(now)
            self.feeds = swapped(feeds, arrival)
            self.take(review(self.facts, self.feeds, policy, now, self.zone))
        self.kept.append((now, self.facts, self.feeds))


def observation(saw: Saw) -> Observation:
    return Observation(saw.identity, saw.workspace, Seen(saw.seen), saw.dated, saw.epoch, saw.seq)


def command(said: Said, facts: Facts, feeds: dict[str, Feed], policy: Policy, zone: str | None) -> Step:
    """The agent's or a lead's command, at its instant."""
    if said.what == "act":
        return act(facts, feeds, policy, said.at, zone)
    if said.what == "off":
        return sign_off(facts, feeds, policy, said.at, by=said.by)
    if said.what == "available":
        return choose_available(
            facts, feeds, policy, said.at, by=said.by, note=said.note, identity_id=said.identity
        )
    return choose_away(
        facts,
        feeds,
        policy,
        said.at,
        by=said.by,
        reason=said.note,
        reason_code=said.code,
        until_at=said.until,
    )


def swapped(feeds: dict[str, Feed], change: FeedLive | FeedLost | FeedOff) -> dict[str, Feed]:
    """The feeds after one of them changed."""
    old = feeds.get(change.workspace)
    others = {name: feed for name, feed in feeds.items() if name != change.workspace}
    if isinstance(change, FeedLive):
        lost_at = old.lost_at if old is not None and old.state is not FeedState.LIVE else change.at
        feed = Feed(
            change.workspace, change.platform, FeedState.LIVE, change.epoch,
            change.at, lost_at, change.grace, change.trust, ended_with(old, change.epoch, lost_at),
        )  # fmt: skip
        return {**others, change.workspace: feed}
    if isinstance(change, FeedLost):
        assert old is not None
        stale = FeedState.STALE if change.at.microsecond % 2 else FeedState.DOWN
        lost = msgspec.structs.replace(old, state=stale, lost_at=change.since)
        return {**others, change.workspace: lost}
    return others


def ended_with(old: Feed | None, epoch: int, lost_at: datetime) -> tuple[tuple[int, datetime], ...]:
    """The epochs that are over when a feed becomes live in `epoch`."""
    if old is None:
        return ()
    return old.ended if old.epoch == epoch else with_end(old, lost_at)


def play(history: History, ticks: Iterable[datetime] = ()) -> Played:
    """Drive the real thing by a history, with the clock ticking at the given instants."""
    rules = history.rules
    policy = Policy(
        check_in=rules.check_in,
        check_in_word=rules.check_in_word,
        idle_routable=rules.idle_routable,
        idle_answer=rules.idle_answer,
        unobserved=rules.unobserved,
        settling=rules.settling,
        resume_gap=rules.resume_gap,
        restore_within=rules.restore_within,
        on_return=OnReturn(rules.on_return),
        slack_away=SlackAway(rules.slack_away),
        require_reason=rules.require_reason,
    )
    facts = new_agent("agt_ana", START)
    played = Played(policy, history.zone, facts, {}, [], [(START, facts, {})])
    waiting = sorted(ticks, reverse=True)
    for arrival in history.arrivals:
        while waiting and waiting[-1] <= arrival.at:
            played.tick(waiting.pop())
        played.take_in(arrival)
    for tick in reversed(waiting):
        played.tick(tick)
    return played


def horizon(history: History) -> datetime:
    """When nothing is left to happen by itself."""
    return history.moments()[-1] + timedelta(hours=1)


def stretches(intervals: Iterable[Interval]) -> list[Stretch]:
    return [
        Stretch(
            one.since, one.presence.value, one.reason, one.source, one.note, one.confirmed, one.reason_code
        )
        for one in intervals
    ]


# The properties


@given(histories())
@histories_tried(240)
def test_the_verdict_is_the_models_at_every_instant(history: History) -> None:
    """At, just before and just after everything that might make a difference."""
    played, world = play(history), history.replay(horizon(history))
    ends = [start for start, _ in world.answers] + [arrival.at for arrival in history.arrivals]
    moments = history.moments()
    ends += moments[:: 1 + len(moments) // 60]
    for instant in sorted({max(START, end + beside) for end in ends for beside in BESIDE}):
        assert (instant, played.verdict(instant)) == (instant, world.verdict(instant))


@given(histories(), st.data())
@histories_tried(80)
def test_the_model_says_the_same_whether_asked_then_or_later(history: History, data: st.DataObject) -> None:
    """The model replays for each question; asking it for all at once must be no other model."""
    world = history.replay(horizon(history))
    instant = data.draw(st.sampled_from(history.moments())) + data.draw(st.sampled_from(BESIDE))
    instant = max(START, instant)
    assert history.verdict(instant) == world.verdict(instant)


@given(histories())
@histories_tried(300)
def test_intervals_tile_time_as_the_model_says(history: History) -> None:
    """I9, and rule 12: each opens at the instant the verdict changed, and says what the verdict was."""
    end = horizon(history)
    played = play(history, [end])
    intervals = played.intervals
    assert stretches(intervals) == history.replay(end).stretches
    moves = [change for change in played.changes if isinstance(change, Moved)]
    assert [move.before for move in moves] == intervals[:-1]
    assert played.facts.interval == intervals[-1]
    assert intervals[0].since == START
    assert all(one.since <= two.since for one, two in pairwise(intervals))
    for interval, following in zip(intervals, [*intervals[1:], None], strict=True):
        until = following.since if following else end
        if until - interval.since > MOMENT:
            middle = interval.since + (until - interval.since) / 2
            for instant in (interval.since + MOMENT, middle, until - MOMENT):
                inside = played.verdict(instant)
                assert (*inside[:5], inside.code) == stretches([interval])[0][1:]


@given(histories())
@histories_tried(200)
def test_how_long_a_presence_stands_is_counted_over_changes_of_reason(history: History) -> None:
    """`standing_since` is where the run of one presence began."""
    began = START
    intervals = play(history, [horizon(history)]).intervals
    for before, after in pairwise(intervals):
        began = began if before.presence is after.presence else after.since
        assert after.standing_since == began


@given(histories())
@histories_tried(300)
def test_the_agent_is_told_what_the_model_says_and_when(history: History) -> None:
    """ "Still there?", the word before a check-in lapses, the end of a timed away, the offer on return."""
    end = horizon(history)
    by_time = sorted(play(history, [end]).words, key=lambda word: (word.at, word.told))
    assert by_time == sorted(history.replay(end).words, key=lambda word: (word.at, word.told))


@given(histories(), st.data())
@histories_tried(200)
def test_it_makes_no_difference_when_the_clock_ticks(history: History, data: st.DataObject) -> None:
    """Ticks at any times, or none until the end: the same facts, intervals and words."""
    end = horizon(history)
    instants = st.sampled_from(history.moments())
    ticks = data.draw(
        st.lists(st.builds(lambda at, by: max(START, at + by), instants, st.sampled_from(BESIDE)))
    )
    seldom, often = play(history, [end]), play(history, [*ticks, end])
    assert often.changes == seldom.changes
    assert often.facts == seldom.facts


@given(histories())
@histories_tried(200)
def test_repeating_everything_that_was_seen_changes_nothing(history: History) -> None:
    """I8: after each arrival every earlier observation comes again, of links that are still known."""
    played = play(replace(history, arrivals=[]))
    seen: list[Saw] = []
    for arrival in history.arrivals:
        played.take_in(arrival)
        if isinstance(arrival, Saw):
            seen.append(arrival)
        elif isinstance(arrival, Left):
            seen = [saw for saw in seen if saw.identity != arrival.identity]
        for saw in seen:
            again = observe(
                played.facts, observation(saw), played.feeds, played.policy, arrival.at, played.zone
            )
            assert again == (played.facts, ())
    assert played.changes == play(history).changes


@given(st.permutations(range(8)), st.sampled_from(["weak", "absent", "ignore"]))
@histories_tried(120)
def test_observations_may_overtake_each_other(order: list[int], slack_away: str) -> None:
    """Rule 11: in every order of arrival the newest of each link is the one that stays."""
    saws = [
        Saw(START, place.identity, place.workspace, seen, START, 1, seq)
        for place in (DISCORD, SLACK)
        for seq, seen in enumerate(["disconnected", "away", "disconnected", "connected"])
    ]
    feeds = [
        FeedLive(START, place.workspace, place.platform, 1, place.grace, place.trust)
        for place in (DISCORD, SLACK)
    ]
    history = History(START, Rules(slack_away=slack_away), None, [*feeds, *(saws[i] for i in order)])
    played = play(history)
    assert {link.identity_id: link.seq for link in played.facts.links} == {
        DISCORD.identity: 3,
        SLACK.identity: 3,
    }
    assert played.verdict(START) == history.verdict(START)
    assert played.verdict(START).presence == "away"


wild_instants = st.builds(
    lambda seconds, by: START + timedelta(seconds=seconds) + by,
    st.integers(-40_000, 40_000),
    st.sampled_from(BESIDE),
)
wild = st.one_of(
    st.builds(
        Saw,
        wild_instants,
        st.sampled_from([DISCORD.identity, SLACK.identity, "nobody"]),
        st.sampled_from([DISCORD.workspace, SLACK.workspace, "nowhere"]),
        st.sampled_from(["connected", "away", "disconnected"]),
        wild_instants,
        st.integers(0, 3),
        st.integers(0, 9),
    ),
    st.builds(
        FeedLive,
        wild_instants,
        st.sampled_from([DISCORD.workspace, SLACK.workspace]),
        st.just("discord"),
        st.integers(0, 3),
        st.just(timedelta(0)),
        st.just(timedelta(seconds=120)),
    ),
    st.builds(
        Beat,
        wild_instants,
        st.sampled_from(["session:main", "session:other"]),
        st.sampled_from([DISCORD.workspace, "nowhere"]),
    ),
    st.builds(LoggedOut, wild_instants, st.sampled_from(["session:main", "session:other"])),
    st.builds(FeedOff, wild_instants, st.sampled_from([DISCORD.workspace, SLACK.workspace])),
    st.builds(Left, wild_instants, st.sampled_from([DISCORD.identity, SLACK.identity, "nobody"])),
    st.builds(
        Said,
        wild_instants,
        st.sampled_from(["available", "away", "off", "act"]),
        st.sampled_from(["agent", "lead:bob", "api:key"]),
        st.text(max_size=5),
        st.none() | wild_instants,
        st.none() | st.sampled_from([DISCORD.identity, "nobody"]),
    ),
)


@given(st.lists(wild, max_size=25), st.sampled_from(["weak", "absent", "ignore"]))
@histories_tried(300)
def test_nothing_is_ever_raised_but_signed_off(arrivals: list[Arrival], slack_away: str) -> None:
    """Clocks that run backwards, dates in the future, an away that ended before it began."""
    played = play(History(START, Rules(slack_away=slack_away)))
    for arrival in arrivals:
        try:
            played.take_in(arrival)
        except SignedOff:
            assert isinstance(arrival, Said)
            assert arrival.what in ("available", "away")
        except NotFound:
            assert isinstance(arrival, Beat)
            assert arrival.workspace not in played.feeds
        played.tick(arrival.at + timedelta(days=2))
    assert judge(played.facts, played.feeds, played.policy, START + timedelta(days=9)).reason


@given(histories(), st.sampled_from(["available", "away"]), st.sampled_from(["lead:bob", "agent", "api:key"]))
@histories_tried(120)
def test_what_is_refused_is_what_the_model_refuses(history: History, what: str, by: str) -> None:
    """Rule 9: whoever signed off is brought back by their own `/available` alone; and a reason that is
    wanted is asked for."""
    played = play(history)
    at = history.arrivals[-1].at if history.arrivals else START
    said = Said(at, what, by, identity=DISCORD.identity if by == "agent" and what == "available" else None)
    if history.refuses(said):
        with pytest.raises((SignedOff, ReasonNeeded)):
            played.take_in(said)
    else:
        played.take_in(said)
        assert played.facts.intent.choice.value == what
