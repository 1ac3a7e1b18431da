"""What Rollcall answers, as frozen structs. Fields that it adds later are passed over."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")


class Counts(Struct, frozen=True):
    """How many agents there are, by presence."""

    available: int
    away: int
    offline: int


class Hint(Struct, frozen=True):
    """What a platform shows beside the presence of somebody who is logged in."""

    kind: str
    platform: str
    since: datetime


class RoutableAgent(Struct, frozen=True):
    """An agent who may be offered new work now."""

    id: str
    name: str
    since: datetime
    load: int
    load_known: bool
    capacity: int
    teams: tuple[str, ...]
    skills: tuple[str, ...]
    external_ids: Mapping[str, str]
    hints: tuple[Hint, ...]


class Feed(Struct, frozen=True):
    """How fresh a platform's stream of presence is."""

    workspace: str
    platform: str
    state: str
    live_at: datetime | None = None
    lost_at: datetime | None = None


class Trouble(Struct, frozen=True):
    """What is wrong with a platform, and how to repair it."""

    platform: str
    workspace: str | None
    sentence: str
    since: datetime


class Document(Struct, frozen=True, kw_only=True):
    """What is true at an instant."""

    as_of: datetime


class Availability(Document, frozen=True, kw_only=True):
    """Who is routable now, the one to take first at first."""

    team: str | None
    skills: tuple[str, ...]
    open: bool
    next_expected_at: datetime | None
    routable: int
    counts: Counts
    agents: tuple[RoutableAgent, ...]
    feeds: tuple[Feed, ...]
    troubles: tuple[Trouble, ...]


class Identity(Struct, frozen=True):
    """One platform account of an agent."""

    platform: str
    workspace: str
    external_id: str
    name: str
    present: bool


class Console(Struct, frozen=True):
    """A console session that keeps an agent connected."""

    key: str
    since: datetime
    heartbeat_at: datetime


class Agent(Struct, frozen=True):
    """One agent, with presence and load."""

    id: str
    name: str
    presence: str
    since: datetime
    reason: str
    source: str
    note: str
    reason_code: str | None
    until: datetime | None
    confirmed: bool
    unconfirmed_since: datetime | None
    routable: bool
    on_shift: bool
    next_shift_at: datetime | None
    load: int
    load_known: bool
    capacity: int
    teams: tuple[str, ...]
    skills: tuple[str, ...]
    external_ids: Mapping[str, str]
    zone: str | None
    last_seen_at: datetime | None
    identities: tuple[Identity, ...]
    sessions: tuple[Console, ...]
    hints: tuple[Hint, ...]
    role: str
    revision: str


class OneAgent(Agent, frozen=True, kw_only=True):
    """One agent by themselves, with presence and load."""

    as_of: datetime


class AgentPage(Document, frozen=True, kw_only=True):
    """A page of agents."""

    agents: tuple[Agent, ...]
    next_cursor: str | None


class AgentRecord(Document, frozen=True, kw_only=True):
    """An agent as kept, without presence and load."""

    id: str
    name: str
    zone: str | None
    capacity: int
    role: str
    teams: tuple[str, ...]
    skills: tuple[str, ...]
    external_ids: Mapping[str, str]
    identities: tuple[Identity, ...]
    revision: str


class RemovedAgent(Document, frozen=True, kw_only=True):
    """Somebody who is no longer an agent."""

    agent_id: str
    removed: bool


class Reason(Struct, frozen=True):
    """One reason why an agent may not be offered new work."""

    code: str
    sentence: str


class Eligibility(Document, frozen=True, kw_only=True):
    """Whether an agent may be offered new work now, and every reason if not."""

    agent_id: str
    team: str | None
    skills: tuple[str, ...]
    routable: bool
    reasons: tuple[Reason, ...]
    reason_code: str | None


class Interval(Struct, frozen=True):
    """A stretch of time in which nothing about the presence changed; `until` None: it stands."""

    presence: str
    since: datetime
    until: datetime | None
    reason: str
    source: str
    note: str
    confirmed: bool
    reason_code: str | None


class History(Document, frozen=True, kw_only=True):
    """A page of intervals, the oldest first."""

    agent_id: str
    intervals: tuple[Interval, ...]
    next_cursor: str | None


class SetPresence(Document, frozen=True, kw_only=True):
    """An agent's presence after it was set."""

    agent_id: str
    changed: bool
    presence: str
    chosen: str
    until: datetime | None
    reason: str
    reason_code: str | None
    sentence: str


class Session(Document, frozen=True, kw_only=True):
    """A console session after a heartbeat or a logout."""

    agent_id: str
    key: str
    open: bool
    reopened: bool
    since: datetime | None
    expires_at: datetime | None
    beat_every_s: int


class Load(Document, frozen=True, kw_only=True):
    """An agent's load after a report."""

    agent_id: str
    kept: bool
    load: int
    load_known: bool
    capacity: int
    expires_at: datetime | None


class ExternalIds(Document, frozen=True, kw_only=True):
    """How other systems name an agent."""

    agent_id: str
    external_ids: Mapping[str, str]


class Team(Struct, frozen=True):
    """A team, and how it stands."""

    slug: str
    name: str
    color: str
    aliases: tuple[str, ...]
    revision: str
    open: bool
    next_expected_at: datetime | None
    routable: int
    counts: Counts


class OneTeam(Team, frozen=True, kw_only=True):
    """A team by itself, and how it stands."""

    as_of: datetime


class Skill(Struct, frozen=True):
    """A skill, and how those who have it stand."""

    slug: str
    name: str
    aliases: tuple[str, ...]
    revision: str
    routable: int
    counts: Counts


class OneSkill(Skill, frozen=True, kw_only=True):
    """A skill by itself, and how those who have it stand."""

    as_of: datetime


class Teams(Document, frozen=True, kw_only=True):
    """A page of teams."""

    teams: tuple[Team, ...]
    next_cursor: str | None


class Skills(Document, frozen=True, kw_only=True):
    """A page of skills."""

    skills: tuple[Skill, ...]
    next_cursor: str | None


class TeamRecord(Document, frozen=True, kw_only=True):
    """A team or a skill as kept."""

    slug: str
    name: str
    color: str | None
    aliases: tuple[str, ...]
    revision: str


class DayOff(Struct, frozen=True):
    """Local dates, both inclusive."""

    first: date
    last: date
    label: str


class Hours(Document, frozen=True, kw_only=True):
    """Working hours of an agent or a team; without a zone there are none."""

    of: str
    zone: str | None
    weekly: str
    days_off: tuple[DayOff, ...]
    open: bool
    changes_at: datetime | None


class Deed(Struct, frozen=True):
    """Who did what to whom."""

    id: str
    at: datetime
    actor: str
    action: str
    subject: str
    data: Mapping[str, str | int | bool | None]


class AuditPage(Document, frozen=True, kw_only=True):
    """Entries of the audit, the oldest first; `last` goes on as `after`."""

    entries: tuple[Deed, ...]
    last: str | None
    more: bool


class ApiKey(Struct, frozen=True):
    """A key, without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    teams: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    old_secret_until: datetime | None
    revoked_at: datetime | None


class RevokedKey(ApiKey, frozen=True, kw_only=True):
    """A key that was ended."""

    as_of: datetime


class KeyMade(Document, frozen=True, kw_only=True):
    """A key with its text, which is told this once."""

    id: str
    key: str | None
    name: str
    scopes: tuple[str, ...]
    teams: tuple[str, ...]
    expires_at: datetime | None
    old_secret_until: datetime | None


class Keys(Document, frozen=True, kw_only=True):
    """A page of keys."""

    keys: tuple[ApiKey, ...]
    next_cursor: str | None


class Event(Struct, frozen=True):
    """One change."""

    position: str
    id: str
    type: str
    agent_id: str | None
    at: datetime
    data: Mapping[str, str | int | bool | None]


class Reset(Struct, frozen=True):
    """Something is lost between what is known and this position: read anew how things stand."""

    position: str
    reason: str


class EventPage(Document, frozen=True, kw_only=True):
    """Events behind a position."""

    events: tuple[Event, ...]
    last: str
    more: bool
    reset: bool
