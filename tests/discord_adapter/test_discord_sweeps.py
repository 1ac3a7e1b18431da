"""Looking again and again: who has left, who is new, who has another name, and what holds that up."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, live, running, sees, track
from fakes.discord_server import FakeDiscord

from bot.domain.facts import Seen
from bot.ports import Profile, Sighting, Tracked


async def test_who_leaves_the_guild_is_noticed_by_asking_and_confirmed_by_name() -> None:
    """Without the members intent no event tells it."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            fake.leave(maria, guild)
            await core.until(lambda: str(maria.id) in core.left, "her leaving")
            assert core.left == {str(maria.id): False}
            await fake.wait_for_call("GET", f"/guilds/{guild.id}/members/{maria.id}")


async def test_who_is_left_out_of_an_answer_but_known_by_name_has_not_left() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core) as service:
            await sees(core, guild, maria.id, Seen.CONNECTED)
            fake.fail(f"GET /guilds/{guild.id}/members/*", 403, code=50001)
            fake.fail(f"GET /guilds/{guild.id}/members/*", 404, code=10004)
            feed = service.feeds.by_guild[guild.id]
            for _ in range(3):
                await feed._missing(maria.id)
        assert core.left == {}
        assert [call.status for call in fake.calls("GET", f"/guilds/{guild.id}/members/*")] == [403, 404, 200]


async def test_a_look_up_that_discord_hangs_up_on_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    """As a load balancer hangs up: for aiohttp that is no OSError. It is foreseen, so nothing is an error."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        newcomer = fake.add_member(guild, "newcomer", status="online")
        core = RecordingCore(HurriedClock(100))
        track(core, guild, maria.id)
        async with running(fake, core):
            await sees(core, guild, maria.id, Seen.CONNECTED)
            # aiohttp itself asks once more where a connection that was kept open is closed.
            fake.lose_answers("GET /guilds/*/members/*", times=2, politely=True)
            fake.leave(maria, guild)
            await core.until(lambda: str(maria.id) in core.left, "her leaving")
            track(core, guild, newcomer.id)
            await sees(core, guild, newcomer.id, Seen.CONNECTED)
        assert len(fake.calls("GET", "/guilds/*/members/*")) == 3
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_a_round_that_fails_in_our_own_code_is_logged_and_the_next_one_comes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        failures = [LookupError("a bug of ours")] * 2

        def tracked(workspace_id: str) -> Sequence[Tracked]:
            if failures and core.feed(guild).state == "live":
                raise failures.pop()
            return RecordingCore.tracked(core, workspace_id)

        async with running(fake, core):
            await live(core, guild)
            monkeypatch.setattr(core, "tracked", tracked)
            track(core, guild, maria.id)
            await sees(core, guild, maria.id, Seen.CONNECTED)
        assert failures == []
    assert [one.levelname for one in caplog.records if "looking for new agents" in one.message] == [
        "ERROR",
        "ERROR",
    ]


async def test_asking_that_fails_in_our_own_code_is_logged_and_done_with_the_next_sweep(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore(HurriedClock(100))
        track(core, guild, maria.id)
        failures = [LookupError("a bug of ours")]

        async def profile_changed(workspace_id: str, profile: Profile) -> None:
            if failures:
                raise failures.pop()
            await RecordingCore.profile_changed(core, workspace_id, profile)

        monkeypatch.setattr(core, "profile_changed", profile_changed)
        async with running(fake, core):
            await core.until(lambda: str(maria.id) in core.profiles, "her profile")
    assert "asking for the agents" in caplog.text


async def test_a_guild_that_does_not_answer_holds_up_no_other() -> None:
    async with FakeDiscord() as fake:
        mute, fine = fake.add_guild("Mute"), fake.add_guild("Fine")
        ann = fake.add_member(mute, "ann", status="online")
        maria = fake.add_member(fine, "maria", status="online")
        newcomer = fake.add_member(fine, "newcomer", status="online")
        core = RecordingCore(HurriedClock(60))
        track(core, mute, ann.id)
        track(core, fine, maria.id)
        async with running(fake, core) as service:
            await sees(core, mute, ann.id, Seen.CONNECTED)
            await sees(core, fine, maria.id, Seen.CONNECTED)
            fake.mute(mute)
            asked = len(fake.member_requests)
            fake.leave(maria, fine)
            await core.until(lambda: str(maria.id) in core.left, "her leaving")
            track(core, fine, newcomer.id)
            await sees(core, fine, newcomer.id, Seen.CONNECTED)
            await service.feeds.sweep()
        again = [one for one in fake.member_requests[asked:] if one["guild_id"] == mute.id]
        assert len([one for one in again if one["user_ids"] == [ann.id]]) == 1, "not once more beside it"


async def test_a_new_name_reaches_the_core() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        track(core, guild, maria.id)
        async with running(fake, core):
            await core.until(lambda: str(maria.id) in core.profiles, "her profile")
            assert core.profiles[str(maria.id)].name == "maria"
            fake.rename(maria, guild=guild, nick="María")
            await core.until(lambda: core.profiles[str(maria.id)].name == "María", "her new name")
            assert len(core.names("profile")) == 2


async def test_who_is_enrolled_later_is_asked_for() -> None:
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        core = RecordingCore()
        async with running(fake, core):
            await live(core, guild)
            track(core, guild, maria.id)
            await sees(core, guild, maria.id, Seen.CONNECTED)
            assert core.feed(guild).epoch == 1


class SlowCore(RecordingCore):
    """A core whose database takes its time."""

    async def observe(self, workspace_id: str, epoch: int, sightings: Sequence[Sighting]) -> None:
        await self.clock.sleep(0.2)
        await super().observe(workspace_id, epoch, sightings)


async def test_nobody_else_is_asked_for_while_what_was_seen_waits_to_be_stored() -> None:
    """What waits is bounded, and beyond that a feed begins anew: asking alone must not bring it there."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        people = [fake.add_member(guild, f"agent{number}", status="online") for number in range(6_500)]
        core = SlowCore(HurriedClock(1))
        track(core, guild, *(one.id for one in people))
        async with running(fake, core):
            everybody = {str(one.id) for one in people}
            await core.until(lambda: everybody <= core.feed(guild).seen.keys(), "all of them", 20)
            assert core.feed(guild).epoch == 1


async def test_a_sweep_leaves_room_for_whatever_else_a_connection_has_to_ask() -> None:
    """Of 120 requests a minute it takes one a second, however many agents there are."""
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        people = [fake.add_member(guild, f"agent{number}", status="online") for number in range(350)]
        core = RecordingCore()
        track(core, guild, *(one.id for one in people))
        async with running(fake, core) as service:
            await sees(core, guild, people[-1].id, Seen.CONNECTED)
            feed, began = service.feeds.by_guild[guild.id], core.clock.monotonic()
            feed.ask_for_all()
            assert feed._sweeping is not None
            await feed._sweeping
            assert core.clock.monotonic() - began >= 4.0
