"""Facts and feeds by a clock that was set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from bot.domain.facts import CheckIn, Facts, Feed, FeedState, Link, LinkState, Policy, new_agent
from bot.domain.set_back import facts_set_back, feed_set_back
from bot.domain.transition import settle

NINE = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy()
DESK = Feed("desk", "session", FeedState.LIVE, 1, NINE, NINE, timedelta(seconds=65), timedelta(seconds=120))


def before(**duration: float) -> datetime:
    return NINE - timedelta(**duration)


def ana() -> Facts:
    """At nine: much has happened in the last few minutes, something the day before."""
    links = (
        Link("session:tab", "desk", LinkState.CONNECTED, before(minutes=30), 1, 1, beat_at=before(seconds=5)),
        Link("ana", "acme", LinkState.DISCONNECTED, before(days=1), 1, 1),
    )
    return replace(
        new_agent("agt_ana", before(days=2)),
        check_in=CheckIn("ana", before(minutes=10), before(minutes=10) + POLICY.check_in),
        links=links,
        acted_at=before(minutes=3),
        asked_at=before(minutes=4),
        last_seen_at=before(minutes=2),
        reviewed_at=before(seconds=5),
    )


def test_what_had_just_happened_keeps_its_age_and_what_is_older_its_date() -> None:
    then = NINE - HOUR
    facts, _ = facts_set_back(ana(), HOUR, {"desk": feed_set_back(DESK, HOUR, then)}, POLICY, then, None)
    tab, gone = facts.links
    assert (then - tab.since, gone.since) == (timedelta(minutes=30), before(days=1))
    assert tab.beat_at == then - timedelta(seconds=5)
    assert facts.check_in is not None
    assert (facts.check_in.at, facts.check_in.until_at) == (
        then - timedelta(minutes=10),
        then + POLICY.check_in,
    )
    assert facts.acted_at == then - timedelta(minutes=3)
    assert facts.asked_at == then - timedelta(minutes=4)
    assert facts.last_seen_at == then - timedelta(minutes=2)
    assert facts.reviewed_at == then


def test_who_has_nothing_ahead_is_left_as_they_are() -> None:
    facts, _ = settle(ana(), {}, POLICY, NINE)
    after, changes = facts_set_back(facts, HOUR, {}, POLICY, NINE, None)
    assert after is facts
    assert changes == ()


def test_a_feed_keeps_the_age_of_what_became_of_it() -> None:
    lost = replace(DESK, live_at=before(days=1), lost_at=before(seconds=9), ended=((1, before(minutes=7)),))
    then = NINE - HOUR
    assert feed_set_back(lost, HOUR, then) == replace(
        lost, lost_at=then - timedelta(seconds=9), ended=((1, then - timedelta(minutes=7)),)
    )
