"""What a change of presence writes: facts, intervals, events, the audit, words owed to the agent.

Each function is one operation on one transaction.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from bot.domain.events import AuditEntry, Event
from bot.domain.facts import Facts, Interval
from bot.domain.ids import new_id
from bot.domain.transition import Change, Moved, Notice, Told
from bot.ports import NoticeRow, Transaction

WORTH_TELLING = {
    Told.STILL_THERE: timedelta(minutes=10),
    Told.CHECK_IN_ENDING: timedelta(minutes=15),
    Told.AWAY_ENDED: timedelta(hours=1),
    Told.RETURNED: timedelta(hours=2),
    Told.SET_BY_PROGRAM: timedelta(hours=8),
    Told.SET_BY_LEAD: timedelta(hours=8),
}
"""How long each word is worth saying; later it would only confuse."""


class Step(Struct, frozen=True):
    """One agent's facts before and after, with what others should hear of."""

    before: Facts
    after: Facts
    changes: tuple[Change, ...]
    actor: str = "rule:time"
    """Who did it, for the audit; `rule:…` and `feed:…` are not audited."""
    action: str = ""


def needs_storing(before: Facts, after: Facts) -> bool:
    """False where only the marks of the order of observations and `reviewed_at` differ: losing those
    in a crash loses nothing, because every feed begins anew after it."""
    if before is after:
        return False
    if (
        before.intent != after.intent
        or before.interval != after.interval
        or before.check_in != after.check_in
        or len(before.links) != len(after.links)
        or before.acted_at != after.acted_at
        or before.asked_at != after.asked_at
        or before.return_asked_on != after.return_asked_on
    ):
        return True
    return any(
        old.identity_id != new.identity_id
        or old.state is not new.state
        or old.epoch != new.epoch
        or old.since != new.since
        or old.weak != new.weak
        for old, new in zip(before.links, after.links, strict=True)
    )


def record(tx: Transaction, organization_id: str, step: Step, now: datetime) -> Facts:
    """Store one step with everything that goes with it. Answers the facts with their new version.

    Raises Conflict when the stored facts are not those the step began from.
    """
    opened = [change.after for change in step.changes if isinstance(change, Moved)]
    saved = tx.presence.save(step.before, step.after, opened)
    if step.action:
        tx.ledger.audit(
            AuditEntry(new_id("aud", now), organization_id, now, step.actor, step.action, step.after.agent_id)
        )
    for change in step.changes:
        if isinstance(change, Notice):
            tx.ledger.notice(
                NoticeRow(
                    new_id("ntc", now),
                    organization_id,
                    step.after.agent_id,
                    change.told.value,
                    now,
                    change.at + WORTH_TELLING[change.told],
                    data=_said(change, step.after),
                )
            )
    if opened:
        events = [moved(organization_id, step.after.agent_id, interval, now) for interval in opened]
        tx.ledger.events(events)
    return saved


def _said(notice: Notice, after: Facts) -> dict[str, str]:
    """What the message says beyond how things are when it is sent; see `bot.told`."""
    if notice.by:
        return {"by": notice.by, "set_at": after.intent.set_at.isoformat()}
    return {"reason_code": notice.reason_code} if notice.reason_code else {}


def moved(organization_id: str, agent_id: str, opened: Interval, now: datetime) -> Event:
    """The event for an interval that was opened."""
    return Event(
        new_id("evt", now),
        organization_id,
        agent_id,
        "presence.changed",
        opened.since,
        {
            "presence": opened.presence.value,
            "reason": opened.reason,
            "source": opened.source,
            "note": opened.note,
            "confirmed": opened.confirmed,
            "reason_code": opened.reason_code or None,
        },
    )
