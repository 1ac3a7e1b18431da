"""The roster as a file, beside a program that runs: exported, changed, applied, and taken over at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import tomlkit
from click.testing import CliRunner
from discord_scene import discord_scene
from whole_program import WholeProgram

from bot.cli import main


async def cli(program: WholeProgram, *words: str) -> str:
    """As `program.cli`, in this process: without the seconds that another one takes to start."""
    run = await asyncio.to_thread(CliRunner().invoke, main, [*words, "--config", str(program.path)])
    assert run.exit_code == 0, run.output
    return run.stdout.strip()


async def test_an_applied_file_is_what_a_running_program_says_a_moment_later(tmp_path: Path) -> None:
    """An agent changed, somebody new who is seen, somebody removed, a team made: without a restart."""
    async with discord_scene(tmp_path) as scene:
        scene.program.ahead = scene.fake.ahead = 0  # the command line is another process, by the real clock
        maria, bob = scene.agent("Maria"), scene.agent("Bob")
        alex = scene.fake.add_member(scene.guild, "alex", status="online", global_name="Alex")
        async with scene.program as program:
            await scene.ready()
            for person in (maria, bob):
                await scene.say(person, "available")
            file = tmp_path / "roster.toml"
            roster = tomlkit.parse(await cli(program, "export")).unwrap()
            billing = next(team for team in roster["team"] if team["slug"] == "billing")
            billing["name"] = "Invoices"
            (row,) = (one for one in roster["agent"] if one["name"] == "Maria")
            row |= {"skills": ["german"], "capacity": 5}
            account = f"discord:{scene.guild.id}:{alex.id}"
            new = {"name": "Alex", "accounts": [account], "teams": ["billing"], "capacity": 2}
            file.write_text(tomlkit.dumps({**roster, "agent": [row, new]}))

            dry = await cli(program, "apply", str(file), "--prune", "--dry-run")
            assert dry.endswith("That is what would change. Nothing was changed.")
            assert {agent["name"] for agent in (await program.get("/v1/agents"))["agents"]} == {
                "Maria",
                "Bob",
            }
            told = await program.cli("apply", str(file), "--prune")
            assert told.splitlines() == dry.splitlines()[:-1]
            assert "team billing: called Invoices, was Billing" in told
            assert f"Alex ({account}): enrolled" in told

            await program.until_about("Alex", lambda one: one["capacity"] == 2, "Alex to be an agent")
            about = await program.about("Maria")
            assert (about["capacity"], about["skills"], about["presence"]) == (5, ["german"], "available")
            assert await program.presence_of("Bob") == "nobody"
            assert await scene.seen(maria, "Bob") == "nowhere"
            teams = {team["slug"]: team["name"] for team in (await program.get("/v1/teams"))["teams"]}
            assert teams["billing"] == "Invoices"
            await scene.say(alex, "available")
            await scene.agrees(maria, "Alex", "available")

            assert await cli(program, "apply", str(file), "--prune") == (
                "Nothing to change: the roster is what the file says."
            )
            assert program.broken() == []
            assert [stretch.presence for stretch in scene.history("Bob")][-1] == "offline"

            page = await cli(program, "who")
            assert page.splitlines()[0] == "Acme Support: 2 available, 0 away, 0 offline"
            assert "unconfirmed" not in page
            there = json.loads(await cli(program, "who", "Invoices", "--json"))
            (shown,) = there["agents"]
            seen = await program.about("Alex")
            assert {**shown, "last_seen_at": None} == {**seen, "last_seen_at": None}
            rights = program.rows("SELECT DISTINCT actor FROM audit WHERE action = 'agent.removed'")
            assert rights == [("operator",)]


async def test_a_refused_file_changes_nothing_and_says_so(tmp_path: Path) -> None:
    async with discord_scene(tmp_path) as scene, scene.program as program:
        await scene.ready()
        file = tmp_path / "roster.toml"
        file.write_text('[[team]]\nslug = "night"\nname = "Night"\n[[agent]]\nname = "A"\naccounts = "x"\n')
        with pytest.raises(AssertionError) as no:
            await program.cli("apply", str(file))
        assert str(no.value).startswith("[[agent]] 1 (A), accounts: must be a list, such as")
        assert "Nothing was changed." in str(no.value)
        assert {team["slug"] for team in (await program.get("/v1/teams"))["teams"]} == {"support", "billing"}
