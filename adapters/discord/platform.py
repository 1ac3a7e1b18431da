"""The entry point of Discord among `rollcall.platforms`. The library is imported only where it is used."""

from bot.config import Config
from bot.domain.hints import HintKind
from bot.ports import ChatPlatform, Core


def platform(config: Config, core: Core) -> ChatPlatform | None:
    """Discord as a chat platform, or None where the configuration has no `[discord]`."""
    if config.discord is None:
        return None
    # Takes a third of a second, which nobody without Discord should pay.
    from adapters.discord.service import DiscordService

    calls = config.presence.looks_for(HintKind.CALL)
    return DiscordService(config.discord, core, calls=calls)
