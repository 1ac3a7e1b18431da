"""What Slack shows beside presence: who is in a huddle, and who has paused notifications.

Huddles stand in the user objects that come with `user_change` and `users.info`, so they cost nothing.
Do-not-disturb takes a scope and is asked for: `dnd.teamInfo` is Tier 2, 20 calls a minute or more, for up to
50 people each; `dnd_updated_user` tells of changes at once. It shares no limit with `users.getPresence`.
"""

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

from msgspec import Struct

from adapters.slack.manifest import DND_SCOPE
from adapters.slack.people import Installation
from adapters.slack.troubles import Troubles, scope_missing
from adapters.slack.web import Refused, Web
from bot.domain.hints import HintKind
from bot.ports import Core, HintSighting, RetryLater

AT_ONCE = 50
"""People that one `dnd.teamInfo` may name."""
PAUSE = 4.0
"""Seconds between two calls: 15 a minute of the 20 that Tier 2 allows."""
CYCLE = 60.0
FAILURES = 3
"""Calls in a row without an answer, after which what was seen before counts no longer."""
LONGEST_WAIT = 60.0
SETUP_WAIT = 300.0
KEPT = 20_000
"""Newest words remembered: user objects come of everybody in the workspace, not of agents only."""
_SETUP = frozenset(["missing_scope", "not_allowed_token_type", "access_denied", "no_permission"])

log = logging.getLogger("rollcall.slack")


class Word(Struct, frozen=True, gc=False):
    """The newest word about somebody: its number, and when Slack said it, if it was an event."""

    number: int
    event_ts: float
    holds: bool


class Hints:
    """Tells the core what Slack's words come to, each of them once and none after a newer one."""

    def __init__(self, core: Core, wanted: Collection[HintKind]) -> None:
        self._core = core
        self._wanted = wanted
        self._numbers = count(1)
        self._newest: OrderedDict[tuple[str, HintKind], Word] = OrderedDict()

    def number(self) -> int:
        """Of an event that arrives, or of a question that is about to be asked: later is higher."""
        return next(self._numbers)

    def user(self, workspace_id: str, user: Mapping[str, Any], number: int, event_ts: float = 0.0) -> None:
        """A user object: an event's, or (without `event_ts`) an answer to the question of that number."""
        profile = user.get("profile") or {}
        if "huddle_state" in profile:
            huddling = profile["huddle_state"] == "in_a_huddle"
            ends = _instant(profile.get("huddle_state_expiration_ts"))
            sighting = HintSighting(str(user["id"]), HintKind.CALL, huddling, until_at=ends)
            self._tell(workspace_id, sighting, number, event_ts)

    def dnd(
        self, workspace_id: str, user_id: str, status: object, number: int, event_ts: float = 0.0
    ) -> None:
        """A DND status, told or asked likewise. `dnd_enabled` says only that there is a schedule: it is the
        span that counts, also one that begins later."""
        if not isinstance(status, dict):
            return
        starts, ends = _instant(status.get("next_dnd_start_ts")), _instant(status.get("next_dnd_end_ts"))
        quiet = bool(status.get("dnd_enabled")) and starts is not None and ends is not None and starts < ends
        sighting = HintSighting(user_id, HintKind.DO_NOT_DISTURB, quiet, starts, ends)
        self._tell(workspace_id, sighting, number, event_ts)

    def lost(self, workspace_id: str, kind: HintKind) -> None:
        """Words of that kind may be missed from now on."""
        self._core.hints_lost(workspace_id, kind)

    def first(self, user_ids: Iterable[str]) -> list[str]:
        """The same people, those who were last seen in a huddle first."""
        nothing = Word(0, 0.0, False)
        return sorted(user_ids, key=lambda one: not self._newest.get((one, HintKind.CALL), nothing).holds)

    def _tell(self, workspace_id: str, sighting: HintSighting, number: int, event_ts: float) -> None:
        """Events go by Slack's own time, for they may be delivered late; an answer gives way to an event that
        arrived after its question was asked."""
        if sighting.kind not in self._wanted:
            return
        key = sighting.external_id, sighting.kind
        last = self._newest.get(key)
        if last is not None and (number < last.number or (event_ts and event_ts <= last.event_ts)):
            return
        told_ts = event_ts or (last.event_ts if last is not None else 0.0)
        self._newest[key] = Word(number, told_ts, sighting.holds)
        self._newest.move_to_end(key)
        while len(self._newest) > KEPT:
            self._newest.popitem(last=False)
        self._core.hint(workspace_id, [sighting])


def _instant(seconds: object) -> datetime | None:
    """Slack writes 0 (and 1, for a schedule that nobody has) where there is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 < seconds < 1e11:
        return None
    return datetime.fromtimestamp(seconds, UTC)


class DoNotDisturb:
    """Asks who has paused notifications, everybody once a cycle."""

    def __init__(
        self, web: Web, core: Core, hints: Hints, troubles: Troubles, workspace_id: str, home: Installation
    ) -> None:
        self._web = web
        self._core = core
        self._hints = hints
        self._troubles = troubles
        self._workspace_id = workspace_id
        self._team = {"team_id": home.team_id} if home.org_wide else {}
        self._groups: list[list[str]] = []
        self._began = float("-inf")
        self._failures = 0
        self._blind = False

    async def run(self) -> None:
        """Asks until cancelled. Raises TokenDead."""
        while True:
            await self._core.clock.sleep(await self._turn())

    async def _turn(self) -> float:
        """Ask for some, and answer how long to wait before the next."""
        if not self._groups and not self._begin():
            return PAUSE
        group = self._groups.pop(0)
        number = self._hints.number()
        try:
            answer = await self._web.call("dnd.teamInfo", users=",".join(group), **self._team)
        except RetryLater as later:
            self._groups.insert(0, group)
            return self._failed(later.after)
        except Refused as no:
            return self._refused(no, group)
        self._heard()
        people = answer.get("users") or {}
        for user_id in group:
            self._hints.dnd(self._workspace_id, user_id, people.get(user_id), number)
        return PAUSE

    def _begin(self) -> bool:
        """A new cycle, if it is time and there is anybody to ask for."""
        now = self._core.clock.monotonic()
        if now - self._began < CYCLE:
            return False
        tracked = [one.external_id for one in self._core.tracked(self._workspace_id)]
        self._groups = [tracked[at : at + AT_ONCE] for at in range(0, len(tracked), AT_ONCE)]
        self._began = now
        return bool(self._groups)

    def _heard(self) -> None:
        self._failures = 0
        self._troubles.clear("do not disturb", self._workspace_id)
        if self._blind:
            # Those who were asked before are forgotten too.
            self._blind, self._began = False, float("-inf")
            self._groups.clear()

    def _failed(self, told: float | None) -> float:
        """No answer; a Retry-After alone is no failure."""
        if told is not None:
            return told
        self._failures += 1
        if self._failures == FAILURES:
            self._forget()
        return float(min(LONGEST_WAIT, 2.0**self._failures))

    def _forget(self) -> None:
        self._blind = True
        self._hints.lost(self._workspace_id, HintKind.DO_NOT_DISTURB)

    def _refused(self, no: Refused, group: list[str]) -> float:
        if no.error in _SETUP:
            self._forget()
            lost = "nobody's do-not-disturb is seen."
            told = scope_missing(no.needed or DND_SCOPE, lost)
            self._troubles.raise_("do not disturb", told, self._workspace_id)
            self._groups.insert(0, group)
            return SETUP_WAIT
        # One whom Slack does not show spoils the answer for all.
        half = len(group) // 2
        if half:
            self._groups[:0] = [group[:half], group[half:]]
        else:
            log.info("Slack shows no do-not-disturb of %s: %s", group[0], no.error)
        return PAUSE
