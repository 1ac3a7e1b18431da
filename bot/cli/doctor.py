"""`rollcall doctor`: is everything as it must be?"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bot.cli.frame import CONFIGS


@click.command()
@CONFIGS
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def doctor(paths: Sequence[Path], as_json: bool) -> None:
    """Look at configuration, tokens, intents, scopes, database, clock and zones: each ok, or the repair.

    The exit code is 1 if anything is to be repaired. It may run beside a running Rollcall.
    """
    from bot.doctor import as_json as document
    from bot.doctor import line
    from bot.operations import examined

    findings = asyncio.run(examined(paths))
    click.echo(document(findings) if as_json else "\n".join(map(line, findings)))
    if not all(finding.ok for finding in findings):
        sys.exit(1)
