"""Direct messages and posts: sent once, refusals told apart, waits passed on; the invitation."""

from __future__ import annotations

import asyncio

import pytest
from discord_adapter.house import HurriedClock, RecordingCore, asking, at_work, running, table
from fakes.discord_server import FakeDiscord

from adapters.discord.invite import application_id_of, invite_url
from adapters.discord.service import DiscordService
from bot.domain.agent import Identity, Workspace
from bot.message import Message
from bot.ports import RetryLater, Undeliverable


async def test_a_direct_message_is_sent_once_though_its_answer_is_lost() -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, service):
        maria = fake.add_member(guild, "maria")
        home = Workspace(f"ws_{guild.id}", "org", "discord", str(guild.id), "Acme")
        identity = Identity("idn", home.id, "discord", str(maria.id))
        fake.lose_answers("POST /channels/*/messages")
        sent = await service.send_direct(identity, home, asking())
        assert [message.id for message in fake.direct_messages(maria)] == [int(sent)]
        assert len(fake.calls("POST", "/channels/*/messages")) == 2
        assert fake.violations == []


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (403, 50007, Undeliverable),
        (404, 10003, Undeliverable),
        (503, 0, RetryLater),
        (400, 50035, RetryLater),
    ],
)
async def test_row_16_what_discord_refuses_is_told_apart(
    status: int, code: int, raised: type[Exception]
) -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, service):
        maria = fake.add_member(guild, "maria")
        home = Workspace(f"ws_{guild.id}", "org", "discord", str(guild.id), "Acme")
        fake.fail("POST /channels/*/messages", status, 9, code=code)
        with pytest.raises(raised):
            await service.send_direct(Identity("idn", home.id, "discord", str(maria.id)), home, asking())


async def test_row_16_a_long_429_is_passed_on_and_no_more_is_called() -> None:
    """A ban by Discord's edge counts against the address; every further call would prolong it."""
    core = RecordingCore()
    async with at_work(core) as (fake, guild, service):
        channel = next(iter(guild.channels))
        fake.rate_limit("POST /channels/*/messages", 3600.0, by_proxy=True)
        for _ in range(3):
            with pytest.raises(RetryLater) as later:
                await service.post(f"{guild.id}/{channel}", asking())
            assert later.value.after is not None
            assert 3000 < later.value.after <= 3600
        assert len(fake.calls("POST", "/channels/*/messages")) == 1


async def test_a_message_is_posted_in_a_channel_and_pings_nobody() -> None:
    core = RecordingCore()
    async with at_work(core) as (fake, guild, service):
        channel = next(iter(guild.channels.values()))
        sent = await service.post(f"{guild.id}/{channel.id}", Message(lines=(("@everyone <@1>",),)))
        message = await fake.wait_for_message(channel)
        assert str(message.id) == sent
        body = fake.calls("POST", f"/channels/{channel.id}/messages")[0].body
        assert body["allowed_mentions"]["parse"] == []
        assert fake.violations == []
        with pytest.raises(Undeliverable, match="guild/channel"):
            await service.post("general", asking())


async def test_while_it_connects_messages_wait_for_seconds_only() -> None:
    """A summary that is due at the start else waits as long as for a Discord that is away."""
    core = RecordingCore()
    async with FakeDiscord() as fake:
        channel = f"{fake.add_guild('Acme').id}/1"
        with pytest.raises(RetryLater) as later:
            await DiscordService(table(fake), core).post(channel, asking())
        assert later.value.after == 5
        fake.refuse_connections(1)
        async with running(fake, core) as service:
            await core.until(lambda: service._connection is not None and core.identifies > 0, "a client")
            with pytest.raises(RetryLater) as later:
                await service.post(channel, asking())
            assert later.value.after == 5


async def test_while_discord_is_away_messages_wait_as_usual() -> None:
    core = RecordingCore(HurriedClock(200))
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.refuse_connections(1000)
        async with running(fake, core) as service:
            await core.until(lambda: None in core.banners, "the banner that Discord is away")
            with pytest.raises(RetryLater) as later:
                await service.post(f"{guild.id}/1", asking())
            assert later.value.after is None


async def test_after_a_refused_token_messages_wait_as_usual() -> None:
    core = RecordingCore()
    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        fake.unauthorized()
        async with running(fake, core) as service:
            await core.until(lambda: None in core.banners, "the banner about the token")
            with pytest.raises(RetryLater) as later:
                await service.post(f"{guild.id}/1", asking())
            assert later.value.after is None


async def test_between_two_clients_messages_wait() -> None:
    """An event that breaks discord.py ends its client; the next one comes after a pause."""
    core = RecordingCore(HurriedClock(1))
    async with at_work(core) as (fake, guild, service):
        maria = fake.add_member(guild, "maria")
        home = Workspace(f"ws_{guild.id}", "org", "discord", str(guild.id), "Acme")
        ended = service._connection
        assert ended is not None
        fake.gateway.dispatch("GUILD_MEMBERS_CHUNK", {"guild_id": "no number"}, guild_id=guild.id)
        await core.until(lambda: core.feed(guild).state == "down", "a lost feed")
        await fake.disconnected()
        await ended.close()
        assert service._connection is ended
        with pytest.raises(RetryLater):
            service._ready_connection()
        with pytest.raises(RetryLater):
            await service.post(f"{guild.id}/{next(iter(guild.channels))}", asking())
        with pytest.raises(RetryLater):
            await service.send_direct(Identity("idn", home.id, "discord", str(maria.id)), home, asking())
        assert not fake.calls("POST", "/channels/*/messages")


async def test_a_client_that_ends_in_the_middle_of_sending_lets_the_message_wait() -> None:
    core = RecordingCore(HurriedClock(1))
    async with at_work(core) as (fake, guild, service):
        route = "POST /channels/*/messages"
        fake.slow(route, 60)
        sending = asyncio.create_task(service.post(f"{guild.id}/{next(iter(guild.channels))}", asking()))
        await fake.until(lambda: bool(fake.calls("POST", "/channels/*/messages")), "a message on its way")
        fake.gateway.dispatch("GUILD_MEMBERS_CHUNK", {"guild_id": "no number"}, guild_id=guild.id)
        with pytest.raises(RetryLater):
            await sending


def test_the_invitation_asks_for_what_is_needed() -> None:
    url = invite_url("123", guild_id="456")
    assert url.startswith("https://discord.com/oauth2/authorize?client_id=123&")
    assert "scope=bot+applications.commands" in url
    assert "permissions=19456" in url
    assert "guild_id=456" in url


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("MTIzNDU2Nzg5MDEyMzQ1Njc4.GhJk.abc", "123456789012345678"),
        ("nonsense", None),
        ("", None),
        ("é.x", None),
    ],
)
def test_a_token_names_its_application(token: str, found: str | None) -> None:
    assert application_id_of(token) == found
