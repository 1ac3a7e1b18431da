"""Console sessions over the API: heartbeats, silence, reopening, logout, restarts (row 22 of the faults)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from http_house import START, House, MovedClock, house

from bot.config import Config
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.choices import choose_available
from bot.domain.sessions import MOST_SESSIONS
from bot.ports import Store, Transaction


async def connected(at: House, name: str = "Ann") -> Agent:
    """An agent whom a program has set Available, and whom nothing but a console keeps connected."""
    ann = await at.agent(name, available=False)
    core = at.core
    await core.change(
        ann.id, lambda facts, now: choose_available(facts, core.roster.feeds, core.policy, now, by="lead:b")
    )
    return ann


async def beat(at: House, agent: Agent, key: str = "tab-1", method: str = "PUT") -> dict[str, Any]:
    """One heartbeat (or logout), which is answered well."""
    answer = await at.ask(f"/v1/agents/{agent.id}/sessions/{key}", method=method, scope="presence")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def passes(at: House, seconds: int) -> None:
    """Time passes as it does: with a tick every second or so."""
    for _ in range(0, seconds, 5):
        await at.clock.advance(seconds=min(5, seconds))
        await at.core.tick()


async def presence(at: House, agent: Agent) -> tuple[str, bool]:
    """How the agent is seen, and whether they are routable."""
    body = (await at.ask(f"/v1/agents/{agent.id}")).json()
    return body["presence"], body["routable"]


async def intervals(at: House, agent: Agent) -> list[tuple[str, datetime]]:
    """The stored history."""
    found = await at.store.read(
        lambda tx: tx.presence.history([agent.id], START - timedelta(1), START + timedelta(9))
    )
    return [(one.presence.value, one.since) for one, _ in found[agent.id]]


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


async def test_a_restart_in_the_middle_of_a_lease_ends_nothing() -> None:
    """The program was away for ten minutes: unconfirmed, then known again by the next heartbeat; another
    agent's console never comes back, and has its whole lease from when we are there again."""
    async with house() as at:
        ann, bob = await connected(at), await connected(at, "Bob")
        await beat(at, ann)
        await beat(at, bob)
        await passes(at, 30)
        await at.core.mark_feeds_seen()
        core, clock = await restarted(at.store, at.clock, seconds=600)
        row = core.roster.row(ann.id, clock.now())
        assert row is not None
        assert row.verdict.presence.value == "available"
        assert row.verdict.unconfirmed_since == START + timedelta(seconds=30)
        assert not row.verdict.reachable
        session = await core.sessions.beat(ann, "tab-1")
        assert not session.reopened
        row = core.roster.row(ann.id, clock.now())
        assert row is not None
        assert row.verdict.reachable
        back = clock.now()
        for _ in range(14):
            await clock.advance(seconds=5)
            await core.tick()
            await core.sessions.beat(ann, "tab-1")
        found = await at.store.read(
            lambda tx: tx.presence.history([bob.id], START - timedelta(1), START + timedelta(9))
        )
        last, _ = found[bob.id][-1]
        assert (last.presence.value, last.reason, last.since) == (
            "offline",
            "disconnected",
            back + timedelta(seconds=65),
        )


async def restarted(store: Store, clock: MovedClock, seconds: float) -> tuple[Rollcall, MovedClock]:
    """Another program on the same database, so much later."""
    await clock.advance(seconds=seconds)
    core = Rollcall(Config.model_validate({"team": [{"slug": "support", "name": "Support"}]}), store, clock)
    await core.start()
    return core, clock


@pytest.mark.parametrize("jump", [86_400, 600, -3600])
async def test_a_clock_that_jumps_ends_no_session(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 5: only the clock on the wall moves. The next heartbeat renews."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        await passes(at, 15)
        await beat(at, ann)
        passed = at.clock.monotonic() + 1
        monkeypatch.setattr(at.clock, "monotonic", lambda: passed)
        at.clock.at += timedelta(seconds=jump)
        await at.core.tick()
        assert not (await beat(at, ann))["reopened"]
        await at.core.tick()
        assert await presence(at, ann) == ("available", True)
        assert "offline" not in [one for one, since in await intervals(at, ann) if since > START]


async def test_a_program_that_was_stopped_for_a_while_ends_no_session() -> None:
    """A laptop asleep, a process that was stopped: who could not send a heartbeat has the whole lease."""
    async with house() as at:
        ann, bob = await connected(at), await connected(at, "Bob")
        await beat(at, ann)
        await beat(at, bob)
        at.clock.at += timedelta(seconds=600)
        await at.core.tick()
        assert await presence(at, ann) == ("available", False)
        assert not (await beat(at, ann))["reopened"]
        assert await presence(at, ann) == ("available", True)
        await passes(at, 65)
        assert await presence(at, bob) == ("available", False)
        await passes(at, 1)
        assert await presence(at, bob) == ("offline", False)


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
