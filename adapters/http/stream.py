"""`GET /v1/events`: every change in order, as a stream (SSE) or, with `after`, a page at a time.

Each event is encoded once. One broadcaster writes the same bytes to every connection, below ASGI: it has to
know how much a connection has waiting, and ten thousand coroutines would cost more than the writing. Who
begins somewhere in the past is first brought to the present at their own pace, from memory or the database.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence

import msgspec

from adapters.http.access import Access
from adapters.http.documents import EventBody, EventPage, Sight, encode
from adapters.http.exchange import NO_STORE, Answer, Asked, Scope, Send, document_answer, own_headers
from adapters.http.incoming import query_of, whole_number
from adapters.http.problems import Fault, Problem, bad_value
from adapters.http.protocol import CONNECTION, Protocol, most_streams
from adapters.http.recent import KEPT, Recent, at_once
from adapters.http.refusals import TRY_AGAIN, forbid_unless
from adapters.http.sight import event_seen, sight_of
from bot.core import Rollcall
from bot.domain.errors import Unavailable
from bot.domain.events import Event
from bot.ports import ApiKey
from bot.publishing import Placed, Publisher

log = logging.getLogger("rollcall.http")
PATH = "/v1/events"
PARAMETERS = ("after", "limit")
MEDIA_TYPE = b"text/event-stream"
DEFAULT_LIMIT, LARGEST_PAGE = 100, 500
MOST_WAITING = 256 * 1024
"""Bytes that may wait for one connection (row 27)."""
LAST_WORDS = 256
"""Bytes of these that are kept free for the end of a stream."""
STALLED = 30.0
"""Seconds for one piece to be taken by who catches up."""
FLUSH_WITHIN = 5.0
"""Seconds in which the last words of a stream must have been taken; then the connection is cut."""
READERS = 4
"""Who catches up out of the database at the same time."""
AT_ONCE = 200
"""Connections written to before others get their turn: some 2 ms."""
NOWHERE = -1
"""A position that there never was."""
LOOK, BEAT = 3.0, 5
"""Seconds between looks whether keys still count, and looks between heartbeats, which so come every 15 s."""


class Stream:
    """Who follows, and what they are sent."""

    def __init__(self, core: Rollcall, access: Access) -> None:
        self._core = core
        self._access = access
        self.publisher = Publisher(core, self._publish)
        self.recent = Recent()
        self._open: dict[Protocol, ApiKey] = {}
        """Every stream; of these some are `_live`, the others catch up."""
        self._live: dict[Protocol, Sight | None] = {}
        """With what each sees; None: everything."""
        self._told_up_to = 0
        """All who are live were told everything up to this position."""
        self._readers = asyncio.Semaphore(READERS)
        self._leaving = False
        self.sharing = 1
        """Organizations among which the room for streams is divided, so that none takes another's."""
        self.dropped = 0
        """Streams that were ended because too much waited for them."""

    @property
    def listeners(self) -> int:
        """Streams that are open."""
        return len(self._open)

    # --- asked ---

    async def serve(self, scope: Scope, send: Send, asked: Asked) -> Answer | None:
        """A page to be sent; None: it was a stream, and it is over."""
        forbid_unless(asked, "read")
        query = query_of(scope["query_string"], PARAMETERS)
        if query:
            return await self._page(query, asked)
        if asked.method == "HEAD":
            await send(_head(asked))
            await send({"type": "http.response.body", "body": b""})
            return None
        if scope["http_version"] == "1.0":
            sentence = "A stream of events needs HTTP/1.1, for its pieces. Read pages with after instead."
            raise Problem("bad_request", sentence)
        name = _last_event_id(scope)
        position = self.recent.head if name is None else await self._position(name)
        if self._leaving:
            raise _refused("Rollcall is stopping. Follow the events again in a moment.")
        if len(self._open) >= most_streams() // self.sharing:
            raise _refused("As many follow the events as can be kept. Read pages with after, or try again.")
        connection: Protocol = scope["state"][CONNECTION]
        await send(_head(asked))
        key = asked.key
        assert key is not None  # it has the scope
        self._open[connection] = key
        try:
            if self._leaving:  # since it was let in
                self._send_away(connection)
                await connection.until_lost()
            else:
                await self._follow(connection, send, position, sight_of(self._core, key))
        finally:
            self._open.pop(connection, None)
            self._live.pop(connection, None)
        return None

    async def _page(self, query: dict[str, list[str]], asked: Asked) -> Answer:
        limit = whole_number(
            query.get("limit", [str(DEFAULT_LIMIT)])[0], "limit", 1, LARGEST_PAGE, str(DEFAULT_LIMIT)
        )
        if "after" not in query:
            rule = "given with limit: the position behind which the page begins, or nothing for the oldest"
            raise bad_value("after", rule, where="query")
        name = query["after"][0]
        position = self.publisher.position_of(name) if name else None
        if name and position is None:
            page = await self.publisher.page(NOWHERE, limit)
        else:
            page = await self.publisher.page(position, limit)
        seen = await self._seen(page.events, sight_of(self._core, asked.key))
        bodies = tuple(self._body(placed) for placed in seen)
        last = self.publisher.name_of(page.last)
        return document_answer(encode(EventPage(bodies, last, page.more, page.missed)), asked)

    async def _position(self, name: str) -> int | None:
        """The position that a client had reached; None: not one that it can go on from."""
        position = self.publisher.position_of(name)
        if position is not None and position > self.recent.head:
            await self.publisher.publish()  # a page told it before it was handed on
        return position if position is not None and position <= self.recent.head else None

    # --- following ---

    async def _follow(
        self, connection: Protocol, send: Send, position: int | None, sight: Sight | None
    ) -> None:
        """Bring a stream to the present, then leave it to the broadcaster until the connection is lost."""
        try:
            piece = await self._caught_up(connection, send, position, sight)
        except (TimeoutError, Unavailable):
            # Nothing is lost: it goes on from the last event that it has.
            connection.transport.abort()
            return
        except Exception:  # the answer has begun: it can't be told any more
            log.exception("events can't be sent")
            connection.transport.abort()
            return
        if piece is not None and connection in self._open:  # not ended while it was looked up who is seen
            connection.transport.write(_chunk(piece))
            self._live[connection] = sight
        await connection.until_lost()

    async def _caught_up(
        self, connection: Protocol, send: Send, position: int | None, sight: Sight | None
    ) -> bytes | None:
        """Send what came behind a position, but for the last piece: that is answered, so that it is sent and
        the stream is live with nothing in between. None: the stream was ended meanwhile."""
        recent = self.recent
        if position is None:
            position = recent.head
            piece = self._reset(position, "unknown")
        else:
            piece = b"retry: 2000\nid: %b\n\n" % self.publisher.name_of(position).encode()
        while True:
            async with asyncio.timeout(STALLED):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if connection not in self._open or connection.transport.is_closing():
                return None
            if position < recent.floor:
                piece, position = await self._read(position, sight)
                continue
            if sight is None:
                piece, position = recent.behind(position)
            else:
                events = recent.events_behind(position)
                position = events[-1][0] if events else position
                piece = await self._frames_seen(events, sight)
            if position >= recent.head:
                return piece

    async def _read(self, position: int, sight: Sight | None) -> tuple[bytes, int]:
        """Some of what came behind a position that memory does not reach back to."""
        async with self._readers:
            page = await self.publisher.page(position, DEFAULT_LIMIT)
        if page.missed:
            head = self.recent.head
            return self._reset(head, "forgotten"), head
        # From `floor` on memory has everything, and the database perhaps what is yet to be handed on.
        floor = self.recent.floor
        older = [placed for placed in page.events if placed[0] <= floor]
        if not older:
            return b"", floor
        frames = list(map(self._frame, older))
        count = at_once(frames)
        last = older[count - 1][0]
        if sight is None:
            return b"".join(frames[:count]), last
        return await self._frames_seen(older[:count], sight), last

    # --- broadcasting ---

    async def begin(self) -> None:
        """Know the newest events. Raises Unavailable."""
        found = await self.publisher.begin(KEPT)
        self.recent.begin(found[0][0] - 1 if found else self.publisher.head)
        if found:
            self.recent.add(found, list(map(self._frame, found)))
        self._told_up_to = self.recent.head

    async def _publish(self, placed: Sequence[Placed]) -> None:
        frames = list(map(self._frame, placed))
        while frames:
            count = at_once(frames)
            await self._hand_on(placed[:count], frames[:count])
            placed, frames = placed[count:], frames[count:]
            if frames:
                await asyncio.sleep(0)  # what the system did not take at once, it may take now

    async def _hand_on(self, placed: Sequence[Placed], frames: Sequence[bytes]) -> None:
        """One piece to all who are live."""
        for connection, seen in self._live.items():
            if seen is not None:  # a team's slug may be another by now
                self._live[connection] = sight_of(self._core, self._open[connection])
        some: dict[Sight, bytes] = {}
        while missing := {sight for sight in self._live.values() if sight is not None} - some.keys():
            for sight in missing:
                try:
                    some[sight] = await self._frames_seen(placed, sight)
                except Unavailable:  # they come back and read it, and so miss nothing
                    for connection in [one for one, seen in self._live.items() if seen == sight]:
                        self._end(connection, b": come back\n\n")
        # Nothing is waited for from here on, so that whoever is not live yet finds it in `recent`.
        self.recent.add(placed, frames)
        await self._tell(b"".join(frames), self._live, some)
        self._told_up_to = placed[-1][0]

    async def pulse(self) -> None:
        """Heartbeats, and an end to streams whose key counts no longer; until cancelled."""
        looks = 0
        while True:
            await self._core.clock.sleep(LOOK)
            now = self._core.clock.now()
            for connection, key in list(self._open.items()):
                if not self._access.still(key, "read", now):
                    self._end(connection, b": the key counts no longer\n\n")
            looks += 1
            if looks % BEAT == 0:
                self._mark()
                await self._tell(b":\n\n", self._open, {})

    def _mark(self) -> None:
        """Who sees only some teams is told how far they are: where little of it is theirs, the last event
        they have would be forgotten one day."""
        if self._told_up_to != self.recent.head:
            return  # events are on their way
        mark = _chunk(b"id: %b\n\n" % self.publisher.name_of(self._told_up_to).encode())
        for connection, sight in self._live.items():
            if sight is not None and not connection.transport.is_closing():
                connection.transport.write(mark)

    async def _tell(
        self, said: bytes, listeners: Mapping[Protocol, object], some: Mapping[Sight, bytes]
    ) -> None:
        """Write to all who are among these by now; who joins the live ones meanwhile has it already. `some`:
        what is said to who sees only that, where it is something else."""
        whole = _chunk(said)
        parts = {sight: _chunk(part) for sight, part in some.items()}
        for number, connection in enumerate(list(listeners), 1):
            transport, sight = connection.transport, self._live.get(connection)
            chunk = whole if sight is None else parts.get(sight, whole)
            room = MOST_WAITING - LAST_WORDS - len(chunk)
            if chunk and connection in listeners and not transport.is_closing():
                if transport.get_write_buffer_size() > room:
                    self.dropped += 1
                    self._end(connection, self._reset(self.recent.head, "slow"))
                else:
                    transport.write(chunk)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def leave(self) -> None:
        """Tell every stream to come back, not all at the same moment, and end it."""
        self._leaving = True
        for connection in list(self._open):
            self._send_away(connection)

    def _send_away(self, connection: Protocol) -> None:
        wait = random.randint(1000, 5000)  # noqa: S311  # spreads, and hides nothing
        self._end(connection, b"retry: %d\n: Rollcall is stopping; come back\n\n" % wait)

    def _end(self, connection: Protocol, said: bytes) -> None:
        """Last words, and the end of the answer. Who does not take them is cut off after a while."""
        self._open.pop(connection, None)
        self._live.pop(connection, None)
        transport = connection.transport
        if transport.is_closing():
            return
        transport.write(_chunk(said) + b"0\r\n\r\n")
        transport.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(FLUSH_WITHIN, transport.abort)

    # --- who sees what ---

    async def _frames_seen(self, placed: Sequence[Placed], sight: Sight | None) -> bytes:
        return b"".join(map(self._frame, await self._seen(placed, sight)))

    async def _seen(self, placed: Sequence[Placed], sight: Sight | None) -> Sequence[Placed]:
        """Those that are told to who sees so much, as they are told to them. Raises Unavailable."""
        if sight is None:
            return placed
        roster = self._core.roster
        agents = {event.agent_id: roster.agent(event.agent_id) for _, event in placed if event.agent_id}
        absent = [agent_id for agent_id, agent in agents.items() if agent is None]
        if absent:  # removed, or new in this very moment
            agents |= await self._core.store.read(
                lambda tx: {agent_id: tx.members.agent(agent_id) for agent_id in absent}
            )
        shown = (
            (position, event_seen(self._core, event, agents.get(event.agent_id or ""), sight))
            for position, event in placed
        )
        return [(position, event) for position, event in shown if event is not None]

    # --- as it is sent ---

    def _body(self, placed: Placed) -> EventBody:
        position, event = placed
        return body_of(self.publisher.name_of(position), event)

    def _frame(self, placed: Placed) -> bytes:
        body = self._body(placed)
        data = msgspec.json.encode(body)
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (body.position.encode(), body.type.encode(), data)

    def _reset(self, position: int, why: str) -> bytes:
        name = self.publisher.name_of(position).encode()
        return b'id: %b\nevent: reset\ndata: {"position":"%b","reason":"%b"}\n\n' % (name, name, why.encode())


def _last_event_id(scope: Scope) -> str | None:
    """The position that a client names. Raises Problem where it names several."""
    names: list[bytes] = [value for name, value in scope["headers"] if name == b"last-event-id"]
    if len(names) > 1:
        raise Problem(
            "bad_request",
            "The header Last-Event-ID stands more than once; send it once.",
            [Fault("Last-Event-ID", "given once", "4711", "header")],
        )
    return names[0].decode("latin-1") if names else None


def body_of(position: str, event: Event) -> EventBody:
    """An event as it is told."""
    return EventBody(position, event.id, event.type, event.agent_id, event.at, dict(event.data))


def _chunk(said: bytes) -> bytes:
    """A piece of an answer whose length is not known (RFC 9112, 7.1); none for nothing, that would end it."""
    return b"%x\r\n%b\r\n" % (len(said), said) if said else b""


def _head(asked: Asked) -> dict[str, object]:
    # A proxy that collects what it passes on would keep events back.
    headers = [(b"content-type", MEDIA_TYPE), NO_STORE, (b"x-accel-buffering", b"no"), *own_headers(asked)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _refused(sentence: str) -> Problem:
    return Problem("unavailable", sentence, headers=[(b"retry-after", TRY_AGAIN)])
