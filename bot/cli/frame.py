"""What every command of the command line begins with: the configuration, the database, a refusal."""

import asyncio
from collections.abc import Callable, Sequence
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


def load(paths: Sequence[Path]) -> "tuple[Config, ...]":
    """The configuration of each organization, or a refusal that names each fault."""
    from bot.config import load_configs

    return told(lambda: load_configs(paths))


def load_one(paths: Sequence[Path], slug: str | None) -> "Config":
    """The configuration of the organization that is meant."""
    configs = load(paths)
    there = {config.organization.slug: config for config in configs}
    if slug is None and len(configs) == 1:
        return configs[0]
    if slug not in there:
        wrong = "" if slug is None else f"{slug} is none of them. "
        raise Failure(f"{wrong}Say whose it is: --organization {' or --organization '.join(there)}.")
    return there[slug]


def told(work: Callable[[], T]) -> T:
    """What the work answers; a refusal of Rollcall's is told in its own sentence."""
    from bot.domain.errors import RollcallError

    try:
        return work()
    except RollcallError as problem:
        raise Failure(problem.sentence) from None


def with_store(
    config: "Config",
    operation: Callable[["Transaction", "Config", datetime], T],
    *,
    looks: bool = False,
    dry: bool = False,
) -> T:
    """Run one operation on the configured database, which a running Rollcall may be using: nothing but
    the operation is written, however little this configuration says. `looks`: it only reads. `dry`: what
    it writes is undone."""
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
