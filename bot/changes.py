"""Changes of agents and their facts: decided from the roster, committed, and only then shown.

Each agent has a lock, so that whatever is decided within this process begins from the newest facts; what
another process changed meanwhile is refused by the stored version, read again and decided anew. Once
begun, a change runs to its end whether or not whoever asked still waits: what was committed is shown.
Where a commit's outcome is not known, the agent is read again until it is.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from bot.domain.agent import Agent
from bot.domain.errors import Conflict, NotFound, Unavailable
from bot.domain.facts import Facts
from bot.domain.transition import Notice, settle
from bot.domain.transition import Step as Decision
from bot.ports import Clock, Load, Store, Transaction
from bot.roster import Roster
from bot.service import members
from bot.service import presence as service
from bot.service.deliveries import is_first
from bot.service.linking import Written
from bot.service.presence import Step, needs_storing

T = TypeVar("T")
log = logging.getLogger("rollcall.changes")
BATCH, LEAST = 500, 20
"""Agents in one transaction when many change together: a few milliseconds of the writer's time. Fewer for
a while after a database that is far away had not the time for so many."""
TRIES = 5
"""How often a change is decided anew when other processes keep changing the same agent."""

Decide = Callable[[Facts, datetime], Decision]
DecideEach = Callable[[Facts, datetime, Agent], Decision]
Alter = Callable[[Agent], Agent]
Together = Callable[[Mapping[str, Facts], datetime, Transaction], Written]


class Changes:
    """Writes what was decided, and keeps the roster what the database is."""

    def __init__(self, store: Store, roster: Roster, clock: Clock) -> None:
        self.store = store
        self.roster = roster
        self.clock = clock
        self.organization_id = ""
        self.notices_owed = asyncio.Event()
        self.events_written = asyncio.Event()
        self.moves = 0
        """Rises whenever an account may have come to another agent: who looked before looks again."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reread: set[str] = set()
        self._size = BATCH
        self._under_way: set[asyncio.Task[object]] = set()

    # --- one agent ---

    async def one(
        self,
        agent_id: str,
        decide: Decide,
        actor: str = "",
        action: str = "",
        delivery: str = "",
        alter: Alter | None = None,
    ) -> Facts:
        """Decide on one agent's facts, commit, show. Answers the facts as they now are.

        `alter`: what becomes of the agent themselves with it. A `delivery` that was here before changes
        nothing. All of it is one transaction. Raises NotFound, Unavailable, Conflict after several
        tries, and whatever `decide` refuses with.
        """
        return await self._to_the_end(self._one(agent_id, decide, actor, action, delivery, alter))

    async def _one(
        self, agent_id: str, decide: Decide, actor: str, action: str, delivery: str, alter: Alter | None
    ) -> Facts:
        async with self._lock(agent_id):
            for attempt in range(TRIES):
                before = self.roster.facts(agent_id)
                if before is None:
                    raise NotFound("There is no such agent.")
                now = self.clock.now()
                self.roster.settle(now)  # no decision by feeds that have missed what is due
                after, changes = decide(before, now)
                if not (needs_storing(before, after) or changes or action or delivery):
                    self.roster.mark(agent_id, after, now)
                    return after
                step = Step(before, after, changes, actor, action)
                try:
                    saved, agent = await self._write(
                        [agent_id], partial(self._record_one, step, now, delivery, alter)
                    )
                except Conflict:
                    if attempt == TRIES - 1:
                        raise
                    await self._refresh(agent_id)
                    continue
                if saved is None:
                    log.info("delivered again, and left alone", extra={"agent": agent_id})
                    return before
                self._show(agent_id, saved, agent, step)
                return saved
        raise AssertionError("the last try answers or raises")

    def _record_one(
        self, step: Step, now: datetime, delivery: str, alter: Alter | None, tx: Transaction
    ) -> tuple[Facts | None, Agent | None]:
        """The facts as stored (None: this delivery was here before) and the agent, if altered."""
        if not is_first(tx, self.organization_id, delivery, now):
            return None, None
        agent = None
        if alter is not None:
            agent = self._altered(tx, step.after.agent_id, alter)
            members.save(tx, agent, step.actor, now, step.action)
        return service.record(tx, self.organization_id, step, now), agent

    def _altered(self, tx: Transaction, agent_id: str, alter: Alter) -> Agent:
        agent = tx.members.agent(agent_id)
        if agent is None or agent.removed:
            raise NotFound("There is no such agent any more.")
        return alter(agent)

    async def agent(
        self, agent_id: str, alter: Alter, actor: str, kind: str = "agent.updated", delivery: str = ""
    ) -> Agent:
        """Alter an agent (name, zone, identities, …) as stored, and show them. What is so already
        writes nothing. Raises NotFound for somebody unknown or removed."""

        def operation(tx: Transaction) -> Agent | None:
            now = self.clock.now()
            if not is_first(tx, self.organization_id, delivery, now):
                return tx.members.agent(agent_id)
            stored = tx.members.agent(agent_id)
            renewed = self._altered(tx, agent_id, alter)
            return renewed if renewed == stored else members.save(tx, renewed, actor, now, kind)

        return await self.stored(agent_id, operation)

    async def stored(self, agent_id: str, operation: Callable[[Transaction], Agent | None]) -> Agent:
        """Run an operation that stores an agent and answers them, and show them as they then are. Raises
        what it raises, and NotFound where it answers None."""
        return await self._to_the_end(self._stored(agent_id, operation))

    async def _stored(self, agent_id: str, operation: Callable[[Transaction], Agent | None]) -> Agent:
        async with self._lock(agent_id):
            agent = await self._write([agent_id], operation)
            facts = self.roster.facts(agent_id)
            if agent is None:
                raise NotFound("There is no such agent any more.")
            if facts is not None:
                self.roster.put(agent, facts, self.clock.now())
            return agent

    async def enrol(self, operation: Callable[[Transaction], tuple[Agent, Facts]]) -> Agent:
        """Run an operation that makes an agent, or finds the one who is there, and show them as stored.
        Raises NotFound where they were removed in the same moment, and what the operation raises."""
        return await self._to_the_end(self._enrol(operation))

    async def _enrol(self, operation: Callable[[Transaction], tuple[Agent, Facts]]) -> Agent:
        agent_id = (await self.store.write(operation))[0].id
        self.events_written.set()
        self._reread.add(agent_id)  # until it is done: they must not be missing because of a hiccup
        await self.refresh(agent_id)
        self._reread.discard(agent_id)
        agent = self.roster.agent(agent_id)
        if agent is None:
            raise NotFound("There is no such agent any more.")
        return agent

    async def load(self, report: Load) -> bool:
        """Keep units held elsewhere, and show them. False: a later report is already here."""
        return await self._to_the_end(self._load(report))

    async def _load(self, report: Load) -> bool:
        kept = await self.store.write(lambda tx: tx.presence.put_load(self.organization_id, report))
        if kept:
            self.roster.put_load(report, self.clock.now())
        return kept

    # --- several agents as one ---

    async def together(self, agent_ids: Sequence[str], operation: Together, also: str = "") -> Written:
        """Run an operation that changes several agents at once, from their newest facts, and show them as
        stored, in the order given. `also`: somebody whom it makes. Raises what it raises."""
        return await self._to_the_end(self._together(sorted(agent_ids), operation, also))

    async def _together(self, agent_ids: Sequence[str], operation: Together, also: str) -> Written:
        async with AsyncExitStack() as alone:
            for agent_id in agent_ids:  # sorted, so that nobody waits in a circle
                await alone.enter_async_context(self._lock(agent_id))
            for attempt in range(TRIES):
                known = {agent_id: self.roster.facts(agent_id) for agent_id in agent_ids}
                before = {agent_id: facts for agent_id, facts in known.items() if facts is not None}
                if len(before) < len(agent_ids):
                    raise NotFound("One of these agents was removed just now. Nothing was changed.")
                now = self.clock.now()
                self.roster.settle(now)
                touched = [*agent_ids, *filter(None, (also,))]
                try:
                    written = await self._write(touched, partial(operation, before, now))
                except Conflict:
                    if attempt == TRIES - 1:
                        raise
                    for agent_id in agent_ids:
                        await self._refresh(agent_id)
                    continue
                for agent, facts in written.agents:
                    self.roster.put(agent, facts, self.clock.now())
                self.moves += 1
                return written
        raise AssertionError("the last try answers or raises")

    # --- many agents ---

    async def many(self, agent_ids: Sequence[str], decide: DecideEach) -> None:
        """Decide on many agents and commit them in a few transactions. Whoever is no longer an agent is
        passed over, and so is, with a line in the log, whoever can't be decided on. Raises Unavailable at
        the first batch that can't be stored; those before it are."""
        start = 0
        while start < len(agent_ids):
            batch = agent_ids[start : start + self._size]
            try:
                await self._to_the_end(self._batch(batch, decide))
            except Conflict:
                for agent_id in batch:
                    agent = self.roster.agent(agent_id)
                    if agent is not None:
                        await self._one_of_many(agent, decide)
            except Unavailable:
                self._size = max(LEAST, len(batch) // 2)
                raise
            else:
                self._size = min(BATCH, self._size + LEAST)
            start += len(batch)

    async def _one_of_many(self, agent: Agent, decide: DecideEach) -> None:
        try:
            await self.refresh(agent.id)
            await self.one(agent.id, lambda facts, at: decide(facts, at, agent))
        except NotFound:
            log.info("no longer an agent, and passed over", extra={"agent": agent.id})
        except Unavailable:
            raise
        except Exception:
            log.exception("nothing can be decided on an agent", extra={"agent": agent.id})

    async def _batch(self, agent_ids: Sequence[str], decide: DecideEach) -> None:
        async with AsyncExitStack() as alone:
            for agent_id in sorted(agent_ids):  # in one order everywhere, so that nobody waits in a circle
                await alone.enter_async_context(self._lock(agent_id))
            now = self.clock.now()
            self.roster.settle(now)
            steps: list[Step] = []
            for agent_id in agent_ids:
                before, agent = self.roster.facts(agent_id), self.roster.agent(agent_id)
                if before is None or agent is None:
                    continue
                try:
                    after, changes = decide(before, now, agent)
                except Exception:  # one agent's trouble must not stop everybody's time
                    log.exception("nothing can be decided on an agent", extra={"agent": agent_id})
                    continue
                if needs_storing(before, after) or changes:
                    steps.append(Step(before, after, changes))
                elif after is not before:
                    self.roster.mark(agent_id, after, now)
            if not steps:
                return
            saved = await self._write(
                [step.after.agent_id for step in steps], partial(self._record_many, steps, now)
            )
            for step, facts in zip(steps, saved, strict=True):
                self._show(step.after.agent_id, facts, None, step)

    def _record_many(self, steps: Sequence[Step], now: datetime, tx: Transaction) -> list[Facts]:
        return [service.record(tx, self.organization_id, step, now) for step in steps]

    # --- time, and keeping the roster true ---

    async def tick(self) -> None:
        """Store what time has brought about; queries knew it already. Read again whoever is in doubt."""
        for agent_id in list(self._reread):
            try:
                await self.refresh(agent_id)
            except Unavailable:
                raise
            except Exception:
                log.exception("an agent can't be read again", extra={"agent": agent_id})
            self._reread.discard(agent_id)
        now = self.clock.now()
        due = self.roster.due(now)
        try:
            await self.many(due, self._settled)
        except BaseException:
            for agent_id in due:
                self.roster.due_again(agent_id, now)
            raise

    def _settled(self, facts: Facts, at: datetime, _: Agent) -> Decision:
        return settle(facts, self.roster.feeds, self.roster.policy, at)

    async def refresh(self, agent_id: str) -> None:
        """Read one agent again, when nothing is being changed about them here."""
        async with self._lock(agent_id):
            await self._refresh(agent_id)

    async def _refresh(self, agent_id: str) -> None:
        agent, facts = await self.store.read(
            lambda tx: (tx.members.agent(agent_id), tx.presence.facts(agent_id))
        )
        self.moves += 1
        if agent is None or facts is None:
            self.roster.drop(agent_id)
        else:
            self.roster.put(agent, facts, self.clock.now())

    async def finish(self) -> None:
        """Waits for what is under way, however it ends."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _show(self, agent_id: str, saved: Facts, altered: Agent | None, step: Step) -> None:
        agent = altered or self.roster.agent(agent_id)
        if agent is not None:
            self.roster.put(agent, saved, self.clock.now())
        if any(isinstance(change, Notice) for change in step.changes):
            self.notices_owed.set()

    async def _write(self, agent_ids: Sequence[str], operation: Callable[[Transaction], T]) -> T:
        """One transaction. Whoever's outcome is not known is read again with the next tick."""
        try:
            written = await self.store.write(operation)
        except Unavailable:
            self._reread.update(agent_ids)
            raise
        self.events_written.set()
        return written

    async def _to_the_end(self, work: Coroutine[object, object, T]) -> T:
        """Await it; when the caller is cancelled, it still runs to its end."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    def _lock(self, agent_id: str) -> asyncio.Lock:
        lock = self._locks.get(agent_id)
        if lock is None:
            lock = self._locks[agent_id] = asyncio.Lock()
        return lock
