"""How a presence came about and what follows, in words: `/presence me` and `/presence why`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.commands import spelled
from bot.domain.facts import Choice, Feed, LinkState, Policy, Presence
from bot.domain.presence import blind
from bot.domain.routing import Reason
from bot.message import Code, Line, Message, Moment, Section, Span, Strong, TimeStyle, Tone, words
from bot.replies import IM_AVAILABLE, LABELS, SIGN_OFF, TONES, platform_name
from bot.roster import Row


def me(
    row: Row, feeds: Mapping[str, Feed], policy: Policy, names: Mapping[str, str], now: datetime
) -> Message:
    """`/presence me`: how one is seen, why, and what happens next."""
    facts, agent, verdict = row.facts, row.agent, row.verdict
    lines: list[Line] = [
        (
            "You're ",
            Strong(LABELS[verdict.presence]),
            " since ",
            Moment(row.since, TimeStyle.DATE_TIME),
            *_because(row),
            ".",
        )
    ]
    lines.append(_new_work(row))
    seen: list[Line] = []
    links = {link.identity_id: link for link in facts.links}
    for identity in agent.identities:
        if not identity.present:
            continue
        link, feed = links.get(identity.id), feeds.get(identity.workspace_id)
        name = platform_name(identity.platform, first=True)
        if feed is None:
            seen.append((f"{name}: tells nothing, so your own word counts",))
        elif link is None:
            seen.append((f"{name}: not seen yet",))
        elif blind(link, feed):
            seen.append((f"{name}: not seen since ", Moment(feed.lost_at)))
        else:
            state = {
                LinkState.CONNECTED: "connected",
                LinkState.SUSPECT: "disconnected just now",
                LinkState.IDLE: "away",
                LinkState.DISCONNECTED: "away" if link.weak else "disconnected",
            }[link.state]
            seen.append((f"{name}: {state} since ", Moment(link.since, TimeStyle.DATE_TIME)))
    check_in = facts.check_in
    if check_in is not None and now <= check_in.until_at:
        seen.append(("Your word of ", Moment(check_in.at), " counts until ", Moment(check_in.until_at)))
    sections = [Section((Strong("What I see"),), tuple(seen))] if seen else []
    sections.append(Section((Strong("What happens next"),), _next(row, feeds, policy, names)))
    zone = agent.zone or "not set"
    about = f"Time zone {zone}"
    if agent.zone:
        about += f" ({now.astimezone(ZoneInfo(agent.zone)):%H:%M} there)"
    about += f" · up to {agent.capacity} at once"
    if agent.teams:
        about += f" · {', '.join(agent.teams)}"
    buttons = (SIGN_OFF,) if verdict.presence is Presence.AVAILABLE else (IM_AVAILABLE,)
    return Message(tuple(lines), tuple(sections), buttons, TONES[verdict.presence], (words(about, 200),))


BECAUSE: Mapping[str, tuple[str, str]] = {
    "signed_off": ("you signed off", "they signed off"),
    "disconnected": ("{platform} says you left", "{platform} says they left"),
    "check_in_lapsed": (
        "it was long since you said you're there",
        "it was long since they said they're there",
    ),
    "unobserved": ("nobody has seen you for too long", "nobody has seen them for too long"),
    "not_connected": ("not connected yet", "not connected yet"),
    "removed": ("you left the workspace you were seen in", "they left the workspace they were seen in"),
    "switched_off": (
        "that platform no longer tells who is there",
        "that platform no longer tells who is there",
    ),
    "returned": ("you came back after a longer absence", "they came back after a longer absence"),
    "not_set": ("you have not said otherwise yet", "they have not said otherwise yet"),
}
"""Why a presence is as it is, by the verdict's reason: said to the agent, and said of them."""


def _because(row: Row, *, of_them: bool = False) -> Line:
    verdict = row.verdict
    spans: list[Span] = []
    if verdict.reason in BECAUSE:
        sentence = BECAUSE[verdict.reason][of_them]
        spans.append(": " + sentence.format(platform=platform_name(verdict.source)))
    if verdict.presence is Presence.AWAY and row.facts.intent.until_at is not None:
        spans += [" until ", Moment(row.facts.intent.until_at)]
    if verdict.note:
        spans += [": ", words(verdict.note)]
    return tuple(spans)


def _new_work(row: Row) -> Line:
    if row.verdict.reachable and row.load < row.agent.capacity:
        return ("New chats can come to you.",)
    if row.verdict.reachable:
        return (f"You hold {row.load} of {row.agent.capacity}, so no new chats come to you.",)
    return ("No new chats come to you.",)


def _next(row: Row, feeds: Mapping[str, Feed], policy: Policy, names: Mapping[str, str]) -> tuple[Line, ...]:
    intent, presence = row.facts.intent, row.verdict.presence
    start = Code(spelled("available", names))
    if intent.choice is Choice.OFF:
        return (("You stay Offline until you type ", start, "."),)
    lines: list[Line] = []
    if intent.until_at is not None:
        back = intent.base is not None and intent.base.choice is Choice.AVAILABLE
        then = "you're Available again" if back else "you stay Away until you say otherwise"
        lines.append(
            (
                "At ",
                Moment(intent.until_at),
                f" {then}.",
            )
        )
    elif presence is Presence.AWAY:
        lines.append(("You stay Away until you type ", start, "."))
    elif presence is Presence.OFFLINE:
        lines.append(("Type ", start, " when you start."))
    watched = [
        feeds[identity.workspace_id] for identity in row.agent.identities if identity.workspace_id in feeds
    ]
    for feed in watched:
        if feed.platform == "slack":
            minutes = (policy.idle_routable + policy.idle_answer).total_seconds() / 60
            lines.append(
                (f"If Slack shows you away for {minutes:.0f} min without a word, you count as Offline.",)
            )
        else:
            lines.append(
                (
                    f"If {platform_name(feed.platform)} loses you for over "
                    f"{feed.grace.total_seconds():.0f} s, you count as Offline.",
                )
            )
    return tuple(lines) or (("Nothing by itself.",),)


REASONS: Mapping[Reason, str] = {
    Reason.OFFLINE: "Offline",
    Reason.AWAY: "Away",
    Reason.CONNECTION_LOST: "the connection was lost just now, and nobody knows yet whether they come back",
    Reason.UNCONFIRMED: "the platform can't be seen just now, so this can't be confirmed",
    Reason.NOT_IN_TEAM: "not in that team",
    Reason.SKILL_MISSING: "without that skill",
    Reason.AT_CAPACITY: "holding as many chats as they can take",
}


def why(row: Row, reasons: Sequence[Reason]) -> Message:
    """`/presence why`: every reason against new work, or that there is none."""
    name = Strong(words(row.agent.name, 60))
    if not reasons:
        load = f" They hold {row.load} of {row.agent.capacity}." if row.load_known else ""
        return Message(((name, " can take a chat now.", load),), tone=Tone.GOOD)
    lines: list[Line] = [(name, " gets no new chats just now:")]
    for reason in reasons:
        line: Line = ("• ", REASONS[reason])
        if reason in {Reason.OFFLINE, Reason.AWAY}:
            line = (*line, " since ", Moment(row.since, TimeStyle.DATE_TIME), *_because(row, of_them=True))
        elif reason is Reason.AT_CAPACITY:
            line = (*line, f" ({row.load} of {row.agent.capacity})")
        lines.append(line)
    return Message(tuple(lines), tone=TONES[row.verdict.presence])
