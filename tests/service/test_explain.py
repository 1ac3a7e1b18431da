"""How a presence is explained: to the agent, and to others of them."""

import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from desk import START, Team, open_team, read
from msgspec.structs import replace

from bot.commands import names_on
from bot.domain.agent import Agent, Identity
from bot.domain.facts import (
    CONNECTED,
    DISCONNECTED,
    IDLE,
    LIVE,
    SUSPECT,
    CheckIn,
    Choice,
    Facts,
    Feed,
    FeedState,
    Intent,
    Interval,
    Link,
    LinkState,
    Policy,
    Presence,
    SlackAway,
)
from bot.domain.presence import judge
from bot.domain.routing import Reason
from bot.explain import BECAUSE, me, why
from bot.replies import broken
from bot.roster import Row

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NAMES = names_on("discord")
AVAILABLE = Intent(Choice.AVAILABLE, START - HOUR, "agent")
INTENTS = {
    "available": AVAILABLE,
    "away": Intent(Choice.AWAY, START - HOUR, "agent", "lunch"),
    "away for a time": Intent(Choice.AWAY, START - HOUR, "agent", "lunch", START + HOUR, AVAILABLE),
    "not set": Intent(Choice.AWAY, START - HOUR, "rule:enrolled"),
    "returned": Intent(Choice.AWAY, START - HOUR, "rule:return"),
    "off": Intent(Choice.OFF, START - HOUR, "agent"),
}


def feed(platform: str, state: FeedState = LIVE, lost: timedelta = 10 * HOUR) -> Feed:
    live_at, grace = START - 9 * HOUR, timedelta(seconds=60)
    return Feed(f"ws_{platform}", platform, state, 1, live_at, START - lost, grace, 2 * MINUTE)


def link(platform: str, state: LinkState, ago: timedelta) -> Link:
    return Link(f"idn_{platform}", f"ws_{platform}", state, START - ago, 1, 1, platform == "slack")


CHECK_IN = CheckIn("idn_discord", START - HOUR, START + 7 * HOUR)
DOWN = FeedState.DOWN
SCENES: Mapping[str, tuple[tuple[Feed, ...], tuple[Link, ...], CheckIn | None]] = {
    "connected": ((feed("discord"),), (link("discord", CONNECTED, HOUR),), None),
    "connected and said so": ((feed("discord"),), (link("discord", CONNECTED, HOUR),), CHECK_IN),
    "suspect": ((feed("discord"),), (link("discord", SUSPECT, MINUTE / 2),), None),
    "suspect, but said so": ((feed("discord"),), (link("discord", SUSPECT, MINUTE / 2),), CHECK_IN),
    "gone": ((feed("discord"),), (link("discord", DISCONNECTED, HOUR),), None),
    "invisible": ((feed("discord"),), (link("discord", DISCONNECTED, 2 * HOUR),), CHECK_IN),
    "not heard of yet": ((feed("discord"),), (), None),
    "not heard of yet, but said so": ((feed("discord"),), (), CHECK_IN),
    "blind": ((feed("discord", DOWN, 5 * MINUTE),), (link("discord", CONNECTED, HOUR),), None),
    "blind for long": ((feed("discord", DOWN, 9 * HOUR),), (link("discord", CONNECTED, 9 * HOUR),), None),
    "Slack active": ((feed("slack"),), (link("slack", CONNECTED, HOUR),), None),
    "Slack idle": ((feed("slack"),), (link("slack", IDLE, 5 * MINUTE),), None),
    "Slack idle for long": ((feed("slack"),), (link("slack", IDLE, 20 * MINUTE),), None),
    "Slack gone": ((feed("slack"),), (link("slack", DISCONNECTED, HOUR),), None),
    "no feed, said so": ((), (), CHECK_IN),
    "no feed": ((), (), None),
    "no feed, word run out": ((), (), replace(CHECK_IN, until_at=START - MINUTE)),
    "both platforms": (
        (feed("discord"), feed("slack")),
        (link("discord", CONNECTED, HOUR), link("slack", CONNECTED, HOUR)),
        None,
    ),
}


def told(scene: str, intent: str = "available", policy: Policy | None = None) -> tuple[Row, str]:
    """The row of such an agent, and what `/presence me` says to them."""
    policy = policy or Policy()
    listed, links, check_in = SCENES[scene]
    feeds = {one.id: one for one in listed}
    facts = Facts(
        "agt", INTENTS[intent], Interval(Presence.AWAY, START, "set", "agent"), links=links, check_in=check_in
    )
    platforms = [one.platform for one in listed] or ["discord"]
    identities = tuple(Identity(f"idn_{one}", f"ws_{one}", one, "1", "Ana") for one in platforms)
    agent = Agent("agt", "org", "Ana", None, identities=identities)
    row = Row(agent, facts, judge(facts, feeds, policy, START), 0, True)
    return row, read(me(row, feeds, policy, NAMES, START))


async def offline(reason: str) -> tuple[Team, Row]:
    """An agent who is Offline for that reason."""
    team = await open_team()
    await team.type("U1", "/available")
    row = team.row("u1")
    verdict = replace(row.verdict, presence=Presence.OFFLINE, reason=reason, source="discord")
    return team, replace(row, verdict=verdict)


@pytest.mark.parametrize("reason", BECAUSE)
async def test_others_are_told_of_somebody_and_never_as_if_it_were_themselves(reason: str) -> None:
    _, row = await offline(reason)
    shown = read(why(row, [Reason.OFFLINE], NAMES))
    assert not re.search(r"\byou\b|\byou'|\bseen they\b|[{}]", shown), shown


@pytest.mark.parametrize("reason", BECAUSE)
async def test_an_agent_is_told_of_themselves(reason: str) -> None:
    team, row = await offline(reason)
    shown = read(me(row, {}, team.desk.policy, NAMES, team.clock.now())).splitlines()[0]
    assert shown.startswith("You're Offline since 09:00: "), shown
    assert not re.search(r"\bthey\b|\bthem\b|[{}]", shown), shown


@pytest.mark.parametrize("reason", Reason)
def test_who_asks_why_about_themselves_is_told_so(reason: Reason) -> None:
    """Not as of somebody else; and where to read on."""
    row, _ = told("connected")
    shown = read(why(row, [reason], NAMES, oneself=True))
    assert shown.startswith("You get no new chats just now:\n• ")
    assert "/presence me" in shown
    assert not re.search(r"\b[Tt]hey\b|\bthem\b|\btheir\b|Ana", shown), shown
    assert read(why(row, [], NAMES, oneself=True)) == "You can take a chat now. You hold 0 of 1."


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("unobserved", "• Offline since 09:00: nobody could see them for too long"),
        ("removed", "• Offline since 09:00: they left the workspace they were seen in"),
        ("disconnected", "• Offline since 09:00: Discord no longer shows them as there"),
        ("check_in_lapsed", "• Offline since 09:00: it's too long since they last said they're here"),
    ],
)
async def test_the_reason_is_a_whole_sentence(reason: str, shown: str) -> None:
    _, row = await offline(reason)
    assert read(why(row, [Reason.OFFLINE], NAMES)).splitlines()[1] == shown


# --- what happens next ---------------------------------------------------------------------------


@pytest.mark.parametrize("intent", INTENTS)
@pytest.mark.parametrize("scene", SCENES)
def test_nobody_is_threatened_with_what_is_so_already(scene: str, intent: str) -> None:
    """Whoever is Offline hears how to be Available; whoever is not, what would make them Offline."""
    row, shown = told(scene, intent)
    if row.verdict.presence is Presence.OFFLINE:
        assert "become Offline" not in shown
        assert "/available" in shown
    else:
        assert re.search(r"^You become Offline if .*[^ ]\.$", shown, re.MULTILINE), shown
    if row.verdict.presence is Presence.AVAILABLE and not row.verdict.reachable:
        assert re.search(r"^No new chats come to you just now: .+\.$", shown, re.MULTILINE), shown
        assert "Type /available, and they come at once." in shown


@pytest.mark.parametrize(
    ("scene", "line"),
    [
        ("connected", "You become Offline if Discord loses you for over 60 s."),
        ("connected and said so", "You become Offline if Discord loses you for over 60 s."),
        ("suspect", "You become Offline if Discord doesn't see you again within 60 s."),
        ("invisible", "You become Offline if I hear nothing from you by 16:00."),
        ("not heard of yet, but said so", "You become Offline if I hear nothing from you by 16:00."),
        ("blind", "You become Offline if there's still no news from Discord at 16:55."),
        (
            "Slack active",
            "You become Offline if Slack shows you as away for 25 min and I hear nothing from you meanwhile.",
        ),
        (
            "Slack idle",
            "You become Offline if Slack still shows you as away at 09:20 "
            "and I hear nothing from you meanwhile.",
        ),
        (
            "both platforms",
            "You become Offline if Discord loses you for over 60 s, Slack shows you as away for 25 min "
            "and I hear nothing from you meanwhile.",
        ),
    ],
)
def test_what_would_make_somebody_offline_is_told_as_the_rules_have_it(scene: str, line: str) -> None:
    assert line in told(scene)[1].splitlines()


def test_where_slacks_away_counts_for_nothing_only_signing_off_is_left() -> None:
    _, shown = told("Slack active", policy=Policy(slack_away=SlackAway.IGNORE))
    assert "You stay logged in until you type /presence off." in shown


def test_a_time_away_ends_for_somebody_who_is_offline_without_making_them_available() -> None:
    _, shown = told("gone", "away for a time")
    assert "Your time away ends at 10:00." in shown
    assert "Available again" not in shown


def test_whoever_has_no_time_zone_is_told_how_to_set_it() -> None:
    _, shown = told("connected")
    assert "No time zone set: type /presence timezone Europe/Berlin · up to 1 chat at once" in shown


def test_what_failed_is_not_said_to_have_changed_nothing() -> None:
    """It may have been committed before it failed."""
    shown = read(broken("req_1", NAMES))
    assert "may or may not have been done" in shown
    assert "request req_1." in shown
