"""A store in memory to which roster files are applied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.config import Config
from bot.domain.agent import Agent
from bot.ports import Store, Transaction
from bot.service import applying
from bot.service.roster_file import read, write
from storage.database import open_inline

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
FILE = """
[[team]]
slug = "support"
name = "Support"
[[team]]
slug = "billing"
name = "Billing"
[[skill]]
slug = "german"
name = "German"
[[agent]]
name = "Alex"
accounts = ["slack:T1:U1", "discord:9:1"]
role = "lead"
capacity = 3
zone = "Europe/Berlin"
zone_by_hand = true
teams = ["billing"]
skills = ["german"]
external_ids = { chatwoot = "42" }
[[agent]]
name = "Sam"
accounts = ["slack:T1:U2"]
"""
SAM = '[[agent]]\nname = "Sam"\naccounts = ["slack:T1:U2"]\n'


class Undone(Exception):
    """Ends a dry run."""


class House:
    """A store in memory, and files for it."""

    def __init__(self, **config: Any) -> None:
        self.store: Store = open_inline()
        self.config = Config.model_validate(config)

    async def apply(self, text: str, *, prune: bool = False, at: datetime = LATER) -> list[str]:
        wanted = applying.Apply(read(text), prune, self.config)
        return await self.store.write(lambda tx: applying.apply(tx, wanted, at))

    async def exported(self) -> str:
        def look(tx: Transaction) -> str:
            owner = tx.members.organization("default") or ""
            workspaces = {one.id: one for one in tx.members.workspaces(owner)}
            agents = [agent for agent, _ in tx.members.everyone(owner)]
            return write(tx.members.teams(owner), tx.members.skills(owner), agents, workspaces)[0]

        return await self.store.read(look)

    async def agents(self) -> dict[str, Agent]:
        def look(tx: Transaction) -> dict[str, Agent]:
            owner = tx.members.organization("default") or ""
            return {agent.name: agent for agent, _ in tx.members.everyone(owner)}

        return await self.store.read(look)

    async def events(self, after: int = 0) -> list[tuple[str, str | None]]:
        def look(tx: Transaction) -> list[tuple[str, str | None]]:
            owner = tx.members.organization("default") or ""
            return [(event.type, event.agent_id) for _, event in tx.ledger.events_after(owner, after, 1000)]

        return await self.store.read(look)
