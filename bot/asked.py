"""A command on its way to its answer."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from bot.commands import CommandSpec
from bot.domain.agent import Agent
from bot.domain.errors import NotEnrolled
from bot.ports import Command


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
    if asked.agent is not None:
        return f"agent:{asked.agent.id}"
    person = asked.command.person
    return f"person:{person.platform}:{person.profile.external_id}"
