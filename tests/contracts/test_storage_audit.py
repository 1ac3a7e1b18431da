"""The audit is read in one order by both engines: by instant, then by id."""

from __future__ import annotations

from datetime import timedelta

from storage_faults.stores import START, filled

from bot.domain.events import AuditEntry
from bot.ports import Store, Transaction


def entry(organization_id: str, number: int, seconds: int, actor: str, subject: str) -> AuditEntry:
    at = START + timedelta(seconds=seconds)
    return AuditEntry(f"aud_{number}", organization_id, at, actor, "team.joined", subject, {"n": number})


async def test_newest_and_after_agree_on_the_order_and_on_whose_it_is(store: Store) -> None:
    small = await filled(store)
    first, second = (agent.id for agent in small.agents)

    def add(tx: Transaction) -> None:
        other = tx.members.ensure_organization("other", "Other", START)
        for number, seconds, actor, subject in (
            (3, 5, "operator", first),
            (1, 9, f"agent:{first}", second),
            (2, 9, "operator", second),
            (4, 1, f"agent:{second}", "billing"),
        ):
            tx.ledger.audit(entry(small.organization_id, number, seconds, actor, subject))
        tx.ledger.audit(entry(other, 9, 7, "operator", first))

    await store.write(add)

    def look(tx: Transaction) -> None:
        def newest(agent_id: str | None, limit: int = 10) -> list[AuditEntry]:
            return list(tx.ledger.newest_audit(small.organization_id, agent_id, limit))

        def after(place: AuditEntry | None, agent_id: str | None = None, limit: int = 10) -> list[str]:
            behind = (place.at, place.id) if place is not None else None
            return [one.id for one in tx.ledger.audit_after(small.organization_id, behind, agent_id, limit)]

        everything = newest(None)
        assert [one.id for one in everything] == ["aud_2", "aud_1", "aud_3", "aud_4"]
        assert everything[0] == entry(small.organization_id, 2, 9, "operator", second)
        assert [one.id for one in newest(None, 2)] == ["aud_2", "aud_1"]
        assert [one.id for one in newest(second)] == ["aud_2", "aud_1"]
        assert after(None) == ["aud_4", "aud_3", "aud_1", "aud_2"]
        assert after(None, limit=1) == ["aud_4"]
        assert after(everything[1]) == ["aud_2"]
        assert after(everything[3], first) == ["aud_3"]

    await store.read(look)
