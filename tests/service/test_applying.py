"""`rollcall apply`: the roster becomes what a file says, whole or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from roster_house import FILE, LATER, NOW, SAM, House, Undone

from bot.domain.agent import Role
from bot.domain.errors import BadInput
from bot.domain.facts import CheckIn, Choice, Intent, Interval, Link, LinkState, Presence
from bot.ports import Transaction
from bot.service import applying, configured, teams
from bot.service.roster_file import read


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


async def test_who_was_removed_has_their_hours_again_unless_the_file_says_others() -> None:
    """As by enrolling: what a table leaves out stays as it is."""
    house = House()
    hours = 'hours = { zone = "UTC", weekly = "mon-fri 9:00-17:00", days_off = ["2026-12-24"] }\n'
    await house.apply(FILE + hours)
    before = (await house.agents())["Sam"]
    assert before.hours is not None
    rest = FILE.replace(SAM.strip(), "")
    await house.apply(rest, prune=True)
    assert "Sam" not in await house.agents()
    await house.apply(FILE)
    assert (await house.agents())["Sam"] == before
    await house.apply(rest, prune=True)
    await house.apply(FILE + "hours = {}\n")
    assert (await house.agents())["Sam"].hours is None


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


async def test_a_key_made_before_the_first_start_changes_nothing_of_that() -> None:
    """The organization is there then, and nothing is remembered of its configuration."""
    house = House(team=[{"slug": "night", "name": "Night", "everyone": True}])
    await house.store.write(lambda tx: tx.members.ensure_organization("default", "Acme", NOW))
    await house.apply(FILE)
    assert (await house.agents())["Sam"].teams == ("night",)


async def renamed(house: House, kind: teams.Kind, slug: str, new_slug: str) -> None:
    """One has another slug; its own goes on to lead to it."""

    def change(tx: Transaction) -> None:
        owner = tx.members.organization("default") or ""
        teams.change(tx, owner, kind, slug, "operator", LATER, new_slug=new_slug)

    await house.store.write(change)


async def test_an_agents_team_and_skill_may_be_named_by_a_former_slug() -> None:
    house = House()
    await house.apply(FILE)
    await renamed(house, "team", "support", "help")
    await renamed(house, "skill", "german", "deutsch")
    told = await house.apply(SAM + 'teams = ["support"]\nskills = ["german", "deutsch"]\n')
    assert told == ["Sam (slack:T1:U2): joins help; has the skill deutsch"]
    sam = (await house.agents())["Sam"]
    assert (sam.teams, sam.skills) == (("help",), ("deutsch",))
    with pytest.raises(BadInput, match=r"support was the slug of help.* Write help\."):
        await house.apply('[[team]]\nslug = "support"\nname = "Support"\n')


async def test_somebody_new_has_the_configurations_team_also_by_its_former_slug() -> None:
    house = House(team=[{"slug": "night", "name": "Night", "everyone": True}])
    await house.apply(SAM)
    await renamed(house, "team", "night", "late")
    await house.apply('[[agent]]\nname = "Kim"\naccounts = ["slack:T1:U3"]\n')
    assert (await house.agents())["Kim"].teams == ("late",)


async def test_a_team_called_like_a_skill_is_refused_and_so_is_the_other_way_about() -> None:
    """As in chat and over HTTP: who asks for one would be shown the other."""
    house = House()
    await house.apply(FILE)
    with pytest.raises(BadInput, match=r"\[\[team\]\] de: called German, it .* for the skill german"):
        await house.apply('[[team]]\nslug = "de"\nname = "German"\n')
    with pytest.raises(BadInput, match=r"\[\[team\]\] billing: called German, it .* for the skill german"):
        await house.apply('[[team]]\nslug = "billing"\nname = "German"\n')
    with pytest.raises(BadInput, match=r"\[\[skill\]\] support: called Care, it .* for the team support"):
        await house.apply('[[skill]]\nslug = "support"\nname = "Care"\n')
    await renamed(house, "skill", "german", "deutsch")
    with pytest.raises(BadInput, match=r"\[\[team\]\] german: called Care, it .* for the skill deutsch"):
        await house.apply('[[team]]\nslug = "german"\nname = "Care"\n')
    swap = '[[team]]\nslug = "german"\nname = "German"\n'
    assert "team german: new, called German" in await house.apply(swap, prune=True), "the skill ends"


async def test_a_team_and_a_skill_that_are_called_alike_already_stay_so() -> None:
    """By the configuration, which may; an export of that can be applied."""
    alike = {"slug": "german", "name": "German"}
    house = House(team=[alike], skill=[alike])
    await house.apply(SAM)
    exported = await house.exported()
    assert await house.apply(exported, prune=True) == []


@pytest.mark.parametrize("slug", ["night", "late"])
@pytest.mark.parametrize("kind", ["team", "skill"])
async def test_pruning_ends_nothing_of_the_configuration(kind: teams.Kind, slug: str) -> None:
    """It would be back with the next start, without its people."""
    house = House(**{kind: [{"slug": "night", "name": "Night"}]})
    await house.apply(FILE)
    if slug == "late":
        await renamed(house, kind, "night", slug)
    with pytest.raises(BadInput) as refusal:
        await house.apply(FILE, prune=True)
    assert refusal.value.sentence == (
        f"--prune would end the {kind} {slug}, which stands in the configuration and would be back with the "
        f'next start. Add it to the file, as in [[{kind}]] slug = "{slug}", name = "Night"; or take it out '
        "of the configuration and start again."
    )
    kept = f'[[{kind}]]\nslug = "{slug}"\nname = "Night"\n'
    assert await house.apply(kept + FILE, prune=True) in ([], [f"{kind}s: in another order"])


async def test_hours_are_set_kept_and_taken_by_a_file() -> None:
    house = House()
    weekly = (
        'hours = { zone = "Europe/Berlin", weekly = "mon-fri 9:00-17:00", days_off = ["2026-12-24 Eve"] }'
    )
    team = '[[team]]\nslug = "support"\nname = "Support"\n'
    told = await house.apply(f"{team}{weekly}\n{SAM}{weekly}")
    assert "team support: works mon-fri 09:00-17:00 Europe/Berlin, off 2026-12-24 Eve" in told
    assert await house.apply(f"{team}{SAM}") == [], "what is left out stays"
    assert await house.apply(f"{team}hours = {{}}\n{SAM}hours = {{}}") == [
        "team support: no hours",
        "Sam (slack:T1:U2): no hours",
    ]
    with pytest.raises(BadInput, match=r"\[\[agent\]\] 1 \(Sam\), hours: .*zone"):
        await house.apply(SAM + 'hours = { weekly = "mon 9:00-10:00" }')
    with pytest.raises(BadInput, match=r"\[\[team\]\] 1 \(Support\), hours.weekly: .*mon-fri"):
        await house.apply(team + 'hours = { zone = "UTC", weekly = "9 to 5" }')
