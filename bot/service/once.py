"""What a program asks for under a key of its own: done once, and answered the same when it is asked again.

The key, what was asked and the answer are written in the transaction of the change (I5), so that they are
known together or not at all. A refusal is not kept: asked again, it is decided anew.
"""

import hashlib
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from bot.domain.errors import Conflict
from bot.ports import Transaction

KEPT = timedelta(hours=24)


class Once(Struct, frozen=True):
    """A request that may come twice."""

    key: str
    """Unique within the organization: it names who asks, too."""
    asked: str
    """Differs where something else is asked for."""


class Answered(Struct, frozen=True):
    """What was answered."""

    asked: str
    at: datetime
    body: str
    place: str = ""
    """Where what was made is found."""


class SaidBefore(Exception):
    """This was asked and answered before; nothing was changed."""

    def __init__(self, answered: Answered) -> None:
        super().__init__("asked before")
        self.answered = answered


def once_of(who: str, key: str, asked: bytes) -> Once:
    """The request of `who` under their key, `asked` being all that tells it from another."""
    return Once(f"once:{who}:{key}", hashlib.sha256(asked).hexdigest())


def begin(tx: Transaction, organization_id: str, once: Once | None, now: datetime) -> None:
    """Raises SaidBefore where this was answered before, Conflict where the key stands for something else."""
    if once is None or tx.ledger.first_time(organization_id, once.key, now, now + KEPT):
        return
    kept = tx.ledger.answer(organization_id, once.key)
    answered = msgspec.json.decode(kept, type=Answered) if kept else None
    if answered is None or answered.asked != once.asked:
        raise Conflict(
            "That Idempotency-Key was used for another request in the last 24 h. Take a new one for each "
            "thing that you ask for.",
            field="Idempotency-Key",
        )
    raise SaidBefore(answered)


def keep(
    tx: Transaction, organization_id: str, once: Once | None, body: str, now: datetime, place: str = ""
) -> None:
    """Keep the answer beside the change."""
    if once is not None:
        kept = msgspec.json.encode(Answered(once.asked, now, body, place)).decode()
        tx.ledger.keep_answer(organization_id, once.key, kept)
