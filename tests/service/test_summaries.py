"""When a summary is tried again, when it is not, and what people are told of it."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from desk import Team, open_team

from adapters.http.documents import trouble_body
from adapters.scheduler import Waker
from bot.domain.errors import Unavailable
from bot.domain.schedule import due_slot
from bot.message import Message
from bot.ports import ChatPlatform, RetryLater, Transaction, Undeliverable
from bot.summaries import RETRY, post_due, schedules

SLACK = {"bot_token": "xoxb-1", "app_token": "xapp-1"}
DAILY = {"slug": "daily", "team": "support", "channel": "slack:C1", "at": "09:00"}


class Slack:
    """Takes posts, or raises what it is told to; it keeps when it was asked."""

    name = "slack"
    mounts: Mapping[str, Any] = {}

    def __init__(self, team: Team) -> None:
        self.team = team
        self.problem: BaseException | None = None
        self.asked: list[float] = []
        self.posted: list[str] = []

    async def run(self) -> None:
        raise AssertionError("nothing under test runs a platform")

    async def send_direct(self, identity: object, workspace: object, message: Message) -> str:
        raise AssertionError("a summary is no direct message")

    async def post(self, channel: str, message: Message) -> str:
        self.asked.append(self.team.clock.monotonic())
        if self.problem is not None:
            raise self.problem
        self.posted.append(channel)
        return str(len(self.posted))


class Killed(BaseException):
    """Nothing of what follows happens."""


class Scene:
    """A team with a daily summary at 09:00 UTC, which is now."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.slack = Slack(team)
        self.platforms: dict[str, ChatPlatform] = {"slack": self.slack}

    async def look(self, **later: float) -> int:
        """Look for what is due, now or so much later."""
        self.team.clock.advance(**later)
        return await post_due(self.team.desk, self.platforms)

    async def looks(self, seconds: int) -> None:
        """Look every 5 s, as the program does."""
        for _ in range(0, seconds, 5):
            await self.look(seconds=5)

    @property
    def banners(self) -> list[str]:
        return [trouble.sentence for trouble in self.team.desk.troubles.values()]


async def scene(*more: Mapping[str, str]) -> Scene:
    return Scene(await open_team(slack=SLACK, summary=[DAILY, *more]))


async def test_a_wait_the_platform_asks_for_is_kept() -> None:
    at = await scene()
    at.slack.problem = RetryLater(120)
    began = at.team.clock.monotonic()
    await at.look()
    await at.looks(120)
    assert [asked - began for asked in at.slack.asked] == [0]
    await at.look(seconds=5)
    assert [asked - began for asked in at.slack.asked] == [0, 125]
    assert at.banners == []


async def test_the_wait_holds_for_another_process_too() -> None:
    """It stands in the database; so it outlives a restart."""
    at = await scene()
    at.slack.problem = RetryLater(120)
    await at.look()
    other = Scene(at.team)
    assert await other.look(seconds=119) == 0
    assert other.slack.asked == []
    assert await other.look(seconds=2) == 1
    assert other.slack.posted == ["C1"]


async def test_a_platform_that_names_no_wait_is_left_alone_for_a_while() -> None:
    at = await scene()
    at.slack.problem = RetryLater()
    await at.look()
    await at.looks(60)
    assert len(at.slack.asked) == 2
    assert RETRY.total_seconds() == 30
    at.slack.problem = None
    await at.looks(60)
    assert at.slack.posted == ["C1"]


@pytest.mark.parametrize("after", [None, 50.0, 4000.0, float("inf"), -1.0])
async def test_one_never_taken_is_given_up_and_told(after: float | None) -> None:
    at = await scene()
    at.slack.problem = RetryLater(after)
    await at.look()
    await at.looks(3590)
    assert at.banners == [
        "The summary daily for slack:C1: the platform did not take it for an hour. The next one is tried at "
        "its time."
    ]
    at.slack.problem = None
    assert await at.look() == 0
    assert await at.look(days=1) == 1
    assert at.banners == []


async def test_a_failure_nobody_expected_closes_the_slot_and_is_told_until_the_next_success(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may have been posted, so it is not posted again (I10)."""
    at = await scene()
    at.slack.problem = OSError("reset")
    assert await at.look() == 0
    (banner,) = at.banners
    assert banner.startswith("The summary daily for slack:C1: posting it failed, and nobody knows")
    assert "posting it failed" in caplog.text
    at.slack.problem = None
    await at.looks(600)
    assert at.slack.posted == []
    assert at.banners == [banner]
    assert await at.look(days=1) == 1
    assert at.banners == []


async def test_a_channel_that_refuses_is_told_until_it_takes_one() -> None:
    at = await scene()
    at.slack.problem = Undeliverable()
    await at.look()
    await at.looks(60)
    assert len(at.slack.asked) == 1
    assert ["Invite the bot to that channel" in banner for banner in at.banners] == [True]
    at.slack.problem = None
    assert await at.look(days=1) == 1
    assert at.banners == []


async def test_one_summary_s_failure_neither_stops_nor_hides_another() -> None:
    at = await scene({**DAILY, "slug": "second", "channel": "slack:C2"})
    healthy = at.slack.post

    async def post(channel: str, message: Message) -> str:
        if channel == "C1":
            raise OSError("reset")
        return await healthy(channel, message)

    at.slack.post = post  # type: ignore[method-assign]  # one channel fails
    assert await at.look() == 1
    assert at.slack.posted == ["C2"]
    at.team.desk.report("slack", None, "Slack can't be reached.")
    bodies = [trouble_body(at.team.desk, one) for one in at.team.desk.troubles.values()]
    assert [(body.platform, body.workspace) for body in bodies] == [("slack", None)] * 2
    assert "The summary daily" in bodies[0].sentence
    assert bodies[1].sentence == "Slack can't be reached.", "neither takes the other's place"


async def test_a_post_that_is_never_answered_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether it got there, so it is told and not tried again."""
    at = await scene({**DAILY, "slug": "second", "channel": "slack:C2"})
    healthy = at.slack.post

    async def post(channel: str, message: Message) -> str:
        if channel == "C1":
            await asyncio.Event().wait()
        return await healthy(channel, message)

    at.slack.post = post  # type: ignore[method-assign]  # one channel hangs
    monkeypatch.setattr("bot.summaries.POST_WITHIN", 0.05)
    assert await at.look() == 1
    assert at.slack.posted == ["C2"]
    assert [banner for banner in at.banners if "nobody knows whether it got there" in banner]
    assert await at.look(seconds=5) == 0


async def test_a_platform_that_does_not_run_is_told_at_once_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also long before anything is due."""
    at = await scene()
    at.team.clock.advance(hours=10)
    del at.platforms["slack"]
    caplog.set_level(logging.WARNING, "rollcall")
    for _ in range(5):
        await at.look()
    (banner,) = at.banners
    assert banner.startswith("The summary daily can't be posted: the platform slack does not run here.")
    assert caplog.text.count("does not run here") == 1


@pytest.mark.parametrize("later", [{"seconds": 5}, {"hours": 3}, {"days": 1}], ids=str)
async def test_one_begun_and_never_finished_is_told_once_and_not_posted_again(
    later: Mapping[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    """I10: killed in the middle of posting, it may stand there. The next start says so, whenever it comes."""
    at = await scene()
    at.slack.problem = Killed()
    with pytest.raises(Killed):
        await at.look()
    at.slack.problem = None
    caplog.clear()
    other = Scene(at.team)
    assert await other.look(**later) == (1 if "days" in later else 0)
    told = [record for record in caplog.records if "Nobody knows whether it got there" in record.message]
    assert [record.levelname for record in told] == ["WARNING"]
    assert "The summary daily for slack:C1, due 2026-" in told[0].message
    assert other.banners == ([] if "days" in later else [told[0].message]), "until a later one is posted"
    await other.looks(60)
    assert len([record for record in caplog.records if "Nobody knows" in record.message]) == 1
    assert other.slack.posted == (["C1"] if "days" in later else [])
    at.team.desk.troubles.clear()  # as a start does
    await other.looks(60)
    assert other.banners == [], "once, and not at every start"
    desk, slot = at.team.desk, told[0].message.partition(", due ")[2][: len("2026-11-23T09:00")]

    def claimed_anew(tx: Transaction) -> bool:
        tx.ledger.release_summary(desk.organization_id, "daily", slot, desk.clock.now())
        return tx.ledger.claim_summary(
            desk.organization_id, "daily", slot, desk.clock.now() + timedelta(hours=1)
        )

    assert not await desk.store.write(claimed_anew), "it is finished for good"


async def test_one_that_waits_or_is_done_was_not_left_unfinished(caplog: pytest.LogCaptureFixture) -> None:
    at = await scene()
    at.slack.problem = RetryLater(60)
    await at.look()
    await at.look(seconds=5)
    at.slack.problem = None
    await at.looks(120)
    assert at.slack.posted == ["C1"]
    assert "Nobody knows" not in caplog.text


async def test_a_database_that_can_not_say_what_is_unfinished_holds_up_no_summary(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at = await scene()
    read = at.team.desk.store.read
    failed: list[bool] = []

    async def once(op: Any) -> Any:
        if not failed:
            failed.append(True)
            raise Unavailable("The database is locked.")
        return await read(op)

    monkeypatch.setattr(at.team.desk.store, "read", once)
    assert await at.look() == 1
    assert failed
    assert "waits to be looked at: unavailable" in caplog.text


async def test_the_first_look_is_taken_at_once_and_never_two_at_a_time() -> None:
    """Later ones come regularly, also behind a first one that takes long, or fails."""
    began: list[int] = []
    at_work = most = 0
    third = asyncio.Event()

    async def look() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        began.append(at_work)
        if len(began) == 1:
            await asyncio.sleep(0.2)
        at_work -= 1
        if len(began) == 1:
            raise OSError("the first one fails")
        if len(began) >= 3:
            third.set()

    waker = Waker()
    waker.every(0.05, "looks", look)
    waker.start()
    async with asyncio.timeout(2):
        await third.wait()
    waker.stop()
    assert most == 1

    at_once = asyncio.Event()

    async def told() -> None:
        at_once.set()

    patient = Waker()
    patient.every(3600, "looks", told)
    patient.start()
    async with asyncio.timeout(1):
        await at_once.wait()
    patient.stop()


async def test_while_one_is_being_posted_nobody_else_may_claim_it_however_long_that_takes() -> None:
    """I10: its claim lapses after five minutes, but what was begun may already stand in the channel."""
    at = await scene()
    desk = at.team.desk
    slot = due_slot(schedules(desk.config)["daily"], desk.clock.now())
    assert slot is not None
    key, hour = (desk.organization_id, slot.schedule, slot.name), timedelta(hours=1)
    claimed: list[bool] = []

    class Slow(Slack):
        async def post(self, channel: str, message: Message) -> str:
            later = desk.clock.now() + hour
            claimed.append(await desk.store.write(lambda tx: tx.ledger.claim_summary(*key, later)))
            return await super().post(channel, message)

    at.platforms["slack"] = Slow(at.team)
    assert await at.look() == 1
    assert claimed == [False]


@pytest.mark.parametrize(("days", "more"), [(1.0, 1), (-1 / 24, 0)], ids=["forward a day", "back an hour"])
async def test_a_clock_that_is_moved_brings_no_burst(days: float, more: int) -> None:
    """Row 5: a slot that it comes to again is done, and of those jumped over the newest at most is posted."""
    one = await scene()
    await one.looks(60)
    assert one.slack.posted == ["C1"]
    one.team.clock.jump(days=days)
    await one.looks(4000)
    assert one.slack.posted == ["C1"] * (1 + more)
