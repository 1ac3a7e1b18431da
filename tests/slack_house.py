"""What the Slack tests stand on: a recording core, clocks, and the adapter running against the fake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from fakes.slack import FakeSlack

from adapters.slack.app import SlackPlatform
from bot.config import SlackTable
from bot.domain.agent import Workspace
from bot.domain.hints import HintKind
from bot.message import Button, Message
from bot.ports import Clock, Command, HintSighting, Person, Profile, Sighting, Tracked


async def eventually(look: Callable[[], object], within: float = 5.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(within):
        while not look():
            await asyncio.sleep(0.005)  # what is looked at tells nobody


class RealClock:
    """Time as it is."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class MovedClock:
    """Time that passes only while somebody sleeps or `advance` is called; sleepers wake in order."""

    def __init__(self, at: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)) -> None:
        self.at = at
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []
        self._asleep = asyncio.Event()

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.at + timedelta(seconds=seconds), woken))
        self._asleep.set()
        await woken

    async def advance(self, seconds: float, sleepers: int = 1) -> None:
        """Let so much time pass; at every step as many as `sleepers` must have gone to sleep again."""
        end = self.at + timedelta(seconds=seconds)
        while True:
            await self.settled(sleepers)
            due = min((when for when, woken in self._sleepers if not woken.done()), default=None)
            if due is None or due > end:
                break
            self.at = max(self.at, due)
            for when, woken in list(self._sleepers):
                if when <= self.at and not woken.done():
                    self._sleepers.remove((when, woken))
                    woken.set_result(None)
        self.at = end

    async def flow(self, done: Callable[[], object], most: float) -> None:
        """Wake whoever sleeps, again and again, until it is so; at most so many seconds pass."""
        end = self.at + timedelta(seconds=most)
        async with asyncio.timeout(5):
            while not done():
                await asyncio.sleep(0.01)
                for when, woken in sorted(self._sleepers, key=lambda one: one[0])[:1]:
                    if when <= end:
                        self.at = max(self.at, when)
                        self._sleepers.remove((when, woken))
                        if not woken.done():
                            woken.set_result(None)

    async def settled(self, sleepers: int = 1) -> None:
        """Until so many sleep."""
        async with asyncio.timeout(5):
            while sum(not woken.done() for _, woken in self._sleepers) < sleepers:
                self._sleepers = [one for one in self._sleepers if not one[1].done()]
                self._asleep.clear()
                await self._asleep.wait()


Answer = Callable[[Command], Awaitable[Message]]


async def told(command: Command) -> Message:
    """What the recording core answers if a test says nothing else."""
    name = command.name
    return Message(
        ((f"{name}: {command.text or ''} ".strip(), f" for {command.person.profile.name}"),),
        buttons=(Button("Refresh", "who", (("page", "2"),)),),
        replaces=command.clicked,
    )


class RecordingCore:
    """Remembers what the adapter tells it, and does nothing."""

    def __init__(self, clock: Clock | None = None, answer: Answer = told) -> None:
        self._clock = clock or RealClock()
        self.answer = answer
        self.commands: list[Command] = []
        self.deliveries: list[str] = []
        """What caused a change, once each: the core remembers deliveries with the changes they cause."""
        self.done: list[Command] = []
        self.seen_keys: set[str] = set()
        self.feed: list[tuple[Any, ...]] = []
        self.sightings: list[tuple[int, Sighting]] = []
        self.hints: dict[tuple[str, HintKind], HintSighting] = {}
        self.hint_words: list[HintSighting] = []
        self.hints_lost_of: list[HintKind | None] = []
        self.profiles: list[Profile] = []
        self.left: list[tuple[str, bool]] = []
        self.reports: list[tuple[str | None, str | None]] = []
        self.watched: list[Tracked] = []
        self.workspaces: list[Workspace] = []
        self._epoch = 0

    async def until(self, look: Callable[[], object], within: float = 5.0) -> None:
        """Wait until it is so."""
        await eventually(look, within)

    @property
    def clock(self) -> Clock:
        return self._clock

    async def dispatch(self, command: Command) -> Message:
        self.commands.append(command)
        if command.delivery not in self.deliveries:
            self.deliveries.append(command.delivery)
        message = await self.answer(command)
        self.done.append(command)
        return message

    async def suggest(
        self, person: Person, command: str, parameter: str, typed: str
    ) -> Sequence[tuple[str, str]]:
        return ()

    async def workspace(self, platform: str, external_id: str, name: str) -> Workspace:
        made = Workspace(f"wsp_{external_id}", "org_1", platform, external_id, name)
        self.workspaces.append(made)
        return made

    async def feed_live(self, workspace_id: str, *, resumed: bool = False) -> int:
        self._epoch += 1
        self.feed.append(("live", workspace_id, self._epoch))
        return self._epoch

    async def feed_lost(self, workspace_id: str, *, since: datetime, stale: bool = False) -> None:
        self.feed.append(("lost", workspace_id, since))

    async def feed_off(self, workspace_id: str) -> None:
        self.feed.append(("off", workspace_id))

    async def observe(self, workspace_id: str, epoch: int, sightings: Sequence[Sighting]) -> None:
        self.sightings += [(epoch, one) for one in sightings]

    def hint(self, workspace_id: str, sightings: Sequence[HintSighting]) -> None:
        for one in sightings:
            self.hint_words.append(one)
            self.hints[one.external_id, one.kind] = one

    def hints_lost(self, workspace_id: str, kind: HintKind | None = None) -> None:
        self.hints_lost_of.append(kind)
        self.hints = {key: one for key, one in self.hints.items() if kind not in (None, key[1])}

    def tracked(self, workspace_id: str) -> Sequence[Tracked]:
        return list(self.watched)

    async def profile_changed(self, workspace_id: str, profile: Profile) -> None:
        self.profiles.append(profile)

    async def member_left(self, workspace_id: str, external_id: str, *, deleted: bool = False) -> None:
        self.left.append((external_id, deleted))

    async def first_time(self, key: str) -> bool:
        new = key not in self.seen_keys
        self.seen_keys.add(key)
        return new

    async def setting(self, key: str) -> str | None:
        return None

    async def put_setting(self, key: str, value: str) -> None: ...

    async def identify_budget(self) -> int:
        return 900

    async def count_identify(self) -> None: ...

    def report(self, platform: str, workspace_id: str | None, trouble: str | None) -> None:
        self.reports.append((workspace_id, trouble))

    @property
    def banners(self) -> list[str]:
        """What is wrong now."""
        last = dict(self.reports)
        return [trouble for trouble in last.values() if trouble]

    def watch(self, *user_ids: str) -> None:
        """These are the agents, in the order of their importance."""
        self.watched = [Tracked(f"idn_{one}", one, True, None) for one in user_ids]


def table(slack: FakeSlack, mode: str = "socket", **more: Any) -> SlackTable:
    """The configuration for a fake; presence is off unless a test turns it on."""
    given = {
        "bot_token": slack.bot_token,
        "app_token": slack.app_token,
        "signing_secret": slack.signing_secret,
        "mode": mode,
        "presence": False,
        "base_url": slack.base_url,
    }
    return SlackTable.model_validate({**given, **more})


@asynccontextmanager
async def running(
    slack: FakeSlack, core: RecordingCore, mode: str = "socket", ready: bool = True, **more: Any
) -> AsyncIterator[SlackPlatform]:
    """The adapter at work; over HTTP behind a server of its own, as Rollcall's would mount it."""
    platform = SlackPlatform(table(slack, mode, **more), core)
    async with serving(slack, platform):
        work = asyncio.create_task(platform.run())
        try:
            if ready and mode == "socket":
                await slack.wait_for_connection()
            yield platform
            assert not work.done(), "the adapter stopped by itself"
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


@asynccontextmanager
async def serving(slack: FakeSlack, platform: SlackPlatform) -> AsyncIterator[None]:
    """The adapter's mounts on a loopback port, which the fake then calls."""
    if not platform.mounts:
        yield
        return

    async def site(scope: Any, receive: Any, send: Any) -> None:
        await platform.mounts[scope["path"]](scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(site, host="127.0.0.1", port=0, lifespan="off", log_level="warning")
    )
    serve = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        slack.request_url = f"http://127.0.0.1:{port}/slack/events"
        yield
    finally:
        server.should_exit = True
        await serve
