"""Times as agents type them in a hurry: each is read rightly or asked back, none is silently wrong."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bot.domain.when import BadTime, TimeError, TimePassed, parse_when

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 6, 11, 13, 10, tzinfo=UTC)
"""Wednesday, 15:10 in Berlin."""

READ = """
for 2 hrs dentist > 11 17:10 dentist|10min coffee > 11 15:20 coffee|5 min. > 11 15:15|20mins > 11 15:30
in an hour > 11 16:10|in about an hour > 11 16:10|back in about 20 min > 11 15:30|~30m > 11 15:40
~ 30m lunch > 11 15:40 lunch|lunch about 30 min > 11 15:40 lunch|another 30m > 11 15:40
another hour > 11 16:10
30 more minutes > 11 15:40|within 20m > 11 15:30|for the next 2 hours > 11 17:10|for the next hour > 11 16:10
an hour and 30 minutes > 11 16:40|an hour 30 > 11 16:40|an hour or so > 11 16:10|2 hours and a half > 11 17:40
1 1/2 hours > 11 16:40|1/2 hour > 11 15:40|half-hour > 11 15:40|three quarters of an hour > 11 15:55
two hours > 11 17:10|forty-five minutes > 11 15:55|five minutes coffee > 11 15:15 coffee|a minute > 11 15:11
15-minute break > 11 15:25 break|on a 30 minute break > 11 15:40 on a break|30 minuets > 11 15:40
30' > 11 15:40
10 hours 30 > 12 01:40|12h > 12 03:10|1 day off > 12 15:10 off|in 2 days > 13 15:10
until 5 in the afternoon > 11 17:00|5pm-ish > 11 17:00|until 5p > 11 17:00|untill 5pm > 11 17:00
until about 4pm > 11 16:00|back @ 4pm > 11 16:00|back @4pm > 11 16:00|back before 5pm > 11 17:00
will be back at 16:30 > 11 16:30|returning at 4pm > 11 16:00|ooo till 5pm > 11 17:00 ooo
until 16:30 focus time > 11 16:30 focus time|until 5pm quality time > 11 17:00 quality time
until 4pm central park > 11 16:00 central park
until 16:30. > 11 16:30|until 16.30. > 11 16:30|until 16 uhr > 11 16:00|until 16:30h > 11 16:30
tonight 8pm > 11 20:00 tonight|end of the day > 11 18:00|close of business > 11 18:00|16:30 today > 11 16:30
mon 9 > 16 09:00|fri > 13 09:00|this friday > 13 09:00|on monday > 16 09:00|back next monday > 16 09:00
9 tomorrow > 12 09:00|5am tomorrow > 12 05:00|noon tomorrow > 12 12:00|midnight tomorrow > 13 00:00
eod monday > 16 18:00|16:30 next monday > 16 16:30|until 16:30 on monday, dentist > 16 16:30 dentist
until tomorrow morning > 12 09:00|9 tomorrow morning > 12 09:00|tomorrow at 3 in the afternoon > 12 15:00
tomorrow evening at 7 > 12 19:00|day after tomorrow 10:00 > 13 10:00|until tmr 9am > 12 09:00
till the end of the day > 11 18:00|16:30 prep for monday > 11 16:30 prep for monday
monday planning 30m > 11 15:40 monday planning
20ish min > 11 15:30|20-ish minutes > 11 15:30|.5h > 11 15:40|a week > 18 15:10|a day off > 12 15:10 off
lunch 30m, back soon > 11 15:40 lunch back soon|meeting 1h 30m with acme > 11 16:40 meeting with acme
meeting 1h (max) > 11 16:10 meeting (max)|30m after 2 meetings > 11 15:40 after 2 meetings
back ~4pm > 11 16:00|back thursday ~10 > 12 10:00|until 8 this evening > 11 20:00|until 16:15:00 > 11 16:15
tomorrow am > 12 09:00|fri am 10:00 > 13 10:00|until friday pm 3 > 13 15:00
until 16:30 my time > 11 16:30 my time
5pm London > 11 17:00 London|until 16.10 > 11 16:10|back at 18.06 > 11 18:06|5.05pm > 11 17:05
standup at 16:00 until 17:00 > 11 17:00 standup at 16:00|2 hours and I'm back > 11 17:10 and I'm back
tommorow 10am > 12 10:00|until monday, then PTO > 16 09:00 then PTO|lunch 5pm friday > 13 17:00 lunch
"""
ASKED = """
in 30|for 20|gone for 20|back in 120|back in 10 lunch|brb in 5|30 lunch|break 15|take 5|just 5|back 5|back 17
1430
2.5|0|12-1|9-5|from 12 to 1|3 to 5|30s|1 sec|a sec|an hour or two|5 to 10 minutes|10 - 15m|1-2 hours
2 or 3 hours
1-30m|in a few minutes|a couple of hours|few min|lunch, few minutes|half 4|until half 4|half day|16h|14h
until 2h
back at 16h|16:30h|1:30h|1:30 hours|in 1:30|back in 16:30|around 4pm|by 5pm|before 5pm|@ 4pm|at 5|by 5
back after 5pm|until 730|730pm|until 9 to 5 ends|until 17 sharp|until 5 dentist|until monday 9 sharp
until monday 3 tickets left|4pm EST|16:30 CET|4pm UTC+2|friday 3|tomorrow 3|tomorrow at 3:30
until tomorrow at three
tomorrow afternoon|until tomorrow night|until monday at lunch|until monday lunch|until tomorrow after lunch
until next thursday 10:00|eow|eom|until tonight|this afternoon|until this evening|until the weekend|next week
until next week|rest of the day|for the rest of the day|end of shift|until the evening|in the morning
fri lunch 16:30|monday planning 16:30|16:30 prep tomorrow|4pm monday morning standup
until fri pm|until tomorrow pm|until pm|until friday next week|off until thursday next week|until friday week
an hour and a quarter|1 hour and 20|an hour and twenty|half an hour or two|30m-1h|1h+30m|1h plus 20|2h+
until 16:30 New York time|until 4pm Eastern|4pm pacific time|17:00 (UTC)|16:30 +02:00|16:30Z
16:30 tomorrow EST
until 18.06|20.06|until monday 16.06|until 16:15:30|until 4/5pm|lunch till half four|half a week
taking a 15|on break 15|4ish|20ish|1630|0930|until 5 to 5|until june 12 9am|until fri 13 june 10:00
until friday the 20th|until 16:30 june 12|16:30 12 june dentist
until June 20|until 20.06.|until 20.06.2025|until 20/06|until 2025-06-20|until the 20th|5 May|tomorrow 1h
30m monday
"""
PASSED = """
till noon|half past 3|until quarter past 2|quarter to 4|ten to five|3 o'clock|until 5 o'clock|until five
until 4ish|back at 3|back by 5|until around 5|until 12|12 noon|3 in the afternoon
until 14.30|until 14.10|14:30:00
"""


def cases(text: str) -> list[str]:
    """One a bar, one a line."""
    return [one for line in text.strip().splitlines() for one in line.split("|")]


@pytest.mark.parametrize("case", cases(READ))
def test_what_is_clear_is_read(case: str) -> None:
    """`typed > day of June, time by Berlin's clocks, reason`."""
    typed, _, expected = case.partition(" > ")
    when = parse_when(typed, NOW, "Europe/Berlin")
    assert when.until_at is not None
    assert f"{when.until_at.astimezone(BERLIN):%d %H:%M} {when.reason}".strip() == expected


@pytest.mark.parametrize("typed", cases(ASKED))
def test_what_can_be_read_in_two_ways_is_asked_back(typed: str) -> None:
    """With something to type instead."""
    with pytest.raises(BadTime, match=r"Type |as in `"):
        parse_when(typed, NOW, "Europe/Berlin")


@pytest.mark.parametrize("typed", cases(PASSED))
def test_an_hour_that_has_passed_is_not_taken_for_the_evenings(typed: str) -> None:
    """Which one was meant is asked."""
    with pytest.raises(TimePassed, match="Type `until "):
        parse_when(typed, NOW, "Europe/Berlin")


@pytest.mark.parametrize("typed", [*cases(ASKED), *cases(PASSED)])
def test_what_an_answer_says_to_type_is_understood(typed: str) -> None:
    """Typed at once, as it stands; an example of a clock time may have passed."""
    with pytest.raises(TimeError) as asked:
        parse_when(typed, NOW, "Europe/Berlin")
    for instead in re.findall(r"`([^`]+)`", asked.value.sentence.partition("Type ")[2]):
        try:
            assert parse_when(instead, NOW, "Europe/Berlin").until_at is not None
        except TimePassed:
            assert instead in ("until 14:30", "until 2:00", "until 14:00", "until 09:30"), instead


@pytest.mark.parametrize(
    ("typed", "quoted"),
    [
        ("until 5 to 5", "`until 5 to 5` is unclear"),
        ("until june 12 9am", "`until june 12 9am` is unclear"),
        ("until fri 13 june 10:00", "`until fri 13 june 10:00` is unclear"),
        ("17:00 (UTC)", "`17:00 (UTC)` is unclear"),
        ("until friday next week", "`8 days`"),
        ("1630", "Type `until 16:30` for a clock"),
        ("until 18.06", "Type `until 18:06` for a clock, or a day, as in `until monday 9:00`."),
    ],
)
def test_an_answer_quotes_all_that_is_unclear_and_offers_what_fits(typed: str, quoted: str) -> None:
    """Not half of it, nor minutes where a clock was meant."""
    with pytest.raises(BadTime, match=re.escape(quoted)):
        parse_when(typed, NOW, "Europe/Berlin")
