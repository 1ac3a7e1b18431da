"""Starting: `rollcall --help`, from the command to listening, and memory, against the bare imports.

    python benchmarks/startup.py

`rollcall run` starts with Slack, Discord and HTTP configured (both platforms served by the test servers
on loopback) and 1,000 agents in SQLite; the floor is a Python that only imports the libraries which that
program ends up having imported. Alternating, medians of 5 rounds.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes.discord_server import FakeDiscord
from fakes.slack import FakeSlack
from whole_program import toml

from adapters.clock import SystemClock
from bot.config import Config
from bot.dispatch import Desk
from bot.ports import Profile
from storage.database import ensure_schema, open_store

AGENTS = 1000
ROUNDS = 5
LIBRARIES = (
    "aiohttp, discord, fastapi, httptools, msgspec, prometheus_client, pydantic, regex, "
    "slack_bolt.async_app, slack_sdk.socket_mode.aiohttp, sqlmodel, structlog, tenacity, uvicorn, whenever, "
    "slack_bolt.adapter.socket_mode.aiohttp"
)
BARE = f"import {LIBRARIES}\nprint('imported', flush=True)\nimport sys; sys.stdin.read()"


async def fill(url: str, team: str) -> None:
    """1,000 agents of a Slack workspace."""
    ensure_schema(url)
    desk = Desk(Config(), open_store(url), SystemClock())
    await desk.start()
    workspace = await desk.workspace("slack", team, "Benchmark")
    people = [Profile(f"U{number}", f"Agent {number}", "Europe/Berlin") for number in range(AGENTS)]
    await asyncio.gather(*(desk.enrol(workspace.id, profile, "operator") for profile in people))
    await desk.store.close()


async def until(words: list[str], told: str, error: bool = False) -> tuple[float, float]:
    """Seconds until the process says `told`, and its memory in MB a second later; then it is ended."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL if error else asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if error else asyncio.subprocess.DEVNULL,
    )
    stream = process.stderr if error else process.stdout
    if stream is None:
        raise RuntimeError("the process has no output")
    async with asyncio.timeout(60):
        while told.encode() not in (line := await stream.readline()):
            if not line:
                raise RuntimeError(f"it ended without saying {told}")
    seconds = time.perf_counter() - began
    reading = asyncio.ensure_future(stream.read())
    await asyncio.sleep(2 if error else 0.2)
    memory = psutil.Process(process.pid).memory_info().rss / 1e6
    process.terminate()
    await process.wait()
    await reading
    return seconds, memory


def help_seconds() -> float:
    """How long `rollcall --help` takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bot.cli", "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'rollcall.sqlite3'}"
        async with FakeSlack() as slack, FakeDiscord() as discord:
            await fill(url, slack.workspace.id)
            config = {
                "database": {"url": url},
                "http": {"port": 0},
                "log": {"form": "json"},
                "slack": {
                    "bot_token": slack.bot_token,
                    "app_token": slack.app_token,
                    "base_url": slack.base_url,
                },
                "discord": {
                    "token": discord.token,
                    "base_url": discord.base_url,
                    "gateway_url": discord.gateway_url,
                },
            }
            (folder / "rollcall.toml").write_text(toml(config))
            run = [sys.executable, "-m", "bot.cli", "run", "--config", str(folder / "rollcall.toml")]
            bare = [sys.executable, "-c", BARE]
            rounds = [
                (await until(run, json.dumps("listening"), error=True), await until(bare, "imported"))
                for _ in range(ROUNDS)
            ]
        shown = Table("", "floor", "ours", "")
        ours_s = statistics.median(ours[0] for ours, _ in rounds)
        bare_s = statistics.median(floor[0] for _, floor in rounds)
        ours_mb = statistics.median(ours[1] for ours, _ in rounds)
        bare_mb = statistics.median(floor[1] for _, floor in rounds)
        ratio = statistics.median(ours[0] / floor[0] for ours, floor in rounds)
        help_s = statistics.median(help_seconds() for _ in range(ROUNDS))
        shown.add_row("rollcall --help (below 0.25 s)", "", f"{help_s:.2f} s", "")
        shown.add_row(
            "start to listening (at most 1.5)", f"{bare_s:.2f} s", f"{ours_s:.2f} s", f"{ratio:.2f}"
        )
        shown.add_row(
            f"memory with {AGENTS:,} agents (at most +40 MB)",
            f"{bare_mb:.0f} MB",
            f"{ours_mb:.0f} MB",
            f"+{ours_mb - bare_mb:.0f} MB",
        )
        Console().print(shown)


if __name__ == "__main__":
    asyncio.run(main())
