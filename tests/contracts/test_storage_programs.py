"""What programs need kept: changed slugs, answers to be given again, keys of teams and rotated ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from storage_faults.stores import START, filled

from bot.domain.agent import Skill, Team
from bot.ports import ApiKey, Store, Transaction

LATER = START + timedelta(hours=1)


@pytest.mark.parametrize("kind", ["team", "skill"])
async def test_a_changed_slug_takes_everybody_along(store: Store, kind: str) -> None:
    """Also onto a slug that was archived, whose people of long ago do not come back with it."""
    small = await filled(store)
    owner = small.organization_id
    one: Team | Skill = Team("one", "One", "#2f855a") if kind == "team" else Skill("one", "One")
    old: Team | Skill = Team("old", "Old") if kind == "team" else Skill("old", "Old")
    first, second = small.agents[0], small.agents[1]

    def save(tx: Transaction, listed: Team | Skill) -> None:
        if isinstance(listed, Team):
            tx.members.save_team(owner, listed, START)
        else:
            tx.members.save_skill(owner, listed, START)

    def placed(slugs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return {"teams": slugs} if kind == "team" else {"skills": slugs}

    async def slugs_of(agent_id: str) -> tuple[str, ...]:
        agent = await store.read(lambda tx: tx.members.agent(agent_id))
        assert agent is not None
        return agent.teams if kind == "team" else agent.skills

    def begin(tx: Transaction) -> None:
        save(tx, one)
        save(tx, old)
        tx.members.save(replace(first, **placed(("one",))), START)
        tx.members.save(replace(second, **placed(("old",))), START)
        tx.members.end_list(owner, old, LATER)
        save(tx, old)
        tx.members.end_list(owner, old, LATER)

    await store.write(begin)
    assert await slugs_of(second.id) == ()
    changed = replace(one, slug="old", aliases=("one",))

    def change(tx: Transaction) -> None:
        tx.members.change_slug(owner, one, "old")
        save(tx, changed)

    await store.write(change)
    listed = await store.read(
        lambda tx: tx.members.teams(owner) if kind == "team" else tx.members.skills(owner)
    )
    assert changed in listed and one.slug not in [each.slug for each in listed]
    assert (await slugs_of(first.id), await slugs_of(second.id)) == (("old",), ())


async def test_an_answer_is_kept_with_its_key_and_forgotten_with_it(store: Store) -> None:
    def first(tx: Transaction) -> bool:
        return tx.ledger.first_time("org_1", "once:a", START, LATER)

    assert await store.write(first)
    await store.write(lambda tx: tx.ledger.keep_answer("org_1", "once:a", '{"a": 1}'))
    assert not await store.write(first)

    async def kept(organization: str, key: str) -> str | None:
        return await store.read(lambda tx: tx.ledger.answer(organization, key))

    assert await kept("org_1", "once:a") == '{"a": 1}'
    assert await kept("org_2", "once:a") is await kept("org_1", "once:b") is None
    after = LATER + timedelta(seconds=1)
    assert await store.write(lambda tx: tx.ledger.first_time("org_1", "once:a", after, after))
    assert await kept("org_1", "once:a") is None, "a new one under a key whose time is over"


async def test_a_key_keeps_its_teams_and_the_secret_of_before(store: Store) -> None:
    small = await filled(store)
    owner = small.organization_id
    key = ApiKey("key_1", owner, "desk", ("read",), b"one", START, teams=("support", "billing"))
    await store.write(lambda tx: tx.ledger.add_key(key))
    assert await store.write(lambda tx: tx.ledger.rotate_key("key_1", b"two", START, LATER))
    assert await store.write(lambda tx: tx.ledger.rotate_key("key_1", b"three", LATER, LATER))
    (kept,) = await store.read(lambda tx: tx.ledger.keys(owner))
    assert (kept.secret_hash, kept.old_hash, kept.old_until, kept.rotated_at) == (
        b"three",
        b"two",
        LATER,
        LATER,
    )
    assert kept.teams == ("support", "billing")
    assert await store.write(lambda tx: tx.ledger.revoke_key("key_1", LATER))
    assert not await store.write(lambda tx: tx.ledger.rotate_key("key_1", b"four", LATER, LATER))
    assert not await store.write(lambda tx: tx.ledger.rotate_key("key_none", b"four", LATER, LATER))
