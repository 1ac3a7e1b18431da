"""`/presence audit`: leads read who changed what, in words."""

from __future__ import annotations

from datetime import timedelta

from desk import START, Team, member, open_team, read

from bot.auditing import DEEDS, SHOWN, Names, line_of
from bot.domain.events import AuditEntry
from bot.message import Moment, TimeStyle
from bot.ports import Profile
from bot.service import keys

LEADS = {"organization": {"leads": ["slack:T1:U1"]}}


def said(shown: str) -> list[str]:
    """The lines without their times."""
    return [line.split(" · ", 1)[1] for line in shown.splitlines() if " · " in line]


async def typed(team: Team, who: str, line: str, *mentioned: Profile) -> str:
    """Somebody types a line, a minute after the one before. `Lee` is U1, `Maria` U2, `Bob` U3."""
    team.clock.advance(minutes=1)
    name = {"U1": "Lee", "U2": "Maria", "U3": "Bob"}[who]
    return read(await team.type(who, line, name=name, mentioned=mentioned))


async def test_a_lead_reads_who_changed_what_the_newest_first() -> None:
    team, maria = await open_team(LEADS), member("U2", "Maria")
    await typed(team, "U1", "/available")
    await typed(team, "U2", "/brb 30m lunch")
    for line in ("set <@U2> available", "capacity <@U2> 3", "team join billing <@U2>", "remove <@U2>"):
        await typed(team, "U1", f"/presence {line}", maria)
    desk, now = team.desk, team.clock.advance(minutes=1)
    await desk.store.write(
        lambda tx: keys.create(tx, desk.organization_id, "chatwoot", ["read"], now, timedelta(days=1))
    )
    page = await team.type("U1", "/presence audit", name="Lee")
    assert alike(said(read(page))) == [
        "The command line made the key chatwoot",
        "Lee removed Maria",
        "Lee put Maria into the team billing",
        "Lee lets Maria take 3 at once",
        "Lee set Maria Available",
        *["Maria went Away", "Maria became an agent"],
        *["Lee is Available", "Lee became an agent"],
    ]
    moments = [span for line in page.lines for span in line if isinstance(span, Moment)]
    assert {moment.style for moment in moments} == {TimeStyle.DATE_TIME}, "in the reader's own zone"


def alike(lines: list[str]) -> list[str]:
    """With what was done at one instant in one order."""
    first = {"Maria became an agent": "Maria went Away", "Lee became an agent": "Lee is Available"}
    for index, line in enumerate(lines[:-1]):
        if first.get(line) == lines[index + 1]:
            lines[index], lines[index + 1] = lines[index + 1], line
    return lines


async def test_of_one_agent_it_is_what_was_changed_about_them() -> None:
    team = await open_team(LEADS)
    for who in ("U1", "U2", "U3"):
        await typed(team, who, "/available")
    await typed(team, "U1", "/presence capacity <@U2> 3", member("U2", "Maria"))
    shown = await typed(team, "U1", "/presence audit <@U2>", member("U2", "Maria"))
    lines = said(shown)
    assert lines[0] == "Lee lets Maria take 3 at once"
    assert set(lines[1:]) == {"Maria is Available", "Maria became an agent"}
    assert "Bob" not in shown


async def test_only_leads_read_it() -> None:
    """Checked with the command, whatever the platform shows."""
    team = await open_team(LEADS)
    await team.type("U1", "/available", name="Lee")
    await team.type("U2", "/available", name="Maria")
    refused = read(await team.type("U2", "/presence audit"))
    assert "Lee" not in refused
    assert "lead" in refused


async def test_it_ends_after_the_newest_twenty() -> None:
    team = await open_team(LEADS)
    for _ in range(SHOWN + 1):
        await typed(team, "U1", "/available")
    shown = said(await typed(team, "U1", "/presence audit"))
    assert shown == ["Lee is Available"] * SHOWN, "that Lee became an agent is older"


async def test_nobody_is_told_anothers_organization() -> None:
    team = await open_team(LEADS)
    await team.type("U1", "/available", name="Lee")
    now = team.clock.now()

    def other(tx: object) -> None:
        owner = tx.members.ensure_organization("other", "Other", now)  # type: ignore[attr-defined]
        tx.ledger.audit(AuditEntry("aud_x", owner, now, "operator", "team.created", "x", {"name": "Secret"}))  # type: ignore[attr-defined]

    await team.desk.store.write(other)
    assert "Secret" not in read(await team.type("U1", "/presence audit"))


def test_what_has_no_words_of_its_own_is_told_by_its_name() -> None:
    """An action that a newer version wrote; and data that an older one left out."""
    names = Names({"agt_1": "Maria"}, {})
    now = START

    def told(action: str, **data: str) -> str:
        line = line_of(AuditEntry("aud_1", "org", now, "agent:agt_2", action, "agt_1", data), names)
        return "".join(str(span) if isinstance(span, str) else "" for span in line[3:])

    assert told("agent.painted") == " agent.painted Maria"
    assert told("team.joined") == " put Maria into the team …"
    for action in DEEDS:
        assert "{" not in told(action, team="a", name="b", platform="slack", into="agt_1", capacity="3")
