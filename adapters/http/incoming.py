"""What comes in, read strictly: addresses, query parameters, JSON. What is doubtful is refused by name."""

import difflib
import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from adapters.http.problems import Fault, Problem, bad_value
from bot.message import words

LARGEST_BODY = 64 * 1024
LONGEST_QUERY = 4096
MOST_PARAMETERS = 64
_BAD_PERCENT = re.compile(rb"%(?![0-9a-fA-F]{2})")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_NUMBER = 18
"""Digits: what fits into 64 bits; nothing here counts further."""


def decoded(raw: bytes, where: str) -> str:
    """Percent-decoded UTF-8 without control characters. Raises Problem `bad_encoding`."""
    if _BAD_PERCENT.search(raw):
        raise Problem(
            "bad_encoding",
            f"In the {where}, % must be followed by two hexadecimal digits; write % itself as %25.",
            [Fault(where, "percent-encoded", "%25", where)],
        )
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(
            "bad_encoding",
            f"The {where} must be UTF-8, percent-encoded, such as %C3%A9 for é.",
            [Fault(where, "UTF-8, percent-encoded", "%C3%A9", where)],
        ) from None
    if _CONTROLS.search(text):
        raise Problem(
            "bad_encoding",
            f"The {where} holds a control character; take it out.",
            [Fault(where, "free of control characters", "", where)],
        )
    return text


def query_of(raw: bytes, known: Collection[str], repeatable: Collection[str] = ()) -> dict[str, list[str]]:
    """Query parameters by name. Raises Problem for unknown names (with the nearest right one), for one
    that stands twice and may not, and for bad encoding."""
    found: dict[str, list[str]] = {}
    if not raw:
        return found
    pairs = raw.split(b"&")
    if len(raw) > LONGEST_QUERY or len(pairs) > MOST_PARAMETERS:
        raise Problem(
            "bad_request",
            f"The query is too long: at most {LONGEST_QUERY} bytes and {MOST_PARAMETERS} parts.",
        )
    for pair in pairs:
        if not pair:
            continue
        raw_name, _, raw_value = pair.replace(b"+", b" ").partition(b"=")
        name, value = decoded(raw_name, "query"), decoded(raw_value, "query")
        if name not in known:
            raise _unknown(name, known)
        if name in found and name not in repeatable:
            raise Problem(
                "repeated_parameter",
                f"{name} stands twice in the query; keep one.",
                [Fault(name, "given once", "", "query")],
            )
        found.setdefault(name, []).append(value)
    return found


def _unknown(name: str, known: Collection[str]) -> Problem:
    shown = echoed(name)
    near = nearest(name, known)
    if near:
        hint = f"did you mean {near}?"
    elif known:
        hint = f"known here: {', '.join(sorted(known))}."
    else:
        hint = "this takes none."
    return Problem(
        "unknown_parameter",
        f"There is no query parameter {shown}; {hint}" if shown else f"A query parameter has no name; {hint}",
        [Fault(shown, "a known query parameter", near, "query")],
    )


def echoed(text: str) -> str:
    """What somebody sent, fit to be told back: nothing invisible in it, and not long."""
    return words(text, 40)


def nearest(name: str, known: Collection[str]) -> str:
    """The known name that was probably meant, or ""."""
    found = difflib.get_close_matches(name[:64].lower(), known, n=1, cutoff=0.5)
    return found[0] if found else ""


def whole_number(text: str, field: str, low: int, high: int, example: str) -> int:
    """A number in a query, in plain ASCII digits."""
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER and low <= int(text) <= high:
        return int(text)
    raise bad_value(field, f"a whole number from {low} to {high}", example, "query")


def json_of(body: bytes) -> Any:
    """A body as JSON: UTF-8, no name twice, no NaN, no number beyond 64 bits, no control characters.

    Raises Problem `bad_json` or `bad_value`.
    """
    try:
        text = body.decode("utf-8")
        found = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_not_a_number,
            parse_int=_integer,
            parse_float=_fraction,
        )
        _refuse_controls(found, "")
    except UnicodeDecodeError:
        raise Problem("bad_json", "The body must be JSON in UTF-8.") from None
    except json.JSONDecodeError as problem:
        raise Problem(
            "bad_json",
            f"The body is not JSON: {problem.msg}, line {problem.lineno}, column {problem.colno}.",
        ) from None
    except RecursionError:
        raise Problem("bad_json", "The body is nested too deeply.") from None
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("bad_json", f"The name {echoed(twice)} stands twice in one object; keep one.")
    return found


def _not_a_number(text: str) -> Any:
    raise Problem("bad_json", f"{text} is not JSON; write a number, or null.")


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _LONGEST_NUMBER:
        raise Problem("bad_json", f"A number in the body has more than {_LONGEST_NUMBER} digits.")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Problem("bad_json", "A number in the body is too large.")
    return number


def _refuse_controls(value: Any, path: str) -> None:
    if isinstance(value, str):
        if _CONTROLS.search(value):
            raise bad_value(echoed(path) or "body", "text without control characters")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if _CONTROLS.search(name):
                raise bad_value(echoed(path) or "body", "an object whose names hold no control characters")
            _refuse_controls(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_controls(inner, f"{path}[{index}]")
