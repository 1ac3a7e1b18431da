"""What can happen to the connection: faults 7, 10, 12, 16 and 17, and that none of it tells the token."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, live, running, sees, track
from fakes.discord_server import FakeDiscord

from adapters.discord.connection import ASTRAY, Patience
from adapters.discord.service import DiscordService
from bot.domain.facts import Seen

PROMISED = 90.0
"""Seconds in which a silent gateway is noticed: design.md's bound for a zombie."""
CANARY = "MTIzNDU2Nzg5MDEyMzQ1Njc4.canary.leakleakleak"


def test_the_times_of_the_watch_add_up_to_less_than_promised() -> None:
    patience = Patience()
    noticed = patience.quiet + patience.answer + 2 * patience.look
    assert noticed < PROMISED
    assert noticed + patience.establish < PROMISED
    pauses = sum(2.0**number for number in range(ASTRAY - 1))
    assert ASTRAY * patience.handshake + pauses < PROMISED


@pytest.mark.parametrize("acknowledging", [False, True])
async def test_row_7_a_zombie_is_noticed_within_90_s_and_replaced(acknowledging: bool) -> None:
    """Silent altogether, or still acknowledging heartbeats, which `latency` takes for health."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore(HurriedClock(60))
        track(core, guild, maria.id)
        fake.set_heartbeat_interval(0.2)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            began = core.clock.now()
            if acknowledging:
                fake.ack_only(new_ones_too=False)
            else:
                fake.go_silent()
            fake.set_presence(maria, "offline")
            await core.until(lambda: core.feed(guild).state == "stale", "a stale feed")
            assert core.clock.now() - began < timedelta(seconds=PROMISED)
            told = core.names("feed_lost")[-1]
            assert told[2] <= began + timedelta(seconds=Patience().look)
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            assert core.clock.now() - began < timedelta(seconds=PROMISED)


async def test_a_quiet_gateway_that_answers_is_left_alone() -> None:
    """A small guild may say nothing for hours; it is asked something, and its answer is enough."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore(HurriedClock(150))
        async with running(fake, core):
            await live(core, guild)
            await core.clock.sleep(200)
            assert core.feed(guild).state == "live"
        assert fake.identifies == 1
        assert [told[0] for told in core.names("feed_lost")] == ["feed_lost"]
        assert fake.violations == []


async def test_a_guild_that_never_answers_does_not_make_a_good_connection_look_dead() -> None:
    """Asked is in several guilds at once, and in all of them one after the other."""
    async with FakeDiscord() as fake:
        guilds = [fake.add_guild(name) for name in ("Mute", "One", "Two", "Three", "Four")]
        fake.mute(guilds[0])
        core = RecordingCore(HurriedClock(150))
        async with running(fake, core):
            for guild in guilds:
                await live(core, guild)
            await core.clock.sleep(200)
            assert {core.feed(guild).state for guild in guilds} == {"live"}
            assert core.names("feed_lost") == []
        assert {int(one["guild_id"]) for one in fake.member_requests} == {guild.id for guild in guilds}
        assert (fake.identifies, fake.resumes) == (1, 0)
        assert fake.violations == []


async def test_row_10_without_the_presence_intent_commands_work_and_the_toggle_is_named() -> None:
    async with FakeDiscord() as fake:
        fake.allow_intents(presences=False)
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await core.until(lambda: core.feed(guild).state == "off", "the feed to be off")
            await core.until(lambda: any(core.settings.values()), "commands registered")
            assert "available" in (await fake.slash(maria, guild, "available")).text
            banner = core.banners[None]
            assert "Bot → Privileged Gateway Intents → Presence Intent" in banner
            await core.clock.sleep(60)
            assert core.banners[None] == banner
        assert fake.identifies == 2
        assert fake.violations == []
        assert core.names("feed_live", "seen") == []


async def test_row_10_presence_switched_off_by_us_is_no_trouble() -> None:
    async with FakeDiscord() as fake:
        fake.allow_intents(presences=False)
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core, presence=False):
            await core.until(lambda: core.feed(guild).state == "off", "the feed to be off")
            await core.until(lambda: str(maria.id) in core.profiles, "her profile")
            assert core.banners == {}
        assert fake.identifies == 1
        assert fake.violations == []


async def test_row_12_identifies_are_counted_and_held_at_900() -> None:
    """Counted by the core, so across restarts too; nothing is called until the oldest are a day old."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore()
        core.identifies = 899
        async with running(fake, core):
            await live(core, guild)
            assert core.identifies == 900
            fake.invalidate_session()
            await core.until(lambda: None in core.banners, "a banner")
            assert "waits at 900" in core.banners[None]
            assert core.feed(guild).state == "down"
        async with running(fake, core):
            await core.until(lambda: core.told[-1][0] == "report", "the banner again")
            assert fake.identifies == 1
            core.identifies = 0
            await live(core, guild)
            assert core.banners == {}
        assert fake.identifies == 2


async def test_row_12_a_resume_costs_no_identify() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore()
        core.identifies = 899
        async with running(fake, core):
            await live(core, guild)
            fake.ask_to_reconnect()
            await core.until(lambda: len(core.names("feed_live")) == 2, "the feed again")
        assert core.identifies == 900
        assert fake.resumes == 1


async def test_row_17_a_refused_token_ends_all_calls() -> None:
    """10,000 answers of 401 in 10 min bar the address, so not one more is asked for."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore()
        async with running(fake, core):
            await live(core, guild)
            await core.until(lambda: any(core.settings.values()), "commands registered")
            calls, identifies = len(fake.calls()), fake.identifies
            fake.unauthorized()
            await core.until(lambda: None in core.banners, "a banner")
            assert "not valid any more" in core.banners[None]
            assert "Reset Token" in core.banners[None]
            await core.until(lambda: core.feed(guild).state == "down", "a lost feed")
            await core.clock.sleep(60)
            assert (len(fake.calls()), fake.identifies) == (calls, identifies)


async def test_row_17_a_token_that_is_refused_at_once_is_tried_once() -> None:
    async with FakeDiscord() as fake:
        fake.add_guild("Acme")
        fake.gateway.token_revoked = True
        core = RecordingCore()
        async with running(fake, core):
            await core.until(lambda: None in core.banners, "a banner")
            await core.clock.sleep(60)
        assert [call.status for call in fake.calls()] == [401]
        assert fake.identifies == 0


async def test_row_17_a_401_in_the_middle_ends_all_calls() -> None:
    """The gateway may stay open for a while after the token was reset."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore()
        fake.fail("PUT /applications/*", 401)
        async with running(fake, core):
            await core.until(lambda: None in core.banners, "a banner")
            async with asyncio.timeout(5):
                while fake.gateway.connections:
                    await asyncio.sleep(0.01)
            calls = len(fake.calls())
            await core.clock.sleep(60)
            assert len(fake.calls()) == calls
            assert core.feed(guild).state != "live"


@pytest.mark.parametrize("times", [1, 6])
async def test_row_16_a_first_handshake_that_fails_is_tried_again(times: int) -> None:
    """discord.py's own loop dies of it: its issue 10520."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.refuse_connections(times)
        core = RecordingCore(HurriedClock(100))
        async with running(fake, core):
            await live(core, guild)
            assert core.banners == {}
            told = [one[2] for one in core.names("report") if one[1] is None and one[2]]
            assert any("can't be reached" in trouble for trouble in told) is (times > 2)
        assert fake.identifies == 1


async def test_row_16_an_api_that_fails_at_the_start_is_tried_again() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.fail("GET /users/@me", 503, 3)
        core = RecordingCore(HurriedClock(100))
        async with running(fake, core):
            await live(core, guild)
            assert core.banners == {}


async def test_a_parser_that_fails_costs_the_client_and_not_the_service() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            fake.gateway.dispatch("GUILD_MEMBERS_CHUNK", {"guild_id": "no number"}, guild_id=guild.id)
            await core.until(lambda: len(core.names("feed_live")) == 2, "a new feed")
            fake.set_presence(maria, "offline")
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
        assert fake.identifies == 2


async def test_a_gateway_that_stays_away_is_not_hammered() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore(HurriedClock(100))
        async with running(fake, core):
            await live(core, guild)
            fake.refuse_connections(1_000)
            fake.drop_connections()
            await core.clock.sleep(150)
            tried = 1_000 - fake.gateway.refusals_left
            fake.refuse_connections(0)
            assert 5 <= tried <= 14
            await core.until(lambda: len(core.names("feed_live")) == 2, "the feed again")
        assert fake.identifies == 1


async def registered(core: RecordingCore) -> None:
    await core.until(lambda: any(core.settings.values()), "commands registered")


async def test_two_services_of_one_process_each_speak_to_their_own_server() -> None:
    """discord.py keeps its addresses in class attributes, which all clients share."""
    async with FakeDiscord() as one, FakeDiscord() as other:
        first, second = one.add_guild("One"), other.add_guild("Other")
        cores = RecordingCore(), RecordingCore()
        async with running(one, cores[0]), running(other, cores[1]):
            await live(cores[0], first)
            await live(cores[1], second)
            for fake, guild, core in ((one, first, cores[0]), (other, second, cores[1])):
                await registered(core)
                reply = await fake.slash(fake.add_member(guild, "maria"), guild, "who")
                assert "who" in reply.text
        assert one.violations == other.violations == []


async def test_the_token_is_in_no_log_and_no_banner(caplog: pytest.LogCaptureFixture) -> None:
    """Row 35's canary, at the most talkative level, through a life with every kind of trouble."""
    caplog.set_level(logging.DEBUG, logger="rollcall")
    async with FakeDiscord(CANARY) as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        fake.fail("PUT /applications/*", 500, 1)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            fake.gateway.dispatch("GUILD_MEMBERS_CHUNK", {"guild_id": "no number"}, guild_id=guild.id)
            await core.until(lambda: len(core.names("feed_live")) == 2, "a new feed")
            await core.until(lambda: any(core.settings.values()), "commands registered")
            fake.set_deadlines(answer=-1.0)
            await fake.slash(maria, guild, "available")
            fake.unauthorized()
            await core.until(lambda: None in core.banners, "a banner")
    said = caplog.text + str(core.told) + str(core.banners)
    assert "rollcall.discord" in caplog.text
    for part in ("leakleakleak", "canary"):
        assert part not in said.replace("test_the_token", "")


async def test_cancelling_ends_it_at_once() -> None:
    async with FakeDiscord() as fake:
        fake.add_guild("Acme")
        fake.refuse_connections(1_000)
        core = RecordingCore(HurriedClock(1))
        async with running(fake, core) as service:
            assert isinstance(service, DiscordService)
            await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("discord")]
        assert tasks == []
