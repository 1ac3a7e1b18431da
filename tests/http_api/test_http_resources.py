"""Agents, teams and skills as resources: made, changed, ended by programs as by leads in chat."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from http_house import House, house

from bot.domain.agent import Role
from bot.domain.errors import NotFound, Unavailable
from bot.ports import Profile
from bot.service import teams

AGENTS, TEAMS, SKILLS = "/v1/agents", "/v1/teams", "/v1/skills"
NEW = {"platform": "slack", "workspace": "T1", "external_id": "U9", "name": "Maria"}


async def told(at: House) -> list[tuple[str, dict[str, Any]]]:
    """Every event, the oldest first."""
    owner = at.core.organization_id
    found = await at.store.read(lambda tx: tx.ledger.events_after(owner, 0, 1000))
    return [(event.type, dict(event.data)) for _, event in found]


async def admin(at: House, method: str, path: str, json: object = None, **headers: str) -> httpx.Response:
    return await at.ask(
        path,
        method=method,
        scope="admin",
        json=json,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


async def test_somebody_is_enrolled_as_said_and_there_at_once() -> None:
    async with house() as at:
        await at.workspace()
        wanted = {**NEW, "zone": "Europe/Berlin", "teams": ["billing"], "skills": ["french"], "capacity": 3}
        answer = await admin(at, "POST", AGENTS, {**wanted, "role": "lead"})
        body = answer.json()
        assert answer.status_code == 201
        assert answer.headers["location"] == f"{AGENTS}/{body['id']}"
        shown = (await at.ask(answer.headers["location"])).json()
        for field in ("id", "name", "zone", "teams", "skills", "capacity", "role", "revision", "identities"):
            assert shown[field] == body[field], field
        assert (body["teams"], body["skills"], body["capacity"], body["role"]) == (
            ["billing"],
            ["french"],
            3,
            "lead",
        )
        assert shown["presence"] == "offline"
        agent = at.core.roster.agent(body["id"])
        assert agent is not None and (agent.role, agent.zone_by_hand) == (Role.LEAD, True)
        assert await told(at) == [("agent.enrolled", {})]
        entries = await at.store.read(
            lambda tx: tx.members.by_identity(agent.identities[0].workspace_id, "U9")
        )
        assert entries == agent


async def test_who_is_an_agent_already_is_a_conflict_that_names_them() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        answer = await admin(at, "POST", AGENTS, {**NEW, "external_id": "U-Ann"})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert ann.id in answer.json()["detail"]


async def test_who_was_removed_is_brought_back_by_a_post() -> None:
    """An open enrolment does not bring them back; a program with the scope admin is a lead's equal."""
    async with house() as at:
        ann = await at.agent("Ann")
        gone = await admin(at, "DELETE", f"{AGENTS}/{ann.id}")
        assert gone.json() == {"as_of": gone.json()["as_of"], "agent_id": ann.id, "removed": True}
        assert (await at.ask(f"{AGENTS}/{ann.id}")).status_code == 404
        assert (await admin(at, "DELETE", f"{AGENTS}/{ann.id}")).status_code == 404
        assert ("agent.removed", {"left": "support"}) in await told(at)
        again = await admin(at, "POST", AGENTS, {**NEW, "external_id": "U-Ann", "name": "Ann"})
        assert (again.status_code, again.json()["id"]) == (201, ann.id)
        assert (await at.ask(f"{AGENTS}/{ann.id}")).json()["presence"] == "offline"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"workspace": "T9"}, "workspace"),
        ({"platform": "irc"}, "platform"),
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "\u200b"}, "name"),
        ({"zone": "Europe/Bonn"}, "zone"),
        ({"teams": ["sales"]}, "teams"),
        ({"skills": ["irish"]}, "skills"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": "3"}, "capacity"),
        ({"role": "boss"}, "role"),
        ({"nmae": "x"}, "nmae"),
        ({"external_id": "U 9"}, "external_id"),
    ],
)
async def test_a_refusal_names_the_field_and_makes_nobody(change: dict[str, object], field: str) -> None:
    async with house() as at:
        await at.workspace()
        answer = await admin(at, "POST", AGENTS, {**NEW, **change})
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"] == field
        assert (len(at.core.roster), await told(at)) == (0, [])


async def test_the_same_key_and_body_are_answered_the_same_and_made_once() -> None:
    """I5, whoever asks at the same moment, and after a restart of the API."""
    async with house() as at:
        await at.workspace()
        both = await asyncio.gather(
            *(admin(at, "POST", AGENTS, NEW, idempotency_key="one") for _ in range(3)),
            *(admin(at, "POST", TEAMS, {"name": "Sales"}, idempotency_key="two") for _ in range(3)),
        )
        for answers in (both[:3], both[3:]):
            assert [answer.status_code for answer in answers] == [201] * 3
            assert len({answer.content for answer in answers}) == 1
            assert len({answer.headers["location"] for answer in answers}) == 1
        assert (len(at.core.roster), len(at.core.teams)) == (1, 3)
        other = await admin(at, "POST", TEAMS, {"name": "Sells"}, idempotency_key="two")
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
        second = await at.key("admin")
        theirs = await at.ask(
            TEAMS, method="POST", key=second, json={"name": "Sells"}, headers={"idempotency-key": "two"}
        )
        assert theirs.status_code == 201, "a key of theirs is their own"
        await at.clock.advance(hours=24, seconds=1)
        late = await admin(at, "POST", TEAMS, {"name": "Sales"}, idempotency_key="two")
        assert late.status_code == 422, "forgotten after a day, and so there is a team of that name"


async def test_a_refused_request_is_not_kept() -> None:
    async with house() as at:
        first = await admin(at, "POST", TEAMS, {"name": "Support"}, idempotency_key="k")
        assert (first.status_code, first.json()["errors"][0]["field"]) == (422, "name")
        await admin(at, "PATCH", f"{TEAMS}/support", {"name": "Help", "slug": "help-desk"})
        await admin(at, "POST", TEAMS, {"name": "Support"}, idempotency_key="k")
        again = await admin(at, "POST", TEAMS, {"name": "Second line", "slug": "x"}, idempotency_key="k")
        assert again.status_code == 201


async def test_a_change_says_what_was_read_or_is_refused() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        one = f"{AGENTS}/{ann.id}"
        read = (await at.ask(one)).json()["revision"]
        await at.away(ann)
        first = await admin(at, "PATCH", one, {"capacity": 5}, if_match=f'"{read}"')
        assert (first.status_code, first.json()["capacity"]) == (200, 5), "presence is another thing"
        before = await told(at)
        for tag in (f'"{read}"', f'W/"{first.json()["revision"]}"', '"x"'):
            late = await admin(at, "PATCH", one, {"capacity": 6}, if_match=tag)
            assert (late.status_code, late.json()["code"]) == (412, "precondition_failed"), tag
            gone = await admin(at, "DELETE", one, if_match=tag)
            assert gone.status_code == 412
        assert (await admin(at, "PATCH", one, {"capacity": 6}, if_match="6")).status_code == 422
        assert await told(at) == before
        assert (await at.ask(one)).json()["capacity"] == 5
        several = f'"x", "{first.json()["revision"]}"'
        assert (await admin(at, "PATCH", one, {"capacity": 6}, if_match=several)).status_code == 200
        assert (await admin(at, "PATCH", one, {"capacity": 7}, if_match="*")).status_code == 200
        assert [data for kind, data in await told(at) if kind == "agent.capacity"] == [
            {"capacity": number} for number in (5, 6, 7)
        ]


async def test_an_agent_is_changed_by_any_of_their_names_and_nothing_else_is() -> None:
    async with house() as at:
        ann = await at.agent("Ann", skills=["french"])
        await admin(at, "PUT", f"{AGENTS}/{ann.id}/external-ids/desk", {"external_id": "42"})
        one = f"{AGENTS}/ext:desk:42"
        changed = await admin(at, "PATCH", one, {"name": " Ann  Lee ", "zone": "Asia/Tokyo", "role": "lead"})
        assert changed.status_code == 200
        shown = (await at.ask(one)).json()
        assert [shown[key] for key in ("name", "zone", "role", "capacity", "teams", "skills")] == [
            "Ann Lee",
            "Asia/Tokyo",
            "lead",
            3,
            ["support"],
            ["french"],
        ]
        assert (await at.ask(f"{one}/external-ids")).json()["external_ids"] == {"desk": "42"}
        same = await admin(at, "PATCH", one, {"name": "Ann Lee"})
        assert same.json()["revision"] == changed.json()["revision"]
        assert (await admin(at, "PATCH", one, {})).status_code == 200
        refused: list[object] = [
            {"name": None},
            {"presence": "away"},
            {"capacity": 101},
            {"zone": "CEST"},
            [],
        ]
        for wrong in refused:
            assert (await admin(at, "PATCH", one, wrong)).status_code == 422, wrong
        await admin(at, "PATCH", one, {"zone": None})
        agent = at.core.roster.agent(ann.id)
        assert agent is not None and (agent.zone, agent.zone_by_hand) == (None, False)


async def test_a_name_by_hand_stays_until_the_platform_has_another() -> None:
    async with house() as at:
        ann, workspace = await at.agent("Ann"), await at.workspace()
        await admin(at, "PATCH", f"{AGENTS}/{ann.id}", {"name": "Ann Lee"})

        async def named(profile: str) -> str:
            await at.core.profile_changed(workspace.id, Profile("U-Ann", profile, "Europe/Berlin"))
            return str((await at.ask(f"{AGENTS}/{ann.id}")).json()["name"])

        assert await named("Ann") == "Ann Lee"
        assert await named("Anna") == "Anna"


async def test_memberships_are_put_and_deleted_twice_without_harm() -> None:
    async with house() as at:
        ann = await at.agent("Ann", teams=[])
        one = f"{AGENTS}/{ann.id}"
        for _ in range(2):
            assert (await admin(at, "PUT", f"{one}/teams/billing")).json()["teams"] == ["billing"]
            assert (await admin(at, "PUT", f"{one}/skills/french")).json()["skills"] == ["french"]
        both = await admin(at, "PUT", f"{one}/teams/support")
        assert both.json()["teams"] == ["support", "billing"], "in the order of the list"
        there = (await at.ask("/v1/availability?team=billing&skill=french")).json()
        assert [agent["name"] for agent in there["agents"]] == ["Ann"]
        for _ in range(2):
            assert (await admin(at, "DELETE", f"{one}/teams/billing")).json()["teams"] == ["support"]
            assert (await admin(at, "DELETE", f"{one}/skills/french")).json()["skills"] == []
        for path in (f"{one}/teams/sales", f"{one}/skills/irish", f"{AGENTS}/agt_no/teams/support"):
            assert (await admin(at, "PUT", path)).status_code == 404
        assert [one for one in await told(at) if one[0].startswith(("team.", "skill."))] == [
            ("team.joined", {"team": "billing"}),
            ("skill.added", {"skill": "french"}),
            ("team.joined", {"team": "support"}),
            ("team.left", {"team": "billing"}),
            ("skill.removed", {"skill": "french"}),
        ]


async def test_a_changed_slug_goes_on_to_work_everywhere() -> None:
    async with house() as at:
        ann = await at.agent("Ann", skills=["french"])
        changed = await admin(at, "PATCH", f"{TEAMS}/support", {"slug": "help", "color": "#2f855a"})
        assert changed.status_code == 200
        await admin(at, "PATCH", f"{SKILLS}/french", {"slug": "fr"})
        assert (await at.ask(f"{AGENTS}/{ann.id}")).json()["teams"] == ["help"]
        for query in ("team=support", "team=help", "team=support&skill=french", "skill=fr"):
            there = (await at.ask(f"/v1/availability?{query}")).json()
            assert [agent["name"] for agent in there["agents"]] == ["Ann"], query
            assert there["team"] in ("help", None)
            named = (await at.ask(f"{AGENTS}?{query}")).json()["agents"]
            assert [agent["name"] for agent in named] == ["Ann"], query
        assert (await at.ask(f"{AGENTS}/{ann.id}/eligibility?team=support")).json()["routable"]
        shown = (await at.ask(f"{TEAMS}/support")).json()
        assert (shown["slug"], shown["aliases"], shown["color"]) == ("help", ["support"], "#2f855a")
        assert (await admin(at, "DELETE", f"{AGENTS}/{ann.id}/teams/support")).json()["teams"] == []
        taken = await admin(at, "POST", TEAMS, {"name": "New", "slug": "support"})
        assert (taken.status_code, taken.json()["errors"][0]["field"]) == (422, "slug")
        moved = await admin(at, "PATCH", f"{TEAMS}/billing", {"slug": "support"})
        assert moved.status_code == 422
        back = await admin(at, "PATCH", f"{TEAMS}/help", {"slug": "support"})
        assert (back.json()["slug"], back.json()["aliases"]) == ("support", ["help"])
        assert ("team.renamed", {"slug": "help", "name": "Support", "was": "support"}) in await told(at)


async def test_a_team_of_the_configuration_is_found_by_its_slug_of_before_at_the_next_start() -> None:
    async with house() as at:
        await at.agent("Ann")
        await admin(at, "PATCH", f"{TEAMS}/support", {"slug": "help", "name": "Help"})
        await at.core.start()
        assert [(team.slug, team.name) for team in at.core.teams] == [
            ("help", "Help"),
            ("billing", "Billing"),
        ]
        assert [row.agent.teams for row in at.core.roster.rows(at.clock.now())] == [("help",)]


async def test_a_team_that_has_ended_is_nobodys_also_when_there_is_another() -> None:
    async with house() as at:
        made = await admin(at, "POST", TEAMS, {"name": "Sales EU"})
        assert (made.status_code, made.headers["location"]) == (201, f"{TEAMS}/sales-eu")
        ann = await at.agent("Ann", teams=["support", "sales-eu"])
        standing = await admin(at, "DELETE", f"{TEAMS}/support")
        assert (standing.status_code, standing.json()["code"]) == (409, "conflict")
        stale = await admin(at, "DELETE", f"{TEAMS}/sales-eu", if_match='"x"')
        assert stale.status_code == 412
        assert (await admin(at, "DELETE", f"{TEAMS}/sales-eu")).status_code == 200
        assert (await at.ask(f"{AGENTS}/{ann.id}")).json()["teams"] == ["support"]
        assert (await at.ask(f"{TEAMS}/sales-eu")).status_code == 404
        assert (await admin(at, "DELETE", f"{TEAMS}/sales-eu")).status_code == 404
        await admin(at, "POST", TEAMS, {"name": "Sales EU"})
        await at.core.changes.refresh(ann.id)
        assert (await at.ask(f"{AGENTS}/{ann.id}")).json()["teams"] == ["support"]
        kinds = [kind for kind, _ in await told(at) if kind.startswith("team.")]
        assert kinds == ["team.created", "team.ended", "team.created"]


async def test_lists_come_in_pages() -> None:
    async with house() as at:
        for number in range(5):
            await admin(at, "POST", SKILLS, {"name": f"Skill {number}"})
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await at.ask(f"{SKILLS}?limit=3{cursor}")).json()
            seen += [one["slug"] for one in page["skills"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == ["french", "refunds", *(f"skill-{number}" for number in range(5))]
        first = (await at.ask(f"{SKILLS}?limit=6")).json()["next_cursor"]
        await admin(at, "DELETE", f"{SKILLS}/skill-3")
        gone = await at.ask(f"{SKILLS}?cursor={first}")
        assert (gone.status_code, gone.json()["errors"][0]["field"]) == (422, "cursor")


async def test_only_admin_changes_resources() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        for method, path, body in [
            ("POST", AGENTS, NEW),
            ("PATCH", f"{AGENTS}/{ann.id}", {"name": "X"}),
            ("DELETE", f"{AGENTS}/{ann.id}", None),
            ("PUT", f"{AGENTS}/{ann.id}/teams/billing", None),
            ("POST", TEAMS, {"name": "X"}),
            ("DELETE", f"{SKILLS}/french", None),
        ]:
            for scope in ("read", "presence", "route"):
                answer = await at.ask(path, method=method, scope=scope, json=body)
                assert answer.status_code == 403, (method, path, scope)
        assert await told(at) == [
            (kind, data) for kind, data in await told(at) if not kind.startswith(("team.", "skill."))
        ]


async def test_a_change_whose_showing_fails_is_shown_by_the_next_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is committed: 503 says that nothing is known, and the same request again has the answer."""
    async with house() as at:
        read = at.core.lists._read

        async def fails() -> None:
            raise Unavailable("The database can't be read just now.")

        monkeypatch.setattr(at.core.lists, "_read", fails)
        body, key = {"name": "Sales"}, {"idempotency_key": "k"}
        assert (await admin(at, "POST", TEAMS, body, **key)).status_code == 503
        assert (await at.ask(f"{TEAMS}/sales")).status_code == 404
        monkeypatch.setattr(at.core.lists, "_read", read)
        await at.core.tick()
        assert (await at.ask(f"{TEAMS}/sales")).status_code == 200
        assert (await admin(at, "POST", TEAMS, body, **key)).status_code == 201


async def test_a_slug_that_changes_while_somebody_joins_leads_to_the_team() -> None:
    async with house() as at:
        ann = await at.agent("Ann", teams=[])
        owner, now = at.core.organization_id, at.clock.now()
        await at.store.write(
            lambda tx: teams.change(tx, owner, "team", "billing", "x", now, new_slug="bills")
        )
        placed = await at.core.changes.stored(
            ann.id, lambda tx: teams.place(tx, ann.id, "team", "billing", True, "x", now)
        )
        assert placed.teams == ("bills",)
        with pytest.raises(NotFound):
            await at.core.changes.stored(
                ann.id, lambda tx: teams.place(tx, ann.id, "team", "sales", True, "x", now)
            )
