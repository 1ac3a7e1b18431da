"""The command line. Everything heavy is imported by the command that needs it."""

import click

from bot.cli import database, doctor, init, keys, platforms, roster, running
from bot.cli.running import serve

__all__ = ["main", "serve"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rollcall")
def main() -> None:
    """Rollcall: who can take a chat right now, for support teams in Discord and Slack."""


for command in (
    running.run,
    running.demo,
    init.init,
    doctor.doctor,
    roster.who,
    roster.export,
    roster.apply,
    keys.key,
    database.db,
    platforms.slack_manifest,
    platforms.discord_invite,
):
    main.add_command(command)
