"""Console sessions over a running API: whom consoles keep connected, and what time does to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from http_house import START, House

from bot.domain.agent import Agent
from bot.domain.choices import choose_available


async def connected(at: House, name: str = "Ann") -> Agent:
    """An agent whom a program has set Available, and whom nothing but a console keeps connected."""
    ann = await at.agent(name, available=False)
    core = at.core
    await core.change(
        ann.id, lambda facts, now: choose_available(facts, core.roster.feeds, core.policy, now, by="lead:b")
    )
    return ann


async def beat(at: House, agent: Agent, key: str = "tab-1", method: str = "PUT") -> dict[str, Any]:
    """One heartbeat (or logout), which is answered well."""
    answer = await at.ask(f"/v1/agents/{agent.id}/sessions/{key}", method=method, scope="presence")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def passes(at: House, seconds: int) -> None:
    """Time passes as it does: with a tick every second or so."""
    for _ in range(0, seconds, 5):
        await at.clock.advance(seconds=min(5, seconds))
        await at.core.tick()


async def presence(at: House, agent: Agent) -> tuple[str, bool]:
    """How the agent is seen, and whether they are routable."""
    body = (await at.ask(f"/v1/agents/{agent.id}")).json()
    return body["presence"], body["routable"]


async def intervals(at: House, agent: Agent) -> list[tuple[str, datetime]]:
    """The stored history."""
    found = await at.store.read(
        lambda tx: tx.presence.history([agent.id], START - timedelta(1), START + timedelta(9))
    )
    return [(one.presence.value, one.since) for one, _ in found[agent.id]]
