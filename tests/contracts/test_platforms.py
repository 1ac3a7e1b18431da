"""What every chat platform offers Rollcall, tried on each: see `bot.ports.ChatPlatform`.

The core, the database and the adapter are real; behind them stands the platform's server for tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contracts.platform_stages import Stage, open_stage
from msgspec.structs import replace

from bot.message import Button, Message, Strong
from bot.notifier import Notifier
from bot.ports import Undeliverable

HOSTILE = "\u202e@everyone <!channel> <@1> <@U0MARIA> [x](http://evil.example) **bold** `code`"


@pytest.fixture(params=["discord", "slack", "console"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(request.param, tmp_path) as opened:
        yield opened


async def test_a_command_is_answered_privately_and_acted_on(stage: Stage) -> None:
    assert stage.presence("maria") == "nobody"
    shown = await stage.type("maria", "available")
    assert "You're" in shown.text
    assert "Available" in shown.text
    assert stage.presence("maria") == "available"


async def test_everybody_sees_the_same_roster(stage: Stage) -> None:
    await stage.type("maria", "available")
    await stage.type("tom", "away", "lunch")
    shown = await stage.type("maria", "who")
    for words in ("maria", "tom"):
        assert words in shown.text


async def test_a_button_is_a_command(stage: Stage) -> None:
    await stage.type("maria", "available")
    shown = await stage.type("maria", "away", "lunch")
    assert stage.presence("maria") == "away"
    back = await stage.click("maria", shown, "I'm back")
    assert "Available" in back.text
    assert stage.presence("maria") == "available"


async def test_a_button_from_before_a_restart_still_works(stage: Stage) -> None:
    await stage.type("maria", "available")
    shown = await stage.type("maria", "away", "lunch")
    await stage.end()
    await stage.begin()
    assert stage.presence("maria") == "away"
    await stage.click("maria", shown, "I'm back")
    assert stage.presence("maria") == "available"


async def test_a_disconnect_is_seen_and_becomes_offline_after_its_grace(stage: Stage) -> None:
    await stage.connects("maria")
    await stage.type("maria", "presence me")
    await stage.becomes("maria", "away")
    await stage.disconnects("maria")
    await stage.becomes("maria", "offline")
    await stage.connects("maria")
    await stage.becomes("maria", "away")


async def test_a_direct_message_reaches_the_agent(stage: Stage) -> None:
    await stage.type("maria", "available")
    identity = stage.agent("maria").identities[0]
    workspace = stage.desk.workspaces[identity.workspace_id]
    message = Message(((Strong("Still there?"),),), buttons=(Button("I'm here", "available"),))
    assert await stage.platform.send_direct(identity, workspace, message)
    assert "Still there?" in await stage.told_directly("maria", "Still there?")


async def test_a_direct_message_to_nobody_is_undeliverable(stage: Stage) -> None:
    await stage.type("maria", "available")
    identity = stage.agent("maria").identities[0]
    workspace = stage.desk.workspaces[identity.workspace_id]
    nobody = replace(identity, external_id="999999999999999999")
    with pytest.raises(Undeliverable):
        await stage.platform.send_direct(nobody, workspace, Message((("Hello",),)))


async def test_a_summary_is_posted_to_its_channel(stage: Stage) -> None:
    assert await stage.platform.post(stage.channel, Message((("Support at nine",),)))
    assert "Support at nine" in await stage.posted("Support at nine")


async def test_hostile_words_are_shown_and_harm_nobody(stage: Stage) -> None:
    """Row 28. The stage itself asserts that nobody was mentioned and no rule of the platform broken."""
    await stage.type("maria", "available")
    await stage.type("maria", "away", HOSTILE)
    shown = await stage.type("tom", "who")
    assert "everyone" in shown.text
    assert "\u202e" not in shown.text


async def test_a_refusal_is_a_message_too(stage: Stage) -> None:
    await stage.type("maria", "available")
    await stage.type("maria", "presence off")
    shown = await stage.type("maria", "away", "lunch")
    assert "signed off" in shown.text
    assert stage.presence("maria") == "offline"


async def test_a_lead_sets_somebody_and_both_see_by_whom(stage: Stage) -> None:
    await stage.type("maria", "available")
    await stage.type("tom", "available")
    answer = await stage.sets_away("tom", "maria", 30, "training")
    assert "maria" in answer.text
    assert "Training" in answer.text
    assert stage.presence("maria") == "away"
    assert "tom" in (await stage.type("maria", "presence me")).text
    notifier = Notifier(stage.desk, {stage.platform.name: stage.platform})
    assert not await notifier.send_due()
    assert "tom" in await stage.told_directly("maria", "set you")


async def test_only_a_lead_sets_others(stage: Stage) -> None:
    await stage.type("maria", "available")
    await stage.type("tom", "available")
    assert "Only leads" in (await stage.sets_away("maria", "tom", 30, "training")).text
    assert stage.presence("tom") == "available"


async def test_commands_of_two_levels_are_understood(stage: Stage) -> None:
    await stage.type("maria", "available")
    for name in ("presence team list", "presence skill list"):
        shown = await stage.type("maria", name)
        assert "support" in shown.text or "There is no skill yet" in shown.text


def hints(stage: Stage, person: str) -> list[tuple[str, str]]:
    """What is shown beside somebody's presence, and by which platform."""
    row = stage.desk.roster.row(stage.agent(person).id, stage.desk.clock.now())
    assert row is not None
    return [(hint.kind.value, hint.platform) for hint in row.hints]


async def hinting(stage: Stage, person: str, expected: list[tuple[str, str]]) -> None:
    """Waits until that is shown."""
    async with asyncio.timeout(15):
        while hints(stage, person) != expected:
            await asyncio.sleep(0.02)


async def test_a_call_is_shown_beside_presence_until_it_is_over(stage: Stage) -> None:
    """Presence stays. A restart remembers nothing, and asks; what ended meanwhile is not shown."""
    for person in ("maria", "tom"):
        await stage.type(person, "available")
    told = await stage.talks("maria", inside=True)
    shown = [("call", stage.platform.name)] if told else []
    await hinting(stage, "maria", shown)
    assert ("in a call" in (await stage.type("tom", "who")).text) is told
    await stage.end()
    await stage.begin()
    await hinting(stage, "maria", shown)
    await stage.end()
    await stage.talks("maria", inside=False)
    await stage.begin()
    await stage.talks("tom", inside=True)
    await hinting(stage, "tom", shown)
    assert hints(stage, "maria") == []
    assert stage.presence("maria") == "available"
