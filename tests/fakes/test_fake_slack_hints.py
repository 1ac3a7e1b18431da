"""Huddles and do-not-disturb of the fake Slack, as the real Bolt and SDK are told of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes.slack import FakeSlack
from fakes.slack_app import connected, quick_slack


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with quick_slack() as fake:
        yield fake
        assert fake.violations == []


async def test_a_huddle_is_told_in_the_user_object(slack: FakeSlack) -> None:
    """`user_huddle_changed` comes beside `user_change`, which nobody here handles."""
    async with connected(slack) as bot:
        assert (await slack.huddle("U1", seconds=60)).acked
        profile = (await bot.app.client.users_info(user="U1"))["user"]["profile"]
        assert profile["huddle_state"] == "in_a_huddle"
        assert 0 < profile["huddle_state_expiration_ts"] - slack.world.clock() <= 60
        assert (await slack.huddle("U1", False)).acked
        profile = (await bot.app.client.users_info(user="U1"))["user"]["profile"]
        assert (profile["huddle_state"], profile["huddle_state_expiration_ts"]) == ("default_unset", 0)
        assert len(bot.events) == 2


async def test_a_change_of_do_not_disturb_is_told_to_who_may_read_it(slack: FakeSlack) -> None:
    async with connected(slack) as bot:
        told: list[Any] = []

        async def paused(event: dict[str, Any]) -> None:
            told.append((event["user"], event["dnd_status"]))

        bot.app.event("dnd_updated_user")(paused)
        delivery = await slack.pause("U1", 100.0, 200.0)
        assert delivery is not None and delivery.acked
        await slack.wait_for(lambda: told or None, "the event")
        assert told == [("U1", {"dnd_enabled": True, "next_dnd_start_ts": 100, "next_dnd_end_ts": 200})]
        slack.world.tokens[slack.bot_token].scopes.discard("dnd:read")
        assert await slack.pause("U1", None) is None
