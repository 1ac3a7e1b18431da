"""Holidays of teams, from files in iCalendar's format that stand beside the configuration.

A file says nothing that leads could change, so nothing of it is stored: it is read at each start and every
few hours, for a year ahead. All-day events close local dates; others the time they last: one with a zone
by that zone's clocks, one without by the clocks of the team's hours. Cancelled events count for nothing,
and whether an event makes somebody "busy" neither: calendars of holidays say that it does not.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from whenever import PlainDateTime

from bot.config import Config, ConfigError
from bot.domain.agent import Team
from bot.domain.hours import Closed, DayOff, Hours
from bot.domain.hours_text import LONGEST_LABEL, LONGEST_OFF
from bot.message import words
from bot.roster import Roster

log = logging.getLogger("rollcall.holidays")
LARGEST_FILE = 1_000_000
"""Bytes. A country's holidays of ten years are 60 kB."""
MOST_EVENTS, MOST_HOLIDAYS = 500, 300
"""In a file, and what they come to within the year: more is somebody's whole calendar."""
BEHIND, AHEAD = timedelta(days=2), timedelta(days=400)
STEP = timedelta(days=40)
"""So much is looked at in one go, so that a calendar that repeats itself too often is noticed early."""
READ_AGAIN = timedelta(hours=6)
TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})


class Listed(Struct, frozen=True):
    """What a file says of the year ahead."""

    days_off: tuple[DayOff, ...] = ()
    closed: tuple[Closed, ...] = ()


class BadCalendar(Exception):
    """A file that is no list of holidays, and why, in words that follow "the file"."""


def read_calendar(content: bytes, zone: str, now: datetime) -> Listed:
    """The holidays in a file, from shortly before `now` to a year ahead; `zone` is where events without a
    zone of their own are. Raises BadCalendar."""
    from icalendar import Calendar
    from recurring_ical_events import of

    if len(content) > LARGEST_FILE:
        raise BadCalendar(f"is larger than {LARGEST_FILE // 1_000_000} MB")
    try:
        calendar = Calendar.from_ical(content)
        events = list(calendar.walk("VEVENT"))
        if len(events) > MOST_EVENTS:
            raise BadCalendar(f"has more than {MOST_EVENTS} events")
        if any(str(freq).upper() in TOO_OFTEN for event in events for freq in _frequencies(event)):
            raise BadCalendar("has an event that comes back every hour or more often")
        query = of(calendar)
        found: set[DayOff | Closed] = set()
        since, end = now - BEHIND, now + AHEAD
        while since < end:
            for event in query.between(since, min(since + STEP, end)):
                found |= set(_closing(event, zone))
            if len(found) > MOST_HOLIDAYS:
                raise BadCalendar(f"comes to more than {MOST_HOLIDAYS} holidays in a year")
            since += STEP
    except BadCalendar:
        raise
    except Exception as problem:  # whatever a parser of other people's files may raise
        raise BadCalendar(f"is no calendar in iCalendar's format ({type(problem).__name__})") from problem
    return Listed(
        tuple(sorted(one for one in found if isinstance(one, DayOff))),
        tuple(sorted(one for one in found if isinstance(one, Closed))),
    )


def _frequencies(event: Any) -> Iterator[object]:
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        yield from rule.get("FREQ", [])


def _closing(event: Any, zone: str) -> Iterator[DayOff | Closed]:
    """What one occasion of an event closes."""
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return
    label = words(str(event.get("SUMMARY", "")), LONGEST_LABEL)
    start, end = event.start, event.end
    if end - start > timedelta(days=LONGEST_OFF):
        raise BadCalendar(f"has an event of more than {LONGEST_OFF} days")
    if not isinstance(start, datetime):
        yield DayOff(start, max(start, end - timedelta(days=1)), label)
        return
    since, until = _instant(start, zone), _instant(end, zone)
    if since < until:
        yield Closed(since, until, label)


def _instant(at: date, zone: str) -> datetime:
    """An event's time, by the clocks of `zone` where it names no other."""
    if not isinstance(at, datetime):
        at = datetime.combine(at, datetime.min.time())
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    return PlainDateTime(at).assume_tz(zone, disambiguation="compatible").to_instant().to_stdlib()


class Holidays:
    """The files of all teams that name one, as last read."""

    def __init__(self, config: Config, roster: Roster) -> None:
        self._roster = roster
        self._zones = {team.slug: team.zone or config.organization.zone for team in config.team}
        self._files = {team.slug: Path(team.holidays) for team in config.team if team.holidays}
        self._listed: Mapping[str, Listed] = {}
        self._due_at: datetime | None = None

    async def begin(self, teams: Sequence[Team], now: datetime) -> None:
        """Read all files. Raises ConfigError for one that can't be used."""
        await self._read(teams, now, strict=True)

    async def glance(self, teams: Sequence[Team], now: datetime) -> None:
        """Read all files, beside a program that runs. What can't be read counts for nothing."""
        await self._read(teams, now, strict=False)

    async def again(self, teams: Sequence[Team], now: datetime) -> None:
        """Read them again, if it is time to. What can't be read stays as it was."""
        if self._due_at is not None and now >= self._due_at:
            await self._read(teams, now, strict=False)

    def show(self, teams: Sequence[Team], now: datetime) -> None:
        """The teams' hours, with their holidays, to the roster."""
        hours = {team.slug: hours for team in teams if (hours := self._hours(team)) is not None}
        self._roster.set_hours(hours, now)

    async def _read(self, teams: Sequence[Team], now: datetime, *, strict: bool) -> None:
        if not self._files:
            return
        self._due_at = now + READ_AGAIN
        zones = {
            slug: team.hours.zone
            for team in teams
            if team.hours is not None
            for slug in (team.slug, *team.aliases)
        }
        found = dict(self._listed)
        for slug, file in self._files.items():
            zone = zones.get(slug, self._zones[slug])
            try:
                found[slug] = await asyncio.to_thread(read_file, file, zone, now)
            except BadCalendar as problem:
                sentence = f'[[team]] "{slug}" holidays: the file {file} {problem}.'
                if strict:
                    raise ConfigError(sentence) from None
                log.warning("%s What it said before counts.", sentence)
        self._listed = found
        self.show(teams, now)

    def _hours(self, team: Team) -> Hours | None:
        """The team's hours with its holidays; None: always open."""
        named = next((slug for slug in (team.slug, *team.aliases) if slug in self._listed), None)
        listed = None if named is None else self._listed[named]
        if listed is None or not (listed.days_off or listed.closed):
            return team.hours
        hours = team.hours or Hours(self._zones[named or team.slug])
        days_off = tuple(sorted({*hours.days_off, *listed.days_off}))
        return replace(hours, days_off=days_off, closed=listed.closed)


def read_file(file: Path, zone: str, now: datetime) -> Listed:
    """The holidays in a file, as `read_calendar`. Raises BadCalendar."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as problem:
        raise BadCalendar(f"can't be read ({type(problem).__name__})") from None
    return read_calendar(content, zone, now)
