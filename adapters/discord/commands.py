"""Application commands: what is registered, made from the table; and what a person sent, made into a Command.

The table is data and so is Discord's payload, so one is written into the other without the
library's command tree, which would want a Python function with a signature for each.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import discord
from discord import app_commands

from bot.commands import BY_NAME, GROUP, SUBGROUPS, TABLE, TOP, CommandSpec, Kind, Parameter, names_on

SUBCOMMAND, SUBGROUP, STRING, INTEGER, USER = 1, 2, 3, 4, 6
LONGEST_TEXT = 500
"""Characters of a typed option. Discord allows 6,000; nobody reads a reason of that length."""
LARGEST_NUMBER = 1_000_000
"""Whether a number makes sense, the core says, in a sentence."""
SUGGESTED = frozenset([Kind.TEAM, Kind.SKILL, Kind.NEW_SKILL, Kind.ZONE, Kind.REASON])
GROUP_HELP = {"presence team": "The teams, and who is in them", "presence skill": "Skills, and who has them"}
MOST_BELOW = 25

Payload = dict[str, Any]


def payload(names: Mapping[str, str] | None = None) -> list[Payload]:
    """All commands as Discord's bulk overwrite takes them, under the configured names."""
    called = names_on("discord", names)
    below = [BY_NAME[name] for name in TOP] + _directly_below(GROUP)
    group = [_subcommand(spec) for spec in below] + [
        {
            "type": SUBGROUP,
            "name": name.rpartition(" ")[2],
            "description": GROUP_HELP[name],
            "options": [_subcommand(spec) for spec in _directly_below(name)][:MOST_BELOW],
        }
        for name in SUBGROUPS
    ]
    return [_command(BY_NAME[name], called[name]) | {"type": 1} for name in TOP] + [
        {
            "type": 1,
            "name": called[GROUP],
            "description": "Your presence, your settings, your team",
            "options": group[:MOST_BELOW],
        }
    ]


def _directly_below(group: str) -> list[CommandSpec]:
    return [spec for spec in TABLE if spec.name.rpartition(" ")[0] == group]


def _subcommand(spec: CommandSpec) -> Payload:
    return _command(spec, spec.name.rpartition(" ")[2]) | {"type": SUBCOMMAND}


def _command(spec: CommandSpec, name: str) -> Payload:
    # Discord wants required options first.
    options = sorted(spec.parameters, key=lambda parameter: not parameter.required)
    return {"name": name, "description": spec.help, "options": [_option(one) for one in options]}


def _option(parameter: Parameter) -> Payload:
    option: Payload = {
        "type": {Kind.AGENT: USER, Kind.NUMBER: INTEGER}.get(parameter.kind, STRING),
        "name": parameter.name,
        "description": parameter.help,
        "required": parameter.required,
    }
    if parameter.kind in SUGGESTED:
        option["autocomplete"] = True
    if parameter.choices:
        option["choices"] = [{"name": choice, "value": choice} for choice in parameter.choices]
    elif option["type"] == STRING:
        option["max_length"] = LONGEST_TEXT
    elif option["type"] == INTEGER:
        option |= {"min_value": 0, "max_value": LARGEST_NUMBER}
    return option


def digest(commands: list[Payload]) -> str:
    """What tells one set of commands from another."""
    return hashlib.sha256(json.dumps(commands, sort_keys=True).encode()).hexdigest()


class Typed:
    """A command as it came: the table's name, its options, and whom they mention."""

    def __init__(self, interaction: "discord.Interaction[Any]", names: Mapping[str, str] | None) -> None:
        data: Any = interaction.data
        shown = {shown: name for name, shown in names_on("discord", names).items()}
        name, options = shown.get(data["name"], ""), data.get("options", [])
        if name == GROUP and options:
            sub = options[0]
            name = sub["name"] if sub["name"] in TOP else f"{GROUP} {sub['name']}"
            options = sub.get("options", [])
            if sub["type"] == SUBGROUP and options:
                name, options = f"{name} {options[0]['name']}", options[0].get("options", [])
        self.name = name if name in BY_NAME else ""
        """Empty for a command that is in the table no longer."""
        self.arguments = {option["name"]: str(option.get("value", "")) for option in options}
        self.focused = next((option["name"] for option in options if option.get("focused")), None)
        """The option that is being typed just now."""
        values = app_commands.Namespace(interaction, data.get("resolved", {}), options)
        self.mentioned = [one for _, one in values if isinstance(one, discord.Member | discord.User)]
