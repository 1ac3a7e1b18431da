"""A link that was a mistake, or somebody's trick, is undone by whoever asked for the code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from desk import Team, open_team, read
from linking_desk import ask, both, names, say, type_code

from bot.domain.agent import Identity
from bot.domain.facts import Seen
from bot.domain.transition import Told
from bot.link_replies import told
from bot.message import Message
from bot.notifier import Notifier
from bot.ports import ACCOUNT, Command, Load, NoticeRow, Person, Profile, RetryLater


async def due(team: Team) -> list[NoticeRow]:
    """The words about links that are owed."""
    found = await team.desk.store.write(
        lambda tx: tx.ledger.due_notices(team.desk.organization_id, team.clock.now(), 50)
    )
    team.clock.advance(minutes=2)  # they are not claimed any more
    return [notice for notice in found if notice.told == Told.LINKED]


async def word(team: Team, to: str = "U1") -> Message:
    """What somebody is told of a code of theirs that was used, as it is sent."""
    known = team.desk.roster.identity(team.slack.id, to)
    assert known is not None
    row = team.desk.roster.row(known[0].id, team.clock.now())
    assert row is not None
    notice = [one for one in await due(team) if one.data[ACCOUNT] == known[1].id][-1]
    message = told(Told.LINKED, row, known[1].id, notice.data)
    assert message is not None
    return message


async def press(team: Team, message: Message, who: str = "U1") -> str:
    """What whoever presses its button is answered."""
    (button,) = message.buttons
    person = Person(team.slack.id, "slack", Profile(who, "Maria"))
    return read(
        await team.desk.dispatch(Command(button.action, person, dict(button.arguments), clicked=True))
    )


def accounts(team: Team) -> dict[str, list[str]]:
    return {
        row.agent.name: [one.external_id for one in row.agent.identities]
        for row in team.desk.roster.rows(team.clock.now())
    }


async def mallory(team: Team) -> str:
    """`91` of Discord is one with an account of another Slack; the code of Maria, whom they link to them."""
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    code = await ask(team, "U66", name="Mallory")
    await type_code(team, code, "91", name="Mallory D")
    team.slack = here
    return await ask(team)


async def test_all_that_came_with_a_code_goes_and_is_one_agent_still() -> None:
    team = await open_team()
    await both(team)
    code = await mallory(team)
    await type_code(team, code, "91", name="Mallory D")
    assert accounts(team) == {"Maria": ["U1", "U66", "91"]}
    message = await word(team)
    assert "one agent with Mallory on Slack and Mallory D on Discord now" in read(message)
    reply = await press(team, message)
    assert "Mallory on Slack and Mallory D on Discord are one agent of their own again" in reply
    assert accounts(team) == {"Maria": ["U1"], "Mallory": ["U66", "91"]}
    assert "not linked to another one any more" in (await press(team, message))


async def test_what_came_with_a_code_that_somebody_who_came_asked_for_goes_too() -> None:
    """They would stay with the victim, who was never told of that code."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    message = await word(team)
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    code = await ask(team, "91")
    await type_code(team, code, "U66", name="Mallory")
    team.slack = here
    assert accounts(team) == {"Maria": ["U1", "91", "U66"]}
    await press(team, message)
    assert accounts(team) == {"Maria": ["U1"], "maria_d": ["91", "U66"]}


async def test_who_was_linked_on_into_another_agent_gets_out_by_the_same_button() -> None:
    """The agent is another's by now, and the word is owed still: their own account is what leaves."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    code = await ask(team, "U66", name="Mallory")
    team.slack = here
    await type_code(team, code)
    assert accounts(team) == {"Mallory": ["U66", "U1", "91"]}
    assert {one.agent_id for one in await due(team)} == {team.row("Mallory").agent.id}
    message = await word(team)
    assert "one agent with Mallory on Slack and maria_d on Discord now" in read(message)
    reply = await press(team, message)
    assert "This account is an agent of its own again" in reply
    assert accounts(team) == {"Mallory": ["U66", "91"], "Maria": ["U1"]}


async def test_only_the_account_that_asked_undoes_the_link() -> None:
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    message = await word(team)
    arguments = dict(message.buttons[0].arguments)
    person = Person(team.discord.id, "discord", Profile("91", "maria_d"))
    reply = read(await team.desk.dispatch(Command("presence unlink", person, arguments, clicked=True)))
    assert "not linked to another one any more" in reply
    assert names(team) == ["Maria"]


@pytest.mark.parametrize("typed", [False, True], ids=["the button", "the command"])
async def test_what_one_had_set_counts_again(typed: bool) -> None:
    """Whatever the other had: away, a later check-in, teams, skills, the ids of other systems."""
    his = {"members": ["discord:9:91"]}, {"agents": ["discord:9:91"]}
    team = await open_team(
        team=[{"slug": "vip", "name": "VIP", **his[0]}], skill=[{"slug": "thai", "name": "Thai", **his[1]}]
    )
    await say(team, "U1", "/available on mail")
    team.clock.advance(minutes=1)
    await say(team, "91", "/available")
    await say(team, "91", "/away 3d gone fishing")
    await team.desk.name_agent(team.row("maria_d").agent.id, "chatwoot", "8", "operator")
    before = team.row("Maria")
    await type_code(team, await ask(team))
    message = await word(team)
    assert "You're Away." in read(message)
    linked = team.row("Maria")
    assert (linked.verdict.note, linked.agent.teams) == ("gone fishing", ("vip",))
    assert linked.agent.externals == (("chatwoot", "8"),)
    reply = await (say(team, "U1", "/presence unlink discord") if typed else press(team, message))
    assert "You're Available." in reply
    after = team.row("Maria")
    assert after.facts.intent == before.facts.intent
    assert after.facts.check_in is not None
    assert after.facts.check_in.identity_id == after.agent.identities[0].id
    assert (after.agent.teams, after.agent.skills, after.agent.externals) == ((), (), ())
    alone = team.row("maria_d")
    assert (alone.agent.teams, alone.agent.skills) == (("vip",), ("thai",))
    assert alone.agent.externals == (("chatwoot", "8"),)
    assert alone.verdict.reason == "not_connected"
    assert team.desk.roster.by_external("chatwoot", "8") == alone.agent
    assert await team.desk.store.read(lambda tx: tx.presence.facts(after.agent.id)) == after.facts


async def test_a_sign_off_that_came_with_the_link_goes_with_it() -> None:
    team = await open_team()
    await both(team)
    await say(team, "91", "/presence off")
    await type_code(team, await ask(team))
    assert team.presence("Maria") == "offline"
    team.clock.advance(hours=1)
    assert "You're Available." in (await press(team, await word(team)))
    assert team.presence("Maria") == "available"


async def test_what_was_chosen_since_the_link_stays() -> None:
    """It may be one's own word: an intent doesn't say on which account it was typed."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    await say(team, "U1", "/brb lunch")
    assert "You're Away." in (await press(team, await word(team)))
    await type_code(team, await ask(team))
    await say(team, "U1", "/presence off")
    assert "You're Offline." in (await press(team, await word(team)))
    assert team.row("Maria").facts.check_in is None


async def test_a_check_in_that_a_disconnect_has_ended_does_not_count_again() -> None:
    """Rule 4: also where the other's counted in its place when it happened."""
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await say(team, "91", "/available")
    await team.see("91", Seen.CONNECTED, epoch)
    team.clock.advance(minutes=1)
    await say(team, "U1", "/available")
    await type_code(team, await ask(team, "91"), "U1")
    await team.see("91", Seen.DISCONNECTED, epoch)
    team.clock.advance(minutes=5)
    await team.desk.tick()
    assert team.presence("maria_d") == "available"
    assert "You're Offline." in (await say(team, "91", "/presence unlink slack"))


async def test_a_check_in_on_an_account_that_left_does_not_count_again() -> None:
    team = await open_team()
    await both(team)
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    own = await ask(team, "U1")
    team.slack = here
    await type_code(team, own, "U1", name="Maria")
    await say(team, "U1", "/available")
    team.clock.advance(minutes=1)
    await say(team, "91", "/available")
    away = await team.desk.workspace("slack", "T2", "Other")
    team.slack = away
    code = await ask(team, "U1")
    team.slack = here
    await type_code(team, code)
    await team.desk.member_left(here.id, "U1")
    team.slack = away
    assert "You're Offline." in (await say(team, "U1", "/presence unlink discord"))


async def test_one_of_two_that_came_gives_nothing_back_and_the_second_does() -> None:
    """A link is undone with its last account."""
    team = await open_team()
    await both(team)
    await say(team, "91", "/away fishing")
    await team.see("U1", Seen.CONNECTED, await team.desk.feed_live(team.slack.id), "slack")
    await type_code(team, await mallory(team), "91", name="Mallory D")
    team.clock.advance(minutes=1)
    assert "You're Away." in (await say(team, "U1", "/presence unlink discord"))
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    await say(team, "U66", "/presence unlink", name="Mallory")
    team.slack = here
    assert team.presence("Maria") == "available"


async def test_an_away_that_came_with_the_link_and_has_ended_is_not_ones_own() -> None:
    """By its end the other's Away came back from beneath it."""
    team = await open_team()
    await both(team)
    await say(team, "91", "/away fishing")
    await say(team, "91", "/away 1h more fishing")
    await type_code(team, await ask(team))
    team.clock.advance(hours=1, seconds=1)
    await team.desk.tick()
    assert team.row("Maria").verdict.note == "fishing"
    await press(team, await word(team))
    assert team.presence("Maria") == "available"


async def test_an_own_away_that_has_ended_meanwhile_is_not_there_again() -> None:
    team = await open_team()
    await both(team)
    await say(team, "U1", "/brb 30m lunch")
    await say(team, "91", "/away fishing")
    await type_code(team, await ask(team))
    team.clock.advance(hours=1)
    await press(team, await word(team))
    assert team.presence("Maria") == "available"
    assert team.row("Maria").facts.intent.until_at is None


async def test_after_a_day_unlinking_gives_nothing_back() -> None:
    team = await open_team()
    await both(team)
    epoch = await team.desk.feed_live(team.slack.id)
    await team.see("U1", Seen.CONNECTED, epoch, "slack")
    await say(team, "91", "/away fishing")
    await type_code(team, await ask(team))
    team.clock.advance(hours=24, seconds=1)
    reply = await say(team, "U1", "/presence unlink discord")
    assert "You're Away." in reply
    assert team.row("Maria").verdict.note == "fishing"


async def test_whoever_is_offline_by_unlinking_is_so_for_that_reason() -> None:
    """They left no workspace; and programs and reports are told the same."""
    team = await open_team()
    await say(team, "91", "/available")
    await type_code(team, await ask(team))
    await say(team, "91", "/available again")
    assert team.presence("Maria") == "available"
    await say(team, "U1", "/presence unlink discord")
    verdict = team.row("Maria").verdict
    assert (verdict.presence, verdict.reason, verdict.source) == ("offline", "unlinked", "rule:unlinked")
    why = await say(team, "U1", "/presence why")
    assert "the account you were seen on is an agent of its own now" in why
    events = await team.desk.store.read(lambda tx: tx.ledger.events_after(team.desk.organization_id, 0, 99))
    assert [one.data["reason"] for _, one in events if one.type == "presence.changed"][-1] == "unlinked"


async def test_units_that_came_stay_until_their_system_says_otherwise() -> None:
    team = await open_team()
    await both(team)
    now = team.clock.now()
    agent_id = team.row("maria_d").agent.id
    await team.desk.put_load(Load(agent_id, "mail", 5, now, now + timedelta(hours=1)))
    await type_code(team, await ask(team))
    await press(team, await word(team))
    assert team.row("Maria").load == 5


class Slack:
    """Takes direct messages, or does something else first; keeps to whom."""

    def __init__(self) -> None:
        self.first: Callable[[], Awaitable[None]] | None = None
        self.sent: list[tuple[str, str]] = []

    async def send_direct(self, identity: Identity, workspace: object, message: Message) -> str:
        first, self.first = self.first, None
        if first is not None:
            await first()
        self.sent.append((identity.external_id, read(message).split(":")[0]))
        return ""


async def linked_on(team: Team) -> None:
    """Whoever typed Maria's code makes both part of a third agent."""
    here, team.slack = team.slack, await team.desk.workspace("slack", "T2", "Other")
    code = await ask(team, "U66", name="Mallory")
    team.slack = here
    await type_code(team, code)


async def test_who_could_not_be_told_yet_is_told_though_they_were_linked_on() -> None:
    """While Slack is slow somebody links on; the word goes to the account all the same."""
    team = await open_team()
    await both(team)
    await type_code(team, await ask(team))
    slack = Slack()
    notifier = Notifier(team.desk, {"slack": slack})  # type: ignore[dict-item]

    async def slow() -> None:
        raise RetryLater

    slack.first = slow
    await notifier.send_due()
    assert slack.sent == []
    await linked_on(team)
    team.clock.advance(minutes=5)
    await notifier.send_due()
    assert ("U1", "Your code was used") in slack.sent


async def test_who_is_linked_on_while_their_word_waits_to_be_sent_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was taken up for the agent of before, who is gone when its turn comes."""
    team = await open_team()
    await both(team)
    await say(team, "U2", "/available", name="Tom")
    await say(team, "U2", "/brb 1h", name="Tom")
    team.clock.advance(hours=1, seconds=1)
    await team.desk.tick()
    team.clock.advance(seconds=1)
    await type_code(team, await ask(team))
    monkeypatch.setattr("bot.notifier.AT_ONCE", 1)
    slack = Slack()
    slack.first = lambda: linked_on(team)
    notifier = Notifier(team.desk, {"slack": slack})  # type: ignore[dict-item]
    await notifier.send_due()
    assert [who for who, _ in slack.sent] == ["U2"]
    team.clock.advance(minutes=5)
    await notifier.send_due()
    assert ("U1", "Your code was used") in slack.sent


async def test_a_leads_word_to_the_absorbed_agent_is_still_owed() -> None:
    team = await open_team()
    await both(team)
    await team.type("U9", "/presence set maria_d away lunch", name="Ann", is_admin=True)
    await type_code(team, await ask(team))
    slack = Slack()
    await Notifier(team.desk, {"slack": slack}).send_due()  # type: ignore[dict-item]
    assert ("U1", "Ann set you Away") in slack.sent
