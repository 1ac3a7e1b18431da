"""Slack's Web API as far as Rollcall's kind of app uses it, strict about everything sent to it.

Arguments, scopes, tiers and errors are those of each method's page (docs.slack.dev/reference/methods).
Real Slack forgives some mistakes made here; each is refused with a documented error and remembered.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from fakes.slack_messages import Json
from fakes.slack_methods import METHODS, Method
from fakes.slack_request import Request
from fakes.slack_workspace import Call, SlackError, Token, Workspace, World

# Bolt adds the team's id to every call: an org-wide token needs it, any other ignores it.
EVERYWHERE = {"token", "team_id"}
POST_BURST = 5  # "one a second a channel, short bursts allowed": Slack does not say how short


@dataclass
class Fault:
    """How the next calls of a method go wrong; `times=None` until healed."""

    method: str
    times: int | None
    error: str | None = None
    status: int | None = None
    retry_after: int | None = None
    seconds: float = 0.0
    cut: bool = False

    def takes(self, method: str) -> bool:
        if self.method not in {method, "*"} or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class WebApi:
    """Answers `/api/<method>`: token, scope, arguments, limits and injected faults, then the method."""

    def __init__(self, world: World, open_socket: Callable[[], str]) -> None:
        self.world = world
        self.faults: list[Fault] = []
        self.limits_on = False
        self.impatient: list[str] = []
        self.closing = asyncio.Event()
        self._recent: dict[tuple[str, str, str], deque[float]] = defaultdict(deque)
        self._waits: dict[tuple[str, str], float] = {}
        connect = Method(
            lambda _: {"url": open_socket()}, {}, scopes=frozenset({"connections:write"}), app_level=True
        )
        self.methods = METHODS | {"apps.connections.open": connect}

    async def handle(self, http: web.Request) -> web.StreamResponse:
        name = http.match_info["method"]
        team_id = None
        try:
            arguments = await _arguments(http)
        except ValueError:
            self.world.violate(name, "a body that is not JSON, though it says so")
            return web.json_response({"ok": False, "error": "invalid_json"})
        token = self.world.tokens.get(_bearer(http, arguments))
        if token is not None:
            team_id = token.team_id
        slow = next((one for one in self.faults if one.seconds and one.takes(name)), None)
        fault = next((one for one in self.faults if not one.seconds and one.takes(name)), None)
        if slow is not None:
            self.world.changed()
            await _pause(self.closing, slow.seconds)
        if fault is not None and fault.cut:
            self._record(name, arguments, team_id, 0, {})
            assert http.transport is not None
            http.transport.abort()
            return web.Response()
        status, headers, answer = self._answer(http, name, arguments, token, fault)
        self._record(name, arguments, team_id, status, answer)
        if token is not None:
            headers["X-OAuth-Scopes"] = ",".join(sorted(token.scopes))
        if status >= 500:
            return web.Response(status=status, text="upstream error", headers=headers)
        return web.json_response(answer, status=status, headers=headers)

    def _record(self, name: str, arguments: Json, team_id: str | None, status: int, answer: Json) -> None:
        self.world.calls.append(Call(name, arguments, team_id, self.world.clock(), status, answer))
        self.world.changed()

    def _answer(
        self, http: web.Request, name: str, arguments: Json, token: Token | None, fault: Fault | None
    ) -> tuple[int, dict[str, str], Json]:
        try:
            if name not in self.methods:
                self.world.violate(name, "no such method")
                raise SlackError("unknown_method", req_method=name)
            method = self.methods[name]
            workspace = self._authenticated(http, method, arguments, token)
            assert token is not None
            arguments = self._checked(name, method, arguments)
            wait = self._wait(name, method, arguments, workspace.id, fault)
            if wait:
                self._waits[(name, workspace.id)] = self.world.clock() + wait
                return 429, {"Retry-After": str(wait)}, {"ok": False, "error": "ratelimited"}
            if fault is not None and fault.status is not None:
                return fault.status, {}, {"ok": False, "error": fault.error or "internal_error"}
            if fault is not None and fault.error is not None:
                raise SlackError(fault.error)
            return 200, {}, {"ok": True} | method.answer(Request(self.world, workspace, token, arguments))
        except SlackError as refusal:
            return 200, {}, {"ok": False, "error": refusal.error} | refusal.details

    def _authenticated(
        self, http: web.Request, method: Method, arguments: Json, token: Token | None
    ) -> Workspace:
        """The workspace of the token; for the app-level one the first, which its method never looks at."""
        if token is None:
            raise SlackError("invalid_auth" if _bearer(http, arguments) else "not_authed")
        if token.dead is not None:
            raise SlackError(token.dead)
        if (token.team_id is None) != method.app_level:
            raise SlackError("not_allowed_token_type")
        if method.scopes and not method.scopes & token.scopes:
            needed, provided = ",".join(sorted(method.scopes)), ",".join(sorted(token.scopes))
            raise SlackError("missing_scope", needed=needed, provided=provided)
        return self.world.workspaces[token.team_id or next(iter(self.world.workspaces))]

    def _checked(self, name: str, method: Method, raw: Json) -> Json:
        """The arguments with their documented types; anything undocumented is refused."""
        checked: Json = {}
        for key, value in raw.items():
            if key in EVERYWHERE:
                continue
            if key not in method.arguments:
                self.world.violate(name, f"undocumented argument {key!r}")
                raise SlackError("invalid_arg_name")
            try:
                checked[key] = _typed(method.arguments[key], value)
            except ValueError as problem:
                self.world.violate(name, f"{key}: {problem}")
                if key == "blocks":
                    raise SlackError("invalid_blocks_format") from None
                raise SlackError(
                    "invalid_arguments", response_metadata={"messages": [f"[ERROR] {key}: {problem}"]}
                ) from None
        missing = sorted(method.required - {key for key, value in checked.items() if value not in (None, "")})
        if missing:
            self.world.violate(name, f"missing {', '.join(missing)}")
            messages = [f"[ERROR] missing required field: {one}" for one in missing]
            raise SlackError("invalid_arguments", response_metadata={"messages": messages})
        return checked

    def _wait(self, name: str, method: Method, arguments: Json, team_id: str, fault: Fault | None) -> int:
        """Seconds to put into Retry-After, or 0 when the call may go through."""
        now = self.world.clock()
        if now < self._waits.get((name, team_id), 0.0):
            left = self._waits[(name, team_id)] - now
            self.impatient.append(f"{name} called {left:.2f} s before its Retry-After had passed")
        if fault is not None and fault.retry_after is not None:
            return fault.retry_after
        if not self.limits_on:
            return 0
        allowed, window, bucket = method.per_minute, 60.0, ""
        if name == "chat.postMessage":
            allowed, window, bucket = POST_BURST, float(POST_BURST), str(arguments.get("channel"))
        if allowed is None:
            return 0
        recent = self._recent[(name, team_id, bucket)]
        while recent and recent[0] <= now - window:
            recent.popleft()
        if len(recent) >= allowed:
            return max(1, math.ceil(recent[0] + window - now))
        recent.append(now)
        return 0


async def _arguments(http: web.Request) -> Json:
    arguments: Json = dict(http.query)
    if http.method == "POST" and http.can_read_body:
        if http.content_type == "application/json":
            body = await http.json()
            return arguments | (body if isinstance(body, dict) else {})
        arguments |= {key: value for key, value in (await http.post()).items() if isinstance(value, str)}
    return arguments


def _bearer(http: web.Request, arguments: Json) -> str:
    header = http.headers.get("Authorization", "")
    return header.removeprefix("Bearer ") if header.startswith("Bearer ") else str(arguments.get("token", ""))


def _typed(kind: str, value: Any) -> Any:
    if kind == "string":
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a string")
        return value
    if kind == "number":
        return int(value)
    if kind == "boolean":
        if value in (True, "true", "1", 1):
            return True
        if value in (False, "false", "0", 0):
            return False
        raise ValueError(f"{value!r} is neither true nor false")
    if kind == "list":
        return ",".join(value) if isinstance(value, list) else str(value)
    return json.loads(value) if isinstance(value, str) else value


async def _pause(closing: asyncio.Event, seconds: float) -> None:
    """Wait, but never longer than the fake lives."""
    try:
        await asyncio.wait_for(closing.wait(), seconds)
    except TimeoutError:
        return
