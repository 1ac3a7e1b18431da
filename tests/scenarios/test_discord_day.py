"""A working day in Discord, played through with the whole program as a process."""

from pathlib import Path

import pytest
from discord_scene import discord_scene

MINUTE, HOUR = 60.0, 3600.0


async def test_a_day_from_the_first_available_to_signing_off(tmp_path: Path) -> None:
    """Enrolled by the role, away for lunch and back by itself, "I'm back", signed off with the phone on."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        assert "Nobody is an agent here yet" in (await scene.say(maria, "who")).text

        said = await scene.say(maria, "available", note="only billing today")
        assert "You're **Available**" in said.text
        assert "only billing today" in said.text
        await scene.say(ben, "available")
        assert await scene.seen(ben, "Maria") == "available"
        assert await scene.routable() == {"Maria", "Ben"}

        said = await scene.say(maria, "away", until="30m", reason="lunch")
        assert "You're **Away** until <t:" in said.text
        assert "Lunch" in said.text
        assert "Available again by yourself" in said.text
        assert await scene.seen(ben, "Maria") == "away"
        assert await scene.routable() == {"Ben"}

        await scene.advance(29 * MINUTE)
        assert await scene.seen(ben, "Maria") == "away"
        await scene.advance(2 * MINUTE)
        told = await scene.fake.wait_for_message(maria, "Your time away is over")
        assert await scene.seen(ben, "Maria") == "available"
        assert [stretch.presence for stretch in scene.history("Maria")][-2:] == ["away", "available"]
        away, back = scene.history("Maria")[-2:]
        assert (back.since - away.since).total_seconds() == pytest.approx(30 * MINUTE, abs=1)

        more = await scene.press(maria, told, "30 more minutes")
        assert "You're **Away** until <t:" in more.text
        assert await scene.seen(ben, "Maria") == "away"
        back_by_button = await scene.press(maria, more, "I'm back")
        assert "You're **Available**" in back_by_button.text
        assert await scene.seen(ben, "Maria") == "available"

        off = await scene.say(maria, "presence off")
        assert "You've signed off. You're **Offline**" in off.text
        assert scene.fake.direct_messages(maria) == [told], "one word for one end of a time away"
        for status in ("idle", "dnd", "offline", "online"):
            scene.fake.set_presence(maria, status)
        await scene.advance(10 * HOUR)
        await scene.agrees(ben, "Maria", "offline")
        said = await scene.press(maria, off, "I'm available")
        assert "You're **Available**" in said.text
        assert scene.presences("Maria")[-2:] == ["offline", "available"]


async def test_a_disconnect_shorter_than_the_grace_is_noticed_by_nobody(tmp_path: Path) -> None:
    """Rule 2; then a longer one, and returns before and after half an hour (rule 8)."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        for agent in (maria, ben):
            await scene.say(agent, "available")
        await scene.watched("Maria")
        before = scene.history("Maria")

        scene.fake.set_presence(maria, "offline")
        await scene.lost("Maria")
        assert await scene.seen(ben, "Maria") == "available"
        assert await scene.routable() == {"Ben"}
        await scene.advance(50)
        scene.fake.set_presence(maria, "online")
        await scene.until_about("Maria", lambda agent: agent["routable"], "Maria to be back")
        await scene.advance(5 * MINUTE)
        assert await scene.seen(ben, "Maria") == "available"
        assert scene.history("Maria") == before

        scene.fake.set_presence(maria, "offline")
        await scene.lost("Maria")
        gone_at = await scene.advance(0)
        assert await scene.seen(ben, "Maria") == "available"
        await scene.advance(61)
        await scene.agrees(ben, "Maria", "offline")
        ended = scene.history("Maria")[-1]
        assert (ended.presence, ended.reason) == ("offline", "disconnected")
        assert (ended.since - gone_at).total_seconds() == pytest.approx(60, abs=5)

        await scene.advance(28 * MINUTE)
        scene.fake.set_presence(maria, "online")
        await scene.agrees(ben, "Maria", "available")
        assert scene.fake.direct_messages(maria) == []

        scene.fake.set_presence(maria, "offline")
        await scene.lost("Maria")
        await scene.advance(61)
        await scene.agrees(ben, "Maria", "offline")
        await scene.advance(31 * MINUTE)
        scene.fake.set_presence(maria, "idle")
        await scene.agrees(ben, "Maria", "away")
        asked = await scene.fake.wait_for_message(maria, "Welcome back")
        await scene.press(maria, asked, "I'm available")
        await scene.agrees(ben, "Maria", "available")
        assert scene.fake.direct_messages(maria) == [asked]
