"""Linking beside whatever else happens at the same time, and what comes twice (I8)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from desk import Team, open_team
from linking_desk import CODE, ask, audited, both, names, refused, say, type_code

from bot.domain.facts import Seen
from bot.ports import Store, Transaction

T = TypeVar("T")


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
    shown = CODE.search(await say(team, "U1", "/presence link", delivery="d1"))
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


class Held:
    """A store in which the next write has begun, and waits."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.read, self.close = store.read, store.close

    async def write(self, operation: Callable[[Transaction], T]) -> T:
        self.begun.set()
        await self.go_on.wait()
        return await self.store.write(operation)


async def amid(team: Team, first: Awaitable[object], then: Awaitable[object]) -> None:
    """What comes `then` comes while the first has everything but its transaction."""
    held = Held(team.desk.store)
    team.desk.changes.store = held
    under_way = asyncio.ensure_future(first)
    await held.begun.wait()
    coming = asyncio.ensure_future(then)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not coming.done()
    held.go_on.set()
    await asyncio.gather(under_way, coming)


async def test_a_disconnect_during_the_link_is_not_lost() -> None:
    """I8: it was seen of the one agent, and counts for the other."""
    team = await open_team()
    await both(team)
    epoch = await team.desk.feed_live(team.discord.id)
    await team.see("91", Seen.CONNECTED, epoch)
    await amid(team, type_code(team, await ask(team)), team.see("91", Seen.DISCONNECTED, epoch))
    (link,) = team.row("Maria").facts.links
    assert link.state == "suspect"
    stored = await team.desk.store.read(lambda tx: tx.presence.facts(team.row("Maria").agent.id))
    assert stored is not None
    assert stored.links == (link,)


async def test_a_disconnect_during_the_unlink_counts_for_the_new_agent() -> None:
    team = await open_team()
    await both(team)
    epoch = await team.desk.feed_live(team.discord.id)
    await type_code(team, await ask(team))
    await team.see("91", Seen.CONNECTED, epoch)
    await amid(team, say(team, "91", "/presence unlink"), team.see("91", Seen.DISCONNECTED, epoch))
    assert team.row("Maria").facts.links == ()
    (link,) = team.row("maria_d").facts.links
    assert link.state == "suspect"


async def test_leaving_the_workspace_during_the_link_disconnects_only_there() -> None:
    """The account that is typed on leaves: the agent stays."""
    team = await open_team()
    await both(team)
    await amid(team, type_code(team, await ask(team)), team.desk.member_left(team.discord.id, "91"))
    assert names(team) == ["Maria"]
    assert team.desk.roster.by_identity(team.discord.id, "91") is None


async def test_the_asker_leaves_during_the_link_and_stays_by_the_other_account() -> None:
    """They had one account when they left, and have another by the time that counts."""
    team = await open_team()
    await both(team)
    await amid(team, type_code(team, await ask(team)), team.desk.member_left(team.slack.id, "U1"))
    assert names(team) == ["Maria"]
    assert team.desk.roster.by_identity(team.slack.id, "U1") is None
    assert team.desk.roster.by_identity(team.discord.id, "91") is not None


async def test_what_is_said_during_ones_own_unlink_is_the_accounts_own_word() -> None:
    """The other agent, who was Away, is not set Available by it."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    await say(team, "U1", "/brb meeting")
    await amid(team, say(team, "91", "/presence unlink"), say(team, "91", "/available"))
    assert (team.presence("Maria"), team.presence("maria_d")) == ("away", "available")


async def test_what_is_said_during_the_link_counts_for_the_agent_they_become() -> None:
    team = await open_team()
    await both(team)
    code = await ask(team)
    told: list[str] = []

    async def off() -> None:
        told.append(await say(team, "91", "/presence off"))

    await amid(team, type_code(team, code), off())
    assert "You've signed off." in told[0]
    assert team.presence("Maria") == "offline"
    assert names(team) == ["Maria"]


@pytest.mark.parametrize(
    ("line", "of_maria", "of_maria_d"),
    [
        ("/away lunch", "available by agent", "agent"),
        ("/presence set Maria away", "away by lead", "rule:enrolled"),
    ],
)
async def test_ones_own_away_during_the_unlink_is_not_the_others(
    line: str, of_maria: str, of_maria_d: str
) -> None:
    """But for a lead who names the other."""
    team = await open_team(organization={"leads": ["discord:9:91"]})
    await both(team)
    await type_code(team, await ask(team))
    await amid(team, say(team, "91", "/presence unlink"), say(team, "91", line))
    intent = team.row("Maria").facts.intent
    assert f"{intent.choice} by {intent.by}".startswith(of_maria)
    assert team.row("maria_d").facts.intent.by == of_maria_d


async def test_what_one_is_and_has_is_changed_of_the_agent_that_one_is_by_then() -> None:
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    await amid(team, say(team, "91", "/presence unlink"), say(team, "91", "/presence team leave support"))
    assert team.row("Maria").agent.teams == ("support", "billing")
    assert team.row("maria_d").agent.teams == ()
    code = await ask(team)
    await amid(team, type_code(team, code), say(team, "91", "/presence timezone Asia/Tokyo"))
    assert team.row("Maria").agent.zone == "Asia/Tokyo"
