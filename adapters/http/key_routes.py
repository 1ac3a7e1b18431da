"""Routes by which programs list, make, rotate and revoke keys."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from fastapi import Request, Response

from adapters.http.access import Access
from adapters.http.again import Posting, created, once
from adapters.http.exchange import Asked
from adapters.http.key_documents import (
    ADD_KEY,
    ROTATE_KEY,
    KeyBody,
    KeyId,
    KeyMade,
    Keys,
    NewKey,
    Rotation,
    key_body,
    key_made,
)
from adapters.http.parameters import Cursor, PageSize, cursor_for, cursor_of
from adapters.http.resource_documents import IdempotencyKey
from adapters.http.sight import whole
from adapters.http.strict import answered, told
from bot.core import Rollcall
from bot.domain.errors import NotFound, Unavailable
from bot.ports import ApiKey, Transaction
from bot.service import keys as service

KEYS, KEY = "/v1/keys", "/v1/keys/{key_id}"


class KeyRoutes:
    """The routes, over a core; whatever they change counts here at once."""

    def __init__(self, core: Rollcall, access: Access) -> None:
        self._core = core
        self._access = access

    def add(self, route: Callable[..., None]) -> None:
        """Register them all; `route` as `adapters.http.routes.Routes` has it."""
        route("GET", KEYS, self.keys, Keys, "admin", "All keys, without their secrets")
        route("POST", KEYS, self.add_key, KeyMade, "admin", "Make a key", ADD_KEY)
        rotate = "Give a key a new secret"
        route("POST", KEY + "/rotate", self.rotate_key, KeyMade, "admin", rotate, ROTATE_KEY)
        route("DELETE", KEY, self.revoke_key, KeyBody, "admin", "End a key at once")

    async def keys(self, request: Request, limit: PageSize = 50, cursor: Cursor = None) -> Response:
        """The oldest first; those that were revoked or have expired are there too."""
        asked = _asked(request)
        organization_id = self._core.organization_id
        after = "" if cursor is None else cursor_of(cursor)
        found = await self._core.store.read(lambda tx: tx.ledger.keys(organization_id))
        page = [key for key in found if key.id > after][: limit + 1]
        more = cursor_for(page[limit - 1].id) if len(page) > limit else None
        return answered(Keys(tuple(map(key_body, page[:limit])), more), asked)

    async def add_key(
        self, request: Request, body: NewKey, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Its text is told in this answer and never again: not under the same Idempotency-Key either, where
        `key` is null."""
        asked = _asked(request)
        core, actor = self._core, _actor(asked)
        posting = Posting(asked, core.organization_id, idempotency_key, body)
        lasts = None if body.days is None else timedelta(days=body.days)

        def make(tx: Transaction) -> tuple[KeyMade, datetime]:
            now = core.clock.now()
            posting.begin(tx, now)
            text = service.create(
                tx, core.organization_id, body.name, body.scopes, now, lasts, actor, body.teams
            )
            key = self._key(tx, text, now)
            posting.keep(tx, now, key_made(key, None), f"{KEYS}/{key.id}")
            return key_made(key, text), now

        async def work() -> Response:
            made, now = await core.store.write(make)
            await self._counts_now()
            return created(made, now, f"{KEYS}/{made.id}")

        return await once(work)

    async def rotate_key(self, request: Request, key_id: KeyId, body: Rotation) -> Response:
        """The secret of before holds for `overlap_s` yet, so that whoever uses it has time; one from before
        that ends now. The new text is told in this answer and never again."""
        asked = _asked(request)
        core, overlap = self._core, timedelta(seconds=body.overlap_s)

        def rotate(tx: Transaction) -> KeyMade:
            now = core.clock.now()
            text = service.rotate(tx, core.organization_id, key_id, now, overlap, _actor(asked))
            return key_made(self._key(tx, text, now), text)

        made = await core.store.write(rotate)
        await self._counts_now()
        asked.now = core.clock.now()
        return told(made, asked)

    async def revoke_key(self, request: Request, key_id: KeyId) -> Response:
        """Both of its secrets. A key may end itself."""
        asked = _asked(request)
        core = self._core

        def revoke(tx: Transaction) -> KeyBody:
            now = core.clock.now()
            if not service.revoke(tx, core.organization_id, key_id, now, _actor(asked)):
                raise NotFound("There is no such key that still counts. GET /v1/keys lists them all.")
            return next(key_body(key) for key in tx.ledger.keys(core.organization_id) if key.id == key_id)

        revoked = await core.store.write(revoke)
        await self._counts_now()
        asked.now = core.clock.now()
        return told(revoked, asked)

    async def _counts_now(self) -> None:
        with suppress(Unavailable):  # it is done; the keys are read again in some seconds anyway
            await self._access.refresh()

    def _key(self, tx: Transaction, text: str, now: datetime) -> ApiKey:
        key_id = service.id_of(text)
        assert key_id is not None  # the service made it
        return service.standing(tx, self._core.organization_id, key_id, now)


def _asked(request: Request) -> Asked:
    """Keys are the whole organization's."""
    asked: Asked = request.scope["rollcall"]
    whole(asked, "look after keys")
    return asked


def _actor(asked: Asked) -> str:
    return f"key:{asked.key.id}" if asked.key else ""
