"""What may stand in the configuration as a value: lengths of time, zones, names, secrets."""

import re
from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bot.domain.errors import BadInput
from bot.domain.hours_text import EXAMPLE as HOURS_EXAMPLE
from bot.domain.hours_text import YEAR_EXAMPLE, days_text, read_days, read_weekly, weekly_text

_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?", re.ASCII)


def duration_of(text: str) -> timedelta:
    """A length of time as it is written: 90s, 15m, 8h, 1d, 1h30m. Raises ValueError, saying how."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise ValueError("write a length of time such as 90s, 15m, 8h or 1d")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError("is longer than anybody waits; write 90s, 15m, 8h or 1d") from None


def _duration(value: object) -> object:
    if isinstance(value, str):
        return duration_of(value)
    if not isinstance(value, timedelta):
        raise ValueError("write a length of time in quotes, such as 90s, 15m, 8h or 1d")
    return value


NO_ZONES = frozenset({"localtime", "Factory", "posixrules", "posix", "right"})
"""Files and folders beside the zones of a machine that read like one: its own setting, a placeholder, the
zones once more."""


def _time_of_day(value: object) -> object:
    if isinstance(value, str):
        found = re.fullmatch(r"(\d\d?):(\d\d)", value.strip(), re.ASCII)
        if found is not None and int(found[1]) < 24 and int(found[2]) < 60:
            return time(int(found[1]), int(found[2]))
    elif isinstance(value, time) and value.tzinfo is None:
        return value
    raise ValueError("write a time of day such as 09:30")


def known_zone(name: str | None) -> str | None:
    """The IANA zone of that name, or None where there is none."""
    if not name or name.partition("/")[0] in NO_ZONES:
        return None
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _zone(value: str) -> str:
    if known_zone(value) is None:
        raise ValueError("write an IANA time zone such as Europe/Berlin")
    return value


def _week(value: str) -> str:
    try:
        return weekly_text(read_weekly(value)) if value.strip() else ""
    except BadInput:
        raise ValueError(f'write days and, behind them, their times, such as "{HOURS_EXAMPLE}"') from None


def _day_off(value: str) -> str:
    try:
        return days_text(read_days(value, None))
    except BadInput:
        raise ValueError(f'write one date or two, and a label if wanted, such as "{YEAR_EXAMPLE}"') from None


def _identity(value: str) -> str:
    if not re.fullmatch(r"[a-z]+:[^:\s]+:[^:\s]+", value):
        raise ValueError("write platform:workspace:person, such as slack:T012AB3CD:U012AB3CD")
    return value


def _slug(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", value):
        raise ValueError("write up to 32 small letters, digits and hyphens, such as billing-eu")
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("is empty; write the secret, or leave the key out")
    return value


def _known_commands(value: Mapping[str, str]) -> Mapping[str, str]:
    for command in value:
        if command not in COMMANDS:
            raise ValueError(f'there is no command "{command[:32]}" to name; known: {", ".join(COMMANDS)}')
    return value


def refuse_twins(names: Mapping[str, str]) -> None:
    """`names`: what each command is called in the end. Raises ValueError where two are called the same."""
    called = list(names.values())
    twice = next((name for name in called if called.count(name) > 1), None)
    if twice:
        raise ValueError(f'names: two commands would be called "{twice}"; each needs a name of its own')


COMMANDS = ("available", "away", "who", "presence")
"""The commands whose names can be chosen: all others stand below `presence`."""
DISCORD_NAMES: Mapping[str, str] = {command: command for command in COMMANDS}
SLACK_NAMES: Mapping[str, str] = {**DISCORD_NAMES, "away": "brb", "who": "whosin"}
"""What commands are called if nothing else is chosen; Slack keeps `/away` and `/who` for itself."""
Secret = Annotated[SecretStr, AfterValidator(_secret), Field(examples=["…"])]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
Zone = Annotated[str, AfterValidator(_zone), Field(examples=["Europe/Berlin"])]
Week = Annotated[str, AfterValidator(_week), Field(examples=[HOURS_EXAMPLE])]
"""Working hours, as `bot.domain.hours_text` reads and writes them."""
DayOffText = Annotated[str, AfterValidator(_day_off), Field(examples=[YEAR_EXAMPLE])]
IdentityName = Annotated[str, AfterValidator(_identity), Field(examples=["slack:T012AB3CD:U012AB3CD"])]
Slug = Annotated[str, AfterValidator(_slug), Field(examples=["billing-eu"])]
Name = Annotated[
    str,
    Field(min_length=1, max_length=80, description="text of 1 to 80 characters", examples=["Billing"]),
]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day), Field(examples=["09:30"])]
PlatformId = Annotated[str, Field(description="an id in quotes", examples=["1174009900000000000"])]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Origin = Annotated[
    str,
    Field(
        pattern=r"^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?$",
        description="an origin as browsers send it: scheme and host in small letters, the port unless it is "
        "the scheme's own, no slash at the end, no *",
        examples=["https://desk.example.org"],
    ),
]
CommandName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9_-]{1,32}$",
        description="up to 32 small letters, digits, hyphens and underscores",
        examples=["support-away"],
    ),
]
CommandNames = Annotated[Mapping[str, CommandName], AfterValidator(_known_commands)]

SLACK_RESERVED = frozenset(
    [
        "active",
        "apps",
        "archive",
        "away",
        "call",
        "collapse",
        "dm",
        "dnd",
        "expand",
        "feed",
        "feedback",
        "huddle",
        "invite",
        "join",
        "kick",
        "leave",
        "me",
        "msg",
        "mute",
        "open",
        "people",
        "prefs",
        "remind",
        "remove",
        "rename",
        "search",
        "shortcuts",
        "shrug",
        "star",
        "status",
        "topic",
        "who",
    ]
)
"""Names Slack keeps for itself; one of them makes it refuse a whole manifest. Put together from
reports, so it may grow."""
