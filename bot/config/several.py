"""Several organizations in one program: a file for each. The first one's `[database]`, `[http]` and `[log]`
are the program's."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from bot.config.reading import ENVIRONMENT_PREFIX, NOT_OURS, OF_THE_PROGRAM, SECRETS, ConfigError, load_config
from bot.config.tables import ONLY, Config


def load_configs(paths: Sequence[Path], environment: Mapping[str, str] | None = None) -> tuple[Config, ...]:
    """The configuration of each organization; no file: one out of the environment.

    Raises ConfigError, which names the file where there are several.
    """
    given = os.environ if environment is None else environment
    if len(paths) < 2:
        only = load_config(paths[0] if paths else None, given)
        _refuse_no_database(only)
        return (only,)
    _refuse_whose(given)
    found: list[Config] = []
    for path in paths:
        try:
            found.append(load_config(path, {} if found else given, found[0] if found else None))
        except ConfigError as problem:
            raise ConfigError(_of_file(str(path), problem.sentence)) from None
    _refuse_no_database(found[0])
    for number, one in enumerate(found):
        for other in found[:number]:
            _refuse_shared(other, one)
    return tuple(found)


def _refuse_no_database(first: Config) -> None:
    """One file of several, taken alone, would begin an empty database beside the one that is meant."""
    slug = first.organization.slug
    if slug != ONLY and "url" not in first.database.model_fields_set:
        file = first.file or "The environment"
        raise ConfigError(
            f'{file} sets organization.slug = "{slug}" and no database.url. Where it is one of several '
            "files, name them all, the one with the database first; else say which database is meant, as in "
            'url = "sqlite:///rollcall.sqlite3" under [database].'
        )


def _of_file(file: str, sentences: str) -> str:
    return "\n".join(f"{file}: {line}" for line in sentences.splitlines())


def _refuse_whose(environment: Mapping[str, str]) -> None:
    """The environment is laid over the first file, which alone may say these things of the program."""
    for name in sorted(environment):
        table = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")[0]
        if name.startswith(ENVIRONMENT_PREFIX) and name not in NOT_OURS and table not in OF_THE_PROGRAM:
            raise ConfigError(
                f"{name} does not say whose it is where there are several configuration files. Write it in "
                "its organization's file; a secret can stand in a file of its own, such as token_file."
            )


def _refuse_shared(first: Config, other: Config) -> None:
    if first.organization.slug == other.organization.slug:
        raise ConfigError(
            f'{first.file} and {other.file} are both of the organization "{other.organization.slug}". '
            'Give each its own [organization] slug, such as slug = "acme".'
        )
    theirs = dict(_secrets(first))
    for key, secret in _secrets(other):
        if theirs.get(key) == secret:
            raise ConfigError(
                f"{other.file}: {key} is that of {first.file} too. Each organization needs an app of its "
                "own, because a platform tells all that it has to tell to whoever has the token."
            )


def _secrets(config: Config) -> Iterator[tuple[str, str]]:
    """The platforms' own, by key."""
    for name, keys in SECRETS.items():
        table = None if name in OF_THE_PROGRAM else getattr(config, name)
        for key in keys if table is not None else ():
            secret: SecretStr | None = getattr(table, key)
            if secret is not None:
                yield f"{name}.{key}", secret.get_secret_value()
