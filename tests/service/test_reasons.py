"""Reason codes in chat: recognised as typed, kept beside the words, shown by name, restored, required."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from desk import Team, open_team, read

from bot.domain.facts import Interval, Seen
from bot.domain.transition import Told
from bot.message import Button, Message
from bot.ports import Command, Person, Profile
from bot.told import told

OWN = [{"slug": "pause", "name": "Pause café"}, {"slug": "escalation", "name": "Escalation"}]
REQUIRED = {"presence": {"require_reason": True}}


async def opened(**config: Any) -> Team:
    """Maria, Available."""
    team = await open_team(**config)
    await team.type("U1", "/available", name="Maria")
    return team


async def kept(team: Team) -> Interval:
    """The interval that Maria's history now ends with."""
    now, row = team.clock.now(), team.row("Maria")
    history = await team.desk.store.read(
        lambda tx: tx.presence.history([row.agent.id], now - timedelta(days=1), now + timedelta(1))
    )
    return history[row.agent.id][-1][0]


@pytest.mark.parametrize(
    ("typed", "code", "note", "shown"),
    [
        ("/brb lunch", "lunch", "lunch", "You're Away: Lunch."),
        ("/brb 30m LUNCH", "lunch", "LUNCH", "You're Away until 09:30: Lunch."),
        ("/brb lunch 30m", "lunch", "lunch", "You're Away until 09:30: Lunch."),
        (
            "/brb 45m training: new billing flow",
            "training",
            "training: new billing flow",
            "You're Away until 09:45: Training: new billing flow.",
        ),
        ("/presence away meeting with Tom", "meeting", "meeting with Tom", "You're Away: Meeting: with Tom."),
        ("/brb 30m dentist", "", "dentist", "You're Away until 09:30: dentist."),
        ("/brb late lunch", "", "late lunch", "You're Away: late lunch."),
        ("/brb", "", "", "You're Away."),
    ],
)
async def test_a_code_is_recognised_in_what_is_typed_and_what_was_typed_stays(
    typed: str, code: str, note: str, shown: str
) -> None:
    team = await opened()
    team.clock.advance(microseconds=1)
    assert read(await team.type("U1", typed, name="Maria")).startswith(shown)
    intent, interval = team.row("Maria").facts.intent, await kept(team)
    assert (intent.reason_code, intent.reason) == (code, note)
    assert (interval.reason_code, interval.note) == (code, note)


async def test_fields_are_read_as_lines_are() -> None:
    team = await opened()
    for fields, code, note in (
        ({"until": "30m", "reason": "lunch"}, "lunch", "lunch"),
        ({"until": "30m back soon", "reason": "meeting"}, "meeting", "back soon meeting"),
        ({"until": "30m lunch"}, "lunch", "lunch"),
        ({"reason": "a break"}, "", "a break"),
    ):
        await team.type("U1", "/away", arguments=fields, name="Maria")
        intent = team.row("Maria").facts.intent
        assert (intent.reason_code, intent.reason) == (code, note)


async def test_a_code_is_shown_by_its_name_wherever_the_reason_is() -> None:
    team = await opened(config={"reason": OWN})
    await team.type("U1", "/brb 30m PAUSE CAFE - hungry", name="Maria")
    assert team.row("Maria").facts.intent.reason_code == "pause"
    assert "Maria · until 09:30 · Pause café: hungry" in read(await team.type("U2", "/whosin"))
    assert "Pause café: hungry" in read(await team.type("U1", "/presence me", name="Maria"))
    assert "until 09:30: Pause café: hungry" in read(await team.type("U2", "/presence why Maria"))
    await team.type("U1", "/brb lunch", name="Maria")
    assert team.row("Maria").facts.intent.reason_code == "", "the usual codes are replaced"


async def test_available_has_no_code_whatever_its_note_begins_with() -> None:
    team = await opened()
    await team.type("U1", "/available lunch is over", name="Maria")
    intent = team.row("Maria").facts.intent
    assert (intent.reason_code, intent.reason) == ("", "lunch is over")


async def test_the_code_beneath_a_timed_away_comes_back_with_it_also_after_a_restart() -> None:
    team = await opened()
    await team.type("U1", "/brb training: all day", name="Maria")
    await team.type("U1", "/brb 10m break", name="Maria")
    await team.desk.changes.refresh(team.row("Maria").agent.id)  # as a start reads it
    assert team.row("Maria").facts.intent.reason_code == "break"
    team.clock.advance(minutes=11)
    await team.desk.tick()
    assert "Training: all day" in read(await team.type("U2", "/whosin"))
    interval = await kept(team)
    assert (interval.reason_code, interval.note, interval.source) == (
        "training",
        "training: all day",
        "rule:until",
    )


async def test_somebody_offline_is_shown_with_no_reason_and_with_it_again_when_back() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("7", "/away lunch", on="discord", name="Maria")
    assert "Lunch" not in read(await team.type("U2", "/whosin"))
    assert (await kept(team)).reason_code == ""
    team.clock.advance(minutes=1)
    await team.see("7", Seen.CONNECTED, epoch)
    assert "Maria · Lunch" in read(await team.type("U2", "/whosin"))
    assert (await kept(team)).reason_code == "lunch"


async def test_a_lead_sets_a_code_too_and_the_agent_is_told_its_name() -> None:
    team = await opened()
    boss: dict[str, Any] = {"name": "Ann", "is_admin": True}
    answer = await team.type("U9", "/presence set Maria away 30m training: new flow", **boss)
    assert read(answer).startswith("Maria is Away until 09:30: Training: new flow.")
    row = team.row("Maria")
    assert row.facts.intent.reason_code == "training"
    word = told(Told.SET_BY_LEAD, row, {"by": "Ann", "set_at": row.facts.intent.set_at.isoformat()})
    assert word is not None
    assert read(word).startswith("Ann set you Away until 09:30: Training: new flow.")


async def test_events_name_the_code_beside_the_words() -> None:
    team = await opened()
    await team.type("U1", "/brb training: new flow", name="Maria")
    organization_id = team.desk.organization_id
    events = await team.desk.store.read(lambda tx: tx.ledger.newest_events(organization_id, 2))
    assert [(event.data["note"], event.data["reason_code"]) for _, event in events] == [
        ("", None),
        ("training: new flow", "training"),
    ]


async def test_codes_are_offered_where_a_reason_is_typed() -> None:
    team = await opened()
    person = Person(team.slack.id, "slack", Profile("U1", "Maria", may_enrol=True))

    async def offered(command: str, typed: str) -> list[tuple[str, str]]:
        return list(await team.desk.suggest(person, command, "reason", typed))

    assert await offered("away", "") == [
        ("Lunch", "lunch"),
        ("Break", "break"),
        ("Training", "training"),
        ("Meeting", "meeting"),
    ]
    assert await offered("away", "ME") == [("Meeting", "meeting")]
    assert await offered("presence set", "lu") == [("Lunch", "lunch")]
    assert await offered("away", "dentist") == []


async def test_help_names_the_codes_and_what_is_wanted() -> None:
    team = await opened()
    shown = read(await team.type("U1", "/presence help", name="Maria"))
    assert "lunch, break, training, meeting." in shown
    assert "/brb 45m lunch: back for the demo" in shown
    assert "asks for one" not in shown
    team = await opened(config={"reason": OWN}, **REQUIRED)
    shown = read(await team.type("U1", "/presence help", name="Maria"))
    assert "Your team asks for one with every Away." in shown
    assert "pause (Pause café), escalation." in shown
    shown = read(await (await opened(config={"reason": []})).type("U1", "/presence help", name="Maria"))
    assert shown.endswith("In your own words.")


# --- where a reason is wanted -------------------------------------------------------------------


def button(message: Message, label: str) -> Button:
    (found,) = [one for one in message.buttons if one.label == label]
    return found


async def click(team: Team, found: Button) -> Message:
    """Maria presses a button."""
    person = Person(team.slack.id, "slack", Profile("U1", "Maria", "Europe/Berlin", may_enrol=True))
    return await team.desk.dispatch(Command(found.action, person, dict(found.arguments), clicked=True))


async def test_an_away_without_a_reason_is_refused_kindly_and_one_click_says_it_all() -> None:
    team = await opened(**REQUIRED)
    before = team.row("Maria").facts.intent
    refused = await team.type("U1", "/brb 30m", name="Maria")
    assert read(refused).splitlines() == [
        "Your team asks for a reason with every Away.",
        "lunch, break, training, meeting, or your own words: type for example /brb 30m lunch.",
        "Nothing was changed: you're still Available.",
        "You typed: /brb 30m",
        "[Lunch]",
        "[Break]",
        "[Training]",
        "[Meeting]",
    ]
    assert team.row("Maria").facts.intent == before
    said = await click(team, button(refused, "Training"))
    assert read(said).startswith("You're Away until 09:30: Training.")
    assert team.row("Maria").facts.intent.reason_code == "training"


@pytest.mark.parametrize("typed", ["/brb lunch", "/brb 30m dentist", "/brb 1h meeting with Tom"])
async def test_a_code_or_words_of_ones_own_are_reason_enough(typed: str) -> None:
    team = await opened(**REQUIRED)
    assert "You're Away" in read(await team.type("U1", typed, name="Maria"))


@pytest.mark.parametrize("kind", [Told.STILL_THERE, Told.AWAY_ENDED])
async def test_buttons_that_set_away_without_a_reason_ask_for_one_and_keep_the_time(kind: Told) -> None:
    """ "I'm away" and "30 more minutes" of direct messages."""
    team = await open_team(**REQUIRED)
    epoch = await team.desk.feed_live(team.slack.id)
    team.clock.advance(minutes=2)
    await team.see("U1", Seen.CONNECTED, epoch, on="slack")
    await team.type("U1", "/presence me", name="Maria")
    await team.see("U1", Seen.CONNECTED, epoch, on="slack")
    await team.type("U9", "/presence set Maria available", name="Ann", is_admin=True)
    if kind is Told.STILL_THERE:
        await team.see("U1", Seen.AWAY, epoch, on="slack")
        team.clock.advance(minutes=16)
    word = told(kind, team.row("Maria"))
    assert word is not None
    found = next(one for one in word.buttons if one.action == "away")
    asked = await click(team, found)
    assert not asked.replaces
    assert "Your team asks for a reason" in read(asked)
    assert "You typed" not in read(asked)
    said = await click(team, button(asked, "Break"))
    assert said.replaces
    intent = team.row("Maria").facts.intent
    assert (intent.choice.value, intent.reason_code) == ("away", "break")
    wanted = timedelta(minutes=30) if kind is Told.AWAY_ENDED else None
    assert (intent.until_at - team.clock.now() if intent.until_at else None) == wanted


async def test_a_time_too_long_for_a_button_is_given_back_to_copy() -> None:
    team = await opened(**REQUIRED)
    refused = await team.type("U1", "/brb until tomorrow at half past nine am", name="Maria")
    if "asks for a reason" not in read(refused):
        pytest.fail(read(refused))
    assert refused.buttons == ()
    assert "You typed: /brb until tomorrow at half past nine am" in read(refused)


async def test_whoever_signed_off_hears_that_first() -> None:
    team = await opened(**REQUIRED)
    await team.type("U1", "/presence off", name="Maria")
    assert "You're signed off" in read(await team.type("U1", "/brb", name="Maria"))


async def test_a_lead_says_why_too() -> None:
    team = await opened(**REQUIRED)
    refused = read(await team.type("U9", "/presence set Maria away 30m", name="Ann", is_admin=True))
    assert "type for example /presence set @agent away 30m lunch." in refused
    assert "You typed: /presence set Maria away 30m" in refused
    assert "[" not in refused
    assert team.presence("Maria") == "available"
    await team.type("U9", "/presence set Maria away 30m lunch", name="Ann", is_admin=True)
    assert team.presence("Maria") == "away"


async def test_what_a_rule_sets_needs_no_reason() -> None:
    """A return after a long absence, and a new agent who has said nothing yet."""
    team = await open_team(**REQUIRED)
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("7", "/available", on="discord", name="Maria")
    await team.see("7", Seen.CONNECTED, epoch)
    team.clock.advance(minutes=1)
    await team.see("7", Seen.DISCONNECTED, epoch)
    team.clock.advance(hours=2)
    await team.see("7", Seen.CONNECTED, epoch)
    row = team.row("Maria")
    assert (row.verdict.presence.value, row.verdict.source) == ("away", "rule:return")


async def test_thirty_more_minutes_are_for_the_same() -> None:
    """The word that is owed keeps the code; so the button needs no other reason where one is wanted."""
    team = await opened(**REQUIRED)
    await team.type("U1", "/brb 10m lunch with Tom", name="Maria")
    team.clock.advance(minutes=11)
    await team.desk.tick()
    organization_id = team.desk.organization_id
    (owed,) = await team.desk.store.write(
        lambda tx: tx.ledger.due_notices(organization_id, team.clock.now(), 9)
    )
    word = told(Told(owed.told), team.row("Maria"), owed.data)
    assert word is not None
    more = await click(team, button(word, "30 more minutes"))
    assert read(more).startswith("You're Away until 09:41: Lunch.")
    assert team.row("Maria").facts.intent.reason_code == "lunch"
