"""Slack and Discord in one program: one roster, and the trouble of one never touches the other."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from discord_scene import DiscordScene, discord_scene
from fakes.discord_model import User as DiscordUser
from fakes.slack import User as SlackUser
from slack_scene import HOUR, MINUTE, SlackScene, slack_scene
from whole_program import WholeProgram

HANGS = 3.0
"""Seconds for which a hanging platform holds each answer back: three times what the other may take."""
BERLIN = ZoneInfo("Europe/Berlin")


class Both(NamedTuple):
    """Both platforms, and somebody available in each."""

    discord: DiscordScene
    slack: SlackScene
    dora: DiscordUser
    sam: SlackUser

    @property
    def program(self) -> WholeProgram:
        return self.discord.program

    async def both_available(self) -> None:
        await self.discord.ready()
        await self.slack.ready()
        await self.in_discord("available")
        await self.in_slack("available")

    async def in_discord(self, command: str) -> str:
        """What a command in Discord is answered, within a second."""
        began = time.perf_counter()
        reply = await self.discord.say(self.dora, command)
        assert time.perf_counter() - began < 1
        return reply.text.replace("\\", "")

    async def in_slack(self, command: str, text: str = "") -> str:
        """What a command in Slack is answered, within a second."""
        began = time.perf_counter()
        reply = await self.slack.say(self.sam, command, text)
        assert time.perf_counter() - began < 1
        return reply.shown

    async def api(self) -> set[str]:
        """Who is routable, answered within half a second."""
        began = time.perf_counter()
        names = await self.program.routable()
        assert time.perf_counter() - began < 0.5
        return names


@asynccontextmanager
async def both_scene(folder: Path) -> AsyncIterator[Both]:
    async with discord_scene(folder) as discord, slack_scene(discord.program) as slack:
        yield Both(discord, slack, discord.agent("Dora"), slack.member("sam"))


async def test_two_platforms_are_one_roster(tmp_path: Path) -> None:
    """Who is in Discord is seen in Slack, and the other way round, through a restart."""
    async with both_scene(tmp_path) as both, both.program:
        await both.both_available()
        assert await both.discord.seen(both.dora, "sam") == "available"
        assert await both.slack.seen(both.sam, "Dora") == "available"
        await both.in_slack("brb", "30m lunch")
        assert await both.discord.seen(both.dora, "sam") == "away"
        identifies = both.discord.fake.identifies
        await both.slack.restart(kill=True)
        await both.discord.fake.connected(identifies=identifies + 1)
        await both.discord.feed("live")
        assert await both.discord.seen(both.dora, "sam") == "away"
        await both.discord.advance(31 * MINUTE)
        await both.slack.word(both.sam, "Your time away is over")
        await both.discord.agrees(both.dora, "sam", "available")
        both.discord.fake.set_presence(both.dora, "offline")
        await both.discord.lost("Dora")
        await both.discord.advance(61)
        await both.slack.agrees(both.sam, "Dora", "offline")


async def test_fault_16_a_hanging_or_failing_slack_never_touches_discord(tmp_path: Path) -> None:
    """Hung, down, then with its token revoked; and down while the program starts."""
    async with both_scene(tmp_path) as both, both.program:
        await both.both_available()
        both.slack.fake.slow("*", HANGS)
        both.slack.fake.freeze_sockets(new_ones_too=True)
        for _ in range(3):
            await both.discord.advance(5)
            assert "You're **Away**" in await both.in_discord("away")
            assert "You're **Available**" in await both.in_discord("available")
            assert await both.api() == {"Dora", "sam"}
        both.slack.fake.heal()
        both.slack.fake.thaw()

        both.slack.fake.fail("*", status=503, times=None)
        both.slack.fake.drop_sockets()
        await both.slack.feed("down")
        assert await both.discord.feed_state() == "live"
        assert "You're **Away**" in await both.in_discord("away")
        assert "Slack (Acme) has not been seen since" in await both.in_discord("who")
        assert all("Slack" in banner for banner in await both.program.troubles())

        # Started while Slack is down.
        await both.discord.restart(kill=True)
        assert "You're **Available**" in await both.in_discord("available")
        both.slack.fake.heal()
        await both.slack.ready()
        await both.slack.fake.wait_for_connection()
        assert "You're *Away*" in await both.in_slack("brb", "tea")

        both.slack.fake.revoke_token()
        await both.slack.feed("down")
        await both.discord.advance(HOUR)
        assert "You're **Available**" in await both.in_discord("available")
        assert await both.discord.feed_state() == "live"


async def test_fault_16_a_hanging_or_failing_discord_never_touches_slack(tmp_path: Path) -> None:
    """Silent and hung, down, then with its token revoked; and down while the program starts."""
    async with both_scene(tmp_path) as both, both.program:
        await both.both_available()
        both.discord.fake.slow("*", HANGS, times=1000)
        both.discord.fake.go_silent(new_ones_too=True)
        for _ in range(3):
            await both.discord.advance(5)
            assert "You're *Away*" in await both.in_slack("brb", "tea")
            assert "You're *Available*" in await both.in_slack("available")
            assert await both.api() == {"Dora", "sam"}
        both.discord.fake.rest.desk.faults.clear()
        both.discord.fake.speak_again()

        both.discord.fake.fail("*", 503, times=1000)
        both.discord.fake.refuse_connections(1000)
        both.discord.fake.drop_connections()
        await both.discord.until_feed("down")
        assert "You're *Away*" in await both.in_slack("brb", "tea")
        assert "Discord (Acme) has not been seen since" in await both.in_slack("whosin")
        await both.slack.feed("live")
        assert all("Discord" in banner for banner in await both.program.troubles())

        # Started while Discord is down.
        await both.slack.restart(kill=True)
        assert "You're *Available*" in await both.in_slack("available")
        both.discord.fake.rest.desk.faults.clear()
        both.discord.fake.refuse_connections(0)
        await both.discord.until_feed("live", step=10)
        assert "You're **Away**" in await both.in_discord("away")

        both.discord.fake.unauthorized()
        await both.discord.until_feed("down")
        await both.discord.advance(HOUR)
        assert "You're *Available*" in await both.in_slack("available")
        await both.slack.feed("live")


def clocks_go_back() -> datetime:
    """The next time that Berlin's clocks go back, by an hour, at 01:00 UTC."""
    day = datetime.now(UTC).replace(hour=1, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while day.astimezone(BERLIN).utcoffset() == (day - timedelta(hours=1)).astimezone(BERLIN).utcoffset() or (
        day.month < 7
    ):
        day += timedelta(days=1)
    return day


@pytest.mark.parametrize("dies", ["before it is posted", "while it is posted"])
async def test_a_summary_in_slack_is_posted_once_through_kill_9_and_a_clock_change(
    tmp_path: Path, dies: str
) -> None:
    """Row 6, I10: 02:30 comes twice that night, and the program is killed around the first one."""
    at = {"slug": "night", "team": "support", "channel": "slack:C1", "at": "02:30"}
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    begins = clocks_go_back() - timedelta(minutes=35)
    program = WholeProgram(tmp_path, {}, (begins - datetime.now(UTC)).total_seconds())
    async with slack_scene(program, summary=[{**at, "days": days}]) as scene, program:
        maria = scene.member("maria")
        await scene.ready()
        await scene.say(maria, "available")
        if dies == "while it is posted":
            scene.fake.slow("chat.postMessage", 1.0, times=1)
            await scene.advance(6 * MINUTE)
            async with asyncio.timeout(5):
                while program.rows("SELECT begun FROM summary_post") != [(1,)]:
                    await asyncio.sleep(0.02)
            assert scene.fake.messages("C1") == []
            await scene.restart(kill=True)
        else:
            await scene.restart(kill=True)
            await scene.advance(6 * MINUTE)
        await scene.wait_for_posts(1)
        for _ in range(4):
            await scene.advance(30 * MINUTE)
            await scene.restart(kill=True)
        await asyncio.sleep(0.4)
        (summary,) = scene.fake.messages("C1")
        assert "*Support* at <!date^" in summary.shown
        assert "*Available (1)*\nmaria" in summary.shown
        await scene.advance(23 * HOUR + 30 * MINUTE)
        await scene.wait_for_posts(2)
