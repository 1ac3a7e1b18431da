"""What Discord does to a bot, and what its agents notice: the whole program, one fault at a time."""

import asyncio
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from discord_scene import discord_scene
from fakes.discord_model import MANAGE_GUILD

MINUTE, HOUR = 60.0, 3600.0


async def test_a_resumed_connection_replays_and_nothing_flaps(tmp_path: Path) -> None:
    """Row 8: what happened in the gap is told twice and late, and changes nothing twice."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben, ann = (scene.agent(name) for name in ("Maria", "Ben", "Ann"))
        await scene.ready()
        for person in (maria, ben, ann):
            await scene.say(person, "available")
        await scene.watched("Maria", "Ben")
        await scene.on_the_link_alone(ann, "Ann")
        before = {name: scene.history(name) for name in ("Maria", "Ben", "Ann")}

        scene.fake.refuse_connections(1)
        scene.fake.drop_connections()
        await scene.feed("down")
        scene.fake.set_presence(maria, "offline")
        scene.fake.set_presence(maria, "online", times=3)
        scene.fake.set_presence(ben, "offline", times=2)
        await scene.until_feed("live")
        assert (scene.fake.identifies, scene.fake.resumes) == (1, 1)
        await scene.lost("Ben")
        assert await scene.seen(ann, "Maria") == "available"
        assert await scene.seen(ann, "Ben") == "available"
        assert {name: scene.history(name) for name in before} == before
        await scene.advance(75)
        await scene.agrees(ann, "Ben", "offline")
        assert scene.history("Maria") == before["Maria"]
        assert scene.history("Ann") == before["Ann"], "a short gap is no blind spell"


async def test_an_invalid_session_begins_anew_and_asks_what_changed(tmp_path: Path) -> None:
    """Row 9: no event tells what changed in the gap, so everybody is asked for by name."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben, ann = (scene.agent(name) for name in ("Maria", "Ben", "Ann"))
        await scene.ready()
        for person in (maria, ben, ann):
            await scene.say(person, "available")
        await scene.watched("Maria", "Ben", "Ann")
        scene.fake.set_presence(ann, "offline")
        await scene.lost("Ann")
        await scene.advance(61)
        await scene.agrees(ben, "Ann", "offline")
        before = scene.history("Ben")

        scene.fake.refuse_connections(1)
        scene.fake.drop_connections()
        await scene.feed("down")
        scene.fake.invalidate_session()
        scene.fake.set_presence(maria, "offline")
        scene.fake.set_presence(ann, "dnd")
        await scene.until_feed("live")
        assert (scene.fake.identifies, scene.fake.resumes) == (2, 0)
        await scene.agrees(ben, "Ann", "available")
        await scene.lost("Maria")
        assert await scene.seen(ben, "Maria") == "available"
        await scene.advance(75)
        await scene.agrees(ben, "Maria", "offline")
        assert scene.history("Ben") == before


async def test_a_silent_gateway_is_found_out_and_nobody_is_routed_on_what_it_said(tmp_path: Path) -> None:
    """Row 7: unconfirmed within 90 s; after 120 s only check-ins count; after 8 h Offline, unobserved."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.on_the_link_alone(maria, "Maria")
        await scene.say(ben, "available")
        assert await scene.routable() == {"Maria", "Ben"}

        scene.fake.go_silent(new_ones_too=True)
        silent_at = scene.now()
        while (await scene.about("Maria"))["unconfirmed_since"] is None:
            assert scene.now() - silent_at < timedelta(seconds=90)
            await scene.advance(5)
        assert await scene.feed_state() == "stale"
        assert await scene.routable() == {"Maria", "Ben"}, "what was seen last is trusted for two minutes"
        assert (await scene.about("Ben"))["confirmed"] is True

        for _ in range(12):
            await scene.advance(10)
        assert await scene.routable() == {"Ben"}
        assert (await scene.about("Maria"))["presence"] == "available"
        why = await scene.program.get(f"/v1/agents/{(await scene.about('Maria'))['id']}/eligibility")
        assert [reason["code"] for reason in why["reasons"]] == ["unconfirmed"]
        assert "Discord can't be reached" in " ".join(await scene.troubles())

        await scene.advance(8 * HOUR)
        await scene.program.until_presence("Maria", "offline")
        last = scene.history("Maria")[-1]
        assert (last.presence, last.reason) == ("offline", "unobserved")
        assert [stretch.confirmed for stretch in scene.history("Maria")][-2:] == [False, False]

        await scene.advance(40 * MINUTE)
        scene.fake.speak_again()
        scene.fake.drop_connections()
        await scene.until_feed("live", step=10)
        await scene.until_no_trouble()
        # Offline for longer than half an hour: they are asked, not taken for Available.
        await scene.agrees(ben, "Maria", "away")
        assert await scene.fake.wait_for_message(maria, "Welcome back")


async def test_an_outage_in_the_same_breath_as_the_server_is_not_overtaken(tmp_path: Path) -> None:
    """Row 11: just after READY the library holds GUILD_CREATE back; told late, it must not end the outage."""
    async with discord_scene(tmp_path) as scene, scene.program:
        await scene.ready()
        brief = [scene.fake.add_guild(f"Brief {number}") for number in range(8)]
        for guild in brief:
            scene.fake.outage(guild)
        async with asyncio.timeout(5):
            while len(await scene.troubles()) < len(brief):
                await asyncio.sleep(0.02)
        await scene.advance(5)
        assert ["outage in the server Brief" in told for told in await scene.troubles()] == [True] * len(
            brief
        )
        for guild in brief:
            scene.fake.restore(guild)
        await scene.until_no_trouble()


async def test_an_outage_of_one_server_removes_nobody_and_says_so(tmp_path: Path) -> None:
    """Row 11: who is there is unconfirmed, told in the other server too; back again, all is as it was."""
    async with discord_scene(tmp_path) as scene, scene.program:
        other = scene.fake.add_guild("Acme Europe")
        managers = scene.fake.add_role(other, "Managers", permissions=MANAGE_GUILD)
        lead = scene.fake.add_member(other, "lea", status="online", roles=[managers])
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.on_the_link_alone(maria, "Maria")
        before = scene.history("Maria")

        scene.fake.outage(scene.guild)
        await scene.feed("down")
        await scene.until_trouble("Discord has an outage in the server Acme.")
        assert (await scene.about("Maria"))["unconfirmed_since"] is not None
        assert (await scene.about("Maria"))["presence"] == "available"
        seen = (await scene.fake.slash(lead, other, "who")).text.replace("\\", "")
        assert re.search(
            r"Discord \(Acme\) has not been seen since <t:\d+:t>\. Who is there is unconfirmed\.", seen
        )
        assert re.search(r"\*\*Maria\*\*.*unconfirmed since <t:\d+:t>", seen)
        await scene.advance(20 * MINUTE)
        about = await scene.about("Maria")
        assert (about["presence"], about["routable"]) == ("available", False)
        assert about["identities"][0]["present"], "nobody left"

        scene.fake.restore(scene.guild)
        await scene.feed("live")
        await scene.until_about("Maria", lambda agent: agent["routable"], "Maria to be seen again")
        await scene.until_no_trouble()
        await scene.advance(3 * MINUTE)
        await scene.agrees(ben, "Maria", "available")
        assert {stretch.presence for stretch in scene.history("Maria")[len(before) - 1 :]} == {"available"}
        assert [stretch.confirmed for stretch in scene.history("Maria")][-3:] == [True, False, True]


@pytest.mark.parametrize("refused", [True, False], ids=["4014", "presence = false"])
async def test_without_presence_everything_works_by_commands(tmp_path: Path, refused: bool) -> None:
    """Row 10: the exact toggle is named, no reconnect loop, and presence rests on check-ins.

    A check-in lapses after 8 h, with a word 15 min before and a button that renews it (rule 4).
    """
    async with discord_scene(tmp_path, discord={"presence": refused}) as scene:
        scene.fake.allow_intents(presences=not refused)
        async with scene.program:
            maria, ben = scene.agent("Maria"), scene.agent("Ben", status="offline")
            ann = scene.agent("Ann")
            await scene.until_live(identifies=2 if refused else 1)
            await scene.until(lambda: bool(scene.fake.commands(scene.guild)), "the commands")
            if refused:
                await scene.until_trouble("Bot → Privileged Gateway Intents → Presence Intent")
            else:
                assert await scene.troubles() == []
            for person in (maria, ben):
                said = await scene.say(person, "available")
                assert "That holds until <t:" in said.text
            for name in ("Maria", "Ben"):
                await scene.agrees(ann, name, "available")
            assert await scene.routable() == {"Maria", "Ben"}
            assert (await scene.program.get("/v1/availability"))["feeds"] == []
            me = (await scene.say(ben, "presence me")).text
            assert "Discord: doesn't tell me who is there, so your own word counts" in me.replace("\\", "")

            scene.fake.set_presence(maria, "offline")
            await scene.advance(2 * HOUR)
            await scene.agrees(ann, "Maria", "available")
            await scene.say(ben, "presence me")

            await scene.advance(5 * HOUR + 46 * MINUTE)
            told = await scene.fake.wait_for_message(maria, "Still working?")
            assert scene.fake.direct_messages(ben) == [], "any command of their own renews a check-in"
            await scene.press(maria, told, "Still available")
            await scene.advance(20 * MINUTE)
            await scene.agrees(ann, "Maria", "available")

            await scene.advance(HOUR + 40 * MINUTE)
            told_too = await scene.fake.wait_for_message(ben, "Still working?")
            await scene.advance(20 * MINUTE)
            await scene.agrees(ann, "Ben", "offline")
            assert scene.history("Ben")[-1].reason == "check_in_lapsed"
            await scene.press(ben, told_too, "Still available")
            await scene.agrees(ann, "Ben", "available")
            assert scene.fake.identifies == (2 if refused else 1)


async def test_a_limit_and_an_error_delay_a_word_and_lose_none(tmp_path: Path) -> None:
    """Row 16: Retry-After is obeyed, a 5xx is tried again, and the API never notices."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
            await scene.say(person, "away", until="5m")

        scene.fake.rate_limit("POST /channels/*/messages", 120.0)
        scene.fake.fail("POST /channels/*/messages", 503, times=5)
        await scene.advance(5 * MINUTE + 1)
        await scene.fake.wait_for_call("POST", "/channels/*/messages", count=2)
        assert await scene.routable() == {"Maria", "Ben"}
        limited = next(
            call for call in scene.fake.calls("POST", "/channels/*/messages") if call.status == 429
        )
        tried = scene.fake.calls("POST", limited.path)
        for _ in range(11):
            await scene.advance(10)
            assert scene.fake.calls("POST", limited.path) == tried, "before Retry-After nobody asks again"
        async with asyncio.timeout(10):
            while not all(scene.fake.direct_messages(person) for person in (maria, ben)):
                await scene.advance(15)
                assert await scene.routable() == {"Maria", "Ben"}
        for person in (maria, ben):
            (word,) = scene.fake.direct_messages(person)
            assert "Your time away is over" in word.text


async def test_a_revoked_token_ends_all_calls_and_says_what_to_do(tmp_path: Path) -> None:
    """Row 17: a banner with the repair, not one call more, an API that answers; a restart mends it."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.on_the_link_alone(maria, "Maria")
        before = scene.history("Maria")

        scene.fake.unauthorized()
        async with asyncio.timeout(5):
            while not await scene.troubles():
                await scene.advance(1)
        (banner,) = await scene.troubles()
        assert "Bot → Reset Token, put it into discord.token, and restart Rollcall" in banner
        assert scene.fake.token not in banner
        calls, identifies = len(scene.fake.calls()), scene.fake.identifies
        for _ in range(5):
            await scene.advance(10 * MINUTE)
        assert (len(scene.fake.calls()), scene.fake.identifies) == (calls, identifies)
        assert (await scene.about("Maria"))["presence"] == "available"
        assert await scene.routable() == {"Ben"}, "Ben's own word still counts"

        scene.fake.authorized()
        await scene.restart()
        await scene.until_no_trouble()
        await scene.until_about("Maria", lambda agent: agent["routable"], "Maria to be seen again")
        assert scene.history("Maria")[: len(before) - 1] == before[:-1]


async def test_a_bot_removed_from_the_server_says_how_to_bring_it_back(tmp_path: Path) -> None:
    """Row 17: the invitation stands in the banner, nobody is set Offline at once, history is kept."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria = scene.agent("Maria")
        await scene.ready()
        await scene.say(maria, "available")
        before = scene.history("Maria")
        scene.fake.remove_bot(scene.guild)
        await scene.feed("down")
        await scene.until_trouble(
            "Rollcall was removed from the Discord server Acme.", f"guild_id={scene.guild.id}"
        )
        await scene.advance(10 * MINUTE)
        assert scene.history("Maria") == before

        scene.fake.invite_bot(scene.guild)
        await scene.feed("live")
        await scene.until_no_trouble()
        await scene.agrees(maria, "Maria", "available")


async def test_connecting_anew_stops_at_900_a_day_also_across_restarts(tmp_path: Path) -> None:
    """Row 12: Discord resets the token at 1,000; the banner says so, and it goes on by itself a day later."""
    async with discord_scene(tmp_path) as scene:
        await scene.program.prepare()
        an_hour_ago = int((scene.now() - timedelta(hours=1)).timestamp() * 1_000_000)
        with closing(sqlite3.connect(tmp_path / "rollcall.sqlite3")) as database, database:
            database.executemany(
                "INSERT INTO identify (organization_id, at) SELECT id, ? FROM organization",
                [(an_hour_ago + n,) for n in range(899)],
            )
        async with scene.program:
            maria = scene.agent("Maria")
            await scene.ready()
            await scene.say(maria, "available")
            assert scene.fake.identifies == 1

            scene.fake.invalidate_session()
            async with asyncio.timeout(5):
                while not await scene.troubles():
                    await scene.advance(5)
            assert "so Rollcall waits at 900" in " ".join(await scene.troubles())
            await scene.program.restart()
            async with asyncio.timeout(5):
                while not await scene.troubles():
                    await scene.advance(5)
            for _ in range(3):
                await scene.advance(15 * MINUTE)
            assert scene.fake.identifies == 1
            assert await scene.routable() == {"Maria"}, "the API answers meanwhile"

            await scene.advance(23 * HOUR)
            async with asyncio.timeout(5):
                while scene.fake.identifies < 2:
                    await scene.advance(10 * MINUTE)
            await scene.fake.connected(identifies=2)
            await scene.feed("live")
            await scene.until_no_trouble()
