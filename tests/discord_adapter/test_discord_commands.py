"""Commands over real sockets: what they carry, deadlines, duplicates, refusals, registration."""

from __future__ import annotations

import asyncio
import logging

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, at_work, live, running
from fakes.discord_model import MANAGE_GUILD
from fakes.discord_server import FakeDiscord

from adapters.discord.commands import digest, payload
from adapters.discord.service import ANSWER_WITHIN, LEAVE_WITHIN
from bot.commands import TABLE
from bot.domain.errors import Unavailable
from bot.message import Message
from bot.ports import Command, PersonKind


def test_every_command_of_the_table_is_registered() -> None:
    registered = {command["name"]: command for command in payload()}
    below = {option["name"]: option for option in registered["presence"]["options"]}
    for spec in TABLE:
        top, *subs = spec.name.split()
        there = registered
        for name in (top, *subs):
            assert name in there
            there = {option["name"]: option for option in there[name]["options"]}
        assert set(there) == {parameter.name for parameter in spec.parameters}
    assert {"available", "away", "who"} <= set(below)
    assert len(below) <= 25


def test_other_names_make_another_digest() -> None:
    assert digest(payload({"away": "brb"})) != digest(payload()) == digest(payload())


async def test_a_command_carries_who_where_and_what() -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria", nick="María")
        reply = await fake.slash(maria, guild, "away", until="30m", reason="lunch")
        assert reply.ephemeral
        assert not reply.failed
        assert fake.violations == []
    command = core.commands[0]
    assert command.name == "away"
    assert command.arguments == {"until": "30m", "reason": "lunch"}
    assert command.text is None
    assert command.person.workspace_id == f"ws_{guild.id}"
    profile = command.person.profile
    assert (profile.external_id, profile.name, profile.kind) == (str(maria.id), "María", PersonKind.MEMBER)
    assert profile.avatar_url.startswith("https://cdn.discordapp.com/")
    assert not profile.is_admin
    assert not profile.may_enrol


async def test_a_command_of_two_levels_carries_its_person_and_its_number() -> None:
    """Discord takes the registration, and its people choose from lists: users, numbers, presences."""
    core = RecordingCore()
    async with at_work(core) as (fake, guild, _):
        maria, tom = fake.add_member(guild, "maria"), fake.add_member(guild, "tom")
        await fake.slash(maria, guild, "presence team join", team="billing", agent=tom)
        await fake.slash(maria, guild, "presence capacity", agent=tom, chats=3)
        await fake.slash(maria, guild, "presence set", agent=tom, presence="away", until="30m")
        with pytest.raises(ValueError, match="takes one of"):
            await fake.slash(maria, guild, "presence set", agent=tom, presence="offline")
        core.suggestions = [("Billing", "billing")]
        choices = await fake.autocomplete(maria, guild, "presence team leave", "team", "bi")
        assert choices == [{"name": "Billing", "value": "billing"}]
        assert fake.violations == []
    joined, capacity, away = core.commands
    assert (joined.name, joined.arguments) == (
        "presence team join",
        {"team": "billing", "agent": str(tom.id)},
    )
    assert [profile.external_id for profile in joined.mentioned] == [str(tom.id)]
    assert (capacity.name, capacity.arguments) == ("presence capacity", {"agent": str(tom.id), "chats": "3"})
    assert (away.name, away.arguments["presence"]) == ("presence set", "away")


@pytest.mark.parametrize("typed", ["who", "presence who"])
async def test_common_commands_work_below_the_group_too(typed: str) -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, _):
        await fake.slash(fake.add_member(guild, "maria"), guild, typed, team="billing")
    assert (core.commands[0].name, core.commands[0].arguments) == ("who", {"team": "billing"})


async def test_a_person_is_named_by_their_id_with_what_discord_knows_of_them() -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, _):
        maria, tom = fake.add_member(guild, "maria"), fake.add_member(guild, "tom", nick="Tom T")
        await fake.slash(maria, guild, "presence why", agent=tom)
    command = core.commands[0]
    assert command.arguments == {"agent": str(tom.id)}
    assert [(one.external_id, one.name) for one in command.mentioned] == [(str(tom.id), "Tom T")]


async def test_manage_server_makes_an_admin_and_a_configured_role_lets_enrol() -> None:
    """Asked each time: a permission taken away counts with the next command."""
    core = RecordingCore()
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        boss = fake.add_role(guild, "boss", permissions=MANAGE_GUILD)
        support = fake.add_role(guild, "support")
        maria = fake.add_member(guild, "maria", roles=[boss, support])
        async with running(fake, core, agent_roles=(str(support.id),)):
            await core.until(lambda: any(core.settings.values()), "commands registered")
            await fake.slash(maria, guild, "who")
            fake.take_role(maria, guild, boss)
            fake.take_role(maria, guild, support)
            await fake.slash(maria, guild, "who")
    first, second = (command.person.profile for command in core.commands)
    assert (first.is_admin, first.may_enrol) == (True, True)
    assert (second.is_admin, second.may_enrol) == (False, False)


async def test_configured_names_are_registered_and_understood() -> None:
    core = RecordingCore()
    async with at_work(core, names={"away": "brb", "presence": "roll"}) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        await fake.slash(maria, guild, "brb", until="30m")
        await fake.slash(maria, guild, "roll me")
    assert [command.name for command in core.commands] == ["away", "presence me"]


async def test_suggestions_come_from_the_core() -> None:
    core = RecordingCore()
    core.suggestions = [("Billing", "billing"), ("x" * 200, "long"), ("", "nameless")]
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        choices = await fake.autocomplete(maria, guild, "who", "team", "bi")
        assert [(choice["name"], choice["value"]) for choice in choices] == [
            ("Billing", "billing"),
            ("x" * 100, "long"),
        ]
        assert fake.violations == []
    assert core.names("suggest") == [("suggest", "maria", "who", "team", "bi")]


async def test_what_takes_longer_than_2_s_is_deferred_and_shown_later() -> None:
    core = RecordingCore(HurriedClock(20))
    core.delay = 4.0
    async with at_work(core) as (fake, guild, _):
        reply = await fake.slash(fake.add_member(guild, "maria"), guild, "available")
        assert reply.ephemeral
        assert "available" in reply.text
        assert reply.interaction.answer == 5
        assert fake.violations == []


async def test_a_server_of_others_is_told_so() -> None:
    """Its commands may stand there from a time when it belonged to the team."""
    core = RecordingCore()
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        other = fake.add_guild("Other")
        maria = fake.add_member(guild, "maria")
        async with running(fake, core):
            await core.until(lambda: len(core.settings) == 2, "commands registered")
        async with running(fake, core, guilds=(str(other.id),)):
            await core.until(lambda: core.feed(other).epoch == 2, "the other server")
            reply = await fake.slash(maria, guild, "available")
            assert "does not belong" in reply.text
    assert core.commands == []


async def test_row_15_an_interaction_delivered_three_times_is_one_delivery_and_shown_once() -> None:
    """The core tells repeated deliveries by their key, in the commit of the change."""
    core = RecordingCore()
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        reply = await fake.slash(maria, guild, "available")
        for _ in range(2):
            fake.gateway.dispatch(
                "INTERACTION_CREATE", reply.interaction.payload(fake.bot.id), guild_id=guild.id
            )
        await core.until(lambda: len(core.commands) == 3, "the repetitions")
        await fake.slash(maria, guild, "who")
        assert reply.interaction.shown == 1
    *same, other = core.commands
    assert {command.delivery for command in same} == {f"discord:interaction:{reply.interaction.id}"}
    assert other.delivery not in {"", same[0].delivery}
    assert core.keys == set(), "no commit of its own"


async def test_row_15_what_arrives_too_late_to_be_answered_changes_nothing() -> None:
    """Its sender was told that it failed, and may have decided otherwise since."""
    core = RecordingCore(HurriedClock(1))
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        core.clock._at = core.clock._at.replace(year=core.clock._at.year + 1)
        fake.set_deadlines(answer=-1.0)
        reply = await fake.slash(maria, guild, "available")
        assert reply.failed
        await fake.wait_for_call("POST", "/interactions/*")
        fake.set_deadlines()
        await fake.slash(maria, guild, "who")
    assert [command.name for command in core.commands] == ["who"]


async def test_an_answer_that_discord_takes_no_more_is_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    core = RecordingCore(HurriedClock(20))
    core.delay = 4.0
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        for code, status in ((10062, 404), (40060, 400)):
            fake.fail("POST /interactions/*", status, code=code)
            fake.fail("PATCH /webhooks/*", 404, code=10015)
            fake.set_deadlines(answer=0.3)
            await fake.slash(maria, guild, "available", timeout=0.3)
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.INFO] == []


async def test_a_database_that_takes_nothing_is_told_in_words() -> None:
    core = RecordingCore()

    def refused(command: Command) -> Message:
        raise Unavailable("The database can't be written just now; try again in a moment.")

    core.answer = refused
    async with at_work(core) as (fake, guild, _):
        reply = await fake.slash(fake.add_member(guild, "maria"), guild, "available")
        assert "try again in a moment" in reply.text.replace("\\", "")


async def test_a_fault_of_ours_is_told_without_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    core = RecordingCore()

    def broken(command: Command) -> Message:
        raise RuntimeError("secret inside")

    core.answer = broken
    async with at_work(core) as (fake, guild, _):
        reply = await fake.slash(fake.add_member(guild, "maria"), guild, "available")
        assert "Something failed, and it's our fault." in reply.text.replace("\\", "")
        assert "secret" not in reply.text
    assert "secret inside" in caplog.text


@pytest.mark.parametrize("why", ["leaving", "client fails"])
async def test_a_command_in_hand_is_answered_before_its_client_is_closed(why: str) -> None:
    """It is carried out either way, so its sender has to read what it came to."""
    core = RecordingCore(HurriedClock(1))
    core.delay = 0.4
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria")
        async with running(fake, core):
            await core.until(lambda: any(core.settings.values()), "commands registered")
            asking = asyncio.create_task(fake.slash(maria, guild, "available"))
            async with asyncio.timeout(5):
                while not core.commands:
                    await asyncio.sleep(0.01)
            if why == "client fails":
                fake.gateway.dispatch("GUILD_MEMBERS_CHUNK", {"guild_id": "no number"}, guild_id=guild.id)
                await asyncio.wait({asking})
        reply = await asking
        assert "available" in reply.text


async def test_a_command_that_takes_too_long_does_not_keep_rollcall_from_leaving(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = RecordingCore(HurriedClock(10))
    core.delay = 3_600
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria")
        async with running(fake, core):
            await core.until(lambda: any(core.settings.values()), "commands registered")
            asking = asyncio.create_task(fake.slash(maria, guild, "available", timeout=0.1))
            async with asyncio.timeout(5):
                while not core.commands:
                    await asyncio.sleep(0.01)
            began = core.clock.monotonic()
        assert core.clock.monotonic() - began < ANSWER_WITHIN + LEAVE_WITHIN + 2
        assert "interactions left without an answer: 1" in caplog.text
        await asking


async def test_bots_are_not_answered() -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, _):
        robot = fake.add_member(guild, "robot", bot=True)
        fake.set_deadlines(answer=0.1)
        reply = await fake.slash(robot, guild, "available")
        assert reply.failed
    assert core.commands == []


async def test_commands_are_registered_again_only_when_they_change() -> None:
    core = RecordingCore()
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        names: dict[str, str]
        for names, count in (({}, 1), ({}, 1), ({"away": "brb"}, 2)):
            async with running(fake, core, names=names):
                await live(core, guild)
                await fake.wait_for_call("PUT", "/applications/*", count=count)
                await core.until(lambda: any(core.settings.values()), "commands registered")
                await fake.slash(fake.add_member(guild, "maria"), guild, "who")
        assert len(fake.calls("PUT", "/applications/*")) == 2


@pytest.mark.parametrize("by_proxy", [False, True])
async def test_row_16_registration_waits_as_long_as_a_429_says(by_proxy: bool) -> None:
    core = RecordingCore()
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.rate_limit("PUT /applications/*", 0.05, by_proxy=by_proxy)
        async with running(fake, core):
            await live(core, guild)
            await core.until(lambda: any(core.settings.values()), "commands registered")
        statuses = [call.status for call in fake.calls("PUT", "/applications/*")]
        assert statuses == [429, 200]


async def test_a_bot_invited_without_commands_is_told_how_to_repair_it() -> None:
    core = RecordingCore()
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.fail("PUT /applications/*", 403, code=50001)
        async with running(fake, core):
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            assert "scope=bot+applications.commands" in core.banners[f"ws_{guild.id}"]


async def test_row_16_an_answer_survives_a_429_without_via_and_a_502() -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        fake.rate_limit("POST /interactions/*", 0.05, by_proxy=True)
        assert "available" in (await fake.slash(maria, guild, "available")).text
        fake.fail("POST /interactions/*", 502)
        assert "who" in (await fake.slash(maria, guild, "who")).text
