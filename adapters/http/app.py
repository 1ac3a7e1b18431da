"""The application of an organization: its front takes every request, with hot routes behind it at once and
the rest in FastAPI.

The front names the request, checks the key and its limit, turns every error into a problem document, and
counts. It is plain ASGI, because it stands on the hot path.
"""

import asyncio
from collections.abc import Mapping

import structlog

from adapters.http import strict
from adapters.http.access import Access
from adapters.http.availability import PATH as AVAILABILITY
from adapters.http.availability import AvailabilityRoute
from adapters.http.exchange import (
    JSON,
    NO_STORE,
    Answer,
    Asked,
    Receive,
    RequestIds,
    Scope,
    Send,
    body_of,
    document_answer,
    head_of,
    own_headers,
    problem_answer,
)
from adapters.http.health import Health
from adapters.http.incoming import LARGEST_BODY, decoded
from adapters.http.metrics import CONTENT_TYPE, Metrics
from adapters.http.problems import Fault, Problem
from adapters.http.refusals import forbid_unless, problem_of, too_large, wrong_method
from adapters.http.routes import Routes
from adapters.http.stream import PATH as EVENTS
from adapters.http.stream import Stream
from bot.core import Rollcall
from bot.ports import AsgiApp

HOT = (AVAILABILITY, EVENTS)
"""What never reaches FastAPI."""


class Front:
    """The ASGI application over a core; `mounts` are the chat platforms' paths, served before all others."""

    def __init__(self, core: Rollcall, mounts: Mapping[str, AsgiApp], beside: "Front | None" = None) -> None:
        """`beside`: another organization's, with which this one shares what is the program's."""
        self._core = core
        self._clock = core.clock
        self.mounts = dict(mounts)
        self._ids = RequestIds()
        self._whose = {"organization": core.config.organization.slug}
        self.access: Access = Access(
            core, core.config.http.rate_per_minute, beside.access if beside else None
        )
        self.health: Health = beside.health if beside else Health()
        self.health.add(core)
        self.stream = Stream(core, self.access)
        self.metrics: Metrics = beside.metrics if beside else Metrics()
        self.metrics.add(core, self.stream)
        self._count = self.metrics.requests.add
        self.hot = AvailabilityRoute(core)
        self.routes = Routes(core)
        self.opened = {
            "/livez": self.health.live,
            "/readyz": self.health.ready,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = self._clock.monotonic()
        path: str = scope["path"]
        mounted = self.mounts.get(path)
        if mounted is not None:
            await self._pass_on(mounted, scope, receive, send, began)
            return
        asked = Asked(scope["method"], path, self._clock.now())
        status = 500
        try:
            try:
                answer = self._enter(scope, asked, began)
                if answer is None:
                    status = await self._inside(scope, receive, send, asked)
                    return
            except Exception as problem:
                answer = problem_answer(problem_of(problem, asked), asked.request_id)
            status = answer.status
            await send(head_of(answer, asked))
            await send(body_of(answer, asked))
        except asyncio.CancelledError:
            # Leaving: the connection was told and closed by then, so there is nobody to answer.
            if not self.health.stopping:
                raise
        finally:
            self._count(asked.method, asked.route, status, self._clock.monotonic() - began)

    def _enter(self, scope: Scope, asked: Asked, began: float) -> Answer | None:
        """Read the head, check the key and its limit; a hot route is answered here."""
        authorization = given_id = length = None
        twice = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                twice = authorization is not None
                authorization = value
            elif name == b"if-none-match":
                several = asked.if_none_match
                asked.if_none_match = value if several is None else several + b"," + value
            elif name == b"x-request-id":
                given_id = value
            elif name == b"content-length":
                length = value
        asked.request_id = self._ids.of(given_id)
        if twice:
            # Proxies differ in which of two they believe, so neither is.
            raise Problem(
                "bad_request",
                "The header Authorization stands more than once; send it once.",
                [Fault("Authorization", "given once", "Bearer rc_…", "header")],
            )
        if length is not None and int(length) > LARGEST_BODY:
            raise too_large(int(length))
        if b"%" in scope["raw_path"]:
            decoded(scope["raw_path"], "path")
        if not asked.path.startswith("/v1/"):
            return None
        access = self.access
        key = access.check(authorization or b"", asked.now)
        if key is None:
            client = scope.get("client")
            raise access.refusal(client[0] if client else "", began)
        asked.key = key
        bucket = asked.bucket = access.limits.of(key.id, began)
        if not bucket.take(began):
            raise Problem(
                "too_many_requests",
                f"This key may ask {bucket.size} times a minute; wait {bucket.wait} s.",
                headers=[
                    (b"retry-after", b"%d" % bucket.wait),
                    (b"ratelimit-policy", b'"key";q=%d;w=60' % bucket.size),
                ],
            )
        if asked.path == AVAILABILITY and asked.method in ("GET", "HEAD"):
            asked.route = AVAILABILITY
            forbid_unless(asked, "read")
            return document_answer(self.hot.answer(scope["query_string"], asked.now), asked)
        if asked.method == "PUT" and (length is None or length == b"0"):
            return self.routes.presence.renewed(scope, asked)
        return None

    async def _inside(self, scope: Scope, receive: Receive, send: Send, asked: Asked) -> int:
        """Whatever is not hot. Answers the status that was sent."""
        with structlog.contextvars.bound_contextvars(request_id=asked.request_id, **self._whose):
            allowed = self._allowed(asked)
            if asked.method == "OPTIONS" and allowed:
                return await _send(send, Answer(204, [NO_STORE, (b"allow", allowed)], b""), asked)
            if asked.path == EVENTS and asked.method in ("GET", "HEAD"):
                shown = await self.stream.serve(scope, send, asked)
                return 200 if shown is None else await _send(send, shown, asked)
            page = self.opened.get(asked.path)
            if page is None and asked.path not in HOT:
                return await self._cold(scope, receive, send, asked, allowed)
            if page is None or asked.method not in ("GET", "HEAD"):
                wrong = problem_answer(wrong_method(asked), asked.request_id)
                wrong.headers.append((b"allow", allowed))
                return await _send(send, wrong, asked)
            return await _send(send, await page(asked), asked)

    def _allowed(self, asked: Asked) -> bytes:
        """The methods of an address, for Allow; empty where there is nothing."""
        if asked.path in HOT or asked.path in self.opened:
            asked.route = asked.path
            return b"GET, HEAD, OPTIONS"
        return self.routes.allowed(asked)

    async def _cold(self, scope: Scope, receive: Receive, send: Send, asked: Asked, allowed: bytes) -> int:
        status = 500
        started = False

        async def relay(message: Scope) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                extra = own_headers(asked)
                if status == 405:
                    extra.append((b"allow", allowed))
                message = {**message, "headers": [*message["headers"], *extra]}
            elif asked.method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        method = "GET" if asked.method == "HEAD" else asked.method
        inner = {**scope, "method": method, "rollcall": asked}
        try:
            await self.routes.app(inner, receive, relay)
        except Exception:
            # Where FastAPI has answered by its handler, which logged it, this only tells servers of it.
            if not started:
                raise
        return status

    async def _metrics(self, asked: Asked) -> Answer:
        return Answer(200, [(b"content-type", CONTENT_TYPE), NO_STORE], self.metrics.page())

    async def _openapi(self, asked: Asked) -> Answer:
        return Answer(200, [JSON, (b"cache-control", b"public, max-age=300")], self.routes.openapi())

    async def _pass_on(
        self, mounted: AsgiApp, scope: Scope, receive: Receive, send: Send, began: float
    ) -> None:
        """A chat platform answers for itself; it is only counted, and not kept waiting for a body."""
        status = 500
        loop = asyncio.get_running_loop()
        body_due: float | None = loop.time() + strict.BODY_WITHIN

        async def relay(message: Scope) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def in_time() -> Scope:
            nonlocal body_due
            async with asyncio.timeout_at(body_due):
                message = await receive()
            if not message.get("more_body"):
                body_due = None
            return message

        try:
            with structlog.contextvars.bound_contextvars(**self._whose):
                await mounted(scope, in_time, relay)
        except TimeoutError:
            if body_due is None or loop.time() < body_due:
                raise
            late = Asked(scope["method"], scope["path"], self._clock.now())
            late.request_id = self._ids.of(None)
            status = await _send(send, problem_answer(strict.body_is_late(), late.request_id), late)
        except asyncio.CancelledError:
            if not self.health.stopping:
                raise
        finally:
            self._count(scope["method"], scope["path"], status, self._clock.monotonic() - began)


async def _send(send: Send, answer: Answer, asked: Asked) -> int:
    await send(head_of(answer, asked))
    await send(body_of(answer, asked))
    return answer.status
