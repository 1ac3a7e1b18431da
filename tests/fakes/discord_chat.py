"""Channels and messages of a fake Discord: who may write where, what is said, changed and taken back."""

from __future__ import annotations

from fakes import discord_limits as limits
from fakes.discord_calls import Call, Refused, require
from fakes.discord_gateway import DIRECT_MESSAGES, GUILD_MESSAGES, Gateway
from fakes.discord_limits import Form
from fakes.discord_model import Channel, Json, Message, User, snowflake

LARGEST_FILE = 10 * 1024 * 1024


class Chat:
    """Every channel, and the messages in them; ephemeral ones belong to their interaction alone."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.bot = gateway.bot
        self.channels: dict[int, Channel] = {}
        self._nonces: dict[tuple[int, str], Message] = {}

    def channel(self, channel: str, *, to_write: bool = False) -> Channel:
        """The channel the bot asks for, or the error it gets."""
        found = self.channels.get(int(channel)) if channel.isdigit() else None
        if found is None:
            raise Refused(404, 10003, "Unknown Channel")
        guilds = self.gateway.guilds
        if found.recipient is not None:
            shared = any(found.recipient.id in guild.members for guild in guilds.values() if guild.has_bot)
            if to_write and not (found.recipient.accepts_direct_messages and shared):
                raise Refused(403, 50007, "Cannot send messages to this user")
        elif found.guild_id is not None and not guilds[found.guild_id].has_bot:
            raise Refused(403, 50001, "Missing Access")
        elif to_write and not found.writable:
            raise Refused(403, 50013, "Missing Permissions")
        return found

    def direct_channel(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(snowflake(), user.username, recipient=user)
        self.channels[channel.id] = channel
        return channel

    def message(self, channel: Channel, message: str) -> Message:
        found = next((m for m in channel.messages if str(m.id) == message), None)
        if found is None:
            raise Refused(404, 10008, "Unknown Message")
        return found

    def check(self, call: Call, fields: set[str], *, creates: bool = True) -> Json:
        """The call's body as a message, or the error it gets."""
        form = Form()
        body = limits.check_message(form, call.body, fields)
        require(call, form, self.gateway.violations)
        self.check_said(call, body, creates=creates)
        return body

    def check_said(self, call: Call, body: Json, *, creates: bool) -> None:
        """Rules over a whole body: it isn't empty, no file is too large, and nobody is pinged."""
        said = f"{call.method} {call.path}"
        for mention in limits.pings(body):
            self.gateway.violations.append(f"{said}: {mention} in the content would ping")
        if creates and limits.is_empty(body, call.files):
            self.gateway.violations.append(f"{said}: an empty message")
            raise Refused(400, 50006, "Cannot send an empty message")
        if any(len(data) > LARGEST_FILE for data in call.files.values()):
            self.gateway.violations.append(f"{said}: a file above 10 MiB")
            raise Refused(400, 40005, "Request entity too large")

    def say_once(self, channel: Channel, body: Json, files: dict[str, bytes]) -> Message:
        """Post a message; with `enforce_nonce`, a nonce that was used before answers the earlier message."""
        nonce = None if body.get("nonce") is None else str(body["nonce"])
        if nonce and body.get("enforce_nonce") and (channel.id, nonce) in self._nonces:
            return self._nonces[channel.id, nonce]
        message = self.say(channel, body, files, flags=body.get("flags", 0), nonce=nonce)
        if nonce:
            self._nonces[channel.id, nonce] = message
        return message

    def say(
        self,
        channel: Channel,
        body: Json,
        files: dict[str, bytes],
        *,
        flags: int = 0,
        nonce: str | None = None,
        about: Json | None = None,
    ) -> Message:
        message = Message(
            id=snowflake(),
            channel=channel,
            author=self.bot,
            content=body.get("content") or "",
            embeds=body.get("embeds") or [],
            components=body.get("components") or [],
            flags=flags,
            files=dict(files),
            nonce=nonce,
            interaction=about,
        )
        if not message.ephemeral:
            channel.messages.append(message)
            self._tell("MESSAGE_CREATE", message, message.payload())
        return message

    def edit(self, message: Message, body: Json, files: dict[str, bytes]) -> None:
        message.files.update(files)
        message.change(body)
        if not message.ephemeral:
            self._tell("MESSAGE_UPDATE", message, message.payload())

    def remove(self, message: Message) -> None:
        message.deleted = True
        if not message.ephemeral:
            message.channel.messages.remove(message)
            self._tell(
                "MESSAGE_DELETE", message, {"id": str(message.id), "channel_id": str(message.channel.id)}
            )

    def _tell(self, event: str, message: Message, data: Json) -> None:
        guild_id = message.channel.guild_id
        place = {} if guild_id is None else {"guild_id": str(guild_id)}
        intent = DIRECT_MESSAGES if guild_id is None else GUILD_MESSAGES
        self.gateway.dispatch(event, data | place, guild_id=guild_id, intent=intent)
