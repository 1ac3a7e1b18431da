"""Calls and do-not-disturb over the API: beside presence, and among the reasons where the policy says so."""

from __future__ import annotations

import pytest
from http_house import House, house

from bot.domain.hints import HintKind
from bot.ports import HintSighting

SINCE = "2026-11-02T09:00:00Z"
CALL = {"kind": "call", "platform": "slack", "since": SINCE}


async def talks(at: House, *, inside: bool = True, kind: HintKind = HintKind.CALL) -> None:
    """Ann enters a call, or leaves it."""
    workspace = await at.workspace()
    at.core.hint(workspace.id, [HintSighting("U-Ann", kind, inside)])


async def test_a_call_is_told_wherever_an_agent_is() -> None:
    """And the ETag is another while it lasts."""
    async with house() as at:
        ann = await at.agent("Ann")
        before = await at.ask("/v1/availability?team=support")
        assert before.json()["agents"][0]["hints"] == []
        await talks(at)
        during = await at.ask(
            "/v1/availability?team=support", headers={"if-none-match": before.headers["etag"]}
        )
        assert during.json()["agents"][0]["hints"] == [CALL]
        assert (await at.ask(f"/v1/agents/{ann.id}")).json()["hints"] == [CALL]
        assert (await at.ask("/v1/agents")).json()["agents"][0]["hints"] == [CALL]
        await talks(at, inside=False)
        after = await at.ask("/v1/availability?team=support")
        assert after.headers["etag"] == before.headers["etag"]


@pytest.mark.parametrize(("kind", "code"), [("call", "in_call"), ("do_not_disturb", "do_not_disturb")])
async def test_who_gets_no_new_chats_meanwhile_is_told_why(kind: str, code: str) -> None:
    """Still Available, and counted so."""
    policy = {code: "no_new_chats"}
    async with house({"presence": policy}) as at:
        ann = await at.agent("Ann")
        await talks(at, kind=HintKind(kind))
        shown = (await at.ask("/v1/availability?team=support")).json()
        assert (shown["routable"], shown["agents"], shown["counts"]["available"]) == (0, [], 1)
        told = (await at.ask(f"/v1/agents/{ann.id}/eligibility")).json()
        assert told["routable"] is False
        assert [reason["code"] for reason in told["reasons"]] == [code]
        assert "policy" in told["reasons"][0]["sentence"]
        one = (await at.ask(f"/v1/agents/{ann.id}")).json()
        assert (one["presence"], one["routable"]) == ("available", False)
        await talks(at, inside=False, kind=HintKind(kind))
        assert (await at.ask("/v1/availability?team=support")).json()["routable"] == 1
