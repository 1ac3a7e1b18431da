"""The roster by example: shifts that end, and who is expected when."""

from __future__ import annotations

from msgspec.structs import replace
from service.test_roster import MINUTE, NINE, agent, available, order, roster_of

from bot.domain.agent import Agent
from bot.domain.hours import Hours
from bot.domain.hours_text import read_weekly
from bot.domain.pool import Pool
from bot.domain.presence import TICK
from bot.domain.routing import Reason


def closing_at_ten(name: str) -> Agent:
    """On shift from nine to ten, and again at eleven."""
    return replace(agent(name, teams=("sales",)), hours=Hours("UTC", read_weekly("mon 9-10 11-12")))


def test_a_shift_is_over_at_the_instant_it_ends() -> None:
    """Asked at that instant for the first time, with nothing happening."""
    roster = roster_of(closing_at_ten("ana"))
    ten = NINE + 60 * MINUTE
    assert order(roster, ten - TICK) == ["ana"]
    assert order(roster, ten) == []
    assert roster.why_not("ana", ten) == (Reason.OFF_SHIFT,)
    assert roster.next_expected(ten, "sales") == NINE + 120 * MINUTE
    assert order(roster, NINE + 120 * MINUTE) == ["ana"]


def test_who_joins_a_team_is_expected_there() -> None:
    roster = roster_of(closing_at_ten("ana"))
    assert roster.next_expected(NINE, "support") is None
    known = roster.agent("ana")
    assert known is not None
    roster.put(replace(known, teams=("support",)), available("ana", version=2), NINE)
    assert roster.next_expected(NINE, "support") == NINE + 120 * MINUTE
    assert roster.next_expected(NINE, "sales") is None


def test_who_comes_and_goes_leaves_nothing_in_the_heap_of_those_expected() -> None:
    pool = Pool()
    for nth in range(10_000):
        pool.expect("ana", NINE + nth * MINUTE)
        pool.expect("bo", NINE if nth % 2 else None)
    assert pool.next_expected() == NINE
    assert len(pool._coming) < 200
    pool.expect("bo", None)
    assert pool.next_expected() == NINE + 9_999 * MINUTE


def test_hours_go_back_with_the_clock() -> None:
    """A shift and a team that were over by a clock that was wrong are not."""
    roster = roster_of(closing_at_ten("ana"), agent("bo", teams=("support",)))
    roster.set_hours({"support": Hours("UTC", read_weekly("mon 9-10"))}, NINE)
    wrong, right = NINE + 90 * MINUTE, NINE + 30 * MINUTE
    assert (order(roster, wrong), order(roster, wrong, "support")) == ([], [])
    roster.set_back(right)
    assert sorted(order(roster, right)) == ["ana", "bo"] and order(roster, right, "support") == ["bo"]
    assert order(roster, NINE + 60 * MINUTE) == []
    assert order(roster, NINE + 120 * MINUTE) == ["ana"]
