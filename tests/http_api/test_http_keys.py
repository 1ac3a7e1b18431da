"""Keys: who may ask, what, how often, until when; and nothing tells a wrong key from another."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Sequence
from datetime import timedelta

import httpx
import pytest
from http_house import START, House, house

from bot.domain.errors import BadInput
from bot.service import keys

PATH = "/v1/availability"


async def with_header(at: House, value: str | bytes | None) -> httpx.Response:
    sent = value.encode() if isinstance(value, str) else value
    return await at.client.get(PATH, headers={} if sent is None else {b"authorization": sent})


def told(answer: httpx.Response) -> tuple[int, dict[str, object], list[str]]:
    """All of an answer that could tell one wrong key from another."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return answer.status_code, body, sorted(answer.headers)


async def test_every_wrong_key_gets_the_same_answer() -> None:
    """Row 32."""
    async with house() as at:
        good = await at.key("read")
        expired = await at.key("read", lasts=timedelta(seconds=1))
        revoked = await at.key("read")
        await at.store.write(
            lambda tx: keys.revoke(tx, at.core.organization_id, revoked[3:29], at.clock.now())
        )
        await at.server.app.access.refresh()
        await at.clock.advance(seconds=2)
        last = "0" if good[-1] != "0" else "1"
        wrong = [
            None,
            "",
            "Bearer",
            f"Basic {good}",
            good,
            f"Bearer {good[:-1]}{last}",
            f"Bearer {good}0",
            f"Bearer {good[:-1]}",
            f"Bearer {good[:29]}x{good[30:]}",
            f"Bearer xx_{good[3:]}",
            f"Bearer rc_{'0' * 26}_{good[30:]}",
            f"Bearer {expired}",
            f"Bearer {revoked}",
            "Bearer " + "x" * 5000,
            b"Bearer \xff",
        ]
        answers = [told(await with_header(at, value)) for value in wrong]
        assert answers[0][0] == 401
        assert all(answer == answers[0] for answer in answers)
        assert (await with_header(at, f"Bearer {good}")).status_code == 200
        assert (await with_header(at, f"bearer {good}")).status_code == 200
        assert (await with_header(at, f"Bearer  {good}")).status_code == 200, "RFC 9110: one space or more"


@pytest.mark.parametrize("path", [PATH, "/v1/teams"])
async def test_two_keys_at_once_are_neither_of_them(path: str) -> None:
    """Proxies differ in which of two headers they believe."""
    async with house() as at:
        good = ("authorization", f"Bearer {await at.key('read')}")
        for others in ([good], [("authorization", "Bearer rc_no")], [("Authorization", "")], [good, good]):
            for headers in ([good, *others], [*others, good]):
                answer = await at.client.get(path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
                assert answer.json()["errors"][0]["field"] == "Authorization"


async def test_each_check_makes_two_comparisons_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 32: an unknown id costs what a wrong secret costs. Timing on a shared machine proves less."""
    async with house() as at:
        good = (await at.key("read")).encode()
        compared: list[tuple[int, int]] = []
        hashed: list[int] = []

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((len(one), len(other)))
            return hmac.compare_digest(one, other)

        def digest(secret: bytes) -> bytes:
            hashed.append(len(secret))
            return hashlib.sha256(secret).digest()

        monkeypatch.setattr(keys, "compare_digest", compare)
        monkeypatch.setattr(keys, "hash_of", digest)
        known = keys.by_id(await at.store.read(lambda tx: tx.ledger.keys()), at.core.organization_id)
        unknown = b"rc_" + b"0" * 26 + good[29:]
        wrong = good[:-2] + (b"00" if good[-2:] != b"00" else b"11")
        for text, right in ((good, True), (wrong, False), (unknown, False)):
            compared.clear()
            hashed.clear()
            assert (keys.verify(known, text, START) is not None) is right
            assert compared == [(32, 32), (32, 32)], "with the secret of now, and the one before a rotation"
            assert hashed == [52]


async def test_a_key_ends_at_its_instant() -> None:
    async with house() as at:
        key = await at.key("read", lasts=timedelta(hours=1))
        await at.clock.advance(hours=1)
        assert (await at.ask(PATH, key=key)).status_code == 200
        await at.clock.advance(microseconds=1)
        assert (await at.ask(PATH, key=key)).status_code == 401


async def test_a_key_revoked_by_another_process_ends_within_10_s() -> None:
    """`rollcall key revoke` writes to the database; the running program reads the keys again."""
    async with house() as at:
        key = await at.key("read")
        assert (await at.ask(PATH, key=key)).status_code == 200
        now = at.clock.now()
        gone = await at.store.write(lambda tx: keys.revoke(tx, at.core.organization_id, key[3:29], now))
        assert gone
        await at.clock.advance(seconds=6)
        assert (await at.ask(PATH, key=key)).status_code == 401


async def test_a_key_made_by_another_process_counts_within_10_s() -> None:
    async with house() as at:
        now = at.clock.now()
        key = await at.store.write(lambda tx: keys.create(tx, at.core.organization_id, "new", ["read"], now))
        assert (await at.ask(PATH, key=key)).status_code == 401
        await at.clock.advance(seconds=6)
        assert (await at.ask(PATH, key=key)).status_code == 200


async def test_when_a_key_was_used_is_noted_once_a_minute() -> None:
    async with house() as at:
        key = await at.key("read")
        await at.clock.advance(seconds=3)
        used_at = at.clock.now()
        await at.ask(PATH, key=key)
        await at.clock.advance(seconds=66)
        (kept,) = await at.store.read(lambda tx: tx.ledger.keys())
        assert kept.last_used_at == used_at


async def test_a_key_sees_its_organization_alone() -> None:
    async with house() as at:
        other = await at.store.write(lambda tx: tx.members.ensure_organization("other", "Other", START))
        stranger = await at.key("read", "admin", organization=other)
        assert (await at.ask(PATH, key=stranger)).status_code == 401
        ann = await at.agent("Ann")
        asked = await at.ask(f"/v1/agents/{ann.id}")
        assert asked.status_code == 200
        everyones = await at.store.read(lambda tx: tx.ledger.keys())
        assert {key.organization_id for key in everyones} == {other, at.core.organization_id}
        assert len(keys.by_id(everyones, other)) == 1
        at.core.roster.put(at.moved(ann, organization_id=other), at.facts(ann), at.clock.now())
        assert (await at.ask(f"/v1/agents/{ann.id}")).status_code == 404


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", PATH, "read"),
        ("GET", "/v1/agents", "read"),
        ("GET", "/v1/agents/x", "read"),
        ("GET", "/v1/agents/x/eligibility", "read"),
        ("GET", "/v1/teams", "read"),
        ("GET", "/v1/skills", "read"),
        ("PUT", "/v1/agents/x/load", "route"),
        ("PUT", "/v1/agents/x/external-ids/desk", "admin"),
        ("DELETE", "/v1/agents/x/external-ids/desk", "admin"),
    ],
)
async def test_a_key_without_the_scope_is_told_which_is_missing(
    method: str, path: str, needed: str, asked_only: House
) -> None:
    """Before anything else of the request is looked at: it has no body, and its query is wrong."""
    at = asked_only
    others = await at.key(*(scope for scope in keys.SCOPES if scope != needed))
    answer = await at.ask(f"{path}?nonsense=1", method=method, key=others)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert f"the scope {needed}." in answer.json()["detail"]
    right = await at.ask(f"{path}?nonsense=1", method=method, scope=needed)
    assert right.status_code == 400


async def test_a_key_may_ask_so_often_and_is_told_when_again() -> None:
    async with house({"http": {"port": 0, "rate_per_minute": 3}}) as at:
        key, other = await at.key("read"), await at.key("read")
        left = [(await at.ask(PATH, key=key)).headers["ratelimit"] for _ in range(3)]
        assert [value.split(";")[1] for value in left] == ["r=2", "r=1", "r=0"]
        full = await at.ask("/v1/agents", key=key)
        assert (full.status_code, full.json()["code"]) == (429, "too_many_requests")
        assert full.headers["retry-after"] == "20"
        assert full.headers["ratelimit-policy"] == '"key";q=3;w=60'
        assert (await at.ask(PATH, key=other)).status_code == 200
        await at.clock.advance(seconds=20)
        assert (await at.ask(PATH, key=key)).status_code == 200
        assert (await at.ask(PATH, key=key)).status_code == 429


async def test_whoever_guesses_keys_is_slowed_down_and_nobody_else() -> None:
    """Row 32: the same 401, then 429."""
    async with house() as at:
        good = await at.key("read")
        statuses = [(await with_header(at, "Bearer rc_no")).status_code for _ in range(62)]
        assert statuses == [401] * 60 + [429] * 2
        slowed = await with_header(at, None)
        assert int(slowed.headers["retry-after"]) >= 1
        assert (await at.ask(PATH, key=good)).status_code == 200
        await at.clock.advance(seconds=1)
        assert (await with_header(at, "Bearer rc_no")).status_code == 401


async def test_no_key_is_ever_logged_or_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 35: neither a right nor a wrong one, not even when something breaks."""
    caplog.set_level(logging.DEBUG)
    async with house() as at:
        good = await at.key("read")
        canary = "rc_" + "c" * 26 + "_" + "a" * 48 + "nary"
        bodies: list[str] = []

        def broken(*_: object) -> None:
            raise RuntimeError("broken")

        for key in (good, canary):
            for path in (
                PATH,
                "/v1/agents",
                "/v1/nothing",
                "/v1/agents?cursor=x",
                "/metrics",
                "/openapi.json",
            ):
                answer = await at.ask(path, key=key)
                bodies.append(answer.text + repr(answer.headers))
        monkeypatch.setattr(at.core.roster, "pool", broken)
        monkeypatch.setattr(at.core.roster, "row", broken)
        for path in (PATH, "/v1/teams"):
            answer = await at.ask(path, key=good)
            assert answer.status_code == 500
            bodies.append(answer.text)
        rows = await at.store.read(lambda tx: tx.ledger.keys())
        everything = "".join(bodies) + caplog.text + repr(rows)
        assert "broken" in caplog.text
        for secret in (good, good[30:], canary, canary[30:]):
            assert secret not in everything


async def test_a_key_is_made_of_its_id_and_256_random_bits() -> None:
    async with house() as at:
        now = START
        made = [
            await at.store.write(
                lambda tx: keys.create(tx, at.core.organization_id, " chat\nwoot ", ["route", "read"], now)
            )
            for _ in range(2)
        ]
        rows = await at.store.read(lambda tx: tx.ledger.keys())
        assert {text[3:29] for text in made} == {row.id for row in rows}
        assert all(len(text) == keys.LENGTH == 82 for text in made)
        assert made[0][30:] != made[1][30:]
        assert rows[0].scopes == ("read", "route")
        assert rows[0].name == "chat woot"
        assert {row.secret_hash for row in rows} == {
            hashlib.sha256(text[30:].encode()).digest() for text in made
        }


@pytest.mark.parametrize(
    ("name", "scopes", "field"),
    [("", ["read"], "name"), (" \n", ["read"], "name"), ("x", [], "scope"), ("x", ["reed"], "scope")],
)
async def test_a_key_without_name_or_with_an_unknown_scope_is_not_made(
    name: str, scopes: Sequence[str], field: str
) -> None:
    async with house() as at:
        with pytest.raises(BadInput) as refused:
            await at.store.write(lambda tx: keys.create(tx, at.core.organization_id, name, scopes, START))
        assert refused.value.field == field
        assert await at.store.read(lambda tx: tx.ledger.keys()) == []


async def test_a_key_is_revoked_once_and_only_by_its_organization() -> None:
    async with house() as at:
        key = await at.key("read")

        async def revoke(organization_id: str) -> bool:
            return await at.store.write(lambda tx: keys.revoke(tx, organization_id, key[3:29], START))

        assert await revoke("org_other") is False
        assert await revoke(at.core.organization_id) is True
        assert await revoke(at.core.organization_id) is False
