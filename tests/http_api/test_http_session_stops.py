"""Console sessions where nobody was there to take heartbeats: restarts, stops, clocks that jump."""

from __future__ import annotations

from datetime import timedelta

import pytest
from http_house import START, MovedClock, house
from session_house import beat, connected, intervals, passes, presence

from bot.config import Config
from bot.core import Rollcall
from bot.domain.errors import Unavailable
from bot.ports import Store


async def restarted(store: Store, clock: MovedClock, seconds: float) -> tuple[Rollcall, MovedClock]:
    """Another program on the same database, so much later."""
    await clock.advance(seconds=seconds)
    core = Rollcall(Config.model_validate({"team": [{"slug": "support", "name": "Support"}]}), store, clock)
    await core.start()
    return core, clock


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


@pytest.mark.parametrize("first", ["a question", "the history", "a logout", "a presence", "a heartbeat"])
async def test_whatever_comes_first_after_the_clock_has_jumped_ends_no_session(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 5: the next tick is up to a second away, and until then nothing is answered or decided by leases
    that nobody could renew."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann, "one")
        await beat(at, ann, "two")
        await passes(at, 10)
        passed = at.clock.monotonic() + 0.5
        monkeypatch.setattr(at.clock, "monotonic", lambda: passed)
        at.clock.at += timedelta(seconds=600)
        path = f"/v1/agents/{ann.id}"
        if first == "a question":
            assert (await at.ask("/v1/availability")).json()["counts"]["available"] == 1
            assert await presence(at, ann) == ("available", True)
        elif first == "the history":
            stretches = (await at.ask(path + "/history")).json()["intervals"]
            assert [one["presence"] for one in stretches] == ["available"]
        elif first == "a logout":
            await beat(at, ann, "two", "DELETE")
        elif first == "a presence":
            said = {"presence": "available", "reason": "back"}
            await at.ask(path + "/presence", method="PUT", scope="presence", json=said)
        else:
            assert not (await beat(at, ann, "two"))["reopened"]
        await at.core.tick()
        assert not (await beat(at, ann, "one"))["reopened"]
        assert await presence(at, ann) == ("available", True)
        assert "offline" not in [one for one, since in await intervals(at, ann) if since > START]


@pytest.mark.parametrize("key", ["tab-1", "tab-2"], ids=["that renews", "that opens"])
async def test_a_heartbeat_that_comes_before_the_tick_gives_every_other_console_its_whole_lease(
    key: str,
) -> None:
    """Nobody was there for 30 s, and nothing is due yet: it is noticed all the same."""
    async with house() as at:
        ann, bob = await connected(at), await connected(at, "Bob")
        await beat(at, ann)
        await beat(at, bob)
        at.clock.at += timedelta(seconds=30)
        await beat(at, ann, key)
        await passes(at, 65)
        assert (await presence(at, bob))[0] == "available"
        await passes(at, 5)
        assert (await presence(at, bob))[0] == "offline"


async def test_a_session_opened_right_after_a_stop_is_good_for_new_work_at_once() -> None:
    """It was seen since we are there again, not before."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        at.clock.at += timedelta(seconds=600)
        await beat(at, ann, "another")
        await at.core.tick()
        assert await presence(at, ann) == ("available", True)


async def test_the_sessions_feed_is_taken_up_again_though_the_database_was_away_just_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else no console would be known again before the next start, nor its end."""
    async with house() as at:
        ann = await connected(at)
        await beat(at, ann)
        write = at.store.write

        async def gone(_: object) -> None:
            raise Unavailable("The database can't be written.")

        at.clock.at += timedelta(seconds=30)
        monkeypatch.setattr(at.store, "write", gone)
        with pytest.raises(Unavailable):
            await at.core.tick()
        monkeypatch.setattr(at.store, "write", write)
        await passes(at, 1)
        renewed = await beat(at, ann)
        assert (renewed["open"], renewed["expires_at"]) == (True, "2026-11-02T09:01:36Z")
        (feed,) = (await at.ask("/v1/availability")).json()["feeds"]
        assert feed["state"] == "live"
        await passes(at, 70)
        assert await presence(at, ann) == ("offline", False)
