"""One connection to Discord's gateway, kept up: RESUME where it can, IDENTIFY within the budget else.

The loop of `connect` is our own, because each of discord.py's has a hole: `Client` dies when its
first handshake fails (its issue 10520), `AutoShardedClient` identifies anew after every failed
reconnect, both wait up to 17 minutes between attempts, and neither notices a RESUME that nobody
answers. docs/adr/0005-discord.md has the comparison.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from msgspec import Struct

from adapters.discord.hints import talking
from adapters.discord.rest import Http, within
from bot.config import DiscordTable
from bot.ports import Core

log = logging.getLogger("rollcall.discord")
FATAL = frozenset([4004, 4010, 4011, 4012, 4013, 4014])
"""Closes after which Discord forbids to reconnect as before: token, shards, version, intents."""
ASTRAY = 3
"""Attempts in a row that a session is taken up where READY said; after them at the gateway's own address."""
ASKED_IN = 3
"""Guilds in which a silent gateway is asked at once."""
TROUBLES = (OSError, aiohttp.ClientError, TimeoutError, discord.HTTPException, discord.ConnectionClosed)


class Patience(Struct, frozen=True):
    """How long the gateway may be silent, in seconds. The sums stay under 90 s, which is promised."""

    look: float = 5.0
    quiet: float = 25.0
    """Without any event, after which it is asked something that it must answer with one."""
    answer: float = 15.0
    handshake: float = 25.0
    """Of a RESUME: the address that READY named for it may be dead, where nothing else is."""
    establish: float = 30.0
    """From the handshake to READY or RESUMED."""
    longest_pause: float = 30.0
    """Between two attempts."""


class IdentifiesSpent(Exception):
    """The day's identifies are used up; one more could reset the token."""


class Silent(Exception):
    """The socket is open and nothing comes."""

    def __init__(self, since: datetime) -> None:
        super().__init__("Discord's gateway does not answer")
        self.since = since


class Listener(Protocol):
    """Who is told what the gateway says, at once and in its order."""

    def ready(self, guilds: Sequence[discord.Guild]) -> None: ...
    def resumed(self) -> None: ...
    def lost(self, since: datetime, *, stale: bool = False) -> None: ...
    def available(self, guild: discord.Guild) -> None: ...
    def unavailable(self, guild: discord.Guild) -> None: ...
    def removed(self, guild: discord.Guild) -> None: ...
    def seen(self, event: discord.RawPresenceUpdateEvent) -> None: ...
    def asked(self, interaction: "discord.Interaction[Any]") -> None: ...
    def all_talking(self, guild_id: int, user_ids: Sequence[int]) -> None: ...
    def talks(self, guild_id: int, user_id: int, *, there: bool) -> None: ...


class Resumable(Struct, frozen=True):
    """A session that may be taken up where it broke off."""

    session_id: str
    sequence: int | None
    gateway: yarl.URL


class Connection(discord.Client):
    """A client without caches. Ends by raising: LoginFailure, ConnectionClosed, IdentifiesSpent."""

    http: Http

    def __init__(
        self,
        table: DiscordTable,
        core: Core,
        listener: Listener,
        *,
        presence: bool,
        voice: bool = False,
        patience: Patience | None = None,
    ) -> None:
        # Else the library warns everybody that voice will not work.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        intents = discord.Intents.none()
        intents.guilds = True
        intents.presences = presence
        intents.voice_states = voice
        super().__init__(
            intents=intents,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            enable_raw_presences=True,
            max_messages=None,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.http = self._connection.http = Http(self.http.loop, table.base_url, core.clock)
        self.core = core
        self.established = False
        self.heard = 0
        """Events so far."""
        self._listener = listener
        self._patience = patience or Patience()
        self._gateway = yarl.URL(table.gateway_url) if table.gateway_url else None
        self._failures = 0
        """Attempts since the last READY or RESUMED, after the first at once."""
        self._opened = False
        """Whether the last attempt got as far as a socket."""
        self._asked = 0
        """Guilds in which the gateway was asked for a sign of life so far."""
        self._closing: set[asyncio.Task[None]] = set()
        self._opening: DiscordWebSocket | None = None
        self._at_once: dict[str, Any] = {
            "connect": self._ready_again,
            "resumed": self._resumed,
            "guild_available": self._available,
            "guild_join": self._available,
            "guild_unavailable": listener.unavailable,
            "guild_remove": listener.removed,
            "interaction": listener.asked,
        }
        # discord.py would keep the voice state of everybody there, and tell nothing of whom it does not know.
        parsers = self._connection.parsers
        self._parse_guild = parsers["GUILD_CREATE"]
        parsers["GUILD_CREATE"] = self._guild_created
        parsers["VOICE_STATE_UPDATE"] = self._voice_state

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Presences and the life of guilds are handled at once: a task for each would cost more than the
        event, and could overtake."""
        if event == "socket_event_type":
            self.heard += 1
        elif event == "raw_presence_update":
            self._listener.seen(args[0])
        else:
            at_once = self._at_once.get(event)
            if at_once is not None:
                at_once(*args)
            super().dispatch(event, *args, **kwargs)

    def _guild_created(self, guild: dict[str, Any]) -> None:
        self._listener.all_talking(int(guild["id"]), talking(guild))
        self._parse_guild({**guild, "voice_states": []})

    def _voice_state(self, state: dict[str, Any]) -> None:
        if state.get("guild_id"):
            there = state.get("channel_id") is not None
            self._listener.talks(int(state["guild_id"]), int(state["user_id"]), there=there)

    def _ready_again(self) -> None:
        self.established, self._failures = True, 0
        self._listener.ready(self.guilds)

    def _resumed(self) -> None:
        self.established, self._failures = True, 0
        self._listener.resumed()

    def _available(self, guild: discord.Guild) -> None:
        # In its first seconds discord.py holds GUILD_CREATE back, so an outage or a removal may overtake it.
        if not guild.unavailable and self.get_guild(guild.id) is not None:
            self._listener.available(guild)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Counts the IDENTIFY that comes. Discord resets the token after 1,000 in 24 h."""
        if await self.core.identify_budget() <= 0:
            raise IdentifiesSpent
        await self.core.count_identify()
        if not initial:
            # Discord takes one IDENTIFY in 5 s.
            await self.core.clock.sleep(5.0)

    async def connect(self, *, reconnect: bool = True) -> None:
        """Serves until closed. Whatever ends one socket only is answered with the next."""
        session: Resumable | None = None
        initial = True
        while not self.is_closed():
            self.established = False
            since: datetime | None = None
            stale = False
            try:
                await self._serve_socket(session, initial=initial)
            except ReconnectWebSocket as asked:
                session = self._resumable() if asked.resume else None
            except Silent as silence:
                log.warning("Discord's gateway is silent since %s; reconnecting", silence.since.isoformat())
                since, stale = silence.since, True
                session = self._resumable() if self.established else None
            except TROUBLES as trouble:
                if isinstance(trouble, discord.ConnectionClosed) and trouble.code in FATAL:
                    raise
                log.info("Discord's gateway is lost: %s", type(trouble).__name__)
                session = self._resumable() if session or self.established else None
            if self._refused():
                session = None
            if self.is_closed():
                return
            initial = False
            self._listener.lost(since or self.core.clock.now(), stale=stale)
            await self._pause()

    async def _pause(self) -> None:
        """None before the first attempt to come back, then up to 1, 2, 4 … 30 s, by chance within it."""
        if self._failures:
            longest = min(self._patience.longest_pause, 2.0 ** (self._failures - 1))
            # By chance so that many bots do not come back in step; nothing secret hangs on it.
            await self.core.clock.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311
        self._failures += 1

    def _refused(self) -> bool:
        """Whether the gateway, at its own address too, takes our attempts and hangs up again."""
        return self._opened and not self.established and self._failures > ASTRAY

    def _resumable(self) -> Resumable | None:
        if self.ws is None or self.ws.session_id is None:
            return None
        return Resumable(self.ws.session_id, self.ws.sequence, self.ws.gateway)

    async def _serve_socket(self, session: Resumable | None, *, initial: bool) -> None:
        """One WebSocket from its handshake to its end, which is always an exception."""
        if session is None and await self.core.identify_budget() <= 0:
            raise IdentifiesSpent
        self._opened = False
        gateway = self._gateway or (session.gateway if session and self._failures <= ASTRAY else None)
        opening = self._socket_class().from_client(
            self,
            initial=initial,
            gateway=gateway,
            session=session.session_id if session else None,
            sequence=session.sequence if session else None,
            resume=session is not None,
        )
        try:
            patience = 60.0 if session is None else self._patience.handshake
            self.ws = await within(self.core.clock, patience, opening)
            self._opened = True
        except BaseException:
            if self._opening is not None:
                self._put_away(self._opening)
            raise
        finally:
            self._opening = None
        reading = asyncio.create_task(self._read(self.ws))
        watching = asyncio.create_task(self._watch())
        try:
            done, _ = await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            reading.cancel()
            watching.cancel()
            await asyncio.gather(reading, watching, return_exceptions=True)
            self._put_away(self.ws)

    def _socket_class(self) -> type[DiscordWebSocket]:
        """Sockets that we know from their first moment: one that fails while it opens would keep its thread
        of heartbeats."""
        connection = self

        class Socket(DiscordWebSocket):
            def __init__(
                self, socket: aiohttp.ClientWebSocketResponse, *, loop: asyncio.AbstractEventLoop
            ) -> None:
                super().__init__(socket, loop=loop)
                connection._opening = self

        return Socket

    async def close(self) -> None:
        """Closes everything, sockets on their way out too."""
        await super().close()
        if self._closing:
            # The session under them is closed by now, so they have nothing left to wait for.
            await asyncio.wait(self._closing, timeout=1.0)

    async def _read(self, ws: DiscordWebSocket) -> None:
        while True:
            await ws.poll_event()

    def _put_away(self, ws: DiscordWebSocket) -> None:
        """Closes a socket beside us: a dead one takes half a minute. 4000 keeps its session for RESUME."""
        task = asyncio.create_task(ws.close(4000))
        self._closing.add(task)
        task.add_done_callback(self._put_away_done)

    def _put_away_done(self, task: "asyncio.Task[None]") -> None:
        self._closing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a socket did not close in order", exc_info=task.exception())

    async def _watch(self) -> None:
        """Raises Silent when nothing comes. Acknowledged heartbeats do not count: a gateway that ignored
        our RESUME goes on sending them."""
        clock, patience = self.core.clock, self._patience
        began = heard_at = clock.monotonic()
        since = looked_at = clock.now()
        heard = self.heard
        asked_at: float | None = None
        while True:
            await clock.sleep(patience.look)
            now = clock.monotonic()
            if not self.established and now - began >= patience.establish:
                raise Silent(since)
            if self.heard != heard:
                heard, heard_at, since, asked_at = self.heard, now, looked_at, None
            elif asked_at is not None and now - asked_at >= patience.answer:
                raise Silent(since)
            elif asked_at is None and now - heard_at >= patience.quiet and await self._ask():
                asked_at = now
            looked_at = clock.now()

    async def _ask(self) -> bool:
        """Asks for ourselves in some guilds, which comes back as events. False where there is no guild.

        In several, and in others each time: one guild that never answers is no dead connection.
        """
        there = [guild.id for guild in self.guilds if not guild.unavailable]
        user = self.user
        if not there or user is None:
            return False
        at = self._asked % len(there)
        self._asked += ASKED_IN

        async def ask() -> None:
            for guild_id in [*there[at:], *there[:at]][:ASKED_IN]:
                await self.ws.request_chunks(guild_id, limit=1, user_ids=[user.id])

        try:
            await within(self.core.clock, self._patience.answer, ask())
        except TimeoutError:
            log.debug("the gateway takes no question")
        return True
