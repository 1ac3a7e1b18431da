"""The README says what is so: its commands, its files, its calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.commands import TABLE, names_on, spelled
from bot.config import Config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_commands_is_that_of_the_program() -> None:
    shown = re.findall(r"^\| `(/.*?)` \| `(/.*?)` \| (.*?) \|$", README, re.MULTILINE)
    discord, slack = names_on("discord"), names_on("slack")
    assert shown == [
        (
            f"{spelled(spec.name, discord)} {spec.hint}".rstrip(),
            f"{spelled(spec.name, slack)} {spec.hint}".rstrip(),
            spec.help,
        )
        for spec in TABLE
    ]
    assert names_on("console") == slack


@pytest.mark.parametrize("page", ["README.md", "docs/demo.md"])
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_its_pieces_of_configuration_are_configuration(tmp_path: Path) -> None:
    """With the secret files that they name made."""
    from bot.config import load_config

    blocks = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    text = "\n".join(blocks)
    for name in re.findall(r'_file = "(.*?)"', text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("secret")
    (tmp_path / "rollcall.toml").write_text(text)
    config = load_config(tmp_path / "rollcall.toml", {})
    assert config.slack is not None
    assert config.discord is not None
    assert config != Config()


def test_every_command_line_of_it_is_one_of_the_program() -> None:
    """`rollcall …` in a block is understood as far as its options go."""
    from bot.cli import main

    lines = re.findall(r"^rollcall (.*)$", README, re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        words = [word for word in line.split() if word != "1174009900000000000"]
        result = CliRunner().invoke(main, [*words, "--help"])
        assert result.exit_code == 0, (line, result.output)
        for option in (word for word in words if word.startswith("--")):
            assert option in result.output, line
