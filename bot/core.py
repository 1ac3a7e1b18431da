"""The core at run time: what platforms and the HTTP API ask of Rollcall, between roster and storage."""

import logging
from collections import Counter
from collections.abc import Container, Sequence
from datetime import datetime
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from bot.changes import BATCH, Alter, Changes
from bot.clock_watch import ClockWatch
from bot.config import Config
from bot.domain.agent import Agent, Identity, Skill, Team, Workspace
from bot.domain.errors import NotFound
from bot.domain.events import AuditEntry
from bot.domain.facts import Facts, Observation
from bot.domain.hints import Hint, HintKind, OnHint
from bot.domain.ids import new_id
from bot.domain.transition import Change, disconnect_identity, observe, remove
from bot.domain.transition import Step as Decision
from bot.feeds import FeedStates
from bot.ports import (
    EVENTS_MARK,
    RESTORED_FROM,
    Clock,
    HintSighting,
    Load,
    Profile,
    Sighting,
    Store,
    Tracked,
    Transaction,
)
from bot.roster import Roster
from bot.service import configured, externals, members
from bot.service.deliveries import is_first
from bot.sessions import Sessions

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
        self.reasons = config.reasons()
        self.roster = Roster(config.presence.policy(), self.reasons)
        self.policy = self.roster.policy
        self.changes = Changes(store, self.roster, clock)
        self.change = self.changes.one
        self.notices_owed = self.changes.notices_owed
        self.organization_id = ""
        self.workspaces: dict[str, Workspace] = {}
        self.feeds = FeedStates(config, store, clock, self.changes, self.workspaces)
        self.sessions = Sessions(clock, self.changes, self.feeds, self.workspaces, self.workspace)
        self.clock_watch = ClockWatch(clock, self.changes, self.feeds, self.report)
        self.teams: Sequence[Team] = ()
        self.skills: Sequence[Skill] = ()
        self.troubles: dict[tuple[str, str | None], Trouble] = {}
        self.ready = False

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    # --- start and tick ---

    async def start(self) -> None:
        """Read everything. What was observed before we stopped is unknown until it is seen again."""
        now = self._clock.now()
        begun = await self.store.write(lambda tx: configured.begin(tx, self.config, now))
        self.organization_id = begun.organization_id
        self.changes.organization_id = self.organization_id
        organization_id = self.organization_id
        known = await self.store.read(lambda tx: tx.members.workspaces(organization_id))
        self.workspaces.update((workspace.id, workspace) for workspace in known)
        await self.read_lists()
        everyone = await self._everyone(begun, now)
        stored = await self.store.read(lambda tx: tx.presence.feeds(organization_id))
        loads = await self.store.read(lambda tx: tx.presence.loads(organization_id, now))
        there = Counter(one.workspace_id for agent, _ in everyone for one in agent.identities)
        feeds = self.feeds.known(stored, there)
        self.roster.load(everyone, feeds, loads, now)
        await self.feeds.drop_unwatched()
        await self.sessions.start()
        self.clock_watch.begin([feed.seen_at for feed in stored])
        await self._tell_restored(now)
        self.ready = True
        log.info("ready", extra={"agents": len(self.roster), "feeds": len(feeds)})

    async def read_lists(self) -> None:
        """The teams and skills as they now are."""
        organization_id = self.organization_id
        self.teams, self.skills = await self.store.read(
            lambda tx: (tx.members.teams(organization_id), tx.members.skills(organization_id))
        )

    async def _everyone(self, begun: configured.Beginning, now: datetime) -> list[tuple[Agent, Facts]]:
        """Everybody, with what has changed for them in the configuration since the last start, stored in
        transactions of a bearable size."""
        everyone = await self.store.read(lambda tx: list(tx.members.everyone(self.organization_id)))
        if begun.was == begun.said:
            return everyone
        known = list(self.workspaces.values())
        before = begun.was.places(known) if begun.was is not None else None
        after = begun.said.places(known)
        teams, skills = [team.slug for team in self.teams], [skill.slug for skill in self.skills]
        placed = [(begun.moved(agent, before, after, teams, skills), facts) for agent, facts in everyone]
        moved = [one for (one, _), (was, _) in zip(placed, everyone, strict=True) if one is not was]
        for start in range(0, len(moved), BATCH):
            batch = moved[start : start + BATCH]
            await self.store.write(partial(members.save_all, batch, "operator", now))
        await self.store.write(lambda tx: configured.remember(tx, begun, now))
        return placed

    async def _tell_restored(self, now: datetime) -> None:
        """The first start on a restored backup says so, in the log and in the audit of every organization:
        positions are given a second time also in those that start later, or never."""
        source = await self.store.read(lambda tx: tx.ledger.setting("", RESTORED_FROM))
        if not source:
            return

        def noted(tx: Transaction) -> None:
            for one in tx.members.organizations():
                entry = AuditEntry(new_id("aud", now), one, now, "operator", "database.restored", source)
                tx.ledger.audit(entry)
                tx.ledger.put_setting(one, EVENTS_MARK, f"{int(now.timestamp()):x}", now)
            tx.ledger.put_setting("", RESTORED_FROM, "", now)

        await self.store.write(noted)
        log.warning("this database was restored from %s: what happened after that backup is gone", source)

    async def tick(self) -> None:
        """Store what time has brought about, and finish what the database had no time for."""
        self.clock_watch.look()
        await self.sessions.watch()
        await self.feeds.catch_up()
        await self.clock_watch.put_right()
        await self.changes.tick()

    async def mark_feeds_seen(self) -> None:
        """Remember that the live feeds were live now, so that after a crash the blind spell has a start."""
        await self.feeds.mark_seen()

    async def forget(self) -> bool:
        """Delete some of what has been kept for long enough. True: there is more of it."""
        now = self._clock.now()
        return await self.store.write(lambda tx: tx.ledger.forget(self.organization_id, now))

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
        return await self.feeds.live(workspace_id, resumed=resumed)

    async def feed_lost(self, workspace_id: str, *, since: datetime, stale: bool = False) -> None:
        """We are blind since an instant. See `bot.ports.Core`."""
        await self.feeds.lost(workspace_id, since, stale=stale)

    async def feed_off(self, workspace_id: str) -> None:
        """This workspace gives no presence. See `bot.ports.Core`."""
        await self.feeds.off(workspace_id)

    async def observe(self, workspace_id: str, epoch: int, sightings: Sequence[Sighting]) -> None:
        """Facts from a feed, durable on return."""
        moves = self.changes.moves
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
                if not any(one.id == observation.identity_id for one in agent.identities):
                    continue  # another agent's by now, and told to them below
                facts, came = observe(facts, observation, self.roster.feeds, self.policy, at, agent.zone)
                changes += came
            return facts, changes

        await self.changes.many(list(seen), decide)
        if self.changes.moves != moves:
            again = [one for one in sightings if self._moved(workspace_id, one.external_id, seen)]
            if again:
                await self.observe(workspace_id, epoch, again)

    def _moved(self, workspace_id: str, external_id: str, told: Container[str]) -> bool:
        """Whether an account is by now that of an agent who was not told."""
        agent = self.roster.by_identity(workspace_id, external_id)
        return agent is not None and agent.id not in told

    def hint(self, workspace_id: str, sightings: Sequence[HintSighting]) -> None:
        """Hints as they are seen, in memory only. See `bot.ports.Core`."""
        now = self._clock.now()
        for seen in sightings:
            known = self.roster.identity(workspace_id, seen.external_id)
            if known is None or self.policy.on_hint(seen.kind) is OnHint.OFF:
                continue
            hint = None
            if seen.holds:
                old = self.roster.hint(workspace_id, seen.external_id, seen.kind)
                standing = old.since if old is not None and old.holds(now) else now
                hint = Hint(seen.kind, known[1].platform, seen.since or standing, seen.until_at)
            self.roster.put_hint(workspace_id, seen.external_id, seen.kind, hint, now)

    def hints_lost(self, workspace_id: str, kind: HintKind | None = None) -> None:
        """Hints can't be seen there any more. See `bot.ports.Core`."""
        now = self._clock.now()
        for external_id in self.roster.hinting(workspace_id):
            for one in HintKind:
                if kind in (None, one):
                    self.roster.put_hint(workspace_id, external_id, one, None, now)

    def _forget_hints(self, identities: Sequence[Identity]) -> None:
        """Nobody looks at these accounts any more."""
        now = self._clock.now()
        for identity in identities:
            for kind in HintKind:
                self.roster.put_hint(identity.workspace_id, identity.external_id, kind, None, now)

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
        while True:
            known = self.roster.identity(workspace_id, external_id)
            if known is None:
                return
            try:
                await self._left(*known, deleted=deleted)
            except NotFound:
                if self.roster.identity(workspace_id, external_id) == known:
                    raise
                continue  # the account came to another agent meanwhile, or another account to this agent
            return

    async def _left(self, agent: Agent, identity: Identity, *, deleted: bool) -> None:
        actor = f"platform:{identity.platform}"
        last = members.gone(agent, identity).removed

        def alter(stored: Agent) -> Agent:
            left = members.gone(stored, identity)
            if left.removed is not last or all(one.id != identity.id for one in stored.identities):
                raise NotFound("Somebody's accounts have just changed.")
            return left

        if last:
            await self.remove(agent, actor, alter=alter)
            return

        def decide(facts: Facts, at: datetime) -> Decision:
            return disconnect_identity(facts, identity.id, self.roster.feeds, self.policy, at, agent.zone)

        await self.change(
            agent.id,
            decide,
            actor,
            "agent.account_deleted" if deleted else "agent.left",
            alter=alter,
        )
        self._forget_hints([identity])

    async def remove(
        self, agent: Agent, actor: str, delivery: str = "", alter: Alter = lambda stored: stored
    ) -> None:
        """No longer an agent: Offline, out of every list; the history stays. `alter`: what else becomes of
        them, or a refusal."""

        def decide(facts: Facts, at: datetime) -> Decision:
            return remove(facts, self.roster.feeds, self.policy, at, agent.zone)

        await self.change(
            agent.id,
            decide,
            actor,
            "agent.removed",
            delivery,
            alter=lambda stored: replace(alter(stored), removed=True),
        )
        self._forget_hints(agent.identities)

    async def enrol(self, workspace_id: str, profile: Profile, actor: str, delivery: str = "") -> Agent:
        """Make somebody an agent; whoever may decide that has been asked."""
        now = self._clock.now()
        workspace = self.workspaces[workspace_id]
        agent = await self.changes.enrol(
            lambda tx: members.enrol(
                tx, self.organization_id, workspace, profile, self.config, actor, now, delivery
            )
        )
        self.feeds.refit(workspace_id)
        return agent

    async def name_agent(self, agent_id: str, system: str, external_id: str | None, actor: str) -> Agent:
        """Let another system know the agent as `external_id`, or (None) no longer. Raises NotFound, and
        Conflict where another agent has that id."""
        now = self._clock.now()
        return await self.changes.stored(
            agent_id, lambda tx: externals.name_agent(tx, agent_id, system, external_id, actor, now)
        )

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
        now, mine = self._clock.now(), self.organization_id
        return IDENTIFIES_A_DAY - await self.store.write(lambda tx: tx.ledger.count_identify(mine, now))

    async def count_identify(self) -> None:
        """One more identify."""
        now, mine = self._clock.now(), self.organization_id
        await self.store.write(lambda tx: tx.ledger.add_identify(mine, now))

    async def put_load(self, load: Load) -> bool:
        """Units held elsewhere. False: a later report is already here."""
        return await self.changes.load(load)

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
