"""Places that `rollcall doctor` looks at: a folder with a configuration, and both platforms on sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fakes.discord_server import FakeDiscord
from fakes.slack import FakeSlack
from whole_program import toml

from bot import doctor
from bot.operations import examined
from bot.ports import Finding

CANARY = "canary0123456789"


class Place:
    """A folder with a configuration that `examined` reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "rollcall.toml"
        self.config: dict[str, Any] = {
            "database": {"url": f"sqlite:///{folder}/rollcall.sqlite3"},
            "http": {"port": 0},
            "platforms": {"console": {}},
        }

    async def look(self, **more: Any) -> Looked:
        self.file.write_text(toml({**self.config, **more}))
        self.file.chmod(0o600)
        return Looked(await examined([self.file]))

    @property
    def url(self) -> str:
        return str(self.config["database"]["url"])


class Looked(NamedTuple):
    """What it found."""

    findings: Sequence[Finding]

    def broken(self) -> list[str]:
        return [doctor.line(one).removeprefix("BROKEN: ") for one in self.findings if not one.ok]

    def ok(self, name: str) -> str:
        """What is said of something that is well."""
        (found,) = (one for one in self.findings if one.name == name)
        assert found.ok, found.said
        return found.said


@asynccontextmanager
async def both() -> AsyncIterator[tuple[FakeSlack, FakeDiscord, dict[str, Any]]]:
    """A Slack and a Discord with a server and a role, and the configuration for them."""
    async with FakeSlack() as slack, FakeDiscord(f"fake.{CANARY}.token") as discord:
        guild = discord.add_guild("Acme")
        role = discord.add_role(guild, "Agents")
        yield (
            slack,
            discord,
            {
                "slack": {
                    "bot_token": slack.bot_token,
                    "app_token": slack.app_token,
                    "base_url": slack.base_url,
                },
                "discord": {
                    "token": discord.token,
                    "base_url": discord.base_url,
                    "agent_roles": [str(role.id)],
                },
            },
        )
