"""`config.example.toml` says everything that can be set, and nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from adapters.console.table import ConsoleTable
from bot.config import Config, Table, load_config, read_table

EXAMPLE = Path(__file__).resolve().parent.parent / "config.example.toml"
SETTING = re.compile(r"# (\[\[?[a-z.]+\]\]?|[a-z_]+ = .*)")


def uncommented() -> str:
    """The example with every setting switched on."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return "\n".join(found[1] if (found := SETTING.fullmatch(line)) else line for line in lines)


def below(annotation: Any) -> type[BaseModel] | None:
    """The table that a field holds, alone or in a tuple."""
    for one in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def keys(model: type[BaseModel], table: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, what the example says, default) for every key of a model."""
    for name, field in model.model_fields.items():
        assert name in table, f"{where}{name} is missing in config.example.toml"
        inner, value = below(field.annotation), table[name]
        if inner is not None:
            yield from keys(inner, value[0] if isinstance(value, list) else value, f"{where}{name}.")
        else:
            yield f"{where}{name}", value, field.default


def test_every_key_stands_in_the_example() -> None:
    table = tomllib.loads(uncommented())
    assert len(list(keys(Config, table))) > 40
    assert len(list(keys(ConsoleTable, table["platforms"]["console"]))) == 3


def test_with_every_setting_switched_on_it_loads(tmp_path: Path) -> None:
    """And the console's table too, which it checks by itself."""
    file = tmp_path / "rollcall.toml"
    file.write_text(uncommented(), encoding="utf-8")
    config = load_config(file, {})
    assert config.slack is not None
    assert config.discord is not None
    assert read_table(ConsoleTable, config.platforms["console"]).people[0].id == "alex"


def test_as_it_is_it_changes_nothing() -> None:
    assert load_config(EXAMPLE, {}).model_dump() == load_config(None, {}).model_dump()


def test_a_value_that_has_a_default_is_shown_with_it() -> None:
    """Whoever takes a # away changes nothing yet."""
    examples = {"organization.leads", "discord.names", "slack.names", "summary.zone"}
    examples |= {"team.hours", "team.zone", "team.days_off"}
    no_default = {"discord.token", "slack.bot_token", "slack.app_token", "slack.signing_secret", "platforms"}
    table = tomllib.loads(uncommented())
    shown, plain = read_table(Config, table), read_table(Config, {})
    checked = 0
    for key, _, default in keys(Config, table):
        if key in examples | no_default or default is PydanticUndefined:
            continue
        assert value_of(shown, key) == default, key
        checked += 1
    assert checked > 30
    assert value_of(shown, "presence") == plain.presence


def value_of(config: Table, key: str) -> Any:
    """A value of the configuration by its dotted key; of several tables, the first's."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
        if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            value = value[0]
    return value


def test_every_key_is_explained() -> None:
    """A line of words stands above each, or above its neighbour of the same kind."""
    block: list[str] = []
    lonely: list[str] = []
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        found = SETTING.fullmatch(line)
        if not line.strip():
            block = []
        elif found and "=" in found[1] and not any(not SETTING.fullmatch(before) for before in block):
            lonely.append(line)
        block.append(line) if line.strip() else None
    # The first keys of [[skill]] and [[summary]] say the same as those of [[team]], explained there.
    assert [line for line in lonely if not re.match(r"# (slug|name) = ", line)] == []
