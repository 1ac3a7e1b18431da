"""A lead and two agents, who are typed to."""

from __future__ import annotations

from typing import Any

from desk import Team, open_team, read

from bot.ports import Command, Person, Profile

BOSS: dict[str, Any] = {"name": "Ann", "is_admin": True}


async def opened() -> Team:
    """Maria, an agent in Support and Billing with German; Tom in Support; Ann is an admin of Slack."""
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    await team.type("U2", "/available", name="Tom")
    return team


async def fill(team: Team, name: str, fields: dict[str, str]) -> str:
    """Ann fills in the fields of a command, as on Discord."""
    ann = Person(team.slack.id, "slack", Profile("U9", "Ann", "UTC", is_admin=True))
    return read(await team.desk.dispatch(Command(name, ann, fields)))
