"""What Discord or Slack does to one person who is on both: the other platform goes on showing them.

The rows are those of the faults of a single platform (`test_discord_faults.py`, `test_slack_faults.py`), each
again with two linked accounts, whose check-ins have lapsed: what is left is what the platforms show.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from discord_scene import discord_scene
from scenarios.test_linked import Linked
from slack_scene import HOUR, MINUTE, slack_scene


@asynccontextmanager
async def on_both(folder: Path, **discord: Any) -> AsyncIterator[Linked]:
    """Linked, Available, and seen by both platforms alone."""
    async with discord_scene(folder, **discord) as one, slack_scene(one.program) as other:
        both = Linked(one, other)
        async with both.program:
            await both.available()
            await both.link()
            for _ in range(9):
                await both.discord.advance(HOUR)
                await both.slack.polled([both.sam])
            assert await both.everybody() == {"sam": "available"}
            yield both
        assert other.program.broken() == []


async def goes_on(both: Linked, before: object) -> None:
    """They are Available, sure and routable, and nothing of it is in their history."""
    about = await both.program.about("sam")
    assert (about["presence"], about["confirmed"], about["unconfirmed_since"]) == ("available", True, None)
    assert await both.program.routable() == {"sam"}
    assert both.program.history("sam") == before


async def test_a_silent_discord_makes_nobody_unsure_whom_slack_shows(tmp_path: Path) -> None:
    """Row 7: found out within 90 s; half an hour later they are routed on what Slack says."""
    async with on_both(tmp_path) as both:
        before = both.program.history("sam")
        both.discord.fake.go_silent(new_ones_too=True)
        for _ in range(18):
            await both.discord.advance(5)
        assert await both.discord.feed_state() != "live"
        for _ in range(6):
            await both.discord.advance(5 * MINUTE)
            await both.slack.polled([both.sam])
        await goes_on(both, before)


async def test_a_resume_that_replays_changes_nothing_of_a_linked_person(tmp_path: Path) -> None:
    """Row 8: off and on in the gap, told three times."""
    async with on_both(tmp_path) as both:
        before = both.program.history("sam")
        both.discord.fake.refuse_connections(1)
        both.discord.fake.drop_connections()
        await both.discord.feed("down")
        both.discord.fake.set_presence(both.dora, "offline")
        both.discord.fake.set_presence(both.dora, "online", times=3)
        await both.discord.until_feed("live")
        assert (both.discord.fake.identifies, both.discord.fake.resumes) == (1, 1)
        await both.discord.advance(75)
        await goes_on(both, before)


async def test_who_left_discord_in_the_gap_is_still_there_by_slack(tmp_path: Path) -> None:
    """Row 9: an invalid session, and the reconciliation finds them gone: they are, when Slack says so too."""
    async with on_both(tmp_path) as both:
        before = both.program.history("sam")
        both.discord.fake.refuse_connections(1)
        both.discord.fake.drop_connections()
        await both.discord.feed("down")
        both.discord.fake.invalidate_session()
        both.discord.fake.set_presence(both.dora, "offline")
        await both.discord.until_feed("live")
        await both.discord.advance(5 * MINUTE)
        await both.slack.polled([both.sam])
        await goes_on(both, before)
        both.slack.presence(both.sam, "away")
        await both.slack.polled([both.sam])
        await both.discord.advance(26 * MINUTE)
        await both.program.until_presence("sam", "offline")


async def test_without_discords_presence_intent_slack_shows_a_linked_person(tmp_path: Path) -> None:
    """Row 10: Discord tells nothing, and takes their commands."""
    async with discord_scene(tmp_path) as one, slack_scene(one.program) as other:
        one.fake.allow_intents(presences=False)
        both = Linked(one, other)
        async with both.program:
            await one.until_live(identifies=2)
            await one.until(lambda: bool(one.fake.commands(one.guild)), "the commands")
            await other.ready()
            await one.say(both.dora, "available")
            await other.say(both.sam, "available")
            await other.polled([both.sam])
            await both.link()
            for _ in range(9):
                await one.advance(HOUR)
                await other.polled([both.sam])
            assert await both.program.routable() == {"sam"}
            assert "You're **Away**" in (await one.say(both.dora, "away")).text
            assert await both.everybody() == {"sam": "away"}


async def test_an_outage_of_the_server_removes_nobody_whom_slack_shows(tmp_path: Path) -> None:
    """Row 11: twenty minutes of it."""
    async with on_both(tmp_path) as both:
        before = both.program.history("sam")
        both.discord.fake.outage(both.discord.guild)
        await both.discord.feed("down")
        await both.discord.advance(20 * MINUTE)
        await both.slack.polled([both.sam])
        await goes_on(both, before)
        assert all(one["present"] for one in (await both.program.about("sam"))["identities"])
        both.discord.fake.restore(both.discord.guild)
        await both.discord.feed("live")
        await goes_on(both, before)


async def test_slacks_sockets_break_and_discord_takes_the_command(tmp_path: Path) -> None:
    """Row 14: what is said in Discord meanwhile is what Slack is answered afterwards."""
    async with on_both(tmp_path) as both:
        both.slack.fake.refuse_sockets(1)
        both.slack.fake.drop_sockets()
        await both.slack.until(lambda: not both.slack.fake.sockets.connections, "the sockets to break")
        assert "You're **Away**" in (await both.discord.say(both.dora, "away", reason="lunch")).text
        async with asyncio.timeout(15):
            while not both.slack.fake.sockets.connections:
                await both.slack.advance(0.5)
        assert "You're *Away*" in (await both.slack.say(both.sam, "presence", "me")).shown
        assert "You're *Available*" in (await both.slack.say(both.sam, "available")).shown
        assert await both.everybody() == {"sam": "available"}


async def test_slack_repeats_a_command_after_another_was_said_in_discord(tmp_path: Path) -> None:
    """Row 15: the later word of the two holds, however often the earlier one comes."""
    async with on_both(tmp_path) as both:
        await both.slack.say(both.sam, "brb", "30m lunch")
        await both.discord.say(both.dora, "available")
        before = both.program.history("sam")
        await both.slack.fake.redeliver(2)
        await goes_on(both, before)


async def test_a_slack_that_fails_makes_nobody_unsure_whom_discord_shows(tmp_path: Path) -> None:
    """Rows 16 and 17: its presence can't be asked for, then its token is revoked."""
    async with on_both(tmp_path) as both:
        before = both.program.history("sam")
        both.slack.fake.fail("users.getPresence", status=503, times=None)
        await both.slack.feed("down")
        await both.discord.advance(20 * MINUTE)
        await goes_on(both, before)
        both.slack.fake.heal()
        await both.slack.feed("live")
        both.slack.fake.revoke_token()
        await both.slack.feed("down")
        await both.discord.advance(HOUR)
        await goes_on(both, before)
        assert any("Slack refuses the bot token" in banner for banner in await both.program.troubles())
