"""Socket Mode under faults: row 14 of the list, and what is logged meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from fakes.slack import FakeSlack
from slack_house import RecordingCore, eventually, running, table, told

from adapters.slack import app, incoming, socket_mode
from adapters.slack.app import SlackPlatform
from adapters.slack.socket_mode import Connection
from adapters.slack.web import Web, library_logger
from bot.domain.agent import Identity, Workspace
from bot.message import Message
from bot.ports import Command

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


@asynccontextmanager
async def leaving(slack: FakeSlack, core: RecordingCore) -> AsyncIterator[Callable[[], object]]:
    """The adapter, told to stop by calling what is yielded; at the end it must have left by itself."""
    work = asyncio.create_task(SlackPlatform(table(slack), core).run())
    await slack.wait_for_connection()
    yield work.cancel
    async with asyncio.timeout(5):
        await asyncio.gather(work, return_exceptions=True)
    assert slack.sockets.connections == []


@pytest.mark.parametrize(("within", "via"), [(2.0, "acknowledgement"), (0.05, "response_url")])
async def test_fault_38_a_command_in_hand_when_told_to_stop_is_answered_before_the_socket_goes(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, within: float, via: str
) -> None:
    """Once, in its acknowledgement; by response URL where that had to go out before."""
    monkeypatch.setattr(incoming, "ANSWER", within)
    go = asyncio.Event()

    async def slow(command: Command) -> Message:
        await go.wait()
        return Message((("answered",),))

    core = RecordingCore(answer=slow)
    async with leaving(slack, core) as leave:
        asked = asyncio.create_task(slack.command("U1", "/available"))
        await core.until(lambda: bool(core.commands))
        leave()
        # Time in which a socket that is shut at once would be gone.
        asyncio.get_running_loop().call_later(0.2, go.set)
        reply = await asked
    assert reply.shown == "answered"
    assert reply.message.via == via
    assert len(slack.ephemeral_messages("U1")) == 1


async def test_fault_38_an_answer_that_slack_puts_off_is_still_sent_while_it_leaves(
    slack: FakeSlack,
) -> None:
    """What comes of what was in hand counts, too."""
    go = asyncio.Event()

    async def slow(command: Command) -> Message:
        if command.clicked:
            await go.wait()
        return await told(command)

    core = RecordingCore(answer=slow)
    async with leaving(slack, core) as leave:
        reply = await slack.command("U1", "/whosin")
        slack.rate_limit("response_url", retry_after=1)
        clicked = asyncio.create_task(slack.click("U1", reply, text="Refresh"))
        await core.until(lambda: len(core.commands) == 2)
        leave()
        asyncio.get_running_loop().call_later(0.1, go.set)
        await clicked
    assert reply.message.edits == 1
    assert slack.responses.statuses == [429, 200]


async def test_fault_38_what_comes_while_it_leaves_is_left_to_slack(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not acknowledged and not acted on: Slack gives the event to who comes next, and nothing is lost."""
    monkeypatch.setattr(slack, "retry_delays", (0.5,))
    monkeypatch.setattr(slack.sockets, "ack_deadline", 0.3)
    go = asyncio.Event()

    async def slow(command: Command) -> Message:
        await go.wait()
        return Message((("answered",),))

    core = RecordingCore(answer=slow)
    async with leaving(slack, core) as leave:
        asked = asyncio.create_task(slack.command("U1", "/available", expect_reply=False))
        await core.until(lambda: bool(core.commands))
        leave()
        late = await slack.command("U2", "/available")
        assert late.error == "operation_timeout", "Slack tells them that nothing happened"
        delivery = await slack.user_changed("U2", name="bobby")
        assert not delivery.acked
        go.set()
        await asked
    assert core.profiles == []
    assert len(core.commands) == 1
    async with running(slack, core):
        await core.until(lambda: bool(core.profiles))
        await delivery.finished.wait()
        assert delivery.acked
    assert [profile.name for profile in core.profiles] == ["bobby"]


async def test_fault_38_a_command_that_takes_too_long_keeps_nobody_from_leaving(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LAST_WORDS", 0.2)

    async def never(command: Command) -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    core = RecordingCore(answer=never)
    async with leaving(slack, core) as leave:
        asked = asyncio.create_task(slack.command("U1", "/available", expect_reply=False))
        await core.until(lambda: bool(core.commands))
        leave()
    asked.cancel()


async def test_leaving_does_not_wait_for_a_socket_that_was_replaced(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old one stays for answers under way; once there are none, it need not."""
    monkeypatch.setattr(socket_mode, "RETIRE", 60.0)
    retired: list[float] = []
    retire = socket_mode.SocketMode._retire

    def noted(self: socket_mode.SocketMode, connection: Connection, after: float) -> None:
        retire(self, connection, after)
        retired.append(after)

    monkeypatch.setattr(socket_mode.SocketMode, "_retire", noted)
    async with leaving(slack, RecordingCore()) as leave:
        await slack.disconnect_sockets("refresh_requested", grace=60)
        await eventually(lambda: retired == [60.0])
        leave()


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
