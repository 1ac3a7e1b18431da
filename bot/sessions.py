"""Console sessions at run time: heartbeats, logouts, and the feed that stands for our own being there.

Their feed is live while the program runs, and begins anew with each start and after each time in which the
program could take no heartbeat: stopped, asleep, or its clock moved on. So leases are extended by our own
downtime by the rules for every feed (`docs/presence.md`). A heartbeat that only renews is kept in memory.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from bot.changes import Changes
from bot.domain import sessions
from bot.domain.agent import Agent, Workspace
from bot.domain.facts import CONNECTED, DISCONNECTED, LIVE, Facts, Feed, Link
from bot.domain.presence import FIRM, lease_ends
from bot.domain.transition import Step as Decision
from bot.feeds import CONSOLES as PLATFORM
from bot.feeds import FeedStates
from bot.ports import Clock
from bot.service.presence import needs_storing

log = logging.getLogger("rollcall.sessions")
EXTERNAL_ID, NAME = "sessions", "Consoles"
AWAY = timedelta(seconds=10)
"""Neither a tick, which comes each second, nor a heartbeat for so long: we were not there."""


class Session(Struct, frozen=True):
    """One console session as it now is."""

    key: str
    link: Link
    reopened: bool
    """This heartbeat came after its end."""
    expires_at: datetime | None
    """When it ends if no heartbeat comes; None when it has."""


class Sessions:
    """The console sessions of one organization's agents."""

    def __init__(
        self,
        clock: Clock,
        changes: Changes,
        feeds: FeedStates,
        workspaces: Mapping[str, Workspace],
        workspace: Callable[[str, str, str], Awaitable[Workspace]],
    ) -> None:
        """`workspace`: finds one by platform, external id and name, or adds it."""
        self._clock = clock
        self._changes = changes
        self._roster = changes.roster
        self._feeds = feeds
        self._workspaces = workspaces
        self._workspace = workspace
        self._feed_id = ""
        self._beginning = asyncio.Lock()
        self._there_at: datetime | None = None
        self._there = 0.0
        """The same by the clock that never goes back."""
        self._roster.before_due = self.look

    async def start(self) -> None:
        """We are there again. Where nobody ever had a session there is no feed yet."""
        self._there_at, self._there = self._clock.now(), self._clock.monotonic()
        for workspace in self._workspaces.values():
            if workspace.platform == PLATFORM:
                self._feed_id = workspace.id
                await self._feeds.live(workspace.id)

    def look(self) -> None:
        """We are still there. A longer time in which we were not is the feed's loss, known here at once:
        whoever could send no heartbeat then has not missed any."""
        now, before = self._clock.now(), self._there_at
        was_away, passed = self._was_away(now), self._clock.monotonic() - self._there
        self._there_at, self._there = now, self._clock.monotonic()
        if before is None or not self._feed_id or not was_away:
            return
        log.warning("no heartbeat could be taken for a while", extra={"since": before.isoformat()})
        self._feeds.missed(self._feed_id, min(before, now), now - timedelta(seconds=passed))

    async def watch(self) -> None:
        """The same, and after such a time the feed begins anew, which extends every lease by itself. Raises
        Unavailable where that can't be stored: the next tick, or heartbeat, tries again."""
        self.look()
        async with self._beginning:
            if self._feed_id and self._feed.state is not LIVE:
                await self._feeds.live(self._feed_id)

    @property
    def _feed(self) -> Feed:
        return self._roster.feeds[self._feed_id]

    def _was_away(self, now: datetime) -> bool:
        """We were not there for a while, or the clock was moved: the time that has passed by it is another
        than that by the clock that never goes back."""
        if self._there_at is None:
            return True
        passed = timedelta(seconds=self._clock.monotonic() - self._there)
        return passed > AWAY or abs(now - self._there_at - passed) > AWAY

    def renew(self, agent_id: str, key: str, now: datetime) -> Session | None:
        """A heartbeat that changes nothing but how long the lease lasts, in memory alone. None: it is
        another kind of heartbeat, for `beat`."""
        roster = self._roster
        self.look()
        facts = roster.facts(agent_id)
        link = None if facts is None else sessions.of(facts, key)
        if facts is None or link is None or link.beat_at is None:
            return None
        feed = roster.feeds.get(link.feed_id)
        if (
            feed is None
            or feed.state is not LIVE
            or link.state is not CONNECTED
            or link.epoch != feed.epoch
            or not link.beat_at <= now <= link.beat_at + FIRM
        ):
            return None
        agent = roster.agent(agent_id)
        after, changes = self._decide(facts, key, now, agent.zone if agent else None)
        if changes or needs_storing(facts, after):
            return None
        roster.mark(agent_id, after, now)
        return self._session(after, key, reopened=False)

    async def beat(self, agent: Agent, key: str) -> Session:
        """A heartbeat: opens the session, renews or reopens it; what it changed is durable. Raises
        Conflict where the agent has too many, NotFound for whoever is no agent, Unavailable."""
        async with self._beginning:
            if not self._feed_id:
                workspace = await self._workspace(PLATFORM, EXTERNAL_ID, NAME)
                await self._feeds.live(workspace.id)
                self._feed_id = workspace.id
        await self.watch()
        reopened = False

        def decide(facts: Facts, at: datetime) -> Decision:
            nonlocal reopened
            old = sessions.of(facts, key)
            after, changes = self._decide(facts, key, at, agent.zone)
            new = sessions.of(after, key)
            reopened = (
                old is not None and new is not None and (old.state is DISCONNECTED or old.since != new.since)
            )
            return after, changes

        facts = await self._changes.one(agent.id, decide)
        return self._session(facts, key, reopened=reopened)

    async def log_out(self, agent: Agent, key: str) -> bool:
        """The console is left. False: there was no open session of that key."""
        ended = False

        def decide(facts: Facts, at: datetime) -> Decision:
            nonlocal ended
            old = sessions.of(facts, key)
            after, changes = sessions.log_out(
                facts, key, self._roster.feeds, self._roster.policy, at, agent.zone
            )
            ended = old is not None and old.state is not DISCONNECTED
            return after, changes

        await self._changes.one(agent.id, decide)
        return ended

    def _decide(self, facts: Facts, key: str, at: datetime, zone: str | None) -> Decision:
        return sessions.beat(facts, key, self._feed_id, self._roster.feeds, self._roster.policy, at, zone)

    def _session(self, facts: Facts, key: str, *, reopened: bool) -> Session:
        link = sessions.of(facts, key)
        if link is None:
            raise RuntimeError("a heartbeat leaves a session")
        feed = self._roster.feeds.get(link.feed_id)
        ends = None if feed is None else lease_ends(link, feed, self._roster.policy)
        return Session(key, link, reopened, ends)
