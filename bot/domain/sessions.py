"""Console sessions: a live-chat console says by heartbeats that somebody sits at it.

A session is a link like an identity's, and in the same list: observed by a feed of its own kind, which is
live while Rollcall runs and begins anew with each start. Its lease runs from the last heartbeat.
The rules are in `docs/presence.md`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from bot.domain.errors import Conflict, NotFound
from bot.domain.facts import CONNECTED, DISCONNECTED, Facts, Link, Policy
from bot.domain.presence import Feeds, deadline
from bot.domain.transition import Change, Step, reviewed, settle

PREFIX = "session:"
MOST_SESSIONS = 20
"""Of one agent: so many consoles and browser tabs nobody has open."""
REMEMBERED = timedelta(days=1)
"""How long a session that has ended can still be told to have been reopened."""


def link_id(key: str) -> str:
    """How a session's link is called among an agent's."""
    return PREFIX + key


def key_of(link: Link) -> str:
    """The key of a session, by its link."""
    return link.identity_id.removeprefix(PREFIX)


def open_sessions(links: Iterable[Link]) -> list[tuple[Link, datetime]]:
    """Those that have not ended, each with its last heartbeat, the longest open first."""
    found = [
        (link, link.beat_at) for link in links if link.beat_at is not None and link.state is not DISCONNECTED
    ]
    return sorted(found, key=lambda one: (one[0].since, one[0].identity_id))


def of(facts: Facts, key: str) -> Link | None:
    """The link of the session of that key, if there is one."""
    wanted = PREFIX + key
    for link in facts.links:
        if link.identity_id == wanted:
            return link
    return None


def beat(
    facts: Facts, key: str, feed_id: str, feeds: Feeds, policy: Policy, now: datetime, zone: str | None
) -> Step:
    """A heartbeat: opens the session, renews its lease, or reopens it after its end; what it missed stays
    missed. Heartbeats count in the order in which they come.

    Raises Conflict where the agent has `MOST_SESSIONS` open ones.
    """
    facts, settled = _settled(facts, feeds, policy, now)
    feed = feeds.get(feed_id)
    if feed is None:
        raise NotFound("Console sessions are not taken just now. Try again in a moment.")
    old = of(facts, key)
    if old is None:
        kept = _with_room(facts.links, now)
        link = Link(link_id(key), feed_id, CONNECTED, now, feed.epoch, 1, beat_at=now)
        links = (*kept, link)
    else:
        since = now if old.state is DISCONNECTED else old.since
        link = replace(
            old, feed_id=feed_id, state=CONNECTED, since=since, epoch=feed.epoch, seq=old.seq + 1, beat_at=now
        )
        links = tuple(link if other is old else other for other in facts.links)
    began = old is None or old.state is DISCONNECTED
    facts = replace(facts, links=links, last_seen_at=now if began else facts.last_seen_at)
    facts, came = reviewed(facts, feeds, policy, now, zone)
    return facts, (*settled, *came)


def log_out(facts: Facts, key: str, feeds: Feeds, policy: Policy, now: datetime, zone: str | None) -> Step:
    """The console says that it is left: a disconnect at once, without a grace. Nothing where there is no
    such session, or it has ended already."""
    facts, settled = _settled(facts, feeds, policy, now)
    old = of(facts, key)
    if old is None or old.state is DISCONNECTED:
        return facts, settled
    link = replace(old, state=DISCONNECTED, since=now, seq=old.seq + 1)
    links = tuple(link if other is old else other for other in facts.links)
    facts, came = reviewed(replace(facts, links=links, last_seen_at=now), feeds, policy, now, zone)
    return facts, (*settled, *came)


def _settled(facts: Facts, feeds: Feeds, policy: Policy, now: datetime) -> tuple[Facts, tuple[Change, ...]]:
    due = deadline(facts, feeds, policy)
    return (facts, ()) if due is None or due >= now else settle(facts, feeds, policy, now)


def _with_room(links: tuple[Link, ...], now: datetime) -> tuple[Link, ...]:
    """The links without sessions that ended long ago, and without the one that ended first where there
    are too many. Raises Conflict where all of them are open."""
    kept = [
        link
        for link in links
        if link.beat_at is None or link.state is not DISCONNECTED or link.since + REMEMBERED >= now
    ]
    mine = [link for link in kept if link.beat_at is not None]
    if len(mine) >= MOST_SESSIONS:
        ended = [link for link in mine if link.state is DISCONNECTED]
        if not ended:
            raise Conflict(
                f"This agent has {MOST_SESSIONS} console sessions open, and no more are kept. "
                "Give a console the same key each time, and DELETE the session when it is left."
            )
        kept.remove(min(ended, key=lambda link: (link.since, link.identity_id)))
    return tuple(kept)
