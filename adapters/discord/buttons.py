"""Buttons that survive restarts: what a click does stands in the button itself, in 100 characters at most."""

import logging
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

import discord
from msgspec import Struct

from bot.message import Button, ButtonStyle

log = logging.getLogger("rollcall.discord")
MOST = 5
LONGEST_LABEL = 80
LONGEST_ID = 100
STYLES = {
    ButtonStyle.PRIMARY: discord.ButtonStyle.primary,
    ButtonStyle.PLAIN: discord.ButtonStyle.secondary,
    ButtonStyle.DANGER: discord.ButtonStyle.danger,
}
_OURS = re.compile(r"rc\d\|(?P<guild>\d*)\|(?P<action>[^|]+)\|(?P<arguments>.*)", re.DOTALL)


class Click(Struct, frozen=True):
    """What a button asks for."""

    action: str
    arguments: dict[str, str]
    guild_id: int | None
    """Where it belongs, in a direct message; elsewhere the click says it."""


def custom_id(button: Button, number: int, guild_id: str = "") -> str:
    """The button as Discord keeps it. `number` keeps two buttons of one message apart."""
    return f"rc{number}|{guild_id}|{button.action}|{urlencode(button.arguments)}"


def click_of(custom_id: str) -> Click | None:
    """What a click asks for; None if no Rollcall made that button."""
    ours = _OURS.fullmatch(custom_id)
    if ours is None:
        return None
    guild = ours["guild"]
    arguments = dict(parse_qsl(ours["arguments"], keep_blank_values=True))
    return Click(ours["action"], arguments, int(guild) if guild else None)


def view_of(buttons: Sequence[Button], guild_id: str = "") -> discord.ui.View | None:
    """A row of at most 5 buttons; None without any. One that says more than Discord keeps is left out."""
    row = discord.ui.View(timeout=None)
    for number, button in enumerate(buttons[:MOST]):
        wanted = custom_id(button, number, guild_id)
        if len(wanted) > LONGEST_ID:
            log.error("button %r of %r is too long for Discord", button.label[:40], button.action)
            continue
        label = " ".join(button.label.split())[:LONGEST_LABEL] or button.action[:LONGEST_LABEL]
        row.add_item(discord.ui.Button(style=STYLES[button.style], label=label, custom_id=wanted))
    # Stopped, the library does not keep it in memory for ever; clicks are read from their custom_id.
    row.stop()
    return row if row.children else None
