"""Presence over our own gateway: faults 8, 9, 11, 15 and 17, leaving, enrolling, renaming."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import discord
import pytest
from discord_adapter.house import HurriedClock, RecordingCore, live, running, sees, track
from fakes.discord_server import FakeDiscord

from adapters.discord.service import SWEEP_EVERY
from bot.domain.errors import Unavailable
from bot.domain.facts import Seen
from bot.ports import Profile


async def test_agents_are_asked_for_by_name_when_the_gateway_is_ready() -> None:
    """A large guild's GUILD_CREATE leaves offline members out, and ours keeps no member anyway."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme", always_large=True)
        maria = fake.add_member(guild, "maria", status="dnd")
        tom = fake.add_member(guild, "tom", status="invisible")
        core = RecordingCore()
        track(core, guild, maria.id, tom.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            await sees(core, guild, tom.id, Seen.DISCONNECTED)
        assert fake.violations == []


async def test_more_agents_than_one_request_may_name_are_asked_for_in_parts() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme", claimed_members=80_000)
        people = [fake.add_member(guild, f"agent{number}", status="idle") for number in range(205)]
        core = RecordingCore()
        track(core, guild, *(one.id for one in people))
        async with running(fake, core):
            for one in people:
                await sees(core, guild, one.id, Seen.CONNECTED)
        assert [len(asked["user_ids"]) for asked in fake.gateway.member_requests[:3]] == [100, 100, 5]
        assert fake.violations == []


async def test_presence_is_passed_on_for_agents_and_nobody_else() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        customer = fake.add_member(guild, "customer")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            fake.set_presence(customer, "online")
            fake.set_presence(maria, "offline")
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
        assert {told[1] for told in core.names("seen")} == {str(maria.id)}


async def test_row_15_a_repeated_presence_is_passed_on_once() -> None:
    """Discord repeats events; online, idle and do-not-disturb all mean connected."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            before = len(core.names("seen"))
            fake.set_presence(maria, "online", times=3)
            fake.set_presence(maria, "idle", times=3)
            fake.set_presence(maria, "offline", times=3)
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            await core.until(lambda: len(core.names("seen")) >= before + 2, "both changes")
        assert [told[2] for told in core.names("seen")[before:]] == [Seen.CONNECTED, Seen.DISCONNECTED]


async def test_row_8_resume_tells_what_was_missed_and_nothing_else() -> None:
    """Those who did not change during the gap are not told of; those who did are, once, in order."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        tom = fake.add_member(guild, "tom", status="online")
        core = RecordingCore()
        track(core, guild, maria.id, tom.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            await sees(core, guild, tom.id, Seen.CONNECTED)
            epoch = core.feed(guild).epoch
            before = len(core.told)
            fake.refuse_connections(1)
            fake.drop_connections()
            await core.until(lambda: core.feed(guild).state == "down", "a lost feed")
            fake.set_presence(tom, "offline")
            fake.set_presence(tom, "online")
            fake.set_presence(tom, "offline")
            await fake.connected(resumes=1)
            await sees(core, guild, tom.id, Seen.DISCONNECTED)
        after = [told for told in core.told[before:] if told[0] in ("seen", "feed_live", "feed_lost")]
        assert [told[0] for told in after] == ["feed_lost", "feed_live", "seen", "seen", "seen", "feed_lost"]
        assert after[1] == ("feed_live", f"ws_{guild.id}", True)
        assert [told[2] for told in after[2:5]] == [Seen.DISCONNECTED, Seen.CONNECTED, Seen.DISCONNECTED]
        assert {told[1] for told in after[2:5]} == {str(tom.id)}
        assert {told[3] for told in after[2:5]} == {epoch}
        assert fake.identifies == 1


async def test_row_9_what_changed_before_a_new_session_is_asked_for() -> None:
    """After an invalid session Discord says nothing of what changed in the gap."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        tom = fake.add_member(guild, "tom")
        always = fake.add_member(guild, "always", status="online")
        core = RecordingCore(HurriedClock(10))
        track(core, guild, maria.id, tom.id, always.id)
        async with running(fake, core):
            for person, seen in (
                (maria, Seen.CONNECTED),
                (tom, Seen.DISCONNECTED),
                (always, Seen.CONNECTED),
            ):
                await sees(core, guild, person.id, seen)
            epoch = core.feed(guild).epoch
            fake.invalidate_session()
            fake.set_presence(maria, "offline")
            fake.set_presence(tom, "online")
            await fake.connected(identifies=2)
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            await sees(core, guild, tom.id, Seen.CONNECTED)
            await core.until(
                lambda: core.feed(guild).seen[str(always.id)][0] == epoch + 1, "who did not change, too"
            )
            assert core.clock.monotonic() < SWEEP_EVERY, "asked with the new session, not with the next sweep"
        assert fake.violations == []


async def test_row_9_what_was_held_back_for_a_resume_that_failed_is_thrown_away() -> None:
    """Events of the old session are replayed, then it is invalid: the answers to new questions decide."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core) as service:
            await sees(core, guild, maria.id, Seen.CONNECTED)
            feed = service.feeds.by_guild[guild.id]
            feed.lose(core.clock.now())
            feed.saw(maria.id, "offline")
            service.feeds.ready([feed.guild])
            feed.begin(feed.guild)
            await core.until(lambda: len(core.names("feed_live")) == 2, "a new epoch")
            await core.until(lambda: core.feed(guild).seen[str(maria.id)][0] == 2, "an answer")
            feed.lose(core.clock.now())
            feed.resume()
            await service.feeds.settled()
        assert [told[2] for told in core.names("seen")] == [Seen.CONNECTED, Seen.CONNECTED]


async def test_an_answer_gives_way_to_what_came_after_its_question() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core) as service:
            await sees(core, guild, maria.id, Seen.CONNECTED)
            feed = service.feeds.by_guild[guild.id]
            asked = core.feed(guild).seen[str(maria.id)][1]
            feed.saw(maria.id, "offline")
            feed.saw(maria.id, "online", asked)
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            await service.feeds.settled()
        assert [told[2] for told in core.names("seen")] == [Seen.CONNECTED, Seen.DISCONNECTED]


async def test_row_9_an_answer_of_the_old_session_counts_for_nothing_in_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer is still worked through, at the speed of the database, when a new session begins."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        others = [fake.add_member(guild, f"agent{number}", status="online") for number in range(5)]
        maria = fake.add_member(guild, "maria", status="offline")
        core = RecordingCore(HurriedClock(10))
        track(core, guild, *(one.id for one in others), maria.id)
        go_on = asyncio.Event()

        async def profile_changed(workspace_id: str, profile: Profile) -> None:
            core.told.append(("writing", profile.name))
            await go_on.wait()
            await RecordingCore.profile_changed(core, workspace_id, profile)

        monkeypatch.setattr(core, "profile_changed", profile_changed)
        async with running(fake, core):
            await core.until(lambda: bool(core.names("writing")), "the first answer")
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            before = len(core.told)
            fake.invalidate_session()
            fake.set_presence(maria, "online")
            fake.rename(maria, guild=guild, nick="María")
            await fake.connected(identifies=2)
            await core.until(lambda: len(core.names("feed_live")) == 2, "a new epoch")
            await core.until(lambda: core.seen(guild, maria.id) is Seen.CONNECTED, "the new answer")
            go_on.set()
            await core.until(lambda: len(core.profiles) == 6, "every profile")
            assert ("writing", "María") in core.told
            assert ("writing", "maria") not in core.told, "the old answer's name for her"
        seen = [told for told in core.told[before:] if told[0] == "seen"]
        assert [told[2] for told in seen if told[1] == str(maria.id)] == [Seen.CONNECTED]
        assert {told[3] for told in seen} == {2}


async def test_row_9_an_answer_that_comes_through_after_a_new_session_began_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="offline")
        core = RecordingCore(HurriedClock(10))
        track(core, guild, maria.id)
        real = discord.Guild.query_members
        arrived, go_on, through = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def query_members(asked: discord.Guild, **names: Any) -> list[discord.Member]:
            answer = await real(asked, **names)
            if not arrived.is_set():
                arrived.set()
                await go_on.wait()
                asyncio.get_running_loop().call_soon(through.set)
            return answer

        monkeypatch.setattr(discord.Guild, "query_members", query_members)
        async with running(fake, core) as service:
            await arrived.wait()
            fake.invalidate_session()
            await fake.connected(identifies=2)
            await core.until(lambda: len(core.names("feed_live")) == 2, "a new epoch")
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            feed = service.feeds.by_guild[guild.id]
            feed._last.clear()
            before = len(core.names("seen"))
            go_on.set()
            await through.wait()
            await service.feeds.settled()
        assert len(core.names("seen")) == before


async def test_who_is_seen_does_not_wait_until_names_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        people = [fake.add_member(guild, f"agent{number}", status="online") for number in range(205)]
        core = RecordingCore()
        track(core, guild, *(one.id for one in people))
        hangs = asyncio.Event()

        async def profile_changed(workspace_id: str, profile: Profile) -> None:
            await hangs.wait()

        monkeypatch.setattr(core, "profile_changed", profile_changed)
        async with running(fake, core):
            await core.until(lambda: len(core.feed(guild).seen) == 205, "everybody")


async def test_row_11_an_outage_marks_the_feed_and_removes_nobody() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        other = fake.add_guild("Other")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            await live(core, other)
            fake.outage(guild)
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            assert core.feed(guild).state == "down"
            assert core.feed(other).state == "live"
            assert "outage" in core.banners[f"ws_{guild.id}"]
            assert core.seen(guild, maria.id) is Seen.CONNECTED
            assert core.left == {}
            fake.set_presence(maria, "offline")
            fake.restore(guild)
            await sees(core, guild, maria.id, Seen.DISCONNECTED)
            assert core.feed(guild).epoch == 2
            assert f"ws_{guild.id}" not in core.banners


async def test_row_17_a_bot_removed_from_a_guild_says_how_to_bring_it_back() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            await core.until(lambda: any(core.settings.values()), "commands registered")
            calls = len(fake.calls())
            fake.remove_bot(guild)
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            banner = core.banners[f"ws_{guild.id}"]
            assert f"client_id={fake.bot.id}" in banner
            assert f"guild_id={guild.id}" in banner
            assert core.feed(guild).state == "down"
            assert core.left == {}
            assert len(fake.calls()) == calls
            fake.invite_bot(guild)
            await live(core, guild)
            await fake.wait_for_call("PUT", "/applications/*/guilds/*/commands", count=2)
            assert fake.commands(guild)
            await core.until(lambda: f"ws_{guild.id}" not in core.banners, "the banner to go")


async def test_row_17_a_bot_removed_while_it_was_away_is_noticed() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore()
        async with running(fake, core):
            await live(core, guild)
            await core.until(lambda: any(core.settings.values()), "commands registered")
            guild.has_bot = False
            fake.invalidate_session()
            await core.until(lambda: f"ws_{guild.id}" in core.banners, "a banner")
            assert core.feed(guild).state == "down"


async def test_what_the_database_did_not_take_is_told_again() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core) as service:
            await sees(core, guild, maria.id, Seen.CONNECTED)
            core.refuse = Unavailable("The database can't be written just now.")
            fake.set_presence(maria, "offline")
            feed = service.feeds.by_guild[guild.id]
            await fake.until(lambda: feed.working, "the feed at work")
            core.refuse = None
            await sees(core, guild, maria.id, Seen.DISCONNECTED)


async def test_a_lost_feed_is_told_though_telling_it_failed_in_our_own_code(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a feed that is gone would pass for a live one."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore()
        failures = [LookupError("a bug of ours")]

        async def feed_lost(workspace_id: str, *, since: datetime, stale: bool = False) -> None:
            if failures:
                raise failures.pop()
            await RecordingCore.feed_lost(core, workspace_id, since=since, stale=stale)

        monkeypatch.setattr(core, "feed_lost", feed_lost)
        async with running(fake, core):
            await live(core, guild)
            fake.refuse_connections(1_000)
            fake.drop_connections()
            await core.until(lambda: core.feed(guild).state == "down", "a lost feed")
        assert failures == []
    assert "a step of guild" in caplog.text


async def test_only_the_guilds_of_the_configuration_belong_to_the_team() -> None:
    async with FakeDiscord() as fake:
        ours, theirs = fake.add_guild("Ours"), fake.add_guild("Theirs")
        core = RecordingCore()
        async with running(fake, core, guilds=(str(ours.id), "424242")):
            await live(core, ours)
            await fake.wait_for_call("PUT", f"/applications/*/guilds/{ours.id}/commands")
            assert "424242" in core.banners[None]
        assert core.feed(theirs).state == "none"
        assert not fake.calls("PUT", f"/applications/*/guilds/{theirs.id}/commands")


async def test_when_rollcall_stops_it_says_since_when_it_is_blind() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        core = RecordingCore()
        async with running(fake, core):
            await live(core, guild)
        assert core.feed(guild).state == "down"
        await fake.disconnected()
