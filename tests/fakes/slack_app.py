"""A small app on the real Bolt, and blocks for it: what the fake Slack's own tests are tried with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from fakes.slack import FakeSlack
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

Json = dict[str, Any]


@asynccontextmanager
async def quick_slack() -> AsyncIterator[FakeSlack]:
    """A fake with two members, whose deadlines and retries don't take a test's time."""
    async with FakeSlack(ack_deadline=0.4, patience=2.0, ping_interval=0.2, retry_delays=(0.0, 0.05)) as fake:
        fake.add_user("U1", "maria", tz="Europe/Berlin", email="maria@acme.example", is_admin=True)
        fake.add_user("U2", "bob")
        yield fake


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
