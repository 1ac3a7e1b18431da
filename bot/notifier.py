"""Words owed to agents: written with the change that caused them, sent until they have arrived."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot import replies
from bot.core import Rollcall
from bot.domain.agent import Identity
from bot.domain.errors import RollcallError
from bot.domain.transition import Told
from bot.ports import ChatPlatform, NoticeRow, RetryLater, Undeliverable
from bot.roster import Row

log = logging.getLogger("rollcall.notices")
BATCH = 50
LOOK_AGAIN = 15.0
"""Seconds after which owed words are looked for without being woken: those to be tried again."""
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=5)


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
        for notice in owed:
            outcome = await self._send(notice)
            if outcome is not None:
                await self._finish(notice.id, outcome)
        return len(owed) == BATCH

    async def _finish(self, notice_id: str, outcome: str) -> None:
        done = self.core.clock.now()
        await self.core.store.write(lambda tx: tx.ledger.finish_notice(notice_id, outcome, done))

    async def _later(self, notice_id: str, due_at: datetime) -> None:
        await self.core.store.write(lambda tx: tx.ledger.retry_notice(notice_id, due_at))

    async def _send(self, notice: NoticeRow) -> str | None:
        """What came of it; None: it is tried again later."""
        now = self.core.clock.now()
        row = self.core.roster.row(notice.agent_id, now)
        message = replies.told(Told(notice.told), row) if row is not None else None
        if row is None or message is None or now > notice.expires_at:
            return "expired"
        for identity in _where(row):
            platform = self.platforms.get(identity.platform)
            workspace = self.core.workspaces.get(identity.workspace_id)
            if platform is None or workspace is None:
                continue
            try:
                await platform.send_direct(identity, workspace, message)
            except Undeliverable:
                continue
            except RetryLater as problem:
                wait = min(FIRST_WAIT * 2**notice.attempts, LONGEST_WAIT)
                if problem.after is not None:
                    wait = max(wait, timedelta(seconds=problem.after))
                await self._later(notice.id, now + wait)
                return None
            return "sent"
        log.info("an agent can't be reached by direct message", extra={"agent": notice.agent_id})
        return "unreachable"


def _where(row: Row) -> Sequence[Identity]:
    """Identities to try: where the agent last checked in first."""
    check_in = row.facts.check_in
    last = check_in.identity_id if check_in is not None else ""
    present = [identity for identity in row.agent.identities if identity.present]
    return sorted(present, key=lambda identity: identity.id != last)
