"""What `rollcall doctor` looks at in Slack: tokens, scopes, the socket; each with the exact repair."""

import re
from collections.abc import Sequence

from adapters.asking import Answer, Unreachable, ask, clock_finding
from adapters.slack.manifest import SCOPES
from adapters.slack.troubles import APPS, scope_missing
from bot.config import Config, SlackTable
from bot.message import words
from bot.ports import Clock, Finding

SLACK = "https://slack.com/api/"
UNREACHABLE = (
    "Slack can't be reached ({}). See this machine's network and proxy (HTTPS_PROXY), and "
    "https://slack-status.com"
)
BOT, APP, SCOPE, SECRET = "Slack bot token", "Slack app token", "Slack scopes", "Slack signing secret"


async def checks(config: Config, clock: Clock) -> Sequence[Finding]:
    """Everything of Slack; nothing where it is not configured."""
    if config.slack is None:
        return ()
    table = config.slack
    found = await _bot(table, clock)
    if table.mode == "http":
        return [*found, _signing(table)]
    return [*found, await _app(table, clock)]


async def _ask(table: SlackTable, method: str, token: str, clock: Clock) -> Answer:
    url = (table.base_url or SLACK).rstrip("/") + f"/{method}"
    return await ask("POST", url, clock, {"Authorization": f"Bearer {token}"}, proxied=True)


def _error(answer: Answer) -> str:
    """Slack's own word for what is wrong; empty: nothing is."""
    if not isinstance(answer.body, dict):
        return f"HTTP {answer.status}"
    if answer.body.get("ok") is True:
        return ""
    return words(str(answer.body.get("error") or f"HTTP {answer.status}"), 60)


async def _bot(table: SlackTable, clock: Clock) -> list[Finding]:
    try:
        answer = await _ask(table, "auth.test", table.bot_token.get_secret_value(), clock)
    except Unreachable as problem:
        return [Finding(BOT, False, UNREACHABLE.format(problem.why))]
    found = clock_finding("Slack", answer)
    error = _error(answer)
    if error == "ratelimited" or answer.status >= 500:
        return [*found, Finding(BOT, False, f"Slack can't say now ({error}). Run it again in a minute.")]
    if error:
        return [
            *found,
            Finding(
                BOT,
                False,
                f"Slack refuses slack.bot_token ({error}). Take the Bot User OAuth Token, xoxb-…, at {APPS} "
                "→ your app → OAuth & Permissions; if there is none, Install to Workspace first.",
            ),
        ]
    team = words(str(answer.body.get("team", "")), 40)
    found.append(Finding(BOT, True, f"accepted by {team}" if team else "accepted"))
    given = {one.strip() for one in answer.headers.get("x-oauth-scopes", "").split(",")}
    missing = ", ".join(sorted(set(SCOPES) - given))
    repair = scope_missing(missing, "some of Rollcall does not work.") if missing else "all that are needed"
    return [*found, Finding(SCOPE, not missing, repair)]


async def _app(table: SlackTable, clock: Clock) -> Finding:
    """It opens no socket: the address that it is given is left unused."""
    token = table.app_token.get_secret_value() if table.app_token is not None else ""
    try:
        error = _error(await _ask(table, "apps.connections.open", token, clock))
    except Unreachable as problem:
        return Finding(APP, False, UNREACHABLE.format(problem.why))
    if not error:
        return Finding(APP, True, "accepted, with connections:write")
    if error in ("ratelimited", "internal_error"):
        return Finding(APP, False, f"Slack can't say now ({error}). Run it again in a minute.")
    if error in ("socket_mode_disabled", "not_enabled", "feature_not_enabled"):
        return Finding(APP, False, f"Socket Mode is off. Switch it on at {APPS} → your app → Socket Mode.")
    return Finding(
        APP,
        False,
        f"Slack gives no socket for slack.app_token ({error}). At {APPS} → your app → Basic Information → "
        "App-Level Tokens make one with the scope connections:write, xapp-…; and switch Socket Mode on.",
    )


def _signing(table: SlackTable) -> Finding:
    secret = table.signing_secret.get_secret_value() if table.signing_secret is not None else ""
    if re.fullmatch(r"[0-9a-f]{32}", secret):
        return Finding(SECRET, True, "looks like one; only a request of Slack's can prove it")
    return Finding(
        SECRET,
        False,
        f"slack.signing_secret is not the 32 digits and letters a to f that Slack gives. Copy it at {APPS} → "
        "your app → Basic Information → App Credentials → Signing Secret.",
    )
