"""The composition root: builds everything, starts it, and stops it in reverse.

The only module that knows adapters and storage. What is heavy is imported when it is used.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.config import Config
from bot.dispatch import Desk
from bot.domain.errors import RollcallError
from bot.house import EndedByItself, House, refuse_same_paths
from bot.ports import ChatPlatform, Clock, Store

if TYPE_CHECKING:
    from adapters.http.server import HttpServer
    from storage.claim import Claim

log = logging.getLogger("rollcall.program")
SUMMARIES_EVERY = 5.0
"""Seconds between looks for a summary that is due."""
LEAVE_WITHIN, HTTP_WITHIN, AT_LEAST = 5.5, 5.2, 0.2
"""Seconds for work in hand when leaving: in all, for HTTP alone, and for each step where nothing is left.
The store then closes within 2.5 s and the claim within 1 s, so that it all stays under 10 s."""


class Program:
    """Rollcall at work: storage, HTTP, and the house of each organization. Built here, run by `run`."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        claim: "Claim | None" = None,
        further: Sequence[Config] = (),
    ) -> None:
        """`claim`: the database is this program's alone; it is released when the program has run.
        `further`: of more organizations, with the first one's database, HTTP and log."""
        self.config = config
        self._claim = claim
        self.store = store
        self.clock = clock
        self.houses = [House(one, store, clock) for one in (config, *further)]
        self.http: HttpServer | None = None

    @property
    def core(self) -> Desk:
        """The first organization's."""
        return self.houses[0].core

    @property
    def platforms(self) -> Mapping[str, ChatPlatform]:
        """The first organization's, once it has started."""
        return self.houses[0].platforms

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
                for house in self.houses:
                    house.core.ready = False
                ended.set_exception(problem)
                stop.set()

        def lose(problem: RollcallError) -> None:
            loop.call_soon_threadsafe(end, problem)

        try:
            if self._claim is not None:
                self._claim.tell(lose)
            for house in self.houses:
                await self._start(house)
            if self.config.http.enabled:
                tasks.append(await self._serve_http())
                tasks[0].add_done_callback(lambda http: end(_why_ended(http)))
            for house in self.houses:
                tasks += house.begin()
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

    async def _start(self, house: House) -> None:
        """One organization that can't start keeps all from it: half a program would look well. Raises what
        it raises, with its file where there are several."""
        try:
            await house.start()
        except RollcallError as problem:
            if len(self.houses) > 1:
                problem.sentence = f"{house.name}: {problem.sentence}"
            raise

    async def _serve_http(self) -> asyncio.Task[None]:
        from adapters.http.server import HttpServer

        refuse_same_paths(self.houses)
        further = [(house.core, house.mounts) for house in self.houses[1:]]
        self.http = HttpServer(self.core, self.houses[0].mounts, further)
        await self.http.bind()
        return asyncio.create_task(self.http.run(), name="http")

    async def _summaries(self) -> None:
        houses = [house for house in self.houses if house.config.summary]
        if not houses:
            return
        from adapters.scheduler import Waker

        waker = Waker()
        for house in houses:
            waker.every(SUMMARIES_EVERY, f"summaries of {house.slug}", house.post_summaries)
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
        ready = [house for house in self.houses if house.core.ready]
        for house in self.houses:
            house.core.ready, house.leaving = False, True
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
            behind = [house.core.dispatcher.finish() for house in self.houses]
            await _each(until, "what goes on behind answers", behind)
            seen = [house.core.mark_feeds_seen() for house in ready]
            await _each(until, "the note when feeds were seen", seen)
        finally:
            await self.store.close()
            log.info("stopped")


def _why_ended(task: asyncio.Task[None]) -> BaseException:
    problem = None if task.cancelled() else task.exception()
    return problem or EndedByItself(task.get_name())


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Waits for tasks that were cancelled; what they still fail with is logged."""
    for task, end in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if isinstance(end, Exception):
            log.error("%s ended badly", task.get_name(), exc_info=end)


async def _each(until: float, what: str, steps: Sequence[Coroutine[object, object, None]]) -> None:
    """Takes a step of every organization, side by side."""
    await asyncio.gather(*(_until(until, what, step) for step in steps))


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


def open_program(config: Config, clock: Clock | None = None, further: Sequence[Config] = ()) -> Program:
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
    return Program(config, store, clock or SystemClock(), claimed, further)


def open_beside(config: Config) -> tuple[Store, Clock]:
    """The store and the clock for one operation beside a program that may be running on the database.

    Only where there is none yet is a schema made. Raises RollcallError where the database can't be used.
    """
    from adapters.clock import SystemClock
    from storage.database import current_revision, open_store, upgrade

    url = config.database.url.get_secret_value()
    if current_revision(url) is None:
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
