"""Presence by polling, with time moved by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from fakes.slack import FakeSlack
from slack_house import MovedClock, RecordingCore, running

from bot.domain.errors import Unavailable
from bot.domain.facts import Seen

ALL = ("U1", "U2", "U3")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def slack(clock: MovedClock) -> AsyncIterator[FakeSlack]:
    """Limits and lifetimes pass in the moved time, too."""
    async with FakeSlack(clock=lambda: clock.at.timestamp()) as fake:
        for one in ALL:
            fake.add_user(one, presence="active" if one != "U2" else "away")
        yield fake
        assert fake.violations == []
        assert fake.impatient_calls == []


@asynccontextmanager
async def polling(slack: FakeSlack, core: RecordingCore, per_minute: int = 45) -> AsyncIterator[None]:
    """HTTP mode, so that nobody but the poller and the profiles' slow round sleeps."""
    async with running(slack, core, "http", presence=True, polls_per_minute=per_minute):
        await slack.wait_for_call("users.getPresence")
        yield


def asked(slack: FakeSlack) -> list[str]:
    return [str(call.arguments.get("user")) for call in slack.calls("users.getPresence")]


async def test_everybody_tracked_is_asked_in_the_order_of_importance(
    slack: FakeSlack, clock: MovedClock
) -> None:
    core = RecordingCore(clock)
    core.watch("U3", "U1", "U2")
    slack.add_user("U4")
    began = clock.at
    async with polling(slack, core):
        await clock.advance(14, sleepers=2)
    assert asked(slack) == ["U3", "U1", "U2"], "those who are not tracked are never asked"
    assert core.feed == [("live", "wsp_T1", 1)]
    seen = [(one.external_id, one.seen) for _, one in core.sightings]
    assert seen == [("U3", Seen.CONNECTED), ("U1", Seen.CONNECTED), ("U2", Seen.AWAY)]
    _, first = core.sightings[0]
    assert first.at == began, "dated when it was asked"
    assert first.seq == int(began.timestamp()) * 1_000_000


async def test_a_cycle_asks_each_once_and_the_budget_holds(slack: FakeSlack, clock: MovedClock) -> None:
    slack.enforce_rate_limits()
    core = RecordingCore(clock)
    many = [f"V{n}" for n in range(60)]
    for one in many:
        slack.add_user(one)
    core.watch(*many)
    async with polling(slack, core):
        await clock.advance(60, sleepers=2)
        assert 44 <= len(asked(slack)) <= 46
        await clock.advance(60, sleepers=2)
    assert asked(slack)[:60] == many, "fair: nobody twice before everybody once"
    assert asked(slack)[60:80] == many[:20]


async def test_who_becomes_important_in_the_middle_of_a_cycle_is_next(
    slack: FakeSlack, clock: MovedClock
) -> None:
    core = RecordingCore(clock)
    core.watch("U1", "U2")
    async with polling(slack, core):
        core.watch("U3", "U1", "U2")
        await clock.advance(3, sleepers=2)
    assert asked(slack) == ["U1", "U3", "U2"]


async def test_with_nobody_tracked_our_own_presence_tells_that_polling_works(
    slack: FakeSlack, clock: MovedClock
) -> None:
    core = RecordingCore(clock)
    async with polling(slack, core):
        await clock.advance(100, sleepers=2)
    assert asked(slack) == ["UBOT1", "UBOT1"]
    assert core.feed == [("live", "wsp_T1", 1)]
    assert core.sightings == []


async def test_fault_16_a_429_stops_all_polling_for_as_long_as_slack_says(
    slack: FakeSlack, clock: MovedClock
) -> None:
    """Row 16: not a single call before; a short pause is no blindness."""
    core = RecordingCore(clock)
    core.watch(*ALL)
    async with polling(slack, core):
        slack.rate_limit("users.getPresence", retry_after=30)
        await clock.advance(28, sleepers=2)
        calls = len(asked(slack))
        await clock.advance(20, sleepers=2)
        assert len(asked(slack)) > calls
    assert calls == 2
    assert core.feed == [("live", "wsp_T1", 1)]


async def test_fault_16_a_pause_longer_than_a_cycle_is_blindness(slack: FakeSlack, clock: MovedClock) -> None:
    """Row 16: said at once, since the last answer; then all are asked anew in a new epoch."""
    core = RecordingCore(clock)
    core.watch(*ALL)
    began = clock.at
    async with polling(slack, core):
        slack.rate_limit("users.getPresence", retry_after=300)
        await clock.advance(10, sleepers=2)
        assert core.feed[1:] == [("lost", "wsp_T1", began)]
        assert "unconfirmed" in core.banners[0]
        await clock.advance(295, sleepers=2)
        assert core.banners == []
    assert core.feed[2:] == [("live", "wsp_T1", 2)]
    assert [(epoch, one.external_id) for epoch, one in core.sightings[1:4]] == [
        (2, "U1"),
        (2, "U2"),
        (2, "U3"),
    ]


@pytest.mark.parametrize("status", [500, 503])
async def test_fault_16_three_failures_in_a_row_are_blindness(
    slack: FakeSlack, clock: MovedClock, status: int
) -> None:
    """Row 16: two are not; the agents are never said to be gone."""
    core = RecordingCore(clock)
    core.watch(*ALL)
    async with polling(slack, core):
        slack.fail("users.getPresence", status=status, times=2)
        await clock.advance(14, sleepers=2)
        assert core.feed == [("live", "wsp_T1", 1)]
        slack.fail("users.getPresence", status=status, times=3)
        await clock.advance(60, sleepers=2)
    assert [what for what, *_ in core.feed] == ["live", "lost", "live"]
    assert {one.seen for _, one in core.sightings} <= {Seen.CONNECTED, Seen.AWAY}


async def test_fault_16_a_long_failure_is_asked_about_ever_more_slowly(
    slack: FakeSlack, clock: MovedClock
) -> None:
    """Row 16: no busy retry."""
    core = RecordingCore(clock)
    core.watch(*ALL)
    async with polling(slack, core):
        slack.fail("users.getPresence", status=502, times=None)
        before = len(asked(slack))
        await clock.advance(600, sleepers=2)
        assert len(asked(slack)) - before <= 25


async def test_a_missing_scope_switches_the_feed_off_and_is_named(
    slack: FakeSlack, clock: MovedClock
) -> None:
    core = RecordingCore(clock)
    core.watch(*ALL)
    scopes = slack.world.tokens[slack.bot_token].scopes
    scopes -= {"users:read"}
    async with polling(slack, core):
        await clock.settled(2)
        assert core.feed == [("off", "wsp_T1")]
        assert any("users:read" in banner and "reinstall" in banner for banner in core.banners)
        scopes |= {"users:read"}
        await clock.advance(310, sleepers=2)
        assert core.feed[1:] == [("live", "wsp_T1", 1)]


async def test_presence_switched_off_means_no_feed_and_no_polls(slack: FakeSlack, clock: MovedClock) -> None:
    core = RecordingCore(clock)
    core.watch(*ALL)
    async with running(slack, core, "http", presence=False):
        await core.until(lambda: core.feed)
    assert core.feed == [("off", "wsp_T1")]
    assert asked(slack) == []


async def test_somebody_slack_does_not_show_is_passed_over(slack: FakeSlack, clock: MovedClock) -> None:
    slack.user("U1").is_stranger = True
    core = RecordingCore(clock)
    core.watch("U1", "U2")
    async with polling(slack, core):
        await clock.advance(5, sleepers=2)
    assert [one.external_id for _, one in core.sightings] == ["U2"]
    assert core.feed == [("live", "wsp_T1", 1)]


async def test_an_observation_that_cannot_be_kept_is_asked_for_again(
    slack: FakeSlack, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = RecordingCore(clock)
    core.watch("U1")
    kept = core.observe
    tries = []

    async def once_full(*given: object) -> None:
        tries.append(given)
        if len(tries) == 1:
            raise Unavailable("The disk is full.")
        await kept(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(core, "observe", once_full)
    async with polling(slack, core):
        await clock.advance(3, sleepers=2)
    assert [one.external_id for _, one in core.sightings] == ["U1"]


async def test_polls_are_numbered_in_the_order_in_which_they_were_asked(
    slack: FakeSlack, clock: MovedClock
) -> None:
    core = RecordingCore(clock)
    core.watch(*ALL)
    async with polling(slack, core):
        await clock.advance(40, sleepers=2)
    numbers = [one.seq for _, one in core.sightings]
    assert numbers == sorted(set(numbers))
    assert core.sightings[-1][1].at - core.sightings[0][1].at > timedelta(seconds=30)


async def test_fault_16_a_command_waits_for_as_long_as_slack_says_and_no_longer(
    slack: FakeSlack, clock: MovedClock
) -> None:
    """Row 16: with waits of its own making it would take over a minute."""
    core = RecordingCore(clock)
    async with running(slack, core, "http"):
        slack.rate_limit("users.info", retry_after=45)
        asked_for = asyncio.create_task(slack.command("U1", "/available"))
        await clock.flow(asked_for.done, most=50)
        assert "available" in (await asked_for).shown
    assert len(slack.calls("users.info")) == 2


class SetBack(MovedClock):
    """A clock whose hands are set back while time goes on."""

    back = timedelta(0)

    def now(self) -> datetime:
        return self.at - self.back


@pytest.mark.parametrize(("tracked", "within"), [(ALL, 3), ((), 1)])
async def test_fault_5_polls_go_on_in_order_when_the_clock_is_set_back(
    tracked: tuple[str, ...], within: int
) -> None:
    """Row 5: as often as before, and each numbered above the one before, or the core would drop it."""
    clock = SetBack()
    async with FakeSlack(clock=lambda: clock.at.timestamp()) as slack:
        for one in ALL:
            slack.add_user(one, presence="active")
        core = RecordingCore(clock)
        core.watch(*tracked)
        async with polling(slack, core):
            await clock.advance(120, sleepers=2)
            before, numbers = len(asked(slack)), len(core.sightings)
            clock.back = timedelta(hours=1)
            await clock.advance(120, sleepers=2)
            assert len(asked(slack)) - before == pytest.approx(before, abs=within)
    sequence = [one.seq for _, one in core.sightings]
    assert sequence == sorted(set(sequence))
    assert len(sequence) > numbers or not tracked
    assert core.feed == [("live", "wsp_T1", 1)], "nor does it count as blindness"


async def test_fault_5_a_failure_is_blindness_in_time_though_the_clock_was_set_back(
    slack: FakeSlack,
) -> None:
    """Row 5: an hour back would have hidden an hour of silence."""
    clock = SetBack()
    core = RecordingCore(clock)
    core.watch(*ALL)
    async with polling(slack, core):
        await clock.advance(30, sleepers=2)
        clock.back = timedelta(hours=1)
        slack.rate_limit("users.getPresence", retry_after=70)
        await clock.advance(20, sleepers=2)
        assert [what for what, *_ in core.feed] == ["live", "lost"]


@pytest.mark.parametrize("scope", [True, False])
async def test_a_feed_whose_end_the_database_refuses_is_ended_soon_after(
    slack: FakeSlack, clock: MovedClock, monkeypatch: pytest.MonkeyPatch, scope: bool
) -> None:
    """Without the scope, and where it is switched off; nothing else in Slack notices."""
    core = RecordingCore(clock)
    core.watch(*ALL)
    refused: list[str] = []
    off = core.feed_off

    async def full(workspace_id: str) -> None:
        if len(refused) < 2:
            refused.append(workspace_id)
            raise Unavailable("The disk is full.")
        await off(workspace_id)

    monkeypatch.setattr(core, "feed_off", full)
    if not scope:
        slack.world.tokens[slack.bot_token].scopes -= {"users:read"}
    async with running(slack, core, "http", presence=not scope):
        await clock.flow(lambda: bool(core.feed), most=12)
        assert core.feed == [("off", "wsp_T1")]
        if not scope:
            polls = len(asked(slack))
            await clock.advance(200, sleepers=2)
            assert len(asked(slack)) == polls, "and then it is looked for as seldom as ever"
