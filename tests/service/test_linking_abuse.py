"""Whoever tries to be somebody else is refused, in words that tell nothing, and audited (fault 20)."""

import pytest
from desk import open_team
from linking_desk import ask, audited, both, names, refused, say, type_code

from bot.linking import REFUSED
from bot.service import linking
from storage import tables
from storage.sql import Statement


async def test_fault_20_a_code_works_once() -> None:
    team = await open_team()
    await both(team)
    code = await ask(team)
    assert not await refused(team, code)
    assert await refused(team, code, "92")
    assert await refused(team, code)
    assert len(team.row("Maria").agent.identities) == 2


async def test_fault_20_a_code_expires() -> None:
    """At its tenth minute it still works, a microsecond later it doesn't."""
    team = await open_team()
    await both(team)
    code = await ask(team)
    team.clock.advance(minutes=10, microseconds=1)
    assert await refused(team, code)
    code = await ask(team)
    team.clock.advance(minutes=10)
    assert not await refused(team, code)


async def test_fault_20_a_newer_code_voids_the_older() -> None:
    team = await open_team()
    await both(team)
    code, newer = await ask(team), await ask(team)
    assert await refused(team, code)
    assert not await refused(team, newer)


async def test_fault_20_guessing_ends_after_five_tries_of_a_person() -> None:
    """Then not even the right one works, for ten minutes; and each try is in the audit."""
    team = await open_team()
    await both(team)
    right = await ask(team)
    for wrong in ("AAAA-AAAA", "BBBB-BBBB", "nonsense", "CCCC-CCCC", "0000-0000"):
        assert await refused(team, wrong)
    assert await refused(team, right)
    tries = [subject for action, subject in await audited(team) if action == "link.refused"]
    assert tries == [team.row("maria_d").agent.id] * 5
    assert not await refused(team, right, "92")
    team.clock.advance(minutes=10, microseconds=1)
    assert not await refused(team, await ask(team, "U5"))


async def test_fault_20_who_may_not_try_makes_no_slow_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or five tries would be enough to keep the machine busy for ever."""
    team = await open_team()
    await both(team)
    hashed: list[str] = []
    slow = linking.hashed

    def counted(organization_id: str, code: linking.Typed) -> bytes:
        hashed.append(code.name)
        return slow(organization_id, code)

    monkeypatch.setattr(linking, "hashed", counted)
    for _ in range(8):
        assert await refused(team, "AAAA-AAAA")
    assert len(hashed) == 5
    team.clock.advance(minutes=10, microseconds=1)
    assert await refused(team, "AAAA-AAAA")
    assert len(hashed) == 6


async def test_fault_20_a_code_is_dead_after_five_tries_by_however_many_people() -> None:
    """Who has seen its first half guesses the second no better together than alone."""
    team = await open_team()
    await both(team)
    right = await ask(team)
    end = "AAAA" if right[5:] != "AAAA" else "BBBB"
    for number in range(5):
        assert await refused(team, f"{right[:5]}{end}", f"10{number}")
    assert await refused(team, right)


async def test_fault_20_somebody_else_of_the_askers_workspace_is_refused() -> None:
    """They saw the code over a shoulder; two accounts of one workspace are two people."""
    team = await open_team()
    await both(team)
    code = await ask(team)
    await say(team, "U2", "/available", name="Mallory")
    assert await refused(team, code, "U2")
    assert await refused(team, code, "U3")
    assert len(team.row("Maria").agent.identities) == 1
    assert not await refused(team, code)
    assert await refused(team, await ask(team, "U2"), "91"), "she is on Slack already, as somebody else"


async def test_fault_20_ones_own_code_typed_where_it_was_shown_is_explained() -> None:
    team = await open_team()
    code = await ask(team)
    for _ in range(7):
        assert "That's your own code" in await type_code(team, code, "U1")
    assert not await refused(team, code)


async def test_fault_20_ones_own_code_gives_back_only_its_own_try() -> None:
    """Or whoever guesses would type their own after each fourth, and go on for ever."""
    team = await open_team()
    await both(team)
    right, own = await ask(team), await ask(team, "91")
    for _ in range(4):
        assert await refused(team, "AAAA-AAAA")
    assert "That's your own code" in await type_code(team, own)
    assert await refused(team, "AAAA-AAAA")
    assert await refused(team, right)


async def test_fault_20_linking_ones_own_accounts_gives_back_only_its_own_try() -> None:
    team = await open_team()
    await both(team)
    other = await team.desk.workspace("slack", "T2", "Other")
    right, here = await ask(team), team.slack
    for _ in range(4):
        assert await refused(team, "AAAA-AAAA")
    team.slack = other
    own = await ask(team, "U66")
    team.slack = here
    assert not await refused(team, own)
    assert await refused(team, "AAAA-AAAA")
    assert await refused(team, right)


async def test_fault_20_a_code_of_another_organization_is_unknown() -> None:
    team = await open_team()
    other = await open_team()
    await both(team)
    code = await ask(other)
    assert await refused(team, code)


async def test_fault_20_somebody_removed_links_nothing() -> None:
    """Neither as the one who asked nor as the one who types; not even as a lead."""
    team = await open_team()
    await both(team)
    code = await ask(team)
    await team.desk.remove(team.row("Maria").agent, "operator")
    assert await refused(team, code)
    code = await ask(team, "91")
    assert REFUSED in await type_code(team, code, "U1", is_admin=True)
    assert names(team) == ["maria_d"]


async def test_fault_20_a_code_asked_for_on_an_account_that_left_is_void() -> None:
    """The agent is there still, by another account: the one who asked is not."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    guild, team.discord = team.discord, await team.desk.workspace("discord", "10", "Another guild")
    code = await ask(team)
    await team.desk.member_left(team.slack.id, "U1")
    assert await refused(team, code, "95")
    team.discord = guild
    assert names(team) == ["Maria"]


async def test_only_a_hash_of_a_code_is_kept_and_none_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    team = await open_team()
    code = await ask(team)
    await type_code(team, code)
    statement = Statement(tables.link_code.select())
    rows = await team.desk.store.read(lambda tx: tx.ledger._sql.all(statement))  # type: ignore[attr-defined]
    (row,) = rows
    assert row[1] == code[:4]
    assert code[5:] not in repr(row)
    assert len(row[2]) == 32
    assert code[5:] not in caplog.text


def test_a_code_is_drawn_from_what_cannot_be_misread() -> None:
    """And no two alike, of 200: there are 656 thousand million."""
    drawn = {linking.drawn() for _ in range(200)}
    assert len(drawn) == 200
    assert not set("01ILOU") & set("".join(code.name + code.secret for code in drawn))


def test_what_is_kept_of_a_code_differs_between_organizations() -> None:
    code = linking.Typed("K7QD", "2MXP")
    assert linking.hashed("org_1", code) != linking.hashed("org_2", code)
    assert linking.read(" `k7qd 2mxp` ") == linking.read("K7QD2MXP") == code
    assert linking.read("K7QD-2MX") == linking.read("K7QD-2MX0") == linking.read("") == linking.Typed("", "")
