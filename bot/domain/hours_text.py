"""Working hours as people write them: `mon-fri 09:00-12:00 13:00-17:30, sat 22:00-02:00`.

Days stand before their spans; several spans behind a day are split shifts. A span that ends at or before
its start ends on the next day. `read_weekly` and `read_days` read, `weekly_text` and `days_text` write what
they read again. What can't be read is refused with the field, the rule and an example.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import regex

from bot.domain.errors import BadInput
from bot.domain.hours import DAY, DayOff, Span

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXAMPLE = "mon-fri 09:00-17:30, sat 22:00-02:00"
DAYS_EXAMPLE = "24 dec - 26 dec Christmas"
YEAR_EXAMPLE = "2026-12-24 - 2026-12-26 Christmas"
MOST_SPANS = 70
"""Ten for each day."""
LONGEST_NIGHT = 16 * 60
"""Minutes of a span past midnight: `9-5` is taken for a slip, `22-6` is not."""
LONGEST_OFF = 366
"""Days in one day off: a year, as for parents."""
LONGEST_LABEL = 80
"""Graphemes."""
FIRST_YEAR, LAST_YEAR = 2000, 2199
_GROUPS = {
    "daily": range(7),
    "every day": range(7),
    "weekdays": range(5),
    "weekend": range(5, 7),
    "weekends": range(5, 7),
}
_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:days?)?"
_CLOCK = r"(\d{1,2})(?:[:.h](\d{2}))?\s*(am|pm)?"
_TOKEN = re.compile(
    rf"(?P<group>{'|'.join(_GROUPS)})\b"
    rf"|(?P<days>{_DAY}(?:\s*-\s*{_DAY})?)\b"
    rf"|(?P<span>{_CLOCK}\s*-\s*{_CLOCK})(?![\w:.-])"
    r"|(?P<joint>[\s,;+&]+|and\b)",
    re.ASCII,
)


def read_weekly(text: str, field: str = "hours") -> tuple[Span, ...]:
    """The weekly spans that a text says, in order, each once. Raises BadInput."""
    typed = re.sub(r"[–—−]|\b(?:to|until|till)\b", "-", text.lower())
    spans: set[Span] = set()
    days: set[int] = set()
    closed = False
    at = 0
    while at < len(typed):
        found = _TOKEN.match(typed, at)
        if found is None:
            word = re.split(r"[\s,;]", typed[at:])[0] or typed[at]
            raise _bad(field, f"I can't read `{_shown(word)}`: write days and spans of time")
        at = found.end()
        if found["joint"]:
            continue
        if found["span"] is None:
            if closed:
                days, closed = set(), False
            days |= set(_GROUPS[found["group"]] if found["group"] else _days(found["days"]))
            continue
        if not days:
            raise _bad(field, f"`{_shown(found['span'])}` has no day: write the days before the times")
        start, end = _clocks(found, field)
        spans |= {Span(day, start, end) for day in days}
        closed = True
    if days and not closed:
        raise _bad(field, "the last day has no times: write from when until when")
    if not spans:
        raise _bad(field, "there is no day and no time: write both")
    if len(spans) > MOST_SPANS:
        raise _bad(field, f"that is more than {MOST_SPANS} spans a week: write fewer, longer ones")
    return tuple(sorted(spans))


def _bad(field: str, what: str, example: str = EXAMPLE) -> BadInput:
    return BadInput(f"In the {field} {what}, as in `{example}`.", field=field)


def _shown(typed: str) -> str:
    return "".join(one if one.isprintable() else " " for one in typed[:40]).replace("`", "")


def _days(said: str) -> Iterator[int]:
    ends = [WEEKDAYS.index(one.strip()[:3]) for one in said.split("-")]
    first, last = ends[0], ends[-1]
    yield from (day % 7 for day in range(first, last + 1 if first <= last else last + 8))


def _clocks(found: re.Match[str], field: str) -> tuple[int, int]:
    said = _shown(found["span"])
    groups = found.groups()[-7:-1]
    begins, ends = groups[:3], groups[3:]
    if ends[2] and not begins[2] and int(begins[0]) <= 12:
        begins = (*begins[:2], ends[2] if int(begins[0]) % 12 < int(ends[0]) % 12 else "am")
    start, end = _minute(*begins), _minute(*ends)
    if start is None or end is None or start == DAY:
        raise _bad(field, f"`{said}` is on no clock: write from 00:00 until 24:00")
    if start == end:
        raise _bad(field, f"`{said}` is no time at all, or all day: for a whole day write 00:00-24:00")
    if end < start and end + DAY - start > LONGEST_NIGHT:
        clear = f"{_clock(start)}-{_clock(end + DAY // 2) if end < DAY // 2 else '24:00'}"
        long = (end + DAY - start) // 60
        raise _bad(
            field, f"`{said}` would last {long} hours, into the next day: write `{clear}` if you mean that"
        )
    return start, end if end > start else end + DAY


def _minute(hour: str, minute: str | None, half: str | None) -> int | None:
    hours, minutes = int(hour), int(minute or 0)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half == "pm" else 0)
    at = hours * 60 + minutes
    return at if minutes < 60 and at <= DAY else None


def weekly_text(spans: Sequence[Span]) -> str:
    """The spans as they are written: `mon-fri 09:00-17:30, sat 22:00-02:00`."""
    of_day = {
        day: " ".join(f"{_clock(one.start)}-{_clock(one.end)}" for one in sorted(spans) if one.day == day)
        for day in range(7)
    }
    said: list[str] = []
    day = 0
    while day < 7:
        last = day
        while last < 6 and of_day[last + 1] == of_day[day]:
            last += 1
        if of_day[day]:
            name = WEEKDAYS[day] if last == day else f"{WEEKDAYS[day]}-{WEEKDAYS[last]}"
            said.append(f"{name} {of_day[day]}")
        day = last + 1
    return ", ".join(said)


def _clock(minute: int) -> str:
    minute = minute - DAY if minute > DAY else minute
    return f"{minute // 60:02}:{minute % 60:02}"


# --- days off ------------------------------------------------------------------------------------

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_ONE = (
    r"(?:(\d{4})-(\d{1,2})-(\d{1,2})"
    rf"|(\d{{1,2}})(?:st|nd|rd|th)?\.?\s*{_MONTH}(?:\s+(\d{{4}}))?"
    rf"|{_MONTH}\s*(\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(\d{{4}}))?"
    r"|(\d{1,2})\.(\d{1,2})\.(\d{4})?"
    r"|(today|tomorrow))(?!\w|:\d)"
)
_RANGE = re.compile(
    rf"\s*{_ONE}(?:\s*(?:-|–|—|\.\.\.?|to\b|until\b|till\b)\s*{_ONE})?\s*(?:[,:]\s*)?",
    re.ASCII | re.IGNORECASE,
)
_PARTS = 13


def read_days(text: str, today: date | None, field: str = "dates") -> DayOff:
    """The day off that a text begins with, and its label behind it. A date without a year is the next one
    from `today` on; where `today` is None, it needs its year. Raises BadInput."""
    found = _RANGE.match(text)
    if found is None:
        raise _bad(field, f"I read no date in `{_shown(text)}`: write a date or two", DAYS_EXAMPLE)
    parts = found.groups()
    first = _date(parts[:_PARTS], today, field)
    last = _date(parts[_PARTS:], today and first, field) if any(parts[_PARTS:]) else first
    if last < first:
        raise _bad(field, f"`{last}` is before `{first}`: write the first day first", DAYS_EXAMPLE)
    if (last - first).days >= LONGEST_OFF:
        raise _bad(
            field,
            f"that is more than {LONGEST_OFF} days: write shorter ones one after the other",
            DAYS_EXAMPLE,
        )
    label = " ".join(text[found.end() :].split())
    if len(label) > LONGEST_LABEL and len(regex.findall(r"\X", label)) > LONGEST_LABEL:
        raise _bad(field, f"the label has more than {LONGEST_LABEL} characters", DAYS_EXAMPLE)
    return DayOff(first, last, label)


def _date(parts: Sequence[str | None], today: date | None, field: str) -> date:
    iso, spoken, american, dotted, word = parts[:3], parts[3:6], parts[6:9], parts[9:12], parts[12]
    if today is None and not any((iso[0], spoken[2], american[2], dotted[2])):
        raise _bad(field, "a date has no year: write it", YEAR_EXAMPLE)
    today = today or date(FIRST_YEAR, 1, 1)
    if word:
        return today if word.lower() == "today" else today + timedelta(days=1)
    if iso[0]:
        year, month, day = iso
    elif spoken[0]:
        day, month, year = spoken
    elif american[0]:
        month, day, year = american
    else:
        day, month, year = dotted
    number = MONTHS.index(str(month)[:3].lower()) + 1 if str(month)[:1].isalpha() else int(str(month))
    for tried in [int(year)] if year else range(today.year, today.year + 9):
        try:
            found = date(tried, number, int(str(day)))
        except ValueError:
            continue
        if (year and FIRST_YEAR <= tried <= LAST_YEAR) or (not year and found >= today):
            return found
    said = "-".join(str(one) for one in (year, month, day) if one)
    raise _bad(field, f"`{_shown(said)}` is on no calendar: write a day that there is", DAYS_EXAMPLE)


def days_text(off: DayOff) -> str:
    """A day off as it is written: `2026-12-24 - 2026-12-26 Christmas`. A label that would be read as a last
    day, as in `2026-12-24 until 2 jan 2027`, stands behind both dates, and one that begins with `,` or `:`
    behind a colon."""
    both = f"{off.first} - {off.last}"
    plain = f"{off.first if off.first == off.last else both} {off.label}".rstrip()
    tried = (plain, f"{both} {off.label}", f"{both}: {off.label}")
    return next((text for text in tried if not off.label or _reads_as(text, off)), plain)


def _reads_as(text: str, off: DayOff) -> bool:
    try:
        return read_days(text, None) == off
    except BadInput:
        return False
