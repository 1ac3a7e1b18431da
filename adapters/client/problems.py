"""What can go wrong with a call. Decide by the class, or by `code`; show the text."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct


class Fault(Struct, frozen=True):
    """One value at fault."""

    field: str
    rule: str
    example: str = ""
    where: str = "body"


class Problem(Struct, frozen=True):
    """A problem document (RFC 9457)."""

    code: str
    detail: str
    status: int
    title: str = ""
    request_id: str = ""
    errors: tuple[Fault, ...] = ()


class ClientError(Exception):
    """A call that came to nothing."""


class Unreachable(ClientError):
    """No answer, or none that can be read: the connection failed or took too long. What was asked may have
    been done."""


class Refused(ClientError):
    """Rollcall answered, and refused; nothing was changed, unless it is a 500."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after = retry_after
        """Seconds, if it said so."""

    @property
    def code(self) -> str:
        """The problem's code, such as `bad_value`."""
        return self.problem.code

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The values at fault."""
        return self.problem.errors


class Unauthorized(Refused):
    """401: the key does not count, or not any more."""


class Forbidden(Refused):
    """403: the key may not do this."""


class NotFound(Refused):
    """404: it is not there for this key."""


class Conflict(Refused):
    """409: it is otherwise by now."""


class Stale(Refused):
    """412: it was changed since it was read."""


class TooMany(Refused):
    """429: wait."""


class Unavailable(Refused):
    """503: it can't be done just now."""


BY_STATUS: Mapping[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    429: TooMany,
    503: Unavailable,
}


def refusal(status: int, body: bytes, retry_after: str | None) -> ClientError:
    """An answer that is no success, as an exception."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return Unreachable(f"something before Rollcall answered {status}")
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    return BY_STATUS.get(status, Refused)(problem, seconds)
