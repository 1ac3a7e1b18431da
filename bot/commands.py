"""The command table: commands are data. Discord registers from it, Slack and the console parse by it.

What a command does is in `dispatch.py`; who may, what it is called where, and how a line of text
becomes its arguments is here.
"""

import difflib
from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from bot.domain.errors import BadInput, UnknownCommand
from bot.domain.parts import around_choice, before_person, leading_slug
from bot.message import words


class Kind(StrEnum):
    """What a parameter holds, so that a platform can offer the right field."""

    TEXT = "text"
    """Free words: the rest of the line."""
    TIME = "time"
    """A time as in docs/times.md; on one line together with a reason, `30m lunch`."""
    TEAM = "team"
    SKILL = "skill"
    AGENT = "agent"
    """A mention, or a name."""
    ZONE = "zone"
    NEW_SKILL = "new skill"
    """A skill that is known, or words for a new one."""
    NAME = "name"
    """What something shall be called: free words."""
    CHOICE = "choice"
    """One of the parameter's `choices`."""
    NUMBER = "number"
    REASON = "reason"
    """One of the organization's codes, or free words: the rest of the line."""


class Parameter(Struct, frozen=True):
    """One parameter of a command."""

    name: str
    kind: Kind
    help: str
    """At most 100 characters: Discord's limit."""
    required: bool = False
    choices: tuple[str, ...] = ()


class Who(StrEnum):
    """Who may give a command."""

    ANYONE = "anyone"
    """Of the organization: an agent, or somebody who may become one."""
    AGENT = "agent"
    """Enrols whoever may be enrolled by their first command."""
    LEAD = "lead"


class CommandSpec(Struct, frozen=True):
    """A row of the table."""

    name: str
    """How the core calls it: `away`, `presence me`, `presence team join`."""
    help: str
    """What it does, at most 100 characters."""
    who: Who
    parameters: tuple[Parameter, ...] = ()
    hint: str = ""
    """What to type behind it, for one-line platforms."""


UNTIL = Parameter("until", Kind.TIME, "30m, 14:30, tomorrow 9am: when you come back")
REASON = Parameter("reason", Kind.REASON, "Why: one that is offered, or your own words; your team sees it")
TEAM = Parameter("team", Kind.TEAM, "Only this team")
SKILL = Parameter("skill", Kind.SKILL, "Only agents with this skill")
THE_TEAM = Parameter("team", Kind.TEAM, "Which team", required=True)
OR_ANOTHER = Parameter("agent", Kind.AGENT, "Leads: somebody else than yourself")

TABLE: tuple[CommandSpec, ...] = (
    CommandSpec(
        "available",
        "You can take chats",
        Who.AGENT,
        (Parameter("note", Kind.TEXT, "A word for your team, such as: only billing today"),),
        "[note]",
    ),
    CommandSpec(
        "away",
        "You take no new chats, for a time or until you say otherwise",
        Who.AGENT,
        (UNTIL, REASON),
        "[30m, until 14:30, tomorrow 9am] [reason]",
    ),
    CommandSpec("who", "Who is available, away and offline", Who.ANYONE, (TEAM, SKILL), "[team] [skill]"),
    CommandSpec("presence me", "How you are seen, why, and what happens next", Who.AGENT),
    CommandSpec("presence off", "Sign off: offline until your next /available", Who.AGENT),
    CommandSpec(
        "presence why",
        "Why somebody gets chats or does not",
        Who.ANYONE,
        (Parameter("agent", Kind.AGENT, "Who; yourself if left out"),),
        "[@agent]",
    ),
    CommandSpec(
        "presence timezone",
        "Set the time zone in which your clock times are read",
        Who.AGENT,
        (Parameter("zone", Kind.ZONE, "Such as Europe/Berlin", required=True),),
        "Europe/Berlin",
    ),
    CommandSpec(
        "presence set",
        "Leads: set somebody Available or Away; they're told that it was you",
        Who.LEAD,
        (
            Parameter("agent", Kind.AGENT, "Who", required=True),
            Parameter("presence", Kind.CHOICE, "What they are now", True, ("available", "away")),
            Parameter("until", Kind.TIME, "30m, 14:30, tomorrow 9am: when their time away ends"),
            REASON,
        ),
        "@agent away [30m] [reason]",
    ),
    CommandSpec(
        "presence capacity",
        "Leads: how many chats somebody takes at once",
        Who.LEAD,
        (
            Parameter("agent", Kind.AGENT, "Who", required=True),
            Parameter("chats", Kind.NUMBER, "From 1 to 100", required=True),
        ),
        "@agent 3",
    ),
    CommandSpec("presence team list", "The teams, and who is in them", Who.ANYONE),
    CommandSpec("presence team join", "Join a team", Who.ANYONE, (THE_TEAM, OR_ANOTHER), "billing [@agent]"),
    CommandSpec(
        "presence team leave", "Leave a team", Who.ANYONE, (THE_TEAM, OR_ANOTHER), "billing [@agent]"
    ),
    CommandSpec(
        "presence team create",
        "Leads: make a team",
        Who.LEAD,
        (Parameter("name", Kind.NAME, "What it is called", required=True),),
        "Billing EU",
    ),
    CommandSpec(
        "presence team rename",
        "Leads: call a team something else",
        Who.LEAD,
        (THE_TEAM, Parameter("name", Kind.NAME, "What it is called from now on", required=True)),
        "billing Invoices",
    ),
    CommandSpec("presence skill list", "The skills, and who has them", Who.ANYONE),
    CommandSpec(
        "presence skill add",
        "Say that you have a skill",
        Who.ANYONE,
        (
            Parameter("skill", Kind.NEW_SKILL, "Which skill; leads may name a new one", required=True),
            OR_ANOTHER,
        ),
        "german [@agent]",
    ),
    CommandSpec(
        "presence skill remove",
        "Say that you don't have a skill any more",
        Who.ANYONE,
        (Parameter("skill", Kind.SKILL, "Which skill", required=True), OR_ANOTHER),
        "german [@agent]",
    ),
    CommandSpec(
        "presence link",
        "Be one agent on two platforms: ask for a code here, type it there",
        Who.ANYONE,
        (Parameter("code", Kind.TEXT, "The code from your other platform; none: ask for one"),),
        "[code]",
    ),
    CommandSpec(
        "presence unlink",
        "An account of yours is an agent of its own again",
        Who.AGENT,
        (Parameter("platform", Kind.TEXT, "slack or discord; this one if left out"),),
        "[slack, discord]",
    ),
    CommandSpec(
        "presence enrol",
        "Leads: make somebody an agent",
        Who.LEAD,
        (Parameter("agent", Kind.AGENT, "Who", required=True),),
        "@somebody",
    ),
    CommandSpec(
        "presence remove",
        "Leads: somebody is no longer an agent",
        Who.LEAD,
        (Parameter("agent", Kind.AGENT, "Who", required=True),),
        "@agent",
    ),
    CommandSpec("presence help", "The commands, and how to say times", Who.ANYONE),
)
BY_NAME: Mapping[str, CommandSpec] = {spec.name: spec for spec in TABLE}
SUBGROUPS = tuple(
    dict.fromkeys(" ".join(spec.name.split()[:2]) for spec in TABLE if spec.name.count(" ") == 2)
)
"""Groups of two levels: `presence team`, with its commands below it."""
GROUP = "presence"
"""The command below which most others stand; `presence away …` and `presence who …` work too."""
TOP = ("available", "away", "who")
NAMES: Mapping[str, Mapping[str, str]] = {
    "discord": {"available": "available", "away": "away", "who": "who", "presence": "presence"},
    "slack": {"available": "available", "away": "brb", "who": "whosin", "presence": "presence"},
    "console": {"available": "available", "away": "brb", "who": "whosin", "presence": "presence"},
}
"""What commands are called where, if the configuration says nothing else. Slack keeps `/away` and
`/who` for itself."""


def names_on(platform: str, chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """The table's top-level name → the platform's, with the configuration's choices laid over."""
    return {**NAMES.get(platform, NAMES["slack"]), **(chosen or {})}


def spelled(name: str, names: Mapping[str, str]) -> str:
    """How a command of the table is typed where commands have these names: `/presence me`."""
    top, _, rest = name.partition(" ")
    return f"/{names.get(top, top)} {rest}".rstrip()


def read_line(
    typed: str,
    names: Mapping[str, str],
    teams: Sequence[str] = (),
    skills: Sequence[str] = (),
    people: Sequence[str] = (),
) -> tuple[str, dict[str, str]]:
    """A typed line without its slash, `brb 30m lunch`, to the table's name and the arguments.

    `names` as from `names_on`; `people`: how those who were mentioned stand in
    the line. Raises UnknownCommand, offering the nearest; BadInput where a
    team or skill is not known.
    """
    word, _, rest = typed.strip().partition(" ")
    by_name = {shown.lower(): name for name, shown in names.items()}
    name = by_name.get(word.lower())
    if name is None:
        near = difflib.get_close_matches(word.lower(), by_name, n=1)
        hint = f"Did you mean `/{near[0]}`?" if near else f"Type `/{names[GROUP]} help` for the commands."
        raise UnknownCommand(f"There is no command `/{quoted(word)}`. {hint}")
    if name == GROUP:
        sub, _, rest = rest.strip().partition(" ")
        sub = sub.lower() or "help"
        if f"{GROUP} {sub}" in SUBGROUPS:
            below, _, rest = rest.strip().partition(" ")
            name = _below_subgroup(f"{GROUP} {sub}", below.lower() or "list", names)
        else:
            name = _below_group(sub, names)
    return name, arguments_of(BY_NAME[name], rest.strip(), teams, skills, people)


def _below_subgroup(group: str, sub: str, names: Mapping[str, str]) -> str:
    name = f"{group} {sub}"
    if name in BY_NAME:
        return name
    subs = [one.rpartition(" ")[2] for one in BY_NAME if one.startswith(f"{group} ")]
    near, shown = difflib.get_close_matches(sub, subs, n=1), spelled(group, names)
    hint = (
        f"Did you mean `{shown} {near[0]}`?"
        if near
        else f"There are {', '.join(f'`{one}`' for one in subs)}."
    )
    raise UnknownCommand(f"There is no command `{shown} {quoted(sub)}`. {hint}")


def _below_group(sub: str, names: Mapping[str, str]) -> str:
    if sub in TOP:
        return sub
    name = f"{GROUP} {sub}"
    if name in BY_NAME:
        return name
    subs = list(dict.fromkeys(spec.name.split()[:2][-1] for spec in TABLE))
    near = difflib.get_close_matches(sub, subs, n=1)
    group = f"/{names[GROUP]}"
    hint = f"Did you mean `{group} {near[0]}`?" if near else f"Type `{group} help` for the commands."
    raise UnknownCommand(f"There is no command `{group} {quoted(sub)}`. {hint}")


def arguments_of(
    spec: CommandSpec,
    text: str,
    teams: Sequence[str] = (),
    skills: Sequence[str] = (),
    people: Sequence[str] = (),
) -> dict[str, str]:
    """The text behind a command to its arguments. A time and a reason stay together, under `until`:
    the grammar of times tells them apart."""
    kinds = [parameter.kind for parameter in spec.parameters]
    if not text or not kinds:
        return {}
    if kinds == [Kind.TEAM, Kind.SKILL]:
        return _teams_and_skills(text, teams, skills)
    first, behind = spec.parameters[0], spec.parameters[1:]
    if first.kind in LISTED and behind:
        known = teams if first.kind is Kind.TEAM else skills
        slug, rest = _named_first(first, text, known, people)
        return {first.name: slug, behind[0].name: rest} if rest else {first.name: slug}
    if Kind.CHOICE in kinds:
        names = [parameter.name for parameter in spec.parameters]
        choices = next(one.choices for one in spec.parameters if one.choices)
        found = around_choice(text, choices)
        return dict(zip(names, found, strict=False)) if found else {first.name: text}
    if kinds == [Kind.AGENT, Kind.NUMBER]:
        who, _, number = text.rpartition(" ")
        return {first.name: who.strip(), behind[0].name: number} if who else {first.name: number}
    return {first.name: text}


def _named_first(
    parameter: Parameter, text: str, known: Sequence[str], people: Sequence[str]
) -> tuple[str, str]:
    """The team or skill that a line begins with, and the rest. A new skill is whatever stands before a
    person."""
    said = text.split()
    found = leading_slug(said, known)
    if found is None and parameter.kind is not Kind.NEW_SKILL:
        raise no_such(parameter.name, said[0], known, seen=False)
    return found or before_person(said, people)


def quoted(typed: str) -> str:
    """What somebody typed, short enough to stand between backquotes in a refusal."""
    return words(typed, 40).replace("`", "")


def _teams_and_skills(text: str, teams: Sequence[str], skills: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in text.lower().split():
        slug = word.lstrip("#@")
        kind = "team" if slug in teams else "skill" if slug in skills else ""
        if not kind:
            raise no_such("team or skill", word, [*teams, *skills])
        if given.setdefault(kind, slug) != slug:
            raise BadInput(
                f"`{given[kind]}` and `{slug}` are two {kind}s. Ask for one {kind} at a time.", field=kind
            )
    return given


def check_names(
    arguments: Mapping[str, str], teams: Sequence[str], skills: Sequence[str], spec: CommandSpec | None = None
) -> None:
    """Raises BadInput where a field holds a team or skill that is not known, unless `spec` takes new ones."""
    new = any(parameter.kind is Kind.NEW_SKILL for parameter in spec.parameters) if spec else False
    seen = spec is None or not any(one.required for one in spec.parameters)
    for key, known in (("team", teams), ("skill", () if new else skills)):
        given = arguments.get(key)
        if given and given not in known and not (new and key == "skill"):
            raise no_such(key, given, known, seen=seen)


def no_such(what: str, typed: str, known: Sequence[str], *, seen: bool = True) -> BadInput:
    """The refusal of a team or skill that is not there, with the nearest, or with those that are. `seen`:
    it was asked for to see who is in it."""
    near = difflib.get_close_matches(typed.lower().lstrip("#@"), known, n=1, cutoff=0.75)
    if near:
        hint = f"Did you mean `{near[0]}`?"
    elif known:
        more = f" and {len(known) - 10} more" if len(known) > 10 else ""
        hint = f"There are {', '.join(f'`{name}`' for name in known[:10])}{more}."
    else:
        hint = "None is set up yet."
    if seen:
        hint += " Leave it out to see everybody."
    return BadInput(f"There is no {what} `{quoted(typed)}`. {hint}", field=what.partition(" ")[0])


WANTED: Mapping[Kind, str] = {
    Kind.TEXT: "some words",
    Kind.TIME: "a time",
    Kind.TEAM: "a team",
    Kind.SKILL: "a skill",
    Kind.AGENT: "a person",
    Kind.ZONE: "a time zone",
    Kind.NEW_SKILL: "a skill",
    Kind.NAME: "a name",
    Kind.CHOICE: "a choice",
    Kind.NUMBER: "a number",
    Kind.REASON: "a reason",
}
LISTED = (Kind.TEAM, Kind.SKILL, Kind.NEW_SKILL)
"""Kinds of which there is a list to choose from."""


def check(spec: CommandSpec, arguments: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Raises BadInput where a required argument is missing, told by the names commands have there."""
    command = spelled(spec.name, names)
    for parameter in spec.parameters:
        given = arguments.get(parameter.name, "").strip()
        wrong = bool(given and parameter.choices and given not in parameter.choices)
        if wrong or (parameter.required and not given):
            offered = " or ".join(f"`{choice}`" for choice in parameter.choices)
            raise BadInput(
                f"`{command}` needs {offered or WANTED[parameter.kind]} behind it. Type for example "
                f"`{command} {spec.hint}`.",
                field=parameter.name,
            )


def as_typed(
    name: str, text: str | None, arguments: Mapping[str, str], names: Mapping[str, str]
) -> tuple[str, ...]:
    """A command as its sender gave it: the line, or each field by its name where there were fields; nothing
    where it was the command alone."""
    if text is not None:
        said = text.strip() if name != GROUP else text.strip().partition(" ")[2]
        return (f"{spelled(name, names)} {text.strip()}",) if said else ()
    return tuple(f"{field}: {value}" for field, value in arguments.items() if value)
