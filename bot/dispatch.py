"""From a command to its answer. Errors are answered too; what was answered is durable."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import structlog
from msgspec.structs import replace

from bot import admission, auditing, consoles, explain, linking, reason_replies, replies
from bot.asked import Asked, actor_of, theirs, time_away
from bot.changes import TRIES, Decide
from bot.commands import (
    BY_NAME,
    GROUP,
    Who,
    arguments_of,
    as_typed,
    check,
    check_names,
    read_line,
)
from bot.config import Config
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.choices import act, choose_available, choose_away, sign_off
from bot.domain.errors import (
    BadInput,
    Forbidden,
    NotFound,
    ReasonNeeded,
    RollcallError,
    Unavailable,
    UnknownCommand,
)
from bot.domain.facts import Choice, Facts, FeedState, Presence
from bot.domain.ids import new_id
from bot.domain.named import spoken
from bot.domain.presence import Feeds
from bot.domain.transition import Step as Decision
from bot.leading import Leading, author
from bot.lookup import find_agent, find_zone, suggest
from bot.message import Message
from bot.ports import Clock, Command, Person, PersonKind, Profile, Store
from bot.roster import Row
from bot.working_hours import WorkingHours

log = logging.getLogger("rollcall.commands")
LONGEST_TEXT = 4000
"""What people may type behind a command: Slack's own limit; longer is refused, not cut."""
ACTS = ("available", "away", "presence me", "presence off")
"""Commands that are written down as an action of the agent's own with what else they change; any other is
afterwards."""


class Dispatcher:
    """Answers commands on behalf of a core."""

    def __init__(self, core: Rollcall) -> None:
        self.core = core
        self._behind: set[asyncio.Task[None]] = set()
        leading = Leading(core)
        self._use_cases: Mapping[str, Callable[[Asked], Awaitable[Message]]] = {
            "available": self._available,
            "away": self._away,
            "who": self._who,
            "presence me": self._me,
            "presence off": self._off,
            "presence why": self._why,
            "presence timezone": self._timezone,
            "presence link": self._link,
            "presence unlink": self._unlink,
            "presence enrol": self._enrol,
            "presence remove": self._remove,
            "presence audit": self._audit,
            "presence help": self._help,
            **leading.use_cases,
            **WorkingHours(core, leading).use_cases,
        }

    async def dispatch(self, command: Command) -> Message:
        """The answer to a command; see `bot.ports.Core`."""
        now = self.core.clock.now()
        request_id = command.request_id or new_id("cmd", now)
        names = admission.names(self.core, command.person.platform)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            started = self.core.clock.monotonic()
            outcome = "ok"
            try:
                if len(command.text or "".join(command.arguments.values())) > LONGEST_TEXT:
                    raise BadInput(f"That is longer than {LONGEST_TEXT} characters. Say it shorter, please.")
                return await self._answer(replace(command, request_id=request_id), now)
            except RollcallError as problem:
                outcome = problem.code
                lost = not command.clicked and (
                    problem.field or isinstance(problem, Unavailable | UnknownCommand)
                )
                typed = as_typed(command.name, command.text, command.arguments, names) if lost else ()
                refused = replies.refusal(problem, names, typed, self._stands(command, problem))
                if isinstance(problem, ReasonNeeded):
                    name, given = self._read(command, names)
                    until = given.get("until", "").strip()
                    return reason_replies.needed(refused, name, until, names, self.core.reasons)
                return refused
            except Exception:
                outcome = "broken"
                log.exception("a command failed")
                return replies.broken(request_id, names)
            finally:
                taken = (self.core.clock.monotonic() - started) * 1000
                log.info(
                    "command",
                    extra={"command": command.name, "outcome": outcome, "ms": round(taken, 1)},
                )

    async def _answer(self, command: Command, now: datetime) -> Message:
        names = admission.names(self.core, command.person.platform)
        name, arguments = self._read(command, names)
        spec = BY_NAME[name]
        check(spec, arguments, names)
        for left in reversed(range(TRIES)):
            agent = await admission.admit(self.core, command.person, spec)
            asked = Asked(command, spec, arguments, names, agent, now)
            try:
                reply = await self._use_cases[name](asked)
                break
            except NotFound:
                if not left or not self._moved(asked):
                    raise
        if name not in ACTS:
            person = command.person  # an agent's by now, or another's, or nobody's
            agent = self.core.roster.by_identity(person.workspace_id, person.profile.external_id)
            if agent is not None:
                self._renew(agent)
        return replace(reply, replaces=command.clicked and name != "presence help")

    def _moved(self, asked: Asked) -> bool:
        """Whether whoever gives the command has become another agent over it, by a link or an unlink."""
        person = asked.command.person
        known = self.core.roster.by_identity(person.workspace_id, person.profile.external_id)
        return asked.agent is not None and known is not None and known.id != asked.agent.id

    def _stands(self, command: Command, problem: RollcallError) -> Presence | None:
        """How somebody is still seen whose `/away` was refused: they may look away in good faith."""
        agent = self.core.roster.by_identity(command.person.workspace_id, command.person.profile.external_id)
        row = agent and self.core.roster.row(agent.id, self.core.clock.now())
        return row.verdict.presence if row and problem.field and command.name == "away" else None

    def _read(self, command: Command, names: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        teams, skills = spoken(self.core.teams), spoken(self.core.skills)
        if command.text is None:
            return command.name, check_names(command.arguments, teams, skills, BY_NAME.get(command.name))
        people = [name for one in command.mentioned for name in (one.external_id, one.name)]
        if command.name == GROUP:
            return read_line(f"{names[GROUP]} {command.text}", names, teams, skills, people)
        return command.name, arguments_of(BY_NAME[command.name], command.text.strip(), teams, skills)

    def _renew(self, agent: Agent) -> None:
        """Any command is a sign of life, but nobody waits for it to be written down."""

        async def write() -> None:
            try:
                await self.core.change(
                    agent.id,
                    lambda facts, at: act(facts, self._feeds, self.core.policy, at, agent.zone, agent.hours),
                )
            except RollcallError as problem:
                log.warning("a sign of life was not stored: %s", problem.code)

        task = asyncio.ensure_future(write())
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def finish(self) -> None:
        """Waits for what goes on behind answers, however it ends."""
        await asyncio.gather(*self._behind, return_exceptions=True)
        await self.core.changes.finish()

    # --- use cases ---

    @property
    def _feeds(self) -> Feeds:
        return self.core.roster.feeds

    def _row(self, agent_id: str, now: datetime) -> Row:
        row = self.core.roster.row(agent_id, now)
        if row is None:
            raise NotFound("That agent was removed just now.")
        return row

    def _identity_id(self, asked: Asked) -> str:
        person = asked.command.person
        known = self.core.roster.identity(person.workspace_id, person.profile.external_id)
        if known is None:
            raise NotFound("That agent was removed just now.")
        return known[1].id

    async def _own(self, asked: Asked, decide: Decide, action: str) -> None:
        """Change the facts of whoever gives the command, as long as they are that agent."""
        agent = asked.needed

        def decided(facts: Facts, at: datetime) -> Decision:
            admission.still(self.core, asked.command.person, agent)
            return decide(facts, at)

        await self.core.change(agent.id, decided, f"agent:{agent.id}", action, asked.command.delivery)

    async def _available(self, asked: Asked) -> Message:
        note, here, hours = asked.arguments.get("note", ""), self._identity_id(asked), asked.needed.hours
        await self._own(
            asked,
            lambda facts, at: choose_available(
                facts, self._feeds, self.core.policy, at, note=note, identity_id=here, hours=hours
            ),
            "presence.available",
        )
        return self._as_it_stands(asked)

    async def _away(self, asked: Asked) -> Message:
        agent = asked.needed
        away = time_away(asked, agent.zone, self.core.reasons)
        await self._own(
            asked,
            lambda facts, at: choose_away(
                facts,
                self._feeds,
                self.core.policy,
                at,
                reason=away.reason,
                reason_code=away.reason_code,
                until_at=away.until_at,
                hours=agent.hours,
            ),
            "presence.away",
        )
        return self._as_it_stands(asked)

    async def _off(self, asked: Asked) -> Message:
        await self._own(
            asked, lambda facts, at: sign_off(facts, self._feeds, self.core.policy, at), "presence.off"
        )
        return self._as_it_stands(asked)

    def _as_it_stands(self, asked: Asked) -> Message:
        """The answer to a change: what holds now, also when the change had been delivered before."""
        now = self.core.clock.now()
        row = self._row(asked.needed.id, now)
        choice = row.facts.intent.choice
        if choice is Choice.OFF:
            return replies.signed_off(asked.names)
        if choice is Choice.AWAY:
            return replies.away(row, self._feeds, asked.names)
        others = self.core.roster.pool(now).available - (row.verdict.presence is Presence.AVAILABLE)
        return replies.available(row, self._feeds, asked.names, others)

    async def _who(self, asked: Asked) -> Message:
        team, skill = asked.arguments.get("team"), asked.arguments.get("skill")
        rows = self.core.roster.rows(asked.now, team, skill)
        in_team = next((one.name for one in self.core.teams if one.slug == team), "")
        with_skill = next((one.name for one in self.core.skills if one.slug == skill), "")
        if not rows:
            return replies.nobody(
                in_team, with_skill, asked.arguments, asked.names, asked.now, others=len(self.core.roster) > 0
            )
        title = ", ".join(filter(None, (in_team, with_skill))) or self.core.config.organization.name
        lost = [
            (feed, self.core.workspaces[feed.id].name)
            for feed in self._feeds.values()
            if feed.state is not FeedState.LIVE and feed.id in self.core.workspaces
        ]
        roster = self.core.roster
        theirs = {slug for row in rows for slug in row.agent.teams} if team is None else {team}
        closed = [
            (one.name, roster.opens_at(asked.now, one.slug))
            for one in self.core.teams
            if one.slug in theirs and not roster.open(asked.now, one.slug)
        ]
        usual = self.core.config.presence.blind_trust
        asking = [  # only where a round of asking takes its time
            (feed, *self.core.roster.seen_on(feed.id))
            for feed in self._feeds.values()
            if feed.state is FeedState.LIVE and usual < feed.trust and asked.now <= feed.live_at + feed.trust
        ]
        return replies.who(rows, asked.arguments, title, lost, asking, asked.now, closed)

    async def _me(self, asked: Asked) -> Message:
        agent = asked.needed
        await self.core.change(
            agent.id,
            lambda facts, at: act(facts, self._feeds, self.core.policy, at, agent.zone, agent.hours),
        )
        row = self._row(agent.id, asked.now)
        by = await author(self.core, row)
        return explain.me(row, self._feeds, self.core.policy, asked.names, asked.now, by)

    async def _why(self, asked: Asked) -> Message:
        named = asked.arguments.get("agent", "")
        agent = (
            find_agent(self.core, asked.command.person.workspace_id, named) if named.strip() else asked.agent
        )
        if agent is None:
            raise BadInput(f"Whom do you mean? Type `/{asked.names[GROUP]} why @agent`.", field="agent")
        row, against = self._row(agent.id, asked.now), self.core.roster.why_not(agent.id, asked.now)
        oneself = asked.agent is not None and asked.agent.id == agent.id
        by = await author(self.core, row)
        seen = tuple(consoles.seen(row, self._feeds, asked.now, of_them=not oneself))
        return explain.why(row, against, asked.names, oneself=oneself, by=by, seen=seen)

    async def _timezone(self, asked: Asked) -> Message:
        agent, zone = asked.needed, find_zone(asked.arguments["zone"])
        await self.core.changes.agent(
            agent.id,
            lambda stored: replace(theirs(asked, stored), zone=zone, zone_by_hand=True),
            f"agent:{agent.id}",
            delivery=asked.command.delivery,
        )
        return replies.zone_set(zone, asked.now)

    async def _link(self, asked: Asked) -> Message:
        code = asked.arguments.get("code", "").strip()
        if code:
            return await linking.confirm(self.core, asked.command, asked.agent, code)
        # Who asks for a code becomes an agent by it, where they may; who types one need not be one.
        agent = asked.agent or await admission.admit(
            self.core, asked.command.person, replace(asked.spec, who=Who.AGENT)
        )
        return await linking.ask(self.core, asked.command, replace(asked, agent=agent).needed)

    async def _unlink(self, asked: Asked) -> Message:
        if code := asked.arguments.get("undo", ""):
            return await linking.undo(self.core, asked.command, asked.needed, code)
        return await linking.unlink(
            self.core, asked.command, asked.needed, asked.arguments.get("platform", "")
        )

    async def _enrol(self, asked: Asked) -> Message:
        profile = self._mentioned(asked, "enrol")
        if profile.kind is not PersonKind.MEMBER:
            raise Forbidden(
                "Guests, bots and people of other organizations can't be agents. Nobody was enrolled."
            )
        agent = await self.core.enrol(
            asked.command.person.workspace_id, profile, actor_of(asked), asked.command.delivery
        )
        return replies.enrolled(agent.name, asked.names)

    async def _remove(self, asked: Asked) -> Message:
        workspace_id, named = asked.command.person.workspace_id, asked.arguments["agent"]
        agent = find_agent(self.core, workspace_id, named, exact=True)
        await self.core.remove(agent, actor_of(asked), asked.command.delivery)
        return replies.removed(agent.name)

    async def _audit(self, asked: Asked) -> Message:
        return await auditing.page(self.core, asked)

    async def _help(self, asked: Asked) -> Message:
        return replies.help_page(
            asked.names,
            admission.is_lead(self.core, asked.command.person, asked.agent),
            self.core.reasons,
            required=self.core.policy.require_reason,
        )

    def _mentioned(self, asked: Asked, verb: str) -> Profile:
        """The one person whom the command is about; words beside a mention may mean somebody else."""
        wanted = asked.arguments.get("agent", "").strip().strip("<@>")
        for profile in asked.command.mentioned:
            if wanted == profile.external_id or wanted.casefold() == profile.name.casefold():
                return profile
        how = f"/{asked.names[GROUP]} {verb} @somebody"
        raise BadInput(
            f"Mention the one person with @ and nothing else, so that I know whom you mean: `{how}`.",
            field="agent",
        )


class Desk(Rollcall):
    """The core with its commands: all of `bot.ports.Core`."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        super().__init__(config, store, clock)
        self.dispatcher = Dispatcher(self)

    async def dispatch(self, command: Command) -> Message:
        """The answer to a command."""
        return await self.dispatcher.dispatch(command)

    async def suggest(
        self, person: Person, command: str, parameter: str, typed: str
    ) -> Sequence[tuple[str, str]]:
        """(label, value) pairs for autocompletion; none for customers, who need not know who is there."""
        return suggest(self, command, parameter, typed) if admission.belongs(self, person) else ()
