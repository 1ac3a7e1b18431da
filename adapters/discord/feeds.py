"""The feeds of all guilds that belong to this team: who hears of what the gateway tells."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import discord

from adapters.discord.guild_feed import GuildFeed
from adapters.discord.hints import GuildHints
from bot.ports import Core, Profile


class Feeds:
    """The feeds of all guilds that belong to this team."""

    def __init__(
        self,
        core: Core,
        roles: Sequence[int],
        guilds: Sequence[str],
        invite: Callable[[int], str],
        *,
        presence: bool,
    ) -> None:
        self.presence = presence
        self.by_guild: dict[int, GuildFeed] = {}
        self._hints: dict[int, GuildHints] = {}
        self._core = core
        self._roles = roles
        self._wanted = frozenset(guilds)
        self._invite = invite

    def wants(self, guild_id: int) -> bool:
        """Whether a guild belongs to this team; all do where the configuration names none."""
        return not self._wanted or str(guild_id) in self._wanted

    def of(self, guild: discord.Guild) -> GuildFeed:
        """The guild's feed; a new one is down."""
        feed = self.by_guild.get(guild.id)
        if feed is None:
            hints = self._hints_of(guild.id)
            feed = GuildFeed(self._core, guild, self._roles, hints, presence=self.presence)
            self.by_guild[guild.id] = feed
        return feed

    def _hints_of(self, guild_id: int) -> GuildHints:
        return self._hints.setdefault(guild_id, GuildHints(self._core))

    def switch_off(self) -> None:
        """From here on no presence comes."""
        self.presence = False
        for feed in self.by_guild.values():
            feed.presence = False

    def ready(self, guilds: Sequence[discord.Guild]) -> None:
        """READY: a new session. Nothing before it counts, and who is not named has been left."""
        now = self._core.clock.now()
        there = {guild.id for guild in guilds}
        for guild_id, feed in list(self.by_guild.items()):
            feed.end(now)
            if guild_id not in there:
                self.removed(feed.guild)

    def resumed(self) -> None:
        """RESUMED: every missed event was told."""
        for feed in self.by_guild.values():
            feed.resume()

    def lost(self, since: datetime, *, stale: bool = False) -> None:
        """The socket is gone."""
        for feed in self.by_guild.values():
            feed.lose(since, stale=stale)

    def available(self, guild: discord.Guild) -> None:
        """GUILD_CREATE."""
        if self.wants(guild.id):
            self.of(guild).begin(guild)

    def unavailable(self, guild: discord.Guild) -> None:
        """An outage at Discord, which says nothing about the people there."""
        if self.wants(guild.id):
            self.of(guild).end(
                self._core.clock.now(),
                f"Discord has an outage in the server {guild.name}. Presence there is unconfirmed until it "
                "is over; there is nothing to do.",
            )

    def removed(self, guild: discord.Guild) -> None:
        """The bot was removed from the guild; history stays."""
        feed = self.by_guild.get(guild.id)
        if feed is not None:
            feed.end(
                self._core.clock.now(),
                f"Rollcall was removed from the Discord server {guild.name}. Its history is kept. "
                f"To bring it back, open {self._invite(guild.id)}",
            )

    def seen(self, event: discord.RawPresenceUpdateEvent) -> None:
        """PRESENCE_UPDATE. Most are of people who are no agents, so they go first."""
        feed = self.by_guild.get(event.guild_id or 0)
        if feed is not None and event.user_id in feed.watched:
            feed.saw(event.user_id, event.client_status.raw_status)

    def all_talking(self, guild_id: int, user_ids: Sequence[int]) -> None:
        """Who is in a voice channel, as GUILD_CREATE says; it comes before `available`."""
        if self.wants(guild_id):
            self._hints_of(guild_id).all_talking(user_ids)

    def talks(self, guild_id: int, user_id: int, *, there: bool) -> None:
        """VOICE_STATE_UPDATE."""
        if self.wants(guild_id):
            self._hints_of(guild_id).talks(user_id, there=there)

    async def sweep(self) -> None:
        """Ask for everybody, guild by guild, slowly: a connection may send 120 requests a minute."""
        for feed in list(self.by_guild.values()):
            feed.ask_for_all(len(self.by_guild))
            await self._core.clock.sleep(1.0)

    async def look_for_new(self) -> None:
        """Ask for those who were enrolled since."""
        for feed in list(self.by_guild.values()):
            feed.ask_for_new()

    async def settled(self) -> None:
        """Returns when everything told so far is stored."""
        for feed in list(self.by_guild.values()):
            await feed.settled()

    def stop(self) -> None:
        """End what is under way."""
        for feed in self.by_guild.values():
            feed.stop()

    def notice(self, workspace_id: str, people: Iterable[Profile]) -> None:
        """These took part in a command, which may have made agents of them."""
        for feed in self.by_guild.values():
            if feed.workspace is not None and feed.workspace.id == workspace_id:
                ids = set(feed.watched.values())
                if any(profile.external_id not in ids for profile in people):
                    feed.ask_for_new()
