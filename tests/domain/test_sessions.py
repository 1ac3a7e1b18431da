"""Console sessions where the histories of `test_presence_properties.py` seldom come by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from bot.domain import sessions
from bot.domain.choices import choose_available
from bot.domain.facts import Facts, Feed, FeedState, Observation, Policy, Presence, Seen, new_agent
from bot.domain.presence import judge
from bot.domain.sessions import MOST_SESSIONS
from bot.domain.transition import Notice, Told, observe, settle

NINE = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
POLICY = Policy()
DESK = Feed("desk", "session", FeedState.LIVE, 1, NINE, NINE, timedelta(seconds=65), timedelta(seconds=120))
SLACK = replace(DESK, id="acme", platform="slack", grace=timedelta(seconds=150))
FEEDS = {"desk": DESK, "acme": SLACK}


def after(**duration: float) -> datetime:
    return NINE + timedelta(**duration)


def ana() -> Facts:
    facts, _ = choose_available(new_agent("agt_ana", NINE), FEEDS, POLICY, NINE, by="lead:bob")
    return facts


def test_still_there_waits_for_a_console_that_was_silent_for_a_moment() -> None:
    """Idle in Slack for too long, and the console's lease half over: asked only when that has ended."""
    facts = ana()
    for seq, seen in enumerate((Seen.CONNECTED, Seen.AWAY), 1):
        facts, _ = observe(facts, Observation("ana", "acme", seen, NINE, 1, seq), FEEDS, POLICY, NINE, None)
    beaten = after(minutes=15)
    facts, _ = sessions.beat(facts, "tab", "desk", FEEDS, POLICY, beaten, None)
    facts, came = settle(facts, FEEDS, POLICY, beaten + timedelta(seconds=60))
    assert not judge(facts, FEEDS, POLICY, beaten + timedelta(seconds=60)).reachable
    assert came == ()
    facts, came = settle(facts, FEEDS, POLICY, beaten + timedelta(seconds=70))
    assert came == (Notice(Told.STILL_THERE, beaten + timedelta(seconds=65)),)


def test_a_lease_counts_from_when_we_are_back_for_whoever_could_not_renew_it() -> None:
    facts, _ = sessions.beat(ana(), "tab", "desk", FEEDS, POLICY, NINE, None)
    back = after(minutes=10)
    lost = replace(DESK, lost_at=after(seconds=20), live_at=back, epoch=2, ended=((1, after(seconds=20)),))
    feeds = {**FEEDS, "desk": lost}
    for seconds, presence in ((65, Presence.AVAILABLE), (65.001, Presence.OFFLINE)):
        at = back + timedelta(seconds=seconds)
        settled, _ = settle(facts, feeds, POLICY, at)
        assert judge(settled, feeds, POLICY, at).presence is presence
    assert settled.last_seen_at == NINE


def test_a_console_that_went_while_we_were_down_was_seen_until_a_lease_before_that() -> None:
    """Its renewals were in memory alone: an hour of them is not forgotten with it."""
    facts, _ = sessions.beat(ana(), "tab", "desk", FEEDS, POLICY, NINE, None)
    lost_at, back = after(hours=1), after(hours=2)
    lost = replace(DESK, lost_at=lost_at, live_at=back, epoch=2, ended=((1, lost_at),))
    settled, _ = settle(facts, {**FEEDS, "desk": lost}, POLICY, back + timedelta(seconds=66))
    assert settled.last_seen_at == lost_at - DESK.grace


def test_opening_and_leaving_a_session_is_being_seen() -> None:
    facts, _ = sessions.beat(ana(), "tab", "desk", FEEDS, POLICY, NINE, None)
    assert facts.last_seen_at == NINE
    facts, _ = sessions.beat(facts, "tab", "desk", FEEDS, POLICY, after(seconds=15), None)
    assert facts.last_seen_at == NINE, "a renewal is looked up in the session"
    facts, _ = sessions.log_out(facts, "tab", FEEDS, POLICY, after(seconds=20), None)
    assert facts.last_seen_at == after(seconds=20)
    facts, _ = sessions.beat(facts, "tab", "desk", FEEDS, POLICY, after(seconds=30), None)
    assert facts.last_seen_at == after(seconds=30), "it was opened again"


def test_an_ended_session_is_remembered_for_a_day() -> None:
    ended, _ = sessions.beat(ana(), "tab", "desk", FEEDS, POLICY, NINE, None)
    ended, _ = sessions.log_out(ended, "tab", FEEDS, POLICY, NINE, None)
    for later, known in ((after(days=1), True), (after(days=1, microseconds=1), False)):
        facts, _ = sessions.beat(ended, "another", "desk", FEEDS, POLICY, later, None)
        assert (sessions.of(facts, "tab") is not None) is known


def test_the_session_that_ended_first_makes_room() -> None:
    facts = ana()
    for number in range(MOST_SESSIONS):
        facts, _ = sessions.beat(facts, f"tab-{number}", "desk", FEEDS, POLICY, NINE, None)
    for second, number in enumerate((7, 3, 9)):
        facts, _ = sessions.log_out(facts, f"tab-{number}", FEEDS, POLICY, after(seconds=second), None)
    facts, _ = sessions.beat(facts, "more", "desk", FEEDS, POLICY, after(seconds=5), None)
    known = [number for number in (7, 3, 9) if sessions.of(facts, f"tab-{number}") is not None]
    assert known == [3, 9]
