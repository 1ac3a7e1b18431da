"""What others are told: events for programs, audit entries for people who look after the team."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct


class Event(Struct, frozen=True):
    """One change, written in its transaction. `data` is flat JSON with no secret and no free text
    beyond the agent's own note."""

    id: str
    """`evt_…`, stable over every delivery."""
    organization_id: str
    agent_id: str | None
    type: str
    """`presence.changed`, `agent.enrolled`, `agent.removed`, `agent.updated`, `load.reported`, …"""
    at: datetime
    data: Mapping[str, str | int | bool | None]


class AuditEntry(Struct, frozen=True):
    """Who did what to whom, for leads to read."""

    id: str
    """`aud_…`"""
    organization_id: str
    at: datetime
    actor: str
    """`agent:<id>`, `key:<id>`, `rule:<which>`, `operator`."""
    action: str
    subject: str
    data: Mapping[str, str | int | bool | None] = {}
