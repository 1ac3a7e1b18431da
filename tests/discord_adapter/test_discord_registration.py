"""The commands in each server: there after all that can lose them, and registered no more often."""

from __future__ import annotations

import asyncio

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, live, running
from fakes.discord_model import Guild
from fakes.discord_server import FakeDiscord

from bot.domain.errors import Unavailable

PUT = ("PUT", "/applications/*/guilds/*/commands")


def banner(core: RecordingCore, guild: Guild) -> str:
    """What people are told of a server now."""
    return core.banners.get(f"ws_{guild.id}", "")


@pytest.mark.parametrize("which", ["setting", "put_setting"])
@pytest.mark.parametrize("failure", [Unavailable("The database is locked."), LookupError("a bug of ours")])
async def test_a_database_that_is_locked_for_a_moment_costs_no_commands(
    which: str, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read or written; a failure of our own is no different, but for its line in the log."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore(HurriedClock(200))
        failures = [failure]
        works = getattr(core, which)

        async def fails_first(*arguments: str) -> str | None:
            if failures:
                raise failures.pop()
            answer: str | None = await works(*arguments)
            return answer

        monkeypatch.setattr(core, which, fails_first)
        async with running(fake, core):
            await core.until(lambda: any(core.settings.values()), "commands registered")
            assert fake.commands(guild)


async def test_removed_while_nobody_looked_and_invited_again_it_has_its_commands() -> None:
    """With the bot Discord drops its commands there, and of a removal in a gap no event tells."""
    async with FakeDiscord() as fake:
        guild, other = fake.add_guild("Acme"), fake.add_guild("Other")
        core = RecordingCore()
        async with running(fake, core):
            await core.until(lambda: len(core.settings) == 2, "commands registered")
            fake.invalidate_session()
            fake.remove_bot(guild)
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            assert not fake.commands(guild)
            fake.invite_bot(guild)
            await live(core, guild)
            await fake.wait_for_call(*PUT, count=3)
            assert fake.commands(guild)
        assert len(fake.calls(*PUT)) == 3
        assert fake.commands(other)


@pytest.mark.parametrize("down", [False, True], ids=["in a gap", "while Rollcall was down"])
async def test_removed_and_invited_again_before_anybody_looked_it_has_its_commands(down: bool) -> None:
    async with FakeDiscord() as fake:
        guild, other = fake.add_guild("Acme"), fake.add_guild("Other")
        core = RecordingCore()
        async with running(fake, core):
            await core.until(lambda: len(core.settings) == 2, "commands registered")
            if not down:
                fake.refuse_connections(1)
                fake.invalidate_session()
                fake.remove_bot(guild)
                fake.invite_bot(guild)
                await fake.wait_for_call(*PUT, count=3)
        if down:
            fake.remove_bot(guild)
            fake.invite_bot(guild)
            async with running(fake, core):
                await fake.wait_for_call(*PUT, count=3)
        assert fake.commands(guild)
        assert fake.commands(other)
        assert len(fake.calls(*PUT)) == 3


@pytest.mark.parametrize("told", [True, False], ids=["told", "in a gap"])
async def test_a_removal_ends_the_attempts_to_register(told: bool) -> None:
    """Else Discord's refusal would stand where the banner says how to bring Rollcall back."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.fail("PUT /applications/*", 503, 1_000)
        core = RecordingCore(HurriedClock(100))
        async with running(fake, core):
            await fake.wait_for_call(*PUT, count=2)
            if not told:
                fake.invalidate_session()
            fake.remove_bot(guild)
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            calls = len(fake.calls(*PUT))
            await core.clock.sleep(90)
            assert len(fake.calls(*PUT)) <= calls + 1, "one may have been on its way"
            assert "was removed from" in core.banners[f"ws_{guild.id}"]


async def test_who_invites_the_bot_again_with_commands_needs_nothing_else() -> None:
    """Discord sends no GUILD_CREATE for a bot that is there already, so nothing tells that it may now."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.fail("PUT /applications/*", 403, 2, code=50001)
        core = RecordingCore(HurriedClock(200))
        async with running(fake, core):
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            assert "scope=bot+applications.commands" in core.banners[f"ws_{guild.id}"]
            assert not fake.commands(guild)
            await core.until(lambda: any(core.settings.values()), "commands registered")
            assert fake.commands(guild)
            assert core.banners.get(f"ws_{guild.id}") is None
        assert [call.status for call in fake.calls(*PUT)] == [403, 403, 200]
        told = [trouble for _, _, trouble in core.names("report") if trouble]
        assert len(told) == 1, "said once, however often it is tried"


async def test_a_refusal_is_followed_by_a_pause() -> None:
    """10,000 of them in 10 min bar the machine's address; so the more servers, the longer it is."""
    async with FakeDiscord() as fake:
        guild, many = fake.add_guild("Acme"), 2_500
        fake.fail("PUT /applications/*", 403, 1_000, code=50001)
        core = RecordingCore(HurriedClock(200))
        async with running(fake, core) as service:
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            began = core.clock.monotonic()
            await fake.wait_for_call(*PUT, count=2)
            assert core.clock.monotonic() - began >= 45
            # As it is with as many servers; only one of them is tried here.
            idle = asyncio.create_task(asyncio.sleep(0))
            service._registration._under_way.update(dict.fromkeys(range(many), idle))
            await fake.wait_for_call(*PUT, count=3)
            await core.clock.sleep(300)
            assert len(fake.calls(*PUT)) == 3
            assert f"ws_{guild.id}" in core.banners


@pytest.mark.parametrize("times", [1, 2], ids=["allowed since", "still refused"])
async def test_an_outage_keeps_its_banner_whatever_comes_of_registering(times: int) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.fail("PUT /applications/*", 403, times, code=50001)
        core = RecordingCore(HurriedClock(200))
        async with running(fake, core):
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            fake.outage(guild)
            await core.until(lambda: "outage" in banner(core, guild), "its banner")
            await fake.wait_for_call(*PUT, count=times + 1)
            await core.until(lambda: any(core.settings.values()), "commands registered")
            assert "outage" in core.banners[f"ws_{guild.id}"]
            fake.restore(guild)
            await core.until(lambda: f"ws_{guild.id}" not in core.banners, "the end of the banner")


async def test_after_an_outage_the_banner_of_a_refusal_stands_again() -> None:
    """The feed's beginning takes every banner of the guild away."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.fail("PUT /applications/*", 403, 1_000, code=50001)
        core = RecordingCore()
        async with running(fake, core):
            await core.until(lambda: "with commands" in banner(core, guild), "a banner")
            fake.outage(guild)
            await core.until(lambda: "outage" in banner(core, guild), "the outage's")
            fake.restore(guild)
            await core.until(lambda: "with commands" in banner(core, guild), "the first again")
