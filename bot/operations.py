"""What an operator's commands need of adapters and storage: joined here, as `wiring` joins the program.

What is heavy is imported when it is used.
"""

from collections.abc import Sequence
from datetime import tzinfo
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from bot import beside, doctor
from bot.config import Config, ConfigError, load_configs, read_file
from bot.core import Rollcall
from bot.logs import secrets_of
from bot.ports import Checks, Clock, Finding
from bot.wiring import open_beside

CHECKS = "rollcall.checks"
"""What platforms from outside look at for `rollcall doctor`."""


async def seen_beside(config: Config, team: str | None, zone: tzinfo, *, as_json: bool) -> str:
    """What a running program would say of who is there, as lines or as the API's JSON."""
    store, clock = open_beside(config, make=False)
    core = Rollcall(config, store, clock)
    try:
        seen = await beside.look(core, team)
    finally:
        await store.close()
    if not as_json:
        return "\n".join(beside.page(core, seen, zone))
    from adapters.http.documents import agents_document

    return agents_document(core, seen.rows, seen.as_of).decode()


async def examined(paths: Sequence[Path]) -> list[Finding]:
    """What `rollcall doctor` finds. Where the configuration can't be read, that alone."""
    from adapters.asking import Unreachable, ask, in_thread
    from adapters.clock import SystemClock
    from storage.doctor import findings

    try:
        configs = load_configs(paths)
        tables = [read_file(path) for path in paths]
    except ConfigError as problem:
        return [Finding("configuration", False, sentence) for sentence in problem.sentence.split("\n")]
    clock, first = SystemClock(), configs[0]
    url = first.database.url.get_secret_value()

    async def alive(address: str) -> bool:
        try:
            return bool((await ask("GET", address, clock, within=2.0)).body == {"live": True})
        except Unreachable:
            return False

    async def machine() -> list[Finding]:
        return [
            *doctor.secret_files(dict(zip(paths, tables, strict=True))),
            *doctor.zones(first),
            *(one for config in configs for one in doctor.calendars(config, clock.now())),
            *doctor.open_files(),
        ]

    parts: list[doctor.Part] = [
        ("this machine", machine),
        ("database", lambda: in_thread(lambda: list(findings(url)))),
        ("port", lambda: doctor.port(first, alive)),
    ]
    for config in configs:
        whose = f"{config.organization.slug}: " if len(configs) > 1 else ""
        for name, checks in _all_checks():
            parts.append((f"{whose}{name}", partial(_of, whose, checks, config, clock)))
    return await doctor.examine([one for config in configs for one in secrets_of(config)], parts)


def _all_checks() -> list[tuple[str, Checks]]:
    from adapters.discord.checks import checks as of_discord
    from adapters.slack.checks import checks as of_slack

    async def of_people(config: Config, clock: Clock) -> Sequence[Finding]:
        return [*doctor.leads(config), *doctor.platforms(config)]

    found = sorted(entry_points(group=CHECKS), key=lambda entry: entry.name)
    outside = [(entry.name, partial(_outside, entry)) for entry in found]
    return [("leads", of_people), ("Slack", of_slack), ("Discord", of_discord), *outside]


async def _of(whose: str, checks: Checks, config: Config, clock: Clock) -> Sequence[Finding]:
    """With several organizations each finding says whose it is."""
    return [Finding(whose + one.name, one.ok, one.said) for one in await checks(config, clock)]


async def _outside(entry: EntryPoint, config: Config, clock: Clock) -> Sequence[Finding]:
    checks: Checks = entry.load()
    return await checks(config, clock)


def file_address(file: Path) -> str:
    """The address of a SQLite file, as the configuration has it."""
    from storage import address

    return address.of_file(file)


def check_address(url: str) -> None:
    """Raises a refusal where that is no address of a database that outlives the program."""
    from storage import address
    from storage.sql import Engine

    where = address.parse(url)
    if where.engine is Engine.SQLITE and where.path == address.MEMORY:
        raise address.outlived()
