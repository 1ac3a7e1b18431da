"""Routes by which programs set presence, hold console sessions open and read an agent's history."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request, Response

from adapters.http.documents import encode
from adapters.http.exchange import JSON, NO_STORE, Answer, Asked, Scope
from adapters.http.parameters import AgentName, Cursor, cursor_for, cursor_of
from adapters.http.presence_documents import (
    LONGEST_KEY,
    SET_AWAY,
    From,
    History,
    HistorySize,
    PresenceBody,
    SessionBody,
    SessionKey,
    SetPresence,
    Stretch,
    To,
)
from adapters.http.problems import Problem, bad_value
from adapters.http.strict import answered, told
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.errors import ReasonNeeded
from bot.domain.facts import CONNECTED, Choice, Facts, Interval, Presence
from bot.domain.presence import BEAT
from bot.domain.reasons import Reasons
from bot.domain.transition import Moved, Step, settle
from bot.message import words
from bot.service.set_by import AlreadySo, set_by_program
from bot.sessions import Session

LONGEST_RANGE = timedelta(days=31)
LONGEST_AHEAD = timedelta(days=30)
AGENTS = "/v1/agents/"
ONE = AGENTS + "{agent_id}"
SESSION = ONE + "/sessions/{key}"
Kept = tuple[Interval, datetime | None]
"""An interval with its end; None: it is the one that stands."""
Find = Callable[[Asked, str], Agent]


class PresenceRoutes:
    """The routes, over a core. `find` answers the agent of a name within the key's organization."""

    def __init__(self, core: Rollcall, find: Find) -> None:
        self._core = core
        self._find = find

    def add(self, route: Callable[..., None]) -> None:
        """Register them all; `route` as `adapters.http.routes.Routes` has it."""
        summary = "A console's heartbeat: opens the session or renews it"
        route("PUT", SESSION, self.put_session, SessionBody, "presence", summary)
        route("DELETE", SESSION, self.delete_session, SessionBody, "presence", "A console's logout")
        route(
            "PUT", ONE + "/presence", self.put_presence, SetPresence, "presence", "Set a presence", SET_AWAY
        )
        route("GET", ONE + "/history", self.history, History, "read", "An agent's intervals in a range")

    # --- console sessions ---

    def renewed(self, scope: Scope, asked: Asked) -> Answer | None:
        """The answer to a heartbeat that only renews its lease: the hot path, all in memory. None: it is
        another request, or another kind of heartbeat, which `put_session` answers."""
        if not asked.path.startswith(AGENTS):
            return None
        name, found, key = asked.path[len(AGENTS) :].partition("/sessions/")
        if not found or scope["query_string"] or asked.key is None or "presence" not in asked.key.scopes:
            return None
        if len(key) > LONGEST_KEY or name.startswith("ext:") or "/" in name:
            return None
        agent = self._core.roster.agent(name)
        if agent is None or agent.organization_id != asked.key.organization_id:
            return None
        session = self._core.sessions.renew(agent.id, key, asked.now)
        if session is None:
            return None
        asked.route = SESSION
        return Answer(200, [JSON, NO_STORE], encode(_session(agent, session)).at(asked.now))

    async def put_session(self, request: Request, agent_id: AgentName, key: SessionKey) -> Response:
        """Send one every `beat_every_s`. After three missed ones the session is good for no new work, and
        at `expires_at` it has ended, a disconnect. A heartbeat for a session that has ended opens it again
        and answers `reopened`; the gap stays in the history. It takes no body."""
        asked: Asked = request.scope["rollcall"]
        agent = self._find(asked, agent_id)
        session = await self._core.sessions.beat(agent, key)
        asked.now = self._core.clock.now()
        return told(_session(agent, session), asked)

    async def delete_session(self, request: Request, agent_id: AgentName, key: SessionKey) -> Response:
        """A disconnect at once, without a grace. Also right where there is no such session: it is over
        either way."""
        asked: Asked = request.scope["rollcall"]
        agent = self._find(asked, agent_id)
        await self._core.sessions.log_out(agent, key)
        asked.now = self._core.clock.now()
        return told(SessionBody(agent.id, key, False, False, None, None, _every()), asked)

    # --- presence ---

    async def put_presence(self, request: Request, agent_id: AgentName, body: PresenceBody) -> Response:
        """Like a lead's word: it makes nobody connected, so whoever is not logged in stays Offline, as the
        answer says. Whoever signed off is left alone (409) until their own `/available`. The agent is told
        by direct message; saying the same again changes nothing and tells nobody."""
        asked: Asked = request.scope["rollcall"]
        core, agent = self._core, self._find(asked, agent_id)
        choice = Choice(body.presence)
        until_at = _until(body, choice, asked.now)
        reason = words(body.reason, len(body.reason))
        reason_code = _reason_code(body, choice, core.reasons)
        by, name = (f"api:{asked.key.id}", asked.key.name) if asked.key else ("api:", "")

        def decide(facts: Facts, at: datetime) -> Step:
            return set_by_program(
                facts,
                core.roster.feeds,
                core.policy,
                at,
                by=by,
                name=name,
                choice=choice,
                reason=reason,
                reason_code=reason_code,
                until_at=until_at,
            )

        changed = True
        try:
            await core.change(agent.id, decide, f"key:{by.removeprefix('api:')}", f"presence.{choice.value}")
        except AlreadySo:
            changed = False
        except ReasonNeeded:
            raise _needed(core.reasons) from None
        asked.now = core.clock.now()
        row = core.roster.row(self._find(asked, agent.id).id, asked.now)
        if row is None:
            raise RuntimeError("an agent that was found has a row")
        intent, seen = row.facts.intent, row.verdict.presence
        sentence = f"{agent.name} is {seen.value.capitalize()}."
        if seen is Presence.OFFLINE:
            sentence = f"{agent.name} is still Offline: not connected. This counts when they are."
        document = SetPresence(
            agent.id,
            changed,
            seen.value,
            intent.choice.value,
            intent.until_at,
            row.verdict.reason,
            intent.reason_code or None,
            sentence,
        )
        return told(document, asked)

    # --- history ---

    async def history(
        self,
        request: Request,
        agent_id: AgentName,
        from_: From = None,
        to: To = None,
        limit: HistorySize = 50,
        cursor: Cursor = None,
    ) -> Response:
        """What stood when, why, and whether it was confirmed. Intervals leave no gap and no overlap; the
        first and the last reach beyond the range. The one that stands has `until` null."""
        asked: Asked = request.scope["rollcall"]
        agent = self._find(asked, agent_id)
        began, ended = _range(from_, to, asked.now)
        if cursor is not None:
            began = _instant_of(cursor, began, ended)
        found = await self._core.store.read(lambda tx: tx.presence.history([agent.id], began, ended))
        all_of_it = self._with_due(found[agent.id], agent.id, began, ended, asked.now)
        page = all_of_it[:limit]
        more = cursor_for(all_of_it[limit][0].since.isoformat()) if len(all_of_it) > limit else None
        stretches = tuple(
            Stretch(
                one.presence.value,
                one.since,
                until,
                one.reason,
                one.source,
                one.note,
                one.confirmed,
                one.reason_code or None,
            )
            for one, until in page
        )
        return answered(History(agent.id, stretches, more), asked)

    def _with_due(
        self, stored: Sequence[Kept], agent_id: str, began: datetime, ended: datetime, now: datetime
    ) -> Sequence[Kept]:
        """With what time has brought about, though the next tick has yet to store it."""
        core = self._core
        core.roster.settle(now)
        facts = core.roster.facts(agent_id)
        if facts is None or not stored or stored[-1][1] is not None:
            return stored
        _, changes = settle(facts, core.roster.feeds, core.policy, now)
        kept = list(stored)
        for moved in changes:
            if isinstance(moved, Moved) and moved.after.since >= kept[-1][0].since:
                last, _ = kept.pop()
                if last.since < moved.after.since:  # else it leaves an interval without length
                    kept.append((last, moved.after.since))
                kept.append((moved.after, None))
        return [one for one in kept if one[0].since < ended and (one[1] is None or one[1] > began)]


def _every() -> int:
    return int(BEAT.total_seconds())


def _session(agent: Agent, session: Session) -> SessionBody:
    link, there = session.link, session.link.state is CONNECTED
    since = link.since if there else None
    return SessionBody(agent.id, session.key, there, session.reopened, since, session.expires_at, _every())


def _reason_code(body: PresenceBody, choice: Choice, reasons: Reasons) -> str:
    """What the away is for: said, or what the reason begins with. Raises Problem for a code that there is
    not."""
    given = body.reason_code
    if given is None:
        return reasons.of(body.reason) if choice is Choice.AWAY else ""
    if choice is not Choice.AWAY:
        raise bad_value("reason_code", "left out with available")
    if given not in reasons.names:
        listed = ", ".join(reasons.names)
        raise bad_value(
            "reason_code", f"one of {listed}" if listed else "left out: there are no reason codes here"
        )
    return given


def _needed(reasons: Reasons) -> Problem:
    """Every away needs a reason here."""
    rule = "some words that say why: every away needs a reason here"
    if not reasons.names:
        return bad_value("reason", rule, "dentist")
    return bad_value("reason_code", f"one of {', '.join(reasons.names)}, or reason {rule}")


def _until(body: PresenceBody, choice: Choice, now: datetime) -> datetime | None:
    """When the away ends. Raises Problem where it can't."""
    for field, given in (("until", body.until), ("for_s", body.for_s)):
        if given is not None and choice is not Choice.AWAY:
            raise bad_value(field, "left out with available, which lasts until something else is set")
    if body.for_s is not None:
        if body.until is not None:
            raise bad_value("for_s", "left out where until is given")
        return now + timedelta(seconds=body.for_s)
    if body.until is None:
        return None
    until = body.until.astimezone(UTC)
    if not now < until <= now + LONGEST_AHEAD:
        example = (now + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise bad_value("until", "an instant in the future, at most 30 days ahead", example)
    return until


def _range(from_: Any, to: Any, now: datetime) -> tuple[datetime, datetime]:
    """The range asked for, in UTC. Raises Problem for one that is empty or too long."""
    try:
        ended = now + timedelta(microseconds=1) if to is None else to.astimezone(UTC)
        began = ended - timedelta(days=1) if from_ is None else from_.astimezone(UTC)
    except OverflowError:
        raise bad_value("from", "an instant of this century", "2026-11-02T00:00:00Z", "query") from None
    if began >= ended:
        raise bad_value("to", "an instant later than from", now.strftime("%Y-%m-%dT%H:%M:%SZ"), "query")
    if ended - began > LONGEST_RANGE:
        raise bad_value("from", "at most 31 days before to", "", "query")
    return began, ended


def _instant_of(cursor: str, began: datetime, ended: datetime) -> datetime:
    """Where the page of this cursor begins, within the range. Raises Problem."""
    try:
        at = datetime.fromisoformat(cursor_of(cursor))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not began <= at < ended:
        raise bad_value("cursor", "the next_cursor of the page before, in the same range", "", "query")
    return at
