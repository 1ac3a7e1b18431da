"""Presence: from facts, feeds, policy and an instant to a verdict.

`judge` answers for one instant; `deadline` says when time alone will next have a consequence.
Both are total and keep nothing; what comes of a deadline or of something new is in `transition.py`.
The rules are numbered as in `docs/presence.md`.

Whatever lasts until an instant still holds at it: a deadline has passed when `now > deadline`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from bot.domain.facts import (
    CONNECTED,
    DISCONNECTED,
    IDLE,
    LIVE,
    SUSPECT,
    CheckIn,
    Choice,
    Facts,
    Feed,
    Intent,
    Link,
    Policy,
    Presence,
)

Feeds = Mapping[str, Feed]
TICK = timedelta(microseconds=1)
"""The resolution of instants: just after a deadline is one tick later."""
BEAT = timedelta(seconds=15)
"""How often a console is asked to send a heartbeat."""
FIRM = 3 * BEAT
"""A console session that was silent for longer is good for no new work."""


class Verdict(Struct, frozen=True, gc=False):
    """Presence at one instant, and whether the evidence allows new work."""

    presence: Presence
    reason: str
    source: str
    note: str
    confirmed: bool
    """False once a blind spell has outlasted the feed's trust."""
    unconfirmed_since: datetime | None
    """Since when nothing that we can see supports this verdict."""
    reachable: bool
    """Available, with evidence good enough for new work (rules 1 to 5)."""
    reason_code: str = ""
    """What an Away is for, by the organization's code."""


def blind(link: Link, feed: Feed) -> bool:
    """Nothing was seen of this link since its feed was lost (rule 5). A console session that has ended is
    over: while we were away it could not begin again."""
    if link.beat_at is not None and link.state is DISCONNECTED:
        return False
    return feed.state is not LIVE or link.epoch != feed.epoch


def blind_since(link: Link, feed: Feed) -> datetime:
    """When the epoch was lost in which the blind link was last seen: a feed that comes back and goes again
    without showing it makes nothing surer (rule 5)."""
    since = feed.lost_at
    if link.epoch != feed.epoch:
        for epoch, at in feed.ended:
            if epoch < link.epoch:
                break
            since = at
    return since


def suspect_ends(link: Link, feed: Feed, policy: Policy) -> datetime:
    """Rules 2 and 6: the grace, and no consequence within the settling time of a feed come back."""
    return max(link.since + feed.grace, feed.live_at + policy.settling)


def lease_ends(link: Link, feed: Feed, policy: Policy) -> datetime | None:
    """Rules 2 and 6: when a console session that has not ended does, if no heartbeat comes; counted from
    when the feed became live for whoever could not send one before. None while nothing can end it."""
    if link.beat_at is None or link.state is DISCONNECTED or feed.state is not LIVE:
        return None
    begins = link.beat_at if link.epoch == feed.epoch else feed.live_at
    return max(begins + feed.grace, feed.live_at + policy.settling)


def idle_from(link: Link, facts: Facts) -> datetime:
    return link.since if facts.acted_at is None else max(link.since, facts.acted_at)


def idle_ends(link: Link, feed: Feed, facts: Facts, policy: Policy) -> datetime:
    """Rule 3: routable, then asked, then gone; an action in Rollcall starts it again."""
    full = idle_from(link, facts) + policy.idle_routable + policy.idle_answer
    return max(full, feed.live_at + policy.settling)


def _own_link_suspect(facts: Facts, check_in: CheckIn, feeds: Feeds) -> bool:
    """A disconnect later than the check-in, still in its grace: no new work on it alone."""
    return any(
        link.identity_id == check_in.identity_id
        and link.state is SUSPECT
        and link.since > check_in.at
        and link.feed_id in feeds
        for link in facts.links
    )


def judge(facts: Facts, feeds: Feeds, policy: Policy, now: datetime) -> Verdict:
    """Presence at `now`. Deadlines before `now` are taken to have been settled.

    A link whose feed is not in `feeds` is switched off and counts for nothing.
    """
    intent = facts.intent
    holds = firm = sure = False
    lost_at: datetime | None = None
    trusted = True
    check_in = facts.check_in
    if check_in is not None and now <= check_in.until_at:
        holds = sure = True
        firm = not _own_link_suspect(facts, check_in, feeds)
    for link in facts.links:
        feed = feeds.get(link.feed_id)
        if feed is None:
            continue
        state = link.state
        if feed.state is LIVE and link.epoch == feed.epoch:
            if state is CONNECTED:
                if link.beat_at is None or now <= link.beat_at + FIRM:
                    holds = firm = sure = True
                elif (ends := lease_ends(link, feed, policy)) is not None and now <= ends:
                    holds = sure = True
            elif state is SUSPECT:
                if now <= suspect_ends(link, feed, policy):
                    holds = sure = True
            elif state is IDLE and now <= idle_ends(link, feed, facts, policy):
                holds = sure = True
                firm = firm or now <= idle_from(link, facts) + policy.idle_routable
            continue
        if link.beat_at is not None and state is DISCONNECTED:
            continue
        since = blind_since(link, feed)
        trust_ends = since + feed.trust
        if state is not DISCONNECTED and now <= since + policy.unobserved:
            holds = True
            if now <= trust_ends and (
                state is CONNECTED or (state is IDLE and now <= idle_from(link, facts) + policy.idle_routable)
            ):
                firm = True
        if lost_at is None or since < lost_at:
            lost_at, trusted = since, now <= trust_ends
        elif since == lost_at:
            trusted = trusted and now <= trust_ends
    off = intent.choice is Choice.OFF
    if off or sure:
        lost_at, trusted = None, True
    if off or not holds:
        reason, source = _why_offline(facts, feeds, policy, now)
        return Verdict(Presence.OFFLINE, reason, source, "", trusted, lost_at, False)
    if intent.choice is Choice.AWAY:
        why, code = _why_away(intent), intent.reason_code
        return Verdict(Presence.AWAY, why, intent.by, intent.reason, trusted, lost_at, False, code)
    return Verdict(Presence.AVAILABLE, "set", intent.by, intent.reason, trusted, lost_at, firm)


def _why_away(intent: Intent) -> str:
    if intent.by == "rule:enrolled":
        return "not_set"
    return "returned" if intent.by == "rule:return" else "set"


def _why_offline(facts: Facts, feeds: Feeds, policy: Policy, now: datetime) -> tuple[str, str]:
    """Reason and source: the last evidence that ended; of several at one instant the check-in, then by
    name. An Offline that stands keeps its reason.
    """
    if facts.intent.choice is Choice.OFF:
        return "signed_off", facts.intent.by
    standing = facts.interval
    if standing.presence is Presence.OFFLINE and standing.reason != "signed_off":
        return standing.reason, standing.source
    last: tuple[datetime, bool, str, str] | None = None
    check_in = facts.check_in
    if check_in is not None and now > check_in.until_at:
        last = (check_in.until_at, True, "check_in_lapsed", "check_in")
    for link in facts.links:
        feed = feeds.get(link.feed_id)
        if feed is None:
            continue
        if link.state is DISCONNECTED:
            ended = (link.since, False, "disconnected", feed.platform)
        elif blind(link, feed):
            ended = (blind_since(link, feed) + policy.unobserved, False, "unobserved", "unobserved")
        elif link.state is SUSPECT:
            ended = (suspect_ends(link, feed, policy), False, "disconnected", feed.platform)
        else:  # idle for too long: a connected link of a live feed holds, or its lease has been settled
            ended = (idle_ends(link, feed, facts, policy), False, "disconnected", feed.platform)
        if last is None or ended > last:
            last = ended
    return ("not_connected", "rule:enrolled") if last is None else (last[2], last[3])


def deadline(facts: Facts, feeds: Feeds, policy: Policy) -> datetime | None:
    """When time alone will next have a consequence, never before `reviewed_at`; None: never."""
    reviewed = facts.reviewed_at or facts.interval.since
    first: datetime | None = facts.intent.until_at  # folding it in removes it
    check_in = facts.check_in
    if check_in is not None:
        if not check_in.warned:
            word = check_in.until_at - policy.check_in_word
            if first is None or word < first:
                first = word
        if check_in.until_at >= reviewed and (first is None or check_in.until_at < first):
            first = check_in.until_at
    for link in facts.links:
        feed = feeds.get(link.feed_id)
        if feed is None:
            continue
        if link.beat_at is not None:
            over = lease_ends(link, feed, policy)
            if over is not None:
                if link.epoch == feed.epoch and reviewed <= link.beat_at + FIRM < over:
                    over = link.beat_at + FIRM
                if first is None or over < first:
                    first = over
            if not blind(link, feed):
                continue
        if feed.state is not LIVE or link.epoch != feed.epoch:
            since = blind_since(link, feed)
            ends = [since + feed.trust, since + policy.unobserved]
            if link.state is IDLE:
                ends.append(idle_from(link, facts) + policy.idle_routable)
            for at in ends:
                if at >= reviewed and (first is None or at < first):
                    first = at
        elif link.state is SUSPECT:
            at = suspect_ends(link, feed, policy)
            if first is None or at < first:
                first = at
        elif link.state is IDLE:
            at = idle_from(link, facts) + policy.idle_routable
            if at < reviewed:
                at = idle_ends(link, feed, facts, policy)
            if first is None or at < first:
                first = at
    if first is None or first >= reviewed:
        return first
    return reviewed
