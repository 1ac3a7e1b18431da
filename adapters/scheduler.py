"""APScheduler as Rollcall uses it: a memory store and interval jobs that only wake the core.

What is due is decided from the database and the calendar, so a job that fires twice, late or not at
all loses nothing: the next one sees it. Hence no persistent job store, and misfires are coalesced.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler

log = logging.getLogger("rollcall.scheduler")


class Waker:
    """Calls coroutines regularly, each at most once at a time; a failure is logged and tried again."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}, timezone="UTC"
        )

    def every(self, seconds: float, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Call `work` at once after `start`, and then every so many seconds."""
        one_at_a_time = asyncio.Lock()

        async def guarded() -> None:
            async with one_at_a_time:
                try:
                    await work()
                except Exception:
                    log.exception("%s failed; it is tried again in %.0f s", name, seconds)

        self._scheduler.add_job(guarded, id=f"{name} at once")
        self._scheduler.add_job(guarded, "interval", seconds=seconds, id=name)

    def start(self) -> None:
        """From now on."""
        self._scheduler.start()

    def stop(self) -> None:
        """No more calls."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
