"""The whole API by its own description, with every key role: what schemathesis makes up, right and wrong.

No 5xx; every answer is one that is described, of its media type and by its schema; 401 and 403 by the book;
and what a key may not see is in no answer (I13).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias, TypeVar, cast

import pytest
import requests
import schemathesis
from http_house import House, house
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from adapters.http import access
from bot.service import keys

T = TypeVar("T")
Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
Asking: TypeAlias = Case[Any]
EXAMPLES = 40 if os.environ.get("ROLLCALL_LONG") else 3
"""For each route, with each role, of right and of wrong input; fewer where it is not let in."""
SCOPES = ("read", "presence", "route", "admin")
ROLES = (None, "revoked", "foreign organization", *SCOPES, "team-bound")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EARLIER = {400, 413, 431}
"""What is said of a request before its key is looked at."""
BOUNDED = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
FAST = {"http": {"port": 0, "rate_per_minute": 10_000_000}}


class World:
    """A running API in a thread of its own, for a client that waits."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.over: asyncio.Event
        self.at: House
        self.asked = 0
        self.told: Counter[tuple[str | None, int]] = Counter()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        self.over = asyncio.Event()
        async with house(FAST) as self.at:
            await self.at.workspace()
            self.ready.set()
            await self.over.wait()

    def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something done there."""

        async def done() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(20)

    async def people(self) -> tuple[str, str]:
        """One agent whom a key of support sees, and one whom it does not."""
        found = []
        for name, team in (("Own", "support"), ("Foreign", "billing")):
            agent = next((one for one in self.at.core.roster.everyone() if f"U-{name}" in str(one)), None)
            agent = agent or await self.at.agent(name, teams=[team])
            await self.at.change_agent(agent, name=name, teams=(team,))
            await self.at.core.name_agent(agent.id, "desk", name, "test")
            found.append(agent.id)
        return found[0], found[1]

    async def key(self, role: str | None) -> str:
        """The key of a role."""
        at = self.at
        if role in SCOPES:
            return await at.key(str(role))
        if role == "team-bound":
            owner, now = at.core.organization_id, at.clock.now()
            text = await at.store.write(
                lambda tx: keys.create(tx, owner, "bound", SCOPES, now, teams=("support",))
            )
            await at.server.app.access.refresh()
            return text
        if role == "foreign organization":
            other = await at.store.write(
                lambda tx: tx.members.ensure_organization("other", "Other", at.clock.now())
            )
            return await at.key(*SCOPES, organization=other)
        text = await at.key(*SCOPES)
        now = at.clock.now()
        await at.store.write(lambda tx: keys.revoke(tx, at.core.organization_id, text[3:29], now))
        await at.server.app.access.refresh()
        return text


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The API that all of it is tried on. Guessing keys is not slowed down: it is tried elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access, "WRONG_KEYS_PER_MINUTE", 10_000_000)
        made = World()
        made.thread.start()
        assert made.ready.wait(20)
        yield made
        made.loop.call_soon_threadsafe(made.over.set)
        made.thread.join(20)


def scope_of(operation: Operation) -> str | None:
    """The scope that a route needs; None: no key."""
    security = operation.definition.raw["security"]
    return str(security[0]["key"][0]) if security else None


def judged(status: int, scope: str | None, role: str | None) -> bool:
    """Whether a status is one that this role may be answered with."""
    if let_in(scope, role):
        return status not in (401, 429) and (status != 403 or role == "team-bound")
    return status in EARLIER or status == (403 if role in SCOPES else 401)


def let_in(scope: str | None, role: str | None) -> bool:
    """Whether a role may ask at all where this scope is needed."""
    return scope is None or role in (scope, "team-bound")


def asking(world: World, role: str | None, key: str, operation: Operation) -> Callable[[Asking, int], None]:
    """Asks one thing as a role, and judges the answer. `chosen`: by which of the names that there are; 0: by
    those made up."""
    scope = scope_of(operation)
    own, foreign = world.do(world.people)
    spare = world.do(lambda: world.at.key("read"))
    names = {
        "agent_id": [own, foreign, "ext:desk:Own", "ext:desk:Foreign"],
        "team": ["support", "billing"],
        "skill": ["french", "refunds"],
        "key_id": [spare[3:29]],
    }

    def with_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Last of all: schemathesis makes up keys, too, and leaves them out."""
        request.headers.pop("Authorization", None)
        if role is not None:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    session = requests.Session()
    session.auth = with_key

    def ask(case: Asking, chosen: int) -> None:
        for name, values in names.items():
            if chosen and name in (case.path_parameters or {}):
                case.path_parameters[name] = values[chosen % len(values)]
        if case.path == "/v1/events":  # a page: the stream has no end
            case.query = {**(case.query or {}), "after": (case.query or {}).get("after", "")}
        response = case.call(base_url=world.at.server.address, session=session, timeout=10)
        world.asked += 1
        world.told[role, response.status_code] += 1
        case.validate_response(response, checks=CHECKS)
        assert judged(response.status_code, scope, role), (response.status_code, case.as_curl_command())
        if role == "team-bound":
            assert foreign not in response.text
            assert "U-Foreign" not in response.text

    return ask


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_every_route_with_every_role(world: World, role: str | None) -> None:
    key = world.do(lambda: world.key(role))
    schema = schemathesis.openapi.from_dict(world.do(lambda: description(world.at)))
    before, routes = world.asked, 0
    for result in schema.get_all_operations():
        operation = cast("Operation", result.ok())  # type: ignore[union-attr]  # else it is no description
        routes += 1
        ask = asking(world, role, key, operation)
        examples = EXAMPLES if let_in(scope_of(operation), role) else max(1, EXAMPLES // 3)
        modes = [GenerationMode.POSITIVE]
        if operation.definition.raw.get("parameters") or operation.body:
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            tried = given(operation.as_strategy(mode), st.integers(0, 3))(ask)
            settings(BOUNDED, max_examples=examples)(tried)()
    assert routes >= 38
    if role in (*SCOPES, "team-bound"):
        assert world.told[role, 200] > 0 < world.told[role, 422], "both right and wrong input came through"
    assert world.asked - before >= routes


async def description(at: House) -> dict[str, Any]:
    """As it is served."""
    found: dict[str, Any] = (await at.client.get("/openapi.json")).json()
    return found
