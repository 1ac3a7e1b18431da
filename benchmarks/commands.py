"""How long a slash command takes: beside Bolt's own floor one at a time, and at 100 a second.

    python benchmarks/commands.py

First over Slack's signed HTTP: `/brb 30m lunch` and `/available` in turn against `rollcall run` as
shipped, and against Bolt's own ASGI handler (`process_before_response`) under uvicorn, which commits one
bare row to SQLite (`synchronous=FULL`) and answers a constant. Paired rounds in one run, medians.
Then 100 commands a second for 10 s, by 50 agents, over Slack's HTTP, Slack's socket and Discord, each through
our own test server in this process. A command that is sent late is counted from when it was due.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes.discord_server import FakeDiscord
from fakes.slack import FakeSlack
from fakes.slack_http import encoded, signed_headers
from whole_program import toml

COMMANDS = (("/brb", "30m lunch"), ("/available", ""))
AT_ONCE_TARGET, P99_TARGET = 1.2, 50.0
RATE, SECONDS, AGENTS = 100, 10, 50


def serve_floor(port: int, database: str) -> None:
    """Bolt, uvicorn and one commit: what a command costs at least."""
    import uvicorn
    from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
    from slack_bolt.async_app import AsyncApp
    from slack_bolt.authorization import AuthorizeResult
    from slack_bolt.response import BoltResponse

    rows = sqlite3.connect(database, isolation_level=None)
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("PRAGMA synchronous=FULL")
    rows.execute("CREATE TABLE said (at REAL, text TEXT)")

    async def trust(**_: object) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T1", user_id="U1")

    app = AsyncApp(signing_secret=os.environ["SIGNING_SECRET"], authorize=trust, process_before_response=True)

    async def commanded(body: dict[str, Any]) -> BoltResponse:
        rows.execute("BEGIN IMMEDIATE")
        rows.execute("INSERT INTO said VALUES (?, ?)", (time.time(), body["text"]))
        rows.execute("COMMIT")
        return BoltResponse(status=200, body={"response_type": "ephemeral", "text": "You're *Away*."})

    for name, _ in COMMANDS:
        app.command(name)(commanded)
    uvicorn.run(
        AsyncSlackRequestHandler(app, path="/slack/events"),
        port=port,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


class Caller:
    """Slack as a caller of one request URL, on one connection that is kept."""

    def __init__(self, slack: FakeSlack, port: int) -> None:
        self._slack = slack
        self._port = port
        self._number = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def _request(self) -> bytes:
        self._number += 1
        command, text = COMMANDS[self._number % 2]
        payload = {
            "team_id": "T1",
            "team_domain": "acme",
            "channel_id": "C1",
            "channel_name": "general",
            "user_id": "U0",
            "user_name": "u0",
            "command": command,
            "text": text,
            "api_app_id": self._slack.app_id,
            "response_url": f"{self._slack.base_url}none",
            "trigger_id": f"{self._port}.{self._number}",
        }
        body, content_type = encoded("slash_commands", payload)
        headers = signed_headers(self._slack.signing_secret, time.time(), body, content_type)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return (
            f"POST /slack/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def round_of(self, count: int) -> list[float]:
        """Milliseconds of each of so many commands, one after the other."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        taken = []
        for _ in range(count):
            request = self._request()
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            at = head.lower().find(b"content-length: ") + 16
            body = await reader.readexactly(int(head[at : head.find(b"\r", at)]))
            taken.append((time.perf_counter() - began) * 1000)
            if not head.startswith(b"HTTP/1.1 200") or b"You're *" not in body:
                raise SystemExit(f"refused: {head!r} {body!r}")
        return taken


async def until_listening(port: int, server: asyncio.subprocess.Process) -> None:
    """Wait for a server. Raises EOFError when it has ended."""
    async with asyncio.timeout(60):
        while True:
            if server.returncode is not None:
                raise EOFError
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@asynccontextmanager
async def process(words: Sequence[str], port: int, **environment: str) -> AsyncIterator[psutil.Process]:
    """A server in a process of its own."""
    with tempfile.TemporaryFile() as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, *words, env={**os.environ, **environment}, stdout=log, stderr=log
        )
        try:
            await until_listening(port, running)
            yield psutil.Process(running.pid)
        except EOFError:
            log.seek(0)
            sys.stderr.write(log.read().decode())
            raise SystemExit("a server did not start") from None
        finally:
            if running.returncode is None:
                running.terminate()
                await running.wait()


async def free_port() -> int:
    """A port nobody listens on."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@asynccontextmanager
async def rollcall(folder: Path, port: int, **platforms: object) -> AsyncIterator[psutil.Process]:
    """`rollcall run` with these platforms and nothing else than what is shipped."""
    folder.mkdir()  # noqa: ASYNC240  # nobody waits
    config = {"database": {"url": f"sqlite:///{folder / 'rollcall.sqlite3'}"}, "http": {"port": port}}
    (folder / "rollcall.toml").write_text(toml({**config, **platforms}))
    async with process(["-m", "bot.cli", "run", "--config", str(folder / "rollcall.toml")], port) as running:
        yield running


def slack_table(slack: FakeSlack, mode: str) -> dict[str, str]:
    """`[slack]` for a test server."""
    return {
        "bot_token": slack.bot_token,
        "app_token": slack.app_token,
        "signing_secret": slack.signing_secret,
        "mode": mode,
        "base_url": slack.base_url,
    }


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


class Measured(NamedTuple):
    """One round against one server."""

    median_ms: float
    processor_ms: float
    """Of the server, for each command, whatever thread spent it."""


async def round_of(caller: Caller, server: psutil.Process, count: int) -> Measured:
    """So many commands, one after the other."""
    before = sum(server.cpu_times()[:2])
    taken = await caller.round_of(count)
    spent = sum(server.cpu_times()[:2]) - before
    return Measured(statistics.median(taken), spent / count * 1000)


async def latency(folder: Path, rounds: int, count: int) -> list[tuple[Measured, Measured]]:
    """Each pair of rounds: the floor's, ours."""
    async with FakeSlack() as slack:
        slack.add_user("U0")
        port, floor_port = await free_port(), await free_port()
        floor = [__file__, "--floor", str(floor_port), "--database", str(folder / "floor.sqlite3")]
        async with (
            rollcall(folder / "latency", port, slack=slack_table(slack, "http")) as our_server,
            process(floor, floor_port, SIGNING_SECRET=slack.signing_secret) as bare_server,
        ):
            await slack.wait_for_call("auth.test")
            ours, bare = Caller(slack, port), Caller(slack, floor_port)
            for caller in (bare, ours):
                await caller.round_of(count)
            return [
                (await round_of(bare, bare_server, count), await round_of(ours, our_server, count))
                for _ in range(rounds)
            ]


async def open_loop(say: Callable[[int], Awaitable[object]], seconds: float) -> list[float]:
    """Sorted milliseconds of commands said at `RATE`, whether or not the ones before are answered."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one(number: int) -> float:
        due = began + number / RATE
        await asyncio.sleep(max(0.0, due - loop.time()))
        await say(number)
        return (loop.time() - due) * 1000

    return sorted(await asyncio.gather(*(one(number) for number in range(int(RATE * seconds)))))


async def in_slack(folder: Path, mode: str, seconds: float) -> list[float]:
    """Over a socket, or over HTTP."""
    async with FakeSlack() as slack:
        for number in range(AGENTS):
            slack.add_user(f"U{number}")
        port = await free_port()
        async with rollcall(folder / f"slack-{mode}", port, slack=slack_table(slack, mode)):
            if mode == "http":
                slack.request_url = f"http://127.0.0.1:{port}/slack/events"
                await slack.wait_for_call("auth.test")
            else:
                await slack.wait_for_connection(timeout=10)

            async def say(number: int) -> None:
                command, text = COMMANDS[number // AGENTS % 2]
                reply = await slack.command(f"U{number % AGENTS}", command, text)
                if "You're *" not in reply.shown and "Noted: *" not in reply.shown:
                    raise SystemExit(f"refused: {reply.shown}")

            for number in range(2 * AGENTS):
                await say(number)
            taken = await open_loop(say, seconds)
        if slack.violations:
            raise SystemExit(f"broke Slack's rules: {slack.violations[:3]}")
        return taken


async def in_discord(folder: Path, seconds: float) -> list[float]:
    """Interactions from the gateway, answered by REST."""
    async with FakeDiscord() as discord:
        guild = discord.add_guild("Acme")
        role = discord.add_role(guild, "Agents")
        people = [
            discord.add_member(guild, f"agent {number}", status="online", roles=[role])
            for number in range(AGENTS)
        ]
        table = {
            "token": discord.token,
            "base_url": discord.base_url,
            "gateway_url": discord.gateway_url,
            "agent_roles": [str(role.id)],
        }
        async with rollcall(folder / "discord", await free_port(), discord=table):
            await discord.connected(timeout=10)
            await discord.until(lambda: bool(discord.commands(guild)), "the commands")

            async def say(number: int) -> None:
                person = people[number % AGENTS]
                if number // AGENTS % 2:
                    reply = await discord.slash(person, guild, "available")
                else:
                    reply = await discord.slash(person, guild, "away", until="30m", reason="lunch")
                if reply.failed or "**" not in reply.text:
                    raise SystemExit(f"refused: {reply}")

            for number in range(2 * AGENTS):
                await say(number)
            taken = await open_loop(say, seconds)
        if discord.violations:
            raise SystemExit(f"broke Discord's rules: {discord.violations[:3]}")
        return taken


def at(share: float, sorted_times: Sequence[float]) -> float:
    """The time that so large a share stayed below."""
    return sorted_times[min(len(sorted_times) - 1, int(share * len(sorted_times)))]


async def main(rounds: int, count: int, seconds: float, only: str) -> int:
    """Run it, print the tables; 1 where a figure is not reached."""
    console, reached = Console(), True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if only in {"", "latency"}:
            pairs = await latency(folder, rounds, count)
            ratio = statistics.median(ours.median_ms / floor.median_ms for floor, ours in pairs)
            reached = ratio <= AT_ONCE_TARGET
            shown = Table("one at a time, Slack's HTTP", "median", "of the floor", "server's processor time")
            for which, whose, told in (
                (0, "Bolt and one commit", ""),
                (1, f"rollcall (at most {AT_ONCE_TARGET})", f"{ratio:.2f}"),
            ):
                median_ms = statistics.median(pair[which].median_ms for pair in pairs)
                processor_ms = statistics.median(pair[which].processor_ms for pair in pairs)
                shown.add_row(whose, f"{median_ms:.2f} ms", told, f"{processor_ms:.2f} ms")
            shown.add_row("one fsync of 4 KiB", f"{fsync_ms(folder):.2f} ms", "", "")
            console.print(shown)
        shown = Table(f"{RATE} commands/s for {seconds:g} s, {AGENTS} agents", "p50", "p99", "most")
        measured: dict[str, Callable[[], Awaitable[list[float]]]] = {
            "Slack, HTTP": lambda: in_slack(folder, "http", seconds),
            "Slack, socket": lambda: in_slack(folder, "socket", seconds),
            "Discord": lambda: in_discord(folder, seconds),
        }
        if only != "latency":
            for where, measure in measured.items():
                taken = await measure()
                reached = reached and at(0.99, taken) < P99_TARGET
                shown.add_row(
                    where, *(f"{value:.1f} ms" for value in (at(0.5, taken), at(0.99, taken), taken[-1]))
                )
            console.print(shown)
            console.print(f"p99 below {P99_TARGET:g} ms is asked for")
    return 0 if reached else 1


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--count", type=int, default=300, help="commands in one round")
    options.add_argument("--seconds", type=float, default=SECONDS, help="at 100 commands a second")
    options.add_argument("--only", choices=["latency", "load"], default="")
    options.add_argument(
        "--floor", type=int, metavar="PORT", help="serve the floor; for the benchmark itself"
    )
    options.add_argument("--database", default="")
    given = options.parse_args()
    if given.floor:
        serve_floor(given.floor, given.database)
    else:
        sys.exit(asyncio.run(main(given.rounds, given.count, given.seconds, given.only)))
