"""Free-text times around every change of the clocks in sixty zones: fault row 6."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.domain.when import TimePassed, parse_when

NAMES = """
Africa/Cairo Africa/Casablanca Africa/El_Aaiun America/Adak America/Anchorage America/Asuncion America/Bogota
America/Chicago America/Denver America/Halifax America/Havana America/Los_Angeles America/Miquelon
America/Montevideo America/New_York America/Nuuk America/Phoenix America/Port-au-Prince America/Santiago
America/Sao_Paulo America/Scoresbysund America/St_Johns America/Tijuana America/Toronto America/Winnipeg
Antarctica/Macquarie Antarctica/Palmer Antarctica/Troll Asia/Beirut Asia/Famagusta Asia/Gaza Asia/Hebron
Asia/Jerusalem Asia/Kathmandu Asia/Kolkata Asia/Nicosia Asia/Tokyo Atlantic/Azores Atlantic/Bermuda
Atlantic/Canary Atlantic/Faroe Atlantic/Madeira Australia/Adelaide Australia/Brisbane Australia/Hobart
Australia/Lord_Howe Australia/Melbourne Australia/Sydney Europe/Athens Europe/Berlin Europe/Chisinau
Europe/Dublin Europe/Istanbul Europe/Kyiv Europe/Lisbon Europe/London Pacific/Auckland Pacific/Chatham
Pacific/Easter Pacific/Norfolk
"""
ZONES = NAMES.split()
MINUTE = timedelta(minutes=1)


def wall(at: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks on the wall show."""
    return at.astimezone(zone).replace(tzinfo=None)


def offset(at: datetime, zone: ZoneInfo) -> timedelta:
    """How far the zone is ahead of UTC at an instant."""
    return at.astimezone(zone).utcoffset() or timedelta(0)


def changes(zone: ZoneInfo) -> list[datetime]:
    """The instants in 2025 and 2026 at which the zone's offset changes."""
    found = []
    at = datetime(2025, 1, 1, tzinfo=UTC)
    while at.year < 2027:
        low, high = at, at + timedelta(hours=12)
        if offset(low, zone) != offset(high, zone):
            while high - low > MINUTE:
                middle = low + (high - low) // MINUTE // 2 * MINUTE
                low, high = (middle, high) if offset(middle, zone) == offset(at, zone) else (low, middle)
            found.append(high)
        at += timedelta(hours=12)
    return found


def by_looking(zone: ZoneInfo, local: datetime, now: datetime, change: datetime) -> datetime | None:
    """A second opinion on a local time: watch the wall for every minute of eight hours around a change."""
    minutes = [change + MINUTE * count for count in range(-240, 240)]
    shows = [at for at in minutes if wall(at, zone) == local]
    if not shows:  # skipped, so as late after the change as it would have been
        shows = [change + (local - wall(change - MINUTE, zone) - MINUTE)]
    return next((at for at in shows if at > now), None)


@pytest.mark.parametrize("name", ZONES)
def test_clock_times_are_right_around_every_change(name: str) -> None:
    """Asked the day before, shortly before, and within an hour that is repeated."""
    zone = ZoneInfo(name)
    for change in changes(zone):
        for now in (change - timedelta(hours=20), change - 20 * MINUTE, change + 10 * MINUTE):
            assert parse_when("+24h", now, name).until_at == now + timedelta(hours=24)
            for minutes in (-60, -45, -15, 0, 15, 20, 45, 60):
                local = wall(change - MINUTE, zone) + MINUTE + minutes * MINUTE
                days = (local.date() - wall(now, zone).date()).days
                if days not in (0, 1):
                    continue  # asked after its midnight
                text = f"until {'tomorrow ' * days}{local:%H:%M}"
                expected = by_looking(zone, local, now, change)
                if expected is None:
                    with pytest.raises(TimePassed):
                        parse_when(text, now, name)
                else:
                    assert parse_when(text, now, name).until_at == expected, (text, now)


def test_the_sixty_zones_have_the_odd_changes_in_them() -> None:
    """Else the test above would prove little: many changes, and Lord Howe's of half an hour."""
    assert len(set(ZONES)) == 60
    assert sum(len(changes(ZoneInfo(name))) for name in ZONES) >= 160
    howe = ZoneInfo("Australia/Lord_Howe")
    assert {abs(offset(at, howe) - offset(at - MINUTE, howe)) for at in changes(howe)} == {30 * MINUTE}


def test_a_day_from_now_is_not_tomorrow_when_the_clocks_change() -> None:
    """In Berlin the night before 30 March 2025 lacks an hour: noon is 11:00 UTC, then 10:00."""
    noon = datetime(2025, 3, 29, 11, tzinfo=UTC)
    assert parse_when("24h", noon, "Europe/Berlin").until_at == datetime(2025, 3, 30, 11, tzinfo=UTC)
    tomorrow = parse_when("until tomorrow 12:00", noon, "Europe/Berlin")
    assert tomorrow.until_at == datetime(2025, 3, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize("text", ["until midnight", "until tomorrow 00:00", "until sunday 0:00"])
def test_a_midnight_that_is_skipped_is_one_in_the_morning(text: str) -> None:
    """In Santiago 7 September 2025 begins at 01:00, which is 04:00 UTC."""
    saturday = datetime(2025, 9, 6, 22, tzinfo=UTC)
    assert parse_when(text, saturday, "America/Santiago").until_at == datetime(2025, 9, 7, 4, tzinfo=UTC)


def test_in_a_repeated_hour_the_first_pass_is_taken_while_it_is_ahead() -> None:
    """02:30 comes twice in Berlin on 26 October 2025: at 00:30 and 01:30 UTC."""
    first, second = (datetime(2025, 10, 26, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert parse_when("until 02:30", first - MINUTE, "Europe/Berlin").until_at == first
    assert parse_when("until 02:30", first, "Europe/Berlin").until_at == second
    with pytest.raises(TimePassed):
        parse_when("until 02:30", second, "Europe/Berlin")
