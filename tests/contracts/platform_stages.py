"""A stage for each chat platform: the same few gestures, made as people of that platform make them.

An outside adapter joins the suite with a stage of its own: `test_platforms.py` says what must hold.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discord_adapter.house import HurriedClock
from fakes.discord_server import FakeDiscord
from fakes.slack import FakeSlack

from adapters.console.screen import Screen
from adapters.console.service import ConsolePlatform
from adapters.console.table import read as read_console
from adapters.discord.platform import platform as discord_platform
from adapters.slack.manifest import manifest
from adapters.slack.platform import platform as slack_platform
from bot.config import Config
from bot.dispatch import Desk
from bot.domain.agent import Agent
from bot.domain.facts import FeedState
from bot.ports import ChatPlatform
from storage.database import ensure_schema, open_store

PEOPLE = ("maria", "tom")
TEAM: dict[str, Any] = {
    "team": [{"slug": "support", "name": "Support", "everyone": True}],
    "database": {"durability": "normal"},
}


@dataclass
class Shown:
    """What the person who typed or clicked sees."""

    text: str
    raw: Any


class Stage(ABC):
    """One platform with two people, Maria and Tom, who may be agents, and a channel. Tom is a lead."""

    channel: str

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'rollcall.sqlite3'}"
        self.desk: Desk
        self.platform: ChatPlatform
        self._tasks: list[asyncio.Task[None]] = []

    @abstractmethod
    def config(self) -> Config: ...
    @abstractmethod
    def build(self, config: Config) -> ChatPlatform: ...
    @abstractmethod
    async def ready(self) -> None:
        """Waits until commands are taken."""

    @abstractmethod
    def external_id(self, person: str) -> str: ...
    @abstractmethod
    async def type(self, person: str, name: str, text: str = "") -> Shown:
        """A command of the table by its own name, such as `away`, with its one line of text."""

    @abstractmethod
    async def sets_away(self, person: str, about: str, minutes: int, reason: str) -> Shown:
        """`presence set`: somebody, named as people of the platform name each other, for a while."""

    @abstractmethod
    async def click(self, person: str, shown: Shown, label: str) -> Shown: ...
    @abstractmethod
    async def connects(self, person: str) -> None: ...
    @abstractmethod
    async def disconnects(self, person: str) -> None: ...
    @abstractmethod
    async def talks(self, person: str, *, inside: bool) -> bool:
        """Enters a call, or leaves it. False where the platform knows of no calls."""

    @abstractmethod
    async def told_directly(self, person: str, containing: str) -> str: ...
    @abstractmethod
    async def posted(self, containing: str) -> str: ...
    @abstractmethod
    def pings(self) -> list[str]:
        """Whatever would have mentioned somebody, and every breach of the platform's rules."""

    async def begin(self) -> None:
        """The core and the adapter at work; after `end`, again on the same data."""
        ensure_schema(self.url)
        self.desk = Desk(self.config(), open_store(self.url, "normal"), HurriedClock())
        await self.desk.start()
        self.platform = self.build(self.desk.config)

        async def tick() -> None:
            while True:
                await self.desk.clock.sleep(1.0)
                await self.desk.tick()

        self._tasks = [asyncio.create_task(self.platform.run()), asyncio.create_task(tick())]
        await self.ready()

    async def end(self) -> None:
        """Cancelled, as the program does when it leaves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.desk.dispatcher.finish()
        await self.desk.store.close()

    def agent(self, person: str) -> Agent:
        return next(
            agent
            for agent in self.desk.roster.everyone()
            if any(identity.external_id == self.external_id(person) for identity in agent.identities)
        )

    def presence(self, person: str) -> str:
        """`nobody` for somebody who is no agent."""
        rows = self.desk.roster.rows(self.desk.clock.now())
        return next(
            (
                row.verdict.presence.value
                for row in rows
                for identity in row.agent.identities
                if identity.external_id == self.external_id(person)
            ),
            "nobody",
        )

    async def becomes(self, person: str, presence: str) -> None:
        async with asyncio.timeout(15):
            while self.presence(person) != presence:
                await asyncio.sleep(0.02)


class DiscordStage(Stage):
    """A guild on the test server."""

    def __init__(self, folder: Path, fake: FakeDiscord) -> None:
        super().__init__(folder)
        self.fake = fake
        self.guild = fake.add_guild("Acme")
        self.role = fake.add_role(self.guild, "support")
        self.people = {
            name: fake.add_member(self.guild, name, status="offline", roles=[self.role]) for name in PEOPLE
        }
        self.room = fake.add_channel(self.guild, "summaries")
        self.channel = f"{self.guild.id}/{self.room.id}"
        self.lounge = fake.add_voice_channel(self.guild, "lounge")

    def config(self) -> Config:
        discord = {
            "token": self.fake.token,
            "base_url": self.fake.base_url,
            "gateway_url": self.fake.gateway_url,
            "agent_roles": [str(self.role.id)],
            "voice": True,
        }
        leads = [f"discord:{self.guild.id}:{self.external_id('tom')}"]
        return Config.model_validate({**TEAM, "discord": discord, "organization": {"leads": leads}})

    def build(self, config: Config) -> ChatPlatform:
        made = discord_platform(config, self.desk)
        assert made is not None
        return made

    async def ready(self) -> None:
        await self.fake.connected()
        await self.fake.until(lambda: bool(self.fake.commands(self.guild)), "commands")

    def external_id(self, person: str) -> str:
        return str(self.people[person].id)

    async def type(self, person: str, name: str, text: str = "") -> Shown:
        options: dict[str, Any] = {}
        if text:
            options = {"available": {"note": text}, "away": {"reason": text}}[name]
        reply = await self.fake.slash(self.people[person], self.guild, name, **options)
        assert reply.ephemeral, "replies are private"
        return Shown(reply.text, reply)

    async def sets_away(self, person: str, about: str, minutes: int, reason: str) -> Shown:
        reply = await self.fake.slash(
            self.people[person],
            self.guild,
            "presence set",
            agent=self.people[about],
            presence="away",
            until=f"{minutes}m",
            reason=reason,
        )
        assert reply.ephemeral, "replies are private"
        return Shown(reply.text, reply)

    async def click(self, person: str, shown: Shown, label: str) -> Shown:
        reply = await self.fake.click(self.people[person], shown.raw.message, label)
        return Shown(reply.text, reply)

    async def connects(self, person: str) -> None:
        self.fake.set_presence(self.people[person], "online")

    async def disconnects(self, person: str) -> None:
        self.fake.set_presence(self.people[person], "offline")

    async def talks(self, person: str, *, inside: bool) -> bool:
        self.fake.speak(self.people[person], self.guild, self.lounge if inside else None)
        return True

    async def told_directly(self, person: str, containing: str) -> str:
        return (await self.fake.wait_for_message(self.people[person], containing)).text

    async def posted(self, containing: str) -> str:
        return (await self.fake.wait_for_message(self.room, containing)).text

    def pings(self) -> list[str]:
        return [str(violation) for violation in self.fake.violations]


class SlackStage(Stage):
    """A workspace on the test server, over Socket Mode. A Slack that says away takes a check-in to
    end, so `disconnects` is tried with Slack's away taken for a disconnect."""

    def __init__(self, folder: Path, fake: FakeSlack) -> None:
        super().__init__(folder)
        self.fake = fake
        self.ids = {name: f"U{number}{name.upper()}" for number, name in enumerate(PEOPLE)}
        for name, user_id in self.ids.items():
            fake.add_user(user_id, name)
            fake.set_presence(user_id, "away")
        self.channel = "C1"
        fake.install(manifest(self.config()))

    def config(self) -> Config:
        slack = {
            "bot_token": self.fake.bot_token,
            "app_token": self.fake.app_token,
            "base_url": self.fake.base_url,
        }
        leads = {"organization": {"leads": [f"slack:T1:{self.ids['tom']}"]}}
        return Config.model_validate({**TEAM, **leads, "slack": slack, "presence": {"slack_away": "absent"}})

    def build(self, config: Config) -> ChatPlatform:
        made = slack_platform(config, self.desk)
        assert made is not None
        return made

    async def ready(self) -> None:
        await self.fake.wait_for_connection()

    def external_id(self, person: str) -> str:
        return self.ids[person]

    async def type(self, person: str, name: str, text: str = "") -> Shown:
        top, _, rest = name.partition(" ")
        typed = {"away": "/brb", "who": "/whosin"}.get(top, f"/{top}")
        reply = await self.fake.command(self.ids[person], typed, f"{rest} {text}".strip())
        assert reply.ephemeral, "replies are private"
        return Shown(reply.shown, reply)

    async def sets_away(self, person: str, about: str, minutes: int, reason: str) -> Shown:
        line = f"set @{about} away {minutes}m {reason}"
        return await self.type(person, "presence", line)

    async def click(self, person: str, shown: Shown, label: str) -> Shown:
        reply = await self.fake.click(self.ids[person], shown.raw, text=label)
        return Shown(reply.shown, reply)

    async def connects(self, person: str) -> None:
        self.fake.set_presence(self.ids[person], "active")

    async def disconnects(self, person: str) -> None:
        self.fake.set_presence(self.ids[person], "away")

    async def talks(self, person: str, *, inside: bool) -> bool:
        await self.fake.huddle(self.ids[person], inside)
        return True

    async def told_directly(self, person: str, containing: str) -> str:
        return (await self.fake.wait_for_message(to=self.ids[person], containing=containing)).shown

    async def posted(self, containing: str) -> str:
        return (await self.fake.wait_for_message("C1", containing=containing)).shown

    def pings(self) -> list[str]:
        return [str(one) for one in [*self.fake.violations, *self.fake.pings()]]


class PaperScreen(Screen):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__(interactive=True, colour=False)
        self.paper = ""

    def write(self, text: str) -> None:
        self.paper += text


class ConsoleStage(Stage):
    """A terminal, on paper. Whoever types is connected there."""

    channel = "summaries"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.screen = PaperScreen()

    def config(self) -> Config:
        people = [{"id": name, "name": name, "zone": "Europe/Berlin"} for name in ("nobody", *PEOPLE)]
        leads = {"organization": {"leads": ["console:local:tom"]}}
        return Config.model_validate({**TEAM, **leads, "platforms": {"console": {"people": people}}})

    def build(self, config: Config) -> ChatPlatform:
        self.console = ConsolePlatform(read_console(config.platforms["console"]), self.desk, self.screen)
        return self.console

    async def ready(self) -> None:
        async with asyncio.timeout(5):
            while not any(feed.state is FeedState.LIVE for feed in self.desk.roster.feeds.values()):
                await asyncio.sleep(0.01)

    def external_id(self, person: str) -> str:
        return person

    async def type(self, person: str, name: str, text: str = "") -> Shown:
        typed = {"away": "brb", "who": "whosin"}.get(name, name)
        return self._show(person, await self.console.type(person, f"/{typed} {text}"))

    async def sets_away(self, person: str, about: str, minutes: int, reason: str) -> Shown:
        return await self.type(person, "presence", f"set @{about} away {minutes}m {reason}")

    async def click(self, person: str, shown: Shown, label: str) -> Shown:
        number = [button.label for button in shown.raw.buttons].index(label) + 1
        self.console.choices[person] = shown.raw.buttons
        return self._show(person, await self.console.press(person, number))

    def _show(self, person: str, message: Any) -> Shown:
        before = len(self.screen.paper)
        self.screen.show(message, self.desk.clock.now(), self.console.zone(person))
        return Shown(self.screen.paper[before:], message)

    async def connects(self, person: str) -> None:
        await self.console.connect(person)

    async def disconnects(self, person: str) -> None:
        await self.console.drop(person)

    async def talks(self, person: str, *, inside: bool) -> bool:
        return False

    async def told_directly(self, person: str, containing: str) -> str:
        before = len(self.screen.paper)
        await self.console.sit_down(person)
        told = self.screen.paper[before:]
        assert containing in told
        return told

    async def posted(self, containing: str) -> str:
        assert containing in self.screen.paper
        return self.screen.paper

    def pings(self) -> list[str]:
        return [f"control character {c!r}" for c in self.screen.paper if c < " " and c != "\n"]


@asynccontextmanager
async def open_stage(name: str, folder: Path) -> AsyncIterator[Stage]:
    """The stage of a platform, begun; ended at the end."""
    if name == "discord":
        async with FakeDiscord() as discord, _at_work(DiscordStage(folder, discord)) as stage:
            yield stage
    elif name == "slack":
        async with FakeSlack() as slack, _at_work(SlackStage(folder, slack)) as stage:
            yield stage
    else:
        async with _at_work(ConsoleStage(folder)) as stage:
            yield stage


@asynccontextmanager
async def _at_work(stage: Stage) -> AsyncIterator[Stage]:
    await stage.begin()
    try:
        yield stage
    finally:
        await stage.end()
    assert stage.pings() == []
