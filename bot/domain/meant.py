"""Which times in a text are meant, where they stand, and which of them can be read in two ways.

It works on matches of `bot.domain.phrases.PHRASE`; what their parts hold is said there.
"""

import re
from datetime import time

from bot.domain.phrases import NUMBER_WORDS, PAUSE, PHRASE, amount

Match = re.Match[str]
START_OF_DAY = time(9, 0)
"""What a day without a clock time means: `until monday` ends when the working day starts."""
_LEADS = ("until", "span", "roughly", "other", "tilde")
_CLOCK = ("hour", "digits", "word")
_IN_FULL = ("minute", "meridiem", "oclock", "spoken", "ish", "twelve", "part_today")
_CALENDAR = ("day", *_CLOCK)
_SPOKEN = {"half": 30, "quarter": 15, "five": 5, "ten": 10, "twenty": 20}
_BETWEEN = re.compile(r"[\s,;()/+&~–-]*(?:(?:and|then|or)\s+)?", re.IGNORECASE)
_RUNS_ON = re.compile(r",?\s+(\w+)")
_GOES_ON = re.compile(rf"\s+{PAUSE}\b|,\s|\s+(?:with|at|from|after|max|tops)\b|\s+[(–—-]", re.IGNORECASE)
"""What stands behind a length that is somebody's own, as in `a quick 10 min break`, `1h (max)`."""
_STARTS = ("at", "from", "after", "@")
_HOUR_FOLLOWS = re.compile(
    r",?\s+(?:(?:at|by|around|about|@)\b|(?:@\s?)?\d|(?:after|before|lunch|lunchtime|noon)\b)", re.IGNORECASE
)
_EARLY = range(1, 7)
"""Hours that on another day are as likely meant after noon: nobody's `tomorrow 3` is taken for the night."""


def times(typed: str) -> list[Match]:
    """All that is clearly meant as a time. Beside one that is, another is no part of the reason."""
    words = re.search(r"\w(?:.*\w)?", typed, re.DOTALL)
    first, last = words.span() if words else (0, 0)
    found = [match for match in PHRASE.finditer(typed) if holds(match, "length", "vague", *_CALENDAR)]
    sure = {match for match in found if _is_time(match, match.start() <= first, match.end() >= last)}
    sure |= _starts_of_lengths(found, sure)
    dayless = any(holds(match, *_CLOCK) and not day_of(match) for match in sure)
    meant = []
    for here, match in enumerate(found):
        outside = match.start() <= first or match.end() >= last
        beside = any(near in sure and _touch(match, near) for near in found[max(here - 1, 0) : here + 2])
        # "monday planning 16:30": today's, or Monday's?
        day_apart = match["day"] and outside and (dayless or beside)
        if match in sure or (not holds(match, *_LEADS) and (day_apart or (_exact(match) and beside))):
            meant.append(match)
    return meant


def _touch(one: Match, other: Match) -> bool:
    """Whether nothing stands between them but what joins them."""
    left, right = sorted((one, other), key=lambda match: match.start())
    between = one.string[left.end() : right.start()]
    return len(between) < 20 and _BETWEEN.fullmatch(between) is not None


def _starts_of_lengths(found: list[Match], sure: set[Match]) -> set[Match]:
    """What says when a length begins, as in `lunch at 16:00 for 30m`: two times, not one from now."""
    lengths = [here for here, match in enumerate(found) if match in sure and match["length"]]
    starts = set()
    for here, match in enumerate(found if lengths else ()):
        if (match["other"] or "").lower() in _STARTS and holds(match, "hour", "digits"):
            behind = here > lengths[0] and not _runs_on(match)  # "30m after 2 meetings" counts them
            before = any(near in sure and _touch(match, near) for near in found[here + 1 : here + 2])
            if _exact(match) or behind or before:
                starts.add(match)
    return starts


def holds(match: Match, *parts: str) -> bool:
    """Whether any of these parts was typed."""
    return any(match[part] for part in parts)


def _exact(match: Match) -> bool:
    """Whether it can be nothing but a time: a length with its unit, a clock time in full."""
    return holds(
        match, "length", "date", "minute", "meridiem", "oclock", "spoken", "ish", "twelve", "part_today"
    )


def bare(match: Match) -> bool:
    """Whether its clock time is but a number, `9` or `1630`."""
    return holds(match, "hour", "digits") and not _exact(match)


def day_of(match: Match) -> str:
    return (match["day_behind"] or match["day"] or "").lower()


def _runs_on(match: Match) -> str:
    """The word that follows at once, or nothing: "until 9 tickets are closed" is about tickets."""
    follows = _RUNS_ON.match(match.string, match.end())
    return follows[1].lower() if follows else ""


def _is_time(match: Match, head: bool, tail: bool) -> bool:
    """Whether what looks like a time is meant as one, where it stands; clear or not."""
    alone, following = head and tail, _runs_on(match)
    if match["other"]:  # "standup at 3pm" says when it starts, not when it ends
        starts = match["other"].lower() in ("at", "by", "before", "after", "@")
        return alone and starts and not match["length"] and not match["vague"]
    if day_of(match) == "today" and not holds(match, *_CLOCK):
        return False
    if match["length"] and not match["until"] and not match["span"]:
        if holds(match, "a_week", "a_day"):  # "twice a week", "a day trip"
            return alone or (head and following == "off")
        return head or tail or bool(_GOES_ON.match(match.string, match.end()))
    if holds(match, "roughly", "tilde", "vague"):
        return alone or bool(match["vague"] and match["until"])
    if match["span"]:
        number = match["hour"] and not match["day"] and bare(match)
        ends = tail or not following or bool(_GOES_ON.match(match.string, match.end()))
        return holds(match, "length", "back_in") or bool(number and ends) or (alone and _exact(match))
    led = match["until"] or (match["day"] and head)
    if bare(match) and led and not holds(match, "at", "day_behind"):
        # "until 9 tickets are closed" counts them; "until 9 lunch" is asked back.
        return bool(match["range"] or (match["day"] and match["until"])) or not following.endswith("s")
    if match["until"]:
        return True
    if alone:
        return _exact(match) or bool(day_of(match)) or (match["word"] or "n")[0].lower() in "ec"
    if not _exact(match) or not (head or tail):
        return False
    if match["sep"] == "." and not head and not match["meridiem"] and len(match["hour"]) == 1:
        return False  # "python 3.11" is a version
    return clock_of(match) is not None


def unclear(match: Match) -> str | None:
    """What to type instead of what is meant as a time and can be read in two ways; None if it is clear."""
    clock, part, day = holds(match, *_CLOCK), part_of(match), day_of(match)
    if match["vague"]:
        return "Type a length, a clock time or a day, as in `2h`, `until 17:00` or `until monday 9:00`."
    if holds(match, "few", "least", "and_more"):
        return "Type one length, as in `10m` or `1h 30m`."
    if holds(match, "next_week", "next_week_behind"):
        return "Type how far ahead it is, as in `8 days`."
    if holds(match, "zone", "zone_behind"):
        return "Type it as your own clocks show it, without a zone, as in `until 14:30`."
    if match["length"]:
        return _unclear_length(match)
    if holds(match, "span", "other", "roughly", "tilde", "after") or (match["h_unit"] and not match["until"]):
        return "Type `until 14:30` for a clock, `1h 30m` for a length."
    if may_be := _date_with_a_point(match):
        return may_be
    if match["range"] or (match["to_second"] or ":00") != ":00":
        return "Type the time in full, as in `until 17:00` or `until monday 9:00`."
    if bare(match) and _runs_on(match) and not holds(match, "at", "day_behind"):
        return "Type the time in full, as in `until 17:00` or `until monday 9:00`."
    if not clock and (
        part not in ("", "morning") or (day and _HOUR_FOLLOWS.match(match.string, match.end()))
    ):
        return f"Type the hour in full, as in `until {day} 14:00`."
    shown = clock_of(match)
    if part not in ("", "night") and match["hour"] and shown and (part == "morning") != (shown.hour < 12):
        return "Type `until 14:30` for today, `until monday 14:30` for another day."
    hour = (match["hour"] or "0").lower()
    number = 0 if hour.startswith("0") or (hour.isdigit() and len(hour) > 2) else int(amount(hour))
    if day not in ("", "today") and number in _EARLY and not match["meridiem"] and not part:
        minute = match["minute"] or "00"
        return f"Type `{day} {number + 12}:{minute}` or `{day} {number:02}:{minute}`."
    return None


def _date_with_a_point(match: Match) -> str | None:
    """`20.06` is a date to many, `14.10` and `14.30` are clock times; `20.10.` is a date again."""
    if match["sep"] != "." or holds(match, "at", "meridiem"):
        return None
    if not 1 <= int(match["minute"]) <= (12 if match["dot"] else 9):
        return None
    shown = clock_of(match)
    clock = f"`{f'until {day_of(match)}'.strip()} {shown:%H:%M}` for a clock, or " if shown else ""
    return f"Type {clock}a day, as in `until monday 9:00`."


def _unclear_length(match: Match) -> str | None:
    """`14h30`, `16h` and `until 2h` may be lengths, and may be clock times as others write them."""
    hours = match["hours"] or ""
    if (match["hour_unit"] or "").lower() != "h" or not hours.isdigit() or len(hours) > 2:
        return None
    if holds(match, "sign", "span", "weeks", "days", "minutes", "seconds", "and_half"):
        return None
    if match["rest"]:
        clear = match["until"] or (len(hours) == 1 and int(match["rest"]) < 60)
        return None if clear else "Type `until 14:30` for a clock, `14h 30m` for a length."
    if int(hours) < 24 and (match["until"] or int(hours) > 12):
        return f"Type `until {int(hours)}:00` for a clock, `{int(hours)} hours` for a length."
    return None


def part_of(match: Match) -> str:
    """The part of the day that was named, or nothing."""
    named = (match["part"] or match["part_behind"] or match["part_today"] or "").lower()
    return {"am": "morning", "pm": "afternoon"}.get(named, named)


def clock_of(match: Match) -> time | None:
    """The clock time that was typed, the start of the day if none was; None if no clock shows it."""
    typed, minute = (match["hour"] or "").lower(), int(match["minute"] or 0)
    if match["word"]:
        return time(0 if match["word"].lower() == "midnight" else 12)
    if match["digits"]:
        typed, minute = match["digits"][:2], int(match["digits"][2:])
    elif match["rest"]:  # "until 14h30"
        typed, minute = match["hours"], int(match["rest"])
    elif not typed:
        return START_OF_DAY
    hour = int(amount(typed)) if len(typed) < 3 or typed in NUMBER_WORDS else 99
    half = (match["meridiem"] or "").strip().lower()[:1]
    if half and not 1 <= hour <= 12:
        return None
    part = part_of(match)
    if not half and 1 <= hour <= 12:
        half = (
            "a"
            if part == "morning"
            else "p"
            if part in ("afternoon", "evening") or (part and hour > 5)
            else ""
        )
    if half and hour <= 12:
        hour = hour % 12 + 12 * (half == "p")
    if hour > 23 or minute > 59:
        return None
    spoken = (match["spoken"] or "").lower().split()
    past = _SPOKEN[spoken[-2]] * (1 if spoken[-1] == "past" else -1) if spoken else 0
    return time(*divmod((hour * 60 + minute + past) % (24 * 60), 60))
