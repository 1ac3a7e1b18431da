"""The command line. Everything heavy is imported by the command that needs it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bot.config import Config
    from bot.ports import ApiKey, Clock, Transaction
    from bot.wiring import Program

T = TypeVar("T")

CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    envvar="ROLLCALL_CONFIG",
    help="The configuration file; see config.example.toml.",
)
CONFIGS = click.option(
    "--config",
    "paths",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    envvar="ROLLCALL_CONFIG",
    help="The configuration file; repeat it for several organizations, the one with the database first.",
)
ORGANIZATION = click.option(
    "--organization", "slug", help="With several configuration files: the slug of the one that is meant."
)


class Failure(click.ClickException):
    """A refusal, told in one sentence."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """On standard error, without click's prefix."""
        click.echo(self.message, err=True)


def _load(paths: Sequence[Path]) -> "tuple[Config, ...]":
    from bot.config import load_configs
    from bot.domain.errors import RollcallError

    try:
        return load_configs(paths)
    except RollcallError as problem:
        raise Failure(problem.sentence) from None


def _load_one(paths: Sequence[Path], slug: str | None) -> "Config":
    """The configuration of the organization that is meant."""
    configs = _load(paths)
    there = {config.organization.slug: config for config in configs}
    if slug is None and len(configs) == 1:
        return configs[0]
    if slug not in there:
        wrong = "" if slug is None else f"{slug} is none of them. "
        raise Failure(f"{wrong}Say whose it is: --organization {' or --organization '.join(there)}.")
    return there[slug]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rollcall")
def main() -> None:
    """Rollcall: who can take a chat right now, for support teams in Discord and Slack."""


@main.command()
@CONFIGS
def run(paths: Sequence[Path]) -> None:
    """Run the bot, the API and the summaries until stopped, for one organization or several."""
    first, *further = _load(paths)
    from bot.logs import secrets_of, set_up_logs

    set_up_logs(first.log, [secret for config in (first, *further) for secret in secrets_of(config)])
    sys.exit(serve(first, further=further))


def serve(
    config: "Config",
    started: Callable[["Program"], None] | None = None,
    seconds: float | None = None,
    clock: "Clock | None" = None,
    further: "Sequence[Config]" = (),
) -> int:
    """Run a configured program until SIGTERM, SIGINT or for so many seconds. Answers the exit code.

    `further`: of more organizations, which share the first one's database, HTTP and log.
    """
    from bot.domain.errors import RollcallError
    from bot.wiring import open_program

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        await open_program(config, clock, further).run(stop, started)

    try:
        asyncio.run(until_stopped())
    except RollcallError as problem:
        click.echo(problem.sentence, err=True)
        return 1
    return 0


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The API's port; else any free one.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Keep the data here.")
@click.option("--seconds", type=click.FloatRange(min=0.0), help="Leave by itself after so long.")
def demo(port: int, data: Path | None, seconds: float | None) -> None:
    """Try Rollcall with a made-up team: no token, no set-up."""
    from bot.domain.errors import RollcallError
    from bot.wiring import run_demo

    try:
        code = run_demo(port, data, seconds, serve)
    except RollcallError as problem:
        raise Failure(problem.sentence) from None
    sys.exit(code)


# --- keys ---


@main.group()
def key() -> None:
    """Keys for programs that use the API."""


@key.command("create")
@CONFIGS
@ORGANIZATION
@click.option("--name", required=True, help="What it is for, such as chatwoot.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "presence", "route", "admin"]),
    default=("read",),
    show_default=True,
    help="What it may do; repeat for more.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Expires after so many days.")
def key_create(
    paths: Sequence[Path], slug: str | None, name: str, scopes: tuple[str, ...], days: int | None
) -> None:
    """Make a key and print it, alone, on standard output. It is shown this once."""
    from bot.service import keys

    lasts = timedelta(days=days) if days else None

    def make(tx: "Transaction", config: "Config", now: datetime) -> str:
        # A key may be made before the first start, which then finds this organization.
        of = config.organization
        organization_id = tx.members.organization(of.slug) or tx.members.ensure_organization(
            of.slug, of.name, now
        )
        return keys.create(tx, organization_id, name, scopes, now, lasts)

    click.echo(_with_store(_load_one(paths, slug), make))


@key.command("list")
@CONFIGS
@ORGANIZATION
def key_list(paths: Sequence[Path], slug: str | None) -> None:
    """All keys, without their secrets."""

    def look(tx: "Transaction", config: "Config", now: datetime) -> list[str]:
        organization_id = tx.members.organization(config.organization.slug)
        found = tx.ledger.keys(organization_id) if organization_id is not None else ()
        return [_key_line(row, now) for row in found]

    for line in _with_store(_load_one(paths, slug), look):
        click.echo(line)


def _key_line(row: "ApiKey", now: datetime) -> str:
    state = "active"
    if row.revoked_at is not None:
        state = "revoked"
    elif row.expires_at is not None:
        state = f"{'expired' if now > row.expires_at else 'expires'} {row.expires_at:%Y-%m-%d}"
    used = f"{row.last_used_at:%Y-%m-%d %H:%M}Z" if row.last_used_at else "never"
    return f"{row.id}  {state}  {','.join(row.scopes)}  last used {used}  {row.name}"


@key.command("revoke")
@CONFIGS
@ORGANIZATION
@click.argument("key")
def key_revoke(paths: Sequence[Path], slug: str | None, key: str) -> None:
    """Revoke a key at once. KEY is its id, as `key list` shows it, or the key itself."""
    from bot.service import keys

    key_id = keys.id_of(key)
    if key_id is None:  # What was typed may hold a secret, so that it is not told.
        raise Failure(
            f"That is no key's id: {keys.ID_LENGTH} small letters and digits. `rollcall key list` shows them."
        )

    def end(tx: "Transaction", config: "Config", now: datetime) -> bool:
        organization_id = tx.members.organization(config.organization.slug)
        return organization_id is not None and keys.revoke(tx, organization_id, key_id, now)

    if not _with_store(_load_one(paths, slug), end):
        raise Failure(f"There is no active key {key_id}. `rollcall key list` shows them.")
    click.echo(f"Revoked {key_id}.")


def _with_store(config: "Config", operation: Callable[["Transaction", "Config", datetime], T]) -> T:
    """Run one operation on the configured database, which a running Rollcall may be using: nothing but
    the operation is written, however little this configuration says."""
    from bot.domain.errors import RollcallError
    from bot.wiring import open_beside

    async def work() -> T:
        store, clock = open_beside(config)
        now = clock.now()
        try:
            return await store.write(lambda tx: operation(tx, config, now))
        finally:
            await store.close()

    try:
        return asyncio.run(work())
    except RollcallError as problem:
        raise Failure(problem.sentence) from None


# --- database ---


@main.group()
def db() -> None:
    """Look after the database."""


def _database(paths: Sequence[Path]) -> str:
    return _load(paths)[0].database.url.get_secret_value()


def _run_db(work: Callable[[], Any]) -> Any:
    from bot.domain.errors import RollcallError

    try:
        return work()
    except RollcallError as problem:
        raise Failure(problem.sentence) from None


@db.command("upgrade")
@CONFIGS
def db_upgrade(paths: Sequence[Path]) -> None:
    """Bring the tables up to this program's version."""

    from bot import wiring

    url = _database(paths)
    click.echo(f"The database is at schema {_run_db(lambda: wiring.upgrade_database(url))}.")


@db.command("check")
@CONFIGS
def db_check(paths: Sequence[Path]) -> None:
    """Verify the database's integrity and what must always hold; exit code 1 if something is broken."""
    from bot import wiring

    url = _database(paths)
    findings = _run_db(lambda: wiring.check_database(url))
    for line in findings:
        click.echo(line)
    if any(not line.startswith("ok") for line in findings):
        sys.exit(1)


@db.command("backup")
@CONFIGS
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def db_backup(paths: Sequence[Path], target: Path) -> None:
    """Copy the database to a file while it is in use."""
    from bot import wiring

    url = _database(paths)
    _run_db(lambda: wiring.backup_database(url, target))
    click.echo(f"Backed up to {target}.")


@db.command("restore")
@CONFIGS
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the database that is there.")
def db_restore(paths: Sequence[Path], source: Path, force: bool) -> None:
    """Put a backup in the database's place. Stop Rollcall first."""
    from bot import wiring

    url = _database(paths)
    _run_db(lambda: wiring.restore_database(source, url, force))
    click.echo(f"Restored from {source}. Start Rollcall again.")


# --- platforms ---


@main.command("slack-manifest")
@CONFIG
@click.option("--host", default="", help="HTTP mode: the host name under which Slack reaches Rollcall.")
def slack_manifest(path: Path | None, host: str) -> None:
    """Print the manifest to paste when you make the Slack app."""
    from bot.config import Config, load_config
    from bot.domain.errors import RollcallError
    from bot.wiring import slack_manifest_of

    try:
        # Also one of several files, which says nothing of a database.
        config = load_config(path) if path or _configured_by_environment() else Config()
    except RollcallError as problem:
        raise Failure(problem.sentence) from None
    click.echo(json.dumps(slack_manifest_of(config, host), indent=2, ensure_ascii=False))


def _configured_by_environment() -> bool:
    return any(name.startswith("ROLLCALL_SLACK__") for name in os.environ)


@main.command("discord-invite")
@click.argument("application_id")
def discord_invite(application_id: str) -> None:
    """Print the address that invites the bot; APPLICATION_ID is on the Discord app's first page."""
    from bot.wiring import discord_invite_of

    if not application_id.isascii() or not application_id.isdigit():
        raise Failure("The application id is a number, such as 1174009900000000000.")
    click.echo(discord_invite_of(application_id))


if __name__ == "__main__":
    main()
