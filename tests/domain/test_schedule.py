"""When a summary is due around every change of the clocks in sixty zones: fault row 6, I10."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from domain.test_when_clocks_change import ZONES, changes, wall

from bot.domain.schedule import WEEKDAYS, Schedule, Slot, due_slot, next_slot

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def on_the_wall(zone: ZoneInfo, local: datetime, change: datetime) -> datetime:
    """The first instant at which the wall shows a local time; of one that is skipped, as late after the
    change as it would have been. Found by watching the wall, minute by minute."""
    minutes = [change + MINUTE * count for count in range(-30 * 60, 30 * 60)]
    shows = [at for at in minutes if wall(at, zone) == local]
    return shows[0] if shows else change + (local - wall(change - MINUTE, zone) - MINUTE)


def slots(schedule: Schedule, begin: datetime, end: datetime) -> list[Slot]:
    """All that are due between two instants, one after the other."""
    found = [next_slot(schedule, begin)]
    while found[-1].due_at <= end:
        found.append(next_slot(schedule, found[-1].due_at))
    return found[:-1]


@pytest.mark.parametrize("name", ZONES)
def test_a_summary_is_due_once_a_local_date_through_every_change(name: str) -> None:
    """At its local time, or as much later as the clocks were moved; of a time that comes twice, the first."""
    zone = ZoneInfo(name)
    for change in changes(zone):
        day = wall(change - MINUTE, zone).date()
        moved = wall(change, zone) - wall(change - MINUTE, zone) - MINUTE
        middle = min(wall(change, zone), wall(change - MINUTE, zone) + MINUTE) + abs(moved) / 2
        for local in (middle, middle - 2 * abs(moved), middle + 2 * abs(moved)):
            at = time(local.hour, local.minute)
            schedule = Schedule("daily", at, WEEKDAYS, name)
            found = slots(schedule, change - 2 * DAY, change + 2 * DAY)
            dates = [slot.name.partition("T")[0] for slot in found]
            assert dates == sorted(set(dates)), "each local date once, in order"
            there = {slot.name: slot.due_at for slot in found}
            wanted = datetime.combine(local.date(), at)
            due_at = there[f"{wanted.date()}T{at:%H:%M}"]
            assert due_at == on_the_wall(zone, wanted, change), (change, local)
            assert due_slot(schedule, due_at) == Slot("daily", f"{wanted.date()}T{at:%H:%M}", due_at)
            assert abs((wanted.date() - day).days) <= 1
