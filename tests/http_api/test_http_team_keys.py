"""Keys of some teams: whom they see, what they may change, what the stream tells them; rotation (I13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from follower import Follower, Told
from http_house import House, house

from bot.domain.agent import Agent
from bot.ports import Transaction
from bot.service import keys

AGENTS = "/v1/agents"
ALL = ("read", "presence", "route", "admin")


async def team_key(at: House, *teams: str, scopes: tuple[str, ...] = ALL) -> str:
    """A key of these teams alone."""
    owner, now = at.core.organization_id, at.clock.now()
    text = await at.store.write(lambda tx: keys.create(tx, owner, "test", scopes, now, teams=teams))
    await at.server.app.access.refresh()
    return text


async def crew(at: House) -> tuple[Agent, Agent, Agent]:
    """Ann in support, Bob in billing, Cid in both."""
    ann = await at.agent("Ann", skills=["french"])
    bob = await at.agent("Bob", teams=["billing"], skills=["french"])
    cid = await at.agent("Cid", teams=["support", "billing"])
    for agent in (ann, bob, cid):
        await at.core.name_agent(agent.id, "desk", agent.name, "test")
    return ann, bob, cid


async def admin(at: House, method: str, path: str, body: object) -> None:
    answer = await at.ask(path, method=method, scope="admin", json=body)
    assert answer.status_code in (200, 201), answer.text


def named(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return sorted(agent["name"] for agent in answer.json()["agents"])


async def test_lists_and_availability_hold_the_teams_alone() -> None:
    async with house() as at:
        await crew(at)
        support = await team_key(at, "support")
        for path in (
            AGENTS,
            f"{AGENTS}?presence=available",
            "/v1/availability",
            "/v1/availability?team=support",
        ):
            assert named(await at.ask(path, key=support)) == ["Ann", "Cid"], path
        assert named(await at.ask("/v1/availability?skill=french", key=support)) == ["Ann"]
        body = (await at.ask("/v1/availability", key=support)).json()
        assert (body["routable"], body["counts"]) == (2, {"available": 2, "away": 0, "offline": 0})
        (cid,) = [agent for agent in body["agents"] if agent["name"] == "Cid"]
        assert cid["teams"] == ["support"], "that Cid is in billing, too, is none of its business"
        teams = (await at.ask("/v1/teams", key=support)).json()["teams"]
        assert [(team["slug"], team["routable"]) for team in teams] == [("support", 2)]
        french = (await at.ask("/v1/skills/french", key=support)).json()
        assert (french["routable"], french["counts"]["available"]) == (1, 1)
        whole = await at.key(*ALL)
        assert named(await at.ask("/v1/availability", key=whole)) == ["Ann", "Bob", "Cid"]
        for query in ("team=billing", "team=billin"):
            refused = await at.ask(f"/v1/availability?{query}", key=support)
            assert refused.status_code == 422
            assert "Known: support." in refused.json()["detail"]
            assert (await at.ask(f"{AGENTS}?{query}", key=support)).status_code == 422
        assert (await at.ask("/v1/teams/billing", key=support)).status_code == 404


async def test_several_teams_are_counted_together_and_each_agent_once() -> None:
    async with house() as at:
        ann, _, cid = await crew(at)
        await at.agent("Dan", teams=[])
        both = await team_key(at, "support", "billing")
        body = (await at.ask("/v1/availability?limit=2", key=both)).json()
        assert (body["routable"], len(body["agents"])) == (3, 2)
        assert named(await at.ask("/v1/availability", key=both)) == ["Ann", "Bob", "Cid"]
        await at.away(cid)
        assert named(await at.ask("/v1/availability", key=both)) == ["Ann", "Bob"]
        body = (await at.ask("/v1/availability?skill=french", key=both)).json()
        assert body["counts"] == {"available": 2, "away": 0, "offline": 0}
        assert (await at.ask("/v1/skills/french", key=both)).json()["routable"] == 2
        await at.change_agent(ann, teams=())
        assert named(await at.ask("/v1/availability", key=both)) == ["Bob"]


async def test_what_is_open_and_who_is_expected_is_of_the_teams_alone() -> None:
    """Hours of a team that is not seen open nothing for it, and its agents' shifts are nobody's here."""
    async with house() as at:
        _, bob, cid = await crew(at)
        await admin(at, "POST", "/v1/teams", {"name": "Sales"})
        for path, weekly in (  # at START it is Monday, 9:00 UTC
            ("teams/support", "mon-fri 10:00-17:00"),
            ("teams/billing", "mon-fri 8:00-17:00"),
            ("teams/sales", "mon-fri 12:00-17:00"),
            (f"agents/{bob.id}", "mon-fri 9:37-17:00"),
        ):
            await admin(at, "PUT", f"/v1/{path}/hours", {"zone": "UTC", "weekly": weekly})
        one, several = await team_key(at, "support"), await team_key(at, "support", "sales")
        for key in (one, several):
            body = (await at.ask("/v1/availability", key=key)).json()
            assert (body["open"], body["routable"], body["agents"]) == (False, 0, [])
            assert body["next_expected_at"] == "2026-11-02T10:00:00Z"
        both = await team_key(at, "support", "billing")
        body = (await at.ask("/v1/availability", key=both)).json()
        assert (body["open"], [agent["name"] for agent in body["agents"]]) == (True, ["Cid"])
        assert (await at.ask("/v1/skills", key=several)).json()["skills"][0]["routable"] == 0
        await at.away(cid)
        body = (await at.ask("/v1/availability", key=both)).json()
        assert body["next_expected_at"] == "2026-11-02T09:37:00Z"


CALLS: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("GET", "/eligibility", None),
    ("GET", "/history", None),
    ("GET", "/external-ids", None),
    ("PUT", "/presence", {"presence": "away"}),
    ("PUT", "/sessions/tab", None),
    ("DELETE", "/sessions/tab", None),
    ("PUT", "/load", {"source": "desk", "units": 1}),
    ("PUT", "/external-ids/other", {"external_id": "1"}),
    ("DELETE", "/external-ids/other", None),
    ("PATCH", "", {"capacity": 2}),
    ("PUT", "/skills/refunds", None),
    ("DELETE", "/skills/refunds", None),
    ("PUT", "/teams/support", None),
]


async def test_a_foreign_agent_is_not_there_whatever_is_asked() -> None:
    """404, and the very same as for somebody whom there never was."""
    async with house() as at:
        ann, bob, _ = await crew(at)
        support = await team_key(at, "support")
        await at.ask(
            f"{AGENTS}/{bob.id}/sessions/tab", method="PUT", scope="presence"
        )  # the hot path knows it
        before = (await at.ask(f"{AGENTS}/{bob.id}")).json()
        for method, path, body in CALLS:
            for name in (bob.id, "ext:desk:Bob"):
                foreign = await at.ask(f"{AGENTS}/{name}{path}", method=method, key=support, json=body)
                nobody = await at.ask(f"{AGENTS}/agt_nobody{path}", method=method, key=support, json=body)
                assert foreign.status_code == nobody.status_code == 404, (method, path)
                assert foreign.json()["detail"] == nobody.json()["detail"]
            own = await at.ask(f"{AGENTS}/{ann.id}{path}", method=method, key=support, json=body)
            assert own.status_code == 200, (method, path, own.text)
        after = (await at.ask(f"{AGENTS}/{bob.id}")).json()
        del before["as_of"], after["as_of"]
        assert after == before


async def test_what_is_the_whole_organizations_is_forbidden() -> None:
    async with house() as at:
        ann, _, _ = await crew(at)
        support = await team_key(at, "support")
        calls: list[tuple[str, str, object]] = [
            ("POST", AGENTS, {"platform": "slack", "workspace": "T1", "external_id": "U9", "name": "X"}),
            ("DELETE", f"{AGENTS}/{ann.id}", None),
            ("PATCH", f"{AGENTS}/{ann.id}", {"role": "lead"}),
            ("POST", "/v1/teams", {"name": "X"}),
            ("PATCH", "/v1/teams/support", {"name": "X"}),
            ("DELETE", "/v1/teams/support", None),
            ("POST", "/v1/skills", {"name": "X"}),
            ("PATCH", "/v1/skills/french", {"name": "X"}),
            ("DELETE", "/v1/skills/french", None),
            ("PUT", "/v1/teams/support/hours", {"zone": "UTC", "weekly": "mon 9:00-10:00"}),
            ("DELETE", "/v1/teams/support/hours", None),
            ("GET", "/v1/audit", None),
            ("GET", f"/v1/audit?agent={ann.id}", None),
            ("GET", "/v1/keys", None),
            ("POST", "/v1/keys", {"name": "X", "scopes": ["admin"]}),
            ("POST", f"/v1/keys/{support[3:29]}/rotate", {}),
            ("DELETE", f"/v1/keys/{support[3:29]}", None),
        ]
        for method, path, body in calls:
            answer = await at.ask(path, method=method, key=support, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)
            assert "of some teams alone" in answer.json()["detail"]
        assert (
            await at.ask(f"{AGENTS}/{ann.id}/teams/billing", method="PUT", key=support)
        ).status_code == 404


async def test_who_leaves_the_last_of_the_teams_is_not_there_any_more() -> None:
    async with house() as at:
        ann, _, _ = await crew(at)
        support = await team_key(at, "support")
        left = await at.ask(f"{AGENTS}/{ann.id}/teams/support", method="DELETE", key=support)
        assert (left.status_code, left.json()["teams"]) == (200, [])
        assert (await at.ask(f"{AGENTS}/{ann.id}", key=support)).status_code == 404


async def test_a_key_follows_its_team_to_another_slug_and_sees_nobody_when_it_ends() -> None:
    async with house() as at:
        support = await team_key(at, "support")
        await at.ask("/v1/teams", method="POST", scope="admin", json={"name": "Sales"})
        sales = await team_key(at, "sales")
        await crew(at)
        await at.agent("Dan", teams=["sales"])
        await at.ask("/v1/teams/support", method="PATCH", scope="admin", json={"slug": "help"})
        assert named(await at.ask("/v1/availability", key=support)) == ["Ann", "Cid"]
        assert named(await at.ask("/v1/availability?team=support", key=support)) == ["Ann", "Cid"]
        assert named(await at.ask("/v1/availability", key=sales)) == ["Dan"]
        await at.ask("/v1/teams/sales", method="DELETE", scope="admin")
        assert named(await at.ask("/v1/availability", key=sales)) == []
        assert named(await at.ask(AGENTS, key=sales)) == []


# --- the stream ---


async def happenings(at: House, ann: Agent, bob: Agent, cid: Agent) -> None:
    """What a key of support shall hear of, and what not."""
    await at.away(bob, "unheard")
    await at.away(ann, "heard")

    async def admin(method: str, path: str, body: object = None) -> None:
        answer = await at.ask(path, method=method, scope="admin", json=body)
        assert answer.status_code < 300, answer.text

    await admin("PUT", f"{AGENTS}/{ann.id}/teams/billing")
    await admin("PUT", f"{AGENTS}/{bob.id}/teams/support")
    await at.available(bob)
    await admin("DELETE", f"{AGENTS}/{bob.id}/teams/support")
    await at.away(bob, "unheard again")
    await at.change_agent(cid, teams=("billing",))
    await at.away(cid, "unheard")
    await admin("POST", "/v1/teams", {"name": "Sales"})
    await admin("PATCH", "/v1/teams/support", {"name": "Help"})
    await admin("DELETE", f"{AGENTS}/{bob.id}")
    await admin("DELETE", f"{AGENTS}/{ann.id}")


def heard(ann: Agent, bob: Agent, cid: Agent) -> list[tuple[str, str | None, dict[str, Any]]]:
    return [
        ("presence.changed", ann.id, {"note": "heard"}),
        ("team.joined", bob.id, {"team": "support"}),
        ("presence.changed", bob.id, {"presence": "available"}),
        ("team.left", bob.id, {"team": "support"}),
        ("agent.updated", cid.id, {"left": "support"}),
        ("team.renamed", None, {"slug": "support", "name": "Help"}),
        ("agent.removed", ann.id, {"left": "support"}),
        ("presence.changed", ann.id, {"presence": "offline"}),
    ]


def check(told: list[dict[str, Any]], wanted: list[tuple[str, str | None, dict[str, Any]]]) -> None:
    assert [(one["type"], one["agent_id"]) for one in told] == [(kind, agent) for kind, agent, _ in wanted]
    for one, (_, _, data) in zip(told, wanted, strict=True):
        assert data.items() <= one["data"].items(), one
        assert "billing" not in str(one["data"]), "that team is none of its business"


async def last_of(following: Follower, wanted: int) -> list[Told]:
    found: list[Told] = []
    while len(found) < wanted:
        told = await following.next()
        assert told is not None
        found.append(told)
    return found


async def test_the_stream_tells_of_the_teams_alone_and_that_somebody_left_them() -> None:
    async with house() as at:
        crew_ = await crew(at)
        support, whole = await team_key(at, "support"), await at.key("read")
        async with (
            Follower(at.server.address, support) as following,
            Follower(at.server.address, whole) as everything,
        ):
            await following.begun()
            await everything.begun()
            while len(at.server.app.stream._live) < 2:
                await asyncio.sleep(0.01)
            await happenings(at, *crew_)
            wanted = heard(*crew_)
            told = await last_of(following, len(wanted))
            check([one.data for one in told], wanted)
            assert len(await last_of(everything, 14)) == 14
            ids = [int(one.id) for one in told]
            assert ids == sorted(set(ids)), "positions are everybody's"


async def test_a_key_of_a_team_that_has_ended_never_sees_another_of_that_slug() -> None:
    async with house() as at:
        await admin(at, "POST", "/v1/teams", {"name": "Nights"})
        key = await team_key(at, "nights")
        await admin(at, "DELETE", "/v1/teams/nights", None)
        refused = await at.ask("/v1/teams", method="POST", scope="admin", json={"name": "Nights"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "name")
        assert "is of a team `nights` that has ended" in refused.json()["detail"]
        await at.store.write(lambda tx: keys.revoke(tx, at.core.organization_id, key[3:29], at.clock.now()))
        await admin(at, "POST", "/v1/teams", {"name": "Nights"})


async def test_the_stream_goes_on_when_its_team_is_known_by_another_slug() -> None:
    async with house() as at:
        ann, _, _ = await crew(at)
        async with Follower(at.server.address, await team_key(at, "support")) as following:
            await following.begun()
            while not at.server.app.stream._live:
                await asyncio.sleep(0.01)
            await admin(at, "PATCH", "/v1/teams/support", {"slug": "help"})
            await at.away(ann, "heard")
            told = await last_of(following, 2)
        assert [one.type for one in told] == ["team.renamed", "presence.changed"]


async def test_a_stream_that_ends_while_it_catches_up_is_never_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is seen is looked up in the database, and meanwhile its key may have been ended."""
    lived: list[object] = []

    class Noting(dict[Any, Any]):
        def __setitem__(self, connection: object, sight: object) -> None:
            lived.append(connection)

    async with house() as at:
        server, looked = at.server.app.stream, asyncio.Event()
        server._live = Noting()
        seen = server._frames_seen

        async def slowly(*given: Any) -> bytes:
            for connection in list(server._open):
                server._end(connection, b": over\n\n")
            looked.set()
            return await seen(*given)

        monkeypatch.setattr(server, "_frames_seen", slowly)
        async with Follower(at.server.address, await team_key(at, "support")) as following:
            await following.begun()
            await looked.wait()
            assert await following.next() is None
    assert lived == []


async def test_a_late_reading_of_keys_brings_no_ended_key_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as at:
        text, access, real = await team_key(at), at.server.app.access, at.core.store.read
        late, begun = asyncio.Event(), asyncio.Event()

        async def slowly(operation: Callable[[Transaction], Any]) -> Any:
            found = await real(operation)
            if not begun.is_set():
                begun.set()
                await late.wait()
            return found

        monkeypatch.setattr(at.core.store, "read", slowly)
        periodic = asyncio.create_task(access.refresh())
        await begun.wait()
        await at.store.write(lambda tx: keys.revoke(tx, at.core.organization_id, text[3:29], at.clock.now()))
        newer = asyncio.create_task(access.refresh())
        await asyncio.sleep(0.05)
        late.set()
        await asyncio.gather(periodic, newer)
        assert (await at.ask("/v1/agents", key=text)).status_code == 401


async def test_who_comes_back_late_hears_what_is_theirs_and_when_they_left() -> None:
    """By who is in the teams now: what somebody did before they left is told no more, that they left is."""
    async with house() as at:
        ann, bob, cid = await crew(at)
        support = await team_key(at, "support")
        begin = (await at.ask("/v1/events?after=", key=support)).json()["last"]
        await happenings(at, ann, bob, cid)
        wanted = [one for one in heard(ann, bob, cid) if one[:2] != ("presence.changed", bob.id)]
        page = (await at.ask(f"/v1/events?after={begin}&limit=500", key=support)).json()
        check(page["events"], wanted)
        async with Follower(at.server.address, support, begin) as following:
            check([one.data for one in await last_of(following, len(wanted))], wanted)
        at.server.app.stream.recent.begin(at.server.app.stream.publisher.head)
        async with Follower(at.server.address, support, begin) as following:
            check([one.data for one in await last_of(following, len(wanted))], wanted)


async def test_a_quiet_stream_keeps_up_with_the_position() -> None:
    """Else the last event it has would be forgotten one day, and it told `reset`."""
    async with house() as at:
        _, bob, _ = await crew(at)
        async with Follower(at.server.address, await team_key(at, "support")) as following:
            await following.begun()
            while not at.server.app.stream._live:
                await asyncio.sleep(0.01)
            await at.away(bob)
            await at.server.app.stream.publisher.publish()
            head = str(at.server.app.stream.publisher.head)
            assert following.last != head
            reading = asyncio.ensure_future(following.next(within=5))
            await at.clock.advance(seconds=16)
            async with asyncio.timeout(5):
                while following.last != head:
                    await asyncio.sleep(0.01)
            reading.cancel()


# --- rotation ---


async def test_both_secrets_hold_for_the_overlap_and_then_the_new_one_alone() -> None:
    async with house() as at:
        old = await at.key("read")
        rotate = f"/v1/keys/{old[3:29]}/rotate"
        made = (await at.ask(rotate, method="POST", scope="admin", json={"overlap_s": 3600})).json()
        new = made["key"]
        assert new[:29] == old[:29] and new != old
        assert made["old_secret_until"] == "2026-11-02T10:00:00Z"

        async def counts(key: str) -> int:
            return (await at.ask("/v1/teams", key=key)).status_code

        assert (await counts(old), await counts(new)) == (200, 200)
        await at.clock.advance(hours=1)
        assert (await counts(old), await counts(new)) == (200, 200), "at the very instant still"
        await at.clock.advance(microseconds=1)
        assert (await counts(old), await counts(new)) == (401, 200)


async def test_a_second_rotation_ends_the_oldest_secret_and_revoking_ends_all() -> None:
    async with house() as at:
        first = await at.key("read")
        path = f"/v1/keys/{first[3:29]}"
        second = (await at.ask(f"{path}/rotate", method="POST", scope="admin", json={})).json()["key"]
        third = (await at.ask(f"{path}/rotate", method="POST", scope="admin", json={})).json()["key"]

        async def counted() -> list[int]:
            return [(await at.ask("/v1/teams", key=key)).status_code for key in (first, second, third)]

        assert await counted() == [401, 200, 200]
        shown = await at.ask("/v1/keys", scope="admin")
        assert not any(key[30:] in shown.text for key in (first, second, third))
        assert (await at.ask(path, method="DELETE", scope="admin")).json()["revoked_at"]
        assert await counted() == [401, 401, 401]
        for method, behind in (("DELETE", ""), ("POST", "/rotate")):
            body: object = {} if method == "POST" else None
            gone = await at.ask(path + behind, method=method, scope="admin", json=body)
            assert gone.status_code == 404


async def test_a_stream_opened_by_the_old_secret_ends_with_it() -> None:
    async with house() as at:
        old = await at.key("read")
        async with Follower(at.server.address, old) as following:
            await following.begun()
            path = f"/v1/keys/{old[3:29]}/rotate"
            new = (await at.ask(path, method="POST", scope="admin", json={"overlap_s": 60})).json()["key"]
            async with Follower(at.server.address, new) as other:
                await other.begun()
                await at.clock.advance(seconds=50)
                assert at.server.app.stream.listeners == 2
                await at.clock.advance(seconds=15)
                async with asyncio.timeout(5):
                    while at.server.app.stream.listeners != 1:
                        await asyncio.sleep(0.01)
                assert await following.next() is None


async def test_a_key_is_made_with_teams_days_and_scopes_and_told_once() -> None:
    async with house() as at:
        body = {"name": "desk", "scopes": ["route", "read"], "teams": ["billing", "support"], "days": 30}
        headers = {"idempotency-key": "k1"}
        made = await at.ask("/v1/keys", method="POST", scope="admin", json=body, headers=headers)
        told = made.json()
        assert made.status_code == 201
        assert (told["scopes"], told["teams"]) == (["read", "route"], ["support", "billing"])
        assert told["expires_at"] == "2026-12-02T09:00:00Z"
        assert (await at.ask("/v1/teams", key=told["key"])).status_code == 200, "at once"
        again = await at.ask("/v1/keys", method="POST", scope="admin", json=body, headers=headers)
        assert again.status_code == 201
        assert again.json() == {**told, "key": None}, "no secret is kept to be told again"
        refused: list[tuple[dict[str, object], str]] = [
            ({"name": "x", "scopes": []}, "scopes"),
            ({"name": "x", "scopes": ["boss"]}, "scopes.0"),
            ({"name": " \u200b", "scopes": ["read"]}, "name"),
            ({"name": "x", "scopes": ["read"], "teams": ["sales"]}, "teams"),
            ({"name": "x", "scopes": ["read"], "days": 0}, "days"),
            ({"scopes": ["read"]}, "name"),
        ]
        for wrong, field in refused:
            answer = await at.ask("/v1/keys", method="POST", scope="admin", json=wrong)
            assert answer.status_code == 422, wrong
            assert answer.json()["errors"][0]["field"] == field
        kept = await at.store.read(lambda tx: tx.ledger.keys())
        assert len([key for key in kept if key.name != "test"]) == 1


async def test_keys_come_in_pages() -> None:
    async with house() as at:
        for _ in range(3):
            await at.clock.advance(seconds=1)
            await at.key("read")
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await at.ask(f"/v1/keys?limit=2{cursor}", scope="admin")).json()
            seen += [key["id"] for key in page["keys"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert len(seen) == len(set(seen)) == 4


async def test_keys_of_another_organization_are_not_there() -> None:
    """I13: not listed, not rotated, not ended."""
    async with house() as at:
        now = at.clock.now()
        other = await at.store.write(lambda tx: tx.members.ensure_organization("other", "Other", now))
        theirs = await at.key("read", organization=other)
        path = f"/v1/keys/{theirs[3:29]}"
        assert theirs[3:29] not in (await at.ask("/v1/keys", scope="admin")).text
        assert (await at.ask(f"{path}/rotate", method="POST", scope="admin", json={})).status_code == 404
        assert (await at.ask(path, method="DELETE", scope="admin")).status_code == 404
        (kept,) = await at.store.read(lambda tx: tx.ledger.keys(other))
        assert (kept.rotated_at, kept.revoked_at) == (None, None)
