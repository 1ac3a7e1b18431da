"""The fake Discord, driven by the real discord.py client: it must behave as Discord's documentation says."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route
from fakes.discord_model import ADMINISTRATOR, MANAGE_GUILD, Guild, User
from fakes.discord_server import FakeDiscord

Interaction = discord.Interaction[discord.AutoShardedClient]
SILENT = discord.AllowedMentions.none()


class Bot(discord.AutoShardedClient):
    """An unmodified client, configured as a presence bot would be, that keeps what it was told."""

    def __init__(self, *, presences: bool = True, heartbeat_timeout: float = 60.0) -> None:
        intents = discord.Intents(guilds=True, members=True, presences=presences)
        super().__init__(
            intents=intents,
            shard_count=1,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            enable_raw_presences=True,
            guild_ready_timeout=0.05,
            heartbeat_timeout=heartbeat_timeout,
            allowed_mentions=SILENT,
            max_messages=None,
        )
        self.tree = app_commands.CommandTree(self)
        self.told: list[tuple[str, Any]] = []
        self.news = asyncio.Condition()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """discord.py waits 5 s here before it identifies again."""

    async def tell(self, what: str, about: Any) -> None:
        async with self.news:
            self.told.append((what, about))
            self.news.notify_all()

    async def on_socket_event_type(self, event: str) -> None:
        await self.tell(event, None)

    async def on_ready(self) -> None:
        await self.tell("ready", None)

    async def on_resumed(self) -> None:
        await self.tell("resumed", None)

    async def on_raw_presence_update(self, event: discord.RawPresenceUpdateEvent) -> None:
        await self.tell("presence", (event.user_id, event.client_status.raw_status))

    async def on_raw_member_remove(self, event: discord.RawMemberRemoveEvent) -> None:
        await self.tell("left", event.user.id)

    async def on_member_join(self, member: discord.Member) -> None:
        await self.tell("joined", member.id)

    async def on_guild_unavailable(self, guild: discord.Guild) -> None:
        await self.tell("unavailable", guild.id)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        await self.tell("available", guild.id)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        await self.tell("removed", guild.id)

    def all(self, what: str) -> list[Any]:
        return [about for name, about in self.told if name == what]

    async def heard(self, what: str, count: int = 1) -> list[Any]:
        async with asyncio.timeout(5), self.news:
            await self.news.wait_for(lambda: len(self.all(what)) >= count)
        return self.all(what)

    def guild_of(self, guild: Guild) -> discord.Guild:
        found = self.get_guild(guild.id)
        assert found is not None
        return found


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as fake:
        monkeypatch.setattr(Route, "BASE", fake.base_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(fake.gateway_url))
        yield fake


@asynccontextmanager
async def running(bot: Bot, fake: FakeDiscord, *, wait: bool = True) -> AsyncIterator[asyncio.Task[None]]:
    async with bot:
        task = asyncio.create_task(bot.start(fake.token))
        try:
            if wait:
                await bot.heard("ready")
            yield task
        finally:
            await bot.close()
            task.cancel()
            with suppress(asyncio.CancelledError, discord.DiscordException):
                await task


def on_away(
    bot: Bot, answer: Callable[[Interaction, str], Coroutine[Any, Any, None]]
) -> app_commands.Command[Any, Any, Any]:
    """Register /away [until] with this body."""

    async def away(interaction: Interaction, until: str = "") -> None:
        await answer(interaction, until)

    command: app_commands.Command[Any, Any, Any] = app_commands.Command(
        name="away", description="Take a break", callback=away
    )
    bot.tree.add_command(command)
    return command


# Connecting --------------------------------------------------------------------------------------


async def test_the_client_becomes_ready_and_sees_the_guild(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    async with running(Bot(), fake) as _:
        await fake.connected(identifies=1)
        assert fake.identifies == 1
        assert fake.calls("GET", "/users/@me")[0].status == 200
    assert fake.guilds == {guild.id: guild}
    assert fake.violations == []


async def test_a_wrong_token_is_refused_by_rest_and_by_the_gateway(fake: FakeDiscord) -> None:
    bot = Bot()
    async with bot:
        with pytest.raises(discord.LoginFailure):
            await bot.login("another.token")
    async with aiohttp.ClientSession() as session, session.ws_connect(fake.gateway_url + "?v=10") as socket:
        assert (await socket.receive_json())["op"] == 10
        properties = {"os": "linux", "browser": "x", "device": "x"}
        await socket.send_json({"op": 2, "d": {"token": "no", "intents": 0, "properties": properties}})
        assert (await socket.receive()).data == 4004


async def test_the_presence_intent_must_be_switched_on(fake: FakeDiscord) -> None:
    fake.add_guild("Acme")
    fake.allow_intents(presences=False)
    async with running(Bot(), fake, wait=False) as task:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await asyncio.wait_for(task, 5)
    async with running(Bot(presences=False), fake):
        assert fake.identifies == 2


async def test_the_session_start_limit_counts_down_and_ends_in_a_reset_token(fake: FakeDiscord) -> None:
    fake.set_session_starts(1)
    bot = Bot()
    async with running(bot, fake):
        limits = await bot.fetch_session_start_limits()
        assert (limits.total, limits.remaining) == (1000, 0)
        fake.invalidate_session()
        await fake.until(lambda: fake.identifies == 2, "a second IDENTIFY")
    assert fake.violations == ["gateway: IDENTIFY past the session start limit"]


# Presence ----------------------------------------------------------------------------------------


async def test_presence_events_come_with_the_user_id_alone_and_may_repeat(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    bot = Bot()
    async with running(bot, fake):
        fake.set_presence(maria, "dnd", times=2)
        fake.set_presence(maria, "invisible")
        heard = await bot.heard("presence", 3)
    assert heard == [(maria.id, "dnd"), (maria.id, "dnd"), (maria.id, "offline")]


async def test_without_the_presence_intent_no_presence_is_told(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    bot = Bot(presences=False)
    async with running(bot, fake):
        fake.set_presence(maria, "idle")
        fake.leave(maria, guild)
        await bot.heard("left")
        assert bot.all("presence") == []


async def test_named_members_are_asked_for_with_their_presences(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="idle", nick="Mia")
    tom = fake.add_member(guild, "tom")
    gone = fake.add_member(guild, "gone")
    fake.leave(gone, guild)
    bot = Bot()
    async with running(bot, fake):
        ids = [maria.id, tom.id, gone.id]
        members = await bot.guild_of(guild).query_members(user_ids=ids, presences=True, cache=False)
    assert {m.id: (m.display_name, m.raw_status) for m in members} == {
        maria.id: ("Mia", "idle"),
        tom.id: ("tom", "offline"),
    }
    assert [sorted(request["user_ids"]) for request in fake.member_requests] == [sorted(ids)]
    assert fake.violations == []


async def test_a_request_for_more_than_a_hundred_names_is_a_violation(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    everyone = [fake.add_member(guild, f"agent-{n}").id for n in range(101)]
    bot = Bot()
    async with running(bot, fake):
        ws = bot._get_websocket(guild.id)
        await ws.request_chunks(guild.id, limit=0, user_ids=everyone, nonce="n")
        await fake.until(lambda: bool(fake.member_requests), "the request")
    assert fake.violations == ["gateway: REQUEST_GUILD_MEMBERS names 101 users, above 100"]


async def test_an_outage_and_its_end_are_told_and_hide_what_happened_between(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    bot = Bot()
    async with running(bot, fake):
        fake.outage(guild)
        assert await bot.heard("unavailable") == [guild.id]
        fake.set_presence(maria, "offline")
        fake.restore(guild)
        assert await bot.heard("available", 2) == [guild.id] * 2
        assert bot.all("presence") == []
        fake.remove_bot(guild)
        assert await bot.heard("removed") == [guild.id]


async def test_a_guild_in_an_outage_at_ready_is_told_unavailable(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    fake.outage(guild)
    bot = Bot()
    async with running(bot, fake):
        assert bot.guild_of(guild).unavailable
        assert bot.all("unavailable") == [guild.id]


async def test_people_join_and_leave(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    bot = Bot()
    async with running(bot, fake):
        tom = fake.add_member(guild, "tom", status="online")
        assert await bot.heard("joined") == [tom.id]
        fake.leave(tom, guild)
        assert await bot.heard("left") == [tom.id]


# Faults of the gateway ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, 4000, 1012])
async def test_a_dropped_connection_resumes_and_gets_what_it_missed(
    fake: FakeDiscord, code: int | None
) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    bot = Bot()
    async with running(bot, fake):
        fake.drop_connections(code)
        await fake.disconnected()
        fake.set_presence(maria, "offline")
        await bot.heard("resumed")
        assert bot.all("presence") == [(maria.id, "offline")]
        assert (fake.identifies, fake.resumes) == (1, 1)


async def test_after_an_invalid_session_nothing_of_the_gap_is_told(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    bot = Bot()
    async with running(bot, fake):
        fake.drop_connections()
        fake.invalidate_session()
        fake.set_presence(maria, "offline")
        await bot.heard("ready", 2)
        assert bot.all("presence") == []
        assert (fake.identifies, fake.resumes) == (2, 0)


async def test_an_invalid_session_that_is_resumable_resumes(fake: FakeDiscord) -> None:
    fake.add_guild("Acme")
    bot = Bot()
    async with running(bot, fake):
        fake.invalidate_session(resumable=True)
        await bot.heard("resumed")
        assert fake.identifies == 1


async def test_opcode_7_makes_the_client_reconnect_and_resume(fake: FakeDiscord) -> None:
    fake.add_guild("Acme")
    bot = Bot()
    async with running(bot, fake):
        fake.ask_to_reconnect()
        await bot.heard("resumed")
        assert fake.identifies == 1


async def test_a_zombie_answers_no_heartbeat_until_the_client_leaves_it(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    fake.set_heartbeat_interval(0.1)
    bot = Bot(heartbeat_timeout=0.3)
    async with running(bot, fake):
        fake.go_silent()
        fake.set_presence(maria, "idle")
        await bot.heard("resumed")
        assert bot.all("presence") == [(maria.id, "idle")]


async def test_a_gateway_that_only_acknowledges_looks_alive_and_tells_nothing(fake: FakeDiscord) -> None:
    """What a client's own heartbeat watch can't see."""
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    fake.set_heartbeat_interval(0.05)
    bot = Bot(heartbeat_timeout=0.3)
    async with running(bot, fake):
        fake.ack_only()
        fake.set_presence(maria, "dnd")
        fake.drop_connections()
        await fake.disconnected()
        fake.set_presence(maria, "idle")
        beats = fake.gateway.heartbeats
        await fake.until(lambda: fake.gateway.heartbeats >= beats + 5, "five heartbeats")
        assert bot.all("presence") == bot.all("resumed") == []
        assert bot.latency < 1
        fake.speak_again()
        fake.drop_connections()
        await bot.heard("resumed")
        assert bot.all("presence") == [(maria.id, "dnd"), (maria.id, "idle")]


async def test_an_open_connection_that_only_acknowledges_tells_nothing_more(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    fake.set_heartbeat_interval(0.05)
    bot = Bot()
    async with running(bot, fake):
        fake.ack_only(new_ones_too=False)
        fake.set_presence(maria, "dnd")
        beats = fake.gateway.heartbeats
        await fake.until(lambda: fake.gateway.heartbeats >= beats + 2, "two heartbeats")
        assert bot.all("presence") == []
        fake.drop_connections()
        await bot.heard("resumed")
        assert bot.all("presence") == [(maria.id, "dnd")]


async def test_refused_connections_are_tried_again(fake: FakeDiscord) -> None:
    fake.add_guild("Acme")
    bot = Bot()
    async with running(bot, fake):
        fake.refuse_connections(1)
        fake.drop_connections()
        await bot.heard("ready", 2)
        assert fake.gateway.refusals_left == 0


# Commands and clicks -----------------------------------------------------------------------------


async def test_a_command_is_answered_and_seen(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    lead = fake.add_role(guild, "Lead", permissions=ADMINISTRATOR)
    maria = fake.add_member(guild, "maria", nick="Mia", roles=[lead])
    bot = Bot()

    async def answer(interaction: Interaction, until: str) -> None:
        assert isinstance(interaction.user, discord.Member)
        embed = discord.Embed(title=f"{interaction.user.display_name} is away").add_field(
            name="Until", value=until
        )
        assert interaction.permissions.administrator
        await interaction.response.send_message("Noted.", embed=embed, ephemeral=True)

    on_away(bot, answer)
    async with running(bot, fake):
        await bot.tree.sync()
        reply = await fake.slash(maria, guild, "away", until="14:30")
    assert reply.ephemeral
    assert reply.text == "Noted.\nMia is away\nUntil\n14:30"
    assert not reply.failed
    assert fake.messages(next(iter(guild.channels.values()))) == []
    assert fake.violations == []


async def test_sub_commands_autocomplete_and_guild_commands(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()
    group = app_commands.Group(name="presence", description="More about presence")

    @group.command(name="timezone", description="Set your time zone")
    async def timezone(interaction: Interaction, zone: str, who: discord.Member | None = None) -> None:
        await interaction.response.send_message(f"{zone} for {who.name if who else 'you'}", ephemeral=True)

    @timezone.autocomplete("zone")
    async def zones(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{typed}/Berlin", value=f"{typed}/Berlin")]

    place = discord.Object(guild.id)
    bot.tree.add_command(group, guild=place)
    async with running(bot, fake):
        await bot.tree.sync(guild=place)
        assert [command["name"] for command in fake.commands(guild)] == ["presence"]
        offered = await fake.autocomplete(maria, guild, "presence timezone", "zone", "Europe")
        assert offered == [{"name": "Europe/Berlin", "value": "Europe/Berlin"}]
        reply = await fake.slash(maria, guild, "presence timezone", zone="Europe/Berlin", who=maria)
        assert reply.content == "Europe/Berlin for maria"
        with pytest.raises(LookupError, match="no sub-command 'zone'"):
            await fake.slash(maria, guild, "presence zone")
        with pytest.raises(ValueError, match="requires zone"):
            await fake.slash(maria, guild, "presence timezone")
        with pytest.raises(LookupError, match="sees no command /away"):
            await fake.slash(maria, guild, "away")
    assert len(fake.calls("PUT", "/applications/*/guilds/*/commands")) == 1
    assert fake.violations == []


async def test_a_click_changes_the_message_and_a_deferred_answer_is_waited_for(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()

    async def back(interaction: Interaction) -> None:
        await interaction.response.edit_message(content="You are available.", view=None)

    class BackView(discord.ui.View):
        @discord.ui.button(label="I'm back", custom_id="back")
        async def press(self, interaction: Interaction, button: discord.ui.Button[BackView]) -> None:
            await back(interaction)

    async def answer(interaction: Interaction, until: str) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.followup.send("You are away.", view=BackView(timeout=None))
        await interaction.followup.send("By the way…", ephemeral=True)

    on_away(bot, answer)
    async with running(bot, fake):
        await bot.tree.sync()
        reply = await fake.slash(maria, guild, "away")
        assert reply.ephemeral
        assert [button.label for button in reply.buttons] == ["I'm back"]
        await fake.wait_for_call("POST", "/webhooks/*", count=2)
        assert [message.content for message in reply.follow_ups] == ["By the way…"]
        assert reply.content == "You are away."
        clicked = await fake.click(maria, reply, "I'm back")
        assert clicked.content == "You are available."
        assert reply.buttons == []
        with pytest.raises(LookupError, match="there are: none"):
            await fake.click(maria, reply, "I'm back")
    assert fake.violations == []


async def test_an_answer_after_the_deadline_is_unknown_and_a_second_one_refused(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    fake.set_deadlines(answer=0.2)
    bot = Bot()
    codes: list[int] = []
    done = asyncio.Event()

    async def answer(interaction: Interaction, until: str) -> None:
        try:
            await interaction.response.send_message("One", ephemeral=True)
            interaction.response._response_type = None
            await interaction.response.send_message("Two", ephemeral=True)
        except discord.HTTPException as error:
            codes.append(error.code)
            done.set()

    on_away(bot, answer)
    async with running(bot, fake):
        await bot.tree.sync()
        assert (await fake.slash(maria, guild, "away")).content == "One"
        await asyncio.wait_for(done.wait(), 5)
        done.clear()
        fake.slow("POST /interactions/*", 0.3)
        late = await fake.slash(maria, guild, "away")
        assert late.failed
        assert late.content == "The application did not respond"
        await asyncio.wait_for(done.wait(), 5)
    assert codes == [40060, 10062]


async def test_a_follow_up_after_15_minutes_is_refused(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()
    kept: list[Interaction] = []

    async def answer(interaction: Interaction, until: str) -> None:
        kept.append(interaction)
        await interaction.response.send_message("One")

    on_away(bot, answer)
    async with running(bot, fake):
        await bot.tree.sync()
        reply = await fake.slash(maria, guild, "away")
        await kept[0].edit_original_response(content="Changed")
        assert (reply.content, reply.ephemeral) == ("Changed", False)
        assert (await kept[0].original_response()).content == "Changed"
        fake.expire_interactions()
        with pytest.raises(discord.HTTPException) as caught:
            await kept[0].followup.send("Late")
        assert (caught.value.status, caught.value.code) == (401, 50027)


# Messages ----------------------------------------------------------------------------------------


async def test_messages_are_posted_edited_listed_and_deleted(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    support = fake.add_channel(guild, "support")
    bot = Bot()
    async with running(bot, fake):
        channel = await bot.fetch_channel(support.id)
        assert isinstance(channel, discord.TextChannel)
        sent = await channel.send("Three agents", file=discord.File(io.BytesIO(b"png"), "week.png"))
        seen = await fake.wait_for_message(support, "Three")
        assert seen.files == {"week.png": b"png"}
        await sent.edit(content="Two agents")
        assert (seen.content, [old["content"] for old in seen.earlier]) == ("Two agents", ["Three agents"])
        again = await channel.send("Once", nonce="slot-1")
        assert (await channel.send("Once", nonce="slot-1")).id == again.id
        assert [message.content async for message in channel.history()] == ["Once", "Two agents"]
        await sent.delete()
        assert [message.content for message in fake.messages(support)] == ["Once"]
        support.writable = False
        with pytest.raises(discord.Forbidden):
            await channel.send("No")
    assert fake.violations == []


async def test_direct_messages_reach_their_person_unless_closed(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()
    async with running(bot, fake):
        member = await bot.guild_of(guild).fetch_member(maria.id)
        await member.send("Still there?")
        assert (await fake.wait_for_message(maria)).content == "Still there?"
        maria.accepts_direct_messages = False
        with pytest.raises(discord.Forbidden) as caught:
            await member.send("Hello?")
        assert caught.value.code == 50007
        fake.leave(maria, guild)
        with pytest.raises(discord.NotFound) as missing:
            await bot.guild_of(guild).fetch_member(maria.id)
        assert missing.value.code == 10007
    assert [message.content for message in fake.direct_messages(maria)] == ["Still there?"]


async def test_more_than_25_choices_are_refused(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()

    async def answer(interaction: Interaction, until: str) -> None:
        return None

    async def complete(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=str(n), value=str(n)) for n in range(26)]

    on_away(bot, answer).autocomplete("until")(complete)
    fake.set_deadlines(answer=0.2)
    async with running(bot, fake):
        await bot.tree.sync()
        assert await fake.autocomplete(maria, guild, "away", "until") == []
    assert any("data.choices: Must be 25 or fewer" in violation for violation in fake.violations)


# Faults of the API -------------------------------------------------------------------------------


async def test_a_rate_limit_is_obeyed_and_a_ban_by_the_proxy_is_not_retried(fake: FakeDiscord) -> None:
    channel = fake.add_channel(fake.add_guild("Acme"), "support")
    bot = Bot()
    route = "POST /channels/*/messages"
    async with running(bot, fake):
        where = bot.get_partial_messageable(channel.id)
        fake.rate_limit(route, retry_after=0.05, times=2)
        await where.send("Patient")
        assert [call.status for call in fake.calls("POST", "/channels/*")] == [429, 429, 200]
        fake.rate_limit(route, retry_after=10, by_proxy=True)
        with pytest.raises(discord.HTTPException) as caught:
            await where.send("Banned")
        assert caught.value.status == 429


async def test_failures_and_lost_answers_happen_as_ordered(fake: FakeDiscord) -> None:
    channel = fake.add_channel(fake.add_guild("Acme"), "support")
    bot = Bot()
    async with running(bot, fake):
        where = bot.get_partial_messageable(channel.id)
        fake.fail("POST /channels/*/messages")
        with pytest.raises(discord.DiscordServerError):
            await where.send("Never arrives")
        fake.fail("POST /channels/*/messages", 403, code=50001, message="Missing Access")
        with pytest.raises(discord.Forbidden, match="Missing Access"):
            await where.send("Not allowed")
        fake.lose_answers("POST /channels/*/messages")
        with pytest.raises(aiohttp.ClientError):
            await where.send("Arrives, unknown to the sender")
        stranger = fake.add_member(fake.add_guild("Other"), "stranger")
        for politely, error in ((False, aiohttp.ClientOSError), (True, aiohttp.ServerDisconnectedError)):
            # Twice, because aiohttp asks again by itself on a connection that it had kept open.
            fake.lose_answers("GET /guilds/*/members/*", times=2, politely=politely)
            with pytest.raises(error):
                await bot.http.get_member(channel.guild_id or 0, stranger.id)
            fake.rest.desk.faults.clear()
    assert [message.content for message in fake.messages(channel)] == ["Arrives, unknown to the sender"]


async def test_a_reset_token_closes_the_gateway_and_refuses_every_call(fake: FakeDiscord) -> None:
    fake.add_guild("Acme")
    bot = Bot()
    async with running(bot, fake) as task:
        fake.unauthorized()
        with pytest.raises(discord.ConnectionClosed) as closed:
            await asyncio.wait_for(task, 5)
        assert closed.value.code == 4004
    async with Bot() as refused:
        with pytest.raises(discord.LoginFailure):
            await refused.login(fake.token)
    fake.authorized()
    async with Bot() as welcome:
        await welcome.login(fake.token)


async def test_waiting_in_vain_says_for_what(fake: FakeDiscord) -> None:
    channel = fake.add_channel(fake.add_guild("Acme"), "support")
    with pytest.raises(TimeoutError, match="a message in support containing 'summary'"):
        await fake.wait_for_message(channel, "summary", timeout=0.01)


async def test_commands_and_buttons_work_in_direct_messages(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()

    class StillThere(discord.ui.View):
        @discord.ui.button(label="I'm available", custom_id="available")
        async def press(self, interaction: Interaction, button: discord.ui.Button[StillThere]) -> None:
            assert interaction.guild is None
            await interaction.response.defer()
            await interaction.followup.send(f"Welcome back, {interaction.user.name}.")

        @discord.ui.select(custom_id="why", options=[discord.SelectOption(label="Lunch", value="lunch")])
        async def pick(self, interaction: Interaction, select: discord.ui.Select[StillThere]) -> None:
            await interaction.response.send_message(f"Enjoy your {select.values[0]}.")

    async def answer(interaction: Interaction, until: str) -> None:
        await interaction.response.send_message(f"Away, {interaction.user.name}.")

    on_away(bot, answer)
    async with running(bot, fake):
        await bot.tree.sync()
        user = await bot.fetch_user(maria.id)
        await user.send("Still there?", view=StillThere(timeout=None))
        question = await fake.wait_for_message(maria, "Still there?")
        assert (await fake.click(maria, question, custom_id="available")).content == "Welcome back, maria."
        assert (await fake.choose(maria, question, "why", "lunch")).content == "Enjoy your lunch."
        with pytest.raises(LookupError, match="does not offer"):
            await fake.choose(maria, question, "why", "sleep")
        assert (await fake.slash(maria, None, "away")).content == "Away, maria."
    assert fake.violations == []


async def test_a_command_for_leads_is_seen_by_leads_only(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()

    async def answer(interaction: Interaction, until: str) -> None:
        await interaction.response.send_message("Done.")

    on_away(bot, answer).default_permissions = discord.Permissions(manage_guild=True)
    async with running(bot, fake):
        await bot.tree.sync()
        with pytest.raises(LookupError, match="maria sees no command /away"):
            await fake.slash(maria, guild, "away")
        fake.give_role(maria, guild, fake.add_role(guild, "Lead", permissions=MANAGE_GUILD))
        assert (await fake.slash(maria, guild, "away")).content == "Done."


async def test_a_new_name_is_told_and_answered(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria")
    bot = Bot()
    async with running(bot, fake):
        fake.rename(maria, guild=guild, nick="Mia", avatar="0" * 32)
        fake.rename(maria, global_name="Maria G.")
        await bot.heard("GUILD_MEMBER_UPDATE", 2)
        member = await bot.guild_of(guild).fetch_member(maria.id)
        assert (member.nick, member.global_name, member.display_avatar.key) == ("Mia", "Maria G.", "0" * 32)


async def test_a_person_in_two_guilds_is_told_of_in_both(fake: FakeDiscord) -> None:
    first, second = fake.add_guild("First"), fake.add_guild("Second")
    maria: User = fake.add_member(first, "maria", status="online")
    fake.join(maria, second)
    bot = Bot()
    async with running(bot, fake):
        fake.set_presence(maria, "idle")
        await bot.heard("presence", 2)
        fake.set_presence(maria, "offline", first)
        assert (await bot.heard("presence", 3))[2:] == [(maria.id, "offline")]
