"""The fake's Web API holds real, unmodified clients to Slack's documentation."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fakes.slack import FakeSlack
from fakes.slack_app import (
    Json,
    actions,
    button,
    error_of,
    modal,
    quick_slack,
    section,
)
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with quick_slack() as fake:
        yield fake


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.base_url, retry_handlers=[])


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


async def test_a_slow_method_can_fail_too(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.slow("*", 0.05)
    slack.fail("auth.test", error="fatal_error")
    began = time.monotonic()
    assert await error_of(client.auth_test()) == "fatal_error"
    assert time.monotonic() - began >= 0.05


async def test_a_body_that_is_no_json_is_refused(slack: FakeSlack) -> None:
    headers = {"Authorization": f"Bearer {slack.bot_token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session:
        answer = await session.post(slack.base_url + "chat.postMessage", data=b"{", headers=headers)
        assert await answer.json() == {"ok": False, "error": "invalid_json"}
    assert len(slack.violations) == 1


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
