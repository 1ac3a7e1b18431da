"""The adapter with the real core on SQLite: what people in Discord see of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from discord_adapter.house import HurriedClock, table
from fakes.discord_model import Guild, User
from fakes.discord_server import FakeDiscord

from adapters.discord.platform import platform
from bot.config import Config, TeamTable
from bot.dispatch import Desk
from bot.domain.facts import Presence
from storage.database import ensure_schema, open_store


@asynccontextmanager
async def rollcall(fake: FakeDiscord, folder: Path, role: int, rate: float = 40.0) -> AsyncIterator[Desk]:
    """Core, storage and adapter, with time hurrying on."""
    url = f"sqlite:///{folder / 'rollcall.sqlite3'}"
    ensure_schema(url)
    store = open_store(url, "normal")
    support = TeamTable(slug="support", name="Support")
    config = Config(discord=table(fake, agent_roles=(str(role),)), team=(support,))
    core = Desk(config, store, HurriedClock(rate))
    await core.start()
    discord = platform(config, core)
    assert discord is not None

    async def tick() -> None:
        while True:
            await core.clock.sleep(1.0)
            await core.tick()

    tasks = [asyncio.create_task(discord.run()), asyncio.create_task(tick())]
    try:
        yield core
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await core.dispatcher.finish()
        await store.close()


async def becomes(core: Desk, user: User, presence: Presence) -> None:
    """Waits until this is the person's presence."""

    def verdicts() -> dict[str, Presence]:
        rows = core.roster.rows(core.clock.now())
        return {one.external_id: row.verdict.presence for row in rows for one in row.agent.identities}

    try:
        async with asyncio.timeout(5):
            while verdicts().get(str(user.id)) is not presence:
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not {presence}: {verdicts()}") from None


async def registered(fake: FakeDiscord, guild: Guild) -> None:
    await fake.until(lambda: bool(fake.commands(guild)), "commands")


async def test_a_day_in_discord(tmp_path: Path) -> None:
    """Available, seen by others, away and back by a button, a disconnect past the grace, the return."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        role = fake.add_role(guild, "support")
        maria = fake.add_member(guild, "maria", status="online", roles=[role])
        tom = fake.add_member(guild, "tom", status="online", roles=[role])
        async with rollcall(fake, tmp_path, role.id) as core:
            await registered(fake, guild)
            assert "Available" in (await fake.slash(maria, guild, "available")).text
            await becomes(core, maria, Presence.AVAILABLE)
            away = await fake.slash(tom, guild, "away", until="30m", reason="**supper** @everyone")
            assert "Away" in away.text
            await becomes(core, tom, Presence.AWAY)
            roster = await fake.slash(tom, guild, "who")
            assert "maria" in roster.text
            assert "\\*\\*supper\\*\\*" in roster.text
            back = await fake.click(tom, away, "I'm back")
            assert "Available" in back.text
            await becomes(core, tom, Presence.AVAILABLE)
            fake.set_presence(maria, "offline")
            await becomes(core, maria, Presence.OFFLINE)
            fake.set_presence(maria, "online")
            await becomes(core, maria, Presence.AVAILABLE)
        assert fake.violations == []


async def test_row_15_an_interaction_that_comes_again_after_others_changes_nothing(tmp_path: Path) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        role = fake.add_role(guild, "support")
        maria = fake.add_member(guild, "maria", status="online", roles=[role])
        async with rollcall(fake, tmp_path, role.id, rate=1) as core:
            await registered(fake, guild)
            first = await fake.slash(maria, guild, "available")
            await fake.slash(maria, guild, "away", reason="lunch")
            (agent,) = core.roster.everyone()
            before = core.roster.facts(agent.id)
            assert before is not None
            calls = len(fake.calls("POST", "/interactions/*"))
            again = first.interaction.payload(fake.bot.id)
            fake.gateway.dispatch("INTERACTION_CREATE", again, guild_id=guild.id)
            async with asyncio.timeout(5):
                while len(fake.calls("POST", "/interactions/*")) == calls:
                    await asyncio.sleep(0.01)
            after = core.roster.facts(agent.id)
            assert after is not None
            assert after.intent == before.intent
            assert first.interaction.shown == 1


async def test_a_restart_changes_nobodys_presence(tmp_path: Path) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        role = fake.add_role(guild, "support")
        maria = fake.add_member(guild, "maria", status="online", roles=[role])
        async with rollcall(fake, tmp_path, role.id) as core:
            await registered(fake, guild)
            await fake.slash(maria, guild, "available")
            await becomes(core, maria, Presence.AVAILABLE)
        async with rollcall(fake, tmp_path, role.id) as core:
            await becomes(core, maria, Presence.AVAILABLE)
            await fake.connected(identifies=2)
            await becomes(core, maria, Presence.AVAILABLE)
            assert "maria" in (await fake.slash(maria, guild, "who")).text
        assert len(fake.calls("PUT", "/applications/*")) == 1


async def test_without_the_role_nobody_becomes_an_agent(tmp_path: Path) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        role = fake.add_role(guild, "support")
        customer = fake.add_member(guild, "customer", status="online")
        async with rollcall(fake, tmp_path, role.id) as core:
            await registered(fake, guild)
            reply = await fake.slash(customer, guild, "available")
            assert "not an agent" in reply.text
            assert len(core.roster) == 0


async def test_teams_are_suggested_to_the_team_alone(tmp_path: Path) -> None:
    """In a server of customers anybody can type a command and see what it offers."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        role = fake.add_role(guild, "support")
        maria = fake.add_member(guild, "maria", status="online", roles=[role])
        customer = fake.add_member(guild, "customer", status="online")
        async with rollcall(fake, tmp_path, role.id):
            await registered(fake, guild)
            await fake.slash(maria, guild, "available")
            offered = await fake.autocomplete(maria, guild, "who", "team", "su")
            assert [choice["name"] for choice in offered] == ["Support"]
            assert await fake.autocomplete(customer, guild, "who", "team", "su") == []


async def test_who_leaves_the_server_is_offline_and_removed(tmp_path: Path) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        role = fake.add_role(guild, "support")
        maria = fake.add_member(guild, "maria", status="online", roles=[role])
        async with rollcall(fake, tmp_path, role.id, rate=80) as core:
            await registered(fake, guild)
            await fake.slash(maria, guild, "available")
            await becomes(core, maria, Presence.AVAILABLE)
            fake.leave(maria, guild)
            async with asyncio.timeout(5):
                while len(core.roster):
                    await asyncio.sleep(0.01)
