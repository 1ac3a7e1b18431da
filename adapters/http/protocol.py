"""One connection: uvicorn's with httptools, with bounds on what it may take, and problems as errors."""

import asyncio
import resource
from http import HTTPStatus

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from adapters.http.exchange import problem_answer
from adapters.http.problems import Problem
from adapters.http.refusals import TRY_AGAIN, WORTH_DROPPING

HEAD_WITHIN = 10.0
"""Seconds in which the head of a request must have come, once the connection or the head has begun."""
REST_WITHIN = 10.0
"""Seconds in which the rest of a body must have come that is dropped, because it was answered already."""
READ_WITHIN = 30.0
"""Seconds in which what was answered must have been read, once the system's own buffers are full of it."""
LARGEST_HEAD = 32 * 1024
PIECE = 4096
"""Bytes the parser is given at once: it does not tell where in them a message ended and a head began."""
NO_FIELDS = 64
"""Bytes of a head beside its address and fields: method, version, ends of lines."""
MOST_WAITING = 100
"""Requests on one connection that were sent before the one ahead of them was answered."""
MOST_CONNECTIONS = 12_000
"""Some 10 kB each."""
FOR_STREAMS = 0.9
"""The share of them that may follow events, so that there is always room for who asks."""
OTHER_FILES = 124
"""Of the files a process may open, those that are not for connections: the usual 1,024 leave 900."""


def most_connections() -> int:
    """How many connections may be open at once: 12,000, or what the limit of open files leaves. Above that
    even accepting fails, for everybody and for the database's files too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, files - OTHER_FILES)


def most_streams() -> int:
    """How many of them may follow events at once."""
    return int(most_connections() * FOR_STREAMS)


CONNECTION = "connection"
"""Where a request's `state` has its connection, for streams."""


class Protocol(HttpToolsProtocol):
    """httptools with bounds on the head of a request, in size and in time, on how long an answer may wait
    to be read, and problems as errors."""

    _head = 0
    """Bytes that have come of a head that is not complete, with those before it in its first piece."""
    _fields = 0
    """Bytes of the address and header fields that were read, trailers too."""
    _rest = 0
    """Bytes of a request that came after its answer."""
    _patience: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None
    """The request whose turn it is, or was; `cycle` is the newest that has come."""
    _gone: asyncio.Future[None] | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is closed, and one too many at once."""
        super().connection_made(transport)
        self.app_state = {CONNECTION: self}
        # `pause_writing` comes with the first byte the system does not take: also closing waits for those.
        transport.set_write_buffer_limits(high=0)
        if len(self.connections) > most_connections():
            sentence = "Rollcall has as many connections as it can keep. Close idle ones, or try again."
            self._refuse(Problem("unavailable", sentence, headers=[(b"retry-after", TRY_AGAIN)]))
            return
        self._patience = self.loop.call_later(HEAD_WITHIN, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._be_patient_no_longer()
        self._was_read()
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True  # uvicorn tells only the newest, of which it may be ahead
        super().connection_lost(exc)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    async def until_lost(self) -> None:
        """Returns when the connection is no more. uvicorn tells only the newest request on it."""
        if self in self.connections:
            self._gone = self.loop.create_future()
            await self._gone

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """Answers wait to be read. No key is needed to let them wait, so it is not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(READ_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        """All that was answered is on its way."""
        self._was_read()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """A head is kept in memory until it is complete: see how much there is of it, and since when."""
        if len(data) > PIECE:
            for begin in range(0, len(data), PIECE):
                if not self.transport.is_closing():
                    self.data_received(data[begin : begin + PIECE])
            return
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope:
            if cycle.response_complete:
                self._came_after_the_answer(len(data), cycle.more_body)
            elif self._patience is not None:
                self._be_patient_no_longer()
            return
        self._head += len(data)
        if self._head > LARGEST_HEAD + NO_FIELDS + PIECE:
            self._refuse(_too_large())
        elif self._patience is None:
            self._patience = self.loop.call_later(HEAD_WITHIN, self._head_is_late)

    def on_message_begin(self) -> None:
        """A new head. Each that waits for its turn takes some 2 kB, and one piece may hold thousands."""
        if len(self.pipeline) >= MOST_WAITING:
            sentence = f"At most {MOST_WAITING} requests may wait for their turn on one connection."
            self._refuse(Problem("bad_request", sentence))
            raise ValueError("too many requests at once")
        super().on_message_begin()
        self._head = self._fields = self._rest = 0
        if self._patience is not None:
            self._be_patient_no_longer()

    def on_url(self, url: bytes) -> None:
        """The address, or the next piece of it."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field more. Trailers are dropped: among the head's fields they would count as a key or an
        ETag that no proxy has seen (RFC 9110, 6.5.1)."""
        self._count(len(name) + len(value) + 4)
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        """A head that comes in one piece is complete when `data_received` could look at it."""
        self._fields += size
        if self._fields > LARGEST_HEAD:
            self._refuse(_too_large())
            raise ValueError("head too large")

    def on_message_complete(self) -> None:
        """The request is whole, also where its answer did not wait for that."""
        super().on_message_complete()
        self.cycle.more_body = False

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets a problem too."""
        self._refuse(Problem("bad_request", "This is not HTTP/1.1 as RFC 9112 has it."))

    def give_up(self) -> None:
        """Leaving, and the request in hand is not finished: say so, and close. Whoever does not even
        read what was answered before is not told."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        sentence = "Rollcall is stopping, and this was not finished in time. Send it again in a moment."
        self._refuse(Problem("unavailable", sentence, headers=[(b"retry-after", TRY_AGAIN)]))

    def _came_after_the_answer(self, size: int, more_body: bool) -> None:
        """The rest of an answered request, or an empty line: uvicorn has ended its wait for idle
        connections, and begins it again only after an answer, so these would stay for ever."""
        if self.transport.is_closing():
            return
        self._rest += size
        if self._rest > WORTH_DROPPING:
            self.transport.close()
        elif not more_body:
            self._be_patient_no_longer()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif self._patience is None:
            self._patience = self.loop.call_later(REST_WITHIN, self.transport.close)

    def _be_patient_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _was_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _head_is_late(self) -> None:
        self._patience = None
        self._refuse(Problem("timeout", f"The request did not arrive within {HEAD_WITHIN:.0f} s."))

    def _refuse(self, problem: Problem) -> None:
        """Answer below ASGI, where no request is known, and close. What was answered already is only
        closed: another answer would be taken for that of the next request. So is what is being answered,
        as every stream is: it would stand in the middle."""
        if self.transport.is_closing():
            return
        cycle, answering = self.cycle, self._answering
        if answering is not None and answering.response_started and not answering.response_complete:
            self.transport.close()
            return
        if cycle is not None and cycle.scope is self.scope and cycle.response_complete:
            self.transport.close()
            return
        answer = problem_answer(problem, "none")
        headers = [
            *answer.headers,
            (b"content-length", str(len(answer.body)).encode()),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        status = b"HTTP/1.1 %d %b\r\n" % (answer.status, HTTPStatus(answer.status).phrase.encode())
        self.transport.write(status + head + b"\r\n" + answer.body)
        self.transport.close()


def _too_large() -> Problem:
    return Problem("head_too_large", f"The head may have at most {LARGEST_HEAD} bytes.")
