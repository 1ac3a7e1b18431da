"""What people type and what they are answered, from the command to the database and back."""

from datetime import timedelta

import pytest
from desk import START, member, open_team, read

from bot.domain.facts import Seen
from bot.message import Tone
from bot.ports import PersonKind, Profile, Transaction


async def test_a_full_slack_member_is_enrolled_by_their_first_command() -> None:
    team = await open_team()
    reply = await team.type("U1", "/available only billing today", name="Maria")
    assert "You're Available: only billing today." in read(reply)
    row = team.row("Maria")
    assert row.verdict.presence == "available"
    assert row.agent.teams == ("support", "billing")
    assert row.agent.skills == ("german",)
    assert row.agent.zone == "Europe/Berlin"


@pytest.mark.parametrize("kind", [PersonKind.GUEST, PersonKind.STRANGER, PersonKind.BOT])
async def test_guests_strangers_and_bots_are_never_enrolled(kind: PersonKind) -> None:
    team = await open_team()
    reply = await team.type("U9", "/available", kind=kind)
    assert "Only full members" in read(reply)
    assert len(team.desk.roster) == 0


async def test_on_discord_only_a_role_or_a_lead_makes_an_agent() -> None:
    team = await open_team()
    refused = await team.type("500", "/available", on="discord", may_enrol=False)
    assert "A lead can make you one with /presence enrol @500." in read(refused)
    invited = await team.type(
        "1",
        "/presence enrol 500",
        on="discord",
        may_enrol=False,
        is_admin=True,
        mentioned=(member("500", "Ana"),),
    )
    assert "Ana is an agent now" in read(invited)
    assert team.presence("Ana") == "offline"
    welcome = await team.type("500", "/available", on="discord", may_enrol=False, name="Ana")
    assert "You're Available" in read(welcome)


async def test_asking_who_is_in_does_not_make_an_agent_of_the_asker() -> None:
    team = await open_team()
    reply = await team.type("U7", "/whosin")
    assert "Nobody is an agent here yet." in read(reply)
    assert len(team.desk.roster) == 0


async def test_removal_is_sticky_until_a_lead_takes_it_back() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    assert "Only leads" in read(await team.type("U2", "/presence remove Maria", name="Jon"))
    removed = await team.type("U3", "/presence remove Maria", name="Boss", is_admin=True)
    assert "Maria is no longer an agent" in read(removed)
    assert "You're no longer an agent here." in read(await team.type("U1", "/available", name="Maria"))
    again = await team.type(
        "U3", "/presence enrol <@U1>", name="Boss", is_admin=True, mentioned=(member("U1", "Maria"),)
    )
    assert "Maria is an agent now" in read(again)
    assert "You're Available" in read(await team.type("U1", "/available", name="Maria"))


async def test_away_with_a_time_ends_by_itself_and_restores_available() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    reply = await team.type("U1", "/brb 30m lunch", name="Maria")
    assert read(reply).startswith("You're Away until 09:30: Lunch. No new chats come to you.")
    assert "Then you're Available again by yourself." in read(reply)
    team.clock.advance(minutes=30)
    assert team.presence("Maria") == "away"
    team.clock.advance(microseconds=1)
    assert team.presence("Maria") == "available"
    await team.desk.tick()
    history = await team.desk.store.read(
        lambda tx: tx.presence.history([team.row("Maria").agent.id], START, team.clock.now())
    )
    spans = [(interval.presence.value, interval.since) for interval, _ in history[team.row("Maria").agent.id]]
    assert spans[-2:] == [("away", START), ("available", START + timedelta(minutes=30))]


async def test_a_time_that_has_passed_is_asked_back_and_what_was_typed_is_kept() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    reply = await team.type("U1", "/brb until 9:30 lunch", name="Maria")
    assert reply.tone is Tone.PROBLEM
    assert "10:00" in read(reply)
    assert "You typed: /brb until 9:30 lunch" in read(reply)
    assert team.presence("Maria") == "available"


async def test_discord_gives_time_and_reason_apart() -> None:
    team = await open_team()
    await team.type("500", "/available", on="discord", name="Ana")
    reply = await team.type(
        "500", "/away", on="discord", name="Ana", arguments={"until": "30m", "reason": "meet 30m"}
    )
    assert "You're Away until 09:30: meet 30m." in read(reply)
    refused = await team.type(
        "500", "/away", on="discord", name="Ana", arguments={"until": "soonish", "reason": "x"}
    )
    assert "I read no time in soonish." in read(refused)
    assert "You typed: until: soonish reason: x" in read(refused)


async def test_signing_off_lasts_until_the_agents_own_available() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/available", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    assert "You've signed off." in read(await team.type("500", "/presence off", on="discord", name="Ana"))
    assert team.presence("Ana") == "offline"
    await team.see("500", Seen.DISCONNECTED, epoch)
    team.clock.advance(hours=1)
    await team.see("500", Seen.CONNECTED, epoch)
    assert team.presence("Ana") == "offline"
    refused = await team.type("500", "/away 30m", on="discord", name="Ana")
    assert "You're signed off" in read(refused)
    await team.type("500", "/available", on="discord", name="Ana")
    assert team.presence("Ana") == "available"


async def test_a_disconnect_is_offline_only_after_its_grace() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/available", on="discord", name="Ana")
    team.clock.advance(minutes=5)
    await team.see("500", Seen.CONNECTED, epoch)
    await team.see("500", Seen.DISCONNECTED, epoch)
    team.clock.advance(seconds=60)
    assert team.presence("Ana") == "available"
    assert not team.row("Ana").verdict.reachable
    team.clock.advance(microseconds=1)
    assert team.presence("Ana") == "offline"


async def test_a_short_disconnect_is_noticed_by_nobody() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/available", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    team.clock.advance(minutes=5)
    before = team.row("Ana").facts.interval
    await team.see("500", Seen.DISCONNECTED, epoch)
    team.clock.advance(seconds=30)
    await team.see("500", Seen.CONNECTED, epoch)
    team.clock.advance(hours=1)
    assert team.row("Ana").facts.interval == before


async def test_who_groups_counts_and_says_since_when_a_feed_is_lost() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/available", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    await team.type("U1", "/available", name="Maria")
    await team.type("U1", "/brb 30m lunch", name="Maria")
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    shown = read(await team.type("U1", "/whosin", name="Maria"))
    assert "My team · 1 available · 1 away · 0 offline" in shown
    assert "Maria · until 09:30 · Lunch" in shown
    assert "Discord (Acme guild) has not been seen since 09:00. Who is there is unconfirmed." in shown
    assert "[Refresh]" in shown
    german = read(await team.type("U1", "/whosin german", name="Maria"))
    assert "Maria" in german
    assert "Ana" not in german


async def test_who_says_how_far_a_long_round_of_polling_has_come() -> None:
    """Slack is asked 45 times a minute: a hundred people take two of them, and are told of meanwhile."""
    team = await open_team(slack={"bot_token": "xoxb-1", "app_token": "xapp-1"})
    for number in range(1, 101):
        await team.desk.enrol(team.slack.id, Profile(f"U{number}", f"Agent {number}"), "operator")
    epoch = await team.desk.feed_live(team.slack.id)
    for number in range(1, 41):
        await team.see(f"U{number}", Seen.CONNECTED, epoch, on="slack")
    told = "Slack was asked about 40 of 100 so far; the others are shown as last seen."
    assert told in read(await team.type("U1", "/whosin"))
    for number in range(41, 101):
        await team.see(f"U{number}", Seen.CONNECTED, epoch, on="slack")
    assert "so far" not in read(await team.type("U1", "/whosin"))
    epoch = await team.desk.feed_live(team.slack.id)
    assert "0 of 100 so far" in read(await team.type("U1", "/whosin"))
    team.clock.advance(minutes=5)
    assert "so far" not in read(await team.type("U1", "/whosin"))


async def test_a_long_roster_comes_in_pages() -> None:
    team = await open_team()
    for number in range(40):
        await team.type(f"U{number}", "/available", name=f"Agent {number:02}")
    first = await team.type("U1", "/whosin", name="Agent 01")
    assert "Agent 00" in read(first)
    assert "page 1 of 3" in read(first)
    (forward,) = [button for button in first.buttons if button.label == "Next"]
    second = await team.type(
        "U1", "/whosin", name="Agent 01", clicked=True, arguments=dict(forward.arguments)
    )
    assert second.replaces
    assert "Agent 15" in read(second)
    assert "Agent 00" not in read(second)


async def test_why_names_every_reason() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    assert "Maria can take a chat now." in read(await team.type("U2", "/presence why maria", name="Jon"))
    await team.type("U1", "/brb 30m dentist", name="Maria")
    reply = read(await team.type("U2", "/presence why maria", name="Jon"))
    assert "Maria gets no new chats just now:" in reply
    assert "• Away since 09:00, until 09:30: dentist" in reply
    assert "Did you mean Maria?" in read(await team.type("U2", "/presence why mario", name="Jon"))


async def test_me_says_how_one_is_seen_and_what_comes_next() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    shown = read(await team.type("U1", "/presence me", name="Maria"))
    assert "You're Available since 09:00." in shown
    assert "New chats can come to you." in shown
    assert "You said at 09:00 that you're here; that holds until 17:00" in shown
    assert "Time zone Europe/Berlin (10:00 there) · up to 1 chat at once · support, billing" in shown


async def test_the_time_zone_is_set_by_hand_and_stays_so() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    reply = read(await team.type("U1", "/presence timezone america/new_york", name="Maria"))
    assert reply == "Your time zone is America/New_York; it is 04:00 there now."
    await team.type("U1", "/available", name="Maria", zone="Asia/Tokyo")
    assert team.row("Maria").agent.zone == "America/New_York"
    wrong = read(await team.type("U1", "/presence timezone berlim", name="Maria"))
    assert "Did you mean Europe/Berlin" in wrong


async def test_help_lists_the_commands_under_their_names_here() -> None:
    team = await open_team()
    shown = read(await team.type("U1", "/presence help"))
    assert "/brb [30m, until 14:30, tomorrow 9am] [reason]" in shown
    assert "/presence timezone Europe/Berlin" in shown
    assert "enrol" not in shown
    assert "enrol" in read(await team.type("U1", "/presence help", is_admin=True))


async def test_an_unknown_subcommand_offers_the_nearest() -> None:
    team = await open_team()
    assert "Did you mean /presence timezone?" in read(await team.type("U1", "/presence timezon x"))


async def test_a_profile_change_renames_the_agent() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    await team.type("U1", "/presence me", name="Maria Silva")
    assert team.row("Maria Silva").agent.identities[0].name == "Maria Silva"


async def test_whoever_leaves_their_last_workspace_is_removed() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    await team.desk.member_left(team.slack.id, "U1", deleted=True)
    assert len(team.desk.roster) == 0
    assert "no longer an agent" in read(await team.type("U1", "/available", name="Maria"))


async def test_a_change_and_its_event_and_audit_row_are_in_the_database() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")

    def look(tx: Transaction) -> list[str]:
        return [event.type for _, event in tx.ledger.events_after(team.desk.organization_id, 0, 100)]

    assert await team.desk.store.read(look) == ["agent.enrolled", "presence.changed"]


async def test_a_restart_changes_nobodys_presence() -> None:
    team = await open_team()
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/available", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    await team.type("U1", "/available", name="Maria")
    await team.type("U1", "/brb 30m lunch", name="Maria")
    again = type(team.desk)(team.desk.config, team.desk.store, team.clock)
    team.clock.advance(minutes=2)
    await again.start()
    rows = {row.agent.name: row.verdict for row in again.roster.rows(team.clock.now())}
    assert rows["Ana"].presence == "available"
    assert rows["Maria"].presence == "away"
    assert rows["Maria"].note == "lunch"


async def test_two_changes_of_one_agent_at_once_both_happen() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    agent_id = team.row("Maria").agent.id
    stale = team.desk.roster.facts(agent_id)
    assert stale is not None
    other = type(team.desk)(team.desk.config, team.desk.store, team.clock)
    await other.start()
    from bot.domain.choices import choose_away, sign_off

    feeds, policy = team.desk.roster.feeds, team.desk.policy
    await other.change(agent_id, lambda facts, at: choose_away(facts, feeds, policy, at, reason="x"))
    saved = await team.desk.change(agent_id, lambda facts, at: sign_off(facts, feeds, policy, at))
    assert saved.version == stale.version + 2


async def test_a_command_delivered_again_changes_nothing_and_is_answered_with_how_things_are() -> None:
    """Row 15: the platform repeats a delivery, even after other commands."""
    team = await open_team()
    await team.type("U1", "/available", name="Maria", delivery="slack:1")
    await team.type("U1", "/brb 30m lunch", name="Maria", delivery="slack:2")
    before = team.row("Maria").facts
    again = await team.type("U1", "/available", name="Maria", delivery="slack:1")
    assert team.row("Maria").facts == before
    assert "You're Away" in read(again)


async def test_a_missing_argument_is_told_by_the_names_used_there() -> None:
    team = await open_team(slack={"bot_token": "xoxb-1", "app_token": "xapp-1", "names": {"presence": "pr"}})
    assert "/pr timezone needs a time zone behind it. Type for example /pr timezone Europe/Berlin." in read(
        await team.type("U1", "/presence timezone")
    )


async def test_a_feed_that_was_off_goes_on_with_a_higher_epoch() -> None:
    """A late sighting from before the feed was off must not be taken for a new one."""
    team = await open_team()
    first = await team.desk.feed_live(team.discord.id)
    await team.desk.feed_off(team.discord.id)
    assert await team.desk.feed_live(team.discord.id) > first


async def test_a_lead_removes_an_agent_with_their_presence_in_one_transaction() -> None:
    team = await open_team()
    await team.type("U1", "/available", name="Maria")
    agent_id = team.row("Maria").agent.id
    await team.type("U3", "/presence remove Maria", is_admin=True)

    def look(tx: Transaction) -> tuple[str, str, bool]:
        facts, agent = tx.presence.facts(agent_id), tx.members.agent(agent_id)
        assert facts is not None and agent is not None
        return facts.interval.presence.value, facts.interval.reason, agent.removed

    assert await team.desk.store.read(look) == ("offline", "removed", True)


async def test_a_platform_that_is_no_longer_configured_holds_nobody() -> None:
    team = await open_team(discord={"token": "x" * 30}, slack={"bot_token": "xoxb-1", "app_token": "xapp-1"})
    epoch = await team.desk.feed_live(team.discord.id)
    await team.type("500", "/presence me", on="discord", name="Ana")
    await team.see("500", Seen.CONNECTED, epoch)
    without = team.desk.config.model_copy(update={"discord": None})
    again = type(team.desk)(without, team.desk.store, team.clock)
    await again.start()
    (row,) = again.roster.rows(team.clock.now())
    assert row.verdict.presence == "offline"
    assert row.verdict.reason == "switched_off"


async def test_words_beside_a_mention_enrol_nobody() -> None:
    """They may name somebody else."""
    team = await open_team()
    told = await team.type(
        "U3", "/presence enrol bob, <@U1> asked", name="Boss", is_admin=True, mentioned=(member("U1", "Ann"),)
    )
    assert "Mention the one person with @ and nothing else" in read(told)
    assert len(team.desk.roster) == 0
