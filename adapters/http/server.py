"""The HTTP server: its own socket, uvicorn with httptools, the keys kept fresh, and an orderly way out.

Signals are not uvicorn's here: the program decides when to leave, and says so by `stop`.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import uvicorn

from adapters.http.app import Front
from adapters.http.door import Door
from adapters.http.protocol import Protocol
from bot.core import Rollcall
from bot.domain.errors import RollcallError
from bot.ports import AsgiApp

log = logging.getLogger("rollcall.http")
FINISH_WITHIN = 5
"""Seconds for requests in hand when leaving; the rest of the program has to leave within 10 s too."""
CANCEL_AFTER = 1
"""Seconds after that until what still runs is cancelled, though nobody waits for it any more."""
KEEP_ALIVE = 75
"""Seconds an idle connection stays: longer than the 60 s of common proxies, so that they close it first."""


class CannotListen(RollcallError):
    """The address of `[http]` can't be used."""

    code = "cannot_listen"


class HttpServer:
    """The API of a core, with the chat platforms' own paths. Bind, run, stop; each once."""

    def __init__(
        self,
        core: Rollcall,
        mounts: Mapping[str, AsgiApp],
        further: Sequence[tuple[Rollcall, Mapping[str, AsgiApp]]] = (),
    ) -> None:
        """`further`: more organizations, each with its platforms' paths."""
        self._table = core.config.http
        self.app = Front(core, mounts)
        """The first organization's."""
        self.fronts = [self.app, *(Front(one, paths, self.app) for one, paths in further)]
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
        for front in self.fronts:
            await front.access.refresh()
            await front.stream.begin()

    @property
    def address(self) -> str:
        """Where it listens, such as `http://127.0.0.1:8080`; the port is known also if 0 was asked for."""
        if self._socket is None:
            raise RuntimeError("bind first")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self) -> None:
        """Serve until `stop` is called or this is cancelled; leaves within `FINISH_WITHIN`, `CANCEL_AFTER`
        and a bit."""
        if self._socket is None:
            await self.bind()
        opened = self._socket
        assert opened is not None
        config = uvicorn.Config(
            self.app if len(self.fronts) == 1 else Door(self.fronts),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=FINISH_WITHIN + CANCEL_AFTER,
        )
        server = self._server = _Server(config)
        if self.app.health.stopping:
            server.should_exit = True
        beside = [
            asyncio.create_task(work, name=name)
            for front in self.fronts
            for name, work in (
                ("keys", front.access.keep_fresh()),
                ("events", front.stream.publisher.run()),
                ("heartbeats", front.stream.pulse()),
            )
        ]
        serving = asyncio.create_task(server.serve(sockets=[opened]), name="uvicorn")
        log.info("listening", extra={"address": self.address})
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._begin_to_leave()
            await serving
            raise
        finally:
            for task in beside:
                task.cancel()
            for task in beside:
                with suppress(asyncio.CancelledError):
                    await task
            for front in self.fronts:
                await front.access.note_use()
            self._stopped.set()

    async def stop(self) -> None:
        """Not ready from now on; returns when requests in hand are answered, or their time is over."""
        self._begin_to_leave()
        if self._server is not None:
            await self._stopped.wait()
        elif self._socket is not None:
            self._socket.close()

    def _begin_to_leave(self) -> None:
        if not self.app.health.stopping:
            self.app.health.stopping = True
            for front in self.fronts:
                front.stream.leave()
        if self._server is not None:
            self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its signals, and with a last word to whoever waits for an answer when it leaves."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The program has its own."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in hand; what is not finished in time is told so before it is hung up on."""
        last_word = asyncio.get_running_loop().call_later(FINISH_WITHIN, self._give_up)
        try:
            await super().shutdown(sockets)
        finally:
            last_word.cancel()

    def _give_up(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol):
                connection.give_up()
