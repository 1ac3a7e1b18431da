"""A scheduled summary in a Discord channel: once, whatever happens around it."""

import asyncio
from pathlib import Path

from discord_scene import DiscordScene, discord_scene
from fakes.discord_model import Channel, Message

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def with_summary(scene: DiscordScene) -> Channel:
    """A summary of Support at 09:00 UTC on working days; the scene begins on a Monday at 08:00."""
    channel = scene.fake.add_channel(scene.guild, "support-daily")
    place = f"discord:{scene.guild.id}/{channel.id}"
    daily = {"slug": "daily", "team": "support", "channel": place, "at": "09:00", "zone": "UTC"}
    scene.program.config["summary"] = [daily]
    return channel


async def posted(scene: DiscordScene, channel: Channel, count: int) -> list[Message]:
    """What stands in the channel, once it is so much and a look or two later, when more would have come."""
    async with asyncio.timeout(5):
        while len(scene.fake.messages(channel)) < count:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.4)
    assert len(scene.fake.messages(channel)) == count
    return scene.fake.messages(channel)


async def test_a_summary_is_posted_once_through_restarts_and_a_moved_clock(tmp_path: Path) -> None:
    """Row 5: one missed for over an hour is not made up for, and a jump of days brings no burst (I10)."""
    async with discord_scene(tmp_path) as scene:
        channel = with_summary(scene)
        async with scene.program:
            maria, ben = scene.agent("Maria"), scene.agent("Ben")
            await scene.ready()
            await scene.say(maria, "available")
            await scene.say(ben, "available")
            await scene.say(ben, "away", reason="training")
            await scene.advance(59 * MINUTE)
            await posted(scene, channel, 0)
            await scene.advance(2 * MINUTE)
            (daily,) = await posted(scene, channel, 1)
            assert "**Support** at <t:" in daily.text
            assert (
                "In the last 24 h somebody was available 4% of the time, 1.0 agent hours in all."
                in daily.text
            )
            assert "**Available (1)**\nMaria\n" in daily.text.replace("\\", "")
            assert "**Away (1)**\nBen" in daily.text.replace("\\", "")

            for kill in (False, True):
                await scene.restart(kill=kill)
                await posted(scene, channel, 1)
            await scene.advance(30 * MINUTE)
            await posted(scene, channel, 1)

            # Tuesday's was missed: it is 10:31 when the clock is looked at again.
            await scene.advance(DAY + HOUR)
            await posted(scene, channel, 1)
            # Wednesday's is half an hour late, after a jump.
            await scene.advance(DAY - HOUR)
            await posted(scene, channel, 2)
            # A week later, on a Wednesday at 09:31: one, not six.
            await scene.advance(7 * DAY)
            await posted(scene, channel, 3)
            # Saturday, 09:31.
            await scene.advance(3 * DAY)
            await posted(scene, channel, 3)


async def test_a_summary_survives_errors_and_a_lost_answer_and_stays_one(tmp_path: Path) -> None:
    """Row 16: a 5xx is tried again; when only the answer was lost, it is not posted a second time."""
    async with discord_scene(tmp_path) as scene:
        channel = with_summary(scene)
        async with scene.program:
            await scene.ready()
            route = f"POST /channels/{channel.id}/messages"
            scene.fake.fail(route, 503, times=6)
            await scene.advance(HOUR + MINUTE)
            await scene.fake.wait_for_call("POST", f"/channels/{channel.id}/messages")
            await posted(scene, channel, 0)
            async with asyncio.timeout(10):
                while not scene.fake.messages(channel):
                    await scene.advance(30)
                    await asyncio.sleep(0.1)
            (daily,) = await posted(scene, channel, 1)
            assert "Nobody is in this team yet." in daily.text

            await scene.advance(DAY - HOUR)
            scene.fake.lose_answers(route)
            await scene.advance(HOUR)
            async with asyncio.timeout(10):
                while len(scene.fake.messages(channel)) < 2:
                    await scene.advance(30)
                    await asyncio.sleep(0.1)
            for _ in range(4):
                await scene.advance(30)
            await posted(scene, channel, 2)
