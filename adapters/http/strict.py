"""FastAPI made strict: what its routes refuse before it looks, and how they answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from msgspec import Struct
from starlette.requests import ClientDisconnect

from adapters.http import openapi
from adapters.http.documents import encode
from adapters.http.exchange import (
    JSON,
    NO_STORE,
    NOTHING_RUNS,
    Answer,
    Asked,
    document_answer,
    problem_answer,
)
from adapters.http.incoming import LARGEST_BODY, json_of, query_of
from adapters.http.problems import Problem
from adapters.http.refusals import forbid_unless, problem_of, too_large

BODY_WITHIN = 10.0
"""Seconds in which a body must have come."""


class _Read(Request):
    """A request whose body was read and understood before FastAPI looks at it."""

    def __init__(self, request: Request, read: bytes, found: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._read = read
        self._found = found

    async def body(self) -> bytes:
        """The bytes."""
        return self._read

    async def json(self) -> Any:
        """What they say."""
        return self._found


class StrictRoute(APIRoute):
    """Before FastAPI reads anything: the scope, then the names in the query, then the body as JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind our checks."""
        inner = super().get_route_handler()
        needed = openapi.scope_of(self.openapi_extra)
        names = [field.alias for field in self.dependant.query_params]
        several = [f.alias for f in self.dependant.query_params if f.field_info.annotation == list[str]]

        async def handle(request: Request) -> Response:
            asked: Asked = request.scope["rollcall"]
            asked.route = self.path
            forbid_unless(asked, needed)
            query_of(request.scope["query_string"], names, several)
            if self.body_field is not None:
                read = await _body_of(request)
                request = _Read(request, read, json_of(read))
            return await inner(request)

        return handle


async def _body_of(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("unsupported_media_type", "Send JSON, with the header Content-Type: application/json.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise too_large()
    except ClientDisconnect:
        raise Problem("bad_request", "The connection was closed before the whole body came.") from None
    except TimeoutError:
        raise body_is_late() from None
    return bytes(body)


def body_is_late() -> Problem:
    """The body did not come in time; closed, because the rest of it might."""
    sentence = f"The body did not arrive within {BODY_WITHIN:.0f} s."
    return Problem("timeout", sentence, headers=[(b"connection", b"close")])


def answered(document: Struct, asked: Asked) -> Response:
    """A document as of the request's instant; 304 where the client has it already."""
    return response_of(document_answer(encode(document), asked))


def told(document: Struct, asked: Asked) -> Response:
    """The answer to a change: as it is now, and not to be kept."""
    return response_of(Answer(200, [JSON, NO_STORE], encode(document).at(asked.now)))


def response_of(answer: Answer) -> Response:
    """As FastAPI sends it."""
    response = Response(answer.body, answer.status)
    kept = [pair for pair in response.raw_headers if answer.status != 304 or pair[0] != b"content-length"]
    response.raw_headers = [*kept, *answer.headers]
    if NOTHING_RUNS not in answer.headers:
        response.raw_headers.append(NOTHING_RUNS)
    return response


async def handled(request: Request, error: Exception) -> Response:
    """Any error of a route as a problem."""
    asked: Asked = request.scope["rollcall"]
    route = request.scope.get("route")
    problem = problem_of(error, asked, route if isinstance(route, APIRoute) else None)
    return response_of(problem_answer(problem, asked.request_id))
