"""What a key of some teams sees: the agents of these teams, and of teams these alone (I13).

Whoever it does not see is not there for it: 404, never 403. What concerns the whole organization it may not
change: `docs/adr/0016-programs.md`.
"""

from adapters.http.documents import Sight
from adapters.http.exchange import Asked
from adapters.http.problems import Problem
from bot.core import Rollcall
from bot.domain.agent import Agent, Team
from bot.ports import ApiKey


def sight_of(core: Rollcall, key: ApiKey | None) -> Sight | None:
    """The teams that a key is of, by their slugs of now; None: it sees the whole organization."""
    if key is not None and not key.teams:
        return None
    return frozenset(core.team_now(slug) for slug in key.teams) if key is not None else frozenset()


def sees(sight: Sight | None, agent: Agent) -> bool:
    """Whether an agent is there for who sees so much."""
    return sight is None or not sight.isdisjoint(agent.teams)


def seen_teams(core: Rollcall, sight: Sight | None) -> list[Team]:
    """The teams that there are for who sees so much."""
    return [team for team in core.teams if sight is None or team.slug in sight]


def whole(asked: Asked, what: str) -> None:
    """Raises Problem `forbidden` for a key of some teams alone. `what`: "make agents"."""
    if asked.key is None or asked.key.teams:
        raise Problem(
            "forbidden",
            f"This key is of some teams alone and may not {what}. Take a key of the whole organization.",
        )
