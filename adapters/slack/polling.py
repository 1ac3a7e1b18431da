"""Presence, asked for one agent at a time: Slack tells no app when somebody comes or goes.

`users.getPresence` is Tier 3, about 50 calls a minute for a workspace. A cycle asks each tracked agent
once, those that matter most first, so nobody waits longer than one cycle and nobody is forgotten.
"""

import logging
from datetime import UTC, datetime, timedelta

from adapters.slack.troubles import Troubles, scope_missing, unreachable
from adapters.slack.web import Refused, Web
from bot.domain.errors import RollcallError
from bot.domain.facts import Seen
from bot.ports import Core, RetryLater, Sighting

CYCLE = 15.0
"""Seconds a cycle lasts at least: Slack itself notices nothing faster."""
BLIND = 60.0
"""Seconds without an answer that are borne at least, before a missed cycle counts as blindness."""
FAILURES = 3
IDLE_PROBE = 60.0
SETUP_WAIT = 300.0
OFF_AGAIN = 5.0
"""Seconds until the end of a feed that could not be stored is tried again."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SETUP = frozenset(
    ["missing_scope", "not_allowed_token_type", "access_denied", "no_permission", "team_access_not_granted"]
)
_NOBODY = frozenset(["user_not_found", "user_not_visible", "user_disabled", "users_not_found"])
_SEEN = {"active": Seen.CONNECTED, "away": Seen.AWAY}
_MISSED = "presence is shown as it was last seen, marked unconfirmed."

log = logging.getLogger("rollcall.slack")


class Poller:
    """The presence feed of one workspace."""

    def __init__(
        self, web: Web, core: Core, troubles: Troubles, workspace_id: str, bot_user: str, per_minute: int
    ) -> None:
        self._web = web
        self._core = core
        self._troubles = troubles
        self._workspace_id = workspace_id
        self._bot_user = bot_user
        self._pause = 60.0 / per_minute
        self._epoch: int | None = None
        self._blind = False
        self._asked: set[str] = set()
        self._number = 0
        self._answered_at = self._now()
        # How long something lasts is never told by the wall clock, which may be set back.
        self._cycle_began = self._heard = core.clock.monotonic()
        self._failures = 0

    def _now(self) -> datetime:
        return self._core.clock.now()

    async def run(self) -> None:
        """Polls until cancelled. Raises TokenDead once Slack refuses the token; the feed is lost then."""
        while True:
            await self._core.clock.sleep(await self._turn())

    async def lost(self) -> None:
        """Tell the core that we are blind since the last answer; once for one blindness."""
        self._epoch, self._blind = None, True
        self._asked.clear()
        await self._core.feed_lost(self._workspace_id, since=self._answered_at)

    async def _turn(self) -> float:
        """Ask for one, and answer how long to wait before the next."""
        user_id = self._next()
        if user_id is None:
            return self._pause
        asked_at, asked = self._now(), self._core.clock.monotonic()
        try:
            answer = await self._web.call("users.getPresence", user=user_id)
        except RetryLater as later:
            return await self._failed(later.after)
        except Refused as no:
            if no.error in _SETUP:
                return await self._not_set_up(no)
            if no.error not in _NOBODY:
                return await self._failed(None)
            log.info("Slack shows no presence of %s: %s", user_id, no.error)
            seen = None
        else:
            seen = _SEEN.get(str(answer.get("presence")))
        try:
            await self._answered(user_id, seen, asked_at, asked)
        except RollcallError as problem:
            log.warning("An observation could not be kept and is asked for again: %s", problem.sentence)
        return self._pause

    def _next(self) -> str | None:
        """The most important one not yet asked in this cycle; None while there is nobody to ask."""
        tracked = [one.external_id for one in self._core.tracked(self._workspace_id)]
        now = self._core.clock.monotonic()
        if not tracked:
            # Nobody to watch: our own presence tells whether we could.
            return self._bot_user if self._epoch is None or now - self._heard >= IDLE_PROBE else None
        for user_id in tracked:
            if user_id not in self._asked:
                return user_id
        if now - self._cycle_began < CYCLE:
            return None
        self._asked.clear()
        self._cycle_began = now
        return tracked[0]

    async def _answered(self, user_id: str, seen: Seen | None, asked_at: datetime, asked: float) -> None:
        self._failures = 0
        self._answered_at, self._heard = asked_at, asked
        if self._epoch is None:
            self._asked.clear()
            self._cycle_began = asked
            self._epoch = await self._core.feed_live(self._workspace_id)
            self._blind = False
            self._troubles.clear("presence", self._workspace_id)
            log.info("Presence is polled in %s", self._workspace_id)
        if seen is not None and user_id != self._bot_user:
            # Later is higher, also where the clock was set back; a restart begins a new epoch of the feed.
            self._number = max(self._number + 1, (asked_at - _EPOCH) // timedelta(microseconds=1))
            sighting = Sighting(user_id, seen, asked_at, self._number)
            await self._core.observe(self._workspace_id, self._epoch, [sighting])
        self._asked.add(user_id)

    async def _failed(self, told: float | None) -> float:
        """No answer: `told` is Slack's Retry-After, which alone is no failure."""
        if told is None:
            self._failures += 1
        wait = told if told is not None else min(30.0, 2.0**self._failures)
        cycle = max(BLIND, len(self._core.tracked(self._workspace_id)) * self._pause)
        without = self._core.clock.monotonic() - self._heard + wait
        if not self._blind and (self._failures >= FAILURES or without > cycle):
            try:
                await self.lost()
            except RollcallError as problem:
                self._blind = False
                log.warning("That presence is blind could not be kept: %s", problem.sentence)
        if self._blind:
            sentence = unreachable(self._answered_at, _MISSED)
            self._troubles.raise_("presence", sentence, self._workspace_id)
        return wait

    async def _not_set_up(self, no: Refused) -> float:
        """Without the scope there is no feed at all, and no links: presence rests on check-ins."""
        self._epoch, self._blind = None, True
        sentence = scope_missing(
            no.needed or "users:read", "Rollcall sees nobody's presence and relies on what people tell it."
        )
        self._troubles.raise_("presence", sentence, self._workspace_id)
        await switch_off(self._core, self._workspace_id)
        return SETUP_WAIT


async def switch_off(core: Core, workspace_id: str) -> None:
    """The workspace gives no presence; however long it takes the database to take that."""
    while True:
        try:
            return await core.feed_off(workspace_id)
        except RollcallError as problem:
            log.warning("That presence is off could not be kept and is tried again: %s", problem.sentence)
        await core.clock.sleep(OFF_AGAIN)
