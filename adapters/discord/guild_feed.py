"""Presence as Discord's gateway tells it: one feed per guild, for the agents there and nobody else.

A feed begins anew with READY and GUILD_CREATE. Then Discord says nothing of what changed before, so
the tracked agents are asked for by name. Between a disconnect and RESUMED its events are held back;
a RESUME that fails throws them away, because the new beginning asks for everything again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice

import discord
from msgspec import Struct

from adapters.discord.hints import GuildHints
from adapters.discord.people import profile_of
from adapters.discord.rest import UNANSWERED
from bot.domain.agent import Workspace
from bot.domain.errors import RollcallError, Unavailable
from bot.domain.facts import Seen
from bot.ports import Core, Profile, Sighting

log = logging.getLogger("rollcall.discord")
AT_ONCE = 100
"""Members that one request may name."""
BATCH = 500
MOST_WAITING = 5_000
"""Sightings kept while the database can't be written; beyond that the feed begins anew."""
ENOUGH_WAITING = 1_000
"""With more than that to be stored nobody else is asked for."""
UNHURRIED = 1.0
"""Seconds between two requests of sweeps, in all guilds together: a connection may send 120 in a minute, and
asking for everybody after a new session needs a hundred for 10,000 agents."""
RETRY = 2.0
DND = "dnd"


def _seen(status: str) -> Seen:
    return Seen.DISCONNECTED if status in ("offline", "invisible") else Seen.CONNECTED


class Stage(StrEnum):
    """How far a guild's feed is."""

    DOWN = "down"
    """Nothing it says counts until it begins anew."""
    LIVE = "live"
    LOST = "lost"
    """The socket is gone, but RESUME may fill the gap: what comes is held back."""


class Begin(Struct, frozen=True):
    """The feed is live: anew, or resumed without a gap."""

    resumed: bool = False


class Lose(Struct, frozen=True):
    """The feed is lost since an instant."""

    since: datetime
    stale: bool = False


class Tell(Struct, frozen=True):
    """A banner of this guild, or its end."""

    trouble: str | None


Step = Begin | Lose | Tell | Sighting


class GuildFeed:
    """The feed of one guild. What it is told it does in order, each step once the one before is durable."""

    def __init__(
        self, core: Core, guild: discord.Guild, roles: Sequence[int], hints: GuildHints, *, presence: bool
    ) -> None:
        self.guild = guild
        self._hints = hints
        self.workspace: Workspace | None = None
        self.presence = presence
        self.stage = Stage.DOWN
        self.watched: dict[int, str] = {}
        """Discord's id of each tracked agent, as number and as text."""
        self._core = core
        self._roles = roles
        self._epoch = 0
        self._seq = 0
        self._beginning = 0
        """Rises with every new beginning, so that answers to questions from before are dropped."""
        self._last: dict[str, tuple[int, str]] = {}
        self._profiles: dict[str, Profile] = {}
        self._steps: deque[Step] = deque()
        self._held: list[Sighting] = []
        self._working: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    # --- what the gateway tells ---

    def begin(self, guild: discord.Guild) -> None:
        """GUILD_CREATE: a new epoch, in which everything must be seen again."""
        self.guild = guild
        self.stage = Stage.LIVE
        self._forget()
        self._put(Begin(), Tell(None))

    def resume(self) -> None:
        """RESUMED: nothing was missed."""
        if self.stage is Stage.LOST:
            self.stage = Stage.LIVE
            self._put(Begin(resumed=True), *self._held)
            self._held = []
            self._show_hints()

    def lose(self, since: datetime, *, stale: bool = False) -> None:
        """The socket is gone; RESUME may follow."""
        if self.stage is Stage.LIVE:
            self.stage = Stage.LOST
            self._put(Lose(since, stale))
            self._hints.lost()

    def end(self, since: datetime, trouble: str | None = None) -> None:
        """No RESUME brings it back: an outage, a removal, a new session."""
        if self.stage is Stage.LIVE:
            self._put(Lose(since))
        self.stage = Stage.DOWN
        self._forget()
        self._hints.ended()
        if trouble is not None:
            self._put(Tell(trouble))

    def saw(self, user_id: int, status: str, seq: int | None = None) -> None:
        """An agent's status: as it came, or as the answer to the question numbered `seq`.

        Repeats go no further. An answer gives way to what came after its question was asked.
        """
        external_id = self.watched.get(user_id)
        if self.stage is Stage.DOWN or not self.presence or external_id is None:
            return
        last = self._last.get(external_id)
        if last is not None and (last[1] == status or (seq is not None and last[0] > seq)):
            return
        if seq is None:
            self._seq = seq = self._seq + 1
        self._last[external_id] = seq, status
        self._hints.quiet(user_id, dnd=status == DND)
        seen = _seen(status)
        if last is not None and _seen(last[1]) is seen:
            return
        sighting = Sighting(external_id, seen, self._core.clock.now(), seq)
        if self.stage is Stage.LOST:
            self._held.append(sighting)
        else:
            self._put(sighting)

    def _forget(self) -> None:
        self._beginning += 1
        self._last.clear()
        self._held.clear()

    # --- what is done about it ---

    def _put(self, *steps: Step) -> None:
        self._steps.extend(steps)
        if len(self._steps) > MOST_WAITING:
            log.warning("too much waits to be stored; %s begins anew", self.guild.id)
            self._forget()
            self._steps = deque(step for step in self._steps if not isinstance(step, Sighting))
            self._steps.append(Begin())
        if not self.working:
            self._working = asyncio.create_task(self._work(), name=f"discord feed {self.guild.id}")

    async def _work(self) -> None:
        while self._steps:
            batch = self._next()
            try:
                await self._do(batch)
            except Unavailable:
                self._steps.extendleft(reversed(batch))
                log.warning("presence of guild %s waits for the database", self.guild.id)
                await self._core.clock.sleep(RETRY)
            except Exception:
                log.exception("a step of guild %s's feed failed", self.guild.id)
                if isinstance(batch[0], Begin | Lose):
                    # Else a dead feed would pass for a live one.
                    self._steps.appendleft(batch[0])
                # Other steps are let go, so that one can't end the feed: the next sweep tells all again.
                self._last.clear()
                await self._core.clock.sleep(RETRY)

    def _next(self) -> list[Step]:
        """As many sightings as stand in front, or one other step."""
        batch = [self._steps.popleft()]
        while (
            self._steps
            and isinstance(batch[0], Sighting)
            and isinstance(self._steps[0], Sighting)
            and len(batch) < BATCH
        ):
            batch.append(self._steps.popleft())
        return batch

    async def _do(self, batch: Sequence[Step]) -> None:
        if self.workspace is None:
            self.workspace = await self._core.workspace("discord", str(self.guild.id), self.guild.name)
        workspace_id = self.workspace.id
        match batch[0]:
            case Begin(resumed=resumed):
                await self._begin(workspace_id, resumed=resumed)
            case Lose(since=since, stale=stale):
                if self.presence:
                    await self._core.feed_lost(workspace_id, since=since, stale=stale)
            case Tell(trouble=trouble):
                self._core.report("discord", workspace_id, trouble)
            case Sighting():
                sightings = [step for step in batch if isinstance(step, Sighting)]
                await self._core.observe(workspace_id, self._epoch, sightings)

    async def _begin(self, workspace_id: str, *, resumed: bool) -> None:
        if not self.presence:
            await self._core.feed_off(workspace_id)
        else:
            self._epoch = await self._core.feed_live(workspace_id, resumed=resumed)
        if not resumed:
            self.watched = {}
            self.ask_for_new()

    # --- asking by name ---

    def ask_for_new(self) -> None:
        """Take up those who are tracked now, and ask for the ones who were not."""
        new = self._track()
        if new and self.stage is not Stage.DOWN:
            self._begin_asking(new)

    def ask_for_all(self, guilds: int = 1) -> None:
        """Ask for everybody tracked: who left, who is called otherwise now, what no event told. A guild that
        has not answered the last time is not asked once more beside it. `guilds`: how many share the
        connection."""
        if self._sweeping is not None and not self._sweeping.done():
            self.ask_for_new()
        else:
            self._track()
            if self.stage is Stage.LIVE:
                self._sweeping = self._begin_asking(list(self.watched), UNHURRIED * guilds)

    def _begin_asking(self, user_ids: Sequence[int], pause: float = 0.0) -> asyncio.Task[None]:
        """Beside everything else: a guild that does not answer holds up nobody."""
        task = asyncio.create_task(self._ask(user_ids, pause), name=f"discord reconcile {self.guild.id}")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    def _track(self) -> list[int]:
        if self.workspace is None:
            return []
        before = self.watched
        ids = [one.external_id for one in self._core.tracked(self.workspace.id)]
        self.watched = {int(external_id): external_id for external_id in ids if external_id.isdigit()}
        for user_id in before.keys() - self.watched.keys():
            self._last.pop(before[user_id], None)
            self._profiles.pop(before[user_id], None)
        self._show_hints()
        return [user_id for user_id in self.watched if user_id not in before]

    def _show_hints(self) -> None:
        if self.workspace is not None and self.stage is Stage.LIVE:
            self._hints.live(self.workspace.id, self.watched)

    async def _ask(self, user_ids: Iterable[int], pause: float) -> None:
        """Raises nothing: what Discord does not answer is asked again, as long as the feed stands; where
        we fail ourselves, the next sweep asks. `pause`: seconds between two requests."""
        beginning, rest = self._beginning, iter(user_ids)
        renewed: list[Profile] = []
        missing: list[int] = []
        try:
            while chunk := list(islice(rest, AT_ONCE)):
                while (members := await self._members(chunk, beginning)) is None:
                    await self._core.clock.sleep(RETRY)
                    if beginning != self._beginning:
                        return
                profiles = [profile_of(one, self._roles) for one in members if one.id in self.watched]
                renewed += [one for one in profiles if self._profiles.get(one.external_id) != one]
                missing += sorted(set(chunk) - {member.id for member in members})
                if len(self._steps) > ENOUGH_WAITING:
                    await self.settled()
                if pause:
                    await self._core.clock.sleep(pause)
                if beginning != self._beginning:
                    return
            # Only now: whoever is seen does not wait until other people's names are written.
            await self._catch_up(renewed, missing, beginning)
        except Exception:
            log.exception("asking for the agents of guild %s failed", self.guild.id)

    async def _members(self, chunk: list[int], beginning: int) -> list[discord.Member] | None:
        """Those of them who are there, what is seen of them told; None without an answer."""
        self._seq = asked = self._seq + 1
        try:
            members = await self.guild.query_members(
                user_ids=chunk, limit=AT_ONCE, presences=self.presence, cache=False
            )
        except (*UNANSWERED, RuntimeError) as trouble:
            log.info("guild %s did not answer: %s", self.guild.id, type(trouble).__name__)
            return None
        if beginning != self._beginning:
            return None
        # Nothing is awaited from here on: a new session must not begin between two of them.
        for member in members:
            if member.id in self.watched:
                self.saw(member.id, member.raw_status, asked)
        return members

    async def _catch_up(self, renewed: Sequence[Profile], missing: Sequence[int], beginning: int) -> None:
        """Pass on who is called otherwise now and who has left, as long as no new session asks for all."""
        for profile in renewed:
            if beginning != self._beginning:
                return
            await self._renew(profile)
        for user_id in missing:
            if beginning != self._beginning:
                return
            await self._missing(user_id)

    async def _renew(self, profile: Profile) -> None:
        """Pass a profile on if it is not the one passed on last."""
        if self.workspace is None or self._profiles.get(profile.external_id) == profile:
            return
        try:
            await self._core.profile_changed(self.workspace.id, profile)
        except RollcallError as refusal:
            log.warning("a profile was not stored: %s", refusal.sentence)
        else:
            self._profiles[profile.external_id] = profile

    async def _missing(self, user_id: int) -> None:
        """Discord left somebody out of its answer. Only its word that there is no such member counts:
        whoever leaves the guild may be removed for good."""
        if self.workspace is None:
            return
        try:
            member = await self.guild.fetch_member(user_id)
        except discord.NotFound as unknown:
            if unknown.code not in (10007, 10013):
                return
            try:
                await self._core.member_left(self.workspace.id, str(user_id), deleted=unknown.code == 10013)
            except RollcallError as refusal:
                log.warning("somebody's leaving was not stored: %s", refusal.sentence)
        except UNANSWERED as trouble:
            log.info("a member could not be looked up: %s", type(trouble).__name__)
        else:
            await self._renew(profile_of(member, self._roles))

    @property
    def working(self) -> bool:
        """Whether a step is not durable yet."""
        return self._working is not None and not self._working.done()

    async def settled(self) -> None:
        """Returns when every step was done."""
        while self._working is not None and not self._working.done():
            await asyncio.wait({self._working})

    def stop(self) -> None:
        """End what is under way."""
        for task in [self._working, *self._asking]:
            if task is not None:
                task.cancel()
