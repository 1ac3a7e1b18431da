"""Finding what a person named: agents by mention or name, teams, skills, time zones."""

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

from bot.commands import BY_NAME, Kind, quoted
from bot.config.values import NO_ZONES
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.errors import BadInput, NotFound

ABBREVIATIONS: Mapping[str, tuple[str, ...]] = {
    "west": ("Europe/Lisbon",),
    "bst": ("Europe/London",),
    "ist": ("Asia/Kolkata", "Europe/Dublin"),
    "cest": ("Europe/Berlin", "Europe/Paris"),
    "mez": ("Europe/Berlin",),
    "mesz": ("Europe/Berlin",),
    "eest": ("Europe/Helsinki", "Europe/Athens"),
    "msk": ("Europe/Moscow",),
    "et": ("America/New_York",),
    "est": ("America/New_York",),
    "eastern": ("America/New_York",),
    "edt": ("America/New_York",),
    "ct": ("America/Chicago",),
    "central": ("America/Chicago",),
    "cst": ("America/Chicago", "Asia/Shanghai"),
    "cdt": ("America/Chicago",),
    "mt": ("America/Denver",),
    "mst": ("America/Denver", "America/Phoenix"),
    "mountain": ("America/Denver",),
    "mdt": ("America/Denver",),
    "pt": ("America/Los_Angeles",),
    "pacific": ("America/Los_Angeles",),
    "hst": ("Pacific/Honolulu",),
    "pst": ("America/Los_Angeles", "Asia/Manila"),
    "pdt": ("America/Los_Angeles",),
    "brt": ("America/Sao_Paulo",),
    "gst": ("Asia/Dubai",),
    "pkt": ("Asia/Karachi",),
    "sgt": ("Asia/Singapore",),
    "hkt": ("Asia/Hong_Kong",),
    "jst": ("Asia/Tokyo",),
    "kst": ("Asia/Seoul",),
    "sast": ("Africa/Johannesburg",),
    "aest": ("Australia/Sydney", "Australia/Brisbane"),
    "aedt": ("Australia/Sydney",),
    "nzst": ("Pacific/Auckland",),
    "nzdt": ("Pacific/Auckland",),
}
"""Where people write such a zone. `EST`, `MST` and `HST` are IANA names too, and an hour off in summer."""
CITIES: Mapping[str, str] = {
    "beijing": "Asia/Shanghai",
    "delhi": "Asia/Kolkata",
    "mumbai": "Asia/Kolkata",
    "new_delhi": "Asia/Kolkata",
    "nyc": "America/New_York",
    "san_francisco": "America/Los_Angeles",
    "usa": "US",
}
"""What people type for places whose zone bears another name; a country stands by its code."""
ALL_YEAR: Mapping[int, str] = {
    -660: "Pacific/Pago_Pago",
    -600: "Pacific/Honolulu",
    -540: "Pacific/Gambier",
    -480: "Pacific/Pitcairn",
    -420: "America/Phoenix",
    -360: "America/Costa_Rica",
    -300: "America/Bogota",
    -240: "America/Puerto_Rico",
    -180: "America/Sao_Paulo",
    -120: "America/Noronha",
    -60: "Atlantic/Cape_Verde",
    0: "Atlantic/Reykjavik",
    60: "Africa/Lagos",
    120: "Africa/Johannesburg",
    180: "Africa/Nairobi",
    210: "Asia/Tehran",
    240: "Asia/Dubai",
    270: "Asia/Kabul",
    300: "Asia/Karachi",
    330: "Asia/Kolkata",
    345: "Asia/Kathmandu",
    360: "Asia/Dhaka",
    390: "Asia/Yangon",
    420: "Asia/Bangkok",
    480: "Asia/Singapore",
    540: "Asia/Tokyo",
    570: "Australia/Darwin",
    600: "Australia/Brisbane",
    660: "Pacific/Guadalcanal",
    720: "Pacific/Tarawa",
    780: "Pacific/Tongatapu",
    840: "Pacific/Kiritimati",
}
"""Minutes ahead of UTC, and a city whose clocks are so far ahead in every season."""
_SEASONS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
"""Zones of a country that are alike at both are offered once; which year is looked at matters little."""
_BEHIND_UTC = re.compile(r"Etc/GMT([+-])(\d{1,2})", re.IGNORECASE | re.ASCII)
_OFFSET = re.compile(r"(?:utc|gmt)?\s*([+-])\s*(\d{1,2})(?::?(\d\d))?", re.IGNORECASE | re.ASCII)


@cache
def zones() -> tuple[str, ...]:
    """All IANA time zones, read once, when first asked for."""
    return tuple(sorted(available_timezones() - NO_ZONES))


@cache
def _places() -> tuple[str, ...]:
    """The zones that are offered. `Etc/GMT+2` is two hours *behind* UTC, and never what is meant."""
    odd = re.compile(r"Etc/|GMT[+-]?\d")
    return tuple(zone for zone in zones() if not odd.match(zone) and zone.lower() not in ABBREVIATIONS)


@cache
def _countries() -> Mapping[str, Sequence[str]]:
    """The zones of every country, by its name and its code in small letters: `uk`, `gb`, `britain`.

    From the zone database's own tables; of zones that are alike, the one which that puts foremost.
    """
    foremost = {row[2] for row in _rows("zonenow.tab")}
    alike: dict[str, dict[object, str]] = {}
    for code, _, zone, *_ in _rows("zone.tab"):
        clocks = tuple(at.astimezone(ZoneInfo(zone)).utcoffset() for at in _SEASONS)
        known = alike.setdefault(code, {})
        known[clocks] = zone if zone in foremost else known.get(clocks, zone)
    found: dict[str, Sequence[str]] = {}
    for code, country in _rows("iso3166.tab"):
        here = tuple(alike.get(code, {}).values())
        name, _, which = country.lower().removesuffix(")").partition(" (")
        for called in (code.lower(), f"{which} {name}".strip()):  # "south korea"
            found.setdefault(called.replace(" ", "_"), here)
        if which:  # "Britain (UK)" is both; and there are two Koreas
            found.setdefault(which, here)
            found[name] = (*found.get(name, ()), *here)
    return found


def _rows(table: str) -> list[list[str]]:
    text = (files("tzdata.zoneinfo") / table).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


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
    elif kind in (Kind.SKILL, Kind.NEW_SKILL):
        pairs = [(skill.name, skill.slug) for skill in core.skills]
    elif kind is Kind.REASON:
        pairs = [(name, slug) for slug, name in core.reasons.names.items()]
    elif kind is Kind.AGENT:
        names = sorted({agent.name for agent in core.roster.everyone()}, key=str.casefold)
        pairs = [(name, name) for name in names]
    elif kind is Kind.ZONE:
        pairs = [(zone, zone) for zone in _places()]
    else:
        return ()
    wanted = typed.strip().casefold().replace(" ", "_" if kind is Kind.ZONE else " ")
    begins = [pair for pair in pairs if pair[0].casefold().startswith(wanted)]
    holds = [pair for pair in pairs if wanted in pair[0].casefold() and pair not in begins]
    return (begins + holds)[:25]


def near_zones(typed: str) -> list[str]:
    """Zones that what was typed may mean: an abbreviation, a city, a country, or a slip of the finger."""
    place = typed.strip().lower().replace(" ", "_")
    place = re.sub(r"(_(standard|daylight|summer))?_time$", "", place)
    city = place.rpartition("/")[2]
    if city in ABBREVIATIONS:
        return list(ABBREVIATIONS[city])
    meant = CITIES.get(city, place)
    if "/" in meant and city in CITIES:
        return [meant]
    if meant.lower() in _countries():
        return list(_countries()[meant.lower()])
    by_city: dict[str, str] = {}
    for zone in _places():
        if "/" in zone:
            by_city.setdefault(zone.rpartition("/")[2].lower(), zone)
    return [by_city[near] for near in difflib.get_close_matches(city, by_city, n=2, cutoff=0.7)]


def find_zone(typed: str) -> str:
    """The IANA name of a zone as typed, whatever its case. Raises BadInput, offering the nearest."""
    by_lower = {zone.lower(): zone for zone in zones()}
    zone = by_lower.get(typed.strip().lower().replace(" ", "_"))
    behind = _BEHIND_UTC.fullmatch(typed.strip())
    if behind and behind[2] != "0":
        raise BadInput(_offset_refused(typed, "+" if behind[1] == "-" else "-", behind[2]), field="zone")
    if zone is not None and zone.lower() not in ABBREVIATIONS:
        return zone
    offset = _OFFSET.fullmatch(typed.strip())
    if offset:
        raise BadInput(_offset_refused(typed, *offset.groups(default="0")), field="zone")
    near = [f"`{zone}`" for zone in near_zones(typed)]
    if near:
        hint = f"Did you mean {' or '.join(filter(None, [', '.join(near[:-1]), near[-1]]))}?"
    else:
        hint = "Type a continent and a large city near you, as in `/presence timezone Europe/Berlin`."
    raise BadInput(f"I don't know the time zone `{quoted(typed)}`. {hint}", field="zone")


def _offset_refused(typed: str, sign: str, hours: str, minutes: str = "0") -> str:
    """An offset is none for long where clocks change, and its sign is read both ways."""
    city = ALL_YEAR.get((int(hours) * 60 + int(minutes)) * (-1 if sign == "-" else 1))
    there = f"`/presence timezone {city}`, which is at that offset all year" if city else ""
    return (
        f"`{quoted(typed)}` is an offset, and clocks change. Type a large city near you, as in "
        f"{there or '`/presence timezone Europe/Berlin`'}."
    )
