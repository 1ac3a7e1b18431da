"""What a key of some teams sees: the agents of these teams, and of teams these alone (I13).

Whoever it does not see is not there for it: 404, never 403. What concerns the whole organization it may not
change: `docs/adr/0016-programs.md`.
"""

from msgspec.structs import replace

from adapters.http.documents import Sight
from adapters.http.exchange import Asked
from adapters.http.problems import Problem
from bot.core import Rollcall
from bot.domain.agent import Agent, Team
from bot.domain.events import Event
from bot.ports import ApiKey


def sight_of(core: Rollcall, key: ApiKey | None) -> Sight | None:
    """The teams that a key is of, by their slugs of now; None: it sees the whole organization."""
    if key is not None and not key.teams:
        return None
    return frozenset(core.lists.team_now(slug) for slug in key.teams) if key is not None else frozenset()


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


def event_seen(core: Rollcall, event: Event, agent: Agent | None, sight: Sight) -> Event | None:
    """An event as who sees so much is told of it; None: not at all. `agent`: whom it is about.

    Of an agent everything is told while they are in one of the teams, and that they left the last of them;
    what is about other teams is not. Of teams, these; skills are the whole organization's.
    """
    slug, team = event.data.get("slug"), event.data.get("team")
    if event.agent_id is None:
        return event if not event.type.startswith("team.") or _one_of(core, str(slug), sight) else None
    if team is not None:
        return event if _one_of(core, str(team), sight) else None
    left = [one for one in str(event.data.get("left", "")).split() if _one_of(core, one, sight)]
    if not left and (agent is None or not sees(sight, agent)):
        return None
    if "left" not in event.data:
        return event
    data = {name: value for name, value in event.data.items() if name != "left"}
    return replace(event, data={**data, "left": " ".join(left)} if left else data)


def _one_of(core: Rollcall, slug: str, sight: Sight) -> bool:
    return slug in sight or core.lists.team_now(slug) in sight
