"""A live-chat console on the whole program: silence, a restart in the middle of a lease, kill -9; on both
databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from whole_program import WholeProgram

from bot.config import load_config
from bot.domain.choices import choose_available
from bot.domain.facts import Policy
from bot.ports import Profile, Transaction
from bot.service import configured, members
from bot.service.presence import Step, record
from bot.wiring import open_beside

STEP = 7.0
"""Seconds by which the clock is moved at a time: more than 10 would be a program that was not there."""


class Consoles:
    """Ann and Bob, whom a lead has set Available, and their consoles."""

    def __init__(self, program: WholeProgram) -> None:
        self.program = program
        self.ids: dict[str, str] = {}

    async def enrolled(self) -> None:
        """Both are agents, before the program runs."""
        await self.program.prepare()
        config = load_config(self.program.path, {})
        store, _ = open_beside(config)
        at = datetime.now(UTC) - timedelta(minutes=5)

        def enrol(tx: Transaction, name: str) -> str:
            organization_id = configured.prepare(tx, config, at)
            workspace = tx.members.ensure_workspace(organization_id, "slack", "T1", "Shop", at)
            agent, facts = members.enrol(
                tx, organization_id, workspace, Profile(name, name), config, "operator", at
            )
            chosen, changes = choose_available(facts, {}, Policy(), at, by="lead:x")
            record(tx, organization_id, Step(facts, chosen, changes), at)
            return agent.id

        try:
            for name in ("Ann", "Bob"):
                self.ids[name] = await store.write(lambda tx, name=name: enrol(tx, name))  # type: ignore[misc]
        finally:
            await store.close()

    async def beat(self, name: str, method: str = "PUT") -> dict[str, Any]:
        """One heartbeat."""
        async with httpx.AsyncClient(base_url=self.program.address, verify=False) as http:
            answer = await http.request(
                method,
                f"/v1/agents/{self.ids[name]}/sessions/tab",
                headers={"Authorization": f"Bearer {self.program.key}"},
            )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def pass_with(self, seconds: float, *beating: str) -> None:
        """Time passes; these consoles go on."""
        for _ in range(round(seconds / STEP)):
            await self.program.advance(STEP)
            for name in beating:
                assert not (await self.beat(name))["reopened"]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_a_lease_outlives_kill_9_and_its_silence_does_not(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    config: dict[str, Any] = {"team": [{"slug": "support", "name": "Support", "everyone": True}]}
    if engine == "postgresql":
        config["database"] = {"url": request.getfixturevalue("postgres_url")}
    program = WholeProgram(tmp_path, config)
    consoles = Consoles(program)
    await consoles.enrolled()
    async with program:
        assert await program.presence_of("Ann") == "offline"
        for name in ("Ann", "Bob"):
            assert (await consoles.beat(name))["open"]
        assert await program.routable() == {"Ann", "Bob"}
        await consoles.pass_with(35, "Ann", "Bob")

        await program.restart(kill=True, asleep=300)
        assert await program.presence_of("Ann") == "available", "nobody could renew while we were down"
        assert await program.routable() == set()
        assert not (await consoles.beat("Ann"))["reopened"]
        assert await program.routable() == {"Ann"}
        await consoles.pass_with(84, "Ann")
        assert await program.presence_of("Bob") == "offline", "his console did not come back"

        await program.restart(asleep=20)
        assert not (await consoles.beat("Ann"))["reopened"]
        assert await program.routable() == {"Ann"}
        await consoles.pass_with(84)
        assert await program.presence_of("Ann") == "offline"
        back = await consoles.beat("Ann")
        assert back["reopened"]
        stretches = (await program.get(f"/v1/agents/{consoles.ids['Ann']}/history"))["intervals"]
        assert [one["presence"] for one in stretches][-3:] == ["available", "offline", "available"]
        assert (stretches[-2]["reason"], stretches[-2]["source"]) == ("disconnected", "session")
        assert not (await consoles.beat("Ann", "DELETE"))["open"]
        assert await program.presence_of("Ann") == "offline"
        checked = (await program.cli("db", "check")).splitlines()
        assert checked
        assert all(line.startswith("ok: ") for line in checked), checked
