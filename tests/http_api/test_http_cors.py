"""Whose pages' scripts may ask: exact origins of the configuration, and nobody by default."""

from __future__ import annotations

import pytest
from event_house import until_open
from follower import Follower
from http_house import house, spoken

from bot.config import Config

PAGE = "https://desk.example.org"
NAMED = {"http": {"port": 0, "cors_origins": [PAGE, "http://localhost:3000"]}}
ASKS = {"origin": PAGE, "access-control-request-method": "PATCH"}


def crossing(headers: object) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if name.startswith("access-control-")}  # type: ignore[call-overload]


async def test_nothing_is_said_of_origins_by_default() -> None:
    async with house() as at:
        answer = await at.ask("/v1/teams", headers={"origin": PAGE})
        assert (answer.status_code, crossing(answer.headers)) == (200, {})
        assert "vary" not in answer.headers
        asked = await at.client.options("/v1/teams", headers=ASKS)
        assert (asked.status_code, crossing(asked.headers)) == (401, {})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/availability", 200),
        ("/v1/teams", 200),
        ("/v1/availability?tema=x", 400),
        ("/v1/agents/agt_no", 404),
        ("/livez", 200),
        ("/v1/events?after=", 200),
    ],
)
async def test_every_answer_names_the_page_that_may(path: str, status: int) -> None:
    """Errors too, or a script would not learn what is wrong; never every page, never credentials."""
    async with house(NAMED) as at:
        answer = await at.ask(path, headers={"origin": PAGE})
        assert answer.status_code == status
        said = crossing(answer.headers)
        assert said.pop("access-control-expose-headers").startswith("ETag, ")
        assert said == {"access-control-allow-origin": PAGE}
        assert answer.headers["vary"] == "Origin"
        wrong_key = await at.ask(path, key="rc_no", headers={"origin": PAGE})
        assert wrong_key.headers["access-control-allow-origin"] == PAGE
        for other in (
            "https://desk.example.org.evil.example",
            "http://desk.example.org",
            "null",
            PAGE + "/",
            "",
        ):
            answer = await at.ask(path, headers={"origin": other})
            assert (answer.status_code, crossing(answer.headers)) == (status, {}), other
            assert answer.headers["vary"] == "Origin"
        assert (await at.ask(path)).headers["vary"] == "Origin", "or a cache would give it to the page"


async def test_a_preflight_is_answered_without_a_key() -> None:
    async with house(NAMED) as at:
        for path, methods in {
            "/v1/availability": "GET, HEAD, OPTIONS",
            "/v1/teams/support": "DELETE, GET, HEAD, OPTIONS, PATCH",
        }.items():
            answer = await at.client.options(path, headers=ASKS)
            assert answer.status_code == 204
            said = crossing(answer.headers)
            assert said["access-control-allow-origin"] == PAGE
            assert said["access-control-allow-methods"] == methods
            for header in ("authorization", "if-match", "idempotency-key", "last-event-id", "content-type"):
                assert header in said["access-control-allow-headers"].lower()
            assert said["access-control-max-age"] == "600"
            assert "access-control-allow-credentials" not in said
        foreign = await at.client.options("/v1/teams", headers={**ASKS, "origin": "https://evil.example"})
        assert (foreign.status_code, crossing(foreign.headers)) == (401, {})
        nowhere = await at.client.options("/v1/nothing", headers=ASKS)
        assert nowhere.status_code == 401
        plain = await at.client.options("/v1/teams", headers={"origin": PAGE})
        assert plain.status_code == 401, "no preflight: it says what it will do"
        sent = await at.client.get("/v1/teams", headers=ASKS)
        assert sent.status_code == 401, "only OPTIONS is a preflight"


async def test_the_stream_names_the_page_too() -> None:
    """It is written below ASGI."""
    async with house(NAMED) as at:
        key = await at.key("read")
        async with Follower(at.server.address, key):
            await until_open(at, 1)
        said = (
            f"HEAD /v1/events HTTP/1.1\r\nHost: x\r\nOrigin: {PAGE}\r\n"
            f"Authorization: Bearer {key}\r\nConnection: close\r\n\r\n"
        )
        head = (await spoken(at.server, said.encode())).decode().lower()
        assert f"access-control-allow-origin: {PAGE}\r\n" in head
        assert "vary: origin" in head


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "https://x.org/",
        "https://X.org",
        "ftp://x.org",
        "x.org",
        "https://*.x.org",
        "https://x.org:0",
    ],
)
def test_only_exact_origins_are_taken(origin: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        Config.model_validate({"http": {"cors_origins": [origin]}})
