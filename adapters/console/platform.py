"""The entry point of the console; its libraries are imported only where it is configured."""

from bot.config import Config
from bot.ports import ChatPlatform, Core


def platform(config: Config, core: Core) -> ChatPlatform | None:
    """The console, or None where the configuration has no `[platforms.console]`."""
    table = config.platforms.get("console")
    if table is None:
        return None
    from adapters.console import table as tables
    from adapters.console.screen import Screen
    from adapters.console.service import ConsolePlatform

    console = ConsolePlatform(tables.read(table), core, Screen.of_this_process())
    if console.screen.interactive:
        from adapters.console.prompt import Prompt

        console.beside.append(Prompt(console).run)
    return console
