"""What the world does to the whole core, and the naive model beside it: the state machine of presence.

Rules are what people, platforms, programs, operators and time do; after each of them everything that is shown
or stored is what `naive_person.Life` says. The model is told what happened, never what came of it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from desk import read
from domain.naive_presence import (
    Beat,
    FeedLive,
    FeedLost,
    FeedOff,
    Left,
    LoggedOut,
    Rules,
    Said,
    Saw,
    Stretch,
)
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from machine.houses import House, Kept, Shown, TwoClocks, stored_history
from machine.naive_person import GRACES, TRUST, EnrolledAgain, FeedChange, Happening, Life, Removed
from msgspec.structs import replace

from bot.config import Config
from bot.domain.agent import Agent
from bot.domain.facts import Facts, Seen
from bot.ports import Command, Person, Profile, Sighting, Transaction

START = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
ZONE = "Europe/Berlin"
MOMENT = timedelta(microseconds=1)
SHORT = timedelta(milliseconds=1)
"""Between one command and the next, so that of two intents one is the newer."""
THERE = timedelta(seconds=10)
"""Neither a tick nor a heartbeat for longer: Rollcall was not there."""
NOTED = timedelta(seconds=30)
"""So often the program notes that its feeds are live."""
REPEATED = timedelta(hours=25)
"""For so long deliveries are remembered; no platform repeats one later."""
SESSIONS = "sessions"
PLATFORM = {"U1": "slack", "91": "discord", "U2": "slack", "92": "discord"}
OTHER = {"U1": "91", "91": "U1", "U2": "92", "92": "U2"}
"""Two people, each with an account on both platforms."""
BOSS = "U9"
"""A Slack admin who is no agent."""
CODE = re.compile(r"/presence link ([2-9A-Z]{4}-[2-9A-Z]{4})")
BROKEN = "it's our fault"
UNDONE = timedelta(hours=24, seconds=1)
LENGTHS = [timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=8)]
WAITS = [
    *(timedelta(seconds=second) for second in (1, 5, 10, 15, 29, 45, 60, 65, 120, 150)),
    *(timedelta(minutes=minute) for minute in (10, 15, 25, 30, 35)),
    *(timedelta(hours=hour) for hour in (2, 8, 16)),
]
accounts = st.sampled_from(["U1", "91", "U1", "91", "U2", "92"])
platforms = st.sampled_from(["slack", "discord"])
notes = st.sampled_from(["", "", "lunch", "only billing"])
lengths = st.sampled_from([None, *LENGTHS])
tabs = st.sampled_from(["tab-1", "tab-2"])
seen = st.sampled_from(["connected", "connected", "disconnected", "away"])
waits = st.sampled_from(WAITS)
besides = st.sampled_from([-MOMENT, timedelta(0), timedelta(0), MOMENT])
words = st.sampled_from(["", "available", "0", "30", "120"])
"""Nothing, Available, Away for good or for so many minutes."""
seldom = st.sampled_from([True, False, False])
"""Whether what hides everything else for long happens after all."""
hows = st.sampled_from(["awake", "awake", "asleep", "without ticks"])


@dataclass
class Feed:
    """What the world knows of one platform's feed."""

    epoch: int = 0
    live: bool = False
    known: bool = False
    seen_at: datetime = START
    live_at: datetime = START


class Presence(RuleBasedStateMachine):
    """The rules; each names what happens, and ends with a look at everything."""

    def __init__(self, url: str, *, http: bool = False) -> None:
        super().__init__()
        self.url, self.http = url, http
        self.runner = asyncio.Runner()
        self.clock = TwoClocks(START)
        self.house: House
        self.policy = Rules()
        self.lives: dict[str, Life] = {}
        """By the agent's id: everybody who is an agent now."""
        self.ended: dict[str, Life] = {}
        """Who is no longer an agent, for good or until a lead enrols them."""
        self.owner: dict[str, str] = {}
        """By account, the agent's id; also of accounts that have left."""
        self.linked_at: dict[str, datetime] = {}
        """By the agent's id, the last link: within a day unlinking is undoing, which has tests of its own."""
        self.there: set[str] = set()
        """Accounts that are members of their workspace, and of an agent."""
        self.feeds = {"slack": Feed(), "discord": Feed(), SESSIONS: Feed()}
        self.changes: list[FeedChange] = []
        self.workspaces: dict[str, str] = {}
        self.seq = 0
        self.sightings: list[tuple[Sighting, Saw]] = []
        self.held_back: list[tuple[Sighting, Saw]] = []
        self.answered: tuple[datetime, Command] | None = None
        self.deliveries = 0
        self.ticked_at = START
        self.marked_at = START
        self.moved_clocks = 0
        self.blurred: set[str] = set()
        """Whom a start found unconfirmed for longer than is trusted: nobody was there to mark the history."""
        self.exact = True
        """False once the clock was set back: then only what is promised for that is looked at."""

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    # --- the beginning and the end ---

    @initialize(
        on_return=st.sampled_from(["ask", "ask", "previous", "available"]),
        slack_away=st.sampled_from(["weak", "weak", "absent", "ignore"]),
        check_in=st.sampled_from([2, 2, 8 * 60]),
        linked=st.booleans(),
        goes=st.sampled_from([None, "91", "U1"]),
        beside=besides,
    )
    def begins(
        self,
        on_return: str,
        slack_away: str,
        check_in: int,
        linked: bool,
        goes: str | None,
        beside: timedelta,
    ) -> None:
        """Both feeds are live; one person is Available, seen on both platforms, and perhaps linked. Mostly
        check-ins are so short that what platforms and consoles show decides."""
        self.policy = Rules(on_return=on_return, slack_away=slack_away, check_in=timedelta(minutes=check_in))
        config = Config.model_validate(
            {
                "organization": {"leads": ["slack:T1:U2"]},
                "presence": {
                    "on_return": on_return,
                    "slack_away": slack_away,
                    "check_in": f"{check_in}m",
                    "check_in_word": "1m",
                },
                "discord": {"token": "t"},
                "slack": {"bot_token": "xoxb-1", "app_token": "xapp-1"},
                "http": {"port": 0, "rate_per_minute": 1_000_000},
            }
        )
        self.house = House(self.url, config, self.clock, http=self.http)
        self.run(self.house.start())
        for platform, name in (("slack", "T1"), ("discord", "9")):
            workspace = self.run(self.house.core.workspace(platform, name, platform))
            self.workspaces[platform] = workspace.id
            self.feed_goes_live(platform, resumed=False)
        for account in ("U1", "91"):
            self.say(account, "available", told=Said(self.now, "available", identity=account))
            self.seen_as(account, "connected")
        if linked:
            self.link("U1")
        if check_in == 2:
            self.wait_until(self.now + timedelta(minutes=3), "awake")
        self.look()
        if goes is not None:
            self.goes_from_both(goes, None, beside, "awake")

    def teardown(self) -> None:
        """The database keeps all its rules, and the process leaves nothing behind."""
        try:
            if hasattr(self, "house"):
                self.run(self.house.end(killed=False))
                assert self.house.broken_rules() == []
        finally:
            self.runner.close()

    # --- what the model is told ---

    def tell(self, account: str, what: Happening) -> None:
        """Something happened to whoever's account it is."""
        self.lives[self.owner[account]].happens(what)

    def tell_all(self, change: FeedChange) -> None:
        """A feed changed."""
        self.changes.append(change)
        for life in self.lives.values():
            life.happens(change)

    def acts(self, account: str) -> None:
        """A sign of life."""
        if account in self.there:
            self.tell(account, Said(self.now, "act"))

    def enrolled(self, account: str) -> bool:
        """Whether whoever uses this account is an agent by now: a new one is enrolled by their first
        command, somebody removed is not, and somebody who is back in a workspace is who they were."""
        agent_id = self.owner.get(account)
        if agent_id is None:
            agent_id = self.agent_of(account)
            self.owner[account] = agent_id
            self.lives[agent_id] = Life(self.now, self.policy, ZONE, self.changes)
        if agent_id in self.ended:
            return False
        self.there.add(account)
        return True

    def agent_of(self, account: str) -> str:
        """The id that the core gave."""
        agent = self.house.core.roster.by_identity(self.workspaces[PLATFORM[account]], account)
        assert agent is not None, account
        return agent.id

    # --- people ---

    def command(self, account: str, name: str, **more: Any) -> Command:
        """As the account's platform brings it."""
        platform = PLATFORM.get(account, "slack")
        profile = Profile(account, account.lower(), ZONE, is_admin=account == BOSS, may_enrol=True)
        self.deliveries += 1
        person = Person(self.workspaces[platform], platform, profile)
        return Command(name, person, delivery=f"{platform}:{self.deliveries}", **more)

    def dispatch(self, command: Command) -> str:
        """The answer; what goes on behind it has ended too."""
        answer = read(self.run(self.house.core.dispatch(command)))
        self.run(self.house.core.dispatcher.finish())
        assert BROKEN not in answer, answer
        return answer

    def say(self, account: str, name: str, *, told: Said, **more: Any) -> None:
        """A command of an agent's own, which the model takes in unless it is refused."""
        command = self.command(account, name, **(more or {"text": ""}))
        self.dispatch(command)
        if name != "presence me" and told.what != "act":
            self.answered = (self.now, command)
        if self.enrolled(account) and not self.refused(account, told):
            self.tell(account, told)
        self.clock.pass_until(self.now + SHORT)

    def refused(self, account: str, told: Said) -> bool:
        """Whether they signed off, which lasts until their own `/available`."""
        off = self.lives[self.owner[account]].intent(self.now).choice == "off"
        return off and told.what in ("available", "away") and (told.what, told.by) != ("available", "agent")

    @rule(account=accounts, note=notes, clicked=st.booleans())
    def says_available(self, account: str, note: str, clicked: bool) -> None:
        """`/available [note]`, or the button "I'm back"."""
        told = Said(self.now, "available", note="" if clicked else note, identity=account)
        self.say(account, "available", told=told, text=None if clicked else note, clicked=clicked)
        self.look()

    @rule(account=accounts, note=notes, length=lengths, how=st.sampled_from(["length", "clock", "button"]))
    def says_away(self, account: str, note: str, length: timedelta | None, how: str) -> None:
        """`/away`, for good, for a length of time, or until a time on the agent's clock."""
        until, text = None, note
        if length is not None:
            until = self.now + length
            local = until.astimezone(ZoneInfo(ZONE)).replace(second=0, microsecond=0)
            if how == "clock" and local.date() == self.now.astimezone(ZoneInfo(ZONE)).date():
                until, text = local.astimezone(UTC), f"until {local:%H:%M} {note}"
                if until <= self.now:
                    return
            else:
                text = f"{length // timedelta(minutes=1)}m {note}"
        told = Said(self.now, "away", note=note, until=until, code=code_of(note))
        if how == "button":
            fields = {"until": text.replace(note, "") if length else "", "reason": note}
            self.say(account, "away", told=told, arguments=fields, clicked=True)
        else:
            self.say(account, "away", told=told, text=text)
        self.look()

    @rule(account=accounts, clicked=st.booleans(), really=seldom)
    def signs_off(self, account: str, clicked: bool, really: bool) -> None:
        """`/presence off`, or its button."""
        if not really:
            return
        self.say(account, "presence off", told=Said(self.now, "off"), text=None if clicked else "")
        self.look()

    @rule(account=accounts, what=st.sampled_from(["presence me", "who", "presence why", "presence help"]))
    def asks(self, account: str, what: str) -> None:
        """Any other command is a sign of life of whoever is an agent."""
        if what == "presence me" or account in self.there:
            self.say(account, what, told=Said(self.now, "act"))
        self.look()

    @precondition(lambda self: self.answered is not None)
    @rule()
    def is_delivered_again(self) -> None:
        """The platform repeats a command: it has had its consequences."""
        assert self.answered is not None
        at, command = self.answered
        account = command.person.profile.external_id
        if self.now - at < REPEATED and (account in self.there or self.owner.get(account) in self.ended):
            self.dispatch(command)
        self.look()

    @rule(
        whom=accounts,
        boss=st.sampled_from([BOSS, "U2"]),
        choice=st.sampled_from(["available", "available", "away"]),
        length=lengths,
        note=notes,
    )
    def leads_set(self, whom: str, boss: str, choice: str, length: timedelta | None, note: str) -> None:
        """`/presence set @somebody`, by an admin who is no agent, or by a lead who is one."""
        if whom not in self.there or PLATFORM[whom] != "slack" or (boss != BOSS and boss not in self.there):
            return
        text = f"set {whom} {choice}"
        until = None
        if choice == "away" and length is not None:
            text, until = f"{text} {length // timedelta(minutes=1)}m", self.now + length
        oneself = boss != BOSS and self.owner[boss] == self.owner[whom]
        by = f"lead:slack:{BOSS}" if boss == BOSS else f"lead:{self.owner[boss]}"
        here = boss if oneself and choice == "available" else None
        author = "agent" if oneself else by
        told = Said(self.now, choice, author, note, until, here, code_of(note) if choice == "away" else "")
        member = Profile(whom, whom.lower())
        self.dispatch(self.command(boss, "presence", text=f"{text} {note}", mentioned=(member,)))
        if boss != BOSS and not oneself:
            self.acts(boss)
        if not self.refused(whom, told):
            self.tell(whom, told)
        self.clock.pass_until(self.now + SHORT)
        self.look()

    # --- one person, two accounts ---

    def link(self, asker: str) -> None:
        """By a code: asked for on one account, typed on the other of the same person."""
        other = OTHER[asker]
        shown = CODE.search(self.dispatch(self.command(asker, "presence", text="link")))
        assert shown is not None
        if self.enrolled(asker):
            self.acts(asker)
        self.clock.pass_until(self.now + SHORT)
        was = self.owner.get(other)
        answer = self.dispatch(self.command(other, "presence", text=f"link {shown[1]}"))
        assert "one agent now" in answer, answer
        if was is not None:
            joined = self.lives.pop(was)
            self.lives[self.owner[asker]].join(joined, self.now)
            self.ended[was] = joined
        self.owner[other] = self.owner[asker]
        self.linked_at[self.owner[asker]] = self.now
        self.there.add(other)
        self.acts(other)
        self.clock.pass_until(self.now + SHORT)

    @rule(asker=accounts, mine=words, theirs=words)
    def links(self, asker: str, mine: str, theirs: str) -> None:
        """Two agents become one, or an account joins one; each may have said something just before."""
        other = OTHER[asker]
        was = self.owner.get(other)
        if not self.exact or asker not in self.there or (was is not None and other not in self.there):
            return
        if was == self.owner[asker]:
            self.unlinks(other, elsewhere=False)
        for account, said in ((asker, mine), (other, theirs)):
            if said == "available":
                self.says_available(account, "", clicked=False)
            elif said and account in self.there:
                self.says_away(account, "", timedelta(minutes=int(said)) if said != "0" else None, "length")
        self.link(asker)
        self.look()

    @rule(account=accounts, elsewhere=st.booleans())
    def unlinks(self, account: str, elsewhere: bool) -> None:
        """An account is an agent of its own again: the one that this is typed on, or the other."""
        other = OTHER[account]
        if not self.exact or not {account, other} <= self.there or self.owner[account] != self.owner[other]:
            return
        if self.now - self.linked_at.get(self.owner[account], START) <= UNDONE:
            self.time_passes(UNDONE, "awake")
            if not {account, other} <= self.there or not self.exact:
                return
        goes = other if elsewhere else account
        text = f"unlink {PLATFORM[other]}" if elsewhere else "unlink"
        self.dispatch(self.command(account, "presence", text=text))
        fresh = Life(self.now, self.policy, ZONE, self.changes)
        self.lives[self.owner[goes]].part(goes, self.now, fresh)
        self.owner[goes] = self.agent_of(goes)
        self.lives[self.owner[goes]] = fresh
        self.acts(account)
        self.clock.pass_until(self.now + SHORT)
        self.look()

    @rule(account=accounts, really=seldom)
    def leaves(self, account: str, really: bool) -> None:
        """Somebody is no longer a member of a workspace; with the last one they are removed."""
        if not really:
            return
        self.run(self.house.core.member_left(self.workspaces[PLATFORM[account]], account))
        if account in self.there:
            self.there.discard(account)
            agent_id = self.owner[account]
            if any(self.owner[one] == agent_id for one in self.there):
                self.tell(account, Left(self.now, account))
            else:
                self.tell(account, Removed(self.now))
                self.ended[agent_id] = self.lives.pop(agent_id)
        self.look()

    @rule(account=accounts)
    def comes_back(self, account: str) -> None:
        """A lead enrols somebody: one who was removed has nothing set, and the history goes on."""
        agent_id = self.owner.get(account)
        if account in self.there or agent_id is None:
            return
        member = Profile(account, account.lower(), ZONE)
        boss = self.command(BOSS, "presence", text=f"enrol {account}", mentioned=(member,))
        if PLATFORM[account] == "discord":
            profile = replace(boss.person.profile, is_admin=True)
            boss = replace(boss, person=Person(self.workspaces["discord"], "discord", profile))
        self.dispatch(boss)
        if agent_id in self.ended:
            self.lives[agent_id] = self.ended.pop(agent_id)
            self.lives[agent_id].know(self.now, self.changes)
            self.lives[agent_id].happens(EnrolledAgain(self.now))
        self.there.add(account)
        self.clock.pass_until(self.now + SHORT)
        self.look()

    # --- platforms ---

    def feed_goes_live(self, platform: str, *, resumed: bool) -> None:
        """The stream is there (again)."""
        feed = self.feeds[platform]
        epoch = self.run(self.house.core.feed_live(self.workspaces[platform], resumed=resumed))
        self.live(platform, resumed=resumed)
        assert epoch == feed.epoch

    def live(self, name: str, *, resumed: bool = False) -> None:
        feed = self.feeds[name]
        feed.epoch += not (resumed and feed.known)
        feed.live = feed.known = True
        feed.seen_at = feed.live_at = self.now
        platform = "session" if name == SESSIONS else name
        self.tell_all(FeedLive(self.now, name, platform, feed.epoch, GRACES[platform], TRUST))

    @rule(platform=platforms, resumed=st.booleans())
    def feed_is_live(self, platform: str, resumed: bool) -> None:
        """It is connected anew, or resumed where it was."""
        feed = self.feeds[platform]
        self.feed_goes_live(platform, resumed=resumed and feed.known and not feed.live)
        self.look()

    @rule(platform=platforms, ago=waits)
    def feed_is_lost(self, platform: str, ago: timedelta) -> None:
        """We are blind, perhaps since a while."""
        feed = self.feeds[platform]
        if feed.live:
            since = max(feed.live_at, self.now - min(ago, timedelta(seconds=120)))
            self.run(self.house.core.feed_lost(self.workspaces[platform], since=since))
            feed.live = False
            self.tell_all(FeedLost(self.now, platform, since))
        self.look()

    @precondition(lambda self: self.moved_clocks == 0)
    @rule(platform=platforms, really=seldom)
    def feed_is_switched_off(self, platform: str, really: bool) -> None:
        """The workspace gives no presence."""
        feed = self.feeds[platform]
        if feed.known and really:
            self.run(self.house.core.feed_off(self.workspaces[platform]))
            feed.live = feed.known = False
            self.tell_all(FeedOff(self.now, platform))
        self.look()

    def sighting(self, account: str, what: str, ago: timedelta, *, old_epoch: bool) -> tuple[Sighting, Saw]:
        """What a platform says of somebody."""
        self.seq += 1
        platform = PLATFORM[account]
        if platform == "discord" and what == "away":
            what = "connected"
        dated = max(START, self.now - ago)
        epoch = self.feeds[platform].epoch - old_epoch
        return (
            Sighting(account, Seen(what), dated, self.seq),
            Saw(self.now, account, platform, what, dated, epoch, self.seq),
        )

    def seen_as(self, account: str, what: str) -> None:
        """It arrives at once."""
        self.arrive([self.sighting(account, what, timedelta(0), old_epoch=False)])

    def arrive(self, found: list[tuple[Sighting, Saw]]) -> None:
        """Sightings of one platform arrive together."""
        if not found:
            return
        first = found[0][1]
        self.run(
            self.house.core.observe(
                self.workspaces[first.workspace], first.epoch, [sighting for sighting, _ in found]
            )
        )
        for _, saw in found:
            if saw.identity in self.there:
                self.tell(saw.identity, Saw(self.now, *(getattr(saw, name) for name in SAW)))
        self.sightings += found

    @rule(
        account=accounts,
        what=seen,
        ago=waits,
        late=st.sampled_from([True, *[False] * 4]),
        old=st.integers(0, 9),
    )
    def is_seen(self, account: str, what: str, ago: timedelta, late: bool, old: int) -> None:
        """At once or dated earlier, of the feed's epoch or of the one before, or held back."""
        dated = ago if old % 3 == 0 else timedelta(0)
        found = self.sighting(account, what, dated, old_epoch=old == 9)
        if late:
            self.held_back.append(found)
        else:
            self.arrive([found])
        self.look()

    @rule(account=accounts, drops=st.booleans())
    def is_seen_again(self, account: str, drops: bool) -> None:
        """The plain case, which the rest is built around: there, and gone."""
        self.seen_as(account, "disconnected" if drops else "connected")
        self.look()

    @rule(platform=platforms, what=st.lists(seen, min_size=2, max_size=2))
    def everybody_is_seen(self, platform: str, what: list[str]) -> None:
        """A snapshot: all accounts of a platform at once."""
        there = [account for account in sorted(PLATFORM) if PLATFORM[account] == platform]
        self.arrive(
            [
                self.sighting(account, how, timedelta(0), old_epoch=False)
                for account, how in zip(there, what, strict=True)
            ]
        )
        self.look()

    @precondition(lambda self: self.held_back)
    @rule(data=st.data())
    def a_late_one_arrives(self, data: st.DataObject) -> None:
        """Others have overtaken it."""
        self.arrive([self.held_back.pop(data.draw(st.integers(0, len(self.held_back) - 1)))])
        self.look()

    @precondition(lambda self: self.sightings)
    @rule(back=st.integers(1, 6))
    def one_arrives_twice(self, back: int) -> None:
        """I8: it has been here before."""
        self.arrive([self.sightings[-min(back, len(self.sightings))]])
        self.look()

    # --- programs ---

    @rule(account=accounts, tab=tabs)
    def beats(self, account: str, tab: str) -> None:
        """A console's heartbeat."""
        if account not in self.there or not self.exact:
            return
        if self.feeds[SESSIONS].known:
            self.is_there()
        was = self.lives[self.owner[account]].person.links.get(f"session:{tab}")
        self.lives[self.owner[account]].pass_until(self.now)
        reopened = self.run(self.house.programs.beat(self.owner[account], tab))
        if not self.feeds[SESSIONS].known:
            self.live(SESSIONS)
            self.is_there()
        assert reopened is (was is not None and was.state == "disconnected")
        self.tell(account, Beat(self.now, f"session:{tab}", SESSIONS))
        self.look()

    @rule(account=accounts, tab=tabs)
    def logs_out(self, account: str, tab: str) -> None:
        """A console is left."""
        if account in self.there:
            self.run(self.house.programs.log_out(self.owner[account], tab))
            self.tell(account, LoggedOut(self.now, f"session:{tab}"))
        self.look()

    @rule(account=accounts, choice=st.sampled_from(["available", "away"]), length=lengths, note=notes)
    def programs_set(self, account: str, choice: str, length: timedelta | None, note: str) -> None:
        """`PUT /v1/agents/…/presence`."""
        if account not in self.there:
            return
        until = self.now + length if length and choice == "away" else None
        seconds = int(length.total_seconds()) if length and until else None
        programs = self.house.programs
        code = code_of(note) if choice == "away" else ""
        told = Said(self.now, choice, self.run(programs.author()), note, until, code=code)
        changed = self.run(programs.set_presence(self.owner[account], choice, note, seconds))
        if self.exact:
            intent = self.lives[self.owner[account]].intent(self.now)
            so_already = (intent.choice, intent.note, intent.until) == (choice, note, until)
            so_already = so_already and intent.by != "rule:enrolled"
            refused = self.refused(account, told)
            assert changed is (None if refused else not so_already)
            if changed:
                self.tell(account, told)
        self.clock.pass_until(self.now + SHORT)
        self.look()

    # --- time, and what is done to the program ---

    def is_there(self, lost_at: datetime | None = None) -> None:
        """A tick or a heartbeat: whoever noticed a long time without one begins anew."""
        if self.feeds[SESSIONS].known and (lost_at or self.now - self.ticked_at > THERE):
            self.tell_all(FeedLost(self.now, SESSIONS, min(self.ticked_at, self.now)))
            self.live(SESSIONS)
        self.ticked_at = self.now

    def tick(self) -> None:
        self.run(self.house.core.tick())
        self.is_there()

    def mark(self) -> None:
        """The note that feeds are live."""
        self.run(self.house.core.mark_feeds_seen())
        self.marked_at = self.now
        for feed in self.feeds.values():
            if feed.live:
                feed.seen_at = self.now

    @rule()
    def ticks(self) -> None:
        """Time has brought about what it has; whether anybody looks makes no difference."""
        self.tick()
        self.look()

    def consoles_are_open(self) -> bool:
        """Whether leases run, which end only while somebody is there to take heartbeats."""
        for life in self.lives.values():
            life.pass_until(self.now)
        links = (link for life in self.lives.values() for link in life.person.links.values())
        return any(link.beat is not None and link.state == "connected" for link in links)

    @rule(account=accounts, beside=besides, how=hows)
    def something_ends(self, account: str, beside: timedelta, how: str) -> None:
        """Time passes until it changes how somebody is seen: just before that, just then, or just after."""
        if self.exact and account in self.there:
            life = self.lives[self.owner[account]]
            life.pass_until(self.now)
            at = life.next_change()
            if at is not None:
                self.wait_until(at + beside, how)
            for one in (account, OTHER[account]):  # a repetition, at that very instant
                link = life.person.links.get(one)
                if link is not None and link.state in ("suspect", "disconnected"):
                    self.seen_as(one, "disconnected")
        self.look()

    @rule(account=accounts, tab=st.sampled_from([None, "tab-1"]), beside=besides, how=hows)
    def goes_from_both(self, account: str, tab: str | None, beside: timedelta, how: str) -> None:
        """Both accounts drop, with a console open or none; time passes until that is noticed."""
        if tab is not None:
            self.beats(account, tab)
        for one in (account, OTHER[account]):
            self.seen_as(one, "connected")
            self.seen_as(one, "disconnected")
            self.arrive(self.sightings[-2:-1])  # the older of the two, overtaken
        self.look()
        self.something_ends(account, beside, how)

    @rule(wait=waits, how=hows)
    def time_passes(self, wait: timedelta, how: str) -> None:
        """A while, with ticks or none."""
        self.wait_until(self.now + wait, how)
        self.look()

    def wait_until(self, to: datetime, how: str) -> None:
        """Time goes by, for a program that is running, or that is not being run."""
        if how == "without ticks" and self.consoles_are_open():
            how = "awake"
        if how != "without ticks" or self.feeds[SESSIONS].known:
            self.tick()  # else the last one, in which leases were seen to run, would be long ago
        if how == "asleep" and self.feeds[SESSIONS].known and to - self.now > THERE:
            self.tell_all(FeedLost(self.now, SESSIONS, self.now))
        while how == "awake" and to - self.now > THERE and self.consoles_are_open():
            self.clock.pass_until(self.now + THERE)
            self.tick()
        self.clock.pass_until(max(to, self.now))
        if how != "without ticks":
            self.tick()
        if self.now - self.marked_at >= NOTED:
            self.mark()

    @rule(
        killed=st.booleans(),
        down=st.sampled_from(
            [
                timedelta(0),
                timedelta(seconds=10),
                timedelta(minutes=5),
                timedelta(hours=1),
                timedelta(hours=9),
            ]
        ),
    )
    def starts_again(self, killed: bool, down: timedelta) -> None:
        """The program ends, in order or killed, and starts on what the database has."""
        self.tick()
        self.run(self.house.end(killed=killed))
        assert self.house.broken_rules() == []
        sure = {agent_id for agent_id, life in self.lives.items() if life.answer(self.now).confirmed}
        for name, feed in self.feeds.items():
            if feed.live:
                feed.live = False
                self.tell_all(FeedLost(self.now, name, feed.seen_at if killed else self.now))
        self.blurred |= {one for one in sure if not self.lives[one].answer(self.now).confirmed}
        self.held_back.clear()  # what came over connections of before comes no more
        self.sightings.clear()
        self.clock.pass_until(self.now + down)
        self.run(self.house.start())
        self.ticked_at = self.now
        if self.feeds[SESSIONS].known:
            self.live(SESSIONS)
        for platform, workspace_id in self.workspaces.items():
            if not self.feeds[platform].known:  # its adapter finds out anew
                self.run(self.house.core.feed_off(workspace_id))
        self.look()

    @precondition(lambda self: self.moved_clocks < 2)
    @rule(often=st.integers(0, 3))
    def the_clock_moves_on(self, often: int) -> None:
        """Somebody sets it a day ahead."""
        if often:
            return
        self.moved_clocks += 1
        self.tick()
        ahead = self.now + timedelta(days=1)
        if self.feeds[SESSIONS].known:
            self.tell_all(FeedLost(self.now, SESSIONS, ahead))
        self.clock.move(timedelta(days=1))
        self.run(self.house.core.tick())
        self.is_there()
        self.mark()
        self.look()

    @precondition(lambda self: self.exact and self.moved_clocks == 1)
    @rule(often=st.integers(0, 5))
    def the_clock_goes_back(self, often: int) -> None:
        """Somebody sets it an hour back: nothing comes in a burst, and history never overlaps."""
        if often:
            return
        self.tick()
        before = {agent_id: self.stored(agent_id) for agent_id in self.lives}
        self.clock.move(timedelta(hours=-1))
        self.exact = False
        for _ in range(3):
            self.tick()
        for agent_id, kept in before.items():
            now = self.stored(agent_id)
            assert now[: len(kept) - 1] == kept[:-1]
            assert len(now) <= len(kept) + 1
        self.look()

    # --- what is so ---

    def stored(self, agent_id: str) -> list[Kept]:
        kept: list[Kept] = self.run(stored_history(self.house.core.store, agent_id))
        return kept

    def look(self) -> None:
        """Everything that is shown or kept is what the model says."""
        self.run(self._look() if self.exact else self._look_roughly())

    async def _look(self) -> None:
        now, programs = self.now, self.house.programs
        expected = {agent_id: life.answer(now) for agent_id, life in self.lives.items()}
        shown = {agent_id: Shown(*answer) for agent_id, answer in expected.items()}
        same("shown", await programs.agents(), shown)
        routable, counts = await programs.available()
        assert routable == {agent_id for agent_id, answer in expected.items() if answer.reachable}
        presences = Counter(answer.presence for answer in expected.values())
        assert counts == {name: presences[name] for name in ("available", "away", "offline")}
        for agent_id, life in self.lives.items():
            assert await programs.eligible(agent_id) is expected[agent_id].reachable
            self.same_facts(agent_id, life)
            kept = await programs.history(agent_id)
            stretches = [Stretch(one.since, *one[2:]) for one in kept]
            expected_stretches = life.history(now)
            if agent_id in self.blurred:
                stretches, expected_stretches = unmarked(stretches), unmarked(expected_stretches)
            same("history", stretches, expected_stretches)
            tiled(kept)
        await self._look_at_the_database()

    def same_facts(self, agent_id: str, life: Life) -> None:
        """What is chosen, and until when the agent's own word holds."""
        row = self.house.core.roster.row(agent_id, self.now)
        assert row is not None
        intent, chosen = row.facts.intent, life.person.intent
        found = (intent.choice.value, intent.by, intent.reason, intent.until_at)
        same("intent", found, (chosen.choice, chosen.by, chosen.note, chosen.until))
        assert (intent.base is None) is (chosen.beneath is None)
        if intent.base is not None and chosen.beneath is not None:
            below, model_below = intent.base, chosen.beneath
            found = (below.choice.value, below.by, below.reason, below.until_at)
            same("beneath", found, (model_below.choice, model_below.by, model_below.note, model_below.until))
        word, model = row.facts.check_in, life.person.check_in
        until = word.until_at if word is not None and self.now <= word.until_at else None
        holds = model is not None and life.person.check_in_holds(self.now)
        same("check-in", until, model.until if model is not None and holds else None)

    async def _look_at_the_database(self) -> None:
        """What is in memory is what a fresh core would read."""
        core = self.house.core
        for agent_id in self.lives:
            agent, facts = await core.store.read(partial(_agent_and_facts, agent_id))
            same("agent", core.roster.agent(agent_id), agent)
            same("facts", as_stored(core.roster.facts(agent_id)), as_stored(facts))

    async def _look_roughly(self) -> None:
        """What is promised whatever the clock does: what is routable is Available, numbers agree, history
        tiles, and memory is what is stored."""
        now, programs = self.now, self.house.programs
        agents = await programs.agents()
        assert set(agents) == set(self.lives)
        routable, counts = await programs.available()
        assert routable == {agent_id for agent_id, shown in agents.items() if shown.routable}
        assert all(agents[agent_id].presence == "available" for agent_id in routable)
        presences = Counter(shown.presence for shown in agents.values())
        assert counts == {name: presences[name] for name in ("available", "away", "offline")}
        for agent_id in self.lives:
            tiled(await stored_history(self.house.core.store, agent_id))
        await self._look_at_the_database()
        assert now == self.now


SAW = ("identity", "workspace", "seen", "dated", "epoch", "seq")


def tiled(kept: list[Kept]) -> None:
    """I9: no gap, no overlap, and only the last one stands."""
    assert all(one.until == following.since for one, following in pairwise(kept))
    assert all(one.until is not None and one.since < one.until for one in kept[:-1])
    assert kept[-1].until is None


def _agent_and_facts(agent_id: str, tx: Transaction) -> tuple[Agent | None, Facts | None]:
    return tx.members.agent(agent_id), tx.presence.facts(agent_id)


def code_of(note: str) -> str:
    """The organization's code that a reason begins with."""
    return note if note == "lunch" else ""


def unmarked(stretches: list[Stretch]) -> list[Stretch]:
    """Without the mark of what is unconfirmed, and without intervals that only it divides."""
    plain = [one._replace(confirmed=True) for one in stretches]
    return plain[:1] + [one for before, one in pairwise(plain) if one[1:] != before[1:]]


def same(what: str, found: object, expected: object) -> None:
    """Fails with both where they differ."""
    assert found == expected, f"{what}:\n{found}\nshould be\n{expected}"


def as_stored(facts: Facts | None) -> Facts | None:
    """Facts without what is kept in memory alone: marks of the order in which things came, and leases."""
    if facts is None:
        return None
    links = tuple(
        replace(link, seq=0, beat_at=None) for link in sorted(facts.links, key=lambda one: one.identity_id)
    )
    return replace(facts, links=links, reviewed_at=None)
