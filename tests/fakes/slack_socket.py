"""Slack's side of Socket Mode: connections, envelopes and acknowledgements, and ways to hurt them.

Follows docs.slack.dev/apis/events-api/using-socket-mode: `hello`, envelopes, `disconnect`, at most ten
connections an app, each payload to one of them, three seconds to acknowledge.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from aiohttp import WSCloseCode, WSMsgType, web
from fakes.slack_messages import Json
from fakes.slack_workspace import World

MOST_CONNECTIONS = 10
Reason = Literal["warning", "refresh_requested", "too_many_websockets", "link_disabled"]


class NoConnection(Exception):
    """The app has no open socket, so a payload can't be handed over."""


@dataclass
class Connection:
    """One open socket; a frozen one keeps its TCP connection and says nothing more."""

    number: int
    ws: web.WebSocketResponse
    http: web.Request
    frozen: bool = False
    received: list[str] = field(default_factory=list)

    def cut(self) -> None:
        """Reset the TCP connection, without a word."""
        if self.http.transport is not None:
            self.http.transport.abort()


@dataclass(frozen=True)
class Ack:
    """An acknowledgement: `latency` in seconds since the envelope was last sent."""

    envelope_id: str
    latency: float
    payload: Json | None
    late: bool


@dataclass
class Envelope:
    """A payload on its way: how often it was sent, over which connection, and what came back."""

    body: Json
    sent: int = 0
    sent_at: float = 0.0
    connections: list[int] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    on_wire: asyncio.Event = field(default_factory=asyncio.Event)
    acked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        return str(self.body["envelope_id"])

    @property
    def type(self) -> str:
        return str(self.body["type"])


class SocketMode:
    """The sockets of one app."""

    def __init__(self, world: World, ack_deadline: float, ping_interval: float) -> None:
        self.world = world
        self.ack_deadline = ack_deadline
        self.ping_interval = ping_interval
        self.connections: list[Connection] = []
        self.envelopes: list[Envelope] = []
        self.base = ""
        self.opened = 0
        self.refusals = 0
        self.freeze_new = False
        self.held: list[Envelope] | None = None
        self.lateness = 0.0
        self._tickets: dict[str, bool] = {}
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def acks(self) -> list[Ack]:
        return [ack for envelope in self.envelopes for ack in envelope.acks]

    def open_url(self) -> str:
        """What `apps.connections.open` answers: a URL that works for one connection."""
        ticket = uuid.uuid4().hex
        self._tickets[ticket] = False
        return f"{self.base}/link/?{urlencode({'ticket': ticket, 'app_id': self.world.app_id})}"

    async def handle(self, http: web.Request) -> web.StreamResponse:
        ticket = http.query.get("ticket", "")
        if self._tickets.get(ticket, True):
            return web.Response(status=403, text="the ticket is unknown or was used")
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503, text="try again")
        self._tickets[ticket] = True
        ws = web.WebSocketResponse(autoping=False, autoclose=False, timeout=0.2, max_msg_size=1 << 20)
        await ws.prepare(http)
        self.opened += 1
        connection = Connection(self.opened, ws, http, frozen=self.freeze_new)
        if len(self.connections) >= MOST_CONNECTIONS:
            await self._tell(connection, _disconnect("too_many_websockets"))
            await ws.close()
            return ws
        self.connections.append(connection)
        await self._tell(connection, self._hello())
        self.world.changed()
        pings = asyncio.create_task(self._ping(connection))
        try:
            await self._listen(connection)
        finally:
            pings.cancel()
            self.connections.remove(connection)
            self.world.changed()
        return ws

    def _hello(self) -> Json:
        debug = {"host": "applink-fake", "build_number": 54, "approximate_connection_time": 3600}
        return {
            "type": "hello",
            "connection_info": {"app_id": self.world.app_id},
            "num_connections": len(self.connections),
            "debug_info": debug,
        }

    async def _ping(self, connection: Connection) -> None:
        while True:
            await asyncio.sleep(self.ping_interval)
            if not connection.frozen:
                with suppress(ConnectionError):
                    await connection.ws.ping(b"Ping from applink-fake")

    async def _listen(self, connection: Connection) -> None:
        ws = connection.ws
        while True:
            message = await ws.receive()
            if message.type in {WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR}:
                return
            if connection.frozen:
                if message.type is WSMsgType.CLOSE:
                    # Half-open: the goodbye is never answered, only the peer's own timeout ends it.
                    while connection.frozen and connection.http.transport is not None:
                        await asyncio.sleep(0.02)  # aiohttp tells nobody of a lost peer after its CLOSE
                    return
                continue
            if message.type is WSMsgType.PING:
                with suppress(ConnectionError):
                    await ws.pong(message.data)
            elif message.type is WSMsgType.CLOSE:
                await ws.close()
                return
            elif message.type is WSMsgType.TEXT:
                connection.received.append(message.data)
                self._acknowledged(message.data)
            elif message.type is not WSMsgType.PONG:
                self.world.violate("Socket Mode", f"a {message.type.name} frame was sent")

    def _acknowledged(self, data: str) -> None:
        try:
            body = json.loads(data)
        except ValueError:
            self.world.violate("Socket Mode", "an answer that is not JSON")
            return
        if not isinstance(body, dict) or set(body) - {"envelope_id", "payload"}:
            self.world.violate("Socket Mode", f"an answer with other fields than documented: {data[:200]}")
            return
        envelope = next((one for one in self.envelopes if one.id == body.get("envelope_id")), None)
        if envelope is None:
            self.world.violate("Socket Mode", f"acknowledged unknown envelope {body.get('envelope_id')!r}")
            return
        payload = body.get("payload")
        if payload and not envelope.body["accepts_response_payload"]:
            self.world.violate("Socket Mode", f"{envelope.type} takes no payload in its acknowledgement")
        if len(envelope.acks) >= envelope.sent:
            self.world.violate("Socket Mode", f"{envelope.type} acknowledged more often than it was sent")
        latency = asyncio.get_running_loop().time() - envelope.sent_at
        envelope.acks.append(Ack(envelope.id, latency, payload, latency > self.ack_deadline))
        envelope.acked.set()
        self.world.changed()

    def envelope(self, kind: str, payload: Json, accepts: bool, retry: tuple[int, str] | None) -> Envelope:
        body: Json = {"envelope_id": str(uuid.uuid4()), "type": kind, "payload": payload}
        body["accepts_response_payload"] = accepts
        if kind == "events_api":
            body["retry_attempt"], body["retry_reason"] = retry or (0, "")
        envelope = Envelope(body)
        self.envelopes.append(envelope)
        return envelope

    async def deliver(self, envelope: Envelope) -> Ack | None:
        """Send to one of the connections; its acknowledgement, or None when three seconds pass without.

        Raises NoConnection when the app has none.
        """
        if self.held is not None:
            self.held.append(envelope)
            self.world.changed()
        else:
            if self.lateness:
                await asyncio.sleep(self.lateness)
            await self.send(envelope)
        await envelope.on_wire.wait()
        try:
            await asyncio.wait_for(envelope.acked.wait(), self.ack_deadline)
        except TimeoutError:
            return None
        return envelope.acks[0]

    async def send(self, envelope: Envelope) -> None:
        """Put the envelope on the wire, again when it was sent before: each time to the next connection."""
        if not self.connections:
            raise NoConnection
        self._turn += 1
        connection = self.connections[self._turn % len(self.connections)]
        envelope.sent += 1
        envelope.sent_at = asyncio.get_running_loop().time()
        envelope.connections.append(connection.number)
        envelope.on_wire.set()
        await self._tell(connection, envelope.body)

    async def _tell(self, connection: Connection, body: Json) -> None:
        if not connection.frozen and not connection.ws.closed:
            with suppress(ConnectionError):
                await connection.ws.send_str(json.dumps(body))

    async def release(self, reverse: bool) -> None:
        held, self.held = self.held or [], None
        for envelope in reversed(held) if reverse else held:
            await self.send(envelope)

    async def disconnect(self, reason: Reason, grace: float) -> None:
        """Tell every connection to go, and close those still there after `grace` seconds."""
        told = list(self.connections)
        for connection in told:
            await self._tell(connection, _disconnect(reason))
        task = asyncio.create_task(self._close_later(told, grace))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_later(self, told: list[Connection], grace: float) -> None:
        await asyncio.sleep(grace)
        for connection in told:
            if connection in self.connections and not connection.frozen:
                with suppress(ConnectionError):
                    await connection.ws.close()

    def drop(self) -> int:
        """Cut every connection; how many there were."""
        told = list(self.connections)
        for connection in told:
            connection.cut()
        return len(told)

    async def close(self) -> None:
        tasks: list[asyncio.Task[Any]] = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.frozen = False
            with suppress(ConnectionError, asyncio.TimeoutError):
                await asyncio.wait_for(connection.ws.close(code=WSCloseCode.GOING_AWAY), 0.3)
            connection.cut()


def _disconnect(reason: Reason) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-fake"}}
