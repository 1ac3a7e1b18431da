"""One request on its way, and its answer: ids, the headers every answer carries, how it is sent."""

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from itertools import count
from typing import Any

from adapters.http.documents import Encoded
from adapters.http.limits import Bucket
from adapters.http.problems import MEDIA_TYPE, Problem
from bot.ports import ApiKey

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")
REVALIDATE = (b"cache-control", b"private, no-cache")
"""It may be kept, but is asked for again each time, with If-None-Match."""
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
"""What a browser needs to be told about JSON: don't guess its type."""
NOTHING_RUNS = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""For what may show a person's words or a client's own input: run nothing, frame it nowhere."""
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class RequestIds:
    """Ids of requests: the client's own where it sent a fit one, else a random start and a number."""

    def __init__(self) -> None:
        self._start = os.urandom(6).hex()
        self._numbers = count(1)

    def of(self, given: bytes | None) -> str:
        """The id of one request."""
        if given is not None and _GIVEN_ID.fullmatch(given):
            return given.decode()
        return f"{self._start}-{next(self._numbers)}"


class Asked:
    """What is known of a request before a route sees it."""

    __slots__ = ("bucket", "cors", "if_none_match", "key", "method", "now", "path", "request_id", "route")

    def __init__(self, method: str, path: str, now: datetime) -> None:
        self.method = method
        self.path = path
        self.now = now
        """The instant for which it is answered."""
        self.request_id = ""
        self.if_none_match: bytes | None = None
        self.key: ApiKey | None = None
        self.bucket: Bucket | None = None
        self.cors: Headers = []
        """What browsers are told of other pages' scripts."""
        self.route = "unmatched"
        """The template of its address, for metrics."""


class Answer:
    """A status, headers and a body that is there at once."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def document_answer(encoded: Encoded, asked: Asked) -> Answer:
    """A document as of the request's instant; 304 where the client has it already."""
    headers = [JSON, (b"etag", encoded.etag), REVALIDATE]
    if asked.if_none_match is not None and encoded.matches(asked.if_none_match):
        return Answer(304, headers, b"")
    return Answer(200, headers, encoded.at(asked.now))


def problem_answer(problem: Problem, request_id: str) -> Answer:
    """An error as its document."""
    headers = [(b"content-type", MEDIA_TYPE), NO_STORE, NOTHING_RUNS, *problem.headers]
    return Answer(problem.kind.status, headers, problem.body(request_id))


def own_headers(asked: Asked) -> Headers:
    """The headers of every answer: the request's id, what browsers need, what is left of the limit."""
    headers = [(b"x-request-id", asked.request_id.encode()), NO_SNIFFING]
    bucket = asked.bucket
    if asked.cors:
        headers += asked.cors
    if bucket is not None:
        headers.append((b"ratelimit", b'"key";r=%d;t=%d' % (bucket.tokens, bucket.full_in)))
    return headers


def head_of(answer: Answer, asked: Asked) -> dict[str, object]:
    """The answer's head as ASGI sends it."""
    headers = answer.headers + own_headers(asked)
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


def body_of(answer: Answer, asked: Asked) -> dict[str, object]:
    """The answer's body as ASGI sends it; none to HEAD."""
    return {"type": "http.response.body", "body": b"" if asked.method == "HEAD" else answer.body}
