"""Holidays from calendar files: what of them closes a team, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from desk import ManualClock, Team, open_team, read

from bot import beside
from bot.config import Config, ConfigError, load_config
from bot.core import Rollcall
from bot.domain.hours import Closed, DayOff
from bot.holidays import BadCalendar, Listed, read_calendar
from bot.service.teams import change
from storage.database import open_inline

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def calendar(*events: str, head: str = "") -> bytes:
    """A calendar file with these events, each a block of lines."""
    blocks = "".join(f"BEGIN:VEVENT\nUID:{nth}\n{event}\nEND:VEVENT\n" for nth, event in enumerate(events))
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{head}{blocks}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def listed(*events: str, zone: str = "Europe/Berlin", head: str = "") -> Listed:
    return read_calendar(calendar(*events, head=head), zone, NOW)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_all_day_events_are_days_off() -> None:
    """DTEND is the day after the last; without one it is one day."""
    found = listed(
        "DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227\nSUMMARY:Christmas",
        "DTSTART;VALUE=DATE:20270101\nSUMMARY:New Year\nTRANSP:TRANSPARENT",
    )
    assert found.days_off == (
        DayOff(date(2026, 12, 25), date(2026, 12, 26), "Christmas"),
        DayOff(date(2027, 1, 1), date(2027, 1, 1), "New Year"),
    )
    assert found.closed == ()


def test_events_with_a_time_close_as_long_as_they_last() -> None:
    """In their own zone, in UTC, or floating, then by the team's clocks."""
    found = listed(
        "DTSTART;TZID=America/New_York:20261224T120000\nDTEND;TZID=America/New_York:20261224T180000\nSUMMARY:a",
        "DTSTART:20261230T120000Z\nDURATION:PT2H\nSUMMARY:b",
        "DTSTART:20261231T130000\nDTEND:20261231T180000\nSUMMARY:c",
    )
    assert found.closed == (
        Closed(at("2026-12-24T17:00"), at("2026-12-24T23:00"), "a"),
        Closed(at("2026-12-30T12:00"), at("2026-12-30T14:00"), "b"),
        Closed(at("2026-12-31T12:00"), at("2026-12-31T17:00"), "c"),
    )
    in_tokyo = listed("DTSTART:20261231T130000\nDTEND:20261231T180000\nSUMMARY:c", zone="Asia/Tokyo")
    assert in_tokyo.closed == (Closed(at("2026-12-31T04:00"), at("2026-12-31T09:00"), "c"),)


def test_events_repeat_with_their_exceptions() -> None:
    found = listed(
        "DTSTART;VALUE=DATE:20101225\nRRULE:FREQ=YEARLY\nSUMMARY:Christmas",
        "DTSTART;VALUE=DATE:20261207\nRRULE:FREQ=WEEKLY;COUNT=4\nEXDATE;VALUE=DATE:20261214\nSUMMARY:Monday",
    )
    assert [off.first.isoformat() for off in found.days_off] == [
        *("2026-12-07", "2026-12-21", "2026-12-25", "2026-12-28", "2027-12-25")
    ]


def test_what_is_cancelled_or_moved_is_so() -> None:
    series = "DTSTART;VALUE=DATE:20261207\nRRULE:FREQ=WEEKLY;COUNT=3\nSUMMARY:Monday"
    moved = "RECURRENCE-ID;VALUE=DATE:20261214\nDTSTART;VALUE=DATE:20261215\nSUMMARY:Tuesday"
    gone = "RECURRENCE-ID;VALUE=DATE:20261221\nDTSTART;VALUE=DATE:20261221\nSTATUS:CANCELLED\nSUMMARY:Monday"
    whole = "DTSTART;VALUE=DATE:20261224\nSTATUS:CANCELLED\nSUMMARY:not this year"
    text = (
        calendar(series, moved, gone, whole).replace(b"UID:1\r", b"UID:0\r").replace(b"UID:2\r", b"UID:0\r")
    )
    found = read_calendar(text, "UTC", NOW)
    assert [off.first.isoformat() for off in found.days_off] == ["2026-12-07", "2026-12-15"]


def test_only_the_year_ahead_is_looked_at() -> None:
    found = listed("DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=MONTHLY;BYMONTHDAY=1\nSUMMARY:first")
    firsts = [off.first for off in found.days_off]
    assert firsts[0] == date(2026, 12, 1) and firsts[-1] >= date(2027, 12, 1)
    assert len(firsts) <= 14


def test_an_event_over_many_days_closes_all_of_them_once() -> None:
    """It is found in each stretch of the year that is looked at."""
    found = listed("DTSTART;VALUE=DATE:20261201\nDTEND;VALUE=DATE:20270601\nSUMMARY:renovation")
    assert found.days_off == (DayOff(date(2026, 12, 1), date(2027, 5, 31), "renovation"),)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no calendar"),
        (b"PK\x03\x04", "no calendar"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "no calendar"),
        (calendar("DTSTART;VALUE=DATE:20261399\nSUMMARY:x"), "no calendar"),
        (calendar("SUMMARY:when?"), "no calendar"),
        (calendar("DTSTART:20261201T000000Z\nRRULE:FREQ=SECONDLY"), "every hour or more often"),
        (calendar("DTSTART:20261201T000000Z\nRRULE:FREQ=HOURLY"), "every hour or more often"),
        (calendar("DTSTART:20261201T000000Z\nDURATION:PT1M\nRRULE:FREQ=DAILY"), "more than 300 holidays"),
        (calendar(*["DTSTART;VALUE=DATE:20261224"] * 501), "more than 500 events"),
        (calendar("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20280101"), "more than 366 days"),
        (b" " * 1_000_001, "larger than 1 MB"),
    ],
)
def test_what_is_no_list_of_holidays_is_told(content: bytes, told: str) -> None:
    with pytest.raises(BadCalendar, match=told):
        read_calendar(content, "UTC", NOW)


# In a running Rollcall


async def with_calendar(file: Path, **more: Any) -> Team:
    support = {"slug": "support", "name": "Support", "everyone": True, "holidays": str(file), **more}
    return await open_team(team=[support], organization={"zone": "Europe/Berlin"})


async def ticked(team: Team, **length: float) -> None:
    team.clock.advance(**length)
    await team.desk.tick()


async def test_a_team_is_closed_on_its_holidays(tmp_path: Path) -> None:
    file = tmp_path / "holidays.ics"
    file.write_bytes(calendar("DTSTART;VALUE=DATE:20261123\nSUMMARY:Founding day"))
    team = await with_calendar(file, hours="mon-fri 9-17")
    await team.type("U1", "/available")
    assert "Support is closed until 08:00." in read(await team.type("U1", "/whosin"))
    assert "Mon 23 Nov 2026: Founding day" in read(await team.type("U1", "/presence team hours support"))
    await team.type("U9", "/presence team hours support mon-fri 8-17", name="Ann", is_admin=True)
    assert team.desk.teams[0].hours is not None and team.desk.teams[0].hours.days_off == ()
    assert not team.desk.roster.open(team.clock.now(), "support"), "what leads set stands beside the file"
    team.clock.advance(days=1)
    assert team.desk.roster.open(team.clock.now(), "support")


async def test_holidays_go_with_a_team_whose_slug_changes(tmp_path: Path) -> None:
    file = tmp_path / "holidays.ics"
    file.write_bytes(calendar("DTSTART;VALUE=DATE:20261123\nSUMMARY:Founding day"))
    team = await with_calendar(file)
    owner = team.desk.organization_id
    await team.desk.lists.change(
        lambda tx, now: change(tx, owner, "team", "support", "op", now, new_slug="help")
    )
    assert not team.desk.roster.open(team.clock.now(), "help")
    core = Rollcall(team.desk.config, team.desk.store, team.clock)
    seen = await beside.look(core, "support")
    assert "Support is closed until 2026-11-24 00:00." in beside.page(core, seen, ZoneInfo("Europe/Berlin"))


async def test_the_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "holidays.ics"
    file.write_bytes(calendar("DTSTART;VALUE=DATE:20261123\nSUMMARY:today"))
    team = await with_calendar(file)
    now = team.clock.now
    file.write_bytes(b"nothing of the kind")
    await ticked(team, hours=6)
    assert not team.desk.roster.open(now(), "support")
    file.write_bytes(calendar("DTSTART;VALUE=DATE:20261124\nSUMMARY:tomorrow"))
    await ticked(team, hours=5)
    assert not team.desk.roster.open(now(), "support"), "not yet"
    await ticked(team, hours=1)
    assert team.desk.roster.open(now(), "support")
    assert team.desk.roster.opens_at(now(), "support") is not None
    file.unlink()
    await ticked(team, hours=6)
    assert not team.desk.roster.open(now(), "support")


@pytest.mark.parametrize("content", [None, b"nothing of the kind"])
async def test_a_start_with_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "holidays.ics").write_bytes(content)
    (tmp_path / "rollcall.toml").write_text(
        '[[team]]\nslug = "support"\nname = "Support"\nholidays = "holidays.ics"\n'
    )
    config = load_config(tmp_path / "rollcall.toml", {})
    core = Rollcall(config, open_inline(), ManualClock())
    with pytest.raises(ConfigError, match=r'\[\[team\]\] "support" holidays: the file .*holidays.ics '):
        await core.start()


async def test_reading_a_calendar_keeps_nobody_waiting(tmp_path: Path) -> None:
    """It is done beside the event loop: 240 events, each of them every year."""
    file = tmp_path / "holidays.ics"
    days = [
        f"DTSTART;VALUE=DATE:2026{month:02}{day:02}\nRRULE:FREQ=YEARLY"
        for month in range(1, 13)
        for day in range(1, 21)
    ]
    file.write_bytes(calendar(*days))
    core = Rollcall(
        Config.model_validate({"team": [{"slug": "s", "name": "S", "holidays": str(file)}]}),
        open_inline(),
        ManualClock(),
    )
    starting = asyncio.ensure_future(core.start())
    turns = 0
    while not starting.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 5
    assert len(core.roster.hours("s").days_off) >= 240  # type: ignore[union-attr]
