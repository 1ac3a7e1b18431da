"""From TOML, then environment `ROLLCALL_…` with `__`, then secret files, to a checked configuration.

Unknown keys are refused by name with the nearest right one, and no error ever shows a value that
may be a secret.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bot.config.rules import example_of, field_at, rule
from bot.config.tables import Config, Table
from bot.domain.errors import RollcallError

T = TypeVar("T", bound=Table)
ENVIRONMENT_PREFIX = "ROLLCALL_"
NOT_OURS = frozenset({"ROLLCALL_CONFIG", "ROLLCALL_LONG"})
"""Names that say other things: where the configuration is, and how thoroughly to test."""
OF_THE_PROGRAM = ("database", "http", "log")
"""The tables that hold for all organizations of a program."""
SECRETS: Mapping[str, tuple[str, ...]] = {
    "database": ("url",),
    "discord": ("token",),
    "slack": ("bot_token", "app_token", "signing_secret"),
}
"""The keys that may be read from a file: `slack.bot_token_file = "/run/secrets/…"`."""


class ConfigError(RollcallError):
    """The configuration can't be used; every fault is named, with its key and an example."""

    code = "config"


def load_config(
    path: Path | None, environment: Mapping[str, str] | None = None, program: Config | None = None
) -> Config:
    """Read a TOML file (None: none), lay the environment over it, read secret files, check all.

    `ROLLCALL_SLACK__BOT_TOKEN=…` sets `slack.bot_token`; `slack.bot_token_file = "/run/secrets/…"`
    reads it. `program`: whose database, HTTP and log this one shares, and so may not set. Raises
    ConfigError, which names each fault and never shows a value.
    """
    table = read_file(path)
    _lay_over(table, os.environ if environment is None else environment)
    if program is not None:
        _share(table, program)
    _read_secret_files(table, path.parent if path else Path())
    if path is not None:
        _find_holidays(table, path.parent)
    config = read_table(Config, table)
    return config if path is None else config.read_from(str(path))


def read_file(path: Path | None) -> dict[str, Any]:
    """A configuration file as TOML, unchecked; None: an empty one. Raises ConfigError."""
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise ConfigError(f"There is no configuration file {path}.") from None
        except tomllib.TOMLDecodeError as problem:
            where = re.search(r"\(at line \d+, column \d+\)", str(problem))
            raise ConfigError(f"{path} is not TOML {where.group() if where else ''}".rstrip() + ".") from None
        except (OSError, ValueError) as problem:
            raise ConfigError(
                f"The configuration file {path} can't be read: {type(problem).__name__}."
            ) from None
    return table


def _share(table: dict[str, Any], program: Config) -> None:
    """What is the program's is that of its first file."""
    for name in OF_THE_PROGRAM:
        if name in table:
            raise ConfigError(
                f"[{name}] holds for the whole program, so it stands in the first file, {program.file}, "
                "alone. Take it out here."
            )
        table[name] = getattr(program, name)


def holds_password(url: str) -> bool:
    """Whether a database's address has a password in it, and so is a secret."""
    return ":" in url.partition("://")[2].rpartition("@")[0]


def read_table(model: type[T], table: Mapping[str, Any], name: str = "") -> T:
    """Check a table of the configuration; `name` is how it is called there. Platforms from outside
    read their own `[platforms.…]` by it. Raises ConfigError, which never shows a value."""
    try:
        return model.model_validate(dict(table))
    except ValidationError as problems:
        raise ConfigError("\n".join(_told(problems, model, name))) from None


def _lay_over(table: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in NOT_OURS:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if len(keys) == 1:
            raise ConfigError(f"{name} is not a key; {_with_two_underscores(keys[0])}")
        place = table
        for key in keys[:-1]:
            below = place.setdefault(key, {})
            if not isinstance(below, dict):
                what = "a list" if isinstance(below, list) else "no table"
                raise ConfigError(f"{name} can't be set: {key} is {what}; write it in the file.")
            place = below
        place[keys[-1]] = _listed(name, environment[name])


def _with_two_underscores(key: str) -> str:
    """What somebody may have meant by a name without `__`."""
    table, _, rest = key.partition("_")
    if table in Config.model_fields and rest:
        return f"did you mean {ENVIRONMENT_PREFIX}{table.upper()}__{rest.upper()}?"
    return f"write table and key with two underscores between, such as {ENVIRONMENT_PREFIX}HTTP__PORT."


def _listed(name: str, value: str) -> Any:
    """A value of the environment: a list or a table as TOML writes them, else text."""
    if value[:1] not in ("[", "{"):
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f'{name} begins like a list and is none as TOML writes them, such as ["a", "b"].'
        ) from None


def _read_secret_files(table: dict[str, Any], beside: Path) -> None:
    """`slack.bot_token_file` and its like: only secrets are read from files."""
    empty: list[str] = []
    for name, part in table.items():
        if not isinstance(part, dict):
            continue
        for key in [key for key in part if key.removesuffix("_file") in SECRETS.get(name, ())]:
            wanted = key.removesuffix("_file")
            if wanted == key:
                continue
            if wanted in part:
                raise ConfigError(f"{name}.{wanted} and {name}.{key} are both set; keep one.")
            file = beside / str(part.pop(key))
            try:
                part[wanted] = file.read_text(encoding="utf-8-sig").strip()
                if not part[wanted]:
                    empty.append(f"{name}.{key}: {file} is empty; put the secret into it.")
            except (
                ValueError
            ):  # A path with a NUL, which has no place in a message, or a file that is no text.
                raise ConfigError(f"{name}.{key}: there must be the path of a text file.") from None
            except OSError as problem:
                raise ConfigError(f"{name}.{key}: {file} can't be read: {type(problem).__name__}.") from None
    if empty:
        raise ConfigError("\n".join(empty))


def _find_holidays(table: dict[str, Any], beside: Path) -> None:
    """A team's file of holidays stands beside the configuration."""
    teams = table.get("team")
    for team in teams if isinstance(teams, list) else ():
        file = team.get("holidays") if isinstance(team, dict) else None
        if file and isinstance(file, str):
            team["holidays"] = str(beside / file)


def _told(problems: ValidationError, model: type[Table], name: str) -> list[str]:
    """One sentence a fault: the key, the rule, and for an unknown key the nearest right one."""
    told = []
    for problem in problems.errors(include_input=False, include_url=False):
        if problem["type"] == "too_short" and "after validation" in problem["msg"]:
            continue  # Its members were refused, each by a sentence of its own.
        where = ".".join(str(step) for step in (*([name] if name else []), *problem["loc"]))
        field = field_at(model, problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _known_keys(model, problem["loc"][:-1])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}."
            told.append(f"{where} is not a key; {hint}")
        elif problem["type"] == "missing":
            told.append(f"{where} is missing{_as_in(problem['loc'][-1], field)}.")
        else:
            told.append(f"{where or 'configuration'}: {rule(problem, field)}.")
    return told


def _as_in(key: int | str, field: FieldInfo | None) -> str:
    example = example_of(field)
    return f", as in {key} = {example}" if example else ""


def _known_keys(model: Any, steps: tuple[int | str, ...]) -> list[str]:
    for step in steps:
        if isinstance(step, int):
            continue
        field = model.model_fields[step]
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
