"""The server: its address, its probes and metrics, its way out, and what is not HTTP at all."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from http_house import House, house

from adapters.http import protocol, server
from adapters.http.server import CannotListen, HttpServer
from bot.domain.errors import Unavailable
from bot.ports import AsgiApp


def where(server: HttpServer) -> tuple[str, int]:
    host, _, port = server.address.removeprefix("http://").rpartition(":")
    return host, int(port)


async def spoken(server: HttpServer, said: bytes) -> bytes:
    """What is answered to these bytes until the connection is closed."""
    reader, writer = await asyncio.open_connection(*where(server))
    writer.write(said)
    try:
        async with asyncio.timeout(3):
            return await reader.read()
    finally:
        writer.close()


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
        await at.core.feed_live(workspace.id)
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
            'rollcall_agents{presence="available"} 1.0',
            'rollcall_agents{presence="offline"} 1.0',
            "rollcall_routable_agents 1.0",
            'rollcall_feed_live{platform="slack",workspace="T1"} 1.0',
            "rollcall_troubles 0.0",
            "rollcall_ready 1.0",
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


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, "bad_request"),
        (b"GET /livez HTTP/9.9\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, 431, "head_too_large"),
        (b"GET /" + b"a" * 40_000, 431, "head_too_large"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431, "head_too_large"),
        (b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 6_000 + b"\r\n", 431, "head_too_large"),
        (b"GET /livez?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "head_too_large"),
        (b"PUT /v1/teams HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n", 413, "too_large"),
    ],
)
async def test_what_is_not_http_gets_a_problem_and_is_hung_up_on(
    said: bytes, status: int, code: str, asked_only: House
) -> None:
    at = asked_only
    head, _, body = (await spoken(at.server, said)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"application/problem+json" in head
    found = json.loads(body)
    assert (found["status"], found["code"]) == (status, code)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_head_of_just_the_most_is_read_however_it_comes(asked_only: House) -> None:
    """The address and each field with its colon, space and end of line count."""
    first, last = b"GET /livez HTTP/1.1\r\n", b"Connection: close\r\n\r\n"
    for length, status in ((0, b"200"), (1, b"431")):
        most = protocol.LARGEST_HEAD - len(b"/livez") - len(last) - len(b"X: \r\n") + 2
        said = first + b"X: " + b"a" * (most + length) + b"\r\n" + last
        assert (await spoken(asked_only.server, said))[9:12] == status


@pytest.mark.parametrize("trailer", ["Authorization: Bearer {key}", "If-None-Match: *"])
async def test_trailers_count_for_nothing(trailer: str) -> None:
    """What stands behind a body is not the head: a proxy that checks heads has not seen it."""
    async with house() as at:
        key = await at.key("read")
        answers = []
        for last in ("", trailer.format(key=key) + "\r\n"):
            head = "" if "key" in trailer else f"Authorization: Bearer {key}\r\n"
            said = (
                f"GET /v1/teams HTTP/1.1\r\nHost: x\r\n{head}X-Request-Id: x\r\nConnection: close\r\n"
                f"Transfer-Encoding: chunked\r\n\r\n0\r\n{last}\r\n"
            )
            answers.append((await spoken(at.server, said.encode())).partition(b"\r\n")[0])
        assert answers[0] == answers[1]
        assert answers[0][9:12] == (b"401" if "key" in trailer else b"200")


async def test_requests_do_not_pile_up_behind_one_that_is_not_answered() -> None:
    """No key is needed to send them, and nobody who does not read has to wait for answers."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await release.wait()

    one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    first = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with house(mounts={"/slow": slow}) as at:
        answer = await spoken(at.server, first + one * 500)
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"At most 100 requests" in answer
        assert (await spoken(at.server, one * protocol.MOST_WAITING + last)).count(b'{"live":true}') == 101
        release.set()


@pytest.mark.parametrize("name", [b"\r\nX: ", b""])
async def test_trailers_are_bounded_too(name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields after a chunked body are kept beside those of the head; also one that never ends."""
    monkeypatch.setattr(protocol, "WORTH_DROPPING", 2**20 if name else 50_000)
    async with house() as at:
        reader, writer = await asyncio.open_connection(*where(at.server))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        await reader.readuntil(b"}")
        writer.write(b"X: ")
        for _ in range(3):
            writer.write(b"a" * 18_000 + name)
            await at.client.get("/livez")
        async with asyncio.timeout(2):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.1)
    async with house() as at:
        for said in (b"", b"GET /livez HTTP/1.1\r\nHos"):
            answer = await spoken(at.server, said)
            assert answer.startswith(b"HTTP/1.1 408 "), answer
        whole = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        reader, writer = await asyncio.open_connection(*where(at.server))
        writer.write(whole)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET /liv")
        async with asyncio.timeout(3):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


@pytest.mark.parametrize("rest", [b"a", b"a" * 100, b"\r\n"])
async def test_what_comes_after_the_answer_keeps_no_connection_open(
    rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body nobody waited for, in part or whole, or an empty line: no key is needed to send those."""
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.1)
    monkeypatch.setattr(protocol, "REST_WITHIN", 0.1)
    async with house() as at:
        length = b"" if rest == b"\r\n" else b"Content-Length: 100\r\n"
        reader, writer = await asyncio.open_connection(*where(at.server))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n")
        await reader.readuntil(b"}")
        writer.write(rest)
        async with asyncio.timeout(2):
            assert await reader.read() == b"", "it has its answer already"
        writer.close()


async def test_a_body_that_comes_after_the_answer_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most clients send head and body apart; the connection is good for as long as any other."""
    monkeypatch.setattr(protocol, "REST_WITHIN", 0.05)
    async with house() as at:
        reader, writer = await asyncio.open_connection(*where(at.server))
        head = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
        writer.write(head + b"Content-Length: 2\r\n\r\n")
        await reader.readuntil(b"}")
        for part in b"ab":
            writer.write(bytes([part]))
            await at.client.get("/livez")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.write(head + b"Connection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_there_is_an_end_to_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is told so at once, and those that are here go on."""
    async with house() as at:
        await at.client.get("/livez")
        monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 2)
        _, second = await asyncio.open_connection(*where(at.server))
        head, _, body = (await spoken(at.server, b"")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 "), head
        assert b"retry-after: " in head
        assert json.loads(body)["code"] == "unavailable"
        assert (await at.client.get("/livez")).status_code == 200
        second.close()
        last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        async with asyncio.timeout(2):
            while not (await spoken(at.server, last)).startswith(b"HTTP/1.1 200 "):
                await asyncio.sleep(0.01)


def test_the_most_connections_leave_files_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((256, 132), (1024, 900), (2**20, 10_000), (resource.RLIM_INFINITY, 10_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert protocol.most_connections() == most


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.http.strict.BODY_WITHIN", 0.1)
    async with house() as at:
        key = await at.key("route")
        said = (
            "PUT /v1/agents/x/load HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: 10\r\n\r\n{{"
        )
        answer = await spoken(at.server, said.encode())
        assert answer.startswith(b"HTTP/1.1 408 "), answer


async def test_a_client_that_goes_away_is_nobodys_error(caplog: pytest.LogCaptureFixture) -> None:
    async with house() as at:
        key = await at.key("route")
        _, writer = await asyncio.open_connection(*where(at.server))
        said = (
            "PUT /v1/agents/x/load HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: 10\r\n\r\n{{"
        )
        writer.write(said.encode())
        await writer.drain()
        await at.client.get("/livez")
        writer.close()
        line = 'route="/v1/agents/{agent_id}/load",status="400"'
        async with asyncio.timeout(2):
            while line not in (await at.client.get("/metrics")).text:
                await asyncio.sleep(0.01)
        assert caplog.text == ""


async def test_requests_may_come_in_one_piece() -> None:
    """Pipelining: each is answered, in order."""
    async with house() as at:
        one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await spoken(at.server, one * 3 + last)
        assert answer.count(b'{"live":true}') == 3
        assert answer.endswith(b'{"ready":true}')


async def test_random_bytes_never_break_the_server() -> None:
    """Seeded: what fails, fails again."""
    chance = random.Random(35)
    valid = (
        b"PUT /v1/agents/ext:desk:1/load?team=a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'Authorization: Bearer rc_x\r\nContent-Length: 26\r\n\r\n{"source":"x","units":1234}'
    )
    answered = 0
    async with house() as at:
        for _ in range(150):
            said = bytearray(valid)
            for _ in range(chance.randrange(1, 8)):
                at_byte = chance.randrange(len(said))
                said[at_byte : at_byte + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
            reader, writer = await asyncio.open_connection(*where(at.server))
            writer.write(bytes(said))
            writer.write_eof()
            async with asyncio.timeout(2):
                answer = await reader.read()
            writer.close()
            if answer:
                answered += 1
                assert 400 <= int(answer[9:12]) < 500, (bytes(said), answer)
        assert (await at.client.get("/livez")).status_code == 200
    assert answered >= 130, "only to a head that is not whole there is nothing to say"


async def test_answers_do_not_say_what_serves_them() -> None:
    async with house() as at:
        for path in ("/livez", "/v1/availability", "/v1/nothing"):
            assert "server" not in (await at.ask(path)).headers
