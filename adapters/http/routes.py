"""The routes that are not hot, in FastAPI: agents, load, external ids, teams, skills."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import nsmallest
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from adapters.http import openapi
from adapters.http.availability import known_skills, known_team
from adapters.http.documents import (
    REASONS,
    AgentBody,
    AgentPage,
    Eligibility,
    ExternalIds,
    LoadDocument,
    ReasonBody,
    Skills,
    TeamBody,
    Teams,
    agent_body,
    counts_of,
)
from adapters.http.exchange import Asked
from adapters.http.openapi import EXTERNAL_ID, LOAD, described
from adapters.http.parameters import (
    AgentName,
    Cursor,
    ExternalIdBody,
    LoadBody,
    ManySkills,
    OneSkill,
    PageSize,
    PresenceName,
    System,
    Team,
    agent_before,
    cursor_for,
)
from adapters.http.presence_routes import PresenceRoutes
from adapters.http.problems import Problem, bad_value
from adapters.http.strict import StrictRoute, answered, handled, told
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.errors import NotFound, RollcallError
from bot.ports import Load
from bot.roster import Row

AHEAD = timedelta(seconds=60)
"""How far a reporter's clock may be ahead of ours."""


class Routes:
    """FastAPI with its routes, over a core."""

    def __init__(self, core: Rollcall) -> None:
        self._core = core
        self.app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        self.app.router.route_class = StrictRoute
        for kind in (Problem, RollcallError, RequestValidationError, HTTPException, Exception):
            self.app.add_exception_handler(kind, handled)
        self.presence = PresenceRoutes(core, self._find)
        self._add()
        self._openapi: bytes | None = None

    def openapi(self) -> bytes:
        """The description of the whole API, made when first asked for."""
        if self._openapi is None:
            self._openapi = openapi.document(self.app)
        return self._openapi

    def allowed(self, asked: Asked) -> bytes:
        """The methods of an address, for Allow; empty where there is nothing."""
        methods: set[str] = set()
        for route in self.app.routes:
            if isinstance(route, APIRoute) and route.path_regex.match(asked.path):
                methods |= route.methods or set()
                asked.route = route.path
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods | {"OPTIONS"})).encode() if methods else b""

    def _add(self) -> None:
        agents, one = "/v1/agents", "/v1/agents/{agent_id}"
        external = one + "/external-ids/{system}"
        get, put = partial(self._route, "GET"), partial(self._route, "PUT")
        get(agents, self.agents, AgentPage, "read", "Agents, a page at a time")
        get(one, self.agent, AgentBody, "read", "One agent")
        get(
            one + "/eligibility", self.eligibility, Eligibility, "read", "May this agent be offered new work?"
        )
        put(one + "/load", self.put_load, LoadDocument, "route", "Report units held in another system", LOAD)
        put(
            external,
            self.put_external_id,
            ExternalIds,
            "admin",
            "Name an agent as another system does",
            EXTERNAL_ID,
        )
        self._route(
            "DELETE", external, self.delete_external_id, ExternalIds, "admin", "Take such a name away"
        )
        get("/v1/teams", self.teams, Teams, "read", "All teams, with their numbers")
        get("/v1/skills", self.skills, Skills, "read", "All skills, with their numbers")

        self.presence.add(self._route)

    def _route(
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        answers: type,
        scope: str,
        summary: str,
        example: object = None,
    ) -> None:
        self.app.add_api_route(
            path,
            endpoint,
            methods=[method],
            summary=summary,
            response_model=None,
            operation_id=endpoint.__name__,
            responses=openapi.responses(answers, method),
            openapi_extra=described(scope, example),
        )

    # --- agents ---

    def _find(self, asked: Asked, name: str) -> Agent:
        """The agent by id or `ext:<system>:<id>`, within the key's organization. Raises NotFound."""
        roster = self._core.roster
        if name.startswith("ext:"):
            _, _, rest = name.partition(":")
            system, _, external_id = rest.partition(":")
            agent = roster.by_external(system, external_id)
        else:
            agent = roster.agent(name)
        if agent is None or asked.key is None or agent.organization_id != asked.key.organization_id:
            raise NotFound("There is no such agent. GET /v1/agents lists them all.")
        return agent

    def _row(self, asked: Asked, name: str) -> Row:
        row = self._core.roster.row(self._find(asked, name).id, asked.now)
        if row is None:
            raise NotFound("There is no such agent. GET /v1/agents lists them all.")
        return row

    def _body(self, row: Row, asked: Asked) -> AgentBody:
        return agent_body(self._core, row, self._core.roster.why_not(row.agent.id, asked.now))

    async def agents(
        self,
        request: Request,
        team: Team = None,
        skill: OneSkill = None,
        presence: PresenceName = None,
        limit: PageSize = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Everybody, or those of a team, with a skill, of a presence; the longest enrolled first."""
        asked: Asked = request.scope["rollcall"]
        core, roster = self._core, self._core.roster
        known_team(core, team)
        known_skills(core, [] if skill is None else [skill])
        after = "" if cursor is None else agent_before(cursor)
        candidates = (
            agent.id
            for agent in roster.everyone()
            if agent.id > after
            and (team is None or team in agent.teams)
            and (skill is None or skill in agent.skills)
        )
        found: list[Row] = []
        ids = sorted(candidates) if presence else nsmallest(limit + 1, candidates)
        for agent_id in ids:
            row = roster.row(agent_id, asked.now)
            if row is not None and (presence is None or row.verdict.presence.value == presence):
                found.append(row)
                if len(found) > limit:
                    break
        page = found[:limit]
        more = cursor_for(page[-1].agent.id) if len(found) > limit else None
        return answered(AgentPage(tuple(self._body(row, asked) for row in page), more), asked)

    async def agent(self, request: Request, agent_id: AgentName) -> Response:
        """Presence with its reason, load, teams, skills, accounts."""
        asked: Asked = request.scope["rollcall"]
        return answered(self._body(self._row(asked, agent_id), asked), asked)

    async def eligibility(
        self,
        request: Request,
        agent_id: AgentName,
        team: Team = None,
        skill: ManySkills = [],  # noqa: B006  # FastAPI's way of saying "none"; never changed
    ) -> Response:
        """Whether the agent may be offered new work now (for a team, with one skill or several: repeat
        `skill`), and why not."""
        asked: Asked = request.scope["rollcall"]
        core = self._core
        skills = known_skills(core, skill)
        found = self._find(asked, agent_id)
        reasons = core.roster.why_not(found.id, asked.now, known_team(core, team), skills)
        sentences = tuple(ReasonBody(reason, REASONS[reason]) for reason in reasons)
        code = self._row(asked, found.id).verdict.reason_code or None
        return answered(Eligibility(found.id, team, skills, not reasons, code, sentences), asked)

    async def put_load(self, request: Request, agent_id: AgentName, report: LoadBody) -> Response:
        """Counts until `as_of` plus `ttl_s`; a report older than the newest one of its source is not kept."""
        asked: Asked = request.scope["rollcall"]
        agent = self._find(asked, agent_id)
        as_of, expires_at = _counts(asked.now if report.as_of is None else report.as_of, report.ttl_s)
        if as_of > asked.now + AHEAD:
            raise bad_value("as_of", "an instant that is not in the future", _iso(asked.now))
        if expires_at < asked.now:
            raise bad_value("as_of", f"at most {report.ttl_s} s ago, as ttl_s says", _iso(asked.now))
        load = Load(agent.id, report.source, report.units, min(as_of, asked.now), expires_at)
        kept = await self._core.put_load(load)
        asked.now = self._core.clock.now()
        row = self._row(asked, agent.id)
        until = expires_at if kept else None
        return told(LoadDocument(agent.id, kept, row.load, row.load_known, agent.capacity, until), asked)

    async def put_external_id(
        self, request: Request, agent_id: AgentName, system: System, body: ExternalIdBody
    ) -> Response:
        """One external id a system; saying it again changes nothing, another one replaces it."""
        return await self._name(request.scope["rollcall"], agent_id, system, body.external_id)

    async def delete_external_id(self, request: Request, agent_id: AgentName, system: System) -> Response:
        """Also right where there is none: it is gone either way."""
        return await self._name(request.scope["rollcall"], agent_id, system, None)

    async def _name(self, asked: Asked, name: str, system: str, external_id: str | None) -> Response:
        core = self._core
        actor = f"key:{asked.key.id}" if asked.key else ""
        named = await core.name_agent(self._find(asked, name).id, system, external_id, actor)
        asked.now = core.clock.now()
        return told(ExternalIds(named.id, dict(named.externals)), asked)

    # --- teams and skills ---

    async def teams(self, request: Request) -> Response:
        """Each with how many are routable, available, away and offline."""
        asked: Asked = request.scope["rollcall"]
        return answered(
            Teams(tuple(self._numbers(t.slug, t.name, asked, team=t.slug) for t in self._core.teams)),
            asked,
        )

    async def skills(self, request: Request) -> Response:
        """Each with how many are routable, available, away and offline."""
        asked: Asked = request.scope["rollcall"]
        return answered(
            Skills(tuple(self._numbers(s.slug, s.name, asked, skill=s.slug) for s in self._core.skills)),
            asked,
        )

    def _numbers(
        self, slug: str, name: str, asked: Asked, team: str | None = None, skill: str | None = None
    ) -> TeamBody:
        routable = self._core.roster.pool(asked.now, team, skill).routable
        return TeamBody(slug, name, routable, counts_of(self._core, asked.now, team, skill))


def _counts(as_of: datetime, seconds: int) -> tuple[datetime, datetime]:
    """From when until when a report counts, in UTC."""
    try:
        utc = as_of.astimezone(UTC)
        return utc, utc + timedelta(seconds=seconds)
    except OverflowError:
        raise bad_value("as_of", "an instant of this century", "2026-11-02T09:00:00Z") from None


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
