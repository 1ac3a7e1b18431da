"""Codes, wrong tries, and two agents that become one, on every storage."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import pytest
from linking_store import START, Two, confirming, put_in, two_agents
from msgspec import to_builtins
from msgspec.json import encode
from msgspec.structs import replace

from bot.domain.errors import Conflict
from bot.domain.facts import CheckIn, Choice, Intent, Link, LinkState
from bot.domain.hours import DayOff, Hours, Span
from bot.domain.merging import Own
from bot.ports import LinkCode, Store, Transaction, Undo
from bot.service import linking, unlinking
from bot.service.linking import LASTS, TRIES, Outcome, Written
from storage import admin
from storage.database import open_store
from storage.linking import KEEP
from storage.sql import micros

TICK = timedelta(microseconds=1)


async def found(store: Store, two: Two, **more: object) -> LinkCode | None:
    """The code, if it may still be used."""
    values = {
        "name": two.code.name,
        "now": START,
        "most": TRIES,
        "organization_id": two.house.organization_id,
        **more,
    }
    return await store.read(lambda tx: tx.linking.code(**values))  # type: ignore[arg-type]


async def test_a_code_is_kept_as_given_until_it_ends(store: Store) -> None:
    two = await two_agents(store)
    assert await found(store, two) == two.code
    assert await found(store, two, now=two.code.expires_at) == two.code
    assert await found(store, two, now=two.code.expires_at + TICK) is None
    assert await found(store, two, organization_id="org_other") is None


async def test_a_code_is_used_once_in_time_and_before_too_many_wrong_tries(store: Store) -> None:
    two = await two_agents(store)
    late = START + LASTS + TICK
    assert not await store.write(lambda tx: tx.linking.use(two.code, late, TRIES))
    for _ in range(TRIES - 1):
        await store.write(lambda tx: tx.linking.missed(two.house.organization_id, two.code.name))
    assert await store.write(lambda tx: tx.linking.use(two.code, START, TRIES))
    assert not await store.write(lambda tx: tx.linking.use(two.code, START, TRIES))
    assert await found(store, two) is None
    assert not await store.write(lambda tx: tx.linking.put(two.code)), "what it brought is kept"
    other = replace(two.code, name="AAAA")
    assert await store.write(lambda tx: tx.linking.put(other))
    await store.write(lambda tx: tx.linking.missed("org_other", "AAAA"))
    for count in range(TRIES):
        assert await found(store, two, name="AAAA") == other, count
        await store.write(lambda tx: tx.linking.missed(two.house.organization_id, "AAAA"))
    assert not await store.write(lambda tx: tx.linking.use(other, START, TRIES))


async def test_what_a_link_brought_is_kept_until_it_ends(store: Store) -> None:
    """Also where the agent asks for another code."""
    two = await two_agents(store)
    organization_id, ends = two.house.organization_id, START + timedelta(days=1)
    intent = Intent(Choice.AWAY, START, "agent", "lunch", ends, Intent(Choice.AVAILABLE, START, "agent"))
    said = Own(intent, CheckIn("idn_1", START, ends), intent)
    hours = Hours("UTC", (Span(0, 540, 1020),), (DayOff(date(2026, 12, 24), date(2026, 12, 26), "x"),))
    undo = Undo(
        two.code.name, "agt_1", "idn_1", ("idn_1",), ("idn_2",), said, ("x",), (), (("s", "1"),), hours, True
    )
    assert await store.write(lambda tx: tx.linking.use(two.code, START, TRIES))
    await store.write(lambda tx: tx.linking.keep(organization_id, undo, ends))
    assert await store.write(lambda tx: tx.linking.put(replace(two.code, name="AAAA")))
    assert await store.read(lambda tx: tx.linking.undos(organization_id, ends)) == [undo]
    assert await store.read(lambda tx: tx.linking.undos(organization_id, ends + TICK)) == []
    assert await store.read(lambda tx: tx.linking.undos("org_other", ends)) == []


async def test_what_a_link_brought_before_hours_were_kept_is_read_still(store: Store) -> None:
    two = await two_agents(store)
    organization_id, ends = two.house.organization_id, START + timedelta(days=1)
    intent = Intent(Choice.AVAILABLE, START, "agent")
    undo = Undo(two.code.name, "agt_1", "idn_1", ("idn_1",), ("idn_2",), Own(intent, None, intent))
    kept = {key: one for key, one in to_builtins(undo).items() if not key.startswith("hours")}
    assert await store.write(lambda tx: tx.linking.use(two.code, START, TRIES))
    values = {
        "the_organization": organization_id,
        "the_name": undo.name,
        "undo": encode(kept).decode(),
        "expires_at": micros(ends),
    }
    await store.write(lambda tx: tx.linking._sql.run(KEEP, **values))  # type: ignore[attr-defined]
    assert await store.read(lambda tx: tx.linking.undos(organization_id, ends)) == [undo]


async def test_an_agent_has_one_code_and_no_two_have_one_of_a_name(store: Store) -> None:
    two = await two_agents(store)
    newer = replace(two.code, name="AAAA")
    theirs = replace(two.code, agent_id=two.confirmer.id)
    assert not await store.write(lambda tx: tx.linking.put(theirs))
    assert await store.write(lambda tx: tx.linking.put(newer))
    assert await found(store, two) is None
    assert await store.write(lambda tx: tx.linking.put(theirs))


async def test_of_many_tries_at_once_five_count_until_ten_minutes_after_the_last(store: Store) -> None:
    def once(tx: Transaction) -> bool:
        return tx.linking.may_try("org_1", "p", START, START + LASTS, TRIES)

    allowed = await asyncio.gather(*(store.write(once) for _ in range(12)))
    assert sum(allowed) == TRIES
    ends = START + LASTS
    assert not await store.write(lambda tx: tx.linking.may_try("org_1", "p", ends, ends + LASTS, TRIES))
    assert await store.write(lambda tx: tx.linking.may_try("org_1", "q", START, ends, TRIES))
    assert await store.write(lambda tx: tx.linking.may_try("org_2", "p", START, ends, TRIES))
    later = ends + TICK
    assert await store.write(lambda tx: tx.linking.may_try("org_1", "p", later, later + LASTS, TRIES))
    for _ in range(TRIES - 1):
        assert await store.write(lambda tx: tx.linking.may_try("org_1", "p", later, later + LASTS, TRIES))
    await store.write(lambda tx: tx.linking.forgive("org_1", "p"))
    assert await store.write(lambda tx: tx.linking.may_try("org_1", "p", later, later + LASTS, TRIES))
    assert not await store.write(lambda tx: tx.linking.may_try("org_1", "p", later, later + LASTS, TRIES))


async def _seen(store: Store, two: Two) -> Link:
    """The account in Discord is seen there."""
    link = Link(two.confirmer.identities[0].id, two.discord.id, LinkState.CONNECTED, START, 1, 1)

    def operation(tx: Transaction) -> None:
        facts = tx.presence.facts(two.confirmer.id)
        assert facts is not None
        tx.presence.save(facts, replace(facts, links=(link,)), [])

    await store.write(operation)
    return link


async def test_accounts_links_and_history_are_where_they_belong(store: Store) -> None:
    """What is answered is what is stored, and it is there again after a new start."""
    two = await two_agents(store)
    link = await _seen(store, two)
    now = START + timedelta(minutes=1)
    written = await store.write(confirming(two, two.person(), two.confirmer.id, now=now))
    assert written.outcome is Outcome.LINKED
    for agent, facts in written.agents:
        assert await store.read(lambda tx, it=agent.id: tx.members.agent(it)) == agent  # type: ignore[misc]
        assert await store.read(lambda tx, it=agent.id: tx.presence.facts(it)) == facts  # type: ignore[misc]
    everyone = await store.read(lambda tx: list(tx.members.everyone(two.house.organization_id)))
    assert everyone == [written.agents[1]]
    ((agent, facts),) = everyone
    assert agent.id == two.asker.id
    assert [one.external_id for one in agent.identities] == ["U1", "91"]
    assert facts.links == (link,)
    assert await store.read(lambda tx: tx.members.by_identity(two.discord.id, "91")) == agent


async def test_linked_and_unlinked_again_the_database_is_sound(url: str) -> None:
    store = open_store(url)
    try:
        two = await two_agents(store)
        link = await _seen(store, two)
        now = START + timedelta(minutes=1)
        _, (agent, facts) = (
            await store.write(confirming(two, two.person(), two.confirmer.id, now=now))
        ).agents
        written = await store.write(
            lambda tx: unlinking.unlink(
                {agent.id: facts},
                tx,
                house=two.house,
                agent_id=agent.id,
                here_id=two.asker.identities[0].id,
                identity_id=two.confirmer.identities[0].id,
                code="",
                new_agent_id="agt_new",
                actor="agent:x",
                delivery="",
                now=now + timedelta(minutes=1),
            )
        )
        everyone = await store.read(lambda tx: list(tx.members.everyone(two.house.organization_id)))
        assert sorted(everyone, key=lambda one: one[0].id) == sorted(
            written.agents, key=lambda one: one[0].id
        )
        assert dict(written.agents[1:])[written.agents[1][0]].links == (link,)
    finally:
        await store.close()
    assert [line for line in admin.check(url) if not line.startswith("ok")] == []


async def test_of_two_who_type_a_code_at_once_one_is_linked(store: Store) -> None:
    """Whoever comes second finds the facts changed, or the code used."""
    two = await two_agents(store)

    async def typing(external_id: str, confirmer_id: str) -> Outcome:
        try:
            written: Written = await store.write(confirming(two, two.person(external_id), confirmer_id))
        except Conflict:
            return Outcome.REFUSED
        return written.outcome

    outcomes = await asyncio.gather(typing("91", two.confirmer.id), typing("92", ""), typing("93", ""))
    assert sorted(outcomes) == [Outcome.LINKED, Outcome.REFUSED, Outcome.REFUSED]
    kept = await store.read(lambda tx: tx.members.agent(two.asker.id))
    assert kept is not None
    assert len(kept.identities) == 2


async def test_what_is_refused_changes_nothing_but_the_count(store: Store) -> None:
    two = await two_agents(store)
    before = await store.read(lambda tx: list(tx.members.everyone(two.house.organization_id)))
    wrong = linking.Typed(two.code.name, "AAAA")
    for _ in range(TRIES):
        written = await store.write(confirming(two, two.person(), two.confirmer.id, wrong))
        assert written.outcome is Outcome.REFUSED
    assert await found(store, two) is None
    assert await store.read(lambda tx: list(tx.members.everyone(two.house.organization_id))) == before


@pytest.mark.parametrize("change", ["merged but there", "merged into nobody"])
async def test_db_check_finds_who_is_merged_and_not(url: str, change: str) -> None:
    store = open_store(url)
    try:
        two = await store.write(put_in)
        into = two.asker.id if change == "merged but there" else "agt_nobody"
        await store.write(lambda tx: tx.linking.absorbed(two.confirmer.id, into))
    finally:
        await store.close()
    broken = [line for line in admin.check(url) if line.startswith("BROKEN")]
    assert len(broken) == 1
    assert two.confirmer.id in broken[0]
