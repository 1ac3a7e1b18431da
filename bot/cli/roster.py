"""`rollcall who`, `export` and `apply`: the roster, read and written beside a running program."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.frame import CONFIGS, ORGANIZATION, Failure, load_one, told, with_store

if TYPE_CHECKING:
    from bot.config import Config
    from bot.ports import Transaction


@click.command()
@CONFIGS
@ORGANIZATION
@click.argument("team", required=False)
@click.option("--json", "as_json", is_flag=True, help="As GET /v1/agents answers it.")
def who(paths: Sequence[Path], slug: str | None, team: str | None, as_json: bool) -> None:
    """Who is Available, Away and Offline, everybody or one TEAM; read from the database."""
    config = load_one(paths, slug)
    from zoneinfo import ZoneInfo

    from bot.operations import seen_beside

    zone = ZoneInfo(config.organization.zone)
    click.echo(told(lambda: asyncio.run(seen_beside(config, team, zone, as_json=as_json))))


@click.command()
@CONFIGS
@ORGANIZATION
def export(paths: Sequence[Path], slug: str | None) -> None:
    """Print the roster as TOML: teams, skills, and agents with their accounts."""
    from bot.service.roster_file import write

    def look(tx: "Transaction", config: "Config", now: datetime) -> Any:
        organization_id = tx.members.organization(config.organization.slug)
        if organization_id is None:
            return write((), (), (), {})
        workspaces = {one.id: one for one in tx.members.workspaces(organization_id)}
        agents = [agent for agent, _ in tx.members.everyone(organization_id)]
        return write(
            tx.members.teams(organization_id), tx.members.skills(organization_id), agents, workspaces
        )

    text, left_out = with_store(load_one(paths, slug), look, looks=True)
    click.echo(text, nl=False)
    for agent in left_out:
        click.echo(
            f"Left out, because they have no account to be known by: {agent.name} ({agent.id})", err=True
        )


@click.command()
@CONFIGS
@ORGANIZATION
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--dry-run", "dry", is_flag=True, help="Print what would change, and change nothing.")
@click.option("--prune", is_flag=True, help="Remove agents, teams and skills that are not in the file.")
def apply(paths: Sequence[Path], slug: str | None, file: Path, dry: bool, prune: bool) -> None:
    """Make the roster what a FILE says, as `export` prints one; - is standard input.

    A running Rollcall takes it over within a second or two. Whoever is not in the file stays as they are.
    """
    from bot.service import applying, roster_file

    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as problem:
        raise Failure(f"{file} can't be read: {problem.strerror}. Nothing was changed.") from None
    except ValueError:
        raise Failure(f"{file} is no text in UTF-8. Nothing was changed.") from None

    config = load_one(paths, slug)
    try:
        wanted = applying.Apply(told(lambda: roster_file.read(text)), prune, config)
        lines = with_store(config, lambda tx, _, now: applying.apply(tx, wanted, now), dry=dry)
    except Failure as refusal:
        raise Failure(f"{refusal.message}\nNothing was changed.") from None
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("Nothing to change: the roster is what the file says.")
    elif dry:
        click.echo("That is what would change. Nothing was changed.")
