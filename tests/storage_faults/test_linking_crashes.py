"""Killed while two agents become one: they are one, or two as before, and typing the code again succeeds."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from linking_store import Two, confirming, two_agents
from storage_faults.forked import Child, killed
from storage_faults.test_storage_crashes import COMMITS, die_at_commit, run, sound

from bot.ports import Store
from bot.service.linking import Outcome

STEPS = {
    "the code is used": "storage.linking.LinkRows.forgive",
    "the accounts are let go": "storage.linking.LinkRows.absorbed",
    "all but the word is written": "storage.ledger.LedgerRows.notice",
}
"""By what was done, the call before which it dies."""


def link_and_die(url: str, two: Two, point: str, say: Callable[[str], None]) -> None:
    """The child: it dies in the middle."""
    if point in STEPS:
        patch(STEPS[point], lambda *_, **__: killed()).start()
    else:
        die_at_commit(point)
    run(url, lambda store: store.write(confirming(two, two.person(), two.confirmer.id)))
    say("answered")


@pytest.mark.parametrize("point", [*STEPS, *COMMITS])
def test_killed_while_linking_nothing_is_half_done_and_a_retry_succeeds(url: str, point: str) -> None:
    two: Two = run(url, two_agents)
    child = Child(partial(link_and_die, url, two, point))
    assert child.end() == (signal.SIGKILL, [])
    sound(url)

    async def there(store: Store) -> list[Any]:
        return [
            (agent.id, len(agent.identities))
            for agent, _ in await store.read(lambda tx: list(tx.members.everyone(two.house.organization_id)))
        ]

    one = [(two.asker.id, 2)]
    if point == "after the commit":
        assert run(url, there) == one
        return
    assert sorted(run(url, there)) == sorted([(two.asker.id, 1), (two.confirmer.id, 1)])
    again = run(url, lambda store: store.write(confirming(two, two.person(), two.confirmer.id)))
    assert again.outcome is Outcome.LINKED
    assert run(url, there) == one
    sound(url)
