"""A command on its way to its answer."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from bot.commands import CommandSpec, quoted
from bot.domain.agent import Agent
from bot.domain.errors import BadInput, NotEnrolled
from bot.domain.reasons import Reasons
from bot.domain.when import parse_when
from bot.ports import Command
from bot.service import members


class Asked(Struct, frozen=True):
    """A command, read: what is asked, by whom, when."""

    command: Command
    spec: CommandSpec
    arguments: Mapping[str, str]
    names: Mapping[str, str]
    agent: Agent | None
    now: datetime

    @property
    def needed(self) -> Agent:
        """The agent, for commands that only agents give."""
        if self.agent is None:
            raise NotEnrolled("You're not an agent here. A lead can make you one.")
        return self.agent


def actor_of(asked: Asked) -> str:
    """Who did it, for the audit."""
    return members.actor_of(asked.command.person, asked.agent)


class TimeAway(Struct, frozen=True):
    """Why somebody is Away, and until when."""

    reason: str
    """As it was typed."""
    reason_code: str
    """The code that it begins with."""
    until_at: datetime | None


def time_away(asked: Asked, zone: str | None, reasons: Reasons) -> TimeAway:
    """What a command with `until` and `reason` says; clock times are read in `zone`. Raises
    BadInput where a field of its own for the time holds none, and what the grammar of times refuses."""
    until, reason = asked.arguments.get("until", ""), asked.arguments.get("reason", "").strip()
    when = parse_when(until, asked.now, zone)
    if asked.command.text is None and until.strip() and when.until_at is None:
        raise BadInput(
            f"I read no time in `{quoted(until)}`. Type `30m`, `until 14:30` or "
            "`tomorrow 9am`, and why under reason.",
            field="until",
        )
    said = " ".join(part for part in (when.reason, reason) if part)
    return TimeAway(said, reasons.of(reason) or reasons.of(said), when.until_at)
