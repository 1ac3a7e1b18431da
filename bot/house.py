"""One organization at work: its core, its platforms, and what time brings about for it.

Several stand side by side in one program (`bot.wiring`), with one database, one clock and one HTTP server.
"""

import asyncio
import difflib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from bot.config import Config, ConfigError
from bot.dispatch import Desk
from bot.domain.errors import Unavailable
from bot.notifier import Notifier
from bot.ports import AsgiApp, ChatPlatform, Clock, PlatformFactory, Store
from bot.summaries import post_due

T = TypeVar("T")
log = logging.getLogger("rollcall.program")
GROUP = "rollcall.platforms"
TICK = 1.0
"""Seconds between looks at what time has brought about; queries never wait for it."""
SEEN_EVERY = 30.0
"""Seconds between notes that feeds are live: how exactly a crash's blind spell is dated."""
FORGET_EVERY = 60.0
"""Seconds between looks for what has been kept for long enough; while there is more of it, each tick."""
FIRST_RESTART, LONGEST_RESTART = 1.0, 30.0
HEALTHY = 60.0
"""A part that ran so many seconds was well: when it fails after that, it is started again at once."""


class EndedByItself(Exception):
    """A part that should run until it is cancelled returned."""


def find_platforms(config: Config, core: Desk) -> dict[str, ChatPlatform]:
    """The configured chat platforms, by name: the installed ones that say they are configured."""
    found: dict[str, ChatPlatform] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        factory: PlatformFactory = entry.load()
        platform = factory(config, core)
        if platform is not None:
            found[platform.name] = platform
    unknown = sorted(set(config.platforms) - set(found))
    if unknown:
        installed = [entry.name for entry in entry_points(group=GROUP) if entry.name != unknown[0]]
        near = difflib.get_close_matches(unknown[0], installed, n=1)
        hint = f"did you mean {near[0]}?" if near else f"installed are {', '.join(sorted(installed))}."
        raise ConfigError(f"platforms.{unknown[0]}: no such platform is installed; {hint}")
    return found


class House:
    """One organization: built here, started by `start`, run by the tasks of `begin`."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.core = Desk(config, store, clock)
        self.platforms: Mapping[str, ChatPlatform] = {}
        self.leaving = False
        """What its parts stand on is being taken away: that they fail says nothing."""

    @property
    def slug(self) -> str:
        """By what the database knows the organization."""
        return self.config.organization.slug

    @property
    def name(self) -> str:
        """What an operator knows it by: its file."""
        return self.config.file or f"the organization {self.slug}"

    @property
    def mounts(self) -> dict[str, AsgiApp]:
        """The paths of the HTTP server that its platforms answer."""
        return {path: app for platform in self.platforms.values() for path, app in platform.mounts.items()}

    def logging(self) -> AbstractContextManager[None]:
        """What is logged within, and by tasks that begin within, names the organization."""
        return structlog.contextvars.bound_contextvars(organization=self.slug)

    async def start(self) -> None:
        """Read everything from the database, and find its platforms. Raises RollcallError."""
        with self.logging():
            await self.core.start()
            self.platforms = find_platforms(self.config, self.core)

    def begin(self) -> list[asyncio.Task[None]]:
        """Everything that runs until it is cancelled; a platform that fails never touches another."""
        notifier = Notifier(self.core, self.platforms)
        with self.logging():
            return [
                *(
                    asyncio.create_task(self._again(name, platform.run), name=f"platform {name}")
                    for name, platform in self.platforms.items()
                ),
                asyncio.create_task(self._ticks(), name="ticks"),
                asyncio.create_task(self._again("notices", notifier.run), name="notices"),
            ]

    async def post_summaries(self) -> None:
        """Those that are due, each once."""
        with self.logging():
            await post_due(self.core, self.platforms)

    async def _again(self, name: str, run: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run it for ever; when it fails, again after a while that grows to `LONGEST_RESTART`.

        After it has been well for `HEALTHY` seconds the while is a short one again.
        """
        began = 0.0
        growing = wait_random_exponential(multiplier=FIRST_RESTART, max=LONGEST_RESTART)

        async def attempt() -> None:
            nonlocal began
            began = self.clock.monotonic()
            await run()
            raise EndedByItself(name)

        def wait(state: RetryCallState) -> float:
            if self.clock.monotonic() - began >= HEALTHY:
                state.attempt_number = 1
            return growing(state)

        def said(state: RetryCallState) -> None:
            problem = state.outcome.exception() if state.outcome is not None else None
            if self.leaving:  # what it stood on is being taken away; it is cancelled in a moment
                log.info("%s failed while the program leaves", name, exc_info=problem)
            else:
                log.error("%s failed and is started again", name, exc_info=problem)

        await AsyncRetrying(
            sleep=self.clock.sleep,
            wait=wait,
            retry=retry_if_exception_type(Exception),
            before_sleep=said,
        )(attempt)

    async def _ticks(self) -> None:
        seen = forgot = self.clock.monotonic()
        while True:
            await self.clock.sleep(TICK)
            await self._try("a tick failed; what was due is due again", self.core.tick())
            if self.clock.monotonic() - seen >= SEEN_EVERY:
                await self._try("live feeds could not be noted as seen", self.core.mark_feeds_seen())
                seen = self.clock.monotonic()
            if self.clock.monotonic() - forgot >= FORGET_EVERY:
                more = await self._try("what is old could not be forgotten", self.core.forget())
                forgot = forgot if more else self.clock.monotonic()

    async def _try(self, failed: str, step: Coroutine[object, object, T]) -> T | None:
        try:
            return await step
        except Unavailable as problem:
            log.warning("%s: %s", failed, problem.sentence)
        except Exception:
            log.exception(failed)
        return None


def refuse_same_paths(houses: Sequence[House]) -> None:
    """Raises ConfigError where platforms of two organizations want to answer at one path."""
    taken: dict[str, House] = {}
    for house in houses:
        for path in house.mounts:
            if path in taken:
                raise ConfigError(
                    f"{house.name}: its platform answers at {path}, and so does that of {taken[path].name}. "
                    "Configure another path for one, or run them as two programs."
                )
            taken[path] = house
