"""What every command of the command line begins with: the configuration, the database, a refusal."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bot.config import Config
    from bot.ports import Transaction

T = TypeVar("T")

CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    envvar="ROLLCALL_CONFIG",
    help="The configuration file; see config.example.toml.",
)


class Failure(click.ClickException):
    """A refusal, told in one sentence."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """On standard error, without click's prefix."""
        click.echo(self.message, err=True)


def load(path: Path | None) -> "Config":
    """The configuration, or a refusal that names each fault."""
    from bot.config import load_config

    return told(lambda: load_config(path))


def told(work: Callable[[], T]) -> T:
    """What the work answers; a refusal of Rollcall's is told in its own sentence."""
    from bot.domain.errors import RollcallError

    try:
        return work()
    except RollcallError as problem:
        raise Failure(problem.sentence) from None


def with_store(
    path: Path | None,
    operation: Callable[["Transaction", "Config", datetime], T],
    *,
    looks: bool = False,
    dry: bool = False,
) -> T:
    """Run one operation on the configured database, which a running Rollcall may be using: nothing but
    the operation is written, however little this configuration says. `looks`: it only reads. `dry`: what
    it writes is undone."""
    config = load(path)
    from bot.wiring import open_beside

    class Undone(Exception):
        """Ends a transaction that shall not be kept."""

    async def work() -> T:
        store, clock = open_beside(config, make=not (looks or dry))
        now = clock.now()
        answers: list[T] = []

        def operate(tx: "Transaction") -> T:
            answers.append(operation(tx, config, now))
            if dry:
                raise Undone
            return answers[-1]

        try:
            return await (store.read if looks else store.write)(operate)
        except Undone:
            return answers[-1]
        finally:
            await store.close()

    return told(lambda: asyncio.run(work()))
