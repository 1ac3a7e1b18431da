"""Examples for the API's description. A test holds them to the documents they show."""

import json
from collections.abc import Mapping
from typing import Any

from adapters.http import presence_documents
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

_AT = "2026-11-02T09:00:00Z"
_AGENT = "agt_01k9f3tq8x7v5e2m4n6p8r0s1t"
_COUNTS = {"available": 2, "away": 1, "offline": 4}
_HINTS = [{"kind": "call", "platform": "slack", "since": "2026-11-02T08:45:00Z"}]
_ONE: dict[str, Any] = {
    "id": _AGENT,
    "name": "Maria",
    "presence": "available",
    "since": "2026-11-02T08:00:00Z",
    "reason": "set",
    "source": "agent",
    "note": "",
    "reason_code": None,
    "until": None,
    "confirmed": True,
    "unconfirmed_since": None,
    "routable": True,
    "load": 1,
    "load_known": True,
    "capacity": 3,
    "teams": ["support"],
    "skills": ["french"],
    "external_ids": {"chatwoot": "42"},
    "zone": "Europe/Berlin",
    "last_seen_at": "2026-11-02T08:59:00Z",
    "identities": [
        {
            "platform": "slack",
            "workspace": "T012AB3CD",
            "external_id": "U012AB3CD",
            "name": "Maria",
            "present": True,
        }
    ],
    "sessions": [
        {
            "key": "browser-7f3a",
            "since": "2026-11-02T08:00:00Z",
            "heartbeat_at": "2026-11-02T08:59:50Z",
        }
    ],
    "hints": _HINTS,
}
_EVENT: dict[str, Any] = {
    "position": "4711",
    "id": "evt_01k9f3tq8x7v5e2m4n6p8r0s1t",
    "type": "presence.changed",
    "agent_id": _AGENT,
    "at": "2026-11-02T08:59:30Z",
    "data": {
        "presence": "away",
        "reason": "set",
        "source": "agent",
        "note": "lunch with Ana",
        "confirmed": True,
        "reason_code": "lunch",
    },
}

EXAMPLES: Mapping[type, dict[str, Any]] = {
    Availability: {
        "as_of": _AT,
        "team": "support",
        "skills": ["french"],
        "routable": 1,
        "counts": _COUNTS,
        "agents": [
            {
                "id": _AGENT,
                "name": "Maria",
                "since": "2026-11-02T08:00:00Z",
                "load": 1,
                "load_known": True,
                "capacity": 3,
                "teams": ["support"],
                "skills": ["french"],
                "external_ids": {"chatwoot": "42"},
                "hints": _HINTS,
            }
        ],
        "feeds": [
            {
                "workspace": "T012AB3CD",
                "platform": "slack",
                "state": "live",
                "live_at": "2026-11-02T07:00:00Z",
            }
        ],
        "troubles": [],
    },
    AgentBody: {"as_of": _AT, **_ONE},
    AgentPage: {"as_of": _AT, "agents": [_ONE], "next_cursor": None},
    Eligibility: {
        "as_of": _AT,
        "agent_id": _AGENT,
        "team": "support",
        "skills": [],
        "routable": False,
        "reason_code": None,
        "reasons": [
            {"code": "at_capacity", "sentence": "Holding as many units as they can take."},
        ],
    },
    EventPage: {
        "as_of": _AT,
        "events": [_EVENT],
        "last": "4711",
        "more": False,
        "reset": False,
    },
    ExternalIds: {"as_of": _AT, "agent_id": _AGENT, "external_ids": {"chatwoot": "42"}},
    LoadDocument: {
        "as_of": _AT,
        "agent_id": _AGENT,
        "kept": True,
        "load": 2,
        "load_known": True,
        "capacity": 3,
        "expires_at": "2026-11-02T09:05:00Z",
    },
    Teams: {
        "as_of": _AT,
        "teams": [{"slug": "support", "name": "Support", "routable": 1, "counts": _COUNTS}],
    },
    **presence_documents.EXAMPLES,
    Skills: {
        "as_of": _AT,
        "skills": [{"slug": "french", "name": "French", "routable": 1, "counts": _COUNTS}],
    },
}
"""A whole answer for each document."""

STREAM_EXAMPLE = f"id: 4711\nevent: presence.changed\ndata: {json.dumps(_EVENT)}\n\n"
"""One event as the stream has it."""

PROBLEM_EXAMPLE: dict[str, Any] = {
    "detail": "There is no query parameter tema; did you mean team?",
    "request_id": "5f1c0a7be2d4-17",
}
