"""What tests of the Discord adapter share: a core that records, a hurried clock, the adapter on a fake."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fakes.discord_model import Guild
from fakes.discord_server import FakeDiscord
from msgspec import Struct
from pydantic import SecretStr

from adapters.discord.connection import Patience
from adapters.discord.service import DiscordService
from bot.config import DiscordTable
from bot.domain.agent import Workspace
from bot.domain.facts import Seen
from bot.domain.hints import HintKind
from bot.message import Button, Message
from bot.ports import Command, HintSighting, Person, Profile, Sighting, Tracked

RATE = 40.0
"""How many of the clock's seconds pass in a real one."""


class HurriedClock:
    """Real time, `rate` times as fast."""

    def __init__(self, rate: float = RATE) -> None:
        self.rate = rate
        self._began = time.monotonic()
        self._at = datetime.now(UTC)

    def now(self) -> datetime:
        return self._at + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self.rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.rate)


class Feed(Struct):
    """What the core knows of a feed."""

    state: str
    epoch: int = 0
    seen: dict[str, tuple[int, int, Seen]] = {}
    """By platform id: epoch, seq, what."""


class RecordingCore:
    """A core that keeps what it is told, with the port's rule of order, and answers as a test says."""

    def __init__(self, clock: HurriedClock | None = None) -> None:
        self.clock = clock or HurriedClock()
        self.told: list[tuple[Any, ...]] = []
        self.commands: list[Command] = []
        self.feeds: dict[str, Feed] = {}
        self.agents: dict[str, list[str]] = defaultdict(list)
        """Platform ids of the tracked agents, by guild."""
        self.profiles: dict[str, Profile] = {}
        self.hints: set[tuple[str, HintKind]] = set()
        """Those that hold."""
        self.left: dict[str, bool] = {}
        self.settings: dict[str, str] = {}
        self.keys: set[str] = set()
        self.banners: dict[str | None, str] = {}
        self.identifies = 0
        self.budget = 900
        self.refuse: Exception | None = None
        """Raised by everything that would be written."""
        self.answer: Callable[[Command], Message] = lambda command: Message(lines=((command.name,),))
        self.delay = 0.0
        self.suggestions: Sequence[tuple[str, str]] = ()
        self._news = asyncio.Event()

    def _tell(self, *what: Any) -> None:
        self.told.append(what)
        self._news.set()

    def _write(self) -> None:
        if self.refuse is not None:
            raise self.refuse

    async def until(self, condition: Callable[[], bool], what: str, timeout: float = 5.0) -> None:
        """Waits for something that the core is told."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"in vain for {what}; told: {self.told[-15:]}") from None

    def feed(self, guild: Guild) -> Feed:
        return self.feeds.get(f"ws_{guild.id}", Feed("none"))

    def seen(self, guild: Guild, user_id: int) -> Seen | None:
        found = self.feed(guild).seen.get(str(user_id))
        return found[2] if found else None

    def names(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [told for told in self.told if told[0] in kinds]

    # --- bot.ports.Core ---

    async def dispatch(self, command: Command) -> Message:
        self.commands.append(command)
        if self.delay:
            await self.clock.sleep(self.delay)
        self._tell("dispatch", command.name)
        return self.answer(command)

    async def suggest(
        self, person: Person, command: str, parameter: str, typed: str
    ) -> Sequence[tuple[str, str]]:
        self._tell("suggest", person.profile.name, command, parameter, typed)
        return self.suggestions

    async def workspace(self, platform: str, external_id: str, name: str) -> Workspace:
        self._write()
        return Workspace(f"ws_{external_id}", "org", platform, external_id, name)

    async def feed_live(self, workspace_id: str, *, resumed: bool = False) -> int:
        self._write()
        feed = self.feeds.setdefault(workspace_id, Feed("none"))
        feed.state = "live"
        feed.epoch += not resumed
        self._tell("feed_live", workspace_id, resumed)
        return feed.epoch

    async def feed_lost(self, workspace_id: str, *, since: datetime, stale: bool = False) -> None:
        self._write()
        feed = self.feeds.get(workspace_id)
        if feed is not None and feed.state == "live":
            feed.state = "stale" if stale else "down"
        self._tell("feed_lost", workspace_id, since, stale)

    async def feed_off(self, workspace_id: str) -> None:
        self._write()
        self.feeds[workspace_id] = Feed("off")
        self._tell("feed_off", workspace_id)

    async def observe(self, workspace_id: str, epoch: int, sightings: Sequence[Sighting]) -> None:
        self._write()
        feed = self.feeds[workspace_id]
        for one in sightings:
            older = feed.seen.get(one.external_id, (0, 0, one.seen))
            if (epoch, one.seq) > older[:2]:
                feed.seen[one.external_id] = epoch, one.seq, one.seen
            self._tell("seen", one.external_id, one.seen, epoch, one.seq)

    def hint(self, workspace_id: str, sightings: Sequence[HintSighting]) -> None:
        for one in sightings:
            (self.hints.add if one.holds else self.hints.discard)((one.external_id, one.kind))
            self._tell("hint", one.external_id, one.kind, one.holds)

    def hints_lost(self, workspace_id: str, kind: HintKind | None = None) -> None:
        self.hints = {one for one in self.hints if kind not in (None, one[1])}
        self._tell("hints_lost", workspace_id, kind)

    def tracked(self, workspace_id: str) -> Sequence[Tracked]:
        ids = self.agents[workspace_id.removeprefix("ws_")]
        return [Tracked(f"idn_{one}", one, True, None) for one in ids]

    async def profile_changed(self, workspace_id: str, profile: Profile) -> None:
        self._write()
        self.profiles[profile.external_id] = profile
        self._tell("profile", profile.external_id)

    async def member_left(self, workspace_id: str, external_id: str, *, deleted: bool = False) -> None:
        self._write()
        self.left[external_id] = deleted
        self.agents[workspace_id.removeprefix("ws_")].remove(external_id)
        self._tell("left", external_id)

    async def first_time(self, key: str) -> bool:
        self._write()
        new = key not in self.keys
        self.keys.add(key)
        return new

    async def setting(self, key: str) -> str | None:
        return self.settings.get(key)

    async def put_setting(self, key: str, value: str) -> None:
        self._write()
        self.settings[key] = value
        self._tell("setting", key)

    async def identify_budget(self) -> int:
        return self.budget - self.identifies

    async def count_identify(self) -> None:
        self.identifies += 1
        self._tell("identify")

    def report(self, platform: str, workspace_id: str | None, trouble: str | None) -> None:
        self.banners.pop(workspace_id, None)
        if trouble is not None:
            self.banners[workspace_id] = trouble
        self._tell("report", workspace_id, trouble)


def table(fake: FakeDiscord, **settings: Any) -> DiscordTable:
    """The configuration that points at the fake."""
    ours = {"base_url": fake.base_url, "gateway_url": fake.gateway_url}
    return DiscordTable(token=SecretStr(fake.token), **{**ours, **settings})


@asynccontextmanager
async def running(
    fake: FakeDiscord, core: RecordingCore, patience: Patience | None = None, **settings: Any
) -> AsyncIterator[DiscordService]:
    """The unmodified adapter, connected to the fake until the block ends."""
    service = DiscordService(table(fake, **settings), core, patience)
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def live(core: RecordingCore, guild: Guild) -> None:
    """Waits until the guild's feed is live."""
    await core.until(lambda: core.feed(guild).state == "live", f"a live feed of {guild.name}")


async def sees(core: RecordingCore, guild: Guild, user_id: int, seen: Seen) -> None:
    """Waits until the core has this of the person."""
    await core.until(lambda: core.seen(guild, user_id) is seen, f"{user_id} {seen}")


def track(core: RecordingCore, guild: Guild, *user_ids: int) -> None:
    """These are agents."""
    core.agents[str(guild.id)] += [str(user_id) for user_id in user_ids]


@asynccontextmanager
async def at_work(
    core: RecordingCore, **settings: Any
) -> AsyncIterator[tuple[FakeDiscord, Guild, DiscordService]]:
    """The adapter, connected, with its commands registered in one guild."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        async with running(fake, core, **settings) as service:
            await live(core, guild)
            await core.until(lambda: any(core.settings.values()), "commands registered")
            yield fake, guild, service


def asking(label: str = "Back", action: str = "available", **arguments: str) -> Message:
    """A message with one button."""
    return Message(lines=(("Away",),), buttons=(Button(label, action, tuple(arguments.items())),))
