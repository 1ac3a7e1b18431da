"""The teams and skills of an organization in memory: changed one at a time, and shown with who is in them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from bot.changes import Changes
from bot.domain.agent import Skill, Team, slug_among
from bot.domain.errors import Unavailable
from bot.ports import Clock, Store, Transaction

T = TypeVar("T")


class Lists:
    """What there is, in order; read and changed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        changes: Changes,
        shown: Callable[[Sequence[Team], datetime], None],
    ) -> None:
        """`shown`: is told of the teams whenever they were read, with their hours."""
        self._store = store
        self._clock = clock
        self._changes = changes
        self._shown = shown
        self._alone = asyncio.Lock()
        self._in_doubt = False
        self.teams: Sequence[Team] = ()
        self.skills: Sequence[Skill] = ()

    async def read(self) -> None:
        """As they now are. Raises Unavailable."""
        async with self._alone:  # an older reading never takes the place of a newer one
            await self._read()

    async def _read(self) -> None:
        organization_id = self._changes.organization_id
        teams, skills = await self._store.read(
            lambda tx: (tx.members.teams(organization_id), tx.members.skills(organization_id))
        )
        self.take(teams, skills)

    def take(self, teams: Sequence[Team], skills: Sequence[Skill]) -> None:
        """These they are. On the event loop: what follows from it is shown at once."""
        self.teams, self.skills = teams, skills
        self._shown(teams, self._clock.now())

    async def change(self, operation: Callable[[Transaction, datetime], T]) -> T:
        """Change them, and show them; also with whoever is in one whose slug changed. Raises what the
        operation raises."""
        now = self._clock.now()
        async with self._alone:  # one at a time, so that a slug is not taken twice
            try:
                changed = await self._store.write(lambda tx: operation(tx, now))
                self._changes.events_written.set()
                await self._show()
            except Unavailable:  # perhaps it was changed: the next tick looks
                self._in_doubt = True
                raise
            return changed

    async def catch_up(self) -> None:
        """Read them again where it is not known what became of a change."""
        if self._in_doubt:
            async with self._alone:
                await self._show()

    async def _show(self) -> None:
        await self._read()
        self._in_doubt = False
        teams, skills = {one.slug for one in self.teams}, {one.slug for one in self.skills}
        everyone = self._changes.roster.everyone()
        moved = [
            one.id for one in everyone if not (teams.issuperset(one.teams) and skills.issuperset(one.skills))
        ]
        await self._changes.reread(moved)

    def team_now(self, slug: str) -> str:
        """The slug that a team now has, by one that it has or had before; the same where there is none."""
        return slug_among(self.teams, slug) or slug
