"""The server: its address, its probes and metrics, its way out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from http_house import house, where

from adapters.http import server
from adapters.http.server import CannotListen, HttpServer
from bot.domain.errors import Unavailable
from bot.domain.facts import Seen
from bot.ports import AsgiApp, Sighting


async def test_port_0_is_a_free_port_that_is_told() -> None:
    async with house() as at:
        assert where(at.server)[1] > 0
        assert (await at.client.get("/livez")).json() == {"live": True}


async def test_a_port_that_is_taken_is_told_with_the_way_out() -> None:
    async with house() as at:
        port = where(at.server)[1]
        at.core.config = at.core.config.model_copy(
            update={"http": at.core.config.http.model_copy(update={"port": port})}
        )
        with pytest.raises(CannotListen, match=rf"port {port}.*http\.port"):
            await HttpServer(at.core, {}).bind()


async def test_ready_means_started_not_stopping_and_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as at:
        assert (await at.client.get("/readyz")).json() == {"ready": True}

        async def gone(_: Callable[..., object]) -> None:
            raise Unavailable("gone")

        monkeypatch.setattr(at.store, "read", gone)
        assert (await at.client.get("/readyz")).status_code == 200, "one look counts for a second"
        await at.clock.advance(seconds=1)
        lost = await at.client.get("/readyz")
        assert (lost.status_code, lost.json()["code"]) == (503, "not_ready")
        assert "database" in lost.json()["detail"]
        assert (await at.client.get("/livez")).status_code == 200
        monkeypatch.undo()
        await at.clock.advance(seconds=1)
        assert (await at.client.get("/readyz")).status_code == 200
        at.core.ready = False
        assert "starting" in (await at.client.get("/readyz")).json()["detail"]
        at.core.ready = True
        at.server.app.health.stopping = True
        assert "stopping" in (await at.client.get("/readyz")).json()["detail"]


async def test_metrics_count_by_template_and_show_the_roster() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await at.agent("Bob", available=False)
        workspace = await at.workspace()
        epoch = await at.core.feed_live(workspace.id)
        seen = Sighting(ann.identities[0].external_id, Seen.CONNECTED, at.clock.now(), 1)
        await at.core.observe(workspace.id, epoch, [seen])
        for path in ("/v1/availability", f"/v1/agents/{ann.id}", "/v1/agents/nobody", "/v1/oops", "/livez"):
            await at.ask(path)
        await at.client.get("/v1/availability")
        page = await at.client.get("/metrics")
        assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = page.text.splitlines()
        for line in (
            'rollcall_http_requests_total{method="GET",route="/v1/availability",status="200"} 1.0',
            'rollcall_http_requests_total{method="GET",route="/v1/agents/{agent_id}",status="200"} 1.0',
            'rollcall_http_requests_total{method="GET",route="/v1/agents/{agent_id}",status="404"} 1.0',
            'rollcall_http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
            'rollcall_http_requests_total{method="GET",route="unmatched",status="401"} 1.0',
            'rollcall_http_request_seconds_count{route="/v1/availability"} 1.0',
            'rollcall_agents{organization="default",presence="available"} 1.0',
            'rollcall_agents{organization="default",presence="offline"} 1.0',
            'rollcall_routable_agents{organization="default"} 1.0',
            'rollcall_feed_live{organization="default",platform="slack",workspace="T1"} 1.0',
            'rollcall_feed_agents{organization="default",platform="slack",workspace="T1"} 2.0',
            'rollcall_feed_agents_seen{organization="default",platform="slack",workspace="T1"} 1.0',
            'rollcall_troubles{organization="default"} 0.0',
            'rollcall_ready{organization="default"} 1.0',
        ):
            assert line in lines, line
        assert "Ann" not in page.text


async def test_two_programs_in_one_process_count_apart() -> None:
    async with house() as one, house() as other:
        await one.ask("/v1/teams")
        assert '/v1/teams"' in (await one.client.get("/metrics")).text
        assert '/v1/teams"' not in (await other.client.get("/metrics")).text


async def test_platforms_are_served_at_their_own_paths_and_only_there() -> None:
    got: list[tuple[str, bytes]] = []

    async def platform(scope: Any, receive: Any, send: Any) -> None:
        got.append((scope["path"], (await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    mounts: dict[str, AsgiApp] = {"/slack/events": platform}
    async with house(mounts=mounts) as at:
        answer = await at.client.post("/slack/events", content=b"payload")
        assert (answer.status_code, answer.text) == (200, "ok")
        assert got == [("/slack/events", b"payload")]
        assert (await at.client.post("/slack/events/x")).status_code == 404
        assert 'route="/slack/events",status="200"} 1.0' in (await at.client.get("/metrics")).text


async def test_stopping_finishes_what_is_in_hand_and_takes_nothing_new() -> None:
    """Row 38: whoever waits for an answer gets it, idle connections close, and it is quick."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with house(mounts={"/slow": slow}) as at:
        await at.client.get("/livez")
        waiting = asyncio.create_task(at.client.get("/slow"))
        await entered.wait()
        stopping = asyncio.create_task(at.server.stop())
        async with asyncio.timeout(3):
            while True:
                try:
                    _, writer = await asyncio.open_connection(*where(at.server))
                    writer.close()
                    await asyncio.sleep(0.02)
                except (OSError, ValueError):
                    break
        await asyncio.sleep(0.3)  # whoever does not wait has gone by now
        assert not stopping.done()
        release.set()
        assert (await waiting).text == "ok"
        async with asyncio.timeout(3):
            await stopping


@pytest.mark.parametrize("path", ["/never", "/v1/agents/ext:desk:ann/load"])
async def test_stopping_does_not_wait_for_ever(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 38: a request that never ends can't hold the program, and is told so, not logged as a crash."""
    monkeypatch.setattr(server, "FINISH_WITHIN", 0.2)
    monkeypatch.setattr(server, "CANCEL_AFTER", 0.2)

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    async with house(mounts={"/never": never}) as at:
        ann = await at.agent("Ann")
        await at.change_agent(ann, externals=(("desk", "ann"),))
        monkeypatch.setattr(at.core, "put_load", never)
        reader, writer = await asyncio.open_connection(*where(at.server))
        body = b'{"source":"x","units":1}'
        writer.write(
            f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {await at.key('route')}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        _, half = await asyncio.open_connection(*where(at.server))
        half.write(b"GET /v1/avail")
        await writer.drain()
        await at.client.get("/livez")
        began = time.monotonic()
        await at.server.stop()
        assert time.monotonic() - began < 1.5
        async with asyncio.timeout(1):
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        writer.close()
        half.close()
    assert "Cancel 1 running task" in caplog.text
    assert "Traceback" not in caplog.text


async def test_who_is_still_sending_when_the_program_leaves_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 38: half a body has come; the answer is a problem, not a crash, and nothing is logged as one."""
    monkeypatch.setattr(server, "FINISH_WITHIN", 0.2)
    async with house() as at:
        ann = await at.agent("Ann")
        said = (
            f"PUT /v1/agents/{ann.id}/load HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {await at.key('route')}\r\nContent-Length: 50\r\n\r\n{{"
        )
        reader, writer = await asyncio.open_connection(*where(at.server))
        writer.write(said.encode())
        await writer.drain()
        await at.client.get("/livez")
        await at.server.stop()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 503 "), head
    assert b"retry-after: 2" in head
    assert b"connection: close" in head
    assert json.loads(body)["code"] == "unavailable"
    assert caplog.text == ""


async def test_a_client_that_never_reads_does_not_hold_the_program(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 38: its answers fill every buffer on the way; it is hung up on."""
    monkeypatch.setattr(server, "FINISH_WITHIN", 0.2)
    stuck = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not stuck.is_set():
            more = asyncio.ensure_future(
                send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})
            )
            if not (await asyncio.wait([more], timeout=0.2))[0]:
                stuck.set()
                await more
        await send({"type": "http.response.body", "body": b""})

    async with house(mounts={"/endless": endless}) as at:
        _, writer = await asyncio.open_connection(*where(at.server), limit=1024)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await stuck.wait()
        began = time.monotonic()
        await at.server.stop()
        assert time.monotonic() - began < 1
        writer.close()
    assert caplog.text == ""


async def test_a_server_that_never_ran_stops_too() -> None:
    async with house() as at:
        at.core.config = at.core.config.model_copy(
            update={"http": at.core.config.http.model_copy(update={"port": 0})}
        )
        idle = HttpServer(at.core, {})
        await idle.bind()
        host, port = where(idle)
        await idle.stop()
        with pytest.raises(OSError, match=r".*"):
            await asyncio.open_connection(host, port)


async def test_answers_do_not_say_what_serves_them() -> None:
    async with house() as at:
        for path in ("/livez", "/v1/availability", "/v1/nothing"):
            assert "server" not in (await at.ask(path)).headers
