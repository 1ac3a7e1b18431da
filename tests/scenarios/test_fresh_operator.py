"""From nothing to a bot that answers, with only the README, `rollcall init` and `rollcall doctor`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
from fakes.discord_server import FakeDiscord
from fakes.slack import FakeSlack

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20
PROGRAM = [sys.executable, "-m", "bot.cli"]


def steps() -> list[list[str]]:
    """What the README says to type under "Set it up", up to the start."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Set it up")[2]
    return [line.split() for line in re.findall(r"^rollcall (.*)$", section, re.MULTILINE)][:3]


def surroundings(**more: str) -> dict[str, str]:
    """As on a new machine; what leads to the test servers is a proxy's address to the program."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ROLLCALL_")}
    return {**clean, "PYTHONPATH": str(ROOT), **more}


def answer_questions(words: list[str], folder: Path, answers: Mapping[str, str], env: dict[str, str]) -> str:
    """Somebody at a terminal: waits for each question and answers it. What was on the screen."""
    shown: list[str] = []
    typing = pexpect.spawn(
        PROGRAM[0], [*PROGRAM[1:], *words], cwd=folder, env=env, encoding="utf-8", timeout=PATIENCE
    )
    for question, answer in answers.items():
        typing.expect_exact(question)
        shown.append(typing.before + question)
        typing.sendline(answer)
    typing.expect(pexpect.EOF)
    shown.append(typing.before)
    typing.close()
    assert typing.exitstatus == 0, "".join(shown)
    return "".join(shown)


async def run(words: list[str], folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """A command to its end: its exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *words,
        cwd=folder,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_a_fresh_operator_gets_a_bot_that_answers(tmp_path: Path) -> None:
    """Both platforms; the Presence Intent is forgotten at first, and `doctor` says where its toggle is."""
    init, doctor, start = steps()
    assert (init, doctor[0], start[0]) == (["init"], "doctor", "run")
    async with FakeSlack() as slack, FakeDiscord() as discord:
        guild = discord.add_guild("Acme")
        role = discord.add_role(guild, "Support agents")
        discord.allow_intents(presences=False)
        env = surroundings(
            ROLLCALL_SLACK__BASE_URL=slack.base_url,
            ROLLCALL_DISCORD__BASE_URL=discord.base_url,
            ROLLCALL_DISCORD__GATEWAY_URL=discord.gateway_url,
        )
        shown = await asyncio.to_thread(
            answer_questions,
            init,
            tmp_path,
            {
                "What is your team called?": "Acme Support",
                "In which time zone is it?": "Europe/Berlin",
                "Shall it run in Slack?": "y",
                "Shall it run in Discord?": "y",
                "Paste the Bot User OAuth Token": slack.bot_token,
                "Paste the App-Level Token": slack.app_token,
                "The Application ID?": str(discord.gateway.bot.id),
                "Paste the bot's token": discord.token,
                "The id of the role whose holders are agents?": str(role.id),
                "Where shall the data be?": "",
                "On which port shall the API listen?": "0",
            },
            env,
        )
        for secret in (slack.bot_token, slack.app_token, discord.token):
            assert secret not in shown, "what is secret is typed unseen"
        slack.install(json.loads((tmp_path / "slack-manifest.json").read_text()))
        assert f"https://discord.com/oauth2/authorize?client_id={discord.gateway.bot.id}&" in shown
        assert "rollcall " + " ".join(doctor) in shown
        assert "rollcall " + " ".join(start) in shown

        code, told = await run(doctor, tmp_path, env)
        assert code == 1
        (broken,) = (line for line in told.splitlines() if not line.startswith("ok: "))
        assert "your app → Bot → Privileged Gateway Intents → Presence Intent" in broken
        discord.allow_intents()
        code, told = await run(doctor, tmp_path, env)
        assert (code, [line for line in told.splitlines() if not line.startswith("ok: ")]) == (0, [])

        log = (tmp_path / "log").open("wb")
        program = await asyncio.create_subprocess_exec(*PROGRAM, *start, cwd=tmp_path, env=env, stderr=log)
        try:
            await slack.wait_for_connection(timeout=PATIENCE)
            await discord.connected(timeout=PATIENCE)
            await discord.until(lambda: bool(discord.commands(guild)), "the commands")
            maria = slack.add_user("U1", "Maria")
            typed = await slack.command(maria.id, "/available")
            assert "Available" in typed.shown, typed.shown
            bob = discord.add_member(guild, "bob", status="online", roles=[role], global_name="Bob")
            reply = await discord.slash(bob, guild, "available")
            assert "Available" in reply.text, reply.text

            code, told = await run(doctor, tmp_path, env)
            assert code == 0, told
            assert f"a Rollcall runs on this database (process {program.pid})" in told
            code, told = await run(["who", *start[1:]], tmp_path, env)
            assert told.splitlines()[0] == "Acme Support: 2 available, 0 away, 0 offline", told
        finally:
            program.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                ended = await program.wait()
            log.close()
        assert ended == 0, (tmp_path / "log").read_text()
        assert slack.violations == []
        assert discord.violations == []
