"""What the routes take: each parameter and body with its rule, which error messages quote, and an example."""

import base64
import binascii
import re
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr

from adapters.http.problems import Fault, Problem

LONGEST_LOAD = 86_400
_WHOLE = re.compile(r"[0-9]{1,18}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _digits(value: object) -> object:
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ValueError("not a whole number")
    return value


def written(value: object) -> object:
    """Only text with an offset is an instant: a number or a naive time would be guessed at."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("not an instant")
    return value


AgentName = Annotated[
    str,
    Path(
        description="the id of an agent, or ext:<system>:<id> as another system knows them",
        examples=["agt_01k9f3tq8x7v5e2m4n6p8r0s1t", "ext:chatwoot:42"],
        max_length=200,
    ),
]
System = Annotated[
    str,
    Path(
        description="the name of a system: up to 32 small letters, digits and hyphens, the first no hyphen",
        examples=["chatwoot"],
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
    ),
]
Team = Annotated[str | None, Query(description="the slug of a team", examples=["support"])]
OneSkill = Annotated[str | None, Query(description="the slug of a skill", examples=["french"])]
ManySkills = Annotated[list[str], Query(description="the slug of a skill", examples=["french"])]
PresenceName = Annotated[
    Literal["available", "away", "offline"] | None,
    Query(description="available, away or offline", examples=["available"]),
]
PageSize = Annotated[
    int,
    BeforeValidator(_digits),
    Query(description="a whole number from 1 to 200", examples=[50], ge=1, le=200),
]
Cursor = Annotated[
    str | None, Query(description="the next_cursor of the page before, as it was given", max_length=100)
]


class Body(BaseModel):
    """A body: unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ExternalIdBody(Body):
    """How a system names an agent."""

    external_id: Annotated[
        StrictStr,
        Field(
            description="text of 1 to 128 characters without spaces and slashes",
            examples=["42"],
            pattern=r"^[^\s/]{1,128}$",
        ),
    ]


class LoadBody(Body):
    """Units of work that another system says an agent holds: of the instant `as_of` (left out: now), and
    counted from then for `ttl_s`."""

    source: Annotated[
        StrictStr,
        Field(
            description="the name of the reporting system: up to 64 small letters, digits, dots and hyphens, "
            "the first a letter or digit",
            examples=["chatwoot"],
            pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$",
        ),
    ]
    units: Annotated[
        StrictInt, Field(description="a whole number from 0 to 10000", examples=[2], ge=0, le=10_000)
    ]
    as_of: Annotated[
        AwareDatetime | None,
        BeforeValidator(lambda value: value if value is None else written(value)),
        Field(
            description="an instant with its offset, not in the future",
            examples=["2026-11-02T09:00:00Z"],
        ),
    ] = None
    ttl_s: Annotated[
        StrictInt,
        Field(
            description=f"a whole number of seconds from 1 to {LONGEST_LOAD}",
            examples=[300],
            ge=1,
            le=LONGEST_LOAD,
        ),
    ] = 300


def cursor_for(agent_id: str) -> str:
    """The cursor of the page that begins behind this agent."""
    return base64.urlsafe_b64encode(b"1:" + agent_id.encode()).decode().rstrip("=")


def agent_before(cursor: str) -> str:
    """The id behind which the page of this cursor begins. Raises Problem."""
    return cursor_of(cursor)


def cursor_of(cursor: str) -> str:
    """What was given to `cursor_for`. Raises Problem."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        version, _, agent_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        version = agent_id = ""
    if version != "1" or not agent_id:
        raise Problem(
            "bad_value",
            "cursor must be the next_cursor of the page before, as it was given; or leave it out to begin.",
            [Fault("cursor", "the next_cursor of the page before", "", "query")],
        )
    return agent_id
