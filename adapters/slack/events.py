"""Events from Slack: queued at once, acted on one after the other, each once.

With `process_before_response` on, Bolt acknowledges an event only when its listener is done, so the
listener does nothing but queue it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from adapters.slack.hints import Hints
from adapters.slack.manifest import DND_EVENT
from adapters.slack.people import Installation, People
from adapters.slack.web import TokenDead
from bot.domain.agent import Workspace
from bot.domain.errors import Conflict, RollcallError, Unavailable
from bot.ports import Core

WAITING = 10_000
"""Events not yet looked at; Slack keeps those above and delivers them again."""
AGAIN = 1.0
"""Seconds until what could not be stored is tried again."""

T = TypeVar("T")
log = logging.getLogger("rollcall.slack")


class Home(Struct, frozen=True):
    """The workspace the bot token belongs to, once `auth.test` has told."""

    installation: Installation
    workspace: Workspace
    people: People


class House(Protocol):
    """What `SlackPlatform` knows that deliveries need."""

    async def home(self) -> Home:
        """Waits until Slack has told. Raises TokenDead."""
        ...

    async def check_token(self) -> None:
        """Ask Slack whether the token still works, and give up if not."""
        ...


class Events:
    """The queue and what is done about each."""

    def __init__(self, core: Core, house: House, hints: Hints) -> None:
        self._core = core
        self._house = house
        self._hints = hints
        self._queue: asyncio.Queue[tuple[int, Mapping[str, Any]]] = asyncio.Queue(WAITING)
        self._worker: asyncio.Task[Any] | None = None
        self._leaving = False

    def take(self, body: Mapping[str, Any]) -> bool:
        """False where there is no room, or nobody would come to it: Slack shall deliver it again."""
        if self._leaving:
            return False
        try:
            self._queue.put_nowait((self._hints.number(), body))
        except asyncio.QueueFull:
            return False
        return True

    async def work_off(self) -> None:
        """Act on events until cancelled, whatever comes of one. Raises TokenDead."""
        self._worker, self._leaving = asyncio.current_task(), False
        while True:
            number, body = await self._queue.get()
            try:
                await self._act_on(body, number)
            finally:
                self._queue.task_done()

    def leave(self) -> None:
        """Take nothing from now on, until `work_off` begins again."""
        self._leaving = True

    async def drain(self, within: float) -> None:
        """Wait until what was taken is acted on, so many seconds at most: Slack does not deliver again what
        it was told that we have."""
        worker = self._worker
        if worker is None or worker.done():
            return
        acted = asyncio.ensure_future(self._queue.join())
        try:
            await asyncio.wait({acted, worker}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if not acted.done():
                log.warning("Events from Slack are left undone: at least %s", self._queue.qsize() + 1)
        finally:
            acted.cancel()

    async def _act_on(self, body: Mapping[str, Any], number: int) -> None:
        key = f"slack:event:{body.get('event_id')}"
        try:
            if await self._kept(lambda: self._core.first_time(key)):
                await self._kept(lambda: self._happened(body, number))
        except TokenDead:
            raise
        except RollcallError as problem:
            log.warning("An event changes nothing: %s", problem.sentence)
        except Exception:
            # What is wrong with one says nothing about the next, nor about the rest of Slack.
            log.exception("An event could not be acted on")

    async def _kept(self, act: Callable[[], Awaitable[T]]) -> T:
        """What it answers, as soon as the core can store it; another refusal is final, and raised."""
        while True:
            try:
                return await act()
            except (Unavailable, Conflict) as problem:
                log.warning("An event could not be kept and waits: %s", problem.sentence)
                await self._core.clock.sleep(AGAIN)

    async def _happened(self, body: Mapping[str, Any], number: int) -> None:
        event = body.get("event") or {}
        at = _seconds(event.get("event_ts") or body.get("event_time"))
        home = await self._house.home()
        if not home.installation.covers(body.get("team_id") or "", body.get("enterprise_id") or ""):
            return
        user = event.get("user")
        if event.get("type") in {"app_uninstalled", "tokens_revoked"}:
            # Both may come late, after a reinstallation: the token itself knows.
            await self._house.check_token()
        elif event.get("type") == "user_change" and isinstance(user, dict) and user.get("id"):
            await self.learned(home, user, number, at)
        elif event.get("type") == DND_EVENT:
            self._hints.dnd(home.workspace.id, str(user), event.get("dnd_status"), number, at)

    async def learned(self, home: Home, user: Mapping[str, Any], number: int, event_ts: float = 0.0) -> None:
        """A newer user object: what changed of an agent, or that they have left. `number` and `event_ts` as
        of `Hints.user`."""
        known = home.people.learn(user)
        if known is None:
            return
        self._hints.user(home.workspace.id, user, number, event_ts)
        if known.deleted:
            await self._core.member_left(home.workspace.id, known.profile.external_id, deleted=True)
        else:
            await self._core.profile_changed(home.workspace.id, known.profile)


def _seconds(written: object) -> float:
    """Slack's time of an event; 0 where it says nothing that makes sense."""
    try:
        return float(str(written))
    except ValueError:
        return 0.0
