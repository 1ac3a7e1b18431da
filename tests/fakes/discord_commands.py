"""Application commands: what may be registered, and what a person's client makes of what they type."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from fakes.discord_limits import Form, check_choices
from fakes.discord_model import Channel, Guild, Json, Role, User

SUB_COMMAND, SUB_COMMAND_GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER = range(
    1, 11
)

_COMMAND = {
    "id",
    "name",
    "name_localizations",
    "description",
    "description_localizations",
    "options",
    "type",
    "nsfw",
}
_COMMAND |= {
    "default_member_permissions",
    "dm_permission",
    "default_permission",
    "integration_types",
    "contexts",
}
_OPTION = {
    "type",
    "name",
    "name_localizations",
    "description",
    "description_localizations",
    "required",
    "choices",
}
_OPTION |= {"options", "channel_types", "min_value", "max_value", "min_length", "max_length", "autocomplete"}
_SCRIPTS_WITH_MARKS = (range(0x0900, 0x0980), range(0xA8E0, 0xA900), range(0x0E00, 0x0E80))

type_of_value: dict[int, tuple[type, ...]] = {
    STRING: (str,),
    INTEGER: (int,),
    BOOLEAN: (bool,),
    USER: (User,),
    CHANNEL: (Channel,),
    ROLE: (Role,),
    MENTIONABLE: (User, Role),
    NUMBER: (int, float),
}


def check_commands(form: Form, value: object) -> list[Json]:
    """Check the body of a bulk overwrite: at most 100 commands, each with its own name."""
    commands = form.items("", value, 100)
    names: set[object] = set()
    for i, command in enumerate(commands):
        command = form.record(f"{i}", command, _COMMAND)
        if command.get("type", 1) != 1:
            form.wrong(f"{i}.type", "NOT_MODELLED", "This fake models slash commands only.")
        _check_name(form, f"{i}.name", command.get("name"))
        form.text(f"{i}.description", command.get("description"), 100)
        _check_options(form, f"{i}.options", command.get("options"), depth=0)
        if sum(_letters(command)) > 8000:
            form.wrong(f"{i}", "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")
        if command.get("name") in names:
            form.wrong(
                f"{i}", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique"
            )
        names.add(command.get("name"))
    return commands


def _check_name(form: Form, path: str, value: object) -> None:
    name = form.text(path, value, 32)
    if any(not _is_name_letter(letter) for letter in name) or name != name.lower():
        form.wrong(path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _is_name_letter(letter: str) -> bool:
    if letter in "-_'" or unicodedata.category(letter)[0] in "LN":
        return True
    return any(ord(letter) in script for script in _SCRIPTS_WITH_MARKS)


def _check_options(form: Form, path: str, value: object, *, depth: int) -> None:
    options = form.items(path, value, 25)
    names: set[object] = set()
    optional_seen = False
    kinds = {option.get("type", 0) <= SUB_COMMAND_GROUP for option in options if isinstance(option, dict)}
    if len(kinds) > 1:
        form.wrong(
            path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-command and value options don't mix"
        )
    for i, option in enumerate(options):
        at = f"{path}.{i}"
        option = form.record(at, option, _OPTION)
        kind = option.get("type")
        _check_name(form, f"{at}.name", option.get("name"))
        form.text(f"{at}.description", option.get("description"), 100)
        if option.get("name") in names:
            form.wrong(
                f"{at}.name", "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists"
            )
        names.add(option.get("name"))
        if kind in (SUB_COMMAND, SUB_COMMAND_GROUP):
            # 0 is the command itself, 2 a group's inside; a sub-command's inside is 1 or 3.
            if depth not in ((0, 2) if kind == SUB_COMMAND else (0,)):
                form.wrong(
                    f"{at}.type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-commands nest no deeper"
                )
            _check_options(form, f"{at}.options", option.get("options"), depth=depth + kind)
            continue
        if kind not in range(STRING, 12):
            form.wrong(f"{at}.type", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, ..., 11).")
        if option.get("required"):
            if optional_seen:
                why = "Required options must be placed before non-required options"
                form.wrong(at, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", why)
        else:
            optional_seen = True
        if check_choices(form, option.get("choices"), f"{at}.choices") and option.get("autocomplete"):
            form.wrong(f"{at}.autocomplete", "BASE_TYPE_CHOICES", "May not be true if choices are present.")
        if option.get("autocomplete") and kind not in (STRING, INTEGER, NUMBER):
            form.wrong(f"{at}.autocomplete", "BASE_TYPE_CHOICES", "Only for texts and numbers.")
        if ("min_length" in option or "max_length" in option) and kind != STRING:
            form.wrong(at, "BASE_TYPE_CHOICES", "min_length and max_length are for texts.")
        if ("min_value" in option or "max_value" in option) and kind not in (INTEGER, NUMBER):
            form.wrong(at, "BASE_TYPE_CHOICES", "min_value and max_value are for numbers.")


def _letters(thing: Json) -> Iterable[int]:
    """Lengths that count towards a command's 8,000: names, descriptions and values, all the way down."""
    for name in ("name", "description", "value"):
        yield len(thing[name]) if isinstance(thing.get(name), str) else 0
    for inner in [*(thing.get("options") or []), *(thing.get("choices") or [])]:
        yield from _letters(inner) if isinstance(inner, dict) else (0,)


def typed(
    command: Json,
    path: list[str],
    given: Mapping[str, object],
    guild: Guild | None,
    focused: tuple[str, str] | None = None,
) -> tuple[list[Json], Json]:
    """The options and resolved objects that Discord sends for `/command path… given`.

    `focused` is the option being typed and its text so far, for an autocomplete. Like Discord's client this
    refuses what the command does not have, wrong kinds and missing required options, with a LookupError or
    ValueError that names the option.
    """
    if path:
        inner = next((o for o in command.get("options") or [] if o["name"] == path[0]), None)
        if inner is None or inner["type"] > SUB_COMMAND_GROUP:
            known = ", ".join(o["name"] for o in command.get("options") or [])
            raise LookupError(f"/{command['name']} has no sub-command {path[0]!r}; it has: {known}")
        options, resolved = typed(inner, path[1:], given, guild, focused)
        return [{"type": inner["type"], "name": inner["name"], "options": options}], resolved
    known_options = {option["name"]: option for option in command.get("options") or []}
    if any(option["type"] <= SUB_COMMAND_GROUP for option in known_options.values()):
        raise LookupError(f"{command['name']} needs one of its sub-commands: {', '.join(known_options)}")
    for name in given:
        if name not in known_options:
            raise LookupError(f"{command['name']} has no option {name!r}; it has: {', '.join(known_options)}")
    for name, option in known_options.items():
        if option.get("required") and name not in given and focused is None:
            raise ValueError(f"{command['name']} requires {name}")
    resolved = {}
    sent = [
        {
            "name": name,
            "type": known_options[name]["type"],
            "value": _value(known_options[name], value, resolved, guild),
        }
        for name, value in given.items()
    ]
    if focused is not None:
        name, text = focused
        if not known_options.get(name, {}).get("autocomplete"):
            raise LookupError(f"{command['name']} completes no option {name!r}")
        sent.append({"name": name, "type": known_options[name]["type"], "value": text, "focused": True})
    return sent, resolved


def _value(option: Json, value: object, resolved: Json, guild: Guild | None) -> object:
    name, kind = option["name"], option["type"]
    if not isinstance(value, type_of_value[kind]) or (isinstance(value, bool) and kind != BOOLEAN):
        raise ValueError(f"{name} does not take {value!r}")
    choices = [choice["value"] for choice in option.get("choices") or []]
    if choices and value not in choices:
        raise ValueError(f"{name} takes one of {choices}, not {value!r}")
    if isinstance(value, str) and not option.get("min_length", 0) <= len(value) <= option.get(
        "max_length", 6000
    ):
        raise ValueError(
            f"{name} takes {option.get('min_length', 0)} to {option.get('max_length', 6000)} characters"
        )
    if isinstance(value, int | float) and not (
        option.get("min_value", value) <= value <= option.get("max_value", value)
    ):
        raise ValueError(f"{name} takes {option.get('min_value')} to {option.get('max_value')}")
    if isinstance(value, User):
        resolved.setdefault("users", {})[str(value.id)] = value.payload()
        if guild is not None and value.id in guild.members:
            member = guild.members[value.id].payload(permissions=guild.permissions(value))
            del member["user"]
            resolved.setdefault("members", {})[str(value.id)] = member
        return str(value.id)
    if isinstance(value, Role):
        resolved.setdefault("roles", {})[str(value.id)] = value.payload()
        return str(value.id)
    if isinstance(value, Channel):
        resolved.setdefault("channels", {})[str(value.id)] = value.payload() | {"permissions": "0"}
        return str(value.id)
    return value
