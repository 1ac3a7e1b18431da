"""`/livez` and `/readyz`: whether the process works, and whether it should be sent requests."""

import asyncio

from adapters.http.exchange import JSON, NO_STORE, Answer, Asked
from adapters.http.problems import Problem
from bot.core import Rollcall

LOOK_AGAIN = 1.0
"""Seconds for which one look at the database counts: anybody may ask, so asking must be cheap."""
PATIENCE = 2.5
"""Seconds a look may take; storage itself gives up on a locked file after 2."""


class Health:
    """What the probes are told."""

    def __init__(self) -> None:
        self._cores: list[Rollcall] = []
        self.stopping = False
        self._looked_at: float | None = None
        self._reachable = False
        self._looking = asyncio.Lock()

    def add(self, core: Rollcall) -> None:
        """One organization more, which has to be ready too; all are on one database."""
        self._cores.append(core)

    async def live(self, asked: Asked) -> Answer:
        """The process answers, so it is alive."""
        return Answer(200, [JSON, NO_STORE], b'{"live":true}')

    async def ready(self, asked: Asked) -> Answer:
        """Started, not stopping, the database reachable; else 503 says which is not so."""
        if self.stopping:
            raise Problem("not_ready", "Rollcall is stopping. Ask another one, or wait until it is back.")
        if not all(core.ready for core in self._cores):
            raise Problem("not_ready", "Rollcall is starting. It will be ready in a moment.")
        if not await self._database():
            raise Problem(
                "not_ready", "The database can't be reached. Availability is still answered from memory."
            )
        return Answer(200, [JSON, NO_STORE], b'{"ready":true}')

    async def _database(self) -> bool:
        core = self._cores[0]
        async with self._looking:
            now = core.clock.monotonic()
            if self._looked_at is None or now - self._looked_at >= LOOK_AGAIN:
                organization_id = core.organization_id
                try:
                    async with asyncio.timeout(PATIENCE):
                        await core.store.read(lambda tx: tx.ledger.setting(organization_id, "ready"))
                    self._reachable = True
                except Exception:  # whatever it is: the database could not be read
                    self._reachable = False
                self._looked_at = core.clock.monotonic()
            return self._reachable
