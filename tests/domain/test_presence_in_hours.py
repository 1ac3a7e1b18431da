"""What an agent's hours do to check-ins and to coming back: rules 4 and 8."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bot.domain.choices import act, choose_available
from bot.domain.facts import Choice, Facts, Feed, FeedState, Observation, Policy, Presence, Seen, new_agent
from bot.domain.hours import Hours
from bot.domain.hours_text import read_weekly
from bot.domain.transition import Change, Notice, Told, observe, settle

NINE = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
"""A Monday."""
POLICY = Policy()
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURS = Hours("UTC", read_weekly("mon-fri 9:00-12:00 14:00-17:00"))
LIVE = {"guild": Feed("guild", "discord", FeedState.LIVE, 1, NINE, NINE, MINUTE, 2 * MINUTE)}


def at(clock: str) -> datetime:
    """That Monday's clock time."""
    return datetime.fromisoformat(f"2026-03-09T{clock}:00+00:00")


def checked_in(now: datetime, hours: Hours | None = HOURS) -> Facts:
    facts, _ = choose_available(new_agent("ana", NINE), {}, POLICY, now, identity_id="ana@acme", hours=hours)
    return facts


def holds_until(facts: Facts) -> datetime:
    assert facts.check_in is not None
    return facts.check_in.until_at


def told(changes: tuple[Change, ...]) -> list[tuple[Told, datetime]]:
    return [(change.told, change.at) for change in changes if isinstance(change, Notice)]


@pytest.mark.parametrize(
    ("said_at", "until"),
    [
        ("09:00", "17:00"),  # a pause of two hours is no end
        ("11:00", "17:00"),
        ("14:30", "17:00"),
        ("16:44", "17:00"),
        ("16:45", None),  # whoever says so in the last quarter of an hour goes on
        ("16:59", None),
        ("17:00", None),
        ("13:00", None),
        ("20:00", None),
    ],
)
def test_a_check_in_ends_with_the_hours_it_was_given_in(said_at: str, until: str | None) -> None:
    now = at(said_at)
    assert holds_until(checked_in(now)) == (now + 8 * HOUR if until is None else at(until))
    assert holds_until(checked_in(now, None)) == now + 8 * HOUR


def test_a_longer_pause_is_an_end_and_eight_hours_are_the_most() -> None:
    long = Hours("UTC", read_weekly("mon 9:00-12:00 14:01-17:00"))
    assert holds_until(checked_in(NINE, long)) == at("12:00")
    for always in ("daily 0-24", "daily 0-11 12-24"):
        assert holds_until(checked_in(NINE, Hours("UTC", read_weekly(always)))) == at("17:00")


def test_its_word_comes_a_quarter_of_an_hour_before_and_goes_on_is_the_answer() -> None:
    facts, changes = settle(checked_in(at("14:30")), {}, POLICY, at("16:50"))
    assert told(changes) == [(Told.CHECK_IN_ENDING, at("16:45"))]
    on, _ = choose_available(facts, {}, POLICY, at("16:50"), identity_id="ana@acme", hours=HOURS)
    assert settle(on, {}, POLICY, at("19:00"))[0].interval.presence is Presence.AVAILABLE
    off, _ = settle(facts, {}, POLICY, at("17:01"))
    assert (off.interval.presence, off.interval.since) == (Presence.OFFLINE, at("17:00"))


def test_other_commands_renew_it_up_to_the_end_of_the_hours_and_do_not_make_it_shorter() -> None:
    facts, _ = settle(checked_in(at("14:30")), {}, POLICY, at("16:50"))
    again, _ = act(facts, {}, POLICY, at("16:50"), None, HOURS)
    assert holds_until(again) == at("17:00")
    assert told(settle(again, {}, POLICY, at("16:59"))[1]) == [], "the word was said"
    on = checked_in(at("16:50"))
    assert holds_until(act(on, {}, POLICY, at("16:55"), None, HOURS)[0]) == at("16:50") + 8 * HOUR


def came_back(gone: str, back: str, hours: Hours | None = HOURS) -> tuple[Facts, list[tuple[Told, datetime]]]:
    """Available and connected, disconnected long enough before `gone` for the grace, back then."""
    facts = replace(new_agent("ana", NINE), reviewed_at=NINE)
    seq = 0

    def see(facts: Facts, what: Seen, now: datetime) -> tuple[Facts, tuple[Change, ...]]:
        nonlocal seq
        seq += 1
        return observe(
            facts, Observation("ana@guild", "guild", what, now, 1, seq), LIVE, POLICY, now, None, hours
        )

    facts, _ = see(facts, Seen.CONNECTED, NINE)
    facts, _ = choose_available(facts, LIVE, POLICY, NINE, by="lead:bob")
    facts, _ = see(facts, Seen.DISCONNECTED, at(gone) - MINUTE)
    facts, changes = see(facts, Seen.CONNECTED, at(back))
    return facts, told(changes)


def test_available_survives_a_short_gap_in_the_hours_and_not_outside_them() -> None:
    assert came_back("14:10", "14:30") == (came_back("14:10", "14:30")[0], [])
    assert came_back("14:10", "14:30")[0].intent.choice is Choice.AVAILABLE
    assert came_back("16:50", "17:00", None)[0].intent.choice is Choice.AVAILABLE
    facts, words = came_back("16:50", "17:00")
    assert (facts.intent.choice, facts.interval.reason, words) == (Choice.AWAY, "returned", [])


def test_whoever_comes_back_before_a_shift_is_asked_when_it_begins() -> None:
    """And whoever comes back after the last of the day is not asked: their next return is."""
    facts, words = came_back("11:00", "13:50")
    assert (facts.intent.choice, words) == (Choice.AWAY, [(Told.RETURNED, at("14:00"))])
    assert facts.return_asked_on == NINE.date()
    assert came_back("14:10", "15:00")[1] == [(Told.RETURNED, at("15:00"))]
    facts, words = came_back("15:00", "18:00")
    assert (facts.intent.choice, facts.return_asked_on, words) == (Choice.AWAY, None, [])
