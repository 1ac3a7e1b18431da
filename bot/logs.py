"""Logs: text on a terminal, one JSON object a line elsewhere, and no secret in either.

Everything goes through the standard library's logging; structlog renders it and carries the request
id through a command.
"""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from bot.config import Config, LogTable


class Redactor:
    """Replaces the configuration's secrets wherever they turn up: in messages, fields, tracebacks."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= 8]

    def clean(self, value: object) -> object:
        """The value with every secret in it replaced, containers too."""
        if isinstance(value, str):
            for secret in self._secrets:
                if secret in value:
                    value = value.replace(secret, "[secret]")
            return value
        if isinstance(value, dict):
            return {key: self.clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(item) for item in value]
        return value

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = self.clean(value)
        return event


def secrets_of(config: Config) -> list[str]:
    """Every secret the configuration holds."""
    found = [config.database.url.get_secret_value()]
    if config.discord:
        found.append(config.discord.token.get_secret_value())
    if config.slack:
        held = (config.slack.bot_token, config.slack.app_token, config.slack.signing_secret)
        found.extend(secret.get_secret_value() for secret in held if secret is not None)
    password = found[0].partition("://")[2].rpartition("@")[0].partition(":")[2]
    return [*found, password]


def set_up_logs(table: LogTable, secrets: Iterable[str] = ()) -> None:
    """Direct all logging to standard error in the form the configuration asks for."""
    text = table.form == "text" or (table.form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if text:
        last += [
            structlog.processors.format_exc_info,
            Redactor(secrets),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    else:
        last += [
            structlog.processors.format_exc_info,
            Redactor(secrets),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(table.level.upper())
    for noisy in ("apscheduler", "discord", "slack_bolt", "slack_sdk", "uvicorn", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
