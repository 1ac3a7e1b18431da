"""Console sessions over the API: heartbeats, silence, reopening, logout, restarts (row 22 of the faults)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from http_house import START, House, house
from session_house import beat, connected, intervals, passes, presence

from bot.domain.sessions import MOST_SESSIONS
from bot.ports import Transaction


async def test_a_console_keeps_its_agent_connected_and_its_silence_is_a_disconnect() -> None:
    """Good for new work for 45 s after the last heartbeat, Offline after 65 s, dated to that instant."""
    async with house() as at:
        ann = await connected(at)
        assert await presence(at, ann) == ("offline", False)
        first = await beat(at, ann)
        assert first == {
            "as_of": "2026-11-02T09:00:00Z",
            "agent_id": ann.id,
            "key": "tab-1",
            "open": True,
            "reopened": False,
            "since": "2026-11-02T09:00:00Z",
            "expires_at": "2026-11-02T09:01:05Z",
            "beat_every_s": 15,
        }
        for _ in range(8):
            await passes(at, 15)
            assert (await beat(at, ann))["since"] == "2026-11-02T09:00:00Z"
        last = at.clock.now()
        await passes(at, 45)
        assert await presence(at, ann) == ("available", True)
        await passes(at, 1)
        assert await presence(at, ann) == ("available", False)
        await passes(at, 20)
        assert await presence(at, ann) == ("offline", False)
        assert (await intervals(at, ann))[-1] == ("offline", last + timedelta(seconds=65))
        facts = at.facts(ann)
        assert (facts.interval.reason, facts.interval.source) == ("disconnected", "session")
        assert facts.last_seen_at == last


async def test_a_heartbeat_after_the_end_reopens_and_the_gap_stays() -> None:
    """Row 22."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        await passes(at, 90)
        again = await beat(at, ann)
        assert (again["reopened"], again["since"]) == (True, "2026-11-02T09:01:30Z")
        assert await presence(at, ann) == ("available", True)
        assert [one for one in await intervals(at, ann) if one[1] > START] == [
            ("offline", START + timedelta(seconds=65)),
            ("available", START + timedelta(seconds=90)),
        ]
        assert not (await beat(at, ann))["reopened"]


async def test_reopened_is_told_though_no_tick_saw_the_end() -> None:
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        for _ in range(14):  # another console keeps the program awake; nothing ticks
            await at.clock.advance(seconds=5)
            await beat(at, ann, "other")
        assert (await beat(at, ann))["reopened"]


async def test_a_logout_is_a_disconnect_at_once() -> None:
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        await passes(at, 15)
        gone = await beat(at, ann, method="DELETE")
        assert (gone["open"], gone["expires_at"]) == (False, None)
        assert await presence(at, ann) == ("offline", False)
        assert (await intervals(at, ann))[-1] == ("offline", START + timedelta(seconds=15))
        assert not (await beat(at, ann, "never", "DELETE"))["open"]
        assert (await beat(at, ann))["reopened"]


async def test_one_session_of_two_is_enough() -> None:
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann, "one")
        await beat(at, ann, "two")
        await beat(at, ann, "one", "DELETE")
        assert await presence(at, ann) == ("available", True)
        await beat(at, ann, "two", "DELETE")
        assert await presence(at, ann) == ("offline", False)


async def test_a_renewal_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an hour of heartbeats and ticks the store is not asked to write once."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        written: list[object] = []
        write = at.store.write

        async def counted(operation: Any) -> Any:
            if "note_use" not in operation.__qualname__:  # once a minute for all that a key did
                written.append(operation)
            return await write(operation)

        monkeypatch.setattr(at.store, "write", counted)
        for _ in range(240):
            await at.clock.advance(seconds=15 / 2)
            await at.core.tick()
            await at.clock.advance(seconds=15 / 2)
            await beat(at, ann)
        assert written == []
        assert await presence(at, ann) == ("available", True)


async def test_reading_an_agent_again_forgets_no_heartbeat() -> None:
    """What is stored of a session is older than what is known of it."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        for _ in range(4):
            await passes(at, 15)
            await beat(at, ann)
        await at.core.changes.refresh(ann.id)
        await passes(at, 30)
        assert await presence(at, ann) == ("available", True)


async def test_too_many_sessions_are_refused_and_ended_ones_make_room() -> None:
    async with house() as at:
        ann = await connected(at)
        for number in range(MOST_SESSIONS):
            await beat(at, ann, f"tab-{number}")
        answer = await at.ask(f"/v1/agents/{ann.id}/sessions/more", method="PUT", scope="presence")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        await beat(at, ann, "tab-7", "DELETE")
        assert (await beat(at, ann, "more"))["open"]
        assert len(at.facts(ann).links) == MOST_SESSIONS


async def test_a_session_needs_the_scope_the_agent_and_a_key_of_the_right_kind() -> None:
    async with house() as at:
        ann = await connected(at)
        path = f"/v1/agents/{ann.id}/sessions/tab-1"
        await beat(at, ann)  # open, so that the short way could answer
        for scope in ("read", "route", "admin"):
            assert (await at.ask(path, method="PUT", scope=scope)).status_code == 403
            assert (await at.ask(path, method="DELETE", scope=scope)).status_code == 403
        other = await at.ask("/v1/agents/agt_nobody/sessions/tab-1", method="PUT", scope="presence")
        assert other.status_code == 404
        for key in ("a b", "a/b", "x" * 65, "%E2%82%AC"):
            answer = await at.ask(f"/v1/agents/{ann.id}/sessions/{key}", method="PUT", scope="presence")
            assert answer.status_code in (404, 422), key
        assert (await at.ask(path + "?x=1", method="PUT", scope="presence")).status_code == 400
        large = await at.ask(path, method="PUT", scope="presence", content=b"x" * 70_000)
        assert large.status_code == 413


@pytest.mark.parametrize("path", ["/v1/nowhere/v1/agents/{}/sessions/tab-1", "/v1/agents/{}/sessions/tab-1/"])
async def test_an_address_that_there_is_not_renews_nothing(path: str) -> None:
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        await at.clock.advance(seconds=5)
        answer = await at.ask(path.format(ann.id), method="PUT", scope="presence")
        assert answer.status_code == 404
        assert at.facts(ann).links[0].beat_at == START


async def test_another_organizations_key_opens_nothing() -> None:
    """I13, by the long way and by the short one."""
    async with house() as at:
        ann = await connected(at)
        other = await at.store.write(lambda tx: _other(tx, at))
        key = await at.key("presence", organization=other)
        path = f"/v1/agents/{ann.id}/sessions/tab-1"
        refused: httpx.Response = await at.ask(path, method="PUT", key=key)
        assert refused.status_code in (401, 404)
        await beat(at, ann)
        refused = await at.ask(path, method="PUT", key=key)
        assert refused.status_code in (401, 404)


def _other(tx: Transaction, at: House) -> str:
    return tx.members.ensure_organization("other", "Other", at.clock.now())


async def test_an_agents_open_sessions_are_told_with_their_last_heartbeats() -> None:
    """One that has fallen silent, or was left, is told no longer."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann, "left")
        await passes(at, 5)
        await beat(at, ann, "tab-1")
        await beat(at, ann, "tab-2")
        await passes(at, 15)
        await beat(at, ann, "tab-2")
        await beat(at, ann, "left", "DELETE")

        async def told() -> list[tuple[str, str, str]]:
            body = (await at.ask(f"/v1/agents/{ann.id}")).json()
            return [(one["key"], one["since"][11:19], one["heartbeat_at"][11:19]) for one in body["sessions"]]

        assert await told() == [("tab-1", "09:00:05", "09:00:05"), ("tab-2", "09:00:05", "09:00:20")]
        await passes(at, 55)
        assert await told() == [("tab-2", "09:00:05", "09:00:20")]
