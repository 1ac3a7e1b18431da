"""The composition root: builds everything, starts it, and stops it in reverse.

The only module that knows adapters and storage. What is heavy is imported when it is used.
"""

import asyncio
import difflib
import logging
from collections.abc import Callable, Coroutine, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from bot.config import Config, ConfigError
from bot.dispatch import Desk
from bot.domain.errors import RollcallError, Unavailable
from bot.notifier import Notifier
from bot.ports import ChatPlatform, Clock, PlatformFactory, Store
from bot.publishing import AT_ONCE, Publisher
from bot.summaries import post_due

if TYPE_CHECKING:
    from adapters.http.server import HttpServer
    from storage.claim import Claim

T = TypeVar("T")
log = logging.getLogger("rollcall.program")
GROUP = "rollcall.platforms"
TICK = 1.0
"""Seconds between looks at what time has brought about; queries never wait for it."""
SEEN_EVERY = 30.0
"""Seconds between notes that feeds are live: how exactly a crash's blind spell is dated."""
FORGET_EVERY = 60.0
"""Seconds between looks for what has been kept for long enough; while there is more of it, each tick."""
SUMMARIES_EVERY = 5.0
"""Seconds between looks for a summary that is due."""
LEAVE_WITHIN, HTTP_WITHIN, AT_LEAST = 5.5, 5.2, 0.2
"""Seconds for work in hand when leaving: in all, for HTTP alone, and for each step where nothing is left.
The store then closes within 2.5 s and the claim within 1 s, so that it all stays under 10 s."""
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


class Program:
    """Rollcall at work: storage, core, platforms, HTTP, time. Built here, run by `run`."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        claim: "Claim | None" = None,
    ) -> None:
        """`claim`: the database is this program's alone; it is released when the program has run."""
        self.config = config
        self._claim = claim
        self.store = store
        self.clock = clock
        self.core = Desk(config, store, clock)
        self.platforms: Mapping[str, ChatPlatform] = {}
        self.http: HttpServer | None = None
        self._leaving = False

    async def run(self, stop: asyncio.Event, started: Callable[["Program"], None] | None = None) -> None:
        """Start, serve until `stop` is set, and leave in order. `started` is called once it listens.

        Raises what start-up raises, and Unusable when another program has taken the database; once it
        runs, a platform that fails never touches another.
        """
        tasks: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        """Why it can't go on: what it stands on was lost."""

        def end(problem: BaseException) -> None:
            if not ended.done():
                self.core.ready = False
                ended.set_exception(problem)
                stop.set()

        def lose(problem: RollcallError) -> None:
            loop.call_soon_threadsafe(end, problem)

        try:
            if self._claim is not None:
                self._claim.tell(lose)
            await self.core.start()
            self.platforms = find_platforms(self.config, self.core)
            if self.config.http.enabled:
                tasks.append(await self._serve_http())
                tasks[0].add_done_callback(lambda http: end(_why_ended(http)))
            else:  # with HTTP, its streams have one
                publisher = Publisher(self.core, _to_nobody)
                await publisher.begin(AT_ONCE)
                tasks.append(asyncio.create_task(publisher.run(), name="events"))
            tasks += [
                asyncio.create_task(self._supervise(platform), name=f"platform {name}")
                for name, platform in self.platforms.items()
            ]
            tasks.append(asyncio.create_task(self._ticks(), name="ticks"))
            notifier = Notifier(self.core, self.platforms)
            tasks.append(asyncio.create_task(self._again("notices", notifier.run), name="notices"))
            tasks.append(asyncio.create_task(self._summaries(), name="summaries"))
            if started is not None:
                started(self)
            await stop.wait()
            if ended.done():
                await ended
        finally:
            ended.cancel()
            try:
                await self._leave(tasks)
            finally:
                if self._claim is not None:
                    self._claim.release()

    async def _serve_http(self) -> asyncio.Task[None]:
        from adapters.http.server import HttpServer

        mounts = {path: app for platform in self.platforms.values() for path, app in platform.mounts.items()}
        self.http = HttpServer(self.core, mounts)
        await self.http.bind()
        return asyncio.create_task(self.http.run(), name="http")

    async def _supervise(self, platform: ChatPlatform) -> None:
        """Start a platform again whenever it fails, later each time; the others never notice."""
        await self._again(platform.name, platform.run)

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
            if self._leaving:  # what it stood on is being taken away; it is cancelled in a moment
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

    async def _summaries(self) -> None:
        if not self.config.summary:
            return
        from adapters.scheduler import Waker

        waker = Waker()
        waker.every(SUMMARIES_EVERY, "summaries", lambda: post_due(self.core, self.platforms))
        waker.start()
        try:
            await asyncio.Event().wait()
        finally:
            waker.stop()

    async def _leave(self, tasks: list[asyncio.Task[None]]) -> None:
        """Not ready; HTTP and platforms finish what they have and close; what goes on behind answers ends.

        No step can keep the next from being taken, and the store is closed whatever happens.
        """
        until = asyncio.get_running_loop().time() + LEAVE_WITHIN
        was_ready, self.core.ready = self.core.ready, False
        self._leaving = True
        serving = [task for task in tasks if task.get_name() == "http"]
        others = [task for task in tasks if task not in serving]
        try:
            for task in reversed(others):
                task.cancel()
            # Side by side, so that a slow client of the one takes no time from the other.
            steps = [_until(until, "the platforms", _ended(others))]
            if self.http is not None:
                steps.append(_within(HTTP_WITHIN, "HTTP", self.http.stop()))
            await asyncio.gather(*steps)
            for task in serving:
                task.cancel()
            await _within(AT_LEAST, "HTTP", _ended(serving))
            await _until(until, "what goes on behind answers", self.core.dispatcher.finish())
            if was_ready:
                await _until(until, "the note when feeds were seen", self.core.mark_feeds_seen())
        finally:
            await self.store.close()
            log.info("stopped")


async def _to_nobody(events: object) -> None:
    """Nobody follows the events where there is no HTTP; what they tell of is taken over all the same."""


def _why_ended(task: asyncio.Task[None]) -> BaseException:
    problem = None if task.cancelled() else task.exception()
    return problem or EndedByItself(task.get_name())


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Waits for tasks that were cancelled; what they still fail with is logged."""
    for task, end in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if isinstance(end, Exception):
            log.error("%s ended badly", task.get_name(), exc_info=end)


async def _until(until: float, what: str, step: Coroutine[object, object, None]) -> None:
    await _within(max(AT_LEAST, until - asyncio.get_running_loop().time()), what, step)


async def _within(seconds: float, what: str, step: Coroutine[object, object, None]) -> None:
    """Takes one step of leaving; goes on without it when it fails or takes longer.

    It is left behind rather than cancelled and awaited: a write under way can't be cancelled.
    """
    task = asyncio.ensure_future(step)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        task.cancel()
        log.warning("%s did not end in time and is left behind", what)
    elif not task.cancelled() and (problem := task.exception()) is not None:
        log.error("%s ended badly", what, exc_info=problem)


def open_program(config: Config, clock: Clock | None = None) -> Program:
    """The database claimed, brought up to date and opened; everything built, nothing started. Run it: that
    is what gives the database back.

    Raises RollcallError where the database can't be used, or another program runs on it.
    """
    from adapters.clock import SystemClock
    from storage.claim import claim
    from storage.database import ensure_schema, open_store

    url = config.database.url.get_secret_value()
    claimed = claim(url)  # first: another program may be running on the schema as it is
    try:
        ensure_schema(url)
        store = open_store(url, config.database.durability)
    except BaseException:
        claimed.release()
        raise
    return Program(config, store, clock or SystemClock(), claimed)


def open_beside(config: Config, *, make: bool = True) -> tuple[Store, Clock]:
    """The store and the clock for one operation beside a program that may be running on the database.

    Only where there is none yet is a schema made; without `make` an empty one in memory stands for it.
    Raises RollcallError where the database can't be used.
    """
    from adapters.clock import SystemClock
    from storage.database import current_revision, open_inline, open_store, upgrade

    url = config.database.url.get_secret_value()
    if current_revision(url) is None:
        if not make:
            return open_inline(), SystemClock()
        upgrade(url)
    return open_store(url, config.database.durability), SystemClock()


# --- what the command line needs of adapters and storage ---


def upgrade_database(url: str) -> str | None:
    """Bring the tables up to date; answers the revision they are at. Refused while a program runs."""
    from storage import schema
    from storage.claim import claim

    claimed = claim(url)
    try:
        schema.upgrade(url)
    finally:
        claimed.release()
    return schema.current_revision(url)


def check_database(url: str) -> list[str]:
    """A line a check: `ok …`, or what is broken."""
    from storage import admin

    return admin.check(url)


def backup_database(url: str, target: Path) -> None:
    """Copy the database to a file while it is in use."""
    from storage import admin

    admin.backup(url, target)


def restore_database(source: Path, url: str, force: bool) -> None:
    """Put a backup in the database's place."""
    from storage import admin

    admin.restore(source, url, force)


def slack_manifest_of(config: Config, host: str) -> dict[str, Any]:
    """The manifest of the Slack app for this configuration; `host` for HTTP mode, "" for a placeholder."""
    from adapters.slack.manifest import HOST, manifest

    return manifest(config, host or HOST)


def discord_invite_of(application_id: str) -> str:
    """The address that invites the bot."""
    from adapters.discord.invite import invite_url

    return invite_url(application_id)


def run_demo(port: int, data: Path | None, seconds: float | None, serve: Callable[..., int]) -> int:
    """The demo, served by `serve`; answers the exit code."""
    from adapters.console import demo

    return demo.run_demo(port, data, seconds, serve)
