"""Direct messages that are owed to agents: what they say, if it still makes sense."""

from collections.abc import Mapping

from bot.domain.facts import Choice, Presence
from bot.domain.transition import Told
from bot.message import Button, ButtonStyle, Line, Message, Moment, Span, Strong, Tone, words
from bot.replies import IM_AVAILABLE, IM_BACK, LABELS, SIGN_OFF, said
from bot.roster import Row


def _set_by(row: Row, data: Mapping[str, str]) -> Message | None:
    """A lead set their presence, and nobody has changed it since."""
    intent = row.facts.intent
    said: Line = (": ", words(intent.reason)) if intent.reason.strip() else ()
    if intent.set_at.isoformat() != data.get("set_at"):
        return None
    first: list[Span] = [Strong(words(data.get("by", ""), 60)), " set you "]
    if intent.choice is Choice.AVAILABLE:
        first += [Strong(LABELS[Presence.AVAILABLE]), *said, "."]
        lines: list[Line] = [tuple(first)]
        if row.verdict.presence is Presence.OFFLINE:
            lines.append(
                ("Your team still sees you as ", Strong("Offline"), ". You're here? Press the button.")
            )
        return Message(tuple(lines), buttons=(IM_AVAILABLE, Button("I'm away", "away")), tone=Tone.GOOD)
    first.append(Strong(LABELS[Presence.AWAY]))
    if intent.until_at is not None:
        first += [" until ", Moment(intent.until_at)]
    return Message(
        (
            (*first, *said, "."),
            ("No new chats come to you. Press the button when you can take some.",),
        ),
        buttons=(IM_AVAILABLE, SIGN_OFF),
        tone=Tone.AWAY,
    )


def _set_by_program(row: Row, name: str) -> Message | None:
    """A direct message: a program set their presence. `name`: of its key. None once somebody else has."""
    intent = row.facts.intent
    if not intent.by.startswith("api:"):
        return None
    first: list[Span] = (
        ["The program ", Strong(words(name, 60)), " set you "] if name else ["A program set you "]
    )
    if intent.choice is Choice.AVAILABLE:
        lines: list[Line] = [(*first, Strong("Available"), *said(intent), ".")]
        if row.verdict.presence is Presence.OFFLINE:
            lines.append(
                ("Your team still sees you as ", Strong("Offline"), ". You're here? Press the button.")
            )
        return Message(tuple(lines), buttons=(IM_AVAILABLE, Button("I'm away", "away")), tone=Tone.GOOD)
    first.append(Strong("Away"))
    if intent.until_at is not None:
        first += [" until ", Moment(intent.until_at)]
    lines = [(*first, *said(intent), "."), ("No new chats come to you. Press the button when you're back.",)]
    return Message(tuple(lines), buttons=(IM_BACK, SIGN_OFF), tone=Tone.AWAY)


def told(kind: Told, row: Row, data: Mapping[str, str] = {}) -> Message | None:
    """A direct message that is owed; None when it no longer makes sense. `data` as its notice has it."""
    presence, check_in = row.verdict.presence, row.facts.check_in
    if kind is Told.SET_BY_LEAD:
        return _set_by(row, data)
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
        return Message(
            (("Your time away is over: you're ", Strong("Available"), " again."),),
            buttons=(Button("30 more minutes", "away", (("until", "30m"),)), SIGN_OFF),
            tone=Tone.GOOD,
        )
    if presence is not Presence.AWAY:
        return None
    return Message(
        (("Welcome back. You're ", Strong("Away"), " until you say otherwise."),),
        buttons=(IM_AVAILABLE,),
        tone=Tone.AWAY,
    )
