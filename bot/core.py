"""The core at run time: what platforms and the HTTP API ask of Rollcall, between roster and storage.

A change is decided by the domain from the facts in the roster, committed with compare-and-set on
their version, and only then shown. Whoever loses that race reads again and decides anew.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from bot.config import Config
from bot.domain.agent import Agent, Skill, Team, Workspace
from bot.domain.errors import Conflict, NotFound
from bot.domain.facts import Facts, Feed, FeedState, Observation
from bot.domain.presence import Feeds
from bot.domain.transition import Change, disconnect_identity, observe, remove, review, settle
from bot.domain.transition import Step as Decision
from bot.ports import Clock, Load, Profile, Sighting, Store, Tracked, Transaction
from bot.roster import Roster
from bot.service import members
from bot.service import presence as service
from bot.service.presence import Step, needs_storing

log = logging.getLogger("rollcall.core")
BATCH = 500
"""Agents in one transaction when many change together: a few milliseconds of the writer's time."""
IDENTIFIES_A_DAY = 900
"""Discord resets the token of a bot that identifies more than 1,000 times in 24 h."""
REMEMBER_DELIVERIES = timedelta(hours=25)
"""Slack redelivers for an hour, and events of an hour's outage come for a day at most."""

Decide = Callable[[Facts, datetime], Decision]


def _for_agent(
    decide: Callable[[Facts, datetime, Agent], Decision], agent: Agent, facts: Facts, at: datetime
) -> Decision:
    return decide(facts, at, agent)


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
        self.organization_id = ""
        self.workspaces: dict[str, Workspace] = {}
        self.teams: Sequence[Team] = ()
        self.skills: Sequence[Skill] = ()
        self.troubles: dict[tuple[str, str | None], Trouble] = {}
        self.notices_owed = asyncio.Event()
        self.ready = False
        self._epochs: dict[str, int] = {}
        """Every feed's newest epoch, also while it is off: epochs only rise."""
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
        await self.store.write(
            lambda tx: members.apply_configuration(tx, self.organization_id, self.config, now)
        )
        organization_id = self.organization_id
        known = await self.store.read(lambda tx: tx.members.workspaces(organization_id))
        self.workspaces = {workspace.id: workspace for workspace in known}
        self.teams = await self.store.read(lambda tx: tx.members.teams(organization_id))
        self.skills = await self.store.read(lambda tx: tx.members.skills(organization_id))
        stored = await self.store.read(lambda tx: tx.presence.feeds(organization_id))
        loads = await self.store.read(lambda tx: tx.presence.loads(organization_id, now))
        feeds = []
        for feed_id, state, epoch, live_at, lost_at, seen_at in stored:
            workspace = self.workspaces.get(feed_id)
            self._epochs[feed_id] = epoch
            if workspace is None:
                continue
            lost = lost_at if state is not FeedState.LIVE else max(seen_at, live_at)
            feeds.append(self._feed(workspace, FeedState.DOWN, epoch, live_at, lost))
        everyone = await self.store.read(lambda tx: list(tx.members.everyone(organization_id)))
        self.roster.load(everyone, feeds, loads, now)
        for feed in feeds:
            if not self._watched(feed.platform):
                await self.feed_off(feed.id)
        self.ready = True
        log.info("ready", extra={"agents": len(self.roster), "feeds": len(feeds)})

    def _watched(self, platform: str) -> bool:
        """Whether the configuration still wants that platform's presence."""
        table = {"discord": self.config.discord, "slack": self.config.slack}
        if platform in table:
            chosen = table[platform]
            return chosen is not None and chosen.presence
        return platform in self.config.platforms

    def _feed(
        self, workspace: Workspace, state: FeedState, epoch: int, live_at: datetime, lost_at: datetime
    ) -> Feed:
        table = self.config.presence
        cycle = timedelta()
        grace = table.console_grace
        if workspace.platform == "discord":
            grace = table.discord_grace
        elif workspace.platform == "slack":
            cycle = self.polling_cycle(workspace.id)
            grace = max(table.slack_grace, 2 * cycle)
        trust = max(table.blind_trust, 2 * cycle)
        return Feed(workspace.id, workspace.platform, state, epoch, live_at, lost_at, grace, trust)

    def polling_cycle(self, workspace_id: str) -> timedelta:
        """How long one round of Slack's presence polling takes for the agents there now."""
        slack = self.config.slack
        if slack is None:
            return timedelta()
        return timedelta(minutes=len(self.roster.on_feed(workspace_id)) / slack.polls_per_minute)

    async def tick(self) -> None:
        """Store what time has brought about; queries knew it already."""
        now = self._clock.now()
        due = self.roster.due(now)
        for start in range(0, len(due), BATCH):
            batch = due[start : start + BATCH]
            try:
                await self._change_all(
                    batch, lambda facts, at, _: settle(facts, self._feeds, self.policy, at)
                )
            except BaseException:
                for agent_id in due[start:]:
                    self.roster.due_again(agent_id, now)
                raise

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

    # --- changing facts ---

    async def change(
        self,
        agent_id: str,
        decide: Decide,
        actor: str = "",
        action: str = "",
        delivery: str = "",
        becomes: Agent | None = None,
    ) -> Facts:
        """Decide on one agent's facts, commit, show. Answers the facts as they now are.

        `becomes`: what the agent themselves become with it. A `delivery` that was here before changes
        nothing. Both are stored in the same transaction.
        Raises NotFound, Unavailable, and whatever `decide` refuses with.
        """
        while True:
            before, agent = self.roster.facts(agent_id), self.roster.agent(agent_id)
            if before is None or agent is None:
                raise NotFound("There is no such agent.")
            now = self._clock.now()
            after, changes = decide(before, now)
            if not needs_storing(before, after) and not changes and not action and not delivery:
                self.roster.mark(agent_id, after, now)
                return after
            step = Step(before, after, changes, actor, action)
            try:
                saved = await self.store.write(
                    partial(self._record, [step], now, delivery=delivery, becomes=becomes)
                )
            except Conflict:
                await self.refresh(agent_id)
                continue
            if not saved:
                log.info("delivered again, and left alone", extra={"agent": agent_id})
                return before
            self._show(becomes or self.roster.agent(agent_id) or agent, saved[0], changes, now)
            return saved[0]

    def _record(
        self,
        steps: Sequence[Step],
        now: datetime,
        tx: Transaction,
        delivery: str = "",
        becomes: Agent | None = None,
    ) -> list[Facts]:
        """The steps as stored; nothing where the delivery that caused them was here before."""
        kept_until = now + REMEMBER_DELIVERIES
        if delivery and not tx.ledger.first_time(self.organization_id, delivery, now, kept_until):
            return []
        if becomes is not None:
            members.save(tx, becomes, steps[0].actor, now, steps[0].action)
        return [service.record(tx, self.organization_id, step, now) for step in steps]

    def _show(self, agent: Agent, saved: Facts, changes: Sequence[Change], now: datetime) -> None:
        self.roster.put(agent, saved, now)
        if changes:
            self.notices_owed.set()

    async def _change_all(
        self, agent_ids: Sequence[str], decide: Callable[[Facts, datetime, Agent], Decision]
    ) -> None:
        """Decide on many agents, and commit them together; those who lost a race, one by one."""
        now = self._clock.now()
        steps: list[tuple[Agent, Step]] = []
        for agent_id in agent_ids:
            before, agent = self.roster.facts(agent_id), self.roster.agent(agent_id)
            if before is None or agent is None:
                continue
            after, changes = decide(before, now, agent)
            if needs_storing(before, after) or changes:
                steps.append((agent, Step(before, after, changes)))
            elif after is not before:
                self.roster.mark(agent_id, after, now)
        for start in range(0, len(steps), BATCH):
            batch = steps[start : start + BATCH]
            try:
                saved = await self.store.write(partial(self._record, [step for _, step in batch], now))
            except Conflict:
                for agent, _ in batch:
                    await self.refresh(agent.id)
                    await self.change(agent.id, partial(_for_agent, decide, agent))
                continue
            for (agent, step), facts in zip(batch, saved, strict=True):
                self._show(self.roster.agent(agent.id) or agent, facts, step.changes, now)

    async def refresh(self, agent_id: str) -> None:
        """Read one agent again."""
        agent, facts = await self.store.read(
            lambda tx: (tx.members.agent(agent_id), tx.presence.facts(agent_id))
        )
        if agent is None or facts is None:
            self.roster.drop(agent_id)
        else:
            self.roster.put(agent, facts, self._clock.now())

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
            workspace = self.workspaces[workspace_id]
            await self._swap(self._feed(workspace, FeedState.LIVE, epoch, now, lost))
            log.info("feed is live", extra={"workspace": workspace_id, "epoch": epoch, "resumed": resumed})
            return epoch

    async def feed_lost(self, workspace_id: str, *, since: datetime, stale: bool = False) -> None:
        """We are blind since an instant."""
        async with self._feed_locks[workspace_id]:
            old = self._feeds.get(workspace_id)
            if old is None or old.state is not FeedState.LIVE:
                return
            since = min(max(since, old.live_at), self._clock.now())
            state = FeedState.STALE if stale else FeedState.DOWN
            workspace = self.workspaces[workspace_id]
            await self._swap(self._feed(workspace, state, old.epoch, old.live_at, since))
            log.warning("feed is lost", extra={"workspace": workspace_id, "since": since.isoformat()})

    async def feed_off(self, workspace_id: str) -> None:
        """This workspace gives no presence: no links at all."""
        async with self._feed_locks[workspace_id]:
            if workspace_id in self._feeds:
                before = dict(self._feeds)
                self.roster.drop_feed(workspace_id)
                await self._review(workspace_id, before)
                log.info("feed is off", extra={"workspace": workspace_id})

    async def _swap(self, feed: Feed) -> None:
        now = self._clock.now()
        await self.store.write(lambda tx: tx.presence.save_feed(self.organization_id, feed, now))
        before = dict(self._feeds)
        self._epochs[feed.id] = feed.epoch
        self.roster.set_feed(feed)
        await self._review(feed.id, before)

    async def _review(self, feed_id: str, before: Feeds) -> None:
        """Everybody on the feed settled by what it was, then reviewed by what it is."""

        def decide(facts: Facts, at: datetime, agent: Agent) -> Decision:
            facts, settled = settle(facts, before, self.policy, at)
            facts, came = review(facts, self._feeds, self.policy, at, agent.zone)
            return facts, (*settled, *came)

        await self._change_all(self.roster.on_feed(feed_id), decide)

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

        await self._change_all(list(seen), decide)

    def tracked(self, workspace_id: str) -> Sequence[Tracked]:
        """Identities there, the most important first: Available, then longest unseen."""
        now = self._clock.now()
        self.roster.settle(now)
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
        renewed = members.with_profile(agent, identity, profile)
        if renewed != agent:
            await self.save_agent(renewed, f"platform:{identity.platform}")

    async def save_agent(self, agent: Agent, actor: str, kind: str = "agent.updated") -> None:
        """Store and show an agent as changed."""
        now = self._clock.now()
        await self.store.write(lambda tx: members.save(tx, agent, actor, now, kind))
        facts = self.roster.facts(agent.id)
        if facts is not None:
            self.roster.put(agent, facts, now)

    async def member_left(self, workspace_id: str, external_id: str, *, deleted: bool = False) -> None:
        """Left the workspace: disconnected there at once, and removed if they are nowhere else."""
        known = self.roster.identity(workspace_id, external_id)
        if known is None:
            return
        agent, identity = known
        left = members.gone(agent, identity)
        actor = f"platform:{identity.platform}"
        if left.removed:
            await self.remove(left, actor)
            return

        def decide(facts: Facts, at: datetime) -> Decision:
            return disconnect_identity(facts, identity.id, self._feeds, self.policy, at, agent.zone)

        await self.change(agent.id, decide, actor, "agent.left", becomes=left)

    async def remove(self, agent: Agent, actor: str) -> None:
        """No longer an agent: Offline, out of every list; the history stays."""

        def decide(facts: Facts, at: datetime) -> Decision:
            return remove(facts, self._feeds, self.policy, at, agent.zone)

        await self.change(agent.id, decide, actor, "agent.removed", becomes=replace(agent, removed=True))

    async def enrol(self, workspace_id: str, profile: Profile, actor: str) -> Agent:
        """Make somebody an agent; whoever may decide that has been asked."""
        now = self._clock.now()
        workspace = self.workspaces[workspace_id]
        agent, facts = await self.store.write(
            lambda tx: members.enrol(tx, self.organization_id, workspace, profile, self.config, actor, now)
        )
        self.roster.put(agent, facts, now)
        return agent

    async def first_time(self, key: str) -> bool:
        """True once for a delivery's key, also across restarts."""
        now = self._clock.now()
        return await self.store.write(
            lambda tx: tx.ledger.first_time(self.organization_id, key, now, now + REMEMBER_DELIVERIES)
        )

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
