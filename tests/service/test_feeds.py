"""Feeds as the core keeps them: what is known of a link while they come, go, and Rollcall restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
from desk import START, Team, open_team
from msgspec.structs import replace

from bot.dispatch import Desk
from bot.domain.agent import Identity
from bot.domain.errors import Unavailable
from bot.domain.facts import Presence, Seen
from bot.ports import Transaction

T = TypeVar("T")
MOVED = "presence.changed"
SLACK = {"bot_token": "xoxb-1", "app_token": "xapp-1"}


async def away_and_seen() -> Team:
    """Ana is Away, with no word of her own that would hold, and Discord shows her."""
    team = await open_team(discord={"token": "t"})
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/away", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    return team


async def flap(team: Team) -> None:
    """Lost now, back half a minute later without a word on anybody, and half a minute goes by."""
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    team.clock.advance(seconds=30)
    await team.desk.feed_live(team.discord.id)
    team.clock.advance(seconds=30)


async def test_a_link_is_blind_since_the_first_loss_through_flaps_and_a_restart() -> None:
    team = await away_and_seen()
    for _ in range(3):
        await flap(team)
    assert team.row("Ana").verdict.unconfirmed_since == START
    team.desk = Desk(team.desk.config, team.desk.store, team.clock)
    await team.desk.start()
    assert team.row("Ana").verdict.unconfirmed_since == START
    await flap(team)
    assert team.row("Ana").verdict.unconfirmed_since == START
    team.clock.advance(hours=8)
    assert team.presence("Ana") == "offline"
    await team.desk.tick()
    assert team.row("Ana").facts.interval.since == START + timedelta(hours=8)


async def test_whoever_was_seen_between_two_losses_is_blind_since_the_second() -> None:
    team = await away_and_seen()
    await flap(team)
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    await team.see("500", Seen.CONNECTED, await team.desk.feed_live(team.discord.id))
    team.clock.advance(minutes=5)
    second = team.clock.now()
    await team.desk.feed_lost(team.discord.id, since=second)
    team.clock.advance(minutes=1)
    assert team.row("Ana").verdict.unconfirmed_since == second


async def test_a_resumed_feed_has_lost_nothing() -> None:
    team = await away_and_seen()
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    await team.desk.feed_live(team.discord.id, resumed=True)
    later = team.clock.advance(minutes=5)
    await team.desk.feed_lost(team.discord.id, since=later)
    team.clock.advance(minutes=1)
    assert team.row("Ana").verdict.unconfirmed_since == later


# --- while the database is away ---


@contextmanager
def database_away(team: Team) -> Iterator[None]:
    """Nothing can be written."""
    write = team.desk.store.write

    async def refused(operation: Callable[[Transaction], T]) -> T:
        raise Unavailable("The database is away.")

    team.desk.store.write = refused  # type: ignore[method-assign]
    yield
    team.desk.store.write = write  # type: ignore[method-assign]


async def suspect(away: AbstractContextManager[None] | None, team: Team) -> list[tuple[str, str, int]]:
    """A link is suspect when the feed is lost, and somebody else's time away is over, with the database
    there or not; the history that comes of it as (presence, reason, seconds from the start)."""
    epoch = await team.desk.feed_live(team.discord.id)
    agent_id = team.row("Ana").agent.id
    await team.see("500", Seen.CONNECTED, epoch)
    await team.type("501", "/available", on="discord", name="Bea")
    began = team.clock.advance(seconds=120)
    await team.type("501", "/away 1m tea", on="discord", name="Bea")
    team.clock.advance(seconds=50)
    await team.see("500", Seen.DISCONNECTED, epoch)
    with away or nullcontext():
        team.clock.advance(seconds=20)
        if away is None:
            await team.desk.tick()
        await team.desk.feed_lost(team.discord.id, since=team.clock.now())
        for _ in range(3):
            team.clock.advance(seconds=60)
            with suppress(Unavailable):
                await team.desk.tick()
    await team.desk.tick()
    assert team.presence("Ana") == "away", "a lost gateway says nothing about the agents behind it"
    assert team.row("Ana").verdict.unconfirmed_since is not None
    team.clock.advance(seconds=5)
    await team.see("500", Seen.CONNECTED, await team.desk.feed_live(team.discord.id))
    await team.desk.tick()
    found = await team.desk.store.read(
        lambda tx: tx.presence.history([agent_id], began, team.clock.advance(seconds=1))
    )
    return [
        (one.presence.value, one.reason, int((one.since - began).total_seconds()))
        for one, _ in found[agent_id]
    ]


async def test_a_feed_lost_while_the_database_is_away_makes_the_same_history() -> None:
    """The grace that ran when it was lost never ends in the blind spell."""
    there, without = await away_and_seen(), await away_and_seen()
    assert await suspect(database_away(without), without) == await suspect(None, there)


async def test_feeds_that_change_twice_while_the_database_is_away_are_reviewed_by_each() -> None:
    """Off and on again: what was seen before proves nothing any more."""
    team = await away_and_seen()
    with database_away(team):
        await team.desk.feed_off(team.discord.id)
        team.clock.advance(seconds=10)
        await team.desk.feed_off(team.slack.id)
    team.clock.advance(seconds=10)
    await team.desk.feed_live(team.discord.id)
    await team.desk.tick()
    row = team.row("Ana")
    assert (row.verdict.presence.value, row.verdict.reason, row.facts.links) == (
        "offline",
        "switched_off",
        (),
    )
    assert row.facts.interval.since == START


async def test_an_epoch_that_could_not_be_stored_shows_nobody() -> None:
    """Else it would be given a second time after a crash, and an old word be taken for a new one."""
    team = await open_team(discord={"token": "t"})
    with database_away(team), pytest.raises(Unavailable):
        await team.desk.feed_live(team.discord.id)
    assert team.discord.id not in team.desk.roster.feeds
    assert await team.desk.feed_live(team.discord.id) == 1


async def test_what_was_due_while_the_database_was_away_is_stored_later_at_its_instant() -> None:
    team = await away_and_seen()
    await team.type("500", "/available", on="discord", name="Ana")
    await team.type("500", "/away 30m", on="discord", name="Ana")
    due = team.clock.now() + timedelta(minutes=30)
    team.clock.advance(minutes=31)
    with database_away(team), pytest.raises(Unavailable):
        await team.desk.tick()
    assert team.presence("Ana") == "available"
    team.clock.advance(minutes=5)
    await team.desk.tick()
    agent_id = team.row("Ana").agent.id
    stored = await team.desk.store.read(lambda tx: tx.presence.facts(agent_id))
    assert stored is not None
    assert (stored.interval.presence.value, stored.interval.since) == ("available", due)


async def test_after_a_crash_a_feed_was_lost_when_it_was_last_noted_as_live() -> None:
    team = await away_and_seen()
    noted = team.clock.advance(minutes=10)
    await team.desk.mark_feeds_seen()
    team.clock.advance(seconds=20)
    team.desk = Desk(team.desk.config, team.desk.store, team.clock)
    await team.desk.start()
    assert team.row("Ana").verdict.unconfirmed_since == noted


# --- a review that could be stored for some only ---


@contextmanager
def only(team: Team, batches: int) -> Iterator[None]:
    """After so many batches of agents the database is away."""
    write, changes, left = team.desk.store.write, team.desk.changes, batches

    async def some(operation: Callable[[Transaction], T]) -> T:
        nonlocal left
        if isinstance(operation, partial) and operation.func == changes._record_many:
            left -= 1
            if left < 0:
                raise Unavailable("The database is away.")
        return await write(operation)

    team.desk.store.write = some  # type: ignore[method-assign]
    yield
    team.desk.store.write = write  # type: ignore[method-assign]


async def two_away_and_seen(monkeypatch: pytest.MonkeyPatch) -> Team:
    """Ana and Bea, each a batch of their own."""
    team = await away_and_seen()
    await team.type("501", "/away", on="discord", name="Bea")
    await team.see("501", Seen.CONNECTED, team.desk.roster.feeds[team.discord.id].epoch)
    monkeypatch.setattr("bot.changes.BATCH", 1)
    monkeypatch.setattr("bot.changes.LEAST", 1)
    team.desk.changes._size = 1
    return team


async def test_a_review_stored_for_some_and_done_again_takes_nobodys_link_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Off and on again while the database is away for most of it; both are seen before it is caught up."""
    team = await two_away_and_seen(monkeypatch)
    with database_away(team):
        await team.desk.feed_off(team.discord.id)
    team.clock.advance(seconds=10)
    with only(team, 1):
        epoch = await team.desk.feed_live(team.discord.id)
    team.clock.advance(seconds=10)
    for who in ("500", "501"):
        await team.see(who, Seen.CONNECTED, epoch)
    team.clock.advance(seconds=1)
    await team.desk.tick()
    assert {name: (team.presence(name), len(team.row(name).facts.links)) for name in ("Ana", "Bea")} == {
        "Ana": ("away", 1),
        "Bea": ("away", 1),
    }


async def test_a_review_stored_for_some_and_done_again_tells_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    team = await two_away_and_seen(monkeypatch)
    lost = team.clock.now()
    team.clock.advance(minutes=5)
    with only(team, 1):
        await team.desk.feed_lost(team.discord.id, since=lost)
    with only(team, 0):
        await team.desk.feed_live(team.discord.id)
    for _ in range(3):
        team.clock.advance(seconds=1)
        await team.desk.tick()
    organization_id = team.desk.organization_id
    events = await team.desk.store.read(lambda tx: tx.ledger.events_after(organization_id, 0, 1_000))
    told = Counter(
        (event.agent_id, event.at, event.data["confirmed"]) for _, event in events if event.type == MOVED
    )
    assert max(told.values()) == 1


async def two_feeds(*, away: bool) -> list[tuple[Presence, str, timedelta]]:
    """Slack is switched off, Discord's grace ends, then Discord is lost; the history that comes of it."""
    team = await open_team(discord={"token": "t"}, slack=SLACK)
    began = team.clock.now()
    slack = await team.desk.feed_live(team.slack.id)
    discord = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/away", on="discord", name="Ana")
    agent_id = team.row("Ana").agent.id
    more = Identity("idn_2", team.slack.id, "slack", "U7", "Ana")
    await team.desk.changes.agent(
        agent_id, lambda stored: replace(stored, identities=(*stored.identities, more)), "test"
    )
    team.clock.advance(minutes=5)
    await team.see("U7", Seen.AWAY, slack, on="slack")
    await team.see("500", Seen.CONNECTED, discord)
    await team.see("500", Seen.DISCONNECTED, discord)
    with database_away(team) if away else nullcontext():
        team.clock.advance(seconds=20)
        await team.desk.feed_off(team.slack.id)
        for seconds in (60, 120):
            team.clock.advance(seconds=seconds)
            with suppress(Unavailable):
                await team.desk.tick()
        await team.desk.feed_lost(team.discord.id, since=team.clock.now())
        team.clock.advance(seconds=180)
    await team.desk.tick()
    found = await team.desk.store.read(
        lambda tx: tx.presence.history([agent_id], began, began + timedelta(hours=1))
    )
    return [(one.presence, one.reason, one.since - began) for one, _ in found[agent_id]]


async def test_what_two_feeds_went_through_without_the_database_is_what_it_would_have_been_with_it() -> None:
    told = await two_feeds(away=True)
    assert told == await two_feeds(away=False)
    assert (Presence.OFFLINE, "disconnected", timedelta(minutes=6)) in told
