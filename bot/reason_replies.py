"""What is said of reason codes: which there are, and that one is wanted."""

from collections.abc import Mapping

from msgspec.structs import replace

from bot.commands import spelled
from bot.domain.reasons import Reasons
from bot.message import Button, Code, Line, Message, Span, words

MOST_NAMED = 12
"""Codes in one line; autocompletion has the others."""
MOST_BUTTONS = 5
LONGEST_IN_BUTTON = 16
"""Characters of a time: beside the longest code it still goes into Discord's 100 for a button."""


def about(reasons: Reasons, names: Mapping[str, str], *, required: bool) -> tuple[Line, ...]:
    """For the help page. `required`: the policy wants a reason with every Away."""
    wanted: Line = ("Your team asks for one with every Away.",)
    example = Code(f"{spelled('away', names)} 45m {_example(reasons)}: back for the demo")
    lines: list[Line] = [wanted] if required else []
    if reasons.names:
        lines.append((*_listed(reasons), "."))
        lines.append(("Your own words go behind one, or stand alone: ", example))
    else:
        lines.append(("In your own words.",))
    return tuple(lines)


def needed(refused: Message, command: str, until: str, names: Mapping[str, str], reasons: Reasons) -> Message:
    """The refusal of an Away without a reason, with what to say instead. `until`: the time that was given.
    To oneself a button for each code says all of it again, where a button holds so much."""
    whom = "@agent away " if command == "presence set" else ""
    example = Code(f"{spelled(command, names)} {whom}30m {_example(reasons)}")
    codes: Line = (*_listed(reasons), ", or your own words") if reasons.names else ("Any words of your own",)
    how: Line = (*codes, ": type for example ", example, ".")
    buttons: tuple[Button, ...] = ()
    if command == "away" and until.isascii() and len(until) <= LONGEST_IN_BUTTON:
        time = (("until", until),) if until else ()
        buttons = tuple(
            Button(words(name), "away", (*time, ("reason", slug)))
            for slug, name in list(reasons.names.items())[:MOST_BUTTONS]
        )
    return replace(refused, lines=(refused.lines[0], how, *refused.lines[1:]), buttons=buttons)


def _listed(reasons: Reasons) -> Line:
    """Each as it is typed, with its name where that says more."""
    spans: list[Span] = []
    for slug, name in list(reasons.names.items())[:MOST_NAMED]:
        same = name.casefold() == slug
        spans += [", " if spans else "", Code(slug), "" if same else f" ({words(name, 40)})"]
    return tuple(span for span in spans if span != "")


def _example(reasons: Reasons) -> str:
    return next(iter(reasons.names), "dentist")
