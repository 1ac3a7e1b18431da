"""The event stream: from one change to the last of many listeners, and memory for each.

    python benchmarks/events.py [--many]

`rollcall run` as shipped with SQLite; the change is one durable PUT. The floor is a raw asyncio broadcast:
a server of a few lines that, told to, writes as many bytes to as many connections: no HTTP, no database.
Servers and client are processes of their own. `--many`: 10,000 listeners too, where the limit of open files
allows it (some 12,000 for either process, which the server keeps some of for others). Blocks of rounds in
turn, medians.
"""

import argparse
import asyncio
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from adapters.clock import SystemClock
from bot.config import Config
from bot.core import Rollcall
from bot.ports import Profile
from bot.service import keys
from storage.database import ensure_schema, open_store

BLOCKS, ROUNDS = 3, 5
KEYS = 10
"""A key may ask 6,000 times a minute, and 10,000 streams are opened in less."""
MOST_RATIO, MOST_BYTES = 2.0, 16_000
FLOOR = """
import asyncio, sys

live = set()

class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        if data == b"follow":
            live.add(self.transport)
            self.transport.write(b"ready")
            return
        said = b"x" * int(data)
        for transport in live:
            transport.write(said)
    def connection_lost(self, error):
        live.discard(self.transport)

async def main():
    server = await asyncio.get_running_loop().create_server(
        Connection, "127.0.0.1", int(sys.argv[1]), backlog=2048)
    await server.serve_forever()

asyncio.run(main())
"""
CONFIG = """
[database]
url = "sqlite:///{database}"
[http]
port = {port}
[log]
level = "warning"
"""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def filled(url: str) -> tuple[str, list[str], str]:
    """One agent; answers their id, keys to read with, and one to write with."""
    ensure_schema(url)
    core = Rollcall(Config(), open_store(url), SystemClock())
    await core.start()
    try:
        workspace = await core.workspace("slack", "T1", "Benchmark")
        agent = await core.enrol(workspace.id, Profile("U1", "Ann"), "operator")
        now, owner = datetime.now(UTC), core.organization_id

        async def made(scope: str) -> str:
            return await core.store.write(lambda tx: keys.create(tx, owner, "bench", [scope], now))

        return agent.id, [await made("read") for _ in range(KEYS)], await made("admin")
    finally:
        await core.store.close()


@contextmanager
def running(command: list[str], port: int) -> Iterator[psutil.Process]:
    """A server process until the block ends."""
    process = subprocess.Popen(command)
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise SystemExit("the server ended by itself")
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


class Crowd:
    """Many connections of one client, and how long it takes until each has been told."""

    def __init__(self, port: int, hello: list[bytes], ready: bytes, told: bytes) -> None:
        """Each says `hello` and is let in when `ready` came; a round is over when each got `told`."""
        self._port, self._hello, self._ready, self._told = port, hello, ready, told
        self._watch = select.epoll()
        self._opened: dict[int, socket.socket] = {}
        self.size = 0
        """Bytes that one connection got in the last round."""

    def grow(self, count: int) -> None:
        """So many connections in all, let in some at a time."""
        while len(self._opened) < count:
            some = []
            for _ in range(min(200, count - len(self._opened))):
                connection = socket.create_connection(("127.0.0.1", self._port))
                connection.sendall(self._hello[len(self._opened) % len(self._hello)])
                self._opened[connection.fileno()] = connection
                self._watch.register(connection.fileno(), select.EPOLLIN)
                some.append(connection.fileno())
            self._until(self._ready, some)

    def round(self, trigger: socket.socket, asked: bytes) -> float:
        """Seconds from the question to the last of them."""
        began = time.perf_counter()
        trigger.sendall(asked)
        self._until(self._told, list(self._opened))
        return time.perf_counter() - began

    def _until(self, wanted: bytes, numbers: list[int]) -> None:
        waiting = dict.fromkeys(numbers, b"")
        until = time.monotonic() + 60
        while waiting:
            for number, _ in self._watch.poll(1.0):
                received = self._opened[number].recv(65_536)
                if not received:
                    raise SystemExit("the server closed a connection")
                if number in waiting:
                    waiting[number] += received
                    if wanted in waiting[number]:
                        self.size = len(waiting.pop(number))
            if time.monotonic() > until:
                raise SystemExit(f"{len(waiting)} were not told within a minute")

    def close(self) -> None:
        """Hang up."""
        for connection in self._opened.values():
            connection.close()
        self._watch.close()


def measured(count: int, stack: ExitStack, folder: Path) -> tuple[float, float, float, float, float]:
    """Milliseconds of the floor and of ours, their ratio, and bytes a connection of each."""
    database = folder / f"{count}.sqlite3"
    agent_id, readers, writer = asyncio.run(filled(f"sqlite:///{database}"))
    port, floor_port = free_port(), free_port()
    path = folder / f"{count}.toml"
    path.write_text(CONFIG.format(database=database, port=port))
    ours = stack.enter_context(running([sys.executable, "-m", "bot.cli", "run", "--config", str(path)], port))
    floor = stack.enter_context(running([sys.executable, "-c", FLOOR, str(floor_port)], floor_port))
    hello = [
        f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        for key in readers
    ]
    number = 0

    def change() -> bytes:
        nonlocal number
        number += 1
        body = b'{"external_id":"%d"}' % number
        return (
            b"PUT /v1/agents/%b/external-ids/bench HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (agent_id.encode(), writer.encode(), len(body), body)
        )

    taken: tuple[list[float], list[float]] = ([], [])
    each: tuple[list[float], list[float]] = ([], [])
    for _ in range(BLOCKS):
        crowd = Crowd(port, hello, b"\nid: ", b"event: agent.updated")
        block_of(crowd, ours, port, count, change, taken[1], each[1])
        said = b"%d" % crowd.size
        bare = Crowd(floor_port, [b"follow"], b"ready", b"x" * crowd.size)
        block_of(bare, floor, floor_port, count, partial(bytes, said), taken[0], each[0])
    floor_s, ours_s = (statistics.median(one) for one in taken)
    # What is freed is kept for the next: only the first block sees memory grow.
    return floor_s * 1000, ours_s * 1000, ours_s / floor_s, each[0][0], each[1][0]


def block_of(
    crowd: Crowd,
    server: psutil.Process,
    port: int,
    count: int,
    question: Callable[[], bytes],
    taken: list[float],
    each: list[float],
) -> None:
    """Let so many in, tell them some times, and hang up. Notes the seconds, and bytes a connection."""
    asking = socket.create_connection(("127.0.0.1", port))
    asking.setblocking(False)

    def once() -> float:
        seconds = crowd.round(asking, question())
        time.sleep(0.05)
        with suppress(BlockingIOError):
            asking.recv(65_536)
        return seconds

    crowd.grow(1)
    once()
    before = server.memory_info().rss
    crowd.grow(count)
    once()
    each.append((server.memory_info().rss - before) / (count - 1))
    taken += [once() for _ in range(ROUNDS)]
    crowd.close()
    asking.close()
    time.sleep(1)


def main() -> int:
    """Run it, print the table; 1 where a figure is not reached."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--many", action="store_true", help="10,000 listeners too")
    given = options.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    counts = [1_000]
    if given.many and (hard == resource.RLIM_INFINITY or hard > 11_400):
        counts.append(10_000)
    elif given.many:
        print(f"10,000 listeners are left out: {hard} open files are allowed", file=sys.stderr)
    shown = Table("listeners", "floor", "ours", "ratio (at most 2)", "bytes each: floor", "ours (16,000)")
    reached = True
    for count in counts:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            floor, ours, ratio, bare_each, each = measured(count, stack, folder)
        reached = reached and ratio <= MOST_RATIO and each <= MOST_BYTES
        times = f"{floor:.1f} ms", f"{ours:.1f} ms", f"{ratio:.2f}"
        shown.add_row(f"{count:,}", *times, f"{bare_each:,.0f}", f"{each:,.0f}")
    Console(width=110).print(shown)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
