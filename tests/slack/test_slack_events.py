"""What Slack tells by itself: the queue, what holds it up, and what must not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from fakes.slack import FakeSlack
from slack_house import RecordingCore, eventually, running, serving, table

from adapters.slack import app, events
from adapters.slack.app import SlackPlatform
from bot.domain.errors import Conflict, NotFound, RollcallError, Unavailable
from bot.ports import Profile


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(retry_delays=(0.0, 0.3)) as fake:
        fake.add_user("U1", "maria")
        fake.add_user("U2", "bob")
        yield fake
        assert fake.violations == []
        assert fake.impatient_calls == []


class Refusing(RecordingCore):
    """Answers the first so many changes of a profile with a problem."""

    def __init__(self, problem: Exception, times: int) -> None:
        super().__init__()
        self.problem = problem
        self.times = times

    async def profile_changed(self, workspace_id: str, profile: Profile) -> None:
        if self.times:
            self.times -= 1
            raise self.problem
        await super().profile_changed(workspace_id, profile)


class Waiting(RecordingCore):
    """Stores no profile before it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def profile_changed(self, workspace_id: str, profile: Profile) -> None:
        self.begun.set()
        await self.go.wait()
        await super().profile_changed(workspace_id, profile)


@pytest.mark.parametrize("problem", [Unavailable("The disk is full."), Conflict("Somebody else was first.")])
async def test_an_event_that_cannot_be_stored_now_is_tried_until_it_can(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, problem: RollcallError
) -> None:
    """What comes behind waits, so that their order stays."""
    monkeypatch.setattr(events, "AGAIN", 0.01)
    core = Refusing(problem, times=3)
    async with running(slack, core):
        for user, name in (("U1", "mary"), ("U2", "bobby")):
            assert (await slack.user_changed(user, name=name)).acked
        await core.until(lambda: len(core.profiles) == 2)
    assert [profile.name for profile in core.profiles] == ["mary", "bobby"]


@pytest.mark.parametrize("problem", [NotFound("There is no such agent."), KeyError("a bug")])
async def test_an_event_refused_for_good_is_told_in_the_log_and_holds_nobody_up(
    slack: FakeSlack, problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does a bug end the rest: the same socket stays, and the queue with it."""
    core = Refusing(problem, times=1)
    async with running(slack, core):
        await slack.user_changed("U1", name="mary")
        await slack.user_changed("U2", name="bobby")
        await core.until(lambda: bool(core.profiles))
        assert slack.sockets.opened == 1
    assert [profile.name for profile in core.profiles] == ["bobby"]
    assert core.times == 0
    assert [one.levelname for one in caplog.records if "An event" in one.message] == [
        "WARNING" if isinstance(problem, RollcallError) else "ERROR"
    ]


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_events_beyond_a_full_queue_are_left_to_slack_and_none_is_lost(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Row 15: 503 by HTTP, no acknowledgement on a socket; Slack delivers again, and each counts once."""
    monkeypatch.setattr(events, "WAITING", 2)
    monkeypatch.setattr(slack.sockets, "ack_deadline", 0.2)
    go = asyncio.Event()
    core = RecordingCore()
    first_time = core.first_time

    async def held(key: str) -> bool:
        await go.wait()
        return await first_time(key)

    monkeypatch.setattr(core, "first_time", held)
    names = [f"name {number}" for number in range(5)]
    async with running(slack, core, mode):
        for number, name in enumerate(names):
            slack.add_user(f"V{number}", f"v{number}")
            delivery = await slack.user_changed(f"V{number}", name=name)
            # One in hand, two in the queue.
            assert delivery.acked == (number < 3)
            first = delivery.outcomes[0]
            status = first.http.status if first.http is not None else None
            if number >= 3:
                refused = ("operation_timeout", None) if mode == "socket" else ("dispatch_failed", 503)
                assert (first.error, status) == refused
        go.set()
        await core.until(lambda: len(core.profiles) == len(names))
        await delivery.finished.wait()
        assert delivery.acked
    assert sorted(profile.name for profile in core.profiles) == names


async def test_a_profile_that_cannot_be_taken_in_leaves_the_rest_of_slack_working(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Looked up by ourselves, in the slow round over all agents."""
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(app, "REFRESH_PAUSE", 0.01)
    core = Refusing(KeyError("a bug"), times=1)
    core.watch("U1", "U2")
    async with running(slack, core):
        await eventually(lambda: bool(core.profiles))
    assert [profile.external_id for profile in core.profiles] == ["U2"]
    assert "A profile could not be taken in" in caplog.text


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_fault_38_events_that_were_acknowledged_are_acted_on_before_rollcall_leaves(
    slack: FakeSlack, mode: str
) -> None:
    """The one in hand and the one behind it: Slack has its answer and delivers neither again."""
    core = Waiting()
    async with running(slack, core, mode):
        for user, name in (("U1", "mary"), ("U2", "bobby")):
            assert (await slack.user_changed(user, name=name)).acked
        await core.begun.wait()
        # Time in which a worker that is cancelled at once would be gone.
        asyncio.get_running_loop().call_later(0.1, core.go.set)
    assert [profile.name for profile in core.profiles] == ["mary", "bobby"]


async def test_fault_38_an_event_posted_while_rollcall_leaves_is_left_to_slack(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its HTTP server still answers then; who comes next gets the event."""
    monkeypatch.setattr(slack, "retry_delays", (0.5,))
    core = Waiting()
    platform = SlackPlatform(table(slack, "http"), core)
    async with serving(slack, platform):
        work = asyncio.create_task(platform.run())
        assert (await slack.user_changed("U1", name="mary")).acked
        await core.begun.wait()
        work.cancel()
        delivery = await slack.user_changed("U2", name="bobby")
        assert [one.http.status for one in delivery.outcomes if one.http is not None] == [503]
        core.go.set()
        await asyncio.gather(work, return_exceptions=True)
        assert [profile.name for profile in core.profiles] == ["mary"]
        work = asyncio.create_task(platform.run())
        await core.until(lambda: len(core.profiles) == 2)
        await delivery.finished.wait()
        assert delivery.acked
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert [profile.name for profile in core.profiles] == ["mary", "bobby"]


async def test_fault_38_an_event_that_takes_too_long_keeps_nobody_from_leaving(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says how many are lost."""
    monkeypatch.setattr(app, "LAST_WORDS", 0.1)
    core = Waiting()
    async with asyncio.timeout(2), running(slack, core):
        for user, name in (("U1", "mary"), ("U2", "bobby")):
            assert (await slack.user_changed(user, name=name)).acked
        await core.begun.wait()
    assert core.profiles == []
    assert "left undone: at least 2" in caplog.text


async def test_fault_17_nobody_waits_for_events_that_a_dead_token_leaves_undone(slack: FakeSlack) -> None:
    slack.revoke_token(error="invalid_auth")
    core = RecordingCore()
    async with asyncio.timeout(2), running(slack, core, "http"):
        await core.until(lambda: core.banners)
        for user, name in (("U1", "mary"), ("U2", "bobby")):
            assert (await slack.user_changed(user, name=name)).acked
    assert core.profiles == []
