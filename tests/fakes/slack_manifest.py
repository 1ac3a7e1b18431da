"""Whether Slack would take an app manifest.

Limits and keys: docs.slack.dev/reference/app-manifest and github.com/slackapi/manifest-schema (v1 of
the schema). Slack documents no list of reserved command names; this one is put together from reports.
"""

from __future__ import annotations

import re
from typing import Any

from fakes.slack_messages import Json


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


RESERVED_COMMANDS = _words(
    """
    /active /apps /archive /away /call /collapse /dm /dnd /expand /feed /feedback /huddle /invite /join /kick
    /leave /me /msg /mute /open /people /prefs /remind /remove /rename /search /shortcuts /shrug /star /status
    /topic /who
    """
)
KNOWN_SCOPES = _words(
    """
    app_mentions:read bookmarks:read bookmarks:write calls:read calls:write channels:history channels:join
    channels:manage channels:read channels:write.invites channels:write.topic chat:write chat:write.customize
    chat:write.public commands conversations.connect:manage conversations.connect:read
    conversations.connect:write dnd:read emoji:read files:read files:write groups:history groups:read
    groups:write groups:write.invites groups:write.topic im:history im:read im:write im:write.topic
    incoming-webhook links.embed:write links:read links:write metadata.message:read mpim:history mpim:read
    mpim:write mpim:write.topic pins:read pins:write reactions:read reactions:write reminders:read
    reminders:write remote_files:read remote_files:share remote_files:write team.billing:read
    team.preferences:read team:read tokens.basic usergroups:read usergroups:write users.profile:read
    users:read users:read.email users:write workflow.steps:execute
    """
)
KNOWN_BOT_EVENTS = _words(
    """
    app_home_opened app_mention app_uninstalled channel_archive channel_created channel_deleted channel_rename
    channel_unarchive dnd_updated_user group_archive group_deleted group_rename member_joined_channel
    member_left_channel message.channels message.groups message.im message.mpim reaction_added
    reaction_removed subteam_created subteam_members_changed subteam_updated team_join team_rename
    tokens_revoked user_change user_huddle_changed user_profile_changed user_status_changed
    """
)
_KEYS: dict[str, set[str]] = {
    "": {"_metadata", "display_information", "features", "oauth_config", "settings"},
    "display_information": {"name", "description", "background_color", "long_description"},
    "features": {"app_home", "bot_user", "shortcuts", "slash_commands", "unfurl_domains", "assistant_view"},
    "features.app_home": {"home_tab_enabled", "messages_tab_enabled", "messages_tab_read_only_enabled"},
    "features.bot_user": {"display_name", "always_online"},
    "oauth_config": {"redirect_urls", "scopes", "token_management_enabled", "pkce_enabled"},
    "oauth_config.scopes": {"bot", "user", "bot_optional", "user_optional"},
    "settings": {"allowed_ip_address_ranges", "event_subscriptions", "interactivity", "socket_mode_enabled"}
    | {"org_deploy_enabled", "token_rotation_enabled", "is_hosted", "incoming_webhooks"},
    "settings.event_subscriptions": {"request_url", "bot_events", "user_events", "metadata_subscriptions"},
    "settings.interactivity": {"is_enabled", "request_url", "message_menu_options_url"},
}
_COMMAND_KEYS = {"command", "url", "description", "usage_hint", "should_escape"}


def validate_manifest(manifest: Json) -> list[str]:
    """Every reason for which Slack would refuse this manifest, or for which it would not work."""
    found = [
        f"{path or 'manifest'} has unknown key {key!r}"
        for path, known in _KEYS.items()
        for key in sorted(set(_at(manifest, path)) - known)
    ]
    name = _at(manifest, "display_information").get("name")
    found += _length("display_information.name", name, 1, 35)
    for key, least, most in (("description", 1, 140), ("long_description", 175, 4000)):
        if key in _at(manifest, "display_information"):
            value = manifest["display_information"][key]
            found += _length(f"display_information.{key}", value, least, most)
    colour = _at(manifest, "display_information").get("background_color")
    if colour is not None and not re.fullmatch(r"#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?", str(colour)):
        found.append(f"display_information.background_color {colour!r} is no colour like #2c2d30")
    if "bot_user" in _at(manifest, "features"):
        shown = _at(manifest, "features.bot_user").get("display_name")
        found += _length("features.bot_user.display_name", shown, 1, 80)
    return found + _commands(manifest) + _scopes(manifest) + _delivery(manifest)


def _commands(manifest: Json) -> list[str]:
    commands = _at(manifest, "features").get("slash_commands", [])
    found = []
    if "slash_commands" in _at(manifest, "features") and not 1 <= len(commands) <= 50:
        found.append(f"features.slash_commands has {len(commands)}, 1 to 50")
    sockets = _at(manifest, "settings").get("socket_mode_enabled") is True
    for at, one in enumerate(commands):
        where = f"slash_commands[{at}]"
        found += [f"{where} has unknown key {key!r}" for key in sorted(set(one) - _COMMAND_KEYS)]
        command = one.get("command")
        found += _length(f"{where}.command", command, 2, 32)
        found += _length(f"{where}.description", one.get("description"), 1, 2000)
        if "usage_hint" in one:
            found += _length(f"{where}.usage_hint", one["usage_hint"], 1, 1000)
        if not re.fullmatch(r"/[^\s/A-Z]+", str(command)):
            found.append(f"{where}.command {command!r} is not / and lower-case letters without spaces")
        if command in RESERVED_COMMANDS:
            found.append(f"{where}.command {command!r} is kept by Slack for itself")
        if not sockets and not str(one.get("url", "")).startswith("https://"):
            found.append(f"{where}.url is missing, and Socket Mode is off")
    names = [one.get("command") for one in commands]
    return found + [f"command {name!r} is there twice" for name in {n for n in names if names.count(n) > 1}]


def _scopes(manifest: Json) -> list[str]:
    scopes = _at(manifest, "oauth_config.scopes").get("bot", [])
    found = [f"oauth_config.scopes.bot has unknown {one!r}" for one in scopes if one not in KNOWN_SCOPES]
    if len(scopes) != len(set(scopes)):
        found.append("oauth_config.scopes.bot names a scope twice")
    features = _at(manifest, "features")
    if features.get("slash_commands") and "commands" not in scopes:
        found.append("slash commands need the scope commands")
    if scopes and "bot_user" not in features:
        found.append("bot scopes need features.bot_user")
    return found


def _delivery(manifest: Json) -> list[str]:
    settings, found = _at(manifest, "settings"), []
    sockets = settings.get("socket_mode_enabled") is True
    for key in ("socket_mode_enabled", "org_deploy_enabled", "token_rotation_enabled"):
        found += [f"settings.{key} is not true or false"] * (not isinstance(settings.get(key, True), bool))
    events = _at(manifest, "settings.event_subscriptions")
    bot_events = events.get("bot_events", [])
    found += [f"bot_events has unknown {one!r}" for one in bot_events if one not in KNOWN_BOT_EVENTS]
    if len(bot_events) > 100 or len(bot_events) != len(set(bot_events)):
        found.append("bot_events wants at most 100, each once")
    if bot_events and not sockets and not events.get("request_url"):
        found.append("event_subscriptions needs request_url, because Socket Mode is off")
    interactivity = _at(manifest, "settings.interactivity")
    if interactivity and not isinstance(interactivity.get("is_enabled"), bool):
        found.append("settings.interactivity needs is_enabled")
    if interactivity.get("is_enabled") and not sockets and not interactivity.get("request_url"):
        found.append("settings.interactivity needs request_url, because Socket Mode is off")
    return found


def _at(manifest: Json, path: str) -> Json:
    value: Any = manifest
    for key in filter(None, path.split(".")):
        value = value.get(key, {}) if isinstance(value, dict) else {}
    return value if isinstance(value, dict) else {}


def _length(where: str, value: Any, least: int, most: int) -> list[str]:
    if not isinstance(value, str):
        return [f"{where} is missing"]
    if not least <= len(value) <= most:
        return [f"{where} has {len(value)} characters, {least} to {most}"]
    return []
