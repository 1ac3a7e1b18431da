"""Voice states of the fake Discord, driven by an unmodified discord.py client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import discord
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route
from fakes.discord_server import FakeDiscord
from yarl import URL


class Bot(discord.AutoShardedClient):
    """Keeps who came into a voice channel and who left it."""

    def __init__(self, *, voice: bool) -> None:
        intents = discord.Intents(guilds=True, voice_states=voice)
        super().__init__(
            intents=intents, shard_count=1, chunk_guilds_at_startup=False, guild_ready_timeout=0.05
        )
        self.moves: list[tuple[int, int | None]] = []
        self.news = asyncio.Event()
        self.ready = asyncio.Event()

    async def on_ready(self) -> None:
        self.ready.set()

    async def on_voice_state_update(
        self, member: discord.Member, before: discord.VoiceState, after: discord.VoiceState
    ) -> None:
        self.moves.append((member.id, after.channel.id if after.channel else None))
        self.news.set()

    async def moved(self, count: int) -> None:
        async with asyncio.timeout(3):
            while len(self.moves) < count:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as fake:
        monkeypatch.setattr(Route, "BASE", fake.base_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", URL(fake.gateway_url))
        yield fake
        assert fake.violations == []


@asynccontextmanager
async def running(bot: Bot, fake: FakeDiscord) -> AsyncIterator[None]:
    """The client at work in the fake."""
    async with bot:
        task = asyncio.create_task(bot.start(fake.token))
        try:
            await asyncio.wait_for(bot.ready.wait(), 3)
            yield
        finally:
            await bot.close()
            task.cancel()
            with suppress(asyncio.CancelledError, discord.DiscordException):
                await task


async def test_who_talks_is_named_at_the_beginning_and_then_whoever_moves(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    lounge, other = fake.add_voice_channel(guild, "Lounge"), fake.add_voice_channel(guild, "Other")
    maria, tom = fake.add_member(guild, "maria"), fake.add_member(guild, "tom")
    fake.speak(maria, guild, lounge)
    bot = Bot(voice=True)
    async with running(bot, fake):
        room = bot.get_channel(lounge.id)
        assert isinstance(room, discord.VoiceChannel)
        assert set(room.voice_states) == {maria.id}
        for count, (person, where) in enumerate(((tom, lounge), (maria, other), (tom, None)), 1):
            fake.speak(person, guild, where)
            await bot.moved(count)  # one after the other: discord.py's voice states change under their events
    assert bot.moves == [(tom.id, lounge.id), (maria.id, other.id), (tom.id, None)]


async def test_whoever_leaves_the_server_leaves_its_voice_channels_first(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    lounge, maria = fake.add_voice_channel(guild, "Lounge"), fake.add_member(guild, "maria")
    bot = Bot(voice=True)
    async with running(bot, fake):
        fake.speak(maria, guild, lounge)
        fake.leave(maria, guild)
        await bot.moved(2)
    assert bot.moves[-1] == (maria.id, None)


async def test_without_the_intent_nobody_is_named(fake: FakeDiscord) -> None:
    """Neither at the beginning nor later."""
    guild = fake.add_guild("Acme")
    lounge, maria = fake.add_voice_channel(guild, "Lounge"), fake.add_member(guild, "maria")
    fake.speak(maria, guild, lounge)
    bot = Bot(voice=False)
    async with running(bot, fake):
        fake.speak(maria, guild, None)
        fake.speak(maria, guild, lounge)
        fake.add_channel(guild, "after")
        async with asyncio.timeout(3):
            while len(bot.guilds[0].text_channels) < 2:
                await asyncio.sleep(0.01)
        room = bot.get_channel(lounge.id)
        assert isinstance(room, discord.VoiceChannel)
        assert (room.voice_states, bot.moves) == ({}, [])


async def test_of_a_voice_state_that_is_listed_only_a_part_is_told(fake: FakeDiscord) -> None:
    """Without the server and the member (Discord's GUILD_CREATE page)."""
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    fake.speak(maria, guild, fake.add_voice_channel(guild, "Lounge"))
    whole = guild.create_payload(fake.bot, presences=False, large_threshold=50, voices=True)
    (state,) = whole["voice_states"]
    assert state["user_id"] == str(maria.id)
    assert not {"guild_id", "member"} & state.keys()
