"""The configuration: what can be set, and how it is read."""

from bot.config.reading import ConfigError, load_config, read_file, read_table
from bot.config.tables import (
    Config,
    DatabaseTable,
    DiscordTable,
    HttpTable,
    LogTable,
    OrganizationTable,
    PresenceTable,
    SkillTable,
    SlackTable,
    SummaryTable,
    Table,
    TeamTable,
)
from bot.config.values import SLACK_RESERVED, Zone

__all__ = [
    "SLACK_RESERVED",
    "Config",
    "ConfigError",
    "DatabaseTable",
    "DiscordTable",
    "HttpTable",
    "LogTable",
    "OrganizationTable",
    "PresenceTable",
    "SkillTable",
    "SlackTable",
    "SummaryTable",
    "Table",
    "TeamTable",
    "Zone",
    "load_config",
    "read_file",
    "read_table",
]
