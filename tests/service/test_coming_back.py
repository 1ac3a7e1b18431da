"""What people and leads do makes an agent of somebody again, or shows that they are there.

Each of these is the shortest example by which `tests/machine` found that it was not so.
"""

from datetime import timedelta

from desk import member, open_team
from linking_desk import ask, say, type_code

from bot.domain.facts import Seen
from bot.domain.presence import Presence

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
