"""One person in Slack and in Discord, on the whole program: linked by a code, one platform drops, then the
other, then both come back (fault 19); history goes on, also through kill -9."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from discord_scene import DiscordScene, discord_scene
from fakes.discord_model import User as DiscordUser
from fakes.slack import User as SlackUser
from slack_scene import HOUR, MINUTE, SlackScene, slack_scene

CODE = re.compile(r"/presence link ([2-9A-Z]{4}-[2-9A-Z]{4})")


class Linked:
    """Both platforms, and one person with an account on each."""

    def __init__(self, discord: DiscordScene, slack: SlackScene) -> None:
        self.discord = discord
        self.slack = slack
        self.program = discord.program
        self.dora: DiscordUser = discord.agent("Dora")
        self.sam: SlackUser = slack.member("sam")

    async def available(self) -> None:
        """Two agents, each Available on a platform of their own."""
        await self.discord.ready()
        await self.slack.ready()
        await self.discord.say(self.dora, "available")
        await self.slack.say(self.sam, "available")
        await self.discord.watched("Dora")
        await self.slack.polled([self.sam])

    async def link(self) -> str:
        """Asked for in Slack, typed in Discord; what is answered there."""
        shown = (await self.slack.say(self.sam, "presence", "link")).shown
        code = CODE.search(shown)
        assert code is not None, shown
        reply = await self.discord.say(self.dora, "presence link", code=code[1])
        return reply.text.replace("\\", "")

    async def everybody(self) -> dict[str, str]:
        """Each agent's presence, as the API tells it."""
        agents: list[dict[str, Any]] = (await self.program.get("/v1/agents"))["agents"]
        return {agent["name"]: agent["presence"] for agent in agents}


@asynccontextmanager
async def linked_scene(folder: Path) -> AsyncIterator[Linked]:
    async with discord_scene(folder) as discord, slack_scene(discord.program) as slack:
        yield Linked(discord, slack)
        assert slack.program.broken() == []


async def test_a_linked_person_is_there_while_either_platform_shows_them(tmp_path: Path) -> None:
    """One drops, the other, both come back: Offline only when both are gone, and never a gap in history."""
    async with linked_scene(tmp_path) as both, both.program:
        await both.available()
        assert await both.everybody() == {"Dora": "available", "sam": "available"}
        assert "You're one agent now, **sam**" in await both.link()
        assert await both.everybody() == {"sam": "available"}
        assert await both.discord.seen(both.dora, "sam") == "available"
        word = await both.slack.word(both.sam, "Your code was used")

        # The check-ins would hold for 8 h: what is left then is what the platforms show.
        for _ in range(9):
            await both.discord.advance(HOUR)
            await both.slack.polled([both.sam])
        await both.program.until_presence("sam", "available")
        both.discord.fake.set_presence(both.dora, "offline")
        await both.program.until_about("sam", lambda _: bool(links(both, "suspect")), "a suspect link")
        await both.discord.advance(5 * MINUTE)
        await both.slack.polled([both.sam])
        assert await both.everybody() == {"sam": "available"}
        assert await both.program.routable() == {"sam"}

        both.slack.presence(both.sam, "away")
        await both.slack.polled([both.sam])
        await both.discord.advance(26 * MINUTE)
        await both.program.until_presence("sam", "offline")

        await both.discord.advance(MINUTE)
        both.discord.fake.set_presence(both.dora, "online")
        await both.program.until_presence("sam", "available")
        both.slack.presence(both.sam, "active")
        await both.slack.polled([both.sam])
        assert await both.everybody() == {"sam": "available"}
        told = [stretch.presence for stretch in both.program.history("sam")]
        assert told[-3:] == ["available", "offline", "available"]

        undone = await both.slack.press(both.sam, word, "That's not me")
        assert "Dora on Discord is an agent of its own again" in undone.shown
        assert await both.everybody() == {"Dora": "away", "sam": "available"}


def links(both: Linked, state: str) -> list[tuple[Any, ...]]:
    """Accounts that are so, as they stand in the database."""
    return both.program.rows("SELECT identity_id FROM link WHERE state = ?", state)


async def test_history_stays_with_each_through_link_kill_and_unlink(tmp_path: Path) -> None:
    """Killed right after the answer: still one agent, seen by both feeds; then two again."""
    async with linked_scene(tmp_path) as both, both.program:
        await both.available()
        await both.discord.say(both.dora, "away", until="2h", reason="dentist")
        await both.discord.advance(10 * MINUTE)
        before = both.program.history("sam")
        assert "one agent now" in await both.link()
        identifies = both.discord.fake.identifies
        await both.slack.restart(kill=True)
        await both.discord.fake.connected(identifies=identifies + 1)
        await both.discord.feed("live")
        assert await both.everybody() == {"sam": "away"}, "the stricter intent, with its time"
        about = await both.program.about("sam")
        assert about["note"] == "dentist"
        history = both.program.history("sam")
        assert history[: len(before) - 1] == before[:-1]
        assert history[len(before) - 1].since == before[-1].since
        assert [one.ended_at for one in history[:-1]] == [one.since for one in history[1:]]
        assert both.program.history("Dora")[-1].presence == "offline"

        both.discord.fake.set_presence(both.dora, "offline")
        await both.program.until_about("sam", lambda _: bool(links(both, "suspect")), "a suspect link")
        both.discord.fake.set_presence(both.dora, "online")
        reply = await both.discord.say(both.dora, "presence unlink")
        assert "an agent of its own again" in reply.text
        assert await both.everybody() == {"Dora": "away", "sam": "available"}, "what each had set"
        await both.discord.say(both.dora, "available")
        assert await both.everybody() == {"Dora": "available", "sam": "available"}
