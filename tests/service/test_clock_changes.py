"""Row 5 of the faults on the whole core: the clock is set back an hour, or forward a day."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from desk import START, Team, open_team

from adapters.http.documents import trouble_body
from bot.dispatch import Desk
from bot.domain.errors import Unavailable
from bot.domain.facts import Seen
from bot.sessions import Session

HOUR = {"hours": -1.0}


async def team_at_work() -> tuple[Team, int]:
    """Ana is Away, and Discord shows her."""
    team = await open_team(discord={"token": "t"})
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/away", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    await ticks(team, 120)
    return team, epoch


async def ticks(team: Team, seconds: int) -> None:
    for _ in range(0, seconds, 5):
        team.clock.advance(seconds=5)
        await team.desk.tick()


async def beat(team: Team, key: str = "tab") -> Session:
    agent = team.row("Ana").agent
    return await team.desk.sessions.beat(agent, key)


async def tiled(team: Team) -> bool:
    """I9: each interval begins where the one before it ends, and all but the last have some length."""
    agent = team.row("Ana").agent
    found = await team.desk.store.read(
        lambda tx: tx.presence.history([agent.id], START - timedelta(days=2), START + timedelta(days=9))
    )
    kept = found[agent.id]
    return all(one[1] == other[0].since and one[0].since < other[0].since for one, other in pairwise(kept))


async def test_a_grace_that_runs_when_the_clock_is_set_back_ends_when_it_would_have() -> None:
    """60 s after the disconnect, half of them before the clock was moved; and the history is whole."""
    team, epoch = await team_at_work()
    await team.see("500", Seen.DISCONNECTED, epoch)
    await ticks(team, 30)
    team.clock.jump(**HOUR)
    await team.desk.tick()
    await ticks(team, 25)
    assert team.presence("Ana") == "away"
    await ticks(team, 10)
    assert team.presence("Ana") == "offline"
    assert await tiled(team)
    await team.see("500", Seen.CONNECTED, epoch)
    await ticks(team, 4000)
    assert team.presence("Ana") == "away"
    assert await tiled(team)


async def test_a_silent_console_ends_a_lease_after_the_clock_was_set_back() -> None:
    """And is good for no new work before that; one that goes on is renewed."""
    team = await open_team(discord={"token": "t"})
    await team.type("500", "/available", on="discord", name="Ana")
    await beat(team)
    await ticks(team, 30)
    await team.type("500", "/off", on="discord", name="Ana")
    await team.type("500", "/available", on="discord", name="Ana")
    team.clock.jump(**HOUR)
    await team.desk.tick()
    assert not (await beat(team)).reopened
    last = team.clock.now()
    await ticks(team, 60)
    (link,) = (one for one in team.row("Ana").facts.links if one.beat_at is not None)
    assert link.state.value == "connected"
    await ticks(team, 10)
    (link,) = (one for one in team.row("Ana").facts.links if one.beat_at is not None)
    assert (link.state.value, link.since) == ("disconnected", last + timedelta(seconds=65))
    assert await tiled(team)


async def test_a_check_in_lasts_no_longer_than_a_new_one_after_the_clock_was_set_back() -> None:
    team = await open_team(discord={"token": "t"})
    await team.type("500", "/available", on="discord", name="Ana")
    team.clock.jump(days=-1)
    await team.desk.tick()
    assert team.presence("Ana") == "available"
    team.clock.advance(hours=8)
    await team.desk.tick()
    assert team.presence("Ana") == "available"
    team.clock.advance(seconds=1)
    await team.desk.tick()
    assert team.presence("Ana") == "offline"
    assert await tiled(team)


async def test_people_are_told_until_the_clock_shows_what_it_did() -> None:
    team, _ = await team_at_work()
    team.clock.jump(seconds=-9)
    await team.desk.tick()
    assert team.desk.troubles == {}, "that is how a time service puts right what drifted"
    showed = team.clock.jump(**HOUR) + timedelta(hours=1)
    await team.desk.tick()
    (trouble,) = team.desk.troubles.values()
    said = trouble_body(team.desk, trouble)
    assert (said.platform, said.workspace) == ("clock", None)
    assert "was set back by 60 min" in said.sentence
    assert f"{showed:%Y-%m-%d %H:%M} UTC" in said.sentence
    team.clock.advance(minutes=59)
    await team.desk.tick()
    assert team.desk.troubles
    team.clock.advance(minutes=1)
    await team.desk.tick()
    assert team.desk.troubles == {}
    team.clock.jump(days=1)
    await team.desk.tick()
    assert team.desk.troubles == {}


async def test_what_the_database_had_no_time_for_is_put_right_by_a_later_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    team, epoch = await team_at_work()
    await team.see("500", Seen.DISCONNECTED, epoch)
    write = team.desk.store.write

    async def gone(_: object) -> None:
        raise Unavailable("The database can't be written.")

    monkeypatch.setattr(team.desk.store, "write", gone)
    team.clock.jump(**HOUR)
    with pytest.raises(Unavailable):
        await team.desk.tick()
    assert len(team.desk.troubles) == 1, "people are told all the same"
    monkeypatch.setattr(team.desk.store, "write", write)
    await ticks(team, 65)
    assert team.presence("Ana") == "offline"
    assert not team.desk.clock_watch._owed, "and not again with each tick"


async def test_a_feed_lost_just_before_is_trusted_no_longer() -> None:
    """Unconfirmed after two minutes of blindness, not after an hour and two."""
    team, _ = await team_at_work()
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    team.clock.jump(**HOUR)
    await team.desk.tick()
    (feed,) = team.desk.roster.feeds.values()
    assert feed.lost_at == team.clock.now()
    await ticks(team, 125)
    assert not team.row("Ana").verdict.confirmed
    assert await tiled(team)


async def test_a_clock_set_back_while_rollcall_did_not_run_is_noticed_by_the_next_start() -> None:
    """By when feeds were last seen; a start at a later time finds nothing."""
    team, epoch = await team_at_work()
    await team.see("500", Seen.DISCONNECTED, epoch)
    await team.desk.mark_feeds_seen()
    for jump, told in ((1.0, False), (-2.0, True)):
        team.clock.jump(hours=jump)
        team.desk = Desk(team.desk.config, team.desk.store, team.clock)
        await team.desk.start()
        assert bool(team.desk.troubles) is told
    epoch = await team.desk.feed_live(team.discord.id)
    await ticks(team, 65)
    assert team.presence("Ana") == "away", "not seen since, which is for Discord to say"
    await team.see("500", Seen.CONNECTED, epoch)
    await team.see("500", Seen.DISCONNECTED, epoch)
    await ticks(team, 65)
    assert team.presence("Ana") == "offline"
    assert await tiled(team)


async def test_nobody_is_written_whom_it_does_not_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose last word is older than that has nothing ahead."""
    team, _ = await team_at_work()
    team.clock.advance(hours=2)
    await team.desk.tick()
    written: list[object] = []
    write = team.desk.store.write

    async def counted(operation: object) -> object:
        written.append(operation)
        return await write(operation)  # type: ignore[arg-type]

    monkeypatch.setattr(team.desk.store, "write", counted)
    team.clock.jump(**HOUR)
    await team.desk.tick()
    assert len(team.desk.troubles) == 1
    assert written == []


async def test_a_day_forward_ends_what_was_due_at_its_instants_and_no_console() -> None:
    team = await open_team(discord={"token": "t"})
    await team.type("500", "/available", on="discord", name="Ana")
    await beat(team)
    team.clock.jump(days=1)
    await team.desk.tick()
    assert not (await beat(team)).reopened
    assert team.presence("Ana") == "available", "a console goes on, though the check-in has lapsed"
    assert team.row("Ana").verdict.reachable
    assert await tiled(team)
    owner = team.desk.organization_id
    words = await team.desk.store.write(lambda tx: tx.ledger.due_notices(owner, team.clock.now(), 100))
    assert words == [], "nor is anybody told what has passed long since"
