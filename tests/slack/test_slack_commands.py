"""Commands, clicks and events through real Bolt and slack_sdk, over real sockets, in both modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from bot.message import Button, Message
from bot.ports import Command, PersonKind
from fakes.slack import FakeSlack
from slack_house import RecordingCore, running


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(retry_delays=(0.0,)) as fake:
        fake.add_user("U1", "maria", tz="Europe/Berlin")
        fake.add_user("U2", "bob", is_admin=True)
        yield fake
        assert fake.violations == []
        assert fake.impatient_calls == []
        assert fake.pings() == []


@pytest.fixture(params=["socket", "http"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_command_is_answered_by_its_acknowledgement(slack: FakeSlack, mode: str) -> None:
    core = RecordingCore()
    async with running(slack, core, mode):
        reply = await slack.command("U1", "/brb", "30m lunch")
    assert "away: 30m lunch for maria" in reply.shown
    assert reply.ephemeral
    assert reply.message.via == "acknowledgement"
    (command,) = core.commands
    assert (command.name, command.text, command.clicked) == ("away", "30m lunch", False)
    assert command.person.workspace_id == "wsp_T1"
    assert command.person.profile.zone == "Europe/Berlin"
    assert command.person.profile.may_enrol
    assert command.request_id.startswith("slack-")
