"""The feeds of one organization: how far each can be trusted, and who is still to be judged by a change.

A feed is known here at once, whether or not that can be stored. Everybody on it is then reviewed, in the
database's own time: what it had no time for is caught up with as if it had been there.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from bot.changes import Changes
from bot.config import Config
from bot.domain.agent import Agent, Workspace
from bot.domain.errors import Unavailable
from bot.domain.facts import Facts, Feed, FeedState, SlackAway, with_end
from bot.domain.presence import Feeds
from bot.domain.set_back import feed_set_back
from bot.domain.transition import Change, review, settle
from bot.domain.transition import Step as Decision
from bot.ports import Clock, Store, StoredFeed, Transaction

log = logging.getLogger("rollcall.feeds")


CONSOLES = "session"
"""The platform of console sessions, which nobody configures: whoever may set presence sends heartbeats."""


class Span(Struct, frozen=True):
    """All feeds as they were until one of them changed."""

    feed_id: str
    """The one that changed then."""
    feeds: Feeds
    until: datetime


class FeedStates:
    """Whether feeds are live, stale, down or off."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        changes: Changes,
        workspaces: Mapping[str, Workspace],
    ) -> None:
        """`workspaces`: the organization's, by id, as they come to be known."""
        self._config = config
        self._store = store
        self._clock = clock
        self._changes = changes
        self._roster = changes.roster
        self._workspaces = workspaces
        self._epochs: dict[str, int] = {}
        """Every feed's newest epoch, also while it is off: epochs only rise."""
        self._spans: list[Span] = []
        """What all feeds were before each change, as far back as the first that is not reviewed."""
        self._unreviewed: dict[str, Span] = {}
        """By feed on which somebody is not reviewed: what was before its first change since they were."""
        self._changing: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reviewing = asyncio.Lock()

    def known(self, stored: Sequence[StoredFeed], agents: Mapping[str, int]) -> list[Feed]:
        """The feeds as a start finds them: none is live, and each was lost when it was last seen to be.
        `agents`: how many there are, by workspace."""
        found = []
        for was in stored:
            workspace = self._workspaces.get(was.id)
            self._epochs[was.id] = was.epoch
            if workspace is None:
                continue
            lost = was.lost_at if was.state is not FeedState.LIVE else max(was.seen_at, was.live_at)
            feed = self._timed(workspace, FeedState.DOWN, was.epoch, was.live_at, lost, agents.get(was.id, 0))
            found.append(replace(feed, ended=was.ended))
        return found

    async def drop_unwatched(self) -> None:
        """Whatever the configuration no longer wants the presence of is off."""
        for feed in list(self._roster.feeds.values()):
            if not self._watched(feed.platform):
                await self.off(feed.id)

    def _watched(self, platform: str) -> bool:
        """Whether the configuration still wants that platform's presence."""
        table = {"discord": self._config.discord, "slack": self._config.slack}
        if platform == CONSOLES:
            return True
        if platform in table:
            chosen = table[platform]
            return chosen is not None and chosen.presence
        return platform in self._config.platforms

    def _timed(
        self,
        workspace: Workspace,
        state: FeedState,
        epoch: int,
        live_at: datetime,
        lost_at: datetime,
        agents: int,
    ) -> Feed:
        """A feed with the times it deserves: where it is polled, they follow from how many there are."""
        table = self._config.presence
        cycle, grace = timedelta(), table.console_grace
        if workspace.platform == "discord":
            grace = table.discord_grace
        elif workspace.platform == "slack" and self._config.slack is not None:
            cycle = timedelta(minutes=agents / self._config.slack.polls_per_minute)
            grace = max(table.slack_grace, 2 * cycle)
            if grace > table.slack_grace and table.slack_away is SlackAway.ABSENT:
                log.warning(
                    "slack_grace is lengthened to %.0f s: two polling cycles of %d agents",
                    grace.total_seconds(),
                    agents,
                )
        trust = max(table.blind_trust, 2 * cycle)
        return Feed(workspace.id, workspace.platform, state, epoch, live_at, lost_at, grace, trust)

    def _now(
        self, workspace_id: str, state: FeedState, epoch: int, live_at: datetime, lost_at: datetime
    ) -> Feed:
        workspace, agents = self._workspaces[workspace_id], len(self._roster.on_feed(workspace_id))
        feed = self._timed(workspace, state, epoch, live_at, lost_at, agents)
        old = self._roster.feeds.get(workspace_id)
        return feed if old is None else replace(feed, ended=old.ended)

    def refit(self, workspace_id: str) -> None:
        """Somebody came to a polled feed: one round takes longer now."""
        feed = self._roster.feeds.get(workspace_id)
        if feed is None or feed.platform != "slack":
            return
        fitted = self._now(workspace_id, feed.state, feed.epoch, feed.live_at, feed.lost_at)
        if fitted != feed:
            self._roster.set_feed(fitted)

    async def live(self, workspace_id: str, *, resumed: bool = False) -> int:
        """The stream is live: answers its epoch. See `bot.ports.Core`."""
        async with self._changing[workspace_id]:
            now = self._clock.now()
            old = self._roster.feeds.get(workspace_id)
            lost = now if old is None or old.state is FeedState.LIVE else old.lost_at
            epoch = self._epochs.get(workspace_id, 0) + (0 if resumed and old is not None else 1)
            feed = self._now(workspace_id, FeedState.LIVE, epoch, now, lost)
            if old is not None and epoch != old.epoch:
                feed = replace(feed, ended=with_end(old, lost))
            # Stored before anybody is seen in it: a newer epoch must never be forgotten.
            await self._save([feed], now)
            self._epochs[workspace_id] = epoch
            now = self._clock.now()  # storing may have taken long, and nothing was seen meanwhile
            self._swap(workspace_id, replace(feed, live_at=now), now)
            self.refit(workspace_id)
        log.info("feed is live", extra={"workspace": workspace_id, "epoch": epoch, "resumed": resumed})
        await self._review_soon(workspace_id)
        return epoch

    async def lost(self, workspace_id: str, since: datetime, *, stale: bool = False) -> None:
        """We are blind since an instant. Known here at once, whether or not it can be stored."""
        async with self._changing[workspace_id]:
            old = self._roster.feeds.get(workspace_id)
            if old is None or old.state is not FeedState.LIVE:
                return
            now = self._clock.now()
            since = min(max(since, old.live_at), now)
            state = FeedState.STALE if stale else FeedState.DOWN
            feed = self._now(workspace_id, state, old.epoch, old.live_at, since)
            log.warning("feed is lost", extra={"workspace": workspace_id, "since": since.isoformat()})
            self._swap(workspace_id, feed, now)
            try:
                await self._save([feed], now)
            except Unavailable:  # the stored feed is then taken for lost since it was last noted as seen
                log.warning("a lost feed could not be noted", extra={"workspace": workspace_id})
        await self._review_soon(workspace_id)

    def missed(self, workspace_id: str, since: datetime, lost_at: datetime) -> None:
        """We were not there from that instant until now, and noticed nothing: the feed was lost meanwhile,
        until `live` begins it anew. `lost_at`: the same instant by the clock as it now goes, if it was moved.

        At once, so that no answer and no decision counts that time; and without the feed's lock, so for a
        feed whose `live` is not called while it is live."""
        old = self._roster.feeds.get(workspace_id)
        if old is not None and old.state is FeedState.LIVE:
            lost = self._now(workspace_id, FeedState.DOWN, old.epoch, old.live_at, lost_at)
            self._swap(workspace_id, lost, since)

    def set_back(self, by: timedelta, now: datetime) -> None:
        """The clock was set back by so much, to `now`: what had just become of feeds lies ahead by it."""
        for feed in list(self._roster.feeds.values()):
            dated = feed_set_back(feed, by, now)
            if dated != feed:
                self._roster.set_feed(dated)

    async def off(self, workspace_id: str) -> None:
        """This workspace gives no presence: no links at all."""
        async with self._changing[workspace_id]:
            if workspace_id not in self._roster.feeds:
                return
            log.info("feed is off", extra={"workspace": workspace_id})
            self._swap(workspace_id, None, self._clock.now())
        await self._review_soon(workspace_id)

    async def mark_seen(self) -> None:
        """Remember that the live feeds were live now, so that after a crash the blind spell has a start."""
        live = [feed for feed in self._roster.feeds.values() if feed.state is FeedState.LIVE]
        if live:
            await self._save(live, self._clock.now())

    async def _save(self, feeds: Sequence[Feed], now: datetime) -> None:
        def save(tx: Transaction) -> None:
            for feed in feeds:
                tx.presence.save_feed(self._changes.organization_id, feed, now)

        await self._store.write(save)

    async def catch_up(self) -> None:
        """Review whoever the database had no time for. Raises Unavailable where it has none now either."""
        for feed_id in list(self._unreviewed):
            await self._review(feed_id)

    def _swap(self, workspace_id: str, feed: Feed | None, now: datetime) -> None:
        """The feed is another (None: off) from now on."""
        before = Span(workspace_id, dict(self._roster.feeds), now)
        self._spans.append(before)
        self._unreviewed.setdefault(workspace_id, before)
        if feed is None:
            self._roster.drop_feed(workspace_id)
        else:
            self._roster.set_feed(feed)

    async def _review_soon(self, workspace_id: str) -> None:
        """What can't be stored now, the tick stores."""
        try:
            await self._review(workspace_id)
        except Unavailable:
            log.warning("a feed's review waits for the database", extra={"workspace": workspace_id})

    async def _review(self, feed_id: str) -> None:
        """Everybody on the feed, walked through all that feeds have been since it changed: settled up to
        each change, then reviewed by what came of it; at last settled by what is.

        Whoever has been reviewed since (by a command, by being seen, by a walk of which the rest could not
        be stored) is not walked through it again.
        """
        async with self._reviewing:
            first = self._unreviewed.get(feed_id)
            if first is None:
                return
            spans = self._spans[self._spans.index(first) :]
            policy, feeds = self._roster.policy, dict(self._roster.feeds)
            after = [*(span.feeds for span in spans[1:]), feeds]
            walk = list(zip(spans, after, strict=True))
            own = [step for step in walk if step[0].feed_id == feed_id]

            def decide(facts: Facts, at: datetime, agent: Agent) -> Decision:
                changes: tuple[Change, ...] = ()
                where = {identity.workspace_id for identity in agent.identities}
                where.update(link.feed_id for link in facts.links)  # a console's is nobody's workspace
                # What became of feeds that they are not on is nothing to them, and there may be thousands.
                steps = own if len(where) == 1 else [step for step in walk if step[0].feed_id in where]
                for span, became in steps:
                    last, reviewed = span is steps[-1][0], facts.reviewed_at or span.until
                    if reviewed > span.until and not last:
                        continue
                    then = max(span.until, reviewed)
                    facts, settled = settle(facts, span.feeds, policy, then)
                    facts, came = review(facts, became, policy, then, agent.zone)
                    changes += (*settled, *came)
                if self._spans[-1] is spans[-1]:  # else the next walk goes on from here
                    facts, settled = settle(facts, feeds, policy, at)
                    changes += settled
                return facts, changes

            there = self._roster.on_feed(feed_id) or self._roster.linked(feed_id)
            await self._changes.many(there, decide)
            later = self._spans[self._spans.index(spans[-1]) + 1 :]
            again = next((span for span in later if span.feed_id == feed_id), None)
            if again is None:
                del self._unreviewed[feed_id]
            else:
                self._unreviewed[feed_id] = again
            if not self._unreviewed:
                self._spans.clear()
