"""The OpenAPI 3.1 description: FastAPI's own for the routes it has, and the hot and open ones beside them."""

import copy
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from adapters.http import (
    audit_documents,
    hours_documents,
    key_documents,
    presence_documents,
    resource_documents,
)
from adapters.http.availability import DEFAULT_LIMIT, MOST_AGENTS
from adapters.http.availability import PATH as AVAILABILITY
from adapters.http.documents import (
    AgentBody,
    AgentPage,
    Availability,
    Eligibility,
    EventPage,
    ExternalIds,
    LoadDocument,
    Skills,
    Teams,
)
from adapters.http.examples import EXAMPLES, PROBLEM_EXAMPLE, STREAM_EXAMPLE
from adapters.http.problems import KINDS, ProblemBody
from adapters.http.stream import DEFAULT_LIMIT as EVENTS_LIMIT
from adapters.http.stream import LARGEST_PAGE
from adapters.http.stream import PATH as EVENTS

DOCUMENTS = (
    AgentBody,
    AgentPage,
    Availability,
    Eligibility,
    EventPage,
    ExternalIds,
    LoadDocument,
    Skills,
    Teams,
    *presence_documents.DOCUMENTS,
    *resource_documents.DOCUMENTS,
    *key_documents.DOCUMENTS,
    *audit_documents.DOCUMENTS,
    *hours_documents.DOCUMENTS,
)
VERSION = "1"
REFERENCE = "#/components/schemas/{name}"
LOAD = {"source": "chatwoot", "units": 2, "as_of": "2026-11-02T09:00:00Z", "ttl_s": 300}
EXTERNAL_ID = {"external_id": "42"}
ANYWHERE = (413, 431, 500, 503)
"""Statuses that any request may be answered with: also a GET can bring a body, however needless."""
_AS_OF = {
    "type": "object",
    "required": ["as_of"],
    "properties": {
        "as_of": {"type": "string", "format": "date-time", "description": "The instant for which it is true."}
    },
}
"""In front of every document; the ETag leaves it out."""


def described(scope: str, example: object = None) -> dict[str, Any]:
    """What FastAPI is told beside a route: the scope it needs and an example of its body."""
    extra: dict[str, Any] = {"security": [{"key": [scope]}]}
    if example is not None:
        extra["requestBody"] = {"content": {"application/json": {"example": example}}}
    return extra


def scope_of(extra: dict[str, Any] | None) -> str:
    """The scope that `described` wrote down."""
    if extra is None:
        raise ValueError("every route names the scope it needs")
    return str(extra["security"][0]["key"][0])


def status_of(method: str, path: str) -> int:
    """What a route answers when it has done what was asked: 201 where that makes something."""
    return 201 if method == "POST" and "{" not in path else 200


def responses(document: type, method: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The answers of a route: its document and the problems."""
    good: dict[str, Any] = {
        "description": "As of the instant it names.",
        "content": {
            "application/json": {
                "schema": {"allOf": [_AS_OF, {"$ref": REFERENCE.format(name=document.__name__)}]},
                "example": EXAMPLES[document],
            }
        },
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
    }
    found: dict[int | str, dict[str, Any]] = {status: good}
    statuses = [400, 401, 403, 404, 422, 429, *ANYWHERE]
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        statuses += [408, 409, 412, 415]
    if status == 201:
        good["headers"]["Location"] = {"description": "Where it is.", "schema": {"type": "string"}}
    elif method == "GET":
        etag = {"ETag": {"$ref": "#/components/headers/ETag"}}
        good["headers"].update(etag)
        found[304] = {"description": "Nothing but `as_of` has changed.", "headers": etag}
    for status in sorted(statuses):
        found[status] = {"$ref": f"#/components/responses/Problem{status}"}
    return found


def document(app: FastAPI) -> bytes:
    """The whole description as JSON."""
    made = get_openapi(
        title="Rollcall",
        version=VERSION,
        openapi_version="3.1.0",
        summary="Who can take a chat right now.",
        description="Errors are problem documents (RFC 9457). See docs/http-api.md.",
        routes=app.routes,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    _, schemas = msgspec.json.schema_components((*DOCUMENTS, ProblemBody), ref_template=REFERENCE)
    components = made.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "rc_<id>_<secret>",
            "description": "Made by `rollcall key create --scope …`; the scope a route needs is named there.",
        }
    }
    components["headers"] = {
        "X-Request-Id": {
            "description": "The request's id: the client's own, if it sent one, else a new one.",
            "schema": {"type": "string"},
        },
        "ETag": {"description": "Of all but `as_of`.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    }
    components["responses"] = {f"Problem{status}": _problem(status) for status in _statuses()}
    for route in app.routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                # Once more as written: FastAPI leaves out what is null, also in examples.
                told = made["paths"][route.path][method.lower()]["responses"]
                good = status_of(method, route.path)
                told[str(good)]["content"] = route.responses[good]["content"]
    made["paths"] = {**_hot(), **_events(), **made["paths"], **_open()}
    return msgspec.json.encode(_without_titles(made))


def _statuses() -> list[int]:
    return sorted({kind.status for kind in KINDS.values()})


def _problem(status: int) -> dict[str, Any]:
    codes = [code for code, kind in KINDS.items() if kind.status == status]
    answer: dict[str, Any] = {
        "description": " or ".join(KINDS[code].title for code in codes) + ".",
        "content": {
            "application/problem+json": {
                "schema": {"$ref": REFERENCE.format(name="ProblemBody")},
                "example": {
                    **copy.deepcopy(PROBLEM_EXAMPLE),
                    "type": f"urn:rollcall:problem:{codes[0]}",
                    "title": KINDS[codes[0]].title,
                    "status": status,
                    "code": codes[0],
                },
            }
        },
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
    }
    if status in (429, 503):
        answer["headers"]["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    return answer


def _hot() -> dict[str, Any]:
    """The route that never reaches FastAPI."""
    found = {
        str(status): answer for status, answer in responses(Availability, "GET").items() if status != 404
    }
    return {
        AVAILABILITY: {
            "get": {
                "summary": "Who is routable now",
                "description": "The best `limit` first, and how many there are. Advisory: between the answer "
                "and your use of it somebody may leave.",
                "operationId": "availability",
                "security": [{"key": ["read"]}],
                "parameters": [
                    _parameter("team", {"type": "string"}, "The slug of a team.", "support"),
                    _parameter(
                        "skill",
                        {"type": "array", "items": {"type": "string"}},
                        "The slug of a skill; repeat it for more: the agents have all of them.",
                        ["french"],
                    ),
                    _parameter(
                        "limit",
                        {"type": "integer", "minimum": 1, "maximum": MOST_AGENTS, "default": DEFAULT_LIMIT},
                        "How many agents to name.",
                        DEFAULT_LIMIT,
                    ),
                ],
                "responses": found,
            }
        }
    }


def _events() -> dict[str, Any]:
    """The stream, and the same in pages."""
    found = {str(status): answer for status, answer in responses(EventPage, "GET").items() if status != 404}
    found["200"]["description"] = "With `after` a page, else a stream without end."
    found["200"]["content"]["text/event-stream"] = {
        "schema": {"type": "string"},
        "example": STREAM_EXAMPLE,
    }
    last = _parameter(
        "Last-Event-ID",
        {"type": "string"},
        "The `id` of the last event of the stream that was seen: go on behind it, or be told `reset`.",
        "4711",
    )
    limit = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": EVENTS_LIMIT}
    return {
        EVENTS: {
            "get": {
                "summary": "Every change, in order",
                "description": "A stream of server-sent events from now on, or from `Last-Event-ID` on. "
                "With `after` a page of them instead. Nothing is left out, or `reset` says so.",
                "operationId": "events",
                "security": [{"key": ["read"]}],
                "parameters": [
                    {**last, "in": "header"},
                    _parameter(
                        "after",
                        {"type": "string"},
                        "The page begins behind this position; empty: with the oldest event that is kept.",
                        "4711",
                    ),
                    _parameter("limit", limit, "How many events at most; only with `after`.", EVENTS_LIMIT),
                ],
                "responses": found,
            }
        }
    }


def _parameter(name: str, schema: dict[str, Any], description: str, example: object) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": description,
        "example": example,
    }


def _open() -> dict[str, Any]:
    """What needs no key."""
    text = {"text/plain": {"schema": {"type": "string"}, "example": 'rollcall_agents{presence="away"} 3.0'}}

    def one(summary: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"200": {"description": summary, "content": content}}
        for status in ANYWHERE:
            found[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
        return {"get": {"summary": summary, "operationId": name, "security": [], "responses": found}}

    def flag(name: str) -> dict[str, Any]:
        schema = {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}
        return {"application/json": {"schema": schema, "example": {name: True}}}

    anything = {"application/json": {"schema": {"type": "object"}, "example": {"openapi": "3.1.0"}}}
    return {
        "/livez": one("The process works", "livez", flag("live")),
        "/readyz": one("Rollcall should be sent requests", "readyz", flag("ready")),
        "/metrics": one("Metrics for Prometheus", "metrics", text),
        "/openapi.json": one("This description", "openapi", anything),
    }


def _without_titles(value: Any) -> Any:
    """The titles that pydantic and msgspec make of names tell nothing."""
    if isinstance(value, dict):
        return {
            name: _without_titles(inner)
            for name, inner in value.items()
            if not (name == "title" and isinstance(inner, str) and "type" in value and "code" not in value)
        }
    if isinstance(value, list):
        return [_without_titles(inner) for inner in value]
    return value
