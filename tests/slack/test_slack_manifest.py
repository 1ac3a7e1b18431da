"""The manifest to paste: Slack takes it, and it holds what the adapter uses."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.slack import RESERVED_COMMANDS, FakeSlack, validate_manifest
from slack_house import RecordingCore, running

from adapters.slack.manifest import manifest
from bot.commands import TABLE
from bot.config import SLACK_RESERVED, Config

SECRETS = {"bot_token": "xoxb-canary", "app_token": "xapp-canary", "signing_secret": "canary"}


def config(**more: Any) -> Config:
    return Config.model_validate({"slack": {**SECRETS, **more}})


@pytest.mark.parametrize("mode", ["socket", "http"])
def test_slack_would_take_the_manifest(mode: str) -> None:
    assert validate_manifest(manifest(config(mode=mode), host="rollcall.example.org")) == []


def test_a_manifest_can_be_had_before_slack_is_configured() -> None:
    made = manifest(Config())
    assert validate_manifest(made) == []
    assert made["settings"]["socket_mode_enabled"] is True


def test_commands_carry_the_configured_names_and_no_reserved_one() -> None:
    commands = manifest(config(names={"who": "team"}))["features"]["slash_commands"]
    names = {one["command"] for one in commands}
    assert names == {"/available", "/brb", "/team", "/presence"}
    assert not names & RESERVED_COMMANDS
    assert all(one["should_escape"] for one in commands)


def test_the_configuration_refuses_every_name_slack_reserves() -> None:
    assert {f"/{name}" for name in SLACK_RESERVED} == RESERVED_COMMANDS


def test_the_group_hints_at_every_subcommand() -> None:
    commands = manifest(config())["features"]["slash_commands"]
    hint = next(one["usage_hint"] for one in commands if one["command"] == "/presence")
    below = [spec.name.partition(" ")[2] for spec in TABLE if " " in spec.name]
    assert hint.split(" | ") == below


def test_http_mode_names_the_request_url_everywhere() -> None:
    made = manifest(config(mode="http"), host="rollcall.example.org")
    url = "https://rollcall.example.org/slack/events"
    assert {one["url"] for one in made["features"]["slash_commands"]} == {url}
    assert made["settings"]["event_subscriptions"]["request_url"] == url
    assert made["settings"]["interactivity"]["request_url"] == url


def test_no_secret_is_in_the_manifest() -> None:
    assert "canary" not in str(manifest(config()))


async def test_the_adapter_lives_with_exactly_what_the_manifest_asks_for() -> None:
    """Installed from the manifest: its scopes, its events, its commands, and nothing lacks."""
    async with FakeSlack() as slack:
        slack.add_user("U1", "maria", presence="active")
        slack.install(manifest(config()))
        core = RecordingCore()
        core.watch("U1")
        async with running(slack, core, presence=True) as platform:
            await core.until(lambda: core.sightings)
            assert "away: 30m" in (await slack.command("U1", "/brb", "30m")).shown
            await slack.deactivate("U1")
            await core.until(lambda: core.left)
            assert platform.name == "slack"
        assert core.banners == []
        assert slack.violations == []


@pytest.mark.parametrize(
    ("slack", "presence", "asked"),
    [
        ({}, {}, False),
        ({"do_not_disturb": True}, {}, True),
        ({"do_not_disturb": True}, {"do_not_disturb": "off"}, False),
        ({"do_not_disturb": True}, {"do_not_disturb": "no_new_chats"}, True),
    ],
)
def test_do_not_disturb_is_asked_for_only_where_it_is_wanted(
    slack: dict[str, Any], presence: dict[str, Any], asked: bool
) -> None:
    """Its scope makes an admin think twice."""
    made = manifest(Config.model_validate({"slack": {**SECRETS, **slack}, "presence": presence}))
    assert ("dnd:read" in made["oauth_config"]["scopes"]["bot"]) is asked
    assert ("dnd_updated_user" in made["settings"]["event_subscriptions"]["bot_events"]) is asked
    assert validate_manifest(made) == []
