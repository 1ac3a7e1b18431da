"""A change of intent, durable, by 32 callers: group commit against the same transaction one by one.

    python benchmarks/intent.py

Ours is `choose_away` and `choose_available` in turn through the core on a SQLite file with
`synchronous=FULL`. The floor is the same core on the same file format with each transaction committed
by itself. Both in one run, alternating; medians of 5 rounds; the disk's own fsync time beside them.
"""

import asyncio
import os
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adapters.clock import SystemClock
from bot.config import Config
from bot.dispatch import Desk
from bot.domain.choices import choose_available, choose_away
from bot.domain.facts import Facts
from bot.domain.transition import Step
from bot.ports import Profile, Store
from storage.database import ensure_schema, open_inline, open_store

CALLERS = 32
CHANGES = 60
"""For each caller in each round."""
ROUNDS = 5


async def open_desk(store: Store) -> tuple[Desk, list[str]]:
    """A started core with an agent for each caller."""
    desk = Desk(Config(), store, SystemClock())
    await desk.start()
    workspace = await desk.workspace("slack", "T1", "Benchmark")
    agents = [
        await desk.enrol(workspace.id, Profile(f"U{number}", f"Agent {number}", "Europe/Berlin"), "operator")
        for number in range(CALLERS)
    ]
    return desk, [agent.id for agent in agents]


async def round_of(desk: Desk, agents: list[str]) -> float:
    """Changes a second."""

    def away(facts: Facts, at: datetime) -> Step:
        return choose_away(facts, desk.roster.feeds, desk.policy, at)

    def available(facts: Facts, at: datetime) -> Step:
        return choose_available(facts, desk.roster.feeds, desk.policy, at)

    async def call(agent_id: str) -> None:
        for number in range(CHANGES):
            await desk.change(agent_id, away if number % 2 else available, f"agent:{agent_id}", "presence")

    began = time.perf_counter()
    await asyncio.gather(*(call(agent_id) for agent_id in agents))
    return CALLERS * CHANGES / (time.perf_counter() - began)


def fsync_ms(folder: Path) -> float:
    """What one fsync of 4 KiB takes here: the median of 200."""
    taken = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("ours", "floor"):
            ensure_schema(f"sqlite:///{folder / file}")
        ours, our_agents = await open_desk(open_store(f"sqlite:///{folder / 'ours'}"))
        floor, floor_agents = await open_desk(open_inline(f"sqlite:///{folder / 'floor'}"))
        rates = [
            (await round_of(ours, our_agents), await round_of(floor, floor_agents)) for _ in range(ROUNDS)
        ]
        await ours.store.close()
        await floor.store.close()
        table = Table("", "changes/s")
        table.add_row("one by one", f"{statistics.median(rate for _, rate in rates):,.0f}")
        table.add_row(f"ours, {CALLERS} callers", f"{statistics.median(rate for rate, _ in rates):,.0f}")
        ratio = statistics.median(ours / floor for ours, floor in rates)
        table.add_row("ratio (at least 3)", f"{ratio:.2f}")
        table.add_row("fsync", f"{fsync_ms(folder):.2f} ms")
        Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
