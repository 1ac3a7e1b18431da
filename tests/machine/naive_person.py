"""One person's presence, played forward once: the naive model with linking, removal and coming back.

`domain.naive_presence` replays one agent's history; `Person` adds what happens between agents, written from
`docs/linking.md` and the rules about leaving in `docs/presence.md`, and `Life` plays it forward, so that a
long run does not replay itself after each step. Neither shares code with `bot/`.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from domain.naive_presence import (
    SILENT,
    Answer,
    Arrival,
    CheckIn,
    FeedLive,
    FeedLost,
    FeedOff,
    Intent,
    Link,
    Rules,
    Said,
    Saw,
    Stretch,
    World,
)

FeedChange = FeedLive | FeedLost | FeedOff
STRICT = ["available", "away", "off"]
NEVER = timedelta(days=10_000)
GRACES = {
    "discord": timedelta(seconds=60),
    "slack": timedelta(seconds=150),
    "session": timedelta(seconds=65),
}
TRUST = timedelta(seconds=120)


@dataclass(frozen=True)
class Removed:
    """No longer an agent: left the last workspace, or became part of another agent."""

    at: datetime


@dataclass(frozen=True)
class EnrolledAgain:
    """Somebody who was removed is an agent again."""

    at: datetime


@dataclass(frozen=True)
class Joined:
    """Another agent became part of this one."""

    at: datetime
    other: Person


@dataclass(frozen=True)
class Unlinked:
    """An account is no longer this one's; it is no return of whoever keeps the rest."""

    at: datetime
    account: str


@dataclass(frozen=True)
class BeganWith:
    """An account that was unlinked begins an agent of its own, with what its platform shows of it."""

    at: datetime
    link: Link | None
    newest: tuple[int, int] | None


Happening = Arrival | Removed | EnrolledAgain | Joined | Unlinked | BeganWith


class Person(World):
    """A `World` that may be joined by another, or begin out of one."""

    def happens(self, what: Happening) -> None:
        """Something new, everything before its instant having had its consequences."""
        if isinstance(what, Joined):
            self.joined(what.other)
        elif isinstance(what, BeganWith):
            self.acted_at = what.at - NEVER  # nobody has acted as this agent yet
            if what.link is not None and what.newest is not None:
                self.links[what.link.identity] = replace(what.link)
                self.newest[what.link.identity] = what.newest
        elif isinstance(what, Unlinked):
            self.links.pop(what.account, None)
            self.newest.pop(what.account, None)
            if self.check_in and self.check_in.identity == what.account:
                self.check_in = None
            self.let_end(what.at, what.at)
            self.conclude(what.at, what.at, "unlinked")
            return
        elif isinstance(what, Removed):
            self.forget_all(what.at)
            self.conclude(what.at, what.at, "removed")
            return
        elif isinstance(what, EnrolledAgain):
            self.forget_all(what.at)
            self.acted_at = self.offline_since = what.at
            self.offered_on = None
            fresh = Answer("offline", "not_connected", "rule:enrolled", "", True, None, False)
            self.stretches.append(Stretch(what.at, *fresh[:5]))
            self.answers.append((what.at, fresh))
            return
        else:
            self.take_in(what)
            return
        self.let_end(what.at, what.at)
        self.conclude(what.at, what.at)

    def forget_all(self, at: datetime) -> None:
        """Nothing holds, and nothing is set."""
        self.intent = Intent("away", at, "rule:enrolled")
        self.check_in = None
        self.links.clear()
        self.newest.clear()

    def joined(self, other: Person) -> None:
        """The table of `docs/linking.md`, row by row. It is no return, so nothing is asked or offered."""
        self.intent = stricter(self.intent, other.intent)
        self.check_in = later(self.check_in, other.check_in)
        if self.intent.choice == "off":
            self.check_in = None
        for name, link in other.links.items():
            if link.beat is None:
                self.links[name] = replace(link)
        self.newest.update(other.newest)
        self.acted_at = max(self.acted_at, other.acted_at)
        self.offered_on = max(filter(None, (self.offered_on, other.offered_on)), default=None)


def stricter(one: Intent, other: Intent) -> Intent:
    """Signed off before away before available, the untimed before the timed, then the later; what nobody
    chose yields. Beneath a timed one, the stricter of what was beneath both."""
    chosen = max(one, other, key=strictness)
    if chosen.until is None:
        return chosen
    return replace(chosen, beneath=max(beneath(one), beneath(other), key=strictness))


def strictness(intent: Intent) -> tuple[int, bool, datetime, datetime, str, str]:
    """What is greater is stricter; of two that were set in one instant, the last by author and words."""
    unchosen = intent.choice == "away" and intent.by in ("rule:enrolled", "rule:return")
    rank = -1 if unchosen else STRICT.index(intent.choice)
    ends = intent.until or intent.set_at
    return rank, intent.until is None, ends, intent.set_at, intent.by, intent.note


def beneath(intent: Intent) -> Intent:
    """What is left of an intent when what is timed of it ends."""
    if intent.until is None:
        return intent
    assert intent.beneath is not None
    return intent.beneath


def later(one: CheckIn | None, other: CheckIn | None) -> CheckIn | None:
    """The one that ends later."""
    both = [check_in for check_in in (one, other) if check_in is not None]
    return max(both, key=lambda check_in: (check_in.until, check_in.at), default=None)


class Life:
    """A person whose time goes on with what happens."""

    def __init__(self, at: datetime, rules: Rules, zone: str | None, feeds: Iterable[FeedChange]) -> None:
        """Enrolled at that instant, under feeds that were as these changes have left them."""
        self.rules = rules
        self.person = Person(at, rules, zone)
        self.moments: set[datetime] = set()
        self.expect(at, at)
        self.know(at, feeds)

    def know(self, now: datetime, feeds: Iterable[FeedChange]) -> None:
        """What became of feeds before this was an agent's life."""
        for change in feeds:
            self.person.feed_changed(change)
            self.expect(now, change.at, change.since if isinstance(change, FeedLost) else change.at)

    def expect(self, now: datetime, *instants: datetime) -> None:
        """Time may do something at any of these, and after any length of time that there is."""
        rules = self.rules
        spans = {
            *(timedelta(0), SILENT, TRUST, *GRACES.values()),
            *(rules.settling, rules.unobserved, rules.idle_routable),
            *(rules.idle_routable + rules.idle_answer, rules.check_in),
        }
        ends = {instant + span for instant in instants for span in spans}
        self.moments |= {end for end in ends if end >= now}

    def pass_until(self, now: datetime) -> None:
        """Whatever lasted until an instant before `now` has ended."""
        due = sorted(moment for moment in self.moments if moment < now)
        self.moments.difference_update(due)
        for moment in due:
            self.person.time_passes(moment)

    def happens(self, what: Happening) -> None:
        """It happens now."""
        self.pass_until(what.at)
        self.person.happens(what)
        also = []
        if isinstance(what, Saw):
            also = [what.dated]
        elif isinstance(what, FeedLost):
            also = [what.since]
        elif isinstance(what, Said) and what.until is not None:
            also = [what.until]
        self.expect(what.at, what.at, *also)

    def join(self, other: Life, at: datetime) -> None:
        """The other agent becomes part of this one, and ends."""
        self.pass_until(at)
        other.pass_until(at)
        self.happens(Joined(at, other.person))
        self.moments |= other.moments
        other.happens(Removed(at))

    def part(self, account: str, at: datetime, fresh: Life) -> None:
        """An account goes on as `fresh`."""
        self.pass_until(at)
        person = self.person
        fresh.happens(BeganWith(at, person.links.get(account), person.newest.get(account)))
        fresh.moments |= self.moments
        self.happens(Unlinked(at, account))

    def answer(self, now: datetime) -> Answer:
        """The verdict at `now`."""
        self.pass_until(now)
        return self.person.answers[-1][1]

    def intent(self, now: datetime) -> Intent:
        """What is chosen at `now`."""
        self.pass_until(now)
        return self.person.intent

    def history(self, now: datetime) -> list[Stretch]:
        """The intervals until `now`; of two changes at one instant the first leaves none."""
        self.pass_until(now)
        stretches = self.person.stretches
        return [one for one, then in pairwise(stretches) if one.since < then.since] + stretches[-1:]

    def next_change(self) -> datetime | None:
        """The last instant before time alone changes the answer, if it will."""
        ahead = deepcopy(self.person)
        known = len(ahead.answers)
        for moment in sorted(self.moments):
            ahead.time_passes(moment)
            if len(ahead.answers) > known:
                return moment
        return None


__all__ = ["EnrolledAgain", "FeedChange", "Joined", "Life", "Person", "Removed"]
