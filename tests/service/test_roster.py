"""The roster by example: whose turn it is, when an answer is another, and what it must not keep."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bot.domain.agent import Agent, Identity
from bot.domain.choices import choose_away
from bot.domain.facts import Choice as Chosen
from bot.domain.facts import (
    Facts,
    Feed,
    FeedState,
    Intent,
    Interval,
    Link,
    LinkState,
    Observation,
    Policy,
    Presence,
    Seen,
    new_agent,
)
from bot.domain.pool import Pool
from bot.domain.presence import TICK
from bot.domain.routing import Reason
from bot.domain.transition import observe
from bot.ports import Load
from bot.roster import Roster

NINE = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIVE = Feed("guild", "discord", FeedState.LIVE, 1, NINE, NINE, MINUTE, 2 * MINUTE)
LOST = replace(LIVE, state=FeedState.DOWN, lost_at=NINE + 10 * MINUTE)


def agent(name: str, *, teams: tuple[str, ...] = (), capacity: int = 2, workspace: str = "guild") -> Agent:
    """Somebody with one identity."""
    identity = Identity(f"{name}@{workspace}", workspace, "discord", f"1{name}")
    return Agent(name, "org", name.title(), capacity=capacity, teams=teams, identities=(identity,))


def available(name: str, since: datetime = NINE, version: int = 1) -> Facts:
    """Connected, and Available since then."""
    return Facts(
        name,
        Intent(Chosen.AVAILABLE, since, "agent"),
        Interval(Presence.AVAILABLE, since, "set", "agent"),
        version,
        links=(Link(f"{name}@guild", "guild", LinkState.CONNECTED, since, 1, 1),),
        reviewed_at=since,
    )


def roster_of(*agents: Agent) -> Roster:
    """All of them Available, in this order."""
    roster = Roster(Policy())
    roster.load([(one, available(one.id)) for one in agents], [LIVE], [], NINE)
    return roster


def seen(roster: Roster, name: str, what: Seen, at: datetime, seq: int) -> Facts:
    """The facts after a sighting, the version raised as storage does."""
    facts = roster.facts(name)
    assert facts is not None
    observation = Observation(f"{name}@guild", "guild", what, at, 1, seq)
    after, _ = observe(facts, observation, roster.feeds, roster.policy, at, None)
    return replace(after, version=facts.version + 1)


def order(roster: Roster, now: datetime, team: str | None = None) -> list[str]:
    """Who is to be given work, the first at first."""
    return [row.agent.id for row in roster.best(now, 99, team)[0]]


def units(name: str, count: int, at: datetime, ends: datetime, source: str = "chatwoot") -> Load:
    """A report of load."""
    return Load(name, source, count, at, ends)


# --- whose turn it is ---


def test_least_load_comes_first_then_who_has_been_idle_longest() -> None:
    """A report raises Ana above all; Bo and Cy get to one of two units later than Ana does."""
    roster = roster_of(agent("ana"), agent("bo"), agent("cy"), agent("di", capacity=4))
    for nth, name in enumerate(("ana", "cy", "bo", "di")):
        at = NINE + nth * MINUTE
        roster.put_load(units(name, 1, at, NINE + timedelta(hours=1)), at)
    assert order(roster, NINE + 5 * MINUTE) == ["di", "ana", "cy", "bo"]


def test_who_has_stood_longest_comes_first_after_a_restart() -> None:
    """Storage gives them by age; their turn is by how long they have been Available."""
    roster = Roster(Policy())
    everyone = [
        (agent(name), available(name, NINE - wait * MINUTE)) for name, wait in (("ana", 1), ("bo", 9))
    ]
    roster.load(everyone, [LIVE], [], NINE)
    assert order(roster, NINE) == ["bo", "ana"]


def test_a_new_name_or_team_costs_nobody_their_turn() -> None:
    """Bo stands before Cy everywhere, also in the team that Bo joins after Cy."""
    roster = roster_of(agent("ana"), agent("bo"), agent("cy", teams=("sales",)))
    joined = replace(agent("bo", teams=("sales",)), name="Robert")
    roster.put(joined, available("bo"), NINE + MINUTE)
    assert order(roster, NINE + MINUTE) == ["ana", "bo", "cy"]
    assert order(roster, NINE + MINUTE, "sales") == ["bo", "cy"]


def test_it_makes_no_difference_to_the_order_how_late_somebody_asks() -> None:
    """Bo's units expire before Cy's last and before Ana's, whose report was renewed meanwhile."""
    asked, unasked = (roster_of(agent("ana"), agent("bo"), agent("cy")) for _ in range(2))
    for roster in (asked, unasked):
        roster.put_load(units("ana", 1, NINE, NINE + 5 * MINUTE), NINE)
        roster.put_load(units("ana", 1, NINE, NINE + 20 * MINUTE), NINE)
        roster.put_load(units("bo", 1, NINE, NINE + 10 * MINUTE), NINE)
        roster.put_load(units("cy", 1, NINE, NINE + 5 * MINUTE), NINE)
        roster.put_load(units("cy", 1, NINE, NINE + 15 * MINUTE, "phone"), NINE)
    for minute in range(30):
        asked.settle(NINE + minute * MINUTE)
    later = NINE + 30 * MINUTE
    for roster in (asked, unasked):
        facts = roster.facts("ana")
        assert facts is not None
        roster.mark("ana", replace(facts), later)
    assert order(asked, later) == order(unasked, later) == ["bo", "cy", "ana"]


# --- true at the instant ---


def test_a_grace_that_ends_and_units_that_expire_are_known_without_a_tick() -> None:
    """Both hold at their last instant, and not one microsecond longer."""
    roster = roster_of(agent("ana", capacity=1))
    expires = NINE + 3 * MINUTE
    roster.put_load(units("ana", 1, NINE, expires), NINE)
    roster.put(agent("ana", capacity=1), available("ana"), expires)
    assert roster.why_not("ana", expires) == (Reason.AT_CAPACITY,)
    assert order(roster, expires + TICK) == ["ana"]
    row = roster.row("ana", expires + TICK)
    assert row is not None and (row.load, row.load_known) == (0, False)
    gone = NINE + 5 * MINUTE
    roster.put(agent("ana"), seen(roster, "ana", Seen.DISCONNECTED, gone, 2), gone)
    assert roster.why_not("ana", gone + MINUTE) == (Reason.CONNECTION_LOST,)
    assert roster.pool(gone + MINUTE).available == 1
    assert roster.pool(gone + MINUTE + TICK).offline == 1


def test_a_lost_feed_shows_at_once_and_not_only_after_the_review() -> None:
    """Nobody put anything: the feed alone makes the answer another, and ends trust two minutes later."""
    roster = roster_of(agent("ana"), agent("bo", workspace="acme"))
    before = roster.pool(LOST.lost_at).revision
    roster.set_feed(LOST)
    row = roster.row("ana", LOST.lost_at)
    assert row is not None and row.verdict.unconfirmed_since == LOST.lost_at
    assert roster.pool(LOST.lost_at).revision > before
    assert "ana" not in order(roster, LOST.lost_at + LOST.trust + TICK)
    assert roster.due(LOST.lost_at + LOST.trust + TICK) == ["ana", "bo"]
    roster.drop_feed("guild")
    assert roster.pool(LOST.lost_at + LOST.trust + TICK).offline == 2


def test_whoever_is_behind_time_is_named_once_until_put_or_due_again() -> None:
    """A tick that failed asks again; one that is under way is not doubled."""
    roster = roster_of(agent("ana"))
    facts = roster.facts("ana")
    assert facts is not None
    away, _ = choose_away(facts, roster.feeds, roster.policy, NINE, until_at=NINE + MINUTE)
    roster.put(agent("ana"), replace(away, version=2), NINE)
    assert roster.due(NINE + MINUTE) == []
    later = NINE + 2 * MINUTE
    assert roster.due(later) == ["ana"]
    roster.put_load(units("ana", 1, later, later + MINUTE), later)
    assert roster.due(later) == []
    roster.due_again("ana", later)
    assert roster.due(later + TICK) == ["ana"]
    roster.put(agent("ana"), replace(available("ana", later), version=3), later)
    roster.due_again("ana", later)
    assert roster.due(later + MINUTE) == []


# --- what an answer's revision says ---


def test_a_repeated_sighting_changes_no_revision() -> None:
    """Ten thousand phones say hello again, and no cached answer is thrown away."""
    roster = roster_of(agent("ana", teams=("sales",)))
    before = roster.revision, roster.pool(NINE).revision, roster.pool(NINE, "sales").revision
    again = replace(seen(roster, "ana", Seen.CONNECTED, NINE + MINUTE, 2), version=1)
    roster.mark("ana", again, NINE + MINUTE)
    assert roster.facts("ana") is again
    assert before == (roster.revision, roster.pool(NINE).revision, roster.pool(NINE, "sales").revision)


PROFILE = agent("ana", teams=("sales",))


@pytest.mark.parametrize(
    "changed",
    [
        replace(PROFILE, name="Anna"),
        replace(PROFILE, capacity=3),
        replace(PROFILE, skills=("french",)),
        replace(PROFILE, externals=(("chatwoot", "42"),)),
        replace(PROFILE, zone="Europe/Paris"),
    ],
    ids=["name", "capacity", "skills", "externals", "zone"],
)
def test_whatever_is_shown_of_a_profile_makes_a_new_revision(changed: Agent) -> None:
    """In every pool that shows the agent, and in no other."""
    roster = roster_of(PROFILE, agent("bo", teams=("support",)))
    pools = [roster.pool(NINE), roster.pool(NINE, "sales")]
    before, other = [pool.revision for pool in pools], roster.pool(NINE, "support").revision
    roster.put(changed, available("ana"), NINE)
    assert all(pool.revision > was for pool, was in zip(pools, before, strict=True))
    assert roster.pool(NINE, "support").revision == other
    put = [pool.revision for pool in pools]
    roster.put(replace(changed), available("ana"), NINE)
    assert [pool.revision for pool in pools] == put


def test_a_since_that_moved_while_the_verdict_is_the_same_makes_a_new_revision() -> None:
    """Away and back between two puts, as after a lost race: Available, but only for a minute."""
    roster = roster_of(agent("ana"))
    before = roster.pool(NINE).revision
    later = NINE + MINUTE
    roster.put(agent("ana"), available("ana", later, version=3), later)
    assert roster.pool(later).revision > before


def test_a_report_that_says_what_is_known_changes_no_revision_but_the_first_does() -> None:
    """None of a first report of no units: the load is known now."""
    roster = roster_of(agent("ana"))
    before = roster.pool(NINE).revision
    roster.put_load(units("ana", 0, NINE, NINE + MINUTE), NINE)
    known = roster.pool(NINE).revision
    assert known > before
    roster.put_load(units("ana", 0, NINE + TICK, NINE + 2 * MINUTE), NINE + TICK)
    assert roster.pool(NINE + MINUTE + TICK).revision == known


def test_a_team_that_empties_and_fills_again_never_repeats_a_revision() -> None:
    """Else an answer cached for the first agent would be served for the second."""
    roster = roster_of(agent("ana", teams=("sales",)))
    first = roster.pool(NINE, "sales").revision
    roster.put(agent("ana"), available("ana"), NINE)
    assert roster.pool(NINE, "sales").revision == 0
    roster.put(agent("bo", teams=("sales",)), available("bo"), NINE)
    assert roster.pool(NINE, "sales").revision > first


# --- what it keeps, and what not ---


def test_older_versions_are_ignored_and_marks_survive_a_put() -> None:
    """What was seen last stays seen, so an older disconnect that comes late changes nothing."""
    roster = roster_of(agent("ana"))
    roster.mark("ana", replace(seen(roster, "ana", Seen.CONNECTED, NINE, 9), version=1), NINE)
    roster.put(agent("ana"), available("ana", version=2), NINE)
    late = seen(roster, "ana", Seen.DISCONNECTED, NINE, 5)
    assert late.links[0].state is LinkState.CONNECTED
    assert late.links[0].seq == 9
    roster.put(replace(agent("ana"), name="Older"), new_agent("ana", NINE), NINE)
    roster.mark("ana", new_agent("ana", NINE), NINE)
    row = roster.row("ana", NINE)
    assert row is not None and row.agent.name == "Ana" and row.verdict.presence is Presence.AVAILABLE


def test_an_account_that_moves_to_another_agent_is_found_there() -> None:
    """Whichever of the two is put first."""
    for bo_first in (True, False):
        roster = roster_of(agent("ana"), agent("bo"))
        both = replace(agent("bo"), identities=(*agent("bo").identities, *agent("ana").identities))
        puts = [(both, available("bo")), (replace(agent("ana"), identities=()), available("ana"))]
        for one, facts in puts if bo_first else reversed(puts):
            roster.put(one, facts, NINE)
        found = roster.by_identity("guild", "1ana")
        assert found is not None and found.id == "bo"


def test_renewals_do_not_make_the_deadlines_grow() -> None:
    """A hundred thousand sightings of somebody who comes and goes all the time."""
    roster = roster_of(agent("ana"), agent("bo"))
    connected = roster.facts("ana")
    assert connected is not None
    link = connected.links[0]
    at = NINE
    for nth in range(100_000):
        at += timedelta(seconds=1)
        state = LinkState.CONNECTED if nth % 3 else LinkState.SUSPECT
        roster.mark("ana", replace(connected, links=(replace(link, state=state, since=at),)), at)
    assert len(roster._due) <= 2 * len(roster) + 65
    assert roster.pool(at + MINUTE).offline == 0
    assert roster.pool(at + MINUTE + TICK).offline == 1


def test_drop_leaves_nothing_behind() -> None:
    """Nobody holds the agent or the facts any more, nor names, load, pools; deadlines end by themselves."""
    roster = roster_of(agent("bo"))
    sizes = everything(roster)
    gone = replace(agent("ana", teams=("sales",)), skills=("french",), externals=(("chatwoot", "42"),))
    facts = available("ana")
    held = sys.getrefcount(gone), sys.getrefcount(facts)
    roster.put(gone, facts, NINE)
    roster.put_load(units("ana", 1, NINE, NINE + timedelta(hours=1)), NINE)
    away, _ = choose_away(facts, roster.feeds, roster.policy, NINE, until_at=NINE + MINUTE)
    roster.put(gone, replace(away, version=2), NINE)
    roster.settle(NINE + 2 * MINUTE)
    assert everything(roster) != sizes
    roster.put(replace(gone, removed=True), facts, NINE + 2 * MINUTE)
    roster.put_load(units("ana", 1, NINE, NINE + MINUTE), NINE)
    gc.collect()
    assert (sys.getrefcount(gone), sys.getrefcount(facts)) == held
    roster.settle(NINE + timedelta(hours=2))
    assert everything(roster) == sizes
    assert roster.row("ana", NINE + timedelta(hours=2)) is None
    assert roster.by_identity("guild", "1ana") is None
    assert roster.by_external("chatwoot", "42") is None


def everything(roster: Roster) -> dict[str, int]:
    """How much each of its containers holds, in all."""
    held = {name: kept for name, kept in vars(roster).items() if isinstance(kept, dict | list | set)}
    inner = {
        f"{name}.{key}": len(one)
        for name, kept in held.items()
        if isinstance(kept, dict)
        for key, one in kept.items()
        if isinstance(one, dict)
    }
    del held["_verdicts"]
    return {**{name: len(kept) for name, kept in held.items()}, **inner}


def test_reading_the_first_of_a_pool_does_not_step_over_all_who_left() -> None:
    """A dict keeps the gaps of those who left its front; the pool closes them in time."""
    pool = Pool()
    for nth in range(10_000):
        pool.move(f"agt_{nth}", None, 0.0)
    full = sys.getsizeof(pool.buckets[0.0])
    for nth in range(9_990):
        pool.move(f"agt_{nth}", 0.0, None)
    assert sys.getsizeof(pool.buckets[0.0]) < full / 50
    assert list(pool.best()) == [f"agt_{nth}" for nth in range(9_990, 10_000)]


def test_agents_of_one_group_share_its_teams_and_skills() -> None:
    """Who is loaded, who comes later and who changes teams: of each list there is one copy."""
    roster = roster_of(
        agent("ana", teams=tuple(iter(["support"]))), agent("bo", teams=tuple(iter(["support"])))
    )
    roster.put(agent("cy"), available("cy"), NINE)
    roster.put(agent("cy", teams=tuple(iter(["support"]))), available("cy", version=2), NINE)
    found = [roster.agent(name) for name in ("ana", "bo", "cy")]
    assert [one.teams for one in found if one] == [("support",)] * 3
    assert len({id(one.teams) for one in found if one}) == 1
