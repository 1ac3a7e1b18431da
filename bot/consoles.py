"""Console sessions in words: where somebody sits, since when, and what their silence means."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from bot.domain.facts import Feed, Link, Policy
from bot.domain.presence import FIRM, blind, lease_ends
from bot.domain.sessions import key_of, open_sessions
from bot.message import Line, Moment, words
from bot.returning import length
from bot.roster import Row


def _open(row: Row, feeds: Mapping[str, Feed]) -> Iterator[tuple[Link, datetime, Feed]]:
    """Sessions that have not ended, each with its last heartbeat."""
    for link, beat_at in open_sessions(row.facts.links):
        feed = feeds.get(link.feed_id)
        if feed is not None:
            yield link, beat_at, feed


def seen(row: Row, feeds: Mapping[str, Feed], now: datetime, *, of_them: bool = False) -> Iterator[Line]:
    """A line for each that is open; of one that has ended there is nothing to tell."""
    whose = "Their" if of_them else "Your"
    for link, beat_at, feed in _open(row, feeds):
        name = f"{whose} console {words(key_of(link), 40)}"
        if blind(link, feed):
            yield (
                f"{name}: no heartbeat yet since I came back; the last one before was at ",
                Moment(beat_at),
            )
            continue
        silent = now > beat_at + FIRM
        state = ", but silent: its last heartbeat was at " if silent else ", last heartbeat "
        yield (f"{name}: connected since ", Moment(link.since), state, Moment(beat_at))


def doubts(row: Row, feeds: Mapping[str, Feed]) -> Iterator[str]:
    """Why none of them suffices for new work, where one stands for somebody who gets none."""
    for link, _, feed in _open(row, feeds):
        yield "I have no news from your console" if blind(link, feed) else "your console fell silent"


def grounds(row: Row, feeds: Mapping[str, Feed], policy: Policy, now: datetime) -> Iterator[Line]:
    """What would have to become of each for somebody to be Offline."""
    there = list(_open(row, feeds))
    for link, beat_at, feed in there:
        name = "your console" if len(there) == 1 else f"your console {words(key_of(link), 40)}"
        ends = lease_ends(link, feed, policy)
        if ends is not None and (blind(link, feed) or now > beat_at + FIRM):
            yield (f"{name} sends no heartbeat by ", Moment(ends))
        else:
            yield (f"{name} is closed, or silent for over {length(feed.grace)}",)
