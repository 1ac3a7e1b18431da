"""One connection: uvicorn's with httptools, with bounds on what it may take, and problems as errors."""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.http.exchange import problem_answer
from adapters.http.problems import Problem
from adapters.http.refusals import TRY_AGAIN

HEAD_WITHIN = 10.0
"""Seconds in which the head of a request must have come, once the connection or the head has begun."""
LARGEST_HEAD = 32 * 1024


class Protocol(HttpToolsProtocol):
    """httptools with bounds on the head of a request, in size and in time, and problems as errors."""

    _head = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is closed."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_WITHIN, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._be_patient_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A head is kept in memory until it is complete: see how much there is of it, and since when."""
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope:
            self._head = 0
            if self._patience is not None:
                self._be_patient_no_longer()
            return
        self._head += len(data)
        if self._head > LARGEST_HEAD:
            self._refuse(Problem("head_too_large", f"The head may have at most {LARGEST_HEAD} bytes."))
        elif self._patience is None:
            self._patience = self.loop.call_later(HEAD_WITHIN, self._head_is_late)

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

    def _be_patient_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _head_is_late(self) -> None:
        self._patience = None
        self._refuse(Problem("timeout", f"The request did not arrive within {HEAD_WITHIN:.0f} s."))

    def _refuse(self, problem: Problem) -> None:
        """Answer below ASGI, where no request is known, and close."""
        if self.transport.is_closing():
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
