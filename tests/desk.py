"""A core on real SQLite in memory, at a clock the test moves, with people who type."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.config import Config
from bot.dispatch import Desk
from bot.domain.agent import Workspace
from bot.domain.facts import Seen
from bot.message import Code, Line, Message, Moment, Strong
from bot.ports import Command, Person, PersonKind, Profile, Sighting
from bot.roster import Row
from storage.database import open_inline

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""A Monday."""
TEAMS: Mapping[str, Any] = {
    "team": [
        {"slug": "support", "name": "Support", "everyone": True},
        {"slug": "billing", "name": "Billing", "members": ["slack:T1:U1"]},
    ],
    "skill": [{"slug": "german", "name": "German", "agents": ["slack:T1:U1"]}],
}


class ManualClock:
    """Time stands still until the test moves it."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._jumped = timedelta()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._jumped).timestamp()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing under test may wait")

    def advance(self, **length: float) -> datetime:
        """Move on by a timedelta's arguments."""
        self._now += timedelta(**length)
        return self._now

    def jump(self, **length: float) -> datetime:
        """Only the clock on the wall is set forward, or back; no time passes."""
        self._jumped += timedelta(**length)
        return self.advance(**length)


class Team:
    """A desk with one Slack and one Discord workspace."""

    def __init__(self, desk: Desk, clock: ManualClock, slack: Workspace, discord: Workspace) -> None:
        self.desk = desk
        self.clock = clock
        self.slack = slack
        self.discord = discord
        self._seq = 0

    async def type(
        self,
        who: str,
        line: str,
        on: str = "slack",
        *,
        mentioned: tuple[Profile, ...] = (),
        clicked: bool = False,
        arguments: Mapping[str, str] | None = None,
        delivery: str = "",
        **profile: Any,
    ) -> Message:
        """Somebody types a line: `await team.type("U1", "/brb 30m lunch")`. Names are Slack's."""
        workspace = self.slack if on == "slack" else self.discord
        word, _, rest = line.removeprefix("/").partition(" ")
        name = {"brb": "away", "whosin": "who"}.get(word, word)
        known = {"name": who.lower(), "zone": "Europe/Berlin", "may_enrol": True, **profile}
        person = Person(workspace.id, on, Profile(who, **known))
        return await self.desk.dispatch(
            Command(
                name,
                person,
                arguments or {},
                None if arguments is not None else rest,
                mentioned,
                delivery=delivery,
                clicked=clicked,
            )
        )

    async def see(self, who: str, seen: Seen, epoch: int, on: str = "discord") -> None:
        """A feed says something of somebody, now."""
        self._seq += 1
        workspace = self.slack if on == "slack" else self.discord
        await self.desk.observe(workspace.id, epoch, [Sighting(who, seen, self.clock.now(), self._seq)])

    def presence(self, name: str) -> str:
        """The verdict on an agent by name, now."""
        return self.row(name).verdict.presence.value

    def row(self, name: str) -> Row:
        """The roster's row of an agent by name, now."""
        return next(row for row in self.desk.roster.rows(self.clock.now()) if row.agent.name == name)


async def open_team(config: Mapping[str, Any] | None = None, **more: Any) -> Team:
    """A started desk; `config` over `TEAMS`."""
    clock = ManualClock()
    desk = Desk(Config.model_validate({**TEAMS, **(config or {}), **more}), open_inline(), clock)
    await desk.start()
    slack = await desk.workspace("slack", "T1", "Acme")
    discord = await desk.workspace("discord", "9", "Acme guild")
    return Team(desk, clock, slack, discord)


def member(external_id: str, name: str, kind: PersonKind = PersonKind.MEMBER) -> Profile:
    """Somebody who is mentioned."""
    return Profile(external_id, name, kind=kind)


def read(message: Message) -> str:
    """A message as plain text: lines, sections, buttons in brackets; instants as UTC clock times."""
    lines = [_plain(line) for line in message.lines]
    for section in message.sections:
        lines += [_plain(section.heading), *(_plain(line) for line in section.lines)]
    lines += [f"[{button.label}]" for button in message.buttons]
    if message.footer:
        lines.append(_plain(message.footer))
    return "\n".join(lines)


def _plain(line: Line) -> str:
    return "".join(
        span
        if isinstance(span, str)
        else f"{span.at:%H:%M}"
        if isinstance(span, Moment)
        else span.text
        if isinstance(span, Strong | Code)
        else repr(span)
        for span in line
    )
