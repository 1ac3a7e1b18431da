"""A restart changes nobody's presence in Slack: in the middle of an idle time and of an away."""

import asyncio
from pathlib import Path
from typing import Literal

import pytest
from slack_scene import HOUR, MINUTE, slack_scene


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "kill -9"])
async def test_a_restart_in_the_middle_of_being_idle_and_of_an_away(tmp_path: Path, kill: bool) -> None:
    """Presence is the same before and after, idle times run on, and buttons of before work.

    What was due while it was down happens at its own instant.
    """
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben, ann, kim = (scene.member(name) for name in ("maria", "ben", "ann", "kim"))
        await scene.ready()
        for person in (maria, ben, ann, kim):
            await scene.say(person, "available")
        await scene.polled([maria, ben, ann, kim])
        await scene.advance(8 * HOUR + MINUTE)
        timed = await scene.say(ben, "brb", "30m lunch")
        by_hand = await scene.say(kim, "brb", "training")
        roster = await scene.say(kim, "whosin")
        scene.presence(maria, "away")
        await scene.polled([maria])
        idle_at = scene.now()
        await scene.advance(7 * MINUTE)
        names = ("maria", "ben", "ann", "kim")
        before = {name: scene.program.history(name) for name in names}

        await scene.restart(kill=kill)
        assert {name: scene.program.history(name) for name in names} == before
        assert {name: await scene.seen(kim, name) for name in names} == {
            "maria": "available",
            "ben": "away",
            "ann": "available",
            "kim": "away",
        }
        await scene.polled([maria, ben, ann, kim])
        assert await scene.program.routable() == {"maria", "ann"}

        # Fifteen minutes since she went idle, not since the restart.
        await scene.advance((idle_at - scene.now()).total_seconds() + 15 * MINUTE + 2)
        asked = await scene.word(maria, "Still there?")
        assert await scene.program.routable() == {"ann"}

        # Restarted in the middle of the ten minutes for an answer: the question stands, once.
        await scene.restart(kill=kill)
        await scene.polled([maria])
        await scene.advance(2 * MINUTE)
        assert await scene.seen(kim, "maria") == "available"
        assert scene.fake.direct_messages(maria.id) == [asked]
        assert "You're *Available*" in (await scene.press(maria, asked, "I'm here")).shown
        assert await scene.program.routable() == {"maria", "ann"}

        # Buttons of before both restarts.
        assert "You're *Available*" in (await scene.press(kim, by_hand, "I'm back")).shown
        await scene.press(kim, roster, "Refresh")
        assert "3 available · 1 away · 0 offline" in roster.shown

        assert scene.program.history("ann") == before["ann"], "nobody noticed a thing"

        # Ben's away ends while the program is down.
        assert scene.program.process is not None
        if kill:
            scene.program.kill()
            await scene.program.process.wait()
        else:
            assert await scene.program.stop() == 0
        scene.program.ahead += 29 * MINUTE
        await scene.program.start()
        await scene.ready()
        await scene.agrees(kim, "ben", "available")
        await scene.word(ben, "Your time away is over")
        went, back = before["ben"][-1].since, scene.program.history("ben")[-1]
        assert back.presence == "available"
        assert (back.since - went).total_seconds() == pytest.approx(30 * MINUTE, abs=1)
        assert "You're *Available*" in (await scene.press(ben, timed, "I'm back")).shown
        await scene.polled([ann])
        since = scene.program.history("ann")[len(before["ann"]) - 1 :]
        assert [(one.presence, one.confirmed) for one in since] == [
            ("available", True),
            ("available", False),
            ("available", True),
        ], "half an hour unseen is marked, and changes nothing"
        assert "ok: intervals tile" in await scene.program.cli("db", "check")


async def test_a_delivery_that_comes_again_after_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Row 15: the acknowledgement was lost with the process; what Slack sends again is known."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.say(maria, "brb", "30m lunch")
        before = scene.program.history("maria")
        await scene.restart(kill=True)
        await scene.advance(MINUTE)
        await scene.fake.redeliver(2)
        assert scene.program.history("maria") == before
        assert await scene.seen(ben, "maria") == "away"
        await scene.advance(29 * MINUTE + 5)
        await scene.word(maria, "Your time away is over")
        await scene.agrees(ben, "maria", "available")
        # The old away once more, long over: it does not begin again.
        await scene.fake.redeliver(1)
        assert await scene.seen(ben, "maria") == "available"


@pytest.mark.parametrize(
    ("mode", "slow", "via"),
    [("socket", 1.0, "acknowledgement"), ("socket", 2.4, "response_url"), ("http", 2.4, "response_url")],
)
async def test_fault_38_a_command_in_hand_at_sigterm_is_answered_once(
    tmp_path: Path, mode: Literal["socket", "http"], slow: float, via: str
) -> None:
    """Who gave it reads what became of it, and that is what the next start finds."""
    async with slack_scene(tmp_path, mode) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        await scene.ready()
        await scene.say(ben, "available")
        # Slack takes its time to say who she is; the polls of presence come through.
        fault = scene.fake.slow("users.info", slow, times=1)
        asked = asyncio.create_task(scene.fake.command(maria.id, "/available"))
        await scene.until(lambda: fault.times == 0, "the command to be in hand")
        assert await scene.program.stop() == 0
        reply = await asked
        assert "You're *Available*" in reply.shown
        assert reply.message.via == via
        assert len(scene.fake.ephemeral_messages(maria.id)) == 1
        await scene.program.start()
        await scene.ready()
        assert await scene.seen(ben, "maria") == "available"
        assert [line for line in scene.program.logged() if line["level"] == "error"] == []
