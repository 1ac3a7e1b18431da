"""Messages on their way out: direct ones, posts, and answers through a response URL."""

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from adapters.slack.render import Json, Rendered
from adapters.slack.troubles import MESSAGES_TAB_OFF, Troubles, scope_missing
from adapters.slack.web import Refused, TokenDead, Web, wait_as_told
from bot.ports import Clock, RetryLater, Undeliverable

QUIET = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}
"""Slack shall make nothing of the words: docs.slack.dev/messaging/formatting-message-text."""
DEAD_WAIT = 600.0
"""Seconds until a message is tried again while the token is refused: somebody has to act first."""
_SETUP = frozenset(["missing_scope", "not_allowed_token_type", "access_denied", "team_access_not_granted"])
TURN = 4.5
"""Seconds a message waits for those in front of it, before it is tried later: twice this, and two calls of
10 s at most, are less than the 30 s that `bot.notifier` gives one message."""
KEPT = 5000
TRIES = 4
"""Of the five uses a response URL has."""

log = logging.getLogger("rollcall.slack")


class Sending:
    """What one bot token sends."""

    def __init__(
        self, web: Web, clock: Clock, troubles: Troubles, session: Callable[[], aiohttp.ClientSession | None]
    ) -> None:
        self._web = web
        self._clock = clock
        self._troubles = troubles
        self._session = session
        self._channels: OrderedDict[str, str] = OrderedDict()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def direct(self, user_id: str, rendered: Rendered) -> str:
        """The message's id, `channel:ts`. Raises Undeliverable or RetryLater."""
        if user_id not in self._channels:
            opened = await self._delivered("conversations.open", users=user_id)
            self._channels[user_id] = opened["channel"]["id"]
            if len(self._channels) > KEPT:
                self._channels.popitem(last=False)
        return await self.post(self._channels[user_id], rendered)

    async def post(self, channel: str, rendered: Rendered) -> str:
        """The message's id, `channel:ts`. Raises Undeliverable or RetryLater."""
        posted = await self._delivered("chat.postMessage", channel=channel, **rendered.body(), **QUIET)
        return f"{posted['channel']}:{posted['ts']}"

    async def update(self, channel: str, ts: str, rendered: Rendered) -> None:
        """Replace a message of ours; one that is gone stays gone."""
        body = {**rendered.body(), "link_names": False, "parse": "none"}
        try:
            await self._web.patiently("chat.update", 60, channel=channel, ts=ts, **body)
        except (Refused, TokenDead, RetryLater) as problem:
            log.warning("A clicked message could not be changed: %s", problem)

    async def _delivered(self, method: str, **arguments: Any) -> AsyncSlackResponse:
        try:
            # One after the other: a second one under way could not know of the first one's Retry-After.
            async with self._turn(method):
                answer = await self._web.call(method, **arguments)
        except TokenDead:
            raise RetryLater(DEAD_WAIT) from None
        except Refused as no:
            if no.error in _SETUP:
                wanted = no.needed or {"conversations.open": "im:write"}.get(method, "chat:write")
                self._troubles.raise_("sending", scope_missing(wanted, "Rollcall can't write to anybody."))
                raise RetryLater(DEAD_WAIT) from None
            if no.error == "messages_tab_disabled":
                self._troubles.raise_("sending", MESSAGES_TAB_OFF)
            log.warning("%s was refused: %s", method, no.error)
            raise Undeliverable(f"Slack answered {no.error}") from None
        self._troubles.clear("sending")
        return answer

    @asynccontextmanager
    async def _turn(self, method: str) -> AsyncIterator[None]:
        """Raises RetryLater where a Slack that drags keeps those in front too long."""
        turn = self._turns[method]
        try:
            async with asyncio.timeout(TURN):
                await turn.acquire()
        except TimeoutError:
            raise RetryLater from None
        try:
            yield
        finally:
            turn.release()

    async def respond(self, url: str, rendered: Rendered, *, replace: bool = False) -> None:
        """Answer a command or a click after its acknowledgement; tried again while Slack can't take it."""
        body: Json = {**rendered.body(), "response_type": "ephemeral", "replace_original": replace}
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(RetryLater),
                wait=wait_as_told,
                stop=stop_after_attempt(TRIES),
                sleep=self._clock.sleep,
                reraise=True,
            ):
                with attempt:
                    await self._respond(url, body)
        except RetryLater:
            log.warning("An answer did not reach Slack; what was asked for is done.")

    async def _respond(self, url: str, body: Json) -> None:
        session = self._session()
        if session is None:
            raise RetryLater
        try:
            async with session.post(url, json=body, allow_redirects=False) as answer:
                if answer.status == 429:
                    after = answer.headers.get("Retry-After", "")
                    raise RetryLater(float(after) if after.isdigit() else None)
                if answer.status >= 500:
                    raise RetryLater
                if answer.status != 200:
                    log.warning("Slack refused an answer: HTTP %d", answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise RetryLater from None
