"""What a log line looks like, and what never stands in one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from bot.config import Config, LogTable
from bot.logs import Redactor, secrets_of, set_up_logs

CANARY = "canary-7f3a9c-secret"
INTERACTION = "aW50ZXJhY3Rpb246MTIzNDU2Nzg5MDEyMzQ1Njc4OTpjYW5hcnk"
LIBRARIES = (
    "aiohttp",
    "aiohttp.client",
    "discord",
    "discord.http",
    "discord.webhook",
    "discord.webhook.async_",
    "slack_bolt",
    "slack_bolt.AsyncApp",
    "slack_sdk",
    "slack_sdk.web.async_client",
    "uvicorn",
    "uvicorn.error",
)
log = logging.getLogger("rollcall.tests")
Lines = Callable[[], str]


@pytest.fixture(params=["json", "text"])
def form(request: pytest.FixtureRequest) -> str:
    """Both forms."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def lines(form: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Logging as the program sets it up, at debug; answers what was written. Put back at the end."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    # Whatever tests before this one left behind must not decide what is logged here.
    logging.disable(logging.NOTSET)
    for name in ("rollcall", "rollcall.tests", *LIBRARIES):
        logger = logging.getLogger(name)
        logger.disabled, logger.propagate = False, True
        logger.setLevel(logging.NOTSET)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*LIBRARIES, "apscheduler", "alembic")}
    set_up_logs(LogTable.model_validate({"form": form, "level": "debug"}), [CANARY])
    yield written.getvalue
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.parametrize("form", ["json"], indirect=True)
def test_json_is_one_object_a_line_with_the_commands_request_id(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        log.info("agent %s\nset", "Maria", extra={"agents": 3})
    (line,) = lines().splitlines()
    said: dict[str, Any] = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "event": "agent Maria\nset",
        "level": "info",
        "logger": "rollcall.tests",
        "request_id": "req_1",
        "agents": 3,
    }


@pytest.mark.parametrize("form", ["text"], indirect=True)
def test_text_has_what_happened_and_the_commands_request_id(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        log.warning("agent %s set", "Maria", extra={"agents": 3})
    said = lines()
    for part in ("warning", "agent Maria set", "rollcall.tests", "request_id=req_1", "agents=3"):
        assert part in said


class Shown:
    """An object whose text holds the secret, as a client's or a configuration's may."""

    def __repr__(self) -> str:
        return f"Shown({CANARY})"


@pytest.mark.parametrize(
    "held",
    [
        CANARY,
        f"token={CANARY};",
        {"headers": {"Authorization": [f"Bearer {CANARY}"]}},
        {CANARY: 1},
        [("a", {"b": (CANARY,)})],
        {"set", CANARY},
        CANARY.encode(),
        ValueError(CANARY),
        [Shown()],
    ],
    ids=lambda held: type(held).__name__,
)
def test_no_secret_stands_in_a_message_or_a_field(lines: Lines, held: object) -> None:
    log.info("a message of %s", held)
    log.info("a field", extra={"held": held})
    with structlog.contextvars.bound_contextvars(held=held):
        log.info("a context")
    said = lines()
    assert CANARY not in said
    assert said.count("[secret]") == 3


def test_no_secret_stands_in_a_traceback(lines: Lines) -> None:
    """Neither in the exception, nor in its cause."""
    try:
        try:
            raise OSError(f"could not log in with {CANARY}")
        except OSError as error:
            raise RuntimeError(f"with {CANARY} it failed") from error
    except RuntimeError:
        log.exception("it failed")
    said = lines()
    assert "RuntimeError" in said
    assert "OSError" in said
    assert CANARY not in said
    assert said.count("[secret]") == 2


@pytest.mark.parametrize(
    "line",
    [
        f"POST https://discord.com/api/v10/webhooks/123456789/{INTERACTION}/messages/@original: 429",
        f"POST https://discord.com/api/v10/interactions/123456789/{INTERACTION}/callback: 404",
        f"POST https://hooks.slack.com/commands/T0123/456789/{INTERACTION}",
        f"connected to wss://wss-primary.slack.com/link/?ticket={INTERACTION}&app_id=1",
        f"authorized as xoxb-123-456-{INTERACTION}",
        f"authorized as xapp-1-A123-456-{INTERACTION}",
    ],
)
def test_no_token_that_a_platform_hands_out_stands_in_a_line(lines: Lines, line: str) -> None:
    log.warning(line)
    said = lines()
    assert INTERACTION not in said
    assert "[secret]" in said
    assert line.split(" ")[0] in said


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_libraries_never_log_below_info(lines: Lines, name: str) -> None:
    """Their debug lines hold raw interactions and headers; slack_bolt sets levels of its own."""
    library = logging.getLogger(name)
    library.debug("Received %s", INTERACTION)
    level = library.level
    library.setLevel(logging.DEBUG)
    try:
        library.debug("Received %s", INTERACTION)
        library.error("it failed")
    finally:
        library.setLevel(level)
    said = lines()
    assert INTERACTION not in said
    assert "it failed" in said


def test_our_own_debug_lines_are_kept(lines: Lines) -> None:
    log.debug("a small thing")
    assert "a small thing" in lines()


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("postgresql://rollcall:sesame%2Dopen@db/rollcall", ["sesame%2Dopen", "sesame-open"]),
        ("postgresql://rollcall@db/rollcall?password=sesame%2Dopen", ["sesame%2Dopen", "sesame-open"]),
        ("postgresql://db/rollcall?user=rollcall&sslpassword=sesame-open", ["sesame-open"]),
        ("postgresql://rollcall:first-pass@db/rollcall?password=sesame-open", ["first-pass", "sesame-open"]),
    ],
)
def test_a_databases_password_is_known_however_it_is_written(address: str, secrets: list[str]) -> None:
    config = Config.model_validate({"database": {"url": address}})
    found = secrets_of(config)
    assert set(secrets) <= set(found)
    assert address in found
    for secret in secrets:
        assert Redactor(found).clean(f"FATAL: {secret}!") == "FATAL: [secret]!"


def test_an_address_without_a_password_holds_no_secret_but_itself() -> None:
    config = Config.model_validate({"database": {"url": "sqlite:///rollcall.sqlite3"}})
    assert secrets_of(config) == ["sqlite:///rollcall.sqlite3"]


@pytest.mark.parametrize("secret", ["x", "app", "s3cr3t!", "$$", "pass-1"])
def test_a_short_secret_is_replaced_where_it_stands_alone(secret: str) -> None:
    """A database's password may be short; what only has it in a word is left readable."""
    redactor = Redactor([secret])
    for line in ("postgresql://me:{}@db/n", "password={}", "password='{}'", "{}", "it was {}.", "({})"):
        assert redactor.clean(line.format(secret)) == line.format("[secret]")
    assert Redactor(["app"]).clean("the application's app_id, mapped") == "the application's app_id, mapped"


def test_the_password_of_a_database_is_replaced_however_short() -> None:
    """As it comes out of the configuration."""
    config = Config.model_validate({"database": {"url": "postgresql://me:abc@db/n"}})
    told = Redactor(secrets_of(config)).clean("login of me with abc refused at db")
    assert told == "login of me with [secret] refused at db"


def test_nothing_is_replaced_for_a_secret_that_is_empty() -> None:
    assert Redactor([""]).clean("as it is") == "as it is"
