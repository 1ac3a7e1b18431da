"""The Python client against the real server, over a real socket: every route of the description."""

from __future__ import annotations

import asyncio
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from http_house import START, House, house

from adapters.client import (
    Client,
    Conflict,
    Forbidden,
    Key,
    NotFound,
    Refused,
    Stale,
    Unauthorized,
)
from adapters.client.documents import DayOff

DOCS = Path(__file__).parents[2] / "docs/client.md"
SCOPES = ("read", "presence", "route", "admin")


async def open_client(at: House, *scopes: str) -> Client:
    return Client(at.server.address, await at.key(*(scopes or SCOPES)), first_wait_s=0.01)


def routes() -> dict[tuple[str, str], Callable[..., Any]]:
    """The client's methods by the route that each calls."""
    methods = [method for _, method in inspect.getmembers(Client, inspect.isfunction)]
    return {method.route: method for method in methods if hasattr(method, "route")}


def structs_in(kind: Any) -> list[type[msgspec.Struct]]:
    """The structs that an annotation names."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [found for inner in typing.get_args(kind) for found in structs_in(inner)]


def differs(description: dict[str, Any], schema: dict[str, Any], kind: type[msgspec.Struct]) -> list[str]:
    """Where a struct is not what a schema says, and the structs in it."""
    properties: dict[str, Any] = {}
    for part in schema.get("allOf", [schema]):
        for _ in range(2):
            if "$ref" in part:
                part = description["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        properties.update(part.get("properties", {}))
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    wrong = [f"{kind.__name__}.{name}" for name in fields.keys() ^ properties.keys()]
    hints = typing.get_type_hints(kind)
    for name in fields.keys() & properties.keys():
        for inner in structs_in(hints[name]):
            told = properties[name]
            told = told.get("items", told)
            wrong += differs(description, told, inner)
    return wrong


async def test_every_route_has_a_method_whose_answer_is_what_the_description_says() -> None:
    async with house() as at:
        document = (await at.client.get("/openapi.json")).json()
        told = {
            (method.upper(), path): operation
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        assert set(routes()) == set(told)
        for place, method in routes().items():
            (answer,) = [one for status, one in told[place]["responses"].items() if status in ("200", "201")]
            for kind in structs_in(typing.get_type_hints(method)["return"]):
                schema = answer["content"]["application/json"]["schema"]
                assert differs(document, schema, kind) == [], place


async def test_every_route_is_called_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as at:
        await at.workspace()
        called: set[tuple[str, str]] = set()
        once = Client._once

        async def noted(self: Client, method: str, url: Any, *rest: Any) -> bytes:
            for known, path in routes():
                if known == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), url.path):
                    called.add((known, path))
            return await once(self, method, url, *rest)

        monkeypatch.setattr(Client, "_once", noted)
        async with await open_client(at) as client:
            ann = await client.add_agent(
                "slack", "T1", "U1", "Ann & Söhne/%", zone="Europe/Berlin", teams=["support"], capacity=2
            )
            assert (ann.name, ann.teams, ann.identities[0].external_id) == (
                "Ann & Söhne/%",
                ("support",),
                "U1",
            )
            assert (await client.put_external_id(ann.id, "desk", "a%2F&b")).external_ids == {"desk": "a%2F&b"}
            name = "ext:desk:a%2F&b"
            assert (await client.agent(name)).id == ann.id
            assert (await client.external_ids(name)).external_ids == {"desk": "a%2F&b"}
            changed = await client.change_agent(name, capacity=3, zone=None, role="lead")
            assert (changed.capacity, changed.zone, changed.role) == (3, None, "lead")
            with pytest.raises(Stale) as stale:
                await client.change_agent(name, capacity=4, revision=ann.revision)
            assert stale.value.code == "precondition_failed"
            assert (await client.give_skill(name, "french")).skills == ("french",)
            assert (await client.join_team(name, "billing")).teams == ("support", "billing")
            session = await client.beat(name, "tab-1")
            assert session.open and session.beat_every_s == 15
            set_ = await client.set_presence(name, "available")
            assert (set_.presence, set_.changed) == ("available", True)
            there = await client.availability("support", ["french"], limit=3)
            assert [one.id for one in there.agents] == [ann.id]
            assert (await client.eligibility(name, "support", ["french"])).routable
            assert (await client.report_load(name, "desk", 1, START, 60)).load == 1
            assert [one.id async for one in client.agents(presence="available")] == [ann.id]
            assert [
                one.presence
                async for one in client.history(name, START - timedelta(days=1), START + timedelta(hours=1))
            ]
            assert (await client.teams(limit=1)).next_cursor is not None
            assert (await client.team("support")).counts.available == 1
            team = await client.add_team("Sales", color="#2f855a")
            assert (await client.change_team("sales", slug="sells", revision=team.revision)).aliases == (
                "sales",
            )
            assert (await client.end_team("sales")).slug == "sells"
            assert (await client.skills()).skills[0].slug == "french"
            assert (await client.add_skill("Irish", "irish")).slug == "irish"
            assert (await client.change_skill("irish", name="Gaelic")).name == "Gaelic"
            assert (await client.skill("irish")).name == "Gaelic"
            assert (await client.end_skill("irish")).name == "Gaelic"
            off = DayOff(date(2026, 12, 24), date(2026, 12, 26), "Christmas")
            hours = await client.set_agent_hours(name, "Europe/Berlin", "mon-fri 9:00-17:00", [off])
            assert (hours.weekly, hours.days_off) == ("mon-fri 09:00-17:00", (off,))
            assert (await client.agent_hours(name)).zone == "Europe/Berlin"
            assert (await client.delete_agent_hours(name)).zone is None
            assert not (await client.set_team_hours("support", "UTC", "sat 10:00-11:00")).open
            assert (await client.team_hours("support")).weekly == "sat 10:00-11:00"
            assert (await client.delete_team_hours("support")).open
            deeds = await client.audit(agent=ann.id, limit=2)
            rest = await client.audit(after=deeds.last, agent=ann.id)
            assert deeds.more and {"agent.enrolled", "agent.hours"} <= {
                one.action for one in (*deeds.entries, *rest.entries)
            }
            assert not {one.id for one in deeds.entries} & {one.id for one in rest.entries}
            assert (await client.take_skill(name, "french")).skills == ()
            assert (await client.leave_team(name, "billing")).teams == ("support",)
            assert not (await client.log_out(name, "tab-1")).open
            page = await client.event_page("", limit=2)
            assert page.more and next(event.type for event in page.events) == "agent.enrolled"
            key = await client.add_key("desk", ["read"], ["support"], days=30)
            assert key.key is not None and key.teams == ("support",)
            rotated = await client.rotate_key(key.id, overlap_s=60)
            assert rotated.key is not None and rotated.key != key.key
            assert (await client.revoke_key(key.id)).revoked_at is not None
            assert len((await client.keys()).keys) == 2
            assert (await client.delete_external_id(name, "desk")).external_ids == {}
            assert (await client.remove_agent(ann.id)).removed
            with pytest.raises(NotFound):
                await client.agent(ann.id)
            assert (await client.live())["live"] and (await client.ready())["ready"]
            assert "rollcall_agents" in await client.metrics()
            assert (await client.description())["openapi"] == "3.1.0"
        assert set(routes()) - called == set()


async def test_refusals_are_exceptions_with_code_and_fields() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        async with await open_client(at, "read") as client:
            with pytest.raises(Forbidden):
                await client.add_team("X")
            with pytest.raises(Refused) as refused:
                await client.availability("suport")
            assert (refused.value.code, refused.value.errors[0].example) == ("bad_value", "support")
            assert "support" in str(refused.value)
        async with Client(at.server.address, "rc_no") as client:
            with pytest.raises(Unauthorized):
                await client.agent(ann.id)
        async with await open_client(at) as client:
            with pytest.raises(Conflict):
                await client.add_agent("slack", "T1", "U-Ann", "Ann")


async def test_the_key_is_not_shown() -> None:
    client = Client("http://127.0.0.1:1", "rc_secret")
    assert "rc_secret" not in f"{client!r} {Key('rc_secret')!r} {vars(client)}"


def examples() -> Mapping[str, str]:
    """The Python in docs/client.md, by its heading."""
    found: dict[str, str] = {}
    for part in re.split(r"^#+ ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        for block in re.findall(r"^```python\n(.*?)^```", part, re.MULTILINE | re.DOTALL):
            found[part.partition("\n")[0]] = block
    assert len(found) == 5
    return found


@pytest.mark.parametrize("heading", list(examples()))
async def test_the_examples_in_the_docs_run_as_they_stand(heading: str) -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        await at.core.name_agent(ann.id, "desk", "42", "test")
        module = types.ModuleType("example")
        exec(compile(examples()[heading], heading, "exec"), module.__dict__)
        running = module.main(at.server.address, await at.key(*SCOPES))
        if "following" in heading.lower():
            task = asyncio.ensure_future(running)
            while not at.server.app.stream._live:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            await at.away(ann)
            running = task
        async with asyncio.timeout(5):
            await running
