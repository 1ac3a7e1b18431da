"""What Rollcall answers, in words: pure functions from what is known to a `Message`.

Short, kind, exact: what happened, what it means, what to do. A person's own words always go through
`words`, so that they fit and stay literal.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot import reason_replies
from bot.commands import GROUP, NAMES, TABLE, spelled
from bot.domain.errors import RollcallError
from bot.domain.facts import Choice, Feed, FeedState, LinkState, Presence
from bot.domain.hints import HintKind, kinds
from bot.domain.reasons import USUAL, Reasons
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
from bot.roster import Row

PAGE = 15
"""Agents on a page of the roster: with every name and reason at its longest, one page still fits
below Discord's 4,096 characters and Slack's 50 blocks."""
MOST_CLOSED = 5
"""Closed teams that are named above the roster: more are counted."""
TYPED = 600
"""Characters of a person's own words given back to them: what Discord lets into a field, and its name."""
TONES = {Presence.AVAILABLE: Tone.GOOD, Presence.AWAY: Tone.AWAY, Presence.OFFLINE: Tone.QUIET}
LABELS = {Presence.AVAILABLE: "Available", Presence.AWAY: "Away", Presence.OFFLINE: "Offline"}
IM_BACK = Button("I'm back", "available", style=ButtonStyle.PRIMARY)
IM_AVAILABLE = Button("I'm available", "available", style=ButtonStyle.PRIMARY)
SIGN_OFF = Button("Sign off", "presence off")
HINTS = {HintKind.CALL: "in a call", HintKind.DO_NOT_DISTURB: "do not disturb"}
PLATFORMS = {"discord": "Discord", "slack": "Slack", "console": "the console", "session": "your console"}


def platform_name(name: str, *, first: bool = False) -> str:
    """A platform's name within a sentence; `first`: where it begins one."""
    shown = PLATFORMS.get(name, name.capitalize())
    return shown[:1].upper() + shown[1:] if first else shown


def unheard(row: Row, feeds: Mapping[str, Feed]) -> Feed | None:
    """A live feed that has yet to say anything of the agent, as it does soon after they were enrolled."""
    heard = {link.identity_id for link in row.facts.links}
    for identity in row.agent.identities:
        feed = feeds.get(identity.workspace_id)
        if (
            feed is not None
            and feed.state is FeedState.LIVE
            and identity.id not in heard
            and identity.present
        ):
            return feed
    return None


def available(row: Row, feeds: Mapping[str, Feed], names: Mapping[str, str], others: int) -> Message:
    """After `/available`."""
    lines: list[Line] = [("You're ", Strong("Available"), *said(row), ".")]
    check_in = row.facts.check_in
    connected = any(link.state is LinkState.CONNECTED for link in row.facts.links)
    if check_in is not None and not connected and unheard(row, feeds) is None:
        lines.append(
            (
                "That holds until ",
                Moment(check_in.until_at),
                ". Leaving earlier? Type ",
                Code(spelled("presence off", names)),
                ".",
            )
        )
    if not row.on_shift:
        lines.append(("You're off shift", *until_next_shift(row), ", so no new chats come to you till then."))
    elif row.closed:
        lines.append(("Your team is closed just now, so no new chats come to you yet.",))
    if others:
        lines.append((f"{_agents(others)} besides you {_be(others)} available.",))
    else:
        lines.append(("You're the only one available just now.",))
    return Message(tuple(lines), tone=Tone.GOOD)


def until_next_shift(row: Row) -> Line:
    """` until Tue 9:00`; nothing where no shift is to come."""
    at = row.next_shift_at
    return () if at is None else (" until ", Moment(at, TimeStyle.DATE_TIME))


def away(row: Row, feeds: Mapping[str, Feed], names: Mapping[str, str]) -> Message:
    """After `/away`."""
    intent, back = row.facts.intent, Code(spelled("available", names))
    first: list[Span] = ["You're ", Strong("Away")]
    if intent.until_at is not None:
        first += [" until ", Moment(intent.until_at)]
    first += [*said(row), ". No new chats come to you."]
    lines: list[Line] = [tuple(first)]
    if row.verdict.presence is Presence.OFFLINE:
        lines = [("Noted: ", *lines[0][1:-1], "."), *_seen_offline(row, feeds, back)]
    elif intent.until_at is None:
        lines.append(("Type ", back, " or press the button when you're back."))
    elif intent.base is not None and intent.base.choice is Choice.AVAILABLE:
        lines.append(("Then you're Available again by yourself.",))
    else:
        lines.append(("You were Away before, so you stay Away then. Type ", back, " when you're back."))
    return Message(tuple(lines), buttons=(IM_BACK, SIGN_OFF), tone=Tone.AWAY)


def _seen_offline(row: Row, feeds: Mapping[str, Feed], back: Code) -> Sequence[Line]:
    """Why the team sees somebody as Offline who says that they are away."""
    if feed := unheard(row, feeds):
        name = platform_name(feed.platform, first=True)
        return (
            (f"{name} will soon tell me that you're here; until then your team sees you as Offline.",),
            ("Type ", back, " or press the button when you're back."),
        )
    gone = [feeds[link.feed_id] for link in row.facts.links if link.feed_id in feeds]
    shown = next((feed for feed in gone if feed.state is FeedState.LIVE), None)
    because = (
        f"{platform_name(shown.platform)} shows you as offline" if shown else "I can't see that you're here"
    )
    return (
        ("Your team sees you as ", Strong("Offline"), f", because {because}."),
        ("Type ", back, " or press the button when you can take chats: that's enough for me."),
    )


def signed_off(names: Mapping[str, str]) -> Message:
    """After `/presence off`."""
    return Message(
        (
            ("You've signed off. You're ", Strong("Offline"), ", and no chats come to you."),
            ("It stays so until you type ", Code(spelled("available", names)), ", whatever your apps say."),
        ),
        buttons=(IM_AVAILABLE,),
    )


def said(row: Row) -> Line:
    """Why, behind what somebody has chosen."""
    return (": ", words(row.reason)) if row.reason.strip() else ()


def _agents(count: int) -> str:
    return "1 agent" if count == 1 else f"{count} agents"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def closed_line(team: str, opens_at: datetime | None) -> Line:
    """That a team is closed, and until when, where that is known."""
    until: Line = () if opens_at is None else (" until ", Moment(opens_at, TimeStyle.DATE_TIME))
    return (Strong(words(team, 40)), " is closed", *until, ".")


def who(
    rows: Sequence[Row],
    arguments: Mapping[str, str],
    title: str,
    lost: Sequence[tuple[Feed, str]],
    asking: Sequence[tuple[Feed, int, int]],
    now: datetime,
    closed: Sequence[tuple[str, datetime | None]] = (),
) -> Message:
    """The roster, grouped: the page of it that `arguments` ask for. `lost`: feeds that are not live, with
    their workspace's name. `asking`: polled ones that began anew lately, with how many of how many were
    seen since. `closed`: teams that are, with when they open."""
    order = (Presence.AVAILABLE, Presence.AWAY, Presence.OFFLINE)
    grouped = sorted(rows, key=lambda row: order.index(row.verdict.presence))
    pages = max(1, -(-len(grouped) // PAGE))
    asked = arguments.get("page", "1")
    page = min(max(int(asked), 1), pages) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1
    shown = grouped[(page - 1) * PAGE : page * PAGE]
    counts = {presence: sum(row.verdict.presence is presence for row in rows) for presence in order}
    summary = "".join(f" · {counts[presence]} {LABELS[presence].lower()}" for presence in order)
    sections = []
    for presence in order:
        group = tuple(roster_line(row, now) for row in shown if row.verdict.presence is presence)
        if group:
            sections.append(Section((Strong(f"{LABELS[presence]} ({counts[presence]})"),), group))
    lines: list[Line] = [(Strong(words(title)), summary)]
    for name, opens_at in closed[:MOST_CLOSED]:
        lines.append(closed_line(name, opens_at))
    if len(closed) > MOST_CLOSED:
        lines.append((f"{len(closed) - MOST_CLOSED} more teams are closed.",))
    for feed, name in lost:
        lines.append(
            (
                f"{platform_name(feed.platform, first=True)} ({words(name, 40)}) has not been seen since ",
                Moment(feed.lost_at),
                ". Who is there is unconfirmed.",
            )
        )
    for feed, seen, there in asking:
        if seen < there:
            name = platform_name(feed.platform, first=True)
            told = f"{name} was asked about {seen} of {there} so far; the others are shown as last seen."
            lines.append((told,))
    buttons = [_refresh(arguments, page)]
    if page > 1:
        buttons.append(Button("Back", "who", _paged(arguments, page - 1)))
    if page < pages:
        buttons.append(Button("Next", "who", _paged(arguments, page + 1)))
    footer: Line = ("As of ", Moment(now), f", page {page} of {pages}" if pages > 1 else "")
    tone = Tone.GOOD if counts[Presence.AVAILABLE] else Tone.QUIET
    return Message(tuple(lines), tuple(sections), tuple(buttons), tone, footer, replaces=True)


def nobody(
    team: str,
    skill: str,
    arguments: Mapping[str, str],
    names: Mapping[str, str],
    now: datetime,
    *,
    others: bool,
) -> Message:
    """The roster where it is empty. `team` and `skill`: their names, where asked for; `others`: there are
    agents, but none with these."""
    start = Code(spelled("available", names))
    if not others:
        lines: list[Line] = [("Nobody is an agent here yet.",), ("Type ", start, " to be the first.")]
    else:
        if team and skill:
            lines = [("Nobody in ", Strong(words(team)), " has the skill ", Strong(words(skill)), ".")]
        elif team:
            lines = [("Nobody is in the team ", Strong(words(team)), " yet.")]
        else:
            lines = [("Nobody has the skill ", Strong(words(skill)), " yet.")]
        ways = [
            Code(f"{spelled(command, names)} {arguments[what]}")
            for what, command in (("team", "presence team join"), ("skill", "presence skill add"))
            if arguments.get(what)
        ]
        lines.append(
            (
                "Whoever is an agent comes in with ",
                *[span for way in ways for span in (" and ", way)][1:],
                "; leads name somebody behind it, or whoever runs Rollcall does in its configuration.",
            )
        )
        lines.append(("Everybody: ", Code(spelled("who", names))))
    return Message(
        tuple(lines), buttons=(_refresh(arguments, 1),), footer=("As of ", Moment(now)), replaces=True
    )


def _refresh(arguments: Mapping[str, str], page: int) -> Button:
    return Button("Refresh", "who", _paged(arguments, page))


def _paged(arguments: Mapping[str, str], page: int) -> tuple[tuple[str, str], ...]:
    kept = [(key, value) for key, value in arguments.items() if key in {"team", "skill"} and value]
    return (*kept, ("page", str(page)))


def roster_line(row: Row, now: datetime) -> Line:
    """The name and what there is to know, with a dot between: spaces alone run together in Slack."""
    verdict, intent = row.verdict, row.facts.intent
    available = verdict.presence is Presence.AVAILABLE
    parts: list[Line] = [(Strong(words(row.agent.name, 40)),)]
    if verdict.presence is not Presence.OFFLINE and row.load_known:
        parts.append((f"{row.load}/{row.agent.capacity}",))
    if verdict.presence is Presence.AWAY and intent.until_at is not None:
        parts.append(("until ", Moment(intent.until_at)))
    elif verdict.presence is Presence.OFFLINE and row.facts.last_seen_at is not None:
        parts.append(("since ", Moment(row.since)))
    if row.note:
        parts.append((words(row.note, 60),))
    if verdict.reason in {"returned", "not_set"}:
        parts.append(("back, not available yet" if verdict.reason == "returned" else "not available yet",))
    if available and row.load >= row.agent.capacity:
        parts.append(("busy",))
    if not row.on_shift:
        parts.append(("off shift",))
    parts += [(HINTS[kind],) for kind in kinds(row.hints)]
    if verdict.unconfirmed_since is not None:
        parts.append(("unconfirmed since ", Moment(verdict.unconfirmed_since)))
    elif available and not verdict.reachable:
        parts.append(("connection lost just now",))
    return dotted(parts)


def dotted(parts: Sequence[Line]) -> Line:
    """Parts of one line with a dot between them."""
    return tuple(span for number, part in enumerate(parts) for span in ((" · ",) if number else ()) + part)


def zone_set(zone: str, now: datetime) -> Message:
    """After `/presence timezone`."""
    local = now.astimezone(ZoneInfo(zone))
    return Message(((f"Your time zone is {zone}; it is {local:%H:%M} there now.",),), tone=Tone.GOOD)


def enrolled(name: str, names: Mapping[str, str]) -> Message:
    """After `/presence enrol`."""
    return Message(
        (
            (
                Strong(words(name, 60)),
                " is an agent now. They start with ",
                Code(spelled("available", names)),
                ".",
            ),
        ),
        tone=Tone.GOOD,
    )


def removed(name: str) -> Message:
    """After `/presence remove`."""
    return Message(
        (
            (Strong(words(name, 60)), " is no longer an agent. Their history stays."),
            ("Only a lead can bring them back.",),
        )
    )


def help_page(
    names: Mapping[str, str], lead: bool, reasons: Reasons = USUAL, *, required: bool = False
) -> Message:
    """`/presence help`: the table, how to say times, and the codes for reasons. `required`: the policy."""
    lines: list[Line] = [
        (Code(f"{spelled(spec.name, names)} {spec.hint}".rstrip()), f" · {spec.help}")
        for spec in TABLE
        if lead or spec.who != "lead"
    ]
    examples = ("30m", "1h30", "until 14:30", "back at 3pm", "tomorrow 9am", "eod")
    times: tuple[Line, ...] = (
        dotted([(Code(example),) for example in examples]),
        ("A reason goes before or behind it: ", Code("30m lunch")),
    )
    why = Section((Strong("Reasons"),), reason_replies.about(reasons, names, required=required))
    return Message(((Strong("What you can type"),), *lines), (Section((Strong("Times"),), times), why))


def refusal(
    problem: RollcallError,
    names: Mapping[str, str] = NAMES["discord"],
    typed: Sequence[str] = (),
    stands: Presence | None = None,
) -> Message:
    """An error, with what was `typed` so that it is not lost and can be copied: one line, or Discord's
    fields. `stands`: the presence of somebody who wanted to change it, where that matters."""
    lines: list[Line] = [_with_code(problem.sentence, names)]
    if stands is Presence.AVAILABLE:
        lines.append(("Nothing was changed: you're still ", Strong(LABELS[stands]), "."))
    shown = [Code(words(one, TYPED)) for one in typed if one.strip()]
    if shown:
        lines.append(("You typed:", *(span for one in shown for span in (" ", one))))
    return Message(tuple(lines), tone=Tone.PROBLEM)


def _with_code(sentence: str, names: Mapping[str, str]) -> Line:
    """Backquoted parts of our own sentences as code; commands that the domain names by the table under
    their names here."""
    parts = sentence.split("`")
    spans = [Code(_here(part, names)) if index % 2 else part for index, part in enumerate(parts)]
    return tuple(span for span in spans if span != "" and span != Code(""))


def _here(code: str, names: Mapping[str, str]) -> str:
    first, space, rest = code.partition(" ")
    if first in {f"/{GROUP}", "/available"}:
        return spelled(first[1:], names) + space + rest
    return code


def broken(request_id: str, names: Mapping[str, str]) -> Message:
    """Something failed that should not: say so, and what to quote."""
    return Message(
        (
            ("Something failed, and it's our fault. What you asked for may or may not have been done.",),
            ("Look with ", Code(spelled("presence me", names)), ", and try again if it wasn't."),
            ("If it goes on, tell whoever runs Rollcall: request ", Code(request_id), "."),
        ),
        tone=Tone.PROBLEM,
    )
