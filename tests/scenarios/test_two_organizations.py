"""Two organizations in one program, alike in everything that people and platforms name: neither ever sees or
touches the other (I13), whichever route, stream, command or message it is; on both databases."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from discord_scene import discord_scene
from fakes.slack import User
from follower import Follower
from slack_scene import HOUR, SlackScene, slack_scene
from whole_program import Further, WholeProgram, until_monday

CODE = re.compile(r"/presence link ([2-9A-Z]{4}-[2-9A-Z]{4})")
UNKNOWN = "2222-2222"
NOBODY = "agt_00000000000000000000000000"
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SUMMARY = {"slug": "daily", "team": "support", "channel": "slack:C1", "at": "09:00", "days": EVERY_DAY}
FIRST_ONLY = {"slug": "secret-plan", "name": "Secret plan", "everyone": True}
"""A team that the second organization has not."""


class Two(NamedTuple):
    """Both organizations, with Maria in each: of the same name, team and account."""

    acme: SlackScene
    zenith: SlackScene
    maria: User
    other_maria: User

    @property
    def program(self) -> WholeProgram:
        return self.acme.program

    @property
    def other(self) -> WholeProgram:
        return self.zenith.program

    async def ask(
        self, key: str, method: str, path: str, content: bytes | None = None, **headers: str
    ) -> httpx.Response:
        """One request, with an id that is the same each time."""
        sent = {"x-request-id": "same", **headers}
        if key:
            sent["authorization"] = f"Bearer {key}"
        if content is not None:
            sent["content-type"] = "application/json"
        async with httpx.AsyncClient(base_url=self.program.address, verify=False) as http:
            return await http.request(method, path, content=content, headers=sent)


@asynccontextmanager
async def two(folder: Path, url: str = "", **config: Any) -> AsyncIterator[Two]:
    """Both run, and both Marias are Available; Olga is in the first one alone."""
    database = {"database": {"url": url}} if url else {}
    program = WholeProgram(folder, database, until_monday())
    other = Further(program, "zenith", {})
    acme_is, zenith_is = ({"slug": slug, "name": "Acme"} for slug in ("acme", "zenith"))
    async with (
        slack_scene(program, "socket", organization=acme_is, **config) as acme,
        slack_scene(other, "http", "zenith", organization=zenith_is, **config) as zenith,
    ):
        program.config["team"] = [*program.config["team"], FIRST_ONLY]
        both = Two(acme, zenith, acme.member("maria"), zenith.member("maria"))
        olga = acme.member("olga")
        assert both.maria.id == both.other_maria.id
        async with program:
            for scene in (acme, zenith):
                await scene.ready()
            for person in (both.maria, olga):
                await acme.say(person, "available")
            await zenith.say(both.other_maria, "available")
            yield both


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a database; empty: a file in the folder of the test."""
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""


def ids_of(program: WholeProgram, slug: str) -> set[str]:
    """Every id in the database that belongs to an organization."""
    address: str = program.config["database"]["url"]
    found: set[str] = set()
    for table in ("agent", "identity", "workspace", "event", "audit", "api_key", "notice"):
        query = (
            f"SELECT {table}.id FROM {table} JOIN organization ON organization.id = {table}.organization_id "
            f"WHERE organization.slug = '{slug}'"
        )
        if address.startswith("sqlite"):
            found |= {row[0] for row in program.rows(query)}
        else:
            with psycopg.connect(address) as server:
                found |= {row[0] for row in server.execute(query.encode()).fetchall()}
    return found


# --- over HTTP ---


class Route(NamedTuple):
    """A route as /openapi.json tells it."""

    method: str
    path: str
    body: bytes | None

    def at(self, **values: str) -> str:
        """Its address; a parameter that is not given has the first team's slug."""
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], values["slug"]), self.path)


def routes_of(description: Mapping[str, Any]) -> Iterator[Route]:
    """All that need a key."""
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            if path.startswith("/v1/"):
                body = (
                    told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
                )
                yield Route(method.upper(), path, None if body is None else json.dumps(body).encode())


def headers_of(answer: httpx.Response) -> dict[str, str]:
    """Those that could tell something."""
    passing = {"date", "ratelimit", "content-length"}
    return {name: value for name, value in answer.headers.items() if name not in passing}


async def standing(program: WholeProgram, name: str) -> dict[str, Any]:
    """All of an agent that somebody could change, and nothing that polling does."""
    about = await program.about(name)
    seen = ("last_seen_at", "identities", "confirmed", "unconfirmed_since", "routable")
    return {key: value for key, value in about.items() if key not in seen}


def timeless(answer: httpx.Response) -> str:
    """Its text without the instant for which it was given."""
    return re.sub(r'"as_of":"[^"]*"', '"as_of":"now"', answer.text)


def query(route: Route, slug: str) -> str:
    """What a route is asked behind its address: for a team, or for all events that there are."""
    return {
        "/v1/agents": f"?team={slug}",
        "/v1/availability": f"?team={slug}",
        "/v1/events": "?after=&limit=500",
    }.get(route.path, "")


async def test_no_route_tells_or_takes_anything_of_another_organization(tmp_path: Path, url: str) -> None:
    """Every route of /openapi.json, so that a new one is asked too: to a foreign id it answers what it
    answers to an unknown one, byte for byte but for the id; no answer holds a foreign id or name."""
    async with two(tmp_path, url) as both:
        mine, theirs = both.other, both.program
        maria, olga = await mine.about("maria"), await theirs.about("olga")
        named = f"/v1/agents/{olga['id']}/external-ids/desk"
        assert (await both.ask(theirs.key, "PUT", named, b'{"external_id": "77"}')).status_code == 200
        before = [await standing(theirs, name) for name in ("maria", "olga")]
        foreign = ids_of(theirs, "acme")
        assert maria["id"] not in foreign
        assert len(foreign) > 10
        found = list(routes_of((await both.ask("", "GET", "/openapi.json")).json()))
        assert len(found) > 12
        for route in found:
            for there, nowhere in ((olga["id"], NOBODY), ("ext:desk:77", "ext:desk:78")):
                told, expected = [
                    await both.ask(
                        mine.key,
                        route.method,
                        route.at(agent_id=agent_id, slug=slug, system="desk", key="tab") + query(route, slug),
                        route.body,
                    )
                    for agent_id, slug in ((there, "secret-plan"), (nowhere, "nosuch-plan"))
                ]
                said = timeless(told).replace(there, nowhere).replace("secret-plan", "nosuch-plan")
                assert said == timeless(expected), route
                assert told.status_code == expected.status_code, route
                assert headers_of(told) == headers_of(expected), route
                if "{agent_id}" in route.path:
                    assert told.status_code == 404, route
            own = route.at(agent_id=maria["id"], slug="support", system="desk", key="tab")
            shown = await both.ask(mine.key, route.method, own + query(route, "support"), route.body)
            assert shown.status_code not in (401, 403, 404), (route, shown.text)
            assert [one for one in foreign if one in shown.text] == [], route
            assert "olga" not in shown.text, route
        assert [await standing(theirs, name) for name in ("maria", "olga")] == before
        assert theirs.broken() == []


async def test_a_wrong_key_is_told_the_same_whoever_has_one_of_that_id(tmp_path: Path) -> None:
    """Also by an address that has tried too often: else a 401 in the place of a 429 would tell which ids
    there are."""
    async with two(tmp_path) as both:
        first, second = both.program.key, both.other.key
        nobodys = "rc_" + "0" * 26 + first[29:]
        mixed = [first[:29] + second[29:], second[:29] + first[29:]]
        answers = [await both.ask(key, "GET", "/v1/availability") for key in (*mixed, nobodys)]
        assert {one.status_code for one in answers} == {401}
        assert len({one.content for one in answers}) == 1
        assert len({tuple(headers_of(one).items()) for one in answers}) == 1
        for _ in range(70):
            last = await both.ask(nobodys, "GET", "/v1/availability")
        assert last.status_code == 429
        for key in mixed:
            assert (await both.ask(key, "GET", "/v1/availability")).status_code == 429
        for key in (first, second):
            assert (await both.ask(key, "GET", "/v1/availability")).status_code == 200


async def test_streams_and_pages_of_events_hold_the_own_ones_alone(tmp_path: Path, url: str) -> None:
    """Live, from a foreign position, and read again; the same session key and external id in both."""
    async with two(tmp_path, url) as both:
        maria, other = await both.program.about("maria"), await both.other.about("maria")
        address = both.program.address
        async with (
            Follower(address, both.program.key) as acme,
            Follower(address, both.other.key) as zenith,
        ):
            await acme.begun()
            await zenith.begun()
            for key, about in ((both.program.key, maria), (both.other.key, other)):
                session = f"/v1/agents/{about['id']}/sessions/tab"
                assert (await both.ask(key, "PUT", session)).status_code == 200
                named = f"/v1/agents/{about['id']}/external-ids/desk"
                assert (await both.ask(key, "PUT", named, b'{"external_id": "7"}')).status_code == 200
                away = f"/v1/agents/{about['id']}/presence"
                assert (await both.ask(key, "PUT", away, b'{"presence": "away"}')).status_code == 200
            for stream, about in ((acme, maria), (zenith, other)):
                told = await stream.next()
                while told is not None and told.type != "presence.changed":
                    assert told.data["agent_id"] in (about["id"], None)
                    told = await stream.next()
                assert told is not None
                assert told.data["agent_id"] == about["id"]
            foreign = acme.last
        async with Follower(address, both.other.key, foreign) as again:
            await both.zenith.say(both.other_maria, "available")
            told = await again.next()
            assert told is not None
            assert told.type == "reset" or told.data["agent_id"] == other["id"]
        for key, about in ((both.program.key, maria), (both.other.key, other)):
            assert (await both.ask(key, "GET", "/v1/agents/ext:desk:7")).json()["id"] == about["id"]
        assert both.program.broken() == []


async def test_metrics_and_health_tell_of_both(tmp_path: Path) -> None:
    async with two(tmp_path) as both:
        page = (await both.ask("", "GET", "/metrics")).text
        assert 'rollcall_agents{organization="acme",presence="available"} 2.0' in page
        assert 'rollcall_agents{organization="zenith",presence="available"} 1.0' in page
        assert 'rollcall_ready{organization="zenith"} 1.0' in page
        assert (await both.ask("", "GET", "/readyz")).json() == {"ready": True}


# --- in chat ---


async def test_commands_and_words_stay_within_the_organization(tmp_path: Path) -> None:
    """Who is there, what a program sets and whom that tells; through kill -9 too."""
    async with two(tmp_path) as both:
        assert "olga" in (await both.acme.say(both.maria, "whosin")).shown
        shown = (await both.zenith.say(both.other_maria, "whosin")).shown
        assert "*Available (1)*" in shown
        assert "olga" not in shown
        refused = await both.zenith.fake.command(both.other_maria.id, "/presence", "why olga")
        assert "There is no agent `olga`" in refused.shown

        theirs = (await both.program.about("maria"))["id"]
        away = b'{"presence": "away", "reason": "fire drill"}'
        assert (await both.ask(both.program.key, "PUT", f"/v1/agents/{theirs}/presence", away)).is_success
        await both.acme.word(both.maria, "fire drill")
        assert await both.zenith.seen(both.other_maria, "maria") == "available"
        await both.acme.restart(kill=True)
        await both.zenith.ready()
        assert await both.acme.seen(both.maria, "maria") == "away"
        assert await both.zenith.seen(both.other_maria, "maria") == "available"
        assert both.zenith.fake.direct_messages(both.other_maria.id) == []
        signed_in = [line for line in both.program.logged() if line["event"] == "Signed in to T1"]
        assert sorted(line["organization"] for line in signed_in) == ["acme", "acme", "zenith", "zenith"]
        assert both.program.broken() == []


async def test_each_posts_its_own_summary_though_they_are_called_the_same(tmp_path: Path) -> None:
    """One slug, one time, one channel's id: two summaries, each of its own people."""
    async with two(tmp_path, summary=[SUMMARY]) as both:
        await both.acme.advance(HOUR + 60)
        for scene, people in ((both.acme, "maria, olga"), (both.zenith, "maria")):
            await scene.wait_for_posts(1)
            (posted,) = scene.fake.messages("C1")
            assert posted.shown.rstrip().endswith(people)
        assert both.program.rows("SELECT count(*) FROM summary_post") == [(2,)]


async def test_in_discord_nothing_is_offered_or_linked_from_another_organization(tmp_path: Path) -> None:
    """Teams to complete, and codes. One's dead token stops that one's bot alone, and each has its own count
    of connections."""
    program = WholeProgram(tmp_path, {}, until_monday())
    other = Further(program, "zenith", {})
    acme_is, zenith_is = ({"slug": slug, "name": "Acme"} for slug in ("acme", "zenith"))
    async with (
        AsyncExitStack() as stack,
        discord_scene(program, organization=acme_is) as acme,
        slack_scene(program, organization=acme_is) as slack,
        discord_scene(other, token="other.bot.token", organization=zenith_is) as zenith,
    ):
        program.config["team"] = [*program.config["team"], FIRST_ONLY]
        await stack.enter_async_context(program)
        olga, maria, sam = acme.agent("Olga"), zenith.agent("Maria"), slack.member("sam")
        for scene, person in ((acme, olga), (zenith, maria)):
            await scene.ready()
            await scene.say(person, "available")
        both = ["Support", "Billing"]
        for scene, person, teams in ((acme, olga, [*both, "Secret plan"]), (zenith, maria, both)):
            offered = await scene.fake.autocomplete(person, scene.guild, "who", "team", "")
            assert [one["name"] for one in offered] == teams

        await slack.ready()
        code = CODE.search((await slack.say(sam, "presence", "link")).shown)
        assert code is not None
        refused = [(await zenith.say(maria, "presence link", code=one)).text for one in (UNKNOWN, code[1])]
        assert refused[0] == refused[1]
        assert "You're one agent now" in (await acme.say(olga, "presence link", code=code[1])).text
        counted = program.rows("SELECT count(*) FROM identify GROUP BY organization_id")
        assert counted == [(1,), (1,)]

        acme.fake.unauthorized()
        await acme.until_feed("down")
        assert "**Away**" in (await zenith.say(maria, "away")).text
        assert await zenith.feed_state() == "live"
        assert await zenith.troubles() == []


# --- starting ---


async def test_an_organization_that_can_not_start_keeps_the_program_from_it_by_its_file_s_name(
    tmp_path: Path,
) -> None:
    program = WholeProgram(tmp_path, {"organization": {"slug": "acme"}})
    Further(program, "zenith", {"platforms": {"slak": {}}})
    with pytest.raises(AssertionError, match=r"zenith.toml: platforms.slak: no such platform is installed"):
        await program.start()
    assert program.process is not None
    assert await program.process.wait() == 1
