"""Which pages' scripts may ask in a browser (CORS): those of the origins that the configuration names.

Not by Starlette's middleware: it would stand around every request, the hot route and the stream too, and
answer preflights for the chat platforms' own addresses. Here each answer's own headers say it, in the one
place where all of them are made. Browsers never send cookies or log in here: there is nothing to send.
"""

from collections.abc import Collection

from adapters.http.exchange import NO_STORE, Answer, Headers

ASKED_WITH = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id"
)
SHOWN = b"ETag, Location, RateLimit, Retry-After, X-Request-Id"
"""Headers of answers that scripts may read, beside those they always may."""
REMEMBERED = b"600"
"""Seconds for which a browser need not ask again."""
VARY = (b"vary", b"Origin")


class Origins:
    """The origins that may ask."""

    def __init__(self, named: Collection[str]) -> None:
        self._named = frozenset(origin.encode() for origin in named)
        self.any = bool(named)

    def headers(self, origin: bytes | None) -> Headers:
        """What every answer says to a request from there; nothing where no origin is named at all."""
        if not self.any:
            return []
        if origin not in self._named or origin is None:
            return [VARY]
        return [VARY, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", SHOWN)]

    def preflight(self, origin: bytes | None, allowed: bytes) -> Answer | None:
        """What a browser is told before it lets a script ask; None: not a page that may."""
        if origin not in self._named or not allowed:
            return None
        headers = [
            NO_STORE,
            (b"access-control-allow-methods", allowed),
            (b"access-control-allow-headers", ASKED_WITH),
            (b"access-control-max-age", REMEMBERED),
        ]
        return Answer(204, headers, b"")
