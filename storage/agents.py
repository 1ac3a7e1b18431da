"""Agents as records of `agent` and `identity`, and back."""

from datetime import datetime
from sys import intern
from typing import Any

from bot.domain.agent import Agent, Identity, Role
from storage import tables
from storage.hours import hours_from, hours_kept
from storage.sql import Record, micros

ROLES = {role.value: role for role in Role}
PROFILE = ("id", "name", "zone", "zone_by_hand", "role", "capacity", "removed", "hours", "organization_id")
IDENTITY = (
    *("agent_id", "id", "workspace_id", "platform", "external_id"),
    *("name", "avatar_url", "is_admin", "present"),
)
profile_columns = [tables.agent.c[name] for name in PROFILE]
"""What `agent_from` reads."""
NAME = PROFILE.index("name")
identity_columns = [tables.identity.c[name] for name in IDENTITY]
"""What `identity_from` reads."""
IDENTITY_WIDTH = len(IDENTITY)


def identity_from(record: Record, agent_name: str) -> Identity:
    """The identity in a record of `identity_columns`. Words that many share are interned; of a name that
    is also the agent's there is one copy."""
    _, identity_id, workspace_id, platform, external_id, name, avatar_url, is_admin, present = record
    return Identity(
        identity_id,
        intern(workspace_id),
        intern(platform),
        external_id,
        agent_name if name == agent_name else name,
        avatar_url,
        bool(is_admin),
        bool(present),
    )


def agent_from(
    profile: Record,
    teams: tuple[str, ...],
    skills: tuple[str, ...],
    identities: tuple[Identity, ...],
    externals: tuple[tuple[str, str], ...],
) -> Agent:
    """The agent with a profile in a record of `profile_columns`."""
    agent_id, name, zone, zone_by_hand, role, capacity, removed, hours, organization_id = profile
    return Agent(
        agent_id,
        intern(organization_id),
        name,
        None if zone is None else intern(zone),
        bool(zone_by_hand),
        ROLES[role],
        capacity,
        teams,
        skills,
        bool(removed),
        identities,
        externals,
        hours_from(hours),
    )


def profile_values(agent: Agent, now: datetime) -> dict[str, Any]:
    return {
        "name": agent.name,
        "zone": agent.zone,
        "zone_by_hand": agent.zone_by_hand,
        "role": agent.role.value,
        "capacity": agent.capacity,
        "removed": agent.removed,
        "hours": hours_kept(agent.hours),
        "updated_at": micros(now),
    }
