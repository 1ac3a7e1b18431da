"""What the audit holds, as docs/security.md says it."""

import ast
import re
import sqlite3
from datetime import timedelta
from pathlib import Path

from desk import TEAMS, ManualClock, Team

from bot.config import Config
from bot.dispatch import Desk
from bot.ports import Load
from storage.database import ensure_schema, open_inline

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
EVENTS = (
    (ROOT / "docs/http-api.md").read_text(encoding="utf-8").partition("### Events")[2].partition("###")[0]
)
OWN = ("key.", "link.", "database.", "load.")
NO_EVENT = {"presence.available", "presence.away", "presence.off", "agent.linked", "agent.unlinked"}
"""Rows of the audit, with an event of another type: what came of them."""
NO_AUDIT = {"presence.changed", "load.reported"}
"""Events for programs, with no row in the audit."""


def test_the_document_names_every_action_and_no_other() -> None:
    """As they stand in the program, whoever writes them."""
    written = {
        node.value
        for file in (ROOT / "bot").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(r"(agent|presence|key|link|database|load|team|skill)\.[a-z_]+", node.value)
    }
    told = set(re.findall(r"`((?:agent|presence|key|link|database|load|team|skill)\.[a-z_]+)`", DOC))
    assert told == written - NO_AUDIT - {"database.url"}
    described = set(re.findall(r"`((?:agent|presence|team|skill)\.[a-z_]+)`", EVENTS))
    assert described == {kind for kind in written if not kind.startswith(OWN)} - NO_EVENT, "events of the API"


async def test_commands_and_external_ids_are_audited_and_reported_load_is_not(tmp_path: Path) -> None:
    """Row for row, on a database that SQLite itself is asked about."""
    file = tmp_path / "audit.sqlite3"
    ensure_schema(f"sqlite:///{file}")
    clock = ManualClock()
    desk = Desk(Config.model_validate(TEAMS), open_inline(f"sqlite:///{file}"), clock)
    await desk.start()
    slack = await desk.workspace("slack", "T1", "Acme")
    team = Team(desk, clock, slack, slack)
    for line in ("/available", "/brb 30m", "/whosin", "/presence timezone Asia/Tokyo", "/presence off"):
        await team.type("U1", line, name="Maria")
    agent_id = team.row("Maria").agent.id
    await desk.name_agent(agent_id, "chatwoot", "42", "key:k")
    now = clock.now()
    assert await desk.put_load(Load(agent_id, "chatwoot", 2, now, now + timedelta(minutes=1)))
    await desk.store.close()
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT action, subject FROM audit").fetchall()
    assert sorted(action for action, _ in rows) == [
        "agent.enrolled",
        "agent.updated",
        "agent.updated",
        "presence.available",
        "presence.away",
        "presence.off",
    ]
    assert {subject for _, subject in rows} == {agent_id}
