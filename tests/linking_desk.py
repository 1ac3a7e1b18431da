"""People with accounts on two platforms, who ask for codes and type them."""

import re
from typing import Any

from desk import Team, read

from bot.linking import REFUSED
from storage import tables
from storage.sql import Statement

CODE = re.compile(r"/presence link ([2-9A-Z]{4}-[2-9A-Z]{4})")
NAMES = {"U1": "Maria", "91": "maria_d"}
"""Two accounts of one person."""


async def say(team: Team, who: str, line: str, **more: Any) -> str:
    """What somebody is answered; their id says where they are, and who."""
    on = "slack" if who.startswith("U") else "discord"
    return read(await team.type(who, line, on, **{"name": NAMES.get(who, who), **more}))


async def ask(team: Team, who: str = "U1", **more: Any) -> str:
    """The code that somebody is shown."""
    shown = CODE.search(await say(team, who, "/presence link", **more))
    assert shown is not None
    return shown[1]


async def type_code(team: Team, code: str, who: str = "91", **more: Any) -> str:
    """What somebody is answered who types a code, `91` of Discord unless told otherwise."""
    return await say(team, who, f"/presence link {code}", **more)


async def audited(team: Team) -> list[tuple[str, str]]:
    """(action, subject) of everything that the audit holds, the oldest first."""
    statement = Statement(tables.audit.select().order_by(tables.audit.c.id))
    rows = await team.desk.store.read(lambda tx: tx.ledger._sql.all(statement))  # type: ignore[attr-defined]
    return [(row[4], row[5]) for row in rows]


async def owed(team: Team) -> list[tuple[str, str, str]]:
    """(agent, what, to which of their accounts) of every direct message that is owed."""
    due = await team.desk.store.write(
        lambda tx: tx.ledger.due_notices(team.desk.organization_id, team.clock.now(), 10)
    )
    return [(notice.agent_id, notice.told, notice.data.get("account", "")) for notice in due]


def names(team: Team) -> list[str]:
    return [row.agent.name for row in team.desk.roster.rows(team.clock.now())]


async def both(team: Team) -> None:
    """Maria of Slack and of Discord, two agents, each seen on her own."""
    await say(team, "U1", "/available")
    await say(team, "91", "/available")


async def refused(team: Team, code: str, who: str = "91") -> bool:
    """Whether somebody is refused, in the words that tell nothing."""
    return REFUSED in await type_code(team, code, who)
