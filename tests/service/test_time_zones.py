"""Time zones as people name them, and names that look like zones and are none."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from desk import open_team, read

from bot.config.values import known_zone
from bot.domain.errors import BadInput
from bot.lookup import ABBREVIATIONS, ALL_YEAR, find_zone, near_zones, suggest


def refusal(typed: str) -> str:
    """What is said of a time zone that there is not."""
    with pytest.raises(BadInput) as refused:
        find_zone(typed)
    return refused.value.sentence


@pytest.mark.parametrize(
    ("typed", "city"),
    [
        ("GMT+2", "Africa/Johannesburg"),
        ("utc + 2", "Africa/Johannesburg"),
        ("UTC-03:00", "America/Sao_Paulo"),
        ("+5:30", "Asia/Kolkata"),
        ("-0800", "Pacific/Pitcairn"),
    ],
)
def test_an_offset_is_answered_with_a_city_on_the_right_side_of_the_world(typed: str, city: str) -> None:
    """`Etc/GMT+2` is two hours behind UTC, and whoever takes it is back four hours late."""
    told = refusal(typed)
    assert f"`/presence timezone {city}`" in told
    assert "Etc/" not in told


@pytest.mark.parametrize("typed", ["GMT+25", "+99", "utc+14:59", "gmt2"])
def test_an_offset_that_is_nowhere_names_no_offset_either(typed: str) -> None:
    """A city all the same."""
    assert "Etc/" not in refusal(typed)


def test_the_cities_for_offsets_are_at_them_in_every_season() -> None:
    """Else the example would be wrong for half of the year."""
    for minutes, city in ALL_YEAR.items():
        for month in (1, 7):
            at = datetime(2026, month, 1, tzinfo=UTC).astimezone(ZoneInfo(city))
            assert at.utcoffset() == timedelta(minutes=minutes), city


def test_an_abbreviation_is_answered_with_where_it_is_written() -> None:
    """And what it offers exists; an abbreviation that IANA knows is taken as it is."""
    assert refusal("CEST").endswith("Did you mean `Europe/Berlin` or `Europe/Paris`?")
    assert "America/New_York" in refusal("edt")
    known = available_timezones()
    assert all(zone in known for offered in ABBREVIATIONS.values() for zone in offered)
    assert {name for name in known if name.lower() in ABBREVIATIONS} <= {"EST", "MST", "HST"}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("EST", "`America/New_York`"),
        ("mst", "`America/Denver` or `America/Phoenix`"),
        ("HST", "`Pacific/Honolulu`"),
        ("Eastern", "`America/New_York`"),
        ("pacific time", "`America/Los_Angeles`"),
        ("central", "`America/Chicago`"),
        ("Mountain", "`America/Denver`"),
        ("Delhi", "`Asia/Kolkata`"),
        ("nyc", "`America/New_York`"),
        ("San Francisco", "`America/Los_Angeles`"),
        ("india", "`Asia/Kolkata`"),
        ("China", "`Asia/Shanghai` or `Asia/Urumqi`"),
        ("uk", "`Europe/London`"),
        ("Britain", "`Europe/London`"),
        ("south korea", "`Asia/Seoul`"),
        ("korea", "`Asia/Pyongyang` or `Asia/Seoul`"),
        ("New Zealand", "`Pacific/Auckland` or `Pacific/Chatham`"),
        ("Eastern Standard Time", "`America/New_York`"),
        ("Germany", "`Europe/Berlin`"),
        ("spain", "`Europe/Madrid` or `Atlantic/Canary`"),
        (
            "USA",
            "`America/New_York`, `America/Chicago`, `America/Denver`, `America/Phoenix`, "
            "`America/Los_Angeles`, `America/Anchorage`, `America/Adak` or `Pacific/Honolulu`",
        ),
    ],
)
def test_what_people_call_their_zone_is_answered_with_its_name(typed: str, offered: str) -> None:
    """`EST` is New York's winter the whole year: whoever takes it is an hour late all summer."""
    assert refusal(typed).endswith(f"Did you mean {offered}?")


@pytest.mark.parametrize("country", ["canada", "Australia", "brazil", "Mexico"])
def test_a_country_is_answered_with_a_city_for_each_of_its_clocks(country: str) -> None:
    """Few enough to read, and all of them there to be taken."""
    offered = near_zones(country)
    assert 2 <= len(offered) <= 11
    assert [find_zone(zone) for zone in offered] == offered


@pytest.mark.parametrize(("typed", "city"), [("Etc/GMT+5", "America/Bogota"), ("etc/gmt-9", "Asia/Tokyo")])
def test_the_zone_databases_own_offsets_are_answered_with_a_city_that_has_them(typed: str, city: str) -> None:
    """Their sign is the other way round."""
    assert f"`/presence timezone {city}`" in refusal(typed)


@pytest.mark.parametrize("zone", ["Etc/UTC", "Etc/GMT", "UTC", "EST5EDT", "CET", "Singapore"])
def test_a_zone_that_is_what_it_says_is_taken(zone: str) -> None:
    """Clocks there are what whoever types it means."""
    assert find_zone(zone.lower()) == zone


async def test_no_offset_is_offered_while_typing() -> None:
    """The list under the cursor is a suggestion too."""
    team = await open_team()
    for typed in ("gmt", "GMT+2", "etc", "+2", "est", "hst"):
        offered = [zone for _, zone in suggest(team.desk, "presence timezone", "zone", typed)]
        assert [zone for zone in offered if re.match(r"GMT\+|Etc/|[EMH]ST$", zone)] == []


@pytest.mark.parametrize(
    "name", ["localtime", "Factory", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin"]
)
async def test_a_file_that_only_looks_like_a_zone_is_none(name: str) -> None:
    """Neither by a command nor in a platform's profile nor in the configuration."""
    assert known_zone(name) is None
    with pytest.raises(BadInput):
        find_zone(name)
    team = await open_team()
    await team.type("U1", "/available", name="Maria", zone=name)
    assert team.row("Maria").agent.zone is None
    assert "I don't know the time zone" in read(
        await team.type("U1", f"/presence timezone {name}", name="Maria", zone=None)
    )
