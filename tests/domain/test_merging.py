"""Two agents become one, and one two, after whatever happened to them: what always holds of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.domain.agent import Agent, Identity
from bot.domain.choices import act, choose_available, choose_away, sign_off
from bot.domain.errors import SignedOff
from bot.domain.facts import (
    Choice,
    Facts,
    Feed,
    FeedState,
    Intent,
    Observation,
    Policy,
    Presence,
    Seen,
    new_agent,
)
from bot.domain.merging import Merged, Own, merge, part, stricter, unite
from bot.domain.presence import judge
from bot.domain.transition import Moved, Step, observe, review, settle

START = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
POLICY = Policy()
ORDER = {Choice.AVAILABLE: 0, Choice.AWAY: 1, Choice.OFF: 2}
LONG = os.environ.get("ROLLCALL_LONG") == "1"
TRIED = settings(
    max_examples=3000 if LONG else 300,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=[HealthCheck.too_slow],
)


def feed(name: str, platform: str, lost_at: datetime | None = None) -> Feed:
    state = FeedState.LIVE if lost_at is None else FeedState.DOWN
    return Feed(name, platform, state, 1, START, lost_at or START, MINUTE, 2 * MINUTE)


LIVE = {"guild": feed("guild", "discord"), "acme": feed("acme", "slack")}
WAITS = st.sampled_from(
    [timedelta(0), MINUTE, 5 * MINUTE, 15 * MINUTE, 25 * MINUTE, HOUR, 8 * HOUR, 20 * HOUR]
)
DEEDS = st.sampled_from(
    ["available", "away", "away 30m", "away 2h", "off", "act", "connected", "idle", "disconnected"]
)
LIVES = st.lists(st.tuples(WAITS, DEEDS), max_size=7)


def lived(agent_id: str, workspace: str, deeds: list[tuple[timedelta, str]], until: datetime) -> Facts:
    """Somebody's facts after what they did and what was seen of them, last settled when it happened."""
    facts, now, identity = new_agent(agent_id, START), START, f"{agent_id}@{workspace}"
    for number, (wait, deed) in enumerate(deeds, 1):
        now = min(now + wait, until)
        facts = _did(facts, deed, workspace, identity, number, now)
    return facts


def _did(facts: Facts, deed: str, workspace: str, identity: str, number: int, now: datetime) -> Facts:
    def seen(what: Seen) -> Step:
        return observe(facts, Observation(identity, workspace, what, now, 1, number), LIVE, POLICY, now, None)

    try:
        if deed == "available":
            return choose_available(facts, LIVE, POLICY, now, note=str(number), identity_id=identity)[0]
        if deed.startswith("away"):
            length = {"away": None, "away 30m": 30 * MINUTE, "away 2h": 2 * HOUR}[deed]
            until_at = None if length is None else now + length
            return choose_away(facts, LIVE, POLICY, now, reason=str(number), until_at=until_at)[0]
    except SignedOff:
        return facts
    if deed == "off":
        return sign_off(facts, LIVE, POLICY, now)[0]
    if deed == "act":
        return act(facts, LIVE, POLICY, now, None)[0]
    what = {"connected": Seen.CONNECTED, "idle": Seen.AWAY, "disconnected": Seen.DISCONNECTED}[deed]
    return seen(what)[0]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Facts, Facts, dict[str, Feed], datetime]:
    """Two agents on two platforms, one of which may be out of sight, and when they become one."""
    lives = [draw(LIVES), draw(LIVES)]
    lengths = [sum((wait for wait, _ in one), timedelta()) for one in lives]
    now = START + max(lengths) + draw(WAITS)
    one, other = (
        lived(who, where, deeds, now) for who, where, deeds in zip(("a", "b"), LIVE, lives, strict=True)
    )
    feeds = dict(LIVE)
    if draw(st.booleans()):
        feeds["guild"] = feed("guild", "discord", now - draw(WAITS))
        one, other = settle(one, LIVE, POLICY, now)[0], settle(other, LIVE, POLICY, now)[0]
        one, other = (review(facts, feeds, POLICY, now, None)[0] for facts in (one, other))
    return one, other, feeds, now


def chosen(facts: Facts) -> bool:
    return facts.intent.by not in ("rule:enrolled", "rule:return")


def tiled(before: Facts, changes: tuple[object, ...], after: Facts) -> bool:
    """Whether the intervals go on from the one to the other, none before the last."""
    interval = before.interval
    for change in changes:
        if isinstance(change, Moved):
            if change.before != interval or change.after.since < interval.since:
                return False
            interval = change.after
    return interval == after.interval


@TRIED
@given(pairs())
def test_what_holds_of_either_holds_of_both(pair: tuple[Facts, Facts, dict[str, Feed], datetime]) -> None:
    """Links are the union; logged in where either was, but for a sign-off; the intent is no laxer than one
    that was chosen; history goes on; nothing is left of the absorbed."""
    one, other, feeds, now = pair
    merged = merge(one, other, feeds, POLICY, now, None)
    apart = [settle(facts, feeds, POLICY, now)[0] for facts in (one, other)]
    after = merged.stays
    assert {link.identity_id: link for link in after.links} == {
        link.identity_id: link for facts in apart for link in facts.links
    }
    assert len(after.links) == sum(len(facts.links) for facts in apart)
    for facts in apart:
        if chosen(facts):
            assert ORDER[after.intent.choice] >= ORDER[facts.intent.choice]
    assert after.intent.choice in {facts.intent.choice for facts in apart}
    there = any(_there(facts, feeds, now) for facts in apart)
    if after.intent.choice is not Choice.OFF:  # signing off ends a check-in
        assert _there(after, feeds, now) is there
    verdict = judge(after, feeds, POLICY, now)
    assert (verdict.presence is Presence.OFFLINE) is (not there or after.intent.choice is Choice.OFF)
    assert (after.interval.presence, after.interval.reason) == (verdict.presence, verdict.reason)
    assert tiled(one, merged.changes, after)
    assert tiled(other, merged.absorbed_changes, merged.absorbed)
    assert (merged.absorbed.links, merged.absorbed.check_in) == ((), None)
    assert merged.absorbed.interval.presence is Presence.OFFLINE
    for mark in ("acted_at", "last_seen_at", "asked_at"):
        latest = max(filter(None, (getattr(facts, mark) for facts in apart)), default=None)
        asked_now = mark == "asked_at" and after.asked_at == now
        assert asked_now or getattr(after, mark) == latest
    assert after.agent_id == "a"
    assert after.version == one.version


def _there(facts: Facts, feeds: dict[str, Feed], now: datetime) -> bool:
    """Whether they are logged in, whatever they chose."""
    intent = Intent(Choice.AWAY, now, "agent")
    return judge(replace(facts, intent=intent), feeds, POLICY, now).presence is not Presence.OFFLINE


@TRIED
@given(pairs())
def test_it_makes_no_difference_to_the_verdict_who_asked(
    pair: tuple[Facts, Facts, dict[str, Feed], datetime],
) -> None:
    one, other, feeds, now = pair

    def seen(merged: Merged) -> tuple[object, ...]:
        verdict = judge(merged.stays, feeds, POLICY, now)
        note = (verdict.note, verdict.reachable, verdict.confirmed, verdict.unconfirmed_since)
        return verdict.presence, merged.stays.intent, merged.stays.check_in, *note

    assert seen(merge(one, other, feeds, POLICY, now, None)) == seen(
        merge(other, one, feeds, POLICY, now, None)
    )


@TRIED
@given(pairs(), st.sampled_from(["a@guild", "b@acme"]))
def test_an_account_takes_along_what_was_seen_of_it_and_nothing_else(
    pair: tuple[Facts, Facts, dict[str, Feed], datetime], identity: str
) -> None:
    one, other, feeds, now = pair
    both = merge(one, other, feeds, POLICY, now, None).stays
    (left, changes), fresh = part(both, {identity}, "c", feeds, POLICY, now)
    assert tiled(both, changes, left)
    assert all(link.identity_id != identity for link in left.links)
    assert {*left.links, *fresh.links} == set(both.links)
    assert left.check_in is None or left.check_in.identity_id != identity
    assert (fresh.intent.choice, fresh.intent.by, fresh.check_in) == (Choice.AWAY, "rule:enrolled", None)
    verdict = judge(fresh, feeds, POLICY, now)
    assert (fresh.interval.presence, fresh.interval.since) == (verdict.presence, now)


@TRIED
@given(pairs(), st.sampled_from([timedelta(0), MINUTE, 25 * MINUTE, HOUR, 8 * HOUR]))
def test_a_link_that_is_undone_leaves_what_would_have_been_without_it(
    pair: tuple[Facts, Facts, dict[str, Feed], datetime], later: timedelta
) -> None:
    """Whatever the other was, and however long they were one: but that nothing is a return for who was
    there all the time."""
    one, other, feeds, now = pair
    both = merge(one, other, feeds, POLICY, now, None).stays
    alone = settle(one, feeds, POLICY, now)[0]
    own = Own(alone.intent, alone.check_in, both.intent)
    now += later
    (left, changes), _ = part(both, {"b@acme"}, "c", feeds, POLICY, now, own)
    assert tiled(both, changes, left)
    alone = settle(alone, feeds, POLICY, now)[0]

    def seen(facts: Facts) -> tuple[object, ...]:
        verdict = judge(facts, feeds, POLICY, now)
        said = (verdict.note, verdict.reachable, verdict.confirmed, verdict.unconfirmed_since)
        return (verdict.presence, facts.intent.choice, facts.links, *said)

    assert seen(left) == seen(alone)


def away(set_at: datetime, until_at: datetime | None = None, base: Intent | None = None) -> Intent:
    return Intent(Choice.AWAY, set_at, "agent", "x", until_at, base)


AVAILABLE = Intent(Choice.AVAILABLE, START, "agent")


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        (AVAILABLE, away(START), away(START)),
        (away(START), Intent(Choice.OFF, START, "agent"), Intent(Choice.OFF, START, "agent")),
        (away(START), away(START + MINUTE, START + HOUR, AVAILABLE), away(START)),
        (
            away(START, START + HOUR, AVAILABLE),
            away(START, START + 2 * HOUR, AVAILABLE),
            away(START, START + 2 * HOUR, AVAILABLE),
        ),
        (
            away(START, START + HOUR, away(START)),
            away(START, START + 2 * HOUR, AVAILABLE),
            away(START, START + 2 * HOUR, away(START)),
        ),
        (AVAILABLE, away(START, START + HOUR, AVAILABLE), away(START, START + HOUR, AVAILABLE)),
        (new_agent("a", START).intent, AVAILABLE, AVAILABLE),
    ],
    ids=["away", "off", "untimed", "later", "stricter beneath", "timed over available", "not set yield"],
)
def test_the_stricter_of_two_intents(one: Intent, other: Intent, left: Intent) -> None:
    assert stricter(one, other) == stricter(other, one) == left


def test_what_two_agents_have_is_united() -> None:
    """The asker's name, capacity and external ids stay; a zone set by hand wins."""
    one = Agent("a", "o", "Ann", "Europe/Berlin", capacity=3, teams=("x",), externals=(("s", "1"),))
    other = Agent(
        "b",
        "o",
        "ann",
        "Asia/Tokyo",
        zone_by_hand=True,
        capacity=9,
        teams=("x", "y"),
        identities=(Identity("i", "w", "slack", "U1"),),
        externals=(("s", "2"), ("t", "3")),
    )
    united, clashes = unite(one, other)
    assert clashes == ("s",)
    assert united == replace(
        one,
        zone="Asia/Tokyo",
        zone_by_hand=True,
        teams=("x", "y"),
        identities=other.identities,
        externals=(("s", "1"), ("t", "3")),
    )


def test_what_was_asked_of_either_is_not_asked_again() -> None:
    one, other = new_agent("a", START), replace(new_agent("b", START), asked_at=START + MINUTE)
    for pair in ((one, other), (other, one)):
        assert merge(*pair, LIVE, POLICY, START + HOUR, None).stays.asked_at == START + MINUTE


def test_an_away_that_nobody_chose_yields_to_what_somebody_did() -> None:
    """Neither a new agent's, nor that of one who came back after a longer absence."""
    returned = Intent(Choice.AWAY, START + HOUR, "rule:return")
    assert stricter(returned, AVAILABLE) == stricter(AVAILABLE, returned) == AVAILABLE
    assert stricter(returned, new_agent("a", START).intent) == returned
