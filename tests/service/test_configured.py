"""The configuration against what leads change in chat, over starts: `docs/adr/0009-teams.md`."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from desk import TEAMS, ManualClock, Team, read
from msgspec.structs import replace

from bot.config import Config
from bot.dispatch import Desk
from bot.domain.hours import DayOff, Hours
from bot.domain.hours_text import read_weekly, weekly_text
from bot.hours import change_team
from storage.database import ensure_schema, open_inline, open_store

BOSS: dict[str, Any] = {"name": "Ann", "is_admin": True}
SUPPORT = {"slug": "support", "name": "Support", "everyone": True}
BILLING = {"slug": "billing", "name": "Billing", "members": ["slack:T1:U1"]}


class Rollcalls:
    """One after the other on the same data, each with its configuration."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'rollcall.sqlite3'}"
        self.clock = ManualClock()
        self.team: Team | None = None
        ensure_schema(self.url)

    async def start(self, **config: Any) -> Team:
        if self.team is not None:
            await self.team.desk.store.close()
        self.clock.advance(minutes=1)
        desk = Desk(Config.model_validate({**TEAMS, **config}), open_inline(self.url), self.clock)
        await desk.start()
        slack = await desk.workspace("slack", "T1", "Acme")
        self.team = Team(desk, self.clock, slack, slack)
        return self.team


@pytest.fixture
async def starts(tmp_path: Path) -> Rollcalls:
    """Started once, with Maria (U1, in Support and Billing, with German) and Tom (U2, in Support)."""
    starts = Rollcalls(tmp_path)
    team = await starts.start()
    await team.type("U1", "/available", name="Maria")
    await team.type("U2", "/available", name="Tom")
    return starts


def places(team: Team) -> dict[str, tuple[str, ...]]:
    """Who is in which teams."""
    return {agent.name: agent.teams for agent in team.desk.roster.everyone()}


async def stored(team: Team) -> dict[str, tuple[str, ...]]:
    """The same, as the database has it."""
    organization_id = team.desk.organization_id
    found = await team.desk.store.read(lambda tx: list(tx.members.everyone(organization_id)))
    return {agent.name: agent.teams for agent, _ in found}


def names(team: Team) -> list[str]:
    return [one.name for one in team.desk.teams]


async def lead(team: Team, *lines: str) -> None:
    for line in lines:
        answer = await team.type("U9", f"/presence {line}", **BOSS)
        assert answer.tone != "problem", read(answer)


async def test_a_start_with_the_same_configuration_changes_nothing(starts: Rollcalls) -> None:
    team = await starts.start()
    await lead(
        team,
        "team create Sales",
        "team join sales U2",
        "team leave billing U1",
        "team leave support U2",
        "team rename support Helpers",
        "skill remove german U1",
        "skill add dutch @Tom",
    )
    team = await starts.start()
    assert places(team) == await stored(team) == {"Maria": ("support",), "Tom": ("sales",)}
    assert names(team) == ["Helpers", "Billing", "Sales"]
    assert {agent.name: agent.skills for agent in team.desk.roster.everyone()} == {
        "Maria": (),
        "Tom": ("dutch",),
    }
    assert [one.slug for one in team.desk.skills] == ["german", "dutch"]


async def test_a_member_added_to_the_configuration_joins_and_nobody_else_moves(starts: Rollcalls) -> None:
    await lead(await starts.start(), "team leave billing U1")
    both = {**BILLING, "members": ["slack:T1:U1", "slack:T1:U2"]}
    team = await starts.start(team=[SUPPORT, both])
    assert places(team) == await stored(team) == {"Maria": ("support",), "Tom": ("support", "billing")}


async def test_a_member_taken_out_of_the_configuration_leaves(starts: Rollcalls) -> None:
    """And whoever came in by chat stays."""
    await lead(await starts.start(), "team join billing U2")
    team = await starts.start(team=[SUPPORT, {**BILLING, "members": []}])
    assert places(team) == await stored(team) == {"Maria": ("support",), "Tom": ("support", "billing")}


async def test_the_configuration_first_and_chat_after_it(starts: Rollcalls) -> None:
    team = await starts.start(team=[SUPPORT, {**BILLING, "name": "Invoices", "members": ["slack:T1:U2"]}])
    assert places(team) == {"Maria": ("support",), "Tom": ("support", "billing")}
    await lead(team, "team join billing U1", "team leave billing U2", "team rename billing Money")
    team = await starts.start(team=[SUPPORT, {**BILLING, "name": "Invoices", "members": ["slack:T1:U2"]}])
    assert places(team) == await stored(team) == {"Maria": ("support", "billing"), "Tom": ("support",)}
    assert names(team) == ["Support", "Money"]


async def test_a_name_changes_where_the_configurations_has_changed(starts: Rollcalls) -> None:
    await lead(await starts.start(), "team rename billing Money", "team rename support Helpers")
    team = await starts.start(team=[SUPPORT, {**BILLING, "name": "Invoices"}])
    assert names(team) == ["Helpers", "Invoices"]


async def test_everyone_switched_on_takes_all_in_and_off_leaves_the_members(starts: Rollcalls) -> None:
    team = await starts.start(team=[SUPPORT, {**BILLING, "everyone": True}])
    assert places(team) == {"Maria": ("support", "billing"), "Tom": ("support", "billing")}
    team = await starts.start(team=[{**SUPPORT, "everyone": False}, BILLING])
    assert places(team) == await stored(team) == {"Maria": ("billing",), "Tom": ()}


async def test_a_team_taken_out_of_the_configuration_ends_and_comes_back_anew(starts: Rollcalls) -> None:
    await lead(await starts.start(), "team join billing U2", "team create Sales", "team join sales U2")
    team = await starts.start(team=[SUPPORT])
    assert names(team) == ["Support", "Sales"]
    assert places(team) == await stored(team) == {"Maria": ("support",), "Tom": ("support", "sales")}
    team = await starts.start(team=[SUPPORT, BILLING])
    assert names(team) == ["Support", "Billing", "Sales"]
    assert places(team) == {"Maria": ("support", "billing"), "Tom": ("support", "sales")}
    assert await stored(team) == places(team)


async def test_a_team_of_chat_that_the_configuration_comes_to_name_keeps_its_people(
    starts: Rollcalls,
) -> None:
    await lead(await starts.start(), "team create Sales", "team join sales U2")
    sales = {"slug": "sales", "name": "Sales EU", "members": ["slack:T1:U1"]}
    team = await starts.start(team=[SUPPORT, BILLING, sales])
    assert names(team) == ["Support", "Billing", "Sales EU"]
    assert places(team) == {"Maria": ("support", "billing", "sales"), "Tom": ("support", "sales")}


async def test_whoever_is_enrolled_has_what_the_configuration_gives(starts: Rollcalls) -> None:
    """Not what chat made."""
    team = await starts.start(team=[SUPPORT, {**BILLING, "members": ["slack:T1:U1", "slack:T1:U3"]}])
    await lead(team, "team create Sales", "team rename billing Money")
    await team.type("U3", "/available", name="Eve")
    await team.type("U4", "/available", name="Kim")
    assert places(team)["Eve"] == ("support", "billing")
    assert places(team)["Kim"] == ("support",)


async def test_leads_of_the_configuration_come_and_go(starts: Rollcalls) -> None:
    team = await starts.start(organization={"leads": ["slack:T1:U2"]})
    assert {agent.name: agent.role.value for agent in team.desk.roster.everyone()} == {
        "Maria": "agent",
        "Tom": "lead",
    }
    team = await starts.start()
    assert {agent.role.value for agent in team.desk.roster.everyone()} == {"agent"}


async def test_a_start_that_was_cut_short_is_made_up_for(
    starts: Rollcalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is applied is remembered last."""
    from bot.service import members

    def broken(*_: object) -> None:
        raise RuntimeError("power cut")

    both = {**BILLING, "members": ["slack:T1:U1", "slack:T1:U2"]}
    with monkeypatch.context() as patched:
        patched.setattr(members, "save_all", broken)
        with pytest.raises(RuntimeError):
            await starts.start(team=[SUPPORT, both])
    team = await starts.start(team=[SUPPORT, both])
    assert (
        places(team) == await stored(team) == {"Maria": ("support", "billing"), "Tom": ("support", "billing")}
    )


async def test_the_first_start_of_this_version_takes_the_configuration_in_full(starts: Rollcalls) -> None:
    """A database of an earlier one remembers nothing: there the configuration was the truth."""
    team = await starts.start()
    await lead(team, "team create Sales", "team leave billing U1")
    organization_id = team.desk.organization_id
    await team.desk.store.write(
        lambda tx: tx.ledger.put_setting(organization_id, "configured", "", starts.clock.now())
    )
    team = await starts.start()
    assert names(team) == ["Support", "Billing"]
    assert places(team) == {"Maria": ("support", "billing"), "Tom": ("support",)}


async def test_a_changed_slug_begins_an_empty_organization_and_is_told(
    starts: Rollcalls, caplog: pytest.LogCaptureFixture
) -> None:
    """Under the old slug all is there again; the very first organization is not worth a word."""
    assert "begins empty" not in caplog.text
    team = await starts.start(organization={"slug": "acme"})
    assert "organization acme begins empty, in a database that has others" in caplog.text
    assert places(team) == {}
    caplog.clear()
    assert set(places(await starts.start())) == {"Maria", "Tom"}
    assert "begins empty" not in caplog.text


def hours(team: Team) -> dict[str, str]:
    """Each team's hours and days off, as written."""
    return {
        one.slug: f"{weekly_text(one.hours.weekly)} {one.hours.zone}{len(one.hours.days_off)}"
        for one in team.desk.teams
        if one.hours is not None
    }


async def test_of_hours_a_start_applies_what_has_changed_in_the_configuration(starts: Rollcalls) -> None:
    """What leads set stays; what both have changed is the configuration's."""
    support = {**SUPPORT, "hours": "mon-fri 9-17", "days_off": ["2026-12-24 - 2026-12-26 Christmas"]}
    team = await starts.start(team=[support, BILLING])
    assert hours(team) == {"support": "mon-fri 09:00-17:00 UTC1"}
    tuesday = DayOff(date(2026, 12, 1), date(2026, 12, 1))

    def by_a_lead(there: Hours | None) -> Hours:
        days_off = (tuesday, *(there.days_off if there else ()))
        return Hours("Europe/Berlin", read_weekly("sat 10-14"), days_off)

    for slug in ("support", "billing"):
        await change_team(team.desk, slug, by_a_lead, "test")
    team = await starts.start(team=[support, BILLING])
    assert hours(team) == {
        "support": "sat 10:00-14:00 Europe/Berlin2",
        "billing": "sat 10:00-14:00 Europe/Berlin1",
    }
    team = await starts.start(team=[{**support, "days_off": ["2026-12-31"]}, BILLING])
    assert hours(team)["support"] == "sat 10:00-14:00 Europe/Berlin2"
    assert team.desk.teams[0].hours is not None
    assert [str(off.first) for off in team.desk.teams[0].hours.days_off] == ["2026-12-01", "2026-12-31"]
    team = await starts.start(team=[{**support, "zone": "Asia/Tokyo", "days_off": ["2026-12-31"]}, BILLING])
    assert hours(team)["support"] == "mon-fri 09:00-17:00 Asia/Tokyo2"
    team = await starts.start(team=[SUPPORT, BILLING])
    assert hours(team) == {"support": " Asia/Tokyo1", "billing": "sat 10:00-14:00 Europe/Berlin1"}


async def test_lists_are_shown_on_the_event_loop_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roster belongs to it: a reader's thread would change it under whoever asks."""
    url = f"sqlite:///{tmp_path / 'rollcall.sqlite3'}"
    ensure_schema(url)
    store = open_store(url)
    desk = Desk(Config.model_validate(TEAMS), store, ManualClock())
    await desk.start()
    where: list[threading.Thread] = []
    monkeypatch.setattr(desk.lists, "_shown", lambda *_: where.append(threading.current_thread()))
    await desk.read_lists()
    await store.close()
    assert where == [threading.current_thread()]


async def test_another_zone_of_days_off_alone_is_applied_and_a_week_of_leads_stays(starts: Rollcalls) -> None:
    off = {**SUPPORT, "days_off": ["2026-12-24"]}
    await starts.start(team=[{**off, "zone": "Europe/Berlin"}, BILLING])
    team = await starts.start(team=[{**off, "zone": "Asia/Tokyo"}, BILLING])
    assert hours(team) == {"support": " Asia/Tokyo1"}
    week = read_weekly("sat 10-14")

    def by_a_lead(there: Hours | None) -> Hours:
        assert there is not None
        return replace(there, weekly=week)

    await change_team(team.desk, "support", by_a_lead, "test")
    team = await starts.start(team=[{**off, "zone": "Europe/Paris"}, BILLING])
    assert hours(team) == {"support": "sat 10:00-14:00 Europe/Paris1"}
    await change_team(team.desk, "support", lambda there: there and replace(there, zone="UTC"), "test")
    team = await starts.start(team=[{**off, "zone": "Asia/Tokyo"}, BILLING])
    assert hours(team) == {"support": "sat 10:00-14:00 UTC1"}, "a lead's zone is the lead's"
    await starts.start(team=[SUPPORT, BILLING])
    team = await starts.start(team=[{**off, "zone": "Asia/Tokyo"}, BILLING])
    assert hours(team) == {"support": "sat 10:00-14:00 UTC1"}, "no zone was said before"
