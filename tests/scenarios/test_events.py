"""The event stream of the whole program: followed through kills and restarts, and when it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from follower import Follower
from whole_program import WholeProgram

from adapters.clock import SystemClock
from bot.config import load_config
from bot.core import Rollcall
from bot.ports import Profile
from storage.database import open_store


@asynccontextmanager
async def program(folder: Path) -> AsyncIterator[tuple[WholeProgram, str]]:
    """A running program with one agent, whose id is answered; no platform is configured."""
    rollcall = WholeProgram(folder, {})
    await rollcall.prepare()
    config = load_config(rollcall.path, {})
    core = Rollcall(config, open_store(config.database.url.get_secret_value()), SystemClock())
    await core.start()
    workspace = await core.workspace("slack", "T1", "Shop")
    agent = await core.enrol(workspace.id, Profile("U1", "Ann"), "test")
    await core.store.close()
    async with rollcall:
        yield rollcall, agent.id


class Writer:
    """Names an agent again and again, as fast as it is answered, wherever the program is just now."""

    def __init__(self, rollcall: WholeProgram, agent_id: str) -> None:
        self._rollcall = rollcall
        self._path = f"/v1/agents/{agent_id}/external-ids/desk"
        self.acknowledged = 0

    async def write(self, most: int) -> None:
        """So many times, whatever is lost on the way."""
        headers = {"Authorization": f"Bearer {self._rollcall.key}"}
        async with httpx.AsyncClient(verify=False, headers=headers) as http:
            for number in range(most):
                with suppress(httpx.TransportError):
                    url = self._rollcall.address + self._path
                    answer = await http.put(url, json={"external_id": str(number)})
                    self.acknowledged += answer.status_code == 200
                await asyncio.sleep(0.002)


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "kill -9"])
async def test_a_follower_that_is_cut_off_again_and_again_misses_nothing(tmp_path: Path, kill: bool) -> None:
    """I12: hung up on by itself and by the program's restart, while writes go on; each event comes once."""
    async with program(tmp_path) as (rollcall, agent_id):
        async with Follower(rollcall.address, rollcall.key) as one:
            last = (await one.begun()).last
        assert last is not None
        begun = int(last)
        writer = Writer(rollcall, agent_id)
        writing = asyncio.create_task(writer.write(300))
        got: list[int] = []
        restarted = False

        async def follow(last: str) -> str:
            """Until cut off, or some are read."""
            with suppress(OSError, asyncio.IncompleteReadError):
                async with Follower(rollcall.address, rollcall.key, last) as one:
                    with suppress(TimeoutError):
                        for _ in range(40):
                            told = await one.next(0.2)
                            if told is None:
                                break
                            assert told.type == "agent.updated"
                            got.append(int(told.id))
                    return one.last or last
            return last

        def all_told() -> bool:
            newest = rollcall.rows("SELECT max(position) FROM event")
            return writing.done() and newest == [(position,) for position in got[-1:]]

        while not all_told():
            if len(got) > 60 and not restarted:
                restarted = True
                following = asyncio.create_task(follow(last))
                await rollcall.restart(kill=kill)
                last = await following
            last = await follow(last)
        assert restarted
        stored = [position for (position,) in rollcall.rows("SELECT position FROM event ORDER BY position")]
        assert got == [position for position in stored if position > begun]
        assert len(got) >= writer.acknowledged > 100
        assert rollcall.broken() == []


async def test_sigterm_with_streams_open_leaves_in_time_and_tells_them(tmp_path: Path) -> None:
    """Row 38: exit code 0 well under 10 s, with listeners, one that catches up, and writes going on."""
    async with program(tmp_path) as (rollcall, agent_id), AsyncExitStack() as stack:
        writer = Writer(rollcall, agent_id)
        listeners = [
            await stack.enter_async_context(Follower(rollcall.address, rollcall.key)) for _ in range(50)
        ]
        behind = await stack.enter_async_context(Follower(rollcall.address, rollcall.key, "0"))
        writing = asyncio.create_task(writer.write(10_000))
        await asyncio.gather(*(one.next() for one in listeners))
        began = time.monotonic()
        assert await rollcall.stop() == 0
        assert time.monotonic() - began < 9
        writing.cancel()
        ends = await asyncio.gather(*(one.rest() for one in [*listeners, behind]))
        assert all(told.type != "reset" for end in ends for told in end)
        for one in [*listeners, behind]:
            assert one.comments == ["Rollcall is stopping; come back"]
            assert 1000 <= one.retry <= 5000
        assert len({one.retry for one in listeners}) > 10, "not all at the same moment"
        stored = [str(found) for (found,) in rollcall.rows("SELECT position FROM event ORDER BY position")]
        for one in listeners:
            assert one.last in stored
        logged = [line for line in rollcall.logged() if line["level"] in ("warning", "error", "critical")]
        assert logged == []
