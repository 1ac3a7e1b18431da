"""What `GET /v1/audit` answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct


class AuditBody(Struct, frozen=True):
    """Who did what to whom."""

    id: Annotated[str, Meta(description="The same whenever it is told again.")]
    at: datetime
    actor: Annotated[
        str,
        Meta(description="`agent:<id>`, `key:<id>`, `person:<platform>:<id>`, or `operator`."),
    ]
    action: str
    subject: Annotated[str, Meta(description="An agent's id, a team's or skill's slug, `key:<id>`.")]
    data: Mapping[str, str | int | bool | None]


class AuditPage(Struct, frozen=True):
    """Entries behind one, the oldest first."""

    entries: tuple[AuditBody, ...]
    last: Annotated[str | None, Meta(description="Give it as `after`; null: nothing is there yet.")]
    more: Annotated[bool, Meta(description="There is more already.")]


DOCUMENTS = (AuditPage,)
EXAMPLES: dict[type, dict[str, Any]] = {
    AuditPage: {
        "as_of": "2026-11-02T09:00:00Z",
        "entries": [
            {
                "id": "aud_01k9f3tq8x7v5e2m4n6p8r0s1t",
                "at": "2026-11-02T08:58:00Z",
                "actor": "agent:agt_01k9f3tq8x7v5e2m4n6p8r0s1t",
                "action": "agent.capacity",
                "subject": "agt_01k9f3tq8x7v5e2m4n6p8r0s2v",
                "data": {"capacity": 3},
            }
        ],
        "last": "MjAyNi0xMS0wMlQwODo1ODowMCswMDowMCBhdWRfMDFrOWYzdHE4eDd2NWUybTRuNnA4cjBzMXQ",
        "more": False,
    }
}
