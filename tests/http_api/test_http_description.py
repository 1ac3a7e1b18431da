"""The description is what is so: OpenAPI, docs/http-api.md and the program say the same."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi.routing import APIRoute
from http_house import House, house
from jsonschema import Draft202012Validator, FormatChecker
from prometheus_client.parser import text_string_to_metric_families

from adapters.http import stream
from adapters.http.app import HOT
from adapters.http.availability import PARAMETERS
from adapters.http.documents import EventPage
from adapters.http.examples import EXAMPLES
from adapters.http.openapi import DOCUMENTS, scope_of
from adapters.http.problems import KINDS
from adapters.http.resource_documents import ADD_AGENT
from adapters.http.stream import PATH as EVENTS

DOCS = (Path(__file__).parents[2] / "docs/http-api.md").read_text(encoding="utf-8")
FORMATS = FormatChecker()


def is_instant(value: object) -> bool:
    """RFC 3339 asks for an offset."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


FORMATS.checks("date-time", raises=ValueError)(is_instant)


async def description(at: House) -> dict[str, Any]:
    found: dict[str, Any] = (await at.client.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def good(operation: dict[str, Any]) -> str:
    """The one status of an answer that has done what was asked."""
    (status,) = {"200", "201"}.intersection(operation["responses"])
    return status


def again(body: dict[str, Any], document: type) -> Any:
    """A body read as a document and written again: the same, if it is one, without a field too many."""
    return msgspec.json.decode(msgspec.json.encode(msgspec.convert(body, type=document)))


async def test_the_description_holds_every_route_with_its_scope() -> None:
    async with house() as at:
        document = await description(at)
        told = {
            place: (operation["security"] or [{"key": ["none"]}])[0]["key"][0]
            for place, operation in operations(document).items()
        }
        served = {
            (method, route.path): scope_of(route.openapi_extra)
            for route in at.server.app.routes.app.routes
            if isinstance(route, APIRoute)
            for method in route.methods or ()
        }
        opened = dict.fromkeys([("GET", path) for path in at.server.app.opened], "none")
        hot = dict.fromkeys([("GET", path) for path in HOT], "read")
        assert told == {**served, **opened, **hot}
        assert document["openapi"].startswith("3.1.")
        assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


async def test_the_docs_hold_every_route_with_its_scope() -> None:
    async with house() as at:
        told = dict(re.findall(r"^\| `([A-Z]+ /\S*)` \| (\w+) \|", DOCS, re.MULTILINE))
        described = {
            f"{method} {path}": (operation["security"] or [{"key": ["none"]}])[0]["key"][0]
            for (method, path), operation in operations(await description(at)).items()
        }
        assert told == described


async def test_every_reference_leads_somewhere_and_nothing_is_left_out() -> None:
    async with house() as at:
        document = await description(at)
        text = json.dumps(document)
        for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
            place: Any = document
            for step in reference.split("/"):
                place = place[step]
        names = [operation["operationId"] for operation in operations(document).values()]
        assert len(set(names)) == len(names)
        for (method, path), operation in operations(document).items():
            assert operation["summary"]
            assert set(operation["responses"]) >= ({"401", "422", "500"} if "/v1" in path else {"200"})
            content = operation["responses"][good(operation)]["content"]
            assert all("example" in media for media in content.values()), (method, path)
            for parameter in operation.get("parameters", []):
                assert parameter["description"]
        assert "HTTPValidationError" not in text


async def test_the_hot_routes_parameters_are_those_it_takes() -> None:
    async with house() as at:
        operation = (await description(at))["paths"]["/v1/availability"]["get"]
        assert tuple(parameter["name"] for parameter in operation["parameters"]) == PARAMETERS
        for parameter in operation["parameters"]:
            value = parameter["example"]
            answer = await at.ask(
                f"/v1/availability?{parameter['name']}={value[0] if isinstance(value, list) else value}"
            )
            assert answer.status_code == 200


def at_fault(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    """What is wrong with a value by a schema of the description."""
    check = Draft202012Validator({**schema, "components": document["components"]}, format_checker=FORMATS)
    return [f"{error.json_path}: {error.message}" for error in check.iter_errors(value)]


def address(path: str, names: dict[str, str]) -> str:
    """Where a path leads to an answer: of the events a page, because their stream has no end."""
    found = path.replace("{system}", "desk").replace("{key}", "tab-1")
    for name, value in names.items():
        found = found.replace("{" + name + "}", value)
    return found + "?after=" if path == EVENTS else found


async def names_for(at: House, agent_id: str, method: str, path: str) -> dict[str, str]:
    """What is named by a path; what it will end is there for that alone."""
    names = {"agent_id": agent_id, "team": "support", "skill": "french", "key_id": ""}
    if (method, path) == ("DELETE", "/v1/agents/{agent_id}"):
        names["agent_id"] = (await at.agent("Zed")).id
    if "{key_id}" in path:
        names["key_id"] = (await at.key("read"))[3:29]
    for kind in ("team", "skill"):
        if (method, path) == ("DELETE", f"/v1/{kind}s/{{{kind}}}"):
            names[kind] = "short-lived"
            made = {"name": "Short lived"}
            answer = await at.ask(f"/v1/{kind}s", method="POST", scope="admin", json=made)
            assert answer.status_code == 201
    return names


async def test_the_parameters_of_pages_are_those_it_takes() -> None:
    async with house() as at:
        operation = (await description(at))["paths"][EVENTS]["get"]
        told = tuple(one["name"] for one in operation["parameters"] if one["in"] == "query")
        assert told == stream.PARAMETERS
        limit = operation["parameters"][-1]["schema"]["maximum"]
        assert (await at.ask(f"{EVENTS}?after=&limit={limit}")).status_code == 200
        assert (await at.ask(f"{EVENTS}?after=&limit={limit + 1}")).status_code == 422


async def test_every_example_is_right_by_the_schema_beside_it() -> None:
    """In the description as it is served: what is written down here may be lost on the way."""
    async with house() as at:
        document = await description(at)
        shown = 0
        for place, operation in operations(document).items():
            contents = [answer.get("content", {}) for answer in operation["responses"].values()]
            contents.append(operation.get("requestBody", {}).get("content", {}))
            for media in (media for content in contents for media in content.values()):
                assert at_fault(document, media["schema"], media["example"]) == [], place
                shown += 1
            for parameter in operation.get("parameters", []):
                for example in parameter.get("examples") or [parameter.get("example")]:
                    if example is not None:
                        assert at_fault(document, parameter["schema"], example) == [], (place, parameter)
        for status, answer in document["components"]["responses"].items():
            (media,) = answer["content"].values()
            assert at_fault(document, media["schema"], media["example"]) == [], status
        bodies = sum("requestBody" in operation for operation in operations(document).values())
        assert bodies >= 11
        assert shown == len(operations(document)) + 1 + bodies, "each answer, the stream, and the bodies"


async def test_what_is_answered_is_described_and_right_by_its_schema() -> None:
    """Statuses, bodies and ETags of every route; also where a GET brings a body that is too large."""
    async with house() as at:
        ann = await at.agent("Ann", skills=["french"])
        workspace = await at.workspace(external_id="T012AB3CD")
        await at.core.feed_live(workspace.id)
        at.core.report("slack", workspace.id, "Install the app again.")
        document = await description(at)
        for (method, path), operation in operations(document).items():
            real = address(path, await names_for(at, ann.id, method, path))
            scope = (operation["security"] or [{"key": ["read"]}])[0]["key"][0]
            sent = [b"x" * 70_000]
            if "requestBody" in operation:
                sent.append(
                    json.dumps(operation["requestBody"]["content"]["application/json"]["example"]).encode()
                )
            told = [await at.ask(real, method=method, scope=scope, content=content) for content in sent]
            if "requestBody" not in operation:
                told.append(await at.ask(real, method=method, scope=scope))
            assert [answer.status_code for answer in told] == [413, int(good(operation))], (method, path)
            for answer in told:
                status = str(answer.status_code)
                described = operation["responses"][status]
                if "$ref" in described:
                    described = document["components"]["responses"][f"Problem{status}"]
                kind, media = next(iter(described["content"].items()))
                assert answer.headers["content-type"].startswith(kind)
                if kind != "text/plain":
                    assert at_fault(document, media["schema"], answer.json()) == [], (method, path)
            described = operation["responses"][good(operation)].get("headers", {})
            assert ("location" in told[-1].headers) == ("Location" in described)
            assert ("etag" in told[-1].headers) == ("ETag" in described) == ("304" in operation["responses"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.__name__)
def test_examples_are_whole_answers(document: type) -> None:
    example = dict(EXAMPLES[document])
    assert next(iter(example)) == "as_of"
    del example["as_of"]
    assert again(example, document) == example


async def test_real_answers_have_the_fields_that_are_described() -> None:
    async with house() as at:
        ann = await at.agent("Ann", skills=["french"])
        workspace = await at.workspace()
        await at.core.feed_live(workspace.id)
        at.core.report("slack", workspace.id, "Install the app again.")
        await at.ask(
            f"/v1/agents/{ann.id}/external-ids/desk", method="PUT", scope="admin", json={"external_id": "1"}
        )
        by_name = {document.__name__: document for document in DOCUMENTS}
        for (method, path), operation in operations(await description(at)).items():
            if method != "GET" or not path.startswith("/v1"):
                continue
            scope = operation["security"][0]["key"][0]
            answer = await at.ask(address(path, await names_for(at, ann.id, method, path)), scope=scope)
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            document = by_name[schema["allOf"][1]["$ref"].rpartition("/")[2]]
            body = answer.json()
            assert body.pop("as_of")
            assert again(body, document) == body, path


def test_the_docs_hold_every_code_with_its_status() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", DOCS, re.MULTILINE))
    assert told == {code: str(kind.status) for code, kind in KINDS.items()}


async def test_the_docs_hold_every_metric_with_kind_and_labels() -> None:
    async with house() as at:
        workspace = await at.workspace()
        await at.core.feed_live(workspace.id)
        await at.ask("/v1/teams")
        page = (await at.client.get("/metrics")).text
        found = {}
        for family in text_string_to_metric_families(page):
            if family.name.startswith("rollcall_"):
                name = family.name + ("_total" if family.type == "counter" else "")
                labels = {label for sample in family.samples for label in sample.labels} - {"le"}
                found[name] = (family.type, labels)
        told = {
            name: (kind, set(labels.replace(",", " ").split()))
            for name, kind, labels in re.findall(
                r"^\| `(rollcall_\w+)` \| (\w+) \|([\w, ]*)\|", DOCS, re.MULTILINE
            )
        }
        assert told == found


async def test_the_examples_in_the_docs_are_read_as_they_stand() -> None:
    """Each block of JSON is one of the documented bodies."""
    blocks = [
        json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    ]
    availability, load, hours, page, presence, agent, problem = blocks
    assert agent == ADD_AGENT
    assert page == EXAMPLES[EventPage]
    known = {document.__name__: EXAMPLES[document] for document in DOCUMENTS}
    assert availability == known["Availability"]
    async with house() as at:
        ann = await at.agent("Ann")
        kept: httpx.Response = await at.ask(
            f"/v1/agents/{ann.id}/load", method="PUT", scope="route", json=load
        )
        assert kept.status_code == 200
        placed = await at.ask(f"/v1/agents/{ann.id}/presence", method="PUT", scope="presence", json=presence)
        assert placed.json()["presence"] == "away"
        kept = await at.ask("/v1/teams/support/hours", method="PUT", scope="admin", json=hours)
        assert (kept.json()["weekly"], kept.json()["days_off"]) == (hours["weekly"], hours["days_off"])
        refused = (await at.ask("/v1/availability?tema=support")).json()
        assert {**refused, "request_id": problem["request_id"]} == problem
