"""Feeds as the core keeps them: what is known of a link while they come, go, and Rollcall restarts."""

from datetime import timedelta

from desk import START, Team, open_team

from bot.dispatch import Desk
from bot.domain.facts import Seen


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
