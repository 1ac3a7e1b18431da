"""Interactions: read, dispatched, answered within Discord's 3 seconds, shown to the one who asked.

What is done after 2 s is deferred and answered later; the token for that lives 15 min. An
interaction that reaches us late is acknowledged first: its sender was perhaps told that it failed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import discord
from discord import app_commands

from adapters.discord.buttons import Click, click_of, view_of
from adapters.discord.commands import Typed
from adapters.discord.feeds import Feeds
from adapters.discord.people import profile_of
from adapters.discord.render import embed_of, plain
from adapters.discord.rest import done_within, within
from bot.commands import BY_NAME, names_on, spelled
from bot.config import DiscordTable
from bot.domain.errors import RollcallError
from bot.message import Code, Message, Tone
from bot.ports import Command, Core, Person, Profile
from bot.replies import broken

log = logging.getLogger("rollcall.discord")
PATIENCE = 2.0
"""Seconds until an answer is deferred: Discord gives 3, and the way there takes some."""
SUGGEST_WITHIN = 2.5
TOO_LATE = frozenset([10062, 10015, 10008, 40060, 50027])
"""Unknown interaction, webhook or message; already acknowledged; webhook token expired."""
MOST_CHOICES = 25
LONGEST_CHOICE = 100

Interaction = discord.Interaction[Any]


def _problem(*words: str) -> Message:
    return Message(lines=tuple((word,) for word in words), tone=Tone.PROBLEM)


class Answers:
    """Answers interactions by asking the core."""

    def __init__(self, table: DiscordTable, core: Core, feeds: Feeds, roles: Sequence[int]) -> None:
        self._names = table.names
        self._core = core
        self._feeds = feeds
        self._roles = roles

    async def answer(self, interaction: Interaction) -> None:
        """Whatever happens, the sender learns of it, once."""
        if interaction.user.bot:
            return
        if interaction.type is discord.InteractionType.application_command:
            await self._answer(interaction, self._typed, clicked=False)
        elif interaction.type is discord.InteractionType.component:
            await self._answer(interaction, self._clicked, clicked=True)
        elif interaction.type is discord.InteractionType.autocomplete:
            await self._suggest(interaction)

    # --- one interaction ---

    async def _answer(
        self, interaction: Interaction, read: Callable[[Interaction], Awaitable[Message]], *, clicked: bool
    ) -> None:
        clock = self._core.clock
        age = max(0.0, (clock.now() - interaction.created_at).total_seconds())
        deferred = age >= PATIENCE
        if deferred and not await self._defer(interaction, clicked=clicked):
            return
        work = asyncio.create_task(self._work(interaction, read), name=f"discord command {interaction.id}")
        if not deferred and not await done_within(clock, PATIENCE - age, work):
            deferred = await self._defer(interaction, clicked=clicked)
        # What came before is shown once all the same: Discord refuses a second first answer.
        await self._sent(self._show(interaction, await work, clicked=clicked, deferred=deferred))

    async def _work(
        self, interaction: Interaction, read: Callable[[Interaction], Awaitable[Message]]
    ) -> Message:
        """What to say."""
        try:
            return await read(interaction)
        except RollcallError as refusal:
            return _problem(refusal.sentence)
        except (discord.DiscordException, OSError, aiohttp.ClientError, TimeoutError) as trouble:
            # Only looking somebody up asks Discord, and that comes before anything is changed.
            log.warning("a member could not be looked up: %s", type(trouble).__name__)
            return _problem("Discord does not answer Rollcall just now. Nothing was changed; try again.")
        except Exception:
            log.exception("interaction %s failed", interaction.id)
            return broken(str(interaction.id), names_on("discord", self._names))

    async def _show(
        self, interaction: Interaction, message: Message, *, clicked: bool, deferred: bool
    ) -> None:
        embed, view = embed_of(message), view_of(message.buttons, _home(interaction))
        silent = discord.AllowedMentions.none()
        shown: dict[str, Any] = {"embed": embed, "allowed_mentions": silent}
        if clicked and message.replaces:
            if deferred:
                await interaction.edit_original_response(view=view, **shown)
            else:
                await interaction.response.edit_message(view=view, **shown)
        elif deferred and not clicked:
            await interaction.edit_original_response(view=view, **shown)
        else:
            if view is not None:
                shown["view"] = view
            if deferred:
                await interaction.followup.send(ephemeral=True, **shown)
            else:
                await interaction.response.send_message(ephemeral=True, **shown)

    async def _defer(self, interaction: Interaction, *, clicked: bool) -> bool:
        """Whether Discord takes an answer later. A click shows nothing meanwhile, a command "is thinking"."""
        if clicked:
            return await self._sent(interaction.response.defer())
        return await self._sent(interaction.response.defer(ephemeral=True, thinking=True))

    async def _sent(self, sending: Awaitable[object]) -> bool:
        """Whether Discord took it. What it refuses is nobody's to repair: the sender has been told."""
        try:
            await sending
        except discord.HTTPException as refusal:
            if refusal.code in TOO_LATE:
                log.info("an answer came too late (%s)", refusal.code)
            else:
                log.warning("an answer was refused: %s %s", refusal.status, refusal.code)
            return False
        except discord.InteractionResponded:
            return False
        except (discord.RateLimited, OSError, aiohttp.ClientError, TimeoutError) as trouble:
            log.warning("an answer could not be sent: %s", type(trouble).__name__)
            return False
        return True

    # --- what it asks for ---

    async def _typed(self, interaction: Interaction) -> Message:
        typed = Typed(interaction, self._names)
        if not typed.name:
            return Message(
                lines=(
                    (
                        "That command is gone. Discord shows the new ones after a moment: ",
                        Code(spelled("presence help", names_on("discord", self._names))),
                    ),
                ),
                tone=Tone.PROBLEM,
            )
        if interaction.guild is None:
            return _problem(
                "Use this command in your team's server, so that Rollcall knows which team you mean."
            )
        if not self._feeds.wants(interaction.guild.id):
            return _problem("This server does not belong to this Rollcall's team, so nothing was changed.")
        person = await self._person(interaction, interaction.guild)
        mentioned = tuple(profile_of(one, self._roles) for one in typed.mentioned)
        return await self._dispatch(typed.name, person, typed.arguments, interaction, mentioned)

    async def _clicked(self, interaction: Interaction) -> Message:
        data: Any = interaction.data
        click = click_of(data.get("custom_id", ""))
        if click is None or click.action not in BY_NAME:
            return _problem("This button is from another version of Rollcall. Give the command instead.")
        guild = interaction.guild
        if guild is not None and not self._feeds.wants(guild.id):
            return _problem("This server does not belong to this Rollcall's team, so nothing was changed.")
        if guild is None:
            person = await self._absent(interaction, click)
            if person is None:
                return _problem(
                    "This button belongs to a server that Rollcall does not see you in any more.",
                    "Give the command there instead.",
                )
        else:
            person = await self._person(interaction, guild)
        return await self._dispatch(click.action, person, click.arguments, interaction, clicked=True)

    async def _dispatch(
        self,
        name: str,
        person: Person,
        arguments: dict[str, str],
        interaction: Interaction,
        mentioned: tuple[Profile, ...] = (),
        *,
        clicked: bool = False,
    ) -> Message:
        command = Command(
            name=name,
            person=person,
            arguments={key: plain(value) for key, value in arguments.items()},
            mentioned=mentioned,
            request_id=str(interaction.id),
            delivery=f"discord:interaction:{interaction.id}",
            clicked=clicked,
        )
        message = await self._core.dispatch(command)
        # Whoever became an agent by it is watched from now on.
        self._feeds.notice(person.workspace_id, [person.profile, *mentioned])
        return message

    async def _person(self, interaction: Interaction, guild: discord.Guild) -> Person:
        profile = profile_of(interaction.user, self._roles, interaction.permissions)
        return Person(await self._workspace(guild), "discord", profile)

    async def _absent(self, interaction: Interaction, click: Click) -> Person | None:
        """Who clicks in a direct message, as a member of the guild that the button belongs to."""
        feed = self._feeds.by_guild.get(click.guild_id or 0)
        if feed is None:
            return None
        try:
            member = await feed.guild.fetch_member(interaction.user.id)
        except (discord.NotFound, discord.Forbidden):
            return None
        return Person(await self._workspace(feed.guild), "discord", profile_of(member, self._roles))

    async def _workspace(self, guild: discord.Guild) -> str:
        feed = self._feeds.by_guild.get(guild.id)
        if feed is not None and feed.workspace is not None:
            return feed.workspace.id
        return (await self._core.workspace("discord", str(guild.id), guild.name)).id

    async def _suggest(self, interaction: Interaction) -> None:
        typed = Typed(interaction, self._names)
        guild = interaction.guild
        if not typed.name or typed.focused is None or guild is None or not self._feeds.wants(guild.id):
            return
        try:
            person = await self._person(interaction, guild)
            asking = self._core.suggest(person, typed.name, typed.focused, typed.arguments[typed.focused])
            found = await within(self._core.clock, SUGGEST_WITHIN, asking)
        except (RollcallError, TimeoutError):
            found = ()
        choices = [
            app_commands.Choice(name=plain(label)[:LONGEST_CHOICE], value=value)
            for label, value in found[:MOST_CHOICES]
            if plain(label).strip() and 0 < len(value) <= LONGEST_CHOICE
        ]
        await self._sent(interaction.response.autocomplete(choices))


def _home(interaction: Interaction) -> str:
    """The guild that buttons of the answer must carry: outside direct messages the click says it."""
    if interaction.guild_id is not None:
        return ""
    data: Any = interaction.data
    click = click_of(data.get("custom_id", ""))
    return str(click.guild_id) if click is not None and click.guild_id else ""
