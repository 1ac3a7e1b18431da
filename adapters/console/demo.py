"""`rollcall demo`: the real program with a made-up team, on a database of its own, in this terminal."""

import asyncio
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from adapters.console.cast import PEOPLE, Cast
from adapters.console.service import LOCAL, NAME, ConsolePlatform
from bot.config import Config, read_table
from bot.dispatch import Desk
from bot.logs import set_up_logs
from bot.ports import ChatPlatform
from bot.service import keys

GRACE = timedelta(seconds=45)
"""The shortest a console may have: three beats of 15 s. It is 65 s by default."""
SETTLING = timedelta(seconds=5)
"""Only one terminal is to be waited for after a start; by default it is 60 s."""
SCOPES = keys.SCOPES
KEY_LASTS = timedelta(days=1)
FILE = "demo.sqlite3"
HINTS = """You are Alex, a lead. Try /available, /brb 30m lunch, /whosin, /presence me.
A number presses a button, Tab completes, Ctrl-C leaves.
/as maria makes you Maria, /quiet hides what the others do.

"""


def run_demo(port: int, data: Path | None, seconds: float | None, serve: Callable[..., int]) -> int:
    """Run it until Ctrl-C, SIGTERM or for so many seconds; `serve` runs a configured program.

    `port` 0: any free one. `data` None: in a temporary folder, which is removed at the end.
    Answers the exit code.
    """
    if port and (taken := _why_not(port)):
        sys.stderr.write(f"Port {port} can't be used ({taken}): choose another --port, or leave it out.\n")
        return 1
    with ExitStack() as stack:
        if data is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-demo-")))
        else:
            folder = data.absolute()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                sys.stderr.write(f"--data {data} can't be used: {problem.strerror}.\n")
                return 1
        config = configuration(folder, port)
        set_up_logs(config.log)
        # A closed terminal must not leave the folder behind; under nohup it is no reason to leave.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        code = serve(config, Demo(folder if data is not None else None).started, seconds)
    if code == 0:
        sys.stdout.write(f"\nThe demo has ended. {_afterwards(data)}\n")
    return code


def _why_not(port: int) -> str:
    """What stands against a port; empty if nothing does."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as problem:
            return problem.strerror or str(problem)
    return ""


def _afterwards(data: Path | None) -> str:
    if data is None:
        return "Nothing of it is left."
    return f"rollcall demo --data {shlex.quote(str(data))} goes on where it was."


def configuration(folder: Path, port: int) -> Config:
    """The demo's configuration, as a file would say it."""
    mine = [f"{NAME}:{LOCAL}:{person}" for person, _, _ in PEOPLE]
    alex, maria, ben, chloe, dev, emma = mine
    return read_table(
        Config,
        {
            "organization": {"name": "Demo support", "leads": [alex]},
            "database": {"url": f"sqlite:///{folder / FILE}"},
            "http": {"port": port},
            "log": {"level": "error"},
            "presence": {"console_grace": GRACE, "settling": SETTLING},
            "team": [
                {"slug": "support", "name": "Support", "everyone": True},
                {"slug": "billing", "name": "Billing", "members": [alex, ben, emma]},
            ],
            "skill": [
                {"slug": "refunds", "name": "Refunds", "agents": [ben, emma]},
                {"slug": "spanish", "name": "Spanish", "agents": [maria, chloe]},
                {"slug": "hindi", "name": "Hindi", "agents": [dev]},
            ],
            "platforms": {
                NAME: {"people": [dict(zip(("id", "name", "zone"), one, strict=True)) for one in PEOPLE]}
            },
        },
    )


class Running(Protocol):
    """What the demo uses of the program that `serve` runs."""

    core: Desk
    platforms: Mapping[str, ChatPlatform]
    http: Any
    """The HTTP server; no adapter may know another's types."""


class Demo:
    """Puts the cast beside the prompt once the program listens, and says what can be tried."""

    def __init__(self, kept: Path | None) -> None:
        self._kept = kept

    def started(self, program: Running) -> None:
        """The program listens; the console has not begun yet."""
        console = program.platforms[NAME]
        assert isinstance(console, ConsolePlatform)
        core = program.core
        cast = Cast(console, core.roster, GRACE.total_seconds())
        cast.resume()
        prompt = console.beside

        async def perform() -> None:
            await cast.enter()
            key = await core.store.write(
                lambda tx: keys.create(tx, core.organization_id, "demo", SCOPES, core.clock.now(), KEY_LASTS)
            )
            await program.http.app.access.refresh()
            maria = core.roster.identity(console.workspace_id, "maria")
            agent_id = maria[0].id if maria is not None else ""
            console.screen.write(self.banner(console.screen.interactive, program.http.address, key, agent_id))
            async with asyncio.TaskGroup() as group:
                for part in (*prompt, cast.play, cast.watch):
                    group.create_task(part())

        console.beside = [perform]

    def banner(self, interactive: bool, api: str, key: str, agent_id: str) -> str:
        """What stands at the top: where the API is, and what can be tried."""
        calls = (
            ("who can take a chat for support now", "/v1/availability?team=support"),
            ("everybody, with presence and reason", "/v1/agents"),
            ("why Maria gets chats, or why not", f"/v1/agents/{agent_id}/eligibility?team=support"),
        )
        tries = "\n".join(
            f"# {about}\ncurl -sH 'Authorization: Bearer {key}' '{api}{path}'\n" for about, path in calls
        )
        end = f"It is kept in {self._kept}." if self._kept else "All of it is forgotten at the end."
        return (
            "\nRollcall with a made-up team: Maria, Ben, Chloe, Dev and Emma come and go.\n"
            f"Lost connections count as Offline after {GRACE.total_seconds():.0f} s. {end}\n\n"
            f"api {api}\nkey {key}\n\nTo try in another terminal:\n\n{tries}\n{HINTS if interactive else ''}"
        )
