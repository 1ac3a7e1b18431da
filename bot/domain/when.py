"""When somebody comes back: the small grammar of free-text times, in the agent's own zone.

`parse_when("30m lunch", now, zone)` answers the instant and the reason. The forms are listed with
examples in `docs/times.md`, which the tests check. What isn't clearly a time is part of the reason;
what is one but can't be kept (passed, impossible, two at once, zone unknown) is asked back, never guessed.

A time stands first or last in the text; one led by `until`, `till`, `back at`, `for` or `in` may stand
anywhere. Lengths are elapsed time, so `24h` is 24 hours also when the clocks change; `tomorrow`, weekdays
and clock times are calendar time. What may be a time is found by the pattern in `bot.domain.phrases`.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal, NoReturn

from whenever import Instant, Time, TimeZoneNotFoundError, ZonedDateTime

from bot.domain.errors import RollcallError
from bot.domain.meant import Match, bare, clock_of, day_of, times, unclear
from bot.domain.phrases import COUNT, amount, plain


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


_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_READINGS: tuple[Literal["compatible"], Literal["later"]] = ("compatible", "later")
_MINUTE = timedelta(minutes=1)
_UNITS = {"weeks": 10080, "days": 1440, "hours": 60, "minutes": 1, "seconds": 1 / 60}
_SHARES = {"half": 30, "quarter": 15, "three": 45}


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
    typed = plain(text)
    count = COUNT.fullmatch(typed.strip())
    if count:
        _refuse_number(count["given"], text)
    found = times(typed)
    if not found:
        return When(None, text.strip())
    match = found[0]
    if len(found) > 1 or (match["range"] and not bare(match)) or (match["day"] and match["day_behind"]):
        if date := next((m for m in found if m["date"]), None):
            _refuse(date, text, unclear(date) or "")
        both = " and ".join(_quoted(m) for m in found[:2])
        raise BadTime(
            f"{both}: that is more than one time. Type when you come back, as in `lunch 30m`.", text
        )
    if match["span"] and bare(match):
        _refuse_number(match["hour"] or match["digits"], text)
    if instead := unclear(match):
        _refuse(match, text, instead)
    if match["length"] and not (match["until"] and match["rest"]):
        ahead = _length(match, text)
    else:
        ahead = _on_calendar(match, text, now, zone, end_of_day) - now
    if ahead > longest:
        most = f"{longest.days} days" if longest.days > 1 else f"{longest // _MINUTE} minutes"
        raise TooLong(
            f"The time {_quoted(match)} is too far ahead: an away lasts at most {most}. Type a shorter one, "
            "as in `2h`, or leave it out and come back with `/available`.",
            text,
        )
    before = re.sub(r"(?:,|(?:\s|^)[-–—|])$", "", text[: match.start()].rstrip())
    after = re.sub(r"^[,;:.!?]*\s*(?:[-–—|]\s+)?", "", text[match.end() :])
    return When(now + ahead, f"{before.strip()} {after.strip()}".strip())


def _length(match: Match, text: str) -> timedelta:
    """How long, as elapsed time, whatever the clocks do meanwhile."""
    rest = int(match["rest"] or 0)
    if rest > 59:
        _refuse(match, text, "Type `until 14:30` for a clock, `14h 30m` for a length.")
    # A million of any unit is far too long already, and a longer number would overflow.
    minutes = sum(min(amount(match[unit]), 1e6) * size for unit, size in _UNITS.items() if match[unit])
    minutes += rest + 60 * bool(match["an_hour"]) + bool(match["a_minute"])
    minutes += _UNITS["weeks"] * bool(match["a_week"]) + _UNITS["days"] * bool(match["a_day"])
    minutes += 30 * (bool(match["half_more"]) + bool(match["and_half"]))
    if match["share"]:
        minutes = _SHARES[re.split(r"[\s-]", match["share"].lower())[0]]
    length = timedelta(minutes=minutes)
    if match["sign"] == "-" or length < _MINUTE:
        raise BadTime(f"The time {_quoted(match)} must be at least a minute, as in `30m` or `1h 30m`.", text)
    return length


def _on_calendar(match: Match, text: str, now: datetime, zone: str | None, end_of_day: time) -> datetime:
    """The first instant still ahead at which the agent's calendar and clock show what was typed.

    A local time that the clocks skip moves forward by the gap; of one that they repeat, the earlier is
    taken unless it has passed.
    """
    word = (match["word"] or "").lower()
    clock = end_of_day if word.startswith(("e", "c", "the")) else clock_of(match)
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
    days = _days_ahead(match, text, here)
    if word == "midnight":  # the end of the day, which is the start of the next
        days = [count + 1 for count in days]
    for count in days:
        local = here.date().add(days=count).at(Time(clock.hour, clock.minute))
        for reading in _READINGS:
            until_at = local.assume_tz(zone or "", disambiguation=reading).to_instant().to_stdlib()
            if until_at > now:
                return until_at
    raise TimePassed(_what_to_type_instead(match, here, clock), text)


def _days_ahead(match: Match, text: str, here: ZonedDateTime) -> list[int]:
    """How many days ahead it may be, the likeliest first; `next friday` is asked back before Friday."""
    day = day_of(match)
    if "after" in day:
        return [2]
    if day[:3] not in _WEEKDAYS:
        return [1] if day.startswith("t") and day != "today" else [0]
    to_go = (1 + _WEEKDAYS.index(day[:3]) - here.date().day_of_week().value) % 7
    if not (match["next"] or match["next_behind"]):
        return [to_go, to_go + 7]
    if 0 < to_go <= 7 - here.date().day_of_week().value:
        _refuse(
            match,
            text,
            f"Type `until {day}` for the coming one, `{to_go + 7} days` for the one after.",
        )
    return [to_go or 7]


def _what_to_type_instead(match: Match, here: ZonedDateTime, clock: time) -> str:
    shown, then = f"{here.hour:02}:{here.minute:02}", f"{clock:%H:%M}"
    instead = f"`until tomorrow {then}`"
    evening = time((clock.hour + 12) % 24, clock.minute)
    if not match["meridiem"] and 1 <= clock.hour < 12 and evening > time(here.hour, here.minute):
        instead = f"`until {evening:%H:%M}`, {instead}"
    return f"It is {shown} now, so {then} has passed. Type {instead}, or a time after {shown}."


def _quoted(match: Match) -> str:
    """The time as it was read, short and on one line."""
    typed = match[0][1:-1] if match["open"] else match[0]
    return f"`{' '.join(typed.split())[:40]}`"


def _refuse(match: Match, text: str, instead: str) -> NoReturn:
    raise BadTime(f"The time {_quoted(match)} is unclear. {instead}", text)


def _refuse_number(given: str, text: str) -> NoReturn:
    """A number that may be minutes, an hour or a count."""
    if not re.fullmatch(r"[\d.,]+", given):
        raise BadTime(
            f"The time `{given}` is unclear. Type when you come back, as in `30m` or `until 14:30`.", text
        )
    if not given.strip("0.,"):
        raise BadTime(f"The time `{given}` must be at least a minute, as in `30m` or `1h 30m`.", text)
    if re.fullmatch(r"(?:[01]\d|2[0-3])[0-5]\d", given):
        clock = f"`until {given[:2]}:{given[2:]}`"
        raise BadTime(
            f"The time `{given}` is unclear. Type {clock} for a clock, or a length such as `30m`.", text
        )
    unit = "`{0}h` for hours" if set(given) & set(".,") else "`{0}m` for minutes"
    raise BadTime(f"The time `{given}` has no unit. Type {unit.format(given)}, or `until 14:30`.", text)
