"""One person on several platforms, asked for and confirmed by commands (fault 19)."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from desk import open_team, read
from linking_desk import ask, audited, both, names, owed, say, type_code

from bot.domain.agent import Identity, Role
from bot.domain.facts import Seen
from bot.message import Message
from bot.notifier import Notifier
from bot.ports import Load, NoticeRow, Transaction


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


async def test_who_asked_is_told_where_they_asked_and_can_undo_it() -> None:
    """Even if whoever typed the code is the last who checked in."""
    team = await open_team()
    await say(team, "U1", "/available")
    code = await ask(team)
    await type_code(team, code)
    await say(team, "91", "/available")
    maria = team.row("Maria").agent
    assert await owed(team) == [(maria.id, "linked", maria.identities[0].id)]
    undone = await say(team, "U1", "/presence unlink discord", clicked=True)
    assert "maria_d on Discord is an agent of its own again" in undone
    assert names(team) == ["Maria", "maria_d"]


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
    team.clock.advance(minutes=1)
    await say(team, "U1", "/available")
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
    assert await owed(team) == [(alone.id, "unlinked", alone.identities[0].id)]
    assert "Type slack." in (await say(team, "U1", "/presence unlink discord"))


async def test_teams_of_chat_stay_and_the_role_goes_with_the_account_that_is_named() -> None:
    """What a lead did in chat is not undone by a link, and nobody keeps a role with an account that left."""
    team = await open_team(organization={"leads": ["discord:9:91"]})
    await both(team)
    await say(team, "91", "/presence team create Night")
    await say(team, "91", "/presence team join night")
    await type_code(team, await ask(team))
    agent = team.row("Maria").agent
    assert "night" in agent.teams
    assert agent.role is Role.LEAD
    await say(team, "U1", "/presence unlink discord")
    assert team.row("Maria").agent.role is Role.AGENT
    assert "night" in team.row("Maria").agent.teams
    assert team.row("maria_d").agent.role is Role.LEAD


async def test_the_askers_console_session_stays_and_the_others_ends() -> None:
    team = await open_team()
    await both(team)
    for name in ("Maria", "maria_d"):
        await team.desk.sessions.beat(team.row(name).agent, f"tab of {name}")
    await type_code(team, await ask(team))
    agent_id = team.row("Maria").agent.id
    sessions = [link for link in team.row("Maria").facts.links if link.beat_at is not None]
    assert len(sessions) == 1
    assert (await team.desk.sessions.beat(team.row("Maria").agent, "tab of Maria")).reopened is False
    stored = await team.desk.store.read(lambda tx: tx.presence.facts(agent_id))
    assert stored is not None
    assert [link for link in stored.links if link.beat_at is not None] != []


class Post:
    """A chat platform that takes direct messages and keeps to whom."""

    mounts: Mapping[str, Any] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[tuple[str, str]] = []

    async def run(self) -> None:
        raise AssertionError("nothing under test runs a platform")

    async def post(self, channel: str, message: Message) -> str:
        raise AssertionError("a notice is no post")

    async def send_direct(self, identity: Identity, workspace: object, message: Message) -> str:
        self.sent.append((identity.external_id, read(message).splitlines()[0]))
        return "1"


def _owe(row: NoticeRow, tx: Transaction) -> None:
    tx.ledger.notice(row)


@pytest.mark.parametrize("as_before", [False, True])
async def test_the_word_of_a_link_goes_to_the_account_that_asked_alone(as_before: bool) -> None:
    """Also one that an earlier version owed, which named the account in another place; of an account that
    is the agent's no longer it is told to nobody."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    await say(team, "91", "/available")  # where they were heard last, and yet not told there
    maria = team.row("Maria").agent
    slack, discord = Post("slack"), Post("discord")
    notifier = Notifier(team.desk, {"slack": slack, "discord": discord})
    if as_before:
        await team.desk.store.write(
            lambda tx: tx.ledger.due_notices(team.desk.organization_id, team.clock.now(), 10)
        )
        now = team.clock.now()
        ends, organization_id = now + timedelta(hours=1), team.desk.organization_id
        old = [
            NoticeRow(f"ntc_{one}", organization_id, maria.id, f"linked:{one}", now, ends)
            for one in (maria.identities[0].id, "idn_gone")
        ]
        for row in old:
            await team.desk.store.write(partial(_owe, row))
    await notifier.send_due()
    assert slack.sent == [("U1", "Your code was used: you're one agent with maria_d on Discord now.")]
    assert discord.sent == []
    team.clock.advance(seconds=30)
    assert await owed(team) == []
