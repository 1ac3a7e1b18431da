"""When a scheduled summary is due: a local time on some days, once per local date.

Computed with calendar arithmetic: a local time that the clock change skips is taken as much later as
the clocks were moved, one that comes twice is taken the first time.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from msgspec import Struct
from whenever import Date, Instant, Time

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CATCH_UP = timedelta(hours=1)
"""A slot missed for longer than this (the program was down, the clock jumped) is not made up for."""


class Schedule(Struct, frozen=True):
    """A local time on some days of the week."""

    slug: str
    at: time
    days: tuple[str, ...]
    zone: str
    """IANA name."""


class Slot(Struct, frozen=True):
    """One occasion."""

    schedule: str
    name: str
    """Local date and time as configured, `2026-11-22T09:00`: what is claimed, once."""
    due_at: datetime


def _slots_from(schedule: Schedule, day: date) -> Iterator[Slot]:
    while True:
        if WEEKDAYS[day.weekday()] in schedule.days:
            due = Date(day).at(Time(schedule.at)).assume_tz(schedule.zone, disambiguation="compatible")
            yield Slot(schedule.slug, f"{day.isoformat()}T{schedule.at:%H:%M}", due.to_instant().to_stdlib())
        day += timedelta(days=1)


def _today(schedule: Schedule, now: datetime) -> date:
    return Instant(now).to_tz(schedule.zone).date().to_stdlib()


def next_slot(schedule: Schedule, now: datetime) -> Slot:
    """The first slot due after `now`."""
    return next(
        slot for slot in _slots_from(schedule, _today(schedule, now) - timedelta(days=1)) if slot.due_at > now
    )


def due_slot(schedule: Schedule, now: datetime) -> Slot | None:
    """The latest slot that is due at `now` and not yet too old to be posted."""
    found = None
    for slot in _slots_from(schedule, _today(schedule, now) - timedelta(days=2)):
        if slot.due_at > now:
            return found
        if now - slot.due_at <= CATCH_UP:
            found = slot
    return None
