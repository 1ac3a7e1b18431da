"""`rollcall init`: a configuration that works, written whole or not at all, and for its owner alone."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot import setting_up
from bot.cli import main
from bot.config import load_config

BOT, APP, DISCORD = "xoxb-canary-bot", "xapp-canary-app", "canary.discord.token"
APPLICATION = "1174009900000000000"
ASKED = ["Acme", "Europe/Berlin", "y", "y", BOT, APP, APPLICATION, DISCORD, "77 78", "", "9090"]
"""What is typed at each question, in their order."""
MADE = [
    "rollcall.toml",
    "secrets",
    "secrets/discord-token",
    "secrets/slack-app-token",
    "secrets/slack-bot-token",
    "slack-manifest.json",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is run; the machine says Paris."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Europe/Paris")
    return tmp_path


def run(*words: str, typed: Sequence[str] = ()) -> Result:
    return CliRunner().invoke(main, ["init", *words], input="".join(f"{line}\n" for line in typed))


def made(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*"))


def test_what_is_asked_and_typed_becomes_a_configuration_that_loads(folder: Path) -> None:
    done = run(typed=ASKED)
    assert done.exit_code == 0, done.output
    assert made(folder) == MADE
    config = load_config(folder / "rollcall.toml", {})
    assert (config.organization.name, config.organization.zone) == ("Acme", "Europe/Berlin")
    assert config.http.port == 9090
    assert config.database.url.get_secret_value() == f"sqlite:///{folder}/rollcall.sqlite3"
    assert config.slack is not None
    assert config.slack.app_token is not None
    assert config.discord is not None
    assert config.slack.bot_token.get_secret_value() == BOT
    assert config.slack.app_token.get_secret_value() == APP
    assert config.discord.token.get_secret_value() == DISCORD
    assert config.discord.agent_roles == ("77", "78")


def test_every_file_is_its_owners_alone_and_no_secret_is_shown(folder: Path) -> None:
    done = run(typed=ASKED)
    for name in MADE:
        path = folder / name
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), name
    shown = done.output + (folder / "rollcall.toml").read_text()
    assert "canary" not in shown


def test_it_says_the_manifest_the_invitation_and_the_next_two_steps(folder: Path) -> None:
    done = run(typed=ASKED)
    manifest = (folder / "slack-manifest.json").read_text()
    assert json.loads(manifest)["settings"]["socket_mode_enabled"] is True
    assert manifest in done.output, "it is needed before the tokens can be made"
    assert done.output.index(manifest) < done.output.index("Paste the Bot User OAuth Token")
    assert f"https://discord.com/oauth2/authorize?client_id={APPLICATION}&" in done.output
    assert done.output.endswith(
        "Next:\n  rollcall doctor --config rollcall.toml\n  rollcall run --config rollcall.toml\n"
    )


def test_without_a_terminal_options_say_everything(folder: Path) -> None:
    token = folder / "token"
    token.write_text(BOT)
    done = run(
        *(
            "--yes",
            "--slack",
            "--slack-bot-token-file",
            "token",
            "--discord",
            "--application-id",
            APPLICATION,
        ),
        *("--agent-role", "77", "--name", "Acme", "--port", "0", "--database", "postgresql://a:canary@b/c"),
    )
    assert done.exit_code == 0, done.output
    assert "(not shown" not in done.output
    assert (
        "secrets/discord-token: it is empty: put the bot's token (Bot → Reset Token) into it" in done.output
    )
    text = (folder / "rollcall.toml").read_text()
    assert f'bot_token_file = "{token}"' in text
    assert 'url_file = "secrets/database-url"' in text
    assert 'zone = "Europe/Paris"' in text
    assert "canary" not in text
    (folder / "secrets/slack-app-token").write_text(APP)
    (folder / "secrets/discord-token").write_text(DISCORD)
    config = load_config(folder / "rollcall.toml", {})
    assert config.database.url.get_secret_value() == "postgresql://a:canary@b/c"


@pytest.mark.parametrize(
    ("number", "wrong", "told"),
    [
        (0, "x" * 81, "organization.name: must be text of 1 to 80 characters"),
        (1, "Berlin", "organization.zone: write an IANA time zone such as Europe/Berlin."),
        (4, "xoxp-canary", "slack.bot_token: that does not begin with xoxb-."),
        (5, BOT, "slack.app_token: that does not begin with xapp-."),
        (6, "my app", "The Application ID is a number"),
        (7, "two canary words", "discord.token: paste the bot's token (Bot → Reset Token), without spaces."),
        (8, "@Agents", "A role's id is a number"),
        (9, "mysql://x", "database.url must begin with sqlite:/// or postgresql://"),
        (9, "sqlite://", "Rollcall needs a database that outlives it"),
        (10, "99999", "http.port: must be a whole number from 0 to 65535"),
    ],
)
def test_a_wrong_answer_is_refused_as_the_configuration_would_and_asked_again(
    folder: Path, number: int, wrong: str, told: str
) -> None:
    done = run(typed=[*ASKED[:number], wrong, *ASKED[number:]])
    assert done.exit_code == 0, done.output
    assert told in done.output
    assert "canary" not in done.output
    assert load_config(folder / "rollcall.toml", {}).http.port == 9090


@pytest.mark.parametrize("options", [["--zone", "Berlin"], ["--port", "99999"], ["--agent-role", "@a"]])
def test_a_wrong_option_is_refused_and_nothing_is_written(folder: Path, options: list[str]) -> None:
    done = run("--yes", "--discord", *options)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert made(folder) == []


@pytest.mark.parametrize("answered", range(len(ASKED)))
def test_leaving_at_any_question_leaves_nothing(folder: Path, answered: int) -> None:
    """Ctrl-C and the end of what is typed both end click's prompts so."""
    done = run(typed=ASKED[:answered])
    assert done.exit_code == 1
    assert "Aborted!" in done.output
    assert made(folder) == []


def test_what_is_there_is_never_replaced_without_being_told(folder: Path) -> None:
    file = folder / "rollcall.toml"
    file.write_text("mine")
    refused = run("--yes", "--discord")
    assert (refused.exit_code, file.read_text()) == (1, "mine")
    assert "To replace it, add --force." in refused.output
    assert run(typed=["n"]).exit_code == 1
    assert made(folder) == ["rollcall.toml"]
    assert run("--yes", "--discord", "--force").exit_code == 0
    assert "[discord]" in file.read_text()


def test_a_secret_that_is_there_stays(folder: Path) -> None:
    (folder / "secrets").mkdir()
    (folder / "secrets/discord-token").write_text("old one")
    refused = run(typed=["Acme", "", "n", "y", APPLICATION, DISCORD, "", "", ""])
    assert refused.exit_code == 1
    assert "secrets/discord-token is there already, and nothing was written." in refused.output
    assert made(folder) == ["secrets", "secrets/discord-token"]
    done = run("--yes", "--discord")
    assert done.exit_code == 0
    assert "discord-token" not in done.output, "there is nothing left to do about it"
    assert (folder / "secrets/discord-token").read_text() == "old one"


@pytest.mark.parametrize("step", range(8))
def test_ended_in_the_middle_of_writing_everything_is_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    file = folder / "rollcall.toml"
    file.write_text("mine")
    answers = setting_up.Answers("Acme", "UTC", "sqlite:///a", 0, (setting_up.BOT_TOKEN,))
    wanted = setting_up.files(answers, file, "{}")
    steps = 0

    def ending(real: object) -> object:
        def counted(*arguments: object) -> object:
            nonlocal steps
            steps += 1
            if steps == step + 1:
                raise KeyboardInterrupt
            return real(*arguments)  # type: ignore[operator]

        return counted

    monkeypatch.setattr(os, "fsync", ending(os.fsync))
    monkeypatch.setattr(Path, "replace", ending(Path.replace))
    if step < 7:
        with pytest.raises(KeyboardInterrupt):
            setting_up.write(wanted)
        monkeypatch.undo()
        assert made(folder) == ["rollcall.toml"]
        assert file.read_text() == "mine"
    else:
        setting_up.write(wanted)
        assert steps == 7
        assert made(folder) == ["rollcall.toml", "secrets", "secrets/slack-bot-token", "slack-manifest.json"]


def test_neither_platform_is_refused(folder: Path) -> None:
    done = run("--yes")
    assert done.exit_code == 1
    assert done.output == "Rollcall needs Slack, Discord or both: --slack, --discord. Nothing was written.\n"


def test_a_folder_that_can_not_be_written_is_told(folder: Path) -> None:
    done = run("--yes", "--discord", "--config", "missing/deeper/rollcall.toml")
    assert done.exit_code == 1
    assert "can't be written (No such file or directory). Nothing was written." in done.output
