"""Calls to Slack's Web API: one place that obeys Retry-After, stops at a dead token, and sorts errors.

slack_sdk's AsyncRateLimitErrorRetryHandler is not used: it sleeps inside the call, so one slow notice
would hold its caller for minutes, and the next call of the same method would not know.
"""

import logging
import re
from collections.abc import Callable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity import wait_exponential_jitter as growing

from bot.ports import Clock, RetryLater

SLACK = "https://slack.com/api/"
DEAD = frozenset(
    ["account_inactive", "app_uninstalled", "invalid_auth", "not_authed", "token_expired", "token_revoked"]
)
"""Errors after which no call with that token can ever work again."""
_PASSING = frozenset(
    ["fatal_error", "internal_error", "ratelimited", "request_timeout", "service_unavailable"]
)
_READS = frozenset(["users.info", "users.getPresence", "dnd.teamInfo"])
"""Methods that take no JSON (their pages at docs.slack.dev/reference/methods)."""
_SECRET = re.compile(
    r"xox[a-z]-[\w.-]+|xapp-[\w-]+|(?<=ticket=)[\w%-]+|https?://[\w.:-]+/(?:commands|actions)/\S+"
)
LONGEST_WAIT = 60.0

log = logging.getLogger("rollcall.slack")


class TokenDead(Exception):
    """Slack refuses the token for good, by `error`; nothing was or will be sent with it."""

    def __init__(self, error: str) -> None:
        super().__init__(f"the token is refused: {error}")
        self.error = error


class Refused(Exception):
    """Slack understood and said no, by `error`; `needed` names scopes that are missing."""

    def __init__(self, error: str, needed: str = "") -> None:
        super().__init__(f"Slack answered {error}")
        self.error = error
        self.needed = needed


class Redacted(logging.Filter):
    """Takes tokens, socket tickets and response URLs out of what Slack's libraries log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _SECRET.sub("[secret]", record.getMessage()), None
        if record.exc_info and record.exc_info[1] is not None:
            record.msg += f" ({type(record.exc_info[1]).__name__})"
            record.exc_info = record.exc_text = None
        return True


def library_logger() -> logging.Logger:
    """The logger handed to Slack's libraries: redacted, and quiet about what Rollcall mends by itself."""
    logger = logging.getLogger("rollcall.slack.library")
    if not any(isinstance(one, Redacted) for one in logger.filters):
        logger.addFilter(Redacted())
        logger.setLevel(logging.WARNING)
    return logger


class Web:
    """Slack's Web API with one token."""

    def __init__(
        self, client: AsyncWebClient, clock: Clock, on_dead: Callable[[str], None] = lambda error: None
    ) -> None:
        """`on_dead` is told once, when Slack first refuses the token for good."""
        self.client = client
        self._clock = clock
        self._on_dead = on_dead
        self._dead: str | None = None
        self._not_before: dict[str, float] = {}

    async def call(self, method: str, **arguments: Any) -> AsyncSlackResponse:
        """One call. Raises TokenDead, Refused, or RetryLater when Slack can't take it now.

        While a Retry-After of that method has not passed, it raises RetryLater without calling.
        """
        if self._dead is not None:
            raise TokenDead(self._dead)
        left = self._not_before.get(method, 0.0) - self._clock.monotonic()
        if left > 0:
            raise RetryLater(left)
        try:
            if method in _READS:
                return await self.client.api_call(method, http_verb="GET", params=arguments)
            return await self.client.api_call(method, json=arguments)
        except SlackApiError as problem:
            raise self._sorted(method, problem.response) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, AttributeError) as problem:
            # AttributeError: slack_sdk reads a 200 with a text body as if it were JSON.
            log.debug("%s did not come through: %s", method, type(problem).__name__)
            raise RetryLater from None

    async def patiently(
        self,
        method: str,
        within: float | None = None,
        before_sleep: Callable[[RetryCallState], None] | None = None,
        **arguments: Any,
    ) -> AsyncSlackResponse:
        """Calls until it comes through; RetryLater where the next wait would end after `within` seconds
        (None: it never does)."""
        began = self._clock.monotonic()

        def too_long(state: RetryCallState) -> bool:
            return within is not None and self._clock.monotonic() - began + state.upcoming_sleep > within

        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(RetryLater),
            wait=wait_as_told,
            stop=too_long,
            sleep=self._clock.sleep,
            before_sleep=before_sleep,
            reraise=True,
        ):
            with attempt:
                return await self.call(method, **arguments)
        raise RetryLater  # pragma: no cover  # tenacity raises the last error itself

    def _sorted(self, method: str, response: Any) -> Exception:
        status = getattr(response, "status_code", None) or getattr(response, "status", 0)
        data = getattr(response, "data", None)
        said = data if isinstance(data, dict) else {}
        # It goes into logs and banners, and some proxies quote what they were sent.
        error = _SECRET.sub("[secret]", str(said.get("error") or f"HTTP {status}"))[:100]
        if status == 429 or error == "ratelimited":
            after = _seconds(response.headers.get("Retry-After"))
            self._not_before[method] = self._clock.monotonic() + after
            log.warning("Slack asks to wait %.0f s before the next %s", after, method)
            return RetryLater(after)
        if error in DEAD:
            self.give_up(error)
            return TokenDead(error)
        if status != 200 or error in _PASSING:
            log.info("%s was not taken: %s", method, error)
            return RetryLater()
        return Refused(error, str(said.get("needed", "")))

    def give_up(self, error: str) -> None:
        """No further call is made with this token."""
        if self._dead is None:
            self._dead = error
            self._on_dead(error)


def wait_as_told(state: RetryCallState) -> float:
    """What Slack said; else 1 s, 2 s, 4 s … up to a minute, with jitter."""
    problem = state.outcome.exception() if state.outcome else None
    told = problem.after if isinstance(problem, RetryLater) else None
    return told if told is not None else growing(initial=1, max=LONGEST_WAIT, jitter=1)(state)


def _seconds(header: str | None) -> float:
    try:
        return max(1.0, float(header or ""))
    except ValueError:
        return 30.0
