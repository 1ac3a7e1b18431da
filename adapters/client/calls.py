"""How a call is made: one request, again where that is safe, and its answer as a struct."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)
from tenacity.wait import wait_base
from yarl import URL

from adapters.client.problems import ClientError, TooMany, Unavailable, Unreachable, refusal

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
TRIES = 4
LONGEST_WAIT = 30.0
"""Seconds that a Retry-After is waited for at most: then the refusal is raised."""
Query = Mapping[str, object]


class Key(str):
    """A key's text; it is not shown where it is printed by mistake."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Key('…')"


def route(method: str, path: str) -> Callable[[F], F]:
    """Notes which route a method calls, so that a test can tell which are left out."""

    def noted(function: F) -> F:
        function.__dict__["route"] = (method, path)
        return function

    return noted


def segment(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe=":")


def given(**fields: object) -> dict[str, object]:
    """The fields that were given: all but those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


class Calls:
    """A connection to one Rollcall with one key."""

    def __init__(
        self,
        address: str,
        key: str,
        *,
        timeout_s: float = 10.0,
        tries: int = TRIES,
        first_wait_s: float = 0.2,
    ) -> None:
        """`address` as in `http://127.0.0.1:8080`. `tries`: how often a call is made at most where saying it
        again is safe; between them it waits `first_wait_s`, then twice as long each time."""
        self._address = address.rstrip("/")
        self._key = Key(key)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._tries = tries
        self.first_wait_s = first_wait_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(middlewares=(_only_once,))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hangs up."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open connections. Raises RuntimeError outside `async with`."""
        if self._session is None:
            raise RuntimeError("use the client within `async with Client(…) as client:`")
        return self._session

    def url(self, path: str, query: Query | None = None) -> URL:
        """Where a call goes."""
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        behind = f"?{urlencode(asked, doseq=True)}" if asked else ""
        return URL(self._address + path + behind, encoded=True)

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What every call carries."""
        return {"Authorization": f"Bearer {self._key}", **(more or {})}

    def backoff(self, most_s: float) -> wait_base:
        """Seconds to wait after each try, a little different each time, so that not all come at once."""
        first = self.first_wait_s
        return wait_exponential(multiplier=first, max=most_s) + wait_random(0, first)

    async def call(
        self,
        answer: type[T],
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> T:
        """One call. `again`: it may be made once more where nothing is known of what became of it.
        Raises ClientError."""
        content = await self.read(method, path, query=query, body=body, headers=headers, again=again)
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.DecodeError as problem:
            raise Unreachable(f"the answer is none of Rollcall's: {problem}") from None

    async def read(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> bytes:
        """The same, as bytes."""
        sent = self.headers(headers)
        content = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)

        def worth_it(problem: BaseException) -> bool:
            # Who is told 429 knows that nothing was done; of the others nothing is known.
            return isinstance(problem, TooMany) or (again and isinstance(problem, Unavailable | Unreachable))

        backoff = self.backoff(5.0)

        def wait(state: RetryCallState) -> float:
            return max(backoff(state), _asked_to_wait(state))

        async for attempt in AsyncRetrying(
            retry=retry_if_exception(lambda problem: worth_it(problem) and not _too_long(problem)),
            stop=stop_after_attempt(self._tries),
            wait=wait,
            reraise=True,
        ):
            with attempt:
                return await self._once(method, self.url(path, query), content, sent)
        raise AssertionError("the last try answers or raises")

    async def _once(self, method: str, url: URL, content: bytes | None, headers: Mapping[str, str]) -> bytes:
        try:
            async with self.session.request(
                method, url, data=content, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                found = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unreachable(f"no answer from {url.host}: {type(problem).__name__}") from None
        if 200 <= answer.status < 300:
            return found
        raise refusal(answer.status, found, answer.headers.get("Retry-After"))


async def _only_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp says a DELETE or PUT again by itself where a connection breaks; here each call decides."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as problem:
        raise Unreachable(f"no answer from {request.url.host}: {type(problem).__name__}") from None


def _said(problem: BaseException | None) -> float:
    return (problem.retry_after or 0.0) if isinstance(problem, TooMany | Unavailable) else 0.0


def _too_long(problem: BaseException) -> bool:
    return _said(problem) > LONGEST_WAIT


def _asked_to_wait(state: RetryCallState) -> float:
    return _said(state.outcome.exception() if state.outcome is not None else None)


__all__ = ["Calls", "ClientError", "Key", "given", "route", "segment"]
