"""Drives the whole program from outside: starts the process, moves its clock, asks its API, ends it."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
from program_nursery import Born

from bot.config import Config, load_config
from bot.ports import Transaction
from bot.service import configured, keys
from bot.wiring import check_database, open_beside


class Stretch(NamedTuple):
    """One interval of an agent's history."""

    since: datetime
    ended_at: datetime | None
    presence: str
    reason: str
    confirmed: bool


def until_monday() -> float:
    """Seconds until next Monday, 08:00 UTC: a scene begins on a working day, whenever it is played."""
    now = datetime.now(UTC)
    monday = (now + timedelta(days=7 - now.weekday())).replace(hour=8, minute=0, second=0, microsecond=0)
    return (monday - now).total_seconds()


def toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """A nested mapping as TOML: plain values, lists of plain values, tables, lists of tables."""
    lines: list[str] = []
    below: list[str] = []
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            below.append(f"[{name}]\n{toml(value, f'{name}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            below += [f"[[{name}]]\n{toml(row, f'{name}.')}" for row in value]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*lines, *below]) + "\n"


class WholeProgram:
    """One Rollcall process on one database. `async with` starts it and ends it kindly."""

    def __init__(self, folder: Path, config: Mapping[str, Any], ahead: float = 0.0) -> None:
        """`config` is laid over: a SQLite file in `folder`, HTTP on a free port, JSON logs.

        `ahead`: how many seconds after now its day begins.
        """
        self.folder = folder
        self.config: dict[str, Any] = {
            "database": {"url": f"sqlite:///{folder / 'rollcall.sqlite3'}"},
            "http": {"port": 0},
            "log": {"level": "debug", "form": "json"},
            **config,
        }
        self.path = folder / "rollcall.toml"
        self.further: list[Further] = []
        """Other organizations that it serves too."""
        self.log = folder / "rollcall.log"
        self.process: Born | None = None
        self.address = ""
        self.key = ""
        self.ahead = ahead
        """Seconds by which the program's clock is ahead of real time, restarts included."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.returncode is None:
            self.kill() if kind is not None else await self.stop()
        if kind is not None:
            sys.stderr.write(self.log.read_text(errors="replace")[-20_000:])

    async def start(self) -> None:
        """Start the process, and wait until it listens."""
        await self.prepare()
        with self.log.open("ab") as log:
            paths = [self.path, *(one.path for one in self.further)]
            self.process = await Born.start(paths, self.ahead, log.fileno())
        self.address = (await self._line("listening")).strip()
        for one in self.further:
            one.address, one.ahead = self.address, self.ahead

    async def prepare(self) -> None:
        """Write the configuration; for the first time also make the database, and a key."""
        self.path.write_text(toml(self.config))
        if not self.key:
            self.key = await self._make_key()
        for one in self.further:
            one.path.write_text(toml(one.config))
            if not one.key:
                one.key = await self._make_key(load_config(one.path, {}, load_config(self.path, {})))

    async def _make_key(self, config: Config | None = None) -> str:
        """As `rollcall key create` does, without the two seconds of another process."""
        config = config or load_config(self.path, {})
        store, _ = await asyncio.to_thread(open_beside, config)
        now = datetime.now(UTC)

        def create(tx: Transaction) -> str:
            return keys.create(tx, configured.prepare(tx, config, now), "tests", sorted(keys.SCOPES), now)

        try:
            return await store.write(create)
        finally:
            await store.close()

    async def _line(self, word: str) -> str:
        assert self.process is not None
        async with asyncio.timeout(20):
            line = (await self.process.stdout.readline()).decode()
        if not line.startswith(word):
            raise AssertionError(f"expected {word!r}, got {line!r}\n{self.log.read_text()[-5000:]}")
        return line.removeprefix(word).strip()

    async def advance(self, seconds: float) -> datetime:
        """Move the program's clock on; answers its new now."""
        self.ahead += seconds
        for one in self.further:
            one.ahead = self.ahead
        assert self.process is not None
        self.process.stdin.write(f"advance {seconds}\n".encode())
        await self.process.stdin.drain()
        return datetime.fromisoformat(await self._line("at"))

    async def stop(self) -> int:
        """SIGTERM; answers the exit code. It must leave within 10 s."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            return await self.process.wait()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()

    async def restart(self, *, kill: bool = False, asleep: float = 0.0) -> None:
        """End it and start it again on the same data, `asleep` seconds later by its own clock."""
        if kill:
            self.kill()
            assert self.process is not None
            await self.process.wait()
        else:
            assert await self.stop() == 0
        self.ahead += asleep
        await self.start()

    async def cli(self, *words: str) -> str:
        """Another process: `rollcall WORDS --config …`; answers its standard output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.cli",
            *words,
            "--config",
            str(self.path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().strip()

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON of a successful GET."""
        # It is plain HTTP, and to read the machine's certificates would take longer than the answer.
        async with httpx.AsyncClient(base_url=self.address, verify=False) as http:
            answer = await http.get(path, params=parameters, headers={"Authorization": f"Bearer {self.key}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def presence_of(self, name: str) -> str:
        """What the API says of an agent by name: available, away or offline; nobody if there is none."""
        about = await self._about(name)
        return str(about["presence"]) if about is not None else "nobody"

    async def until_presence(self, name: str, presence: str, within: float = 5.0) -> None:
        """Wait until the API says so. Real seconds."""
        async with asyncio.timeout(within):
            while await self.presence_of(name) != presence:
                await asyncio.sleep(0.02)

    async def _about(self, name: str) -> dict[str, Any] | None:
        agents: list[dict[str, Any]] = (await self.get("/v1/agents"))["agents"]
        return next((agent for agent in agents if agent["name"] == name), None)

    async def about(self, name: str) -> dict[str, Any]:
        """All that the API tells of an agent."""
        about = await self._about(name)
        assert about is not None, f"nobody is called {name}"
        return about

    async def until_about(self, name: str, true: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Wait until the API says so of an agent. Real seconds."""
        about: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(5):
                while (about := await self._about(name)) is None or not true(about):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}: {about}") from None

    async def routable(self) -> set[str]:
        """Names of those who may be offered a chat now."""
        return {agent["name"] for agent in (await self.get("/v1/availability"))["agents"]}

    async def troubles(self) -> list[str]:
        """The banners."""
        return [trouble["sentence"] for trouble in (await self.get("/v1/availability"))["troubles"]]

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database holds, asked past the program."""
        with closing(sqlite3.connect(self.folder / "rollcall.sqlite3")) as database:
            return database.execute(sql, values).fetchall()

    def broken(self) -> list[str]:
        """What `rollcall db check` finds broken, without the time another process takes."""
        url: str = self.config["database"]["url"]
        return [line for line in check_database(url) if not line.startswith("ok: ")]

    def history(self, name: str) -> list[Stretch]:
        """An agent's intervals, oldest first, as they stand in the database."""
        rows = self.rows(
            "SELECT since, ended_at, presence, reason, confirmed FROM interval "
            "WHERE agent_id = (SELECT id FROM agent WHERE name = ?) ORDER BY since",
            name,
        )
        return [
            Stretch(_instant(since), _instant(ended) if ended else None, presence, reason, bool(sure))
            for since, ended, presence, reason, sure in rows
        ]

    def logged(self) -> list[dict[str, Any]]:
        """Everything it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


class Further(WholeProgram):
    """Another organization of a program, with a file and a key of its own. It starts and ends with that."""

    def __init__(self, program: WholeProgram, slug: str, config: Mapping[str, Any]) -> None:
        super().__init__(program.folder, {}, program.ahead)
        self.config = {"organization": {"slug": slug}, **config}
        self.path = program.folder / f"{slug}.toml"
        self.log = program.log
        self._within = program
        program.further.append(self)

    async def advance(self, seconds: float) -> datetime:
        """The clock is the program's."""
        return await self._within.advance(seconds)


def _instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
