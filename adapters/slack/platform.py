"""The entry point of the Slack adapter; Slack's libraries are imported only when Slack is configured."""

from bot.config import Config
from bot.ports import ChatPlatform, Core


def platform(config: Config, core: Core) -> ChatPlatform | None:
    """The Slack platform, or None where the configuration has no `[slack]`."""
    if config.slack is None:
        return None
    from adapters.slack.app import SlackPlatform

    return SlackPlatform(config.slack, core, config.presence, config.organization.slug)
