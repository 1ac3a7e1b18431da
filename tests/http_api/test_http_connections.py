"""Connections: how long they last, how many there are, how requests come on them, and what is not HTTP."""

from __future__ import annotations

import asyncio
import json
import random
import resource
from contextlib import suppress
from typing import Any

import pytest
from http_house import House, house, spoken, where

from adapters.http import protocol, server


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
    for files, most in ((256, 132), (1024, 900), (2**20, 12_000), (resource.RLIM_INFINITY, 12_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert protocol.most_connections() == most
        assert protocol.most_streams() == int(most * 0.9)


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


async def test_a_platforms_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No key is needed there, and whoever reads it only knows how much, not how long."""
    monkeypatch.setattr("adapters.http.strict.BODY_WITHIN", 0.1)

    async def platform(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        gone = asyncio.ensure_future(receive())
        assert not (await asyncio.wait([gone], timeout=0.15))[0], "it is told when the client is gone"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        assert (await gone)["type"] == "http.disconnect"

    async with house(mounts={"/slack/events": platform}) as at:
        said = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        assert (await spoken(at.server, said + b"{")).startswith(b"HTTP/1.1 408 ")
        assert (await spoken(at.server, said + b"{}")).startswith(b"HTTP/1.1 200 "), "thinking takes its time"
    assert caplog.text == ""


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
