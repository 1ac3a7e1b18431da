"""What somebody read before they change it: a mark that differs when it has changed meanwhile."""

import hashlib
from collections.abc import Collection

import msgspec

from bot.domain.agent import Agent, Skill, Team
from bot.domain.errors import Stale


def revision_of(one: Agent | Team | Skill) -> str:
    """Of all that programs can change of an agent, a team or a skill; not of presence and load."""
    if isinstance(one, Agent):
        told: object = (
            one.name,
            one.zone,
            one.zone_by_hand,
            one.hours,
            one.role,
            one.capacity,
            one.teams,
            one.skills,
            one.externals,
            one.removed,
        )
    else:
        told = one
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]


def refuse_stale(one: Agent | Team | Skill, read: Collection[str]) -> None:
    """Raises Stale unless what was read is what there is. `read`: revisions; none: whoever asks doesn't
    mind; `*`: any."""
    if read and "*" not in read and revision_of(one) not in read:
        raise Stale("It was changed since you read it; nothing was changed now. Read it again.")
