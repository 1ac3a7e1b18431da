"""What console sessions cost: 1,000 of them, each with a heartbeat every 15 s; and 500 that come at once.

    python benchmarks/heartbeats.py

Starts `rollcall run` as shipped (keys, limits, metrics, SQLite with `synchronous=FULL`), opens a session for
each of 1,000 agents, and sends heartbeats evenly from this process while it counts the processor's time of
the server and the bytes that it writes. Beside it, a bare Starlette route that is asked as often.

Then the server is killed and started again, and 500 consoles come back in the same moment, each over a new
connection: every one of these heartbeats is on disk before it is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil
from availability import BARE, CONFIG, free_port, populate, running

from bot.config import Config
from bot.service import keys
from storage.database import open_inline

SESSIONS = 1_000
BEAT = 15.0
WANTED = 0.02
"""Of one core."""
CONNECTIONS = 8
CROWD = 500
WANTED_P99 = 1.0
"""Seconds from the beginning of the crowd until all but one in a hundred are answered."""


async def key_of(url: str) -> tuple[str, list[str]]:
    """A key that may send heartbeats, and the ids of the agents."""
    store = open_inline(url, "normal")
    try:
        organization_id = await store.read(lambda tx: tx.members.organization("default")) or ""
        now = datetime.now(UTC)
        made = await store.write(lambda tx: keys.create(tx, organization_id, "console", ["presence"], now))
        everyone = await store.read(lambda tx: list(tx.members.everyone(organization_id)))
        return made, [agent.id for agent, _ in everyone]
    finally:
        await store.close()


class Connection:
    """One connection that is kept, and asks one thing after the other."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.alone = asyncio.Lock()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request: bytes) -> None:
        """Raises SystemExit where the answer is another than 200."""
        async with self.alone:
            self.writer.write(request)
            head = await self.reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"a heartbeat was answered {head[:200]!r}")
            at = head.index(b"content-length: ") + 16
            await self.reader.readexactly(int(head[at : head.index(b"\r", at)]))


async def beat_for(seconds: float, requests: list[bytes], connections: list[Connection]) -> int:
    """Heartbeats evenly, each session's every 15 s. Answers how many."""
    began, sent = time.perf_counter(), 0
    waiting: set[asyncio.Task[None]] = set()
    while (due := began + sent * BEAT / len(requests)) < began + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(connections[sent % len(connections)].ask(requests[sent % len(requests)]))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        sent += 1
    await asyncio.gather(*waiting)
    return sent


def spent(process: psutil.Process) -> float:
    """Seconds of the processor that it has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(
    port: int,
    pid: int,
    bare_port: int,
    bare_pid: int,
    made: str,
    agents: list[str],
    given: argparse.Namespace,
) -> float:
    """Open all sessions, then measure idle and beating in turn. Answers the share of a core."""
    server = psutil.Process(pid)
    requests = [heartbeat(made, agent) for agent in agents]
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    for connection in connections:
        await connection.open()
    await asyncio.gather(*(connections[n % CONNECTIONS].ask(one) for n, one in enumerate(requests)))
    bare = [b"GET /v1/availability HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"] * len(agents)
    idle_from = spent(server), time.perf_counter()
    await asyncio.sleep(given.seconds / 3)
    idle = (spent(server) - idle_from[0]) / (time.perf_counter() - idle_from[1])
    bare_server, to_bare = psutil.Process(bare_pid), [Connection(bare_port) for _ in range(CONNECTIONS)]
    for connection in to_bare:
        await connection.open()
    floor_from = spent(bare_server), time.perf_counter()
    await beat_for(given.seconds, bare, to_bare)
    floor = (spent(bare_server) - floor_from[0]) / (time.perf_counter() - floor_from[1])
    await beat_for(BEAT, requests, connections)
    before, began, written = spent(server), time.perf_counter(), server.io_counters().write_bytes
    sent = await beat_for(given.seconds, requests, connections)
    took = time.perf_counter() - began
    share = (spent(server) - before) / took
    wrote = server.io_counters().write_bytes - written
    print(f"{sent} heartbeats of {len(agents)} sessions in {took:.1f} s, {CONNECTIONS} connections")
    print(f"idle               {idle:8.2%} of a core")
    print(f"bare Starlette     {floor:8.2%} of a core, asked as often")
    print(f"with heartbeats    {share:8.2%} of a core, {share * took / sent * 1e6:.0f} us a heartbeat in all")
    print(f"for the heartbeats {share - idle:8.2%} of a core, at most {WANTED:.0%} is asked for")
    print(f"written to disk    {wrote / 1024:8.0f} KiB, {wrote / sent:.0f} bytes a heartbeat")
    return share


def heartbeat(made: str, agent: str) -> bytes:
    """One, as it is sent."""
    return (
        f"PUT /v1/agents/{agent}/sessions/bench HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {made}\r\nContent-Length: 0\r\n\r\n".encode()
    )


async def crowd(port: int, pid: int, made: str, agents: list[str]) -> float:
    """All of them at once. Answers the seconds in which 99 of 100 were answered."""
    server = psutil.Process(pid)
    before = server.memory_info().rss
    began = time.perf_counter()

    async def one(agent: str) -> float:
        connection = Connection(port)
        await connection.open()
        await connection.ask(heartbeat(made, agent))
        took = time.perf_counter() - began
        connection.writer.close()
        return took

    took = sorted(await asyncio.gather(*map(one, agents)))
    p99 = took[len(took) * 99 // 100 - 1]
    grown = (server.memory_info().rss - before) / 2**20
    print(f"{len(took)} at once         half answered within {took[len(took) // 2] * 1e3:.0f} ms, ", end="")
    print(f"99 of 100 within {p99 * 1e3:.0f} ms, all within {took[-1] * 1e3:.0f} ms, +{grown:.1f} MB")
    return p99


def main() -> int:
    """Run it, print the figures; 1 where they are not reached."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=30.0, help="of heartbeats")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "bench.sqlite3")
        url, port, file = f"sqlite:///{database}", free_port(), Path(folder, "rollcall.toml")
        file.write_text(CONFIG.format(port=port, database=database))
        config = Config.model_validate({"team": [{"slug": "support", "name": "Support"}]})
        asyncio.run(populate(url, config, SESSIONS))
        made, agents = asyncio.run(key_of(url))
        command = [sys.executable, "-c", "from bot.cli import main; main()", "run", "--config", str(file)]
        bare_port = free_port()
        bare = [sys.executable, "-c", BARE, str(bare_port), "250"]
        with (
            running(command, port, {**os.environ}) as process,
            running(bare, bare_port, {**os.environ}) as floor,
        ):
            share = asyncio.run(measure(port, process.pid, bare_port, floor.pid, made, agents, given))
            with closing(sqlite3.connect(database)) as look:
                kept = look.execute("SELECT count(*), max(seq) FROM console_session").fetchone()
            process.kill()
        with running(command, port, {**os.environ}) as process:
            p99 = asyncio.run(crowd(port, process.pid, made, agents[:CROWD]))
    print(f"in the database    {kept[0]} sessions, the newest heartbeat of one written: number {kept[1]}")
    return 0 if share <= WANTED and p99 <= WANTED_P99 else 1


if __name__ == "__main__":
    sys.exit(main())
