"""Answers read as somebody tired reads them: what is so, what it means, what to type."""

import pytest
from desk import open_team, read

from bot.domain.facts import Seen
from bot.message import Code
from bot.ports import Command, Person, Profile


@pytest.mark.parametrize("on", ["discord", "slack"])
async def test_a_first_away_is_not_answered_as_if_its_sender_were_gone(on: str) -> None:
    """Whoever types is there, though their platform has not said so yet."""
    team = await open_team()
    epoch = await team.desk.feed_live((team.discord if on == "discord" else team.slack).id)
    reply = read(await team.type("500", "/away 30m lunch", on=on, name="Ana"))
    assert reply.startswith("Noted: Away until 09:30: Lunch.\n")
    seen = f"{on.capitalize()} will soon tell me that you're here; until then your team sees you as Offline."
    assert seen in reply
    assert "not connected" not in reply
    await team.see("500", Seen.CONNECTED, epoch, on=on)
    again = read(await team.type("500", "/away 30m lunch", on=on, name="Ana"))
    assert again.startswith("You're Away until 09:30: Lunch.")
    assert "Offline" not in again


async def test_a_sentence_begins_with_a_capital_whatever_the_platform_is_called() -> None:
    team = await open_team()
    console = await team.desk.workspace("console", "local", "console")
    await team.desk.feed_live(console.id)
    person = Person(console.id, "console", Profile("me", "Me", may_enrol=True))
    shown = read(await team.desk.dispatch(Command("away", person, text="lunch")))
    assert "\nThe console will soon tell me that you're here;" in shown


async def test_a_first_look_at_oneself_says_that_the_platform_will_soon_tell() -> None:
    team = await open_team()
    await team.desk.feed_live(team.discord.id)
    shown = read(await team.type("500", "/presence me", on="discord", name="Ana"))
    assert "You're Offline since 09:00: nothing shows yet that you're here." in shown
    assert "Discord will soon tell me whether you're here." in shown
    assert "Type /available, and you're Available at once." in shown


async def test_a_first_available_speaks_of_no_end_while_discord_has_yet_to_tell() -> None:
    """A moment later Discord shows them, and the check-in's end means nothing."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    first = read(await team.type("500", "/available", on="discord", name="Ana"))
    assert first.startswith("You're Available.\n")
    assert "holds until" not in first
    await team.see("500", Seen.DISCONNECTED, epoch)
    invisible = read(await team.type("500", "/available", on="discord", name="Ana"))
    assert "That holds until 17:00." in invisible


async def test_away_from_somebody_whom_nobody_sees_says_why_the_team_sees_them_as_offline() -> None:
    """Discord's invisible, and platforms that tell nothing."""
    team = await open_team()
    unseen = read(await team.type("500", "/away lunch", on="discord", name="Ana"))
    assert "Your team sees you as Offline, because I can't see that you're here." in unseen
    epoch = await team.desk.feed_live(team.discord.id)
    await team.see("500", Seen.DISCONNECTED, epoch)
    invisible = read(await team.type("500", "/away lunch", on="discord", name="Ana"))
    assert "Your team sees you as Offline, because Discord shows you as offline." in invisible


@pytest.mark.parametrize("line", ["/presence why", "/presence why maria", "/presence why <@U1>"])
async def test_why_about_oneself_is_said_to_oneself(line: str) -> None:
    team = await open_team()
    await team.type("U1", "/brb 30m dentist", name="Maria")
    reply = read(await team.type("U1", line, name="Maria"))
    assert reply.startswith("You get no new chats just now:\n• You're Offline since 09:00: ")
    await team.type("U1", "/available", name="Maria")
    assert read(await team.type("U1", line, name="Maria")) == "You can take a chat now."


async def test_an_empty_team_is_no_empty_organization() -> None:
    """It is named, and how people come into it."""
    team = await open_team()
    empty = read(await team.type("U2", "/whosin billing"))
    assert empty.startswith("Nobody is an agent here yet.\nType /available to be the first.")
    await team.type("U2", "/available", name="Jon")
    asked = {
        "/whosin billing": "Nobody is in the team Billing yet.",
        "/whosin german": "Nobody has the skill German yet.",
        "/whosin billing german": "Nobody in Billing has the skill German.",
    }
    for line, answer in asked.items():
        shown = read(await team.type("U2", line, name="Jon"))
        assert shown.startswith(answer), shown
        assert "Whoever runs Rollcall names the people in its configuration" in shown
        assert "[Refresh]" in shown
        assert "0 available" not in shown
    await team.type("U1", "/available", name="Maria")
    assert read(await team.type("U2", "/whosin german", name="Jon")).startswith("German · 1 available")


async def test_parts_of_a_line_are_divided_by_more_than_spaces() -> None:
    """Two spaces run together in Slack, and in Discord too."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("U1", "/available only billing", name="Maria")
    await team.type("U2", "/brb 30m lunch", name="Jon")
    await team.type("500", "/presence me", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    await team.type("U1", "/brb 30m lunch", name="Maria")
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    pages = [
        await team.type("U1", line, name="Maria") for line in ("/whosin", "/presence help", "/presence me")
    ]
    for page in pages:
        assert "  " not in read(page)
    assert "Ana · not available yet · unconfirmed since 09:00" in read(pages[0])
    assert "/brb [30m, until 14:30, tomorrow 9am] [reason] · You take no new chats" in read(pages[1])
    assert "30m · 1h30 · until 14:30" in read(pages[1])


# --- refusals ------------------------------------------------------------------------------------


async def test_what_is_missing_is_named_with_the_command_and_an_example() -> None:
    team = await open_team()
    zone = await team.type("U1", "/presence timezone", name="Maria")
    assert read(zone) == (
        "/presence timezone needs a time zone behind it. Type for example /presence timezone Europe/Berlin."
    )
    whom = await team.type("U1", "/presence enrol", name="Maria", is_admin=True)
    assert read(whom) == (
        "/presence enrol needs a person behind it. Type for example /presence enrol @somebody."
    )


async def test_what_was_typed_comes_back_so_that_it_can_be_copied() -> None:
    """The line where there was one, each field by its name where there were fields; whole."""
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    line = await team.type("U1", "/brb until 9:30 " + "lunch " * 60, name="Maria")
    assert line.lines[-1] == ("You typed:", " ", Code("/brb until 9:30 " + "lunch " * 59 + "lunch"))
    mistyped = await team.type("U1", "/presence tiemzone Europe/Berlin", name="Maria")
    assert mistyped.lines[-1] == ("You typed:", " ", Code("/presence tiemzone Europe/Berlin"))
    fields = {"until": "soonish", "reason": "lunch " * 80}
    both = await team.type("U1", "/away", on="discord", name="Maria", arguments=fields)
    said = ("You typed:", " ", Code("until: soonish"), " ", Code("reason: " + "lunch " * 79 + "lunch"))
    assert both.lines[-1] == said


async def test_whose_away_is_refused_hears_that_they_are_still_available() -> None:
    """They may look away in good faith, and chats go on coming."""
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    for line in ("/brb until 9:30 lunch", "/brb 31d"):
        assert "Nothing was changed: you're still Available." in read(
            await team.type("U1", line, name="Maria")
        )
    await team.type("U1", "/brb lunch", name="Maria")
    assert "still" not in read(await team.type("U1", "/brb 31d", name="Maria"))


async def test_a_team_that_is_not_there_is_told_with_those_that_are() -> None:
    team = await open_team()
    asked = {
        "/whosin bilge": "There is no team or skill bilge. There are support, billing, german. "
        "Leave it out to see everybody.",
        "/whosin biling": "There is no team or skill biling. Did you mean billing? "
        "Leave it out to see everybody.",
        "/whosin billing support": "billing and support are two teams. Ask for one team at a time.",
    }
    for line, answer in asked.items():
        assert read(await team.type("U1", line)).startswith(answer)
    field = await team.type("1", "/who", on="discord", arguments={"skill": "french"})
    assert read(field).startswith("There is no skill french. There are german.")


async def test_rules_of_the_domain_name_commands_as_they_are_called_here() -> None:
    team = await open_team(
        slack={
            "bot_token": "xoxb-1",
            "app_token": "xapp-1",
            "names": {"presence": "pr", "available": "here"},
        }
    )
    unknown = read(await team.type("U1", "/brb until 14:30", name="Maria", zone=None))
    assert "Set it with /pr timezone Europe/Berlin" in unknown
    await team.type("U1", "/presence off", name="Maria", zone=None)
    assert "Type /here to come back." in read(await team.type("U1", "/brb", name="Maria", zone=None))
