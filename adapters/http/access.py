"""Who asks: keys in memory, read again every few seconds, and how often each may ask."""

import asyncio
import logging
from datetime import datetime
from ipaddress import IPv6Network

from adapters.http.limits import MOST_ADDRESSES, WRONG_KEYS_PER_MINUTE, Buckets
from adapters.http.problems import UNAUTHORIZED, Problem
from bot.core import Rollcall
from bot.domain.errors import Unavailable
from bot.ports import ApiKey
from bot.service import keys as service

log = logging.getLogger("rollcall.http")
READ_AGAIN = 5.0
"""Seconds between readings of the keys: a key made or revoked by another process counts within 10 s."""
NOTE_USE = 60.0
"""Seconds between notes of when keys were last used."""
MOST_KEYS = 100_000


class Access:
    """The keys of one organization."""

    def __init__(self, core: Rollcall, per_minute: int, beside: "Access | None" = None) -> None:
        """`beside`: another organization's, behind the same door. They count wrong keys together: else an
        address that is told 429 would see by a 401 which ids another organization knows."""
        self._core = core
        self._reading = asyncio.Lock()
        self._keys: dict[bytes, ApiKey] = {}
        self._used: dict[str, datetime] = {}
        self._wrong: Buckets = beside._wrong if beside else Buckets(WRONG_KEYS_PER_MINUTE, MOST_ADDRESSES)
        self.limits = Buckets(per_minute, MOST_KEYS)

    async def refresh(self) -> None:
        """Read the keys again. Raises Unavailable, and then keeps those it knows."""
        organization_id = self._core.organization_id
        async with self._reading:  # an older reading never takes the place of a newer one
            found = await self._core.store.read(lambda tx: tx.ledger.keys(organization_id))
            self._keys = service.by_id(found, organization_id)
            self.limits.keep(key.id for key in self._keys.values())

    async def note_use(self) -> None:
        """Write down when keys were last used."""
        used, self._used = self._used, {}
        if used:
            try:
                await self._core.store.write(lambda tx: tx.ledger.touch_keys(used))
            except Unavailable:
                self._used = used | self._used

    async def keep_fresh(self) -> None:
        """Read the keys again every few seconds, until cancelled."""
        clock = self._core.clock
        noted = clock.monotonic()
        while True:
            await clock.sleep(READ_AGAIN)
            try:
                await self.refresh()
                if clock.monotonic() - noted >= NOTE_USE:
                    noted = clock.monotonic()
                    await self.note_use()
            except Unavailable as problem:
                log.warning("the keys can't be read again: %s", problem.sentence)
            except Exception:
                log.exception("the keys can't be read again")

    def check(self, authorization: bytes, now: datetime) -> ApiKey | None:
        """The key in an Authorization header, or None."""
        key = service.verify(self._keys, _bearer(authorization), now)
        if key is not None:
            self._used[key.id] = now
        return key

    def knows(self, key_id: bytes) -> bool:
        """Whether this organization has a key of that id; also one whose time is over."""
        return key_id in self._keys

    def still(self, key: ApiKey, scope: str, now: datetime) -> bool:
        """Whether a key that was let in before would be let in now."""
        known = self._keys.get(key.id.encode())
        return known is not None and scope in known.scopes and service.same_secret(key, known, now)

    def refusal(self, address: str, now: float) -> Problem:
        """What is answered to a wrong key: always the same 401, and 429 to whoever keeps trying."""
        wrong = self._wrong.newest(_neighbourhood(address), now)
        if wrong.take(now):
            return UNAUTHORIZED
        return Problem(
            "too_many_requests",
            f"Too many requests without a valid key came from your address; wait {wrong.wait} s.",
            headers=[(b"retry-after", str(wrong.wait).encode())],
        )


def _neighbourhood(address: str) -> str:
    """Who shares an address's attempts: of IPv6 a whole /64, because one customer has all of that."""
    if ":" not in address:
        return address
    try:
        return str(IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address


def key_id_in(authorization: bytes) -> bytes:
    """The id of the key that an Authorization header says it is."""
    return service.id_in(_bearer(authorization))


def _bearer(authorization: bytes) -> bytes:
    # RFC 9110: one space or more.
    return authorization[7:].lstrip(b" ") if authorization[:7].lower() == b"bearer " else b""
