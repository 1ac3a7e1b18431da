"""`rollcall who`: what the running program would say, from the database alone."""

from __future__ import annotations

from datetime import UTC

import pytest
from desk import open_team

from bot import beside
from bot.core import Rollcall
from bot.domain.errors import NotFound
from bot.domain.facts import Seen


async def test_it_says_what_the_running_program_says_and_writes_nothing() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("U1", "/available only billing", name="Maria")
    await team.type("7", "/brb 30m lunch", on="discord", name="Bob")
    await team.see("7", Seen.CONNECTED, epoch)
    team.clock.advance(minutes=1)
    await team.desk.mark_feeds_seen()
    core = Rollcall(team.desk.config, team.desk.store, team.clock)
    seen = await beside.look(core)
    assert seen.rows == team.desk.roster.rows(team.clock.now())
    page = beside.page(core, seen, UTC)
    assert page == [
        "My team: 1 available, 1 away, 0 offline",
        "As of 2026-11-23 09:01 UTC",
        "",
        "Available (1)",
        "  Maria · only billing",
        "",
        "Away (1)",
        "  Bob · until 2026-11-23 09:30 · Lunch",
    ]
    only = await beside.look(core, "billing")
    assert (only.title, [row.agent.name for row in only.rows]) == ("Billing", ["Maria"])
    with pytest.raises(NotFound, match="There is no team nights"):
        await beside.look(core, "nights")


async def test_where_nobody_runs_what_was_seen_is_unconfirmed() -> None:
    """A program notes every 30 s that its feeds are live; after three that are missing there is none."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("7", "/available", on="discord", name="Bob")
    await team.see("7", Seen.CONNECTED, epoch)
    await team.desk.mark_feeds_seen()
    core = Rollcall(team.desk.config, team.desk.store, team.clock)
    team.clock.advance(seconds=90)
    assert not any("has not been seen" in line for line in beside.page(core, await beside.look(core), UTC))
    team.clock.advance(seconds=1)
    core = Rollcall(team.desk.config, team.desk.store, team.clock)
    page = beside.page(core, await beside.look(core), UTC)
    assert page[2] == (
        "Discord (Acme guild) has not been seen since 2026-11-23 09:00: who is there is unconfirmed."
    )
