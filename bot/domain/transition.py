"""Presence over time: what comes of a deadline, an observation, a feed, a command.

- `settle` carries consequences out, one deadline after the other, each at its own instant, so that
  it makes no difference how late it is called.
- `observe`, `act`, `choose_available`, `choose_away`, `sign_off`, `disconnect_identity` bring
  something new. Each settles first, and answers the new facts with the changes that others should
  hear of. So does `review`, for new feeds, of facts that were settled by the old ones.

The rules are numbered as in `docs/presence.md`.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct
from msgspec.structs import replace

from bot.domain.facts import (
    CONNECTED,
    DISCONNECTED,
    IDLE,
    SUSPECT,
    CheckIn,
    Choice,
    Facts,
    Feed,
    Intent,
    Interval,
    Link,
    Observation,
    OnReturn,
    Policy,
    Presence,
    Seen,
    SlackAway,
)
from bot.domain.presence import (
    TICK,
    Feeds,
    Verdict,
    blind,
    blind_since,
    deadline,
    idle_ends,
    idle_from,
    judge,
    lease_ends,
    suspect_ends,
)


class Moved(Struct, frozen=True):
    """One interval closed and the next opened, at `after.since`."""

    before: Interval
    after: Interval


class Told(StrEnum):
    """What an agent is told by a direct message, because time, a return or a lead brought it about."""

    STILL_THERE = "still_there"
    CHECK_IN_ENDING = "check_in_ending"
    AWAY_ENDED = "away_ended"
    RETURNED = "returned"
    SET_BY_PROGRAM = "set_by_program"
    SET_BY_LEAD = "set_by_lead"
    LINKED = "linked"
    UNLINKED = "unlinked"


class Notice(Struct, frozen=True):
    """A word to the agent, due at an instant."""

    told: Told
    at: datetime
    by: str = ""
    """Who brought it about, by name, where somebody did."""
    reason_code: str = ""
    """What the time away was for that is over, so that more of it is for the same."""


Change = Moved | Notice
Step = tuple[Facts, tuple[Change, ...]]


def settle(facts: Facts, feeds: Feeds, policy: Policy, now: datetime) -> Step:
    """The facts as they are just before whatever happens at `now`, with all that came due till then."""
    changes: list[Change] = []
    due = deadline(facts, feeds, policy)
    while due is not None and due < now:
        facts, came = _pass(facts, feeds, policy, due)
        changes.extend(came)
        due = deadline(facts, feeds, policy)
    return facts, tuple(changes)


def _pass(facts: Facts, feeds: Feeds, policy: Policy, at: datetime) -> Step:
    """Carry out what comes due at `at`."""
    before = facts
    intent, check_in = facts.intent, facts.check_in
    ending = False
    seen_at = facts.last_seen_at
    links: list[Link] = []
    for link in facts.links:
        feed = feeds.get(link.feed_id)
        if feed is not None and link.beat_at is not None:
            over = lease_ends(link, feed, policy)
            if over is not None and over <= at:
                heard_at = link.beat_at
                if link.epoch != feed.epoch:
                    # Renewals are not stored; but it was open when we last were there, so one had come.
                    heard_at = max(heard_at, blind_since(link, feed) - feed.grace)
                seen_at = max(seen_at or heard_at, heard_at)
                link = replace(link, state=DISCONNECTED, since=at)
            links.append(link)
        elif feed is None or blind(link, feed):
            links.append(link)
        elif link.state is SUSPECT and suspect_ends(link, feed, policy) <= at:
            if check_in is not None and _ends_check_in(link, check_in):
                check_in = None
            links.append(replace(link, state=DISCONNECTED, since=at))
        elif link.state is IDLE and idle_ends(link, feed, facts, policy) <= at:
            links.append(replace(link, state=DISCONNECTED, since=at))
        else:
            links.append(link)
    if intent.until_at is not None and intent.until_at <= at:
        intent = _restored(intent, intent.until_at)
    if check_in is not None and not check_in.warned and check_in.until_at - policy.check_in_word <= at:
        check_in = replace(check_in, warned=True)
        ending = True
    after = at + TICK
    facts = replace(
        facts,
        intent=intent,
        check_in=check_in,
        links=tuple(links),
        last_seen_at=seen_at,
        reviewed_at=after,
    )
    verdict = judge(facts, feeds, policy, after)
    told: list[Change] = []
    if verdict.presence is Presence.AVAILABLE:
        if ending and check_in is not None and _needed(check_in, facts, feeds, policy):
            told.append(Notice(Told.CHECK_IN_ENDING, at))
        if before.intent is not intent:
            told.append(Notice(Told.AWAY_ENDED, at, reason_code=before.intent.reason_code))
    facts, came = enter(facts, verdict, feeds, policy, at)
    return facts, (*came, *told)


def _ends_check_in(link: Link, check_in: CheckIn) -> bool:
    """Rule 4: a later, strong disconnect of the identity it was made on."""
    return link.identity_id == check_in.identity_id and not link.weak and link.since > check_in.at


def _restored(intent: Intent, at: datetime) -> Intent:
    """Rule 7: the newest untimed intent beneath comes back."""
    base = intent.base or Intent(Choice.AWAY, set_at=at, by="rule:until")
    return replace(base, set_at=at, by="rule:until", until_at=None, base=None)


def _needed(check_in: CheckIn, facts: Facts, feeds: Feeds, policy: Policy) -> bool:
    """Whether they would be Offline when it lapses, if nothing new comes; a console goes on."""
    if any(link.beat_at is not None and link.state is CONNECTED for link in facts.links):
        return False
    lapsed = check_in.until_at + TICK
    return judge(replace(facts, check_in=None), feeds, policy, lapsed).presence is Presence.OFFLINE


def _ask(facts: Facts, feeds: Feeds, policy: Policy, at: datetime) -> Step:
    """Rule 3: "Still there?", to whoever is Available on nothing but links that went idle too long ago;
    once for each time that they did. What a grace may still bring back is waited for."""
    idle: list[datetime] = []
    for link in facts.links:
        feed = feeds.get(link.feed_id)
        if feed is None or blind(link, feed):
            continue
        if link.state is SUSPECT or link.state is CONNECTED:  # connected, but a silent console's
            return facts, ()
        if link.state is IDLE:
            idle.append(idle_from(link, facts))
    if not idle or (facts.asked_at is not None and facts.asked_at >= max(idle) + policy.idle_routable):
        return facts, ()
    return replace(facts, asked_at=at), (Notice(Told.STILL_THERE, at),)


def enter(facts: Facts, verdict: Verdict, feeds: Feeds, policy: Policy, at: datetime) -> Step:
    """Close the interval and open the next where the verdict is another (rule 12)."""
    asked: tuple[Change, ...] = ()
    if verdict.presence is Presence.AVAILABLE and not verdict.reachable:
        facts, asked = _ask(facts, feeds, policy, at)
    now = facts.interval
    if (
        now.presence is verdict.presence
        and now.reason == verdict.reason
        and now.source == verdict.source
        and now.note == verdict.note
        and now.confirmed is verdict.confirmed
        and now.reason_code == verdict.reason_code
    ):
        return facts, asked
    same = now.presence is verdict.presence
    opened = Interval(
        verdict.presence,
        at,
        verdict.reason,
        verdict.source,
        verdict.note,
        verdict.confirmed,
        now.standing_since if same else None,
        verdict.reason_code,
    )
    return replace(facts, interval=opened), (Moved(now, opened), *asked)


def observe(
    facts: Facts, seen: Observation, feeds: Feeds, policy: Policy, now: datetime, zone: str | None
) -> Step:
    """Take in what a feed said at `now`. What is older than the link's newest fact, or of another
    epoch than the feed's, changes nothing (rule 11); a repetition changes only the order's mark.
    """
    feed = feeds.get(seen.feed_id)
    if feed is None or seen.epoch != feed.epoch:
        return facts, ()
    old = next((link for link in facts.links if link.identity_id == seen.identity_id), None)
    if old is not None and (seen.epoch, seen.seq) <= (old.epoch, old.seq):
        return facts, ()
    due = deadline(facts, feeds, policy)
    settled: tuple[Change, ...] = ()
    if due is not None and due < now:
        facts, settled = settle(facts, feeds, policy, now)
        old = next((link for link in facts.links if link.identity_id == seen.identity_id), None)
    link = _observed(old, seen, policy)
    if link is not old and not blind(link, feed) and _over(link, feed, facts, policy, now):
        if facts.check_in is not None and _ends_check_in(link, facts.check_in):
            facts = replace(facts, check_in=None)
        link = replace(link, state=DISCONNECTED, since=now)
    links = (
        (*facts.links, link)
        if old is None
        else tuple(link if other is old else other for other in facts.links)
    )
    strong = link.state is CONNECTED and (old is None or old.state is not CONNECTED)
    strong = strong or (
        link.state is SUSPECT and not link.weak and old is not None and old.state is not SUSPECT
    )
    facts = replace(facts, links=links, last_seen_at=seen.at if strong else facts.last_seen_at)
    facts, came = reviewed(facts, feeds, policy, now, zone)
    return facts, (*settled, *came)


def _over(link: Link, feed: Feed, facts: Facts, policy: Policy, now: datetime) -> bool:
    """Whether what we are told now was so long ago that its grace, or the time to answer, has passed."""
    if link.state is SUSPECT:
        return suspect_ends(link, feed, policy) < now
    return link.state is IDLE and idle_ends(link, feed, facts, policy) < now


def _observed(old: Link | None, seen: Observation, policy: Policy) -> Link:
    """The link after one observation. Only from connected is there a way to suspect or idle:
    a first snapshot that says offline is no transition (rule 4), and a weak word after a strong one
    gives no more time."""
    was = old.state if old is not None else DISCONNECTED
    away = seen.seen is Seen.AWAY
    weak = away and policy.slack_away is SlackAway.WEAK
    if seen.seen is Seen.CONNECTED or (away and policy.slack_away is SlackAway.IGNORE):
        state = CONNECTED
    elif was is DISCONNECTED or was is SUSPECT:
        state = was
    else:
        state = IDLE if weak else SUSPECT
    if old is None:
        return Link(seen.identity_id, seen.feed_id, state, seen.at, seen.epoch, seen.seq, weak)
    if state is was:
        weak = weak if state is DISCONNECTED else old.weak
        return Link(old.identity_id, seen.feed_id, state, old.since, seen.epoch, seen.seq, weak)
    return Link(seen.identity_id, seen.feed_id, state, seen.at, seen.epoch, seen.seq, weak)


def review(facts: Facts, feeds: Feeds, policy: Policy, now: datetime, zone: str | None) -> Step:
    """The verdict after the feeds themselves changed. A feed that was switched off takes its links with it.

    The facts have been settled to `now` by the feeds as they were: what a new feed says of the time
    before (a blind spell that was noticed late) counts from now on, and rewrites no history.
    Whoever was Offline and is logged in again has returned (rule 8).
    """
    links = tuple(link for link in facts.links if link.feed_id in feeds)
    if len(links) == len(facts.links):
        return reviewed(facts, feeds, policy, now, zone)
    return reviewed(replace(facts, links=links), feeds, policy, now, zone, "switched_off")


def reviewed(
    facts: Facts, feeds: Feeds, policy: Policy, now: datetime, zone: str | None, taken: str = ""
) -> Step:
    """The verdict after something other than an intent changed, all that was due before it settled.
    `taken`: why evidence was taken away, which is then the reason of an Offline that comes of it."""
    facts = replace(facts, reviewed_at=now)
    verdict = judge(facts, feeds, policy, now)
    notices: tuple[Change, ...] = ()
    if verdict.presence is Presence.OFFLINE:
        if taken and facts.interval.presence is not Presence.OFFLINE:
            verdict = replace(verdict, reason=taken, source=f"rule:{taken}")
    elif facts.interval.presence is Presence.OFFLINE:
        facts, notices = _returned(facts, policy, now, zone)
        verdict = judge(facts, feeds, policy, now)
    facts, came = enter(facts, verdict, feeds, policy, now)
    return facts, (*came, *notices)


def _local_date(at: datetime, zone: str | None) -> date:
    """A zone that this machine does not know counts as none."""
    try:
        return at.astimezone(ZoneInfo(zone) if zone else UTC).date()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return at.date()


def _returned(facts: Facts, policy: Policy, now: datetime, zone: str | None) -> Step:
    """Rules 7 and 8: what an absence leaves of the intent, and whether to offer "I'm available"."""
    intent, gone_at = facts.intent, facts.interval.standing_since
    today = _local_date(now, zone)
    meanwhile = intent.by == "rule:until" and intent.set_at >= gone_at
    if intent.choice is Choice.AWAY:
        if intent.until_at is not None:
            return facts, ()
        if policy.on_return is OnReturn.AVAILABLE and now - gone_at >= policy.resume_gap:
            return replace(facts, intent=Intent(Choice.AVAILABLE, set_at=now, by="rule:return")), ()
        ask = meanwhile or _local_date(intent.set_at, zone) < today
    else:
        resumes = now - gone_at < policy.resume_gap
        resumes = resumes or (meanwhile and now - intent.set_at <= policy.restore_within)
        if resumes or policy.on_return is not OnReturn.ASK:
            return facts, ()
        facts = replace(facts, intent=Intent(Choice.AWAY, set_at=now, by="rule:return"))
        ask = True
    if not ask or facts.return_asked_on == today:
        return facts, ()
    return replace(facts, return_asked_on=today), (Notice(Told.RETURNED, now),)


def disconnect_identity(
    facts: Facts, identity_id: str, feeds: Feeds, policy: Policy, now: datetime, zone: str | None
) -> Step:
    """The person left that workspace: no grace, and no check-in made there counts (rule 13)."""
    facts, settled = settle(facts, feeds, policy, now)
    check_in = facts.check_in
    if check_in is not None and check_in.identity_id == identity_id:
        check_in = None
    links = tuple(link for link in facts.links if link.identity_id != identity_id)
    facts = replace(facts, check_in=check_in, links=links)
    facts, came = reviewed(facts, feeds, policy, now, zone, "removed")
    return facts, (*settled, *came)


def remove(facts: Facts, feeds: Feeds, policy: Policy, now: datetime, zone: str | None) -> Step:
    """No longer an agent: nothing holds, and whoever is enrolled again begins with nothing set (rule 13)."""
    facts, settled = settle(facts, feeds, policy, now)
    intent = Intent(Choice.AWAY, set_at=now, by="rule:enrolled")
    facts = replace(facts, intent=intent, check_in=None, links=())
    facts, came = reviewed(facts, feeds, policy, now, zone, "removed")
    return facts, (*settled, *came)
