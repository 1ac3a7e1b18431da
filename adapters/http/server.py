"""The HTTP server: its own socket, uvicorn with httptools, the keys kept fresh, and an orderly way out.

Signals are not uvicorn's here: the program decides when to leave, and says so by `stop`.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.http.app import Front, build_app
from adapters.http.exchange import problem_answer
from adapters.http.problems import Problem
from bot.core import Rollcall
from bot.domain.errors import RollcallError
from bot.ports import AsgiApp

log = logging.getLogger("rollcall.http")
FINISH_WITHIN = 5
"""Seconds for requests in hand when leaving; the rest of the program has to leave within 10 s too."""
HEAD_WITHIN = 10.0
"""Seconds in which the head of the first request on a connection must have come."""
LARGEST_HEAD = 32 * 1024
KEEP_ALIVE = 75
"""Seconds an idle connection stays: longer than the 60 s of common proxies, so that they close it first."""


class CannotListen(RollcallError):
    """The address of `[http]` can't be used."""

    code = "cannot_listen"


class HttpServer:
    """The API of a core, with the chat platforms' own paths. Bind, run, stop; each once."""

    def __init__(self, core: Rollcall, mounts: Mapping[str, AsgiApp]) -> None:
        self._core = core
        self._table = core.config.http
        self.app: Front = build_app(core, mounts)
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._stopped = asyncio.Event()

    async def bind(self) -> None:
        """Take the address, and read the keys. Raises CannotListen and Unavailable."""
        host, port = self._table.host, self._table.port
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            opened = socket.socket(family, kind, protocol)
            try:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind(address)
                opened.listen(2048)
                opened.setblocking(False)
            except OSError:
                opened.close()
                raise
        except OSError as problem:
            raise CannotListen(
                f"Rollcall can't listen on {host}, port {port}: {problem.strerror or problem}. "
                "Set http.host and http.port to an address that is free on this machine.",
                field="http.port",
            ) from None
        self._socket = opened
        await self.app.access.refresh()

    @property
    def address(self) -> str:
        """Where it listens, such as `http://127.0.0.1:8080`; the port is known also if 0 was asked for."""
        if self._socket is None:
            raise RuntimeError("bind first")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self) -> None:
        """Serve until `stop` is called or this is cancelled; leaves within `FINISH_WITHIN` and a bit."""
        if self._socket is None:
            await self.bind()
        opened = self._socket
        assert opened is not None
        config = uvicorn.Config(
            self.app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=FINISH_WITHIN,
        )
        server = self._server = _Server(config)
        if self.app.health.stopping:
            server.should_exit = True
        fresh = asyncio.create_task(self.app.access.keep_fresh(), name="keys")
        serving = asyncio.create_task(server.serve(sockets=[opened]), name="uvicorn")
        log.info("listening", extra={"address": self.address})
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._begin_to_leave()
            await serving
            raise
        finally:
            fresh.cancel()
            with suppress(asyncio.CancelledError):
                await fresh
            await self.app.access.note_use()
            self._stopped.set()

    async def stop(self) -> None:
        """Not ready from now on; returns when requests in hand are answered, or their time is over."""
        self._begin_to_leave()
        if self._server is not None:
            await self._stopped.wait()
        elif self._socket is not None:
            self._socket.close()

    def _begin_to_leave(self) -> None:
        self.app.health.stopping = True
        if self._server is not None:
            self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The program has its own."""
        yield


class _Protocol(HttpToolsProtocol):
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

    def _be_patient_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _head_is_late(self) -> None:
        self._patience = None
        self._refuse(Problem("timeout", f"The request did not arrive within {HEAD_WITHIN:.0f} s."))

    def _refuse(self, problem: Problem) -> None:
        """Answer below ASGI, where there is no request yet, and close."""
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
