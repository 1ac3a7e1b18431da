"""Words owed to agents: written with the change that caused them, sent until they have arrived."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from bot import link_replies
from bot.core import Rollcall
from bot.domain.agent import Identity
from bot.domain.errors import RollcallError
from bot.domain.transition import Told
from bot.message import Message
from bot.ports import ACCOUNT, ChatPlatform, NoticeRow, RetryLater, Undeliverable
from bot.roster import Row
from bot.told import told

log = logging.getLogger("rollcall.notices")
BATCH = 50
AT_ONCE = 10
"""Agents written to at the same time: one who can't be reached delays nobody, and no platform is flooded."""
SEND_WITHIN = 30.0
"""Seconds for one message: half of how long a notice is claimed (`bot.ports.Ledger.due_notices`)."""
LOOK_AGAIN = 15.0
"""Seconds after which owed words are looked for without being woken: those to be tried again."""
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=5)
LONGEST_ASKED = timedelta(days=1)
"""Longer than anything owed is worth sending, whatever a platform asks for."""


class Notifier:
    """Sends what is owed, once each, to where the agent last checked in, else where they can be reached."""

    def __init__(self, core: Rollcall, platforms: Mapping[str, ChatPlatform]) -> None:
        self.core = core
        self.platforms = platforms

    async def run(self) -> None:
        """Sends until cancelled."""
        while True:
            self.core.notices_owed.clear()
            try:
                while await self.send_due():
                    pass
            except RollcallError as problem:
                log.warning("notices wait: %s", problem.code)
            waiting = asyncio.ensure_future(self.core.notices_owed.wait())
            sleeping = asyncio.ensure_future(self.core.clock.sleep(LOOK_AGAIN))
            try:
                await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                sleeping.cancel()

    async def send_due(self) -> bool:
        """Send one batch. True: it was full, so there may be more."""
        now, organization_id = self.core.clock.now(), self.core.organization_id
        owed = await self.core.store.write(lambda tx: tx.ledger.due_notices(organization_id, now, BATCH))
        theirs: dict[str, list[NoticeRow]] = {}
        for notice in owed:
            theirs.setdefault(notice.agent_id, []).append(notice)
        room = asyncio.Semaphore(AT_ONCE)

        async def tell(notices: Sequence[NoticeRow]) -> None:
            async with room:
                for notice in notices:
                    await self._settle(notice)

        # Each is waited for, whatever comes of the others: to cut one off would be to send it twice.
        ended = await asyncio.gather(*map(tell, theirs.values()), return_exceptions=True)
        for problem in ended:
            if problem is not None:
                raise problem
        return len(owed) == BATCH

    async def _settle(self, notice: NoticeRow) -> None:
        """Send one and keep what came of it, or when to try again."""
        try:
            outcome = await self._send(notice)
        except RetryLater as problem:
            await self._later(notice, problem.after or 0.0)
        except Exception:
            log.exception("a notice was not sent", extra={"notice": notice.id, "agent": notice.agent_id})
            await self._later(notice)
        else:
            await self._finish(notice.id, outcome)

    async def _finish(self, notice_id: str, outcome: str) -> None:
        done = self.core.clock.now()
        await self.core.store.write(lambda tx: tx.ledger.finish_notice(notice_id, outcome, done))

    async def _later(self, notice: NoticeRow, after: float = 0.0) -> None:
        """Later each time, and not before `after` seconds."""
        doubled = FIRST_WAIT * 2 ** min(notice.attempts, 10)
        asked = timedelta(seconds=min(after, LONGEST_ASKED.total_seconds()))
        due_at = self.core.clock.now() + max(min(doubled, LONGEST_WAIT), asked)
        await self.core.store.write(lambda tx: tx.ledger.retry_notice(notice.id, due_at))

    async def _send(self, notice: NoticeRow) -> str:
        """What came of it. Raises RetryLater, and whatever a platform's own faults are."""
        now = self.core.clock.now()
        row = self.core.roster.row(notice.agent_id, now)
        # An earlier version kept the account behind the kind; what it owed at an upgrade is told too.
        kind, _, before = notice.told.partition(":")
        only = notice.data.get(ACCOUNT, before)
        message = _message(Told(kind), row, only, notice) if row is not None else None
        if row is None or message is None or now > notice.expires_at:
            return "expired"
        for identity in _where(row, only):
            platform = self.platforms.get(identity.platform)
            workspace = self.core.workspaces.get(identity.workspace_id)
            if platform is None or workspace is None:
                continue
            try:
                async with asyncio.timeout(SEND_WITHIN):
                    await platform.send_direct(identity, workspace, message)
            except Undeliverable:
                continue
            return "sent"
        log.info("an agent can't be reached by direct message", extra={"agent": notice.agent_id})
        return "unreachable"


def _message(kind: Told, row: Row, only: str, notice: NoticeRow) -> Message | None:
    """What to say; `only`: the one account that it is said to."""
    return link_replies.told(kind, row, only) if only else told(kind, row, notice.data)


def _where(row: Row, only: str) -> Sequence[Identity]:
    """Identities to try: where the agent last checked in first; or `only` one."""
    check_in = row.facts.check_in
    last = check_in.identity_id if check_in is not None else ""
    present = [
        identity for identity in row.agent.identities if identity.present and only in ("", identity.id)
    ]
    return sorted(present, key=lambda identity: identity.id != last)
