"""Row 13 of the faults: 500 consoles come back at once, after a time in which nobody was there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from http_house import START, House, house, where

from bot.domain.agent import Agent
from bot.domain.facts import new_agent
from bot.domain.ids import new_id
from bot.ports import Transaction
from storage.database import ensure_schema, open_store
from storage.group_commit import SqliteStore

CONSOLES = 500


async def ask_all(at: House, agents: Sequence[Agent]) -> list[bytes]:
    """A heartbeat for each, over connections of their own, all at once."""
    key = await at.key("presence")

    async def one(agent: Agent) -> bytes:
        reader, writer = await asyncio.open_connection(*where(at.server))
        head = (
            f"PUT /v1/agents/{agent.id}/sessions/tab HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        )
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    return await asyncio.gather(*map(one, agents))


async def test_every_console_of_500_that_come_back_at_once_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is durable before it is answered, many in one commit; none is told that it had ended."""
    url = f"sqlite:///{tmp_path / 'rollcall.sqlite3'}"
    ensure_schema(url)
    async with house(store=open_store(url)) as at:
        owner = at.core.organization_id
        everyone = [Agent(new_id("agt", START), owner, f"Agent {n}") for n in range(CONSOLES)]

        def add(tx: Transaction) -> None:
            for agent in everyone:
                tx.members.add(agent, new_agent(agent.id, START), START)

        await at.store.write(add)
    async with house(store=open_store(url)) as at:
        answers = await ask_all(at, everyone)
        assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
        at.clock.at += timedelta(minutes=10)
        commits = 0
        commit = SqliteStore._commit

        def counted(self: SqliteStore, batch: list[Any]) -> list[Any]:
            nonlocal commits
            commits += 1
            return commit(self, batch)

        monkeypatch.setattr(SqliteStore, "_commit", counted)
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await ask_all(at, everyone)
        assert loop.time() - began < 15
        assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
        assert all(b'"open":true,"reopened":false' in answer for answer in answers)
        assert commits < CONSOLES / 5
        assert at.core.sessions._feed.epoch == 2, "their feed began anew once, not with each"
        epochs = {at.facts(agent).links[0].epoch for agent in everyone}
        assert epochs == {2}
    async with house(store=open_store(url)) as at:
        stored = [at.facts(agent).links[0] for agent in everyone]
        assert {link.epoch for link in stored} == {2}
