"""How teams, skills and people are named in chat: what is understood, and what is taken for a slip."""

from __future__ import annotations

import pytest
from desk import member, read
from leading_desk import BOSS, fill, opened


@pytest.mark.parametrize("name", ["\u200d", "\ufe0f", "\u3164", "\u2800", "\u2800 \u3164\u200d", "\u0301"])
async def test_a_name_that_nobody_can_see_is_none(name: str) -> None:
    team = await opened()
    for line in (f"team create {name}", f"team rename billing {name}"):
        answer = read(await team.type("U9", f"/presence {line}", **BOSS))
        assert "1 to 80 characters" in answer or "needs a name behind it" in answer
    assert [one.name for one in team.desk.teams] == ["Support", "Billing"]


async def test_a_name_is_as_long_as_people_count() -> None:
    """A family is one character to see, and seven to a computer."""
    team = await opened()
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
    for name in (family * 12, "e\u0301" * 80, "More…"):
        answer = read(await team.type("U9", f"/presence team create {name}", **BOSS))
        assert f"The team {name} is there." in answer
    assert "1 to 80" in read(await team.type("U9", f"/presence team create {'e' * 81}", **BOSS))


async def test_no_team_is_called_as_a_skill_is_nor_the_other_way() -> None:
    """`/whosin german` would show the team, and never those with the skill."""
    team = await opened()
    for line, told_ in (
        ("team create GERMAN", "There is a skill german, called German"),
        ("team rename billing: German", "There is a skill german, called German"),
        ("skill add Support: U2", "There is a team support, called Support"),
    ):
        answer = read(await team.type("U9", f"/presence {line}", **BOSS, mentioned=(member("U2", "Tom"),)))
        assert told_ in answer
    assert [one.name for one in team.desk.teams] == ["Support", "Billing"]
    assert [one.name for one in team.desk.skills] == ["German"]


async def test_of_two_agents_of_one_name_the_one_meant_is_mentioned() -> None:
    team = await opened()
    await team.type("U3", "/available", name="Maria")
    answer = read(await team.type("U9", "/presence set Maria away", **BOSS))
    assert "2 agents are called Maria. Mention the one you mean with @, on the platform" in answer
    await team.type("U9", "/presence set @Maria away", **BOSS, mentioned=(member("U3", "Maria"),))
    rows = team.desk.roster.rows(team.clock.now())
    assert {
        row.agent.identities[0].external_id: row.facts.intent.choice
        for row in rows
        if row.agent.name == "Maria"
    } == {"U1": "available", "U3": "away"}


async def test_a_name_may_change_in_its_case_alone() -> None:
    team = await opened()
    answer = read(await team.type("U9", "/presence team rename billing BILLING", **BOSS))
    assert answer.startswith("Billing is now called BILLING.")
    assert [one.name for one in team.desk.teams] == ["Support", "BILLING"]


@pytest.mark.parametrize(
    ("line", "told_"),
    [
        ("skill add germna @Tom", "Did you mean `german`? If it is to be a new one, type it with a colon"),
        ("skill add germna Tom", "Do you mean the skill `germna` for Tom? Put a colon between them"),
        (
            "skill add french Tom",
            "`french: Tom`. If all of it is the skill, put one behind it: `french Tom:`",
        ),
        ("skill add @Tom german", "The skill comes first, then the person"),
        ("skill add U2 german", "The skill comes first, then the person"),
        ("skill add @Tom:", "The skill comes first, then the person"),
    ],
)
async def test_a_slip_makes_no_skill(line: str, told_: str) -> None:
    """Nor gives the lead one that was meant for somebody else."""
    team = await opened()
    await team.type("U9", "/available", **BOSS)
    mentioned = (member("U2", "Tom"),) if "@" in line or "U2" in line else ()
    answer = read(await team.type("U9", f"/presence {line}", **BOSS, mentioned=mentioned))
    assert told_.replace("`", "") in answer
    assert [skill.slug for skill in team.desk.skills] == ["german"]
    assert team.row("Ann").agent.skills == ()


async def test_a_colon_says_that_a_skill_is_meant_as_it_stands() -> None:
    team = await opened()
    for line in ("germna: Tom", "chat with Tom: U2", "german: Tom", "dutch: @Tom"):
        await team.type("U9", f"/presence skill add {line}", **BOSS, mentioned=(member("U2", "Tom"),))
    assert team.row("Tom").agent.skills == ("german", "germna", "chat-with-tom", "dutch")
    assert [skill.name for skill in team.desk.skills] == ["German", "germna", "chat with Tom", "dutch"]
    await fill(team, "presence skill add", {"skill": "Germann:", "agent": "U2"})
    assert team.row("Tom").agent.skills[-1] == "germann"


async def test_a_skill_that_nobody_has_is_deleted_by_a_lead() -> None:
    """Not one that somebody has, nor one that the next start would make again."""
    team = await opened()
    await team.type("U9", "/presence skill add dutch U2", **BOSS, mentioned=(member("U2", "Tom"),))
    refused = read(await team.type("U9", "/presence skill delete dutch", **BOSS))
    assert "Tom still has the skill dutch. Take it from them first" in refused
    await team.type("U2", "/presence skill remove dutch", name="Tom")
    assert "Only leads" in read(await team.type("U2", "/presence skill delete dutch", name="Tom"))
    told_ = read(await team.type("U9", "/presence skill delete Dutch", **BOSS, delivery="d"))
    assert told_ == "The skill dutch is there no longer."
    assert [skill.slug for skill in team.desk.skills] == ["german"]
    await team.type("U1", "/presence skill remove german", name="Maria")
    assert "stands in the configuration" in read(
        await team.type("U9", "/presence skill delete german", **BOSS)
    )
    assert [skill.slug for skill in team.desk.skills] == ["german"]


async def test_what_the_list_shows_is_understood_wherever_a_team_or_skill_is_named() -> None:
    """By its name as by its slug, in any case, in a line and in a field; a slug is its own first."""
    team = await opened()
    for line in ("create Billing EU", "rename billing: Invoices & Co", "create 客服", "create Sales"):
        await team.type("U9", f"/presence team {line}", **BOSS)
    for named, slug in (
        ("invoices & co", "billing"),
        ("INVOICES  CO", "billing"),
        ("Billing EU", "billing-eu"),
        ("客服", "team-1"),
    ):
        await team.type("U9", f"/presence team join {named} Tom", **BOSS)
        assert slug in team.row("Tom").agent.teams, named
        await fill(team, "presence team leave", {"team": named, "agent": "U2"})
        assert slug not in team.row("Tom").agent.teams, named
    shown = read(await team.type("U2", "/whosin Invoices & Co GERMAN", name="Tom"))
    assert shown.startswith("Invoices & Co, German · ")
    for line, told_ in (
        ("rename sales Billing", "The team billing is called Invoices & Co"),
        ("rename sales Invoices + co", "The team billing is called Invoices & Co"),
        ("create Invoices co", "There is a team billing already"),
        ("rename billing EU Ops", "Do you mean billing or billing-eu? Put a colon behind the one you mean"),
    ):
        answer = read(await team.type("U9", f"/presence team {line}", **BOSS))
        assert told_ in answer, line
    assert "There are `support`".replace("`", "") in (await fill(team, "presence team join", {"team": "zzz"}))
    assert [one.name for one in team.desk.teams] == [
        "Support",
        "Invoices & Co",
        "Billing EU",
        "客服",
        "Sales",
    ]
