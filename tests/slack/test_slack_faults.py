"""What must survive on Slack's side: each test names its row in the list of faults."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
from fakes.slack import HOSTILE, FakeSlack
from fakes.slack_http import Hostile, encoded, post, signed_headers
from slack_house import MovedClock, RecordingCore, running, table

from adapters.slack import incoming, socket_mode
from adapters.slack.app import SlackPlatform
from adapters.slack.platform import platform as entry_point
from adapters.slack.socket_mode import Connection
from adapters.slack.troubles import Troubles
from adapters.slack.web import Web, library_logger
from bot.config import Config
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


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Socket Mode's own times, twenty times shorter, so that tests need not wait for them."""
    for name, seconds in {"PING": 0.15, "SILENT": 0.9, "OPENING": 0.5, "RETIRE": 0.2}.items():
        monkeypatch.setattr(socket_mode, name, seconds)


# --- 14: sockets ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize("reason", ["refresh_requested", "warning", "too_many_websockets"])
async def test_fault_14_a_socket_that_slack_wants_replaced_is_replaced(slack: FakeSlack, reason: str) -> None:
    core = RecordingCore()
    async with running(slack, core):
        await slack.disconnect_sockets(reason, grace=20)  # type: ignore[arg-type]  # the parametrized ones
        await slack.wait_for(lambda: slack.sockets.opened >= 2 or None, "a second socket")
        await slack.wait_for_connection()
        assert "available" in (await slack.command("U1", "/available")).shown
    assert core.banners == []


@pytest.mark.usefixtures("brisk")
async def test_fault_14_a_command_under_way_during_a_refresh_is_still_answered(slack: FakeSlack) -> None:
    """The new socket opens before the old one goes, and answers on the old one are still sent."""
    go = asyncio.Event()

    async def slow(command: Command) -> Message:
        await go.wait()
        return Message((("answered",),))

    core = RecordingCore(answer=slow)
    async with running(slack, core):
        asked = asyncio.create_task(slack.command("U1", "/available"))
        await core.until(lambda: bool(core.commands))
        await slack.disconnect_sockets("refresh_requested", grace=5)
        await slack.wait_for_connection(2)
        go.set()
        assert "answered" in (await asked).shown


@pytest.mark.usefixtures("brisk")
async def test_fault_14_a_reply_whose_socket_broke_comes_by_response_url(slack: FakeSlack) -> None:
    go = asyncio.Event()

    async def slow(command: Command) -> Message:
        await go.wait()
        return Message((("answered",),))

    core = RecordingCore(answer=slow)
    async with running(slack, core):
        asked = asyncio.create_task(slack.command("U1", "/available", expect_reply=False))
        await core.until(lambda: bool(core.commands))
        slack.drop_sockets()
        await slack.wait_for_connection()
        go.set()
        message = await slack.wait_for_message(to="U1", containing="answered")
        asked.cancel()
    assert message.via == "response_url"
    assert len(core.done) == 1


@pytest.mark.usefixtures("brisk")
async def test_fault_14_a_dropped_socket_is_opened_again(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not only when pongs have been missing."""
    monkeypatch.setattr(socket_mode, "SILENT", 60.0)
    async with running(slack, RecordingCore()):
        assert slack.drop_sockets() == 1
        await slack.wait_for(lambda: slack.sockets.opened == 2 or None, "a second socket")
        assert "available" in (await slack.command("U1", "/available")).shown


@pytest.mark.usefixtures("brisk")
async def test_fault_14_a_half_open_socket_is_replaced(slack: FakeSlack) -> None:
    """Nothing comes and nothing breaks: only missing pongs tell. Real bound: 18 s of 45 s."""
    async with running(slack, RecordingCore()):
        slack.freeze_sockets()
        await slack.wait_for_connection()
        assert "available" in (await slack.command("U1", "/available")).shown


async def test_fault_14_a_socket_whose_client_says_all_is_well_is_dead_without_pongs(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`is_connected()` can lie: when the library's own watch fails, ours counts the pongs."""

    async def blind(self: Connection) -> None:
        return None

    monkeypatch.setattr(Connection, "monitor_current_session", blind)
    client = SlackPlatform(table(slack), RecordingCore())._new_client(slack.app_token)
    connection = Connection(Web(client, RecordingCore().clock), slack.app_token, ping_interval=0.05)
    connection.wss_uri = slack.sockets.open_url()
    await connection.connect()  # type: ignore[no-untyped-call]
    async with asyncio.timeout(2):
        await connection.until_over(silent=0.3)
    assert connection.reason == "no pong came"
    await connection.shut()


@pytest.mark.usefixtures("brisk")
async def test_fault_14_a_new_socket_that_never_says_hello_is_given_up(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sooner than missing pongs would tell."""
    monkeypatch.setattr(socket_mode, "SILENT", 60.0)
    monkeypatch.setattr(socket_mode, "PING", 30.0)
    slack.sockets.freeze_new = True
    async with running(slack, RecordingCore(), ready=False):
        await slack.wait_for(lambda: slack.sockets.opened >= 1 or None, "a first socket")
        slack.sockets.freeze_new = False
        await slack.wait_for_connection()


@pytest.mark.usefixtures("brisk")
async def test_fault_14_sockets_that_slack_keeps_closing_are_not_opened_in_a_tight_loop(
    slack: FakeSlack,
) -> None:
    async with running(slack, RecordingCore()):
        for _ in range(8):
            slack.drop_sockets()
            await asyncio.sleep(0.1)
        assert len(slack.calls("apps.connections.open")) <= 3


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
        with pytest.raises(RetryLater) as told:
            await platform.send_direct(MARIA, WORKSPACE, HELLO)
        assert told.value.after == 30
        with pytest.raises(RetryLater):
            await platform.post("C1", HELLO)
        assert len(slack.calls("chat.postMessage")) == 1
        clock.at += timedelta(seconds=31)
        slack.web._waits.clear()  # the fake's own clock did not move
        assert (await platform.send_direct(MARIA, WORKSPACE, HELLO)).startswith("D")


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


# --- 33: requests Slack did not sign -------------------------------------------------------------


@pytest.mark.parametrize("variant", HOSTILE)
async def test_fault_33_what_slack_did_not_sign_is_401(slack: FakeSlack, variant: Hostile) -> None:
    core = RecordingCore()
    async with running(slack, core, "http"):
        answer = await slack.send_hostile(variant)
        assert answer.status == 401
        assert "available" in (await slack.command("U1", "/available")).shown
    assert len(core.commands) == 1


async def test_fault_33_a_replayed_request_changes_nothing(slack: FakeSlack) -> None:
    """Within Slack's five minutes it is a duplicate; later its signature has expired."""
    core = RecordingCore()
    typed = {"command": "/available", "text": "", "user_id": "U1", "team_id": "T1", "trigger_id": "1.2.3"}
    body, kind = encoded("slash_commands", typed)
    async with running(slack, core, "http"):
        assert slack.request_url is not None
        answers = []
        for age in (0, 0, 200, 301):
            headers = signed_headers(slack.signing_secret, slack.world.clock() - age, body, kind)
            answers.append(await post(slack.request_url, body, headers, 3))
    assert [answer.status for answer in answers] == [200, 200, 200, 401]
    assert [answer.message is not None for answer in answers[:3]] == [True, False, False]
    assert len(core.commands) == 1


async def test_fault_33_other_methods_and_huge_bodies_are_refused(slack: FakeSlack) -> None:
    async with running(slack, RecordingCore(), "http"), aiohttp.ClientSession() as session:
        assert slack.request_url is not None
        async with session.get(slack.request_url) as answer:
            assert answer.status == 405
        async with session.post(slack.request_url, data=b"x" * (2 << 20)) as answer:
            assert answer.status == 413


async def test_slack_can_verify_the_request_url(slack: FakeSlack) -> None:
    async with running(slack, RecordingCore(), "http"):
        assert await slack.verify_url()


# --- secrets, and the entry point ----------------------------------------------------------------


@pytest.mark.usefixtures("brisk")
async def test_no_token_appears_in_any_log_or_banner(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything at debug level, through failures of every kind."""
    caplog.set_level(logging.DEBUG)
    library_logger().setLevel(logging.DEBUG)
    core = RecordingCore()
    try:
        async with running(slack, core):
            reply = await slack.command("U1", "/whosin")
            await slack.click("U1", reply, text="Refresh")
            slack.refuse_sockets(2)
            slack.drop_sockets()
            await slack.wait_for(lambda: slack.sockets.opened == 2 or None, "a second socket")
            slack.revoke_token()
            await slack.event("tokens_revoked", tokens={"bot": ["UBOT1"]})
            await core.until(lambda: core.banners)
    finally:
        library_logger().setLevel(logging.WARNING)
    told = caplog.text + str(core.reports)
    assert "rollcall.slack" in caplog.text
    secrets = [slack.bot_token, slack.app_token, slack.signing_secret, *slack.sockets._tickets]
    secrets += list(slack.responses._urls)
    assert [secret for secret in secrets if secret in told] == []


def test_slack_is_no_platform_where_it_is_not_configured() -> None:
    assert entry_point(Config(), RecordingCore()) is None


def test_slack_is_a_platform_where_it_is_configured() -> None:
    config = Config.model_validate({"slack": {"bot_token": "x", "app_token": "y"}})
    made = entry_point(config, RecordingCore())
    assert made is not None
    assert made.name == "slack"


def test_the_end_of_one_trouble_leaves_the_other_standing() -> None:
    core = RecordingCore()
    troubles = Troubles(core)
    troubles.raise_("a", "One.")
    troubles.raise_("b", "Two.")
    troubles.clear("a")
    assert core.banners == ["Two."]
    troubles.clear("b")
    assert core.banners == []
