"""Hours with one part changed: the week, or a day off. What is left without either is none."""

from datetime import date

from msgspec.structs import replace

from bot.domain.errors import BadInput
from bot.domain.hours import DayOff, Hours, Span
from bot.domain.hours_text import days_text

MOST_DAYS_OFF = 100
"""In one list; what is over is dropped first."""


def with_week(hours: Hours | None, zone: str, weekly: tuple[Span, ...]) -> Hours | None:
    """The hours with that week, in that zone; its days off stay."""
    return or_none(replace(hours or Hours(zone), zone=zone, weekly=weekly))


def with_day_off(hours: Hours | None, zone: str, off: DayOff, today: date) -> Hours:
    """The hours with one day off more, or another label for it; `zone` where there are none yet. Raises
    BadInput for too many."""
    hours = hours or Hours(zone)
    kept = {one for one in hours.days_off if (one.first, one.last) != (off.first, off.last)} | {off}
    if len(kept) > MOST_DAYS_OFF:
        kept = {one for one in kept if one.last >= today}
    if len(kept) > MOST_DAYS_OFF:
        raise BadInput(f"There are {MOST_DAYS_OFF} days off already. Remove some first.", field="dates")
    return replace(hours, days_off=tuple(sorted(kept)))


def without_days_off(hours: Hours | None, off: DayOff) -> Hours | None:
    """The hours without the days off that touch these dates. Raises BadInput where none does."""
    there = hours.days_off if hours is not None else ()
    kept = tuple(one for one in there if one.last < off.first or one.first > off.last)
    if hours is None or kept == there:
        raise BadInput(f"There is no day off on `{days_text(replace(off, label=''))}`.", field="dates")
    return or_none(replace(hours, days_off=kept))


def or_none(hours: Hours) -> Hours | None:
    """None for hours that say nothing: always open."""
    return hours if hours.weekly or hours.days_off else None
