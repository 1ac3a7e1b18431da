"""`rollcall doctor`: looks at everything that a set-up needs, and says `ok` or the exact repair, a line each.

It writes nothing, works while Rollcall runs, and each part has `WITHIN` seconds, so that a dead network
is told instead of waited for.
"""

import asyncio
import resource
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from bot.config import Config, holds_password
from bot.config.reading import SECRETS
from bot.holidays import BadCalendar, read_file
from bot.logs import Redactor
from bot.ports import Finding

WITHIN = 5.0
"""Seconds for each part."""
LEAST_FILES = 256
FEW_FILES = 4096
OPEN_TO_OTHERS = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH

Part = tuple[str, Callable[[], Awaitable[Sequence[Finding]]]]
"""What a part is called where it ends without an answer, and the part."""


async def examine(secrets: Sequence[str], parts: Sequence[Part]) -> list[Finding]:
    """What all parts found, in their order; they look side by side. No secret is in what they say."""
    found = await asyncio.gather(*(_look(name, part) for name, part in parts))
    redactor = Redactor(secrets)
    return [Finding(one.name, one.ok, str(redactor.clean(one.said))) for some in found for one in some]


async def _look(name: str, part: Callable[[], Awaitable[Sequence[Finding]]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(WITHIN):
            return await part()
    except TimeoutError:
        said = f"no answer within {WITHIN:g} s. See that what it asks is reachable from this machine."
        return [Finding(name, False, said)]
    except Exception as problem:
        return [Finding(name, False, f"it could not be looked at ({type(problem).__name__}). Tell us of it.")]


def line(finding: Finding) -> str:
    """A finding as it is printed."""
    return f"{'ok' if finding.ok else 'BROKEN'}: {finding.name}: {finding.said}"


def as_json(findings: Sequence[Finding]) -> str:
    """All of them as one JSON document."""
    body = {"ok": all(one.ok for one in findings), "findings": findings}
    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode()


# --- what needs nothing but this machine ---


def secret_files(tables: Mapping[Path, Mapping[str, Any]]) -> list[Finding]:
    """Files with secrets in them are read by their owner alone. `tables`: the configuration's files as they
    were read."""
    found = [Finding("configuration", True, f"{path} is whole") for path in tables]
    holding: set[Path] = set()
    for path, table in tables.items():
        if any(_kept(table, name) for name in SECRETS):
            holding.add(path)
        for name, keys in SECRETS.items():
            part = table.get(name)
            if isinstance(part, dict):
                holding |= {path.parent / str(part[f"{key}_file"]) for key in keys if f"{key}_file" in part}
    open_ones = [file for file in sorted(holding) if file.exists() and file.stat().st_mode & OPEN_TO_OTHERS]
    return [
        *(found or [Finding("configuration", True, "from the environment alone")]),
        *(
            Finding("secrets", False, f"others than their owner may read {file}. Run: chmod 600 {file}")
            for file in open_ones
        ),
    ]


def _kept(table: Mapping[str, Any], name: str) -> bool:
    """Whether a secret stands in the file itself; a database's address only with a password in it."""
    part = table.get(name)
    if not isinstance(part, dict):
        return False
    if name == "database":
        return holds_password(str(part.get("url", "")))
    return any(key in part for key in SECRETS[name])


def calendars(config: Config, now: datetime) -> list[Finding]:
    """The teams' files of holidays, as a start would read them."""
    found = []
    for team in config.team:
        if team.holidays:
            try:
                read_file(Path(team.holidays), team.zone or config.organization.zone, now)
            except BadCalendar as problem:
                said = f"the file {team.holidays} of the team {team.slug} {problem}. Correct or replace it."
                found.append(Finding("holidays", False, said))
            else:
                found.append(Finding("holidays", True, f"{team.holidays} of the team {team.slug}"))
    return found


def zones(config: Config) -> list[Finding]:
    """The database of time zones, without which clock times can't be read."""
    try:
        for name in ("Europe/Berlin", "America/New_York", config.organization.zone):
            ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return [Finding("time zones", False, "they can't be found. Run: pip install --upgrade tzdata")]
    try:
        of = f"tzdata {version('tzdata')}"
    except PackageNotFoundError:
        of = "the system's"
    return [Finding("time zones", True, f"{of}; the team's is {config.organization.zone}")]


def open_files() -> list[Finding]:
    """How many connections can be kept."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    repair = "LimitNOFILE= in systemd, or ulimit -n"
    if 0 <= soft < LEAST_FILES:
        return [Finding("open files", False, f"only {soft} are allowed. Allow {FEW_FILES}: {repair}")]
    few = 0 <= soft < FEW_FILES
    said = f"{soft} are allowed" if soft >= 0 else "as many as there are"
    more = f", enough for {soft - 124} connections; for more set {repair}" if few else ""
    return [Finding("open files", True, said + more)]


def leads(config: Config) -> list[Finding]:
    """Whether somebody can look after the team."""
    there = {
        "slack": config.slack is not None,
        "discord": config.discord is not None,
        **dict.fromkeys(config.platforms, True),
    }
    found = [
        Finding(
            "leads",
            False,
            f"organization.leads names {name}, but there is no [{platform}]. Set it up, or take it out.",
        )
        for name in config.organization.leads
        if not there.get(platform := name.partition(":")[0], False)
    ]
    if found:
        return found
    count = len(config.organization.leads)
    by_themselves = "Slack's admins and Discord's Manage Server are leads"
    said = f"{count} named; {by_themselves} too" if count else f"none named; {by_themselves}"
    return [Finding("leads", True, said)]


def platforms(config: Config) -> list[Finding]:
    """Whether there is anywhere to work."""
    names = [
        name for name, table in (("Slack", config.slack), ("Discord", config.discord)) if table is not None
    ]
    names += sorted(config.platforms)
    if not names:
        return [Finding("platforms", False, "none is set up. Run: rollcall init")]
    return [Finding("platforms", True, ", ".join(names))]


async def port(config: Config, ask_alive: Callable[[str], Awaitable[bool]]) -> list[Finding]:
    """Whether the API's port can be had. `ask_alive`: whether a Rollcall answers at an address."""
    host, number = config.http.host, config.http.port
    if not config.http.enabled:
        return [Finding("port", True, "no API: http.enabled is false")]
    if number == 0:
        return [Finding("port", True, "any free one: http.port is 0")]
    try:
        (family, kind, proto, _, address), *_ = socket.getaddrinfo(
            host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, proto) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except socket.gaierror:
        return [Finding("port", False, f"http.host {host} is no address of this machine, such as 127.0.0.1")]
    except PermissionError:
        said = f"http.port {number} needs a right that Rollcall has not. Choose one above 1023, such as 8080."
        return [Finding("port", False, said)]
    except OSError as problem:
        if await ask_alive(f"http://{host}:{number}/livez"):
            return [Finding("port", True, f"{number} is held by the Rollcall that runs")]
        why = problem.strerror or type(problem).__name__
        said = f"{host}:{number} can't be had ({why}). Stop what listens there, or choose another http.port."
        return [Finding("port", False, said)]
    return [Finding("port", True, f"{number} is free")]
