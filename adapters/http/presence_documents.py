"""The bodies about setting and watching one agent's presence: what comes in, and what goes out."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from msgspec import Meta, Struct
from pydantic import AwareDatetime, BeforeValidator, Field, StrictInt, StrictStr

from adapters.http.documents import ReasonCode
from adapters.http.parameters import Body, PageSize, written
from bot.domain.presence import BEAT
from bot.domain.slugs import LONGEST_SLUG

LONGEST_AWAY = 30 * 86_400
LONGEST_REASON = 500
LONGEST_KEY = 64
SessionKey = Annotated[
    str,
    Path(
        description=f"the console's own name for the session: 1 to {LONGEST_KEY} letters, digits, dots, "
        "colons, hyphens and underscores",
        examples=["browser-7f3a"],
        pattern=rf"^[A-Za-z0-9._:-]{{1,{LONGEST_KEY}}}$",
    ),
]
Instant = BeforeValidator(lambda value: value if value is None else written(value))
From = Annotated[
    AwareDatetime | None,
    Instant,
    Query(
        alias="from",
        description="an instant with its offset; left out: a day before `to`",
        examples=["2026-11-02T00:00:00Z"],
    ),
]
To = Annotated[
    AwareDatetime | None,
    Instant,
    Query(
        alias="to",
        description="an instant with its offset, later than `from` and at most 31 days; left out: now",
        examples=["2026-11-03T00:00:00Z"],
    ),
]
HistorySize = PageSize


class PresenceBody(Body):
    """Available, or Away: for good, until an instant, or for so many seconds."""

    presence: Annotated[
        Literal["available", "away"], Field(description="available or away", examples=["away"])
    ]
    until: Annotated[
        AwareDatetime | None,
        Instant,
        Field(
            description="an instant with its offset, in the future, at most 30 days ahead; only with away",
            examples=["2026-11-02T12:30:00Z"],
        ),
    ] = None
    for_s: Annotated[
        StrictInt | None,
        Field(
            description=f"a whole number of seconds from 1 to {LONGEST_AWAY}; only with away, without until",
            examples=[1800],
            ge=1,
            le=LONGEST_AWAY,
        ),
    ] = None
    reason: Annotated[
        StrictStr,
        Field(
            description=f"text of at most {LONGEST_REASON} characters",
            examples=["lunch"],
            max_length=LONGEST_REASON,
        ),
    ] = ""
    reason_code: Annotated[
        StrictStr | None,
        Field(
            description="the slug of one of the organization's reason codes; only with away; left out: the "
            "one that reason begins with",
            examples=["lunch"],
            max_length=LONGEST_SLUG,
        ),
    ] = None


class SessionBody(Struct, frozen=True):
    """A console session after a heartbeat or a logout."""

    agent_id: str
    key: str
    open: Annotated[bool, Meta(description="False after a logout.")]
    reopened: Annotated[
        bool, Meta(description="True: the session had ended; the gap stays in the agent's history.")
    ]
    since: Annotated[datetime | None, Meta(description="Open since then; null: not open.")]
    expires_at: Annotated[
        datetime | None,
        Meta(
            description="It ends then if no heartbeat comes; null: it is not open, or the database is away "
            "and nothing ends until it is back."
        ),
    ]
    beat_every_s: Annotated[int, Meta(description="Send a heartbeat this often.")]


class SetPresence(Struct, frozen=True):
    """An agent's presence after it was set, or was so already."""

    agent_id: str
    changed: Annotated[bool, Meta(description="False: it was so already, and nobody is told again.")]
    presence: Annotated[str, Meta(description="`available`, `away` or `offline`.")]
    chosen: Annotated[str, Meta(description="What is set: `available` or `away`.")]
    until: Annotated[datetime | None, Meta(description="When a timed away ends.")]
    reason: Annotated[str, Meta(description="Why the agent is seen so, as a code.")]
    reason_code: ReasonCode
    sentence: Annotated[str, Meta(description="For people: what holds now.")]


class Stretch(Struct, frozen=True):
    """One interval: nothing about the presence changed in it."""

    presence: str
    since: datetime
    until: Annotated[datetime | None, Meta(description="Null: it is the one that stands.")]
    reason: Annotated[str, Meta(description="Why, as a code.")]
    source: Annotated[str, Meta(description="Who or what decided.")]
    note: Annotated[str, Meta(description="The agent's own words.")]
    confirmed: Annotated[bool, Meta(description="False: the platforms had not been seen for too long.")]
    reason_code: ReasonCode


class History(Struct, frozen=True):
    """Intervals that touch the range, the oldest first, each whole."""

    agent_id: str
    intervals: tuple[Stretch, ...]
    next_cursor: Annotated[str | None, Meta(description="Give it as `cursor` for the next page; null: none.")]


DOCUMENTS = (SessionBody, SetPresence, History)
SET_AWAY = {"presence": "away", "for_s": 1800, "reason": "with Ana", "reason_code": "lunch"}
_AGENT = "agt_01k9f3tq8x7v5e2m4n6p8r0s1t"
_AT = "2026-11-02T09:00:00Z"
EXAMPLES: dict[type, dict[str, Any]] = {
    SessionBody: {
        "as_of": _AT,
        "agent_id": _AGENT,
        "key": "browser-7f3a",
        "open": True,
        "reopened": False,
        "since": "2026-11-02T08:00:00Z",
        "expires_at": "2026-11-02T09:01:05Z",
        "beat_every_s": int(BEAT.total_seconds()),
    },
    SetPresence: {
        "as_of": _AT,
        "agent_id": _AGENT,
        "changed": True,
        "presence": "away",
        "chosen": "away",
        "until": "2026-11-02T09:30:00Z",
        "reason": "set",
        "reason_code": "lunch",
        "sentence": "Maria is Away.",
    },
    History: {
        "as_of": _AT,
        "agent_id": _AGENT,
        "intervals": [
            {
                "presence": "available",
                "since": "2026-11-02T08:00:00Z",
                "until": None,
                "reason": "set",
                "source": "agent",
                "note": "",
                "confirmed": True,
                "reason_code": None,
            }
        ],
        "next_cursor": None,
    },
}
