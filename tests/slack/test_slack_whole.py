"""The adapter with the real core, on a real database, mounted in Rollcall's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.slack import FakeSlack
from slack_house import eventually

from adapters.slack.manifest import manifest
from bot.config import Config
from bot.wiring import Program, open_program


def config(slack: FakeSlack, folder: Path, mode: str) -> Config:
    return Config.model_validate(
        {
            "database": {"url": f"sqlite:///{folder / 'rollcall.sqlite3'}", "durability": "normal"},
            "http": {"port": 0},
            "slack": {
                "bot_token": slack.bot_token,
                "app_token": slack.app_token,
                "signing_secret": slack.signing_secret,
                "mode": mode,
                "base_url": slack.base_url,
            },
        }
    )


@asynccontextmanager
async def program(slack: FakeSlack, folder: Path, mode: str) -> AsyncIterator[Program]:
    """Rollcall at work in this process, Slack signed in."""
    made = open_program(config(slack, folder, mode))
    stop, started = asyncio.Event(), asyncio.Event()
    signed_in = len(slack.calls("auth.test"))
    work = asyncio.create_task(made.run(stop, lambda _: started.set()))
    try:
        await asyncio.wait_for(started.wait(), 10)
        assert made.http is not None
        if mode == "http":
            slack.request_url = f"{made.http.address}/slack/events"
        else:
            await slack.wait_for_connection()
        await slack.wait_for_call("auth.test", signed_in + 1)
        yield made
    finally:
        stop.set()
        await asyncio.wait_for(work, 10)


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_a_day_in_slack_with_the_real_core(tmp_path: Path, mode: str) -> None:
    """Enrolled by a first command, seen by polling, away and back by button, over a restart."""
    async with FakeSlack() as slack:
        slack.install(manifest(config(slack, tmp_path, "socket")))
        slack.add_user("U1", "maria", presence="active", tz="Europe/Berlin")
        slack.add_user("U9", "guest", is_restricted=True)
        async with program(slack, tmp_path, mode) as rollcall:
            reply = await slack.command("U1", "/available")
            assert "vailable" in reply.shown
            await eventually(
                lambda: "U1" in [call.arguments.get("user") for call in slack.calls("users.getPresence")]
            )
            assert "maria" in (await slack.command("U1", "/whosin")).shown
            await slack.redeliver()
            refused = await slack.command("U9", "/available")
            assert "maria" not in refused.shown
            away = await slack.command("U1", "/brb", "30m *lunch* <!channel>")
            assert "Away" in away.shown
            (agent_id,) = [row.agent.id for row in rollcall.core.roster.rows(rollcall.clock.now())]
            assert agent_id.startswith("agt_")
        async with program(slack, tmp_path, mode):
            back = await slack.click("U1", away, text="I'm back")
            assert "vailable" in back.shown
            assert "Away" not in (await slack.command("U1", "/presence", "me")).shown.split("\n")[0]
        assert slack.violations == []
        assert slack.pings() == []
        assert slack.errors_shown == []
