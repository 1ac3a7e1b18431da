"""Every error as a problem: the one place where exceptions become answers."""

import logging

import msgspec
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from adapters.http.exchange import Asked
from adapters.http.incoming import LARGEST_BODY, echoed, nearest
from adapters.http.problems import Fault, Problem, sentence
from bot.domain.errors import BadInput, Conflict, Forbidden, NotFound, RollcallError, Stale, Unavailable

log = logging.getLogger("rollcall.http")
WORTH_DROPPING = 8 * 1024 * 1024
TRY_AGAIN = b"2"
"""Seconds: as long as storage waits for a locked database."""


def problem_of(error: Exception, asked: Asked, route: APIRoute | None = None) -> Problem:
    """What an exception is to whoever asked. What nobody foresaw is logged, and told without details."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error, route)
    if isinstance(error, RollcallError):
        return _refused(error)
    if isinstance(error, HTTPException):
        if error.status_code == 405:
            return wrong_method(asked)
        if error.status_code == 404:
            return Problem(
                "not_found", "There is nothing at this address. /openapi.json lists what there is."
            )
        return Problem("bad_request", "The request can't be read.")
    log.error("a request failed", exc_info=error, extra={"request_id": asked.request_id})
    return Problem(
        "internal",
        f"Nothing is known to have changed. If it goes on, tell whoever runs Rollcall: {asked.request_id}.",
    )


def too_large(announced: int = 0) -> Problem:
    """Over the limit of bodies. What is left of it is read and dropped, because closing at once would
    take the answer from the client's hands; only what is absurdly large is hung up on."""
    headers = [(b"connection", b"close")] if announced > WORTH_DROPPING else []
    return Problem("too_large", f"The body may have at most {LARGEST_BODY} bytes.", headers=headers)


def wrong_method(asked: Asked) -> Problem:
    """Something is there, but not for this method; whoever answers it adds Allow."""
    return Problem(
        "method_not_allowed", f"{asked.method} does not work here; the header Allow names what does."
    )


def forbid_unless(asked: Asked, scope: str) -> None:
    """Raises Problem `forbidden` unless the key has the scope."""
    if asked.key is None or scope not in asked.key.scopes:
        raise Problem(
            "forbidden",
            f"This needs a key with the scope {scope}. `rollcall key create --scope {scope}` makes one.",
        )


def _refused(error: RollcallError) -> Problem:
    if isinstance(error, Unavailable):
        return Problem("unavailable", error.sentence, headers=[(b"retry-after", TRY_AGAIN)])
    if isinstance(error, BadInput):
        faults = [Fault(error.field, error.sentence)] if error.field else []
        return Problem("bad_value", error.sentence, faults)
    kinds = (
        (NotFound, "not_found"),
        (Forbidden, "forbidden"),
        (Stale, "precondition_failed"),
        (Conflict, "conflict"),
    )
    for kind, code in kinds:
        if isinstance(error, kind):
            return Problem(code, error.sentence)
    return Problem("conflict", error.sentence)


def _invalid(error: RequestValidationError, route: APIRoute | None) -> Problem:
    """FastAPI's findings in our words: the rule and the example stand where the parameter is declared."""
    rules = {} if route is None else _rules(route)
    faults: list[Fault] = []
    sentences: list[str] = []
    for found in error.errors():
        where, *steps = (str(step) for step in found["loc"])
        field = ".".join(steps) or "body"
        rule, example = rules.get((where, steps[0] if steps else ""), ("", ""))
        if found["type"] == "extra_forbidden":
            known = sorted(name for place, name in rules if place == "body")
            near = nearest(field, known)
            hint = f"did you mean {near}?" if near else f"known here: {', '.join(known)}."
            shown = echoed(field)
            sentences.append(
                f"There is no field {shown}; {hint}" if shown else f"A field has no name: {hint}"
            )
            faults.append(Fault(shown, "a known field", near))
            continue
        if found["type"] == "missing" and steps:
            faults.append(Fault(field, f"given, and {rule}", example, where))
        elif not steps:
            faults.append(Fault("body", "a JSON object", _body_example(route), where))
        else:
            faults.append(Fault(field, rule or str(found["msg"]), example, where))
        sentences.append(sentence(faults[-1].field, faults[-1].rule, faults[-1].example))
    return Problem("bad_value", sentences[0], faults)


def _rules(route: APIRoute) -> dict[tuple[str, str], tuple[str, str]]:
    """(where, name) → (rule, example) of everything a route takes."""
    rules: dict[tuple[str, str], tuple[str, str]] = {}
    taken = route.dependant
    for where, fields in (
        ("path", taken.path_params),
        ("query", taken.query_params),
        ("header", taken.header_params),
    ):
        for field in fields:
            rules[where, field.alias] = _rule(field.field_info)
    body = route.body_field
    if body is not None and isinstance(body.field_info.annotation, type):
        for name, info in getattr(body.field_info.annotation, "model_fields", {}).items():
            rules["body", name] = _rule(info)
    return rules


def _body_example(route: APIRoute | None) -> str:
    told = (route.openapi_extra or {}).get("requestBody") if route is not None else None
    return (
        "" if told is None else msgspec.json.encode(told["content"]["application/json"]["example"]).decode()
    )


def _rule(info: object) -> tuple[str, str]:
    examples = getattr(info, "examples", None) or [""]
    return getattr(info, "description", None) or "", str(examples[0])
