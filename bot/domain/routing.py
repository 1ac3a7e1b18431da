"""Routable: an allow-list that says no with every reason.

In team, with the skills, Available on evidence good enough for new work, and load below capacity.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum

from bot.domain.agent import Agent
from bot.domain.facts import Policy, Presence
from bot.domain.hints import Hint, HintKind, OnHint, kinds
from bot.domain.presence import Verdict


class Reason(StrEnum):
    """Why an agent may not be offered new work now."""

    OFFLINE = "offline"
    AWAY = "away"
    CONNECTION_LOST = "connection_lost"
    """Within the grace of a disconnect, or Slack's away for longer than it proves nothing."""
    UNCONFIRMED = "unconfirmed"
    """We are blind, and have been for longer than what was seen last is trusted."""
    NOT_IN_TEAM = "not_in_team"
    SKILL_MISSING = "skill_missing"
    AT_CAPACITY = "at_capacity"
    IN_CALL = "in_call"
    DO_NOT_DISTURB = "do_not_disturb"


OF_HINTS: Mapping[HintKind, Reason] = {
    HintKind.CALL: Reason.IN_CALL,
    HintKind.DO_NOT_DISTURB: Reason.DO_NOT_DISTURB,
}


def hinted_against(hints: Iterable[Hint], policy: Policy) -> tuple[Reason, ...]:
    """What hints that hold now say against new chats, by the policy."""
    return tuple(OF_HINTS[kind] for kind in kinds(hints) if policy.on_hint(kind) is OnHint.NO_NEW_CHATS)


def why_not_routable(
    agent: Agent,
    verdict: Verdict,
    load: int,
    team: str | None = None,
    skills: Collection[str] = (),
    hinted: Sequence[Reason] = (),
) -> tuple[Reason, ...]:
    """Every reason against it; empty: the agent is routable. `load` in units; `team`, `skills` slugs;
    `hinted`: what `hinted_against` says."""
    reasons: list[Reason] = []
    if verdict.presence is Presence.OFFLINE:
        reasons.append(Reason.OFFLINE)
    elif verdict.presence is Presence.AWAY:
        reasons.append(Reason.AWAY)
    elif not verdict.reachable:
        blind = verdict.unconfirmed_since is not None
        reasons.append(Reason.UNCONFIRMED if blind else Reason.CONNECTION_LOST)
    if team is not None and team not in agent.teams:
        reasons.append(Reason.NOT_IN_TEAM)
    if any(skill not in agent.skills for skill in skills):
        reasons.append(Reason.SKILL_MISSING)
    if load >= agent.capacity:
        reasons.append(Reason.AT_CAPACITY)
    return (*reasons, *hinted)
