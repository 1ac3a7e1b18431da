"""The Python client where things break: what is said again, what is not, and streams that are taken up."""

# ruff: noqa: SIM117  # what is opened in what is easier to see one below the other
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from event_house import names
from http_house import House, house

from adapters.client import Client, NotFound, TooMany, Unauthorized, Unavailable, Unreachable
from adapters.client.documents import Event, Reset


@dataclass
class Script:
    """A server that answers what it is told to, one after the other; 0: hangs up."""

    statuses: list[int]
    retry_after: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    address: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Idempotency-Key", "")))
        status = self.statuses.pop(0)
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if status == 200:
            return web.json_response({"live": True})
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.json_response(
            {"code": "x", "detail": "no", "status": status}, status=status, headers=headers
        )


@asynccontextmanager
async def scripted(*statuses: int, retry_after: str = "") -> AsyncIterator[tuple[Script, Client]]:
    script = Script(list(statuses), retry_after)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", script.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with Client(f"http://127.0.0.1:{port}", "rc_x", first_wait_s=0.005) as client:
            yield script, client
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("statuses", [[503, 200], [0, 200], [429, 429, 200], [503, 0, 429, 200]])
async def test_what_does_no_harm_is_said_again(statuses: list[int]) -> None:
    async with scripted(*statuses) as (script, client):
        assert (await client.live())["live"]
        assert len(script.asked) == len(statuses)


async def test_it_is_given_up_after_four_tries() -> None:
    async with scripted(*[503] * 9) as (script, client):
        with pytest.raises(Unavailable):
            await client.live()
        assert len(script.asked) == 4


async def test_what_is_refused_is_not_said_again() -> None:
    for status, kind in ((401, Unauthorized), (404, NotFound)):
        async with scripted(status, 200) as (script, client):
            with pytest.raises(kind):
                await client.live()
            assert len(script.asked) == 1


async def test_what_could_count_twice_is_said_once() -> None:
    """But for 429, after which nothing was done."""
    async with scripted(0, 503, 0, 503, 0) as (script, client):
        for call in (
            client.add_key("x", ["read"]),
            client.rotate_key("k"),
            client.remove_agent("agt_x"),
            client.change_agent("agt_x", capacity=2, revision="r"),
            client.set_presence("agt_x", "away", for_s=60),
        ):
            with pytest.raises((Unreachable, Unavailable)):
                await call
        assert len(script.asked) == 5
    async with scripted(429, 429, 429, 429) as (script, client):
        with pytest.raises(TooMany):
            await client.add_key("x", ["read"])
        assert len(script.asked) == 4


async def test_a_post_is_said_again_under_the_same_key() -> None:
    async with scripted(0, 503, 404) as (script, client):
        with pytest.raises(NotFound):
            await client.add_team("Sales")
        assert len(script.asked) == 3
        assert len({key for _, _, key in script.asked}) == 1
        assert script.asked[0][2]


async def test_retry_after_is_waited_for_but_not_for_long() -> None:
    async with scripted(503, 200, retry_after="1") as (_, client):
        began = asyncio.get_running_loop().time()
        await client.live()
        assert asyncio.get_running_loop().time() - began >= 1
    async with scripted(429, 200, retry_after="3600") as (script, client):
        with pytest.raises(TooMany) as refused:
            await client.live()
        assert (len(script.asked), refused.value.retry_after) == (1, 3600)


async def test_nobody_there_is_unreachable() -> None:
    async with Client("http://127.0.0.1:1", "rc_x", first_wait_s=0.001) as client:
        with pytest.raises(Unreachable):
            await client.live()


def cut(at: House) -> None:
    """Every stream's connection breaks."""
    for connection in list(at.server.app.stream._open):
        connection.transport.abort()


async def test_a_stream_that_breaks_is_taken_up_without_a_gap() -> None:
    """I12: also what happens while nothing is connected."""
    async with house() as at:
        ann = await at.agent("Ann")
        async with Client(at.server.address, await at.key("read"), first_wait_s=0.01) as client:
            async with client.events() as changes, asyncio.timeout(20):
                seen: list[str] = []
                for round_ in range(3):
                    await names(at, ann, *range(10 * round_, 10 * round_ + 5))
                    cut(at)
                    await names(at, ann, *range(10 * round_ + 5, 10 * round_ + 10))
                    while len(seen) < 10 * (round_ + 1):
                        change = await anext(changes)
                        assert isinstance(change, Event)
                        seen.append(change.position)
                assert changes.opened >= 4
                assert [int(position) for position in seen] == sorted(map(int, set(seen)))
                page = await client.event_page("")
                assert seen == [event.position for event in page.events][-30:]


async def test_what_is_lost_is_a_reset() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        async with Client(at.server.address, await at.key("read"), first_wait_s=0.01) as client:
            async with client.events("999999") as changes, asyncio.timeout(5):
                change = await anext(changes)
                assert isinstance(change, Reset) and change.reason == "unknown"
                await names(at, ann, 1)
                after = await anext(changes)
                assert isinstance(after, Event) and after.agent_id == ann.id


async def test_a_silent_stream_is_opened_again() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        async with Client(at.server.address, await at.key("read"), first_wait_s=0.01) as client:
            async with client.events(silence_s=0.1) as changes, asyncio.timeout(10):
                waiting = asyncio.ensure_future(anext(changes))
                while changes.opened < 3:
                    await asyncio.sleep(0.01)
                await names(at, ann, 1)
                assert isinstance(await waiting, Event)


async def test_a_stream_of_a_key_that_ends_is_over() -> None:
    async with house() as at:
        key = await at.key("read")
        async with Client(at.server.address, await at.key("admin")) as admin:
            async with (
                Client(at.server.address, key, first_wait_s=0.01) as client,
                client.events() as changes,
            ):
                await admin.revoke_key(key[3:29])
                cut(at)
                async with asyncio.timeout(5):
                    with pytest.raises(Unauthorized):
                        await anext(changes)


async def test_a_console_beats_logs_out_and_gives_up_where_it_is_refused() -> None:
    async with house() as at:
        ann, bob = await at.agent("Ann"), await at.agent("Bob")
        async with Client(at.server.address, await at.key("presence", "admin"), first_wait_s=0.01) as client:
            async with client.console(ann.id, "tab", every_s=0.02) as console, asyncio.timeout(5):
                while console.beats < 3:
                    await asyncio.sleep(0.01)
                assert at.facts(ann).links[0].state.value == "connected"
                assert console.problem is None
            assert all(link.state.value == "disconnected" for link in at.facts(ann).links)
            async with client.console(bob.id, "tab", every_s=0.02) as console, asyncio.timeout(5):
                await client.remove_agent(bob.id)
                await console.ended.wait()
                assert isinstance(console.problem, NotFound)
