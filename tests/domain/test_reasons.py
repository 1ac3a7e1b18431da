"""Reason codes: recognised where a reason begins, shown by their names, nothing typed lost."""

import pytest

from bot.domain.reasons import USUAL, Reasons, in_words, twins

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
