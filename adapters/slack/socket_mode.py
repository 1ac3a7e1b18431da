"""Socket Mode: one WebSocket at a time, replaced when Slack asks, when it breaks and when it falls silent.

slack_sdk's client keeps one address for all its retries and retries a refused token for ever, so here
each client lives for one connection, and this module decides what follows.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from adapters.slack.incoming import Incoming
from adapters.slack.troubles import Troubles, socket_refused, unreachable
from adapters.slack.web import Refused, TokenDead, Web, library_logger
from bot.ports import Clock, RetryLater

PING = 3.0
"""Seconds between pings; with slack_sdk's default of 10 a dead socket takes up to 20 s to be noticed."""
SILENT = 18.0
"""Seconds without a pong after which a socket is dead, whatever the client says of it."""
OPENING = 8.0
"""Seconds from the handshake to Slack's `hello`."""
RETIRE = 3.0
"""Seconds an old connection stays for what is still being answered on it: Slack's own deadline."""
SHORT_LIVED = 10.0
LONGEST_WAIT = 30.0

log = logging.getLogger("rollcall.slack")


class Connection(SocketModeClient):
    """One WebSocket, which says when it is over instead of replacing itself."""

    def __init__(self, web: Web, app_token: str, ping_interval: float) -> None:
        super().__init__(
            app_token, logger=library_logger(), web_client=web.client, ping_interval=ping_interval
        )
        self.hello = asyncio.Event()
        self.over = asyncio.Event()
        self.reason = "the connection broke"

    async def run_message_listeners(self, message: dict[str, Any], raw_message: str) -> None:
        """`hello` and `disconnect` are ours; the rest is the library's."""
        if message.get("type") == "hello":
            self.hello.set()
        elif message.get("type") == "disconnect":
            self.reason = str(message.get("reason"))
            self.over.set()
        else:
            await super().run_message_listeners(message, raw_message)

    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        """Called by the library when the socket closed, or no pong came for four pings."""
        self.over.set()

    async def until_over(self, silent: float) -> None:
        """Returns when this connection should be replaced."""
        loop = asyncio.get_running_loop()
        pong, heard_at = self.last_ping_pong_time, loop.time()
        while not self.over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), self.ping_interval)
            if self.last_ping_pong_time != pong:
                pong, heard_at = self.last_ping_pong_time, loop.time()
            elif loop.time() - heard_at > silent:
                self.reason = "no pong came"
                return

    async def shut(self) -> None:
        """Close in a bounded time; a half-open peer never answers the goodbye."""
        self.closed = True
        tasks = [self.message_processor, self.current_session_monitor, self.message_receiver]
        ending = [task for task in tasks if task is not None]
        for task in ending:
            task.cancel()
        # They go first: closing a session on which somebody still receives takes its whole time.
        await asyncio.gather(*ending, return_exceptions=True)
        try:
            if self.current_session is not None:
                async with asyncio.timeout(1):
                    await self.current_session.close()
        except (TimeoutError, aiohttp.ClientError, OSError) as problem:
            log.debug("A socket did not close in time: %s", type(problem).__name__)
        finally:
            await self.aiohttp_client_session.close()


class SocketMode:
    """Keeps one connection open for as long as it runs."""

    def __init__(
        self,
        web: Web,
        app_token: str,
        incoming: Incoming,
        clock: Clock,
        troubles: Troubles,
        on_gap: Callable[[], None],
        on_return: Callable[[], None],
    ) -> None:
        """`on_gap`: from now on events may be missed; `on_return`: from now on they come again."""
        self._on_gap = on_gap
        self._on_return = on_return
        self._web = web
        self._app_token = app_token
        self._incoming = incoming
        self._clock = clock
        self._troubles = troubles
        self._leaving = False
        self._over = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()

    def leave(self) -> None:
        """Take nothing new from now on; what is in hand can still be answered until `run` is cancelled.

        What comes is not acknowledged, so Slack delivers an event again, and tells who gave a command.
        """
        self._leaving = True

    async def run(self) -> None:
        """Until cancelled, or until Slack refuses the app-level token for good."""
        current: Connection | None = None
        try:
            while True:
                try:
                    fresh = await self._open()
                except TokenDead:
                    return
                if current is not None:
                    self._retire(current, RETIRE)
                else:
                    self._on_return()
                current = fresh
                began = asyncio.get_running_loop().time()
                await current.until_over(SILENT)
                log.info("The socket is replaced: %s", current.reason)
                if current.reason not in {"warning", "refresh_requested"}:
                    self._retire(current, 0.0)
                    current = None
                    self._on_gap()
                if asyncio.get_running_loop().time() - began < SHORT_LIVED:
                    await self._clock.sleep(1.0)
        finally:
            self._over.set()
            if current is not None:
                self._retire(current, 0.0)
            await asyncio.gather(*self._retiring, return_exceptions=True)

    async def _open(self) -> Connection:
        """A connection that has said hello, however long it takes. Raises TokenDead."""
        began, tries = self._clock.now(), 0
        while True:
            tries += 1
            try:
                connection = await self._try()
            except RetryLater as later:
                self._trouble(unreachable(began, "no command arrives."), tries)
                wait = later.after
            except Refused as no:
                self._trouble(socket_refused(no.error), tries=2)
                wait = LONGEST_WAIT
            else:
                self._troubles.clear("socket")
                return connection
            await self._clock.sleep(wait if wait is not None else _backoff(tries))

    def _trouble(self, sentence: str, tries: int) -> None:
        # One try that fails is nothing that anybody should hear of.
        if tries > 1:
            self._troubles.raise_("socket", sentence)

    async def _try(self) -> Connection:
        opened = await self._web.call("apps.connections.open")
        connection = Connection(self._web, self._app_token, PING)
        connection.wss_uri = opened["url"]
        connection.socket_mode_request_listeners.append(self._handle)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(OPENING):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.hello.wait()
        except BaseException as problem:
            await connection.shut()
            if isinstance(problem, TimeoutError | aiohttp.ClientError | OSError):
                raise RetryLater from None
            raise
        return connection

    def _retire(self, connection: Connection, after: float) -> None:
        async def retire() -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), after)
            await connection.shut()

        task = asyncio.create_task(retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _handle(self, client: SocketModeClient, request: SocketModeRequest) -> None:
        if not self._leaving:
            # In hand until its acknowledgement is out: whoever drains waits for that, too.
            await self._incoming.begin(self._answer(client, request))

    async def _answer(self, client: SocketModeClient, request: SocketModeRequest) -> None:
        response = await run_async_bolt_app(self._incoming.app, request)
        try:
            await send_async_response(client, request, response, 0.0)
        except (aiohttp.ClientError, OSError) as problem:
            log.info("An acknowledgement could not be sent: %s", type(problem).__name__)
            await self._incoming.unsent(request.payload, response)


def _backoff(tries: int) -> float:
    """1 s, 2 s, 4 s … up to half a minute, each shortened by up to a half so that replicas spread."""
    return min(LONGEST_WAIT, 2.0 ** min(tries - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
