"""Problem documents (RFC 9457): every error of the API, its code, and what it tells.

A problem names the field, the rule and an example; it never holds a secret or anything internal.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

MEDIA_TYPE = b"application/problem+json"
TYPE = "urn:rollcall:problem:"
"""`type` is this and the code: it identifies, and need not be fetched."""


class Kind(Struct, frozen=True):
    """What all problems of one code share."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "bad_request": Kind(400, "The request can't be read"),
    "bad_encoding": Kind(400, "The address is not written correctly"),
    "bad_json": Kind(400, "The body is not JSON"),
    "unknown_parameter": Kind(400, "There is no such query parameter"),
    "repeated_parameter": Kind(400, "A query parameter stands twice"),
    "bad_value": Kind(422, "A value breaks a rule"),
    "unauthorized": Kind(401, "A valid key is needed"),
    "forbidden": Kind(403, "The key may not do this"),
    "not_found": Kind(404, "There is nothing here"),
    "method_not_allowed": Kind(405, "This can't be done here"),
    "timeout": Kind(408, "The request took too long to arrive"),
    "conflict": Kind(409, "It is otherwise by now"),
    "precondition_failed": Kind(412, "It was changed meanwhile"),
    "too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "The body must be JSON"),
    "too_many_requests": Kind(429, "Too many requests"),
    "head_too_large": Kind(431, "The head of the request is too large"),
    "internal": Kind(500, "It failed, and it's our fault"),
    "unavailable": Kind(503, "It can't be done just now"),
    "not_ready": Kind(503, "Not ready"),
}
"""Every code, also in docs/http-api.md."""


class Fault(Struct, frozen=True, omit_defaults=True):
    """One value at fault."""

    field: str
    rule: str
    example: str = ""
    where: str = "body"
    """`body`, `query`, `path` or `header`."""


class ProblemBody(Struct, frozen=True, omit_defaults=True):
    """A problem as it is sent."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: tuple[Fault, ...] = ()


class Problem(Exception):
    """Raised anywhere on the way of a request, and answered at its one boundary."""

    def __init__(
        self,
        code: str,
        detail: str,
        errors: Sequence[Fault] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """`code` is one of `KINDS`; `detail` says what happened and what to do."""
        super().__init__(code)
        self.code = code
        self.kind = KINDS[code]
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = tuple(headers)

    def body(self, request_id: str) -> bytes:
        """The document."""
        return msgspec.json.encode(
            ProblemBody(
                TYPE + self.code,
                self.kind.title,
                self.kind.status,
                self.detail,
                self.code,
                request_id,
                self.errors,
            )
        )


def bad_value(field: str, rule: str, example: str = "", where: str = "body") -> Problem:
    """One value that breaks a rule. `rule` begins with a verb or a noun: "a whole number from 1 to 100"."""
    return Problem("bad_value", sentence(field, rule, example), [Fault(field, rule, example, where)])


def sentence(field: str, rule: str, example: str = "") -> str:
    """The field, the rule and an example, for people."""
    return f"{field} must be {rule}" + (f", such as {example}." if example else ".")


UNAUTHORIZED = Problem(
    "unauthorized",
    "This needs a valid key: send the header Authorization: Bearer rc_… "
    "Whoever runs Rollcall makes one with `rollcall key create`.",
    headers=[(b"www-authenticate", b'Bearer realm="rollcall"')],
)
"""The same for a missing, malformed, unknown, wrong, expired and revoked key."""
