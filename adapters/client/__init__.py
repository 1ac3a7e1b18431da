"""A client of Rollcall's API, for other programs: asynchronous, typed, on aiohttp. See docs/client.md.

It shares nothing with the server: whatever it knows of it is the API's description.
"""

from adapters.client.calls import Key
from adapters.client.client import Client
from adapters.client.console import Console
from adapters.client.following import Following
from adapters.client.problems import (
    ClientError,
    Conflict,
    Fault,
    Forbidden,
    NotFound,
    Refused,
    Stale,
    TooMany,
    Unauthorized,
    Unavailable,
    Unreachable,
)

__all__ = [
    "Client",
    "ClientError",
    "Conflict",
    "Console",
    "Fault",
    "Following",
    "Forbidden",
    "Key",
    "NotFound",
    "Refused",
    "Stale",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
]
