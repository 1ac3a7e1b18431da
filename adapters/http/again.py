"""Answers to a POST: kept with the change under the client's Idempotency-Key, and given again."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
from fastapi import Response
from msgspec import Struct

from adapters.http.documents import Encoded, encode
from adapters.http.exchange import JSON, NO_STORE, Answer, Asked
from adapters.http.parameters import Body
from adapters.http.strict import response_of
from bot.ports import Transaction
from bot.service import once as service
from bot.service.once import Once, SaidBefore


class Posting:
    """One POST on its way: `begin` and `keep` stand around the change, in its transaction."""

    def __init__(self, asked: Asked, organization_id: str, key: str | None, body: Body) -> None:
        said = msgspec.json.encode([asked.path, body.model_dump(mode="json", exclude_unset=True)])
        who = asked.key.id if asked.key else ""
        self._organization_id = organization_id
        self._once: Once | None = service.once_of(who, key, said) if key is not None else None

    def begin(self, tx: Transaction, now: datetime) -> None:
        """Raises SaidBefore and Conflict."""
        service.begin(tx, self._organization_id, self._once, now)

    def keep(self, tx: Transaction, now: datetime, document: Struct, place: str) -> None:
        """What will be answered, if it is asked again."""
        body = encode(document).tail.decode()
        service.keep(tx, self._organization_id, self._once, body, now, place)


def created(document: Struct, at: datetime, place: str) -> Response:
    """201 with what was made, and where it is."""
    return _created(encode(document), at, place)


def _created(encoded: Encoded, at: datetime, place: str) -> Response:
    headers = [JSON, NO_STORE, (b"location", place.encode())]
    return response_of(Answer(201, headers, encoded.at(at)))


async def once(work: Callable[[], Awaitable[Response]]) -> Response:
    """The answer of `work`, or the one that was given before."""
    try:
        return await work()
    except SaidBefore as before:
        kept = before.answered
        return _created(Encoded(kept.body.encode(), b""), kept.at, kept.place)
