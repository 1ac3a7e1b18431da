"""An agent's history when two things happen in one instant, and no tick has stored the second."""

from __future__ import annotations

from http_house import house


async def test_what_ends_in_the_instant_in_which_something_was_set_is_in_the_history() -> None:
    """The shortest example by which `tests/machine` found that it was left out until the next tick."""
    async with house() as at:
        ann = await at.agent("Ann")
        await at.clock.advance(hours=8)
        path = f"/v1/agents/{ann.id}"
        answer = await at.ask(f"{path}/presence", method="PUT", scope="presence", json={"presence": "away"})
        assert answer.json()["presence"] == "away", "her check-in holds until this very instant"
        await at.clock.advance(microseconds=1)
        shown = (await at.ask(path)).json()
        last = (await at.ask(f"{path}/history")).json()["intervals"][-1]
        assert (shown["presence"], shown["reason"]) == ("offline", "check_in_lapsed")
        assert (last["presence"], last["reason"]) == ("offline", "check_in_lapsed")
