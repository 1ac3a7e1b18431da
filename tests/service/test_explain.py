"""How a presence is explained: to the agent, and to others of them."""

import re

import pytest
from desk import Team, open_team, read
from msgspec.structs import replace

from bot.domain.facts import Presence
from bot.domain.routing import Reason
from bot.explain import BECAUSE, me, why
from bot.replies import broken
from bot.roster import Row


async def offline(reason: str) -> tuple[Team, Row]:
    """An agent who is Offline for that reason."""
    team = await open_team()
    await team.type("U1", "/available")
    row = team.row("u1")
    verdict = replace(row.verdict, presence=Presence.OFFLINE, reason=reason, source="discord")
    return team, replace(row, verdict=verdict)


@pytest.mark.parametrize("reason", BECAUSE)
async def test_others_are_told_of_somebody_and_never_as_if_it_were_themselves(reason: str) -> None:
    _, row = await offline(reason)
    told = read(why(row, [Reason.OFFLINE]))
    assert not re.search(r"\byou\b|\byou'|\bseen they\b|[{}]", told), told


@pytest.mark.parametrize("reason", BECAUSE)
async def test_an_agent_is_told_of_themselves(reason: str) -> None:
    team, row = await offline(reason)
    told = read(me(row, {}, team.desk.policy, {}, team.clock.now())).splitlines()[0]
    assert told.startswith("You're Offline since 09:00: "), told
    assert not re.search(r"\bthey\b|\bthem\b|[{}]", told), told


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("unobserved", "• Offline since 09:00: nobody has seen them for too long"),
        ("removed", "• Offline since 09:00: they left the workspace they were seen in"),
        ("disconnected", "• Offline since 09:00: Discord says they left"),
        ("check_in_lapsed", "• Offline since 09:00: it was long since they said they're there"),
    ],
)
async def test_the_reason_is_a_whole_sentence(reason: str, told: str) -> None:
    _, row = await offline(reason)
    assert read(why(row, [Reason.OFFLINE])).splitlines()[1] == told


def test_what_failed_is_not_said_to_have_changed_nothing() -> None:
    """It may have been committed before it failed."""
    told = read(broken("req_1"))
    assert "may or may not have been done" in told
    assert "request req_1." in told
