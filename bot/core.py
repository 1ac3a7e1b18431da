"""The core at run time: what platforms and the HTTP API ask of Rollcall, between roster and storage."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from bot.changes import Changes
from bot.config import Config
from bot.domain.agent import Agent, Skill, Team, Workspace
from bot.domain.errors import Unavailable
from bot.domain.events import AuditEntry
from bot.domain.facts import Facts, Feed, FeedState, Observation, SlackAway, with_end
from bot.domain.ids import new_id
from bot.domain.presence import Feeds
from bot.domain.transition import Change, disconnect_identity, observe, remove, review, settle
from bot.domain.transition import Step as Decision
from bot.ports import RESTORED_FROM, Clock, Load, Profile, Sighting, Store, Tracked, Transaction
from bot.roster import Roster
from bot.service import members
from bot.service.deliveries import is_first

log = logging.getLogger("rollcall.core")
IDENTIFIES_A_DAY = 900
"""Discord resets the token of a bot that identifies more than 1,000 times in 24 h."""


class Trouble(Struct, frozen=True):
    """Something is wrong with a platform, and how to repair it."""

    platform: str
    workspace_id: str | None
    sentence: str
    since: datetime


class Rollcall:
    """Implements `bot.ports.Core`, but for dispatch and suggest, which `bot.dispatch` adds."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self.config = config
        self.store = store
        self._clock = clock
        self.roster = Roster(config.presence.policy())
        self.policy = self.roster.policy
        self.changes = Changes(store, self.roster, clock)
        self.change = self.changes.one
        self.notices_owed = self.changes.notices_owed
        self.organization_id = ""
        self.workspaces: dict[str, Workspace] = {}
        self.teams: Sequence[Team] = ()
        self.skills: Sequence[Skill] = ()
        self.troubles: dict[tuple[str, str | None], Trouble] = {}
        self.ready = False
        self._epochs: dict[str, int] = {}
        """Every feed's newest epoch, also while it is off: epochs only rise."""
        self._unreviewed: dict[str, Feeds] = {}
        """Feeds whose state changed, with all feeds as they were, while somebody on them is not reviewed."""
        self._feed_locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    # --- start and tick ---

    async def start(self) -> None:
        """Read everything. What was observed before we stopped is unknown until it is seen again."""
        now = self._clock.now()
        self.organization_id = await self.store.write(lambda tx: members.prepare(tx, self.config, now))
        self.changes.organization_id = self.organization_id
        organization_id = self.organization_id
        everyone = await self.store.write(
            lambda tx: members.apply_configuration(tx, organization_id, self.config, now)
        )
        known = await self.store.read(lambda tx: tx.members.workspaces(organization_id))
        self.workspaces = {workspace.id: workspace for workspace in known}
        self.teams = await self.store.read(lambda tx: tx.members.teams(organization_id))
        self.skills = await self.store.read(lambda tx: tx.members.skills(organization_id))
        stored = await self.store.read(lambda tx: tx.presence.feeds(organization_id))
        loads = await self.store.read(lambda tx: tx.presence.loads(organization_id, now))
        there = Counter(one.workspace_id for agent, _ in everyone for one in agent.identities)
        feeds = []
        for was in stored:
            workspace = self.workspaces.get(was.id)
            self._epochs[was.id] = was.epoch
            if workspace is None:
                continue
            lost = was.lost_at if was.state is not FeedState.LIVE else max(was.seen_at, was.live_at)
            feed = self._feed(workspace, FeedState.DOWN, was.epoch, was.live_at, lost, there[was.id])
            feeds.append(replace(feed, ended=was.ended))
        self.roster.load(everyone, feeds, loads, now)
        for feed in feeds:
            if not self._watched(feed.platform):
                await self.feed_off(feed.id)
        await self._tell_restored(now)
        self.ready = True
        log.info("ready", extra={"agents": len(self.roster), "feeds": len(feeds)})

    async def _tell_restored(self, now: datetime) -> None:
        """The first start on a restored backup says so, in the log and in the audit."""

        def noted(tx: Transaction) -> str | None:
            source = tx.ledger.setting("", RESTORED_FROM)
            if source:
                entry = AuditEntry(
                    new_id("aud", now), self.organization_id, now, "operator", "database.restored", source
                )
                tx.ledger.audit(entry)
                tx.ledger.put_setting("", RESTORED_FROM, "", now)
            return source

        source = await self.store.write(noted)
        if source:
            log.warning("this database was restored from %s: what happened after that backup is gone", source)

    def _watched(self, platform: str) -> bool:
        """Whether the configuration still wants that platform's presence."""
        table = {"discord": self.config.discord, "slack": self.config.slack}
        if platform in table:
            chosen = table[platform]
            return chosen is not None and chosen.presence
        return platform in self.config.platforms

    def _feed(
        self,
        workspace: Workspace,
        state: FeedState,
        epoch: int,
        live_at: datetime,
        lost_at: datetime,
        agents: int,
    ) -> Feed:
        """A feed with the times it deserves: where it is polled, they follow from how many there are."""
        table = self.config.presence
        cycle, grace = timedelta(), table.console_grace
        if workspace.platform == "discord":
            grace = table.discord_grace
        elif workspace.platform == "slack" and self.config.slack is not None:
            cycle = timedelta(minutes=agents / self.config.slack.polls_per_minute)
            grace = max(table.slack_grace, 2 * cycle)
            if grace > table.slack_grace and table.slack_away is SlackAway.ABSENT:
                log.warning(
                    "slack_grace is lengthened to %.0f s: two polling cycles of %d agents",
                    grace.total_seconds(),
                    agents,
                )
        trust = max(table.blind_trust, 2 * cycle)
        return Feed(workspace.id, workspace.platform, state, epoch, live_at, lost_at, grace, trust)

    def _refit(self, workspace_id: str) -> None:
        """Somebody came to a polled feed: one round takes longer now."""
        feed = self._feeds.get(workspace_id)
        if feed is None or feed.platform != "slack":
            return
        fitted = self._now(workspace_id, feed.state, feed.epoch, feed.live_at, feed.lost_at)
        if fitted != feed:
            self.roster.set_feed(fitted)

    async def tick(self) -> None:
        """Store what time has brought about, and finish what the database had no time for."""
        for feed_id in list(self._unreviewed):
            async with self._feed_locks[feed_id]:
                await self._review(feed_id)
        await self.changes.tick()

    @property
    def _feeds(self) -> dict[str, Feed]:
        return self.roster.feeds

    async def mark_feeds_seen(self) -> None:
        """Remember that the live feeds were live now, so that after a crash the blind spell has a start."""
        now = self._clock.now()
        live = [feed for feed in self._feeds.values() if feed.state is FeedState.LIVE]
        if live:

            def save(tx: Transaction) -> None:
                for feed in live:
                    tx.presence.save_feed(self.organization_id, feed, now)

            await self.store.write(save)

    # --- what platforms tell us ---

    async def workspace(self, platform: str, external_id: str, name: str) -> Workspace:
        """The workspace by its platform's id; a new one is added."""
        now = self._clock.now()
        workspace = await self.store.write(
            lambda tx: tx.members.ensure_workspace(self.organization_id, platform, external_id, name, now)
        )
        self.workspaces[workspace.id] = workspace
        return workspace

    async def feed_live(self, workspace_id: str, *, resumed: bool = False) -> int:
        """The stream is live: answers its epoch. See `bot.ports.Core`."""
        async with self._feed_locks[workspace_id]:
            now = self._clock.now()
            old = self._feeds.get(workspace_id)
            lost = now if old is None or old.state is FeedState.LIVE else old.lost_at
            epoch = self._epochs.get(workspace_id, 0) + (0 if resumed and old is not None else 1)
            feed = self._now(workspace_id, FeedState.LIVE, epoch, now, lost)
            if old is not None and epoch != old.epoch:
                feed = replace(feed, ended=with_end(old, lost))
            # Stored before anybody is seen in it: a newer epoch must never be forgotten.
            await self.store.write(lambda tx: tx.presence.save_feed(self.organization_id, feed, now))
            self._epochs[workspace_id] = epoch
            await self._swap(workspace_id, feed)
            log.info("feed is live", extra={"workspace": workspace_id, "epoch": epoch, "resumed": resumed})
            return epoch

    async def feed_lost(self, workspace_id: str, *, since: datetime, stale: bool = False) -> None:
        """We are blind since an instant. Known here at once, whether or not it can be stored."""
        async with self._feed_locks[workspace_id]:
            old = self._feeds.get(workspace_id)
            if old is None or old.state is not FeedState.LIVE:
                return
            now = self._clock.now()
            since = min(max(since, old.live_at), now)
            state = FeedState.STALE if stale else FeedState.DOWN
            feed = self._now(workspace_id, state, old.epoch, old.live_at, since)
            log.warning("feed is lost", extra={"workspace": workspace_id, "since": since.isoformat()})
            await self._swap(workspace_id, feed)
            try:
                await self.store.write(lambda tx: tx.presence.save_feed(self.organization_id, feed, now))
            except Unavailable:  # the stored feed is then taken for lost since it was last noted as seen
                log.warning("a lost feed could not be noted", extra={"workspace": workspace_id})

    async def feed_off(self, workspace_id: str) -> None:
        """This workspace gives no presence: no links at all."""
        async with self._feed_locks[workspace_id]:
            if workspace_id in self._feeds:
                log.info("feed is off", extra={"workspace": workspace_id})
                await self._swap(workspace_id, None)

    def _now(
        self, workspace_id: str, state: FeedState, epoch: int, live_at: datetime, lost_at: datetime
    ) -> Feed:
        workspace, agents = self.workspaces[workspace_id], len(self.roster.on_feed(workspace_id))
        feed = self._feed(workspace, state, epoch, live_at, lost_at, agents)
        old = self._feeds.get(workspace_id)
        return feed if old is None else replace(feed, ended=old.ended)

    async def _swap(self, workspace_id: str, feed: Feed | None) -> None:
        """The feed is another (None: off) from now on. What can't be stored now, the tick stores."""
        self._unreviewed.setdefault(workspace_id, dict(self._feeds))
        if feed is None:
            self.roster.drop_feed(workspace_id)
        else:
            self.roster.set_feed(feed)
        try:
            await self._review(workspace_id)
        except Unavailable:
            log.warning("a feed's review waits for the database", extra={"workspace": workspace_id})

    async def _review(self, feed_id: str) -> None:
        """Everybody on the feed settled by what it was, then reviewed by what it is."""
        before = self._unreviewed.get(feed_id)
        if before is None:
            return

        def decide(facts: Facts, at: datetime, agent: Agent) -> Decision:
            facts, settled = settle(facts, before, self.policy, at)
            facts, came = review(facts, self._feeds, self.policy, at, agent.zone)
            return facts, (*settled, *came)

        await self.changes.many(self.roster.on_feed(feed_id), decide)
        self._unreviewed.pop(feed_id, None)

    async def observe(self, workspace_id: str, epoch: int, sightings: Sequence[Sighting]) -> None:
        """Facts from a feed, durable on return."""
        seen: dict[str, list[Observation]] = {}
        for sighting in sightings:
            known = self.roster.identity(workspace_id, sighting.external_id)
            if known is None:
                continue
            agent, identity = known
            seen.setdefault(agent.id, []).append(
                Observation(identity.id, workspace_id, sighting.seen, sighting.at, epoch, sighting.seq)
            )

        def decide(facts: Facts, at: datetime, agent: Agent) -> Decision:
            changes: tuple[Change, ...] = ()
            for observation in seen[agent.id]:
                facts, came = observe(facts, observation, self._feeds, self.policy, at, agent.zone)
                changes += came
            return facts, changes

        await self.changes.many(list(seen), decide)

    def tracked(self, workspace_id: str) -> Sequence[Tracked]:
        """Identities there, the most important first: Available, then longest unseen."""
        now = self._clock.now()
        found = []
        for agent_id in self.roster.on_feed(workspace_id):
            row = self.roster.row(agent_id, now)
            if row is None:
                continue
            found += [
                Tracked(identity.id, identity.external_id, row.verdict.reachable, row.facts.last_seen_at)
                for identity in row.agent.identities
                if identity.workspace_id == workspace_id and identity.present
            ]
        return sorted(
            found, key=lambda one: (not one.available, one.seen_at.timestamp() if one.seen_at else 0.0)
        )

    async def profile_changed(self, workspace_id: str, profile: Profile) -> None:
        """Name, avatar, zone, admin flag of an agent."""
        known = self.roster.identity(workspace_id, profile.external_id)
        if known is None:
            return
        agent, identity = known
        if members.with_profile(agent, identity, profile) != agent:
            await self.changes.agent(
                agent.id,
                lambda stored: members.with_profile(stored, identity, profile),
                f"platform:{identity.platform}",
            )

    async def member_left(self, workspace_id: str, external_id: str, *, deleted: bool = False) -> None:
        """Left the workspace: disconnected there at once, and removed if they are nowhere else."""
        known = self.roster.identity(workspace_id, external_id)
        if known is None:
            return
        agent, identity = known
        actor = f"platform:{identity.platform}"
        if members.gone(agent, identity).removed:
            await self.remove(agent, actor)
            return

        def decide(facts: Facts, at: datetime) -> Decision:
            return disconnect_identity(facts, identity.id, self._feeds, self.policy, at, agent.zone)

        await self.change(
            agent.id,
            decide,
            actor,
            "agent.account_deleted" if deleted else "agent.left",
            alter=lambda stored: members.gone(stored, identity),
        )

    async def remove(self, agent: Agent, actor: str, delivery: str = "") -> None:
        """No longer an agent: Offline, out of every list; the history stays."""

        def decide(facts: Facts, at: datetime) -> Decision:
            return remove(facts, self._feeds, self.policy, at, agent.zone)

        await self.change(
            agent.id,
            decide,
            actor,
            "agent.removed",
            delivery,
            alter=lambda stored: replace(stored, removed=True),
        )

    async def enrol(self, workspace_id: str, profile: Profile, actor: str, delivery: str = "") -> Agent:
        """Make somebody an agent; whoever may decide that has been asked."""
        now = self._clock.now()
        workspace = self.workspaces[workspace_id]
        agent, facts = await self.store.write(
            lambda tx: members.enrol(
                tx, self.organization_id, workspace, profile, self.config, actor, now, delivery
            )
        )
        self.roster.put(agent, facts, now)
        self._refit(workspace_id)
        return agent

    async def first_time(self, key: str) -> bool:
        """True once for a delivery's key, also across restarts."""
        now = self._clock.now()
        return await self.store.write(lambda tx: is_first(tx, self.organization_id, key, now))

    async def setting(self, key: str) -> str | None:
        """A small thing a platform remembers."""
        return await self.store.read(lambda tx: tx.ledger.setting(self.organization_id, key))

    async def put_setting(self, key: str, value: str) -> None:
        """Remember a small thing."""
        now = self._clock.now()
        await self.store.write(lambda tx: tx.ledger.put_setting(self.organization_id, key, value, now))

    async def identify_budget(self) -> int:
        """How many Discord identifies are left of 900 in 24 h."""
        now = self._clock.now()
        return IDENTIFIES_A_DAY - await self.store.write(lambda tx: tx.ledger.count_identify(now))

    async def count_identify(self) -> None:
        """One more identify."""
        now = self._clock.now()
        await self.store.write(lambda tx: tx.ledger.add_identify(now))

    async def put_load(self, load: Load) -> bool:
        """Units held elsewhere. False: a later report is already here."""
        kept = await self.store.write(lambda tx: tx.presence.put_load(self.organization_id, load))
        if kept:
            self.roster.put_load(load, self._clock.now())
        return kept

    def report(self, platform: str, workspace_id: str | None, trouble: str | None) -> None:
        """A banner for people, or None when it is over."""
        key = (platform, workspace_id)
        if trouble is None:
            if self.troubles.pop(key, None) is not None:
                log.info("%s works again", platform, extra={"workspace": workspace_id})
        else:
            old = self.troubles.get(key)
            if old is None or old.sentence != trouble:
                log.warning("%s: %s", platform, trouble, extra={"workspace": workspace_id})
                self.troubles[key] = Trouble(platform, workspace_id, trouble, self._clock.now())
