"""`rollcall key`: keys for programs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.frame import CONFIGS, ORGANIZATION, Failure, load_one, with_store

if TYPE_CHECKING:
    from bot.config import Config
    from bot.ports import ApiKey, Transaction


@click.group()
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
@click.option("--team", "teams", multiple=True, help="It is of this team alone; repeat for more.")
def key_create(
    paths: Sequence[Path],
    slug: str | None,
    name: str,
    scopes: tuple[str, ...],
    days: int | None,
    teams: tuple[str, ...],
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
        return keys.create(tx, organization_id, name, scopes, now, lasts, teams=teams)

    click.echo(with_store(load_one(paths, slug), make))


@key.command("list")
@CONFIGS
@ORGANIZATION
def key_list(paths: Sequence[Path], slug: str | None) -> None:
    """All keys, without their secrets."""

    def look(tx: "Transaction", config: "Config", now: datetime) -> list[str]:
        organization_id = tx.members.organization(config.organization.slug)
        found = tx.ledger.keys(organization_id) if organization_id is not None else ()
        return [_key_line(row, now) for row in found]

    for line in with_store(load_one(paths, slug), look):
        click.echo(line)


def _key_line(row: "ApiKey", now: datetime) -> str:
    state = "active"
    if row.revoked_at is not None:
        state = "revoked"
    elif row.expires_at is not None:
        state = f"{'expired' if now > row.expires_at else 'expires'} {row.expires_at:%Y-%m-%d}"
    used = f"{row.last_used_at:%Y-%m-%d %H:%M}Z" if row.last_used_at else "never"
    teams, turned = f"  teams {','.join(row.teams)}" if row.teams else "", ""
    if row.old_until is not None:
        over = "until" if now <= row.old_until else "over since"
        turned = f"  rotated {row.rotated_at:%Y-%m-%d}, old secret {over} {row.old_until:%Y-%m-%d %H:%M}Z"
    return f"{row.id}  {state}  {','.join(row.scopes)}{teams}  last used {used}{turned}  {row.name}"


@key.command("rotate")
@CONFIGS
@ORGANIZATION
@click.argument("key")
@click.option(
    "--overlap",
    default="24h",
    show_default=True,
    help="How long the old secret still holds, such as 90s, 24h or 7d; 0s: no longer.",
)
def key_rotate(paths: Sequence[Path], slug: str | None, key: str, overlap: str) -> None:
    """Give a key a new secret and print it, alone, on standard output. It is shown this once."""
    from bot.config.values import duration_of
    from bot.service import keys

    key_id = _key_id(key)
    try:
        lasts = duration_of(overlap)
    except ValueError as problem:
        raise Failure(f"--overlap: {problem}.") from None

    def rotate(tx: "Transaction", config: "Config", now: datetime) -> str:
        organization_id = tx.members.organization(config.organization.slug) or ""
        return keys.rotate(tx, organization_id, key_id, now, lasts)

    click.echo(with_store(load_one(paths, slug), rotate))


def _key_id(typed: str) -> str:
    from bot.service import keys

    key_id = keys.id_of(typed)
    if key_id is None:  # What was typed may hold a secret, so that it is not told.
        raise Failure(
            f"That is no key's id: {keys.ID_LENGTH} small letters and digits. `rollcall key list` shows them."
        )
    return key_id


@key.command("revoke")
@CONFIGS
@ORGANIZATION
@click.argument("key")
def key_revoke(paths: Sequence[Path], slug: str | None, key: str) -> None:
    """Revoke a key at once. KEY is its id, as `key list` shows it, or the key itself."""
    from bot.service import keys

    key_id = _key_id(key)

    def end(tx: "Transaction", config: "Config", now: datetime) -> bool:
        organization_id = tx.members.organization(config.organization.slug)
        return organization_id is not None and keys.revoke(tx, organization_id, key_id, now)

    if not with_store(load_one(paths, slug), end):
        raise Failure(f"There is no active key {key_id}. `rollcall key list` shows them.")
    click.echo(f"Revoked {key_id}.")
