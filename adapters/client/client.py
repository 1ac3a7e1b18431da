"""Every call of the API, by what it does."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from uuid import uuid4

import msgspec

from adapters.client import documents as told
from adapters.client.calls import Calls, given, route, segment
from adapters.client.console import Console
from adapters.client.following import Following

AGENT = "/v1/agents/{agent_id}"
TEAM, SKILL = "/v1/teams/{team}", "/v1/skills/{skill}"


class Client(Calls):
    """Rollcall over HTTP; use it within `async with`.

    An agent is named by their id, or `ext:<system>:<id>`. Each call raises `ClientError`: `Refused` (by its
    status, with the problem's code and fields) or `Unreachable`. Where it is safe a call is made again when
    nothing is known of what became of it; a POST is, under an Idempotency-Key of its own.
    """

    # --- asking ---

    @route("GET", "/v1/availability")
    async def availability(
        self, team: str | None = None, skills: Sequence[str] = (), limit: int | None = None
    ) -> told.Availability:
        """Who is routable now, the one to take first at first."""
        query = {"team": team, "skill": list(skills) or None, "limit": limit}
        return await self.call(told.Availability, "GET", "/v1/availability", query=query)

    @route("GET", "/v1/agents")
    async def agent_page(
        self,
        team: str | None = None,
        skill: str | None = None,
        presence: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> told.AgentPage:
        """A page of agents, the longest enrolled first."""
        query = {"team": team, "skill": skill, "presence": presence, "limit": limit, "cursor": cursor}
        return await self.call(told.AgentPage, "GET", "/v1/agents", query=query)

    async def agents(
        self, team: str | None = None, skill: str | None = None, presence: str | None = None
    ) -> AsyncIterator[told.Agent]:
        """All of them, page after page."""
        cursor = None
        while True:
            page = await self.agent_page(team, skill, presence, 200, cursor)
            for agent in page.agents:
                yield agent
            cursor = page.next_cursor
            if cursor is None:
                return

    @route("GET", AGENT)
    async def agent(self, agent_id: str) -> told.OneAgent:
        """One agent."""
        return await self.call(told.OneAgent, "GET", _agent(agent_id))

    @route("GET", AGENT + "/eligibility")
    async def eligibility(
        self, agent_id: str, team: str | None = None, skills: Sequence[str] = ()
    ) -> told.Eligibility:
        """May this agent be offered new work now, and every reason why not."""
        query = {"team": team, "skill": list(skills) or None}
        return await self.call(told.Eligibility, "GET", _agent(agent_id, "eligibility"), query=query)

    @route("GET", AGENT + "/history")
    async def history_page(
        self,
        agent_id: str,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> told.History:
        """A page of what stood when, in a range of at most 31 days."""
        query = {"from": _iso(since), "to": _iso(until), "limit": limit, "cursor": cursor}
        return await self.call(told.History, "GET", _agent(agent_id, "history"), query=query)

    async def history(self, agent_id: str, since: datetime, until: datetime) -> AsyncIterator[told.Interval]:
        """All of a range, page after page."""
        cursor = None
        while True:
            page = await self.history_page(agent_id, since, until, 200, cursor)
            for interval in page.intervals:
                yield interval
            cursor = page.next_cursor
            if cursor is None:
                return

    # --- presence, sessions, load ---

    @route("PUT", AGENT + "/presence")
    async def set_presence(
        self,
        agent_id: str,
        presence: str,
        *,
        until: datetime | None = None,
        for_s: int | None = None,
        reason: str = "",
        reason_code: str | None = None,
    ) -> told.SetPresence:
        """`available`, or `away` for good, until an instant or for so many seconds. With `for_s` it is said
        once only: said again it would be another end."""
        body = given(
            presence=presence, until=_iso(until), for_s=for_s, reason=reason, reason_code=reason_code
        )
        path, again = _agent(agent_id, "presence"), for_s is None
        return await self.call(told.SetPresence, "PUT", path, body=body, again=again)

    @route("PUT", AGENT + "/sessions/{key}")
    async def beat(self, agent_id: str, key: str) -> told.Session:
        """A console's heartbeat: opens the session, renews or reopens it."""
        return await self.call(told.Session, "PUT", _agent(agent_id, "sessions", key))

    @route("DELETE", AGENT + "/sessions/{key}")
    async def log_out(self, agent_id: str, key: str) -> told.Session:
        """A console's logout: a disconnect at once."""
        return await self.call(told.Session, "DELETE", _agent(agent_id, "sessions", key))

    def console(self, agent_id: str, key: str, every_s: float | None = None) -> Console:
        """A session that is kept open within `async with`: a heartbeat every 15 s, and a logout."""
        return Console(lambda: self.beat(agent_id, key), lambda: self.log_out(agent_id, key), every_s)

    @route("PUT", AGENT + "/load")
    async def report_load(
        self,
        agent_id: str,
        source: str,
        units: int,
        as_of: datetime | None = None,
        ttl_s: int | None = None,
    ) -> told.Load:
        """Units held in another system, true until `as_of` plus `ttl_s`."""
        body = given(source=source, units=units, as_of=_iso(as_of), ttl_s=ttl_s)
        return await self.call(told.Load, "PUT", _agent(agent_id, "load"), body=body)

    # --- agents ---

    @route("POST", "/v1/agents")
    async def add_agent(
        self,
        platform: str,
        workspace: str,
        external_id: str,
        name: str,
        *,
        zone: str | None = None,
        teams: Sequence[str] | None = None,
        skills: Sequence[str] | None = None,
        capacity: int = 1,
        role: str = "agent",
        idempotency_key: str | None = None,
    ) -> told.AgentRecord:
        """Make somebody an agent, by their account on a platform."""
        body = given(
            platform=platform,
            workspace=workspace,
            external_id=external_id,
            name=name,
            zone=zone,
            teams=teams,
            skills=skills,
            capacity=capacity,
            role=role,
        )
        return await self._post(told.AgentRecord, "/v1/agents", body, idempotency_key)

    @route("PATCH", AGENT)
    async def change_agent(
        self,
        agent_id: str,
        *,
        name: str | None = None,
        zone: str | msgspec.UnsetType | None = msgspec.UNSET,
        capacity: int | None = None,
        role: str | None = None,
        revision: str | None = None,
    ) -> told.AgentRecord:
        """What is given, and nothing else; a zone of None: as the platform says. `revision`: what was read
        before; Stale where it is another by now."""
        body = given(name=name, capacity=capacity, role=role)
        if zone is not msgspec.UNSET:
            body["zone"] = zone
        return await self._patch(told.AgentRecord, _agent(agent_id), body, revision)

    @route("DELETE", AGENT)
    async def remove_agent(self, agent_id: str, *, revision: str | None = None) -> told.RemovedAgent:
        """No longer an agent, at once; the history stays."""
        return await self._delete(told.RemovedAgent, _agent(agent_id), revision)

    @route("PUT", AGENT + "/teams/{team}")
    async def join_team(self, agent_id: str, team: str) -> told.AgentRecord:
        """Into a team."""
        return await self.call(told.AgentRecord, "PUT", _agent(agent_id, "teams", team))

    @route("DELETE", AGENT + "/teams/{team}")
    async def leave_team(self, agent_id: str, team: str) -> told.AgentRecord:
        """Out of a team."""
        return await self.call(told.AgentRecord, "DELETE", _agent(agent_id, "teams", team))

    @route("PUT", AGENT + "/skills/{skill}")
    async def give_skill(self, agent_id: str, skill: str) -> told.AgentRecord:
        """A skill more."""
        return await self.call(told.AgentRecord, "PUT", _agent(agent_id, "skills", skill))

    @route("DELETE", AGENT + "/skills/{skill}")
    async def take_skill(self, agent_id: str, skill: str) -> told.AgentRecord:
        """A skill less."""
        return await self.call(told.AgentRecord, "DELETE", _agent(agent_id, "skills", skill))

    @route("GET", AGENT + "/external-ids")
    async def external_ids(self, agent_id: str) -> told.ExternalIds:
        """How other systems name an agent."""
        return await self.call(told.ExternalIds, "GET", _agent(agent_id, "external-ids"))

    @route("PUT", AGENT + "/external-ids/{system}")
    async def put_external_id(self, agent_id: str, system: str, external_id: str) -> told.ExternalIds:
        """Name an agent as another system does; one id a system."""
        path, body = _agent(agent_id, "external-ids", system), {"external_id": external_id}
        return await self.call(told.ExternalIds, "PUT", path, body=body)

    @route("DELETE", AGENT + "/external-ids/{system}")
    async def delete_external_id(self, agent_id: str, system: str) -> told.ExternalIds:
        """Take such a name away."""
        return await self.call(told.ExternalIds, "DELETE", _agent(agent_id, "external-ids", system))

    # --- teams and skills ---

    @route("GET", "/v1/teams")
    async def teams(self, limit: int | None = None, cursor: str | None = None) -> told.Teams:
        """A page of teams, with their numbers; 200 if nothing is said."""
        return await self.call(told.Teams, "GET", "/v1/teams", query={"limit": limit, "cursor": cursor})

    @route("GET", TEAM)
    async def team(self, team: str) -> told.OneTeam:
        """One team, with its numbers."""
        return await self.call(told.OneTeam, "GET", f"/v1/teams/{segment(team)}")

    @route("POST", "/v1/teams")
    async def add_team(
        self,
        name: str,
        slug: str | None = None,
        color: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> told.TeamRecord:
        """Make a team. Without a slug, it comes of the name."""
        body = given(name=name, slug=slug, color=color)
        return await self._post(told.TeamRecord, "/v1/teams", body, idempotency_key)

    @route("PATCH", TEAM)
    async def change_team(
        self,
        team: str,
        *,
        name: str | None = None,
        slug: str | None = None,
        color: str | None = None,
        revision: str | None = None,
    ) -> told.TeamRecord:
        """What is given, and nothing else. A slug of before goes on to work."""
        body = given(name=name, slug=slug, color=color)
        return await self._patch(told.TeamRecord, f"/v1/teams/{segment(team)}", body, revision)

    @route("DELETE", TEAM)
    async def end_team(self, team: str, *, revision: str | None = None) -> told.TeamRecord:
        """Archive a team: nobody is in it any more."""
        return await self._delete(told.TeamRecord, f"/v1/teams/{segment(team)}", revision)

    @route("GET", "/v1/skills")
    async def skills(self, limit: int | None = None, cursor: str | None = None) -> told.Skills:
        """A page of skills, with their numbers; 200 if nothing is said."""
        return await self.call(told.Skills, "GET", "/v1/skills", query={"limit": limit, "cursor": cursor})

    @route("GET", SKILL)
    async def skill(self, skill: str) -> told.OneSkill:
        """One skill, with its numbers."""
        return await self.call(told.OneSkill, "GET", f"/v1/skills/{segment(skill)}")

    @route("POST", "/v1/skills")
    async def add_skill(
        self, name: str, slug: str | None = None, *, idempotency_key: str | None = None
    ) -> told.TeamRecord:
        """Make a skill. Without a slug, it comes of the name."""
        return await self._post(told.TeamRecord, "/v1/skills", given(name=name, slug=slug), idempotency_key)

    @route("PATCH", SKILL)
    async def change_skill(
        self,
        skill: str,
        *,
        name: str | None = None,
        slug: str | None = None,
        revision: str | None = None,
    ) -> told.TeamRecord:
        """What is given, and nothing else. A slug of before goes on to work."""
        body = given(name=name, slug=slug)
        return await self._patch(told.TeamRecord, f"/v1/skills/{segment(skill)}", body, revision)

    @route("DELETE", SKILL)
    async def end_skill(self, skill: str, *, revision: str | None = None) -> told.TeamRecord:
        """Archive a skill: nobody has it any more."""
        return await self._delete(told.TeamRecord, f"/v1/skills/{segment(skill)}", revision)

    # --- working hours ---

    @route("GET", AGENT + "/hours")
    async def agent_hours(self, agent_id: str) -> told.Hours:
        """An agent's own."""
        return await self.call(told.Hours, "GET", _agent(agent_id, "hours"))

    @route("PUT", AGENT + "/hours")
    async def set_agent_hours(
        self, agent_id: str, zone: str, weekly: str = "", days_off: Sequence[told.DayOff] = ()
    ) -> told.Hours:
        """In whole, such as `mon-fri 09:00-17:30`; without a week: always, but for the days off."""
        body = _hours(zone, weekly, days_off)
        return await self.call(told.Hours, "PUT", _agent(agent_id, "hours"), body=body)

    @route("DELETE", AGENT + "/hours")
    async def delete_agent_hours(self, agent_id: str) -> told.Hours:
        """None: always."""
        return await self.call(told.Hours, "DELETE", _agent(agent_id, "hours"))

    @route("GET", TEAM + "/hours")
    async def team_hours(self, team: str) -> told.Hours:
        """A team's; `open` is by its holidays too."""
        return await self.call(told.Hours, "GET", f"/v1/teams/{segment(team)}/hours")

    @route("PUT", TEAM + "/hours")
    async def set_team_hours(
        self, team: str, zone: str, weekly: str = "", days_off: Sequence[told.DayOff] = ()
    ) -> told.Hours:
        """In whole, as for an agent."""
        body = _hours(zone, weekly, days_off)
        return await self.call(told.Hours, "PUT", f"/v1/teams/{segment(team)}/hours", body=body)

    @route("DELETE", TEAM + "/hours")
    async def delete_team_hours(self, team: str) -> told.Hours:
        """None: always open."""
        return await self.call(told.Hours, "DELETE", f"/v1/teams/{segment(team)}/hours")

    # --- the audit ---

    @route("GET", "/v1/audit")
    async def audit(
        self, agent: str | None = None, after: str | None = None, limit: int | None = None
    ) -> told.AuditPage:
        """Who did what to whom, the oldest first; `after`: the `last` of the page before."""
        query = {"agent": agent, "after": after, "limit": limit}
        return await self.call(told.AuditPage, "GET", "/v1/audit", query=query)

    # --- keys ---

    @route("GET", "/v1/keys")
    async def keys(self, limit: int | None = None, cursor: str | None = None) -> told.Keys:
        """A page of keys, without their secrets."""
        return await self.call(told.Keys, "GET", "/v1/keys", query={"limit": limit, "cursor": cursor})

    @route("POST", "/v1/keys")
    async def add_key(
        self,
        name: str,
        scopes: Collection[str],
        teams: Collection[str] = (),
        days: int | None = None,
    ) -> told.KeyMade:
        """Make a key. Its text is told once, so this is said once only."""
        body = given(name=name, scopes=list(scopes), teams=list(teams), days=days)
        return await self.call(told.KeyMade, "POST", "/v1/keys", body=body, again=False)

    @route("POST", "/v1/keys/{key_id}/rotate")
    async def rotate_key(self, key_id: str, overlap_s: int | None = None) -> told.KeyMade:
        """Another secret; the one of before holds for `overlap_s` yet. Said once only."""
        path = f"/v1/keys/{segment(key_id)}/rotate"
        return await self.call(told.KeyMade, "POST", path, body=given(overlap_s=overlap_s), again=False)

    @route("DELETE", "/v1/keys/{key_id}")
    async def revoke_key(self, key_id: str) -> told.RevokedKey:
        """End a key at once."""
        return await self._delete(told.RevokedKey, f"/v1/keys/{segment(key_id)}", None)

    # --- events ---

    @route("GET", "/v1/events")
    async def event_page(self, after: str, limit: int | None = None) -> told.EventPage:
        """Events behind a position; behind an empty one: from the oldest that is kept."""
        return await self.call(told.EventPage, "GET", "/v1/events", query={"after": after, "limit": limit})

    def events(self, last: str | None = None, silence_s: float = 45.0) -> Following:
        """Every change from now on, or from the position `last` on, for good: see `Following`."""
        return Following(self, last, silence_s)

    # --- operations ---

    @route("GET", "/livez")
    async def live(self) -> Mapping[str, object]:
        """The process works."""
        return await self.call(dict[str, object], "GET", "/livez")

    @route("GET", "/readyz")
    async def ready(self) -> Mapping[str, object]:
        """It should be sent requests; else Unavailable says why not."""
        return await self.call(dict[str, object], "GET", "/readyz", again=False)

    @route("GET", "/metrics")
    async def metrics(self) -> str:
        """Metrics as Prometheus reads them."""
        return (await self.read("GET", "/metrics")).decode()

    @route("GET", "/openapi.json")
    async def description(self) -> Mapping[str, object]:
        """The API's description, OpenAPI 3.1."""
        return await self.call(dict[str, object], "GET", "/openapi.json")

    # --- inside ---

    async def _post(
        self, answer: type[told.T], path: str, body: Mapping[str, object], key: str | None
    ) -> told.T:
        headers = {"Idempotency-Key": key or uuid4().hex}
        return await self.call(answer, "POST", path, body=body, headers=headers)

    async def _patch(
        self, answer: type[told.T], path: str, body: Mapping[str, object], revision: str | None
    ) -> told.T:
        """Not again where a revision is given: done the first time, it would be another by the second."""
        headers = _if_match(revision)
        return await self.call(answer, "PATCH", path, body=body, headers=headers, again=revision is None)

    async def _delete(self, answer: type[told.T], path: str, revision: str | None) -> told.T:
        """Once only: done the first time, it would not be there for the second."""
        return await self.call(answer, "DELETE", path, headers=_if_match(revision), again=False)


def _agent(agent_id: str, *behind: str) -> str:
    return "/".join(("/v1/agents", segment(agent_id), *map(segment, behind)))


def _hours(zone: str, weekly: str, days_off: Sequence[told.DayOff]) -> dict[str, object]:
    return {"zone": zone, "weekly": weekly, "days_off": [msgspec.to_builtins(one) for one in days_off]}


def _if_match(revision: str | None) -> dict[str, str]:
    return {} if revision is None else {"If-Match": f'"{revision}"'}


def _iso(at: datetime | None) -> str | None:
    if at is not None and at.tzinfo is None:
        raise ValueError("an instant needs its time zone")
    return None if at is None else at.isoformat()
