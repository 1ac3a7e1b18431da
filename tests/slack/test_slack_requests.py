"""Requests to our own server that Slack did not sign: row 33 of the list; and the entry point."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from fakes.slack import HOSTILE, FakeSlack
from fakes.slack_http import Hostile, encoded, post, signed_headers
from slack_house import RecordingCore, running

from adapters.slack.platform import platform as entry_point
from adapters.slack.troubles import Troubles
from bot.config import Config
from bot.domain.agent import Identity, Workspace
from bot.message import Message

MARIA = Identity("idn_1", "wsp_T1", "slack", "U1")
WORKSPACE = Workspace("wsp_T1", "org_1", "slack", "T1", "Acme")
HELLO = Message((("Still there?",),))


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(retry_delays=(0.0,), ping_interval=0.2) as fake:
        fake.add_user("U1", "maria")
        fake.add_user("U2", "bob")
        yield fake
        assert fake.violations == []
        assert fake.impatient_calls == []


@pytest.mark.parametrize("variant", HOSTILE)
async def test_fault_33_what_slack_did_not_sign_is_401(slack: FakeSlack, variant: Hostile) -> None:
    core = RecordingCore()
    async with running(slack, core, "http"):
        answer = await slack.send_hostile(variant)
        assert answer.status == 401
        assert "available" in (await slack.command("U1", "/available")).shown
    assert len(core.commands) == 1


async def test_fault_33_a_replayed_request_changes_nothing(slack: FakeSlack) -> None:
    """Within Slack's five minutes it is a duplicate; later its signature has expired."""
    core = RecordingCore()
    typed = {"command": "/available", "text": "", "user_id": "U1", "team_id": "T1", "trigger_id": "1.2.3"}
    body, kind = encoded("slash_commands", typed)
    async with running(slack, core, "http"):
        assert slack.request_url is not None
        answers = []
        for age in (0, 0, 200, 301):
            headers = signed_headers(slack.signing_secret, slack.world.clock() - age, body, kind)
            answers.append(await post(slack.request_url, body, headers, 3))
    assert [answer.status for answer in answers] == [200, 200, 200, 401]
    assert [answer.message is not None for answer in answers[:3]] == [True, False, False]
    assert len(core.commands) == 1


async def test_fault_33_other_methods_and_huge_bodies_are_refused(slack: FakeSlack) -> None:
    async with running(slack, RecordingCore(), "http"), aiohttp.ClientSession() as session:
        assert slack.request_url is not None
        async with session.get(slack.request_url) as answer:
            assert answer.status == 405
        async with session.post(slack.request_url, data=b"x" * (2 << 20)) as answer:
            assert answer.status == 413


async def test_slack_can_verify_the_request_url(slack: FakeSlack) -> None:
    async with running(slack, RecordingCore(), "http"):
        assert await slack.verify_url()


def test_slack_is_no_platform_where_it_is_not_configured() -> None:
    assert entry_point(Config(), RecordingCore()) is None


def test_slack_is_a_platform_where_it_is_configured() -> None:
    config = Config.model_validate({"slack": {"bot_token": "x", "app_token": "y"}})
    made = entry_point(config, RecordingCore())
    assert made is not None
    assert made.name == "slack"


def test_the_end_of_one_trouble_leaves_the_other_standing() -> None:
    core = RecordingCore()
    troubles = Troubles(core)
    troubles.raise_("a", "One.")
    troubles.raise_("b", "Two.")
    troubles.clear("a")
    assert core.banners == ["Two."]
    troubles.clear("b")
    assert core.banners == []
