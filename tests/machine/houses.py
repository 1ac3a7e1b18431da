"""The whole core for the machine: on SQLite, on PostgreSQL, or behind the real HTTP server on a socket.

`House` starts, stops, kills and starts again a `bot.dispatch.Desk` on one database; `Programs` is what other
programs ask of it, in the process itself or by httpx over a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import httpx

from adapters.http.server import HttpServer
from bot.config import Config
from bot.core import Rollcall
from bot.dispatch import Desk
from bot.domain.errors import SignedOff
from bot.domain.facts import Choice, Facts, Interval
from bot.domain.transition import Moved, Step, settle
from bot.ports import Store
from bot.service import keys
from bot.service.set_by import AlreadySo, set_by_program
from storage.admin import check
from storage.database import open_store

SCOPES = ("read", "presence")
PROGRAM = "machine"


class TwoClocks:
    """The wall clock, which may be moved, and the one that never goes back; nobody who sleeps wakes."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._passed = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        await asyncio.get_running_loop().create_future()

    def pass_until(self, now: datetime) -> None:
        """Time goes by."""
        self._passed += (now - self._now).total_seconds()
        self._now = now

    def move(self, length: timedelta) -> None:
        """Somebody sets the wall clock."""
        self._now += length


class Shown(NamedTuple):
    """What others are shown of an agent."""

    presence: str
    reason: str
    source: str
    note: str
    confirmed: bool
    unconfirmed_since: datetime | None
    routable: bool
    code: str


class Kept(NamedTuple):
    """One interval of the history."""

    since: datetime
    until: datetime | None
    presence: str
    reason: str
    source: str
    note: str
    confirmed: bool
    code: str


class Programs(Protocol):
    """What other programs may ask."""

    async def author(self) -> str:
        """As whom a program sets presence."""
        ...

    async def agents(self) -> dict[str, Shown]: ...
    async def available(self) -> tuple[set[str], dict[str, int]]:
        """Who is routable, and how many are of each presence."""
        ...

    async def eligible(self, agent_id: str) -> bool: ...
    async def history(self, agent_id: str) -> list[Kept]: ...
    async def set_presence(
        self, agent_id: str, presence: str, reason: str, seconds: int | None
    ) -> bool | None:
        """Whether it changed anything; None: refused, because they signed off."""
        ...

    async def beat(self, agent_id: str, key: str) -> bool:
        """Whether that opened the session again."""
        ...

    async def log_out(self, agent_id: str, key: str) -> None: ...
    async def close(self) -> None: ...


class Inside:
    """The core's own functions, as the routes call them."""

    def __init__(self, core: Rollcall) -> None:
        self._core = core

    async def author(self) -> str:
        return f"api:{PROGRAM}"

    async def agents(self) -> dict[str, Shown]:
        core = self._core
        now = core.clock.now()
        return {
            row.agent.id: Shown(
                row.verdict.presence.value,
                row.verdict.reason,
                row.verdict.source,
                row.verdict.note,
                row.verdict.confirmed,
                row.verdict.unconfirmed_since,
                not core.roster.why_not(row.agent.id, now),
                row.verdict.reason_code,
            )
            for row in core.roster.rows(now)
        }

    async def available(self) -> tuple[set[str], dict[str, int]]:
        now = self._core.clock.now()
        rows, routable = self._core.roster.best(now, 100)
        assert routable == len(rows)
        pool = self._core.roster.pool(now)
        counts = {"available": pool.available, "away": pool.away, "offline": pool.offline}
        return {row.agent.id for row in rows}, counts

    async def eligible(self, agent_id: str) -> bool:
        return not self._core.roster.why_not(agent_id, self._core.clock.now())

    async def history(self, agent_id: str) -> list[Kept]:
        core, now = self._core, self._core.clock.now()
        kept = await stored_history(core.store, agent_id)
        facts = core.roster.facts(agent_id)
        changes = settle(facts, core.roster.feeds, core.policy, now)[1] if facts is not None else ()
        for change in changes:  # what the next tick will store
            if isinstance(change, Moved):
                after = change.after
                kept[-1] = kept[-1]._replace(until=after.since)
                kept = [one for one in kept if one.since != one.until]
                kept.append(_kept(after, None))
        return kept

    async def set_presence(
        self, agent_id: str, presence: str, reason: str, seconds: int | None
    ) -> bool | None:
        core = self._core
        until_at = None if seconds is None else core.clock.now() + timedelta(seconds=seconds)

        def decide(facts: Facts, at: datetime) -> Step:
            return set_by_program(
                facts,
                core.roster.feeds,
                core.policy,
                at,
                by=f"api:{PROGRAM}",
                name=PROGRAM,
                choice=Choice(presence),
                reason=reason,
                reason_code=core.reasons.of(reason) if presence == "away" else "",
                until_at=until_at,
            )

        try:
            await core.change(agent_id, decide, f"key:{PROGRAM}", f"presence.{presence}")
        except AlreadySo:
            return False
        except SignedOff:
            return None
        return True

    async def beat(self, agent_id: str, key: str) -> bool:
        core = self._core
        renewed = core.sessions.renew(agent_id, key, core.clock.now())
        if renewed is not None:
            return renewed.reopened
        agent = core.roster.agent(agent_id)
        assert agent is not None
        return (await core.sessions.beat(agent, key)).reopened

    async def log_out(self, agent_id: str, key: str) -> None:
        agent = self._core.roster.agent(agent_id)
        assert agent is not None
        await self._core.sessions.log_out(agent, key)

    async def close(self) -> None:
        return


class OverHttp:
    """The same over a connection to the real server, answered as programs are."""

    def __init__(self, core: Rollcall, server: HttpServer, key: str) -> None:
        self._core = core
        self._server = server
        self._running = asyncio.create_task(server.run())
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.AsyncClient(base_url=server.address, headers=headers, timeout=20)
        self._author = f"api:{key.split('_')[1]}"

    @classmethod
    async def open(cls, core: Rollcall) -> OverHttp:
        """A server of its own, and a key for this run of the program."""
        now, organization_id = core.clock.now(), core.organization_id
        key = await core.store.write(lambda tx: keys.create(tx, organization_id, PROGRAM, SCOPES, now, None))
        server = HttpServer(core, {})
        await server.bind()
        return cls(core, server, key)

    async def _ask(self, method: str, path: str, *fine: int, **more: Any) -> Any:
        answer = await self._client.request(method, path, **more)
        assert answer.status_code in (200, *fine), answer.text
        return answer.json()

    async def author(self) -> str:
        return self._author

    async def agents(self) -> dict[str, Shown]:
        body = await self._ask("GET", "/v1/agents")
        assert body["next_cursor"] is None
        for agent in body["agents"]:
            assert await self._one(agent["id"]) == agent
        return {
            agent["id"]: Shown(
                agent["presence"],
                agent["reason"],
                agent["source"],
                agent["note"],
                agent["confirmed"],
                _instant(agent["unconfirmed_since"]),
                agent["routable"],
                agent["reason_code"] or "",
            )
            for agent in body["agents"]
        }

    async def _one(self, agent_id: str) -> Mapping[str, Any]:
        body = await self._ask("GET", f"/v1/agents/{agent_id}")
        return {name: value for name, value in body.items() if name != "as_of"}

    async def available(self) -> tuple[set[str], dict[str, int]]:
        body = await self._ask("GET", "/v1/availability?limit=100")
        assert body["routable"] == len(body["agents"])
        return {agent["id"] for agent in body["agents"]}, body["counts"]

    async def eligible(self, agent_id: str) -> bool:
        body = await self._ask("GET", f"/v1/agents/{agent_id}/eligibility")
        assert body["routable"] is (body["reasons"] == [])
        routable: bool = body["routable"]
        return routable

    async def history(self, agent_id: str) -> list[Kept]:
        kept: list[Kept] = []
        oldest = self._core.clock.now() - timedelta(days=30)
        path, query = f"/v1/agents/{agent_id}/history", {"from": oldest.isoformat()}
        while True:
            body = await self._ask("GET", path, params=query)
            kept.extend(
                Kept(
                    datetime.fromisoformat(one["since"]),
                    _instant(one["until"]),
                    one["presence"],
                    one["reason"],
                    one["source"],
                    one["note"],
                    one["confirmed"],
                    one["reason_code"] or "",
                )
                for one in body["intervals"]
            )
            if body["next_cursor"] is None:
                return kept
            query["cursor"] = body["next_cursor"]

    async def set_presence(
        self, agent_id: str, presence: str, reason: str, seconds: int | None
    ) -> bool | None:
        said = {"presence": presence, "reason": reason, "for_s": seconds}
        path = f"/v1/agents/{agent_id}/presence"
        body = await self._ask("PUT", path, 409, json={k: v for k, v in said.items() if v is not None})
        changed: bool | None = body.get("changed")
        return changed

    async def beat(self, agent_id: str, key: str) -> bool:
        body = await self._ask("PUT", f"/v1/agents/{agent_id}/sessions/{key}")
        assert body["open"]
        reopened: bool = body["reopened"]
        return reopened

    async def log_out(self, agent_id: str, key: str) -> None:
        body = await self._ask("DELETE", f"/v1/agents/{agent_id}/sessions/{key}")
        assert not body["open"]

    async def close(self) -> None:
        await self._client.aclose()
        await self._server.stop()
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


async def stored_history(store: Store, agent_id: str) -> list[Kept]:
    """All intervals of an agent as the database has them."""
    ages = timedelta(days=1000)
    epoch = datetime.fromisoformat("2026-06-01T00:00:00Z")
    found = await store.read(lambda tx: tx.presence.history([agent_id], epoch - ages, epoch + ages))
    return [_kept(one, until) for one, until in found[agent_id]]


def _kept(one: Interval, until: datetime | None) -> Kept:
    told = (one.presence.value, one.reason, one.source, one.note, one.confirmed, one.reason_code)
    return Kept(one.since, until, *told)


class House:
    """One core after another on one database."""

    def __init__(self, url: str, config: Config, clock: TwoClocks, *, http: bool) -> None:
        self.url = url
        self.config = config
        self.clock = clock
        self.http = http
        self.core: Desk
        self.programs: Programs

    async def start(self) -> None:
        """A new process, as it were."""
        self.core = Desk(self.config, open_store(self.url, "normal"), self.clock)
        await self.core.start()
        self.programs = await OverHttp.open(self.core) if self.http else Inside(self.core)

    async def end(self, *, killed: bool) -> None:
        """In order, with its note of when feeds were last seen; or without."""
        await self.core.dispatcher.finish()
        await self.programs.close()
        if not killed:
            await self.core.mark_feeds_seen()
        await self.core.store.close()

    def broken_rules(self) -> list[str]:
        """What `rollcall db check` finds."""
        return [line for line in check(self.url) if not line.startswith("ok")]
