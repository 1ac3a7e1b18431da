"""The configuration: what can be set, and how it is read."""

from bot.config.reading import ConfigError, load_config, read_table
from bot.config.several import load_configs
from bot.config.tables import (
    ONLY,
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
    "ONLY",
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
    "load_configs",
    "read_table",
]
