"""The whole program in a process of its own, at a clock that its parent moves.

Started as `python tests/steered_program.py AHEAD CONFIG…`, with the seconds its clock is ahead of real
time. A line `advance SECONDS` on standard input moves the clock on and is answered `at INSTANT` once
everything that was asleep till then has been woken. It prints `listening ADDRESS` when it is up.
Everything else is `rollcall run`.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot import wiring
from bot.cli import serve
from bot.config import ConfigError, load_configs
from bot.logs import secrets_of, set_up_logs
from bot.wiring import Program


class SteeredClock:
    """Real time plus what the parent has added to it."""

    def __init__(self, added: float) -> None:
        self._added = added
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._added)

    def monotonic(self) -> float:
        return time.monotonic() + self._added

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            woken = asyncio.get_running_loop().create_future()
            self._sleepers[woken] = until
            try:
                async with asyncio.timeout(left):
                    await woken
            except TimeoutError:
                pass
            finally:
                del self._sleepers[woken]

    async def advance(self, seconds: float) -> None:
        """Move on, and let whoever is woken do what they do, twice over: one wakes another."""
        self._added += seconds
        for woken in list(self._sleepers):
            if not woken.done():
                woken.set_result(None)
        for _ in range(3):
            await asyncio.sleep(0.02)

    async def obey(self) -> None:
        """Read orders from standard input until it is closed."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode():
            word, _, seconds = line.strip().partition(" ")
            if word == "advance":
                await self.advance(float(seconds))
                print(f"at {self.now().isoformat()}", flush=True)


def run(paths: Sequence[Path], ahead: float) -> int:
    """Run the program with these configurations; answers its exit code."""
    try:
        config, *further = load_configs(paths)
    except ConfigError as problem:
        print(problem.sentence, file=sys.stderr)
        return 1
    set_up_logs(config.log, [secret for one in (config, *further) for secret in secrets_of(one)])
    clock = SteeredClock(ahead)
    # APScheduler keeps to real time, in which a steered day takes seconds.
    wiring.SUMMARIES_EVERY = 0.1
    obeying: list[asyncio.Task[None]] = []

    def started(program: Program) -> None:
        obeying.append(asyncio.ensure_future(clock.obey()))
        address = program.http.address if program.http is not None else "-"
        print(f"listening {address}", flush=True)

    return serve(config, started, clock=clock, further=further)


if __name__ == "__main__":
    sys.exit(run(list(map(Path, sys.argv[2:])), float(sys.argv[1])))
