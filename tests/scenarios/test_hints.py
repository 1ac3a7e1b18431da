"""Calls and do-not-disturb on the whole program: shown, stopping new chats by policy, and forgotten; on
Slack, on Discord, and of one person on both."""

import asyncio
import re
from pathlib import Path
from typing import Any

from discord_scene import discord_scene
from slack_scene import MINUTE, slack_scene
from whole_program import WholeProgram

CALLS = {"in_call": "no_new_chats"}
STOPS = {"in_call": "no_new_chats", "do_not_disturb": "no_new_chats"}
CODE = re.compile(r"/presence link ([2-9A-Z]{4}-[2-9A-Z]{4})")


def kinds(agent: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((hint["kind"], hint["platform"]) for hint in agent["hints"])


async def hinted(program: WholeProgram, name: str, *hints: tuple[str, str]) -> None:
    """Wait until the API shows exactly these beside somebody's presence."""
    await program.until_about(name, lambda agent: kinds(agent) == sorted(hints), f"{hints} of {name}")


async def test_a_huddle_stops_new_chats_and_a_lost_socket_or_a_restart_forgets_it(tmp_path: Path) -> None:
    """Presence never changes, and no interval or event is written for any of it."""
    async with slack_scene(tmp_path, presence=CALLS) as scene, scene.program:
        maria, tom = scene.member("maria"), scene.member("tom")
        await scene.ready()
        for person in (maria, tom):
            await scene.say(person, "available")
        await scene.polled([maria, tom])
        before = scene.program.rows("SELECT max(position) FROM event")
        await scene.fake.huddle(maria.id)
        await hinted(scene.program, "maria", ("call", "slack"))
        assert await scene.program.routable() == {"tom"}
        assert "in a call" in (await scene.say(tom, "whosin")).shown
        shown = (await scene.say(maria, "presence", "me")).shown
        assert "No new chats come to you as long as you're in a call." in shown
        await scene.fake.huddle(maria.id, False)
        await hinted(scene.program, "maria")
        assert await scene.program.routable() == {"maria", "tom"}

        await scene.fake.huddle(maria.id)
        await hinted(scene.program, "maria", ("call", "slack"))
        scene.fake.refuse_sockets(1)
        scene.fake.drop_sockets()
        await hinted(scene.program, "maria")
        assert await scene.program.routable() == {"maria", "tom"}
        async with asyncio.timeout(10):
            while kinds(await scene.program.about("maria")) != [("call", "slack")]:
                await scene.advance(1)  # it tries again by the program's clock, then looks everybody up

        maria.huddle_state, maria.huddle_ends = "default_unset", 0
        await scene.restart(kill=True)
        assert kinds(await scene.program.about("maria")) == []
        assert scene.program.rows("SELECT max(position) FROM event") == before
        assert {stretch.presence for stretch in scene.program.history("maria")[-1:]} == {"available"}


async def test_a_huddle_whose_end_nobody_told_ends_when_slack_said(tmp_path: Path) -> None:
    async with slack_scene(tmp_path, presence=CALLS) as scene, scene.program:
        maria = scene.member("maria")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.polled([maria])
        await scene.fake.huddle(maria.id, seconds=10 * MINUTE)
        await hinted(scene.program, "maria", ("call", "slack"))
        await scene.advance(9 * MINUTE)
        assert await scene.program.routable() == set()
        await scene.advance(1.2 * MINUTE)
        assert await scene.program.routable() == {"maria"}


async def test_slacks_do_not_disturb_begins_and_ends_by_itself(tmp_path: Path) -> None:
    """Known beforehand; the manifest has the scope and the event because they are configured."""
    slack = {"do_not_disturb": True}
    async with slack_scene(tmp_path, presence=STOPS, slack=slack) as scene, scene.program:
        maria = scene.member("maria")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.polled([maria])
        now = scene.fake.world.clock()
        told = await scene.fake.pause(maria.id, now + 300, now + 600)
        assert told is not None and told.acked
        await scene.advance(240)
        assert await scene.program.routable() == {"maria"}
        await scene.advance(120)
        assert kinds(await scene.program.about("maria")) == [("do_not_disturb", "slack")]
        assert await scene.program.routable() == set()
        await scene.advance(300)
        assert await scene.program.routable() == {"maria"}


async def test_discords_voice_and_do_not_disturb_through_a_lost_connection_and_a_restart(
    tmp_path: Path,
) -> None:
    async with discord_scene(tmp_path, presence=STOPS, discord={"voice": True}) as scene, scene.program:
        maria = scene.agent("Maria")
        room = scene.fake.add_voice_channel(scene.guild, "Lounge")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.watched("Maria")
        scene.fake.speak(maria, scene.guild, room, times=2)
        await hinted(scene.program, "Maria", ("call", "discord"))
        assert await scene.routable() == set()
        assert "in a call" in (await scene.say(maria, "who")).text
        scene.fake.set_presence(maria, "dnd", times=2)
        await hinted(scene.program, "Maria", ("call", "discord"), ("do_not_disturb", "discord"))

        scene.fake.refuse_connections(1)
        scene.fake.drop_connections()
        await hinted(scene.program, "Maria")
        scene.fake.speak(maria, scene.guild, None)
        await scene.until_feed("live")
        await hinted(scene.program, "Maria", ("do_not_disturb", "discord"))
        scene.fake.set_presence(maria, "online")
        await hinted(scene.program, "Maria")
        assert await scene.routable() == {"Maria"}

        scene.fake.speak(maria, scene.guild, room)
        await scene.restart(kill=True)
        await hinted(scene.program, "Maria", ("call", "discord"))
        assert (await scene.about("Maria"))["presence"] == "available"


async def test_of_one_person_on_both_platforms_each_shows_its_own(tmp_path: Path) -> None:
    """One platform goes blind: what the other shows still stops new chats."""
    async with (
        discord_scene(tmp_path, presence=STOPS, discord={"voice": True}) as discord,
        slack_scene(discord.program, presence=STOPS, discord=discord.program.config["discord"]) as slack,
        discord.program as program,
    ):
        dora, sam = discord.agent("Dora"), slack.member("sam")
        room = discord.fake.add_voice_channel(discord.guild, "Lounge")
        await discord.ready()
        await slack.ready()
        await discord.say(dora, "available")
        await slack.say(sam, "available")
        await discord.watched("Dora")
        await slack.polled([sam])
        discord.fake.speak(dora, discord.guild, room)
        await hinted(program, "Dora", ("call", "discord"))
        code = CODE.search((await slack.say(sam, "presence", "link")).shown)
        assert code is not None
        await discord.say(dora, "presence link", code=code[1])
        await hinted(program, "sam", ("call", "discord"))
        await slack.fake.huddle(sam.id)
        await hinted(program, "sam", ("call", "discord"), ("call", "slack"))
        slack.fake.refuse_sockets(1)
        slack.fake.drop_sockets()
        await hinted(program, "sam", ("call", "discord"))
        assert await program.routable() == set()
        discord.fake.speak(dora, discord.guild, None)
        await hinted(program, "sam")
        assert await program.routable() == {"sam"}
