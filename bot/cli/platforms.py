"""`rollcall slack-manifest` and `rollcall discord-invite`: how the bot comes to where people are."""

import json
import os
from pathlib import Path

import click

from bot.cli.frame import CONFIG, Failure, told


@click.command("slack-manifest")
@CONFIG
@click.option("--host", default="", help="HTTP mode: the host name under which Slack reaches Rollcall.")
def slack_manifest(path: Path | None, host: str) -> None:
    """Print the manifest to paste when you make the Slack app."""
    from bot.config import Config, load_config
    from bot.wiring import slack_manifest_of

    # Also one of several files, which says nothing of a database.
    config = told(lambda: load_config(path)) if path or _configured_by_environment() else Config()
    click.echo(json.dumps(slack_manifest_of(config, host), indent=2, ensure_ascii=False))


def _configured_by_environment() -> bool:
    return any(name.startswith("ROLLCALL_SLACK__") for name in os.environ)


@click.command("discord-invite")
@click.argument("application_id")
def discord_invite(application_id: str) -> None:
    """Print the address that invites the bot; APPLICATION_ID is on the Discord app's first page."""
    from bot.wiring import discord_invite_of

    if not application_id.isascii() or not application_id.isdigit():
        raise Failure("The application id is a number, such as 1174009900000000000.")
    click.echo(discord_invite_of(application_id))
