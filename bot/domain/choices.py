"""What an agent, a lead or a program chooses: Available, Away, signed off; and any other sign of life.

Each settles first, and answers the new facts with the changes that others should hear of. The rules are
numbered as in `docs/presence.md`.
"""

from datetime import datetime

from msgspec.structs import replace

from bot.domain.errors import ReasonNeeded, SignedOff
from bot.domain.facts import CheckIn, Choice, Facts, Intent, LinkState, Policy, SlackAway
from bot.domain.presence import Feeds, judge
from bot.domain.transition import Step, enter, reviewed, settle


def act(facts: Facts, feeds: Feeds, policy: Policy, now: datetime, zone: str | None) -> Step:
    """The agent did something in Rollcall: a live check-in is renewed, a weak away starts again."""
    facts, settled = settle(facts, feeds, policy, now)
    facts, came = reviewed(_acted(facts, policy, now), feeds, policy, now, zone)
    return facts, (*settled, *came)


def _acted(facts: Facts, policy: Policy, now: datetime) -> Facts:
    check_in = facts.check_in
    if check_in is not None and now <= check_in.until_at:
        check_in = replace(check_in, until_at=max(check_in.until_at, now + policy.check_in), warned=False)
    links = tuple(
        replace(link, state=LinkState.IDLE, since=now)
        if link.weak and link.state is LinkState.DISCONNECTED and policy.slack_away is SlackAway.WEAK
        else link
        for link in facts.links
    )
    return replace(facts, acted_at=now, last_seen_at=now, check_in=check_in, links=links)


def _choose(facts: Facts, intent: Intent, feeds: Feeds, policy: Policy, now: datetime) -> Step:
    facts = replace(facts, intent=intent, reviewed_at=now)
    return enter(facts, judge(facts, feeds, policy, now), feeds, policy, now)


def choose_available(
    facts: Facts,
    feeds: Feeds,
    policy: Policy,
    now: datetime,
    *,
    by: str = "agent",
    note: str = "",
    identity_id: str | None = None,
) -> Step:
    """Available from now on. By the agent's own word (`identity_id`: where they said it) it opens a
    check-in; by somebody else's it does not make them connected.

    Raises SignedOff when somebody else says so of a signed-off agent (rule 9).
    """
    facts, settled = settle(facts, feeds, policy, now)
    if by == "agent":
        facts = _acted(facts, policy, now)
    elif facts.intent.choice is Choice.OFF:
        raise SignedOff("They signed off, so they stay Offline until they type `/available` themselves.")
    if by == "agent" and identity_id is not None:
        facts = replace(facts, check_in=CheckIn(identity_id, at=now, until_at=now + policy.check_in))
    intent = Intent(Choice.AVAILABLE, set_at=now, by=by, reason=note)
    facts, moved = _choose(facts, intent, feeds, policy, now)
    return facts, (*settled, *moved)


def choose_away(
    facts: Facts,
    feeds: Feeds,
    policy: Policy,
    now: datetime,
    *,
    by: str = "agent",
    reason: str = "",
    reason_code: str = "",
    until_at: datetime | None = None,
) -> Step:
    """Away from now on, or until an instant, after which the newest untimed intent comes back.

    Raises SignedOff: a signed-off agent is Offline until their own next `/available` (rule 9); and
    ReasonNeeded where the policy wants a reason and there is none, whoever sets it.
    """
    facts, settled = settle(facts, feeds, policy, now)
    old = facts.intent
    if old.choice is Choice.OFF:
        if by != "agent":
            raise SignedOff("They signed off, so they stay Offline until they type `/available` themselves.")
        raise SignedOff("You're signed off, so no chats come to you. Type `/available` to come back.")
    if policy.require_reason and not (reason_code or reason.strip()):
        raise ReasonNeeded("Your team asks for a reason with every Away.", field="reason")
    if by == "agent":
        facts = _acted(facts, policy, now)
    base = None
    if until_at is not None:
        base = old if old.until_at is None else old.base
    intent = Intent(Choice.AWAY, now, by, reason, until_at, base, reason_code)
    facts, moved = _choose(facts, intent, feeds, policy, now)
    return facts, (*settled, *moved)


def sign_off(facts: Facts, feeds: Feeds, policy: Policy, now: datetime, *, by: str = "agent") -> Step:
    """Offline until the agent's own next `/available`, whatever the platforms say (rule 9)."""
    facts, settled = settle(facts, feeds, policy, now)
    if by == "agent":
        facts = _acted(facts, policy, now)
    facts = replace(facts, check_in=None)
    facts, moved = _choose(facts, Intent(Choice.OFF, set_at=now, by=by), feeds, policy, now)
    return facts, (*settled, *moved)
