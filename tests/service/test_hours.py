"""Working hours in chat and in the configuration: who is off shift, which team is closed, and who says so."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Team, member, open_team, read

from bot.domain.facts import Seen
from bot.domain.hours import Hours
from bot.domain.hours_text import read_weekly
from bot.hours import change_agent, change_team
from bot.ports import Command, Person, Profile

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


# Commands


async def test_everybody_sets_their_own_hours_and_sees_them() -> None:
    team = await open_team()
    await team.type("U1", "/available")
    assert "Your hours: always. No hours are set." in read(await team.type("U1", "/presence hours"))
    said = read(await team.type("U1", "/presence hours set mon-fri 9-12, 13-17"))
    assert said.splitlines() == [
        "Your hours: mon-fri 09:00-12:00 13:00-17:00 (Europe/Berlin).",
        "On shift until 11:00.",
    ]
    assert team.row("u1").agent.hours == berlin("mon-fri 9-12 13-17")
    team.clock.advance(hours=2)
    assert "Off shift until 12:00." in read(await team.type("U1", "/presence hours show"))
    assert read(await team.type("U2", "/presence hours @u1")).startswith("u1: mon-fri")
    assert read(await team.type("U2", "/presence hours U1", mentioned=(member("U1", "u1"),))).startswith(
        "u1: mon-fri"
    )
    assert "(Asia/Tokyo)" in read(await team.type("U1", "/presence hours set mon-fri 9-17 Asia/Tokyo"))
    assert "always" in read(await team.type("U1", "/presence hours set none"))
    assert team.row("u1").agent.hours is None


async def test_leads_set_the_hours_of_others_and_nobody_else_does() -> None:
    team = await open_team()
    await team.type("U1", "/available")
    await team.type("U2", "/available")
    said = read(await team.type("U9", "/presence hours set mon-fri 13-17 @u1", **BOSS))
    assert said.startswith("u1: mon-fri 13:00-17:00 (Europe/Berlin).")
    refused = read(await team.type("U2", "/presence hours set mon-fri 9-17 @u1"))
    assert (
        "Only leads can do that for others. For yourself, type /presence hours set mon-fri 9-17." in refused
    )
    assert "Only leads set the hours" in read(await team.type("U2", "/presence team hours billing mon 9-17"))
    assert "Only leads set the hours" in read(
        await team.type("U2", "/presence dayoff add 24 dec team:billing")
    )
    assert team.row("u1").agent.hours == berlin("mon-fri 13-17")
    assert team.desk.teams[1].hours is None


async def test_leads_set_a_teams_hours_and_everybody_sees_them() -> None:
    team = await open_team(organization={"zone": "Europe/Berlin"})
    await team.type("U1", "/available")
    said = read(await team.type("U9", "/presence team hours billing mon-fri 12-17", **BOSS))
    assert said.splitlines() == ["Billing: mon-fri 12:00-17:00 (Europe/Berlin).", "Closed until 11:00."]
    assert read(await team.type("U1", "/presence team hours billing")).splitlines() == said.splitlines()
    assert "Billing is closed until 11:00." in read(await team.type("U1", "/whosin billing"))
    await team.type("U9", "/presence team rename billing Invoices", **BOSS)
    assert "Invoices: mon-fri 12:00-17:00" in read(await team.type("U1", "/presence team hours billing"))
    assert "always" in read(await team.type("U9", "/presence team hours billing none", **BOSS))
    assert "closed" not in read(await team.type("U1", "/whosin billing"))


async def test_days_off_are_added_shown_and_taken_back() -> None:
    team = await open_team(organization={"zone": "Europe/Berlin"})
    await team.type("U1", "/available")
    said = read(await team.type("U1", "/presence dayoff add today dentist"))
    assert said.splitlines() == [
        "Your hours: always, but for days off (Europe/Berlin).",
        "Off shift until 23:00.",
        "Days off:",
        "• Mon 23 Nov 2026: dentist",
    ]
    assert "off_shift" in team.desk.roster.why_not(team.row("u1").agent.id, team.clock.now())
    await team.type("U1", "/presence dayoff add 24 dec - 26 dec Christmas")
    said = read(await team.type("U1", "/presence dayoff remove today"))
    assert said.splitlines()[-1] == "• Thu 24 Dec 2026 to Sat 26 Dec 2026: Christmas"
    assert "There is no day off on 2026-12-01" in read(await team.type("U1", "/presence dayoff remove 1 dec"))
    await team.type("U1", "/presence dayoff remove 25 dec")
    assert team.row("u1").agent.hours is None


async def test_leads_give_a_team_or_somebody_a_day_off() -> None:
    team = await open_team(organization={"zone": "Europe/Berlin"})
    await team.type("U1", "/available")
    said = read(await team.type("U9", "/presence dayoff add 23 nov moving team:billing", **BOSS))
    assert said.splitlines()[:2] == [
        "Billing: always, but for days off (Europe/Berlin).",
        "Closed until 23:00.",
    ]
    said = read(await team.type("U9", "/presence dayoff add 24 dec - 2 jan holiday @u1", **BOSS))
    assert said.splitlines()[-1] == "• Thu 24 Dec 2026 to Sat 2 Jan 2027: holiday"
    fields = {"dates": "24 dec", "label": "Christmas", "team": "support"}
    boss = Person(team.discord.id, "discord", Profile("U9", **BOSS))
    said = read(await team.desk.dispatch(Command("presence dayoff add", boss, fields)))
    assert said.splitlines()[-1] == "• Thu 24 Dec 2026: Christmas"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "/presence hours set",
            "needs some words behind it. Type for example /presence hours set mon-fri 9-17",
        ),
        ("/presence hours set mon-fri", "the last day has no times"),
        ("/presence hours set 9-17", "9-17 has no day"),
        ("/presence hours shwo", "Did you mean /presence hours show?"),
        ("/presence team hours billin 9-17", "Did you mean billing?"),
        ("/presence team hours billing 9-17", "9-17 has no day"),
        ("/presence dayoff", "needs some words behind it"),
        ("/presence dayoff add christmas", "I read no date in christmas"),
        ("/presence dayoff add 24 dec team:sales", "There is no team sales"),
        ("/presence dayoff add 24 dec team:billing @u1", "Name a team or a person, not both."),
    ],
)
async def test_what_is_wrong_is_told_and_changes_nothing(line: str, told: str) -> None:
    team = await open_team()
    await team.type("U1", "/available")
    assert told in read(await team.type("U1", line, is_admin=True))
    assert team.row("u1").agent.hours is None
    assert [one.hours for one in team.desk.teams] == [None, None]


async def test_whose_zone_nobody_knows_is_asked_for_it() -> None:
    team = await open_team()
    await team.type("U1", "/available", zone=None)
    assert "/presence timezone Europe/Berlin" in read(
        await team.type("U1", "/presence hours set mon 9-17", zone=None)
    )
    assert "(UTC)" in read(await team.type("U1", "/presence hours set mon 9-17 UTC", zone=None))


async def test_a_command_that_comes_twice_changes_hours_once() -> None:
    team = await open_team()
    await team.type("U1", "/available")
    await team.type("U1", "/presence hours set mon 9-17", delivery="one")
    await team.type("U1", "/presence hours set mon 10-17", delivery="two")
    assert "mon 10:00-17:00" in read(await team.type("U1", "/presence hours set mon 9-17", delivery="one"))
    await team.type("U1", "/presence dayoff add 24 dec", delivery="three")
    await team.type("U1", "/presence dayoff remove 24 dec", delivery="four")
    assert "mon 10:00-17:00" in read(await team.type("U1", "/presence dayoff remove 24 dec", delivery="four"))


async def test_other_hours_are_in_the_audit_and_among_the_events() -> None:
    team = await open_team()
    await team.type("U1", "/available")
    await team.type("U1", "/presence hours set mon 9-17")
    await team.type("U1", "/presence hours set mon 9-17")
    await team.type("U9", "/presence team hours billing mon 9-17", **BOSS)
    kept = await team.desk.store.read(lambda tx: tx.ledger.newest_events(team.desk.organization_id, 2))
    assert [(event.type, dict(event.data)) for _, event in kept] == [
        ("agent.hours", {"weekly": "mon 09:00-17:00", "zone": "Europe/Berlin", "days_off": 0}),
        ("team.hours", {"slug": "billing", "weekly": "mon 09:00-17:00", "zone": "UTC", "days_off": 0}),
    ]


async def test_the_word_after_a_return_waits_until_the_shift_begins() -> None:
    """Away for the night, back ten minutes early."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("9", "/available", "discord")
    await team.type("9", "/presence hours set mon-fri 9-17", "discord")
    await team.see("9", Seen.CONNECTED, epoch)
    team.clock.advance(hours=6)
    await team.see("9", Seen.DISCONNECTED, epoch)
    team.clock.advance(hours=16, minutes=50)
    await team.see("9", Seen.CONNECTED, epoch)
    assert team.presence("9") == "away"

    async def owed() -> list[str]:
        organization_id, now = team.desk.organization_id, team.clock.now()
        rows = await team.desk.store.write(lambda tx: tx.ledger.due_notices(organization_id, now, 9))
        return [row.told for row in rows]

    assert "returned" not in await owed()
    team.clock.advance(minutes=10)
    assert await owed() == ["returned"]
