"""The whole program in a Discord server of our own: who is in it, what they do, what everybody then sees."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fakes.discord_gateway import GUILDS
from fakes.discord_interactions import Reply
from fakes.discord_model import Guild, Message, Role, Status, User
from fakes.discord_server import FakeDiscord
from whole_program import Stretch, WholeProgram, until_monday

TEAMS: Mapping[str, Any] = {
    "organization": {"name": "Acme Support", "zone": "Europe/Berlin"},
    "team": [
        {"slug": "support", "name": "Support", "everyone": True},
        {"slug": "billing", "name": "Billing"},
    ],
    "skill": [{"slug": "german", "name": "German"}],
}
NOT_SEEN = "nowhere"


class DiscordScene:
    """A program, a Discord, one server in it with a role for agents. Made by `discord_scene`."""

    def __init__(self, fake: FakeDiscord, where: Path | WholeProgram, config: Mapping[str, Any]) -> None:
        self.fake = fake
        self.guild: Guild = fake.add_guild("Acme")
        self.role: Role = fake.add_role(self.guild, "Support agents")
        discord = {
            "token": fake.token,
            "base_url": fake.base_url,
            "gateway_url": fake.gateway_url,
            "agent_roles": [str(self.role.id)],
            **config.get("discord", {}),
        }
        there = where if isinstance(where, WholeProgram) else WholeProgram(where, {}, until_monday())
        there.config |= {**TEAMS, **config, "discord": discord}
        self.program = there
        fake.ahead = self.program.ahead

    def agent(self, name: str, *, status: Status = "online") -> User:
        """Somebody with the agents' role."""
        return self.fake.add_member(
            self.guild, name.lower(), status=status, roles=[self.role], global_name=name
        )

    async def ready(self) -> None:
        """Wait until the program is in the server, with its commands."""
        await self.fake.connected()
        await self.until(lambda: bool(self.fake.commands(self.guild)), "the commands")
        await self.feed("live")

    async def restart(self, *, kill: bool = False, asleep: float = 0.0) -> None:
        """The program again, on the same data, back in the server; it was down for `asleep` seconds."""
        before = self.fake.identifies
        await self.program.restart(kill=kill, asleep=asleep)
        self.fake.ahead = self.program.ahead
        await self.fake.connected(identifies=before + 1)
        await self.feed("live")

    async def advance(self, seconds: float) -> datetime:
        """Both clocks move on. Something happens in the server before, as it does all day in a real one:
        without it a long move would look like a long silence of the gateway."""
        role = {"guild_id": str(self.guild.id), "role": self.role.payload()}
        if self.guild.available and self.guild.has_bot:
            self.fake.gateway.dispatch("GUILD_ROLE_UPDATE", role, guild_id=self.guild.id, intent=GUILDS)
        now = await self.program.advance(seconds)
        self.fake.ahead = self.program.ahead
        await asyncio.sleep(0.05)
        return now

    def now(self) -> datetime:
        """The program's."""
        return datetime.now(UTC) + timedelta(seconds=self.program.ahead)

    async def until_feed(self, state: str, step: float = 2.0) -> None:
        """Move the clock on until the server's feed is so: reconnecting waits by the program's clock, but the
        way to Discord and back takes real time."""
        async with asyncio.timeout(10):
            while True:
                with suppress(TimeoutError):
                    return await self.feed(state, within=0.3)
                await self.advance(step)

    async def until_live(self, *, identifies: int) -> None:
        """Move the clock on until the bot has a live session, after so many IDENTIFYs."""
        async with asyncio.timeout(10):
            while True:
                with suppress(TimeoutError):
                    return await self.fake.connected(identifies=identifies, timeout=0.3)
                await self.advance(1)

    # --- what people do ---

    async def say(self, person: User, command: str, **options: Any) -> Reply:
        """A slash command, answered in time and only to the one who gave it."""
        reply = await self.fake.slash(person, self.guild, command, **options)
        assert not reply.failed, f"/{command} was not answered"
        assert not reply.thinking, f"/{command} was not answered to the end"
        assert reply.ephemeral
        return reply

    async def press(self, person: User, where: Message | Reply, label: str) -> Reply:
        """A click, answered."""
        reply = await self.fake.click(person, where, label)
        assert not reply.failed, f"{label} was not answered"
        assert not reply.thinking, f"{label} was not answered to the end"
        return reply

    async def on_the_link_alone(self, person: User, name: str) -> None:
        """Available without a check-in: gone past the grace, which ends it, and back a little later."""
        await self.watched(name)
        self.fake.set_presence(person, "offline")
        await self.lost(name)
        await self.advance(61)
        await self.program.until_presence(name, "offline")
        self.fake.set_presence(person, "online")
        await self.program.until_presence(name, "available")

    # --- what everybody sees ---

    async def seen(self, by: User, name: str, **options: Any) -> str:
        """In which group of `/who` a name stands: available, away, offline or nowhere."""
        return group_of((await self.say(by, "who", **options)).text, name)

    async def agrees(self, by: User, name: str, presence: str, within: float = 5.0) -> None:
        """`/who` and the API come to say the same of somebody. Real seconds."""
        await self.program.until_presence(name, presence, within)
        assert await self.seen(by, name) == presence

    async def about(self, name: str) -> dict[str, Any]:
        """All that the API tells of an agent."""
        return await self.program.about(name)

    async def until_about(self, name: str, true: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Wait until the API says so of an agent."""
        await self.program.until_about(name, true, what)

    async def watched(self, *names: str) -> None:
        """Wait until Discord's answers about these new agents are in: they are seen as connected."""
        async with asyncio.timeout(5):
            while not set(names) <= {
                name
                for (name,) in self.program.rows(
                    "SELECT agent.name FROM link JOIN agent ON agent.id = agent_id WHERE state = 'connected'"
                )
            }:
                await asyncio.sleep(0.02)

    async def lost(self, name: str) -> None:
        """Wait until a disconnect has arrived: presence stands, but no new work comes."""
        await self.until_about(name, lambda agent: not agent["routable"], f"{name} to be suspect")

    async def routable(self) -> set[str]:
        """Names of those who may be offered a chat now."""
        return await self.program.routable()

    async def troubles(self) -> list[str]:
        """The banners."""
        return await self.program.troubles()

    async def until_trouble(self, *words: str) -> None:
        """Wait until the banners say all of it. Real seconds."""
        async with asyncio.timeout(5):
            while True:
                told = " ".join(await self.troubles())
                if all(word in told for word in words):
                    return
                await asyncio.sleep(0.02)

    async def until_no_trouble(self) -> None:
        """Wait until there is no banner. Real seconds."""
        async with asyncio.timeout(5):
            while await self.troubles():
                await asyncio.sleep(0.02)

    async def feed_state(self) -> str:
        """live, stale, down, or none if the server has no feed."""
        feeds = (await self.program.get("/v1/availability"))["feeds"]
        states = [feed["state"] for feed in feeds if feed["workspace"] == str(self.guild.id)]
        return str(states[0]) if states else "none"

    async def feed(self, state: str, within: float = 5.0) -> None:
        """Wait until the server's feed is so. Real seconds."""
        async with asyncio.timeout(within):
            while await self.feed_state() != state:
                await asyncio.sleep(0.02)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the bot does at Discord."""
        await self.fake.until(condition, what)

    def history(self, name: str) -> list[Stretch]:
        """An agent's intervals, oldest first, as they stand in the database."""
        return self.program.history(name)

    def presences(self, name: str) -> list[str]:
        """The presences an agent went through, each once in a row."""
        told: list[str] = []
        for stretch in self.history(name):
            if not told or told[-1] != stretch.presence:
                told.append(stretch.presence)
        return told


def group_of(roster: str, name: str) -> str:
    """In which group of a roster's page a name stands."""
    group = NOT_SEEN
    for line in roster.splitlines():
        heading = re.match(r"\*\*(Available|Away|Offline) \\\(\d+\\\)\*\*", line)
        if heading:
            group = heading[1].lower()
        elif line.startswith(f"**{name}**"):
            return group
    return NOT_SEEN


@asynccontextmanager
async def discord_scene(
    where: Path | WholeProgram, *, token: str = "fake.bot.token", **config: Any
) -> AsyncIterator[DiscordScene]:
    """A Discord with one server, and a program to be started in it (in a folder, or one that is there
    already): `async with scene.program: …`.

    At the end nothing that was sent may have broken one of Discord's rules.
    """
    async with FakeDiscord(token) as fake:
        scene = DiscordScene(fake, where, config)
        yield scene
        assert fake.violations == []
