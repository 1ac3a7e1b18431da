"""Words owed to agents: what becomes of them when sending fails, and that nobody waits for another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from desk import Team, open_team

from bot import notifier
from bot.domain.agent import Identity
from bot.domain.errors import Unavailable
from bot.message import Message
from bot.notifier import BATCH, Notifier
from bot.ports import RetryLater, Transaction, Undeliverable


class Slack:
    """Takes direct messages; what a person's turn does first can be set. Keeps who was tried when."""

    name = "slack"
    mounts: Mapping[str, Any] = {}

    def __init__(self, team: Team) -> None:
        self.team = team
        self.turns: dict[str, Callable[[], Awaitable[None]]] = {}
        self.tried: list[tuple[str, float]] = []
        self.sent: list[str] = []

    async def run(self) -> None:
        raise AssertionError("nothing under test runs a platform")

    async def post(self, channel: str, message: Message) -> str:
        raise AssertionError("a notice is no post")

    async def send_direct(self, identity: Identity, workspace: object, message: Message) -> str:
        self.tried.append((identity.external_id, self.team.clock.monotonic()))
        if identity.external_id in self.turns:
            await self.turns[identity.external_id]()
        self.sent.append(identity.external_id)
        return str(len(self.sent))

    def times(self, who: str) -> list[float]:
        """Seconds between the attempts for somebody."""
        at = [when for name, when in self.tried if name == who]
        return [later - earlier for earlier, later in pairwise(at)]


class Scene:
    """So many people in Slack whose time away has just ended, so that each is owed a word."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.slack = Slack(team)
        self.notifier = Notifier(team.desk, {"slack": self.slack})

    def raising(self, who: str, problem: Exception) -> None:
        async def turn() -> None:
            raise problem

        self.slack.turns[who] = turn

    async def send(self, **later: float) -> bool:
        self.team.clock.advance(**later)
        return await self.notifier.send_due()


async def scene(people: int = 2) -> Scene:
    team = await open_team()
    for number in range(1, people + 1):
        await team.type(f"U{number}", "/available")
        await team.type(f"U{number}", "/brb 5m")
    team.clock.advance(minutes=6)
    await team.desk.tick()
    return Scene(team)


async def test_a_failure_nobody_expected_is_tried_again_later_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    at = await scene()
    at.raising("U1", OSError("boom"))
    await at.send()
    assert at.slack.sent == ["U2"], "the other's word went out in the same batch"
    assert "a notice was not sent" in caplog.text
    for _ in range(300):
        await at.send(seconds=1)
    assert at.slack.times("U1") == [5, 10, 20, 40, 80]
    del at.slack.turns["U1"]
    for _ in range(300):
        await at.send(seconds=1)
    assert at.slack.sent == ["U2", "U1"]


async def test_attempts_are_counted_where_a_restart_finds_them() -> None:
    at = await scene(1)
    at.raising("U1", OSError("boom"))
    await at.send()
    await at.send(seconds=5)

    def owed(tx: Transaction) -> list[int]:
        later = at.team.clock.now() + timedelta(minutes=5)
        return [row.attempts for row in tx.ledger.due_notices(at.team.desk.organization_id, later, 10)]

    assert await at.team.desk.store.write(owed) == [2]


@pytest.mark.parametrize("after", [120.0, float("inf")])
async def test_a_wait_the_platform_asks_for_is_kept(after: float) -> None:
    at = await scene(1)
    at.raising("U1", RetryLater(after))
    await at.send()
    await at.send(seconds=119)
    assert len(at.slack.tried) == 1
    await at.send(seconds=1)
    assert len(at.slack.tried) == (2 if after == 120 else 1)


async def test_nobody_waits_for_another_s_slow_message() -> None:
    """Each of two is only through when the other has begun."""
    at = await scene()
    began = {"U1": asyncio.Event(), "U2": asyncio.Event()}

    def turn(own: str, other: str) -> Callable[[], Awaitable[None]]:
        async def wait() -> None:
            began[own].set()
            await began[other].wait()

        return wait

    at.slack.turns = {"U1": turn("U1", "U2"), "U2": turn("U2", "U1")}
    async with asyncio.timeout(2):
        await at.send()
    assert sorted(at.slack.sent) == ["U1", "U2"]


async def test_only_so_many_are_written_to_at_once() -> None:
    at = await scene(25)
    now = most = 0

    async def turn() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    at.slack.turns = {f"U{number}": turn for number in range(1, 26)}
    assert not await at.send()
    assert len(at.slack.sent) == 25 < BATCH
    assert most == notifier.AT_ONCE


async def test_a_message_that_hangs_is_given_up_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    at = await scene()
    monkeypatch.setattr(notifier, "SEND_WITHIN", 0.05)

    async def never() -> None:
        await asyncio.Event().wait()

    at.slack.turns = {"U1": never}
    async with asyncio.timeout(2):
        await at.send()
    del at.slack.turns["U1"]
    await at.send(seconds=5)
    assert at.slack.sent == ["U2", "U1"]


async def test_who_can_not_be_reached_is_not_tried_again() -> None:
    at = await scene(1)
    at.raising("U1", Undeliverable())
    await at.send()
    for _ in range(60):
        await at.send(seconds=10)
    assert len(at.slack.tried) == 1


async def test_a_database_that_fails_for_one_is_told_once_the_others_are_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`run` waits then, and nobody's message is cut off on the way."""
    at = await scene(3)
    finish = at.notifier._finish
    failed: list[str] = []

    async def first_fails(notice_id: str, outcome: str) -> None:
        if not failed:
            failed.append(notice_id)
            raise Unavailable("The database is locked.")
        await finish(notice_id, outcome)

    monkeypatch.setattr(at.notifier, "_finish", first_fails)
    with pytest.raises(Unavailable):
        await at.send()
    assert sorted(at.slack.sent) == ["U1", "U2", "U3"]
    await at.send(seconds=61)
    assert len(at.slack.sent) == 4, "once more after its claim, and nobody else's"
