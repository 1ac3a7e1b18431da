"""`rollcall apply`: the roster becomes what a file says, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.config import Config
from bot.domain.agent import Agent, Identity, Role, Skill, Team
from bot.domain.errors import BadInput
from bot.domain.facts import CheckIn, Choice, Intent, Interval, Link, LinkState, Presence, new_agent
from bot.message import words
from bot.ports import Store, Transaction
from bot.service import applying, configured
from bot.service.roster_file import read, write
from storage.database import open_inline

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
FILE = """
[[team]]
slug = "support"
name = "Support"
[[team]]
slug = "billing"
name = "Billing"
[[skill]]
slug = "german"
name = "German"
[[agent]]
name = "Alex"
accounts = ["slack:T1:U1", "discord:9:1"]
role = "lead"
capacity = 3
zone = "Europe/Berlin"
zone_by_hand = true
teams = ["billing"]
skills = ["german"]
external_ids = { chatwoot = "42" }
[[agent]]
name = "Sam"
accounts = ["slack:T1:U2"]
"""
SAM = '[[agent]]\nname = "Sam"\naccounts = ["slack:T1:U2"]\n'


class Undone(Exception):
    """Ends a dry run."""


class House:
    """A store in memory, and files for it."""

    def __init__(self, **config: Any) -> None:
        self.store: Store = open_inline()
        self.config = Config.model_validate(config)

    async def apply(self, text: str, *, prune: bool = False, at: datetime = LATER) -> list[str]:
        wanted = applying.Apply(read(text), prune, self.config)
        return await self.store.write(lambda tx: applying.apply(tx, wanted, at))

    async def exported(self) -> str:
        def look(tx: Transaction) -> str:
            owner = tx.members.organization("default") or ""
            workspaces = {one.id: one for one in tx.members.workspaces(owner)}
            agents = [agent for agent, _ in tx.members.everyone(owner)]
            return write(tx.members.teams(owner), tx.members.skills(owner), agents, workspaces)[0]

        return await self.store.read(look)

    async def agents(self) -> dict[str, Agent]:
        def look(tx: Transaction) -> dict[str, Agent]:
            owner = tx.members.organization("default") or ""
            return {agent.name: agent for agent, _ in tx.members.everyone(owner)}

        return await self.store.read(look)

    async def events(self, after: int = 0) -> list[tuple[str, str | None]]:
        def look(tx: Transaction) -> list[tuple[str, str | None]]:
            owner = tx.members.organization("default") or ""
            return [(event.type, event.agent_id) for _, event in tx.ledger.events_after(owner, after, 1000)]

        return await self.store.read(look)


async def test_a_file_makes_teams_skills_and_agents() -> None:
    house = House()
    lines = await house.apply(FILE)
    assert lines == [
        "team support: new, called Support",
        "team billing: new, called Billing",
        "skill german: new, called German",
        "Alex (slack:T1:U1): enrolled",
        "Sam (slack:T1:U2): enrolled",
    ]
    alex = (await house.agents())["Alex"]
    assert (alex.role, alex.capacity, alex.zone, alex.zone_by_hand) == (Role.LEAD, 3, "Europe/Berlin", True)
    assert (alex.teams, alex.skills, alex.externals) == (("billing",), ("german",), (("chatwoot", "42"),))
    assert [(one.platform, one.external_id, one.present) for one in alex.identities] == [
        ("slack", "U1", True),
        ("discord", "1", True),
    ]
    assert not any(one.is_admin for one in alex.identities), "a platform alone says who is an admin"


async def test_the_same_file_once_more_changes_and_writes_nothing() -> None:
    house = House()
    await house.apply(FILE)
    count = len(await house.events())
    assert await house.apply(FILE) == []
    assert len(await house.events()) == count


async def test_what_a_file_leaves_out_stays_and_what_it_says_changes() -> None:
    house = House()
    await house.apply(FILE)
    lines = await house.apply(
        '[[agent]]\nname = "Otherwise"\naccounts = ["discord:9:1"]\ncapacity = 1\nteams = ["support"]\n'
    )
    assert lines == ["Alex (discord:9:1): takes 1 at once, took 3; joins support; leaves billing"]
    agents = await house.agents()
    assert set(agents) == {"Alex", "Sam"}, "whoever is known is called what their platform calls them"
    assert agents["Alex"].skills == ("german",)
    assert agents["Alex"].externals == (("chatwoot", "42"),)


async def test_pruning_removes_agents_teams_and_skills_that_are_not_there() -> None:
    """Design 2.13: at once, with nothing left that keeps them in."""
    house = House()
    await house.apply(FILE)
    alex = (await house.agents())["Alex"]

    def connect(tx: Transaction) -> None:
        before = tx.presence.facts(alex.id)
        assert before is not None
        one = alex.identities[0]
        opened = Interval(Presence.AVAILABLE, LATER, "set", "agent")
        after = replace(
            before,
            intent=Intent(Choice.AVAILABLE, LATER, "agent"),
            check_in=CheckIn(one.id, LATER, LATER + timedelta(hours=8)),
            links=(Link(one.id, one.workspace_id, LinkState.CONNECTED, LATER, 1, 1),),
            interval=opened,
        )
        tx.presence.save(before, after, [opened])

    await house.store.write(connect)
    text = (
        '[[team]]\nslug = "support"\nname = "Support"\n[[agent]]\nname = "Sam"\naccounts = ["slack:T1:U2"]\n'
    )
    then = LATER + timedelta(minutes=1)
    lines = await house.apply(text, prune=True, at=then)
    assert lines == ["team billing: ends", "skill german: ends", f"Alex ({alex.id}): removed"]
    assert set(await house.agents()) == {"Sam"}
    facts = await house.store.read(lambda tx: tx.presence.facts(alex.id))
    assert facts is not None
    assert (facts.interval.presence, facts.interval.since, facts.check_in, facts.links) == (
        Presence.OFFLINE,
        then,
        None,
        (),
    )
    assert ("agent.removed", alex.id) in await house.events()


async def test_who_was_removed_and_stands_in_the_file_is_an_agent_again_with_nothing_set() -> None:
    house = House()
    await house.apply(FILE)
    alex = (await house.agents())["Alex"]
    await house.apply(SAM, prune=True)
    lines = await house.apply(FILE)
    assert "Alex (slack:T1:U1): enrolled again" in lines
    again = (await house.agents())["Alex"]
    assert again.id == alex.id
    assert again.teams == ("billing",)


async def test_ids_of_other_systems_may_change_places() -> None:
    house = House()
    two = (
        '[[agent]]\nname = "A"\naccounts = ["slack:T1:U1"]\nexternal_ids = {{ desk = "{}" }}\n'
        '[[agent]]\nname = "B"\naccounts = ["slack:T1:U2"]\nexternal_ids = {{ desk = "{}" }}\n'
    )
    await house.apply(two.format("1", "2"))
    lines = await house.apply(two.format("2", "1"))
    assert lines == ["A (slack:T1:U1): is 2 in desk", "B (slack:T1:U2): is 1 in desk"]


async def test_an_id_of_somebody_who_is_pruned_is_free() -> None:
    house = House()
    row = '[[agent]]\nname = "{}"\naccounts = ["slack:T1:{}"]\nexternal_ids = {{ desk = "1" }}\n'
    await house.apply(row.format("A", "U1"))
    with pytest.raises(BadInput, match="external_ids: 1 in desk would be both"):
        await house.apply(row.format("B", "U2"))
    await house.apply(row.format("B", "U2"), prune=True)
    assert set(await house.agents()) == {"B"}


async def test_a_team_made_again_has_only_those_whom_the_file_names() -> None:
    house = House()
    await house.apply(FILE)
    rest = FILE.replace('[[team]]\nslug = "billing"\nname = "Billing"\n', "").replace('["billing"]', "[]")
    await house.apply(rest, prune=True)
    sam = (
        '[[team]]\nslug = "billing"\nname = "Billing"\n[[agent]]\nname = "Sam"\naccounts = ["slack:T1:U2"]\n'
    )
    await house.apply(sam + 'teams = ["billing"]\n')
    agents = await house.agents()
    assert agents["Alex"].teams == ()
    assert agents["Sam"].teams == ("billing",)


async def test_before_the_first_start_the_configuration_counts_first() -> None:
    """So that the first start finds nothing to do over what the file said."""
    lead = {"organization": {"leads": ["slack:T1:U2"]}}
    house = House(team=[{"slug": "night", "name": "Night", "everyone": True}], **lead)
    await house.apply(FILE)
    agents = await house.agents()
    assert agents["Sam"].teams == ("night",)
    assert agents["Sam"].role is Role.LEAD
    assert agents["Alex"].teams == ("billing",), "where the file speaks, it counts"
    begun = await house.store.write(lambda tx: configured.begin(tx, house.config, LATER))
    assert begun.was == begun.said


async def test_a_dry_run_is_undone_by_whoever_asked_for_it() -> None:
    house = House()
    wanted = applying.Apply(read(FILE), False, house.config)
    told: list[str] = []

    def dry(tx: Transaction) -> None:
        told.extend(applying.apply(tx, wanted, NOW))
        raise Undone

    with pytest.raises(Undone):
        await house.store.write(dry)
    assert len(told) == 5
    assert await house.store.read(lambda tx: tx.members.organization("default")) is None


REFUSED = {
    "capacity = 0": "[[agent]] 1 (Alex), capacity: must be a whole number from 1 to 100, such as 3.",
    "capacity = true": "[[agent]] 1 (Alex), capacity: must be a whole number from 1 to 100, such as 3.",
    'zone = "Berlin"': "[[agent]] 1 (Alex), zone: write an IANA time zone such as Europe/Berlin.",
    'role = "boss"': '[[agent]] 1 (Alex), role: must be "agent" or "lead".',
    'team = ["support"]': "[[agent]] 1 (Alex), team is not a key; did you mean teams?",
    'teams = ["Support"]': "[[agent]] 1 (Alex), teams.0: write up to 32 small letters",
    'teams = ["nights"]': "[[agent]] Alex (slack:T1:U1), teams: there is no team nights. Add it to the "
    'file, as in [[team]] slug = "nights"',
    'external_ids = { Desk = "1" }': "[[agent]] 1 (Alex), external_ids: name systems by",
    'external_ids = { desk = "a b" }': "[[agent]] 1 (Alex), external_ids: write ids of 1 to 128 characters",
}


@pytest.mark.parametrize("line", list(REFUSED))
async def test_bad_input_is_refused_whole_with_place_rule_and_example(line: str) -> None:
    house = House()
    agent = f'[[agent]]\nname = "Alex"\naccounts = ["slack:T1:U1"]\n{line}\n'
    text = f'[[team]]\nslug = "new"\nname = "New"\n{agent}'
    with pytest.raises(BadInput) as refusal:
        await house.apply(text)
    assert refusal.value.sentence.startswith(REFUSED[line])
    assert await house.store.read(lambda tx: tx.members.organization("default")) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[agent]\n", "That is not TOML (at line 1, column 8)."),
        ("agents = 1\n", "agents is not a key; did you mean agent?"),
        ("agent = 1\n", "agent: must be a list"),
        ("[[agent]]\nname = 'A'\n", "[[agent]] 1 (A), accounts is missing"),
        (
            "[[agent]]\nname = 'A'\naccounts = []\n",
            "[[agent]] 1 (A), accounts: name one account or more, such as",
        ),
        (
            "[[agent]]\naccounts = ['slack:T1:U1']\n",
            '[[agent]] 1, name is missing, as in name = "Alex Miller".',
        ),
        (
            "[[agent]]\nname = 'A'\naccounts = ['U1']\n",
            "[[agent]] 1 (A), accounts.0: write platform:workspace:person, such as slack:T012AB3CD:",
        ),
        (
            "[[agent]]\nname = 'A'\naccounts = ['s:T:1']\n[[agent]]\nname = 'B'\naccounts = ['s:T:1']\n",
            "[[agent]] accounts: s:T:1 stands there twice; each may stand there once.",
        ),
        (
            "[[agent]]\nname = 'A'\naccounts = ['s:T:1', 's:T:2']\n",
            "[[agent]] A (s:T:1), accounts: two of them are in one workspace",
        ),
        (
            "[[team]]\nslug = 'a'\nname = 'A'\n[[team]]\nslug = 'b'\nname = 'a'\n",
            "[[team]] name: a stands there twice; each may stand there once.",
        ),
    ],
)
async def test_a_file_that_makes_no_sense_says_where(text: str, told: str) -> None:
    with pytest.raises(BadInput) as refusal:
        await House().apply(text)
    assert refusal.value.sentence.startswith(told)


async def test_two_agents_are_not_made_one_by_a_file() -> None:
    """Only the person can say so, by a code."""
    house = House()
    await house.apply(FILE)
    with pytest.raises(BadInput, match="they are 2 agents' already"):
        await house.apply('[[agent]]\nname = "A"\naccounts = ["discord:9:1", "slack:T1:U2"]\n')
    with pytest.raises(BadInput, match="are one agent: put their accounts into one"):
        await house.apply(
            '[[agent]]\nname = "A"\naccounts = ["discord:9:1"]\n'
            '[[agent]]\nname = "B"\naccounts = ["slack:T1:U1"]\n'
        )
    with pytest.raises(BadInput, match="another account in that workspace"):
        await house.apply('[[agent]]\nname = "A"\naccounts = ["discord:9:1", "slack:T1:U7"]\n')


async def test_a_new_account_comes_to_a_known_agent() -> None:
    house = House()
    await house.apply(FILE)
    lines = await house.apply('[[agent]]\nname = "Sam"\naccounts = ["slack:T1:U2", "discord:9:2"]\n')
    assert lines == ["Sam (slack:T1:U2): has the account discord 2"]


async def test_a_name_that_another_team_keeps_is_refused() -> None:
    house = House()
    await house.apply(FILE)
    with pytest.raises(BadInput, match="billing and invoices would both be called Billing"):
        await house.apply('[[team]]\nslug = "invoices"\nname = "Billing"\n')


# --- there and back ---

NAMES = st.text(min_size=1, max_size=30).map(words).filter(bool)
PLACES = [("slack", "T1"), ("slack", "E1:T2"), ("discord", "9"), ("matrix", "home server%")]
TEAMS = [Team("support", "Support"), Team("billing-eu", "Abrechnung „EU“"), Team("t3", 'Tab\t"and" \\ line')]
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
