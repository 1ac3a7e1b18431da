"""Linked people who leave one of their workspaces, and come back."""

from typing import Any

import pytest
from desk import Team, member, open_team, read
from linking_desk import ask, audited, both, names, say, type_code

from bot.domain.agent import Role
from bot.domain.facts import Seen
from bot.ports import PersonKind, Profile


async def linked(**config: Any) -> Team:
    """Maria of Slack and Discord, one agent."""
    team = await open_team(**config)
    await both(team)
    await type_code(team, await ask(team))
    return team


def there(team: Team) -> list[str]:
    return [one.external_id for one in team.row("Maria").agent.identities if one.present]


async def test_who_comes_back_is_there_again_with_their_next_command() -> None:
    team = await linked()
    await team.desk.member_left(team.discord.id, "91")
    assert there(team) == ["U1"]
    assert "You're Available" in (await say(team, "91", "/available"))
    assert there(team) == ["U1", "91"]
    assert names(team) == ["Maria"]
    assert ("agent.back", team.row("Maria").agent.id) in await audited(team)
    epoch = await team.desk.feed_live(team.discord.id)
    await team.see("91", Seen.CONNECTED, epoch)
    assert [link.state for link in team.row("Maria").facts.links] == ["connected"]
    assert "an agent of its own again" in (await say(team, "91", "/presence unlink"))


async def test_who_comes_back_can_type_a_code_of_the_same_agent_without_becoming_another() -> None:
    team = await linked()
    await team.desk.member_left(team.discord.id, "91")
    assert "That's your own code" in (await type_code(team, await ask(team)))
    assert there(team) == ["U1", "91"]


async def test_an_account_that_is_switched_on_again_is_there_again() -> None:
    """Slack tells it by the profile; that of a guest says nothing of the sort."""
    team = await linked()
    await team.desk.member_left(team.slack.id, "U1", deleted=True)
    await team.desk.profile_changed(team.slack.id, Profile("U1", "Maria", kind=PersonKind.GUEST))
    assert there(team) == ["91"]
    await team.desk.profile_changed(team.slack.id, Profile("U1", "Maria"))
    assert there(team) == ["U1", "91"]


async def test_a_lead_who_enrols_them_again_brings_the_account_back() -> None:
    team = await linked()
    await team.desk.member_left(team.discord.id, "91")
    reply = await team.type(
        "99", "/presence enrol 91", "discord", is_admin=True, mentioned=(member("91", "maria_d"),)
    )
    assert "Maria is an agent now" in read(reply)
    assert there(team) == ["U1", "91"]


async def test_who_was_enrolled_again_by_one_account_comes_back_by_the_other_too() -> None:
    """They had left everywhere, which removes; a lead brought them back in Slack."""
    team = await linked()
    await team.desk.member_left(team.discord.id, "91")
    await team.desk.member_left(team.slack.id, "U1")
    assert "You're no longer an agent here" in (await say(team, "91", "/available"))
    await team.type("U9", "/presence enrol U1", is_admin=True, mentioned=(member("U1", "Maria"),))
    assert there(team) == ["U1"]
    assert "You're Available" in (await say(team, "91", "/available"))
    assert there(team) == ["U1", "91"]


async def test_the_account_that_left_is_known_after_a_restart() -> None:
    team = await linked()
    await team.desk.member_left(team.discord.id, "91")
    await team.desk.start()
    assert "You're Available" in (await say(team, "91", "/available"))
    assert there(team) == ["U1", "91"]


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_lead_who_is_named_by_an_account_that_left_is_one_no_longer(deleted: bool) -> None:
    """And one again with that account; the other account stays what it was all the time."""
    team = await linked(organization={"leads": ["discord:9:91"]})
    await say(team, "U2", "/available", name="Tom")
    assert team.row("Maria").agent.role is Role.LEAD
    await team.desk.member_left(team.discord.id, "91", deleted=deleted)
    assert team.row("Maria").agent.role is Role.AGENT
    assert "Only leads can do that" in (await say(team, "U1", "/presence set Tom away"))
    assert team.row("Maria").agent.teams == ("support", "billing")
    assert "Tom is Away" in (await say(team, "91", "/presence set Tom away"))
    assert team.row("Maria").agent.role is Role.LEAD
