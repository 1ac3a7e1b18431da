"""What people and leads do makes an agent of somebody again, or shows that they are there.

Each of these is the shortest example by which `tests/machine` found that it was not so.
"""

from datetime import timedelta

from desk import member, open_team
from linking_desk import ask, say, type_code

from bot.domain.facts import Presence, Seen

HOUR = timedelta(hours=1)


async def test_who_left_one_workspace_and_types_there_again_has_that_account_back() -> None:
    """They are an agent still, by their other account, and were never removed."""
    team = await open_team()
    await say(team, "U1", "/available")
    await type_code(team, await ask(team))
    await team.desk.member_left(team.discord.id, "91")
    assert "Available" in await say(team, "91", "/available")
    (agent,) = team.desk.roster.everyone()
    assert [one.present for one in agent.identities] == [True, True]
    epoch = await team.desk.feed_live(team.discord.id)
    await team.see("91", Seen.CONNECTED, epoch)
    await team.desk.feed_off(team.slack.id)
    team.clock.advance(hours=9)
    assert team.row("Maria").verdict.presence is Presence.AVAILABLE, "seen in Discord again"


async def test_who_left_one_workspace_can_be_brought_back_by_a_lead() -> None:
    team = await open_team()
    await say(team, "U1", "/available")
    await type_code(team, await ask(team))
    await team.desk.member_left(team.slack.id, "U1")
    await team.type("U9", "/presence enrol U1", mentioned=(member("U1", "Maria"),), is_admin=True)
    (agent,) = team.desk.roster.everyone()
    assert [one.present for one in agent.identities] == [True, True]


async def test_every_command_of_an_agents_own_renews_their_check_in() -> None:
    """A lead's commands and `/presence unlink` are actions in Rollcall as much as `/who` is."""
    team = await open_team()
    await team.type("U2", "/available")
    await say(team, "U1", "/available", is_admin=True)
    team.clock.advance(hours=1)
    await say(team, "U1", "/presence set U2 away", is_admin=True)
    await team.desk.dispatcher.finish()
    check_in = team.row("Maria").facts.check_in
    assert check_in is not None
    assert check_in.until_at == team.clock.now() + 8 * HOUR
    await type_code(team, await ask(team))
    team.clock.advance(hours=1)
    await say(team, "U1", "/presence unlink discord")
    await team.desk.dispatcher.finish()
    check_in = team.row("Maria").facts.check_in
    assert check_in is not None
    assert check_in.until_at == team.clock.now() + 8 * HOUR


async def test_a_lead_who_removes_themselves_is_gone_without_a_further_sign_of_life() -> None:
    team = await open_team()
    await say(team, "U1", "/available", is_admin=True)
    assert "no longer an agent" in await say(team, "U1", "/presence remove U1", is_admin=True)
    await team.desk.dispatcher.finish()
    assert list(team.desk.roster.everyone()) == []


async def test_a_disconnect_that_is_told_twice_is_no_newer_evidence() -> None:
    """It changes only the order's mark, so memory says what the database says."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await say(team, "91", "/available")
    await team.see("91", Seen.CONNECTED, epoch)
    await team.see("91", Seen.DISCONNECTED, epoch)
    agent_id = team.row("maria_d").agent.id
    before = team.row("maria_d").facts.last_seen_at
    team.clock.advance(seconds=10)
    await team.see("91", Seen.DISCONNECTED, epoch)
    stored = await team.desk.store.read(lambda tx: tx.presence.facts(agent_id))
    assert stored is not None
    assert team.row("maria_d").facts.last_seen_at == stored.last_seen_at == before


async def test_an_account_that_is_unlinked_unseen_begins_unconfirmed() -> None:
    """The first interval of its history says what is shown."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await say(team, "U1", "/available")
    await type_code(team, await ask(team))
    await team.see("91", Seen.CONNECTED, epoch)
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    team.clock.advance(hours=9)
    await say(team, "U1", "/presence unlink discord")
    row = team.row("maria_d")
    assert not row.verdict.confirmed
    assert not row.facts.interval.confirmed
