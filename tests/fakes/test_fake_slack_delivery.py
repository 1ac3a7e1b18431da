"""The fake hands payloads to the real Bolt as Slack does, over sockets and HTTP, and takes its answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from fakes.slack import HOSTILE, FakeSlack
from fakes.slack_app import (
    Json,
    connected,
    error_of,
    manifest,
    quick_slack,
    section,
    serving,
)
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with quick_slack() as fake:
        yield fake


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.base_url, retry_handlers=[])


async def test_a_command_is_answered_in_its_acknowledgement(slack: FakeSlack) -> None:
    async with connected(slack) as bot:
        reply = await slack.command(
            "U1", "/available", "thanks @bob & #general <b> see https://x.example/?a=1"
        )
        assert reply.ephemeral
        assert reply.shown == "*Available*\nPress"
        typed = "thanks <@U2|bob> &amp; <#C1|general> &lt;b&gt; see <https://x.example/?a=1>"
        assert bot.texts == [typed]
        assert reply.latency < 0.4
        assert [ack.late for ack in slack.acks] == [False]
        assert slack.messages("C1") == []
    assert slack.violations == []


async def test_a_command_is_answered_later_by_its_response_url(slack: FakeSlack) -> None:
    async with connected(slack):
        reply = await slack.command("U1", "/whosin")
        assert (reply.text, reply.ephemeral) == ("Nobody yet", False)
        assert slack.messages("C1") == [reply.message]
    assert slack.violations == []


async def test_a_button_of_an_ephemeral_reply_replaces_it(slack: FakeSlack) -> None:
    async with connected(slack):
        reply = await slack.command("U1", "/available")
        changed = await slack.click("U1", reply, action_id="sign_off")
        assert changed.message is reply.message
        assert changed.shown == "You are Offline."
        with pytest.raises(AssertionError, match="nothing to click"):
            await slack.click("U1", changed, action_id="sign_off")
    assert slack.violations == []


async def test_a_modal_is_opened_and_sent_off(slack: FakeSlack) -> None:
    async with connected(slack):
        reply = await slack.command("U1", "/settings")
        assert reply.view is not None
        assert reply.shown == "Zone"
        outcome = await slack.submit("U1", reply.view, {"zone": {}})
        assert outcome.body == {"response_action": "errors", "errors": {"zone": "No such zone"}}
        home = await slack.open_home("U2")
        assert home.shown == "Welcome <@U2>"
    assert slack.violations == []


async def test_a_command_not_acknowledged_in_time_shows_an_error(slack: FakeSlack) -> None:
    async with connected(slack):
        reply = await slack.command("U1", "/sleepy")
        assert reply.error == "operation_timeout"
        assert slack.errors_shown == ['U1: /sleepy failed with the error "operation_timeout"']
        await slack.wait_for(lambda: slack.acks or None, "the late acknowledgement")
        assert slack.acks[0].late
        assert slack.ephemeral_messages("U1") == []


async def test_a_command_without_any_socket_fails_at_once(slack: FakeSlack) -> None:
    assert (await slack.command("U1", "/available")).error == "dispatch_failed"


async def test_a_member_who_changes_is_told_as_an_event(slack: FakeSlack) -> None:
    async with connected(slack) as bot:
        delivery = await slack.user_changed("U1", tz="Asia/Tokyo")
        assert delivery.acked
        assert bot.events == [(delivery.event_id, "Asia/Tokyo")]
        assert (await bot.app.client.users_info(user="U1"))["user"]["tz"] == "Asia/Tokyo"
    assert slack.violations == []


async def test_an_event_that_nobody_acknowledges_comes_again_with_its_id(slack: FakeSlack) -> None:
    async with connected(slack):
        delivery = await slack.event("team_join", user={"id": "U2"})
        await asyncio.wait_for(delivery.finished.wait(), 2.0)
        assert not delivery.acked
        sent = [envelope.body for envelope in slack.sockets.envelopes]
        assert [(one["retry_attempt"], one["retry_reason"]) for one in sent] == [
            (0, ""),
            (1, "timeout"),
            (2, "timeout"),
        ]
        assert {one["payload"]["event_id"] for one in sent} == {delivery.event_id}
        assert len({one["envelope_id"] for one in sent}) == 3


async def test_the_same_envelope_can_come_three_times(slack: FakeSlack) -> None:
    """Bolt removes no duplicates: each delivery is carried out, and each is acknowledged."""
    async with connected(slack) as bot:
        await slack.user_changed("U1", tz="Asia/Tokyo")
        await slack.redeliver(times=2)
        assert len(bot.events) == 3
        assert [len(one.acks) for one in slack.sockets.envelopes] == [3]
        await slack.command("U1", "/available")
        await slack.redeliver()
        assert len(slack.ephemeral_messages("U1")) == 2
    assert slack.violations == []


async def test_events_can_come_late_and_out_of_order(slack: FakeSlack) -> None:
    async with connected(slack) as bot:
        slack.hold_envelopes()
        first = asyncio.create_task(slack.user_changed("U1", tz="Asia/Tokyo"))
        await slack.wait_for(lambda: len(slack.sockets.held or []) == 1 or None, "one held")
        second = asyncio.create_task(slack.user_changed("U1", tz="Europe/Rome"))
        await slack.wait_for(lambda: len(slack.sockets.held or []) == 2 or None, "two held")
        assert bot.events == []
        await slack.release_envelopes(reverse=True)
        await asyncio.gather(first, second)
        zones = [zone for _, zone in bot.events]
        assert zones == ["Europe/Rome", "Asia/Tokyo"]


async def test_a_client_asked_to_refresh_connects_anew(slack: FakeSlack) -> None:
    async with connected(slack):
        await slack.disconnect_sockets("refresh_requested")
        await slack.wait_for(lambda: slack.sockets.opened == 2 or None, "a second connection")
        await slack.wait_for_connection()
        assert (await slack.command("U1", "/available")).shown
    assert slack.violations == []


async def test_a_warning_comes_before_the_end_of_a_connection(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json()
        await slack.disconnect_sockets("warning", grace=0.1)
        assert (await socket.receive_json())["reason"] == "warning"
        event = asyncio.create_task(slack.event("user_change", user={"id": "U1"}))
        await socket.send_json({"envelope_id": (await socket.receive_json())["envelope_id"]})
        assert (await event).acked
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_member_of_another_workspace_writes_from_there(slack: FakeSlack) -> None:
    slack.add_workspace("T2", "Beta", enterprise_id="E1")
    slack.add_user("U9", "zoe", team="T2")
    async with connected(slack):
        await slack.command("U9", "/whosin")
        payload = slack.sockets.envelopes[-1].body["payload"]
        assert (payload["team_id"], payload["channel_id"], payload["enterprise_id"]) == ("T2", "C2", "E1")
        assert [one.text for one in slack.messages("C2")] == ["Nobody yet"]
        await slack.command("U9", "/available", channel="direct")
        assert slack.sockets.envelopes[-1].body["payload"]["channel_name"] == "directmessage"


async def test_a_dropped_socket_is_replaced_through_refusals(slack: FakeSlack) -> None:
    async with connected(slack, ping_interval=0.1):
        slack.refuse_sockets(2)
        assert slack.drop_sockets() == 1
        await slack.wait_for(lambda: slack.sockets.opened == 2 or None, "a second connection")
        assert slack.sockets.refusals == 0
        assert (await slack.command("U1", "/available")).error is None


async def test_a_frozen_socket_stays_open_and_says_nothing(slack: FakeSlack) -> None:
    """What is sent to it is lost; the client notices by missing pongs alone, and connects anew."""
    async with connected(slack, ping_interval=0.1) as bot:
        slack.freeze_sockets()
        assert (await slack.command("U1", "/available")).error == "operation_timeout"
        assert bot.texts == []
        await slack.wait_for(lambda: slack.sockets.opened >= 2 or None, "a second connection")
        await slack.wait_for_connection()
        assert (await slack.command("U1", "/available")).error is None


async def test_a_thawed_socket_works_again(slack: FakeSlack) -> None:
    async with connected(slack, ping_interval=30):
        slack.freeze_sockets()
        assert (await slack.command("U1", "/available")).error == "operation_timeout"
        slack.thaw()
        assert (await slack.command("U1", "/available")).error is None
        assert slack.sockets.opened == 1


async def test_hello_tells_how_many_connections_there_are_and_the_eleventh_is_sent_away(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = []
        for number in range(1, 12):
            url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
            socket = await session.ws_connect(url)
            sockets.append(socket)
            hello = await socket.receive_json()
            if number <= 10:
                assert (hello["type"], hello["num_connections"]) == ("hello", number)
                assert hello["connection_info"] == {"app_id": slack.app_id}
            else:
                assert (hello["type"], hello["reason"]) == ("disconnect", "too_many_websockets")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        seen: set[int] = set()
        for _ in range(10):
            task = asyncio.create_task(slack.event("user_change", user={"id": "U1"}))
            index, envelope = await first_text(sockets[:10])
            seen.add(index)
            await sockets[index].send_json({"envelope_id": envelope["envelope_id"]})
            assert (await task).acked
        assert len(seen) == 10
        for socket in sockets:
            await socket.close()


async def first_text(sockets: list[aiohttp.ClientWebSocketResponse]) -> tuple[int, Json]:
    """The first payload on any of the sockets, and which one brought it."""
    waits = {asyncio.create_task(socket.receive()): index for index, socket in enumerate(sockets)}
    done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=2.0)
    for wait in rest:
        wait.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    [got] = done
    return waits[got], json.loads(got.result().data)


async def test_wrong_acknowledgements_are_remembered(slack: FakeSlack, client: AsyncWebClient) -> None:
    url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json()
        await socket.send_json({"envelope_id": "nobody's"})
        await socket.send_str("ok")
        event = asyncio.create_task(slack.event("user_change", user={"id": "U1"}))
        envelope = await socket.receive_json()
        for _ in range(2):
            await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "hi"}})
        await event
        await slack.wait_for(lambda: len(slack.violations) >= 5 or None, "five violations")
    assert [one.split(": ", 1)[1] for one in slack.violations] == [
        'acknowledged unknown envelope "nobody\'s"',
        "an answer that is not JSON",
        "events_api takes no payload in its acknowledgement",
        "events_api takes no payload in its acknowledgement",
        "events_api acknowledged more often than it was sent",
    ]


async def test_an_app_that_is_removed_is_told_and_its_token_is_dead(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    async with connected(slack):
        removed = await slack.uninstall(tokens_first=False)
        kinds = [one.body["payload"]["event"]["type"] for one in slack.sockets.envelopes]
        assert kinds[0] == "app_uninstalled"
        assert len(removed) == 2
    assert await error_of(client.auth_test()) == "account_inactive"


async def test_the_same_app_works_behind_a_request_url(slack: FakeSlack) -> None:
    async with serving(slack) as bot:
        assert await slack.verify_url()
        reply = await slack.command("U1", "/available", "hi @bob")
        assert bot.texts == ["hi <@U2|bob>"]
        changed = await slack.click("U1", reply, action_id="sign_off")
        assert changed.shown == "You are Offline."
        assert (await slack.command("U1", "/whosin")).text == "Nobody yet"
        assert (await slack.user_changed("U1", tz="Asia/Tokyo")).acked
        assert (await slack.command("U1", "/sleepy")).error == "operation_timeout"
    assert slack.violations == []


async def test_hostile_requests_carry_out_nothing(slack: FakeSlack) -> None:
    """Bolt's own verifier raises on two of them (platform note): an adapter has to answer 401 itself."""
    async with serving(slack) as bot:
        answers = {variant: (await slack.send_hostile(variant)).status for variant in HOSTILE}
        assert bot.texts == []
    refused = {variant for variant, status in answers.items() if status == 401}
    assert refused >= {"stale", "from_the_future", "wrong_secret", "signature_of_another_body", "unsigned"}
    assert 200 not in answers.values()


async def test_http_events_are_retried_with_headers_until_they_are_taken(slack: FakeSlack) -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def endpoint(request: web.Request) -> web.Response:
        headers = request.headers
        seen.append((headers.get("X-Slack-Retry-Num"), headers.get("X-Slack-Retry-Reason")))
        return web.Response(status=200 if len(seen) == 3 else 500)

    app = web.Application()
    app.router.add_post("/", endpoint)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    delivery = await slack.event("user_change", user={"id": "U1"})
    await asyncio.wait_for(delivery.finished.wait(), 2.0)
    await runner.cleanup()
    assert delivery.acked
    assert seen == [(None, None), ("1", "http_error"), ("2", "http_error")]


async def test_a_response_url_works_five_times_in_thirty_minutes() -> None:
    now = [1_800_000_000.0]
    async with FakeSlack(clock=lambda: now[0]) as slack:
        slack.add_user("U1")
        made = [slack.responses.new("commands", "T1", "C1", "U1", None) for _ in range(2)]
        first, second = (AsyncWebhookClient(slack.responses.base + url.path) for url in made)
        for number in range(5):
            assert (await first.send(text=f"answer {number}")).status_code == 200
        used_up = await first.send(text="one more")
        assert (used_up.status_code, used_up.body) == (404, '{"ok": false, "error": "used_url"}')
        now[0] += 30 * 60 + 1
        assert "expired_url" in (await second.send(text="late")).body
        assert len(slack.ephemeral_messages("U1")) == 5
        assert len(slack.violations) == 2


async def test_a_response_url_checks_its_body(slack: FakeSlack) -> None:
    url = slack.responses.base + slack.responses.new("commands", "T1", "C1", "U1", None).path
    webhook = AsyncWebhookClient(url)
    assert (await webhook.send(response_type="loud", text="x")).status_code == 400
    assert (await webhook.send_dict({"text": "x", "channel": "C2"})).status_code == 400
    assert (await webhook.send(text="x", blocks=[section("x")] * 51)).status_code == 400
    assert len(slack.violations) == 3
    assert slack.ephemeral_messages("U1") == []


async def test_a_response_url_replaces_and_deletes_what_it_said(slack: FakeSlack) -> None:
    url = slack.responses.base + slack.responses.new("commands", "T1", "C1", "U1", None).path
    webhook = AsyncWebhookClient(url)
    await webhook.send(text="one")
    await webhook.send(text="two", replace_original=True)
    assert [one.text for one in slack.ephemeral_messages("U1")] == ["two"]
    await webhook.send(delete_original=True)
    assert slack.ephemeral_messages("U1") == []


async def test_after_an_install_only_what_the_manifest_names_exists(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    slack.install(manifest(should_escape=False))
    async with connected(slack) as bot:
        await slack.command("U1", "/available", "hi @bob")
        assert bot.texts == ["hi @bob"]
        assert (await slack.command("U1", "/whosin")).error == "invalid_command"
        assert not (await slack.event("team_join", user={"id": "U2"})).acked
    assert await error_of(client.dnd_teamInfo(users="U1")) == "missing_scope"
    with pytest.raises(AssertionError, match="kept by Slack"):
        slack.install(manifest(command="/dnd"))
