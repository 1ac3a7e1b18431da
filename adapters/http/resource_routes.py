"""Routes by which programs make, change and end agents, teams and skills, and say who is in them.

What they do is what leads do in chat, by the same operations (`bot.service`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import Request, Response
from msgspec.structs import replace

from adapters.http import resource_documents as documents
from adapters.http.again import Posting, created, once
from adapters.http.documents import ExternalIds, SkillBody, TeamBody, counts_within
from adapters.http.exchange import Asked
from adapters.http.parameters import AgentName
from adapters.http.problems import Problem, bad_value
from adapters.http.resource_documents import (
    AgentChange,
    AgentRecord,
    IdempotencyKey,
    IfMatch,
    NewAgent,
    NewSkill,
    NewTeam,
    RemovedAgent,
    SkillChange,
    SkillSlug,
    TeamChange,
    TeamRecord,
    TeamSlug,
    agent_record,
    revisions_in,
    team_record,
)
from adapters.http.sight import seen_teams, sight_of, whole
from adapters.http.strict import answered, told
from bot.core import Rollcall
from bot.domain.agent import Agent, Role, Skill, Team, Workspace, slug_among
from bot.domain.errors import NotFound
from bot.domain.facts import Facts
from bot.ports import Transaction
from bot.service import enrolling, teams
from bot.service.revision import refuse_stale, revision_of

AGENTS, ONE = "/v1/agents", "/v1/agents/{agent_id}"
TEAMS, TEAM = "/v1/teams", "/v1/teams/{team}"
SKILLS, SKILL = "/v1/skills", "/v1/skills/{skill}"
Find = Callable[[Asked, str], Agent]


class ResourceRoutes:
    """The routes, over a core. `find` answers the agent of a name whom the key sees."""

    def __init__(self, core: Rollcall, find: Find) -> None:
        self._core = core
        self._find = find

    def add(self, route: Callable[..., None]) -> None:
        """Register them all; `route` as `adapters.http.routes.Routes` has it."""
        admin, kept = "admin", AgentRecord
        summary, example = "Make somebody an agent", documents.ADD_AGENT
        route("POST", AGENTS, self.add_agent, kept, admin, summary, example)
        route("PATCH", ONE, self.change_agent, kept, admin, "Change an agent", documents.CHANGE_AGENT)
        route("DELETE", ONE, self.remove_agent, RemovedAgent, admin, "Somebody is no longer an agent")
        route("PUT", ONE + "/teams/{team}", self.join_team, kept, admin, "Put an agent into a team")
        route("DELETE", ONE + "/teams/{team}", self.leave_team, kept, admin, "Take an agent out of a team")
        route("PUT", ONE + "/skills/{skill}", self.give_skill, kept, admin, "Give an agent a skill")
        route("DELETE", ONE + "/skills/{skill}", self.take_skill, kept, admin, "Take a skill from an agent")
        names = "How other systems name an agent"
        route("GET", ONE + "/external-ids", self.external_ids, ExternalIds, "read", names)
        one = TeamRecord
        route("GET", TEAM, self.team, TeamBody, "read", "One team, with its numbers")
        route("POST", TEAMS, self.add_team, one, admin, "Make a team", documents.ADD_TEAM)
        route("PATCH", TEAM, self.change_team, one, admin, "Change a team", documents.CHANGE_TEAM)
        route("DELETE", TEAM, self.end_team, one, admin, "Archive a team")
        route("GET", SKILL, self.skill, SkillBody, "read", "One skill, with its numbers")
        route("POST", SKILLS, self.add_skill, one, admin, "Make a skill", documents.ADD_SKILL)
        route("PATCH", SKILL, self.change_skill, one, admin, "Change a skill", documents.CHANGE_SKILL)
        route("DELETE", SKILL, self.end_skill, one, admin, "Archive a skill")

    # --- agents ---

    async def add_agent(
        self, request: Request, body: NewAgent, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """By their account on a platform. Whoever was removed is an agent again; somebody who is one
        already is 409, with their id."""
        asked: Asked = request.scope["rollcall"]
        whole(asked, "make agents")
        core, actor = self._core, _actor(asked)
        workspace = self._workspace(body.platform, body.workspace)
        wanted = enrolling.Wanted(
            body.external_id,
            teams.name_of(body.name, "name"),
            body.zone,
            body.capacity,
            Role(body.role),
            body.teams,
            body.skills,
        )
        posting = Posting(asked, core.organization_id, idempotency_key, body)
        made: list[AgentRecord] = []

        def enrol(tx: Transaction) -> tuple[Agent, Facts]:
            now = core.clock.now()
            posting.begin(tx, now)
            agent, facts = enrolling.add(tx, core.organization_id, workspace, wanted, core.config, actor, now)
            made.append(agent_record(core, agent, None))
            posting.keep(tx, now, made[-1], f"{AGENTS}/{agent.id}")
            return agent, facts

        async def work() -> Response:
            agent = await core.changes.enrol(enrol)
            core.feeds.refit(workspace.id)
            return created(made[-1], core.clock.now(), f"{AGENTS}/{agent.id}")

        return await once(work)

    def _workspace(self, platform: str, external_id: str) -> Workspace:
        known = self._core.workspaces.values()
        for workspace in known:
            if (workspace.platform, workspace.external_id) == (platform, external_id):
                return workspace
        names = sorted({one.external_id for one in known if one.platform == platform})
        rule = "the platform's id of a workspace that Rollcall knows"
        if not names:
            raise bad_value("platform", "one that Rollcall runs on, with a workspace that it has seen")
        raise bad_value("workspace", rule, names[0])

    async def change_agent(
        self, request: Request, agent_id: AgentName, body: AgentChange, if_match: IfMatch = None
    ) -> Response:
        """A zone counts as set by hand. The platform's name comes back when the person changes it there."""
        asked: Asked = request.scope["rollcall"]
        agent, given = self._find(asked, agent_id), body.model_fields_set
        if "role" in given:
            whole(asked, "change roles")
        changes: dict[str, Any] = {field: getattr(body, field) for field in given - {"role", "name"}}
        if "name" in given:
            changes["name"] = teams.name_of(body.name, "name")
        if "role" in given:
            changes["role"] = Role(body.role)
        if "zone" in given:
            changes["zone_by_hand"] = body.zone is not None
        read, now, actor = revisions_in(if_match), self._core.clock.now(), _actor(asked)
        changed = await self._core.changes.stored(
            agent.id,
            lambda tx: enrolling.change(
                tx, agent.id, lambda stored: replace(stored, **changes), read, actor, now
            ),
        )
        return self._told(asked, changed)

    async def remove_agent(self, request: Request, agent_id: AgentName, if_match: IfMatch = None) -> Response:
        """At once and without a grace: Offline, out of every list, check-ins and sessions over; the history
        stays. They don't come back by themselves: a lead or a POST brings them back."""
        asked: Asked = request.scope["rollcall"]
        whole(asked, "remove agents")
        agent, read = self._find(asked, agent_id), revisions_in(if_match)

        def unchanged(stored: Agent) -> Agent:
            refuse_stale(stored, read)
            return stored

        await self._core.remove(agent, _actor(asked), alter=unchanged)
        asked.now = self._core.clock.now()
        return told(RemovedAgent(agent.id, True), asked)

    async def join_team(self, request: Request, agent_id: AgentName, team: TeamSlug) -> Response:
        """Also right where they are in it."""
        return await self._place(request, agent_id, "team", team, inside=True)

    async def leave_team(self, request: Request, agent_id: AgentName, team: TeamSlug) -> Response:
        """Also right where they are not in it. A key of some teams does not see them any more after the
        last of these."""
        return await self._place(request, agent_id, "team", team, inside=False)

    async def give_skill(self, request: Request, agent_id: AgentName, skill: SkillSlug) -> Response:
        """Also right where they have it."""
        return await self._place(request, agent_id, "skill", skill, inside=True)

    async def take_skill(self, request: Request, agent_id: AgentName, skill: SkillSlug) -> Response:
        """Also right where they don't have it."""
        return await self._place(request, agent_id, "skill", skill, inside=False)

    async def _place(
        self, request: Request, agent_id: str, kind: teams.Kind, typed: str, *, inside: bool
    ) -> Response:
        asked: Asked = request.scope["rollcall"]
        agent, slug = self._find(asked, agent_id), self._listed(asked, kind, typed).slug
        now, actor = self._core.clock.now(), _actor(asked)
        placed = await self._core.changes.stored(
            agent.id, lambda tx: teams.place(tx, agent.id, kind, slug, inside, actor, now)
        )
        return self._told(asked, placed)

    async def external_ids(self, request: Request, agent_id: AgentName) -> Response:
        """One for each system."""
        asked: Asked = request.scope["rollcall"]
        agent = self._find(asked, agent_id)
        return answered(ExternalIds(agent.id, dict(agent.externals)), asked)

    def _told(self, asked: Asked, agent: Agent) -> Response:
        asked.now = self._core.clock.now()
        return told(agent_record(self._core, agent, sight_of(self._core, asked.key)), asked)

    # --- teams and skills ---

    def listed(self, asked: Asked, kind: teams.Kind) -> Sequence[teams.Listed]:
        """The teams that the key sees, or the skills."""
        if kind == "skill":
            return self._core.skills
        return seen_teams(self._core, sight_of(self._core, asked.key))

    def _listed(self, asked: Asked, kind: teams.Kind, typed: str) -> teams.Listed:
        """The one of a slug that it has or had. Raises NotFound."""
        there = self.listed(asked, kind)
        slug = slug_among(there, typed)
        for one in there:
            if one.slug == slug:
                return one
        raise NotFound(f"There is no such {kind}. GET /v1/{kind}s lists them all.")

    def team_body(self, team: teams.Listed, asked: Asked) -> TeamBody:
        """A team with its numbers."""
        assert isinstance(team, Team)
        core, now = self._core, asked.now
        routable, counts = counts_within(core, now, team.slug, None, sight_of(core, asked.key))
        return TeamBody(
            team.slug,
            team.name,
            team.color,
            team.aliases,
            revision_of(team),
            core.roster.open(now, team.slug),
            core.roster.next_expected(now, team.slug),
            routable,
            counts,
        )

    def skill_body(self, skill: teams.Listed, asked: Asked) -> SkillBody:
        """A skill with its numbers, counted over whom the key sees."""
        assert isinstance(skill, Skill)
        core = self._core
        routable, counts = counts_within(core, asked.now, None, skill.slug, sight_of(core, asked.key))
        return SkillBody(skill.slug, skill.name, skill.aliases, revision_of(skill), routable, counts)

    def team_of(self, asked: Asked, typed: str) -> Team:
        """The team of a slug that it has or had. Raises NotFound."""
        found = self._listed(asked, "team", typed)
        assert isinstance(found, Team)
        return found

    async def team(self, request: Request, team: TeamSlug) -> Response:
        """Also by a slug that it had before."""
        asked: Asked = request.scope["rollcall"]
        return answered(self.team_body(self.team_of(asked, team), asked), asked)

    async def skill(self, request: Request, skill: SkillSlug) -> Response:
        """Also by a slug that it had before."""
        asked: Asked = request.scope["rollcall"]
        return answered(self.skill_body(self._listed(asked, "skill", skill), asked), asked)

    async def add_team(
        self, request: Request, body: NewTeam, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """It has nobody in it yet. Where no slug is given, it comes of the name."""
        return await self._make(request, "team", body, idempotency_key)

    async def add_skill(
        self, request: Request, body: NewSkill, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Nobody has it yet. Where no slug is given, it comes of the name."""
        return await self._make(request, "skill", body, idempotency_key)

    async def _make(
        self, request: Request, kind: teams.Kind, body: NewTeam | NewSkill, idempotency_key: str | None
    ) -> Response:
        asked: Asked = request.scope["rollcall"]
        whole(asked, f"make {kind}s")
        core, actor = self._core, _actor(asked)
        posting = Posting(asked, core.organization_id, idempotency_key, body)
        color = body.color if isinstance(body, NewTeam) else ""

        def make(tx: Transaction, now: Any) -> TeamRecord:
            posting.begin(tx, now)
            one = teams.create(
                tx, core.organization_id, kind, body.name, actor, now, slug=body.slug or "", color=color
            )
            posting.keep(tx, now, team_record(one), f"/v1/{kind}s/{one.slug}")
            return team_record(one)

        async def work() -> Response:
            record = await core.lists.change(make)
            return created(record, core.clock.now(), f"/v1/{kind}s/{record.slug}")

        return await once(work)

    async def change_team(
        self, request: Request, team: TeamSlug, body: TeamChange, if_match: IfMatch = None
    ) -> Response:
        """Another name leaves the slug alone; a changed slug goes on to work everywhere."""
        return await self._change(request, "team", team, body, if_match)

    async def change_skill(
        self, request: Request, skill: SkillSlug, body: SkillChange, if_match: IfMatch = None
    ) -> Response:
        """Another name leaves the slug alone; a changed slug goes on to work everywhere."""
        return await self._change(request, "skill", skill, body, if_match)

    async def _change(
        self,
        request: Request,
        kind: teams.Kind,
        slug: str,
        body: TeamChange | SkillChange,
        if_match: str | None,
    ) -> Response:
        asked: Asked = request.scope["rollcall"]
        whole(asked, f"change {kind}s")
        core, read, given = self._core, revisions_in(if_match), body.model_fields_set
        color = body.color if isinstance(body, TeamChange) and "color" in given else None
        changed = await core.lists.change(
            lambda tx, now: teams.change(
                tx,
                core.organization_id,
                kind,
                slug,
                _actor(asked),
                now,
                name=body.name if "name" in given else None,
                new_slug=body.slug if "slug" in given else None,
                color=color,
                read=read,
            )
        )
        asked.now = core.clock.now()
        return told(team_record(changed), asked)

    async def end_team(self, request: Request, team: TeamSlug, if_match: IfMatch = None) -> Response:
        """Nobody is in it any more; its agents stay agents. One that stands in the configuration is taken
        out there (409)."""
        named = [one.slug for one in self._core.config.team]
        return await self._end(request, "team", team, if_match, named)

    async def end_skill(self, request: Request, skill: SkillSlug, if_match: IfMatch = None) -> Response:
        """Nobody has it any more. One that stands in the configuration is taken out there (409)."""
        named = [one.slug for one in self._core.config.skill]
        return await self._end(request, "skill", skill, if_match, named)

    async def _end(
        self, request: Request, kind: teams.Kind, typed: str, if_match: str | None, named: Sequence[str]
    ) -> Response:
        asked: Asked = request.scope["rollcall"]
        whole(asked, f"end {kind}s")
        core, one, read = self._core, self._listed(asked, kind, typed), revisions_in(if_match)
        if any(slug in (one.slug, *one.aliases) for slug in named):
            raise Problem(
                "conflict",
                f"The {kind} {one.slug} stands in the configuration, and would be back with the next start. "
                "Take it out there and start again.",
            )
        ended = await core.lists.change(
            lambda tx, now: teams.end(tx, core.organization_id, kind, one.slug, _actor(asked), now, read)
        )
        asked.now = core.clock.now()
        return told(team_record(ended), asked)


def _actor(asked: Asked) -> str:
    return f"key:{asked.key.id}" if asked.key else ""
