"""Events to whoever follows them: read in order once they are committed, and each handed on once.

The outbox is the truth. A commit of this process wakes the publisher; what other processes write (`rollcall
apply`) is found by looking again every second, and taken over before it is handed on. Positions follow the
order of commits, so whoever has everything up to a position misses nothing by going on behind it (I12).
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec import Struct

from bot.core import Rollcall
from bot.domain.errors import Unavailable
from bot.domain.events import Event
from bot.ports import EVENTS_FORGOTTEN, EVENTS_MARK, Transaction

log = logging.getLogger("rollcall.events")
LOOK_AGAIN = 1.0
"""Seconds after which events are looked for without being woken."""
AT_ONCE = 100
"""Events in one reading: some 40 kB as they are sent."""
_NAME = re.compile(r"(?:([0-9a-f]{1,16})-)?([0-9]{1,18})", re.ASCII)

Placed = tuple[int, Event]


class Page(Struct, frozen=True):
    """Events behind a position."""

    events: Sequence[Placed]
    last: int
    """Go on behind this one."""
    missed: bool = False
    """Some of what came behind that position is here no more, or there never was such a position: `last` is
    the newest there is, and whoever goes on from there has to read anew how things stand."""
    more: bool = False


class Publisher:
    """Hands the events of one organization on, in order, each once."""

    def __init__(self, core: Rollcall, hand_on: Callable[[Sequence[Placed]], Awaitable[None]]) -> None:
        """`hand_on` gets what comes after `begin`, some events at a time."""
        self._core = core
        self._hand_on = hand_on
        self._alone = asyncio.Lock()
        self._mark = ""
        self._blind = False
        self.head = 0
        """The position up to which everything was handed on."""

    async def begin(self, newest: int) -> Sequence[Placed]:
        """The newest events, the oldest of them first; later ones are handed on. Raises Unavailable."""
        organization_id = self._core.organization_id

        def read(tx: Transaction) -> tuple[str | None, Sequence[Placed]]:
            mark = tx.ledger.setting(organization_id, EVENTS_MARK)
            return mark, tx.ledger.newest_events(organization_id, newest)

        mark, found = await self._core.store.read(read)
        await self._take_over(event for position, event in found if position > self._core.read_at)
        self._mark = mark or ""
        self.head = found[-1][0] if found else 0
        return found

    async def run(self) -> None:
        """Hands on until cancelled."""
        written, clock = self._core.changes.events_written, self._core.clock
        while True:
            written.clear()
            try:
                await self.publish()
                self._blind = False
            except Unavailable as problem:
                if not self._blind:
                    log.warning("events wait: %s", problem.sentence)
                self._blind = True
            except Exception:
                log.exception("events could not be handed on")
            waiting = asyncio.ensure_future(written.wait())
            sleeping = asyncio.ensure_future(clock.sleep(LOOK_AGAIN))
            try:
                await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                sleeping.cancel()

    async def publish(self) -> None:
        """Hand on whatever is committed by now. Raises Unavailable."""
        organization_id = self._core.organization_id
        async with self._alone:
            while True:
                after = self.head
                found = await self._core.store.read(
                    lambda tx: tx.ledger.events_after(organization_id, after, AT_ONCE)  # noqa: B023
                )
                if not found:
                    return
                await self._take_over(event for _, event in found)
                self.head = found[-1][0]
                await self._hand_on(found)

    async def _take_over(self, events: Iterable[Event]) -> None:
        """Read again what these events of agents, teams and skills tell of: another process may have written
        them. Raises Unavailable."""
        told = [event for event in events if event.type.startswith(("agent.", "team.", "skill."))]
        if not told:
            return
        core = self._core
        await core.read_lists()
        touched = list(dict.fromkeys(event.agent_id for event in told if event.agent_id is not None))
        for agent_id in touched:
            try:
                await core.changes.refresh(agent_id)
            except Unavailable:
                raise
            except Exception:  # one agent's trouble must not keep everybody's events back
                log.exception("an agent can't be read again", extra={"agent": agent_id})
        agents = filter(None, map(core.roster.agent, touched))
        for workspace_id in {one.workspace_id for agent in agents for one in agent.identities}:
            core.feeds.refit(workspace_id)

    async def page(self, after: int | None, limit: int) -> Page:
        """At most `limit` events behind a position; None: from the oldest kept. Raises Unavailable."""
        organization_id = self._core.organization_id

        def read(tx: Transaction) -> Page:
            forgotten = int(tx.ledger.setting(organization_id, EVENTS_FORGOTTEN) or 0)
            newest = tx.ledger.newest_events(organization_id, 1)
            last = newest[-1][0] if newest else forgotten
            begin = forgotten if after is None else after
            if not forgotten <= begin <= last:
                return Page((), last, missed=True)
            found = tx.ledger.events_after(organization_id, begin, limit + 1)
            shown = found[:limit]
            return Page(shown, shown[-1][0] if shown else begin, more=len(found) > limit)

        return await self._core.store.read(read)

    def name_of(self, position: int) -> str:
        """A position as it is told. After a backup was restored, positions are given a second time: the mark
        of the restoring tells them from the first."""
        return f"{self._mark}-{position}" if self._mark else str(position)

    def position_of(self, name: str) -> int | None:
        """The position that was told as this; None: it is not one that counts here."""
        found = _NAME.fullmatch(name)
        if found is None or (found[1] or "") != self._mark:
            return None
        return int(found[2])
