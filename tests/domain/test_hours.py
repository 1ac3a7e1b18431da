"""Working hours: what is open when, and when that changes, beside a replay that looks at every minute."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate, groupby
from zoneinfo import ZoneInfo

import pytest
from domain.test_when_clocks_change import ZONES, changes, wall
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.errors import BadInput
from bot.domain.hours import Closed, DayOff, Hours, Span
from bot.domain.hours_text import days_text, read_days, read_weekly, weekly_text

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WEEK = "mon-fri 09:00-12:00 13:00-17:30, sat 22:00-02:00 01:30-02:30, sun 00:30-03:15 23:30-24:00"


def replayed(hours: Hours, begins: datetime, minutes: int) -> list[bool]:
    """Whether it is open in each minute from `begins` on, by what the clocks on the wall show in each."""
    margin = 49 * 60
    ats = [begins + (one - margin) * MINUTE for one in range(minutes + 2 * margin)]
    zone = ZoneInfo(hours.zone)
    walls = [wall(at, zone) for at in ats]
    so_far = list(accumulate(walls, max))
    still_to_come = list(accumulate(reversed(walls), min))[::-1]

    def between(since: datetime, until: datetime) -> range:
        """From the first minute that shows `since` or more to the last that shows less than `until`."""
        return range(bisect_left(so_far, since), bisect_left(still_to_come, until))

    is_open = [not hours.weekly] * len(ats)
    day = walls[0].date()
    while day <= walls[-1].date():
        midnight = datetime.combine(day, time.min)
        for span in hours.weekly:
            if span.day == day.weekday():
                for one in between(midnight + span.start * MINUTE, midnight + span.end * MINUTE):
                    is_open[one] = True
        day += DAY
    for off in hours.days_off:
        first, last = (datetime.combine(one, time.min) for one in (off.first, off.last))
        for one in between(first, last + DAY):
            is_open[one] = False
    for shut in hours.closed:
        for one, at in enumerate(ats):
            if shut.since <= at < shut.until:
                is_open[one] = False
    return is_open[margin:-margin]


def walked(hours: Hours, begins: datetime, minutes: int) -> list[bool]:
    """The same, by going from change to change."""
    at, found, ends = begins, [], begins + minutes * MINUTE
    while at < ends:
        is_open, change = hours.open_at(at), hours.changes_at(at)
        assert change is None or change > at
        assert hours.opens_at(at) == (at if is_open else change)
        upto = ends if change is None else min(change, ends)
        if change is not None:
            assert hours.open_at(change) is not is_open
            assert hours.open_at(change - timedelta(microseconds=1)) is is_open
            assert hours.begins_at(at) == (hours.changes_at(change) if is_open else change)
        found += [is_open] * round((upto - at) / MINUTE)
        at = upto
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_spans_are_right_over_both_changes_of_clocks(zone: str) -> None:
    """Sixty zones, with spans that begin, end and lie in the hour that is skipped or repeated."""
    for change in changes(ZoneInfo(zone)):
        local = wall(change, ZoneInfo(zone)).date()
        offs = (DayOff(local - DAY, local - DAY), DayOff(local, local))
        for hours in (Hours(zone, read_weekly(WEEK), offs), Hours(zone, read_weekly(WEEK))):
            begins = change - timedelta(hours=24)
            assert walked(hours, begins, 48 * 60) == replayed(hours, begins, 48 * 60)


SPANS = st.builds(
    lambda day, start, long: Span(day, start, start + long),
    st.integers(0, 6),
    st.integers(0, 47).map(lambda half: half * 30),
    st.integers(1, 48).map(lambda half: half * 30),
)
OFFS = st.builds(
    lambda ahead, long: DayOff(date(2026, 3, 20) + ahead * DAY, date(2026, 3, 20) + (ahead + long) * DAY),
    st.integers(0, 20),
    st.integers(0, 3),
)
SHUT = st.builds(
    lambda ahead, long: Closed(
        datetime(2026, 3, 20, tzinfo=UTC) + ahead * MINUTE,
        datetime(2026, 3, 20, tzinfo=UTC) + (ahead + long) * MINUTE,
    ),
    st.integers(0, 20 * 1440),
    st.integers(1, 900),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "UTC", "Asia/Beirut"]),
    st.lists(SPANS, max_size=12),
    st.lists(OFFS, max_size=3),
    st.lists(SHUT, max_size=2),
)
def test_any_hours_are_what_a_look_at_every_minute_says(
    zone: str, spans: list[Span], offs: list[DayOff], shut: list[Closed]
) -> None:
    """Overlapping spans unite, days off win over all of them, and every change is named."""
    hours = Hours(zone, tuple(sorted(set(spans))), tuple(offs), tuple(shut))
    begins = datetime(2026, 3, 26, 11, 30, tzinfo=UTC)
    assert walked(hours, begins, 7 * 1440) == replayed(hours, begins, 7 * 1440)


@given(st.lists(SPANS, min_size=1, max_size=20))
def test_what_is_written_is_read_again(spans: list[Span]) -> None:
    short = tuple(sorted({one for one in spans if one.end <= 1440 or one.end - one.start <= 16 * 60}))
    if short:
        assert read_weekly(weekly_text(short)) == short


NINE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
"""Monday, 9:00 in Berlin."""


def berlin(weekly: str, *offs: DayOff) -> Hours:
    return Hours("Europe/Berlin", read_weekly(weekly), offs)


def test_a_span_holds_at_its_start_and_not_at_its_end() -> None:
    hours = berlin("mon-fri 9-17")
    five = NINE + timedelta(hours=8)
    tick = timedelta(microseconds=1)
    asked = (NINE - tick, NINE, five - tick, five)
    assert [hours.open_at(at) for at in asked] == [False, True, True, False]
    assert hours.changes_at(NINE) == five
    assert hours.changes_at(five) == hours.begins_at(NINE) == NINE + DAY


def test_spans_that_meet_are_one_and_around_the_clock_never_changes() -> None:
    assert berlin("mon 9-12, 12-17").changes_at(NINE) == NINE + timedelta(hours=8)
    always = berlin("daily 00:00-24:00")
    assert always.open_at(NINE) and always.changes_at(NINE) is None and always.begins_at(NINE) is None
    assert always.opens_at(NINE) == NINE


def test_a_night_into_a_day_off_ends_at_midnight_and_one_out_of_it_begins_there() -> None:
    """Days off are calendar days, so whoever works at night takes both."""
    friday = date(2026, 11, 27)
    hours = berlin("daily 22:00-02:00", DayOff(friday, friday))
    midnight = datetime(2026, 11, 26, 23, 0, tzinfo=UTC)
    assert hours.changes_at(midnight - timedelta(hours=1)) == midnight
    assert hours.opens_at(midnight) == midnight + DAY
    assert hours.today(midnight) == friday and hours.today(midnight - timedelta(seconds=1)) == friday - DAY


def test_days_off_alone_close_what_is_always_open() -> None:
    hours = Hours("UTC", days_off=(DayOff(date(2026, 11, 24), date(2027, 11, 1), "parents"),))
    assert hours.open_at(NINE)
    assert hours.changes_at(NINE) == datetime(2026, 11, 24, tzinfo=UTC)
    assert hours.opens_at(NINE + 2 * DAY) == datetime(2027, 11, 2, tzinfo=UTC)


def test_a_day_that_a_zone_never_had_has_no_hours() -> None:
    """Samoa went from Thursday 29 to Saturday 31 December 2011."""
    hours = Hours("Pacific/Apia", read_weekly("fri 9-17"))
    before = datetime(2011, 12, 29, 12, 0, tzinfo=UTC)
    assert hours.opens_at(before) == datetime(2012, 1, 5, 19, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("mon-fri 09:00-17:30, sat 22:00-02:00", "mon-fri 09:00-17:30, sat 22:00-02:00"),
        ("mon-fri 9-12, 13-17", "mon-fri 09:00-12:00 13:00-17:00"),
        ("Weekdays 9am – 5pm and Sunday 10-14", "mon-fri 09:00-17:00, sun 10:00-14:00"),
        ("Mon - Thursday 9-5pm; fri 9 to 12", "mon-thu 09:00-17:00, fri 09:00-12:00"),
        ("fri-mon 22:00-06:00", "mon 22:00-06:00, fri-sun 22:00-06:00"),
        ("mon,wed 0:00-24:00", "mon 00:00-24:00, wed 00:00-24:00"),
        ("daily 22:00-00:00 22:00-24:00", "mon-sun 22:00-24:00"),
    ],
)
def test_hours_as_people_write_them(typed: str, written: str) -> None:
    assert weekly_text(read_weekly(typed)) == written


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "there is no day and no time"),
        ("9-17", "`9-17` has no day"),
        ("mon-fri", "the last day has no times"),
        ("mon 9-17 sat", "the last day has no times"),
        ("mon 9-25", "`9-25` is on no clock"),
        ("mon 13pm-15", "`13pm-15` is on no clock"),
        ("mon 9-9", "for a whole day write 00:00-24:00"),
        ("mon-fri 9-5", "would last 20 hours, into the next day: write `09:00-17:00`"),
        ("mon-fri 9-17 `lunch`", "I can't read `lunch`"),
        ("mon 9", "I can't read `9`"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_rule_and_an_example(typed: str, told: str) -> None:
    with pytest.raises(BadInput, match="as in `mon-fri 09:00-17:30, sat 22:00-02:00`") as refused:
        read_weekly(typed)
    assert told in refused.value.sentence
    assert refused.value.field == "hours"


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("24 dec-26 dec Christmas", "2026-12-24 - 2026-12-26 Christmas"),
        ("2026-12-24..2026-12-26", "2026-12-24 - 2026-12-26"),
        ("24.12. - 2.1. away", "2026-12-24 - 2027-01-02 away"),
        ("Dec 24 to Jan 2: winter break", "2026-12-24 - 2027-01-02 winter break"),
        ("22 nov", "2027-11-22"),
        ("today", "2026-11-23"),
        ("tomorrow dentist", "2026-11-24 dentist"),
        ("29 feb", "2028-02-29"),
    ],
)
def test_days_off_as_people_write_them(typed: str, written: str) -> None:
    found = read_days(typed, date(2026, 11, 23))
    assert days_text(found) == written
    assert read_days(written, date(2026, 11, 23)) == found


HARD = ("until", "to", "-", "–", "...", ",", ":", "2 jan 2027", "26 dec", "2026-12-31", "1.1.2027", "today")
LABELS = st.lists(st.sampled_from(HARD) | st.text(max_size=9), max_size=4).map(
    lambda parts: " ".join(" ".join(parts).split())
)


@given(LABELS, st.dates(date(2000, 1, 1), date(2199, 1, 1)), st.integers(0, 9))
@example("until 2 jan 2027", date(2026, 12, 24), 0)
@example("- 26 dec 2026 x", date(2026, 12, 24), 0)
@example(": x", date(2026, 12, 24), 0)
@example(", until 2 jan 2027", date(2026, 12, 24), 2)
@example("👩‍🚒" * 27, date(2026, 12, 24), 0)
def test_a_day_off_reads_back_whatever_its_label_says(label: str, first: date, days: int) -> None:
    """A label of a roster file once made ten days off of one."""
    off = DayOff(first, first + days * timedelta(days=1), label)
    assert read_days(days_text(off), None) == off


def test_a_label_stands_behind_both_dates_where_it_would_be_read_as_one() -> None:
    eve = date(2026, 12, 24)
    assert days_text(DayOff(eve, eve, "Eve, until noon")) == "2026-12-24 Eve, until noon"
    assert days_text(DayOff(eve, eve, "until 2 jan 2027")) == "2026-12-24 - 2026-12-24 until 2 jan 2027"
    assert days_text(DayOff(eve, eve, ": x")) == "2026-12-24 - 2026-12-24: : x"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("christmas", "I read no date in `christmas`"),
        ("31 feb", "is on no calendar"),
        ("2026-12-26 - 2026-12-24", "write the first day first"),
        ("2026-01-01 - 2028-01-01", "more than 366 days"),
        ("24 dec " + "x" * 81, "more than 80 characters"),
    ],
)
def test_days_that_cannot_be_read_are_told(typed: str, told: str) -> None:
    with pytest.raises(BadInput, match="as in `24 dec - 26 dec Christmas`") as refused:
        read_days(typed, date(2026, 11, 23))
    assert told in refused.value.sentence


def test_the_replay_sees_what_it_is_for() -> None:
    """In Berlin's autumn a span until 2:30 has both of the hours from two to three that it reaches into."""
    hours = berlin("sun 1:30-2:30")
    minutes = replayed(hours, datetime(2026, 10, 24, 22, 0, tzinfo=UTC), 6 * 60)
    assert [(key, len(list(run))) for key, run in groupby(minutes)] == [
        (False, 90),
        (True, 120),
        (False, 150),
    ]
