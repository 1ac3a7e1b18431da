"""Routes by which programs read and set the working hours of agents and teams."""

from collections.abc import Callable

from fastapi import Request, Response

from adapters.http.exchange import Asked
from adapters.http.hours_documents import SET_HOURS, HoursBody, HoursDocument, document, hours_in
from adapters.http.parameters import AgentName
from adapters.http.resource_documents import TeamSlug
from adapters.http.sight import whole
from adapters.http.strict import answered, told
from bot.core import Rollcall
from bot.domain.agent import Agent, Team
from bot.domain.hours import Hours
from bot.hours import change_agent, change_team

OF_AGENT, OF_TEAM = "/v1/agents/{agent_id}/hours", "/v1/teams/{team}/hours"
Find = Callable[[Asked, str], Agent]


class HoursRoutes:
    """The routes, over a core. `find` and `team_of` answer whom, or which team, a key means and sees."""

    def __init__(self, core: Rollcall, find: Find, team_of: Callable[[Asked, str], Team]) -> None:
        self._core = core
        self._find = find
        self._team_of = team_of

    def add(self, route: Callable[..., None]) -> None:
        """Register them all; `route` as `adapters.http.routes.Routes` has it."""
        route("GET", OF_AGENT, self.agent_hours, HoursDocument, "read", "An agent's own working hours")
        route(
            "PUT", OF_AGENT, self.put_agent_hours, HoursDocument, "admin", "Set an agent's hours", SET_HOURS
        )
        route("DELETE", OF_AGENT, self.delete_agent_hours, HoursDocument, "admin", "An agent has no hours")
        route("GET", OF_TEAM, self.team_hours, HoursDocument, "read", "A team's working hours")
        route("PUT", OF_TEAM, self.put_team_hours, HoursDocument, "admin", "Set a team's hours", SET_HOURS)
        route("DELETE", OF_TEAM, self.delete_team_hours, HoursDocument, "admin", "A team has no hours")

    async def agent_hours(self, request: Request, agent_id: AgentName) -> Response:
        """The week, the days off, and whether they are on shift just now."""
        asked: Asked = request.scope["rollcall"]
        agent = self._find(asked, agent_id)
        return answered(document(agent.id, agent.hours, agent.hours, asked.now), asked)

    async def put_agent_hours(self, request: Request, agent_id: AgentName, body: HoursBody) -> Response:
        """In whole: what is left out is empty. Saying what is so already changes nothing."""
        return await self._set_agent(request.scope["rollcall"], agent_id, hours_in(body))

    async def delete_agent_hours(self, request: Request, agent_id: AgentName) -> Response:
        """From now on always, days off included. Also right where there are none."""
        return await self._set_agent(request.scope["rollcall"], agent_id, None)

    async def _set_agent(self, asked: Asked, name: str, hours: Hours | None) -> Response:
        agent = await change_agent(self._core, self._find(asked, name).id, lambda _: hours, _actor(asked))
        asked.now = self._core.clock.now()
        return told(document(agent.id, agent.hours, agent.hours, asked.now), asked)

    async def team_hours(self, request: Request, team: TeamSlug) -> Response:
        """The week, the days off, and whether the team is open just now."""
        asked: Asked = request.scope["rollcall"]
        return answered(self._of_team(self._team_of(asked, team), asked), asked)

    async def put_team_hours(self, request: Request, team: TeamSlug, body: HoursBody) -> Response:
        """In whole: what is left out is empty. Saying what is so already changes nothing."""
        return await self._set_team(request.scope["rollcall"], team, hours_in(body))

    async def delete_team_hours(self, request: Request, team: TeamSlug) -> Response:
        """From now on always, days off included. Also right where there are none."""
        return await self._set_team(request.scope["rollcall"], team, None)

    async def _set_team(self, asked: Asked, slug: str, hours: Hours | None) -> Response:
        whole(asked, "change teams")
        team = await change_team(self._core, self._team_of(asked, slug).slug, lambda _: hours, _actor(asked))
        asked.now = self._core.clock.now()
        return told(self._of_team(team, asked), asked)

    def _of_team(self, team: Team, asked: Asked) -> HoursDocument:
        return document(team.slug, team.hours, self._core.roster.hours(team.slug), asked.now)


def _actor(asked: Asked) -> str:
    return f"key:{asked.key.id}" if asked.key else ""
