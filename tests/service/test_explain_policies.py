"""What the policies and consoles of an agent mean for them, in their words; and that it comes so."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from desk import Team, open_team, read

from bot.domain.facts import Seen
from bot.returning import length

MINUTE = timedelta(minutes=1)


async def connected(**presence: Any) -> tuple[Team, int]:
    """Ana, Available and seen in Discord, and the feed's epoch."""
    team = await open_team(presence=presence)
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("7", "/available", on="discord", name="Ana")
    await team.see("7", Seen.CONNECTED, epoch)
    return team, epoch


async def me(team: Team) -> str:
    """What `/presence me` says to Ana."""
    return read(await team.type("7", "/presence me", on="discord", name="Ana"))


async def gone(team: Team, epoch: int) -> None:
    """Her connection is lost, and a minute later so is her presence; five more have passed."""
    team.clock.advance(minutes=1)
    await team.see("7", Seen.DISCONNECTED, epoch)
    team.clock.advance(minutes=6)
    await team.desk.tick()
    assert team.presence("Ana") == "offline"


async def back_after(team: Team, epoch: int, minutes: float) -> str:
    """What she is when she is seen again so long after she became Offline."""
    since = team.row("Ana").since
    team.clock.advance(seconds=minutes * 60 - (team.clock.now() - since).total_seconds())
    await team.see("7", Seen.CONNECTED, epoch)
    return team.presence("Ana")


@pytest.mark.parametrize(
    ("policy", "there", "away"),
    [
        (
            {},
            "Back within 30 min, you're Available as before; later you're Away, and I ask you.",
            "Back by 09:32, you're Available as before; later you're Away until you say otherwise.",
        ),
        (
            {"resume_gap": "90m"},
            "Back within 1 h 30 min, you're Available as before; later you're Away, and I ask you.",
            "Back by 10:32, you're Available as before; later you're Away until you say otherwise.",
        ),
        (
            {"resume_gap": "0s"},
            "When you're back after that, you're Away, and I ask you.",
            "When you're back, you're Away until you say otherwise.",
        ),
        (
            {"on_return": "previous"},
            "Whenever you're back after that, you're Available again.",
            "As soon as you're back, you're Available.",
        ),
        (
            {"on_return": "available"},
            "Whenever you're back after that, you're Available again.",
            "As soon as you're back, you're Available.",
        ),
    ],
)
async def test_what_becomes_of_available_after_an_absence_is_told_and_comes_so(
    policy: dict[str, str], there: str, away: str
) -> None:
    for minutes in (29, 31, 89, 91):
        team, epoch = await connected(**policy)
        assert there in (await me(team)).splitlines()
        await gone(team, epoch)
        assert away in (await me(team)).splitlines()
        until = re.search(r"Back by (\d\d):(\d\d)", away)
        resumes = until is not None and minutes < int(until[1]) * 60 + int(until[2]) - 9 * 60 - 2
        kept = resumes or "As soon as" in away
        assert await back_after(team, epoch, minutes) == ("available" if kept else "away"), minutes


async def test_what_becomes_of_an_away_by_hand_is_told_by_the_policy() -> None:
    team, epoch = await connected()
    await team.type("7", "/away dentist", on="discord", name="Ana")
    assert "Back" not in await me(team)
    await gone(team, epoch)
    assert "When you're back, you're still Away." in (await me(team)).splitlines()
    assert await back_after(team, epoch, 90) == "away"
    for minutes, becomes in ((29, "away"), (31, "available")):
        team, epoch = await connected(on_return="available")
        await team.type("7", "/away dentist", on="discord", name="Ana")
        assert "Back after 30 min or longer, you're Available by yourself." in await me(team)
        await gone(team, epoch)
        assert "Back by 09:32, you're still Away; later you're Available by yourself." in await me(team)
        assert await back_after(team, epoch, minutes) == becomes


async def test_a_timed_away_that_ends_during_an_absence_is_told_with_how_long_it_still_counts() -> None:
    for minutes, becomes in ((178, "available"), (180, "away")):
        team, epoch = await connected()
        await team.type("7", "/away 1h lunch", on="discord", name="Ana")
        await gone(team, epoch)
        shown = (await me(team)).splitlines()
        assert "Your time away ends at 10:00." in shown
        assert (
            "Back by 12:00, you're Available once it is over; later you're Away until you say otherwise."
            in shown
        )
        team.clock.advance(minutes=70)
        await team.desk.tick()
        assert "Back by 12:00, you're Available as before; later" in await me(team)
        assert await back_after(team, epoch, minutes) == becomes


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        (
            {},
            "You become Offline if Slack shows you as away for 25 min and I hear nothing from you meanwhile.",
        ),
        (
            {"slack_away": "absent", "slack_grace": "3m"},
            "You become Offline if Slack shows you as away for over 3 min.",
        ),
        (
            {"slack_away": "ignore"},
            "Slack's away doesn't count here. You stay logged in until you type /presence off.",
        ),
    ],
)
async def test_slacks_away_is_told_as_the_policy_has_it(policy: dict[str, str], line: str) -> None:
    team = await open_team(presence=policy, slack={"bot_token": "xoxb-1", "app_token": "xapp-1"})
    epoch = await team.desk.feed_live(team.slack.id)
    await team.type("U1", "/available", name="Ana")
    await team.see("U1", Seen.CONNECTED, epoch, on="slack")
    team.clock.advance(hours=9)  # her word has lapsed: only Slack is left
    await team.desk.tick()
    shown = read(await team.type("U1", "/presence me", name="Ana"))
    assert line in shown.splitlines()
    assert ("Back within" in shown) is (policy.get("slack_away") != "ignore")


async def test_a_word_that_holds_says_until_when_and_what_starts_it_again() -> None:
    team, _ = await connected(check_in="2h")
    told = "that holds until 11:00, and each command of yours starts its 2 h again"
    assert f"You said at 09:00 that you're here; {told}" in (await me(team)).splitlines()
    team.clock.advance(hours=1)
    assert "that holds until 12:00" in await me(team)


async def test_where_nothing_tells_who_is_there_nobody_is_promised_to_be_seen_again() -> None:
    team = await open_team()
    await team.type("7", "/available", on="discord", name="Ana")
    assert "Back within" not in await me(team)
    team.clock.advance(hours=9)
    await team.desk.tick()
    shown = await me(team)
    assert "You're Offline" in shown
    assert "back" not in shown


# --- consoles ------------------------------------------------------------------------------------


async def at_a_console(*keys: str) -> Team:
    """Ana, Available by a lead's word, and there by nothing but her consoles."""
    team = await open_team()
    await team.type("7", "/presence me", on="discord", name="Ana")
    line = "/presence set Ana available"
    await team.type("1", line, on="discord", may_enrol=False, name="Boss", is_admin=True)
    for key in keys:
        await team.desk.sessions.beat(team.row("Ana").agent, key)
    return team


async def why(team: Team) -> str:
    """What somebody else is told of her."""
    return read(await team.type("8", "/presence why Ana", on="discord", name="Tom"))


async def test_consoles_are_named_with_since_when_and_their_last_heartbeat() -> None:
    team = await at_a_console("main")
    team.clock.advance(seconds=9)
    await team.desk.tick()
    shown = await me(team)
    assert "New chats can come to you." in shown
    assert "Your console main: connected since 09:00, last heartbeat 09:00" in shown.splitlines()
    assert "You become Offline if your console is closed, or silent for over 65 s." in shown.splitlines()
    assert "Back within 30 min, you're Available as before" in shown
    assert "Their console main: connected since 09:00, last heartbeat 09:00" in (await why(team)).splitlines()
    assert "Your console" not in await why(team)


async def test_of_several_each_is_told_and_one_that_was_left_is_not() -> None:
    team = await at_a_console("a", "b", "gone")
    await team.desk.sessions.log_out(team.row("Ana").agent, "gone")
    shown = await me(team)
    assert "Your console a: connected" in shown
    assert "Your console b: connected" in shown
    assert "gone" not in shown
    assert (
        "You become Offline if your console a is closed, or silent for over 65 s and your console b is "
        "closed, or silent for over 65 s." in shown
    )


async def passes(team: Team, seconds: int) -> None:
    """Time passes with ticks."""
    for _ in range(seconds // 5):
        team.clock.advance(seconds=5)
        await team.desk.tick()


async def test_a_silent_console_is_told_as_that_and_then_as_what_took_them_offline() -> None:
    team = await at_a_console("main")
    await passes(team, 50)
    shown = (await me(team)).splitlines()
    assert "No new chats come to you just now: your console fell silent." in shown
    assert "Your console main: connected since 09:00, but silent: its last heartbeat was at 09:00" in shown
    assert "You become Offline if your console sends no heartbeat by 09:01." in shown
    await passes(team, 30)
    shown = (await me(team)).splitlines()
    assert "You're Offline since 09:01: your console no longer shows you as there." in shown
    assert "their console no longer shows them as there" in await why(team)
    assert not any(line.startswith("Your console main") for line in shown)


async def test_after_our_own_absence_a_console_has_yet_to_be_heard_again() -> None:
    team = await at_a_console("main")
    team.clock.advance(minutes=3)
    await team.desk.tick()
    shown = (await me(team)).splitlines()
    assert "Your console main: no heartbeat yet since I came back; the last one before was at 09:00" in shown
    assert "You become Offline if your console sends no heartbeat by 09:04." in shown


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=60), "60 s"),
        (timedelta(seconds=65), "65 s"),
        (timedelta(seconds=150), "150 s"),
        (3 * MINUTE, "3 min"),
        (25 * MINUTE, "25 min"),
        (60 * MINUTE, "1 h"),
        (90 * MINUTE, "1 h 30 min"),
        (480 * MINUTE, "8 h"),
        (timedelta(0), "0 s"),
    ],
)
def test_lengths_are_said_as_people_say_them(span: timedelta, said: str) -> None:
    assert length(span) == said
