"""A restart changes nobody's presence: in the middle of a grace and of an away, kindly and by kill -9."""

from pathlib import Path

import pytest
from discord_scene import discord_scene

MINUTE = 60.0


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "kill -9"])
async def test_a_restart_in_the_middle_of_a_grace_and_of_an_away(tmp_path: Path, kill: bool) -> None:
    """Rule 6: presence is the same before and after, and no disconnect counts before everything settled.

    Buttons of before the restart work, and what was due while it was down happens at its own instant.
    """
    async with discord_scene(tmp_path) as scene, scene.program:
        names = ["Maria", "Ben", "Ann", "Kim"]
        maria, ben, ann, kim = (scene.agent(name) for name in names)
        await scene.ready()
        for person in (maria, ben, ann, kim):
            await scene.say(person, "available")
        timed = await scene.say(ben, "away", until="30m", reason="lunch")
        by_hand = await scene.say(kim, "away", reason="training")
        await scene.watched(*names)
        scene.fake.set_presence(maria, "offline")
        await scene.lost("Maria")
        await scene.advance(20)
        before = {name: scene.history(name) for name in names}

        scene.fake.set_presence(ann, "offline")
        await scene.lost("Ann")
        await scene.restart(kill=kill, asleep=60)
        assert {name: scene.history(name) for name in names} == before
        assert {name: await scene.seen(kim, name) for name in names} == {
            "Maria": "available",
            "Ben": "away",
            "Ann": "available",
            "Kim": "away",
        }
        assert await scene.routable() == set(), "nobody who is not there is sent work"

        # Maria's grace is over, but we saw nothing of it while we were away: settling is waited for.
        scene.fake.set_presence(ann, "online")
        await scene.until_about("Ann", lambda agent: agent["routable"], "Ann to be back")
        await scene.advance(45)
        assert await scene.seen(kim, "Maria") == "available"
        assert await scene.seen(kim, "Ann") == "available"
        await scene.advance(20)
        await scene.agrees(kim, "Maria", "offline")
        assert scene.history("Ann") == before["Ann"], "a disconnect across a restart was noticed by nobody"

        # Buttons of before the restart.
        pressed = await scene.press(kim, by_hand, "I'm back")
        assert "You're **Available**" in pressed.text
        await scene.agrees(kim, "Kim", "available")

        # Ben's away ends while the program is down.
        await scene.restart(kill=kill, asleep=28 * MINUTE)
        await scene.agrees(kim, "Ben", "available")
        await scene.fake.wait_for_message(ben, "Your time away is over")
        away, back = scene.history("Ben")[-2:]
        assert (back.since - away.since).total_seconds() == pytest.approx(30 * MINUTE, abs=1)
        again = await scene.press(ben, timed, "I'm back")
        assert "You're **Available**" in again.text
        assert scene.program.broken() == []
