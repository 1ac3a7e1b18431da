"""Logs: text on a terminal, one JSON object a line elsewhere, and no secret in either.

Everything goes through the standard library's logging; structlog renders it and carries the request
id through a command.
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote, unquote_plus

import structlog

from bot.config import Config, LogTable

REDACTED = "[secret]"

QUIET_BELOW_INFO = ("aiohttp", "discord", "slack_bolt", "slack_sdk", "uvicorn")
"""Libraries, with all their parts, whose debug lines hold tokens, headers and what people wrote."""
TOKENS = re.compile(
    r"(?P<before>/(?:webhooks|interactions)/\d+/|hooks\.slack\.com/\w+/|[?&]ticket=)[^\s\"'?&]{8,}"
    r"|\bx(?:ox[a-z]|app)-[\w-]{8,}"
)
"""Secrets that platforms hand out while it runs: an interaction's, a response's, a socket's, a token."""


SHORT = 8
"""Below so many characters a secret, such as a database's password, may be part of any word."""


class Redactor:
    """Replaces the configuration's secrets wherever they turn up: in messages, fields, tracebacks. A short
    one only where it stands alone: `app` is left in `application`, and in none of `user:app@host`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: what is left of one that holds another would tell the rest.
        ordered = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._secrets = [secret for secret in ordered if len(secret) >= SHORT]
        short = [secret for secret in ordered if len(secret) < SHORT]
        self._short = re.compile("|".join(map(_alone, short))) if short else None

    def clean(self, value: object) -> object:
        """The value with every secret in it replaced, containers too; other objects become their text,
        as they would a step later."""
        if isinstance(value, str):
            for secret in self._secrets:
                if secret in value:
                    value = value.replace(secret, REDACTED)
            if self._short is not None:
                value = self._short.sub(REDACTED, value)
            return TOKENS.sub(_without, value)
        if isinstance(value, Mapping):
            return {self.clean(key): self.clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean(value.decode(errors="replace") if isinstance(value, bytes) else repr(value))

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = self.clean(value)
        return event


def _alone(secret: str) -> str:
    """The pattern of a secret that is no part of a longer word."""
    before = r"(?<!\w)" if re.match(r"\w", secret) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", secret) else ""
    return before + re.escape(secret) + after


def _without(found: re.Match[str]) -> str:
    return f"{found['before'] or ''}{REDACTED}"


def secrets_of(config: Config) -> list[str]:
    """Every secret the configuration holds."""
    address = config.database.url.get_secret_value()
    found = [address, *_passwords(address)]
    if config.discord:
        found.append(config.discord.token.get_secret_value())
    if config.slack:
        held = (config.slack.bot_token, config.slack.app_token, config.slack.signing_secret)
        found.extend(secret.get_secret_value() for secret in held if secret is not None)
    return found


def _passwords(address: str) -> Iterator[str]:
    """The passwords in a database's address, as they are written and as they are meant."""
    rest = address.partition("://")[2]
    before, _, query = rest.partition("?")
    written = [rest.rpartition("@")[0].partition(":")[2], before.rpartition("@")[0].partition(":")[2]]
    for option in query.split("&"):
        name, _, value = option.partition("=")
        if "password" in unquote(name):
            written.append(value)
    for password in filter(None, written):
        yield from {password, unquote(password), unquote_plus(password)}


def _worth_keeping(record: logging.LogRecord) -> bool:
    """False for the libraries' debug lines, whatever level one of their loggers was set to."""
    return record.levelno >= logging.INFO or record.name.partition(".")[0] not in QUIET_BELOW_INFO


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
    handler.addFilter(_worth_keeping)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(table.level.upper())
    for noisy in ("apscheduler", "alembic", *QUIET_BELOW_INFO):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
