"""Hints in the core: what is shown of them, what they stop, and how soon they are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from desk import Team, member, open_team, read

from bot.domain.facts import Presence, Seen
from bot.domain.hints import HintKind
from bot.domain.presence import TICK
from bot.domain.routing import Reason
from bot.ports import HintSighting

CALL, QUIET = HintKind.CALL, HintKind.DO_NOT_DISTURB
STOPS = {"presence": {"in_call": "no_new_chats", "do_not_disturb": "no_new_chats"}}


async def team_of(config: Mapping[str, Any] | None = None) -> Team:
    """u1 on Slack and b1 on Discord, both Available and seen."""
    team = await open_team(config)
    for who, on, place in (("U1", "slack", team.slack), ("B1", "discord", team.discord)):
        epoch = await team.desk.feed_live(place.id)
        await team.type(who, "/available", on)
        await team.see(who, Seen.CONNECTED, epoch, on)
    return team


def hint(
    team: Team,
    who: str = "U1",
    kind: HintKind = CALL,
    *,
    holds: bool = True,
    since: datetime | None = None,
    until_at: datetime | None = None,
    on: str = "slack",
) -> None:
    """A platform shows it."""
    place = team.slack if on == "slack" else team.discord
    team.desk.hint(place.id, [HintSighting(who, kind, holds, since, until_at)])


def hints(team: Team, name: str = "u1") -> list[tuple[str, str, datetime]]:
    return [(one.kind.value, one.platform, one.since) for one in team.row(name).hints]


def routable(team: Team) -> list[str]:
    """Names in the order in which work goes to them."""
    return [row.agent.name for row in team.desk.roster.best(team.clock.now(), 9, "support")[0]]


def against(team: Team, name: str = "u1") -> tuple[Reason, ...]:
    return team.desk.roster.why_not(team.row(name).agent.id, team.clock.now())


async def test_a_call_is_shown_and_changes_nothing_by_itself() -> None:
    team = await team_of()
    began = team.clock.now()
    hint(team)
    assert hints(team) == [("call", "slack", began)]
    assert team.presence("u1") == "available"
    assert sorted(routable(team)) == ["b1", "u1"]
    assert "u1 · in a call" in read(await team.type("U1", "/whosin"))
    assert "Slack: in a call since 09:00" in read(await team.type("U1", "/presence me"))
    assert read(await team.type("B1", "/presence why u1", "discord")) == "u1 can take a chat now (in a call)."


async def test_a_call_stops_new_chats_where_the_policy_says_so_and_its_end_lets_them_come() -> None:
    """The pools follow at once; presence and history stay as they are."""
    team = await team_of(STOPS)
    before = team.row("u1").facts.interval
    hint(team)
    assert team.presence("u1") == "available"
    assert routable(team) == ["b1"]
    assert team.desk.roster.pool(team.clock.now()).available == 2
    assert against(team) == (Reason.IN_CALL,)
    shown = read(await team.type("U1", "/presence me"))
    assert "No new chats come to you as long as you're in a call." in shown
    assert "• you're in a call" in read(await team.type("U1", "/presence why"))
    assert "• in a call" in read(await team.type("B1", "/presence why u1", "discord"))
    hint(team, holds=False)
    assert routable(team) == ["b1", "u1"], "who comes back stands behind those who waited"
    assert against(team) == ()
    assert team.row("u1").facts.interval == before


async def test_a_repeated_hint_changes_nothing() -> None:
    """Not even since when it holds, nor what a client compares answers by."""
    team = await team_of()
    hint(team)
    shown, revision = hints(team), team.desk.roster.revision
    team.clock.advance(minutes=3)
    hint(team)
    hint(team, "U7")
    hint(team, "B1", on="discord", holds=False)
    assert hints(team) == shown
    assert team.desk.roster.revision == revision


async def test_what_is_known_beforehand_begins_and_ends_at_its_own_instants() -> None:
    """Slack tells tonight's do-not-disturb in the morning; nobody has to ask again in between."""
    team = await team_of(STOPS)
    since, until_at = team.clock.now() + timedelta(minutes=5), team.clock.now() + timedelta(minutes=9)
    hint(team, kind=QUIET, since=since, until_at=until_at)
    told = []
    for at in (since - TICK, since, until_at, until_at + TICK):
        team.clock.advance(microseconds=(at - team.clock.now()) // TICK)
        told.append((bool(hints(team)), "u1" in routable(team)))
    assert told == [(False, True), (True, False), (True, False), (False, True)]
    assert team.row("u1").verdict.presence is Presence.AVAILABLE


async def test_a_hint_that_is_over_already_shows_nothing() -> None:
    """An expired huddle."""
    team = await team_of(STOPS)
    hint(team, until_at=team.clock.now() - TICK)
    assert hints(team) == []
    assert "u1" in routable(team)


async def test_a_blind_platform_forgets_its_hints_and_no_others() -> None:
    team = await team_of()
    hint(team)
    hint(team, kind=QUIET)
    hint(team, "B1", on="discord")
    team.desk.hints_lost(team.slack.id, QUIET)
    assert [kind for kind, _, _ in hints(team)] == ["call"]
    team.desk.hints_lost(team.slack.id)
    assert hints(team) == []
    assert hints(team, "b1") != []


async def test_nothing_is_shown_of_somebody_who_is_not_at_work() -> None:
    """Whoever signed off may talk to whom they like; when they are back it is seen at once."""
    team = await team_of()
    hint(team)
    await team.type("U1", "/presence off")
    assert hints(team) == []
    assert against(team) == (Reason.OFFLINE,)
    assert "in a call" not in read(await team.type("U1", "/whosin"))
    await team.type("U1", "/available")
    assert [kind for kind, _, _ in hints(team)] == ["call"]


async def test_a_kind_that_is_switched_off_is_never_shown() -> None:
    team = await team_of({"presence": {"in_call": "off"}})
    hint(team)
    hint(team, kind=QUIET)
    assert [kind for kind, _, _ in hints(team)] == ["do_not_disturb"]


async def test_hints_are_never_stored() -> None:
    """No event, no audit entry, no interval: a hint that flaps costs nothing that lasts."""
    team = await team_of(STOPS)
    organization_id = team.desk.organization_id

    def position(events: Any) -> int:
        return events[-1][0] if events else 0

    before = position(await team.desk.store.read(lambda tx: tx.ledger.newest_events(organization_id, 1)))
    for _ in range(20):
        hint(team)
        hint(team, holds=False)
    await team.desk.tick()
    after = position(await team.desk.store.read(lambda tx: tx.ledger.newest_events(organization_id, 1)))
    assert after == before


async def test_of_a_linked_person_each_platform_shows_its_own() -> None:
    """One is enough to stop new chats; they come when the last is over. Hints go along with the account,
    when it is linked and when it is unlinked."""
    team = await team_of(STOPS)
    hint(team, "B1", on="discord")
    code = read(await team.type("U1", "/presence link")).split("/presence link ")[1][:9]
    await team.type("B1", f"/presence link {code}", "discord")
    assert [agent.name for agent in team.desk.roster.everyone()] == ["u1"]
    assert [platform for _, platform, _ in hints(team)] == ["discord"]
    hint(team)
    assert sorted(platform for _, platform, _ in hints(team)) == ["discord", "slack"]
    assert read(await team.type("U1", "/whosin")).count("in a call") == 1
    assert against(team) == (Reason.IN_CALL,)
    hint(team, holds=False)
    assert routable(team) == []
    hint(team, "B1", on="discord", holds=False)
    assert routable(team) == ["u1"]
    hint(team, "B1", on="discord")
    await team.type("U1", "/presence unlink discord")
    assert hints(team) == []


@pytest.mark.parametrize("kind", HintKind)
async def test_whoever_is_in_doubt_too_is_told_of_both(kind: HintKind) -> None:
    """A hint stands beside the other reasons, and hides none of them."""
    team = await team_of(STOPS)
    hint(team, "B1", kind, on="discord")
    await team.type("B1", "/away", "discord")
    assert against(team, "b1")[0] is Reason.AWAY
    assert len(against(team, "b1")) == 2
    await team.desk.feed_lost(team.discord.id, since=team.clock.now())
    assert len(hints(team, "b1")) == 1, "which of the two is blind is the platform's to say"


async def test_whoever_leaves_or_is_removed_comes_back_without_their_call() -> None:
    """Nobody looked at their account meanwhile."""
    team = await team_of()
    hint(team)
    await team.desk.remove(team.row("u1").agent, "test")
    hint(team, holds=False)
    await team.desk.enrol(team.slack.id, member("U1", "u1"), "test")
    await team.type("U1", "/available")
    assert hints(team) == []
    hint(team, "B1", on="discord")
    await team.desk.member_left(team.discord.id, "B1")
    assert team.desk.roster.hinting(team.discord.id) == []
