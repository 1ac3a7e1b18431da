"""Agents over the API: pages, one, eligibility, load from outside, external ids; teams and skills."""

from __future__ import annotations

from datetime import timedelta

import pytest
from http_house import START, House, house

from bot.ports import Profile

AGENTS = "/v1/agents"


async def test_an_agent_is_told_with_reason_and_load() -> None:
    async with house() as at:
        ann = await at.agent("Ann", skills=["french"])
        await at.away(ann, "lunch", START + timedelta(minutes=30))
        answer = await at.ask(f"{AGENTS}/{ann.id}")
        assert answer.status_code == 200
        assert answer.json() == {
            "as_of": "2026-11-02T09:00:00Z",
            "id": ann.id,
            "name": "Ann",
            "presence": "away",
            "since": "2026-11-02T09:00:00Z",
            "reason": "set",
            "source": "agent",
            "note": "lunch",
            "reason_code": None,
            "until": "2026-11-02T09:30:00Z",
            "confirmed": True,
            "unconfirmed_since": None,
            "routable": False,
            "load": 0,
            "load_known": False,
            "capacity": 3,
            "teams": ["support"],
            "skills": ["french"],
            "external_ids": {},
            "zone": "Europe/Berlin",
            "last_seen_at": answer.json()["last_seen_at"],
            "identities": [
                {
                    "platform": "slack",
                    "workspace": "T1",
                    "external_id": "U-Ann",
                    "name": "Ann",
                    "present": True,
                }
            ],
            "sessions": [],
            "hints": [],
        }
        same = await at.ask(f"{AGENTS}/{ann.id}", headers={"if-none-match": answer.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


async def test_pages_name_everybody_once_though_agents_come_and_go() -> None:
    async with house() as at:
        made = [await at.agent(f"Agent {number}", available=number % 2 == 0) for number in range(7)]
        seen: list[str] = []
        cursor = ""
        for page in range(4):
            body = (await at.ask(f"{AGENTS}?limit=2{cursor}")).json()
            seen += [agent["name"] for agent in body["agents"]]
            if page == 0:
                await at.core.remove(next(one for one in made if one.name == seen[0]), "test")
            cursor = f"&cursor={body['next_cursor']}"
        assert body["next_cursor"] is None
        assert sorted(seen) == [f"Agent {number}" for number in range(7)]


async def test_lists_are_narrowed_by_team_skill_and_presence() -> None:
    async with house() as at:
        await at.agent("Ann", skills=["french"])
        await at.agent("Bob", teams=["billing"], skills=["french"])
        await at.agent("Cid", available=False)

        async def named(query: str) -> list[str]:
            return sorted(agent["name"] for agent in (await at.ask(f"{AGENTS}?{query}")).json()["agents"])

        assert await named("team=support") == ["Ann", "Cid"]
        assert await named("skill=french") == ["Ann", "Bob"]
        assert await named("presence=offline") == ["Cid"]
        assert await named("presence=available") == ["Ann", "Bob"]
        assert len(await named("presence=available&limit=1")) == 1
        assert await named("team=billing&presence=away") == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("cursor", ["x", "", "MTo", "Mjphz3Q", "%C3%A9", "MTphZ3Rf!"])
async def test_a_cursor_that_was_not_given_out_is_refused(cursor: str, asked_only: House) -> None:
    at = asked_only
    answer = await at.ask(f"{AGENTS}?cursor={cursor}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_eligibility_names_every_reason() -> None:
    async with house() as at:
        ann = await at.agent("Ann", capacity=1)
        path = f"{AGENTS}/{ann.id}/eligibility"
        yes = (await at.ask(f"{path}?team=support")).json()
        assert (yes["routable"], yes["reasons"]) == (True, [])
        await at.ask(f"{AGENTS}/{ann.id}/load", method="PUT", scope="route", json={"source": "x", "units": 1})
        await at.away(ann)
        no = (await at.ask(f"{path}?team=billing&skill=french&skill=refunds")).json()
        assert no["routable"] is False
        assert [reason["code"] for reason in no["reasons"]] == [
            "away",
            "not_in_team",
            "skill_missing",
            "at_capacity",
        ]
        assert all(reason["sentence"].endswith(".") for reason in no["reasons"])
        assert no["skills"] == ["french", "refunds"]


async def test_another_systems_id_finds_the_agent_everywhere() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        path = f"{AGENTS}/{ann.id}/external-ids/chatwoot"
        named = await at.ask(path, method="PUT", scope="admin", json={"external_id": "a:4@2"})
        assert (named.status_code, named.json()["external_ids"]) == (200, {"chatwoot": "a:4@2"})
        known = f"{AGENTS}/ext:chatwoot:a:4@2"
        assert (await at.ask(known)).json()["id"] == ann.id
        assert (await at.ask(f"{AGENTS}/ext%3Achatwoot%3Aa%3A4%402")).json()["id"] == ann.id
        assert (await at.ask(f"{known}/eligibility")).json()["routable"] is True
        load = await at.ask(
            f"{known}/load", method="PUT", scope="route", json={"source": "chatwoot", "units": 1}
        )
        assert load.json()["load"] == 1
        gone = await at.ask(path, method="DELETE", scope="admin")
        assert (gone.status_code, gone.json()["external_ids"]) == (200, {})
        assert (await at.ask(known)).status_code == 404
        assert (await at.ask(path, method="DELETE", scope="admin")).status_code == 200


async def test_external_ids_survive_a_restart() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        path = f"{AGENTS}/{ann.id}/external-ids/chatwoot"
        await at.ask(path, method="PUT", scope="admin", json={"external_id": "42"})
        stored = await at.store.read(lambda tx: tx.members.agent(ann.id))
        assert stored is not None
        assert stored.externals == (("chatwoot", "42"),)


async def test_two_agents_cannot_share_an_external_id_but_a_removed_one_lets_go() -> None:
    async with house() as at:
        ann, bob = await at.agent("Ann"), await at.agent("Bob")
        body = {"external_id": "42"}
        assert (
            await at.ask(f"{AGENTS}/{ann.id}/external-ids/desk", method="PUT", scope="admin", json=body)
        ).is_success
        taken = await at.ask(f"{AGENTS}/{bob.id}/external-ids/desk", method="PUT", scope="admin", json=body)
        assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
        assert ann.id in taken.json()["detail"]
        known = at.core.roster.agent(ann.id)
        assert known is not None
        await at.core.remove(known, "test")
        assert (await at.ask(f"{AGENTS}/ext:desk:42")).status_code == 404
        freed = await at.ask(f"{AGENTS}/{bob.id}/external-ids/desk", method="PUT", scope="admin", json=body)
        assert freed.status_code == 200
        assert (await at.ask(f"{AGENTS}/ext:desk:42")).json()["id"] == bob.id


async def test_a_load_report_that_comes_late_is_not_kept() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        path = f"{AGENTS}/{ann.id}/load"

        async def report(units: int, as_of: str) -> dict[str, object]:
            body = {"source": "chatwoot", "units": units, "as_of": as_of, "ttl_s": 600}
            answer = await at.ask(path, method="PUT", scope="route", json=body)
            found: dict[str, object] = answer.json()
            return found

        first = await report(2, "2026-11-02T10:00:00+01:00")
        assert (first["kept"], first["load"], first["expires_at"]) == (True, 2, "2026-11-02T09:10:00Z")
        late = await report(1, "2026-11-02T08:59:59Z")
        assert (late["kept"], late["load"], late["expires_at"]) == (False, 2, None)


async def test_a_report_of_nothing_makes_the_load_known() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        body = {"source": "chatwoot", "units": 0, "ttl_s": 60}
        told = (await at.ask(f"{AGENTS}/{ann.id}/load", method="PUT", scope="route", json=body)).json()
        assert (told["load"], told["load_known"]) == (0, True)
        await at.clock.advance(seconds=61)
        assert (await at.ask(f"{AGENTS}/{ann.id}")).json()["load_known"] is False


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ({"units": 1}, "source", "source must be given"),
        ({"source": "Chat Woot", "units": 1}, "source", "small letters"),
        ({"source": "x", "units": True}, "units", "units must be a whole number from 0 to 10000, such as 2."),
        ({"source": "x", "units": "1"}, "units", "a whole number"),
        ({"source": "x", "units": 1.0}, "units", "a whole number"),
        ({"source": "x", "units": -1}, "units", "a whole number from 0"),
        ({"source": "x", "units": 10_001}, "units", "to 10000"),
        ({"source": "x", "units": None}, "units", "a whole number"),
        ({"source": "x", "units": 1, "ttl_s": 0}, "ttl_s", "from 1 to 86400"),
        ({"source": "x", "units": 1, "ttl_s": 86_401}, "ttl_s", "from 1 to 86400"),
        ({"source": "x", "units": 1, "as_of": "2026-11-02T09:00:00"}, "as_of", "with its offset"),
        ({"source": "x", "units": 1, "as_of": 1793610000}, "as_of", "with its offset"),
        ({"source": "x", "units": 1, "as_of": "2026-02-30T09:00:00Z"}, "as_of", "with its offset"),
        ({"source": "x", "units": 1, "as_of": "2026-11-02T09:05:00Z"}, "as_of", "not in the future"),
        ({"source": "x", "units": 1, "as_of": "2026-11-02T08:00:00Z"}, "as_of", "at most 300 s ago"),
        ({"source": "x", "units": 1, "as_of": "0001-01-01T00:00:00+14:00"}, "as_of", "as_of must be"),
        ({"source": "x", "units": 1, "as_of": "9999-12-31T23:59:59Z"}, "as_of", "as_of must be"),
        ({"source": "x", "units": 1, "tll_s": 5}, "tll_s", "did you mean ttl_s?"),
        ({"source": "x\x00", "units": 1}, "source", "control characters"),
        ({"source": "x", "units": 1, "\x1b": 1}, "body", "control characters"),
        ([], "body", "a JSON object"),
        ("x", "body", "a JSON object"),
    ],
)
async def test_a_load_that_breaks_a_rule_is_told_which(
    body: object, field: str, told: str, asked_only: House
) -> None:
    """Row 30: the field, the rule, an example; and nothing is kept."""
    at = asked_only
    answer = await at.ask(f"{AGENTS}/ext:desk:ann/load", method="PUT", scope="route", json=body)
    found = answer.json()
    assert (answer.status_code, found["code"]) == (422, "bad_value"), found
    assert (found["errors"][0]["field"], told in found["detail"]) == (field, True), found
    assert await at.store.read(lambda tx: tx.presence.loads(at.core.organization_id, START)) == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("external_id", ["", "a b", "a/b", "x" * 129, 42, None, "a\u2028b"])
async def test_an_external_id_keeps_its_rule(external_id: object, asked_only: House) -> None:
    at = asked_only
    path = f"{AGENTS}/ext:desk:ann/external-ids/desk"
    answer = await at.ask(path, method="PUT", scope="admin", json={"external_id": external_id})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "external_id")


async def test_a_systems_name_keeps_its_rule() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        answer = await at.ask(f"{AGENTS}/{ann.id}/external-ids/Desk!", method="DELETE", scope="admin")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "system")
        assert answer.json()["errors"][0]["where"] == "path"


async def test_teams_and_skills_come_with_their_numbers() -> None:
    async with house() as at:
        ann = await at.agent("Ann", skills=["french"])
        await at.agent("Bob", available=False)
        body = (await at.ask("/v1/teams")).json()
        support = {"slug": "support", "name": "Support", "routable": 1}
        assert body["teams"][0] == {**support, "counts": {"available": 1, "away": 0, "offline": 1}} or (
            body["teams"][1] == {**support, "counts": {"available": 1, "away": 0, "offline": 1}}
        )
        await at.away(ann)
        skills = {skill["slug"]: skill for skill in (await at.ask("/v1/skills")).json()["skills"]}
        assert skills["french"]["counts"] == {"available": 0, "away": 1, "offline": 0}
        assert skills["refunds"]["routable"] == 0


async def test_unknown_and_removed_agents_are_not_found() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        known = at.core.roster.agent(ann.id)
        assert known is not None
        await at.core.remove(known, "test")
        for name in (ann.id, "agt_nobody", "ext:desk:1", "ext:", "ext::", "%20"):
            answer = await at.ask(f"{AGENTS}/{name}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name


async def test_names_are_told_as_they_are() -> None:
    """Row 28 is the reader's to render; JSON keeps the words and breaks nothing."""
    async with house() as at:
        workspace = await at.workspace()
        name = 'Ann "<!channel>" </script> @everyone é 🙂'
        ann = await at.core.enrol(workspace.id, Profile("U9", name), "test")
        answer = await at.ask(f"{AGENTS}/{ann.id}")
        assert answer.json()["name"] == name
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
