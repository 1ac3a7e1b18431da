"""Reason codes and the policy that wants a reason, with the whole program as a process."""

from __future__ import annotations

from pathlib import Path

from discord_scene import discord_scene
from slack_scene import slack_scene

WANTED = {"require_reason": True}


async def test_a_code_typed_in_slack_is_shown_restored_and_kept_in_the_history(tmp_path: Path) -> None:
    """Beneath a timed away, and after the program was killed."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        await scene.ready()
        for agent in (maria, ben):
            await scene.say(agent, "available")
        assert "`training`" in (await scene.say(maria, "presence", "help")).shown
        said = await scene.say(maria, "brb", "TRAINING: new billing flow")
        assert "You're *Away*: Training: new billing flow." in said.shown
        assert ": Lunch." in (await scene.say(maria, "brb", "45m lunch")).shown
        await scene.restart(kill=True)
        assert "Lunch" in (await scene.say(ben, "whosin")).shown
        await scene.advance(46 * 60)
        assert await scene.seen(ben, "maria") == "away"
        assert "Training: new billing flow" in (await scene.say(ben, "whosin")).shown
        about = await scene.program.about("maria")
        assert (about["reason_code"], about["note"]) == ("training", "TRAINING: new billing flow")
        history = (await scene.program.get(f"/v1/agents/{about['id']}/history"))["intervals"]
        assert [one["reason_code"] for one in history[-3:]] == ["training", "lunch", "training"]


async def test_where_a_reason_is_wanted_slack_offers_the_codes_as_buttons(tmp_path: Path) -> None:
    async with slack_scene(tmp_path, presence=WANTED) as scene, scene.program:
        maria = scene.member("maria")
        await scene.ready()
        await scene.say(maria, "available")
        refused = await scene.say(maria, "brb", "30m")
        assert "Your team asks for a reason with every Away." in refused.shown
        assert "You typed: `/brb 30m`" in refused.shown
        assert await scene.seen(maria, "maria") == "available"
        said = await scene.press(maria, refused, "Break")
        assert "You're *Away* until <!date^" in said.shown
        assert ": Break." in said.shown
        await scene.press(maria, said, "I'm back")
        assert "You're *Away*: dentist." in (await scene.say(maria, "brb", "dentist")).shown


async def test_discord_offers_the_codes_while_one_types_and_takes_other_words(tmp_path: Path) -> None:
    async with discord_scene(tmp_path, presence=WANTED) as scene, scene.program:
        maria = scene.agent("Maria")
        await scene.ready()
        await scene.say(maria, "available")
        offered = await scene.fake.autocomplete(maria, scene.guild, "away", "reason", "")
        assert [one["name"] for one in offered] == ["Lunch", "Break", "Training", "Meeting"]
        offered = await scene.fake.autocomplete(maria, scene.guild, "away", "reason", "tr")
        said = await scene.say(maria, "away", until="45m", reason=offered[0]["value"])
        assert "Training." in said.text
        said = await scene.say(maria, "away", reason="meeting with Tom")
        assert (await scene.about("Maria"))["note"] == "meeting with Tom"
        assert "Meeting\\: with Tom." in said.text
        refused = await scene.say(maria, "away", until="1h 30m")
        assert "asks for a reason" in refused.text
        said = await scene.press(maria, refused, "Lunch")
        assert "You're **Away** until <t:" in said.text
        assert "Lunch." in said.text
        assert (await scene.about("Maria"))["reason_code"] == "lunch"
