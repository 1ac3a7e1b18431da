"""Presence the slow way: the whole history is kept, and every question replays it from the beginning.

Written from `docs/presence.md` alone, and shares no code with `bot/`: what the two agree on, two readings
of that page agree on. There is no notion of a next deadline here. Whatever time alone may do, it does at one
of the instants in `moments`, which are every instant that ever arrived plus every duration there is; the
replay looks at the world one microsecond after each of them, because what lasts until an instant still holds
at it, and records the instant itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rules:
    """The keys of `[presence]` that a verdict depends on. Grace and trust come with each feed."""

    check_in: timedelta = timedelta(hours=8)
    check_in_word: timedelta = timedelta(minutes=15)
    idle_routable: timedelta = timedelta(minutes=15)
    idle_answer: timedelta = timedelta(minutes=10)
    unobserved: timedelta = timedelta(hours=8)
    settling: timedelta = timedelta(seconds=60)
    resume_gap: timedelta = timedelta(minutes=30)
    restore_within: timedelta = timedelta(hours=2)
    on_return: str = "ask"
    slack_away: str = "weak"
    require_reason: bool = False


@dataclass(frozen=True)
class Saw:
    """A feed's word on one identity, dated earlier than it arrived, perhaps."""

    at: datetime
    identity: str
    workspace: str
    seen: str
    dated: datetime
    epoch: int
    seq: int


@dataclass(frozen=True)
class FeedLive:
    """A feed is switched on, comes back or begins anew (then with a higher epoch)."""

    at: datetime
    workspace: str
    platform: str
    epoch: int
    grace: timedelta
    trust: timedelta


@dataclass(frozen=True)
class FeedLost:
    """A feed stopped being live, perhaps earlier than we noticed."""

    at: datetime
    workspace: str
    since: datetime


@dataclass(frozen=True)
class FeedOff:
    """A workspace's feed was switched off."""

    at: datetime
    workspace: str


@dataclass(frozen=True)
class Said:
    """A command: `available`, `away` or `off`, or `act` for whatever else an agent does in Rollcall."""

    at: datetime
    what: str
    by: str = "agent"
    note: str = ""
    until: datetime | None = None
    identity: str | None = None
    code: str = ""
    """What an away is for."""


@dataclass(frozen=True)
class Left:
    """The person left the workspace of that identity, or was removed from it."""

    at: datetime
    identity: str


@dataclass(frozen=True)
class Beat:
    """A console's heartbeat."""

    at: datetime
    session: str
    workspace: str


@dataclass(frozen=True)
class LoggedOut:
    """A console said that it is left."""

    at: datetime
    session: str


Arrival = Saw | FeedLive | FeedLost | FeedOff | Said | Left | Beat | LoggedOut
SILENT = timedelta(seconds=45)
"""A console that was silent for longer is good for no new work."""


class Answer(NamedTuple):
    """What the model says of one instant."""

    presence: str
    reason: str
    source: str
    note: str
    confirmed: bool
    unconfirmed_since: datetime | None
    reachable: bool
    code: str = ""


class Stretch(NamedTuple):
    """One interval of the history, from `since` on."""

    since: datetime
    presence: str
    reason: str
    source: str
    note: str
    confirmed: bool
    code: str = ""


class Word(NamedTuple):
    """Something the agent is told."""

    told: str
    at: datetime


@dataclass(frozen=True)
class Intent:
    choice: str
    set_at: datetime
    by: str
    note: str = ""
    until: datetime | None = None
    beneath: Intent | None = None
    came_back_at: datetime | None = None
    code: str = ""


@dataclass
class CheckIn:
    identity: str
    at: datetime
    until: datetime


@dataclass
class Feed:
    platform: str
    live: bool
    epoch: int
    live_at: datetime
    lost_at: datetime
    grace: timedelta
    trust: timedelta
    lost: dict[int, datetime]
    """When each epoch that is over was lost."""


@dataclass
class Link:
    identity: str
    workspace: str
    state: str
    since: datetime
    epoch: int
    weak: bool = False
    beat: datetime | None = None
    """Of a console session: the last heartbeat."""


@dataclass
class History:
    """All that ever arrived for one agent, in the order of arrival."""

    enrolled_at: datetime
    rules: Rules
    zone: str | None = None
    arrivals: list[Arrival] = field(default_factory=list)

    def verdict(self, at: datetime) -> Answer:
        """The verdict at one instant, everything that arrived until then taken in."""
        return self.replay(at).answers[-1][1]

    def refuses(self, said: Said) -> bool:
        """Whether signing off, which lasts until the agent's own `/available`, stands against a command; or
        an away's missing reason."""
        if self.unexplained(said):
            return True
        signed_off = self.replay(said.at).intent.choice == "off"
        return (
            signed_off
            and said.what in ("available", "away")
            and (said.what, said.by) != ("available", "agent")
        )

    def unexplained(self, said: Said) -> bool:
        """An away without a reason, where one is wanted."""
        return self.rules.require_reason and said.what == "away" and (said.note, said.code) == ("", "")

    def replay(self, until: datetime) -> World:
        """The world at an instant, with all verdicts, intervals and words up to it."""
        world = World(self.enrolled_at, self.rules, self.zone)
        arrivals = [arrival for arrival in self.arrivals if arrival.at <= until]
        moments = [moment for moment in self.moments() if self.enrolled_at <= moment < until]
        for arrival in arrivals:
            while moments and moments[0] < arrival.at:
                world.time_passes(moments.pop(0))
            world.take_in(arrival)
        for moment in moments:
            world.time_passes(moment)
        return world

    def moments(self) -> list[datetime]:
        """Every instant at which time alone might change something, and many more."""
        rules = self.rules
        spans = {
            timedelta(0),
            SILENT,
            rules.settling,
            rules.unobserved,
            rules.idle_routable,
            rules.idle_routable + rules.idle_answer,
            rules.check_in,
            rules.check_in - rules.check_in_word,
        }
        instants = {self.enrolled_at}
        for arrival in self.arrivals:
            instants.add(arrival.at)
            if isinstance(arrival, Saw):
                instants.add(arrival.dated)
            elif isinstance(arrival, Said) and arrival.until:
                instants.add(arrival.until)
            elif isinstance(arrival, FeedLost):
                instants.add(arrival.since)
            elif isinstance(arrival, FeedLive):
                spans |= {arrival.grace, arrival.trust}
        return sorted({instant + span for instant in instants for span in spans})


class World:
    """How things stand at one instant of a replay."""

    def __init__(self, at: datetime, rules: Rules, zone: str | None) -> None:
        """A newly enrolled agent's: away, "not set yet", not connected."""
        self.enrolled_at = at
        self.rules = rules
        self.zone = zone
        self.intent = Intent("away", at, "rule:enrolled")
        self.check_in: CheckIn | None = None
        self.links: dict[str, Link] = {}
        self.newest: dict[str, tuple[int, int]] = {}
        self.feeds: dict[str, Feed] = {}
        self.acted_at = at
        self.offline_since = at
        self.offered_on: date | None = None
        self.stretches = [Stretch(at, "offline", "not_connected", "rule:enrolled", "", True)]
        self.answers = [(at, Answer("offline", "not_connected", "rule:enrolled", "", True, None, False))]
        self.words: list[Word] = []

    def verdict(self, at: datetime) -> Answer:
        """What the verdict was at an instant, after all that happened at it."""
        return next(answer for start, answer in reversed(self.answers) if start <= at)

    # What happens

    def time_passes(self, moment: datetime) -> None:
        """`moment` is over: what lasted until it has ended, at it."""
        now = moment + MOMENT
        was = self.intent
        self.let_end(now, moment)
        self.conclude(now, moment)
        self.speak_of_the_check_in(moment)
        if self.intent is not was and self.answers[-1][1].presence == "available":
            self.words.append(Word("away_ended", moment))

    def take_in(self, arrival: Arrival) -> None:
        """Something new, at an instant at which whatever lasts until it still holds."""
        now = arrival.at
        was_offline = self.answers[-1][1].presence == "offline"
        gave_an_intent = isinstance(arrival, Said) and arrival.what != "act"
        taken_away = ""
        if isinstance(arrival, Saw):
            self.saw(arrival)
        elif isinstance(arrival, Said):
            self.said(arrival)
        elif isinstance(arrival, Beat):
            self.beaten(arrival)
        elif isinstance(arrival, LoggedOut):
            session = self.links.get(arrival.session)
            if session is not None and session.state == "connected":
                session.state, session.since = "disconnected", now
        elif isinstance(arrival, Left):
            taken_away = "removed"
            self.links.pop(arrival.identity, None)
            self.newest.pop(arrival.identity, None)
            if self.check_in and self.check_in.identity == arrival.identity:
                self.check_in = None
        else:
            taken_away = "switched_off"
            self.feed_changed(arrival)
        self.let_end(now, now)
        if was_offline and not gave_an_intent and self.intent.choice != "off" and self.logged_in(now):
            self.returned(now)
        self.conclude(now, now, taken_away)

    def feed_changed(self, change: FeedLive | FeedLost | FeedOff) -> None:
        feed = self.feeds.get(change.workspace)
        if isinstance(change, FeedLive):
            lost_at = change.at
            if feed is not None and not feed.live:
                lost_at = feed.lost_at
            lost = dict(feed.lost) if feed is not None else {}
            if feed is not None and feed.epoch != change.epoch:
                lost[feed.epoch] = lost_at
            self.feeds[change.workspace] = Feed(
                change.platform, True, change.epoch, change.at, lost_at, change.grace, change.trust, lost
            )
        elif isinstance(change, FeedLost):
            if feed is not None and feed.live:
                feed.live, feed.lost_at = False, change.since
        elif feed is not None:
            del self.feeds[change.workspace]
            self.links = {i: link for i, link in self.links.items() if link.workspace != change.workspace}

    def saw(self, saw: Saw) -> None:
        feed = self.feeds.get(saw.workspace)
        if feed is None or saw.epoch != feed.epoch:
            return
        if saw.identity in self.newest and (saw.epoch, saw.seq) <= self.newest[saw.identity]:
            return
        self.newest[saw.identity] = (saw.epoch, saw.seq)
        link = self.links.get(saw.identity)
        was = link.state if link else "unknown"
        seen = saw.seen
        if seen == "away":
            seen = {"weak": "away", "absent": "disconnected", "ignore": "connected"}[self.rules.slack_away]
        weak = False
        if seen == "connected":
            becomes = "connected"
        elif was in ("unknown", "disconnected"):
            becomes, weak = "disconnected", seen == "away"
        elif was == "connected":
            becomes, weak = ("idle", True) if seen == "away" else ("suspect", False)
        elif was == "idle" and seen == "disconnected":
            becomes = "suspect"
        else:
            becomes = "–"
        if becomes == "–" or becomes == was == "connected":
            assert link is not None
            link.epoch = saw.epoch
        else:
            since = link.since if link and becomes == was == "disconnected" else saw.dated
            self.links[saw.identity] = Link(saw.identity, saw.workspace, becomes, since, saw.epoch, weak)

    def beaten(self, beat: Beat) -> None:
        session = self.links.get(beat.session)
        if session is None:
            for name, link in list(self.links.items()):
                if link.beat and link.state == "disconnected" and link.since < beat.at - timedelta(days=1):
                    del self.links[name]
        since = session.since if session and session.state == "connected" else beat.at
        epoch = self.feeds[beat.workspace].epoch
        self.links[beat.session] = Link(beat.session, beat.workspace, "connected", since, epoch, beat=beat.at)

    def said(self, said: Said) -> None:
        now = said.at
        if said.by == "agent":
            self.acted_at = now
            for link in self.links.values():
                if link.state == "disconnected" and link.weak:
                    link.state, link.since = "idle", now
            if said.what == "available" and said.identity:
                self.check_in = CheckIn(said.identity, now, now + self.rules.check_in)
            elif self.check_in and self.check_in_holds(now):
                self.check_in = replace(self.check_in, until=now + self.rules.check_in)
        if said.what == "act":
            return
        if said.what == "off":
            self.check_in = None
        beneath = None
        if said.until is not None:
            beneath = self.intent if self.intent.until is None else self.intent.beneath
        self.intent = Intent(said.what, now, said.by, said.note, said.until, beneath, code=said.code)

    # What time does

    def let_end(self, now: datetime, at: datetime) -> None:
        """Whatever no longer holds at `now` has ended, at `at`."""
        for link in self.links.values():
            if link.beat is not None:
                if link.state == "connected" and self.feeds[link.workspace].live and self.silent(link, now):
                    link.state, link.since = "disconnected", at
                continue
            if self.blind(link) or link.state not in ("suspect", "idle") or self.holds(link, now):
                continue
            if self.contradicts_the_check_in(link):
                self.check_in = None
            link.state, link.since = "disconnected", at
        if self.intent.until is not None and now > self.intent.until:
            assert self.intent.beneath is not None
            self.intent = replace(self.intent.beneath, by="rule:until", set_at=at, came_back_at=at)

    def conclude(self, now: datetime, at: datetime, taken_away: str = "") -> None:
        """Write down the verdict at `now`, and in the history what changed, as of `at`."""
        answer, before = self.answer(now), self.stretches[-1]
        if answer.presence == "offline" != before.presence:
            self.offline_since = at
            if taken_away and answer.reason != "signed_off":
                answer = answer._replace(reason=taken_away, source=f"rule:{taken_away}")
        stretch = Stretch(at, *answer[:5], answer.code)
        if stretch[1:] != before[1:]:
            self.stretches.append(stretch)
        if answer != self.answers[-1][1]:
            self.answers.append((now, answer))
        if answer.presence == "available" and not answer.reachable:
            self.ask(now, at)

    def ask(self, now: datetime, at: datetime) -> None:
        """ "Still there?", once for each time that all that is left is idle links, too long idle."""
        seen = [link for link in self.links.values() if self.holds(link, now) and not self.blind(link)]
        if not seen or any(link.state != "idle" for link in seen):
            return
        since = max(self.idle_from(link) + self.rules.idle_routable for link in seen)
        if all(word.told != "still_there" or word.at < since for word in self.words):
            self.words.append(Word("still_there", at))

    def speak_of_the_check_in(self, moment: datetime) -> None:
        """A word before it lapses to whoever is Available, and then would not be."""
        if self.check_in is None or moment != self.check_in.until - self.rules.check_in_word:
            return
        after = self.check_in.until + MOMENT
        if self.answers[-1][1].presence == "available" and not any(
            self.holds(link, after) or (link.beat is not None and link.state == "connected")
            for link in self.links.values()
        ):
            self.words.append(Word("check_in_ending", moment))

    # What is so

    def silent(self, link: Link, now: datetime) -> bool:
        """The lease is over: from the last heartbeat, or, if none could come, from when the feed is live."""
        feed = self.feeds[link.workspace]
        begins = feed.live_at if link.epoch != feed.epoch else link.beat
        assert begins is not None
        return now > begins + feed.grace and now > feed.live_at + self.rules.settling

    def blind(self, link: Link) -> bool:
        if link.beat is not None and link.state == "disconnected":
            return False
        feed = self.feeds[link.workspace]
        return not feed.live or link.epoch != feed.epoch

    def unseen_since(self, link: Link) -> datetime:
        """When the epoch was lost in which the link was last seen."""
        feed = self.feeds[link.workspace]
        return feed.lost.get(link.epoch, feed.lost_at)

    def idle_from(self, link: Link) -> datetime:
        return max(link.since, self.acted_at)

    def holds(self, link: Link, now: datetime) -> bool:
        rules, feed = self.rules, self.feeds[link.workspace]
        if link.state == "disconnected":
            return False
        if link.beat is not None and feed.live and self.silent(link, now):
            return False
        if self.blind(link):
            return now <= self.unseen_since(link) + rules.unobserved
        settled_at = feed.live_at + rules.settling
        if link.state == "suspect":
            return now <= max(link.since + feed.grace, settled_at)
        if link.state == "idle":
            return now <= max(self.idle_from(link) + rules.idle_routable + rules.idle_answer, settled_at)
        return True

    def good_for_new_work(self, link: Link, now: datetime) -> bool:
        rules, feed = self.rules, self.feeds[link.workspace]
        if link.state not in ("connected", "idle") or not self.holds(link, now):
            return False
        if link.state == "idle" and now > self.idle_from(link) + rules.idle_routable:
            return False
        if link.beat is not None and not self.blind(link):
            return now <= link.beat + SILENT
        return not self.blind(link) or now <= self.unseen_since(link) + feed.trust

    def check_in_holds(self, now: datetime) -> bool:
        return self.check_in is not None and now <= self.check_in.until

    def contradicts_the_check_in(self, link: Link) -> bool:
        """A strong disconnect of the identity it was made on, later than it."""
        check_in = self.check_in
        return (
            check_in is not None
            and link.identity == check_in.identity
            and link.state == "suspect"
            and link.since > check_in.at
        )

    def logged_in(self, now: datetime) -> bool:
        return self.check_in_holds(now) or any(self.holds(link, now) for link in self.links.values())

    def last_end(self, now: datetime) -> tuple[str, str]:
        """Reason and source of the latest end; of several at one instant the check-in's, then by name."""
        ends = [(self.enrolled_at - MOMENT, 0, "not_connected", "rule:enrolled")]
        if self.check_in is not None and not self.check_in_holds(now):
            ends.append((self.check_in.until, 1, "check_in_lapsed", "check_in"))
        for link in self.links.values():
            feed = self.feeds[link.workspace]
            if link.state == "disconnected":
                ends.append((link.since, 0, "disconnected", feed.platform))
            else:
                ends.append((self.unseen_since(link) + self.rules.unobserved, 0, "unobserved", "unobserved"))
        return max(ends)[2:]

    def answer(self, now: datetime) -> Answer:
        """The verdict, from nothing but how things stand."""
        intent, before = self.intent, self.stretches[-1]
        lost = []
        if not (
            intent.choice == "off"
            or self.check_in_holds(now)
            or any(not self.blind(link) and self.holds(link, now) for link in self.links.values())
        ):
            for link in self.links.values():
                if self.blind(link):
                    since = self.unseen_since(link)
                    lost.append((since, since + self.feeds[link.workspace].trust))
        unconfirmed_since, hiccup_until = min(lost, default=(None, now))
        confirmed = now <= hiccup_until
        if intent.choice == "off":
            return Answer("offline", "signed_off", intent.by, "", confirmed, unconfirmed_since, False)
        if not self.logged_in(now):
            reason, source = self.last_end(now)
            if before.presence == "offline" and before.reason != "signed_off":
                reason, source = before.reason, before.source
            return Answer("offline", reason, source, "", confirmed, unconfirmed_since, False)
        if intent.choice == "away":
            reason = {"rule:enrolled": "not_set", "rule:return": "returned"}.get(intent.by, "set")
            found = Answer("away", reason, intent.by, intent.note, confirmed, unconfirmed_since, False)
            return found._replace(code=intent.code)
        links = self.links.values()
        reachable = any(self.good_for_new_work(link, now) for link in links) or (
            self.check_in_holds(now) and not any(self.contradicts_the_check_in(link) for link in links)
        )
        return Answer("available", "set", intent.by, intent.note, confirmed, unconfirmed_since, reachable)

    # Coming back

    def returned(self, now: datetime) -> None:
        """Rule 8: what an absence leaves of the intent."""
        rules, intent = self.rules, self.intent
        meanwhile = intent.came_back_at is not None and intent.came_back_at >= self.offline_since
        long = now - self.offline_since >= rules.resume_gap
        if intent.choice == "away":
            if intent.until is not None:
                return
            if rules.on_return == "available" and long:
                self.intent = Intent("available", now, "rule:return")
            elif meanwhile or self.day(intent.set_at) < self.day(now):
                self.offer(now)
            return
        if meanwhile and now - intent.set_at <= rules.restore_within:
            return
        if long and rules.on_return == "ask":
            self.intent = Intent("away", now, "rule:return")
            self.offer(now)

    def offer(self, now: datetime) -> None:
        """Offer "I'm available", once a day."""
        if self.offered_on != self.day(now):
            self.offered_on = self.day(now)
            self.words.append(Word("returned", now))

    def day(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.zone or "UTC")).date()
