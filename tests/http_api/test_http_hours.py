"""Working hours over HTTP: what they do to availability, and how they are read and set."""

from __future__ import annotations

from datetime import timedelta

import pytest
from http_house import START, House, house

from bot.domain.agent import Agent
from bot.domain.hours import Hours
from bot.domain.hours_text import read_weekly
from bot.hours import change_agent, change_team

PATH = "/v1/availability"
"""START is Monday, 2 November 2026, 9:00 in UTC."""


def week(text: str, zone: str = "UTC") -> Hours:
    return Hours(zone, read_weekly(text))


async def agent_has(at: House, agent: Agent, text: str) -> None:
    await change_agent(at.core, agent.id, lambda _: week(text), "test")


async def team_has(at: House, slug: str, text: str) -> None:
    await change_team(at.core, slug, lambda _: week(text), "test")


async def test_a_team_opens_and_closes_by_itself_and_the_etag_with_it() -> None:
    """Nothing runs between the questions; nobody does anything."""
    async with house() as at:
        await at.agent("Ann")
        await team_has(at, "support", "mon-fri 09:30-17:00")
        early = await at.ask(f"{PATH}?team=support")
        shown = early.json()
        assert (shown["open"], shown["routable"], shown["agents"]) == (False, 0, [])
        assert shown["next_expected_at"] == "2026-11-02T09:30:00Z"
        assert shown["counts"] == {"available": 1, "away": 0, "offline": 0}
        etag = {"if-none-match": early.headers["etag"]}
        await at.clock.advance(seconds=1799)
        assert (await at.ask(f"{PATH}?team=support", headers=etag)).status_code == 304
        await at.clock.advance(seconds=1)
        opened = await at.ask(f"{PATH}?team=support", headers=etag)
        assert (opened.status_code, opened.json()["open"], opened.json()["routable"]) == (200, True, 1)
        assert opened.json()["next_expected_at"] is None
        (support,) = [one for one in (await at.ask("/v1/teams")).json()["teams"] if one["slug"] == "support"]
        assert (support["open"], support["routable"]) == (True, 1)
        await at.clock.advance(hours=7, minutes=30)
        (support,) = [one for one in (await at.ask("/v1/teams")).json()["teams"] if one["slug"] == "support"]
        assert (support["open"], support["routable"]) == (False, 0)
        assert support["next_expected_at"] == "2026-11-03T09:30:00Z"


async def test_a_team_without_anybody_opens_by_itself_too() -> None:
    async with house() as at:
        await team_has(at, "billing", "mon 09:30-17:00")
        assert (await at.ask(f"{PATH}?team=billing")).json()["open"] is False
        await at.clock.advance(minutes=30)
        assert (await at.ask(f"{PATH}?team=billing")).json()["open"] is True


async def test_without_a_team_whoever_is_in_an_open_one_counts() -> None:
    async with house() as at:
        ann = await at.agent("Ann", teams=["billing"])
        both = await at.agent("Bob", teams=["support", "billing"])
        await team_has(at, "billing", "mon 12:00-17:00")
        shown = (await at.ask(PATH)).json()
        assert (shown["open"], [one["name"] for one in shown["agents"]]) == (True, ["Bob"])
        why = (await at.ask(f"/v1/agents/{ann.id}/eligibility")).json()
        assert [one["code"] for one in why["reasons"]] == ["team_closed"]
        assert "closed at this hour" in why["reasons"][0]["sentence"]
        why = (await at.ask(f"/v1/agents/{both.id}/eligibility?team=billing")).json()
        assert [one["code"] for one in why["reasons"]] == ["team_closed"]
        await team_has(at, "support", "mon 14:00-15:00")
        shown = (await at.ask(PATH)).json()
        assert (shown["open"], shown["agents"]) == (False, [])
        assert shown["next_expected_at"] == "2026-11-02T12:00:00Z"


async def test_an_agent_off_shift_is_not_routable_and_comes_with_their_shift() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await agent_has(at, ann, "mon-fri 9:15-12:00 13:00-17:00")
        shown = (await at.ask(f"{PATH}?team=support")).json()
        assert (shown["open"], shown["routable"]) == (True, 0)
        assert shown["next_expected_at"] == "2026-11-02T09:15:00Z"
        one = (await at.ask(f"/v1/agents/{ann.id}")).json()
        assert (one["presence"], one["routable"], one["on_shift"]) == ("available", False, False)
        assert one["next_shift_at"] == "2026-11-02T09:15:00Z"
        why = (await at.ask(f"/v1/agents/{ann.id}/eligibility?team=support")).json()
        assert [reason["code"] for reason in why["reasons"]] == ["off_shift"]
        await at.clock.advance(minutes=15)
        shown = (await at.ask(f"{PATH}?team=support")).json()
        assert (shown["routable"], shown["next_expected_at"]) == (1, "2026-11-02T13:00:00Z")
        one = (await at.ask(f"/v1/agents/{ann.id}")).json()
        assert (one["on_shift"], one["next_shift_at"]) == (True, "2026-11-02T13:00:00Z")


async def test_the_next_expected_is_the_first_to_come_back_in_the_teams_hours() -> None:
    async with house() as at:
        ann, bob = await at.agent("Ann"), await at.agent("Bob")
        await at.away(ann, until=START + timedelta(hours=2))
        await at.away(bob, until=START + timedelta(hours=1))
        assert (await at.ask(PATH)).json()["next_expected_at"] == "2026-11-02T10:00:00Z"
        await agent_has(at, bob, "mon 09:00-09:30, tue 08:00-12:00")
        assert (await at.ask(PATH)).json()["next_expected_at"] == "2026-11-02T11:00:00Z"
        await at.available(ann)
        assert (await at.ask(PATH)).json()["next_expected_at"] == "2026-11-03T08:00:00Z"
        await team_has(at, "support", "daily 08:45-20:00")
        assert (await at.ask(f"{PATH}?team=support")).json()["next_expected_at"] == "2026-11-03T08:45:00Z"
        assert (await at.ask(f"{PATH}?team=billing")).json()["next_expected_at"] is None


async def test_hours_hold_after_a_restart() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await agent_has(at, ann, "mon 10-12")
        await team_has(at, "support", "mon 11-12")
        again = type(at.core)(at.core.config, at.store, at.clock)
        await again.start()
        row = again.roster.row(ann.id, at.clock.now())
        assert row is not None and not row.on_shift and row.closed
        assert again.roster.opens_at(at.clock.now(), "support") == START + timedelta(hours=2)


# Reading and setting


WEEK = {"zone": "Europe/Berlin", "weekly": "mon-fri 9-12 13-17"}


@pytest.mark.parametrize("whose", ["agents", "teams"])
async def test_hours_are_set_read_and_taken_away(whose: str) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        of = ann.id if whose == "agents" else "support"
        path = f"/v1/{whose}/{of}/hours"
        none = (await at.ask(path)).json()
        assert none == {
            **{"as_of": "2026-11-02T09:00:00Z", "of": of, "zone": None, "weekly": "", "days_off": []},
            **{"open": True, "changes_at": None},
        }
        off = {"first": "2026-12-24", "label": "Christmas"}
        put = await at.ask(path, method="PUT", scope="admin", json={**WEEK, "days_off": [off]})
        assert put.status_code == 200, put.text
        assert put.headers["cache-control"] == "no-store"
        shown = put.json()
        assert (shown["of"], shown["zone"]) == (of, "Europe/Berlin")
        assert shown["weekly"] == "mon-fri 09:00-12:00 13:00-17:00"
        assert shown["days_off"] == [{**off, "last": "2026-12-24"}]
        assert (shown["open"], shown["changes_at"]) == (True, "2026-11-02T11:00:00Z")
        kept = await at.ask(path)
        assert kept.json() == shown
        await at.clock.advance(minutes=1)
        etag = {"if-none-match": kept.headers["etag"]}
        assert (await at.ask(path, headers=etag)).status_code == 304
        gone = await at.ask(path, method="DELETE", scope="admin")
        assert gone.json()["zone"] is None
        assert (await at.ask(path, method="DELETE", scope="admin")).status_code == 200


async def test_setting_hours_counts_at_once_and_is_told_once() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        before = len(await at.store.read(lambda tx: tx.ledger.newest_events(at.core.organization_id, 99)))
        for _ in range(2):
            body = {"zone": "UTC", "weekly": "mon 12-13"}
            path = f"/v1/agents/{ann.id}/hours"
            assert (await at.ask(path, method="PUT", scope="admin", json=body)).status_code == 200
            assert (await at.ask(PATH)).json()["routable"] == 0
        after = await at.store.read(lambda tx: tx.ledger.newest_events(at.core.organization_id, 99))
        assert [event.type for _, event in after[before:]] == ["agent.hours"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "zone"),
        ({"zone": "Berlin"}, "zone"),
        ({"zone": 1}, "zone"),
        ({**WEEK, "weekly": "9-17"}, "weekly"),
        ({**WEEK, "weekly": "mon 9-5"}, "weekly"),
        ({**WEEK, "weekly": "mon 9-17 " * 300}, "weekly"),
        ({**WEEK, "days_off": "2026-12-24"}, "days_off"),
        ({**WEEK, "days_off": [{"first": "2026-13-24"}]}, "days_off"),
        ({**WEEK, "days_off": [{"first": "1999-12-24"}]}, "days_off"),
        ({**WEEK, "days_off": [{"first": "2026-12-24", "last": "2026-12-23"}]}, "days_off"),
        ({**WEEK, "days_off": [{"first": "2026-12-24", "last": "2028-12-23"}]}, "days_off"),
        ({**WEEK, "days_off": [{"first": "2026-12-24", "label": "x" * 81}]}, "days_off.0.label"),
        ({**WEEK, "days_off": [{"first": "24 dec"}]}, "days_off.0.first"),
        ({**WEEK, "days_off": [{"first": "2026-12-24"}] * 101}, "days_off"),
        ({**WEEK, "closed": []}, "closed"),
    ],
)
async def test_what_breaks_a_rule_is_told_and_changes_nothing(body: dict[str, object], field: str) -> None:
    async with house() as at:
        answer = await at.ask("/v1/teams/support/hours", method="PUT", scope="admin", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
        assert [team.hours for team in at.core.teams] == [None, None]


async def test_only_admin_keys_set_hours() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        for path in (f"/v1/agents/{ann.id}/hours", "/v1/teams/support/hours"):
            assert (await at.ask(path, method="PUT", json=WEEK)).status_code == 403
            assert (await at.ask(path, method="DELETE")).status_code == 403
        for path in ("/v1/agents/x/hours", "/v1/teams/nobody/hours"):
            assert (await at.ask(path)).status_code == 404
            assert (await at.ask(path, method="PUT", scope="admin", json=WEEK)).status_code == 404
        assert at.core.teams[0].hours is None
