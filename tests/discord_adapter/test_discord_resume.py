"""RESUME: what is resumed, where, and when a session is given up for a new one."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord_adapter.house import HurriedClock, RecordingCore, live, running, sees, track
from fakes.discord_server import FakeDiscord

from adapters.discord.connection import ASTRAY
from bot.domain.facts import Seen

PROMISED = 90.0
"""Seconds in which a silent gateway is noticed: design.md's bound for a zombie."""
CANARY = "MTIzNDU2Nzg5MDEyMzQ1Njc4.canary.leakleakleak"


async def test_row_7_a_resume_that_nobody_answers_is_given_up_for_a_new_session() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore(HurriedClock(60))
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            fake.ack_only(new_ones_too=True)
            fake.drop_connections()
            await core.until(lambda: core.feed(guild).state == "down", "a lost feed")
            began = core.clock.now()
            await fake.until(lambda: bool(fake.gateway.connections), "the next connection")
            fake.speak_again()
            fake.set_presence(maria, "offline")
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            assert core.clock.now() - began < timedelta(seconds=PROMISED)
        assert fake.identifies == 2


@pytest.mark.parametrize("known", [True, False], ids=["session known", "session forgotten"])
async def test_an_address_for_resume_that_is_dead_is_given_up_for_the_gateways_own(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in operation: no gateway is configured, and each session is resumed where READY said."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore(HurriedClock(100))
        track(core, guild, maria.id)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(fake.gateway_url))
        fake.kill_resume_address()
        async with running(fake, core, gateway_url=""):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            if not known:
                fake.gateway.forget_sessions()
            began = core.clock.monotonic()
            fake.drop_connections()
            await core.until(lambda: core.feed(guild).state == "down", "a lost feed")
            fake.set_presence(maria, "offline")
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            assert core.clock.monotonic() - began < PROMISED
        assert (fake.identifies, fake.resumes) == ((1, 1) if known else (2, 0))
        assert core.identifies == fake.identifies
        assert fake.violations == []


async def test_without_a_configured_gateway_a_session_is_resumed_where_ready_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore(HurriedClock(100))
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(fake.gateway_url))
        fake.gateway.url = fake.gateway_url.replace("127.0.0.1", "localhost")
        async with running(fake, core, gateway_url="") as service:
            await live(core, guild)
            fake.drop_connections()
            await core.until(lambda: len(core.names("feed_live")) == 2, "the feed again")
            assert service._connection is not None
            assert service._connection.ws.gateway.host == "localhost"
        assert (fake.identifies, fake.resumes) == (1, 1)


async def test_a_session_whose_resume_is_hung_up_on_again_and_again_is_given_up() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore(HurriedClock(100))
        async with running(fake, core):
            await live(core, guild)
            fake.cut_resumes(1_000)
            began = core.clock.monotonic()
            fake.drop_connections()
            await core.until(lambda: len(core.names("feed_live")) == 2, "the feed again")
            assert core.clock.monotonic() - began < PROMISED
        assert fake.gateway.resumes == ASTRAY + 1
        assert fake.identifies == 2


async def test_row_7_a_bot_without_any_guild_to_ask_in_gives_up_such_a_resume_too() -> None:
    async with FakeDiscord() as fake:
        core = RecordingCore(HurriedClock(60))
        async with running(fake, core):
            await fake.connected()
            fake.ack_only(new_ones_too=True)
            fake.drop_connections()
            await fake.until(lambda: fake.gateway.heartbeats > 1, "the next connection")
            fake.speak_again()
            await core.until(lambda: core.identifies == 2, "a new session")


async def test_a_session_that_never_began_is_not_resumed() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.ack_only(new_ones_too=True)
        core = RecordingCore()
        async with running(fake, core):
            await core.until(lambda: core.identifies == 1, "an IDENTIFY that nobody answers")
            fake.speak_again()
            fake.drop_connections(4000)
            await live(core, guild)
        assert fake.gateway.resumes == 0
