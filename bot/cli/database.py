"""`rollcall db`: the database, as its operator looks after it."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bot.cli.frame import CONFIGS, load, told


@click.group()
def db() -> None:
    """Look after the database."""


def _database(paths: Sequence[Path]) -> str:
    return load(paths)[0].database.url.get_secret_value()


@db.command("upgrade")
@CONFIGS
def db_upgrade(paths: Sequence[Path]) -> None:
    """Bring the tables up to this program's version."""

    from bot import wiring

    url = _database(paths)
    click.echo(f"The database is at schema {told(lambda: wiring.upgrade_database(url))}.")


@db.command("check")
@CONFIGS
def db_check(paths: Sequence[Path]) -> None:
    """Verify the database's integrity and what must always hold; exit code 1 if something is broken."""
    from bot import wiring

    url = _database(paths)
    findings = told(lambda: wiring.check_database(url))
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
    told(lambda: wiring.backup_database(url, target))
    click.echo(f"Backed up to {target}.")


@db.command("restore")
@CONFIGS
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the database that is there.")
def db_restore(paths: Sequence[Path], source: Path, force: bool) -> None:
    """Put a backup in the database's place. Stop Rollcall first."""
    from bot import wiring

    url = _database(paths)
    told(lambda: wiring.restore_database(source, url, force))
    click.echo(f"Restored from {source}. Start Rollcall again.")
