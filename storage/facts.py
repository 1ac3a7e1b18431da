"""Facts as records of `presence` and `link`, and back."""

from datetime import date
from sys import intern
from typing import Any

from bot.domain.facts import CheckIn, Choice, Facts, Intent, Interval, Link, LinkState, Presence
from storage import tables
from storage.sql import Record, instant, instant_or_none, micros, micros_or_none

CHOICES = {choice.value: choice for choice in Choice}
PRESENCES = {presence.value: presence for presence in Presence}
STATES = {state.value: state for state in LinkState}

facts_columns = tuple(
    column for column in tables.presence.c if column.name not in ("agent_id", "organization_id")
)
"""What `facts_from` reads, in the order of the table."""
FACTS_WIDTH = len(facts_columns)
link_columns = tuple(tables.link.c[name] for name in ("feed_id", "state", "since", "epoch", "seq", "weak"))
"""What `link_from` reads."""


def facts_from(agent_id: str, record: Record, links: tuple[Link, ...]) -> Facts:
    """The facts in a record of `facts_columns`. Words that many agents share are interned."""
    # fmt: off
    (
        version, choice, set_at, by, intent_reason, until_at,
        base_choice, base_set_at, base_by, base_reason,
        checked_in_on, checked_in_at, check_in_until_at, warned,
        presence, since, reason, source, note, confirmed, presence_since,
        acted_at, last_seen_at, asked_at, return_asked_on, reviewed_at,
        intent_code, base_code, reason_code,
    ) = record
    # fmt: on
    base = None
    if base_choice is not None:
        base = Intent(
            CHOICES[base_choice],
            instant(base_set_at),
            intern(base_by),
            base_reason,
            reason_code=intern(base_code or ""),
        )
    check_in = None
    if checked_in_on is not None:
        for link in links:
            if link.identity_id == checked_in_on:
                checked_in_on = link.identity_id
        check_in = CheckIn(checked_in_on, instant(checked_in_at), instant(check_in_until_at), bool(warned))
    return Facts(
        agent_id,
        Intent(
            CHOICES[choice],
            instant(set_at),
            intern(by),
            intent_reason,
            instant_or_none(until_at),
            base,
            intern(intent_code or ""),
        ),
        Interval(
            PRESENCES[presence],
            instant(since),
            intern(reason),
            intern(source),
            note,
            bool(confirmed),
            instant_or_none(presence_since),
            intern(reason_code or ""),
        ),
        version,
        check_in,
        links,
        instant_or_none(acted_at),
        instant_or_none(last_seen_at),
        instant_or_none(asked_at),
        None if return_asked_on is None else date.fromisoformat(return_asked_on),
        instant_or_none(reviewed_at),
    )


def link_from(identity_id: str, record: Record) -> Link:
    """The link in a record of `link_columns`; of an identity's own string there need be no copy."""
    feed_id, state, since, epoch, seq, weak = record
    return Link(identity_id, intern(feed_id), STATES[state], instant(since), epoch, seq, bool(weak))


def facts_values(facts: Facts, version: int) -> dict[str, Any]:
    intent, check_in, interval = facts.intent, facts.check_in, facts.interval
    base = intent.base
    if base is not None and (base.until_at is not None or base.base is not None):
        raise ValueError("the intent beneath a timed one is untimed")
    return {
        "version": version,
        "intent_choice": intent.choice.value,
        "intent_set_at": micros(intent.set_at),
        "intent_by": intent.by,
        "intent_reason": intent.reason,
        "intent_until_at": micros_or_none(intent.until_at),
        "base_choice": None if base is None else base.choice.value,
        "base_set_at": None if base is None else micros(base.set_at),
        "base_by": None if base is None else base.by,
        "base_reason": None if base is None else base.reason,
        "intent_reason_code": intent.reason_code or None,
        "base_reason_code": None if base is None else base.reason_code or None,
        "check_in_identity_id": None if check_in is None else check_in.identity_id,
        "check_in_at": None if check_in is None else micros(check_in.at),
        "check_in_until_at": None if check_in is None else micros(check_in.until_at),
        "check_in_warned": check_in is not None and check_in.warned,
        **interval_values(interval),
        "acted_at": micros_or_none(facts.acted_at),
        "last_seen_at": micros_or_none(facts.last_seen_at),
        "asked_at": micros_or_none(facts.asked_at),
        "return_asked_on": None if facts.return_asked_on is None else facts.return_asked_on.isoformat(),
        "reviewed_at": micros_or_none(facts.reviewed_at),
    }


def interval_values(interval: Interval) -> dict[str, Any]:
    return {
        "presence": interval.presence.value,
        "since": micros(interval.since),
        "reason": interval.reason,
        "source": interval.source,
        "note": interval.note,
        "confirmed": interval.confirmed,
        "presence_since": micros_or_none(interval.presence_since),
        "reason_code": interval.reason_code or None,
    }
