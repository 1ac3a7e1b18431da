"""A roster file comes to the same in every storage."""

from __future__ import annotations

from datetime import timedelta

from roster_house import FILE, LATER, SAM

from bot.config import Config
from bot.ports import Store, Transaction
from bot.service import applying
from bot.service.roster_file import read, write

TWO = (
    '[[agent]]\nname = "A"\naccounts = ["slack:T1:U1"]\nexternal_ids = {{ desk = "{}" }}\n'
    '[[agent]]\nname = "B"\naccounts = ["slack:T1:U2"]\nexternal_ids = {{ desk = "{}" }}\n'
)


async def test_applying_exporting_pruning_and_bringing_back(store: Store) -> None:
    at = LATER

    async def apply(text: str, *, prune: bool = False) -> list[str]:
        nonlocal at
        at += timedelta(minutes=1)
        wanted = applying.Apply(read(text), prune, Config())
        return await store.write(lambda tx: applying.apply(tx, wanted, at))

    def exported(tx: Transaction) -> str:
        owner = tx.members.organization("default") or ""
        workspaces = {one.id: one for one in tx.members.workspaces(owner)}
        agents = [agent for agent, _ in tx.members.everyone(owner)]
        return write(tx.members.teams(owner), tx.members.skills(owner), agents, workspaces)[0]

    assert len(await apply(FILE)) == 5
    text = await store.read(exported)
    assert await apply(text) == []
    assert [line.rpartition(": ")[2] for line in await apply(SAM, prune=True)] == [
        "ends",
        "ends",
        "ends",
        "removed",
    ]
    assert len(await apply(text)) == 4
    assert await store.read(exported) == text
    await apply(TWO.format("1", "2"))
    assert await apply(TWO.format("2", "1")) == [
        "Alex (slack:T1:U1): is 2 in desk",
        "Sam (slack:T1:U2): is 1 in desk",
    ]
