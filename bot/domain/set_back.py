"""What a clock that was set back does to facts: what had just happened lies ahead by it.

Such an instant is dated as long ago as it was, so that no grace, lease or time to answer becomes longer, and
whatever comes next is newer than it. History stays as it is: intervals begin where they began.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from bot.domain.facts import Facts, Feed, Policy
from bot.domain.presence import Feeds
from bot.domain.transition import Step, reviewed


def facts_set_back(
    facts: Facts, by: timedelta, feeds: Feeds, policy: Policy, now: datetime, zone: str | None
) -> Step:
    """The facts by a clock that was set back by so much, to `now`; `feeds` are by that clock already. A
    check-in lasts no longer from now than a new one would; an away lasts until when it was said to."""

    def dated(at: datetime | None) -> datetime | None:
        return at if at is None or at <= now else at - by

    links = tuple(
        replace(link, since=_dated(link.since, by, now), beat_at=dated(link.beat_at)) for link in facts.links
    )
    check_in = facts.check_in
    if check_in is not None:
        until_at = min(check_in.until_at, now + policy.check_in)
        check_in = replace(check_in, at=_dated(check_in.at, by, now), until_at=until_at)
    after = replace(
        facts,
        links=links,
        check_in=check_in,
        acted_at=dated(facts.acted_at),
        asked_at=dated(facts.asked_at),
        last_seen_at=dated(facts.last_seen_at),
    )
    if after == facts and (facts.reviewed_at or facts.interval.since) <= now:
        return facts, ()
    return reviewed(after, feeds, policy, now, zone)


def feed_set_back(feed: Feed, by: timedelta, now: datetime) -> Feed:
    """The same of a feed."""
    ended = tuple((epoch, _dated(at, by, now)) for epoch, at in feed.ended)
    return replace(
        feed, live_at=_dated(feed.live_at, by, now), lost_at=_dated(feed.lost_at, by, now), ended=ended
    )


def _dated(at: datetime, by: timedelta, now: datetime) -> datetime:
    return at if at <= now else at - by
