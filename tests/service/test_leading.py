"""What leads do for others, and agents for themselves, typed at a desk."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Team, member, open_team, read

from bot.commands import names_on, read_line
from bot.domain.facts import Seen
from bot.domain.transition import Told
from bot.message import Message
from bot.ports import Command, Person, Profile
from bot.told import told

LONG = "customer-success-europe-middle-e"
"""A slug of 32 characters."""
BOSS: dict[str, Any] = {"name": "Ann", "is_admin": True}


async def opened() -> Team:
    """Maria, an agent in Support and Billing with German; Tom in Support; Ann is an admin of Slack."""
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    await team.type("U2", "/available", name="Tom")
    return team


async def words_for(team: Team, name: str) -> list[Message]:
    """The direct messages that are owed to somebody and still make sense."""
    now, row = team.clock.now(), team.row(name)
    organization_id = team.desk.organization_id
    owed = await team.desk.store.write(lambda tx: tx.ledger.due_notices(organization_id, now, 50))
    found = [told(Told(one.told), row, one.data) for one in owed if one.agent_id == row.agent.id]
    return [one for one in found if one is not None]


async def fill(team: Team, name: str, fields: dict[str, str]) -> str:
    """Ann fills in the fields of a command, as on Discord."""
    ann = Person(team.slack.id, "slack", Profile("U9", "Ann", "UTC", is_admin=True))
    return read(await team.desk.dispatch(Command(name, ann, fields)))


async def outbox(team: Team) -> list[tuple[str, dict[str, object]]]:
    """What programs were told of lists and agents, oldest first."""
    organization_id = team.desk.organization_id
    rows = await team.desk.store.read(lambda tx: tx.ledger.events_after(organization_id, 0, 500))
    return [
        (event.type, dict(event.data))
        for _, event in rows
        if event.type not in {"presence.changed", "agent.enrolled"}
    ]


async def test_a_lead_sets_somebody_away_and_they_are_told_by_whom() -> None:
    team = await opened()
    answer = read(await team.type("U9", "/presence set U1 away 30m lunch", **BOSS))
    assert answer == "Maria is Away until 09:30: Lunch.\nThey're told that it was you."
    assert team.presence("Maria") == "away"
    [message] = await words_for(team, "Maria")
    assert read(message).splitlines()[0] == "Ann set you Away until 09:30: Lunch."
    assert "[I'm available]" in read(message)
    why = read(await team.type("U2", "/presence why Maria", name="Tom"))
    assert "set by Ann" in why
    assert "set by Ann" in read(await team.type("U1", "/presence me", name="Maria"))
    team.clock.advance(minutes=31)
    await team.desk.tick()
    assert team.presence("Maria") == "available"
    assert "Ann" not in read(await team.type("U2", "/presence why Maria", name="Tom"))


async def test_a_lead_who_is_an_agent_is_named_as_they_are_now_called() -> None:
    team = await opened()
    await team.type("U2", "/presence set Maria away", name="Tom", is_admin=True)
    await team.type("U2", "/presence me", name="Thomas", is_admin=True)
    assert "set by Thomas" in read(await team.type("U1", "/presence why", name="Maria"))


async def test_what_somebody_changed_since_is_not_told_them() -> None:
    team = await opened()
    await team.type("U9", "/presence set U1 away", **BOSS)
    team.clock.advance(seconds=1)
    await team.type("U1", "/available", name="Maria")
    assert await words_for(team, "Maria") == []


async def test_available_does_not_connect_anybody() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("5", "/presence me", on="discord", name="Maria")
    await team.see("5", Seen.DISCONNECTED, epoch)
    answer = await team.type("8", "/presence set 5 available", on="discord", **BOSS)
    assert read(answer).splitlines()[0] == "Maria is still Offline: not connected."
    assert team.presence("Maria") == "offline"
    [message] = await words_for(team, "Maria")
    assert read(message).startswith("Ann set you Available.\nYour team still sees you as Offline.")


async def test_nobody_sets_somebody_who_signed_off() -> None:
    """Rule 9."""
    team = await opened()
    await team.type("U1", "/presence off", name="Maria")
    for choice in ("available", "away 30m"):
        answer = read(await team.type("U9", f"/presence set U1 {choice}", **BOSS))
        assert "They signed off, so they stay Offline until they type /available themselves." in answer
    assert team.presence("Maria") == "offline"
    assert await words_for(team, "Maria") == []


async def test_a_lead_who_means_themselves_is_told_nothing_twice() -> None:
    team = await opened()
    answer = await team.type("U1", "/presence set U1 away 30m", name="Maria", is_admin=True)
    assert read(answer) == "You're Away until 09:30."
    assert team.row("Maria").facts.intent.by == "agent"
    assert await words_for(team, "Maria") == []


@pytest.mark.parametrize(
    ("line", "told_"),
    [
        ("/presence set", "needs a person behind it"),
        ("/presence set U1", "needs `available` or `away` behind it"),
        ("/presence set U1 lunch", "needs `available` or `away` behind it"),
        ("/presence set Nobody away", "There is no agent `Nobody`"),
        ("/presence set U1 away back in 10", "back in 10"),
        ("/presence capacity U1", "needs a number behind it"),
        ("/presence capacity U1 0", "from 1 to 100"),
        ("/presence capacity U1 101", "from 1 to 100"),
        ("/presence capacity U1 -1", "from 1 to 100"),
        ("/presence capacity U1 ٣", "from 1 to 100"),
        ("/presence team create", "needs a name behind it"),
        ("/presence team create Support", "There is a team `support` already"),
        ("/presence team create suppört", "There is a team `support` already"),
        ("/presence team create " + "x" * 81, "1 to 80 characters"),
        ("/presence team rename support", "needs a name behind it"),
        ("/presence team rename support billing", "The team `billing` is called `Billing`"),
        ("/presence team rename sales Sales", "There is no team `sales`"),
        ("/presence team join billin", "Did you mean `billing`?"),
        ("/presence team jion billing", "Did you mean `/presence team join`?"),
        ("/presence skill remove french", "There is no skill `french`"),
        ("/presence skil list", "Did you mean `/presence skill`?"),
    ],
)
async def test_refusals_name_what_to_type(line: str, told_: str) -> None:
    team = await opened()
    before = await outbox(team)
    assert told_.replace("`", "") in read(await team.type("U9", line, **BOSS))
    assert await outbox(team) == before
    assert team.presence("Maria") == "available"


@pytest.mark.parametrize(
    "line",
    [
        "/presence set U1 away",
        "/presence capacity U1 3",
        "/presence team create Sales",
        "/presence team rename billing Invoices",
        "/presence team join billing U1",
        "/presence team leave billing U1",
        "/presence skill add german U1",
        "/presence skill remove german U1",
        "/presence skill add french",
    ],
)
async def test_what_is_a_leads_is_refused_to_others(line: str) -> None:
    team = await opened()
    before = await outbox(team)
    assert "nly leads" in read(await team.type("U2", line, name="Tom"))
    assert await outbox(team) == before


async def test_a_named_lead_may_and_no_longer_when_the_platform_takes_it_back() -> None:
    """Asked of what the platform says with that very command."""
    team = await open_team({"organization": {"leads": ["slack:T1:U2"]}})
    await team.type("U1", "/available", name="Maria")
    await team.type("U2", "/presence capacity U1 3", name="Tom")
    assert team.row("Maria").agent.capacity == 3
    await team.type("U3", "/presence capacity U1 4", name="Eve", is_admin=True)
    assert team.row("Maria").agent.capacity == 4
    assert "Only leads" in read(await team.type("U3", "/presence capacity U1 5", name="Eve"))
    assert team.row("Maria").agent.capacity == 4


async def test_teams_are_made_joined_renamed_and_left() -> None:
    team = await opened()
    made = read(await team.type("U9", "/presence team create Zahlungen Österreich", **BOSS))
    assert "Programs know it as zahlungen-osterreich." in made
    assert [one.slug for one in team.desk.teams] == ["support", "billing", "zahlungen-osterreich"]
    await team.type("U2", "/presence team join Zahlungen Österreich", name="Tom")
    await team.type("U9", "/presence team join zahlungen-osterreich Maria", **BOSS)
    shown = read(await team.type("U2", "/whosin zahlungen-osterreich", name="Tom"))
    assert "Tom" in shown
    assert "Maria" in shown
    await team.type("U9", "/presence team rename zahlungen-osterreich Billing AT", **BOSS)
    assert [one.name for one in team.desk.teams] == ["Support", "Billing", "Billing AT"]
    await team.type("U1", "/presence team leave zahlungen-osterreich", name="Maria")
    listed = read(await team.type("U2", "/presence team list", name="Tom"))
    assert listed.splitlines() == [
        "Support · support · Maria, Tom",
        "Billing · billing · Maria",
        "Billing AT · zahlungen-osterreich · Tom",
    ]
    assert await outbox(team) == [
        ("team.created", {"slug": "zahlungen-osterreich", "name": "Zahlungen Österreich"}),
        ("team.joined", {"team": "zahlungen-osterreich"}),
        ("team.joined", {"team": "zahlungen-osterreich"}),
        ("team.renamed", {"slug": "zahlungen-osterreich", "name": "Billing AT"}),
        ("team.left", {"team": "zahlungen-osterreich"}),
    ]


async def test_a_name_without_latin_letters_makes_a_team_too() -> None:
    team = await opened()
    await team.type("U9", "/presence team create サポート", **BOSS)
    await team.type("U9", "/presence team create 請求", **BOSS)
    assert [(one.slug, one.name) for one in team.desk.teams[2:]] == [
        ("team-1", "サポート"),
        ("team-2", "請求"),
    ]


async def test_skills_are_given_taken_and_made_by_leads() -> None:
    team = await opened()
    await team.type("U2", "/presence skill add GERMAN", name="Tom")
    assert team.row("Tom").agent.skills == ("german",)
    answer = read(
        await team.type(
            "U9", "/presence skill add Swiss German @Tom", **BOSS, mentioned=(member("U2", "Tom"),)
        )
    )
    assert answer.splitlines()[0] == "Tom has the skill Swiss German."
    assert "swiss-german" in answer
    await team.type("U9", "/presence skill add dutch U2", **BOSS, mentioned=(member("U2", "Tom"),))
    assert team.row("Tom").agent.skills == ("german", "swiss-german", "dutch")
    await team.type("U9", "/presence skill remove german U1", **BOSS)
    assert team.row("Maria").agent.skills == ()
    assert "Tom" in read(await team.type("U1", "/whosin swiss-german", name="Maria"))
    listed = read(await team.type("U1", "/presence skill list", name="Maria"))
    assert listed.splitlines()[0] == "German · german · Tom"


async def test_what_is_delivered_twice_changes_things_once() -> None:
    team = await opened()
    for line in ("set U1 away", "team create Sales", "team leave billing U1", "team rename support Helpers"):
        first = await team.type("U9", f"/presence {line}", **BOSS, delivery=line)
        before = await outbox(team)
        again = await team.type("U9", f"/presence {line}", **BOSS, delivery=line)
        assert await outbox(team) == before, line
        assert read(again).splitlines()[-1] == read(first).splitlines()[-1], line
    await team.type("U1", "/presence team join billing", name="Maria")
    again = await team.type("U9", "/presence team leave billing U1", **BOSS, delivery="team leave billing U1")
    assert read(again) == "Maria is in the team Billing.", "as things now are"
    await team.type("U9", "/presence capacity U1 7", **BOSS, delivery="c")
    await team.type("U9", "/presence capacity U1 8", **BOSS, delivery="later")
    await team.type("U9", "/presence capacity U1 7", **BOSS, delivery="c")
    assert team.row("Maria").agent.capacity == 8
    assert len(await words_for(team, "Maria")) == 1


async def test_whoever_is_no_agent_is_not_set_but_named() -> None:
    team = await opened()
    answer = await team.type("U9", "/presence set U7 away", **BOSS, mentioned=(member("U7", "Zoe"),))
    assert "Zoe is no agent. Type /presence enrol @Zoe first." in read(answer)
    assert "You're not an agent yet" in read(await team.type("U9", "/presence team join billing", **BOSS))


async def test_fields_of_a_platform_are_read_as_lines_are() -> None:
    team = await opened()
    fields = {"agent": "U1", "presence": "away", "until": "until 14:30", "reason": "training"}
    assert (await fill(team, "presence set", fields)).splitlines()[
        0
    ] == "Maria is Away until 14:30: Training."
    assert "I read no time in soon" in await fill(team, "presence set", {**fields, "until": "soon"})
    assert "Only Away has an end" in await fill(team, "presence set", {**fields, "presence": "available"})
    assert "no team sales" in await fill(team, "presence team join", {"team": "sales", "agent": "U1"})
    await fill(team, "presence capacity", {"agent": "U1", "chats": "5"})
    assert team.row("Maria").agent.capacity == 5
    await fill(team, "presence skill add", {"skill": "Dutch", "agent": "U1"})
    assert team.row("Maria").agent.skills == ("german", "dutch")


async def test_suggestions_are_those_of_the_kind() -> None:
    team = await opened()
    person = Person(team.slack.id, "slack", Profile("U1", "Maria"))
    assert await team.desk.suggest(person, "presence team join", "team", "b") == [("Billing", "billing")]
    assert await team.desk.suggest(person, "presence skill add", "skill", "") == [("German", "german")]
    assert await team.desk.suggest(person, "presence team create", "name", "b") == ()


@pytest.mark.parametrize(
    ("line", "name", "arguments"),
    [
        ("set Maria Lopez away 30m lunch", "presence set", ("Maria Lopez", "away", "30m lunch")),
        ("SET U1 Available", "presence set", ("U1", "available", "")),
        ("set away away away", "presence set", ("away", "away", "away")),
        ("team", "presence team list", ()),
        ("Team JOIN Billing", "presence team join", ("billing",)),
        ("team join billing eu @tom", "presence team join", ("billing-eu", "@tom")),
        ("team join billing Maria Lopez", "presence team join", ("billing", "Maria Lopez")),
        ("team join customer-success-europe-middle-e east", "presence team join", (LONG, "east")),
        ("team rename billing eu Billing  AT", "presence team rename", ("billing-eu", "Billing AT")),
        ("skill add Swiss German U2", "presence skill add", ("Swiss German", "U2")),
        ("skill add german U2", "presence skill add", ("german", "U2")),
        ("capacity Maria Lopez 3", "presence capacity", ("Maria Lopez", "3")),
    ],
)
def test_a_line_is_read_by_what_the_command_takes(line: str, name: str, arguments: tuple[str, ...]) -> None:
    known = ["billing-eu", "billing", LONG]
    found, given = read_line(f"presence {line}", names_on("slack"), known, ["german"], ["U2", "Tom"])
    assert (found, tuple(given.values())) == (name, arguments)
