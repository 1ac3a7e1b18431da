"""The commands in each server: there after all that can lose them, and registered no more often."""

from __future__ import annotations

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, live, running
from fakes.discord_server import FakeDiscord

from bot.domain.errors import Unavailable

PUT = ("PUT", "/applications/*/guilds/*/commands")


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
