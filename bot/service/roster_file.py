"""The roster as a TOML file: teams, skills, and agents with their accounts (`docs/operations.md`).

An account is written `platform:workspace:person`, by the platform's own ids; a colon, a percent sign or
white space within one of the three is written %3A, %25, … What is left out of an agent stays as it is.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, unquote

from pydantic import AfterValidator, Field, model_validator

from bot.config import ConfigError, Table, Zone, read_table
from bot.config.values import DayOffText, Name, Slug, Week
from bot.domain.agent import Agent, Skill, Team, Workspace
from bot.domain.errors import BadInput
from bot.domain.hours import Hours
from bot.domain.hours_set import MOST_DAYS_OFF, or_none
from bot.domain.hours_text import days_text, read_days, read_weekly, weekly_text
from bot.message import words

MOST_CHATS = 100
LONGEST_NAME = 80
"""Graphemes of an agent's name, as platforms' names are cut."""
_PART = r"[^:%\s]|%[0-9A-F]{2}"
_ACCOUNT = re.compile(rf"([a-z]+):((?:{_PART})+):((?:{_PART})+)")
_NUMBERED = re.compile(r"^(team|skill|agent)\.(\d+)(?=[.:])")

Account = tuple[str, str, str]
"""Platform, workspace and person, by the platform's own ids."""


def written(platform: str, workspace: str, person: str) -> str:
    """An account as the file names it."""
    return ":".join((platform, _quoted(workspace), _quoted(person)))


def _quoted(part: str) -> str:
    return "".join(quote(letter) if letter in ":%" or letter.isspace() else letter for letter in part)


def account_of(name: str) -> Account:
    """The account that the file names so; it has passed the file's checks."""
    found = _ACCOUNT.fullmatch(name)
    if found is None:
        raise ValueError("no account as the file names one")
    return found[1], unquote(found[2]), unquote(found[3])


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise ValueError("write platform:workspace:person, such as slack:T012AB3CD:U012AB3CD")
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError('name one account or more, such as ["slack:T012AB3CD:U012AB3CD"]')
    return value


def _shown(value: str) -> str:
    one_line = all(letter == " " or not letter.isspace() for letter in value)
    if not value.strip() or not one_line or words(value, LONGEST_NAME).split() != value.split():
        raise ValueError(f"write 1 to {LONGEST_NAME} characters in one line, such as Alex Miller")
    return value


def _systems(value: Mapping[str, str]) -> Mapping[str, str]:
    for system, external_id in value.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", system):
            raise ValueError(
                'name systems by up to 32 small letters, digits and hyphens: { chatwoot = "42" }'
            )
        if not re.fullmatch(r"[^\s/]{1,128}", external_id):
            raise ValueError(
                'write ids of 1 to 128 characters without spaces and slashes: { chatwoot = "42" }'
            )
    return value


class HoursRow(Table):
    """`hours = { zone = "…", weekly = "…", days_off = ["…"] }`; `{}`: none, always."""

    zone: Zone | None = Field(default=None, examples=["Europe/Berlin"])
    weekly: Week = ""
    days_off: tuple[DayOffText, ...] = Field((), max_length=MOST_DAYS_OFF)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.zone is None and (self.weekly or self.days_off):
            raise ValueError('hours need their zone, such as zone = "Europe/Berlin"')
        return self

    def hours(self) -> Hours | None:
        """What it says; None: always."""
        if self.zone is None:
            return None
        week = read_weekly(self.weekly) if self.weekly else ()
        return or_none(Hours(self.zone, week, tuple(sorted({read_days(one, None) for one in self.days_off}))))


def hours_of(row: HoursRow | None, there: Hours | None) -> Hours | None:
    """What a row says of hours; as they are where it says nothing."""
    return there if row is None else row.hours()


class Listed(Table):
    """`[[skill]]`"""

    slug: Slug
    name: Name


class TeamRow(Listed):
    """`[[team]]`"""

    hours: HoursRow | None = None


class AgentRow(Table):
    """`[[agent]]`: somebody, found by any of their accounts."""

    name: Annotated[str, AfterValidator(_shown), Field(examples=["Alex Miller"])]
    """Of somebody new. Whoever is known is called what their platform calls them."""
    accounts: Annotated[
        tuple[Annotated[str, AfterValidator(_account)], ...],
        AfterValidator(_some),
        Field(examples=[["slack:T012AB3CD:U012AB3CD"]]),
    ]
    role: Literal["agent", "lead"] | None = None
    capacity: int | None = Field(None, ge=1, le=MOST_CHATS, examples=[3], strict=True)
    zone: Zone | None = None
    zone_by_hand: bool | None = None
    """True: what a platform says of the zone no longer counts."""
    teams: tuple[Slug, ...] | None = None
    skills: tuple[Slug, ...] | None = None
    external_ids: Annotated[Mapping[str, str], AfterValidator(_systems)] | None = None
    hours: HoursRow | None = None


class RosterFile(Table):
    """The whole file."""

    team: tuple[TeamRow, ...] = ()
    skill: tuple[Listed, ...] = ()
    agent: tuple[AgentRow, ...] = ()

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        for what, rows in (("team", self.team), ("skill", self.skill)):
            _refuse_twice(f"[[{what}]] slug", (row.slug for row in rows))
            _refuse_twice(f"[[{what}]] name", (row.name.casefold() for row in rows))
        _refuse_twice("[[agent]] accounts", (account for row in self.agent for account in row.accounts))
        _refuse_twice(
            "[[agent]] external_ids",
            (f"{system} = {one}" for row in self.agent for system, one in (row.external_ids or {}).items()),
        )
        return self


def _refuse_twice(field: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{field}: {words(value, 60)} stands there twice; each may stand there once")
        seen.add(value)


def read(text: str) -> RosterFile:
    """A checked file. Raises BadInput, which names each fault by table, field, rule and an example."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        where = re.search(r"\(at .*\)", str(problem))
        raise BadInput(f"That is not TOML {where.group() if where else ''}".rstrip() + ".") from None
    try:
        return read_table(RosterFile, table)
    except ConfigError as problem:
        told = [_named(line.removeprefix("configuration: "), table) for line in problem.sentence.split("\n")]
        raise BadInput("\n".join(told)) from None


def _named(line: str, table: Mapping[str, Any]) -> str:
    """`agent.3.capacity: …` as people count and name: `[[agent]] 4 (Alex), capacity: …`."""
    found = _NUMBERED.match(line)
    if found is None:
        return line
    row = table[found[1]][int(found[2])]
    called = row.get("name") if isinstance(row, dict) else None
    name = f" ({words(called, 40)})" if isinstance(called, str) and words(called, 40) else ""
    rest = line[found.end() :]
    return f"[[{found[1]}]] {int(found[2]) + 1}{name}{',' if rest[0] == '.' else ''} {rest[1:].lstrip()}"


def write(
    teams: Sequence[Team],
    skills: Sequence[Skill],
    agents: Sequence[Agent],
    workspaces: Mapping[str, Workspace],
) -> tuple[str, list[Agent]]:
    """The file for a roster, always in the same order, and the agents who have no account to be known by,
    and so are not in it."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("Rollcall's roster: `rollcall apply FILE` makes it so."))
    for key, rows in (("team", teams), ("skill", skills)):
        array = tomlkit.aot()
        for row in rows:
            table = tomlkit.table()
            table.update({"slug": row.slug, "name": row.name})
            if isinstance(row, Team):
                _add_hours(table, row.hours)
            array.append(table)
        if rows:
            document.append(key, array)
    named = [(_accounts(agent, workspaces), agent) for agent in agents]
    array = tomlkit.aot()
    for accounts, agent in sorted(
        (one for one in named if one[0]), key=lambda one: (one[1].name.casefold(), one[0])
    ):
        array.append(_row(agent, accounts))
    if array:
        document.append("agent", array)
    return tomlkit.dumps(document), [agent for accounts, agent in named if not accounts]


def _accounts(agent: Agent, workspaces: Mapping[str, Workspace]) -> list[str]:
    """The first one names the agent, so their order stays."""
    return [
        written(one.platform, workspaces[one.workspace_id].external_id, one.external_id)
        for one in agent.identities
        if one.present
    ]


def _row(agent: Agent, accounts: Sequence[str]) -> Any:
    import tomlkit

    externals = tomlkit.inline_table()
    externals.update(dict(agent.externals))
    row = tomlkit.table()
    row.update({"name": agent.name, "accounts": list(accounts)})
    row.update({"role": agent.role.value, "capacity": agent.capacity})
    if agent.zone is not None:
        row.update({"zone": agent.zone, "zone_by_hand": agent.zone_by_hand})
    row.update({"teams": list(agent.teams), "skills": list(agent.skills)})
    row.append("external_ids", externals)
    _add_hours(row, agent.hours)
    return row


def _add_hours(table: Any, hours: Hours | None) -> None:
    import tomlkit

    if hours is not None:
        said = tomlkit.inline_table()
        said.update({"zone": hours.zone, "weekly": weekly_text(hours.weekly)})
        said.update({"days_off": [days_text(off) for off in hours.days_off]})
        table.append("hours", said)
