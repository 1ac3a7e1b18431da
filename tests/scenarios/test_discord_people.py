"""Who becomes an agent in Discord, who looks whom up, and who is shown the door: the whole program."""

import asyncio
from pathlib import Path
from zoneinfo import ZoneInfo

from discord_scene import DiscordScene, discord_scene
from fakes.discord_model import MANAGE_GUILD, User

BERLIN = ZoneInfo("Europe/Berlin")
NOT_AN_AGENT = "You're not an agent here. A lead can make you one with `/presence enrol"


def lead_of(scene: DiscordScene, name: str = "Lea") -> User:
    """Somebody who may manage the server, without the agents' role."""
    role = scene.fake.add_role(scene.guild, "Managers", permissions=MANAGE_GUILD)
    return scene.fake.add_member(scene.guild, name.lower(), status="online", roles=[role], global_name=name)


async def test_a_lead_enrols_and_removes_and_nobody_else_does(tmp_path: Path) -> None:
    """Without the role a stranger is refused everywhere; removal is sticky until a lead says otherwise."""
    async with discord_scene(tmp_path) as scene, scene.program:
        lead, maria = lead_of(scene), scene.agent("Maria")
        stranger = scene.fake.add_member(scene.guild, "gus", status="online", global_name="Gus")
        await scene.ready()
        for command in ("available", "away", "who", "presence me", "presence help"):
            assert NOT_AN_AGENT in (await scene.say(stranger, command)).text
        assert (await scene.program.get("/v1/agents"))["agents"] == []

        await scene.say(maria, "available")
        refused = await scene.say(maria, "presence enrol", agent=stranger)
        assert "Only leads can do that" in refused.text
        assert "**Gus** is an agent now" in (await scene.say(lead, "presence enrol", agent=stranger)).text
        await scene.until_about("Gus", lambda agent: agent["presence"] == "away", "Gus to be seen")
        assert "not available yet" in (await scene.say(maria, "who")).text
        await scene.say(stranger, "available")
        await scene.agrees(maria, "Gus", "available")

        # Removal is for the role's holders too: they don't come back by themselves.
        for person, name in ((stranger, "Gus"), (maria, "Maria")):
            assert (
                f"**{name}** is no longer an agent"
                in (await scene.say(lead, "presence remove", agent=person)).text
            )
            assert "You're no longer an agent here" in (await scene.say(person, "available")).text
            assert await scene.seen(lead, name) == "nowhere"
        assert await scene.routable() == set()
        await scene.restart()
        assert "You're no longer an agent here" in (await scene.say(maria, "available")).text

        await scene.say(lead, "presence enrol", agent=maria)
        await scene.say(maria, "available")
        await scene.agrees(lead, "Maria", "available")


async def test_whoever_leaves_the_server_is_offline_and_no_agent_any_more(tmp_path: Path) -> None:
    """Without the members intent nobody tells: a round of asking every minute finds out (rule 13)."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        for agent in (maria, ben):
            await scene.say(agent, "available")
        who = await scene.say(maria, "who")
        history = scene.history("Maria")

        scene.fake.leave(maria, scene.guild)
        await scene.advance(65)
        async with asyncio.timeout(5):
            while await scene.seen(ben, "Maria") != "nowhere":
                await scene.advance(5)
        assert await scene.routable() == {"Ben"}
        kept = scene.history("Maria")
        assert kept[: len(history) - 1] == history[:-1], "the history stays"
        assert kept[-1].presence == "offline"

        # Back with the role, they are still not an agent: leaving removed them.
        scene.fake.join(maria, scene.guild, status="online", roles=[scene.role])
        assert "You're no longer an agent here" in (await scene.press(maria, who, "Refresh")).text


async def test_the_roster_has_pages_and_a_refresh_and_teams_to_choose_from(tmp_path: Path) -> None:
    async with discord_scene(tmp_path) as scene, scene.program:
        people = [scene.agent(f"Agent {number:02}") for number in range(17)]
        await scene.ready()
        for person in people:
            await scene.say(person, "available")
        first = people[0]

        page = await scene.say(first, "who")
        assert "17 available · 0 away · 0 offline" in page.text
        assert "page 1 of 2" in page.text
        assert [button.label for button in page.buttons] == ["Refresh", "Next"]
        await scene.press(first, page, "Next")
        assert "page 2 of 2" in page.text
        assert "**Agent 16**" in page.text
        assert "**Agent 00**" not in page.text
        assert [button.label for button in page.buttons] == ["Refresh", "Back"]

        await scene.say(people[16], "away", reason="fire drill")
        await scene.press(first, page, "Refresh")
        assert "16 available · 1 away · 0 offline" in page.text
        assert "fire drill" in page.text
        await scene.press(first, page, "Back")
        assert "page 1 of 2" in page.text

        offered = await scene.fake.autocomplete(first, scene.guild, "who", "team", "bil")
        assert [(choice["name"], choice["value"]) for choice in offered] == [("Billing", "billing")]
        in_team = await scene.say(first, "who", team="billing")
        assert "Nobody is in the team **Billing** yet" in in_team.text
        assert "There is no team `bilge`. There are" in (await scene.say(first, "who", team="bilge")).text


async def test_an_agent_asks_how_they_are_seen_and_why(tmp_path: Path) -> None:
    """/presence me, why, timezone, help."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben", status="offline")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.watched("Maria")
        me = (await scene.say(maria, "presence me")).text
        assert "You're **Available** since <t:" in me
        assert "New chats can come to you." in me
        assert "connected since <t:" in me
        assert "You become Offline if Discord loses you for over 60 s." in me

        assert "**Maria** can take a chat now." in (await scene.say(ben, "presence why", agent=maria)).text
        await scene.say(ben, "presence me")
        why = (await scene.say(maria, "presence why", agent=ben)).text
        assert "**Ben** gets no new chats just now" in why
        assert "**Offline** since <t:" in why

        # Clock times need a zone, which Discord does not tell.
        asked = (await scene.say(maria, "away", until="14:30", reason="dentist")).text
        assert "I don't know your time zone" in asked
        assert "dentist" in asked, "what was typed is not lost"
        offered = await scene.fake.autocomplete(maria, scene.guild, "presence timezone", "zone", "berl")
        assert [choice["value"] for choice in offered] == ["Europe/Berlin"]
        assert (
            "Your time zone is Europe/Berlin"
            in (await scene.say(maria, "presence timezone", zone="Europe/Berlin")).text
        )
        away = (await scene.say(maria, "away", until="14:30", reason="dentist")).text
        half_past_two = scene.now().astimezone(BERLIN).replace(hour=14, minute=30, second=0, microsecond=0)
        assert f"<t:{int(half_past_two.timestamp())}:t>" in away

        text = (await scene.say(maria, "presence help")).text
        assert "`/away [30m, until 14:30, tomorrow 9am] [reason]`" in text
        assert "enrol" not in text, "what only leads may do is not offered to others"
        assert "`/presence enrol @somebody`" in (await scene.say(lead_of(scene), "presence help")).text
