"""The people and guilds of a fake Discord, and what they do that a bot is told of."""

from __future__ import annotations

from collections.abc import Iterable

from fakes.discord_chat import Chat
from fakes.discord_gateway import GUILD_MEMBERS, GUILD_PRESENCES, GUILD_VOICE_STATES, GUILDS, Gateway
from fakes.discord_model import FOR_EVERYONE, Channel, Guild, Json, Member, Role, Status, User, snowflake
from fakes.discord_voice import voice_state


class World:
    """Makes and changes guilds and their members, and lets the gateway tell of it.

    All of it may be done before the bot connects, while it is connected, and while it is cut off.
    """

    def __init__(self, gateway: Gateway, chat: Chat) -> None:
        self.bot = gateway.bot
        self.guilds = gateway.guilds
        self.users: dict[int, User] = {self.bot.id: self.bot}
        self.gateway = gateway
        self.chat = chat

    def add_guild(
        self, name: str, *, claimed_members: int = 0, always_large: bool = False, id: int | None = None
    ) -> Guild:
        """A guild with an owner, an @everyone role, a #general channel and the bot in it."""
        owner = self._person(f"owner-of-{name.lower().replace(' ', '-')}", None)
        guild = Guild(
            id or snowflake(), name, owner, claimed_members=claimed_members, always_large=always_large
        )
        guild.roles[guild.id] = Role(guild.id, "@everyone", FOR_EVERYONE, position=0)
        guild.members = {owner.id: Member(owner), self.bot.id: Member(self.bot)}
        guild.statuses[self.bot.id] = "online"
        self.guilds[guild.id] = guild
        self.add_channel(guild, "general")
        self.gateway.dispatch_guild(guild)
        return guild

    def add_channel(self, guild: Guild, name: str) -> Channel:
        channel = Channel(snowflake(), name, guild.id)
        guild.channels[channel.id] = self.chat.channels[channel.id] = channel
        self._tell(guild, "CHANNEL_CREATE", channel.payload(), GUILDS)
        return channel

    def add_role(self, guild: Guild, name: str, *, permissions: int = 0) -> Role:
        role = Role(snowflake(), name, permissions, position=len(guild.roles))
        guild.roles[role.id] = role
        self._tell(guild, "GUILD_ROLE_CREATE", {"guild_id": str(guild.id), "role": role.payload()}, GUILDS)
        return role

    def add_member(
        self,
        guild: Guild,
        username: str,
        *,
        status: Status = "offline",
        roles: Iterable[Role] = (),
        nick: str | None = None,
        global_name: str | None = None,
        bot: bool = False,
        id: int | None = None,
    ) -> User:
        """A new person (or another bot) who joins the guild."""
        user = self._person(username, global_name, bot=bot, id=id)
        self.join(user, guild, status=status, roles=roles, nick=nick)
        return user

    def join(
        self,
        user: User,
        guild: Guild,
        *,
        status: Status = "offline",
        roles: Iterable[Role] = (),
        nick: str | None = None,
    ) -> None:
        member = Member(user, {role.id for role in roles}, nick)
        guild.members[user.id] = member
        self._tell(guild, "GUILD_MEMBER_ADD", member.payload() | {"guild_id": str(guild.id)}, GUILD_MEMBERS)
        if status != "offline":
            self.set_presence(user, status, guild)

    def leave(self, user: User, guild: Guild) -> None:
        """The member leaves, or is kicked: Discord tells the same."""
        if user.id in guild.voices:
            self.speak(user, guild, None)
        del guild.members[user.id]
        guild.statuses.pop(user.id, None)
        data = {"guild_id": str(guild.id), "user": user.payload()}
        self._tell(guild, "GUILD_MEMBER_REMOVE", data, GUILD_MEMBERS)

    def rename(
        self,
        user: User,
        *,
        guild: Guild | None = None,
        nick: str | None = None,
        global_name: str | None = None,
        username: str | None = None,
        avatar: str | None = None,
    ) -> None:
        """Change the nickname in one guild, or the account everywhere; what is None stays."""
        if guild is not None:
            guild.members[user.id].nick = nick
        user.global_name = global_name or user.global_name
        user.username = username or user.username
        user.avatar = avatar or user.avatar
        for place in [guild] if guild is not None else self._guilds_of(user):
            self._tell_member(place, user)

    def give_role(self, user: User, guild: Guild, role: Role) -> None:
        guild.members[user.id].roles.add(role.id)
        self._tell_member(guild, user)

    def take_role(self, user: User, guild: Guild, role: Role) -> None:
        guild.members[user.id].roles.discard(role.id)
        self._tell_member(guild, user)

    def set_presence(self, user: User, status: Status, guild: Guild | None = None, *, times: int = 1) -> None:
        """The person's status changes, in one guild or in all of theirs; `times` repeats the event."""
        for place in [guild] if guild is not None else self._guilds_of(user):
            place.statuses[user.id] = status
            for _ in range(times):
                self._tell(place, "PRESENCE_UPDATE", place.presence(user.id), GUILD_PRESENCES)

    def add_voice_channel(self, guild: Guild, name: str) -> Channel:
        channel = Channel(snowflake(), name, guild.id, voice=True)
        guild.channels[channel.id] = channel
        self._tell(guild, "CHANNEL_CREATE", channel.payload(), GUILDS)
        return channel

    def speak(self, user: User, guild: Guild, channel: Channel | None, *, times: int = 1) -> None:
        """The person enters a voice channel, moves to it, or (None) hangs up; `times` repeats the event."""
        if channel is None:
            guild.voices.pop(user.id, None)
        else:
            guild.voices[user.id] = channel
        for _ in range(times):
            self._tell(guild, "VOICE_STATE_UPDATE", voice_state(guild, user.id), GUILD_VOICE_STATES)

    def outage(self, guild: Guild) -> None:
        """The guild becomes unavailable: nothing of what happens in it is told until `restore`."""
        self._tell(guild, "GUILD_DELETE", {"id": str(guild.id), "unavailable": True}, GUILDS)
        guild.available = False

    def restore(self, guild: Guild) -> None:
        guild.available = True
        self.gateway.dispatch_guild(guild)

    def remove_bot(self, guild: Guild) -> None:
        """The bot is kicked from the guild: its commands there are gone with it."""
        self._tell(guild, "GUILD_DELETE", {"id": str(guild.id)}, GUILDS)
        guild.has_bot = False

    def invite_bot(self, guild: Guild) -> None:
        guild.has_bot = True
        guild.members[self.bot.id] = Member(self.bot)
        self.gateway.dispatch_guild(guild)

    def _person(
        self, username: str, global_name: str | None, *, bot: bool = False, id: int | None = None
    ) -> User:
        user = User(id or snowflake(), username, global_name, bot=bot)
        self.users[user.id] = user
        return user

    def _guilds_of(self, user: User) -> list[Guild]:
        return [guild for guild in self.guilds.values() if user.id in guild.members]

    def _tell(self, guild: Guild, event: str, data: Json, intent: int) -> None:
        if guild.available and guild.has_bot:
            self.gateway.dispatch(event, data, guild_id=guild.id, intent=intent)

    def _tell_member(self, guild: Guild, user: User) -> None:
        data = guild.members[user.id].payload() | {"guild_id": str(guild.id)}
        self._tell(guild, "GUILD_MEMBER_UPDATE", data, GUILD_MEMBERS)
