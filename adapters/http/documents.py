"""The bodies that go out, as structs: encoded by msgspec, and described by it for OpenAPI.

Every body begins with `as_of`, the instant for which it is true; the ETag leaves that out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bot.core import Rollcall, Trouble
from bot.domain.facts import Feed, FeedState
from bot.domain.hints import HintKind
from bot.domain.routing import Reason
from bot.domain.sessions import key_of, open_sessions
from bot.roster import Row

REASONS: Mapping[Reason, str] = {
    Reason.OFFLINE: "Offline: not logged in anywhere, or signed off.",
    Reason.AWAY: "Away, by their own word, a lead's or a rule's.",
    Reason.CONNECTION_LOST: "The connection was lost just now; whether they come back is not known yet.",
    Reason.UNCONFIRMED: "The platform can't be seen just now, so that they are there can't be confirmed.",
    Reason.NOT_IN_TEAM: "Not in that team.",
    Reason.SKILL_MISSING: "Without one of those skills.",
    Reason.AT_CAPACITY: "Holding as many units as they can take.",
    Reason.IN_CALL: "In a call, and the policy is that no new work comes meanwhile.",
    Reason.DO_NOT_DISTURB: "Not to be disturbed, and the policy is that no new work comes meanwhile.",
}
Units = Annotated[int, Meta(ge=0, description="Units of work.")]
ReasonCode = Annotated[
    str | None, Meta(description="What an away is for, by the organization's code; null: none.")
]


class Counts(Struct, frozen=True):
    """How many agents there are, by presence."""

    available: int
    away: int
    offline: int


class HintBody(Struct, frozen=True):
    """What a platform shows beside the presence of somebody who is logged in."""

    kind: HintKind
    platform: str
    since: Annotated[datetime, Meta(description="Since then, as far as could be seen.")]


class RoutableAgent(Struct, frozen=True):
    """An agent who may be offered new work now."""

    id: str
    name: str
    since: Annotated[datetime, Meta(description="Available since then.")]
    load: Units
    load_known: Annotated[bool, Meta(description="False: nobody has reported this agent's load.")]
    capacity: Annotated[int, Meta(ge=0, description="Most units at once.")]
    teams: tuple[str, ...]
    skills: tuple[str, ...]
    external_ids: Annotated[Mapping[str, str], Meta(description="How other systems name the agent.")]
    hints: tuple[HintBody, ...]


class FeedBody(Struct, frozen=True, omit_defaults=True):
    """How fresh a platform's stream of presence is."""

    workspace: str
    platform: str
    state: FeedState
    live_at: Annotated[datetime | None, Meta(description="Live since then, if it is live.")] = None
    lost_at: Annotated[datetime | None, Meta(description="Nothing was seen since then, if it is not.")] = None


class TroubleBody(Struct, frozen=True):
    """What is wrong with a platform, and how to repair it."""

    platform: str
    workspace: str | None
    sentence: str
    since: datetime


class Availability(Struct, frozen=True):
    """Who is routable now, the one to take first at first."""

    team: str | None
    skills: tuple[str, ...]
    routable: Annotated[int, Meta(ge=0, description="Agents who may be offered new work now, in all.")]
    counts: Counts
    agents: Annotated[
        tuple[RoutableAgent, ...], Meta(description="The best `limit`: least load, then longest idle.")
    ]
    feeds: tuple[FeedBody, ...]
    troubles: tuple[TroubleBody, ...]


class IdentityBody(Struct, frozen=True):
    """One platform account of an agent."""

    platform: str
    workspace: str
    external_id: str
    name: str
    present: Annotated[bool, Meta(description="Still a member of that workspace.")]


class ConsoleBody(Struct, frozen=True):
    """A console session that keeps an agent connected."""

    key: Annotated[str, Meta(description="The console's own name for it.")]
    since: Annotated[datetime, Meta(description="Open since then.")]
    heartbeat_at: Annotated[datetime, Meta(description="The last heartbeat.")]


class AgentBody(Struct, frozen=True):
    """One agent."""

    id: str
    name: str
    presence: Annotated[str, Meta(description="`available`, `away` or `offline`.")]
    since: Annotated[datetime, Meta(description="This presence stands since then.")]
    reason: Annotated[str, Meta(description="Why, as a code.")]
    source: Annotated[str, Meta(description="Who or what decided.")]
    note: Annotated[str, Meta(description="The agent's own words.")]
    reason_code: ReasonCode
    until: Annotated[datetime | None, Meta(description="When a timed away ends.")]
    confirmed: Annotated[bool, Meta(description="False: the platforms have not been seen for too long.")]
    unconfirmed_since: datetime | None
    routable: bool
    load: Units
    load_known: bool
    capacity: int
    teams: tuple[str, ...]
    skills: tuple[str, ...]
    external_ids: Mapping[str, str]
    zone: Annotated[str | None, Meta(description="IANA time zone.")]
    last_seen_at: datetime | None
    identities: tuple[IdentityBody, ...]
    sessions: Annotated[tuple[ConsoleBody, ...], Meta(description="Console sessions that are open.")]
    hints: tuple[HintBody, ...]


class AgentPage(Struct, frozen=True):
    """A page of agents, the longest enrolled first."""

    agents: tuple[AgentBody, ...]
    next_cursor: Annotated[str | None, Meta(description="Give it as `cursor` for the next page; null: none.")]


class ReasonBody(Struct, frozen=True):
    """One reason why an agent may not be offered new work."""

    code: Reason
    sentence: str


class Eligibility(Struct, frozen=True):
    """Whether an agent may be offered new work now, and every reason if not."""

    agent_id: str
    team: str | None
    skills: tuple[str, ...]
    routable: bool
    reason_code: ReasonCode
    reasons: tuple[ReasonBody, ...]


class ExternalIds(Struct, frozen=True):
    """How other systems name an agent."""

    agent_id: str
    external_ids: Mapping[str, str]


class LoadDocument(Struct, frozen=True):
    """An agent's load after a report."""

    agent_id: str
    kept: Annotated[bool, Meta(description="False: a report with a later `as_of` is already here.")]
    load: Units
    load_known: bool
    capacity: int
    expires_at: Annotated[
        datetime | None, Meta(description="Until when this report counts; null: it was not kept.")
    ]


class TeamBody(Struct, frozen=True):
    """A team or a skill, and how it stands."""

    slug: str
    name: str
    routable: int
    counts: Counts


class Teams(Struct, frozen=True):
    """All teams."""

    teams: tuple[TeamBody, ...]


class Skills(Struct, frozen=True):
    """All skills."""

    skills: tuple[TeamBody, ...]


class EventBody(Struct, frozen=True):
    """One change."""

    position: Annotated[str, Meta(description="Where it stands; goes into `Last-Event-ID` or `after`.")]
    id: Annotated[str, Meta(description="The same whenever it is told again.")]
    type: str
    agent_id: str | None
    at: Annotated[datetime, Meta(description="Since when it is so; may be some time before it was written.")]
    data: Mapping[str, str | int | bool | None]


class EventPage(Struct, frozen=True):
    """Events behind a position, the oldest first."""

    events: tuple[EventBody, ...]
    last: Annotated[str, Meta(description="Give it as `after`, or as `Last-Event-ID`, for what comes next.")]
    more: Annotated[bool, Meta(description="There is more already.")]
    reset: Annotated[
        bool, Meta(description="Some of what came behind `after` is lost: read anew how things stand.")
    ]


_instant = msgspec.json.Encoder().encode


class Encoded(Struct, frozen=True):
    """A body without its instant, and its ETag."""

    tail: bytes
    etag: bytes

    def at(self, now: datetime) -> bytes:
        """The body as of an instant."""
        return b'{"as_of":%b%b' % (_instant(now), self.tail)

    def matches(self, if_none_match: bytes) -> bool:
        """Whether one of the client's ETags is this one (RFC 9110: compared weakly)."""
        if if_none_match == self.etag:
            return True
        wanted = self.etag[2:]
        tags = (tag.strip() for tag in if_none_match.split(b","))
        return any(tag == b"*" or tag.removeprefix(b"W/") == wanted for tag in tags)


def encode(document: Struct) -> Encoded:
    """A document as JSON, `as_of` still to be put in front."""
    tail = b"," + msgspec.json.encode(document)[1:]
    return Encoded(tail, b'W/"%b"' % hashlib.sha256(tail).hexdigest()[:22].encode())


# --- from the core ---


def routable_agent(row: Row) -> RoutableAgent:
    """An agent in an answer about availability."""
    agent = row.agent
    return RoutableAgent(
        agent.id,
        agent.name,
        row.since,
        row.load,
        row.load_known,
        agent.capacity,
        agent.teams,
        agent.skills,
        dict(agent.externals),
        _hints(row),
    )


def _hints(row: Row) -> tuple[HintBody, ...]:
    return tuple(HintBody(hint.kind, hint.platform, hint.since) for hint in row.hints)


def agent_body(core: Rollcall, row: Row, reasons: Sequence[Reason]) -> AgentBody:
    """An agent with all that is told of them."""
    agent, verdict, facts = row.agent, row.verdict, row.facts
    return AgentBody(
        agent.id,
        agent.name,
        verdict.presence.value,
        row.since,
        verdict.reason,
        verdict.source,
        verdict.note,
        verdict.reason_code or None,
        facts.intent.until_at,
        verdict.confirmed,
        verdict.unconfirmed_since,
        not reasons,
        row.load,
        row.load_known,
        agent.capacity,
        agent.teams,
        agent.skills,
        dict(agent.externals),
        agent.zone,
        facts.last_seen_at,
        tuple(
            IdentityBody(
                identity.platform,
                workspace_name(core, identity.workspace_id),
                identity.external_id,
                identity.name,
                identity.present,
            )
            for identity in agent.identities
        ),
        tuple(ConsoleBody(key_of(link), link.since, beat_at) for link, beat_at in open_sessions(facts.links)),
        _hints(row),
    )


def workspace_name(core: Rollcall, workspace_id: str | None) -> str:
    """A workspace by its platform's own id, which people find in the platform."""
    workspace = core.workspaces.get(workspace_id or "")
    return workspace.external_id if workspace else workspace_id or ""


def feed_body(core: Rollcall, feed: Feed) -> FeedBody:
    """A feed, with the one instant that matters."""
    name = workspace_name(core, feed.id)
    if feed.state is FeedState.LIVE:
        return FeedBody(name, feed.platform, feed.state, live_at=feed.live_at)
    return FeedBody(name, feed.platform, feed.state, lost_at=feed.lost_at)


def trouble_body(core: Rollcall, trouble: Trouble) -> TroubleBody:
    """A banner."""
    workspace = workspace_name(core, trouble.workspace_id) if trouble.workspace_id else None
    return TroubleBody(trouble.platform, workspace, trouble.sentence, trouble.since)


def counts_of(core: Rollcall, now: datetime, team: str | None, skill: str | None) -> Counts:
    """The agents of a team, with a skill, of both or in all, by presence."""
    pool = core.roster.pool(now, team, skill)
    return Counts(pool.available, pool.away, pool.offline)
