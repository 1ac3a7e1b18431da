"""`rollcall run` and `rollcall demo`."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.frame import CONFIGS, Failure, load

if TYPE_CHECKING:
    from bot.config import Config
    from bot.ports import Clock
    from bot.wiring import Program


@click.command()
@CONFIGS
def run(paths: Sequence[Path]) -> None:
    """Run the bot, the API and the summaries until stopped, for one organization or several."""
    first, *further = load(paths)
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


@click.command()
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
