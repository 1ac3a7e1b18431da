"""Who there is: organizations, workspaces, agents and their identities, teams and skills."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from bot.domain.hours import Hours


class Role(StrEnum):
    """What an agent may do beyond their own presence."""

    AGENT = "agent"
    LEAD = "lead"


class Workspace(Struct, frozen=True):
    """A Slack workspace or a Discord guild that belongs to an organization."""

    id: str
    organization_id: str
    platform: str
    external_id: str
    """The platform's own id: guild id, or Slack's `enterprise:team` / team id."""
    name: str


class Identity(Struct, frozen=True, gc=False):
    """One platform account of an agent, keyed (workspace, platform id)."""

    id: str
    workspace_id: str
    platform: str
    external_id: str
    """The platform's own user id."""
    name: str = ""
    avatar_url: str = ""
    is_admin: bool = False
    """The platform says: Discord's Manage Server, Slack's admin or owner."""
    present: bool = True
    """Still a member of that workspace."""


class Agent(Struct, frozen=True, gc=False):
    """A person who takes chats. Presence is not here: it is derived from facts."""

    id: str
    organization_id: str
    name: str
    zone: str | None = None
    """IANA time zone, or None while nobody has said."""
    zone_by_hand: bool = False
    """Set with `/presence timezone`: a platform's profile no longer changes it."""
    role: Role = Role.AGENT
    capacity: int = 1
    teams: tuple[str, ...] = ()
    """Slugs."""
    skills: tuple[str, ...] = ()
    """Slugs."""
    removed: bool = False
    identities: tuple[Identity, ...] = ()
    externals: tuple[tuple[str, str], ...] = ()
    """(system, external id): how help desks name the agent."""
    hours: Hours | None = None
    """Their own; None: always."""


class Team(Struct, frozen=True):
    """A team, known by its slug."""

    slug: str
    name: str
    color: str = ""
    aliases: tuple[str, ...] = ()
    """Slugs it had before: they go on to work."""
    hours: Hours | None = None
    """None: always open."""


class Skill(Struct, frozen=True):
    """Something an agent can do, known by its slug."""

    slug: str
    name: str
    aliases: tuple[str, ...] = ()


def slug_among(listed: Iterable[Team | Skill], slug: str) -> str | None:
    """The slug of the team or skill that is, or was before, known by this one; None: there is none."""
    for one in listed:
        if slug == one.slug or slug in one.aliases:
            return one.slug
    return None
