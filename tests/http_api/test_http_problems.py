"""Every error is a problem document that says what to do, and nothing that is not the asker's business."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import httpx
import pytest
from http_house import House, house

from adapters.http.problems import KINDS
from bot.domain.errors import Unavailable
from storage.database import ensure_schema, open_inline


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """Checks all that problems share, and answers the body."""
    body: dict[str, object] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert body["type"] == f"urn:rollcall:problem:{code}"
    assert body["title"] == KINDS[code].title
    assert body["status"] == KINDS[code].status == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert str(body["detail"]).endswith((".", "?")), body
    return body


async def put_load(at: House, content: bytes, **headers: str) -> httpx.Response:
    if at.core.roster.by_external("desk", "ann") is None:
        ann = await at.agent("Ann")
        await at.change_agent(ann, externals=(("desk", "ann"),))
    path = "/v1/agents/ext:desk:ann/load"
    return await at.ask(path, method="PUT", scope="route", content=content, headers=headers)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path", ["/", "/v1/nothing", "/v1/agents/", "/v1/availability/", "/v2/agents", "/docs"]
)
async def test_an_unknown_address_is_a_problem(path: str, asked_only: House) -> None:
    at = asked_only
    is_problem(await at.ask(path), 404, "not_found")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/availability", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/agents", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/v1/agents/x/external-ids/desk", "DELETE, OPTIONS, PUT"),
        ("POST", "/livez", "GET, HEAD, OPTIONS"),
        ("PUT", "/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    method: str, path: str, allowed: str, asked_only: House
) -> None:
    at = asked_only
    answer = await at.ask(path, method=method)
    is_problem(answer, 405, "method_not_allowed")
    assert answer.headers.get_list("allow") == [allowed]


async def test_options_names_the_methods_and_opens_nothing_to_other_origins() -> None:
    async with house() as at:
        for path, allowed in (
            ("/v1/availability", "GET, HEAD, OPTIONS"),
            ("/v1/agents/x/load", "OPTIONS, PUT"),
            ("/livez", "GET, HEAD, OPTIONS"),
        ):
            answer = await at.ask(path, method="OPTIONS", headers={"origin": "https://evil.example"})
            assert (answer.status_code, answer.content, answer.headers["allow"]) == (204, b"", allowed)
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_head_works_wherever_get_does() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        for path in (
            "/v1/agents",
            f"/v1/agents/{ann.id}",
            "/v1/teams",
            "/livez",
            "/metrics",
            "/openapi.json",
        ):
            told, whole = await at.ask(path, method="HEAD"), await at.ask(path)
            assert (told.status_code, told.content) == (200, b""), path
            if path != "/metrics":
                assert told.headers["content-length"] == str(len(whole.content)), path
        missing = await at.ask("/v1/agents/x", method="HEAD")
        assert (missing.status_code, missing.content) == (404, b"")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{'source': 1}",
        b'{"source": "x", "units": 1} trailing',
        b'{"source": "x", "units": 1, "units": 2}',
        b'{"source": "x", "units": NaN}',
        b'{"source": "x", "units": Infinity}',
        b'{"source": "x", "units": 1e999}',
        b'{"source": "x", "units": ' + b"9" * 5000 + b"}",
        b'{"source": "x", "units": 12345678901234567890}',
        b'{"source": "\xff", "units": 1}',
        b"\xef\xbb\xbf{}",
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
async def test_what_is_not_json_is_refused(content: bytes, asked_only: House) -> None:
    at = asked_only
    is_problem(await put_load(at, content), 400, "bad_json")


async def test_what_is_nested_deeper_than_it_can_be_looked_at_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From Python 3.12 on the parser goes deeper than a function of ours can."""
    deep: list[object] = []
    for _ in range(20_000):
        deep = [deep]
    async with house() as at:
        monkeypatch.setattr("adapters.http.incoming.json.loads", lambda *_, **__: deep)
        answer = await put_load(at, b"[]")
        monkeypatch.undo()
        is_problem(answer, 400, "bad_json")


async def test_text_without_meaning_is_refused() -> None:
    """Half a surrogate pair can't be stored or sent."""
    async with house() as at:
        is_problem(await put_load(at, b'{"source": "\\ud800", "units": 1}'), 422, "bad_value")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
async def test_a_body_of_another_type_is_refused(kind: str, asked_only: House) -> None:
    at = asked_only
    answer = await put_load(at, b'{"source": "x", "units": 1}', **{"content-type": kind})
    is_problem(answer, 415, "unsupported_media_type")


async def test_json_with_a_charset_is_json() -> None:
    async with house() as at:
        kind = "Application/JSON; charset=utf-8"
        assert (await put_load(at, b'{"source":"x","units":1}', **{"content-type": kind})).status_code == 200


async def test_a_body_over_64_kib_is_refused_however_it_comes() -> None:
    async with house() as at:
        large = b'{"source": "' + b"x" * 70_000 + b'"}'
        answer = await put_load(at, large)
        is_problem(answer, 413, "too_large")
        ann = await at.agent("Bob")

        async def pieces() -> object:
            for _ in range(80):
                yield b" " * 1024

        key = await at.key("route")
        request = at.client.build_request(
            "PUT",
            f"/v1/agents/{ann.id}/load",
            content=pieces(),  # type: ignore[arg-type]
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        is_problem(await at.client.send(request), 413, "too_large")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path", ["/v1/agents/%", "/v1/agents/%zz", "/v1/agents/%ff", "/v1/agents/a%00b", "/%0a"]
)
async def test_a_badly_written_address_is_refused(path: str, asked_only: House) -> None:
    at = asked_only
    host, port = at.server.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert json.loads(body)["code"] == "bad_encoding"
    writer.close()


async def test_unknown_parameters_are_refused_wherever_there_are_some() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        for path, near in (
            ("/v1/agents?presense=away", "presence"),
            (f"/v1/agents/{ann.id}/eligibility?teams=support", "team"),
            (f"/v1/agents/{ann.id}?x=1", ""),
        ):
            body = is_problem(await at.ask(path), 400, "unknown_parameter")
            assert (f"did you mean {near}?" if near else "this takes none") in str(body["detail"])
        for query in (
            "presence=here",
            "limit=0",
            "limit=201",
            "limit=5.0",
            "limit= 5",
            "team=nope",
            "cursor=x",
        ):
            body = is_problem(await at.ask(f"/v1/agents?{query}"), 422, "bad_value")
            assert query.split("=")[0] in str(body["detail"])
        is_problem(await at.ask("/v1/agents?limit=5&limit=6"), 400, "repeated_parameter")
        is_problem(await at.ask("/v1/agents?" + "&" * 100), 400, "bad_request")
        is_problem(await at.ask("/v1/agents?" + "x" * 5000), 400, "bad_request")


LOAD = '{"source":"chatwoot","units":2,"as_of":"2026-11-02T09:00:00Z","ttl_s":300}'
SOURCE = "the name of the reporting system: up to 64 small letters, digits, dots and hyphens, "
SOURCE += "the first a letter or digit, such as chatwoot."


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{}", f"source must be given, and {SOURCE}"),
        ('{"source":"-","units":1}', f"source must be {SOURCE}"),
        ('{"source":"x"}', "units must be given, and a whole number from 0 to 10000, such as 2."),
        (
            '{"source":"x","units":1,"ttl_s":0}',
            "ttl_s must be a whole number of seconds from 1 to 86400, such as 300.",
        ),
        (
            '{"source":"x","units":1,"as_of":"9:00"}',
            "as_of must be an instant with its offset, not in the future, such as 2026-11-02T09:00:00Z.",
        ),
        (
            '{"source":"x","units":1,"as_of":"2026-11-01T09:00:00Z"}',
            "as_of must be at most 300 s ago, as ttl_s says, such as 2026-11-02T09:00:00Z.",
        ),
        ('{"source":"x","units":1,"unit":1}', "There is no field unit; did you mean units?"),
        (
            '{"source":"x","units":1,"\u202ezz":1}',
            "There is no field zz; known here: as_of, source, ttl_s, units.",
        ),
        ("[]", f"body must be a JSON object, such as {LOAD}."),
    ],
)
async def test_what_is_wrong_with_a_body_is_said_in_one_sentence(
    body: str, sentence: str, asked_only: House
) -> None:
    """Row 30: the field, the rule, an example, as an integrator reads them."""
    assert (await put_load(asked_only, body.encode())).json()["detail"] == sentence


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("availability?team=", "team is empty. Known: billing, support."),
        ("availability?team=%E2%80%AE", "team is empty. Known: billing, support."),
        ("availability?team=%E2%80%AExy", "There is no team xy. Known: billing, support."),
        ("agents?skill=frensh", "There is no skill frensh. Did you mean french?"),
        ("agents?%E2%80%AExy=1", "There is no query parameter xy; known here: "),
        ("agents?=1", "A query parameter has no name; known here: "),
        ("nothing", "There is nothing at this address. /openapi.json lists what there is."),
    ],
)
async def test_what_is_wrong_with_an_address_is_said_in_one_sentence(
    path: str, sentence: str, asked_only: House
) -> None:
    """Rows 29 and 30: nothing invisible is told back."""
    answer = await asked_only.ask(f"/v1/{path}")
    assert answer.json()["detail"].startswith(sentence), answer.text
    assert "\u202e" not in answer.text


async def test_a_database_that_cannot_be_written_answers_503_and_reading_goes_on(tmp_path: Path) -> None:
    """Rows 2 and 3: another process holds the file for longer than storage waits."""
    url = f"sqlite:///{tmp_path / 'held.sqlite3'}"
    ensure_schema(url)
    store = open_inline(url)
    async with house(store=store) as at:
        ann = await at.agent("Ann")
        key = await at.key("route", "read")
        store_connection = sqlite3.connect(tmp_path / "held.sqlite3", isolation_level=None)
        store_connection.execute("BEGIN IMMEDIATE")
        try:
            body = {"source": "x", "units": 1}
            answer = await at.ask(f"/v1/agents/{ann.id}/load", method="PUT", key=key, json=body)
            is_problem(answer, 503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            free = (await at.ask("/v1/availability", key=key)).json()
            assert [agent["load"] for agent in free["agents"]] == [0]
        finally:
            store_connection.execute("ROLLBACK")
            store_connection.close()
        again = await at.ask(f"/v1/agents/{ann.id}/load", method="PUT", key=key, json=body)
        assert again.status_code == 200


async def test_what_nobody_foresaw_is_told_without_its_insides(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as at:
        ann = await at.agent("Ann")

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("the inside of it: /srv/rollcall")

        monkeypatch.setattr(at.core.roster, "row", broken)
        answer = await at.ask(f"/v1/agents/{ann.id}", headers={"x-request-id": "mine-1"})
        body = is_problem(answer, 500, "internal")
        assert "mine-1" in str(body["detail"])
        assert "inside" not in answer.text
        assert caplog.text.count("RuntimeError: the inside of it") == 1
        monkeypatch.undo()
        assert (await at.ask(f"/v1/agents/{ann.id}")).status_code == 200


async def test_a_refusal_of_storage_in_the_middle_of_reading_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as at:
        ann = await at.agent("Ann")

        async def gone(*_: object) -> None:
            raise Unavailable("The database can't be reached.")

        monkeypatch.setattr(at.core, "put_load", gone)
        body = {"source": "x", "units": 1}
        answer = await at.ask(f"/v1/agents/{ann.id}/load", method="PUT", scope="route", json=body)
        assert is_problem(answer, 503, "unavailable")["detail"] == "The database can't be reached."


async def test_a_requests_id_is_the_clients_own_if_it_is_fit() -> None:
    async with house() as at:
        given = {"x-request-id": "abc-123"}
        for path in ("/v1/availability", "/v1/teams", "/livez", "/nothing"):
            assert (await at.ask(path, headers=given)).headers.get_list("x-request-id") == ["abc-123"]
        made = [
            (await at.ask("/livez", headers={"x-request-id": "a b"})).headers["x-request-id"] for _ in "12"
        ]
        assert made[0] != made[1]
        assert not {"a b"} & set(made)
        long = await at.ask("/livez", headers={"x-request-id": "x" * 65})
        assert long.headers["x-request-id"] != "x" * 65
