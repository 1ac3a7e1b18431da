"""What is seen twice, as memory and database have it."""

from __future__ import annotations

from desk import open_team
from linking_desk import say

from bot.domain.facts import Seen


async def test_a_disconnect_that_is_told_twice_is_no_newer_evidence() -> None:
    """It changes only the order's mark, so memory says what the database says."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await say(team, "91", "/available")
    await team.see("91", Seen.CONNECTED, epoch)
    await team.see("91", Seen.DISCONNECTED, epoch)
    agent_id = team.row("maria_d").agent.id
    before = team.row("maria_d").facts.last_seen_at
    team.clock.advance(seconds=10)
    await team.see("91", Seen.DISCONNECTED, epoch)
    stored = await team.desk.store.read(lambda tx: tx.presence.facts(agent_id))
    assert stored is not None
    assert team.row("maria_d").facts.last_seen_at == stored.last_seen_at == before
