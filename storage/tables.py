"""Every table, once. Statements are built on the lower-case names at the end.

Instants are microseconds since 1970-01-01 UTC, so both engines keep them exactly and compare them
alike; choices are the domain's own words; JSON is text. Every table carries its organization, so
that one can move to a database of its own; only `commit_mark` belongs to the program's threads. Why:
`docs/adr/0002-storage.md`.
"""

from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from bot.domain.agent import Role
from bot.domain.facts import Choice, FeedState, LinkState, Presence

POSITION = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts up by itself only in a column declared INTEGER."""


CLUSTERED = {"sqlite_with_rowid": False}
"""SQLite keeps the row in its key's own tree: one tree less to read and to write."""


class Row(SQLModel):
    """What every table has: names of constraints that migrations can rely on."""

    __table_args__: ClassVar[Any] = CLUSTERED
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


def _one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Organization(Row, table=True):
    id: str = Field(primary_key=True, sa_type=Text)
    slug: str = Field(unique=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)


class Workspace(Row, table=True):
    __table_args__ = (UniqueConstraint("organization_id", "platform", "external_id"), CLUSTERED)
    id: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(foreign_key="organization.id", sa_type=Text)
    platform: str = Field(sa_type=Text)
    external_id: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)


class Team(Row, table=True):
    organization_id: str = Field(foreign_key="organization.id", primary_key=True, sa_type=Text)
    slug: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    color: str = Field(sa_type=Text)
    rank: int = Field(sa_type=SmallInteger)
    """Its place in the configuration."""
    created_at: int = Field(sa_type=BigInteger)
    archived_at: int | None = Field(sa_type=BigInteger)


class Skill(Row, table=True):
    organization_id: str = Field(foreign_key="organization.id", primary_key=True, sa_type=Text)
    slug: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    rank: int = Field(sa_type=SmallInteger)
    created_at: int = Field(sa_type=BigInteger)
    archived_at: int | None = Field(sa_type=BigInteger)


class Agent(Row, table=True):
    __table_args__ = (_one_of("role", Role), CheckConstraint("capacity >= 0", name="capacity"), CLUSTERED)
    id: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(foreign_key="organization.id", index=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    zone: str | None = Field(sa_type=Text)
    zone_by_hand: bool
    role: str = Field(sa_type=Text)
    capacity: int
    removed: bool
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    merged_into: str | None = Field(default=None, sa_type=Text)
    """The agent who goes on for them; their history stays their own."""


class Identity(Row, table=True):
    __table_args__ = (UniqueConstraint("workspace_id", "external_id"), CLUSTERED)
    id: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    agent_id: str = Field(foreign_key="agent.id", index=True, sa_type=Text)
    workspace_id: str = Field(foreign_key="workspace.id", sa_type=Text)
    platform: str = Field(sa_type=Text)
    external_id: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    avatar_url: str = Field(sa_type=Text)
    is_admin: bool
    present: bool
    rank: int = Field(sa_type=SmallInteger)
    """Its place among the agent's: the first one names the agent."""


class Membership(Row, table=True):
    __table_args__ = (
        ForeignKeyConstraint(["organization_id", "team_slug"], ["team.organization_id", "team.slug"]),
        CLUSTERED,
    )
    agent_id: str = Field(foreign_key="agent.id", primary_key=True, sa_type=Text)
    team_slug: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)


class AgentSkill(Row, table=True):
    __tablename__ = "agent_skill"
    __table_args__ = (
        ForeignKeyConstraint(["organization_id", "skill_slug"], ["skill.organization_id", "skill.slug"]),
        CLUSTERED,
    )
    agent_id: str = Field(foreign_key="agent.id", primary_key=True, sa_type=Text)
    skill_slug: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)


class ExternalId(Row, table=True):
    __tablename__ = "external_id"
    organization_id: str = Field(primary_key=True, sa_type=Text)
    system: str = Field(primary_key=True, sa_type=Text)
    external_id: str = Field(primary_key=True, sa_type=Text)
    agent_id: str = Field(foreign_key="agent.id", index=True, sa_type=Text)


class Facts(Row, table=True):
    """All current facts of one agent but the links: one row is read and one is written for a change."""

    __tablename__ = "presence"
    __table_args__ = (
        _one_of("intent_choice", Choice),
        _one_of("base_choice", Choice),
        _one_of("presence", Presence),
        CheckConstraint("version >= 0", name="version"),
        CheckConstraint("base_choice IS NULL OR intent_until_at IS NOT NULL", name="base_under_timed"),
        CheckConstraint(
            "(check_in_identity_id IS NULL) = (check_in_until_at IS NULL)"
            " AND (check_in_identity_id IS NULL) = (check_in_at IS NULL)",
            name="check_in_whole",
        ),
        CheckConstraint("presence_since IS NULL OR presence_since <= since", name="presence_since"),
        CLUSTERED,
    )
    agent_id: str = Field(foreign_key="agent.id", primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    intent_choice: str = Field(sa_type=Text)
    intent_set_at: int = Field(sa_type=BigInteger)
    intent_by: str = Field(sa_type=Text)
    intent_reason: str = Field(sa_type=Text)
    intent_until_at: int | None = Field(sa_type=BigInteger)
    base_choice: str | None = Field(sa_type=Text)
    base_set_at: int | None = Field(sa_type=BigInteger)
    base_by: str | None = Field(sa_type=Text)
    base_reason: str | None = Field(sa_type=Text)
    check_in_identity_id: str | None = Field(sa_type=Text)
    check_in_at: int | None = Field(sa_type=BigInteger)
    check_in_until_at: int | None = Field(sa_type=BigInteger)
    check_in_warned: bool
    presence: str = Field(sa_type=Text)
    since: int = Field(sa_type=BigInteger)
    reason: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    note: str = Field(sa_type=Text)
    confirmed: bool
    presence_since: int | None = Field(sa_type=BigInteger)
    acted_at: int | None = Field(sa_type=BigInteger)
    last_seen_at: int | None = Field(sa_type=BigInteger)
    asked_at: int | None = Field(sa_type=BigInteger)
    return_asked_on: str | None = Field(sa_type=Text)
    """An ISO date."""
    reviewed_at: int | None = Field(sa_type=BigInteger)
    intent_reason_code: str | None = Field(sa_type=Text)
    base_reason_code: str | None = Field(sa_type=Text)
    reason_code: str | None = Field(sa_type=Text)
    """The interval's; no code is NULL."""


class Link(Row, table=True):
    __table_args__ = (_one_of("state", LinkState), CLUSTERED)
    identity_id: str = Field(foreign_key="identity.id", primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    agent_id: str = Field(foreign_key="agent.id", index=True, sa_type=Text)
    feed_id: str = Field(foreign_key="workspace.id", sa_type=Text)
    state: str = Field(sa_type=Text)
    since: int = Field(sa_type=BigInteger)
    epoch: int = Field(sa_type=BigInteger)
    seq: int = Field(sa_type=BigInteger)
    weak: bool


class ConsoleSession(Row, table=True):
    """A link that is a console's instead of an identity's. Renewals of its lease are not written."""

    __tablename__ = "console_session"
    __table_args__ = (_one_of("state", LinkState), CLUSTERED)
    agent_id: str = Field(foreign_key="agent.id", primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(index=True, sa_type=Text)
    feed_id: str = Field(foreign_key="workspace.id", sa_type=Text)
    state: str = Field(sa_type=Text)
    since: int = Field(sa_type=BigInteger)
    epoch: int = Field(sa_type=BigInteger)
    seq: int = Field(sa_type=BigInteger)
    beat_at: int = Field(sa_type=BigInteger)


class Interval(Row, table=True):
    """History. The open one is also in `presence`, so that reading facts needs no second table."""

    __table_args__ = (
        _one_of("presence", Presence),
        CheckConstraint("ended_at > since", name="forward"),
        Index(
            "ix_interval_open",
            "agent_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_interval_closed",
            "organization_id",
            "ended_at",
            sqlite_where=text("ended_at IS NOT NULL"),
            postgresql_where=text("ended_at IS NOT NULL"),
        ),
        CLUSTERED,
    )
    agent_id: str = Field(foreign_key="agent.id", primary_key=True, sa_type=Text)
    since: int = Field(primary_key=True, sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)
    organization_id: str = Field(sa_type=Text)
    presence: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    note: str = Field(sa_type=Text)
    confirmed: bool
    presence_since: int | None = Field(sa_type=BigInteger)
    reason_code: str | None = Field(sa_type=Text)
    """What an Away was for, by the organization's code; NULL without one."""


class Feed(Row, table=True):
    __table_args__ = (_one_of("state", FeedState), CLUSTERED)
    workspace_id: str = Field(foreign_key="workspace.id", primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    platform: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    epoch: int = Field(sa_type=BigInteger)
    live_at: int = Field(sa_type=BigInteger)
    lost_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    ended: str = Field(sa_type=Text)
    """JSON: the last epochs that are over, each with the instant at which it was lost."""


class LoadReport(Row, table=True):
    __tablename__ = "load_report"
    __table_args__ = (
        CheckConstraint("units >= 0", name="units"),
        Index("ix_load_report_organization_id_expires_at", "organization_id", "expires_at"),
        CLUSTERED,
    )
    agent_id: str = Field(foreign_key="agent.id", primary_key=True, sa_type=Text)
    source: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    units: int
    as_of: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)


class Event(Row, table=True):
    """The outbox. A position is never given twice, not even after the newest rows are deleted."""

    __table_args__ = (
        Index("ix_event_organization_id_position", "organization_id", "position"),
        {"sqlite_autoincrement": True},
    )
    position: int | None = Field(default=None, primary_key=True, sa_type=POSITION)
    id: str = Field(unique=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    agent_id: str | None = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger)
    data: str = Field(sa_type=Text)


class Audit(Row, table=True):
    __table_args__ = (Index("ix_audit_organization_id_at", "organization_id", "at"), CLUSTERED)
    id: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger)
    actor: str = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    data: str = Field(sa_type=Text)


class Notice(Row, table=True):
    __table_args__ = (
        CheckConstraint("outcome IN ('sent', 'expired', 'unreachable')", name="outcome"),
        CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="finished"),
        Index(
            "ix_notice_owed",
            "organization_id",
            "due_at",
            sqlite_where=text("outcome IS NULL"),
            postgresql_where=text("outcome IS NULL"),
        ),
        Index(
            "ix_notice_finished",
            "organization_id",
            "finished_at",
            sqlite_where=text("finished_at IS NOT NULL"),
            postgresql_where=text("finished_at IS NOT NULL"),
        ),
        CLUSTERED,
    )
    id: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(sa_type=Text)
    agent_id: str = Field(foreign_key="agent.id", sa_type=Text)
    told: str = Field(sa_type=Text)
    due_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    attempts: int
    claimed_until: int | None = Field(sa_type=BigInteger)
    outcome: str | None = Field(sa_type=Text)
    finished_at: int | None = Field(sa_type=BigInteger)
    data: str | None = Field(sa_type=Text)
    """JSON, flat."""


class Delivery(Row, table=True):
    """Keys of deliveries that were seen, so that a repetition is known."""

    __table_args__ = (
        Index("ix_delivery_organization_id_keep_until", "organization_id", "keep_until"),
        CLUSTERED,
    )
    organization_id: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    keep_until: int = Field(sa_type=BigInteger)


class LinkCode(Row, table=True):
    """Codes that were asked for on one platform, to be typed on another."""

    __tablename__ = "link_code"
    __table_args__ = (
        CheckConstraint("tries >= 0", name="tries"),
        Index("ix_link_code_organization_id_expires_at", "organization_id", "expires_at"),
        CLUSTERED,
    )
    organization_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(primary_key=True, sa_type=Text)
    """The first half of what is shown; of the second there is only a hash."""
    secret_hash: bytes = Field(sa_type=LargeBinary)
    agent_id: str = Field(foreign_key="agent.id", index=True, sa_type=Text)
    identity_id: str = Field(sa_type=Text)
    expires_at: int = Field(sa_type=BigInteger)
    tries: int
    """Wrong ones."""
    used_at: int | None = Field(sa_type=BigInteger)


class LinkTry(Row, table=True):
    """Wrong codes that somebody typed, until long enough after the last."""

    __tablename__ = "link_try"
    __table_args__ = (
        Index("ix_link_try_organization_id_until_at", "organization_id", "until_at"),
        CLUSTERED,
    )
    organization_id: str = Field(primary_key=True, sa_type=Text)
    person: str = Field(primary_key=True, sa_type=Text)
    tries: int
    until_at: int = Field(sa_type=BigInteger)


class Identify(Row, table=True):
    """Discord's limit counts a bot's identifies, and each organization has a bot of its own."""

    __table_args__ = (
        Index("ix_identify_organization_id_at", "organization_id", "at"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True, sa_type=POSITION)
    organization_id: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger)


class CommitMark(Row, table=True):
    """PostgreSQL: what each working thread committed last, so that a connection lost in the middle of a
    commit leaves no doubt."""

    __tablename__ = "commit_mark"
    worker: str = Field(primary_key=True, sa_type=Text)
    token: str = Field(sa_type=Text)
    marked_at: int = Field(sa_type=BigInteger)
    """By the database's clock."""


class Setting(Row, table=True):
    """Small memories. The organization '' stands for the database itself."""

    organization_id: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    value: str = Field(sa_type=Text)
    updated_at: int = Field(sa_type=BigInteger)


class SummaryPost(Row, table=True):
    __tablename__ = "summary_post"
    __table_args__ = (
        Index("ix_summary_post_organization_id_claimed_until", "organization_id", "claimed_until"),
        CLUSTERED,
    )
    organization_id: str = Field(primary_key=True, sa_type=Text)
    schedule: str = Field(primary_key=True, sa_type=Text)
    slot: str = Field(primary_key=True, sa_type=Text)
    claimed_until: int = Field(sa_type=BigInteger)
    begun: bool
    message_id: str | None = Field(sa_type=Text)
    outcome: str | None = Field(sa_type=Text)
    finished_at: int | None = Field(sa_type=BigInteger)


class ApiKey(Row, table=True):
    __tablename__ = "api_key"
    id: str = Field(primary_key=True, sa_type=Text)
    organization_id: str = Field(foreign_key="organization.id", index=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Text)
    """A JSON list."""
    secret_hash: bytes = Field(sa_type=LargeBinary)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(sa_type=BigInteger)
    last_used_at: int | None = Field(sa_type=BigInteger)


def _table(name: str) -> Table:
    return Row.metadata.tables[name]


organization = _table("organization")
workspace = _table("workspace")
team = _table("team")
skill = _table("skill")
agent = _table("agent")
identity = _table("identity")
membership = _table("membership")
agent_skill = _table("agent_skill")
external_id = _table("external_id")
presence = _table("presence")
link = _table("link")
console_session = _table("console_session")
interval = _table("interval")
feed = _table("feed")
load_report = _table("load_report")
event = _table("event")
audit = _table("audit")
notice = _table("notice")
delivery = _table("delivery")
link_code = _table("link_code")
link_try = _table("link_try")
identify = _table("identify")
commit_mark = _table("commit_mark")
setting = _table("setting")
summary_post = _table("summary_post")
api_key = _table("api_key")
