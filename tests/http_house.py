"""The API in tests: the real core over real SQLite, the real server on a socket, a clock to move."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
from msgspec.structs import replace

from adapters.http.server import HttpServer
from bot.config import Config
from bot.core import Rollcall
from bot.domain.agent import Agent, Workspace
from bot.domain.choices import choose_available, choose_away
from bot.domain.facts import Facts
from bot.ports import AsgiApp, Profile, Store
from bot.service import keys
from storage.database import open_inline

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TEAMS = [{"slug": "support", "name": "Support"}, {"slug": "billing", "name": "Billing"}]
SKILLS = [{"slug": "french", "name": "French"}, {"slug": "refunds", "name": "Refunds"}]


class MovedClock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.at = START
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds() + 1000

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.monotonic() + seconds, next(self._order), woken))
        await woken

    async def advance(self, **length: float) -> None:
        """Let time pass; whoever slept until then wakes, in order, and has done what they woke for."""
        end = self.at + timedelta(**length)
        while self._sleepers and self._sleepers[0][0] <= (end - START).total_seconds() + 1000:
            due, _, woken = heapq.heappop(self._sleepers)
            self.at = max(self.at, START + timedelta(seconds=due - 1000))
            if not woken.done():
                woken.set_result(None)
            for _ in range(20):
                await asyncio.sleep(0)
        self.at = end


@dataclass
class House:
    """A running API, and the means to change what it tells."""

    core: Rollcall
    store: Store
    clock: MovedClock
    server: HttpServer
    client: httpx.AsyncClient
    keys: dict[str, str] = field(default_factory=dict)

    async def key(
        self,
        *scopes: str,
        lasts: timedelta | None = None,
        organization: str | None = None,
        name: str = "test",
    ) -> str:
        """A new key, known to the server."""
        owner = organization or self.core.organization_id
        now = self.clock.now()
        text = await self.store.write(lambda tx: keys.create(tx, owner, name, scopes, now, lasts))
        await self.server.app.access.refresh()
        return text

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        scope: str = "read",
        key: str | None = None,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request with a key of the scope."""
        if key is None:
            if scope not in self.keys:
                self.keys[scope] = await self.key(scope)
            key = self.keys[scope]
        sent = {"authorization": f"Bearer {key}", **(headers or {})}
        if content is not None:
            sent.setdefault("content-type", "application/json")
            return await self.client.request(method, path, content=content, headers=sent)
        if json is not None:
            return await self.client.request(method, path, json=json, headers=sent)
        return await self.client.request(method, path, headers=sent)

    async def workspace(self, platform: str = "slack", external_id: str = "T1") -> Workspace:
        """A workspace."""
        return await self.core.workspace(platform, external_id, "Shop")

    async def agent(
        self,
        name: str,
        *,
        teams: Sequence[str] = ("support",),
        skills: Sequence[str] = (),
        capacity: int = 3,
        available: bool = True,
        workspace: Workspace | None = None,
    ) -> Agent:
        """A new agent, Available by their own word unless said otherwise."""
        workspace = workspace or await self.workspace()
        agent = await self.core.enrol(workspace.id, Profile(f"U-{name}", name, "Europe/Berlin"), "test")
        agent = replace(agent, teams=tuple(teams), skills=tuple(skills), capacity=capacity)
        await self.core.changes.agent(agent.id, lambda _: agent, "test")
        if available:
            await self.available(agent)
        return agent

    async def change_agent(self, agent: Agent, **changes: object) -> None:
        """The agent as they now are, but for this."""
        await self.core.changes.agent(agent.id, lambda _: self.moved(agent, **changes), "test")

    def moved(self, agent: Agent, **changes: object) -> Agent:
        """The agent as they are in the roster, but for this."""
        known = self.core.roster.agent(agent.id)
        assert known is not None
        return replace(known, **changes)

    def facts(self, agent: Agent) -> Facts:
        """The agent's facts in the roster."""
        facts = self.core.roster.facts(agent.id)
        assert facts is not None
        return facts

    async def available(self, agent: Agent) -> None:
        """Their own word."""
        core = self.core
        await core.change(
            agent.id,
            lambda facts, at: choose_available(
                facts, core.roster.feeds, core.policy, at, identity_id=agent.identities[0].id
            ),
        )

    async def away(self, agent: Agent, reason: str = "", until: datetime | None = None) -> None:
        """Away by their own word."""
        core = self.core
        await core.change(
            agent.id,
            lambda facts, at: choose_away(
                facts, core.roster.feeds, core.policy, at, reason=reason, until_at=until
            ),
        )


@asynccontextmanager
async def house(
    config: Mapping[str, object] | None = None,
    mounts: Mapping[str, AsgiApp] | None = None,
    store: Store | None = None,
) -> AsyncIterator[House]:
    """A running API until the block ends."""
    settings = {"http": {"port": 0}, "team": TEAMS, "skill": SKILLS, **(config or {})}
    clock = MovedClock()
    opened = store or open_inline()
    core = Rollcall(Config.model_validate(settings), opened, clock)
    await core.start()
    server = HttpServer(core, mounts or {})
    await server.bind()
    running = asyncio.create_task(server.run())
    try:
        async with httpx.AsyncClient(base_url=server.address, timeout=5, verify=False) as client:
            yield House(core, opened, clock, server, client)
    finally:
        await server.stop()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await opened.close()


def where(server: HttpServer) -> tuple[str, int]:
    """The host and port on which it listens."""
    host, _, port = server.address.removeprefix("http://").rpartition(":")
    return host, int(port)


async def spoken(server: HttpServer, said: bytes) -> bytes:
    """What is answered to these bytes until the connection is closed."""
    reader, writer = await asyncio.open_connection(*where(server))
    writer.write(said)
    try:
        async with asyncio.timeout(3):
            return await reader.read()
    finally:
        writer.close()
