"""What Rollcall answers about working hours and days off: see `bot.replies`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from bot.commands import spelled
from bot.domain.hours import DayOff, Hours
from bot.domain.hours_text import weekly_text
from bot.message import Code, Line, Message, Moment, Strong, TimeStyle, Tone, words

MOST_SHOWN = 12
"""Days off in one answer: more are counted."""


def hours_of(
    name: str | None, hours: Hours | None, now: datetime, names: Mapping[str, str], *, team: str = ""
) -> Message:
    """Somebody's hours, or a team's (`team`: its slug), as they now are, and what follows just now. `name`:
    whose; None: the reader's own."""
    whose: Line = ("Your hours",) if name is None else (Strong(words(name, 60)),)
    if hours is None:
        command = f"presence team hours {team}" if team else "presence hours set"
        how = Code(f"{spelled(command, names)} mon-fri 9-17")
        return Message(((*whose, ": always. No hours are set."), ("Set some with ", how, ".")))
    week = weekly_text(hours.weekly) or "always, but for days off"
    lines: list[Line] = [(*whose, f": {week} ({hours.zone}).")]
    is_open, change = hours.open_at(now), hours.changes_at(now)
    until: Line = () if change is None else (" until ", Moment(change, TimeStyle.DATE_TIME))
    said = ("Open", "Closed") if team else ("On shift", "Off shift")
    lines.append((said[not is_open], *until, "."))
    lines += _days_off(hours, now)
    return Message(tuple(lines), tone=Tone.GOOD if is_open else Tone.QUIET)


def _days_off(hours: Hours, now: datetime) -> Sequence[Line]:
    today = hours.today(now)
    coming = [off for off in hours.days_off if off.last >= today]
    lines: list[Line] = []
    if coming:
        lines.append(("Days off:",))
    for off in coming[:MOST_SHOWN]:
        label: Line = (": ", words(off.label)) if off.label else ()
        lines.append((f"• {_dates(off)}", *label))
    if len(coming) > MOST_SHOWN:
        lines.append((f"… and {len(coming) - MOST_SHOWN} more.",))
    return lines


def _dates(off: DayOff) -> str:
    return _day(off.first) if off.first == off.last else f"{_day(off.first)} to {_day(off.last)}"


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"
