"""Voice channels and voice states of a fake Discord, as they look on the wire.

The shapes are those of Discord's reference: https://docs.discord.com/developers/resources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakes.discord_model import Channel, Guild

GUILD_VOICE = 2


def voice_channel(channel: Channel) -> dict[str, Any]:
    """The channel object."""
    return {
        "id": str(channel.id),
        "type": GUILD_VOICE,
        "guild_id": str(channel.guild_id),
        "name": channel.name,
        "position": 0,
        "permission_overwrites": [],
        "nsfw": False,
        "bitrate": 64_000,
        "user_limit": 0,
        "rtc_region": None,
        "rate_limit_per_user": 0,
        "parent_id": None,
        "flags": 0,
    }


def voice_state(guild: Guild, user_id: int, *, whole: bool = True) -> dict[str, Any]:
    """The voice state object; of GUILD_CREATE it is partial, without guild and member."""
    channel = guild.voices.get(user_id)
    body: dict[str, Any] = {
        "channel_id": str(channel.id) if channel is not None else None,
        "user_id": str(user_id),
        "session_id": f"{user_id:032x}",
        "deaf": False,
        "mute": False,
        "self_deaf": False,
        "self_mute": False,
        "self_video": False,
        "suppress": False,
        "request_to_speak_timestamp": None,
    }
    if not whole:
        return body
    return body | {"guild_id": str(guild.id), "member": guild.members[user_id].payload()}
