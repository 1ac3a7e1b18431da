"""Direct messages that are owed to agents: what they say, if it still makes sense."""

from collections.abc import Mapping

from bot.domain.facts import Choice, Presence
from bot.domain.transition import Told
from bot.message import Button, ButtonStyle, Line, Message, Moment, Span, Strong, Tone, words
from bot.replies import IM_AVAILABLE, IM_BACK, LABELS, SIGN_OFF, said
from bot.roster import Row


def _set_by_lead(row: Row, data: Mapping[str, str]) -> Message | None:
    """None once anybody has changed it since."""
    if row.facts.intent.set_at.isoformat() != data.get("set_at"):
        return None
    who: Line = (Strong(words(data.get("by", ""), 60)),)
    return _set_by(
        row, who, "No new chats come to you. Press the button when you can take some.", IM_AVAILABLE
    )


def _set_by_program(row: Row, name: str) -> Message | None:
    """`name`: of its key. None once somebody else has changed it."""
    if not row.facts.intent.by.startswith("api:"):
        return None
    who: Line = ("The program ", Strong(words(name, 60))) if name else ("A program",)
    return _set_by(row, who, "No new chats come to you. Press the button when you're back.", IM_BACK)


def _set_by(row: Row, who: Line, away: str, back: Button) -> Message:
    """Somebody else set their presence; `away` and `back` end it where that is Away."""
    intent = row.facts.intent
    first: list[Span] = [*who, " set you "]
    if intent.choice is Choice.AVAILABLE:
        lines: list[Line] = [(*first, Strong(LABELS[Presence.AVAILABLE]), *said(row), ".")]
        if row.verdict.presence is Presence.OFFLINE:
            lines.append(
                ("Your team still sees you as ", Strong("Offline"), ". You're here? Press the button.")
            )
        return Message(tuple(lines), buttons=(IM_AVAILABLE, Button("I'm away", "away")), tone=Tone.GOOD)
    first.append(Strong(LABELS[Presence.AWAY]))
    if intent.until_at is not None:
        first += [" until ", Moment(intent.until_at)]
    return Message(((*first, *said(row), "."), (away,)), buttons=(back, SIGN_OFF), tone=Tone.AWAY)


def told(kind: Told, row: Row, data: Mapping[str, str] = {}) -> Message | None:
    """A direct message that is owed; None when it no longer makes sense. `data` as its notice has it."""
    presence, check_in = row.verdict.presence, row.facts.check_in
    if kind is Told.SET_BY_LEAD:
        return _set_by_lead(row, data)
    if kind is Told.SET_BY_PROGRAM:
        return _set_by_program(row, data.get("by", ""))
    if kind is Told.STILL_THERE:
        if presence is not Presence.AVAILABLE or row.verdict.reachable:
            return None
        return Message(
            (
                (Strong("Still there?"), " Slack has shown you as away for a while."),
                ("Without a word from you, you'll be Offline in a few minutes.",),
            ),
            buttons=(Button("I'm here", "available", style=ButtonStyle.PRIMARY), Button("I'm away", "away")),
            tone=Tone.AWAY,
        )
    if kind is Told.CHECK_IN_ENDING:
        if presence is not Presence.AVAILABLE or check_in is None:
            return None
        return Message(
            (
                (
                    Strong("Still working?"),
                    " Without a word from you, you'll be Offline at ",
                    Moment(check_in.until_at),
                    ".",
                ),
            ),
            buttons=(Button("Still available", "available", style=ButtonStyle.PRIMARY), SIGN_OFF),
            tone=Tone.AWAY,
        )
    if kind is Told.AWAY_ENDED:
        if presence is not Presence.AVAILABLE:
            return None
        code = data.get("reason_code")
        same = (("reason", code),) if code else ()
        return Message(
            (("Your time away is over: you're ", Strong("Available"), " again."),),
            buttons=(Button("30 more minutes", "away", (("until", "30m"), *same)), SIGN_OFF),
            tone=Tone.GOOD,
        )
    if presence is not Presence.AWAY:
        return None
    return Message(
        (("Welcome back. You're ", Strong("Away"), " until you say otherwise."),),
        buttons=(IM_AVAILABLE,),
        tone=Tone.AWAY,
    )
