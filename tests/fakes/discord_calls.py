"""Requests to a fake Discord: how each is recorded, read, made to fail by order of a test, and answered.

Follows https://docs.discord.com/developers/topics/rate-limits and …/opcodes-and-status-codes (API v10).
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from aiohttp import web
from fakes.discord_limits import Form
from fakes.discord_model import Json

PREFIX = "/api/v10"


@dataclass(eq=False)
class Call:
    """One request the bot made: `path` without /api/v10, `body` as parsed, `status` once answered."""

    method: str
    path: str
    query: dict[str, str]
    body: Any = None
    files: dict[str, bytes] = field(default_factory=dict)
    reason: str | None = None
    status: int | None = None


@dataclass(eq=False)
class Fault:
    """Something to go wrong on calls that match `route` ("POST /channels/*/messages"), `times` times."""

    route: str
    times: int
    kind: Literal["rate_limit", "fail", "slow", "hang_up"]
    seconds: float = 0.0
    status: int = 503
    code: int = 0
    message: str = ""
    scope: str = "user"
    by_proxy: bool = False
    politely: bool = False

    def matches(self, call: Call) -> bool:
        return self.times > 0 and fnmatchcase(f"{call.method} {call.path}", self.route)


class Refused(Exception):
    """An error Discord documents: HTTP status, JSON code and message."""

    def __init__(self, status: int, code: int, message: str, body: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body or {"message": message, "code": code}


Handler = Callable[..., Awaitable[object]]


class Desk:
    """Takes every request: records it, lets ordered faults happen, and hands it to the handler of its route.

    `authorized` says whether an Authorization header is the bot's; `changed` is called when a
    request has come in and when it was answered.
    """

    def __init__(
        self,
        routes: list[tuple[str, str, Handler]],
        authorized: Callable[[str | None], bool],
        violations: list[str],
        changed: Callable[[], None],
    ) -> None:
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.violations = violations
        self._authorized = authorized
        self._changed = changed
        self._routes = [
            (method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), h) for method, path, h in routes
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the call, let the ordered faults happen, then answer it as Discord would."""
        call = Call(request.method, request.path.removeprefix(PREFIX), dict(request.query))
        call.reason = request.headers.get("X-Audit-Log-Reason")
        self.calls.append(call)
        self._changed()
        fault = None
        try:
            await self._read(call, request)
            fault = await self._next_fault(call)
            if fault is not None and fault.kind in ("rate_limit", "fail"):
                response = self._refusal(call, fault)
            else:
                response = _json(200, await self._answer(call, request))
        except Refused as refused:
            response = _json(refused.status, refused.body)
        if fault is not None and fault.kind == "hang_up" and request.transport is not None:
            _hang_up(request.transport, politely=fault.politely)
        call.status = response.status
        if response.status != 429:
            bucket = re.sub(r"\d{5,}", "*", f"{call.method} {call.path}")
            response.headers.update(_quota(50, 49, 1.0, bucket=f"{hash(bucket) & 0xFFFFFFFF:08x}"))
        self._changed()
        return response

    async def _read(self, call: Call, request: web.Request) -> None:
        if request.content_type == "multipart/form-data":
            for name, part in (await request.post()).items():
                if isinstance(part, web.FileField):
                    call.files[part.filename] = part.file.read()
                elif name == "payload_json" and isinstance(part, str):
                    call.body = json.loads(part)
                else:
                    self._violation(call, f"form field {name!r} is neither payload_json nor a file")
        elif request.can_read_body and request.content_type != "application/json":
            self._violation(call, f"a body of type {request.content_type}")
        elif request.can_read_body:
            try:
                call.body = await request.json()
            except ValueError:
                self._violation(call, "a body that is no JSON")
                message = "The request body contains invalid JSON."
                raise Refused(400, 50109, message) from None

    async def _next_fault(self, call: Call) -> Fault | None:
        for fault in self.faults:
            if fault.matches(call):
                fault.times -= 1
                if fault.kind == "slow":
                    await asyncio.sleep(fault.seconds)
                return fault
        return None

    def _refusal(self, call: Call, fault: Fault) -> web.Response:
        if fault.kind == "fail":
            message = fault.message or f"{fault.status}: refused by order of the test"
            return _json(fault.status, {"message": message, "code": fault.code})
        if fault.by_proxy:
            # Cloudflare's own ban: no Via header, no JSON.
            return web.Response(
                status=429, text="error code: 1015", headers={"Retry-After": str(fault.seconds)}
            )
        everywhere = fault.scope == "global"
        body = {"message": "You are being rate limited.", "retry_after": fault.seconds, "global": everywhere}
        response = _json(429, body)
        response.headers.update(_quota(5, 0, fault.seconds, bucket="limited"))
        response.headers["Retry-After"] = str(math.ceil(fault.seconds))
        response.headers["X-RateLimit-Scope"] = fault.scope
        response.headers["Via"] = "1.1 google"
        if everywhere:
            response.headers["X-RateLimit-Global"] = "true"
        return response

    async def _answer(self, call: Call, request: web.Request) -> object:
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(call.path)
            if match and method == call.method:
                by_token = call.path.startswith(("/interactions/", "/webhooks/"))
                if not by_token and not self._authorized(request.headers.get("Authorization")):
                    raise Refused(401, 0, "401: Unauthorized")
                return await handler(call, **match.groupdict())
        self._violation(call, "this route is not modelled")
        raise Refused(404, 0, "404: Not Found")

    def _violation(self, call: Call, what: str) -> None:
        self.violations.append(f"{call.method} {call.path}: {what}")


def require(call: Call, form: Form, violations: list[str]) -> None:
    """Refuse a body that the form found wrong, and keep what was wrong."""
    if form.faults:
        violations += [f"{call.method} {call.path}: {path or 'body'}: {why}" for path, _, why in form.faults]
        raise Refused(400, 50035, "Invalid Form Body", form.body())


def _json(status: int, body: object) -> web.Response:
    """A JSON answer whose content type is exactly application/json; 204 for nothing."""
    if body is None:
        return web.Response(status=204)
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")


def _hang_up(transport: asyncio.Transport, *, politely: bool) -> None:
    """Close the line, as a load balancer does, or reset it, as a machine that dies does."""
    if not politely:
        # Without lingering the kernel sends a reset; else even an abort looks like a good end.
        lingering = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    transport.abort()


def _quota(limit: int, remaining: int, reset_after: float, *, bucket: str) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": f"{time.time() + reset_after:.3f}",
        "X-RateLimit-Reset-After": f"{reset_after:.3f}",
        "X-RateLimit-Bucket": bucket,
    }
