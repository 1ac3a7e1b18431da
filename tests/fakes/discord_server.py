"""A Discord of our own for tests: gateway and REST on one loopback port, driven as people would use it.

    async with FakeDiscord() as fake:
        guild = fake.add_guild("Acme")
        maria = fake.add_member(guild, "maria", status="online")
        …point a bot at fake.base_url, fake.gateway_url and fake.token, and start it…
        await fake.connected()
        reply = await fake.slash(maria, guild, "away", until="30m", reason="lunch")
        assert "Away" in reply.text and reply.ephemeral
        assert fake.violations == []

It knows nothing of any bot: it follows Discord's public documentation. Not modelled: modals, components v2,
voice beyond who is in which channel, threads, context menus, channel overwrites, the five seconds between
IDENTIFYs, and rate limits that it was not told to apply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from fakes.discord_calls import PREFIX, Call
from fakes.discord_chat import LARGEST_FILE, Chat
from fakes.discord_commands import typed
from fakes.discord_faults import Faults
from fakes.discord_gateway import Gateway
from fakes.discord_interactions import AUTOCOMPLETE, COMMAND, COMPONENT, Interaction, Reply
from fakes.discord_model import (
    ADMINISTRATOR,
    LOADING,
    Channel,
    Guild,
    Json,
    Message,
    User,
    snowflake,
)
from fakes.discord_rest import Rest
from fakes.discord_world import World

_PATIENCE = 5.0


class FakeDiscord(World, Faults):
    """One Discord with one bot application: `World` has what people do to it, `Faults` what goes wrong.

    Waits are in seconds and fail with a TimeoutError that says what was waited for.
    """

    def __init__(self, token: str = "fake.bot.token", *, bot_name: str = "Rollcall") -> None:
        self.token = token
        gateway = Gateway(User(snowflake(), bot_name, bot=True), token, self._changed)
        chat = Chat(gateway)
        World.__init__(self, gateway, chat)
        Faults.__init__(self, gateway, Rest(gateway, chat, self.users))
        self.violations = self.gateway.violations
        self.base_url = ""
        self.gateway_url = ""
        self.ahead = 0.0
        """Seconds by which Discord's clock is ahead of real time: its ids tell when a deed was done."""
        self._news = asyncio.Condition()
        self._waited_for: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=LARGEST_FILE * 3)
        app.router.add_get("/gateway/", self.gateway.handle)
        app.router.add_route("*", PREFIX + "/{path:.*}", self.rest.desk.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}{PREFIX}"
        self.gateway_url = self.gateway.url = f"ws://{host}:{port}/gateway/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in list(self.gateway.connections):
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.gather(*self._tasks)

    # What people do with the bot ---------------------------------------------------------------

    async def slash(
        self,
        user: User,
        guild: Guild | None,
        command: str,
        /,
        *,
        channel: Channel | None = None,
        timeout: float = _PATIENCE,
        **options: object,
    ) -> Reply:
        """Send `/command` ("presence timezone" for a sub-command) and wait for what the person sees.

        In a guild's first channel if none is given, in direct messages if `guild` is None. Deferred answers
        are waited for up to `timeout`; after that the reply is `thinking`.
        """
        data = self._command_data(user, guild, command, options)
        return await self._see(self._begin(COMMAND, user, guild, channel, data), timeout)

    async def autocomplete(
        self, user: User, guild: Guild | None, command: str, /, option: str, text: str = "", **others: object
    ) -> list[Json]:
        """The choices offered while the person types `text` into `option`; none if nothing came."""
        data = self._command_data(user, guild, command, others, (option, text))
        deed = self._begin(AUTOCOMPLETE, user, guild, None, data)
        await self._see(deed, _PATIENCE)
        return deed.choices or []

    async def click(
        self,
        user: User,
        message: Message | Reply,
        label: str | None = None,
        *,
        custom_id: str | None = None,
        timeout: float = _PATIENCE,
    ) -> Reply:
        """Press the button with this label or custom id; a LookupError names the buttons there are."""
        shown = message.message if isinstance(message, Reply) else message
        buttons = shown.buttons if shown is not None and not shown.deleted else []
        found = [
            b
            for b in buttons
            if b.custom_id and (b.custom_id == custom_id if custom_id else b.label == label)
        ]
        if shown is None or not found or found[0].disabled:
            there = ", ".join(f"{b.label!r} ({b.custom_id}{', disabled' * b.disabled})" for b in buttons)
            raise LookupError(f"No button {custom_id or label!r} to press; there are: {there or 'none'}")
        data = {"custom_id": found[0].custom_id, "component_type": 2, "id": 1}
        return await self._press(user, shown, data, timeout)

    async def choose(
        self, user: User, message: Message | Reply, custom_id: str, *values: str, timeout: float = _PATIENCE
    ) -> Reply:
        """Pick values of a select menu of texts."""
        shown = message.message if isinstance(message, Reply) else message
        for row in shown.components if shown is not None else []:
            for part in row["components"]:
                if part["type"] == 3 and part["custom_id"] == custom_id:
                    if not set(values) <= {option["value"] for option in part["options"]} or shown is None:
                        raise LookupError(f"{custom_id} does not offer {values}")
                    data = {"custom_id": custom_id, "component_type": 3, "values": list(values), "id": 1}
                    return await self._press(user, shown, data, timeout)
        raise LookupError(f"No select menu {custom_id!r} in this message")

    def remove_bot(self, guild: Guild) -> None:
        super().remove_bot(guild)
        self.rest.commands.pop(guild.id, None)

    # What there is to see ----------------------------------------------------------------------

    def messages(self, channel: Channel) -> list[Message]:
        """What everybody sees in the channel, oldest first."""
        return [message for message in channel.messages if not message.flags & LOADING]

    def direct_messages(self, user: User) -> list[Message]:
        return self.messages(self.chat.direct_channel(user))

    async def wait_for_message(
        self, where: Channel | User, containing: str = "", *, timeout: float = _PATIENCE
    ) -> Message:
        """The next message there whose text contains the words and that no earlier wait answered."""
        channel = self.chat.direct_channel(where) if isinstance(where, User) else where
        found: list[Message] = []

        def arrived() -> bool:
            found[:] = [
                m for m in self.messages(channel) if m.id not in self._waited_for and containing in m.text
            ]
            return bool(found)

        await self.until(arrived, f"a message in {channel.name} containing {containing!r}", timeout=timeout)
        self._waited_for.add(found[0].id)
        return found[0]

    def calls(self, method: str = "*", path: str = "*") -> list[Call]:
        """Requests the bot made, oldest first; both are globs, the path without /api/v10."""
        return [
            c for c in self.rest.desk.calls if fnmatchcase(c.method, method) and fnmatchcase(c.path, path)
        ]

    async def wait_for_call(
        self, method: str, path: str, *, count: int = 1, timeout: float = _PATIENCE
    ) -> Call:
        """The `count`-th such request, once it was answered."""

        def answered() -> bool:
            return len([call for call in self.calls(method, path) if call.status is not None]) >= count

        await self.until(answered, f"{count} × {method} {path}", timeout=timeout)
        return self.calls(method, path)[count - 1]

    async def until(self, condition: Callable[[], bool], what: str, *, timeout: float = _PATIENCE) -> None:
        """Wait until something that the bot sends makes the condition true."""
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise TimeoutError(f"Waited {timeout} s in vain for {what}") from None

    async def connected(self, *, identifies: int = 0, resumes: int = 0, timeout: float = _PATIENCE) -> None:
        """Wait until the bot has a live session, after so many IDENTIFYs and successful RESUMEs in all."""

        def live() -> bool:
            enough = self.identifies >= identifies and self.resumes >= resumes
            return enough and any(
                s.connection in self.gateway.connections for s in self.gateway.sessions.values()
            )

        await self.until(live, f"a live session ({identifies} IDENTIFYs, {resumes} RESUMEs)", timeout=timeout)

    async def disconnected(self, *, timeout: float = _PATIENCE) -> None:
        """Wait until each connection ended or was told to: the bot may be back before the line is cut."""

        def ended() -> bool:
            return all(connection.closes for connection in self.gateway.connections)

        await self.until(ended, "every connection to end", timeout=timeout)

    @property
    def identifies(self) -> int:
        """IDENTIFYs received, refused ones too."""
        return self.gateway.identifies

    @property
    def resumes(self) -> int:
        """RESUMEs that were answered with RESUMED."""
        return self.gateway.resumed

    @property
    def member_requests(self) -> list[Json]:
        """REQUEST_GUILD_MEMBERS payloads, oldest first."""
        return self.gateway.member_requests

    def commands(self, guild: Guild | None = None) -> list[Json]:
        """The commands registered for the guild, or globally."""
        return self.rest.commands.get(guild.id if guild else None, [])

    def _command_data(
        self,
        user: User,
        guild: Guild | None,
        words: str,
        options: dict[str, object],
        focused: tuple[str, str] | None = None,
    ) -> Json:
        """The data of a command as the person's client sends it; a LookupError if they could not see it."""
        name, *path = words.split()
        visible = [
            c for c in (self.commands(guild) if guild else []) + self.commands() if self._sees(user, guild, c)
        ]
        command = next((c for c in visible if c["name"] == name), None)
        if command is None:
            known = ", ".join("/" + c["name"] for c in visible)
            raise LookupError(f"{user.username} sees no command /{name}; they see: {known or 'none'}")
        sent, resolved = typed(command, path, options, guild, focused)
        data: Json = {"id": command["id"], "name": name, "type": 1, "options": sent}
        if resolved:
            data["resolved"] = resolved
        return data | {"guild_id": str(guild.id)} if "guild_id" in command and guild else data

    def _sees(self, user: User, guild: Guild | None, command: Json) -> bool:
        contexts = command.get("contexts")
        if guild is None:
            return 1 in contexts if contexts is not None else command.get("dm_permission") is not False
        if contexts is not None and 0 not in contexts:
            return False
        needed: Any = command["default_member_permissions"]
        held = guild.permissions(user)
        return (
            needed is None
            or bool(held & ADMINISTRATOR)
            or (int(needed) != 0 and held & int(needed) == int(needed))
        )

    def _begin(
        self, kind: int, user: User, guild: Guild | None, channel: Channel | None, data: Json
    ) -> Interaction:
        if channel is None:
            channel = next(iter(guild.channels.values())) if guild else self.chat.direct_channel(user)
        began_at = asyncio.get_running_loop().time()
        return self._send(Interaction(kind, user, guild, channel, data, began_at, id=snowflake(self.ahead)))

    async def _press(self, user: User, message: Message, data: Json, timeout: float) -> Reply:
        guild = self.guilds[message.channel.guild_id] if message.channel.guild_id else None
        began_at = asyncio.get_running_loop().time()
        here, id = message.channel, snowflake(self.ahead)
        deed = Interaction(COMPONENT, user, guild, here, data, began_at, source=message, id=id)
        return await self._see(self._send(deed), timeout)

    def _send(self, deed: Interaction) -> Interaction:
        self.rest.interactions[deed.token] = deed
        guild_id = deed.guild.id if deed.guild else None
        self.gateway.dispatch("INTERACTION_CREATE", deed.payload(self.bot.id), guild_id=guild_id)
        return deed

    async def _see(self, deed: Interaction, timeout: float) -> Reply:
        """Wait for an answer within Discord's deadline, then for something to be shown within ours."""
        try:
            await self.until(lambda: deed.answer is not None, "an answer", timeout=self.rest.answer_within)
            await self.until(lambda: deed.shown > 0, "something shown", timeout=timeout)
        except TimeoutError:
            return Reply(deed, failed=deed.answer is None)
        return Reply(deed)

    def _changed(self) -> None:
        async def announce() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.get_running_loop().create_task(announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
