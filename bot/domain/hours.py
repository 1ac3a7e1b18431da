"""Working hours of a team or an agent: weekly spans and days off, in a zone.

A span holds from its start up to, and not at, its end: at 17:00 a span that ends at 17:00 is over, so that
12:00-13:00 and 13:00-17:00 meet without a gap, and 24:00 is the next day's midnight. It begins when the
clocks of the zone first show its start or something later, and ends after the last minute at which they
show something earlier than its end: a time that is skipped counts as the instant of the change, and of an
hour that comes twice a span has both. Days off are closed from midnight to midnight, whatever begins
or ends in them. Overlapping spans unite.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import count

from msgspec import Struct
from whenever import Date, Instant, PlainDateTime, Time

DAY = 24 * 60
"""Minutes by the clock."""
REPEATED = timedelta(days=9)
"""Within this every weekly span has begun once more: what has not closed by then never does."""
LONG_AGO, NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
Stretch = tuple[datetime, datetime]
"""From an instant up to, and not at, another."""


class Span(Struct, frozen=True, order=True):
    """One weekly span, in minutes by the clock from midnight."""

    day: int
    """On which it begins: 0 is Monday."""
    start: int
    """From 0 to 1439."""
    end: int
    """Later than `start` by at most a day; beyond 1440 it is on the next day."""


class DayOff(Struct, frozen=True, order=True):
    """Local dates, both inclusive, on which all is closed."""

    first: date
    last: date
    label: str = ""


class Closed(Struct, frozen=True, order=True):
    """A stretch of time in which all is closed; at `until` no longer."""

    since: datetime
    until: datetime
    label: str = ""


class Hours(Struct, frozen=True, gc=False):
    """When somebody works. Without a weekly span that is always, but for the days off."""

    zone: str
    """IANA name."""
    weekly: tuple[Span, ...] = ()
    days_off: tuple[DayOff, ...] = ()
    closed: tuple[Closed, ...] = ()
    """Holidays of a part of a day."""

    def open_at(self, now: datetime) -> bool:
        """Whether it is open at `now`."""
        return not _within(self._shut(), now) and _within(self._spans(now), now) is not None

    def changes_at(self, now: datetime) -> datetime | None:
        """The first instant after `now` at which `open_at` is another than at `now`; None: never."""
        shut = self._shut()
        span = _within(self._spans(now), now)
        if span is None or _within(shut, now):
            return _known(self._opening(now, shut))
        return _known(min([span[1], *(since for since, _ in shut if since > now)]))

    def opens_at(self, now: datetime) -> datetime | None:
        """The first instant from `now` on at which it is open: `now` itself where it is; None: never."""
        return _known(self._opening(now, self._shut()))

    def begins_at(self, now: datetime) -> datetime | None:
        """The first instant after `now` at which it opens, having been closed; None: never."""
        change = self.changes_at(now)
        return None if change is None else self.opens_at(change)

    def ends_at(self, now: datetime, pause: timedelta, most: timedelta) -> datetime | None:
        """When the work ends in which `now` is, pauses no longer than `pause` being a part of it; None:
        not within `most`, or it is closed at `now`."""
        end = self.changes_at(now) if self.open_at(now) else None
        while end is not None and end < now + most:
            begins = self.opens_at(end)
            if begins is None or begins - end > pause:
                return end
            end = self.changes_at(begins)
        return None

    def today(self, now: datetime) -> date:
        """The date that it is in this zone at `now`."""
        return Instant(now).to_tz(self.zone).date().to_stdlib()

    def _opening(self, at: datetime, shut: Iterable[Stretch]) -> datetime:
        """The first instant from `at` on at which a weekly span holds and nothing is shut."""
        while at < NEVER:
            if (closed := _within(shut, at)) is not None:
                at = closed[1]
                continue
            since, _ = next(span for span in self._spans(at) if span[1] > at)
            if since <= at:
                return at
            at = since
        return NEVER

    def _spans(self, at: datetime) -> Iterator[Stretch]:
        """The weekly spans, united and in order, from one that ended before `at`, or in which it is, on."""
        if not self.weekly:
            yield LONG_AGO, NEVER
            return
        today = Instant(at).to_tz(self.zone).date()
        since = until = LONG_AGO
        for ahead in count(-2):
            day = today.add(days=ahead)
            weekday = day.to_stdlib().weekday()
            for span in self.weekly:
                if span.day != weekday:
                    continue
                begins, ends = _first(self.zone, day, span.start), _after(self.zone, day, span.end)
                if ends <= begins:
                    continue  # the clocks skip all of it
                if begins > until:
                    if until > since:
                        yield since, until
                    since = begins
                until = max(until, ends)
                if until - since > REPEATED:
                    yield since, NEVER
                    return

    def _shut(self) -> tuple[Stretch, ...]:
        return _united(self.zone, self.days_off, self.closed)


@lru_cache(maxsize=256)
def _united(zone: str, days_off: tuple[DayOff, ...], closed: tuple[Closed, ...]) -> tuple[Stretch, ...]:
    """Days off and holidays, united and in order. Remembered, because there may be hundreds."""
    found = [(_first(zone, Date(off.first), 0), _after(zone, Date(off.last), DAY)) for off in days_off]
    found += [(one.since, one.until) for one in closed]
    united: list[Stretch] = []
    for since, until in sorted(found):
        if united and since <= united[-1][1]:
            united[-1] = united[-1][0], max(united[-1][1], until)
        else:
            united.append((since, until))
    return tuple(united)


def _within(stretches: Iterable[Stretch], at: datetime) -> Stretch | None:
    """The stretch, of several in order, in which an instant is."""
    for since, until in stretches:
        if since > at:
            return None
        if at < until:
            return since, until
    return None


def _known(at: datetime) -> datetime | None:
    return None if at == NEVER else at


def _first(zone: str, day: Date, minute: int) -> datetime:
    """When the clocks first show that minute of that day, or something later."""
    return _instant(zone, _local(day, minute), first=True)


def _after(zone: str, day: Date, minute: int) -> datetime:
    """When the clocks show nothing earlier than that minute of that day any more."""
    return _instant(zone, _local(day, minute - 1), first=False)


def _local(day: Date, minute: int) -> PlainDateTime:
    days, minute = divmod(minute, DAY)
    return day.add(days=days).at(Time(minute // 60, minute % 60))


def _instant(zone: str, local: PlainDateTime, *, first: bool) -> datetime:
    """When a local minute begins the first time, or when it is over the last time; of one that is
    skipped, when the clocks change."""
    at = local.assume_tz(zone, disambiguation="earlier" if first else "later")
    found = at.to_instant().to_stdlib()
    if at.to_plain() != local:
        other = local.assume_tz(zone, disambiguation="later" if first else "earlier")
        return _change(zone, *sorted((found, other.to_instant().to_stdlib())))
    return found if first else found + timedelta(minutes=1)


def _change(zone: str, before: datetime, after: datetime) -> datetime:
    """When the clocks change between two instants, one by the old and one by the new; to the second."""
    old = Instant(before).to_tz(zone).offset
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=1) // 2)
        if Instant(middle).to_tz(zone).offset == old:
            before = middle
        else:
            after = middle
    return after
