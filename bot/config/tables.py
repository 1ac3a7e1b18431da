"""The tables of the configuration: frozen, all checked, each key with its default."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from bot.config.values import (
    DISCORD_NAMES,
    SLACK_NAMES,
    SLACK_RESERVED,
    CommandNames,
    Day,
    Duration,
    IdentityName,
    Name,
    PlatformId,
    Secret,
    Slug,
    TimeOfDay,
    Zone,
    refuse_twins,
)
from bot.domain.facts import OnReturn, Policy, SlackAway
from bot.domain.hints import HintKind, OnHint
from bot.domain.reasons import USUAL, Reasons, twins

ONLY = "default"
"""The slug of an organization that is the only one."""


class Table(BaseModel):
    """A table of the configuration: frozen, unknown keys refused, values never shown in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class OrganizationTable(Table):
    """`[organization]`"""

    slug: Slug = ONLY
    """By what it is known in the database: another slug is another organization."""
    name: Name = "My team"
    zone: Zone = "UTC"
    """Where nobody's own zone is known."""
    leads: tuple[IdentityName, ...] = ()
    """The first leads; more follow from Slack's admins and Discord's Manage Server."""


class DatabaseTable(Table):
    """`[database]`"""

    url: Secret = Field(SecretStr("sqlite:///rollcall.sqlite3"), examples=["sqlite:///rollcall.sqlite3"])
    """`sqlite:///path` or `postgresql://user:password@host/name`."""
    durability: Literal["full", "normal"] = "full"
    """SQLite's synchronous: `normal` may lose the last moments in a power cut."""


AT_LEAST: Mapping[str, tuple[timedelta, str, str]] = {
    "console_grace": (timedelta(seconds=45), "65s", "45s, three beats of 15s"),
    "discord_grace": (timedelta(seconds=5), "60s", "5s, in which Discord's own clients reconnect"),
    "blind_trust": (timedelta(seconds=30), "2m", "30s, in which a connection is made again"),
    "settling": (timedelta(seconds=5), "60s", "5s, in which the first snapshot comes in"),
    "idle_routable": (timedelta(minutes=1), "15m", "1m, or nobody on Slack alone would get chats"),
    "idle_answer": (timedelta(minutes=1), "10m", "1m, to see the question and click"),
    "check_in": (timedelta(minutes=1), "8h", "1m"),
}
"""The least that makes sense of a duration, what is usual, and the least in words with its reason."""


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
    require_reason: bool = False
    """Whoever sets Away says why: a code of `[[reason]]`, or words of their own."""
    in_call: OnHint = OnHint.SHOW
    """What comes of a Slack huddle and, with `discord.voice`, of a Discord voice channel."""
    do_not_disturb: OnHint = OnHint.SHOW
    """What comes of Discord's do-not-disturb and, with `slack.do_not_disturb`, of Slack's."""
    discord_grace: Duration = timedelta(seconds=60)
    console_grace: Duration = timedelta(seconds=65)
    slack_grace: Duration = timedelta(seconds=150)
    """Only where `slack_away` is `absent`; lengthened to two full polling cycles."""
    blind_trust: Duration = timedelta(seconds=120)
    """How long agents are routed on what was last seen; at least two polling cycles."""

    @model_validator(mode="after")
    def _related(self) -> Self:
        for key, (least, usual, why) in AT_LEAST.items():
            if getattr(self, key) < least:
                raise ValueError(f"{key} must be at least {why}, such as {usual}")
        if self.check_in_word >= self.check_in:
            raise ValueError("check_in_word must be shorter than check_in, such as 15m with 8h")
        if self.blind_trust >= self.unobserved:
            raise ValueError("blind_trust must be shorter than unobserved, such as 2m with 8h")
        return self

    def looks_for(self, kind: HintKind) -> bool:
        """Whether platforms shall look for hints of that kind."""
        return self.policy().on_hint(kind) is not OnHint.OFF

    def policy(self) -> Policy:
        """What the domain works by."""
        return Policy(
            **{name: getattr(self, name) for name in Policy.__struct_fields__},
        )


class DiscordTable(Table):
    """`[discord]`: there when the bot shall run in Discord."""

    token: Secret
    guilds: tuple[PlatformId, ...] = ()
    """Guild ids that belong to this team; empty: every guild the bot is in."""
    agent_roles: tuple[PlatformId, ...] = ()
    """Role ids whose holders are enrolled by their first command."""
    presence: bool = True
    """False: no presence intent is asked for, and presence rests on check-ins."""
    voice: bool = False
    """True: Discord is asked who is in a voice channel, which is shown as a call: another intent, and an
    event for each member who comes or goes."""
    base_url: str = Field("", examples=["https://proxy.example.org/api"])
    """Another REST address (a proxy, a test server); empty: Discord's own."""
    gateway_url: str = Field("", examples=["wss://gateway.example.org"])
    names: CommandNames = {}
    """Other names for commands: `available`, `away`, `who`, `presence`."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        refuse_twins({**DISCORD_NAMES, **self.names})
        return self


class SlackTable(Table):
    """`[slack]`: there when the bot shall run in Slack."""

    bot_token: Secret = Field(examples=["xoxb-…"])
    app_token: Secret | None = Field(None, examples=["xapp-…"])
    """For Socket Mode."""
    signing_secret: Secret | None = Field(None, examples=["…"])
    """For HTTP mode."""
    mode: Literal["socket", "http"] = "socket"
    presence: bool = True
    """False: presence is not polled and rests on check-ins."""
    do_not_disturb: bool = False
    """True: Slack is asked who has paused notifications, which takes the scope dnd:read."""
    polls_per_minute: int = Field(45, ge=1, le=50)
    """Slack's Tier 3 allows about 50 a minute for a workspace."""
    base_url: str = Field("", examples=["https://proxy.example.org/api"])
    """Another Web API address (a proxy, a test server); empty: Slack's own."""
    names: CommandNames = {}

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
        refuse_twins({**SLACK_NAMES, **self.names})
        return self


class HttpTable(Table):
    """`[http]`"""

    enabled: bool = True
    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8080, ge=0, le=65535)
    rate_per_minute: int = Field(6000, ge=1)
    """Requests a key may make in a minute before it is told 429."""


class TeamTable(Table):
    """`[[team]]`"""

    slug: Slug
    name: Name
    everyone: bool = False
    """All join it when this is switched on, new agents when they are enrolled."""
    members: tuple[IdentityName, ...] = ()


class SkillTable(Table):
    """`[[skill]]`"""

    slug: Slug
    name: Name
    agents: tuple[IdentityName, ...] = ()


class ReasonTable(Table):
    """`[[reason]]`: a code for what an Away is for. Those given take the place of the usual ones."""

    slug: Slug
    name: Name


class SummaryTable(Table):
    """`[[summary]]`: one summary posted on a schedule."""

    slug: Slug
    team: Slug
    channel: str = Field(
        pattern=r"^[^\s:]+:\S+$", description="platform:channel", examples=["slack:C012AB3CD"]
    )
    """`slack:C012AB3CD`, `discord:guild/channel`, or `name:…` of a platform with a `[platforms.name]`."""
    at: TimeOfDay
    days: tuple[Day, ...] = Field(("mon", "tue", "wed", "thu", "fri"), min_length=1)
    zone: Zone | None = Field(None, examples=["Europe/Berlin"])
    """The organization's, if left out."""


class LogTable(Table):
    """`[log]`"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    form: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, JSON elsewhere."""


class Config(Table):
    """The whole configuration."""

    organization: OrganizationTable = OrganizationTable()
    database: DatabaseTable = DatabaseTable()  # type: ignore[call-arg]  # all have defaults
    presence: PresenceTable = PresenceTable()
    discord: DiscordTable | None = None
    slack: SlackTable | None = None
    http: HttpTable = HttpTable()  # type: ignore[call-arg]  # all have defaults
    log: LogTable = LogTable()
    team: tuple[TeamTable, ...] = ()
    skill: tuple[SkillTable, ...] = ()
    reason: tuple[ReasonTable, ...] = tuple(
        ReasonTable(slug=slug, name=name) for slug, name in USUAL.names.items()
    )
    summary: tuple[SummaryTable, ...] = ()
    platforms: Mapping[str, Mapping[str, Any]] = {}
    """Tables of platforms from outside, checked by themselves."""
    _file: str = PrivateAttr("")

    @property
    def file(self) -> str:
        """How the file was called that it was read from; empty where there was none."""
        return self._file

    def read_from(self, file: str) -> Self:
        """The same, known to be of that file."""
        named = self.model_copy()
        named._file = file
        return named

    def reasons(self) -> Reasons:
        """What the domain recognises codes by."""
        return Reasons({row.slug: row.name for row in self.reason})

    @model_validator(mode="after")
    def _names_are_known_once(self) -> Self:
        for what, rows in (
            ("team", self.team),
            ("skill", self.skill),
            ("reason", self.reason),
            ("summary", self.summary),
        ):
            slugs = [row.slug for row in rows]
            twice = next((slug for slug in slugs if slugs.count(slug) > 1), None)
            if twice:
                raise ValueError(f'[[{what}]] slug "{twice}" stands twice; each must be another')
        if both := twins(self.reasons()):
            raise ValueError(
                f'[[reason]] "{both[0]}" and "{both[1]}" are recognised by the same words; rename one'
            )
        self._somebody_tells()
        teams = {team.slug for team in self.team}
        for summary in self.summary:
            if summary.team not in teams:
                known = ", ".join(sorted(teams)) or "none yet"
                raise ValueError(f'[[summary]] "{summary.slug}" names team "{summary.team}"; known: {known}')
        there = {name for name in ("discord", "slack") if getattr(self, name) is not None} | set(
            self.platforms
        )
        for summary in self.summary:
            platform = summary.channel.partition(":")[0]
            if platform not in there:
                table = f"[{platform}]" if platform in {"discord", "slack"} else "[platforms.…]"
                known = ", ".join(sorted(there)) or "none yet"
                raise ValueError(
                    f'[[summary]] "{summary.slug}" names a channel of a platform without a table; add '
                    f"{table}, or take a platform that has one: {known}"
                )
        return self

    def _somebody_tells(self) -> None:
        """Chats that are to stop while somebody is in a call never would, if nobody told of calls."""
        discord, slack, stops = self.discord, self.slack, OnHint.NO_NEW_CHATS
        if self.platforms or (discord is None and slack is None):
            return
        if self.presence.in_call is stops and slack is None and not (discord and discord.voice):
            raise ValueError(
                'presence.in_call = "no_new_chats" has no effect, because nobody is asked who is in a call; '
                "set discord.voice = true"
            )
        quiet = (slack is not None and slack.do_not_disturb) or (discord is not None and discord.presence)
        if self.presence.do_not_disturb is stops and not quiet:
            key = "slack.do_not_disturb" if slack is not None else "discord.presence"
            raise ValueError(
                'presence.do_not_disturb = "no_new_chats" has no effect, because nobody is asked who is not '
                f"to be disturbed; set {key} = true"
            )
