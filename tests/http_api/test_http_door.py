"""Two organizations behind one door: what they share, and what one can't take from the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
import pytest_asyncio
from follower import Follower
from http_house import MovedClock

from adapters.http import stream
from adapters.http.server import HttpServer
from bot.config import Config
from bot.core import Rollcall
from bot.service import keys
from storage.database import open_inline


class Pair:
    """A server of two organizations with a key for each; it runs until the block ends."""

    def __init__(self, server: HttpServer, cores: list[Rollcall], own: list[str]) -> None:
        self.server = server
        self.cores = cores
        self.keys = own

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """One request."""
        async with httpx.AsyncClient(base_url=self.server.address, verify=False) as client:
            return await client.get(path, headers=headers)


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    """Both ready."""
    store, clock = open_inline(), MovedClock()
    cores, own = [], []
    for slug in ("acme", "zenith"):
        config = {"organization": {"slug": slug, "name": "Acme"}, "http": {"port": 0}}
        core = Rollcall(Config.model_validate(config), store, clock)
        await core.start()
        cores.append(core)
        own.append(
            await store.write(
                lambda tx, of=core.organization_id: keys.create(tx, of, "test", ["read"], clock.now())  # type: ignore[misc]
            )
        )
    server = HttpServer(cores[0], {}, [(cores[1], {})])
    await server.bind()
    running = asyncio.create_task(server.run())
    try:
        yield Pair(server, cores, own)
    finally:
        await server.stop()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await store.close()


async def test_one_that_is_not_ready_makes_the_program_not_ready(pair: Pair) -> None:
    assert (await pair.get("/readyz")).status_code == 200
    for core in pair.cores:
        core.ready = False
        assert (await pair.get("/readyz")).status_code == 503
        core.ready = True
    assert (await pair.get("/readyz")).status_code == 200


async def test_the_streams_of_one_leave_the_other_its_room(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has an equal share."""
    monkeypatch.setattr(stream, "most_streams", lambda: 2)
    address, (first, second) = pair.server.address, pair.keys
    async with Follower(address, first) as one, Follower(address, first) as another:
        assert (one.status, another.status) == (200, 503)
        async with Follower(address, second) as theirs:
            assert theirs.status == 200


async def test_a_key_that_stands_twice_is_refused_whosever_it_is(pair: Pair) -> None:
    """Neither of two is believed."""
    headers = [("authorization", f"Bearer {key}") for key in pair.keys]
    async with httpx.AsyncClient(base_url=pair.server.address, verify=False) as client:
        answer = await client.get("/v1/availability", headers=headers)
    assert answer.status_code == 400
    assert "Authorization stands more than once" in answer.json()["detail"]


async def test_a_key_of_either_counts_until_it_is_revoked(pair: Pair) -> None:
    for key in pair.keys:
        own = {"authorization": f"bearer   {key}"}
        assert (await pair.get("/v1/availability", own)).status_code == 200
    revoked = keys.id_of(pair.keys[1])
    assert revoked is not None
    store, now = pair.cores[1].store, pair.cores[1].clock.now()
    await store.write(lambda tx: keys.revoke(tx, pair.cores[1].organization_id, revoked, now))
    await pair.server.fronts[1].access.refresh()
    answers = [
        (await pair.get("/v1/availability", {"authorization": f"Bearer {key}"})).status_code
        for key in pair.keys
    ]
    assert answers == [200, 401]
