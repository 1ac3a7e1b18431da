"""Finding what a person named: agents by mention or name, teams, skills, time zones."""

import difflib
from collections.abc import Sequence
from functools import cache
from zoneinfo import available_timezones

from bot.commands import BY_NAME, Kind, quoted
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.errors import BadInput, NotFound


@cache
def zones() -> tuple[str, ...]:
    """All IANA time zones, read once, when first asked for."""
    return tuple(sorted(available_timezones()))


def find_agent(core: Rollcall, workspace_id: str, named: str, *, exact: bool = False) -> Agent:
    """By mention, or by name: exact, else (unless `exact`) the only one that begins so.

    Raises NotFound, offering the nearest; BadInput when several are meant.
    """
    wanted = named.strip().strip("<@>")
    agent = core.roster.by_identity(workspace_id, wanted)
    if agent is not None:
        return agent
    name = named.strip().lstrip("@").casefold()
    everyone = sorted(core.roster.everyone(), key=lambda one: one.name.casefold())
    same = [one for one in everyone if one.name.casefold() == name]
    begins = [one for one in everyone if name and one.name.casefold().startswith(name)]
    found = same if same or exact else begins
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(quoted(one.name) for one in found[:5]) + (", …" if len(found) > 5 else "")
        raise BadInput(
            f"More than one agent is called `{quoted(named)}`: {some}. Mention the one you mean with @, or "
            "type the whole name.",
            field="agent",
        )
    near = difflib.get_close_matches(name, [one.name.casefold() for one in everyone], n=1)
    near = near or [one.name for one in begins[:1]]
    shown = next((one.name for one in everyone if near and one.name.casefold() == near[0].casefold()), "")
    hint = f"Did you mean `{quoted(shown)}`?" if shown else "Mention them with @, or type their name."
    raise NotFound(f"There is no agent `{quoted(named)}`. {hint}", field="agent")


def suggest(core: Rollcall, command: str, parameter: str, typed: str) -> Sequence[tuple[str, str]]:
    """(label, value) pairs for autocompletion; see `bot.ports.Core`."""
    spec = BY_NAME.get(command)
    kind = next((p.kind for p in spec.parameters if p.name == parameter), None) if spec else None
    if kind is Kind.TEAM:
        pairs = [(team.name, team.slug) for team in core.teams]
    elif kind is Kind.SKILL:
        pairs = [(skill.name, skill.slug) for skill in core.skills]
    elif kind is Kind.AGENT:
        names = sorted({agent.name for agent in core.roster.everyone()}, key=str.casefold)
        pairs = [(name, name) for name in names]
    elif kind is Kind.ZONE:
        pairs = [(zone, zone) for zone in zones()]
    else:
        return ()
    wanted = typed.strip().casefold().replace(" ", "_" if kind is Kind.ZONE else " ")
    begins = [pair for pair in pairs if pair[0].casefold().startswith(wanted)]
    holds = [pair for pair in pairs if wanted in pair[0].casefold() and pair not in begins]
    return (begins + holds)[:25]


def near_zones(typed: str) -> list[str]:
    """Zones that what was typed may mean: a city, or a slip of the finger."""
    city = typed.strip().lower().replace(" ", "_").rpartition("/")[2]
    by_city: dict[str, str] = {}
    for zone in zones():
        by_city.setdefault(zone.rpartition("/")[2].lower(), zone)
    return [by_city[near] for near in difflib.get_close_matches(city, by_city, n=2, cutoff=0.7)]


def find_zone(typed: str) -> str:
    """The IANA name of a zone as typed, whatever its case. Raises BadInput, offering the nearest."""
    by_lower = {zone.lower(): zone for zone in zones()}
    zone = by_lower.get(typed.strip().lower().replace(" ", "_"))
    if zone is not None:
        return zone
    near = near_zones(typed)
    if near:
        hint = f"Did you mean {' or '.join(f'`{zone}`' for zone in near)}?"
    else:
        hint = "Type a continent and a large city near you, as in `/presence timezone Europe/Berlin`."
    raise BadInput(f"I don't know the time zone `{quoted(typed)}`. {hint}", field="zone")
