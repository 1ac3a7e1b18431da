"""What the console offers while somebody types, also below two levels of commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from contracts.platform_stages import ConsoleStage, open_stage
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from adapters.console.prompt import CommandCompleter


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/presence te", ["team "]),
        ("/presence team ", ["list ", "join ", "leave ", "create ", "rename "]),
        ("/presence team j", ["join "]),
        ("/presence skill r", ["remove "]),
        ("/presence team join su", ["support"]),
        ("/presence team join support ma", ["maria"]),
        ("/presence capacity ma", ["maria"]),
        ("/presence team create su", []),
        ("/brb 30m tr", ["training"]),
        ("/brb ", ["lunch", "break", "training", "meeting"]),
        ("/brb dentist", []),
    ],
)
async def test_commands_teams_and_people_are_offered(tmp_path: Path, typed: str, offered: list[str]) -> None:
    async with open_stage("console", tmp_path) as stage:
        assert isinstance(stage, ConsoleStage)
        await stage.type("maria", "available")
        await stage.console.sit_down("maria")
        completer = CommandCompleter(stage.console)
        found = [one.text async for one in completer.get_completions_async(Document(typed), CompleteEvent())]
        assert found == offered
