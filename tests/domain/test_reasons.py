"""Reason codes: recognised where a reason begins, shown by their names, nothing typed lost."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.choices import choose_available, choose_away, sign_off
from bot.domain.errors import ReasonNeeded, SignedOff
from bot.domain.facts import Policy, new_agent
from bot.domain.reasons import USUAL, Reasons, in_words, twins
from bot.domain.transition import Moved, settle

NINE, HOUR = datetime(2026, 3, 2, 9, 0, tzinfo=UTC), timedelta(hours=1)

OWN = Reasons(
    {
        "pause": "Große Pause",
        "team": "Team",
        "team-meeting": "Team meeting",
        "lunch": "Обед",
        "cafe": "Café",
        "burger": "🍔",
    }
)


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("lunch", "lunch"),
        ("LUNCH", "lunch"),
        ("  Lunch, with Bob", "lunch"),
        ("training: new billing flow", "training"),
        ("meeting - standup", "meeting"),
        ("(break)", "break"),
        ("lunch :pizza:", "lunch"),
        ("🍔 lunch", ""),
        ("lunchtime", ""),
        ("lunch-time walk", ""),
        ("lunch's on me", ""),
        ("late lunch", ""),
        ("", ""),
        ("!", ""),
    ],
)
def test_a_code_is_recognised_by_the_whole_words_that_a_reason_begins_with(typed: str, slug: str) -> None:
    assert USUAL.of(typed) == slug


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("Team meeting at last", "team-meeting"),
        ("team-meeting", "team-meeting"),
        ("team matters", "team"),
        ("GROSSE PAUSE", "pause"),
        ("pause", "pause"),
        ("große", ""),
        ("обед до трёх", "lunch"),
        ("Cafe\u0301 with Ana", "cafe"),
        ("cafe", "cafe"),
        ("burger", "burger"),
        ("🍔", ""),
        ("break", ""),
    ],
)
def test_the_longest_of_an_organizations_own_counts_in_any_script_and_spelling(typed: str, slug: str) -> None:
    assert OWN.of(typed) == slug


@pytest.mark.parametrize(
    ("name", "slug", "note", "shown"),
    [
        ("Lunch", "lunch", "lunch", "Lunch"),
        ("Lunch", "lunch", "", "Lunch"),
        ("Training", "training", "training: new billing flow", "Training: new billing flow"),
        ("Training", "training", "TRAINING - new flow", "Training: new flow"),
        ("Meeting", "meeting", "with Ana", "Meeting: with Ana"),
        ("Meeting", "meeting", "meetings all day", "Meeting: meetings all day"),
        ("Team meeting", "team-meeting", "team meeting, again", "Team meeting: again"),
        ("🍔", "burger", "burger", "🍔"),
        ("", "", "dentist", "dentist"),
    ],
)
def test_the_name_stands_before_what_was_typed_beside_it(name: str, slug: str, note: str, shown: str) -> None:
    assert in_words(name, slug, note) == shown


def test_a_code_that_there_is_no_longer_is_shown_by_its_slug() -> None:
    assert USUAL.name("siesta") == "siesta"


def test_two_codes_of_the_same_words_are_found() -> None:
    assert twins(USUAL) is None
    assert twins(OWN) is None
    assert twins(Reasons({"lunch": "Lunch", "food": "LUNCH!"})) == ("lunch", "food")
    assert twins(Reasons({"team-meeting": "Weekly", "weekly": "Team meeting"})) == ("team-meeting", "weekly")


# --- with the intent, and in the history --------------------------------------------------------


def test_another_code_is_another_interval_though_the_words_are_the_same() -> None:
    """A program says both, and each is added up by itself; somebody was Away all the time."""
    policy = Policy()
    facts, _ = choose_available(new_agent("agt_ana", NINE), {}, policy, NINE, identity_id="idn_ana")
    facts, _ = choose_away(facts, {}, policy, NINE + HOUR, reason="with Bob", reason_code="lunch")
    facts, changes = choose_away(facts, {}, policy, NINE + 2 * HOUR, reason="with Bob", reason_code="meeting")
    (moved,) = changes
    assert isinstance(moved, Moved)
    assert (moved.before.reason_code, moved.after.reason_code) == ("lunch", "meeting")
    assert (facts.interval.since, facts.interval.standing_since) == (NINE + 2 * HOUR, NINE + HOUR)


def test_a_timed_away_gives_its_code_back_to_what_lay_beneath() -> None:
    policy = Policy()
    facts, _ = choose_available(new_agent("agt_ana", NINE), {}, policy, NINE, identity_id="idn_ana")
    facts, _ = choose_away(facts, {}, policy, NINE, reason_code="training")
    for code in ("break", "lunch"):  # the second inherits what lies beneath the first
        facts, _ = choose_away(facts, {}, policy, NINE, reason_code=code, until_at=NINE + HOUR)
    assert facts.interval.reason_code == "lunch"
    facts, _ = settle(facts, {}, policy, NINE + 2 * HOUR)
    assert (facts.intent.reason_code, facts.interval.reason_code) == ("training", "training")
    facts, _ = choose_available(facts, {}, policy, NINE + 2 * HOUR)
    assert (facts.intent.reason_code, facts.interval.reason_code) == ("", "")


@pytest.mark.parametrize("by", ["agent", "lead:agt_bob", "api:k1"])
def test_where_a_reason_is_wanted_whoever_sets_an_away_says_one(by: str) -> None:
    policy = Policy(require_reason=True)
    facts, _ = choose_available(new_agent("agt_ana", NINE), {}, policy, NINE, identity_id="idn_ana")
    for reason in ("", "  "):
        with pytest.raises(ReasonNeeded):
            choose_away(facts, {}, policy, NINE, by=by, reason=reason)
    assert choose_away(facts, {}, policy, NINE, by=by, reason="dentist")[0].intent.reason == "dentist"
    assert choose_away(facts, {}, policy, NINE, by=by, reason_code="lunch")[0].intent.reason_code == "lunch"
    facts, _ = sign_off(facts, {}, policy, NINE)
    with pytest.raises(SignedOff):
        choose_away(facts, {}, policy, NINE, by=by)
