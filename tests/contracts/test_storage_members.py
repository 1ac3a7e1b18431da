"""Organizations, workspaces, teams, skills and agents, on every storage."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from storage_faults.stores import START, Small, agent_of, filled

from bot.domain.agent import Agent, Identity, Role, Skill, Team
from bot.domain.errors import Conflict
from bot.domain.facts import Facts, Link, LinkState, new_agent
from bot.ports import Store

LATER = START + timedelta(hours=1)


async def kept(store: Store, agent_id: str) -> Agent:
    """The agent as stored."""
    found = await store.read(lambda tx: tx.members.agent(agent_id))
    assert found is not None
    return found


async def facts_of(store: Store, agent_id: str) -> Facts:
    """The facts as stored."""
    found = await store.read(lambda tx: tx.presence.facts(agent_id))
    assert found is not None
    return found


async def test_an_organization_is_made_once_and_renamed(store: Store) -> None:
    first = await store.write(lambda tx: tx.members.ensure_organization("default", "One", START))
    assert await store.write(lambda tx: tx.members.ensure_organization("default", "Two", LATER)) == first
    assert await store.write(lambda tx: tx.members.ensure_organization("other", "One", LATER)) != first


async def test_a_workspace_is_found_by_its_platforms_id_and_keeps_its_own(store: Store) -> None:
    small = await filled(store)
    again = await store.write(
        lambda tx: tx.members.ensure_workspace(small.organization_id, "slack", "T1", "Renamed", LATER)
    )
    assert again == replace(small.slack, name="Renamed")
    listed = await store.read(lambda tx: tx.members.workspaces(small.organization_id))
    assert sorted(listed, key=lambda one: one.platform) == [small.discord, again]
    assert await store.read(lambda tx: tx.members.workspaces("org_other")) == []


async def test_an_agent_is_kept_as_given_and_found_in_every_way(store: Store) -> None:
    """Identities stay in the order given, because the first one names the agent."""
    small = await filled(store)
    agent = small.agents[1]
    assert await kept(store, agent.id) == agent
    by_identity = await store.read(lambda tx: tx.members.by_identity(small.discord.id, "1"))
    by_external = await store.read(lambda tx: tx.members.by_external(small.organization_id, "chatwoot", "1"))
    assert by_identity == by_external == agent
    nobody = await store.read(
        lambda tx: (
            tx.members.agent("agt_none"),
            tx.members.by_identity(small.slack.id, "1"),
            tx.members.by_external("org_other", "chatwoot", "1"),
        )
    )
    assert nobody == (None, None, None)


async def test_a_saved_agent_is_the_new_one_in_everything(store: Store) -> None:
    small = await filled(store)
    old = small.agents[0]
    moved = replace(old.identities[0], name="New", avatar_url="x", is_admin=True, present=False)
    third = Identity("idn_new", small.slack.id, "slack", "U99", "Third")
    new = replace(
        old,
        name="Renamed \N{BOUQUET} 'quoted' %s :x",
        zone=None,
        zone_by_hand=True,
        role=Role.LEAD,
        capacity=0,
        teams=("support", "billing"),
        skills=(),
        removed=True,
        identities=(third, moved),
        externals=(("a", "1"), ("b", "2")),
    )
    await store.write(lambda tx: tx.members.save(new, LATER))
    assert await kept(store, old.id) == new
    assert await kept(store, small.agents[1].id) == small.agents[1]
    removed = await store.read(lambda tx: tx.members.by_identity(small.slack.id, "U99"))
    assert removed == new, "removal is sticky, so a removed agent is found"


async def test_an_identity_that_goes_takes_its_link_along(store: Store) -> None:
    small = await filled(store)
    agent = small.agents[0]

    facts = await facts_of(store, agent.id)
    links = tuple(
        Link(identity.id, identity.workspace_id, LinkState.CONNECTED, START, 1, 1)
        for identity in agent.identities
    )
    await store.write(lambda tx: tx.presence.save(facts, replace(facts, links=links), []))
    await store.write(lambda tx: tx.members.save(replace(agent, identities=agent.identities[:1]), LATER))
    left = await store.read(lambda tx: tx.presence.facts(agent.id))
    assert left is not None
    assert left.links == links[:1]


async def test_two_agents_cannot_hold_one_identity_or_external_id(store: Store) -> None:
    """Two enrolments of one person at one moment: one of them wins, the other hears Conflict."""
    small = await filled(store)
    twin = agent_of(7, small.organization_id, small.slack.id, small.discord.id)
    same_identity = replace(twin, identities=(replace(twin.identities[0], external_id="U0"),))
    same_external = replace(twin, externals=(("chatwoot", "0"),))

    async def add(agent: Agent) -> None:
        await store.write(lambda tx: tx.members.add(agent, new_agent(agent.id, START), START))

    for taken in (same_identity, same_external):
        with pytest.raises(Conflict):
            await add(taken)
        assert await store.read(lambda tx: tx.members.agent(twin.id)) is None
    await add(twin)
    assert await kept(store, twin.id) == twin


async def test_teams_stand_in_the_order_of_the_configuration(store: Store) -> None:
    small = await filled(store)
    agent = replace(small.agents[0], teams=("support", "billing"), skills=("german", "dutch"))
    await store.write(lambda tx: tx.members.save(agent, LATER))
    teams = [Team("billing", "Billing!", "#00ff00"), Team("support", "Support")]
    skills = [Skill("dutch", "Nederlands"), Skill("german", "Deutsch")]
    await store.write(lambda tx: tx.members.save_teams(small.organization_id, teams, LATER))
    await store.write(lambda tx: tx.members.save_skills(small.organization_id, skills, LATER))
    assert await store.read(lambda tx: tx.members.teams(small.organization_id)) == teams
    assert await store.read(lambda tx: tx.members.skills(small.organization_id)) == skills
    turned = replace(agent, teams=("billing", "support"), skills=("dutch", "german"))
    assert await kept(store, agent.id) == turned
    everyone = await store.read(lambda tx: list(tx.members.everyone(small.organization_id)))
    assert everyone[0][0] == turned


async def test_one_team_or_skill_is_saved_without_touching_the_others(store: Store) -> None:
    """A new one is the last of the list, a known one stays where it stands, an archived one lives again."""
    small = await filled(store)
    organization_id = small.organization_id

    async def save(team: Team, skill: Skill) -> None:
        await store.write(lambda tx: tx.members.save_team(organization_id, team, LATER))
        await store.write(lambda tx: tx.members.save_skill(organization_id, skill, LATER))

    async def listed() -> tuple[list[Team], list[Skill]]:
        return await store.read(
            lambda tx: (list(tx.members.teams(organization_id)), list(tx.members.skills(organization_id)))
        )

    teams, skills = await listed()
    await save(Team("sales", "Sales"), Skill("french", "French"))
    assert await listed() == ([*teams, Team("sales", "Sales")], [*skills, Skill("french", "French")])
    renamed = replace(teams[0], name="Helpers", color="#112233", hours=small.agents[1].hours)
    assert renamed.hours is not None
    await save(renamed, replace(skills[0], name="Deutsch"))
    assert (await listed())[0] == [renamed, *teams[1:], Team("sales", "Sales")]
    await store.write(lambda tx: tx.members.save_teams(organization_id, [renamed], LATER))
    assert (await listed())[0] == [renamed]
    await save(teams[1], skills[1])
    assert (await listed())[0] == [renamed, teams[1]]
    other = await store.write(lambda tx: tx.members.ensure_organization("other", "Other", START))
    await store.write(lambda tx: tx.members.save_team(other, Team("sales", "Theirs"), LATER))
    assert (await listed())[0] == [renamed, teams[1]]


async def test_an_archived_team_leaves_its_agents_and_returns_with_them(store: Store) -> None:
    small = await filled(store)
    both = [Team("support", "Support"), Team("billing", "Billing")]
    await store.write(lambda tx: tx.members.save_teams(small.organization_id, both[1:], LATER))
    without = replace(small.agents[0], teams=())
    assert await kept(store, without.id) == without
    everyone = await store.read(lambda tx: list(tx.members.everyone(small.organization_id)))
    assert everyone[0][0] == without
    await store.write(lambda tx: tx.members.save(without, LATER))
    await store.write(lambda tx: tx.members.save_teams(small.organization_id, both, LATER))
    assert await kept(store, without.id) == small.agents[0]


async def test_everyone_comes_whole_and_without_the_removed(store: Store) -> None:
    small = await filled(store, agents=5)
    gone = replace(small.agents[2], removed=True)
    await store.write(lambda tx: tx.members.save(gone, LATER))
    await _with_links(store, small)
    everyone = await store.read(lambda tx: list(tx.members.everyone(small.organization_id)))
    assert [agent for agent, _ in everyone] == [agent for agent in small.agents if agent.id != gone.id]
    for agent, facts in everyone:
        alone = await facts_of(store, agent.id)
        assert set(facts.links) == set(alone.links)
        assert replace(facts, links=()) == replace(alone, links=())
    assert await store.read(lambda tx: list(tx.members.everyone("org_other"))) == []


async def test_of_what_everybody_has_in_common_there_is_one_copy(store: Store) -> None:
    """It is what 100,000 agents take in memory."""
    small = await filled(store)
    (one, facts), (other, _) = await store.read(lambda tx: list(tx.members.everyone(small.organization_id)))
    assert one.teams is other.teams
    assert one.skills is other.skills
    assert one.identities[0].workspace_id is other.identities[0].workspace_id
    assert one.identities[0].name is one.name
    assert facts.agent_id is one.id
    assert facts.intent.set_at is facts.interval.since is facts.reviewed_at


async def _with_links(store: Store, small: Small) -> None:
    agent = small.agents[3]
    links = tuple(
        Link(identity.id, identity.workspace_id, LinkState.SUSPECT, START, 3, 7, weak=True)
        for identity in agent.identities
    )
    facts = await facts_of(store, agent.id)
    await store.write(lambda tx: tx.presence.save(facts, replace(facts, links=links), []))
