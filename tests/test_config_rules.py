"""What is said of a value that breaks a rule: the key, the rule and an example, for every key there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from desk import ManualClock
from pydantic import BaseModel

from bot.config import Config, ConfigError, load_config, read_table
from bot.dispatch import Desk
from bot.house import find_platforms
from storage.database import open_inline


def leaves(model: type[BaseModel], where: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of the configuration, by its path; tables that come in lists have one row."""
    for name, field in model.model_fields.items():
        inner = [one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type)]
        table = next((one for one in inner if issubclass(one, BaseModel)), None)
        if table is None:
            yield (*where, name)
        else:
            yield from leaves(table, (*where, name))


@pytest.mark.parametrize("path", [path for path in leaves(Config) if path != ("platforms",)])
@pytest.mark.parametrize("wrong", [object(), -(10**30), [{}]])
def test_every_key_is_refused_by_name_with_its_rule_and_an_example(
    path: tuple[str, ...], wrong: object
) -> None:
    """Row 30, whatever the key: never in the words of the library that checks it."""
    table: Any = wrong
    for step in reversed(path):
        table = {step: table}
    if path[0] in ("team", "skill", "reason", "summary"):
        table = {path[0]: [table[path[0]]]}
    with pytest.raises(ConfigError) as told:
        read_table(Config, table)
    line = next(
        line for line in told.value.sentence.split("\n") if path[-1] in line and "missing" not in line
    )
    assert re.match(rf"{path[0]}(\.0)?\.{path[-1]}[.:]", line)
    assert re.search(r'such as \S|written under \[|must be (true or false|"[^:]*" or "\w+")\.$', line)
    assert not re.search(r"Input|String|should|valid|object", line)


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Editors on Windows write one; secrets in files have it too."""
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbf" + b"canary")
    file = tmp_path / "rollcall.toml"
    file.write_bytes(b'\xef\xbb\xbf[http]\nport = 1\n[discord]\ntoken_file = "token"')
    config = load_config(file, {})
    assert config.http.port == 1
    assert config.discord is not None
    assert config.discord.token.get_secret_value() == "canary"


def test_a_platform_that_is_not_installed_is_told_with_the_nearest() -> None:
    """`platforms.consol` is no key that the tables could know."""
    config = read_table(Config, {"platforms": {"consol": {}}})
    with pytest.raises(ConfigError) as told:
        find_platforms(config, Desk(config, open_inline(), ManualClock()))
    assert told.value.sentence == "platforms.consol: no such platform is installed; did you mean console?"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"discord": {"token": "x"}, "presence": {"in_call": "no_new_chats"}}, "discord.voice = true"),
        (
            {"slack": {"bot_token": "x", "app_token": "y"}, "presence": {"do_not_disturb": "no_new_chats"}},
            "slack.do_not_disturb = true",
        ),
        (
            {
                "discord": {"token": "x", "presence": False},
                "presence": {"do_not_disturb": "no_new_chats"},
            },
            "discord.presence = true",
        ),
    ],
)
def test_a_policy_about_hints_that_nobody_gives_is_refused(config: dict[str, Any], told: str) -> None:
    """Else chats would go on coming, and nobody would know why."""
    with pytest.raises(ConfigError, match=told):
        read_table(Config, config)
    (name, table), _ = config.items()
    seen = {"discord": {"voice": True, "presence": True}, "slack": {"do_not_disturb": True}}[name]
    assert read_table(Config, {**config, name: {**table, **seen}})
