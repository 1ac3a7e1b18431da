"""What is exported and applied elsewhere is exported the same again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from roster_house import NOW, House

from bot.config import Config
from bot.domain.agent import Agent, Identity, Role, Skill, Team
from bot.domain.facts import new_agent
from bot.domain.hours import DayOff, Hours
from bot.domain.hours_text import read_weekly
from bot.message import words
from bot.ports import Transaction
from bot.service import configured

NAMES = st.text(min_size=1, max_size=30).map(words).filter(bool)
PLACES = [("slack", "T1"), ("slack", "E1:T2"), ("discord", "9"), ("matrix", "home server%")]
CLOSED = (
    DayOff(date(2026, 12, 24), date(2026, 12, 26), "Christmas, „quiet“"),
    DayOff(date(2027, 1, 1), date(2027, 1, 1)),
)
HOURS = [
    None,
    Hours("Europe/Berlin", read_weekly("mon-fri 09:00-12:00 13:00-17:30, sat 22:00-02:00"), CLOSED),
    Hours("Asia/Tokyo", (), CLOSED[1:]),
]
TEAMS = [
    Team("support", "Support", hours=HOURS[1]),
    Team("billing-eu", "Abrechnung „EU“"),
    Team("t3", 'Tab\t"and" \\ line'),
]
SKILLS = [Skill("german", "Deutsch"), Skill("refunds", "Refunds")]


@st.composite
def agents(draw: st.DrawFn) -> list[Agent]:
    made = []
    for number in range(draw(st.integers(0, 5))):
        spaces = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True))
        accounts = tuple(
            Identity(f"idn_{number}_{index}", f"{platform} {space}", platform, f"U:{number}", present=True)
            for index, (platform, space) in enumerate(spaces)
        )
        zone = draw(st.sampled_from([None, "Europe/Berlin", "Asia/Tokyo"]))
        systems = draw(st.lists(st.sampled_from(["desk", "chatwoot"]), unique=True))
        made.append(
            Agent(
                f"agt_{number}",
                "",
                draw(NAMES),
                zone,
                zone is not None and draw(st.booleans()),
                draw(st.sampled_from(list(Role))),
                draw(st.integers(1, 100)),
                tuple(team.slug for team in TEAMS if draw(st.booleans())),
                tuple(skill.slug for skill in SKILLS if draw(st.booleans())),
                removed=draw(st.sampled_from([False, False, False, True])),
                identities=accounts,
                externals=tuple((system, f"{number}") for system in sorted(systems)),
                hours=draw(st.sampled_from(HOURS)),
            )
        )
    return made


def filled(made: Sequence[Agent], tx: Transaction) -> None:
    begun = configured.begin(tx, Config(), NOW)
    configured.remember(tx, begun, NOW)
    owner = begun.organization_id
    spaces = {
        f"{platform} {space}": tx.members.ensure_workspace(owner, platform, space, space, NOW).id
        for platform, space in PLACES
    }
    tx.members.save_teams(owner, TEAMS, NOW)
    tx.members.save_skills(owner, SKILLS, NOW)
    for agent in made:
        accounts = tuple(replace(one, workspace_id=spaces[one.workspace_id]) for one in agent.identities)
        tx.members.add(
            replace(agent, organization_id=owner, identities=accounts), new_agent(agent.id, NOW), NOW
        )


@given(agents())
@settings(max_examples=60, deadline=None)
def test_export_apply_and_export_again_are_equal(made: list[Agent]) -> None:
    """On an empty database; and on the very same one nothing changes."""

    async def there_and_back() -> None:
        one, other = House(), House()
        await one.store.write(lambda tx: filled(made, tx))
        text = await one.exported()
        assert await one.apply(text) == []
        assert await one.events() == []
        await other.apply(text)
        assert await other.exported() == text
        assert await other.apply(text, prune=True) == []

    asyncio.run(there_and_back())
