"""What the policies make of an absence, in words for the agent: rules 7 and 8 of `docs/presence.md`."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from bot.domain.facts import Choice, Intent, OnReturn, Policy, Presence
from bot.message import Line, Moment
from bot.roster import Row

LATER = "later you're Away until you say otherwise"


def length(span: timedelta) -> str:
    """A length of time as people say it: `60 s`, `25 min`, `2 h`, `1 h 30 min`."""
    seconds = round(span.total_seconds())
    if seconds < 120 or seconds % 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return " ".join(filter(None, (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "")))


def after_an_absence(row: Row, policy: Policy, now: datetime) -> Iterator[Line]:
    """What they will be when they come back from being Offline, where that is not plain already."""
    intent = row.facts.intent
    if row.verdict.presence is Presence.OFFLINE:
        yield from _back(row, intent, policy, now)
    elif intent.choice is Choice.AVAILABLE:
        if policy.on_return is not OnReturn.ASK:
            yield ("Whenever you're back after that, you're Available again.",)
        elif policy.resume_gap:
            gap = length(policy.resume_gap)
            yield (f"Back within {gap}, you're Available as before; later you're Away, and I ask you.",)
        else:
            yield ("When you're back after that, you're Away, and I ask you.",)
    elif intent.until_at is None and policy.on_return is OnReturn.AVAILABLE:
        yield (f"Back after {length(policy.resume_gap)} or longer, you're Available by yourself.",)


def _back(row: Row, intent: Intent, policy: Policy, now: datetime) -> Iterator[Line]:
    """For who is Offline just now."""
    resumes_until = row.since + policy.resume_gap
    asks = policy.on_return is OnReturn.ASK
    if intent.choice is Choice.AVAILABLE:
        if intent.by == "rule:until" and intent.set_at >= row.since:
            resumes_until = max(resumes_until, intent.set_at + policy.restore_within)
        if not asks:
            yield ("As soon as you're back, you're Available.",)
        elif now < resumes_until:
            yield ("Back by ", Moment(resumes_until), f", you're Available as before; {LATER}.")
        else:
            yield ("When you're back, you're Away until you say otherwise.",)
    elif intent.until_at is not None:
        yield ("Your time away ends at ", Moment(intent.until_at), ".")
        if intent.base is None or intent.base.choice is not Choice.AVAILABLE:
            return
        if asks:
            until = max(resumes_until, intent.until_at + policy.restore_within)
            yield ("Back by ", Moment(until), f", you're Available once it is over; {LATER}.")
        else:
            yield ("Once it is over and you're back, you're Available.",)
    elif policy.on_return is not OnReturn.AVAILABLE:
        yield ("When you're back, you're still Away.",)
    elif now < resumes_until:
        yield (
            "Back by ",
            Moment(resumes_until),
            ", you're still Away; later you're Available by yourself.",
        )
    else:
        yield ("As soon as you're back, you're Available.",)
