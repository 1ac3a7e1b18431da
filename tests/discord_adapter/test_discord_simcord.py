"""The unmodified adapter under SimCord: commands, buttons, permissions, registration, deadlines, restart.

SimCord keeps Discord's rules (a command that was never registered can't be given, an interaction is
answered within 3 s and once, what is ephemeral is seen by one), and its time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import discord
import pytest
import simcord
from discord_adapter.house import HurriedClock, RecordingCore
from pydantic import SecretStr

from adapters.discord.service import DiscordService
from bot.config import DiscordTable
from bot.message import Button, ButtonStyle, Message, Tone
from bot.ports import Command


class LoopsClock(HurriedClock):
    """The loop's own time, which SimCord makes virtual; `now` follows SimCord's interactions."""

    def now(self) -> datetime:
        return discord.utils.utcnow()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def service_of(core: RecordingCore, **settings: Any) -> DiscordService:
    return DiscordService(DiscordTable(token=SecretStr("token"), **settings), core)


@asynccontextmanager
async def simulated(
    core: RecordingCore, **settings: Any
) -> AsyncIterator[tuple[simcord.Env, DiscordService]]:
    service = service_of(core, **settings)
    async with simcord.run(service.connection()) as env:
        yield env, service


def recording() -> RecordingCore:
    return RecordingCore(LoopsClock())


async def test_commands_are_registered_in_each_guild_once() -> None:
    core = recording()
    async with simulated(core) as (env, _):
        for name in ("Acme", "Other"):
            guild = env.create_guild(name=name)
            channel = guild.create_text_channel("general")
            await env.settle()
            maria = guild.add_member(env.create_user(f"maria-{name}"))
            assert {"available", "away", "who", "presence me", "presence help"} <= set(
                maria.available_commands(channel)
            )
        assert len([call for call in env.http_requests if call.method == "PUT"]) == 2
        await env.restart_bot(service_of(core).connection())
        await env.settle()
        assert len([call for call in env.http_requests if call.method == "PUT"]) == 2


async def test_commands_of_two_levels_can_be_given() -> None:
    core = recording()
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        await env.settle()
        maria, tom = guild.add_member(env.create_user("maria")), guild.add_member(env.create_user("tom"))
        assert {"presence team join", "presence skill list"} <= set(maria.available_commands(channel))
        await maria.slash(channel, "presence team join", team="billing", agent=tom)
        await maria.slash(channel, "presence skill list")
    assert [command.name for command in core.commands] == ["presence team join", "presence skill list"]
    assert core.commands[0].arguments == {"team": "billing", "agent": str(tom.id)}


async def test_an_answer_is_private_and_has_its_colour_and_buttons() -> None:
    core = recording()
    core.answer = lambda command: Message(
        lines=(("You are Away.",),),
        buttons=(Button("I'm back", "available", style=ButtonStyle.PRIMARY),),
        tone=Tone.AWAY,
    )
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        await env.settle()
        maria = guild.add_member(env.create_user("maria"))
        result = await maria.slash(channel, "away", until="30m", reason="lunch")
        assert result.ephemeral
        assert result.response is not None
        embed = result.response.embeds[0]
        assert (embed.description, embed.colour) == ("You are Away.", discord.Colour(0xD9930D))
        assert result.response.components[0]["components"][0]["label"] == "I'm back"
    assert core.commands[0].arguments == {"until": "30m", "reason": "lunch"}


async def test_a_button_works_after_a_restart() -> None:
    core = recording()

    def answer(command: Command) -> Message:
        if command.clicked:
            return Message(lines=(("Welcome back.",),), replaces=True)
        return Message(lines=(("Away.",),), buttons=(Button("I'm back", "available"),))

    core.answer = answer
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        await env.settle()
        maria = guild.add_member(env.create_user("maria"))
        shown = await maria.slash(channel, "away")
        assert shown.response is not None
        await env.restart_bot(service_of(core).connection())
        clicked = await maria.click(shown.response, label="I'm back")
        assert clicked.response is not None
        assert clicked.response.embeds[0].description == "Welcome back."
        assert clicked.response.components == []
    assert core.commands[-1].clicked


@pytest.mark.parametrize(("seconds", "deferred"), [(1.5, False), (30.0, True)])
async def test_the_deadline_of_3_s_is_kept_however_long_it_takes(seconds: float, deferred: bool) -> None:
    core = recording()
    core.delay = seconds
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        await env.settle()
        maria = guild.add_member(env.create_user("maria"))
        result = await maria.slash(channel, "available")
        await env.advance_time(40)
        first = next(call for call in env.http_requests if "/callback" in call.path)
        assert isinstance(first.json, dict)
        assert (first.json["type"] == 5) is deferred
        assert result.ephemeral
        assert result.response is not None
        assert result.response.embeds[0].description == "available"


async def test_an_answer_after_15_min_is_given_up_in_peace() -> None:
    core = recording()
    core.delay = 1000.0
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        await env.settle()
        maria = guild.add_member(env.create_user("maria"))
        result = await maria.slash(channel, "available")
        await env.advance_time(1200)
        assert result.deferred
        assert env.errors == []


async def test_permissions_are_looked_at_with_each_command() -> None:
    core = recording()
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        leads = guild.create_role("Leads", permissions=discord.Permissions(manage_guild=True))
        await env.settle()
        lead = guild.add_member(env.create_user("lead"), roles=[leads])
        other = guild.add_member(env.create_user("other"))
        await lead.slash(channel, "presence enrol", agent=other)
        await other.slash(channel, "presence enrol", agent=lead)
    assert [command.person.profile.is_admin for command in core.commands] == [True, False]
    assert [command.mentioned[0].is_admin for command in core.commands] == [False, True]
    assert core.commands[0].arguments == {"agent": str(other.id)}


async def test_a_configured_role_may_become_an_agent() -> None:
    core = recording()
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        support = guild.create_role("Support")
        await env.settle()
        await env.restart_bot(service_of(core, agent_roles=(str(support.id),)).connection())
        maria = guild.add_member(env.create_user("maria"), roles=[support])
        customer = guild.add_member(env.create_user("customer"))
        await maria.slash(channel, "available")
        await customer.slash(channel, "available")
    assert [command.person.profile.may_enrol for command in core.commands] == [True, False]


async def test_teams_are_offered_while_typing() -> None:
    core = recording()
    core.suggestions = [("Billing", "billing")]
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        await env.settle()
        maria = guild.add_member(env.create_user("maria"))
        choices = await maria.autocomplete(channel, "who", "team", "bil")
        assert [(choice["name"], choice["value"]) for choice in choices] == [("Billing", "billing")]


async def test_codes_are_offered_for_a_reason_and_other_words_are_taken_too() -> None:
    core = recording()
    core.suggestions = [("Lunch", "lunch")]
    async with simulated(core) as (env, _):
        guild = env.create_guild()
        channel = guild.create_text_channel("support")
        await env.settle()
        maria = guild.add_member(env.create_user("maria"))
        for command in ("away", "presence away", "presence set"):
            choices = await maria.autocomplete(channel, command, "reason", "lu")
            assert [(choice["name"], choice["value"]) for choice in choices] == [("Lunch", "lunch")]
        await maria.slash(channel, "away", reason="dentist, back at noon")
    assert core.commands[0].arguments == {"reason": "dentist, back at noon"}
