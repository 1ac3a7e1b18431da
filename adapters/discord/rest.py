"""Discord's REST API as one client uses it: its own address, 429 obeyed, nothing said after a 401.

discord.py keeps its address in a class attribute, `Route.BASE`, which every client of a process
shares; so the address is changed on each request instead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import aiohttp
import discord
from discord.http import HTTPClient, Route
from discord.webhook.async_ import AsyncWebhookAdapter

from bot.ports import Clock

T = TypeVar("T")
LONGEST_WAIT = 30.0
"""Seconds a request waits out a 429; whoever asked for it is told of a longer one."""
TRIES = 3
UNSAID = 60.0
"""Seconds to stay away after a 429 that does not say for how long."""
UNANSWERED = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError)
"""What a call to Discord ends with when it brings no answer. discord.py lets aiohttp's own errors through,
and a connection that is merely closed (ServerDisconnectedError) is no OSError."""


class EdgeLimited(discord.RateLimited):
    """A 429 from Discord's edge, which counts against the machine's address and not against one route."""


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """What `work` answers, or TimeoutError after so many seconds of the clock, with the work cancelled."""
    task = asyncio.ensure_future(work)
    if not await done_within(clock, seconds, task):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise TimeoutError
    return await task


async def done_within(clock: Clock, seconds: float, task: "asyncio.Future[Any]") -> bool:
    """Whether the task ended within so many seconds of the clock; it goes on either way."""
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        alarm.cancel()
    return task.done()


async def obeying(clock: Clock, call: Callable[[], Awaitable[T]]) -> T:
    """The call's answer, asked for again after each 429. Raises RateLimited where the wait is too long.

    discord.py does so only for a 429 that has a `Via` header; those without come from its edge.
    """
    for left in reversed(range(TRIES)):
        try:
            return await call()
        except discord.HTTPException as refusal:
            if refusal.status != 429:
                raise
            after = retry_after(refusal)
            if not left or after > LONGEST_WAIT:
                raise EdgeLimited(after) from None
        await clock.sleep(after)
    raise AssertionError("unreachable: the last try answers or raises")


def in_short(trouble: Exception) -> str:
    """A failure without its text, which may hold what was sent."""
    if isinstance(trouble, discord.HTTPException):
        return f"{trouble.status} (code {trouble.code})"
    return type(trouble).__name__


def retry_after(refusal: discord.HTTPException) -> float:
    """Seconds to wait, as a 429 says in its header."""
    try:
        return max(0.0, float(refusal.response.headers.get("Retry-After", "")))
    except ValueError:
        return UNSAID


def _steer(route: Route, base_url: str) -> None:
    if base_url:
        route.url = base_url.rstrip("/") + route.url.removeprefix(Route.BASE)


class Http(HTTPClient):
    """discord.py's client, to `base_url` where one is given. Once the token is refused it calls no more:
    10,000 answers of 401, 403 or 429 in 10 min bar the machine's address."""

    def __init__(self, loop: asyncio.AbstractEventLoop, base_url: str, clock: Clock) -> None:
        super().__init__(loop, max_ratelimit_timeout=LONGEST_WAIT)
        self.refused = asyncio.Event()
        self._base_url = base_url
        self._clock = clock
        self._barred_until = 0.0

    async def request(self, route: Route, **options: Any) -> Any:
        """As discord.py's. Raises LoginFailure after a 401, RateLimited for a 429 of over half a minute."""
        if self.refused.is_set():
            raise discord.LoginFailure("the token was refused")
        barred = self._barred_until - self._clock.monotonic()
        if barred > 0:
            raise discord.RateLimited(barred)
        _steer(route, self._base_url)
        try:
            return await obeying(self._clock, partial(super().request, route, **options))
        except discord.RateLimited as limit:
            if isinstance(limit, EdgeLimited):
                # The edge refused, not one bucket: every further call would prolong it.
                self._barred_until = self._clock.monotonic() + limit.retry_after
            raise
        except discord.HTTPException as refusal:
            if refusal.status == 401:
                self.refused.set()
            raise


class WebhookAdapter(AsyncWebhookAdapter):
    """What answers to interactions go through; discord.py takes it from a context variable."""

    def __init__(self, base_url: str, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # discord.py leaves it without
        self._base_url = base_url
        self._clock = clock

    def request(
        self, route: Route, session: aiohttp.ClientSession, **options: Any
    ) -> Coroutine[Any, Any, Any]:
        """As discord.py's, with 429 obeyed. Raises RateLimited for one of over half a minute."""
        _steer(route, self._base_url)
        return obeying(self._clock, partial(super().request, route, session, **options))
