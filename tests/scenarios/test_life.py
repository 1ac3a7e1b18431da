"""The program's own life: leaving under load, killed, started while a platform is down, without any."""

import asyncio
import os
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from discord_scene import DiscordScene, discord_scene
from fakes.discord_model import User
from whole_program import WholeProgram

from bot.config import ConfigError, load_config

CYCLES = 200 if os.environ.get("ROLLCALL_LONG") == "1" else 20
NUMBER = re.compile(r"word (\d+)")


class Talkers:
    """Agents who say one numbered thing after the other, and what each was told is done."""

    def __init__(self, scene: DiscordScene, people: dict[str, User]) -> None:
        self.scene = scene
        self.people = people
        self.told = dict.fromkeys(people, 0)
        """The last number of each that was acknowledged."""
        self.said = dict.fromkeys(people, 0)

    async def talk(self, name: str) -> None:
        """For ever: available, away for a time, away."""
        ways: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("available", "note", {}),
            ("away", "reason", {"until": "30m"}),
            ("away", "reason", {}),
        )
        while True:
            command, field, options = random.choice(ways)
            self.said[name] += 1
            options = {**options, field: f"word {self.said[name]}"}
            reply = await self.scene.fake.slash(self.people[name], self.scene.guild, command, **options)
            if f"word {self.said[name]}" in reply.text:
                self.told[name] = self.said[name]

    def kept(self) -> dict[str, int]:
        """The numbers in the database."""
        rows = self.scene.program.rows(
            "SELECT agent.name, intent_reason FROM presence JOIN agent ON agent.id = agent_id"
        )
        found = {name: NUMBER.fullmatch(reason) for name, reason in rows}
        return {name: int(match[1]) if match else 0 for name, match in found.items()}

    def assert_nothing_is_lost(self) -> None:
        """Each agent's intent is the last one acknowledged, or the one after it, on its way when it ended."""
        kept = self.kept()
        for name, told in self.told.items():
            assert told <= kept.get(name, 0) <= self.said[name]
            self.told[name] = self.said[name] = max(self.said[name], kept.get(name, 0))


async def talkers(scene: DiscordScene, count: int) -> Talkers:
    people = {f"Agent {number}": scene.agent(f"Agent {number}") for number in range(count)}
    return Talkers(scene, people)


async def test_sigterm_under_load_leaves_in_time_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """Row 38: exit code 0 in under 10 s, with commands on their way, connections open, and a message that
    Discord keeps hanging; nothing is lost."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria = scene.agent("Maria")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.say(maria, "away", until="1m")
        scene.fake.slow("POST /channels/*/messages", 60)
        await scene.advance(61)
        await scene.until(lambda: bool(scene.fake.calls("POST", "/channels/*/messages")), "a message")
        load = await talkers(scene, 8)
        tasks = [asyncio.create_task(load.talk(name)) for name in load.people]
        answers: list[int] = []

        async def ask(http: httpx.AsyncClient) -> None:
            with suppress(httpx.TransportError):
                while True:
                    answers.append((await http.get("/v1/availability")).status_code)

        key = {"Authorization": f"Bearer {scene.program.key}"}
        async with httpx.AsyncClient(base_url=scene.program.address, headers=key) as http:
            tasks += [asyncio.create_task(ask(http)) for _ in range(4)]
            async with asyncio.timeout(10):
                while min(load.told.values()) < 3:
                    await asyncio.sleep(0.02)
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await scene.program.stop() == 0
            assert loop.time() - began < 10
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [error for error in ended if isinstance(error, Exception)] == []
        assert set(answers) <= {200, 503}, "what was asked while it left was answered, or refused in order"
        load.assert_nothing_is_lost()
        before = {name: (scene.presences(name), load.kept()[name]) for name in load.people}
        await scene.program.start()
        assert {name: (scene.presences(name), load.kept()[name]) for name in load.people} == before
        await scene.fake.connected(identifies=2)
        await scene.advance(60)
        assert await scene.fake.wait_for_message(maria, "Your time away is over"), "it is still owed"
        assert scene.program.broken() == []


async def test_sigterm_with_commands_in_hand_answers_them(tmp_path: Path) -> None:
    """What is carried out is told: one command still waits for Discord's word on who clicks when SIGTERM
    comes, the answer of another is on its way."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.say(maria, "away", until="1m")
        await scene.advance(61)
        over = await scene.fake.wait_for_message(maria, "Your time away is over")
        lookups, answers = "/guilds/*/members/*", "/interactions/*"
        asked, answered = (len(scene.fake.calls(path=path)) for path in (lookups, answers))
        scene.fake.slow(f"GET {lookups}", 0.7)
        button = next(one for one in over.buttons if one.custom_id).label
        clicking = asyncio.create_task(scene.fake.click(maria, over, button))
        await scene.until(lambda: len(scene.fake.calls(path=lookups)) > asked, "the look-up")
        scene.fake.slow(f"POST {answers}", 0.7)
        saying = asyncio.create_task(scene.fake.slash(ben, scene.guild, "available"))
        await scene.until(lambda: len(scene.fake.calls(path=answers)) > answered, "the answer on its way")
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await scene.program.stop() == 0
        assert loop.time() - began < 10
        assert "You're **Available**" in (await saying).text
        assert not (await clicking).failed
        assert (scene.presences("Ben")[-1], scene.presences("Maria")[-1]) == ("available", "away")


@pytest.mark.long
async def test_kill_9_under_a_stream_of_commands_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Row 1: killed at any step of a command, what was acknowledged is there; the history has no gap."""
    async with discord_scene(tmp_path) as scene:
        load = await talkers(scene, 4)
        for _ in range(CYCLES):
            identifies = scene.fake.identifies
            await scene.program.start()
            await scene.fake.connected(identifies=identifies + 1)
            await scene.until(lambda: bool(scene.fake.commands(scene.guild)), "the commands")
            tasks = [asyncio.create_task(load.talk(name)) for name in load.people]
            await asyncio.sleep(random.uniform(0.05, 0.3))
            scene.program.kill()
            assert scene.program.process is not None
            assert await scene.program.process.wait() == -9
            # An answer that left the program before it died is an acknowledgement.
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert [error for error in ended if isinstance(error, Exception)] == []
            load.assert_nothing_is_lost()
        assert min(load.told.values()) > CYCLES / 4, "the commands came through"
        checked = (await scene.program.cli("db", "check")).splitlines()
        assert checked
        assert all(line.startswith("ok: ") for line in checked)


async def test_http_answers_while_discord_is_down_from_the_start(tmp_path: Path) -> None:
    """Row 16: each platform is supervised apart; when Discord is back, it is connected by itself."""
    async with discord_scene(tmp_path) as scene:
        scene.fake.fail("*", 503, times=1000)
        scene.fake.refuse_connections(1000)
        async with scene.program:
            for _ in range(8):
                await scene.advance(30)
                assert (await scene.program.get("/v1/availability"))["routable"] == 0
            assert "Discord can't be reached" in " ".join(await scene.troubles())
            assert (await scene.program.get("/readyz"))["ready"] is True
            scene.fake.rest.desk.faults.clear()
            scene.fake.refuse_connections(0)
            maria = scene.agent("Maria")
            await scene.until_feed("live", step=10)
            await scene.until(lambda: bool(scene.fake.commands(scene.guild)), "the commands")
            await scene.say(maria, "available")
            await scene.agrees(maria, "Maria", "available")
            await scene.until_no_trouble()


async def test_without_any_platform_the_api_serves_alone(tmp_path: Path) -> None:
    async with WholeProgram(tmp_path, {"team": [{"slug": "support", "name": "Support"}]}) as program:
        answer = await program.get("/v1/availability", team="support")
        assert (answer["routable"], answer["feeds"], answer["troubles"]) == (0, [], [])
        await program.get("/readyz")
        assert await program.stop() == 0


async def test_no_secret_is_ever_told(tmp_path: Path) -> None:
    """Row 35: not in a log at its most talkative, not in an answer, not in an error, not on the way out."""
    token = "MTE3NDAwOTkwMDAwMDAwMDAwMA.canary.Zx9Qw3-token-of-the-bot"
    told: list[str] = []
    async with discord_scene(tmp_path, token=token) as scene, scene.program:
        maria = scene.agent("Maria")
        await scene.ready()
        await scene.say(maria, "available", note=token)
        # Whatever a log quotes may hold it: here a server's name, in a banner.
        scene.fake.outage(scene.fake.add_guild(token))
        await scene.until_trouble("Discord has an outage")
        # Everything that may quote what it was given: a refused connection, a 5xx, a revoked token.
        scene.fake.fail("PUT *", 500, times=1, message=token)
        scene.fake.drop_connections()
        await scene.until_feed("live")
        scene.fake.unauthorized()
        async with asyncio.timeout(5):
            while "refuses the bot's token" not in " ".join(await scene.troubles()):
                await scene.advance(1)
        key = {"Authorization": f"Bearer {scene.program.key}"}
        async with httpx.AsyncClient(base_url=scene.program.address) as http:
            for path in (
                "/v1/agents",
                "/v1/availability",
                "/v1/teams",
                "/metrics",
                "/readyz",
                "/openapi.json",
            ):
                for headers in (key, {}, {"Authorization": f"Bearer {token}"}):
                    answer = await http.get(path, headers=headers)
                    # What people called and wrote themselves is theirs to tell.
                    own = answer.text.replace(f'"note":"{token}"', "").replace(f"the server {token}.", "")
                    told.append(own + str(answer.headers))
        told.append(await scene.program.cli("key", "list"))
        secret = scene.program.key
    log = scene.program.log.read_text()
    assert "Discord refuses the bot's token" in log
    assert "Discord has an outage in the server [secret]." in log
    told.append(log)
    for text in told:
        assert "canary" not in text
        assert secret.rpartition("_")[2] not in text


def test_a_configuration_with_a_mistake_is_told_without_its_secrets(tmp_path: Path) -> None:
    """Row 35: the key and the rule are named, no value of a secret is."""
    path = tmp_path / "rollcall.toml"
    path.write_text('[discord]\ntoken = "canary-1"\ntokn = "canary-2"\n[database]\nurl = ["canary-3"]\n')
    with pytest.raises(ConfigError) as refused:
        load_config(path, {"ROLLCALL_SLACK__BOT_TOKN": "canary-4"})
    assert "discord.tokn is not a key; did you mean token?" in str(refused.value)
    assert "canary" not in str(refused.value)
