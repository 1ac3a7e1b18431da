"""The bodies about agents, teams and skills as they are kept and changed, those that come in and go out."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Header, Path
from msgspec import Meta, Struct
from pydantic import AfterValidator, Field, StrictInt, StrictStr

from adapters.http.documents import IdentityBody, Sight, SkillBody, TeamBody, identities_of, of_teams
from adapters.http.parameters import Body
from adapters.http.problems import bad_value
from bot.config.values import known_zone
from bot.core import Rollcall
from bot.domain.agent import Agent, Skill, Team
from bot.service.revision import revision_of

MOST_CHATS = 100
_TAG = re.compile(r'\*|(W/)?"[!#-~]*"')
SLUG = r"^[a-z0-9][a-z0-9-]{0,31}$"
_SLUG_RULE = "up to 32 small letters, digits and hyphens, the first no hyphen"
TeamSlug = Annotated[
    str, Path(description=f"the slug of a team: {_SLUG_RULE}", examples=["support"], pattern=SLUG)
]
SkillSlug = Annotated[
    str, Path(description=f"the slug of a skill: {_SLUG_RULE}", examples=["french"], pattern=SLUG)
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="the revision that was read, in quotes, or *: otherwise 412",
        examples=['"0f9c1d2e3a4b5c6d"'],
        max_length=400,
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 128 visible ASCII characters of your own, another one for each thing you ask for",
        examples=["order-4711"],
        pattern=r"^[!-~]{1,128}$",
    ),
]


def _zone(value: str) -> str:
    zone = known_zone(value)
    if zone is None:
        raise ValueError("no IANA time zone")
    return zone


Name = Annotated[
    StrictStr,
    Field(description="text of 1 to 80 characters", examples=["Maria Lopez"], min_length=1, max_length=80),
]
Zone = Annotated[
    Annotated[StrictStr, AfterValidator(_zone)] | None,
    Field(description="an IANA time zone, or null where nobody has said", examples=["Europe/Berlin"]),
]
Capacity = Annotated[
    StrictInt,
    Field(description=f"a whole number from 1 to {MOST_CHATS}", examples=[3], ge=1, le=MOST_CHATS),
]
RoleName = Annotated[Literal["agent", "lead"], Field(description="agent or lead", examples=["agent"])]
Slug = Annotated[StrictStr, Field(description=_SLUG_RULE, examples=["billing-eu"], pattern=SLUG)]
Slugs = Annotated[
    list[Annotated[StrictStr, Field(pattern=SLUG)]] | None,
    Field(
        description="slugs; left out: those that the configuration gives",
        examples=[["support"]],
        max_length=50,
    ),
]
Color = Annotated[
    StrictStr,
    Field(
        description="a colour as # and six hexadecimal digits, or empty",
        examples=["#2f855a"],
        pattern=r"^(#[0-9a-f]{6})?$",
    ),
]


class NewAgent(Body):
    """Somebody who becomes an agent, by their account on a platform."""

    platform: Annotated[
        StrictStr, Field(description="the name of a platform", examples=["slack"], pattern=r"^[a-z]{1,32}$")
    ]
    workspace: Annotated[
        StrictStr,
        Field(
            description="the platform's id of a workspace that Rollcall knows",
            examples=["T012AB3CD"],
            max_length=64,
        ),
    ]
    external_id: Annotated[
        StrictStr,
        Field(
            description="the platform's id of the person: 1 to 64 characters without spaces and slashes",
            examples=["U012AB3CD"],
            pattern=r"^[^\s/]{1,64}$",
        ),
    ]
    name: Name
    zone: Zone = None
    teams: Slugs = None
    skills: Slugs = None
    capacity: Capacity = 1
    role: RoleName = "agent"


class AgentChange(Body):
    """What is left out stays as it is."""

    name: Name = ""
    zone: Zone = None
    capacity: Capacity = 1
    role: RoleName = "agent"


class NewTeam(Body):
    """A team to be made."""

    name: Name
    slug: Annotated[
        StrictStr | None,
        Field(description=f"{_SLUG_RULE}; left out: made of the name", examples=["billing-eu"], pattern=SLUG),
    ] = None
    color: Color = ""


class TeamChange(Body):
    """What is left out stays as it is."""

    name: Name = ""
    slug: Slug = ""
    color: Color = ""


class NewSkill(Body):
    """A skill to be made."""

    name: Name
    slug: Annotated[
        StrictStr | None,
        Field(description=f"{_SLUG_RULE}; left out: made of the name", examples=["french"], pattern=SLUG),
    ] = None


class SkillChange(Body):
    """What is left out stays as it is."""

    name: Name = ""
    slug: Slug = ""


class AgentRecord(Struct, frozen=True):
    """An agent as kept: what can be changed, without presence and load."""

    id: str
    name: str
    zone: Annotated[str | None, Meta(description="IANA time zone.")]
    capacity: Annotated[int, Meta(ge=0, description="Most units at once.")]
    role: Annotated[str, Meta(description="`agent` or `lead`.")]
    teams: tuple[str, ...]
    skills: tuple[str, ...]
    external_ids: Mapping[str, str]
    identities: tuple[IdentityBody, ...]
    revision: Annotated[str, Meta(description="Goes into `If-Match`, in quotes.")]


class RemovedAgent(Struct, frozen=True):
    """Somebody who is no longer an agent."""

    agent_id: str
    removed: bool


class TeamRecord(Struct, frozen=True):
    """A team or a skill as kept."""

    slug: str
    name: str
    color: Annotated[str | None, Meta(description="`#2f855a`, or empty; null: skills have none.")]
    aliases: Annotated[tuple[str, ...], Meta(description="Slugs it had before; they go on to work.")]
    revision: Annotated[str, Meta(description="Goes into `If-Match`, in quotes.")]


DOCUMENTS = (AgentRecord, RemovedAgent, TeamRecord, TeamBody, SkillBody)


def agent_record(core: Rollcall, agent: Agent, sight: Sight | None) -> AgentRecord:
    """An agent as who sees so much is told."""
    return AgentRecord(
        agent.id,
        agent.name,
        agent.zone,
        agent.capacity,
        agent.role.value,
        of_teams(agent.teams, sight),
        agent.skills,
        dict(agent.externals),
        identities_of(core, agent),
        revision_of(agent),
    )


def team_record(one: Team | Skill) -> TeamRecord:
    """A team or a skill."""
    color = one.color if isinstance(one, Team) else None
    return TeamRecord(one.slug, one.name, color, one.aliases, revision_of(one))


def revisions_in(if_match: str | None) -> frozenset[str]:
    """The revisions of an If-Match header; none where there is no such header. Raises Problem."""
    if if_match is None:
        return frozenset()
    found = frozenset(tag.strip() for tag in if_match.split(","))
    if not all(
        tag == "*" or (len(tag) > 2 and tag.endswith('"') and tag.lstrip("W/")[:1] == '"') for tag in found
    ):
        raise bad_value("If-Match", "the revision in quotes, or *", '"0f9c1d2e3a4b5c6d"', "header")
    # RFC 9110: compared strongly, so that a weak one is none that there is.
    return frozenset(tag.removeprefix('"').removesuffix('"') for tag in found)


ADD_AGENT = {
    "platform": "slack",
    "workspace": "T012AB3CD",
    "external_id": "U012AB3CD",
    "name": "Maria",
    "zone": "Europe/Berlin",
    "teams": ["support"],
    "skills": ["french"],
    "capacity": 3,
}
CHANGE_AGENT = {"capacity": 4}
ADD_TEAM = {"name": "Billing EU", "slug": "billing-eu", "color": "#2f855a"}
CHANGE_TEAM = {"name": "Billing Europe"}
ADD_SKILL = {"name": "Spanish"}
CHANGE_SKILL = {"name": "French (Canada)"}
_AT = "2026-11-02T09:00:00Z"
_AGENT = "agt_01k9f3tq8x7v5e2m4n6p8r0s1t"
EXAMPLES: dict[type, dict[str, Any]] = {
    AgentRecord: {
        "as_of": _AT,
        "id": _AGENT,
        "name": "Maria",
        "zone": "Europe/Berlin",
        "capacity": 3,
        "role": "agent",
        "teams": ["support"],
        "skills": ["french"],
        "external_ids": {"chatwoot": "42"},
        "identities": [
            {
                "platform": "slack",
                "workspace": "T012AB3CD",
                "external_id": "U012AB3CD",
                "name": "Maria",
                "present": True,
            }
        ],
        "revision": "0f9c1d2e3a4b5c6d",
    },
    RemovedAgent: {"as_of": _AT, "agent_id": _AGENT, "removed": True},
    TeamRecord: {
        "as_of": _AT,
        "slug": "billing-eu",
        "name": "Billing EU",
        "color": "#2f855a",
        "aliases": ["billing"],
        "revision": "1f9c1d2e3a4b5c6d",
    },
    TeamBody: {
        "as_of": _AT,
        "slug": "support",
        "name": "Support",
        "color": "",
        "aliases": [],
        "revision": "2f9c1d2e3a4b5c6d",
        "open": True,
        "next_expected_at": "2026-11-02T09:30:00Z",
        "routable": 1,
        "counts": {"available": 2, "away": 1, "offline": 4},
    },
    SkillBody: {
        "as_of": _AT,
        "slug": "french",
        "name": "French",
        "aliases": [],
        "revision": "3f9c1d2e3a4b5c6d",
        "routable": 1,
        "counts": {"available": 2, "away": 1, "offline": 4},
    },
}
