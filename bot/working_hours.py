"""Working hours in chat: everybody sees them and sets their own, leads set others' and teams'."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from functools import partial

from msgspec.structs import replace

from bot import admission, hours_replies
from bot.asked import Asked, actor_of
from bot.commands import spelled
from bot.config.values import known_zone
from bot.core import Rollcall
from bot.domain.agent import Agent, Team
from bot.domain.errors import BadInput, Forbidden, NotFound
from bot.domain.hours import DayOff, Hours, Span
from bot.domain.hours_set import with_day_off, with_week, without_days_off
from bot.domain.hours_text import LONGEST_LABEL, read_days, read_weekly
from bot.hours import change_agent, change_team
from bot.leading import Leading
from bot.message import Message, words
from bot.service.hours import Change

NONE = frozenset({"none", "always", "off", "-"})
"""What people type for no hours at all."""
ChangeDays = Callable[[Hours | None, str, DayOff, date], Hours | None]


class WorkingHours:
    """The use cases, by the table's names."""

    def __init__(self, core: Rollcall, leading: Leading) -> None:
        self.core = core
        self.leading = leading
        self.use_cases: Mapping[str, Callable[[Asked], Awaitable[Message]]] = {
            "presence hours show": self._show,
            "presence hours set": self._set,
            "presence team hours": self._team,
            "presence dayoff add": self._day_off,
            "presence dayoff remove": self._day_back,
        }

    async def _show(self, asked: Asked) -> Message:
        agent = asked.agent
        if asked.arguments.get("agent", "").strip():
            agent = self.leading.named(asked)
        if agent is None:
            raise BadInput(
                f"Whom do you mean? Type `{spelled(asked.spec.name, asked.names)} @agent`.", field="agent"
            )
        return self._of_agent(asked, agent)

    async def _set(self, asked: Asked) -> Message:
        agent = self.leading.whose(asked)
        weekly, zone = self._week(asked.arguments["hours"])
        kept = agent.hours.zone if agent.hours is not None else ""
        zone = zone or (agent.zone or kept if weekly else kept)
        if weekly and not zone:
            raise BadInput(
                "I don't know the time zone of these hours. Set it first with "
                f"`{spelled('presence timezone', asked.names)} Europe/Berlin`, or write it behind them: "
                "`mon-fri 9-17 Europe/Berlin`.",
                field="hours",
            )
        change = partial(with_week, zone=zone or "UTC", weekly=weekly)
        return self._of_agent(asked, await self._change_agent(asked, agent, change))

    async def _team(self, asked: Asked) -> Message:
        slug, typed = asked.arguments["team"], asked.arguments.get("hours", "").strip()
        team = self._known_team(slug)
        if typed:
            self._leads_only(asked)
            weekly, zone = self._week(typed)
            zone = zone or self._zone_of(team)
            team = await self._change_team(asked, slug, partial(with_week, zone=zone, weekly=weekly))
        return self._of_team(asked, team)

    async def _day_off(self, asked: Asked) -> Message:
        return await self._days(asked, with_day_off)

    async def _day_back(self, asked: Asked) -> Message:
        return await self._days(asked, lambda hours, _zone, off, _today: without_days_off(hours, off))

    async def _days(self, asked: Asked, change: ChangeDays) -> Message:
        """Change the days off of whom the command names. Dates are read where the hours are."""
        slug = asked.arguments.get("team", "").strip()
        if slug and asked.arguments.get("agent", "").strip():
            raise BadInput("Name a team or a person, not both.", field="team")
        if slug:
            self._leads_only(asked)
            team = self._known_team(slug)
            zone = self._zone_of(team)
            today = Hours(zone).today(asked.now)
            off = self._dates(asked, today)
            return self._of_team(
                asked, await self._change_team(asked, slug, lambda hours: change(hours, zone, off, today))
            )
        agent = self.leading.whose(asked)
        own = agent.hours.zone if agent.hours is not None else agent.zone
        zone = own or self.core.config.organization.zone
        today = Hours(zone).today(asked.now)
        off = self._dates(asked, today)
        agent = await self._change_agent(asked, agent, lambda hours: change(hours, zone, off, today))
        return self._of_agent(asked, agent)

    # --- reading ---

    def _week(self, typed: str) -> tuple[tuple[Span, ...], str]:
        """The week, and the zone where one stands behind it."""
        if typed.strip().lower() in NONE:
            return (), ""
        text, _, last = typed.strip().rpartition(" ")
        zone = known_zone(last) if text and ("/" in last or last == "UTC") else None
        return read_weekly(text if zone else typed), zone or ""

    def _dates(self, asked: Asked, today: date) -> DayOff:
        off = read_days(asked.arguments["dates"], today)
        label = words(" ".join(filter(None, (off.label, asked.arguments.get("label", "")))), LONGEST_LABEL)
        return replace(off, label=label)

    def _zone_of(self, team: Team) -> str:
        return team.hours.zone if team.hours is not None else self.core.config.organization.zone

    def _known_team(self, slug: str) -> Team:
        team = next((team for team in self.core.teams if team.slug == slug), None)
        if team is None:
            raise NotFound("That team is not there any more.")
        return team

    def _leads_only(self, asked: Asked) -> None:
        if not admission.is_lead(self.core, asked.command.person, asked.agent):
            raise Forbidden("Only leads set the hours and days off of a team. Nothing was changed.")

    # --- changing, and answering ---

    async def _change_agent(self, asked: Asked, agent: Agent, change: Change) -> Agent:
        return await change_agent(self.core, agent.id, change, actor_of(asked), asked.command.delivery)

    async def _change_team(self, asked: Asked, slug: str, change: Change) -> Team:
        return await change_team(self.core, slug, change, actor_of(asked), asked.command.delivery)

    def _of_agent(self, asked: Asked, agent: Agent) -> Message:
        oneself = asked.agent is not None and asked.agent.id == agent.id
        return hours_replies.hours_of(
            None if oneself else agent.name, agent.hours, self.core.clock.now(), asked.names
        )

    def _of_team(self, asked: Asked, team: Team) -> Message:
        hours = self.core.roster.hours(team.slug)
        return hours_replies.hours_of(team.name, hours, self.core.clock.now(), asked.names, team=team.slug)
