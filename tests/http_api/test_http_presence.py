"""Presence set by a program, and history read, over the API."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import httpx
import pytest
from desk import read
from http_house import START, House, house

from bot.domain.agent import Agent, Identity, Workspace
from bot.domain.choices import sign_off
from bot.message import Message
from bot.notifier import Notifier
from bot.ports import ChatPlatform


class Post:
    """A chat platform that only takes direct messages."""

    name = "slack"

    def __init__(self) -> None:
        self.mounts: dict[str, Any] = {}
        self.sent: list[str] = []

    async def run(self) -> None:
        raise AssertionError("nobody runs it")

    async def send_direct(self, identity: Identity, workspace: Workspace, message: Message) -> str:
        self.sent.append(read(message))
        return "1"

    async def post(self, channel: str, message: Message) -> str:
        raise AssertionError("nothing is posted")


async def put(at: House, agent: Agent, key: str | None = None, **body: Any) -> httpx.Response:
    return await at.ask(f"/v1/agents/{agent.id}/presence", method="PUT", scope="presence", key=key, json=body)


async def test_a_program_sets_away_and_the_agent_is_told_by_whom() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        key = await at.key("presence", name="chatwoot")
        answer = (await put(at, ann, key, presence="away", for_s=1800, reason="lunch")).json()
        assert answer == {
            "as_of": "2026-11-02T09:00:00Z",
            "agent_id": ann.id,
            "changed": True,
            "presence": "away",
            "chosen": "away",
            "until": "2026-11-02T09:30:00Z",
            "reason": "set",
            "reason_code": "lunch",
            "sentence": "Ann is Away.",
        }
        assert at.facts(ann).intent.by == f"api:{key[3:29]}"
        post = Post()
        await Notifier(at.core, {"slack": cast(ChatPlatform, post)}).send_due()
        (told,) = post.sent
        assert told.startswith("The program chatwoot set you Away until 09:30")
        await at.clock.advance(minutes=31)
        await at.core.tick()
        assert (await at.ask(f"/v1/agents/{ann.id}")).json()["presence"] == "available"


async def test_saying_it_again_changes_nothing_and_tells_nobody() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        until = "2026-11-02T10:00:00Z"
        assert (await put(at, ann, presence="away", until=until)).json()["changed"]
        facts = at.facts(ann)
        again = (await put(at, ann, presence="away", until=until)).json()
        assert (again["changed"], again["until"]) == (False, until)
        assert at.facts(ann) == facts
        owed = await at.store.write(
            lambda tx: tx.ledger.due_notices(at.core.organization_id, at.clock.now(), 9)
        )
        assert [notice.told for notice in owed] == ["set_by_program"]


async def test_somebody_who_is_not_connected_stays_offline_and_the_answer_says_so() -> None:
    async with house() as at:
        ann = await at.agent("Ann", available=False)
        answer = (await put(at, ann, presence="available")).json()
        assert (answer["presence"], answer["chosen"], answer["changed"]) == ("offline", "available", True)
        assert answer["sentence"] == "Ann is still Offline: not connected. This counts when they are."


@pytest.mark.parametrize("presence", ["available", "away"])
async def test_whoever_signed_off_is_left_alone(presence: str) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        core = at.core
        await core.change(ann.id, lambda facts, now: sign_off(facts, core.roster.feeds, core.policy, now))
        refused = await put(at, ann, presence=presence)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert "They signed off" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"presence": "off"}, "presence"),
        ({"presence": "available", "for_s": 60}, "for_s"),
        ({"presence": "available", "until": "2026-11-02T10:00:00Z"}, "until"),
        ({"presence": "away", "for_s": 60, "until": "2026-11-02T10:00:00Z"}, "for_s"),
        ({"presence": "away", "for_s": 0}, "for_s"),
        ({"presence": "away", "for_s": "60"}, "for_s"),
        ({"presence": "away", "until": "2026-11-02T08:00:00Z"}, "until"),
        ({"presence": "away", "until": "2026-11-02T10:00:00"}, "until"),
        ({"presence": "away", "until": "2027-11-02T10:00:00Z"}, "until"),
        ({"presence": "away", "reason": "x" * 501}, "reason"),
        ({"presence": "away", "why": "lunch"}, "why"),
        ({"presence": "available", "reason_code": "lunch"}, "reason_code"),
        ({"presence": "away", "reason_code": "Lunch"}, "reason_code"),
        ({"presence": "away", "reason_code": ""}, "reason_code"),
        ({}, "presence"),
    ],
)
async def test_what_breaks_a_rule_is_named(body: dict[str, Any], field: str) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        refused = await put(at, ann, **body)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == field
        assert at.facts(ann).intent.by == "agent"


async def test_a_reason_code_stands_beside_the_words_in_all_that_is_told() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await at.clock.advance(minutes=1)
        answer = (await put(at, ann, presence="away", reason="with Ana", reason_code="meeting")).json()
        assert (answer["changed"], answer["reason_code"]) == (True, "meeting")
        body = (await at.ask(f"/v1/agents/{ann.id}")).json()
        assert (body["reason"], body["note"], body["reason_code"]) == ("set", "with Ana", "meeting")
        eligible = (await at.ask(f"/v1/agents/{ann.id}/eligibility")).json()
        assert eligible["reason_code"] == "meeting"
        history = (await at.ask(f"/v1/agents/{ann.id}/history")).json()["intervals"]
        assert [one["reason_code"] for one in history[-2:]] == [None, "meeting"]
        events = (await at.ask("/v1/events?after=")).json()["events"]
        assert [one["data"]["reason_code"] for one in events[-2:]] == [None, "meeting"]
        assert not (await put(at, ann, presence="away", reason="with Ana", reason_code="meeting")).json()[
            "changed"
        ]
        assert (await put(at, ann, presence="away", reason="with Ana", reason_code="break")).json()["changed"]
        assert (await put(at, ann, presence="away", reason="Training: new flow")).json()[
            "reason_code"
        ] == "training"
        back = (await put(at, ann, presence="available", reason="lunch is over")).json()
        assert back["reason_code"] is None


async def test_an_unknown_code_is_refused_naming_those_that_there_are() -> None:
    async with house({"reason": [{"slug": "nap", "name": "Nap"}, {"slug": "tea", "name": "Tea"}]}) as at:
        ann = await at.agent("Ann")
        refused = await put(at, ann, presence="away", reason_code="lunch")
        assert refused.status_code == 422
        assert refused.json()["detail"] == "reason_code must be one of nap, tea."
    async with house({"reason": []}) as at:
        ann = await at.agent("Ann")
        refused = await put(at, ann, presence="away", reason_code="lunch")
        assert refused.json()["detail"] == "reason_code must be left out: there are no reason codes here."


async def test_where_a_reason_is_required_an_away_without_one_is_refused() -> None:
    async with house({"presence": {"require_reason": True}}) as at:
        ann = await at.agent("Ann")
        for body in ({}, {"reason": "  "}):
            refused = await put(at, ann, presence="away", **body)
            assert refused.status_code == 422
            assert refused.json()["detail"] == (
                "reason_code must be one of lunch, break, training, meeting, or reason some words that say "
                "why: every away needs a reason here."
            )
        assert at.facts(ann).intent.by == "agent"
        assert (await put(at, ann, presence="away", reason="dentist")).json()["reason_code"] is None
        assert (await put(at, ann, presence="available")).json()["changed"]
        assert (await put(at, ann, presence="away", reason_code="break")).json()["changed"]
        assert (await put(at, ann, presence="available")).json()["changed"]


# --- history ---


async def story(at: House) -> Agent:
    """Ann, Available at nine and Away or back every ten minutes until ten."""
    ann = await at.agent("Ann")
    for number in range(6):
        await at.clock.advance(minutes=10)
        await (at.available(ann) if number % 2 else at.away(ann, f"break {number}"))
    return ann


async def test_history_tiles_the_range_with_reason_source_and_confirmation() -> None:
    async with house() as at:
        ann = await story(at)
        path = f"/v1/agents/{ann.id}/history?from=2026-11-02T09:15:00Z&to=2026-11-02T09:35:00Z"
        body = (await at.ask(path)).json()
        assert body["next_cursor"] is None
        assert [(one["presence"], one["since"], one["until"], one["note"]) for one in body["intervals"]] == [
            ("away", "2026-11-02T09:10:00Z", "2026-11-02T09:20:00Z", "break 0"),
            ("available", "2026-11-02T09:20:00Z", "2026-11-02T09:30:00Z", ""),
            ("away", "2026-11-02T09:30:00Z", "2026-11-02T09:40:00Z", "break 2"),
        ]
        assert {(one["reason"], one["source"], one["confirmed"]) for one in body["intervals"]} == {
            ("set", "agent", True)
        }


async def test_history_comes_in_pages_without_gap_or_repetition() -> None:
    async with house() as at:
        ann = await story(at)
        path = f"/v1/agents/{ann.id}/history?from=2026-11-02T08:00:00Z&to=2026-11-02T11:00:00Z"
        whole = (await at.ask(path)).json()["intervals"]
        found, cursor = [], None
        for _ in range(len(whole)):
            page = (await at.ask(f"{path}&limit=2" + (f"&cursor={cursor}" if cursor else ""))).json()
            found += page["intervals"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == whole
        assert whole[-1]["until"] is None
        for one, following in pairwise(whole):
            assert one["until"] == following["since"]


async def test_what_time_has_ended_is_told_before_a_tick_stores_it() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await put(at, ann, presence="away", for_s=60)
        await at.clock.advance(seconds=90)
        last = (await at.ask(f"/v1/agents/{ann.id}/history")).json()["intervals"][-2:]
        assert [(one["presence"], one["since"]) for one in last] == [
            ("away", "2026-11-02T09:00:00Z"),
            ("available", "2026-11-02T09:01:00Z"),
        ]
        assert last[0]["until"] == "2026-11-02T09:01:00Z"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-11-02T10:00:00Z&to=2026-11-02T10:00:00Z", "to"),
        ("from=2026-09-02T10:00:00Z&to=2026-11-02T10:00:00Z", "from"),
        ("from=yesterday", "from"),
        ("to=2026-11-02T10:00:00", "to"),
        ("cursor=nonsense", "cursor"),
        ("limit=0", "limit"),
        ("from=0001-01-01T00:00:00%2B14:00", "from"),
    ],
)
async def test_a_range_that_is_none_is_refused(query: str, field: str) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        refused = await at.ask(f"/v1/agents/{ann.id}/history?{query}")
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == field


async def test_what_is_due_is_told_only_where_it_touches_the_range() -> None:
    """An away has ended and no tick has stored it: what came of it is not of the hour before."""
    async with house() as at:
        ann = await at.agent("Ann")
        await at.away(ann, "lunch", START + timedelta(hours=1))
        await at.clock.advance(hours=2)
        for hours, presences in ((("09:10", "09:50"), ["away"]), (("10:10", "10:50"), ["available"])):
            began, ended = (f"2026-11-02T{hour}:00Z" for hour in hours)
            page = (await at.ask(f"/v1/agents/{ann.id}/history?from={began}&to={ended}")).json()
            assert [one["presence"] for one in page["intervals"]] == presences


async def test_history_needs_the_scope_read() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        assert (await at.ask(f"/v1/agents/{ann.id}/history", scope="presence")).status_code == 403
