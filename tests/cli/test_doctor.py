"""`rollcall doctor`: each thing is ok, or the exact repair is said."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner
from doctor_place import CANARY, Looked, Place, both
from fakes.discord_server import FakeDiscord
from whole_program import toml

from adapters.clock import SystemClock
from bot import doctor
from bot.cli import main
from bot.config import Config
from bot.operations import examined
from bot.ports import Clock, Finding


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- platforms ---


async def test_all_is_well_with_both_platforms(place: Place) -> None:
    async with both() as (_, discord, config):
        looked = await place.look(**config)
        assert looked.broken() == []
        assert looked.ok("Slack bot token").startswith("accepted by ")
        assert looked.ok("Slack scopes") == "all that are needed"
        assert looked.ok("Slack app token") == "accepted, with connections:write"
        assert looked.ok("clock (Slack)") == "right"
        assert looked.ok("Discord token") == "accepted, for Rollcall"
        assert looked.ok("Discord presence intent") == "on"
        assert looked.ok("Discord server").startswith("the bot is in ")
        assert looked.ok("Discord role").endswith(" is there")
        assert discord.violations == []
        told = "\n".join(doctor.line(one) for one in looked.findings)
        for table in (config["slack"], config["discord"]):
            for key in ("bot_token", "app_token", "token"):
                assert table.get(key, CANARY) not in told
        assert CANARY not in told


async def test_each_fault_of_slack_has_its_repair(place: Place) -> None:
    async with both() as (slack, _, config):
        bot = slack.world.tokens[slack.bot_token]
        bot.scopes -= {"users:read", "im:write"}
        slack.world.tokens[slack.app_token].scopes.clear()
        scopes, app = (await place.look(slack=config["slack"])).broken()
        assert scopes.startswith("Slack scopes: The Slack app lacks the scope im:write, users:read:")
        assert "OAuth & Permissions, Bot Token Scopes" in scopes
        assert app.startswith("Slack app token: Slack gives no socket for slack.app_token (missing_scope)")
        assert "App-Level Tokens make one with the scope connections:write" in app
        slack.revoke_token()
        token, _ = (await place.look(slack=config["slack"])).broken()
        assert token.startswith("Slack bot token: Slack refuses slack.bot_token (token_revoked).")
        assert "→ your app → OAuth & Permissions" in token
        slack.restore_token()
        slack.world.tokens[slack.app_token].scopes.add("connections:write")
        bot.scopes |= {"users:read", "im:write"}
        slack.fail("auth.test", status=500)
        slack.fail("apps.connections.open", error="socket_mode_disabled")
        passing, off = (await place.look(slack=config["slack"])).broken()
        assert passing.endswith("Run it again in a minute.")
        assert "Switch it on at https://api.slack.com/apps → your app → Socket Mode" in off


async def test_over_http_the_signing_secret_is_looked_at_and_no_socket_is_asked_for(place: Place) -> None:
    async with both() as (slack, _, config):
        table = {**config["slack"], "mode": "http", "signing_secret": CANARY}
        (secret,) = (await place.look(slack=table)).broken()
        assert secret.startswith(
            "Slack signing secret: slack.signing_secret is not the 32 digits and letters"
        )
        assert CANARY not in secret
        looked = await place.look(slack={**table, "signing_secret": "0123456789abcdef" * 2})
        assert looked.broken() == []
        assert slack.calls("apps.connections.open") == []


async def test_each_fault_of_discord_has_its_repair(place: Place) -> None:
    async with both() as (_, discord, config):
        discord.allow_intents(presences=False)
        table = {**config["discord"], "guilds": ["123"], "agent_roles": []}
        intent, server = (await place.look(discord=table)).broken()
        assert intent.startswith("Discord presence intent: it is off, so nobody's disconnect is seen.")
        assert "→ Bot → Privileged Gateway Intents → Presence Intent" in intent
        assert server.startswith("Discord server: the bot is not in 123. Correct discord.guilds, or open ")
        assert f"client_id={discord.gateway.bot.id}" in server
        looked = await place.look(discord={**config["discord"], "presence": False, "agent_roles": ["77"]})
        assert looked.ok("Discord presence intent") == "not asked for: discord.presence is false"
        (role,) = looked.broken()
        assert role.startswith("Discord role: discord.agent_roles: 77 is no role where the bot is.")
        discord.unauthorized()
        (token,) = (await place.look(discord=table)).broken()
        assert token.startswith("Discord token: Discord refuses discord.token.")
        assert "Bot press Reset Token" in token


async def test_a_bot_in_no_server_gets_the_address_that_invites_it(place: Place) -> None:
    async with FakeDiscord() as discord:
        table = {"token": discord.token, "base_url": discord.base_url}
        (server,) = (await place.look(discord=table)).broken()
        assert server.startswith("Discord server: the bot is in no server. Open this as somebody with Manage")
        assert (
            f"https://discord.com/oauth2/authorize?client_id={discord.gateway.bot.id}&scope=bot+appl"
            in server
        )


async def test_a_dead_network_is_told_within_its_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at one, and the other takes what is sent and never answers."""
    monkeypatch.setattr(doctor, "WITHIN", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        slack = f"http://127.0.0.1:{silent.getsockname()[1]}/api/"
        discord = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        began = asyncio.get_running_loop().time()
        looked = await place.look(
            slack={"bot_token": f"xoxb-{CANARY}", "app_token": f"xapp-{CANARY}", "base_url": slack},
            discord={"token": CANARY, "base_url": discord},
        )
        assert asyncio.get_running_loop().time() - began < 3
    first, second = looked.broken()
    assert first == "Slack: no answer within 0.5 s. See that what it asks is reachable from this machine."
    assert second.startswith("Discord token: Discord can't be reached (ClientConnectorError).")
    assert CANARY not in first + second


async def test_a_clock_that_is_off_is_told_with_how_far_and_how_to_mend_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ahead(self: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=4)

    monkeypatch.setattr(SystemClock, "now", ahead)
    async with both() as (_, _, config):
        found = (await place.look(**config)).broken()
    assert [one.partition(":")[0] for one in found] == ["clock (Slack)", "clock (Discord)"]
    assert re.search(r"this machine's clock is 2(39|4\d) s ahead of Slack's\.", found[0])
    assert found[0].endswith("sudo timedatectl set-ntp true")


async def test_a_platform_from_outside_offers_checks_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def own(config: Config, clock: Clock) -> Sequence[Finding]:
        return [Finding("Matrix", False, "sign in again: matrix-login")]

    async def bad(config: Config, clock: Clock) -> Sequence[Finding]:
        raise RuntimeError(CANARY)

    class Entry:
        def __init__(self, name: str, checks: object) -> None:
            self.name, self._checks = name, checks

        def load(self) -> object:
            return self._checks

    monkeypatch.setattr("bot.operations.entry_points", lambda group: [Entry("b", bad), Entry("a", own)])
    assert (await place.look()).broken() == [
        "Matrix: sign in again: matrix-login",
        "b: it could not be looked at (RuntimeError). Tell us of it.",
    ]


# --- this machine ---


async def test_a_port_is_free_or_the_running_rollcalls_or_somebody_elses(place: Place) -> None:
    async def alive(_: web.Request) -> web.Response:
        return web.json_response({"live": answers})

    answers: object = True
    app = web.Application()
    app.router.add_get("/livez", alive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    place.config["http"] = {"port": port}
    assert (await place.look()).ok("port") == f"{port} is held by the Rollcall that runs"
    answers = "somebody else"
    (taken,) = (await place.look()).broken()
    assert taken.startswith(f"port: 127.0.0.1:{port} can't be had (Address already in use).")
    await runner.cleanup()
    assert (await place.look()).ok("port") == f"{port} is free"


async def test_secrets_that_others_can_read_are_told_with_the_command(place: Place) -> None:
    async with both() as (_, _, config):
        secret = place.folder / "discord"
        secret.write_text(config["discord"].pop("token"))
        secret.chmod(0o644)
        (told,) = (await place.look(discord={**config["discord"], "token_file": "discord"})).broken()
        assert told == f"secrets: others than their owner may read {secret}. Run: chmod 600 {secret}"
        secret.chmod(0o600)
        assert (await place.look(discord={**config["discord"], "token_file": "discord"})).broken() == []
        place.file.chmod(0o644)
        assert Looked(await examined([place.file])).broken() == [], "there is no secret in the file itself"


async def test_a_lead_of_a_platform_that_is_not_there_is_told(place: Place) -> None:
    (told,) = (await place.look(organization={"leads": ["slack:T1:U1"]})).broken()
    assert told == (
        "leads: organization.leads names slack:T1:U1, but there is no [slack]. Set it up, or take it out."
    )


async def test_few_open_files_and_missing_zones_are_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))

    def nothing(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(doctor, "ZoneInfo", nothing)
    zones, files = (await place.look()).broken()
    assert zones == "time zones: they can't be found. Run: pip install --upgrade tzdata"
    assert files.startswith("open files: only 100 are allowed. Allow 4096: LimitNOFILE=")


# --- as it is typed ---


def test_the_exit_code_and_json_say_the_same(place: Place) -> None:
    place.file.write_text(toml(place.config))
    run = CliRunner().invoke(main, ["doctor", "--config", str(place.file)])
    assert run.exit_code == 0, run.output
    assert all(line.startswith("ok: ") for line in run.output.splitlines())
    place.file.write_text(toml({**place.config, "organization": {"leads": ["slack:T1:U1"]}}))
    run = CliRunner().invoke(main, ["doctor", "--json", "--config", str(place.file)])
    assert run.exit_code == 1
    told = json.loads(run.output)
    assert told["ok"] is False
    assert [one["name"] for one in told["findings"] if not one["ok"]] == ["leads"]


def test_a_configuration_that_can_not_be_read_is_all_that_is_told(place: Place) -> None:
    place.file.write_text(f'[http]\nport = "{CANARY}"\nhots = "x"\n')
    run = CliRunner().invoke(main, ["doctor", "--config", str(place.file)])
    assert run.exit_code == 1
    assert sorted(run.output.splitlines()) == [
        "BROKEN: configuration: http.hots is not a key; did you mean host?",
        "BROKEN: configuration: http.port: must be a whole number from 0 to 65535, such as 8080.",
    ]


def test_with_several_organizations_each_finding_says_whose_it_is(tmp_path: Path) -> None:
    """And a roster file is one organization's."""
    first, second = tmp_path / "acme.toml", tmp_path / "zenith.toml"
    first.write_text(toml({"organization": {"slug": "acme"}, **Place(tmp_path).config}))
    second.write_text(toml({"organization": {"slug": "zenith", "leads": ["slack:T1:U1"]}}))
    both_files = ["--config", str(first), "--config", str(second)]
    run = CliRunner().invoke(main, ["doctor", *both_files])
    assert run.exit_code == 1
    assert [line for line in run.output.splitlines() if line.startswith("BROKEN: ")] == [
        "BROKEN: zenith: leads: organization.leads names slack:T1:U1, but there is no [slack]. "
        "Set it up, or take it out.",
        "BROKEN: zenith: platforms: none is set up. Run: rollcall init",
    ]
    file = tmp_path / "roster.toml"
    file.write_text('[[agent]]\nname = "A"\naccounts = ["slack:T1:U1"]\n')
    refused = CliRunner().invoke(main, ["apply", str(file), *both_files])
    assert refused.output == "Say whose it is: --organization acme or --organization zenith.\n"
    done = CliRunner().invoke(main, ["apply", str(file), *both_files, "--organization", "zenith"])
    assert done.output == "A (slack:T1:U1): enrolled\n"
    for slug, count in (("acme", 0), ("zenith", 1)):
        run = CliRunner().invoke(main, ["who", *both_files, "--organization", slug])
        assert f"0 available, 0 away, {count} offline" in run.output
        run = CliRunner().invoke(main, ["export", *both_files, "--organization", slug])
        assert run.output.count("[[agent]]") == count


async def test_no_secret_is_told_whatever_a_check_says() -> None:
    async def careless() -> Sequence[Finding]:
        return [Finding("Matrix", False, f"{CANARY} was refused")]

    (found,) = await doctor.examine([CANARY], [("Matrix", careless)])
    assert found.said == "[secret] was refused"
