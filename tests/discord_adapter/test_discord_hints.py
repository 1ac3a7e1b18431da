"""Who is in a voice channel, and who has set do-not-disturb, over our own gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, live, running, sees, track
from fakes.discord_gateway import GUILD_PRESENCES, GUILD_VOICE_STATES
from fakes.discord_model import Channel, Guild, User
from fakes.discord_server import FakeDiscord

from adapters.discord.service import DiscordService
from bot.domain.facts import Seen
from bot.domain.hints import HintKind

CALL, QUIET = HintKind.CALL, HintKind.DO_NOT_DISTURB


class House(NamedTuple):
    """A guild with one agent, and a voice channel."""

    fake: FakeDiscord
    guild: Guild
    room: Channel
    maria: User
    core: RecordingCore
    service: DiscordService

    async def shown(self, kind: HintKind, *, holds: bool = True, who: User | None = None) -> None:
        """Wait until the core has it so."""
        key = str((who or self.maria).id), kind
        await self.core.until(lambda: (key in self.core.hints) is holds, f"{kind} {holds}")

    def words(self, kind: HintKind) -> list[bool]:
        return [told[3] for told in self.core.names("hint") if told[2] is kind]


@asynccontextmanager
async def house(*, talking: bool = False, **settings: Any) -> AsyncIterator[House]:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        room = fake.add_voice_channel(guild, "Lounge")
        maria = fake.add_member(guild, "maria", status="online")
        if talking:
            fake.speak(maria, guild, room)
        core = RecordingCore(HurriedClock(10))
        track(core, guild, maria.id)
        async with running(fake, core, **{"voice": True, **settings}) as service:
            await live(core, guild) if settings.get("presence", True) else await fake.connected()
            yield House(fake, guild, room, maria, core, service)
        assert fake.violations == []


async def test_who_enters_a_voice_channel_is_in_a_call_until_they_leave_it() -> None:
    """Another room is the same call, and so is a repeated event."""
    async with house() as it:
        await sees(it.core, it.guild, it.maria.id, Seen.CONNECTED)
        it.fake.speak(it.maria, it.guild, it.room, times=3)
        it.fake.speak(it.maria, it.guild, it.fake.add_voice_channel(it.guild, "Other"))
        await it.shown(CALL)
        it.fake.speak(it.maria, it.guild, None, times=2)
        await it.shown(CALL, holds=False)
        assert it.core.seen(it.guild, it.maria.id) is Seen.CONNECTED


async def test_who_is_in_a_voice_channel_already_is_told_at_the_start_and_after_a_restart() -> None:
    for _ in range(2):
        async with house(talking=True) as it:
            await it.shown(CALL)


async def test_calls_are_not_asked_for_where_nobody_wants_them() -> None:
    """Neither by configuration, nor of everybody else in the server."""
    async with house(talking=True, voice=False) as it:
        await sees(it.core, it.guild, it.maria.id, Seen.CONNECTED)
        it.fake.speak(it.maria, it.guild, None)
        it.fake.set_presence(it.maria, "idle")
        (session,) = it.fake.gateway.sessions.values()
        assert not session.intents & GUILD_VOICE_STATES
        await it.service.feeds.settled()
        assert not any(it.words(CALL))


async def test_calls_are_seen_without_the_presence_intent() -> None:
    async with house(presence=False) as it:
        await it.core.until(lambda: it.core.feed(it.guild).state == "off", "a feed that is off")
        it.fake.speak(it.maria, it.guild, it.room)
        await it.shown(CALL)
        (session,) = it.fake.gateway.sessions.values()
        assert not session.intents & GUILD_PRESENCES


async def test_memory_does_not_grow_with_those_who_talk() -> None:
    """Of customers nothing is told, and of those in a channel nothing is kept but their ids."""
    async with house() as it:
        crowd = [it.fake.add_member(it.guild, f"customer{number}") for number in range(200)]
        for one in crowd:
            it.fake.speak(one, it.guild, it.room)
        for one in crowd:
            it.fake.speak(one, it.guild, None, times=2)
        it.fake.speak(it.maria, it.guild, it.room)
        await it.shown(CALL)
        connection = it.service._connection
        assert connection is not None
        guild = connection.get_guild(it.guild.id)
        assert guild is not None
        assert guild._voice_states == {}
        assert [member.id for member in guild.members] == [it.fake.bot.id]
        assert it.service.feeds._hints[it.guild.id]._talking == {it.maria.id}
        assert {told[1] for told in it.core.names("hint")} == {str(it.maria.id)}


async def test_do_not_disturb_is_told_beside_a_presence_that_stays() -> None:
    """Online, idle and do-not-disturb all mean connected."""
    async with house() as it:
        await sees(it.core, it.guild, it.maria.id, Seen.CONNECTED)
        before = len(it.core.names("seen"))
        it.fake.set_presence(it.maria, "dnd", times=3)
        await it.shown(QUIET)
        it.fake.set_presence(it.maria, "idle")
        await it.shown(QUIET, holds=False)
        assert len(it.core.names("seen")) == before
        assert it.words(QUIET)[-2:] == [True, False]


async def test_a_lost_connection_forgets_hints_and_a_resumed_one_tells_what_holds_now() -> None:
    """She hung up in the gap, and set do-not-disturb: both are replayed, and nothing is told in between."""
    async with house(talking=True) as it:
        await it.shown(CALL)
        it.fake.refuse_connections(1)
        it.fake.drop_connections()
        await it.core.until(lambda: bool(it.core.names("hints_lost")), "blindness")
        assert it.core.hints == set()
        before = len(it.core.told)
        it.fake.speak(it.maria, it.guild, None)
        it.fake.set_presence(it.maria, "dnd")
        await it.fake.connected(resumes=1)
        await it.shown(QUIET)
        assert (str(it.maria.id), CALL) not in it.core.hints
        assert not any(told[0] == "hint" and told[2] is CALL and told[3] for told in it.core.told[before:])
        assert it.fake.identifies == 1


async def test_a_new_session_counts_nothing_from_before() -> None:
    """No event tells what happened in the gap: the new GUILD_CREATE does."""
    async with house(talking=True) as it:
        tom = it.fake.add_member(it.guild, "tom", status="online")
        track(it.core, it.guild, tom.id)
        await it.shown(CALL)
        it.fake.set_presence(it.maria, "dnd")
        await it.shown(QUIET)
        it.fake.gateway.forget_sessions()
        it.fake.drop_connections()
        it.fake.speak(it.maria, it.guild, None)
        it.fake.set_presence(it.maria, "online")
        it.fake.speak(tom, it.guild, it.room)
        await it.fake.connected(identifies=2)
        await it.shown(CALL, who=tom)
        await sees(it.core, it.guild, it.maria.id, Seen.CONNECTED)
        assert it.core.hints == {(str(tom.id), CALL)}


async def test_an_outage_of_the_server_forgets_its_hints_until_it_is_over() -> None:
    async with house(talking=True) as it:
        await it.shown(CALL)
        it.fake.outage(it.guild)
        await it.shown(CALL, holds=False)
        it.fake.restore(it.guild)
        await it.shown(CALL)


async def test_a_server_that_is_told_whole_once_more_begins_anew() -> None:
    async with house(talking=True) as it:
        await it.shown(CALL)
        it.guild.voices.clear()
        it.fake.gateway.dispatch_guild(it.guild)
        await it.shown(CALL, holds=False)
        it.fake.speak(it.maria, it.guild, it.room)
        await it.shown(CALL)


@pytest.mark.parametrize("settings", [{}, {"presence": False}])
async def test_whoever_becomes_an_agent_in_a_call_is_seen_in_it(settings: dict[str, Any]) -> None:
    async with house(**settings) as it:
        tom = it.fake.add_member(it.guild, "tom")
        it.fake.speak(tom, it.guild, it.room)
        track(it.core, it.guild, tom.id)
        await it.shown(CALL, who=tom)


async def test_stopping_forgets_everything() -> None:
    async with house(talking=True) as it:
        await it.shown(CALL)
    assert it.core.hints == set()
