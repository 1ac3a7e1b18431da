"""One person on several platforms, asked for and confirmed by commands; and everybody who tries to be somebody
else (fault 20)."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from desk import Team, open_team, read

from bot.domain.facts import Seen
from bot.linking import REFUSED
from bot.ports import Load
from bot.service import linking
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


async def owed(team: Team) -> list[tuple[str, str]]:
    """(agent, what) of every direct message that is owed."""
    due = await team.desk.store.write(
        lambda tx: tx.ledger.due_notices(team.desk.organization_id, team.clock.now(), 10)
    )
    return [(notice.agent_id, notice.told) for notice in due]


def names(team: Team) -> list[str]:
    return [row.agent.name for row in team.desk.roster.rows(team.clock.now())]


async def both(team: Team) -> None:
    """Maria of Slack and of Discord, two agents, each seen on her own."""
    await say(team, "U1", "/available")
    await say(team, "91", "/available")


async def test_two_agents_become_one_under_the_one_who_asked() -> None:
    team = await open_team()
    await both(team)
    first, second = team.row("Maria").agent, team.row("maria_d").agent
    code = await ask(team)
    reply = await type_code(team, code.lower().replace("-", " "))
    assert "You're one agent now, Maria: Maria on Slack and maria_d on Discord." in reply
    assert names(team) == ["Maria"]
    agent = team.row("Maria").agent
    assert agent.id == first.id
    assert [one.external_id for one in agent.identities] == ["U1", "91"]
    assert team.desk.roster.by_identity(team.discord.id, "91") is not None
    gone = await team.desk.store.read(lambda tx: tx.members.agent(second.id))
    assert gone is not None
    assert gone.removed
    assert gone.identities == ()
    actions = await audited(team)
    assert ("link.asked", first.id) in actions
    assert ("agent.linked", first.id) in actions
    assert ("agent.merged", second.id) in actions
    events = await team.desk.store.read(lambda tx: tx.ledger.events_after(team.desk.organization_id, 0, 100))
    merged = [event for _, event in events if event.type == "agent.merged"]
    assert [(event.agent_id, event.data) for event in merged] == [(second.id, {"into": first.id})]


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


async def test_who_asked_is_told_where_they_asked_and_can_undo_it() -> None:
    """Even if whoever typed the code is the last who checked in."""
    team = await open_team()
    await say(team, "U1", "/available")
    code = await ask(team)
    await type_code(team, code)
    await say(team, "91", "/available")
    maria = team.row("Maria").agent
    assert await owed(team) == [(maria.id, f"linked:{maria.identities[0].id}")]
    undone = await say(team, "U1", "/presence unlink", arguments={"platform": "discord"}, clicked=True)
    assert "91 on Discord is an agent of its own again" in undone
    assert names(team) == ["91", "Maria"]


async def test_whoever_is_no_agent_yet_joins_without_becoming_another() -> None:
    team = await open_team()
    await say(team, "U1", "/available")
    code = await ask(team)
    assert "one agent now" in await type_code(team, code)
    assert names(team) == ["Maria"]
    assert team.presence("Maria") == "available"


async def test_a_wrong_code_makes_nobody_an_agent() -> None:
    team = await open_team()
    await say(team, "U1", "/available")
    await type_code(team, "AAAA-AAAA")
    assert names(team) == ["Maria"]


async def test_whoever_may_not_be_an_agent_may_not_type_a_code() -> None:
    """In a guild anybody can be a customer."""
    team = await open_team()
    code = await ask(team)
    reply = await type_code(team, code, may_enrol=False)
    assert "You're not an agent here." in reply
    assert await type_code(team, code) != reply


@pytest.mark.parametrize("profile", [{"name": "Maria"}, {"name": "maria@example.com"}])
async def test_equal_names_never_link_by_themselves(profile: dict[str, str]) -> None:
    team = await open_team()
    await say(team, "U1", "/available", **profile)
    await say(team, "91", "/available", **profile)
    assert len(names(team)) == 2


async def test_fault_19_one_platform_drops_and_the_person_stays_available() -> None:
    """One presence: gone only when both are, and back with either."""
    team = await open_team()
    await both(team)
    discord = await team.desk.feed_live(team.discord.id)
    slack = await team.desk.feed_live(team.slack.id)
    await type_code(team, await ask(team))
    await team.see("91", Seen.CONNECTED, discord)
    await team.see("U1", Seen.CONNECTED, slack, "slack")
    team.clock.advance(hours=9)  # the check-ins are over: what is left is what is seen
    await team.desk.tick()
    assert team.presence("Maria") == "available"
    await team.see("91", Seen.DISCONNECTED, discord)
    team.clock.advance(minutes=5)
    await team.desk.tick()
    assert team.presence("Maria") == "available"
    assert team.row("Maria").verdict.reachable
    await team.see("U1", Seen.AWAY, slack, "slack")
    team.clock.advance(minutes=26)
    await team.desk.tick()
    assert team.presence("Maria") == "offline"
    team.clock.advance(minutes=5)
    await team.see("91", Seen.CONNECTED, discord)
    assert team.presence("Maria") == "available"


async def test_the_stricter_intent_stays_with_its_word() -> None:
    team = await open_team()
    await both(team)
    await say(team, "91", "/away 2h dentist")
    await type_code(team, await ask(team))
    row = team.row("Maria")
    assert (row.verdict.presence, row.verdict.note) == ("away", "dentist")
    assert row.facts.intent.until_at == team.clock.now() + timedelta(hours=2)


async def test_the_history_of_both_goes_on_without_a_gap() -> None:
    """I9: the one who stays goes on, the other ends Offline."""
    team = await open_team()
    await both(team)
    ids = {name: team.row(name).agent.id for name in ("Maria", "maria_d")}
    team.clock.advance(minutes=10)
    await type_code(team, await ask(team))
    history = await team.desk.store.read(
        lambda tx: tx.presence.history(
            list(ids.values()), team.clock.now() - timedelta(hours=1), team.clock.now() + timedelta(hours=1)
        )
    )
    for stretches in history.values():
        ends = [ended for _, ended in stretches]
        assert ends[:-1] == [interval.since for interval, _ in stretches[1:]]
        assert ends[-1] is None
    assert history[ids["Maria"]][-1][0].presence == "available"
    assert history[ids["maria_d"]][-1][0].presence == "offline"


async def test_held_units_unite() -> None:
    """One person, one capacity."""
    team = await open_team()
    await both(team)
    now, until = team.clock.now(), team.clock.now() + timedelta(hours=1)
    for name, source, units in (("Maria", "mail", 1), ("maria_d", "mail", 2), ("maria_d", "chat", 4)):
        await team.desk.put_load(Load(team.row(name).agent.id, source, units, now, until))
    await type_code(team, await ask(team))
    assert team.row("Maria").load == 7


async def test_an_external_id_of_both_stays_the_askers_and_that_is_said() -> None:
    team = await open_team()
    await both(team)
    for name, system, known in (
        ("Maria", "chatwoot", "7"),
        ("maria_d", "chatwoot", "8"),
        ("maria_d", "jira", "m"),
    ):
        await team.desk.name_agent(team.row(name).agent.id, system, known, "operator")
    reply = await type_code(team, await ask(team))
    assert "chatwoot knew both of you; it's the id of Maria that stays." in reply
    assert team.row("Maria").agent.externals == (("chatwoot", "7"), ("jira", "m"))
    assert team.desk.roster.by_external("jira", "m") == team.row("Maria").agent


async def test_a_zone_set_by_hand_wins() -> None:
    team = await open_team()
    await both(team)
    await say(team, "91", "/presence timezone Asia/Tokyo")
    await type_code(team, await ask(team))
    assert (team.row("Maria").agent.zone, team.row("Maria").agent.zone_by_hand) == ("Asia/Tokyo", True)


async def test_who_leaves_one_platform_is_disconnected_only_there() -> None:
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    await team.desk.member_left(team.discord.id, "91")
    assert names(team) == ["Maria"]
    assert team.presence("Maria") == "available"
    await team.desk.member_left(team.slack.id, "U1")
    assert names(team) == []


async def test_unlinking_makes_an_agent_of_the_account_with_nothing_set() -> None:
    """What was seen of it goes with it; the history stays."""
    team = await open_team()
    await both(team)
    discord = await team.desk.feed_live(team.discord.id)
    await type_code(team, await ask(team))
    await team.see("91", Seen.CONNECTED, discord)
    before = team.row("Maria").agent.id
    reply = await say(team, "91", "/presence unlink")
    assert "This account is an agent of its own again, with nothing set." in reply
    assert names(team) == ["Maria", "maria_d"]
    assert team.row("Maria").agent.id == before
    fresh = team.row("maria_d")
    assert (fresh.verdict.presence, fresh.verdict.reason) == ("away", "not_set")
    assert [link.identity_id for link in fresh.facts.links] == [fresh.agent.identities[0].id]
    assert team.row("Maria").facts.links == ()
    stored = await team.desk.store.read(lambda tx: tx.presence.facts(fresh.agent.id))
    assert stored == fresh.facts
    await say(team, "91", "/available")
    assert team.presence("maria_d") == "available"
    team.clock.advance(minutes=1)
    await team.see("91", Seen.DISCONNECTED, discord)
    assert not team.row("maria_d").verdict.reachable
    assert "linked to no other" in (await say(team, "91", "/presence unlink"))
    await type_code(team, await ask(team))
    assert names(team) == ["Maria"]


async def test_an_account_on_another_platform_is_told_that_it_stands_alone() -> None:
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    await owed(team)
    reply = await say(team, "U1", "/presence unlink discord")
    assert "maria_d on Discord is an agent of its own again" in reply
    alone = team.row("maria_d").agent
    assert await owed(team) == [(alone.id, f"unlinked:{alone.identities[0].id}")]
    assert "Type slack." in (await say(team, "U1", "/presence unlink discord"))


# --- whoever tries to be somebody else: fault 20 ---


async def refused(team: Team, code: str, who: str = "91") -> bool:
    """Whether somebody is refused, in the words that tell nothing."""
    return REFUSED in await type_code(team, code, who)


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


# --- what comes twice, and at the same time ---


async def test_a_code_typed_and_delivered_twice_counts_once() -> None:
    team = await open_team()
    await both(team)
    code = await ask(team)
    first = await say(team, "91", f"/presence link {code}", delivery="d1")
    assert (await say(team, "91", f"/presence link {code}", delivery="d1")) == first
    for _ in range(6):
        await say(team, "91", "/presence link AAAA-AAAA", delivery="d2")
    unlinked = await audited(team)
    assert len([action for action, _ in unlinked if action == "link.refused"]) == 1


async def test_an_asking_that_is_delivered_twice_leaves_the_first_code_good() -> None:
    team = await open_team()
    await both(team)
    shown = CODE.search((await say(team, "U1", "/presence link", delivery="d1")))
    assert shown is not None
    assert "I've answered that already" in (await say(team, "U1", "/presence link", delivery="d1"))
    assert not await refused(team, shown[1])


async def test_of_two_who_type_one_code_at_once_one_is_refused() -> None:
    team = await open_team()
    await both(team)
    await say(team, "92", "/available", name="other")
    code = await ask(team)
    told = await asyncio.gather(refused(team, code, "91"), refused(team, code, "92"))
    assert sorted(told) == [False, True]
    assert len(team.row("Maria").agent.identities) == 2


async def test_two_who_type_each_others_code_at_once_are_one_agent() -> None:
    team = await open_team()
    await both(team)
    there, back = await ask(team), await ask(team, "91")
    await asyncio.gather(type_code(team, there), type_code(team, back, "U1"))
    assert len(names(team)) == 1
    (row,) = team.desk.roster.rows(team.clock.now())
    assert len(row.agent.identities) == 2


@pytest.mark.parametrize("turns", range(12))
async def test_a_disconnect_during_the_link_is_not_lost(turns: int) -> None:
    """I8: it was seen of the one agent, and counts for the other, whichever comes first."""
    team = await open_team()
    await both(team)
    epoch = await team.desk.feed_live(team.discord.id)
    await team.see("91", Seen.CONNECTED, epoch)
    code = await ask(team)
    linking_ = asyncio.ensure_future(type_code(team, code))
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.gather(linking_, team.see("91", Seen.DISCONNECTED, epoch))
    (link,) = team.row("Maria").facts.links
    assert link.state == "suspect"
    stored = await team.desk.store.read(lambda tx: tx.presence.facts(team.row("Maria").agent.id))
    assert stored is not None
    assert stored.links == (link,)


@pytest.mark.parametrize("turns", range(12))
async def test_leaving_the_workspace_during_the_link_is_not_lost(turns: int) -> None:
    team = await open_team()
    await both(team)
    code = await ask(team)
    linking_ = asyncio.ensure_future(type_code(team, code))
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.gather(linking_, team.desk.member_left(team.discord.id, "91"))
    assert names(team) == ["Maria"]
    assert team.desk.roster.by_identity(team.discord.id, "91") is None


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
