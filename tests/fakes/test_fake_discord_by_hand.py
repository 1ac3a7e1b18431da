"""The fake Discord by hand, without a client library: the documented limits, codes and shapes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fakes.discord_gateway import GUILD_PRESENCES
from fakes.discord_server import FakeDiscord


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as fake:
        yield fake


async def request(
    fake: FakeDiscord, method: str, path: str, body: object = None
) -> tuple[int, dict[str, Any]]:
    """One call with the bot's token, as any library would make it."""
    headers = {"Authorization": f"Bot {fake.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, fake.base_url + path, json=body) as response,
    ):
        assert response.headers["Content-Type"] == "application/json"
        answer: dict[str, Any] = await response.json()
        return response.status, answer


async def identify(
    socket: aiohttp.ClientWebSocketResponse, fake: FakeDiscord, *, intents: int
) -> dict[str, Any]:
    """IDENTIFY uncompressed, and answer the first GUILD_CREATE."""
    properties = {"os": "linux", "browser": "test", "device": "test"}
    data = {"token": fake.token, "intents": intents, "properties": properties, "large_threshold": 250}
    await socket.send_json({"op": 2, "d": data})
    return await next_event(socket, "GUILD_CREATE")


async def next_event(socket: aiohttp.ClientWebSocketResponse, name: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            payload = await socket.receive_json()
            if payload["t"] == name:
                data: dict[str, Any] = payload["d"]
                return data


async def test_a_client_that_breaks_the_protocol_is_closed_with_the_documented_code(
    fake: FakeDiscord,
) -> None:
    for sent, code in [
        ("{", 4002),
        ('{"op": 8, "d": {}}', 4003),
        ('{"op": 1, "d": "' + "x" * 4096 + '"}', 4002),
    ]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(fake.gateway_url + "?v=10") as socket,
        ):
            await socket.receive_json()
            await socket.send_str(sent)
            assert (await socket.receive()).data == code
    assert len(fake.violations) == 3


async def test_presences_of_named_members_need_the_intent(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    maria = fake.add_member(guild, "maria", status="online")
    async with aiohttp.ClientSession() as session, session.ws_connect(fake.gateway_url + "?v=10") as socket:
        await identify(socket, fake, intents=1)
        asked = {"guild_id": str(guild.id), "user_ids": [str(maria.id)], "limit": 0, "presences": True}
        await socket.send_json({"op": 8, "d": asked})
        chunk = await next_event(socket, "GUILD_MEMBERS_CHUNK")
    assert "presences" not in chunk
    assert fake.violations == [
        "gateway: REQUEST_GUILD_MEMBERS with presences needs the GUILD_PRESENCES intent"
    ]


@pytest.mark.parametrize(
    ("size", "intents", "listed"),
    [
        (0, 1 | GUILD_PRESENCES, {"owner-of-acme", "Rollcall", "maria", "tom", "lead", "nick"}),
        (1_000, 1 | GUILD_PRESENCES, {"Rollcall", "maria", "lead", "nick"}),
        (80_000, 1 | GUILD_PRESENCES, {"Rollcall"}),
        (0, 1, {"Rollcall"}),
    ],
)
async def test_guild_create_leaves_members_out_as_documented(
    fake: FakeDiscord, size: int, intents: int, listed: set[str]
) -> None:
    guild = fake.add_guild("Acme", claimed_members=size)
    fake.add_member(guild, "maria", status="online")
    fake.add_member(guild, "tom")
    fake.add_member(guild, "lead", roles=[fake.add_role(guild, "Lead")])
    fake.add_member(guild, "nick", nick="Nick")
    async with aiohttp.ClientSession() as session, session.ws_connect(fake.gateway_url + "?v=10") as socket:
        created = await identify(socket, fake, intents=intents)
    assert {member["user"]["username"] for member in created["members"]} == listed
    assert created["large"] == (size > 250)
    seen = {int(presence["user"]["id"]) for presence in created["presences"]}
    online = {i for i, status in guild.statuses.items() if status == "online"}
    names = {m.user.id for m in guild.members.values() if m.user.username in listed}
    assert seen == (online & names if intents & GUILD_PRESENCES else set())


EMBED: dict[str, Any] = {"title": "t"}
BUTTON: dict[str, Any] = {"type": 2, "style": 1, "label": "Go", "custom_id": "go"}


def rows(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"content": "x", "components": [{"type": 1, "components": list(buttons)}]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content": "x" * 2001}, "content"),
        ({"content": "x", "colour": 1}, "colour"),
        ({"embeds": [EMBED] * 11}, "embeds"),
        ({"embeds": [EMBED | {"title": "t" * 257}]}, "embeds.0.title"),
        ({"embeds": [EMBED | {"description": "d" * 4097}]}, "embeds.0.description"),
        ({"embeds": [EMBED | {"footer": {"text": "f" * 2049}}]}, "embeds.0.footer.text"),
        ({"embeds": [EMBED | {"fields": [{"name": "n", "value": "v"}] * 26}]}, "embeds.0.fields"),
        ({"embeds": [EMBED | {"fields": [{"name": "n" * 257, "value": "v"}]}]}, "embeds.0.fields.0.name"),
        ({"embeds": [EMBED | {"fields": [{"name": "n", "value": "v" * 1025}]}]}, "embeds.0.fields.0.value"),
        ({"embeds": [EMBED | {"fields": [{"name": "n", "value": ""}]}]}, "embeds.0.fields.0.value"),
        ({"embeds": [{"description": "d" * 3001}, {"description": "d" * 3000}]}, "embeds"),
        (rows(*[BUTTON | {"custom_id": str(n)} for n in range(6)]), "components.0.components"),
        (rows(BUTTON, BUTTON), "components.0.components.1.custom_id"),
        (rows(BUTTON | {"label": "l" * 81}), "components.0.components.0.label"),
        (rows(BUTTON | {"custom_id": "c" * 101}), "components.0.components.0.custom_id"),
        (rows(), "components.0.components"),
        ({"content": "x", "components": rows(BUTTON)["components"] * 6}, "components"),
        ({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}, "allowed_mentions"),
        ({"content": "x", "allowed_mentions": {"parse": ["all"]}}, "allowed_mentions.parse.0"),
    ],
)
async def test_a_body_beyond_a_limit_is_an_invalid_form_body_and_a_violation(
    fake: FakeDiscord, body: dict[str, Any], field: str
) -> None:
    guild = fake.add_guild("Acme")
    channel = fake.add_channel(guild, "support")
    status, answer = await request(fake, "POST", f"/channels/{channel.id}/messages", body)
    assert (status, answer["code"], answer["message"]) == (400, 50035, "Invalid Form Body")
    place = answer["errors"]
    for step in field.split("."):
        place = place[step]
    assert place["_errors"][0]["message"]
    assert any(f": {field}: " in violation for violation in fake.violations)
    assert fake.messages(channel) == []


async def test_a_body_at_every_limit_is_taken(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    channel = fake.add_channel(guild, "support")
    fields = [{"name": "n", "value": "v"}] * 25
    body = {
        "content": "x" * 2000,
        "embeds": [
            {"title": "t" * 256, "description": "d" * 4096, "footer": {"text": "f" * 1598}, "fields": fields}
        ],
        "components": [
            {
                "type": 1,
                "components": [
                    BUTTON | {"label": "l" * 80, "custom_id": f"{r}{b}".ljust(100, "c")} for b in range(5)
                ],
            }
            for r in range(5)
        ],
    }
    status, _ = await request(fake, "POST", f"/channels/{channel.id}/messages", body)
    assert (status, fake.violations) == (200, [])


async def test_an_empty_message_is_refused(fake: FakeDiscord) -> None:
    channel = fake.add_channel(fake.add_guild("Acme"), "support")
    status, answer = await request(fake, "POST", f"/channels/{channel.id}/messages", {"content": "  "})
    assert (status, answer["code"]) == (400, 50006)
    assert len(fake.violations) == 1


@pytest.mark.parametrize(
    ("content", "allowed", "loud"),
    [
        ("@everyone", None, True),
        ("<@1>", {"parse": []}, False),
        ("<@1>", {"parse": ["users"]}, True),
        ("<@!1>", {"parse": [], "users": ["1"]}, True),
        ("<@&1>", {"parse": ["users"]}, False),
        ("@here", {"parse": ["everyone"]}, True),
        ("me@example.com", None, False),
    ],
)
async def test_a_mention_that_would_ping_is_a_violation(
    fake: FakeDiscord, content: str, allowed: dict[str, Any] | None, loud: bool
) -> None:
    channel = fake.add_channel(fake.add_guild("Acme"), "support")
    body = {"content": content} | ({} if allowed is None else {"allowed_mentions": allowed})
    status, _ = await request(fake, "POST", f"/channels/{channel.id}/messages", body)
    assert status == 200
    assert bool(fake.violations) == loud


OPTION = {"type": 3, "name": "o", "description": "d"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Away"}, "0.name"),
        ({"name": "a" * 33}, "0.name"),
        ({"name": "a b"}, "0.name"),
        ({"description": "d" * 101}, "0.description"),
        ({"options": [OPTION | {"name": f"o{n}"} for n in range(26)]}, "0.options"),
        ({"options": [OPTION, OPTION | {"name": "p", "required": True}]}, "0.options.1"),
        ({"options": [OPTION, OPTION]}, "0.options.1.name"),
        (
            {"options": [OPTION | {"choices": [{"name": "c" * 101, "value": "v"}]}]},
            "0.options.0.choices.0.name",
        ),
        ({"options": [OPTION | {"choices": [{"name": "c", "value": "v"}] * 26}]}, "0.options.0.choices"),
        (
            {"options": [OPTION | {"type": 1, "options": [OPTION | {"type": 1}]}]},
            "0.options.0.options.0.type",
        ),
        ({"handlers": 1}, "0.handlers"),
    ],
)
async def test_a_command_beyond_a_limit_is_refused(
    fake: FakeDiscord, change: dict[str, Any], field: str
) -> None:
    body = [{"name": "away", "description": "Take a break", "type": 1} | change]
    status, answer = await request(fake, "PUT", f"/applications/{fake.bot.id}/commands", body)
    assert (status, answer["code"]) == (400, 50035)
    assert any(f": {field}: " in violation for violation in fake.violations), fake.violations
    assert fake.commands() == []


async def test_a_route_that_is_not_modelled_says_so(fake: FakeDiscord) -> None:
    status, _ = await request(fake, "POST", "/guilds")
    assert status == 404
    assert fake.violations == ["POST /guilds: this route is not modelled"]


async def test_a_session_can_not_be_resumed_from_the_future_or_with_a_wrong_token(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    async with aiohttp.ClientSession() as session:
        for token, beyond, code in [(fake.token, 5, 4007), ("no", 0, 4004)]:
            async with session.ws_connect(fake.gateway_url + "?v=10") as socket:
                await identify(socket, fake, intents=1)
                live = list(fake.gateway.sessions.values())[-1]
                await socket.close(code=4000)
            async with session.ws_connect(fake.gateway_url + "?v=10") as socket:
                await socket.receive_json()
                data = {"token": token, "session_id": live.id, "seq": live.sequence + beyond}
                await socket.send_json({"op": 6, "d": data})
                assert (await socket.receive()).data == code
    assert guild.id in fake.guilds


async def test_a_client_that_says_goodbye_ends_its_session(fake: FakeDiscord) -> None:
    fake.add_guild("Acme")
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(fake.gateway_url + "?v=10") as socket:
            await identify(socket, fake, intents=1)
            live = next(iter(fake.gateway.sessions.values()))
            await socket.close(code=1000)
        await fake.disconnected()
        async with session.ws_connect(fake.gateway_url + "?v=10") as socket:
            await socket.receive_json()
            data = {"token": fake.token, "session_id": live.id, "seq": live.sequence}
            await socket.send_json({"op": 6, "d": data})
            assert await socket.receive_json() == {"op": 9, "t": None, "s": None, "d": False}


async def test_more_than_120_payloads_a_minute_close_the_connection(fake: FakeDiscord) -> None:
    fake.add_guild("Acme")
    async with aiohttp.ClientSession() as session, session.ws_connect(fake.gateway_url + "?v=10") as socket:
        await identify(socket, fake, intents=1)
        for _ in range(120):
            await socket.send_json({"op": 3, "d": {"status": "online", "activities": []}})
        assert (await socket.receive()).data == 4008
    assert fake.violations == ["gateway: more than 120 payloads in 60 s"]


async def test_everyone_comes_in_chunks_of_a_thousand(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    for n in range(1000):
        fake.add_member(guild, f"agent-{n}")
    async with aiohttp.ClientSession() as session, session.ws_connect(fake.gateway_url + "?v=10") as socket:
        await identify(socket, fake, intents=3)
        asked = {"guild_id": str(guild.id), "query": "", "limit": 0, "nonce": "all"}
        await socket.send_json({"op": 8, "d": asked})
        chunks = [await next_event(socket, "GUILD_MEMBERS_CHUNK") for _ in range(2)]
    assert [(c["chunk_index"], c["chunk_count"], len(c["members"]), c["nonce"]) for c in chunks] == [
        (0, 2, 1000, "all"),
        (1, 2, 2, "all"),
    ]


async def test_everyone_needs_the_members_intent(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    async with aiohttp.ClientSession() as session, session.ws_connect(fake.gateway_url + "?v=10") as socket:
        await identify(socket, fake, intents=1)
        await socket.send_json({"op": 8, "d": {"guild_id": str(guild.id), "query": "", "limit": 0}})
        await fake.until(lambda: bool(fake.violations), "a violation")
    assert fake.violations == ["gateway: REQUEST_GUILD_MEMBERS of everyone needs the GUILD_MEMBERS intent"]


@pytest.mark.parametrize("scope", ["user", "shared", "global"])
async def test_a_rate_limit_has_the_documented_body_and_headers(fake: FakeDiscord, scope: Any) -> None:
    fake.rate_limit("GET /users/@me", retry_after=1.5, scope=scope)
    headers = {"Authorization": f"Bot {fake.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(fake.base_url + "/users/@me") as response,
    ):
        body = await response.json()
        assert (response.status, response.headers["Via"], response.headers["Retry-After"]) == (
            429,
            "1.1 google",
            "2",
        )
        assert response.headers["X-RateLimit-Scope"] == scope
        assert response.headers["X-RateLimit-Remaining"] == "0"
        assert response.headers.get("X-RateLimit-Global") == ("true" if scope == "global" else None)
    assert body == {"message": "You are being rate limited.", "retry_after": 1.5, "global": scope == "global"}
    assert (await request(fake, "GET", "/users/@me"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/users/1", 404, 10013),
        ("GET", "/guilds/1", 404, 10004),
        ("GET", "/channels/1", 404, 10003),
        ("GET", "/webhooks/1/unknown/messages/@original", 404, 10015),
    ],
)
async def test_what_is_not_there_is_named(
    fake: FakeDiscord, method: str, path: str, status: int, code: int
) -> None:
    found, answer = await request(fake, method, path)
    assert (found, answer["code"]) == (status, code)


async def test_a_guild_that_removed_the_bot_is_missing_access(fake: FakeDiscord) -> None:
    guild = fake.add_guild("Acme")
    channel = next(iter(guild.channels))
    fake.remove_bot(guild)
    for path in (f"/guilds/{guild.id}", f"/channels/{channel}"):
        status, answer = await request(fake, "GET", path)
        assert (status, answer["code"]) == (403, 50001)
