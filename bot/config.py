"""The configuration: TOML, then environment `ROLLCALL_…` with `__`, then secret files; frozen, all checked.

Unknown keys are refused by name with the nearest right one, and no error ever shows a value that
may be a secret.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from bot.domain.errors import RollcallError
from bot.domain.facts import OnReturn, Policy, SlackAway

T = TypeVar("T", bound="Table")
_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?")
ENVIRONMENT_PREFIX = "ROLLCALL_"


class ConfigError(RollcallError):
    """The configuration can't be used; every fault is named, with its key and an example."""

    code = "config"


def _duration(value: object) -> object:
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None or not any(found.groups()):
            raise ValueError("write a length of time such as 90s, 15m, 8h or 1d")
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not isinstance(value, timedelta):
        raise ValueError("write a length of time in quotes, such as 90s, 15m, 8h or 1d")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("write an IANA time zone such as Europe/Berlin") from None
    return value


def _identity(value: str) -> str:
    if not re.fullmatch(r"[a-z]+:[^:\s]+:[^:\s]+", value):
        raise ValueError("write platform:workspace:person, such as slack:T012AB3CD:U012AB3CD")
    return value


def _slug(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", value):
        raise ValueError("write up to 32 small letters, digits and hyphens, such as billing-eu")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
Zone = Annotated[str, AfterValidator(_zone)]
IdentityName = Annotated[str, AfterValidator(_identity)]
Slug = Annotated[str, AfterValidator(_slug)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
CommandName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]

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


class Table(BaseModel):
    """A table of the configuration: frozen, unknown keys refused, values never shown in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class OrganizationTable(Table):
    """`[organization]`"""

    name: str = Field("My team", min_length=1, max_length=80)
    zone: Zone = "UTC"
    """Where nobody's own zone is known."""
    leads: tuple[IdentityName, ...] = ()
    """The first leads; more follow from Slack's admins and Discord's Manage Server."""


class DatabaseTable(Table):
    """`[database]`"""

    url: SecretStr = SecretStr("sqlite:///rollcall.sqlite3")
    """`sqlite:///path` or `postgresql://user:password@host/name`."""
    durability: Literal["full", "normal"] = "full"
    """SQLite's synchronous: `normal` may lose the last moments in a power cut."""


class PresenceTable(Table):
    """`[presence]`: every duration with its reason in docs/presence.md."""

    check_in: Duration = timedelta(hours=8)
    check_in_word: Duration = timedelta(minutes=15)
    idle_routable: Duration = timedelta(minutes=15)
    idle_answer: Duration = timedelta(minutes=10)
    unobserved: Duration = timedelta(hours=8)
    settling: Duration = timedelta(seconds=60)
    resume_gap: Duration = timedelta(minutes=30)
    restore_within: Duration = timedelta(hours=2)
    on_return: OnReturn = OnReturn.ASK
    slack_away: SlackAway = SlackAway.WEAK
    discord_grace: Duration = timedelta(seconds=60)
    console_grace: Duration = timedelta(seconds=65)
    slack_grace: Duration = timedelta(seconds=150)
    """Only where `slack_away` is `absent`; lengthened to two full polling cycles."""
    blind_trust: Duration = timedelta(seconds=120)
    """How long agents are routed on what was last seen; at least two polling cycles."""

    @model_validator(mode="after")
    def _related(self) -> Self:
        beats = timedelta(seconds=45)
        if self.console_grace < beats:
            raise ValueError("console_grace must be at least three beats of 15s: 45s or more, such as 65s")
        if self.check_in_word >= self.check_in:
            raise ValueError("check_in_word must be shorter than check_in, such as 15m with 8h")
        if self.blind_trust >= self.unobserved:
            raise ValueError("blind_trust must be shorter than unobserved, such as 2m with 8h")
        if self.check_in < timedelta(minutes=1):
            raise ValueError("check_in must be at least 1m, such as 8h")
        return self

    def policy(self) -> Policy:
        """What the domain works by."""
        return Policy(
            **{name: getattr(self, name) for name in Policy.__struct_fields__},
        )


class DiscordTable(Table):
    """`[discord]`: there when the bot shall run in Discord."""

    token: SecretStr
    guilds: tuple[str, ...] = ()
    """Guild ids that belong to this team; empty: every guild the bot is in."""
    agent_roles: tuple[str, ...] = ()
    """Role ids whose holders are enrolled by their first command."""
    presence: bool = True
    """False: no presence intent is asked for, and presence rests on check-ins."""
    base_url: str = ""
    """Another REST address (a proxy, a test server); empty: Discord's own."""
    gateway_url: str = ""
    names: Mapping[str, CommandName] = {}
    """Other names for commands: `available`, `away`, `who`, `presence`."""


class SlackTable(Table):
    """`[slack]`: there when the bot shall run in Slack."""

    bot_token: SecretStr
    app_token: SecretStr | None = None
    """For Socket Mode."""
    signing_secret: SecretStr | None = None
    """For HTTP mode."""
    mode: Literal["socket", "http"] = "socket"
    presence: bool = True
    """False: presence is not polled and rests on check-ins."""
    polls_per_minute: int = Field(45, ge=1, le=50)
    """Slack's Tier 3 allows about 50 a minute for a workspace."""
    base_url: str = ""
    """Another Web API address (a proxy, a test server); empty: Slack's own."""
    names: Mapping[str, CommandName] = {}

    @model_validator(mode="after")
    def _mode_has_its_secret(self) -> Self:
        if self.mode == "socket" and self.app_token is None:
            raise ValueError('app_token is needed for mode = "socket": an app-level token, xapp-…')
        if self.mode == "http" and self.signing_secret is None:
            raise ValueError('signing_secret is needed for mode = "http": from Slack\'s Basic Information')
        for command, name in self.names.items():
            if name in SLACK_RESERVED:
                raise ValueError(
                    f'names.{command} = "{name}": Slack keeps /{name} for itself and would refuse the whole '
                    f'manifest; take another, such as "support-{name}"'
                )
        return self


class HttpTable(Table):
    """`[http]`"""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    rate_per_minute: int = Field(6000, ge=1)
    """Requests a key may make in a minute before it is told 429."""


class TeamTable(Table):
    """`[[team]]`"""

    slug: Slug
    name: str = Field(min_length=1, max_length=80)
    everyone: bool = False
    """New agents join it when they are enrolled."""
    members: tuple[IdentityName, ...] = ()


class SkillTable(Table):
    """`[[skill]]`"""

    slug: Slug
    name: str = Field(min_length=1, max_length=80)
    agents: tuple[IdentityName, ...] = ()


class SummaryTable(Table):
    """`[[summary]]`: one summary posted on a schedule."""

    slug: Slug
    team: Slug
    channel: str = Field(pattern=r"^(slack|discord|console):\S+$")
    """`slack:C012AB3CD` or `discord:guild/channel`."""
    at: time
    days: tuple[Day, ...] = Field(("mon", "tue", "wed", "thu", "fri"), min_length=1)
    zone: Zone | None = None
    """The organization's, if left out."""


class LogTable(Table):
    """`[log]`"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    form: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, JSON elsewhere."""


class Config(Table):
    """The whole configuration."""

    organization: OrganizationTable = OrganizationTable()  # type: ignore[call-arg]  # all have defaults
    database: DatabaseTable = DatabaseTable()
    presence: PresenceTable = PresenceTable()
    discord: DiscordTable | None = None
    slack: SlackTable | None = None
    http: HttpTable = HttpTable()  # type: ignore[call-arg]  # all have defaults
    log: LogTable = LogTable()
    team: tuple[TeamTable, ...] = ()
    skill: tuple[SkillTable, ...] = ()
    summary: tuple[SummaryTable, ...] = ()
    platforms: Mapping[str, Mapping[str, Any]] = {}
    """Tables of platforms from outside, checked by themselves."""

    @model_validator(mode="after")
    def _names_are_known_once(self) -> Self:
        for what, rows in (("team", self.team), ("skill", self.skill), ("summary", self.summary)):
            slugs = [row.slug for row in rows]
            twice = next((slug for slug in slugs if slugs.count(slug) > 1), None)
            if twice:
                raise ValueError(f'[[{what}]] slug "{twice}" stands twice; each must be another')
        teams = {team.slug for team in self.team}
        for summary in self.summary:
            if summary.team not in teams:
                known = ", ".join(sorted(teams)) or "none yet"
                raise ValueError(f'[[summary]] "{summary.slug}" names team "{summary.team}"; known: {known}')
        return self


def load_config(path: Path | None, environment: Mapping[str, str] | None = None) -> Config:
    """Read a TOML file (None: none), lay the environment over it, read secret files, check all.

    `ROLLCALL_SLACK__BOT_TOKEN=…` sets `slack.bot_token`; `slack.bot_token_file = "/run/secrets/…"`
    reads it. Raises ConfigError, which names each fault and never shows a value.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"There is no configuration file {path}.") from None
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigError(
                f"The configuration file {path} can't be read: {type(problem).__name__}."
            ) from None
        except tomllib.TOMLDecodeError as problem:
            where = re.search(r"\(at line \d+, column \d+\)", str(problem))
            raise ConfigError(f"{path} is not TOML {where.group() if where else ''}".rstrip() + ".") from None
    _lay_over(table, os.environ if environment is None else environment)
    _read_secret_files(table, path.parent if path else Path())
    return read_table(Config, table)


def read_table(model: type[T], table: Mapping[str, Any], name: str = "") -> T:
    """Check a table of the configuration; `name` is how it is called there. Platforms from outside
    read their own `[platforms.…]` by it. Raises ConfigError, which never shows a value."""
    try:
        return model.model_validate(dict(table))
    except ValidationError as problems:
        raise ConfigError("\n".join(_told(problems, model, name))) from None


def _lay_over(table: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        place = table
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{name} can't be set: {key} is a list; write it in the file.")
        value: Any = environment[name]
        if value[:1] in "[{":
            try:
                value = tomllib.loads(f"value = {value}")["value"]
            except tomllib.TOMLDecodeError:
                raise ConfigError(f'{name} is not a TOML list, such as ["a", "b"].') from None
        place[keys[-1]] = value


def _read_secret_files(table: dict[str, Any], beside: Path) -> None:
    for name, part in table.items():
        if not isinstance(part, dict):
            continue
        for key in [key for key in part if key.endswith("_file")]:
            file = beside / str(part.pop(key))
            wanted = key.removesuffix("_file")
            if wanted in part:
                raise ConfigError(f"{name}.{wanted} and {name}.{key} are both set; keep one.")
            try:
                part[wanted] = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as problem:
                raise ConfigError(f"{name}.{key}: {file} can't be read: {type(problem).__name__}.") from None


def _told(problems: ValidationError, model: type[Table], name: str) -> list[str]:
    """One sentence a fault: the key, the rule, and for an unknown key the nearest right one."""
    told = []
    for problem in problems.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(str(step) for step in (*([name] if name else []), *problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = _known_keys(model, problem["loc"][:-1])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}."
            told.append(f"{where} is not a key; {hint}")
        elif problem["type"] == "missing":
            told.append(f"{where} is missing.")
        else:
            told.append(f"{where or 'configuration'}: {problem['msg'].removeprefix('Value error, ')}.")
    return told


def _known_keys(model: Any, steps: tuple[int | str, ...]) -> list[str]:
    for step in steps:
        if isinstance(step, int):
            continue
        field = model.model_fields[step]
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
