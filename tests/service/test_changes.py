"""Changes that meet: on a real SQLite file, whose writer is a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from desk import TEAMS, ManualClock, Team, member, read
from msgspec.structs import replace

from bot.config import Config
from bot.dispatch import Desk
from bot.domain.errors import NotFound, Unavailable
from bot.domain.facts import Facts, Seen
from bot.domain.transition import settle
from bot.ports import Profile, Sighting, Transaction
from storage.database import ensure_schema, open_store

T = TypeVar("T")


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    url = f"sqlite:///{tmp_path / 'rollcall.sqlite3'}"
    ensure_schema(url)
    clock = ManualClock()
    config = Config.model_validate({**TEAMS, "discord": {"token": "x" * 30}})
    desk = Desk(config, open_store(url, "normal"), clock)
    await desk.start()
    slack, discord = await desk.workspace("slack", "T1", "Acme"), await desk.workspace("discord", "9", "G")
    yield Team(desk, clock, slack, discord)
    await desk.dispatcher.finish()
    await desk.store.close()


async def test_a_reconnect_beside_its_disconnect_is_not_lost(team: Team) -> None:
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/available", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    now = team.clock.advance(seconds=5)
    await asyncio.gather(
        team.desk.observe(team.discord.id, epoch, [Sighting("500", Seen.DISCONNECTED, now, 20)]),
        team.desk.observe(team.discord.id, epoch, [Sighting("500", Seen.CONNECTED, now, 30)]),
    )
    team.clock.advance(seconds=70)
    await team.desk.tick()
    assert team.presence("Ana") == "available"


async def test_a_profile_that_changes_beside_a_removal_brings_nobody_back(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    agent = team.row("Maria").agent
    results = await asyncio.gather(
        team.desk.remove(agent, "agent:lead"),
        team.desk.profile_changed(team.slack.id, Profile("U1", "renamed", zone="Europe/Berlin")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] in ([type(None), NotFound], [type(None), type(None)])
    stored = await team.desk.store.read(lambda tx: tx.members.agent(agent.id))
    assert stored is not None
    assert stored.removed


async def test_whoever_stops_waiting_still_sees_what_was_committed(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    asking = asyncio.create_task(team.type("U1", "/brb 30m lunch", name="Maria"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await team.desk.changes.finish()
    agent_id = team.row("Maria").agent.id
    facts = await team.desk.store.read(lambda tx: tx.presence.facts(agent_id))
    assert facts is not None
    assert facts.interval.presence.value == team.presence("Maria")


async def test_a_commit_whose_answer_was_lost_is_read_again(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 24: the database went away in the middle of a commit that it kept."""
    await team.type("U1", "/available", name="Maria")
    write = team.desk.store.write

    async def committed_without_a_word(operation: Callable[[Transaction], T]) -> T:
        await write(operation)
        raise Unavailable("It may or may not have been stored.")

    monkeypatch.setattr(team.desk.store, "write", committed_without_a_word)
    assert "may or may not" in read(await team.type("U1", "/brb 30m lunch", name="Maria"))
    monkeypatch.setattr(team.desk.store, "write", write)
    await team.desk.tick()
    assert team.presence("Maria") == "away"


async def test_a_removal_beside_a_snapshot_costs_nobody_their_sighting(team: Team) -> None:
    epoch = await team.desk.feed_live(team.discord.id)
    for number, name in enumerate(("Ana", "Bea", "Cid")):
        await team.type(f"50{number}", "/presence me", on="discord", name=name)
    now = team.clock.now()
    snapshot = [Sighting(f"50{number}", Seen.CONNECTED, now, number + 1) for number in range(3)]
    await asyncio.gather(
        team.desk.remove(team.row("Ana").agent, "agent:lead"),
        team.desk.observe(team.discord.id, epoch, snapshot),
    )
    assert team.presence("Bea") == "away"
    assert team.presence("Cid") == "away"


async def test_a_feed_lost_while_the_database_is_away_is_reviewed_later(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/presence me", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    write = team.desk.store.write

    async def refused(operation: Callable[[Transaction], T]) -> T:
        raise Unavailable("The database is away.")

    monkeypatch.setattr(team.desk.store, "write", refused)
    await team.desk.feed_off(team.discord.id)
    monkeypatch.setattr(team.desk.store, "write", write)
    await team.desk.tick()
    agent_id = team.row("Ana").agent.id
    facts = await team.desk.store.read(lambda tx: tx.presence.facts(agent_id))
    assert facts is not None
    assert facts.interval.presence.value == "offline"
    assert facts.interval.reason == "switched_off"


async def test_an_agent_of_an_archived_team_can_still_be_changed(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    now = team.clock.now()
    await team.desk.store.write(
        lambda tx: tx.members.save_teams(team.desk.organization_id, team.desk.teams[:1], now)
    )
    async with asyncio.timeout(2):
        await team.type("U1", "/presence timezone Asia/Tokyo", name="Maria")
    assert team.row("Maria").agent.zone == "Asia/Tokyo"


async def test_somebody_enrolled_again_is_as_the_configuration_says(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    lead: dict[str, Any] = {"name": "Boss", "is_admin": True}
    await team.type("U3", "/presence remove Maria", **lead)
    await team.type("U3", "/presence enrol <@U1>", mentioned=(member("U1", "Maria Silva"),), **lead)
    row = team.row("Maria Silva")
    assert row.agent.teams == ("support", "billing")
    assert row.verdict.reason == "not_connected"


async def test_an_admin_who_was_removed_does_not_come_back_by_themselves(team: Team) -> None:
    await team.type("U1", "/available", name="Maria", is_admin=True)
    await team.type("U3", "/presence remove Maria", name="Boss", is_admin=True)
    refused = await team.type("U1", "/available", name="Maria", is_admin=True)
    assert "You're no longer an agent here." in read(refused)
    assert len(team.desk.roster) == 0


async def test_removing_takes_the_whole_name(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    refused = await team.type("U3", "/presence remove m", name="Boss", is_admin=True)
    assert "There is no agent m. Did you mean Maria?" in read(refused)
    assert team.presence("Maria") == "available"


async def test_a_removal_delivered_again_does_not_undo_a_later_enrolment(team: Team) -> None:
    """Row 15."""
    await team.type("U1", "/available", name="Maria")
    lead: dict[str, Any] = {"name": "Boss", "is_admin": True}
    await team.type("U3", "/presence remove Maria", delivery="slack:r", **lead)
    await team.type("U3", "/presence enrol <@U1>", mentioned=(member("U1", "Maria"),), **lead)
    await team.type("U3", "/presence remove Maria", delivery="slack:r", **lead)
    assert team.presence("Maria") == "offline"
    assert not team.row("Maria").agent.removed


async def test_a_zone_that_does_not_exist_is_not_kept(team: Team) -> None:
    """Row 30."""
    await team.type("U1", "/available", name="Maria", zone="Not/AZone")
    assert team.row("Maria").agent.zone is None
    assert "You're Available" in read(await team.type("U1", "/presence me", name="Maria", zone="Not/AZone"))


async def test_a_polled_feed_is_trusted_longer_the_more_agents_it_has(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'many.sqlite3'}"
    ensure_schema(url)
    clock = ManualClock()
    slack = {"bot_token": "xoxb-1", "app_token": "xapp-1", "polls_per_minute": 10}
    desk = Desk(Config.model_validate({"slack": slack}), open_store(url, "normal"), clock)
    await desk.start()
    workspace = await desk.workspace("slack", "T1", "Acme")
    await desk.feed_live(workspace.id)
    for number in range(30):
        await desk.enrol(workspace.id, Profile(f"U{number}", f"Agent {number}"), "operator")
    assert desk.roster.feeds[workspace.id].trust.total_seconds() == 360  # two rounds of three minutes
    await desk.store.close()
    again = Desk(desk.config, open_store(url, "normal"), clock)
    await again.start()
    assert again.roster.feeds[workspace.id].trust.total_seconds() == 360
    await again.store.close()


async def test_the_32_callers_of_one_agent_all_have_their_way(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    before = team.row("Maria").facts.version
    await asyncio.gather(*(team.type("U1", f"/brb {number + 1}m", name="Maria") for number in range(32)))
    assert team.row("Maria").facts.version == before + 32
    assert replace(team.row("Maria").facts, version=0).intent.choice.value == "away"


# --- what is shown is what is stored ---


class Slowly:
    """A store whose next read is answered only when the test says so."""

    def __init__(self, team: Team) -> None:
        self.read, self.asked, self.go = team.desk.store.read, asyncio.Event(), asyncio.Event()
        team.desk.store.read = self.answer  # type: ignore[method-assign]

    async def answer(self, operation: Callable[[Transaction], T]) -> T:
        answer = await self.read(operation)
        if not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return answer


async def test_a_reread_beside_a_removal_brings_nobody_back(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    await team.desk.dispatcher.finish()
    agent = team.row("Maria").agent
    team.desk.changes._reread.add(agent.id)
    slowly = Slowly(team)
    ticking = asyncio.create_task(team.desk.tick())
    await slowly.asked.wait()
    removing = asyncio.create_task(team.desk.remove(agent, "agent:lead"))
    await asyncio.wait({removing}, timeout=0.1)
    slowly.go.set()
    await asyncio.gather(ticking, removing)
    assert team.desk.roster.agent(agent.id) is None
    assert team.desk.roster.pool(team.clock.now()).routable == 0


async def test_an_enrolment_beside_a_change_shows_what_is_stored(team: Team) -> None:
    await team.type("U1", "/available", name="Maria")
    await team.desk.dispatcher.finish()
    agent = team.row("Maria").agent
    write = team.desk.store.write
    asked, go = asyncio.Event(), asyncio.Event()

    async def slowly(operation: Callable[[Transaction], T]) -> T:
        team.desk.store.write = write  # type: ignore[method-assign]
        answer = await write(operation)
        asked.set()
        await go.wait()
        return answer

    team.desk.store.write = slowly  # type: ignore[method-assign]
    enrolling = asyncio.create_task(team.desk.enrol(team.slack.id, Profile("U1", "Maria"), "agent:lead"))
    await asked.wait()
    await team.desk.changes.agent(agent.id, lambda stored: replace(stored, zone="Asia/Tokyo"), "agent:self")
    go.set()
    assert (await enrolling).zone == "Asia/Tokyo"
    assert team.row("Maria").agent.zone == "Asia/Tokyo"


async def test_an_enrolment_whose_answer_nobody_waits_for_is_shown(team: Team) -> None:
    enrolling = asyncio.create_task(team.desk.enrol(team.slack.id, Profile("U1", "Maria"), "agent:lead"))
    await asyncio.sleep(0)
    enrolling.cancel()
    await team.desk.changes.finish()
    stored = await team.desk.store.read(lambda tx: tx.members.by_identity(team.slack.id, "U1"))
    assert stored is not None
    assert team.desk.roster.agent(stored.id) == stored


async def test_whoever_nothing_can_be_decided_on_stops_nobody_elses_time(
    team: Team, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number, name in enumerate(("Ana", "Bea", "Cid")):
        await team.type(f"50{number}", "/away 30m", on="discord", name=name)
    poisoned = team.row("Bea").agent.id

    def broken(facts: Facts, *rest: Any) -> Any:
        if facts.agent_id == poisoned:
            raise ZeroDivisionError("a bug")
        return settle(facts, *rest)

    monkeypatch.setattr("bot.changes.settle", broken)
    team.clock.advance(minutes=31)
    await team.desk.tick()
    assert "nothing can be decided on an agent" in caplog.text
    ids = [team.row(name).agent.id for name in ("Ana", "Cid")]
    stored = await team.desk.store.read(lambda tx: [tx.presence.facts(agent_id) for agent_id in ids])
    assert [facts and facts.intent.until_at for facts in stored] == [None, None]


async def test_a_zone_that_this_machine_does_not_know_counts_as_none(team: Team) -> None:
    """The database came from a machine with newer zones."""
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/away", on="discord", name="Ana")
    agent_id = team.row("Ana").agent.id
    await team.desk.changes.agent(agent_id, lambda stored: replace(stored, zone="Mars/Utopia"), "test")
    team.clock.advance(days=2)
    await team.see("500", Seen.CONNECTED, epoch)
    assert team.presence("Ana") == "away"


async def test_after_a_database_had_no_time_for_many_fewer_are_tried_at_once(team: Team) -> None:
    """One that is far away: so many statements take too long, and the same again would too."""
    epoch = await team.desk.feed_live(team.discord.id)
    for number in range(50):
        await team.type(f"5{number}", "/presence me", on="discord", name=f"Ana {number}")
    await team.desk.dispatcher.finish()
    write, sizes = team.desk.store.write, []
    record = team.desk.changes._record_many

    async def hasty(operation: Callable[[Transaction], T]) -> T:
        steps = operation.args[0] if isinstance(operation, partial) and operation.func == record else ()
        if steps:
            sizes.append(len(steps))
        if len(steps) > 30:
            raise Unavailable("The database does not answer.")
        return await write(operation)

    team.desk.store.write = hasty  # type: ignore[method-assign]
    snapshot = [Sighting(f"5{number}", Seen.CONNECTED, team.clock.now(), number) for number in range(50)]
    for _ in range(5):
        with suppress(Unavailable):
            await team.desk.observe(team.discord.id, epoch, snapshot)
    assert team.desk.roster.pool(team.clock.now()).away == 50
    assert max(sizes) == 50


async def test_a_new_team_for_everyone_is_given_in_transactions_of_a_bearable_size(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once would take longer than a database may take to answer."""
    for number in range(5):
        await team.type(f"5{number}", "/presence me", on="discord", name=f"Ana {number}")
    await team.desk.dispatcher.finish()
    monkeypatch.setattr("bot.core.BATCH", 2)
    more = {"slug": "vip", "name": "VIP", "everyone": True}
    config = Config.model_validate({**TEAMS, "team": [*TEAMS["team"], more]})
    desk = Desk(config, team.desk.store, team.clock)
    write, sizes = desk.store.write, []

    async def counted(operation: Callable[[Transaction], T]) -> T:
        if isinstance(operation, partial):
            sizes.append(len(operation.args[0]))
        return await write(operation)

    desk.store.write = counted  # type: ignore[method-assign]
    await desk.start()
    desk.store.write = write  # type: ignore[method-assign]
    assert sizes == [2, 2, 1]
    stored = await desk.store.read(lambda tx: list(tx.members.everyone(desk.organization_id)))
    assert {"vip" in agent.teams for agent, _ in stored} == {True}
