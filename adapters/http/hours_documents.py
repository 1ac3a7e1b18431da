"""The bodies about working hours: what comes in, and what goes out."""

from datetime import date, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct
from pydantic import Field, StrictStr

from adapters.http.parameters import Body
from adapters.http.problems import Problem, bad_value
from bot.config.values import known_zone
from bot.domain.hours import DayOff, Hours
from bot.domain.hours_set import MOST_DAYS_OFF, or_none
from bot.domain.hours_text import (
    EXAMPLE,
    FIRST_YEAR,
    LAST_YEAR,
    LONGEST_LABEL,
    LONGEST_OFF,
    read_weekly,
    weekly_text,
)
from bot.message import words

LONGEST_WEEK = 2000
"""Characters; the longest that makes sense has about a thousand."""
ONE_DAY = {"first": "2026-12-24", "last": "2026-12-26", "label": "Christmas"}
DAYS_RULE = (
    f"a list of at most {MOST_DAYS_OFF} days off, each with first, and if wanted last and label: dates of "
    f"the years {FIRST_YEAR} to {LAST_YEAR}, last not before first, at most {LONGEST_OFF} days, at most "
    f"{LONGEST_LABEL} characters"
)
Day = Annotated[StrictStr, Field(pattern=r"^\d{4}-\d\d-\d\d$", examples=["2026-12-24"])]


class DayOffBody(Body):
    """Local dates, both inclusive."""

    first: Day
    last: Day | None = None
    label: Annotated[StrictStr, Field(max_length=LONGEST_LABEL, examples=["Christmas"])] = ""


class HoursBody(Body):
    """The hours as they shall be, in whole."""

    zone: Annotated[
        StrictStr, Field(description="an IANA time zone", examples=["Europe/Berlin"], max_length=64)
    ]
    weekly: Annotated[
        StrictStr,
        Field(
            description="days and, behind them, from when until when; empty: always, but for the days off",
            examples=[EXAMPLE],
            max_length=LONGEST_WEEK,
        ),
    ] = ""
    days_off: Annotated[
        tuple[DayOffBody, ...], Field(description=DAYS_RULE, examples=[[ONE_DAY]], max_length=MOST_DAYS_OFF)
    ] = ()


class DayOffDocument(Struct, frozen=True):
    """Closed from the first day's midnight to the end of the last."""

    first: date
    last: date
    label: str


class HoursDocument(Struct, frozen=True):
    """Working hours of an agent or a team. Without any they are always open."""

    of: Annotated[str, Meta(description="The agent's id, or the team's slug.")]
    zone: Annotated[str | None, Meta(description="Null: no hours are set.")]
    weekly: Annotated[str, Meta(description="Empty: always, but for the days off.")]
    days_off: tuple[DayOffDocument, ...]
    open: Annotated[bool, Meta(description="Just now, also by a team's calendar of holidays.")]
    changes_at: Annotated[datetime | None, Meta(description="When `open` is otherwise; null: never.")]


DOCUMENTS = (HoursDocument,)
SET_HOURS = {"zone": "Europe/Berlin", "weekly": EXAMPLE, "days_off": [ONE_DAY]}
EXAMPLES: dict[type, dict[str, Any]] = {
    HoursDocument: {
        "as_of": "2026-11-02T09:00:00Z",
        "of": "support",
        "zone": "Europe/Berlin",
        "weekly": EXAMPLE,
        "days_off": [ONE_DAY],
        "open": True,
        "changes_at": "2026-11-02T16:30:00Z",
    },
}


def hours_in(body: HoursBody) -> Hours | None:
    """The hours that a body says; None where it says always. Raises Problem and BadInput."""
    if known_zone(body.zone) is None:
        raise bad_value("zone", "an IANA time zone", "Europe/Berlin")
    weekly = read_weekly(body.weekly, "weekly") if body.weekly.strip() else ()
    days_off = {_day_off(one) for one in body.days_off}
    return or_none(Hours(body.zone, weekly, tuple(sorted(days_off))))


def _day_off(body: DayOffBody) -> DayOff:
    try:
        first = date.fromisoformat(body.first)
        last = first if body.last is None else date.fromisoformat(body.last)
    except ValueError:
        raise _bad_day() from None
    if not (FIRST_YEAR <= first.year <= last.year <= LAST_YEAR and 0 <= (last - first).days < LONGEST_OFF):
        raise _bad_day()
    return DayOff(first, last, words(body.label, LONGEST_LABEL))


def _bad_day() -> Problem:
    return bad_value("days_off", DAYS_RULE, '{"first": "2026-12-24"}')


def document(of: str, hours: Hours | None, counting: Hours | None, now: datetime) -> HoursDocument:
    """Hours as they are told; `counting`: with the holidays of a calendar."""
    return HoursDocument(
        of,
        None if hours is None else hours.zone,
        "" if hours is None else weekly_text(hours.weekly),
        ()
        if hours is None
        else tuple(DayOffDocument(off.first, off.last, off.label) for off in hours.days_off),
        counting is None or counting.open_at(now),
        None if counting is None else counting.changes_at(now),
    )
