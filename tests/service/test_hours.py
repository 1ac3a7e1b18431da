"""Working hours in chat and in the configuration: who is off shift, which team is closed, and who says so."""

from __future__ import annotations

from typing import Any

from desk import Team, open_team, read

from bot.domain.hours import Hours
from bot.domain.hours_text import read_weekly
from bot.hours import change_agent, change_team

BOSS: dict[str, Any] = {"name": "Ann", "is_admin": True}
"""The clock stands at Monday, 23 November 2026, 9:00 UTC; people are in Berlin, where it is 10:00."""


def berlin(weekly: str) -> Hours:
    return Hours("Europe/Berlin", read_weekly(weekly))


async def with_hours(team: Team, who: str, weekly: str) -> None:
    await change_agent(team.desk, team.row(who).agent.id, lambda _: berlin(weekly), "test")


async def closed(team: Team, slug: str, weekly: str) -> None:
    await change_team(team.desk, slug, lambda _: berlin(weekly), "test")


async def test_who_says_who_is_off_shift_and_which_team_is_closed() -> None:
    team = await open_team()
    await team.type("U1", "/available")
    await team.type("U2", "/available")
    await with_hours(team, "u2", "mon-fri 13-17")
    await closed(team, "billing", "mon-fri 11:30-17")
    said = read(await team.type("U1", "/whosin"))
    assert said.splitlines()[1] == "Billing is closed until 10:30."
    assert "u2 · off shift" in said and "u1 · off" not in said
    assert read(await team.type("U1", "/whosin billing")).splitlines()[1] == "Billing is closed until 10:30."
    assert "closed" not in read(await team.type("U1", "/whosin support"))
    team.clock.advance(hours=3)
    said = read(await team.type("U1", "/whosin"))
    assert "closed" not in said and "off shift" not in said


async def test_many_closed_teams_are_counted() -> None:
    slugs = [f"team-{number}" for number in range(8)]
    team = await open_team(
        team=[{"slug": one, "name": one, "everyone": True, "hours": "tue 9-17"} for one in slugs]
    )
    await team.type("U1", "/available")
    said = read(await team.type("U1", "/whosin"))
    assert said.count("is closed until") == 5 and "3 more teams are closed." in said


async def test_whoever_is_off_shift_is_told_so_wherever_they_ask() -> None:
    team = await open_team()
    await team.type("U1", "/available")
    await with_hours(team, "u1", "mon-fri 13-17")
    told = "off shift until 12:00"
    assert told in read(await team.type("U1", "/available"))
    assert told in read(await team.type("U1", "/presence me"))
    assert told in read(await team.type("U1", "/presence why"))
    assert team.presence("u1") == "available"


async def test_whose_teams_are_all_closed_is_told_so() -> None:
    team = await open_team()
    await team.type("U1", "/available")
    await closed(team, "billing", "mon-fri 13-17")
    assert "New chats can come to you." in read(await team.type("U1", "/presence me"))
    await closed(team, "support", "mon-fri 14-17")
    assert "Your team is closed just now" in read(await team.type("U1", "/presence me"))
    assert "Your team is closed just now" in read(await team.type("U1", "/available"))
    assert "your team is closed" in read(await team.type("U1", "/presence why"))
    assert "the team is closed" in read(await team.type("U2", "/presence why @u1"))


async def test_the_configuration_sets_a_teams_hours() -> None:
    support = {
        "slug": "support",
        "name": "Support",
        "everyone": True,
        "hours": "mon 11-17",
        "zone": "Europe/Berlin",
    }
    team = await open_team(team=[support])
    await team.type("U1", "/available")
    assert not team.desk.roster.open(team.clock.now(), "support")
    team.clock.advance(hours=1)
    assert team.desk.roster.open(team.clock.now(), "support")
