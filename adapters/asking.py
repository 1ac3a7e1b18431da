"""One question to a platform's HTTP, as `rollcall doctor` asks it: bounded in time, nothing left behind."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from msgspec import Struct

from bot.ports import Clock, Finding

T = TypeVar("T")
WITHIN = 4.0
"""Seconds for one question."""
ASTRAY = timedelta(seconds=30)
"""How far a clock may be off: Slack's signatures hold for 5 minutes, console leases for 65 s."""
LARGEST = 1 << 20


class Unreachable(Exception):
    """No answer; `why` is a few words without anything that was sent."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: Any
    """As JSON; None where it is none."""
    ahead: timedelta | None
    """How far our clock is before the platform's, by its Date header."""


async def in_thread(work: Callable[[], T]) -> T:
    """What blocking work answers. Where nobody waits any more, nobody is held up by it either."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(set_: Callable[[Any], None], value: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if done.done() else set_(value))

    def run() -> None:
        try:
            tell(done.set_result, work())
        except BaseException as problem:
            tell(done.set_exception, problem)

    threading.Thread(target=run, name="rollcall-doctor", daemon=True).start()
    return await done


class _Resolver(ThreadedResolver):
    """Names are looked up in a thread that ends with the program, however long a dead network takes."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await in_thread(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
        ]


async def ask(
    method: str,
    url: str,
    clock: Clock,
    headers: Mapping[str, str] | None = None,
    within: float = WITHIN,
    *,
    proxied: bool = False,
) -> Answer:
    """Ask once. `proxied`: by the environment's proxy, as the platform's library does. Raises Unreachable."""
    try:
        async with (
            asyncio.timeout(within),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_Resolver()), trust_env=proxied
            ) as session,
            session.request(method, url, headers=headers or {}, allow_redirects=False) as answer,
        ):
            raw = await answer.content.read(LARGEST)
            now = clock.now()
    except TimeoutError:
        raise Unreachable(f"no answer within {within:.0f} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as problem:
        raise Unreachable(type(problem).__name__) from None
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    found = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status, found, body, _ahead(found.get("date"), now))


def _ahead(header: str | None, now: datetime) -> timedelta | None:
    try:
        return now - parsedate_to_datetime(header or "").astimezone(UTC)
    except (TypeError, ValueError):
        return None


def clock_finding(name: str, answer: Answer) -> list[Finding]:
    """This machine's clock, by a platform's."""
    ahead = answer.ahead
    if ahead is None:
        return []
    seconds = abs(ahead).total_seconds()
    if abs(ahead) <= ASTRAY:
        return [Finding(f"clock ({name})", True, "within a few seconds" if seconds > 2 else "right")]
    way = "ahead of" if ahead > timedelta() else "behind"
    return [
        Finding(
            f"clock ({name})",
            False,
            f"this machine's clock is {seconds:.0f} s {way} {name}'s. Switch its synchronization on, for "
            "example: sudo timedatectl set-ntp true",
        )
    ]
