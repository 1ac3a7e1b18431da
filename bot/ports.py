"""Every port on one page: what the core asks of storage, time and platforms, and what platforms ask of it.

Storage operations are synchronous functions of a `Transaction`; a `Store` runs each as one
transaction, wherever its engine wants it run, and answers when it is durable.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from bot.config import Config
from bot.domain.agent import Agent, Identity, Skill, Team, Workspace
from bot.domain.events import AuditEntry, Event
from bot.domain.facts import Facts, Feed, FeedState, Interval, Seen
from bot.domain.hints import HintKind
from bot.message import Message

T = TypeVar("T")
AsgiApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


# --- time ----------------------------------------------------------------------------------------


class Clock(Protocol):
    """Where time comes from; only `adapters/clock.py` and tests implement it."""

    def now(self) -> datetime:
        """Aware UTC, microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for lengths of time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds of this clock's time."""
        ...


RESTORED_FROM = "restored_from"
"""The database's own setting (of no organization) that names the backup it was restored from, until a
start has told of it."""
EVENTS_FORGOTTEN = "events_forgotten"
"""The organization's setting that holds the position of the last event it has forgotten: who resumes
before it has missed some (I12)."""
EVENTS_MARK = "events_mark"
"""The organization's setting that tells positions given since a backup was restored from those that were
given before, some of them twice."""

# --- storage -------------------------------------------------------------------------------------


class ApiKey(Struct, frozen=True):
    """A key as it is kept: the secret only as a hash."""

    id: str
    organization_id: str
    name: str
    scopes: tuple[str, ...]
    secret_hash: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class Load(Struct, frozen=True, gc=False):
    """Units of work another system says an agent holds, true until `expires_at`."""

    agent_id: str
    source: str
    units: int
    as_of: datetime
    expires_at: datetime


class StoredFeed(Struct, frozen=True):
    """A feed as it is kept: without the times that the configuration gives it."""

    id: str
    state: FeedState
    epoch: int
    live_at: datetime
    lost_at: datetime
    seen_at: datetime
    """When it was last noted that it is live."""
    ended: tuple[tuple[int, datetime], ...] = ()


ACCOUNT = "account"
"""In a notice's data: the one identity that it is said to; without it, where the agent can be reached."""


class NoticeRow(Struct, frozen=True):
    """A direct message that is owed to an agent; written with the change that causes it."""

    id: str
    organization_id: str
    agent_id: str
    told: str
    due_at: datetime
    expires_at: datetime
    attempts: int = 0
    data: Mapping[str, str] = {}
    """What the message says beyond how things are when it is sent; see `bot.told`."""


class Members(Protocol):
    """Organizations, workspaces, agents with their identities, teams and skills."""

    def organization(self, slug: str) -> str | None:
        """The id of the organization of that slug, if there is one."""
        ...

    def organizations(self) -> Sequence[str]:
        """The ids of all in this database, whether or not they are served; the oldest first."""
        ...

    def ensure_organization(self, slug: str, name: str, now: datetime) -> str: ...
    def ensure_workspace(
        self, organization_id: str, platform: str, external_id: str, name: str, now: datetime
    ) -> Workspace: ...
    def workspaces(self, organization_id: str) -> Sequence[Workspace]: ...
    def agent(self, agent_id: str) -> Agent | None: ...
    def by_identity(self, workspace_id: str, external_id: str) -> Agent | None:
        """Also a removed one: removal is sticky."""
        ...

    def by_external(self, organization_id: str, system: str, external_id: str) -> Agent | None: ...
    def add(self, agent: Agent, facts: Facts, now: datetime) -> None:
        """A new agent with identities, teams, skills and facts, its first interval opened."""
        ...

    def save(self, agent: Agent, now: datetime) -> None:
        """The agent as it now is: profile, identities, teams, skills, external ids."""
        ...

    def teams(self, organization_id: str) -> Sequence[Team]: ...
    def skills(self, organization_id: str) -> Sequence[Skill]: ...
    def save_teams(self, organization_id: str, teams: Sequence[Team], now: datetime) -> None:
        """These are the teams: others are archived, their history stays."""
        ...

    def save_skills(self, organization_id: str, skills: Sequence[Skill], now: datetime) -> None: ...
    def save_team(self, organization_id: str, team: Team, now: datetime) -> None:
        """One team, new (then the last of the list) or by its slug as it now is; no other is touched."""
        ...

    def save_skill(self, organization_id: str, skill: Skill, now: datetime) -> None: ...
    def everyone(self, organization_id: str) -> Iterable[tuple[Agent, Facts]]:
        """All agents with their facts, the removed ones left out; a few statements in all."""
        ...


class PresenceStore(Protocol):
    """Facts and the intervals they came to."""

    def facts(self, agent_id: str) -> Facts | None: ...
    def save(self, before: Facts, after: Facts, intervals: Sequence[Interval]) -> Facts:
        """Write what differs, `intervals` being those opened since `before` in order (each closes
        its predecessor at its own `since`). Answers `after` with its new version.

        Raises Conflict when the stored version is not `before.version`.
        """
        ...

    def history(
        self, agent_ids: Sequence[str], since: datetime, until: datetime
    ) -> Mapping[str, Sequence[tuple[Interval, datetime | None]]]:
        """Intervals that touch [since, until), each with its end (None: still open), oldest first."""
        ...

    def feeds(self, organization_id: str) -> Sequence[StoredFeed]:
        """Every feed ever had."""
        ...

    def save_feed(self, organization_id: str, feed: Feed, seen_at: datetime) -> None: ...
    def put_load(self, organization_id: str, load: Load) -> bool:
        """False when a report with a later `as_of` is already kept for that agent and source."""
        ...

    def loads(self, organization_id: str, now: datetime) -> Sequence[Load]:
        """Unexpired ones."""
        ...


class Ledger(Protocol):
    """What is written beside a change, in its transaction, and small memories."""

    def events(self, events: Sequence[Event]) -> None:
        """Into the outbox; positions follow commit order within an organization."""
        ...

    def events_after(
        self, organization_id: str, position: int, limit: int
    ) -> Sequence[tuple[int, Event]]: ...
    def newest_events(self, organization_id: str, limit: int) -> Sequence[tuple[int, Event]]:
        """The newest ones with their positions, the oldest of them first."""
        ...

    def audit(self, entry: AuditEntry) -> None: ...
    def notice(self, notice: NoticeRow) -> None: ...
    def due_notices(self, organization_id: str, now: datetime, limit: int) -> Sequence[NoticeRow]:
        """Owed and due; claimed until `now` + 60 s so that no other process sends them too."""
        ...

    def finish_notice(self, notice_id: str, outcome: str, now: datetime) -> None:
        """`sent`, `expired` or `unreachable`: it is owed no longer."""
        ...

    def retry_notice(self, notice_id: str, due_at: datetime) -> None: ...
    def first_time(self, organization_id: str, key: str, now: datetime, keep_until: datetime) -> bool:
        """True once for a key, until `keep_until`: removes duplicates of deliveries across restarts."""
        ...

    def forget(self, organization_id: str, now: datetime) -> bool:
        """Delete what has been kept for long enough, at most some hundreds of rows; for about once a
        minute. True: there is more, so call again soon."""
        ...

    def count_identify(self, organization_id: str, now: datetime) -> int:
        """Identifies of the organization's bot in the 24 h before `now`."""
        ...

    def add_identify(self, organization_id: str, now: datetime) -> None: ...
    def setting(self, organization_id: str, key: str) -> str | None: ...
    def put_setting(self, organization_id: str, key: str, value: str, now: datetime) -> None: ...
    def claim_summary(self, organization_id: str, schedule: str, slot: str, now: datetime) -> bool:
        """True for the one caller that may post this slot: a new row, or one whose claim has lapsed
        (5 minutes, or `release_summary`'s `until`) and that was never finished nor begun to be sent."""
        ...

    def begin_summary(self, organization_id: str, schedule: str, slot: str) -> None:
        """About to post: from here on a crash means "perhaps posted", and it is not posted again."""
        ...

    def release_summary(self, organization_id: str, schedule: str, slot: str, until: datetime) -> None:
        """It was certainly not posted: it may be claimed again after `until`, also by another process."""
        ...

    def finish_summary(
        self,
        organization_id: str,
        schedule: str,
        slot: str,
        outcome: str,
        now: datetime,
        message_id: str | None = None,
    ) -> None:
        """The slot is over: `posted`, `refused`, `late` or `unknown` (perhaps posted)."""
        ...

    def add_key(self, key: ApiKey) -> None: ...
    def keys(self, organization_id: str | None = None) -> Sequence[ApiKey]: ...
    def revoke_key(self, key_id: str, now: datetime) -> bool: ...
    def touch_keys(self, used: Mapping[str, datetime]) -> None: ...


class LinkCode(Struct, frozen=True):
    """A code that makes whoever types it one agent with whoever asked for it: `docs/linking.md`."""

    organization_id: str
    name: str
    """Its first half; of the second there is only the hash."""
    secret_hash: bytes
    agent_id: str
    identity_id: str
    """Where it was asked for."""
    expires_at: datetime


class Linking(Protocol):
    """Codes by which two accounts come to be one agent, and who typed wrong ones."""

    def put(self, code: LinkCode) -> bool:
        """Keep it; the agent's codes before it are void. False: another agent's has that name."""
        ...

    def code(self, organization_id: str, name: str, now: datetime, most: int) -> LinkCode | None:
        """One that may still be used: in time, not used, and with fewer than `most` wrong tries."""
        ...

    def use(self, code: LinkCode, now: datetime, most: int) -> bool:
        """True for the one caller who may: it cannot be used again."""
        ...

    def missed(self, organization_id: str, name: str) -> None:
        """A wrong try at the code of that name, if there is one."""
        ...

    def may_try(
        self, organization_id: str, person: str, now: datetime, until_at: datetime, most: int
    ) -> bool:
        """Counts a try of that person's; False where there were `most` that count until later than now."""
        ...

    def forgive(self, organization_id: str, person: str) -> None:
        """The person's tries count no longer."""
        ...

    def absorbed(self, agent_id: str, into: str) -> None:
        """Note in whom a removed agent goes on."""
        ...


class Transaction(Protocol):
    """One transaction. Every method is synchronous; all of it commits, or nothing."""

    @property
    def members(self) -> Members: ...
    @property
    def presence(self) -> PresenceStore: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def linking(self) -> Linking: ...


class Store(Protocol):
    """Runs operations, each as one transaction."""

    async def write(self, operation: Callable[[Transaction], T]) -> T:
        """Runs it and answers once it is durable. Whatever it raises undoes it alone.

        Raises Unavailable when the database can't be written (full, locked for over 2 s, gone). Nothing of
        the operation is kept then, but where the sentence says that it may have been: read again.
        """
        ...

    async def read(self, operation: Callable[[Transaction], T]) -> T:
        """A consistent snapshot; writing in it is an error."""
        ...

    async def close(self) -> None:
        """After what is under way has finished."""
        ...


# --- chat platforms ------------------------------------------------------------------------------


class PersonKind(StrEnum):
    """What a platform says somebody is."""

    MEMBER = "member"
    GUEST = "guest"
    STRANGER = "stranger"
    """Of another organization: Slack Connect."""
    BOT = "bot"


class Profile(Struct, frozen=True):
    """What a platform knows of a person."""

    external_id: str
    name: str
    zone: str | None = None
    avatar_url: str = ""
    is_admin: bool = False
    """Discord's Manage Server, Slack's admin or owner."""
    may_enrol: bool = False
    """Slack: a full member. Discord: has one of the configured roles."""
    kind: PersonKind = PersonKind.MEMBER


class Person(Struct, frozen=True):
    """Who types or clicks, and where."""

    workspace_id: str
    platform: str
    profile: Profile


class Command(Struct, frozen=True):
    """A command as typed or clicked: `text` where the platform gives one line, else `arguments`."""

    name: str
    """The table's name: `available`, `away`, `who`, `presence me`, …"""
    person: Person
    arguments: Mapping[str, str] = {}
    """An `agent` argument holds the platform's user id where the platform knows it, else a name."""
    text: str | None = None
    """What stood behind a command typed as one line; the table parses it. Behind the group
    `presence` it begins with the subcommand. Mentions in it are the platform's user ids."""
    mentioned: tuple[Profile, ...] = ()
    """What the platform knows of the people named in an `agent` argument."""
    request_id: str = ""
    delivery: str = ""
    """A key of this delivery, such as `slack:T1:<trigger>`: what comes twice changes things once, and is
    answered with how things are."""
    clicked: bool = False


class Tracked(Struct, frozen=True):
    """An identity whose presence a platform should watch; the most important first."""

    identity_id: str
    external_id: str
    available: bool
    seen_at: datetime | None


class Sighting(Struct, frozen=True):
    """An observation in a platform's own words: `external_id` is the platform's user id."""

    external_id: str
    seen: Seen
    at: datetime
    seq: int
    """Orders sightings within one epoch of the feed; a poll is numbered when it was asked."""


class HintSighting(Struct, frozen=True):
    """Somebody is in a call or wants no disturbance, or not (any longer), as a platform shows it."""

    external_id: str
    kind: HintKind
    holds: bool
    since: datetime | None = None
    """If the platform says; may lie ahead."""
    until_at: datetime | None = None


class Core(Protocol):
    """What Rollcall offers a chat platform. Adapters translate; the core decides."""

    @property
    def clock(self) -> Clock: ...
    async def dispatch(self, command: Command) -> Message:
        """Answers every command with a message, errors too; once answered, it is durable."""
        ...

    async def suggest(
        self, person: Person, command: str, parameter: str, typed: str
    ) -> Sequence[tuple[str, str]]:
        """(label, value) pairs for autocompletion, at most 25; none for whoever need not know."""
        ...

    async def workspace(self, platform: str, external_id: str, name: str) -> Workspace: ...
    async def feed_live(self, workspace_id: str, *, resumed: bool = False) -> int:
        """The stream is live: answers its epoch. `resumed`: nothing was missed since it was lost,
        so that the epoch stays and what was observed before is trusted again."""
        ...

    async def feed_lost(self, workspace_id: str, *, since: datetime, stale: bool = False) -> None:
        """We are blind since an instant. Says nothing about the agents behind it."""
        ...

    async def feed_off(self, workspace_id: str) -> None:
        """This workspace gives no presence (no intent, no scope, switched off): no links at all."""
        ...

    async def observe(self, workspace_id: str, epoch: int, sightings: Sequence[Sighting]) -> None:
        """Facts from a feed, durable on return. People who are not tracked are ignored."""
        ...

    def hint(self, workspace_id: str, sightings: Sequence[HintSighting]) -> None:
        """Shown at once, and never stored. The last word on somebody counts, so a platform whose words may
        overtake each other sorts them; repeats change nothing, and people who are not tracked are ignored."""
        ...

    def hints_lost(self, workspace_id: str, kind: HintKind | None = None) -> None:
        """Hints of that kind (None: of any) can't be seen there any more: all are forgotten. When they are
        seen again, tell all that hold."""
        ...

    def tracked(self, workspace_id: str) -> Sequence[Tracked]: ...
    async def profile_changed(self, workspace_id: str, profile: Profile) -> None:
        """Name, avatar, zone, admin flag of somebody; ignored unless they are an agent."""
        ...

    async def member_left(self, workspace_id: str, external_id: str, *, deleted: bool = False) -> None:
        """Left the workspace: disconnected there, at once. `deleted`: the account is gone."""
        ...

    async def first_time(self, key: str) -> bool:
        """True once for a delivery's key, also across restarts."""
        ...

    async def setting(self, key: str) -> str | None: ...
    async def put_setting(self, key: str, value: str) -> None: ...
    async def identify_budget(self) -> int:
        """How many Discord identifies are left of 900 in 24 h."""
        ...

    async def count_identify(self) -> None: ...
    def report(self, platform: str, workspace_id: str | None, trouble: str | None) -> None:
        """A banner for people: what is wrong and the exact repair, or None when it is over."""
        ...


class Undeliverable(Exception):
    """The person can't be reached this way (closed direct messages, left): don't try again."""


class RetryLater(Exception):
    """The platform can't take it now; `after` seconds, if it said."""

    def __init__(self, after: float | None = None) -> None:
        super().__init__("the platform asks to try later")
        self.after = after


class ChatPlatform(Protocol):
    """What a chat platform offers Rollcall. Found by the entry-point group `rollcall.platforms`."""

    name: str
    """`discord`, `slack`, `console`, …"""
    mounts: Mapping[str, AsgiApp]
    """Paths of Rollcall's own HTTP server that this platform answers, e.g. `/slack/events`."""

    async def run(self) -> None:
        """Connects and serves until cancelled. Supervised: if it raises, it is started again later;
        what it can repair by itself (a lost connection) it repairs by itself."""
        ...

    async def send_direct(self, identity: Identity, workspace: Workspace, message: Message) -> str:
        """Answers the message's id. Raises Undeliverable or RetryLater."""
        ...

    async def post(self, channel: str, message: Message) -> str:
        """`channel` as in the configuration (`guild/channel` ids or a Slack channel id)."""
        ...


PlatformFactory = Callable[[Config, Core], ChatPlatform | None]
"""An entry point of the group `rollcall.platforms`; None where the platform is not configured."""
