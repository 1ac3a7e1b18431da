"""Answers read as somebody tired reads them: what is so, what it means, what to type."""

import pytest
from desk import open_team, read

from bot.domain.facts import Seen


@pytest.mark.parametrize("on", ["discord", "slack"])
async def test_a_first_away_is_not_answered_as_if_its_sender_were_gone(on: str) -> None:
    """Whoever types is there, though their platform has not said so yet."""
    team = await open_team()
    epoch = await team.desk.feed_live((team.discord if on == "discord" else team.slack).id)
    reply = read(await team.type("500", "/away 30m lunch", on=on, name="Ana"))
    assert reply.startswith("Noted: Away until 09:30: lunch.\n")
    seen = f"{on.capitalize()} will soon tell me that you're here; until then your team sees you as Offline."
    assert seen in reply
    assert "not connected" not in reply
    await team.see("500", Seen.CONNECTED, epoch, on=on)
    again = read(await team.type("500", "/away 30m lunch", on=on, name="Ana"))
    assert again.startswith("You're Away until 09:30: lunch.")
    assert "Offline" not in again


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
