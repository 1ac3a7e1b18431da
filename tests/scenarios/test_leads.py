"""Leads at work, with the whole program as a process."""

from __future__ import annotations

from pathlib import Path

from slack_scene import slack_scene


async def test_a_lead_sets_somebody_away_and_they_are_told_by_whom(tmp_path: Path) -> None:
    """An admin of Slack who is no agent; also after the program was killed and started again."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        ann = scene.fake.add_user("UANN", "ann", is_admin=True)
        await scene.ready()
        for agent in (maria, ben):
            await scene.say(agent, "available")
        assert "Only leads can do that." in (await scene.say(ben, "presence", "set @maria away")).shown
        assert await scene.program.routable() == {"maria", "ben"}

        said = await scene.say(ann, "presence", "set @maria away 30m training")
        assert "*maria* is *Away* until <!date^" in said.shown
        assert "They're told that it was you." in said.shown
        told = await scene.word(maria, "set you")
        assert "*ann* set you *Away* until <!date^" in told.shown
        assert ": Training." in told.shown
        assert await scene.program.routable() == {"ben"}
        assert "set by *ann*" in (await scene.say(ben, "presence", "why @maria")).shown

        await scene.restart(kill=True)
        assert "set by *ann*" in (await scene.say(maria, "presence", "why")).shown
        assert len([one for one in scene.fake.direct_messages(maria.id) if "set you" in one.shown]) == 1
        back = await scene.press(maria, told, "I'm available")
        assert "You're *Available*" in back.shown
        assert "ann" not in (await scene.say(ben, "presence", "why @maria")).shown


async def test_a_team_made_in_chat_survives_a_restart(tmp_path: Path) -> None:
    async with slack_scene(tmp_path) as scene, scene.program:
        maria = scene.member("maria")
        ann = scene.fake.add_user("UANN", "ann", is_admin=True)
        await scene.ready()
        await scene.say(maria, "available")
        assert "`sales-emea`" in (await scene.say(ann, "presence", "team create Sales EMEA")).shown
        await scene.say(maria, "presence", "team join sales-emea")
        await scene.say(ann, "presence", "team rename sales-emea Sales")
        await scene.restart()
        assert await scene.seen(maria, "maria", "sales-emea") == "available"
        teams = (await scene.program.get("/v1/teams"))["teams"]
        assert ("sales-emea", "Sales") in [(team["slug"], team["name"]) for team in teams]
        listed = (await scene.say(maria, "presence", "team list")).shown
        assert "*Sales* · `sales-emea` · maria" in listed
