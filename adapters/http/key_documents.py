"""The bodies about keys: what comes in, and what goes out. A secret goes out once, when it is made."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from msgspec import Meta, Struct
from pydantic import Field, StrictInt, StrictStr

from adapters.http.parameters import Body
from adapters.http.resource_documents import SLUG
from bot.ports import ApiKey

LONGEST_DAYS = 3650
LONGEST_OVERLAP = 30 * 86_400
KeyId = Annotated[
    str,
    Path(
        description="the id of a key: 26 small letters and digits",
        examples=["01k9f3tq8x7v5e2m4n6p8r0s1t"],
        pattern=r"^[0-9a-z]{26}$",
    ),
]


class NewKey(Body):
    """A key to be made."""

    name: Annotated[
        StrictStr,
        Field(description="text of 1 to 60 characters", examples=["chatwoot"], min_length=1, max_length=60),
    ]
    scopes: Annotated[
        list[Literal["read", "presence", "route", "admin"]],
        Field(
            description="one or more of read, presence, route, admin",
            examples=[["read"]],
            min_length=1,
            max_length=4,
        ),
    ]
    teams: Annotated[
        tuple[Annotated[StrictStr, Field(pattern=SLUG)], ...],
        Field(
            description="slugs of the teams that it is of alone; left out: the whole organization",
            examples=[["support"]],
            max_length=50,
        ),
    ] = ()
    days: Annotated[
        StrictInt | None,
        Field(
            description=f"a whole number of days from 1 to {LONGEST_DAYS}, then it ends; left out: never",
            examples=[365],
            ge=1,
            le=LONGEST_DAYS,
        ),
    ] = None


class Rotation(Body):
    """How long the secret of before still holds."""

    overlap_s: Annotated[
        StrictInt,
        Field(
            description=f"a whole number of seconds from 0 to {LONGEST_OVERLAP}",
            examples=[86_400],
            ge=0,
            le=LONGEST_OVERLAP,
        ),
    ] = 86_400


class KeyBody(Struct, frozen=True):
    """A key, without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    teams: Annotated[
        tuple[str, ...], Meta(description="It is of these alone; empty: the whole organization.")
    ]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: Annotated[datetime | None, Meta(description="Noted about once a minute.")]
    rotated_at: datetime | None
    old_secret_until: Annotated[
        datetime | None, Meta(description="Until when the secret before the last rotation holds.")
    ]
    revoked_at: datetime | None


class KeyMade(Struct, frozen=True):
    """A key with its text, which is shown this once."""

    id: str
    key: Annotated[
        str | None,
        Meta(description="`rc_<id>_<secret>`; null: told before, under the same Idempotency-Key."),
    ]
    name: str
    scopes: tuple[str, ...]
    teams: tuple[str, ...]
    expires_at: datetime | None
    old_secret_until: datetime | None


class Keys(Struct, frozen=True):
    """A page of keys, the oldest first; those that were revoked are there too."""

    keys: tuple[KeyBody, ...]
    next_cursor: Annotated[str | None, Meta(description="Give it as `cursor` for the next page; null: none.")]


DOCUMENTS = (KeyBody, KeyMade, Keys)


def key_body(key: ApiKey) -> KeyBody:
    """A key as it is kept."""
    return KeyBody(
        key.id,
        key.name,
        key.scopes,
        key.teams,
        key.created_at,
        key.expires_at,
        key.last_used_at,
        key.rotated_at,
        key.old_until,
        key.revoked_at,
    )


def key_made(key: ApiKey, text: str | None) -> KeyMade:
    """A key with its text."""
    return KeyMade(key.id, text, key.name, key.scopes, key.teams, key.expires_at, key.old_until)


ADD_KEY = {"name": "chatwoot", "scopes": ["read", "route"], "teams": ["support"], "days": 365}
ROTATE_KEY = {"overlap_s": 86_400}
_AT = "2026-11-02T09:00:00Z"
_KEY = "01k9f3tq8x7v5e2m4n6p8r0s1t"
_ONE: dict[str, Any] = {
    "id": _KEY,
    "name": "chatwoot",
    "scopes": ["read", "route"],
    "teams": ["support"],
    "created_at": _AT,
    "expires_at": "2027-11-02T09:00:00Z",
    "last_used_at": None,
    "rotated_at": None,
    "old_secret_until": None,
    "revoked_at": None,
}
EXAMPLES: dict[type, dict[str, Any]] = {
    KeyBody: {"as_of": _AT, **_ONE},
    KeyMade: {
        "as_of": _AT,
        "id": _KEY,
        "key": f"rc_{_KEY}_…",
        "name": "chatwoot",
        "scopes": ["read", "route"],
        "teams": ["support"],
        "expires_at": "2027-11-02T09:00:00Z",
        "old_secret_until": None,
    },
    Keys: {"as_of": _AT, "keys": [_ONE], "next_cursor": None},
}
