"""Deliveries: a platform may repeat one, and it must count once."""

from datetime import datetime, timedelta

from bot.ports import Transaction

REMEMBERED = timedelta(hours=25)
"""Slack redelivers for an hour, and events of an hour's outage come for a day at most."""


def is_first(tx: Transaction, organization_id: str, delivery: str, now: datetime) -> bool:
    """True once for a delivery's key, and always where there is none. Remembered with what else the
    transaction writes, so that a delivery and what came of it are known together or not at all."""
    return not delivery or tx.ledger.first_time(organization_id, delivery, now, now + REMEMBERED)
