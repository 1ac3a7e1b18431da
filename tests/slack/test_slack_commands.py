"""Commands, clicks and events through real Bolt and slack_sdk, over real sockets, in both modes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes.slack import FakeSlack
from slack_house import RecordingCore, running

from adapters.slack import events
from bot.domain.agent import Identity, Workspace
from bot.domain.errors import Unavailable
from bot.message import Button, Message
from bot.ports import Command, PersonKind


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


async def test_a_command_leaves_the_levels_of_rollcalls_own_logs_as_they_are(slack: FakeSlack) -> None:
    """Bolt sets the level of the logger that is called as the app is: of the program's, once, for good."""
    before = logging.getLogger("rollcall").level
    async with running(slack, RecordingCore()):
        await slack.command("U1", "/brb", "30m lunch")
    assert logging.getLogger("rollcall").level == before
    assert logging.getLogger("rollcall").filters == []


async def test_presence_group_delivers_its_subcommand_with_people_as_ids(slack: FakeSlack) -> None:
    """`@bob` becomes his id in the text, and what Slack knows of him comes along."""
    core = RecordingCore()
    async with running(slack, core):
        await slack.command("U1", "/presence", "why @bob & <friends> #general @here https://a.example/x")
    (command,) = core.commands
    assert command.name == "presence"
    assert command.text == "why U2 & <friends> #general @here https://a.example/x"
    assert [one.name for one in command.mentioned] == ["bob"]
    assert command.mentioned[0].is_admin


async def test_an_empty_presence_command_has_an_empty_text(slack: FakeSlack) -> None:
    core = RecordingCore()
    async with running(slack, core):
        await slack.command("U1", "/presence")
    assert core.commands[0].text == ""


async def test_configured_names_reach_the_table_and_others_are_explained(slack: FakeSlack) -> None:
    core = RecordingCore()
    async with running(slack, core, names={"away": "pause"}):
        await slack.command("U1", "/pause")
        reply = await slack.command("U1", "/brb")
    assert [one.name for one in core.commands] == ["away"]
    assert "no command `/brb`" in reply.shown
    assert "/pause" in reply.shown
    assert "slack-manifest" in reply.shown


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"is_restricted": True}, PersonKind.GUEST),
        ({"is_ultra_restricted": True}, PersonKind.GUEST),
        ({"is_stranger": True, "tz": None}, PersonKind.STRANGER),
        ({"is_bot": True}, PersonKind.BOT),
    ],
)
async def test_only_full_members_may_enrol(
    slack: FakeSlack, fields: dict[str, Any], kind: PersonKind
) -> None:
    slack.add_user("U9", "sam", **fields)
    core = RecordingCore()
    async with running(slack, core):
        await slack.command("U9", "/available")
    profile = core.commands[0].person.profile
    assert (profile.kind, profile.may_enrol, profile.is_admin) == (kind, False, False)


async def test_who_somebody_is_is_asked_once(slack: FakeSlack) -> None:
    core = RecordingCore()
    async with running(slack, core):
        await slack.command("U1", "/available")
        await slack.command("U1", "/available")
    assert len(slack.calls("users.info")) == 1


async def test_fault_15_a_command_delivered_three_times_is_one_change_and_one_reply(
    slack: FakeSlack, mode: str
) -> None:
    """Row 15, over both ways."""
    core = RecordingCore()
    async with running(slack, core, mode):
        await slack.command("U1", "/available")
        await slack.redeliver(times=2)
    assert len(core.commands) == 1
    assert len(slack.ephemeral_messages("U1")) == 1


async def test_fault_15_a_redelivery_after_a_restart_changes_nothing(slack: FakeSlack, mode: str) -> None:
    """Row 15: it is the same delivery to the core, which remembers it with the change it caused."""
    core = RecordingCore()
    async with running(slack, core, mode):
        await slack.command("U1", "/available")
        await slack.click("U1", await slack.command("U1", "/whosin"), text="Refresh")
    async with running(slack, core, mode):
        await slack.redeliver()
    assert [one.name for one in core.commands] == ["available", "who", "who", "who"]
    assert len(core.deliveries) == 3
    assert core.commands[3].delivery == core.commands[2].delivery


async def test_fault_15_a_command_redelivered_while_it_is_being_done_is_done_once(slack: FakeSlack) -> None:
    """Row 15: the first is still under way when the second comes."""
    go = asyncio.Event()

    async def slow(command: Command) -> Message:
        await go.wait()
        return Message((("done",),))

    core = RecordingCore(answer=slow)
    async with running(slack, core):
        first = asyncio.create_task(slack.command("U1", "/available"))
        await core.until(lambda: bool(core.commands))
        again = asyncio.create_task(slack.redeliver())
        await asyncio.sleep(0.1)
        go.set()
        await asyncio.gather(first, again)
    assert len(core.commands) == 1
    assert len(slack.ephemeral_messages("U1")) == 1


async def test_fault_15_a_click_delivered_three_times_is_one_change(slack: FakeSlack, mode: str) -> None:
    """Row 15."""
    core = RecordingCore()
    async with running(slack, core, mode):
        reply = await slack.command("U1", "/whosin")
        await slack.click("U1", reply, text="Refresh")
        await slack.redeliver(times=2)
    assert [one.clicked for one in core.commands] == [False, True]


async def test_a_slow_core_is_waited_for_after_an_empty_acknowledgement(slack: FakeSlack, mode: str) -> None:
    """Slack gives up after 3 s; what takes longer is answered through the response URL."""
    go = asyncio.Event()

    async def slow(command: Command) -> Message:
        await go.wait()
        return Message((("late, but done",),))

    core = RecordingCore(answer=slow)
    async with running(slack, core, mode):
        asking = asyncio.create_task(slack.command("U1", "/available", expect_reply=False))
        acknowledged = await asking
        assert acknowledged.error is None
        assert 1.5 < acknowledged.latency < 2.9
        assert slack.ephemeral_messages("U1") == []
        go.set()
        message = await slack.wait_for_message(to="U1", containing="late, but done")
    assert message.via == "response_url"
    assert len(core.done) == 1


async def test_a_failing_core_is_told_in_a_sentence(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(command: Command) -> Message:
        raise ZeroDivisionError

    async with running(slack, RecordingCore(answer=broken)):
        reply = await slack.command("U1", "/available")
    assert "Something went wrong in Rollcall" in reply.shown
    assert "A command failed" in caplog.text


async def test_a_button_replaces_the_private_message_it_stands_on(slack: FakeSlack, mode: str) -> None:
    core = RecordingCore()
    async with running(slack, core, mode):
        reply = await slack.command("U1", "/whosin")
        changed = await slack.click("U1", reply, text="Refresh")
    assert changed.message is reply.message
    assert changed.message.edits == 1
    click = core.commands[1]
    assert (click.name, dict(click.arguments), click.text, click.clicked) == (
        "who",
        {"page": "2"},
        None,
        True,
    )


async def test_a_button_that_replaces_nothing_adds_a_private_message(slack: FakeSlack) -> None:
    async def adds(command: Command) -> Message:
        return Message(((f"said {command.clicked}",),), buttons=(Button("Why", "presence why"),))

    async with running(slack, RecordingCore(answer=adds)):
        reply = await slack.command("U1", "/whosin")
        added = await slack.click("U1", reply, text="Why")
    assert added.message is not reply.message
    assert added.ephemeral
    assert reply.message.edits == 0


async def test_a_button_in_a_direct_message_works_after_a_restart(slack: FakeSlack, mode: str) -> None:
    """What it does stands in the button itself; the direct message is changed in place."""
    core = RecordingCore()
    identity, workspace = (
        Identity("idn_1", "wsp_T1", "slack", "U1"),
        Workspace("wsp_T1", "o", "slack", "T1", ""),
    )
    asked = Message((("Still there?",),), buttons=(Button("I'm available", "available"),))
    async with running(slack, core, mode) as platform:
        await platform.send_direct(identity, workspace, asked)
    (message,) = slack.direct_messages("U1")
    async with running(slack, core, mode):
        changed = await slack.click("U1", message, text="I'm available")
    assert changed.message is message
    assert "available:" in message.shown
    assert len(slack.direct_messages("U1")) == 1


async def test_a_click_on_a_public_message_is_answered_privately(slack: FakeSlack) -> None:
    """What one person asked for never replaces what everybody sees."""
    core = RecordingCore()
    async with running(slack, core) as platform:
        await platform.post("C1", Message((("Summary",),), buttons=(Button("Refresh", "who"),)))
        (message,) = slack.messages("C1")
        answer = await slack.click("U1", message, text="Refresh")
    assert answer.ephemeral
    assert message.edits == 0


async def test_a_button_of_another_version_is_explained(slack: FakeSlack) -> None:
    core = RecordingCore()
    async with running(slack, core) as platform:
        await platform.post("C1", Message((("Old",),), buttons=(Button("Old", "who"),)))
        (message,) = slack.messages("C1")
        message.blocks[1]["elements"][0]["value"] = "[1]"
        answer = await slack.click("U1", message, text="Old")
    assert "another version" in answer.shown
    assert core.commands == []


async def test_events_nobody_handles_are_acknowledged(slack: FakeSlack, mode: str) -> None:
    async with running(slack, RecordingCore(), mode):
        delivery = await slack.event("app_mention", user="U1", text="hello", channel="C1")
        await asyncio.wait_for(delivery.finished.wait(), 3)
    assert [one.error for one in delivery.outcomes] == [None]


async def test_a_changed_profile_is_passed_on(slack: FakeSlack, mode: str) -> None:
    core = RecordingCore()
    async with running(slack, core, mode):
        await slack.user_changed("U1", name="maria.k", tz="Asia/Tokyo", is_admin=True)
        await core.until(lambda: bool(core.profiles))
        reply = await slack.command("U1", "/available")
    (profile,) = core.profiles
    assert (profile.name, profile.zone, profile.is_admin) == ("maria.k", "Asia/Tokyo", True)
    assert "maria.k" in reply.shown
    assert slack.calls("users.info") == []


async def test_a_deactivated_member_has_left(slack: FakeSlack) -> None:
    core = RecordingCore()
    async with running(slack, core):
        await slack.deactivate("U1")
        await core.until(lambda: bool(core.left))
    assert core.left == [("U1", True)]


async def test_fault_15_an_event_delivered_three_times_counts_once(slack: FakeSlack, mode: str) -> None:
    """Row 15."""
    core = RecordingCore()
    async with running(slack, core, mode):
        await slack.user_changed("U1", name="maria.k")
        await slack.redeliver(times=2, same_envelope=False)
        await slack.user_changed("U2", name="bobby")
        await core.until(lambda: any(one.external_id == "U2" for one in core.profiles))
    assert [one.name for one in core.profiles] == ["maria.k", "bobby"]


async def test_fault_15_an_older_profile_that_comes_late_is_not_believed(slack: FakeSlack) -> None:
    """Row 15: Slack's own `updated` tells the order."""
    core = RecordingCore()
    async with running(slack, core):
        newer = slack.user("U1").as_json(0, False) | {"updated": 200, "deleted": False}
        older = newer | {"updated": 100, "deleted": True}
        await slack.event("user_change", user=newer)
        await slack.event("user_change", user=older)
        await slack.user_changed("U2", name="bobby")
        await core.until(lambda: any(one.external_id == "U2" for one in core.profiles))
    assert core.left == []


async def test_what_changed_while_we_were_away_is_looked_up(slack: FakeSlack) -> None:
    """A `user_change` of a time in which nobody listened never comes."""
    slack.user("U2").deleted = True
    core = RecordingCore()
    core.watch("U2", "U1")
    async with running(slack, core):
        await core.until(lambda: bool(core.left))
    assert core.left == [("U2", True)]


async def test_a_command_from_another_workspace_changes_nothing(slack: FakeSlack) -> None:
    slack.add_workspace("T2", "Other")
    slack.add_user("U7", "eve", team="T2")
    core = RecordingCore()
    async with running(slack, core):
        reply = await slack.command("U7", "/available")
    assert "another workspace" in reply.shown
    assert core.commands == []


async def test_a_command_in_an_organization_is_keyed_by_team(slack: FakeSlack) -> None:
    slack.workspace.enterprise_id = "E1"
    core = RecordingCore()
    async with running(slack, core):
        await slack.command("U1", "/available")
    assert core.commands[0].person.workspace_id == "wsp_T1"


async def test_an_event_that_cannot_be_stored_is_tried_again(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remembered already, it must not be taken for a duplicate of itself."""
    monkeypatch.setattr(events, "AGAIN", 0.01)

    class FullOnce(RecordingCore):
        async def member_left(self, workspace_id: str, external_id: str, *, deleted: bool = False) -> None:
            self.tries = getattr(self, "tries", 0) + 1
            if self.tries == 1:
                raise Unavailable("The disk is full.")
            await super().member_left(workspace_id, external_id, deleted=deleted)

    core = FullOnce()
    async with running(slack, core):
        await slack.deactivate("U1")
        await core.until(lambda: core.left)
    assert core.left == [("U1", True)]
