"""The commands in each guild: registered when the bot has come in, and again when they have changed.

Discord drops a guild's commands when the bot is removed, which may happen while nobody tells us. So
what is remembered of a guild holds only for the bot's stay there: who comes in anew has another
`joined_at`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

import discord

from adapters.discord.commands import digest, payload
from adapters.discord.connection import Connection
from adapters.discord.feeds import Feeds
from adapters.discord.guild_feed import Stage
from adapters.discord.rest import UNANSWERED, in_short
from bot.domain.errors import RollcallError
from bot.ports import Core

log = logging.getLogger("rollcall.discord")
LONGEST_PAUSE = 60.0
REFUSED_EACH = 0.2
"""Seconds of pause for each guild, where that is longer: 10,000 refusals in 10 min bar the machine's
address, and in each of the 2,500 guilds that one connection serves they may come."""


class Registration:
    """Registers the commands, guild by guild."""

    def __init__(
        self, core: Core, feeds: Feeds, names: Mapping[str, str], invite: Callable[[int], str]
    ) -> None:
        self._core = core
        self._feeds = feeds
        self._commands = payload(names)
        self._invite = invite
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._forbidden: set[int] = set()
        """Guilds of which people were told that Rollcall may not register there."""

    def begin(self, connection: Connection, guild: discord.Guild) -> None:
        """Register the commands in a guild, if they are not those that it has; tried until it is done."""
        self.give_up(guild)
        # The feed, which begins anew as well, takes the banner away.
        self._forbidden.discard(guild.id)
        task = asyncio.create_task(self._register(connection, guild), name=f"discord commands {guild.id}")
        self._under_way[guild.id] = task

    def give_up(self, guild: discord.Guild) -> None:
        """The bot is not in the guild any more."""
        task = self._under_way.pop(guild.id, None)
        if task is not None:
            task.cancel()

    def stop(self) -> None:
        """End what is under way."""
        for task in self._under_way.values():
            task.cancel()

    async def _register(self, connection: Connection, guild: discord.Guild) -> None:
        pause = 1.0
        while not connection.is_closed():
            try:
                if await self._try(connection, guild):
                    return
                # A bot that is invited with commands where it is already comes by no GUILD_CREATE.
                pause = max(LONGEST_PAUSE, REFUSED_EACH * len(self._under_way))
            except discord.LoginFailure:
                return
            except discord.RateLimited as limit:
                pause = limit.retry_after
            except RollcallError as refusal:
                log.warning("commands are not registered in %s: %s", guild.id, refusal.sentence)
                pause = min(pause * 2, LONGEST_PAUSE)
            except UNANSWERED as trouble:
                log.warning("commands are not registered in %s: %s", guild.id, in_short(trouble))
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception:
                log.exception("registering commands in %s failed", guild.id)
                pause = LONGEST_PAUSE
            await self._core.clock.sleep(pause)

    async def _try(self, connection: Connection, guild: discord.Guild) -> bool:
        """Whether it is done, and not forbidden. 200 commands a day may be new in a guild, so those that are
        there are let be."""
        application_id, setting = connection.application_id, f"discord.commands.{guild.id}"
        if application_id is None:
            return True
        ourselves = guild.get_member(connection.user.id) if connection.user is not None else None
        stay = ourselves.joined_at if ourselves is not None else None
        wanted = f"{application_id}:{digest(self._commands)}:{stay}"
        if await self._core.setting(setting) == wanted:
            return True
        try:
            await connection.http.bulk_upsert_guild_commands(application_id, guild.id, self._commands)
        except discord.Forbidden:
            if guild.id not in self._forbidden:
                await self._tell(
                    guild,
                    f"Rollcall may not register its commands in the Discord server {guild.name}. Invite it "
                    f"again, with commands, and they are there within minutes: {self._invite(guild.id)}",
                )
                self._forbidden.add(guild.id)
            return False
        if guild.id in self._forbidden:
            await self._tell(guild, None)
            self._forbidden.discard(guild.id)
        await self._core.put_setting(setting, wanted)
        return True

    async def _tell(self, guild: discord.Guild, trouble: str | None) -> None:
        """The guild's banner, unless its feed has one that says more: of an outage or a removal."""
        workspace = await self._core.workspace("discord", str(guild.id), guild.name)
        feed = self._feeds.of(guild)
        # The feed's beginning clears the guild's banner, so it comes first.
        await feed.settled()
        if feed.stage is not Stage.DOWN:
            self._core.report("discord", workspace.id, trouble)
