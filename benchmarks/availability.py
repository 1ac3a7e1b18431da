"""How fast `GET /v1/availability` is, beside a bare Starlette route that answers a constant body as large.

    python benchmarks/availability.py

Starts `rollcall run` as shipped (keys, limits and metrics on) with 1,000 and with 100,000 agents, and the
bare route under the same uvicorn, and asks each in turn from this process: pairs of rounds, their median.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil

from bot.config import Config
from bot.domain.agent import Agent, Identity
from bot.domain.facts import CheckIn, Choice, Facts, Intent, Interval, Presence
from bot.domain.ids import new_id
from bot.ports import Transaction
from bot.service import configured, keys
from storage.database import ensure_schema, open_inline

CONNECTIONS = 16
WANTED = 0.8
MOST_DEARER = 1.1
KEYS = 48
"""So many that no key is ever told 429 at the shipped rate: the limiter works, and nobody reaches it."""
CONFIG = """
[http]
port = {port}
[database]
url = "sqlite:///{database}"
[[team]]
slug = "support"
name = "Support"
everyone = true
"""
BARE = """
import asyncio, sys
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODY = b"x" * int(sys.argv[2])

async def constant(request: Request) -> Response:
    return Response(BODY, media_type="application/json")

app = Starlette(routes=[Route("/v1/availability", constant)])
config = uvicorn.Config(
    app, port=int(sys.argv[1]), http="httptools", ws="none", lifespan="off", log_config=None,
    access_log=False, server_header=False, proxy_headers=False,
)
asyncio.run(uvicorn.Server(config).serve())
"""


@dataclass
class Target:
    """A server under test."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    requests: list[bytes]
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    """Microseconds of the server's processor time a request."""


async def populate(url: str, config: Config, agents: int) -> list[str]:
    """Agents who are Available by their own word, and keys. Answers the keys."""
    ensure_schema(url)
    store = open_inline(url, "normal")
    now = datetime.now(UTC)

    def add(first: int, organization_id: str, workspace_id: str, tx: Transaction) -> None:
        for number in range(first, min(first + 5_000, agents)):
            agent_id, identity_id = new_id("agt", now), new_id("idn", now)
            identity = Identity(identity_id, workspace_id, "slack", f"U{number:08}", f"Agent {number}")
            facts = Facts(
                agent_id,
                Intent(Choice.AVAILABLE, now, "agent"),
                Interval(Presence.AVAILABLE, now, "set", "agent"),
                check_in=CheckIn(identity_id, now, now + timedelta(hours=8)),
                reviewed_at=now,
            )
            agent = Agent(
                agent_id,
                organization_id,
                f"Agent {number}",
                teams=("support",),
                identities=(identity,),
                externals=(("chatwoot", str(number)),),
            )
            tx.members.add(agent, facts, now)

    def work(tx: Transaction) -> tuple[str, str, list[str]]:
        organization_id = configured.prepare(tx, config, now)
        workspace = tx.members.ensure_workspace(organization_id, "slack", "T1", "Shop", now)
        made = [keys.create(tx, organization_id, f"benchmark {n}", ["read"], now) for n in range(KEYS)]
        return organization_id, workspace.id, made

    try:
        organization_id, workspace_id, made = await store.write(work)
        for first in range(0, agents, 5_000):
            await store.write(partial(add, first, organization_id, workspace_id))
        return made
    finally:
        await store.close()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server process until the block ends."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(
                    f"{command[0]} ended: {process.stderr.read().decode() if process.stderr else ''}"
                )
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        if process.stderr:
            process.stderr.close()


def request(key: str) -> bytes:
    """One request as it goes over the wire."""
    return (
        b"GET /v1/availability HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        b"Authorization: Bearer " + key.encode() + b"\r\n\r\n"
    )


def drive(target: Target, seconds: float) -> tuple[float, int]:
    """Ask as fast as it answers, on `CONNECTIONS` kept alive. Answers requests/s and the body's size."""
    watch = selectors.DefaultSelector()
    opened: list[socket.socket] = []
    asked = target.requests
    number = answered = size = 0
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", target.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(asked[number % len(asked)])
        number += 1
        opened.append(connection)
        watch.register(connection, selectors.EVENT_READ, (connection, bytearray()))
    began = time.perf_counter()
    end = began + seconds
    while time.perf_counter() < end:
        for event, _ in watch.select(1.0):
            connection, buffer = event.data
            received = connection.recv(262_144)
            if not received:
                raise SystemExit(f"{target.name} closed a connection")
            buffer += received
            head = buffer.find(b"\r\n\r\n")
            if head < 0:
                continue
            at = buffer.find(b"content-length: ") + 16
            size = int(buffer[at : buffer.find(b"\r", at)])
            if len(buffer) < head + 4 + size:
                continue
            if not buffer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{target.name} answered {bytes(buffer[:200])!r}")
            buffer.clear()
            answered += 1
            connection.sendall(asked[number % len(asked)])
            number += 1
    rate = answered / (time.perf_counter() - began)
    for connection in opened:
        connection.close()
    return rate, size


def round_of(target: Target, seconds: float) -> None:
    """One round, with the processor time it cost the server."""
    process = psutil.Process(target.process.pid)
    before = sum(process.cpu_times()[:2])
    rate, _ = drive(target, seconds)
    spent = sum(process.cpu_times()[:2]) - before
    target.rates.append(rate)
    target.costs.append(spent / (rate * seconds) * 1e6)


def start(stack: ExitStack, folder: Path, agents: int) -> Target:
    """`rollcall run` with so many agents."""
    port = free_port()
    file = folder / f"{agents}.toml"
    url = f"sqlite:///{folder / f'{agents}.sqlite3'}"
    file.write_text(CONFIG.format(port=port, database=folder / f"{agents}.sqlite3"))
    began = time.perf_counter()
    config = Config.model_validate({"team": [{"slug": "support", "name": "Support"}]})
    made = asyncio.run(populate(url, config, agents))
    print(f"{agents} agents written in {time.perf_counter() - began:.1f} s", file=sys.stderr)
    command = [sys.executable, "-c", "from bot.cli import main; main()", "run", "--config", str(file)]
    process = stack.enter_context(running(command, port, {**os.environ}))
    return Target(f"{agents:,} agents", port, process, [request(key) for key in made])


def main() -> int:
    """Run it, print the table; 1 where a figure is not reached."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=1.2, help="of one round")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        few = start(stack, folder, 1_000)
        many = start(stack, folder, 100_000)
        _, size = drive(few, 0.3)
        port = free_port()
        bare_process = stack.enter_context(
            running([sys.executable, "-c", BARE, str(port), str(size)], port, {**os.environ})
        )
        bare = Target("bare Starlette", port, bare_process, few.requests)
        for target in (bare, few, many):
            drive(target, 0.3)
        for _ in range(given.rounds):
            for target in (bare, few, many):
                round_of(target, given.seconds)
    print(f"GET /v1/availability, 20 of the agents in {size} bytes, {CONNECTIONS} connections, ", end="")
    print(f"{given.rounds} rounds of {given.seconds:g} s each, in turn; medians")
    print(f"{'':16}{'requests/s':>12}{'server us/request':>20}{'of bare':>9}")
    ratios = {}
    for target in (bare, few, many):
        ratios[target.name] = statistics.median(a / b for a, b in zip(target.rates, bare.rates, strict=True))
        rate, cost = statistics.median(target.rates), statistics.median(target.costs)
        print(f"{target.name:16}{rate:12,.0f}{cost:20.1f}{ratios[target.name]:9.2f}")
    dearer = statistics.median(a / b for a, b in zip(few.rates, many.rates, strict=True))
    print(f"1,000 agents: {ratios[few.name]:.2f} of the bare route; at least {WANTED} is asked for")
    print(f"100,000 agents cost {dearer:.2f} times 1,000; at most {MOST_DEARER} is asked for")
    return 0 if ratios[few.name] >= WANTED and dearer <= MOST_DEARER else 1


if __name__ == "__main__":
    sys.exit(main())
