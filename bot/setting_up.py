"""`rollcall init`: from a few answers to a configuration and its secrets, written whole or not at all.

Secrets stand in files of their own, so that the configuration can be shown, copied and kept in version
control as it is.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from bot.config import Config, ConfigError, holds_password, read_table
from bot.domain.errors import BadInput

SECRETS = "secrets"
"""The folder beside the configuration, for its owner alone."""
MANIFEST = "slack-manifest.json"
OWN = 0o600
APPS = "https://api.slack.com/apps"
PORTAL = "https://discord.com/developers/applications"


class Secret(Struct, frozen=True):
    """A secret that was typed, or the file that it is in, or neither: it follows later."""

    key: str
    """As in the configuration: `slack.bot_token`."""
    called: str
    """What people look for: `the Bot User OAuth Token, xoxb-…`."""
    begins: str = ""
    typed: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """The file that it is kept in: `secrets/slack-bot-token`."""
        return self.file or f"{SECRETS}/{self.key.replace('.', '-').replace('_', '-')}"


BOT_TOKEN = Secret("slack.bot_token", "the Bot User OAuth Token, xoxb-…", "xoxb-")
APP_TOKEN = Secret("slack.app_token", "the App-Level Token with connections:write, xapp-…", "xapp-")
DISCORD_TOKEN = Secret("discord.token", "the bot's token (Bot → Reset Token)")
DATABASE_URL = Secret("database.url", "the database's address")


class Answers(Struct, frozen=True):
    """What was answered."""

    name: str
    zone: str
    database: str
    port: int
    slack: tuple[Secret, ...] = ()
    """Empty: no Slack."""
    discord: tuple[Secret, ...] = ()
    agent_roles: tuple[str, ...] = ()


class File(Struct, frozen=True):
    """A file to be written, readable by its owner alone."""

    path: Path
    text: str
    said: str = ""
    """What is to be done with it."""


def check(table: str, key: str, value: Any) -> None:
    """Raises BadInput where the configuration would refuse it, in its words."""
    try:
        read_table(Config, {table: {key: value}})
    except ConfigError as problem:
        told = [line for line in problem.sentence.split("\n") if line.startswith(f"{table}.{key}")]
        if told:
            raise BadInput("\n".join(told)) from None


def check_secret(secret: Secret, typed: str) -> None:
    """Raises BadInput for what can't be that secret; never shows it."""
    if any(letter.isspace() for letter in typed) or not typed.isascii():
        raise BadInput(f"{secret.key}: paste {secret.called}, without spaces.")
    if secret.begins and not typed.startswith(secret.begins):
        raise BadInput(f"{secret.key}: that does not begin with {secret.begins}. Paste {secret.called}.")


def files(answers: Answers, config: Path, manifest: str) -> list[File]:
    """Everything to be written, the configuration last. `manifest`: of the Slack app, as JSON."""
    folder = config.parent
    found = []
    secret_url = holds_password(answers.database)
    secrets = [*answers.slack, *answers.discord]
    if secret_url:
        secrets.append(Secret(DATABASE_URL.key, DATABASE_URL.called, typed=answers.database))
    for secret in secrets:
        path = folder / secret.name
        if secret.typed:
            found.append(File(path, secret.typed + "\n"))
        elif not secret.file and not path.exists():
            found.append(File(path, "", f"it is empty: put {secret.called} into it"))
    if answers.slack:
        said = f"paste it at {APPS} → Create New App → From a manifest"
        found.append(File(folder / MANIFEST, manifest + "\n", said))
    return [*found, File(config, _configuration(answers, secret_url))]


def _configuration(answers: Answers, secret_url: bool) -> str:
    import tomlkit

    def said(value: Any) -> str:
        return str(tomlkit.item(value).as_string())

    def kept(secret: Secret) -> str:
        return f"{secret.key.partition('.')[2]}_file = {said(secret.name)}"

    lines = [
        "# Rollcall's configuration. Every key that there is: config.example.toml. Secrets stand in files of",
        "# their own, named from this file's folder, which only their owner may read.",
        "",
        "[organization]",
        f"name = {said(answers.name)}",
        f"zone = {said(answers.zone)}",
        "",
        "[database]",
        kept(DATABASE_URL) if secret_url else f"url = {said(answers.database)}",
        "",
        "[http]",
        f"port = {answers.port}",
    ]
    if answers.slack:
        lines += ["", "[slack]", *map(kept, answers.slack)]
    if answers.discord:
        lines += ["", "[discord]", *map(kept, answers.discord)]
        if answers.agent_roles:
            lines.append(f"agent_roles = {said(list(answers.agent_roles))}")
        else:
            lines.append("# The roles, by id, whose holders become agents by their first command.")
            lines.append("# agent_roles = []")
    return "\n".join(lines) + "\n"


def in_the_way(wanted: Sequence[File]) -> list[Path]:
    """Those that are there already."""
    return [file.path for file in wanted if file.path.exists()]


def write(wanted: Sequence[File]) -> None:
    """All of them, or none: whatever ends it half-way, what was there before is there again. Raises BadInput
    where that can't be done."""
    made: list[Path] = []
    kept: dict[Path, Path] = {}
    try:
        for file in wanted:
            _folder(file.path.parent, made)
            new = file.path.with_name(f".{file.path.name}.new")
            new.unlink(missing_ok=True)
            made.append(new)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(file.text)
                out.flush()
                os.fsync(out.fileno())
        for file in wanted:
            if file.path.exists():
                old = file.path.with_name(f".{file.path.name}.old")
                file.path.replace(old)
                kept[file.path] = old
            file.path.with_name(f".{file.path.name}.new").replace(file.path)
            made.append(file.path)
    except BaseException as problem:
        for path in reversed(made):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        for path, old in kept.items():
            old.replace(path)
        if isinstance(problem, OSError):
            where = problem.filename or wanted[-1].path.parent
            raise BadInput(f"{where} can't be written ({problem.strerror}). Nothing was written.") from None
        raise
    for old in kept.values():
        old.unlink()


def _folder(folder: Path, made: list[Path]) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700)
        made.append(folder)


def guessed_zone(environment: Mapping[str, str]) -> str:
    """This machine's zone, as far as it says; else UTC."""
    from bot.config.values import known_zone

    said = [environment.get("TZ", "").lstrip(":")]
    link = Path("/etc/localtime")
    if link.is_symlink():
        said.append(str(link.readlink()).partition("zoneinfo/")[2])
    try:
        said.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        said.append("")
    return next((zone for one in said if one and (zone := known_zone(one)) is not None), "UTC")
