"""The app manifest to paste at api.slack.com, made from the command table: `rollcall slack-manifest`."""

from collections.abc import Collection
from typing import Any

from bot.commands import BY_NAME, GROUP, TABLE, TOP, names_on
from bot.config import ONLY, Config, SlackTable
from bot.config.tables import PresenceTable
from bot.domain.hints import HintKind

SCOPES = ("chat:write", "commands", "im:write", "users:read")
EVENTS = ("app_uninstalled", "tokens_revoked", "user_change")
DND_SCOPE, DND_EVENT = "dnd:read", "dnd_updated_user"
GROUP_HELP = "Your presence, why somebody gets chats, time zone, sign off, help"
HOST = "rollcall.example.com"
PATH = "/slack/events"


def path_of(slug: str) -> str:
    """Where Slack reaches an organization's app: the slug is in it, unless it is that of an only one."""
    return PATH if slug == ONLY else f"/slack/{slug}/events"


def hints_of(table: SlackTable | None, presence: PresenceTable) -> frozenset[HintKind]:
    """What is looked for in Slack; do-not-disturb only where its scope is asked for."""
    there = {HintKind.CALL: True, HintKind.DO_NOT_DISTURB: table is not None and table.do_not_disturb}
    return frozenset(kind for kind in HintKind if there[kind] and presence.looks_for(kind))


def scopes_for(hints: Collection[HintKind]) -> tuple[str, ...]:
    """What the bot token must be allowed."""
    return (*SCOPES, DND_SCOPE) if HintKind.DO_NOT_DISTURB in hints else SCOPES


def manifest(config: Config, host: str = HOST) -> dict[str, Any]:
    """The manifest for the configured mode and names.

    `host` is where Slack reaches this server by HTTPS; it is used in HTTP mode only. Limits and keys:
    docs.slack.dev/reference/app-manifest.
    """
    hints = hints_of(config.slack, config.presence)
    events = (*EVENTS, DND_EVENT) if HintKind.DO_NOT_DISTURB in hints else EVENTS
    sockets = config.slack is None or config.slack.mode == "socket"
    url = f"https://{host}{path_of(config.organization.slug)}"
    request = {} if sockets else {"request_url": url}
    at = {} if sockets else {"url": url}
    names = names_on("slack", config.slack.names if config.slack else None)
    subcommands = [spec.name.partition(" ")[2] for spec in TABLE if spec.name.startswith(f"{GROUP} ")]
    rows = [(names[name], BY_NAME[name].help, BY_NAME[name].hint) for name in TOP]
    rows.append((names[GROUP], GROUP_HELP, " | ".join(subcommands)))
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": "Rollcall",
            "description": "Who can take a chat right now",
            "background_color": "#1f6f54",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Rollcall", "always_online": True},
            "slash_commands": [
                {
                    "command": f"/{name}",
                    **at,
                    "description": help_[:2000],
                    **({"usage_hint": hint[:1000]} if hint else {}),
                    "should_escape": True,
                }
                for name, help_, hint in rows
            ],
        },
        "oauth_config": {"scopes": {"bot": list(scopes_for(hints))}},
        "settings": {
            "event_subscriptions": {**request, "bot_events": list(events)},
            "interactivity": {"is_enabled": True, **request},
            "org_deploy_enabled": False,
            "socket_mode_enabled": sockets,
            "token_rotation_enabled": False,
        },
    }
