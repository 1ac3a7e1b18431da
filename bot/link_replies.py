"""What is said about one person on several platforms."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.commands import spelled
from bot.domain.agent import Agent, Identity
from bot.domain.transition import Told
from bot.message import Button, ButtonStyle, Code, Line, Message, Moment, Span, Strong, Tone, words
from bot.replies import IM_AVAILABLE, LABELS, platform_name
from bot.roster import Row


def code(shown: str, until_at: datetime, where: Sequence[tuple[str, Mapping[str, str]]]) -> Message:
    """After `/presence link`: to be seen by the asker alone."""
    lines: list[Line] = []
    for platform, names in where:
        typed = Code(f"{spelled('presence link', names)} {shown}")
        lines.append((f"On {platform_name(platform)} type ", typed, " as yourself."))
    lines += [
        ("It makes your account there and this one one agent, and works once, until ", Moment(until_at), "."),
        ("Show it to nobody: whoever types it becomes you. Nobody at Rollcall asks for it.",),
    ]
    return Message(tuple(lines))


def own(names: Mapping[str, str]) -> Message:
    """Their own code, typed on an account that is theirs already."""
    again = Code(spelled("presence link", names))
    return Message(
        (
            ("That's your own code, and this account is yours already. Type it on your other platform.",),
            ("It still works there. For a new one: ", again, "."),
        )
    )


def linked(row: Row, names: Mapping[str, str], clashes: Sequence[str]) -> Message:
    """To whoever typed the code."""
    agent = row.agent
    undo = Code(spelled("presence unlink", names))
    lines: list[Line] = [
        ("You're one agent now, ", Strong(words(agent.name)), ": ", *_accounts(agent), "."),
        ("You're ", Strong(LABELS[row.verdict.presence]), ", as the stricter of what was set on them."),
        ("What you set on one counts on all, and you're there while any of them is.",),
        ("If one of them isn't you, type ", undo, "."),
    ]
    lines += [
        (f"{words(system)} knew both of you; it's the id of {words(agent.name)} that stays.",)
        for system in clashes
    ]
    return Message(tuple(lines), tone=Tone.GOOD)


def _accounts(agent: Agent) -> Sequence[Span]:
    shown = [f"{words(one.name)} on {platform_name(one.platform)}" for one in agent.identities if one.present]
    return (" and ".join(shown),)


def unlinked(alone: Agent, row: Row, names: Mapping[str, str], *, here: bool) -> Message:
    """After `/presence unlink`, and "That's not me": `alone` is what was unlinked, `row` whoever asks, and
    `here` that they are the same."""
    if here and len(alone.identities) == 1:
        whose = "This account is an agent of its own"
    else:
        whose = _are(alone.identities) + (
            " one agent of their own" if alone.identities[1:] else " an agent of its own"
        )
    lines: list[Line] = [
        (f"{whose} again, with nothing set. The history so far stays with the other.",),
        ("You're ", Strong(LABELS[row.verdict.presence]), "."),
    ]
    if here:
        lines.append(("Type ", Code(spelled("available", names)), " when you can take chats."))
    return Message(tuple(lines), buttons=(IM_AVAILABLE,) if here else ())


def _are(identities: Sequence[Identity]) -> str:
    shown = [f"{words(one.name)} on {platform_name(one.platform)}" for one in identities]
    return " and ".join(shown) + (" are" if shown[1:] else " is")


def alone(names: Mapping[str, str]) -> Message:
    """`/presence unlink` of an account that is the agent's only one."""
    link = Code(spelled("presence link", names))
    return Message((("This account is linked to no other. To link it: ", link, "."),))


def told(kind: Told, row: Row, identity_id: str, data: Mapping[str, str]) -> Message | None:
    """A word to one account about others that came to it, or about itself; None when it is over."""
    agent = row.agent
    if not any(one.id == identity_id and one.present for one in agent.identities):
        return None
    if kind is Told.UNLINKED:
        first = "This account is an agent of its own again, with nothing set"
        seen = LABELS[row.verdict.presence]
        return Message(((f"{first}. You're ", Strong(seen), "."),), buttons=(IM_AVAILABLE,))
    others = [one for one in agent.identities if one.id != identity_id and one.present]
    if not others:
        return None
    shown = " and ".join(f"{words(one.name)} on {platform_name(one.platform)}" for one in others)
    code = data.get("code", "")  # an earlier version kept none
    undo = Button("That's not me", "presence unlink", (("undo", code),), style=ButtonStyle.DANGER)
    return Message(
        (
            ("Your code was used: you're one agent with ", Strong(shown), " now."),
            ("You're ", Strong(LABELS[row.verdict.presence]), "."),
            (
                "If that isn't you, press the button within a day: they're an agent of their own again, "
                "and what you had set counts.",
            ),
        ),
        buttons=(undo,) if code else (),
    )
