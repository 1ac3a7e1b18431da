"""What an agent is told of what others did to their presence."""

from bot.domain.facts import Choice, Presence
from bot.message import Button, Line, Message, Moment, Span, Strong, Tone, words
from bot.replies import IM_AVAILABLE, IM_BACK, SIGN_OFF, said
from bot.roster import Row


def set_by_program(row: Row, name: str) -> Message | None:
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
