"""The gateway of a fake Discord: sessions, sequence numbers, resuming, and the ways in which it can fail.

Follows https://docs.discord.com/developers/events/gateway and …/gateway-events (API v10).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from fakes.discord_model import Guild, Json, User
from fakes.discord_session import COMMANDS_A_MINUTE, Connection, Session

HEARTBEAT, IDENTIFY, UPDATE_PRESENCE, UPDATE_VOICE, RESUME, RECONNECT = 1, 2, 3, 4, 6, 7
REQUEST_MEMBERS, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 8, 9, 10, 11

GUILDS, GUILD_MEMBERS, GUILD_VOICE_STATES, GUILD_PRESENCES = 1 << 0, 1 << 1, 1 << 7, 1 << 8
GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 9, 1 << 12, 1 << 15
_EVERY_INTENT = (1 << 26) - 1

UNKNOWN_OPCODE, DECODE_ERROR, NOT_AUTHENTICATED, AUTHENTICATION_FAILED, ALREADY_AUTHENTICATED = range(
    4001, 4006
)
INVALID_SEQUENCE, RATE_LIMITED, INVALID_SHARD, INVALID_INTENTS, DISALLOWED_INTENTS = (
    4007,
    4008,
    4010,
    4013,
    4014,
)

_CHUNK = 1000
# A client that closes with one of these ends its session; after any other close it may RESUME.
_ENDS_SESSION = (WSCloseCode.OK, WSCloseCode.GOING_AWAY)


class Gateway:
    """Every session and connection of the one bot; `changed` is called whenever something was received."""

    def __init__(self, bot: User, token: str, changed: Callable[[], None]) -> None:
        self.bot = bot
        self.guilds: dict[int, Guild] = {}
        self.token = token
        self.changed = changed
        self.url = ""
        self.heartbeat_interval = 41.25
        self.allowed_intents = _EVERY_INTENT
        self.starts_total = 1000
        self.starts_left = 1000
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.violations: list[str] = []
        self.identifies = 0
        self.resumes = 0
        self.resumed = 0
        self.heartbeats = 0
        self.member_requests: list[Json] = []
        self.refusals_left = 0
        self.new_are_silent = False
        self.new_withhold = False
        self.mute: set[int] = set()
        self.resumes_cut = 0
        self.token_revoked = False

    # What the world does to the bot -----------------------------------------------------------

    def dispatch(self, event: str, data: Json, *, guild_id: int | None, intent: int = 0) -> None:
        """Tell every session that covers the guild and asked for `intent`, connected or not."""
        for session in self.sessions.values():
            if session.covers(guild_id) and session.intents & intent == intent:
                session.dispatch(event, data)

    def dispatch_guild(self, guild: Guild) -> None:
        """GUILD_CREATE, with the presences that each session may see."""
        for session in self.sessions.values():
            if session.covers(guild.id) and session.intents & GUILDS:
                session.dispatch("GUILD_CREATE", self._guild_create(session, guild))

    def forget_sessions(self) -> None:
        """RESUME will be answered INVALID_SESSION, and nothing that happens is kept."""
        self.sessions.clear()

    # What the bot does ------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection from its handshake to its end."""
        if self.refusals_left:
            self.refusals_left -= 1
            self.changed()
            return web.Response(status=503, text="upstream connect error or disconnect/reset before headers")
        query = dict(request.query)
        if query.get("v") != "10" or query.get("encoding", "json") != "json":
            self.violations.append(f"gateway: asked for v={query.get('v')} encoding={query.get('encoding')}")
            return web.Response(status=400)
        if query.get("compress", "zlib-stream") != "zlib-stream":
            self.violations.append(f"gateway: compress={query['compress']} is not modelled")
            return web.Response(status=400)
        socket = web.WebSocketResponse(autoping=True, max_msg_size=64 * 1024)
        await socket.prepare(request)
        connection = Connection(socket, request, compressed="compress" in query)
        writer = asyncio.create_task(connection.write())
        connection.send({"op": HELLO, "t": None, "s": None, "d": {"heartbeat_interval": self._beat_ms()}})
        connection.silent, connection.withholds = self.new_are_silent, self.new_withhold
        self.connections.add(connection)
        self.changed()
        try:
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                self._receive(connection, message.data)
                self.changed()
            said_goodbye = message.type is WSMsgType.CLOSE and message.data in _ENDS_SESSION
            if said_goodbye and not connection.closes and connection.session is not None:
                self.sessions.pop(connection.session.id, None)
        finally:
            self.connections.discard(connection)
            if connection.session is not None and connection.session.connection is connection:
                connection.session.connection = None
            self.changed()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self.changed()
        return socket

    def _beat_ms(self) -> int:
        return max(1, round(self.heartbeat_interval * 1000))

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            payload = json.loads(text)
            op, data = payload["op"], payload["d"]
        except (ValueError, KeyError, TypeError):
            return self._refuse(connection, DECODE_ERROR, "a payload that is no {op, d}")
        if len(text) > 4096:
            return self._refuse(connection, DECODE_ERROR, f"a payload of {len(text)} bytes, above 4096")
        if op == HEARTBEAT:
            self.heartbeats += 1
            return connection.send({"op": HEARTBEAT_ACK, "t": None, "s": None, "d": None})
        if connection.withholds or connection.silent:
            return None
        now = asyncio.get_running_loop().time()
        full = len(connection.commands) == COMMANDS_A_MINUTE
        if full and now - connection.commands[0] < 60:
            return self._refuse(connection, RATE_LIMITED, "more than 120 payloads in 60 s")
        connection.commands.append(now)
        if op == IDENTIFY:
            return self._identify(connection, data)
        if op == RESUME:
            return self._resume(connection, data)
        if connection.session is None:
            return self._refuse(connection, NOT_AUTHENTICATED, f"opcode {op} before IDENTIFY")
        if op == REQUEST_MEMBERS:
            return self._send_members(connection.session, data)
        if op not in (UPDATE_PRESENCE, UPDATE_VOICE):
            return self._refuse(connection, UNKNOWN_OPCODE, f"opcode {op}")
        return None

    def _refuse(self, connection: Connection, code: int, why: str | None = None) -> None:
        if why is not None:
            self.violations.append(f"gateway: {why}")
        connection.close(code)

    def _identify(self, connection: Connection, data: Json) -> None:
        self.identifies += 1
        if connection.session is not None:
            return self._refuse(connection, ALREADY_AUTHENTICATED, "a second IDENTIFY")
        if not self._starts(connection, data):
            return None
        session = Session(data["intents"], data.get("large_threshold", 50), tuple(data.get("shard", (0, 1))))
        for older in [s for s in self.sessions.values() if s.shard == session.shard]:
            if older.connection is None:
                del self.sessions[older.id]
        self.sessions[session.id] = session
        session.connection, connection.session = connection, session
        mine = [g for g in self.guilds.values() if g.has_bot and session.covers(g.id)]
        session.dispatch(
            "READY",
            {
                "v": 10,
                "user": self.bot.payload()
                | {"verified": True, "mfa_enabled": False, "email": None, "flags": 0},
                "guilds": [{"id": str(guild.id), "unavailable": True} for guild in mine],
                "session_id": session.id,
                "session_type": "normal",
                "resume_gateway_url": self.url,
                "shard": list(session.shard),
                "application": {"id": str(self.bot.id), "flags": 0},
                "private_channels": [],
                "relationships": [],
            },
        )
        for guild in mine if session.intents & GUILDS else []:
            if guild.available:
                session.dispatch("GUILD_CREATE", self._guild_create(session, guild))
            else:
                session.dispatch("GUILD_DELETE", {"id": str(guild.id), "unavailable": True})
        return None

    def _starts(self, connection: Connection, data: Json) -> bool:
        """Whether this IDENTIFY begins a session; if not, it is closed with the documented code."""
        if self.token_revoked or data.get("token") != self.token:
            self._refuse(connection, AUTHENTICATION_FAILED)
        elif not isinstance(data.get("intents"), int) or data["intents"] & ~_EVERY_INTENT:
            self._refuse(connection, INVALID_INTENTS, "IDENTIFY with intents that don't exist")
        elif data["intents"] & ~self.allowed_intents:
            self._refuse(connection, DISALLOWED_INTENTS)
        elif not 0 <= data.get("shard", (0, 1))[0] < data.get("shard", (0, 1))[1]:
            self._refuse(connection, INVALID_SHARD, "IDENTIFY with a shard beyond its count")
        elif not 50 <= data.get("large_threshold", 50) <= 250:
            self._refuse(connection, DECODE_ERROR, "large_threshold must be 50 to 250")
        elif set(data.get("properties", {})) != {"os", "browser", "device"}:
            self._refuse(connection, DECODE_ERROR, "IDENTIFY needs properties os, browser and device")
        elif self.starts_left == 0:
            # Discord ends every session and resets the token of an app that goes past its limit.
            self.token_revoked = True
            self._refuse(connection, AUTHENTICATION_FAILED, "IDENTIFY past the session start limit")
        else:
            self.starts_left -= 1
            return True
        return False

    def _resume(self, connection: Connection, data: Json) -> None:
        self.resumes += 1
        if self.resumes_cut:
            self.resumes_cut -= 1
            return connection.abort()
        if self.token_revoked or data.get("token") != self.token:
            return self._refuse(connection, AUTHENTICATION_FAILED)
        session = self.sessions.get(data.get("session_id", ""))
        sequence = data.get("seq")
        if session is None or not isinstance(sequence, int) or not session.can_replay_from(sequence):
            return connection.send({"op": INVALID_SESSION, "t": None, "s": None, "d": False})
        if sequence > session.sequence:
            return self._refuse(connection, INVALID_SEQUENCE, "RESUME from a sequence that was never sent")
        if session.connection is not None and session.connection is not connection:
            session.connection.abort()
        session.connection, connection.session = connection, session
        for number, payload in session.events:
            if number > sequence:
                connection.send(payload)
        session.dispatch("RESUMED", {"_trace": []})
        self.resumed += 1
        return None

    def _guild_create(self, session: Session, guild: Guild) -> Json:
        seen = bool(session.intents & GUILD_PRESENCES)
        voices = bool(session.intents & GUILD_VOICE_STATES)
        return guild.create_payload(
            self.bot, presences=seen, voices=voices, large_threshold=session.large_threshold
        )

    def _send_members(self, session: Session, data: Json) -> None:
        """Answer REQUEST_GUILD_MEMBERS in chunks; a guild that is unknown or in an outage answers nothing."""
        self.member_requests.append(data)
        guild = self.guilds.get(int(data.get("guild_id", 0)))
        for problem in self._problems(session, data):
            self.violations.append(f"gateway: REQUEST_GUILD_MEMBERS {problem}")
            if problem.startswith("of everyone"):
                return
        if guild is None or not guild.available or not guild.has_bot or guild.id in self.mute:
            return
        wanted: Any = data.get("user_ids")
        not_found: list[str] = []
        if wanted is not None:
            ids = [int(i) for i in (wanted if isinstance(wanted, list) else [wanted])][:100]
            found = [guild.members[i] for i in ids if i in guild.members]
            not_found = [str(i) for i in ids if i not in guild.members]
        else:
            start, limit = data.get("query", "").lower(), data.get("limit", 0)
            found = [m for m in guild.members.values() if m.user.username.lower().startswith(start)]
            found = found[: limit or None] if not start else found[: min(limit or 100, 100)]
        presences = bool(data.get("presences")) and bool(session.intents & GUILD_PRESENCES)
        chunks = [found[i : i + _CHUNK] for i in range(0, len(found), _CHUNK)] or [[]]
        for index, members in enumerate(chunks):
            body: Json = {
                "guild_id": str(guild.id),
                "members": [member.payload() for member in members],
                "chunk_index": index,
                "chunk_count": len(chunks),
            }
            if not_found and index == 0:
                body["not_found"] = not_found
            if presences:
                there = [m.user.id for m in members if guild.seen_status(m.user.id) != "offline"]
                body["presences"] = [guild.presence(user_id, with_guild=False) for user_id in there]
            if isinstance(data.get("nonce"), str) and len(data["nonce"].encode()) <= 32:
                body["nonce"] = data["nonce"]
            session.dispatch("GUILD_MEMBERS_CHUNK", body)

    def _problems(self, session: Session, data: Json) -> list[str]:
        """What the documentation forbids in this request."""
        problems = []
        ids, query = data.get("user_ids"), data.get("query")
        if (ids is None) == (query is None):
            problems.append("needs one of query and user_ids")
        if isinstance(ids, list) and len(ids) > 100:
            problems.append(f"names {len(ids)} users, above 100")
        if query is not None and "limit" not in data:
            problems.append("with a query needs a limit")
        if query == "" and not session.intents & GUILD_MEMBERS:
            problems.append("of everyone needs the GUILD_MEMBERS intent")
        if data.get("presences") and not session.intents & GUILD_PRESENCES:
            problems.append("with presences needs the GUILD_PRESENCES intent")
        return problems
