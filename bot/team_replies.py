"""What Rollcall answers to leads, and about teams and skills: see `bot.replies`."""

from collections.abc import Mapping, Sequence

from bot.commands import spelled
from bot.domain.agent import Agent, Skill, Team
from bot.domain.facts import Choice, Presence
from bot.message import Code, Line, Message, Moment, Span, Strong, Tone, words
from bot.replies import LABELS, TONES, said
from bot.roster import Row

MOST_LISTED = 40
"""Teams or skills in one answer: below Slack's 50 blocks."""
MOST_NAMED = 12
"""Names behind a team: more are counted."""


def _who(agent: Agent, *, oneself: bool, are: str = "You're", is_: str = "is") -> Line:
    return (are,) if oneself else (Strong(words(agent.name, 60)), f" {is_}")


def was_set(row: Row, names: Mapping[str, str], *, oneself: bool = False) -> Message:
    """After `/presence set`: how somebody now is, whatever was wished."""
    presence, intent = row.verdict.presence, row.facts.intent
    who = _who(row.agent, oneself=oneself)
    reason = said(row)
    until: Line = (" until ", Moment(intent.until_at)) if intent.until_at is not None else ()
    told: Line = () if oneself else ("They're told that it was you.",)
    if presence is Presence.OFFLINE:
        lines: list[Line] = [(*who, " still ", Strong("Offline"), ": not connected.")]
        if intent.choice is Choice.AVAILABLE:
            lines.append(("To take chats they type ", Code(spelled("available", names)), " themselves."))
        else:
            lines.append(("Noted: when they're back, they're ", Strong("Away"), *until, *reason, "."))
    else:
        lines = [
            (*who, " ", Strong(LABELS[presence]), *(until if presence is Presence.AWAY else ()), *reason, ".")
        ]
    if told:
        lines.append(told)
    return Message(tuple(lines), tone=TONES[presence])


def capacity(agent: Agent) -> Message:
    """After `/presence capacity`."""
    chats = "1 chat" if agent.capacity == 1 else f"{agent.capacity} chats"
    return Message(((Strong(words(agent.name, 60)), f" takes up to {chats} at once."),), tone=Tone.GOOD)


def joined(agent: Agent, team: str, *, oneself: bool) -> Message:
    """After `/presence team join`."""
    line = (*_who(agent, oneself=oneself), " in the team ", Strong(words(team)), ".")
    return Message((line,), tone=Tone.GOOD)


def left(agent: Agent, team: str, *, oneself: bool) -> Message:
    """After `/presence team leave`."""
    return Message(((*_who(agent, oneself=oneself), " not in the team ", Strong(words(team)), "."),))


def created(team: Team, names: Mapping[str, str]) -> Message:
    """After `/presence team create`."""
    return Message(
        (
            ("The team ", Strong(words(team.name)), " is there. Programs know it as ", Code(team.slug), "."),
            (
                "People come in with ",
                Code(f"{spelled('presence team join', names)} {team.slug}"),
                "; leads name somebody behind it.",
            ),
        ),
        tone=Tone.GOOD,
    )


def renamed(old: str, team: Team) -> Message:
    """After `/presence team rename`."""
    return Message(
        (
            (Strong(words(old)), " is now called ", Strong(words(team.name)), "."),
            ("It is still ", Code(team.slug), " in commands and for programs."),
        ),
        tone=Tone.GOOD,
    )


def skilled(agent: Agent, skill: Skill, *, oneself: bool, new: bool) -> Message:
    """After `/presence skill add`."""
    has = _who(agent, oneself=oneself, are="You have", is_="has")
    lines: list[Line] = [(*has, " the skill ", Strong(words(skill.name)), ".")]
    if new:
        lines.append(("It is a new one; programs know it as ", Code(skill.slug), "."))
    return Message(tuple(lines), tone=Tone.GOOD)


def unskilled(agent: Agent, skill: str, *, oneself: bool) -> Message:
    """After `/presence skill remove`."""
    has = _who(agent, oneself=oneself, are="You don't have", is_="doesn't have")
    return Message(((*has, " the skill ", Strong(words(skill)), "."),))


def listed(
    what: str,
    rows: Sequence[tuple[str, str]],
    holders: Mapping[str, Sequence[str]],
    names: Mapping[str, str],
) -> Message:
    """`/presence team list` and `skill list`: each with its slug and who is in it."""
    if not rows:
        verb = "team create Billing" if what == "team" else "skill add german @somebody"
        how = Code(f"{spelled('presence', names)} {verb}")
        return Message(((f"There is no {what} yet. Leads make one with ", how, "."),))
    lines: list[Line] = []
    for slug, name in rows[:MOST_LISTED]:
        people = holders.get(slug, ())
        more = f" and {len(people) - MOST_NAMED} more" if len(people) > MOST_NAMED else ""
        who = ", ".join(words(one, 30) for one in people[:MOST_NAMED]) + more if people else "nobody yet"
        spans: list[Span] = [Strong(words(name, 40)), " · ", Code(slug), f" · {who}"]
        lines.append(tuple(spans))
    if len(rows) > MOST_LISTED:
        lines.append((f"… and {len(rows) - MOST_LISTED} more.",))
    return Message(tuple(lines))
