"""Limits, errors, slowness and revoked tokens: rows 16 and 17 of the list of faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
from fakes.slack import FakeSlack
from slack_house import MovedClock, RecordingCore, running, told

from adapters.slack import incoming, sending
from bot.domain.agent import Identity, Workspace
from bot.message import Message
from bot.ports import Command, RetryLater, Undeliverable

MARIA = Identity("idn_1", "wsp_T1", "slack", "U1")
WORKSPACE = Workspace("wsp_T1", "org_1", "slack", "T1", "Acme")
HELLO = Message((("Still there?",),))


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(retry_delays=(0.0,), ping_interval=0.2) as fake:
        fake.add_user("U1", "maria")
        fake.add_user("U2", "bob")
        yield fake
        assert fake.violations == []
        assert fake.impatient_calls == []


# --- 16: limits, errors, slowness ----------------------------------------------------------------


async def test_fault_16_slack_that_is_down_at_the_start_is_waited_for(slack: FakeSlack) -> None:
    clock = MovedClock()
    slack.fail("*", status=503, times=None)
    core = RecordingCore(clock)
    async with running(slack, core, ready=False):
        await clock.advance(20, sleepers=2)
        assert any("can't be reached" in banner for banner in core.banners)
        calls = len(slack.calls())
        assert 4 <= calls <= 16, "each of two waits ever longer"
        slack.heal()
        await clock.advance(40, sleepers=1)
        await slack.wait_for_connection()
        assert "available" in (await slack.command("U1", "/available")).shown
        assert core.banners == []


async def test_fault_16_who_somebody_is_is_asked_again_after_a_429(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost: acknowledged within time, answered when Slack has said who it is."""
    slack.rate_limit("users.info", retry_after=1, times=1)
    monkeypatch.setattr(incoming, "ANSWER", 0.3)
    core = RecordingCore()
    async with running(slack, core):
        acknowledged = await slack.command("U1", "/available", expect_reply=False)
        assert acknowledged.error is None
        message = await slack.wait_for_message(to="U1", containing="available")
    assert message.via == "response_url"
    assert len(core.commands) == 1


async def test_fault_16_somebody_slack_will_not_name_is_told_that_nothing_changed(slack: FakeSlack) -> None:
    clock = MovedClock()
    core = RecordingCore(clock)
    async with running(slack, core):
        slack.fail("users.info", status=500, times=None)
        asked = asyncio.create_task(slack.command("U1", "/available"))
        await slack.wait_for_call("users.info")
        await clock.flow(asked.done, most=120)
        reply = await asked
    assert "Nothing was changed" in reply.shown
    assert core.commands == []


@pytest.mark.parametrize(("retry_after", "seconds"), [(61, 0), (300, 0), (60, 60)])
async def test_fault_16_a_wait_longer_than_a_command_s_patience_ends_it_at_once(
    slack: FakeSlack, retry_after: int, seconds: int
) -> None:
    """Not after it: whoever gave the command reads within a minute that nothing was changed."""
    clock = MovedClock()
    began = clock.at
    core = RecordingCore(clock)
    async with running(slack, core):
        slack.rate_limit("users.info", retry_after=retry_after, times=None)
        asked = asyncio.create_task(slack.command("U1", "/available"))
        await slack.wait_for_call("users.info")
        slack.heal()
        slack.web._waits.clear()  # the fake's own clock does not move
        await clock.flow(asked.done, most=400)
        reply = await asked
    assert (clock.at - began).total_seconds() == pytest.approx(seconds, abs=1)
    assert ("Nothing was changed" in reply.shown) == (core.commands == []) == (seconds == 0)


async def test_fault_16_an_answer_is_tried_again_while_slack_is_failing(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response URL that answers 5xx or nothing is used again, within its five uses."""
    core = RecordingCore()
    tried: list[str] = []
    async with running(slack, core) as platform:
        reply = await slack.command("U1", "/whosin")
        honest = aiohttp.ClientSession.post

        def flaky(self: aiohttp.ClientSession, url: str, **more: object) -> object:
            tried.append(url)
            if len(tried) == 1:
                raise aiohttp.ClientConnectionError
            return honest(self, url, **more)  # type: ignore[arg-type]

        assert platform._session is not None
        monkeypatch.setattr(aiohttp.ClientSession, "post", flaky)
        changed = await slack.click("U1", reply, text="Refresh")
    assert changed.message.edits == 1
    assert len(tried) == 2


async def test_fault_16_a_direct_message_is_put_off_for_as_long_as_slack_says(slack: FakeSlack) -> None:
    """And nothing is sent before, whoever asks."""
    slack.rate_limit("chat.postMessage", retry_after=30)
    clock = MovedClock()
    async with running(slack, RecordingCore(clock)) as platform:
        with pytest.raises(RetryLater) as put_off:
            await platform.send_direct(MARIA, WORKSPACE, HELLO)
        assert put_off.value.after == 30
        with pytest.raises(RetryLater):
            await platform.post("C1", HELLO)
        assert len(slack.calls("chat.postMessage")) == 1
        clock.at += timedelta(seconds=31)
        slack.web._waits.clear()  # the fake's own clock did not move
        assert (await platform.send_direct(MARIA, WORKSPACE, HELLO)).startswith("D")


@pytest.mark.parametrize("then", ["a click", "a late answer"])
async def test_fault_16_a_response_url_that_is_limited_is_used_again_when_slack_says(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Row 16: not before (`impatient_calls`), and what was asked for is done once."""

    async def unhurried(command: Command) -> Message:
        await asyncio.sleep(0.05)
        return await told(command)

    core = RecordingCore(answer=unhurried)
    async with running(slack, core):
        reply = await slack.command("U1", "/whosin")
        slack.rate_limit("response_url", retry_after=1)
        if then == "a click":
            changed = await slack.click("U1", reply, text="Refresh")
        else:
            monkeypatch.setattr(incoming, "ANSWER", 0.01)
            changed = await slack.command("U1", "/whosin", "late")
    assert changed.message.edits == (1 if then == "a click" else 0)
    assert changed.message.via == ("acknowledgement" if then == "a click" else "response_url")
    assert slack.responses.statuses == [429, 200]
    assert len(core.commands) == len(core.done) == 2


@pytest.mark.parametrize(("failures", "statuses"), [(3, [503, 503, 503, 200]), (None, [503] * 4)])
async def test_fault_16_a_response_url_that_fails_is_used_again_within_its_five_uses(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture, failures: int | None, statuses: list[int]
) -> None:
    """Row 16: later each time; where Slack never takes it, the log says so and the change stands."""
    clock = MovedClock()
    began = clock.at
    core = RecordingCore(clock)
    async with running(slack, core):
        reply = await slack.command("U1", "/whosin")
        slack.fail("response_url", status=503, times=failures)
        clicked = asyncio.create_task(slack.click("U1", reply, text="Refresh", expect_change=bool(failures)))
        await clock.flow(lambda: len(slack.responses.statuses) == 4, most=60)
        await clicked
        lost = "An answer did not reach Slack" in caplog.text
    assert slack.responses.statuses == statuses
    assert 7 <= (clock.at - began).total_seconds() <= 10, "after 1, 2 and 4 s, each and up to one more"
    assert reply.message.edits == (1 if failures else 0)
    assert lost == (failures is None)
    assert len(core.done) == 2


@pytest.mark.parametrize("method", ["chat.postMessage", "conversations.open"])
async def test_fault_16_messages_sent_at_once_obey_one_429_together(slack: FakeSlack, method: str) -> None:
    """Row 16: none leaves before it is known what Slack said to the one in front."""
    people = [slack.add_user(f"V{number}") for number in range(8)]
    slack.slow(method, 0.05)
    slack.rate_limit(method, retry_after=30, times=None)
    async with running(slack, RecordingCore(MovedClock())) as platform:
        owed = [
            platform.send_direct(Identity(one.id, "wsp_T1", "slack", one.id), WORKSPACE, HELLO)
            for one in people
        ]
        ended = await asyncio.gather(*owed, return_exceptions=True)
    assert [getattr(problem, "after", None) for problem in ended] == [30] * len(people)
    assert len(slack.calls(method)) == 1


async def test_fault_16_a_message_behind_one_that_drags_is_tried_later(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure, and nobody's time to send runs out behind another's."""
    monkeypatch.setattr(sending, "TURN", 0.1)
    async with running(slack, RecordingCore()) as platform:
        await platform.send_direct(MARIA, WORKSPACE, HELLO)
        slack.slow("chat.postMessage", 0.3, times=1)
        first = asyncio.create_task(platform.send_direct(MARIA, WORKSPACE, HELLO))
        await asyncio.sleep(0)
        with pytest.raises(RetryLater):
            await platform.post("C1", HELLO)
        await first
        await platform.post("C1", HELLO)
    assert len(slack.direct_messages("U1")) == 2
    assert len(slack.messages("C1")) == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_fault_16_a_direct_message_slack_fails_to_take_is_tried_later(
    slack: FakeSlack, status: int
) -> None:
    slack.fail("chat.postMessage", status=status)
    async with running(slack, RecordingCore()) as platform:
        with pytest.raises(RetryLater):
            await platform.send_direct(MARIA, WORKSPACE, HELLO)
        await platform.send_direct(MARIA, WORKSPACE, HELLO)
    assert len(slack.direct_messages("U1")) == 1


async def test_somebody_who_cannot_be_reached_is_undeliverable(slack: FakeSlack) -> None:
    slack.user("U1").deleted = True
    async with running(slack, RecordingCore()) as platform:
        with pytest.raises(Undeliverable):
            await platform.send_direct(MARIA, WORKSPACE, HELLO)


async def test_a_closed_messages_tab_is_named(slack: FakeSlack) -> None:
    slack.workspace.messages_tab_enabled = False
    core = RecordingCore()
    async with running(slack, core) as platform:
        with pytest.raises(Undeliverable):
            await platform.send_direct(MARIA, WORKSPACE, HELLO)
        assert any("Messages Tab" in banner for banner in core.banners)
        slack.workspace.messages_tab_enabled = True
        await platform.send_direct(MARIA, WORKSPACE, HELLO)
        assert core.banners == []


async def test_missing_scopes_are_named_at_sign_in_and_when_sending(slack: FakeSlack) -> None:
    slack.world.tokens[slack.bot_token].scopes -= {"im:write"}
    core = RecordingCore()
    async with running(slack, core) as platform:
        with pytest.raises(RetryLater):
            await platform.send_direct(MARIA, WORKSPACE, HELLO)
    assert any("im:write" in banner for banner in core.banners)


# --- 17: revoked ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["token_revoked", "invalid_auth", "account_inactive"])
async def test_fault_17_a_revoked_token_ends_all_calls_and_names_the_repair(
    slack: FakeSlack, error: str
) -> None:
    core = RecordingCore()
    core.watch("U1")
    async with running(slack, core, presence=True) as platform:
        await core.until(lambda: bool(core.sightings))
        slack.revoke_token(error=error)
        with pytest.raises(RetryLater):
            await platform.send_direct(MARIA, WORKSPACE, HELLO)
        await core.until(lambda: core.feed[-1][0] == "lost")
        calls = len(slack.calls())
        with pytest.raises(RetryLater):
            await platform.send_direct(MARIA, WORKSPACE, HELLO)
        await asyncio.sleep(0.3)
        assert len(slack.calls()) == calls
        assert slack.sockets.connections == []
    (banner,) = core.banners
    assert error in banner
    assert "Reinstall the app" in banner
    assert "slack.bot_token" in banner


@pytest.mark.parametrize("tokens_first", [True, False])
async def test_fault_17_a_removed_app_is_noticed_by_its_events(slack: FakeSlack, tokens_first: bool) -> None:
    core = RecordingCore()
    async with running(slack, core):
        await slack.uninstall(tokens_first=tokens_first)
        await core.until(lambda: core.banners)
        calls = len(slack.calls())
        await asyncio.sleep(0.2)
        assert len(slack.calls()) == calls
    assert "account_inactive" in core.banners[0]


async def test_fault_17_a_late_event_of_an_earlier_removal_is_not_believed(slack: FakeSlack) -> None:
    """Rows 15 and 17: the token itself is asked."""
    core = RecordingCore()
    async with running(slack, core):
        await slack.event("app_uninstalled")
        await slack.wait_for_call("auth.test", count=2)
        assert "available" in (await slack.command("U1", "/available")).shown
    assert core.banners == []


async def test_fault_17_a_token_refused_at_the_start_is_told_and_not_tried_again(slack: FakeSlack) -> None:
    slack.revoke_token(error="invalid_auth")
    core = RecordingCore()
    async with running(slack, core, mode="http"):
        await core.until(lambda: core.banners)
        reply = await slack.command("U1", "/available")
        assert "refuses Rollcall's token" in reply.shown
        assert len(slack.calls()) == 1


async def test_fault_17_a_refused_app_token_leaves_presence_working(slack: FakeSlack) -> None:
    slack.world.tokens[slack.app_token].dead = "invalid_auth"
    core = RecordingCore()
    core.watch("U1")
    async with running(slack, core, ready=False, presence=True):
        await core.until(lambda: bool(core.sightings))
        await core.until(lambda: core.banners)
        assert len(slack.calls("apps.connections.open")) == 1
    assert "connections:write" in core.banners[0]
