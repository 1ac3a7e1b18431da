"""Somebody else's presence set by a program: like a lead's word, by its key."""

from datetime import datetime

from bot.domain.choices import choose_available, choose_away
from bot.domain.facts import Choice, Facts, Policy
from bot.domain.presence import Feeds
from bot.domain.transition import Notice, Step, Told, settle


class AlreadySo(Exception):
    """It is what it was to become: nothing was changed."""


def set_by_program(
    facts: Facts,
    feeds: Feeds,
    policy: Policy,
    now: datetime,
    *,
    by: str,
    name: str,
    choice: Choice,
    reason: str,
    reason_code: str,
    until_at: datetime | None,
) -> Step:
    """Available, or Away until an instant or for good, with a word to the agent about who did it:
    `by` is the intent's author, `name` what they are called.

    Raises AlreadySo where the intent is that already, whoever's it is, and SignedOff.
    """
    intent = settle(facts, feeds, policy, now)[0].intent
    wanted = (choice, reason, reason_code, until_at)
    if (intent.choice, intent.reason, intent.reason_code, intent.until_at) == wanted and (
        intent.by != "rule:enrolled"
    ):
        raise AlreadySo
    if choice is Choice.AVAILABLE:
        after, changes = choose_available(facts, feeds, policy, now, by=by, note=reason)
    else:
        after, changes = choose_away(
            facts, feeds, policy, now, by=by, reason=reason, reason_code=reason_code, until_at=until_at
        )
    return after, (*changes, Notice(Told.SET_BY_PROGRAM, now, name))
