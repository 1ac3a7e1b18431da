"""Buttons over real sockets: clicks in servers and in direct messages."""

from __future__ import annotations

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, asking, at_work, live, running
from fakes.discord_server import FakeDiscord

from adapters.discord.buttons import LONGEST_ID, click_of, custom_id
from bot.commands import names_on
from bot.domain.agent import Identity, Workspace
from bot.domain.reasons import Reasons
from bot.message import Message
from bot.reason_replies import needed


async def test_a_click_gives_the_command_again_and_replaces_its_message() -> None:
    core = RecordingCore()
    core.answer = lambda command: (
        Message(lines=(("Back",),), replaces=True) if command.clicked else asking(note="billing & co")
    )
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        reply = await fake.slash(maria, guild, "away")
        clicked = await fake.click(maria, reply, "Back")
        assert "Back" in clicked.text
        assert clicked.buttons == []
        assert clicked.message is reply.message
        assert fake.violations == []
    click = core.commands[1]
    assert (click.name, click.arguments, click.clicked) == ("available", {"note": "billing & co"}, True)


async def test_a_click_that_replaces_nothing_shows_a_new_private_message() -> None:
    core = RecordingCore()
    core.answer = lambda command: Message(lines=(("Help",),)) if command.clicked else asking()
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        reply = await fake.slash(maria, guild, "away")
        clicked = await fake.click(maria, reply, "Back")
        assert clicked.ephemeral
        assert clicked.message is not reply.message


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_slow_click_is_answered_later(replaces: bool) -> None:
    core = RecordingCore(HurriedClock(20))
    core.answer = lambda command: (
        Message(lines=(("Back",),), replaces=replaces) if command.clicked else asking()
    )
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        reply = await fake.slash(maria, guild, "away")
        core.delay = 4.0
        clicked = await fake.click(maria, reply, "Back")
        assert "Back" in clicked.text
        assert clicked.interaction.answer == 6
        assert (clicked.message is reply.message) is replaces
        assert fake.violations == []


async def test_a_button_in_a_direct_message_works_for_the_guild_it_belongs_to() -> None:
    core = RecordingCore()
    core.answer = lambda command: Message(lines=(("Back",),), replaces=True)
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        support = fake.add_role(guild, "support")
        maria = fake.add_member(guild, "maria", roles=[support], nick="María")
        async with running(fake, core, agent_roles=(str(support.id),)) as service:
            await live(core, guild)
            home = Workspace(f"ws_{guild.id}", "org", "discord", str(guild.id), "Acme")
            identity = Identity("idn", home.id, "discord", str(maria.id))
            await service.send_direct(identity, home, asking())
            shown = await fake.wait_for_message(maria)
            clicked = await fake.click(maria, shown, "Back")
            assert "Back" in clicked.text
            await service.send_direct(identity, home, asking())
            kept = await fake.wait_for_message(maria, "Away")
            fake.leave(maria, guild)
            refused = await fake.click(maria, kept, "Back")
            assert "does not see you" in refused.text
    profile = core.commands[0].person.profile
    assert core.commands[0].person.workspace_id == f"ws_{guild.id}"
    assert (profile.name, profile.may_enrol) == ("María", True)
    assert len(core.commands) == 1


async def test_a_click_while_discord_answers_nothing_says_so() -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, service):
        maria = fake.add_member(guild, "maria")
        home = Workspace(f"ws_{guild.id}", "org", "discord", str(guild.id), "Acme")
        await service.send_direct(Identity("idn", home.id, "discord", str(maria.id)), home, asking())
        fake.fail("GET /guilds/*/members/*", 503, 9)
        clicked = await fake.click(maria, await fake.wait_for_message(maria), "Back")
        assert "Nothing was changed" in clicked.text
    assert core.commands == []


async def test_a_button_of_another_version_says_so() -> None:
    core = RecordingCore()
    core.answer = lambda command: asking(action="gone")
    async with at_work(core) as (fake, guild, _):
        maria = fake.add_member(guild, "maria")
        reply = await fake.slash(maria, guild, "away")
        clicked = await fake.click(maria, reply, "Back")
        assert "another version" in clicked.text
    assert len(core.commands) == 1


@pytest.mark.parametrize("until", ["30m", "until 14:30", "tomorrow 9:30am"])
def test_a_button_holds_a_time_and_the_longest_code_also_in_a_direct_message(until: str) -> None:
    """One that Discord would not keep is left out by the adapter, and its way with it."""
    reasons = Reasons({f"{number}" * 32: "Name" for number in range(5)})
    refused = Message(lines=(("Why?",),))
    asked = needed(refused, "away", until, names_on("discord"), reasons)
    assert len(asked.buttons) == 5
    for number, button in enumerate(asked.buttons):
        kept = custom_id(button, number, "9" * 20)
        assert len(kept) <= LONGEST_ID
        click = click_of(kept)
        assert click is not None
        assert click.arguments == {"until": until, "reason": f"{number}" * 32}
