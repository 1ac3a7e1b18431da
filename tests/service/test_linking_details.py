"""What a link and an unlink bring beside the agents themselves."""

from datetime import timedelta

import pytest
from desk import open_team
from linking_desk import ask, both, names, refused, say, type_code
from msgspec.structs import replace

from bot.domain.errors import Conflict
from bot.domain.facts import Facts, Seen
from bot.linking import REFUSED
from bot.ports import Load, Person, Profile, Transaction
from bot.service import linking
from bot.service.linking import WORTH_TELLING, Sides


async def test_of_two_reports_of_one_system_the_sum_holds_as_long_as_both_do() -> None:
    team = await open_team()
    await both(team)
    now = team.clock.now()
    for name, minutes in (("Maria", 10), ("maria_d", 60)):
        until = now + timedelta(minutes=minutes)
        await team.desk.put_load(Load(team.row(name).agent.id, "mail", 1, now, until))
    await type_code(team, await ask(team))
    assert team.row("Maria").load == 2
    team.clock.advance(minutes=11)
    assert team.row("Maria").load == 0


async def test_an_account_that_has_become_anothers_since_it_was_looked_up_is_tried_anew() -> None:
    """Who is concerned is found before the transaction, which holds only their locks."""
    team = await open_team()
    await both(team)
    maria, other = team.row("Maria"), team.row("maria_d")
    code = linking.read(await ask(team))
    organization_id = team.desk.organization_id
    house = linking.House(organization_id, team.desk.config, team.desk.roster.feeds, team.desk.policy)
    before: dict[str, Facts] = {maria.agent.id: maria.facts, other.agent.id: other.facts}
    person = Person(team.discord.id, "discord", Profile("91", "maria_d"))

    async def confirm(sides: Sides) -> linking.Outcome:
        written = await team.desk.store.write(
            lambda tx: linking.confirm(
                before,
                tx,
                house=house,
                sides=sides,
                person=person,
                typed=code,
                secret_hash=linking.hashed(organization_id, code),
                delivery="",
                now=team.clock.now(),
            )
        )
        return written.outcome

    with pytest.raises(Conflict, match="accounts have just changed"):
        await confirm(Sides(maria.agent.id, "agt_another"))
    assert await confirm(Sides(maria.agent.id, other.agent.id)) is linking.Outcome.LINKED


async def test_an_account_that_is_seen_when_it_is_unlinked_is_announced_as_there() -> None:
    team = await open_team()
    await both(team)
    epoch = await team.desk.feed_live(team.discord.id)
    await team.see("91", Seen.CONNECTED, epoch)
    await type_code(team, await ask(team))
    await say(team, "91", "/presence unlink")
    alone = team.row("maria_d").agent.id
    events = await team.desk.store.read(lambda tx: tx.ledger.events_after(team.desk.organization_id, 0, 99))
    told = [(one.type, dict(one.data).get("presence")) for _, one in events if one.agent_id == alone]
    assert told == [("agent.enrolled", None), ("presence.changed", "away")]


async def test_the_configurations_teams_of_an_account_come_and_go_with_it() -> None:
    """Of somebody who was no agent before; and of one that is unlinked."""
    mine = {"members": ["discord:9:91"]}
    team = await open_team(
        team=[{"slug": "vip", "name": "VIP", **mine}],
        skill=[{"slug": "thai", "name": "T", "agents": mine["members"]}],
    )
    await say(team, "U1", "/available")
    await type_code(team, await ask(team))
    agent = team.row("Maria").agent
    assert (agent.teams, agent.skills) == (("vip",), ("thai",))
    team.clock.advance(hours=25)
    await say(team, "U1", "/presence unlink discord")
    agent = team.row("maria_d").agent
    assert (agent.teams, agent.skills) == (("vip",), ("thai",))


async def test_whoever_asked_can_still_be_told_a_day_later() -> None:
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    notices = await team.desk.store.write(
        lambda tx: tx.ledger.due_notices(team.desk.organization_id, team.clock.now(), 9)
    )
    assert [one.expires_at - team.clock.now() for one in notices] == [timedelta(hours=24)]
    assert timedelta(hours=24) == WORTH_TELLING


async def test_whoever_sends_words_is_woken_by_a_link_and_an_unlink() -> None:
    team = await open_team()
    await both(team)
    for act in (type_code(team, await ask(team)), say(team, "U1", "/presence unlink discord")):
        team.desk.notices_owed.clear()
        await act
        assert team.desk.notices_owed.is_set()


async def test_an_account_that_joins_makes_a_round_of_polling_longer() -> None:
    """And with it the time for which what was seen there is trusted."""
    team = await open_team(slack={"bot_token": "xoxb-1", "app_token": "xapp-1", "polls_per_minute": 1})
    await team.desk.feed_live(team.slack.id)
    await say(team, "U2", "/available", name="Tom")
    await say(team, "91", "/available")
    before = team.desk.roster.feeds[team.slack.id].trust
    await type_code(team, await ask(team, "91"), "U1")
    assert team.desk.roster.feeds[team.slack.id].trust > before


async def test_which_of_two_accounts_on_one_platform_is_unlinked_is_said_by_where_it_is_typed() -> None:
    team = await open_team()
    await both(team)
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    code = await ask(team, "U7", name="Seven")
    team.slack = here
    await type_code(team, code, "91")
    code = await ask(team, "91", name="maria_d")
    await type_code(team, code, "U1")
    assert names(team) == ["Seven"]
    for who in ("91", "U1"):
        reply = await say(team, who, "/presence unlink slack")
        assert "You have 2 accounts on slack. Type /presence unlink, and nothing behind it" in reply
    assert names(team) == ["Seven"]
    assert "This account is an agent of its own again" in (await say(team, "U1", "/presence unlink"))


async def test_who_is_named_by_the_account_that_goes_is_named_by_the_next() -> None:
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    await say(team, "91", "/presence unlink slack")
    agent = team.desk.roster.by_identity(team.discord.id, "91")
    assert agent is not None
    assert agent.name == "maria_d"
    assert names(team) == ["Maria", "maria_d"]


async def test_fault_20_a_code_of_another_organization_of_one_database_is_unknown() -> None:
    """Its name and its hash are the very same; the organization alone is not."""
    team = await open_team()
    await both(team)
    shown = await ask(team)
    code = linking.read(shown)
    theirs = await team.desk.store.write(
        lambda tx: tx.members.ensure_organization("other", "Other", team.clock.now())
    )

    def moved(tx: Transaction) -> None:
        mine = tx.linking.code(team.desk.organization_id, code.name, team.clock.now(), 5)
        assert mine is not None
        tx.linking.put(replace(mine, name="AAAA"))  # voids the one that was shown
        assert tx.linking.put(replace(mine, organization_id=theirs))

    await team.desk.store.write(moved)
    assert await refused(team, shown)
    assert names(team) == ["Maria", "maria_d"]
    found = await team.desk.store.read(lambda tx: tx.linking.code(theirs, code.name, team.clock.now(), 5))
    assert found is not None, "and no wrong try counts against it"


async def test_both_are_told_how_they_now_are_seen() -> None:
    """An away of a month ago is easily forgotten."""
    team = await open_team()
    await both(team)
    await say(team, "91", "/away old")
    team.clock.advance(days=30)
    await say(team, "U1", "/available")
    reply = await type_code(team, await ask(team))
    assert "You're Away, as the stricter of what was set on them." in reply


async def test_a_refused_code_is_refused_when_it_is_delivered_again() -> None:
    """Also to somebody who was linked by another one."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    for _ in range(2):
        assert REFUSED in (await say(team, "91", "/presence link AAAA-AAAA", delivery="x"))


async def test_teams_that_come_together_stand_in_the_order_of_the_list() -> None:
    """As the storage has them, so that two who are in the same teams are in the same pools."""
    slugs = {"a": "discord:9:91", "b": "slack:T1:U1", "c": "discord:9:91"}
    team = await open_team(
        team=[{"slug": slug, "name": slug.upper(), "members": [one]} for slug, one in slugs.items()]
    )
    await both(team)
    await type_code(team, await ask(team))
    agent = team.row("Maria").agent
    assert agent.teams == ("a", "b", "c")
    assert await team.desk.store.read(lambda tx: tx.members.agent(agent.id)) == agent
