"""How a presence came about and what follows, in words: `/presence me` and `/presence why`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot import consoles
from bot.commands import spelled
from bot.domain.agent import Identity
from bot.domain.facts import CheckIn, Choice, Feed, Link, LinkState, Policy, Presence, SlackAway
from bot.domain.hints import kinds
from bot.domain.presence import blind, blind_since, idle_ends, suspect_ends
from bot.domain.routing import Reason, hinted_against
from bot.feeds import CONSOLES
from bot.message import (
    Button,
    ButtonStyle,
    Code,
    Line,
    Message,
    Moment,
    Section,
    Span,
    Strong,
    TimeStyle,
    Tone,
    words,
)
from bot.replies import HINTS, IM_AVAILABLE, LABELS, SIGN_OFF, TONES, platform_name, unheard
from bot.returning import after_an_absence, length
from bot.roster import Row

IM_HERE = Button("I'm here", "available", style=ButtonStyle.PRIMARY)


def me(
    row: Row,
    feeds: Mapping[str, Feed],
    policy: Policy,
    names: Mapping[str, str],
    now: datetime,
    by: str = "",
) -> Message:
    """`/presence me`: how one is seen, why, and what happens next. `by`: the lead who set it."""
    presence = row.verdict.presence
    lines: list[Line] = [("You're ", *_presence(row, by=by), "."), *_new_work(row, feeds, policy, names)]
    seen = (*_seen(row, feeds, policy, now), *_hinted(row))
    sections = [Section((Strong("What I see"),), seen)] if seen else []
    sections.append(Section((Strong("What happens next"),), tuple(_next(row, feeds, policy, names, now))))
    buttons = {
        Presence.AVAILABLE: (SIGN_OFF,) if row.verdict.reachable else (IM_HERE, SIGN_OFF),
        Presence.AWAY: (IM_AVAILABLE, SIGN_OFF),
        Presence.OFFLINE: (IM_AVAILABLE,),
    }[presence]
    return Message(tuple(lines), tuple(sections), buttons, TONES[presence], _about(row, names, now))


def _about(row: Row, names: Mapping[str, str], now: datetime) -> Line:
    agent = row.agent
    if agent.zone:
        zone: Line = (f"Time zone {agent.zone} ({now.astimezone(ZoneInfo(agent.zone)):%H:%M} there)",)
    else:
        zone = ("No time zone set: type ", Code(f"{spelled('presence timezone', names)} Europe/Berlin"))
    chats = "1 chat" if agent.capacity == 1 else f"{agent.capacity} chats"
    parts = [f"up to {chats} at once"]
    if agent.teams:
        parts.append(words(", ".join(agent.teams), 150))
    return (*zone, *(f" · {part}" for part in parts))


# --- why it is so --------------------------------------------------------------------------------

BECAUSE: Mapping[str, tuple[str, str]] = {
    "signed_off": ("you signed off", "they signed off"),
    "disconnected": (
        "{platform} no longer shows you as there",
        "{platform} no longer shows them as there",
    ),
    "check_in_lapsed": (
        "it's too long since you last said you're here",
        "it's too long since they last said they're here",
    ),
    "unobserved": ("nobody could see you for too long", "nobody could see them for too long"),
    "not_connected": ("nothing shows yet that you're here", "nothing shows yet that they're here"),
    "removed": ("you left the workspace you were seen in", "they left the workspace they were seen in"),
    "switched_off": (
        "the platform you were seen on no longer tells who is there",
        "the platform they were seen on no longer tells who is there",
    ),
    "returned": ("you came back after a longer absence", "they came back after a longer absence"),
    "not_set": (
        "you haven't said yet that you're available",
        "they haven't said yet that they're available",
    ),
}
"""Why a presence is as it is, by the verdict's reason: said to the agent, and said of them."""


def _presence(row: Row, *, of_them: bool = False, by: str = "") -> Line:
    """`Away since 9:00, until 9:30, set by Ann: lunch`."""
    verdict = row.verdict
    spans: list[Span] = [Strong(LABELS[verdict.presence]), " since ", Moment(row.since, TimeStyle.DATE_TIME)]
    if verdict.presence is Presence.AWAY and row.facts.intent.until_at is not None:
        spans += [", until ", Moment(row.facts.intent.until_at)]
    if by:
        spans += [", set by ", Strong(words(by, 60))]
    if verdict.reason in BECAUSE:
        sentence = BECAUSE[verdict.reason][of_them]
        platform = platform_name(verdict.source)
        if of_them and verdict.source == CONSOLES:
            platform = "their console"
        spans.append(": " + sentence.format(platform=platform))
    if row.note:
        spans += [": ", words(row.note)]
    return tuple(spans)


def _new_work(
    row: Row, feeds: Mapping[str, Feed], policy: Policy, names: Mapping[str, str]
) -> Iterator[Line]:
    """Whether new chats come; if they don't though the agent is Available: why, and what to do."""
    if row.verdict.presence is not Presence.AVAILABLE:
        yield ("No new chats come to you.",)
    elif row.load >= row.agent.capacity:
        yield (f"You hold {row.load} of {row.agent.capacity}, so no new chats come to you.",)
    elif row.verdict.reachable:
        stops = [REASONS[reason][0] for reason in hinted_against(row.hints, policy)]
        if stops:
            yield (f"No new chats come to you as long as {' and '.join(stops)}.",)
        else:
            yield ("New chats can come to you.",)
    else:
        doubt = next(_doubts(row, feeds), "nobody can see you")
        yield (f"No new chats come to you just now: {doubt}.",)
        yield ("You're here? Type ", Code(spelled("available", names)), ", and they come at once.")


def _doubts(row: Row, feeds: Mapping[str, Feed]) -> Iterator[str]:
    """Links that could stand for the agent, and why each does not suffice."""
    for identity, feed, link in _links(row, feeds):
        name = platform_name(identity.platform)
        if feed is None or link is None or link.state is LinkState.DISCONNECTED:
            continue
        if blind(link, feed):
            yield f"I have no news from {name}"
        elif link.state is LinkState.SUSPECT:
            yield f"{name} lost you a moment ago"
        elif link.state is LinkState.IDLE:
            yield f"{name} shows you as away"
    yield from consoles.doubts(row, feeds)


def _links(row: Row, feeds: Mapping[str, Feed]) -> Iterator[tuple[Identity, Feed | None, Link | None]]:
    """Where the agent is, with what is known of them there."""
    links = {link.identity_id: link for link in row.facts.links}
    for identity in row.agent.identities:
        if identity.present:
            yield identity, feeds.get(identity.workspace_id), links.get(identity.id)


def _seen(row: Row, feeds: Mapping[str, Feed], policy: Policy, now: datetime) -> Iterator[Line]:
    for identity, feed, link in _links(row, feeds):
        name = platform_name(identity.platform, first=True)
        if feed is None:
            yield (f"{name}: doesn't tell me who is there, so your own word counts",)
        elif link is None:
            yield (f"{name}: no news of you yet",)
        elif blind(link, feed):
            yield (f"{name}: no news of you since ", Moment(blind_since(link, feed), TimeStyle.DATE_TIME))
        else:
            gone = "offline or invisible" if identity.platform == "discord" else "disconnected"
            state = {
                LinkState.CONNECTED: "connected",
                LinkState.SUSPECT: "disconnected a moment ago,",
                LinkState.IDLE: "shows you as away",
                LinkState.DISCONNECTED: "shows you as away" if link.weak else gone,
            }[link.state]
            joint = "at" if link.state is LinkState.SUSPECT else "since"
            yield (f"{name}: {state} {joint} ", Moment(link.since, TimeStyle.DATE_TIME))
    yield from consoles.seen(row, feeds, now)
    check_in = _check_in(row, now)
    if check_in is not None:
        yield (
            "You said at ",
            Moment(check_in.at),
            " that you're here; that holds until ",
            Moment(check_in.until_at),
            f", and each command of yours starts its {length(policy.check_in)} again",
        )


def _hinted(row: Row) -> Iterator[Line]:
    for hint in row.hints:
        name = platform_name(hint.platform, first=True)
        yield (f"{name}: {HINTS[hint.kind]} since ", Moment(hint.since, TimeStyle.DATE_TIME))


def _check_in(row: Row, now: datetime) -> CheckIn | None:
    check_in = row.facts.check_in
    return check_in if check_in is not None and now <= check_in.until_at else None


# --- what comes of it ----------------------------------------------------------------------------


def _next(
    row: Row, feeds: Mapping[str, Feed], policy: Policy, names: Mapping[str, str], now: datetime
) -> Iterator[Line]:
    intent, presence = row.facts.intent, row.verdict.presence
    start = Code(spelled("available", names))
    if intent.choice is Choice.OFF:
        yield ("You stay Offline until you type ", start, ", whatever your apps say.")
        return
    if presence is Presence.OFFLINE:
        if feed := unheard(row, feeds):
            yield (f"{platform_name(feed.platform, first=True)} will soon tell me whether you're here.",)
        if _watched(row, feeds):
            yield from after_an_absence(row, policy, now)
        elif intent.until_at is not None:
            yield ("Your time away ends at ", Moment(intent.until_at), ".")
        yield ("Type ", start, ", and you're Available at once.")
        return
    if intent.until_at is not None:
        if intent.base is not None and intent.base.choice is Choice.AVAILABLE:
            yield ("At ", Moment(intent.until_at), " you're Available again.")
        else:
            yield (
                "At ",
                Moment(intent.until_at),
                " your time is over; you stay Away until you type ",
                start,
                ".",
            )
    elif presence is Presence.AWAY:
        yield ("You stay Away until you type ", start, ".")
    if _stays(row, feeds, policy):
        off = Code(spelled("presence off", names))
        yield ("Slack's away doesn't count here. You stay logged in until you type ", off, ".")
        return
    yield _logged_out(row, feeds, policy, now)
    if _watched(row, feeds):
        yield from after_an_absence(row, policy, now)


def _stays(row: Row, feeds: Mapping[str, Feed], policy: Policy) -> bool:
    """Whether nothing that Slack will ever say makes them Offline, by the policy."""
    return policy.slack_away is SlackAway.IGNORE and any(
        feed is not None and link is not None and link.state is LinkState.CONNECTED and not blind(link, feed)
        for identity, feed, link in _links(row, feeds)
        if identity.platform == "slack"
    )


def _watched(row: Row, feeds: Mapping[str, Feed]) -> bool:
    """Whether anything but their own word can tell that they are back."""
    return any(feed is not None for _, feed, _ in _links(row, feeds)) or any(
        link.beat_at is not None for link in row.facts.links
    )


def _logged_out(row: Row, feeds: Mapping[str, Feed], policy: Policy, now: datetime) -> Line:
    """What would have to come together to make somebody Offline who is logged in: rules 2 to 5."""
    check_in = _check_in(row, now)
    grounds: list[Line] = []
    silence = False
    for identity, feed, link in _links(row, feeds):
        if feed is None or link is None or link.state is LinkState.DISCONNECTED:
            continue
        name = platform_name(identity.platform)
        weak = identity.platform == "slack" and policy.slack_away is not SlackAway.ABSENT
        if blind(link, feed):
            until = blind_since(link, feed) + policy.unobserved
            if now <= until:
                grounds.append((f"there's still no news from {name} at ", Moment(until)))
            continue
        if link.state is LinkState.SUSPECT:
            if now > suspect_ends(link, feed, policy):
                continue
            grounds.append((f"{name} doesn't see you again within {length(feed.grace)}",))
        elif link.state is LinkState.IDLE:
            silence = True
            grounds.append(
                (f"{name} still shows you as away at ", Moment(idle_ends(link, feed, row.facts, policy)))
            )
            continue
        elif not weak:
            lost = "shows you as away" if identity.platform == "slack" else "loses you"
            grounds.append((f"{name} {lost} for over {length(feed.grace)}",))
        else:
            silence = True
            away = length(policy.idle_routable + policy.idle_answer)
            grounds.append((f"{name} shows you as away for {away}",))
            continue
        if (
            check_in is not None
            and check_in.identity_id == identity.id
            and (link.state is LinkState.CONNECTED or link.since > check_in.at)
        ):
            check_in = None  # it ends with that disconnect
    grounds += consoles.grounds(row, feeds, policy, now)
    if check_in is not None:
        grounds.append(("I hear nothing from you by ", Moment(check_in.until_at)))
    elif silence:
        grounds.append(("I hear nothing from you meanwhile",))
    spans: list[Span] = []
    for number, ground in enumerate(grounds):
        spans += [("" if not number else " and " if number == len(grounds) - 1 else ", "), *ground]
    return ("You become Offline if ", *spans, ".")


# --- why ----------------------------------------------------------------------------------------

REASONS: Mapping[Reason, tuple[str, str]] = {
    Reason.CONNECTION_LOST: (
        "your platform shows you as away or gone just now",
        "the platform shows them as away or gone just now",
    ),
    Reason.UNCONFIRMED: (
        "your platform can't be seen just now, so nobody knows whether you're still there",
        "the platform can't be seen just now, so nobody knows whether they're still there",
    ),
    Reason.NOT_IN_TEAM: ("you're not in that team", "not in that team"),
    Reason.SKILL_MISSING: ("you don't have that skill", "without that skill"),
    Reason.IN_CALL: ("you're in a call", "in a call"),
    Reason.DO_NOT_DISTURB: ("your do-not-disturb is on", "do-not-disturb is on"),
    Reason.AT_CAPACITY: ("you hold as many chats as you can take", "holding as many chats as they can take"),
}
"""What stands against new work, said to the agent and said of them; Offline and Away say it themselves."""


def why(
    row: Row,
    reasons: Sequence[Reason],
    names: Mapping[str, str],
    *,
    oneself: bool = False,
    by: str = "",
    seen: Sequence[Line] = (),
) -> Message:
    """`/presence why`: every reason against new work, or that there is none; told to the agent
    themselves (`oneself`), or of them. `by`: the lead who set their presence; `seen`: their consoles."""
    name = Strong(words(row.agent.name, 60))
    if not reasons:
        holds = "You hold" if oneself else "They hold"
        load = f" {holds} {row.load} of {row.agent.capacity}." if row.load_known else ""
        lead: Line = (" Set Available by ", Strong(words(by, 60)), ".") if by else ()
        hints = ", ".join(HINTS[kind] for kind in kinds(row.hints))
        can = f" can take a chat now ({hints})." if hints else " can take a chat now."
        routable: Line = (*(("You",) if oneself else (name,)), can, load, *lead)
        return Message((routable, *seen), tone=Tone.GOOD)
    lines: list[Line] = [
        ("You get no new chats just now:",) if oneself else (name, " gets no new chats just now:")
    ]
    for reason in reasons:
        if reason in {Reason.OFFLINE, Reason.AWAY}:
            said = _presence(row, of_them=not oneself, by=by)
            line: Line = ("• ", *(("You're ",) if oneself else ()), *said)
        else:
            line = ("• ", REASONS[reason][not oneself])
            if reason is Reason.AT_CAPACITY:
                line = (*line, f" ({row.load} of {row.agent.capacity})")
        lines.append(line)
    lines += seen
    if oneself:
        lines.append(("What you can do about it: ", Code(spelled("presence me", names))))
    return Message(tuple(lines), tone=TONES[row.verdict.presence])
