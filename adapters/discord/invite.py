"""The address that brings the bot into a server, with the permissions it needs and no more."""

import base64
import binascii
from urllib.parse import urlencode

VIEW_CHANNEL, SEND_MESSAGES, EMBED_LINKS = 1 << 10, 1 << 11, 1 << 14
PERMISSIONS = VIEW_CHANNEL | SEND_MESSAGES | EMBED_LINKS
"""What posting a summary in a channel takes. Commands, buttons and presence need no permission at all."""


def invite_url(application_id: str, *, guild_id: str | None = None) -> str:
    """Where somebody with Manage Server adds the bot and its commands; `guild_id` preselects a server."""
    query = {"client_id": application_id, "scope": "bot applications.commands", "permissions": PERMISSIONS}
    if guild_id is not None:
        query |= {"guild_id": guild_id, "disable_guild_select": "true"}
    return f"https://discord.com/oauth2/authorize?{urlencode(query)}"


def application_id_of(token: str) -> str | None:
    """The application's id, which a bot token holds in its first part; None if it does not."""
    first = token.strip().partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return decoded if decoded.isdigit() else None
