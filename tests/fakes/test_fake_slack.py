"""The fake Slack holds real, unmodified clients to Slack's documentation."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fakes.slack import HOSTILE, RESERVED_COMMANDS, FakeSlack, validate_manifest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

Json = dict[str, Any]


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(ack_deadline=0.4, patience=2.0, ping_interval=0.2, retry_delays=(0.0, 0.05)) as fake:
        fake.add_user("U1", "maria", tz="Europe/Berlin", email="maria@acme.example", is_admin=True)
        fake.add_user("U2", "bob")
        yield fake


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.base_url, retry_handlers=[])


@dataclass
class Bot:
    """An app under test, and what reached it."""

    app: AsyncApp
    events: list[tuple[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def bolt(slack: FakeSlack) -> Bot:
    """An app with a command, a button, a modal and an event, as an adapter would have them."""
    app = AsyncApp(
        client=AsyncWebClient(token=slack.bot_token, base_url=slack.base_url),
        signing_secret=slack.signing_secret,
        process_before_response=True,
    )
    bot = Bot(app)

    @app.command("/available")
    async def available(ack: Any, command: Json) -> None:
        bot.texts.append(command["text"])
        await ack(text="You are Available.", blocks=[section("*Available*"), actions(button("sign_off"))])

    @app.command("/whosin")
    async def whosin(ack: Any, respond: Any) -> None:
        await ack()
        await respond("Nobody yet", response_type="in_channel")

    @app.command("/sleepy")
    async def sleepy(ack: Any) -> None:
        await asyncio.sleep(0.6)
        await ack("too late")

    @app.command("/settings")
    async def settings(ack: Any, body: Json) -> None:
        await ack()
        await app.client.views_open(trigger_id=body["trigger_id"], view=modal())

    @app.view("settings")
    async def saved(ack: Any) -> None:
        await ack(response_action="errors", errors={"zone": "No such zone"})

    @app.action("sign_off")
    async def sign_off(ack: Any, respond: Any) -> None:
        await ack()
        await respond("You are Offline.", replace_original=True)

    @app.event("user_change")
    async def changed(event: Json, body: Json) -> None:
        bot.events.append((body["event_id"], event["user"]["tz"]))

    @app.event("app_home_opened")
    async def home(event: Json) -> None:
        view = {"type": "home", "blocks": [section(f"Welcome <@{event['user']}>")]}
        await app.client.views_publish(user_id=event["user"], view=view)

    return bot


@asynccontextmanager
async def connected(slack: FakeSlack, ping_interval: float = 0.5) -> AsyncIterator[Bot]:
    bot = bolt(slack)
    handler = AsyncSocketModeHandler(
        bot.app, slack.app_token, web_client=bot.app.client, ping_interval=ping_interval
    )
    await handler.connect_async()  # type: ignore[no-untyped-call]
    await slack.wait_for_connection()
    try:
        yield bot
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def serving(slack: FakeSlack) -> AsyncIterator[Bot]:
    """The same app behind a request URL."""
    bot = bolt(slack)

    async def endpoint(request: web.Request) -> web.Response:
        headers: dict[str, str | Sequence[str]] = {
            name.lower(): [value] for name, value in request.headers.items()
        }
        bolt_request = AsyncBoltRequest(body=await request.text(), headers=headers)
        answer = await bot.app.async_dispatch(bolt_request)
        content_type = answer.headers.get("content-type", ["text/plain"])[0]
        return web.Response(status=answer.status, text=answer.body, headers={"Content-Type": content_type})

    server = web.Application()
    server.router.add_post("/slack/events", endpoint)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        yield bot
    finally:
        await runner.cleanup()


def section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(action_id: str, text: str = "Press", value: str = "1") -> Json:
    label = {"type": "plain_text", "text": text}
    return {"type": "button", "action_id": action_id, "text": label, "value": value}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def modal() -> Json:
    title = {"type": "plain_text", "text": "Settings"}
    return {"type": "modal", "callback_id": "settings", "title": title, "blocks": [section("Zone")]}


def manifest(**command: Any) -> Json:
    commands = [{"command": "/available", "description": "Take chats", "should_escape": True} | command]
    return {
        "display_information": {"name": "Rollcall"},
        "features": {"bot_user": {"display_name": "rollcall"}, "slash_commands": commands},
        "oauth_config": {"scopes": {"bot": ["commands", "chat:write", "users:read", "im:write"]}},
        "settings": {
            "socket_mode_enabled": True,
            "event_subscriptions": {"bot_events": ["user_change"]},
            "interactivity": {"is_enabled": True},
        },
    }


async def error_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


# The Web API


async def test_a_client_learns_who_it_is_and_what_it_may(slack: FakeSlack, client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert (answer["team_id"], answer["user_id"], answer["bot_id"]) == ("T1", "UBOT1", "B1")
    assert "users:read" in answer.headers["x-oauth-scopes"]
    assert (await client.bots_info(bot="B1"))["bot"]["user_id"] == "UBOT1"
    assert slack.violations == []


async def test_presence_of_others_is_only_active_or_away(slack: FakeSlack, client: AsyncWebClient) -> None:
    assert (await client.users_getPresence(user="U1")).data == {"ok": True, "presence": "away"}
    slack.set_presence("U1", "active")
    assert (await client.users_getPresence(user="U1"))["presence"] == "active"
    assert "connection_count" in (await client.api_call("users.getPresence")).data
    assert await error_of(client.users_getPresence(user="U404")) == "user_not_found"


async def test_users_come_as_slack_shows_them(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.add_user("W3", "guest", is_restricted=True, is_ultra_restricted=True)
    slack.add_user("U4", "stranger", is_stranger=True)
    slack.add_user("U5", "gone", deleted=True)
    maria = (await client.users_info(user="U1"))["user"]
    assert (maria["tz"], maria["is_admin"], maria["profile"]["email"]) == (
        "Europe/Berlin",
        True,
        "maria@acme.example",
    )
    assert (await client.users_info(user="W3"))["user"]["is_ultra_restricted"]
    stranger = (await client.users_info(user="U4"))["user"]
    assert stranger["is_stranger"]
    assert "tz" not in stranger
    assert "is_admin" not in (await client.users_info(user="U5"))["user"]


async def test_users_are_listed_page_by_page(slack: FakeSlack, client: AsyncWebClient) -> None:
    for number in range(10, 15):
        slack.add_user(f"U{number}")
    pages = [page["members"] async for page in await client.users_list(limit=3)]
    assert [len(page) for page in pages] == [3, 3, 2]
    assert len({user["id"] for page in pages for user in page}) == 8
    assert await error_of(client.users_list(cursor="!!")) == "invalid_cursor"


async def test_an_email_is_told_only_with_its_scope(slack: FakeSlack) -> None:
    beta = slack.add_workspace("T2", "Beta", scopes=frozenset({"users:read"}))
    slack.add_user("U9", "zoe", team="T2", email="zoe@beta.example")
    client = AsyncWebClient(token=beta.bot_token, base_url=slack.base_url)
    assert "email" not in (await client.users_info(user="U9"))["user"]["profile"]
    assert await error_of(client.users_info(user="U1")) == "user_not_found"
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel="C2", text="Hi")
    assert refused.value.response["error"] == "missing_scope"
    assert refused.value.response["needed"] == "chat:write"


async def test_a_message_is_posted_changed_and_deleted(slack: FakeSlack, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel="#general", text="Hi", blocks=[section("*Hi*")])
    assert slack.messages("C1")[0].shown == "*Hi*"
    await client.chat_update(channel=posted["channel"], ts=posted["ts"], text="Changed")
    [message] = slack.messages("C1")
    assert (message.shown, message.blocks, message.edits) == ("Changed", [], 1)
    await client.chat_delete(channel="C1", ts=posted["ts"])
    assert slack.messages("C1") == []
    assert await error_of(client.chat_update(channel="C1", ts=posted["ts"], text="x")) == "message_not_found"


async def test_a_direct_message_reaches_one_person(slack: FakeSlack, client: AsyncWebClient) -> None:
    opened = await client.conversations_open(users=["U1"])
    again = await client.conversations_open(users="U1", return_im=True)
    assert (again["already_open"], again["channel"]["id"]) == (True, opened["channel"]["id"])
    await client.chat_postMessage(channel=opened["channel"]["id"], text="I'm available?")
    await client.chat_postMessage(channel="U1", text="by member id")
    assert [one.text for one in slack.direct_messages("U1")] == ["I'm available?", "by member id"]
    assert slack.direct_messages("U2") == []
    slack.workspace.messages_tab_enabled = False
    assert await error_of(client.chat_postMessage(channel="U1", text="x")) == "messages_tab_disabled"


async def test_where_the_bot_may_not_write_slack_says_why(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.add_channel("C7", "closed", bot_in_it=False)
    slack.add_channel("C8", "secret", bot_in_it=False, is_private=True)
    slack.add_channel("C9", "old", is_archived=True)
    slack.add_user("U5", "gone", deleted=True)
    assert await error_of(client.chat_postMessage(channel="C7", text="x")) == "not_in_channel"
    assert await error_of(client.chat_postMessage(channel="C8", text="x")) == "channel_not_found"
    assert await error_of(client.chat_postMessage(channel="C9", text="x")) == "is_archived"
    assert await error_of(client.conversations_open(users="U5")) == "user_disabled"
    assert slack.violations == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({}, "no_text"),
        ({"text": "x", "blocks": [section("x")] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x" * 3001)]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn"}}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x") | {"colour": "red"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "sect"}]}, "invalid_blocks"),
        (
            {"text": "x", "blocks": [{"type": "section", "fields": [section("x")["text"]] * 11}]},
            "invalid_blocks",
        ),
        (
            {
                "text": "x",
                "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
            },
            "invalid_blocks",
        ),
        (
            {"text": "x", "blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]},
            "invalid_blocks",
        ),
        ({"text": "x", "blocks": [actions(*[button(f"a{n}") for n in range(26)])]}, "invalid_blocks"),
        (
            {"text": "x", "blocks": [{"type": "context", "elements": [section("x")["text"]] * 11}]},
            "invalid_blocks",
        ),
        ({"text": "x", "blocks": [actions(button("a", text="x" * 76))]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button("a", value="x" * 2001))]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button("a"), button("a"))]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button("a") | {"style": "blue"})]}, "invalid_blocks"),
        (
            {"text": "x", "blocks": [section("x") | {"block_id": "b"}, section("y") | {"block_id": "b"}]},
            "invalid_blocks",
        ),
        ({"text": "x", "blocks": "not json"}, "invalid_blocks_format"),
        ({"text": "x", "icon": "smile"}, "invalid_arg_name"),
        ({"text": "x", "mrkdwn": "perhaps"}, "invalid_arguments"),
    ],
)
async def test_a_body_outside_the_documented_limits_is_refused_and_remembered(
    slack: FakeSlack, client: AsyncWebClient, body: Json, error: str
) -> None:
    assert await error_of(client.api_call("chat.postMessage", json={"channel": "C1"} | body)) == error
    assert len(slack.violations) == 1
    assert slack.messages("C1") == []


async def test_a_body_exactly_at_the_limits_is_taken(slack: FakeSlack, client: AsyncWebClient) -> None:
    text = {"type": "mrkdwn", "text": "x" * 2000}
    full: list[Json] = [
        section("x" * 3000),
        {"type": "section", "fields": [text] * 10},
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 150}},
        actions(*[button(f"a{n}", text="x" * 75, value="x" * 2000) for n in range(25)]),
        {"type": "context", "elements": [text] * 10},
    ]
    await client.chat_postMessage(channel="C1", text="x" * 40_000, blocks=full + [{"type": "divider"}] * 45)
    assert slack.violations == []


async def test_an_unknown_method_is_refused_and_remembered(slack: FakeSlack, client: AsyncWebClient) -> None:
    assert await error_of(client.api_call("users.setEverything")) == "unknown_method"
    assert slack.violations == ["users.setEverything: no such method"]


async def test_bad_tokens_are_told_apart(slack: FakeSlack, client: AsyncWebClient) -> None:
    wrong = AsyncWebClient(token="xoxb-wrong", base_url=slack.base_url)
    assert await error_of(wrong.auth_test()) == "invalid_auth"
    assert await error_of(AsyncWebClient(base_url=slack.base_url).auth_test()) == "not_authed"
    app_level = AsyncWebClient(token=slack.app_token, base_url=slack.base_url)
    assert await error_of(app_level.users_info(user="U1")) == "not_allowed_token_type"
    assert await error_of(client.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
    slack.revoke_token()
    assert await error_of(client.auth_test()) == "token_revoked"
    slack.restore_token()
    assert (await client.auth_test())["ok"]


async def test_a_told_429_is_obeyed_by_the_clients_retry_handler(slack: FakeSlack) -> None:
    handler = AsyncRateLimitErrorRetryHandler(max_retry_count=2)
    client = AsyncWebClient(token=slack.bot_token, base_url=slack.base_url, retry_handlers=[handler])
    slack.rate_limit("users.getPresence", retry_after=1)
    began = time.monotonic()
    await client.users_getPresence(user="U1")
    assert 1.0 <= time.monotonic() - began < 2.0
    assert [call.status for call in slack.calls("users.getPresence")] == [429, 200]
    assert slack.impatient_calls == []


async def test_the_51st_presence_poll_of_a_minute_is_limited() -> None:
    """Tier 3 is fifty a minute; a client that does not wait is remembered; a minute later all is well."""
    now = [1_800_000_000.0]
    async with FakeSlack(clock=lambda: now[0]) as slack:
        slack.add_user("U1")
        slack.enforce_rate_limits()
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.base_url, retry_handlers=[])
        for _ in range(50):
            await client.users_getPresence(user="U1")
        with pytest.raises(SlackApiError) as limited:
            await client.users_getPresence(user="U1")
        assert limited.value.response["error"] == "ratelimited"
        assert limited.value.response.status_code == 429
        assert limited.value.response.headers["Retry-After"] == "60"
        now[0] += 30
        assert await error_of(client.users_getPresence(user="U1")) == "ratelimited"
        assert len(slack.impatient_calls) == 1
        now[0] += 31
        assert (await client.users_getPresence(user="U1"))["ok"]


async def test_injected_faults_end_when_they_were_told_to(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.fail("users.info", status=503)
    with pytest.raises(SlackApiError) as failed:
        await client.users_info(user="U1")
    assert failed.value.response.status_code == 503
    slack.fail("users.info", error="fatal_error")
    assert await error_of(client.users_info(user="U1")) == "fatal_error"
    slack.cut("users.info", times=2)
    with pytest.raises(aiohttp.ClientError):
        await client.users_info(user="U1")
    slack.slow("users.info", 0.2)
    began = time.monotonic()
    await client.users_info(user="U1")
    assert time.monotonic() - began >= 0.2
    slack.heal()
    assert (await client.users_info(user="U1"))["ok"]


async def test_dnd_and_user_groups_answer_as_documented(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.user("U1").dnd = (100.0, 200.0)
    people = (await client.dnd_teamInfo(users=["U1", "U2"]))["users"]
    assert people["U1"] == {"dnd_enabled": True, "next_dnd_start_ts": 100, "next_dnd_end_ts": 200}
    assert people["U2"]["dnd_enabled"] is False
    assert await error_of(client.dnd_teamInfo(users=[f"U{n}" for n in range(51)])) == "too_many_users"
    slack.workspace.groups["S1"] = {"U1"}
    await client.usergroups_users_update(usergroup="S1", users=["U2"])
    assert (await client.usergroups_users_list(usergroup="S1"))["users"] == ["U2"]
    [group] = (await client.usergroups_list(include_users=True))["usergroups"]
    assert group["users"] == ["U2"]


async def test_views_keep_to_their_limits(slack: FakeSlack, client: AsyncWebClient) -> None:
    home = {"type": "home", "blocks": [section("x")] * 100}
    published = await client.views_publish(user_id="U1", view=home)
    too_many = {"type": "home", "blocks": [section("x")] * 101}
    assert await error_of(client.views_publish(user_id="U1", view=too_many)) == "invalid_arguments"
    too_large = {"type": "home", "blocks": [section("x" * 3000)] * 90}
    assert await error_of(client.views_publish(user_id="U1", view=too_large)) == "view_too_large"
    stale = client.views_publish(user_id="U1", view=home, hash="0.0")
    assert await error_of(stale) == "hash_conflict"
    await client.views_update(
        view_id=published["view"]["id"], view={"type": "home", "blocks": [section("y")]}
    )
    assert await error_of(client.views_open(trigger_id="1.2.3", view=modal())) == "invalid_trigger_id"


def test_mentions_that_would_notify_are_found() -> None:
    """In marked-up text they ping; in plain text, and escaped, they don't."""
    slack = FakeSlack()
    plain = {"type": "header", "text": {"type": "plain_text", "text": "<!channel>"}}
    body = {"text": "&lt;!channel&gt;", "blocks": [plain, section("<!here> and <@U1>")]}
    slack.world.post(slack.workspace, "C1", body, "chat.postMessage")
    assert slack.pings() == ["<!here>", "<@U1>"]


# Socket Mode


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


# HTTP


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


# Response URLs


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


# The manifest


def test_a_good_manifest_has_nothing_wrong() -> None:
    assert validate_manifest(manifest()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"command": "/away"}, "kept by Slack"),
        ({"command": "/" + "x" * 32}, "33 characters"),
        ({"command": "available"}, "is not /"),
        ({"command": "/Available now"}, "lower-case"),
        ({"description": "x" * 2001}, "2001 characters"),
        ({"description": ""}, "0 characters"),
        ({"usage_hint": "x" * 1001}, "1001 characters"),
        ({"hint": "x"}, "unknown key 'hint'"),
    ],
)
def test_a_command_that_slack_would_refuse_is_named(change: Json, complaint: str) -> None:
    [problem] = validate_manifest(manifest(**change))
    assert complaint in problem


def test_limits_and_keys_of_the_whole_manifest_are_checked() -> None:
    many = manifest()
    many["features"]["slash_commands"] = [
        {"command": f"/c{number}", "description": "x"} for number in range(51)
    ]
    assert validate_manifest(many) == ["features.slash_commands has 51, 1 to 50"]
    long = manifest() | {"display_information": {"name": "x" * 36}}
    assert validate_manifest(long) == ["display_information.name has 36 characters, 1 to 35"]
    unknown = manifest() | {"oauth": {}}
    unknown["oauth_config"]["scopes"]["bot"].append("users:everything")
    assert validate_manifest(unknown) == [
        "manifest has unknown key 'oauth'",
        "oauth_config.scopes.bot has unknown 'users:everything'",
    ]
    over_http = manifest()
    over_http["settings"]["socket_mode_enabled"] = False
    assert len(validate_manifest(over_http)) == 3
    assert "/who" in RESERVED_COMMANDS


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
