"""When somebody comes back: the small grammar of free-text times, in the agent's own zone.

`parse_when("30m lunch", now, zone)` answers the instant and the reason. The forms are listed with
examples in `docs/times.md`, which the tests check. What isn't clearly a time is part of the reason;
what is one but can't be kept (passed, impossible, two at once, zone unknown) is asked back, never guessed.

A time stands first or last in the text; one led by `until`, `till`, `back at`, `for` or `in` may stand
anywhere. Lengths are elapsed time, so `24h` is 24 hours also when the clocks change; `tomorrow`, weekdays
and clock times are calendar time. The match is one linear scan, however long and odd the text is.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

from whenever import Instant, Time, TimeZoneNotFoundError, ZonedDateTime

from bot.domain.errors import RollcallError

START_OF_DAY = time(9, 0)
"""What a day without a clock time means: `until monday` ends when the working day starts."""


@dataclass(frozen=True, slots=True)
class When:
    """What a text said about coming back."""

    until_at: datetime | None
    """Aware UTC and later than now; None when no time was given."""
    reason: str
    """What was left of the text, as typed, without the space and punctuation that joined it to the time."""


class TimeError(RollcallError):
    """A time was given and can't be used; nothing was changed. `text` is all that was typed."""

    def __init__(self, sentence: str, text: str) -> None:
        """`sentence` quotes only what the grammar matched, so it is safe to show anywhere."""
        super().__init__(sentence, field="until")
        self.text = text


class BadTime(TimeError):
    """It looks like a time but isn't one, or it can be read in two ways."""

    code = "bad_time"


class TimePassed(TimeError):
    """That clock time lies behind us today; whether tomorrow's was meant is not guessed."""

    code = "time_passed"


class TooLong(TimeError):
    """Further ahead than an agent may be away."""

    code = "too_long"


class ZoneUnknown(TimeError):
    """A clock time or a day from somebody whose time zone is not known."""

    code = "zone_unknown"


# Full-width forms and typographic spaces read as their plain twins, one for one, so that positions stay true.
_TWINS = str.maketrans(
    {wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}
    | {ord(space): " " for space in "\u00a0\u2009\u202f\u3000"}
    | {ord("’"): "'"}
)
_SHORTCODE = re.compile(
    r":[a-z][\w+-]*:", re.IGNORECASE | re.ASCII
)  # Slack writes 🍕 as `:pizza:`; it is no word

_NUMBER = r"\d++(?:[.,]\d++)?+"
_JOIN = r"(?:,?\s{1,3}(?:and\s{1,3})?)?"
_ENDS = r"(?=[,;:.!?]|(?u:\W)*$)"  # "until 9" is an hour, "until 9 tickets are closed" is not
_PHRASE = re.compile(
    rf"""
    (?<![^\s,])(?<!\d,) (?P<open>\()?
    (?:(?: (?P<until> until | '?till?
             | (?:i'?ll\s{{1,3}})?(?:be\s{{1,3}})?back(?:\s{{1,3}}(?:(?P<at>at|by)|on|in|around))? )
         | (?P<span> for | in )
         | (?P<other> at|from|since|before|after|by|around|about|to|of|the|last|past|every|over|under|than|@)
       )\s{{1,3}})?
    (?:
      (?P<length>
        (?P<sign>[+-])?(?=\d)
        (?:(?P<weeks>{_NUMBER})(?:\s?weeks?|\s?wks?|w))?
        (?:{_JOIN}(?P<days>{_NUMBER})(?:\s?days?|d))?
        (?:{_JOIN}(?P<hours>{_NUMBER})\s?(?:hours?|hrs?|h)(?:\s?(?P<rest>(?<=h)\d\d|\d\d(?=\s*$)))?)?
        (?:{_JOIN}(?P<minutes>{_NUMBER})\s?(?:minutes?|mins?|m))?
        | (?P<half>half\s{{1,3}}(?:an\s{{1,3}})?hour) | an\s{{1,3}}hour )
      |
      (?:(?P<day>today|tomorrow|mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:r(?:s(?:day)?)?)?
                |fri(?:day)?|sat(?:urday)?|sun(?:day)?)
         (?:{_JOIN}(?:(?:at|until|till)\s{{1,3}})?(?=[a-z\d]))?)?
      (?:(?: (?P<hour>\d\d?)(?:(?P<sep>[:.])(?P<minute>\d\d))?(?:\s?(?P<meridiem>[ap])\.?m\b)?
             (?(minute)|(?(meridiem)|(?(at)|{_ENDS})))
           | (?P<digits>\d{{4}}){_ENDS} )
         (?P<range>\s?(?:[-–—]|to\s)\s?\d\d?(?:[:.]\d\d(?:\s?[ap]m)?|\s?[ap]m))?
       | (?P<word>noon|midnight|eod|end\s{{1,3}}of\s{{1,3}}day) )?
    )
    (?(open)\))(?=[,;:.!?]*(?:\s|$))
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_Match = re.Match[str]
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_READINGS: tuple[Literal["compatible"], Literal["later"]] = ("compatible", "later")


def parse_when(
    text: str,
    now: datetime,
    zone: str | None,
    *,
    longest: timedelta = timedelta(days=30),
    end_of_day: time = time(18, 0),
) -> When:
    """Read the time and the reason in `text`; without a clear time, all of it is the reason.

    `now` is aware UTC, `zone` an IANA name or None when unknown, `end_of_day` what `eod` means there.
    Raises BadTime, TimePassed, TooLong or ZoneUnknown, each with a sentence that says what to type.
    """
    plain = _SHORTCODE.sub(lambda code: "~" * len(code[0]), text.translate(_TWINS))
    if re.fullmatch(r"\s*\d{1,3}\s*", plain, re.ASCII):
        given = plain.strip()
        raise BadTime(f"The time `{given}` has no unit. Type `{given}m` for minutes, or `until 14:30`.", text)
    words = re.search(r"\w(?:.*\w)?", plain, re.DOTALL)
    first, last = words.span() if words else (0, 0)
    times = [m for m in _PHRASE.finditer(plain) if _is_time(m, m.start() <= first, m.end() >= last)]
    if not times:
        return When(None, text.strip())
    match = times[0]
    if len(times) > 1 or match["range"]:
        found = " and ".join(_quoted(m) for m in times[:2])
        raise BadTime(
            f"{found}: that is more than one time. Type when you come back, as in `lunch 30m`.", text
        )
    if match["length"] and not (match["until"] and match["rest"]):
        ahead = _length(match, text)
    else:
        ahead = _on_calendar(match, text, now, zone, end_of_day) - now
    if ahead > longest:
        most = f"{longest.days} days" if longest.days > 1 else f"{longest // timedelta(minutes=1)} minutes"
        raise TooLong(
            f"The time {_quoted(match)} is too far ahead: an away lasts at most {most}. Type a shorter one, "
            "as in `2h`, or leave it out and come back with `/available`.",
            text,
        )
    before = re.sub(r"(?:,|(?:\s|^)[-–—|])$", "", text[: match.start()].rstrip())
    after = re.sub(r"^[,;:.!?]*\s*(?:[-–—|]\s+)?", "", text[match.end() :])
    return When(now + ahead, f"{before.strip()} {after.strip()}".strip())


def _is_time(match: _Match, head: bool, tail: bool) -> bool:
    """Whether what looks like a time is clearly meant as one, where it stands."""
    day, word = (match["day"] or "").lower(), (match["word"] or "").lower()
    clock = match["hour"] or match["digits"] or word
    exact = match["length"] or match["minute"] or match["meridiem"]
    if match["other"] or (match["span"] and not match["length"]) or (day == "today" and not clock):
        return False  # "standup at 3pm" says when it starts, not when it ends
    if match["until"] or match["span"]:
        return True
    if head and tail:
        return bool(exact or (day and clock) or day.endswith(("day", "tomorrow")) or word.startswith("e"))
    if not exact or not (head or tail):
        return False
    if match["sep"] == "." and not head and not match["meridiem"] and len(match["hour"]) == 1:
        return False  # "python 3.11" is a version
    return bool(match["length"]) or _clock(match) is not None


def _length(match: _Match, text: str) -> timedelta:
    """How long, as elapsed time, whatever the clocks do meanwhile."""
    typed = match.groupdict()
    bare = not any(typed[name] for name in ("sign", "span", "weeks", "days", "minutes"))
    if typed["rest"] and (int(typed["rest"]) > 59 or (bare and len(typed["hours"]) > 1)):
        raise BadTime(
            f"The time {_quoted(match)} is unclear. Type `until 14:30` for a clock, `14h 30m` for a length.",
            text,
        )
    units = ("weeks", "days", "hours", "minutes")
    # A million of any unit is far too long already, and a longer number would overflow.
    parts = {unit: min(float(typed[unit].replace(",", ".")), 1e6) for unit in units if typed[unit]}
    if not parts:
        return timedelta(minutes=30 if typed["half"] else 60)
    length = timedelta(**parts) + timedelta(minutes=int(typed["rest"] or 0))
    if typed["sign"] == "-" or not length:
        raise BadTime(f"The time {_quoted(match)} must be more than zero, as in `30m` or `1h 30m`.", text)
    return length


def _on_calendar(match: _Match, text: str, now: datetime, zone: str | None, end_of_day: time) -> datetime:
    """The first instant still ahead at which the agent's calendar and clock show what was typed.

    A local time that the clocks skip moves forward by the gap; of one that they repeat, the earlier is
    taken unless it has passed.
    """
    day, word = (match["day"] or "").lower(), (match["word"] or "").lower()
    clock = end_of_day if word.startswith("e") else _clock(match)
    if clock is None:
        raise BadTime(
            f"The time {_quoted(match)} is on no clock: hours run from 0 to 23, minutes from 00 to 59, "
            "as in `until 14:30` or `back at 3pm`.",
            text,
        )
    try:
        here = Instant(now).to_tz(zone or "")
    except TimeZoneNotFoundError:
        raise ZoneUnknown(
            f"I don't know your time zone, so I can't tell when {_quoted(match)} is. Set it with "
            "`/presence timezone Europe/Berlin`, or type a length such as `30m`.",
            text,
        ) from None
    days = [1] if day == "tomorrow" else [0]
    if day[:3] in _WEEKDAYS:
        to_go = (1 + _WEEKDAYS.index(day[:3]) - here.date().day_of_week().value) % 7
        days = [to_go, to_go + 7]
    if word == "midnight":  # the end of the day, which is the start of the next
        days = [count + 1 for count in days]
    for count in days:
        local = here.date().add(days=count).at(Time(clock.hour, clock.minute))
        for reading in _READINGS:
            until_at = local.assume_tz(zone or "", disambiguation=reading).to_instant().to_stdlib()
            if until_at > now:
                return until_at
    raise TimePassed(_what_to_type_instead(match, here, clock), text)


def _clock(match: _Match) -> time | None:
    """The clock time that was typed, the start of the day if none was; None if no clock shows it."""
    hour, minute, meridiem = match["hour"], match["minute"] or "0", (match["meridiem"] or "").lower()
    if match["digits"]:
        hour, minute = match["digits"][:2], match["digits"][2:]
    elif match["rest"]:  # "until 14h30"
        hour, minute = match["hours"], match["rest"]
    elif match["word"]:
        hour = "12" if match["word"].lower() == "noon" else "0"
    elif not hour:
        return START_OF_DAY
    if meridiem:
        hour = str(int(hour) % 12 + 12 * (meridiem == "p")) if 1 <= int(hour) <= 12 else "99"
    return time(int(hour), int(minute)) if len(hour) < 3 and int(hour) < 24 and int(minute) < 60 else None


def _what_to_type_instead(match: _Match, here: ZonedDateTime, clock: time) -> str:
    shown, then = f"{here.hour:02}:{here.minute:02}", f"{clock:%H:%M}"
    instead = f"`until tomorrow {then}`"
    evening = time((clock.hour + 12) % 24, clock.minute)
    if not match["meridiem"] and 1 <= clock.hour < 12 and evening > time(here.hour, here.minute):
        instead = f"`until {evening:%H:%M}`, {instead}"
    return f"It is {shown} now, so {then} has passed. Type {instead}, or a time after {shown}."


def _quoted(match: _Match) -> str:
    """The time as it was read, short and on one line."""
    return f"`{' '.join(match[0].strip('()').split())[:40]}`"
