"""`GET /v1/audit`: who did what to whom, for programs that keep or show it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Query, Request, Response

from adapters.http.audit_documents import AuditBody, AuditPage
from adapters.http.exchange import Asked
from adapters.http.parameters import Cursor, PageSize, cursor_for, cursor_of
from adapters.http.problems import Problem, bad_value
from adapters.http.sight import whole
from adapters.http.strict import answered
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.errors import NotFound
from bot.domain.events import AuditEntry
from bot.ports import Transaction

OfAgent = Annotated[
    str | None,
    Query(
        description="the id of an agent, or ext:<system>:<id>: what was changed about them",
        examples=["agt_01k9f3tq8x7v5e2m4n6p8r0s1t", "ext:chatwoot:42"],
        max_length=200,
    ),
]
Find = Callable[[Asked, str], Agent]


class AuditRoutes:
    """The route, over a core. `find` answers the agent of a name within the key's organization."""

    def __init__(self, core: Rollcall, find: Find) -> None:
        self._core = core
        self._find = find

    def add(self, route: Callable[..., None]) -> None:
        """Register it; `route` as `adapters.http.routes.Routes` has it."""
        route("GET", "/v1/audit", self.audit, AuditPage, "admin", "Who did what, the oldest first")

    async def audit(
        self, request: Request, after: Cursor = None, agent: OfAgent = None, limit: PageSize = 50
    ) -> Response:
        """Entries behind `after`, or from the oldest that is kept. They stand in the order of what was done,
        which may be a moment before it was written: whoever follows the audit asks from a little earlier."""
        asked: Asked = request.scope["rollcall"]
        whole(asked, "read the audit")
        place = None if after is None else _place(after)
        named = None if agent is None or not agent.startswith("ext:") else self._find(asked, agent).id
        agent_id, organization_id = named or agent, self._core.organization_id

        def read(tx: Transaction) -> Sequence[AuditEntry]:
            if agent_id is not None:
                found = tx.members.agent(agent_id)  # also one who was removed
                if found is None or found.organization_id != organization_id:
                    raise NotFound("There is no such agent.", field="agent")
            return tx.ledger.audit_after(organization_id, place, agent_id, limit + 1)

        entries = await self._core.store.read(read)
        page = entries[:limit]
        last = cursor_for(f"{page[-1].at.isoformat()} {page[-1].id}") if page else after
        return answered(AuditPage(tuple(map(_body, page)), last, len(entries) > limit), asked)


def _body(entry: AuditEntry) -> AuditBody:
    return AuditBody(entry.id, entry.at, entry.actor, entry.action, entry.subject, dict(entry.data))


def _place(after: str) -> tuple[datetime, str]:
    """The entry that a page ended with. Raises Problem."""
    wrong = bad_value("after", "the `last` of the page before, as it was given", "", "query")
    try:
        at, _, entry_id = cursor_of(after).partition(" ")
        instant = datetime.fromisoformat(at)
    except (Problem, ValueError):
        raise wrong from None
    if instant.tzinfo is None or not entry_id:
        raise wrong
    return instant, entry_id
