"""`GET /v1/availability`: true at `now`, without any tick, and made anew when something has changed."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import httpx
import pytest
from http_house import START, House, house

from bot.domain.facts import Seen
from bot.ports import Sighting

PATH = "/v1/availability"


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [agent["name"] for agent in answer.json()["agents"]]


async def report(at: House, agent_id: str, units: int, **more: object) -> None:
    body = {"source": "chatwoot", "units": units, **more}
    answer = await at.ask(f"/v1/agents/{agent_id}/load", method="PUT", scope="route", json=body)
    assert answer.status_code == 200, answer.text


async def test_the_least_loaded_agent_comes_first_and_the_rest_is_counted() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await at.agent("Bob")
        await at.agent("Cid", available=False)
        await report(at, ann.id, 2)
        body = (await at.ask(f"{PATH}?team=support")).json()
        assert body["as_of"] == "2026-11-02T09:00:00Z"
        assert (body["team"], body["skills"], body["routable"]) == ("support", [], 2)
        assert body["counts"] == {"available": 2, "away": 0, "offline": 1}
        assert [agent["name"] for agent in body["agents"]] == ["Bob", "Ann"]
        assert body["agents"][1] == {
            "id": ann.id,
            "name": "Ann",
            "since": "2026-11-02T09:00:00Z",
            "load": 2,
            "load_known": True,
            "capacity": 3,
            "teams": ["support"],
            "skills": [],
            "external_ids": {},
            "hints": [],
        }
        assert body["feeds"] == [] and body["troubles"] == []


async def test_teams_skills_and_limit_narrow_the_answer() -> None:
    async with house() as at:
        await at.agent("Ann", skills=["french"])
        await at.agent("Bob", skills=["french", "refunds"])
        await at.agent("Cid", teams=["billing"])
        assert names(await at.ask(PATH)) == ["Ann", "Bob", "Cid"]
        assert names(await at.ask(f"{PATH}?team=billing")) == ["Cid"]
        assert names(await at.ask(f"{PATH}?skill=french")) == ["Ann", "Bob"]
        both = await at.ask(f"{PATH}?skill=refunds&skill=french&team=support")
        assert names(both) == ["Bob"]
        assert both.json()["counts"] == {"available": 1, "away": 0, "offline": 0}
        assert both.json()["skills"] == ["french", "refunds"]
        one = (await at.ask(f"{PATH}?limit=1")).json()
        assert (len(one["agents"]), one["routable"]) == (1, 3)


async def test_a_disconnect_counts_when_its_grace_is_over_without_any_tick() -> None:
    """Nothing runs between the disconnect and the question."""
    async with house() as at:
        workspace = await at.workspace("discord", "123")
        ann = await at.agent("Ann", workspace=workspace)
        epoch = await at.core.feed_live(workspace.id)
        external = ann.identities[0].external_id
        await at.clock.advance(seconds=120)
        await at.core.observe(workspace.id, epoch, [Sighting(external, Seen.CONNECTED, at.clock.now(), 1)])
        await at.available(ann)
        await at.clock.advance(seconds=10)
        await at.core.observe(workspace.id, epoch, [Sighting(external, Seen.DISCONNECTED, at.clock.now(), 2)])
        suspect = (await at.ask(PATH)).json()
        assert (suspect["routable"], suspect["counts"]["available"]) == (0, 1)
        await at.clock.advance(seconds=61)
        gone = (await at.ask(PATH)).json()
        assert gone["counts"] == {"available": 0, "away": 0, "offline": 1}


async def test_a_timed_away_is_over_at_its_instant_without_any_tick() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await at.away(ann, "lunch", START + timedelta(minutes=30))
        assert names(await at.ask(PATH)) == []
        await at.clock.advance(minutes=30)
        assert names(await at.ask(PATH)) == []
        await at.clock.advance(microseconds=1)
        assert names(await at.ask(PATH)) == ["Ann"]


async def test_a_reported_load_ends_with_its_time_to_live() -> None:
    async with house() as at:
        ann = await at.agent("Ann", capacity=2)
        await report(at, ann.id, 2, ttl_s=60)
        assert names(await at.ask(PATH)) == []
        await at.clock.advance(seconds=60)
        assert names(await at.ask(PATH)) == []
        await at.clock.advance(seconds=1)
        free = (await at.ask(PATH)).json()["agents"]
        assert [(agent["load"], agent["load_known"]) for agent in free] == [(0, False)]


async def test_the_etag_leaves_as_of_out_and_saves_the_body() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        first = await at.ask(PATH)
        await at.clock.advance(seconds=5)
        second = await at.ask(PATH)
        assert first.json()["as_of"] != second.json()["as_of"]
        etag = first.headers["etag"]
        assert second.headers["etag"] == etag
        for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
            same = await at.ask(PATH, headers={"if-none-match": known})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag), known
        key = ("authorization", f"Bearer {await at.key('read')}")
        for tags in ([etag, '"other"'], ['"other"', etag], ['"one"', etag, '"other"']):
            several = [("if-none-match", tag) for tag in tags]
            assert (await at.client.get(PATH, headers=[key, *several])).status_code == 304, tags
        await at.away(ann)
        changed = await at.ask(PATH, headers={"if-none-match": etag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != etag


async def test_every_change_that_shows_changes_the_answer() -> None:
    """Presence, load, capacity, name, team, external id, feed and trouble: none may wait for another."""
    async with house() as at:
        workspace = await at.workspace()
        ann = await at.agent("Ann")
        tags = [(await at.ask(PATH)).headers["etag"]]

        async def look() -> None:
            tags.append((await at.ask(PATH)).headers["etag"])

        await report(at, ann.id, 1)
        await look()
        await at.change_agent(ann, capacity=5)
        await look()
        await at.change_agent(ann, name="Anna")
        await look()
        await at.change_agent(ann, teams=("billing",))
        await look()
        external = f"/v1/agents/{ann.id}/external-ids/chatwoot"
        await at.ask(external, method="PUT", scope="admin", json={"external_id": "42"})
        await look()
        await at.core.feed_live(workspace.id)
        await look()
        await at.core.feed_lost(workspace.id, since=at.clock.now())
        await look()
        at.core.report("slack", workspace.id, "The token was revoked. Install the app again.")
        await look()
        at.core.report("slack", workspace.id, None)
        await look()
        await at.agent("Bob")
        await look()
        await at.away(ann)
        await look()
        assert [earlier for earlier, later in pairwise(tags) if earlier == later] == []


async def test_feeds_and_troubles_say_how_fresh_the_answer_is() -> None:
    async with house() as at:
        workspace = await at.workspace("slack", "T1")
        await at.core.feed_live(workspace.id)
        live = (await at.ask(PATH)).json()["feeds"]
        assert live == [
            {"workspace": "T1", "platform": "slack", "state": "live", "live_at": "2026-11-02T09:00:00Z"}
        ]
        await at.clock.advance(seconds=30)
        await at.core.feed_lost(workspace.id, since=START + timedelta(seconds=20))
        at.core.report("slack", workspace.id, "Install the app again.")
        body = (await at.ask(PATH)).json()
        assert body["feeds"] == [
            {"workspace": "T1", "platform": "slack", "state": "down", "lost_at": "2026-11-02T09:00:20Z"}
        ]
        assert body["troubles"] == [
            {
                "platform": "slack",
                "workspace": "T1",
                "sentence": "Install the app again.",
                "since": "2026-11-02T09:00:30Z",
            }
        ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("query", "status", "code", "field", "told"),
    [
        ("tema=support", 400, "unknown_parameter", "tema", "did you mean team?"),
        ("zzz=1", 400, "unknown_parameter", "zzz", "known here: limit, skill, team."),
        ("team=support&team=billing", 400, "repeated_parameter", "team", "keep one"),
        ("team=suport", 422, "bad_value", "team", "Did you mean support?"),
        ("team=", 422, "bad_value", "team", "Known: billing, support."),
        ("skill=french&skill=klingon", 422, "bad_value", "skill", "Known: french, refunds."),
        ("limit=0", 422, "bad_value", "limit", "a whole number from 1 to 100, such as 20"),
        ("limit=101", 422, "bad_value", "limit", "a whole number from 1 to 100"),
        ("limit=1e1", 422, "bad_value", "limit", "a whole number from 1 to 100"),
        ("limit=+5", 422, "bad_value", "limit", "a whole number from 1 to 100"),
        ("limit=%D9%A5", 422, "bad_value", "limit", "a whole number from 1 to 100"),
        ("limit=" + "9" * 400, 422, "bad_value", "limit", "a whole number from 1 to 100"),
        ("team=%zz", 400, "bad_encoding", "query", "%25"),
        ("team=%ff", 400, "bad_encoding", "query", "UTF-8"),
        ("team=a%00b", 400, "bad_encoding", "query", "control character"),
    ],
)
async def test_a_query_that_breaks_a_rule_is_told_which(
    query: str, status: int, code: str, field: str, told: str, asked_only: House
) -> None:
    """Row 30: the field, the rule, an example."""
    at = asked_only
    answer = await at.ask(f"{PATH}?{query}")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert told in body["detail"], body["detail"]
    assert body["errors"][0]["field"] == field
    assert answer.headers["content-type"] == "application/problem+json"


async def test_head_tells_what_get_would_without_the_body() -> None:
    async with house() as at:
        await at.agent("Ann")
        told, whole = await at.ask(PATH, method="HEAD"), await at.ask(PATH)
        assert (told.status_code, told.content) == (200, b"")
        for name in ("content-length", "etag", "content-type"):
            assert told.headers[name] == whole.headers[name]


async def test_hostile_questions_do_not_fill_the_memory() -> None:
    async with house() as at:
        for limit in range(1, 101):
            for team in ("support", "billing", None):
                query = f"limit={limit}" + (f"&team={team}" if team else "")
                assert (await at.ask(f"{PATH}?{query}")).status_code == 200
        kept = at.server.app.hot.questions
        assert 0 < len(kept) <= 256
