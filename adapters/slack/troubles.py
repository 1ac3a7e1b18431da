"""What can be wrong with Slack, told to people with the exact repair."""

from datetime import datetime

from bot.ports import Core

APPS = "https://api.slack.com/apps"


class Troubles:
    """The banner of one workspace (or of the app): as long as several things are wrong, it names all."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._told: dict[str | None, dict[str, str]] = {}

    def raise_(self, kind: str, sentence: str, workspace_id: str | None = None) -> None:
        """`kind` names the trouble until `clear(kind)`; the same sentence is told once."""
        told = self._told.setdefault(workspace_id, {})
        if told.get(kind) != sentence:
            told[kind] = sentence
            self._tell(workspace_id)

    def clear(self, kind: str, workspace_id: str | None = None) -> None:
        """That trouble is over."""
        if self._told.get(workspace_id, {}).pop(kind, None) is not None:
            self._tell(workspace_id)

    def _tell(self, workspace_id: str | None) -> None:
        self._core.report("slack", workspace_id, " ".join(self._told[workspace_id].values()) or None)


def bot_token_dead(error: str) -> str:
    """Nothing works until somebody acts."""
    return (
        f"Slack refuses the bot token ({error}), so Rollcall has stopped calling Slack. "
        f"Reinstall the app at {APPS} (OAuth & Permissions, Reinstall to Workspace), put its "
        "Bot User OAuth Token into slack.bot_token and restart Rollcall."
    )


def app_token_dead(error: str) -> str:
    """Presence is still polled, but no command arrives."""
    return (
        f"Slack refuses the app-level token ({error}), so no command arrives. "
        f"Make one at {APPS} (Basic Information, App-Level Tokens) with the scope connections:write, "
        "put it into slack.app_token and restart Rollcall."
    )


def socket_refused(error: str) -> str:
    """Slack answers, but gives no socket."""
    return (
        f"Slack gives no socket ({error}), so no command arrives. "
        f"Switch Socket Mode on at {APPS} (Settings, Socket Mode) and see that the app-level token has the "
        "scope connections:write; Rollcall keeps trying."
    )


def unreachable(since: datetime, what: str) -> str:
    """`what` is what people miss meanwhile."""
    return (
        f"Slack can't be reached since {since:%H:%M} UTC: {what} "
        "Rollcall keeps trying; if it lasts, look at https://slack-status.com and at this machine's network."
    )


def scope_missing(scopes: str, what: str) -> str:
    """`what` does not work without the scopes."""
    return (
        f"The Slack app lacks the scope {scopes}: {what} "
        f"Add it at {APPS} (OAuth & Permissions, Bot Token Scopes), or paste `rollcall slack-manifest` "
        "again, and reinstall the app."
    )


MESSAGES_TAB_OFF = (
    "Slack lets nobody get direct messages from the app. "
    f"Switch on the Messages Tab at {APPS} (App Home, Show Tabs)."
)
