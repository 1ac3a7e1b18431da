"""Discord as a chat platform: connects, is kept running, registers commands, sends messages."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp
import discord
from discord.webhook.async_ import async_context

from adapters.discord.answers import Answers
from adapters.discord.buttons import view_of
from adapters.discord.connection import FATAL, Connection, IdentifiesSpent, Patience
from adapters.discord.feeds import Feeds
from adapters.discord.invite import application_id_of, invite_url
from adapters.discord.registration import Registration
from adapters.discord.render import embed_of
from adapters.discord.rest import UNANSWERED, WebhookAdapter, done_within, in_short
from bot.config import DiscordTable
from bot.domain.agent import Identity, Workspace
from bot.domain.errors import RollcallError
from bot.message import Message
from bot.ports import AsgiApp, Core, RetryLater, Undeliverable

log = logging.getLogger("rollcall.discord")
PORTAL = "https://discord.com/developers/applications"
LOOK_EVERY = 5.0
"""Seconds until somebody enrolled elsewhere is watched here."""
SWEEP_EVERY = 60.0
"""Seconds between two rounds of asking for everybody: without the members intent nothing else tells who
left or took another name."""
LONGEST_PAUSE = 60.0
STEADY = 60.0
"""Seconds after which a connection counts as having worked."""
BUDGET_EVERY = 600.0
ANSWER_WITHIN, LEAVE_WITHIN = 2.5, 2.0
"""Seconds for answers in hand before a client is closed, and for what is then still to be stored. Together
less than what the program has for leaving (bot/wiring.py)."""
LOSSES_TOLD = 3
"""Attempts in a row that must fail before people are told; Discord ends connections every few hours."""
SOON = 5.0
"""Seconds until a message is tried again while a client connects, which takes a moment only."""
UNREACHABLE = frozenset([50007, 50278, 50033, 10013, 10003, 10004, 50001, 50013])
"""Closed direct messages, no mutual server, unknown recipient, user, channel or server, no access, no
permission."""

PRESENCE_OFF = (
    "Discord gives Rollcall no presence, because the Presence Intent is off. Everything works by commands, "
    f"but nobody's disconnect is seen. To turn it on: {PORTAL} → your app → Bot → Privileged Gateway Intents "
    "→ Presence Intent, then restart Rollcall."
)
BAD_TOKEN = (
    "Discord refuses the bot's token: it is not valid any more. Rollcall has stopped calling Discord. Make a "
    f"new one: {PORTAL} → your app → Bot → Reset Token, put it into discord.token, and restart Rollcall."
)
BUDGET_SPENT = (
    "Discord resets the token of a bot that connects anew 1,000 times in 24 h, so Rollcall waits at 900. It "
    "goes on by itself when the oldest are a day old; look in the log for why the connection breaks so often."
)
CLOSED = (
    "Discord closed the connection for good (code {code}). Rollcall has stopped calling Discord. What the "
    "code means: https://docs.discord.com/developers/topics/opcodes-and-status-codes. Restart Rollcall after "
    "the repair."
)
UNREACHED = "Discord can't be reached. Presence there is unconfirmed; Rollcall keeps trying."


class DiscordService:
    """Implements `bot.ports.ChatPlatform`."""

    name = "discord"
    mounts: Mapping[str, AsgiApp] = {}

    def __init__(
        self, table: DiscordTable, core: Core, patience: Patience | None = None, *, calls: bool = True
    ) -> None:
        """`calls`: whether anybody wants to know who is in one."""
        self._table = table
        self._voice = table.voice and calls
        self._core = core
        self._patience = patience
        self._token = table.token.get_secret_value()
        self._application_id = application_id_of(self._token) or ""
        roles = [int(role) for role in table.agent_roles if role.isdigit()]
        self.feeds = Feeds(core, roles, table.guilds, self._invite, presence=table.presence)
        self._answers = Answers(table, core, self.feeds, roles)
        self._registration = Registration(core, self.feeds, table.names, self._invite)
        self._connection: Connection | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._troubles: dict[str, str] = {}
        self._losses = 0
        """In a row."""

    # --- running ---

    async def run(self) -> None:
        """Serves until cancelled. A failed connection is replaced; a refused token ends all calls."""
        adapter: Any = WebhookAdapter(self._table.base_url, self._core.clock)
        async_context.set(adapter)
        keepers = [
            asyncio.create_task(self._every(seconds, what, work), name=f"discord keeper: {what}")
            for seconds, what, work in (
                (LOOK_EVERY, "looking for new agents", self.feeds.look_for_new),
                (SWEEP_EVERY, "asking for all agents", self.feeds.sweep),
            )
        ]
        failures = 0
        try:
            while True:
                began = self._core.clock.monotonic()
                pause = await self._serve()
                steady = self._core.clock.monotonic() - began >= STEADY
                failures = 0 if steady else failures + 1
                if pause is None:
                    pause = min(LONGEST_PAUSE, 2.0 ** min(failures, 10) / 2)
                await self._core.clock.sleep(pause)
        finally:
            for keeper in keepers:
                keeper.cancel()
            self._registration.stop()
            await self._leave()

    async def _leave(self) -> None:
        """Say that we are blind from now on; the next start knows the gap."""
        self.feeds.lost(self._core.clock.now())
        leaving = asyncio.ensure_future(self.feeds.settled())
        if not await done_within(self._core.clock, LEAVE_WITHIN, leaving):
            leaving.cancel()
        self.feeds.stop()

    def connection(self) -> Connection:
        """A new client, which tells this service what it hears."""
        self._connection = Connection(
            self._table,
            self._core,
            self,
            presence=self.feeds.presence,
            voice=self._voice,
            patience=self._patience,
        )
        return self._connection

    async def _serve(self) -> float | None:
        """One client's life. Answers how long to pause, None for the usual; never returns if Discord
        forbids to come back."""
        connection = self.connection()
        serving = asyncio.create_task(connection.start(self._token), name="discord connection")
        refused = asyncio.create_task(connection.http.refused.wait(), name="discord token watch")
        try:
            await asyncio.wait({serving, refused}, return_when=asyncio.FIRST_COMPLETED)
            if refused.done():
                await self._stop_for_good(BAD_TOKEN)
            await serving
        except discord.LoginFailure:
            await self._stop_for_good(BAD_TOKEN)
        except discord.ConnectionClosed as closed:
            await self._closed_for(closed.code)
        except IdentifiesSpent:
            self._tell("budget", BUDGET_SPENT)
            return BUDGET_EVERY
        except discord.RateLimited as limit:
            self._tell("reach", UNREACHED)
            return limit.retry_after
        except RollcallError as refusal:
            log.warning("Discord waits: %s", refusal.sentence)
        except UNANSWERED as trouble:
            log.warning("Discord is not connected: %s", type(trouble).__name__)
            self._tell("reach", UNREACHED)
        except Exception:
            # A parser of discord.py that fails on one event ends its client; the next one goes on.
            log.exception("Discord's client failed")
            self._tell("reach", UNREACHED)
        finally:
            refused.cancel()
            serving.cancel()
            await asyncio.gather(serving, refused, return_exceptions=True)
            self.feeds.lost(self._core.clock.now())
            await self._finish_answers()
            await _closed(connection)
        return None

    async def _closed_for(self, code: int) -> None:
        """A close after which Discord forbids to come back as before."""
        if code == 4014 and self.feeds.presence:
            self.feeds.switch_off()
            self._tell("intent", PRESENCE_OFF)
        elif code == 4004:
            await self._stop_for_good(BAD_TOKEN)
        elif code in FATAL:
            await self._stop_for_good(CLOSED.format(code=code))

    async def _stop_for_good(self, trouble: str) -> None:
        """No further call to Discord until somebody restarts Rollcall."""
        self.feeds.lost(self._core.clock.now())
        self._tell("stopped", trouble)
        if self._connection is not None:
            await _closed(self._connection)
            self._connection = None
        await asyncio.Event().wait()

    def _tell(self, what: str, trouble: str | None) -> None:
        """A banner of the whole platform; several stand in one."""
        if trouble is None:
            self._troubles.pop(what, None)
        else:
            self._troubles[what] = trouble
        self._core.report("discord", None, " ".join(self._troubles.values()) or None)

    async def _every(self, seconds: float, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Nothing but leaving ends it: a round that fails is logged, and the next one comes."""
        while True:
            await self._core.clock.sleep(seconds)
            try:
                await work()
            except Exception:
                log.exception("%s in Discord failed; the next round comes", what)

    # --- what the gateway tells ---

    def ready(self, guilds: Sequence[discord.Guild]) -> None:
        """READY."""
        self._losses = 0
        self._tell("reach", None)
        self._tell("budget", None)
        self.feeds.ready(guilds)
        # Each guild that we are still in comes once more.
        self._registration.stop()
        there = {str(guild.id) for guild in guilds}
        away = [guild for guild in self._table.guilds if guild not in there]
        self._tell(
            "guilds",
            f"Rollcall is not in the Discord server {away[0]}, which discord.guilds names. "
            f"To bring it there, open {self._invite(int(away[0]) if away[0].isdigit() else None)}"
            if away
            else None,
        )

    def resumed(self) -> None:
        """RESUMED."""
        self._losses = 0
        self._tell("reach", None)
        self.feeds.resumed()

    def lost(self, since: datetime, *, stale: bool = False) -> None:
        """The socket is gone, or the attempt to get another one failed."""
        self._losses += 1
        if self._losses >= LOSSES_TOLD:
            self._tell("reach", UNREACHED)
        self.feeds.lost(since, stale=stale)

    def available(self, guild: discord.Guild) -> None:
        """GUILD_CREATE."""
        self.feeds.available(guild)
        if self.feeds.wants(guild.id) and self._connection is not None:
            self._registration.begin(self._connection, guild)

    def unavailable(self, guild: discord.Guild) -> None:
        """An outage."""
        self.feeds.unavailable(guild)

    def removed(self, guild: discord.Guild) -> None:
        """The bot was removed."""
        self.feeds.removed(guild)
        self._registration.give_up(guild)

    def seen(self, event: discord.RawPresenceUpdateEvent) -> None:
        """PRESENCE_UPDATE."""
        self.feeds.seen(event)

    def all_talking(self, guild_id: int, user_ids: Sequence[int]) -> None:
        """Who is in a voice channel, as GUILD_CREATE says."""
        self.feeds.all_talking(guild_id, user_ids)

    def talks(self, guild_id: int, user_id: int, *, there: bool) -> None:
        """VOICE_STATE_UPDATE."""
        self.feeds.talks(guild_id, user_id, there=there)

    def asked(self, interaction: "discord.Interaction[Any]") -> None:
        """INTERACTION_CREATE: a command, a click or a half-typed option."""
        answering = self._answers.answer(interaction)
        task = asyncio.create_task(answering, name=f"discord interaction {interaction.id}")
        self._answering.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        trouble = None if task.cancelled() else task.exception()
        if trouble is not None:
            log.error("an interaction was not answered", exc_info=trouble)

    async def _finish_answers(self) -> None:
        """What was asked before the socket went is answered, as long as that takes no longer than allowed:
        what has changed by then would else be told to nobody."""
        if self._answering:
            ending = asyncio.ensure_future(asyncio.wait(self._answering))
            if not await done_within(self._core.clock, ANSWER_WITHIN, ending):
                ending.cancel()
                log.warning("interactions left without an answer: %s", len(self._answering))

    def _invite(self, guild_id: int | None) -> str:
        connection = self._connection
        known = str(connection.application_id or "") if connection is not None else ""
        return invite_url(known or self._application_id, guild_id=str(guild_id) if guild_id else None)

    # --- messages ---

    async def send_direct(self, identity: Identity, workspace: Workspace, message: Message) -> str:
        """Answers the message's id. Raises Undeliverable or RetryLater."""
        connection = self._ready_connection()

        async def send(nonce: str) -> discord.Message:
            channel = await connection.create_dm(discord.Object(int(identity.external_id)))
            return await self._say(channel, message, workspace.external_id, nonce)

        return await self._delivered(connection, send)

    async def post(self, channel: str, message: Message) -> str:
        """`channel` is `guild/channel`, by their ids. Raises Undeliverable or RetryLater."""
        guild_id, _, channel_id = channel.partition("/")
        if not (guild_id.isdigit() and channel_id.isdigit()):
            raise Undeliverable(
                f"{channel} is not guild/channel, such as 81384788765712384/81384956881809408"
            )
        connection = self._ready_connection()
        place = connection.get_partial_messageable(int(channel_id), guild_id=int(guild_id))
        return await self._delivered(connection, lambda nonce: self._say(place, message, "", nonce))

    def _ready_connection(self) -> Connection:
        connection = self._connection
        # A client stays here after its end, until the next one takes its place.
        if connection is None or connection.is_closed() or not connection.established:
            lasting = self._troubles.keys() & {"stopped", "reach", "budget"}
            raise RetryLater(None if lasting else SOON)
        return connection

    async def _say(
        self, place: discord.abc.Messageable, message: Message, guild_id: str, nonce: str
    ) -> discord.Message:
        view = view_of(message.buttons, guild_id)
        options: dict[str, Any] = {} if view is None else {"view": view}
        silent = discord.AllowedMentions.none()
        return await place.send(embed=embed_of(message), allowed_mentions=silent, nonce=nonce, **options)

    async def _delivered(
        self, connection: Connection, send: Callable[[str], Awaitable[discord.Message]]
    ) -> str:
        """The id of what was sent. By the nonce Discord itself knows the second of two that are one, so that
        what got no answer is sent again."""
        nonce = secrets.token_hex(12)
        try:
            try:
                sent = await send(nonce)
            except (OSError, aiohttp.ClientError, TimeoutError):
                await self._core.clock.sleep(1.0)
                sent = await send(nonce)
        except discord.RateLimited as limit:
            raise RetryLater(limit.retry_after) from None
        except discord.HTTPException as refusal:
            if refusal.code in UNREACHABLE:
                raise Undeliverable(f"Discord refuses it with code {refusal.code}") from None
            log.warning("a message was not sent: %s", in_short(refusal))
            raise RetryLater from None
        except UNANSWERED as trouble:
            log.warning("a message was not sent: %s", in_short(trouble))
            raise RetryLater from None
        except RuntimeError:
            # aiohttp's "Session is closed", where the client ended between two steps of this.
            if not connection.is_closed():
                raise
            raise RetryLater from None
        return str(sent.id)


async def _closed(connection: Connection) -> None:
    """Close a client whole, even if we are cancelled meanwhile: half closed, it keeps its sockets."""
    await asyncio.shield(asyncio.ensure_future(connection.close()))
