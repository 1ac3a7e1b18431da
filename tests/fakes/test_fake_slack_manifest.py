"""An app manifest is held to Slack's documented limits."""

from __future__ import annotations

import pytest
from fakes.slack import RESERVED_COMMANDS, validate_manifest
from fakes.slack_app import (
    Json,
    manifest,
)


def test_a_good_manifest_has_nothing_wrong() -> None:
    assert validate_manifest(manifest()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"command": "/away"}, "kept by Slack"),
        ({"command": "/" + "x" * 32}, "33 characters"),
        ({"command": "available"}, "is not /"),
        ({"command": "/Available now"}, "lower-case"),
        ({"description": "x" * 2001}, "2001 characters"),
        ({"description": ""}, "0 characters"),
        ({"usage_hint": "x" * 1001}, "1001 characters"),
        ({"hint": "x"}, "unknown key 'hint'"),
    ],
)
def test_a_command_that_slack_would_refuse_is_named(change: Json, complaint: str) -> None:
    [problem] = validate_manifest(manifest(**change))
    assert complaint in problem


def test_limits_and_keys_of_the_whole_manifest_are_checked() -> None:
    many = manifest()
    many["features"]["slash_commands"] = [
        {"command": f"/c{number}", "description": "x"} for number in range(51)
    ]
    assert validate_manifest(many) == ["features.slash_commands has 51, 1 to 50"]
    long = manifest() | {"display_information": {"name": "x" * 36}}
    assert validate_manifest(long) == ["display_information.name has 36 characters, 1 to 35"]
    unknown = manifest() | {"oauth": {}}
    unknown["oauth_config"]["scopes"]["bot"].append("users:everything")
    assert validate_manifest(unknown) == [
        "manifest has unknown key 'oauth'",
        "oauth_config.scopes.bot has unknown 'users:everything'",
    ]
    over_http = manifest()
    over_http["settings"]["socket_mode_enabled"] = False
    assert len(validate_manifest(over_http)) == 3
    assert "/who" in RESERVED_COMMANDS
