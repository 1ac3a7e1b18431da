"""How many presence events of Discord are taken in a second, and what a large server costs in memory.

    python benchmarks/discord_presence.py

The floor is discord.py's own client with the same flags and an empty `on_raw_presence_update`. Both are
connected to our test server, and are handed the same frames as text where the WebSocket would hand them over;
ours reports to a core that keeps nothing. Alternating, medians. One event in twenty is of an agent.
Memory: the process's growth over a server's GUILD_CREATE, which carries all its members with their presences,
and an event of each member; for comparison with discord.py's default caches.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import discord
import psutil
import yarl
from discord.gateway import DiscordWebSocket
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from discord_adapter.house import HurriedClock, RecordingCore, live, table
from fakes.discord_model import Guild
from fakes.discord_server import FakeDiscord

from adapters.discord.service import DiscordService
from bot.ports import Sighting

TARGET = 0.9
FRAMES, MEMBERS, AGENTS = 20_000, 100_000, 500
FIRST_MEMBER = 200_000_000_000_000_000
LARGE, SMALL = 100_000, 1_000
FLAT = 5.0
"""MB that a measurement may differ by."""


class Counting(RecordingCore):
    """A core that counts what it is told of presence and keeps nothing."""

    count = 0

    async def observe(self, workspace_id: str, epoch: int, sightings: Sequence[Sighting]) -> None:
        self.count += len(sightings)
        self._news.set()


class Bare(discord.Client):
    """discord.py as it comes."""

    def __init__(self, *, caches: bool = False) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.presences = True
        intents.members = caches
        flags = discord.MemberCacheFlags.from_intents(intents) if caches else discord.MemberCacheFlags.none()
        super().__init__(
            intents=intents,
            member_cache_flags=flags,
            chunk_guilds_at_startup=False,
            enable_raw_presences=True,
            max_messages=None,
        )
        self.count = 0
        self.ready = asyncio.Event()

    async def on_ready(self) -> None:
        self.ready.set()

    async def on_raw_presence_update(self, event: discord.RawPresenceUpdateEvent) -> None:
        self.count += 1


def frame(guild_id: int, user_id: int, status: str, number: int) -> str:
    """One PRESENCE_UPDATE as Discord writes it."""
    what = {
        "user": {"id": str(user_id)},
        "guild_id": str(guild_id),
        "status": status,
        "client_status": {} if status == "offline" else {"desktop": status},
        "activities": [
            {"type": 4, "name": "Custom Status", "id": "custom", "state": "at my desk", "created_at": 1}
        ]
        if number % 3 == 0
        else [],
    }
    return json.dumps({"t": "PRESENCE_UPDATE", "s": number + 10, "op": 0, "d": what}, separators=(",", ":"))


def frames_of(guild: Guild, count: int) -> list[str]:
    """Events of people in a large server, one in twenty of an agent."""
    chance = random.Random(7)
    made = []
    for number in range(count):
        person = chance.randrange(AGENTS) if number % 20 == 0 else chance.randrange(AGENTS, MEMBERS)
        status = chance.choice(("online", "idle", "dnd", "offline"))
        made.append(frame(guild.id, FIRST_MEMBER + person, status, number))
    return made


async def round_of(ws: DiscordWebSocket, frames: Sequence[str]) -> float:
    """Events a second, until every task they began has ended."""
    before = asyncio.all_tasks()
    began = time.perf_counter()
    for number, text in enumerate(frames):
        await ws.received_message(text)
        if number % 100 == 0:
            await asyncio.sleep(0)
    while begun := asyncio.all_tasks() - before:
        await asyncio.wait(begun)
    return len(frames) / (time.perf_counter() - began)


@asynccontextmanager
async def bare(fake: FakeDiscord, *, caches: bool = False) -> AsyncIterator[Bare]:
    """discord.py's client, connected."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    discord.http.Route.BASE = fake.base_url
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(fake.gateway_url)
    async with Bare(caches=caches) as client:
        running = asyncio.create_task(client.start(fake.token))
        await client.ready.wait()
        yield client
    await running


@asynccontextmanager
async def ours(fake: FakeDiscord, guild: Guild) -> AsyncIterator[tuple[DiscordWebSocket, Counting]]:
    """The adapter, connected, with the first of the server's members as agents."""
    core = Counting(HurriedClock(1.0))
    core.agents[str(guild.id)] = [str(FIRST_MEMBER + number) for number in range(AGENTS)]
    service = DiscordService(table(fake), core)
    running = asyncio.create_task(service.run())
    await live(core, guild)
    await core.until(lambda: core.count >= AGENTS, "everybody asked for")
    connection = service._connection
    assert connection is not None
    yield connection.ws, core
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def rates(rounds: int) -> list[tuple[float, float]]:
    """Events a second of each round: the floor's, ours."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        for number in range(AGENTS):
            fake.add_member(guild, f"agent {number}", id=FIRST_MEMBER + number)
        frames = frames_of(guild, FRAMES)
        async with bare(fake) as floor, ours(fake, guild) as (ws, core):
            measured = [
                (await round_of(floor.ws, frames), await round_of(ws, frames)) for _ in range(rounds + 1)
            ]
            if floor.count != FRAMES * (rounds + 1) or not core.count:
                raise SystemExit("events were lost")
            return measured[1:]


def server(members: int) -> dict[str, Any]:
    """A GUILD_CREATE with all its members and their presences."""
    roles = [{"id": "7", "name": "@everyone", "permissions": "0", "position": 0, "color": 0, "hoist": False}]
    people = [
        {
            "user": {
                "id": str(FIRST_MEMBER + number),
                "username": f"member{number}",
                "discriminator": "0",
                "global_name": f"Member {number}",
                "avatar": f"{number:032x}",
            },
            "roles": [],
            "joined_at": "2024-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
        }
        for number in range(members)
    ]
    presences = [
        {
            "user": {"id": str(FIRST_MEMBER + number)},
            "status": "online",
            "client_status": {},
            "activities": [],
        }
        for number in range(members)
    ]
    return {
        "id": "7",
        "name": "Large",
        "owner_id": str(FIRST_MEMBER),
        "roles": [{**roles[0], "managed": False, "mentionable": False}],
        "emojis": [],
        "features": [],
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "premium_tier": 0,
        "preferred_locale": "en-US",
        "nsfw_level": 0,
        "afk_timeout": 300,
        "system_channel_flags": 0,
        "premium_progress_bar_enabled": False,
        "large": members > 250,
        "member_count": members,
        "unavailable": False,
        "channels": [],
        "threads": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
        "stickers": [],
        "members": people,
        "presences": presences,
        "joined_at": "2024-01-01T00:00:00+00:00",
    }


def resident() -> float:
    """This process's memory in MB, with what is free given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return float(psutil.Process().memory_info().rss / 1e6)


async def grown(ws: DiscordWebSocket, file: Path, members: int) -> float:
    """MB by which this process grows over a server, and an event of each of its members."""
    before = resident()
    await ws.received_message(await asyncio.to_thread(file.read_text))
    for number in range(members):
        await ws.received_message(frame(7, FIRST_MEMBER + number, "idle", number))
        if number % 1000 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(1.0)
    return resident() - before


async def measure_memory(who: str, file: Path, members: int) -> None:
    """In a process of its own; prints the MB."""
    async with FakeDiscord() as fake:
        if who == "ours":
            guild = fake.add_guild("Acme")
            for number in range(AGENTS):
                fake.add_member(guild, f"agent {number}", id=FIRST_MEMBER + number)
            async with ours(fake, guild) as (ws, core):
                core.agents["7"] = core.agents[str(guild.id)]
                print(await grown(ws, file, members))
        else:
            fake.add_guild("Acme")
            async with bare(fake, caches=True) as client:
                print(await grown(client.ws, file, members))


def memory(who: str, folder: Path, members: int) -> float:
    """MB by which a process grows with a server of so many members."""
    file = folder / f"{members}.json"
    if not file.exists():
        file.write_text(json.dumps({"t": "GUILD_CREATE", "s": 5, "op": 0, "d": server(members)}))
    words = [sys.executable, __file__, "--memory", who, "--file", str(file), "--members", str(members)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main(rounds: int) -> int:
    """Run it, print the table; 1 where a figure is not reached."""
    measured = asyncio.run(rates(rounds))
    ratio = statistics.median(mine / floor for floor, mine in measured)
    shown = Table("presence events", "a second", "of the floor")
    shown.add_row("discord.py, same flags", f"{statistics.median(one[0] for one in measured):,.0f}", "")
    mine = statistics.median(one[1] for one in measured)
    shown.add_row(f"rollcall (at least {TARGET})", f"{mine:,.0f}", f"{ratio:.2f}")
    console = Console()
    console.print(shown)
    shown = Table("memory for a server of", f"{SMALL:,} members", f"{LARGE:,} members")
    growth = {}
    with tempfile.TemporaryDirectory() as name:
        for who, told in (
            ("bare", "discord.py, its default caches"),
            ("ours", "rollcall (the same for both)"),
        ):
            growth[who] = [memory(who, Path(name), members) for members in (SMALL, LARGE)]
            shown.add_row(told, *(f"+{size:.1f} MB" for size in growth[who]))
    console.print(shown)
    flat = growth["ours"][1] - growth["ours"][0] <= FLAT
    console.print(f"at most {FLAT:g} MB more for {LARGE - SMALL:,} more members is asked for")
    return 0 if ratio >= TARGET and flat else 1


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument(
        "--memory", choices=["ours", "bare"], help="one measurement; for the benchmark itself"
    )
    options.add_argument("--file", type=Path)
    options.add_argument("--members", type=int, default=0)
    given = options.parse_args()
    if given.memory:
        asyncio.run(measure_memory(given.memory, given.file, given.members))
    else:
        sys.exit(main(given.rounds))
