"""How soon a large team is there again after a start: ready, and everybody in Discord seen anew.

    python benchmarks/reconcile.py

10,000 agents with an account in Slack and one in Discord, out of SQLite; `rollcall run` as shipped, with our
test servers for both platforms on loopback in this process. Three in four are online in Discord. Slack is
asked 45 times a minute, so its round takes hours; how far it has come is in `/metrics`.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from availability import free_port
from fakes.discord_server import FakeDiscord
from fakes.slack import FakeSlack
from whole_program import toml

from bot.config import Config
from bot.domain.agent import Agent, Identity
from bot.domain.facts import CONNECTED, LIVE, Choice, Facts, Feed, Intent, Interval, Link, Presence
from bot.domain.ids import new_id
from bot.ports import Transaction
from bot.service import configured
from storage.database import ensure_schema, open_inline

READY, SEEN = 3.0, 10.0
"""Seconds that are asked for: from the command to ready, and from then until Discord was seen anew."""
WATCHED = 20.0
"""Seconds after that in which Slack's round is watched."""
PIECE = 5_000


async def fill(url: str, slack: str, guild: str, people: Sequence[str]) -> None:
    """Agents who were connected in Discord when the program was last there, each with two accounts."""
    ensure_schema(url)
    store = open_inline(url, "normal")
    now = datetime.now(UTC)

    def places(tx: Transaction) -> tuple[str, str, str]:
        organization_id = configured.prepare(tx, Config(), now)
        found = [
            tx.members.ensure_workspace(organization_id, platform, external_id, "Large", now).id
            for platform, external_id in (("slack", slack), ("discord", guild))
        ]
        there = Feed(found[1], "discord", LIVE, 1, now, now, timedelta(), timedelta())
        tx.presence.save_feed(organization_id, there, now)
        return organization_id, found[0], found[1]

    def add(first: int, organization_id: str, in_slack: str, in_discord: str, tx: Transaction) -> None:
        for number, person in enumerate(people[first : first + PIECE], first):
            agent_id, name = new_id("agt", now), f"Agent {number}"
            at_slack = Identity(new_id("idn", now), in_slack, "slack", f"U{number:08}", name)
            at_discord = Identity(new_id("idn", now), in_discord, "discord", person, name)
            facts = Facts(
                agent_id,
                Intent(Choice.AVAILABLE, now, "agent"),
                Interval(Presence.AVAILABLE, now, "set", "agent"),
                links=(Link(at_discord.id, in_discord, CONNECTED, now, 1, 1),),
                reviewed_at=now,
            )
            tx.members.add(
                Agent(agent_id, organization_id, name, identities=(at_slack, at_discord)), facts, now
            )

    try:
        where = await store.write(places)
        for first in range(0, len(people), PIECE):
            await store.write(partial(add, first, *where))
    finally:
        await store.close()


def gauge(page: str, name: str, platform: str) -> int:
    """A figure of `/metrics`; 0 where it is not there yet."""
    lines = (line for line in page.splitlines() if line.startswith(name + "{") and f'"{platform}"' in line)
    return int(float(next(lines, "- 0").rpartition(" ")[2]))


async def measure(run: list[str], port: int, agents: int) -> tuple[float, float, int]:
    """Seconds to ready, seconds from then until all were seen in Discord, and agents seen in Slack some
    seconds later."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*run, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(120):

            async def until(path: str, shows: Callable[[httpx.Response], bool], every: float) -> float:
                """When the page showed it."""
                while True:
                    try:
                        if shows(await client.get(path)):
                            return time.perf_counter()
                    except httpx.TransportError:
                        pass
                    await asyncio.sleep(every)

            ready = await until("/readyz", lambda page: page.status_code == 200, 0.02)
            seen = await until(
                "/metrics",
                lambda page: gauge(page.text, "rollcall_feed_agents_seen", "discord") >= agents,
                0.1,
            )
            await asyncio.sleep(WATCHED)
            shown = await client.get("/metrics")
            return ready - began, seen - ready, gauge(shown.text, "rollcall_feed_agents_seen", "slack")
    finally:
        process.terminate()
        await process.wait()


async def run(agents: int) -> bool:
    """Print the figures; whether they are reached."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        url = f"sqlite:///{folder / 'rollcall.sqlite3'}"
        async with FakeSlack() as slack, FakeDiscord() as discord:
            guild = discord.add_guild("Large")
            for number in range(agents):
                slack.add_user(f"U{number:08}", f"agent{number}", presence="active")
            people = [
                str(discord.add_member(guild, f"Agent {n}", status="online" if n % 4 else "offline").id)
                for n in range(agents)
            ]
            await fill(url, slack.workspace.id, str(guild.id), people)
            config = {
                "database": {"url": url},
                "http": {"port": port},
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
            command = [sys.executable, "-c", "from bot.cli import main; main()", "run", "--config"]
            found = await measure([*command, str(folder / "rollcall.toml")], port, agents)
            refused = list(discord.violations)
    ready, seen, in_slack = found
    shown = Table("", "measured", "asked for")
    shown.add_row(f"start to ready, {agents:,} agents", f"{ready:.2f} s", f"{READY:.0f} s")
    shown.add_row("then until all were seen in Discord", f"{seen:.2f} s", f"{SEEN:.0f} s")
    shown.add_row(f"seen in Slack {WATCHED:.0f} s later", f"{in_slack}", "its budget, 45 a minute")
    Console().print(shown)
    if refused:
        print("Discord's limits were not kept:", json.dumps(refused[:5], default=str))
    return ready <= READY and seen <= SEEN and not refused


def main() -> int:
    """Run it; 1 where the figures are not reached."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--agents", type=int, default=10_000)
    return 0 if asyncio.run(run(options.parse_args().agents)) else 1


if __name__ == "__main__":
    sys.exit(main())
