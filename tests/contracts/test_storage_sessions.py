"""Console sessions, on every storage."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace
from storage_faults.stores import START, filled

from bot.domain.facts import Facts, Link, LinkState
from bot.domain.sessions import link_id
from bot.ports import Store


def session(feed_id: str, key: str, at: int, state: LinkState = LinkState.CONNECTED) -> Link:
    began = START + timedelta(seconds=at)
    return Link(link_id(key), feed_id, state, began, 1, at, beat_at=began + timedelta(microseconds=1))


async def saved(store: Store, facts: Facts, *sessions: Link) -> Facts:
    """The facts with these links, stored."""
    return await store.write(lambda tx: tx.presence.save(facts, replace(facts, links=sessions), ()))


async def test_sessions_are_kept_beside_the_links_of_accounts_and_forgotten_one_by_one(store: Store) -> None:
    small = await filled(store)
    ann, bob = small.agents
    owner = small.organization_id
    feed = await store.write(
        lambda tx: tx.members.ensure_workspace(owner, "session", "sessions", "Consoles", START)
    )
    account = Link(ann.identities[0].id, small.slack.id, LinkState.IDLE, START, 3, 4, weak=True)
    one, two = session(feed.id, "a:1", 1), session(feed.id, "b-2", 2, LinkState.DISCONNECTED)
    found = await store.read(lambda tx: (tx.presence.facts(ann.id), tx.presence.facts(bob.id)))
    assert found[0] is not None
    assert found[1] is not None
    facts = await saved(store, found[0], account, one, two)
    his = await saved(store, found[1], session(feed.id, "a:1", 9))  # the same key is another session
    known = await store.read(lambda tx: list(tx.members.everyone(owner)))
    everyone = {agent.id: facts for agent, facts in known}
    assert everyone == {ann.id: facts, bob.id: his}
    assert await store.read(lambda tx: tx.presence.facts(ann.id)) == facts
    again = replace(two, state=LinkState.CONNECTED, seq=5)
    facts = await saved(store, facts, account, again)
    assert await store.read(lambda tx: tx.presence.facts(ann.id)) == facts
    facts = await saved(store, facts, again)
    assert await store.read(lambda tx: tx.presence.facts(ann.id)) == facts
    assert await store.read(lambda tx: tx.presence.facts(bob.id)) == his
