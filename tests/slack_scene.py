"""The whole program in a Slack of our own: who is in it, what they do, what everybody then sees."""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from discord_scene import TEAMS
from fakes.slack import FakeSlack, Message, Reply, User
from whole_program import WholeProgram, until_monday

from adapters.slack.manifest import manifest, path_of
from bot.config import read_table
from bot.config.tables import Config

MINUTE, HOUR = 60.0, 3600.0
CYCLE = 15.0
"""Seconds a polling cycle lasts at least (docs/slack.md)."""
PAUSE = 1.4
"""A little more than the seconds between two questions, 45 in a minute."""
HEADING = re.compile(r"\*(Available|Away|Offline) \((\d+)\)\*")
SECRET_ADDRESS = re.compile(r"ticket=[0-9a-f]|/(?:commands|actions)/T\w+/\d+/[0-9a-f]")
"""A socket's ticket, a response URL: who has them can act for Rollcall."""
NOT_SEEN = "nowhere"


class SlackScene:
    """A program and a Slack workspace `T1`. Made by `slack_scene`."""

    def __init__(
        self, program: WholeProgram, mode: Literal["socket", "http"], config: dict[str, Any], secret: str
    ) -> None:
        self.fake = FakeSlack(clock=lambda: time.time() + program.ahead, secret=secret)
        self.program = program
        self.mode = mode
        self._config = config
        self._number = 0

    def configure(self) -> None:
        """Once the fake has an address."""
        slack = {
            "bot_token": self.fake.bot_token,
            "app_token": self.fake.app_token,
            "signing_secret": self.fake.signing_secret,
            "mode": self.mode,
            "base_url": self.fake.base_url,
            **self._config.get("slack", {}),
        }
        self.program.config |= {**TEAMS, **self._config, "slack": slack}
        config = read_table(Config, self.program.config)
        self.path = path_of(config.organization.slug)
        self.fake.install(manifest(config, "rollcall.example"))

    def member(
        self, name: str, presence: Literal["active", "away"] = "active", zone: str | None = "Europe/London"
    ) -> User:
        """A full member of the workspace."""
        self._number += 1
        return self.fake.add_user(f"U{self._number:03}", name, presence=presence, tz=zone)

    async def ready(self) -> None:
        """Wait until the program is signed in, and Slack's deliveries reach it."""
        if self.mode == "http":
            self.fake.request_url = f"{self.program.address}{self.path}"
        else:
            await self.fake.wait_for_connection()
        await self.feed("live")

    async def restart(self, *, kill: bool = False) -> None:
        """The program again, on the same data, back in the workspace."""
        asked = len(self.fake.calls("users.getPresence"))
        await self.program.restart(kill=kill)
        await self.fake.wait_for_call("users.getPresence", asked + 1)
        await self.ready()

    async def advance(self, seconds: float) -> datetime:
        """The program's clock moves on, and Slack's with it."""
        return await self.program.advance(seconds)

    def now(self) -> datetime:
        """The program's."""
        return datetime.now(UTC) + timedelta(seconds=self.program.ahead)

    def presence(self, person: User, presence: Literal["active", "away"]) -> None:
        """What Slack shows of somebody from now on."""
        self.fake.set_presence(person.id, presence)

    async def polled(self, people: Iterable[User]) -> None:
        """Move the clock on until Slack was asked for each of these anew: one polling cycle, mostly."""
        waiting = {person.id for person in people}
        seen = len(self.fake.calls("users.getPresence"))
        for step in (CYCLE, *[PAUSE] * 200):
            await self.advance(step)
            for call in self.fake.calls("users.getPresence")[seen:]:
                waiting.discard(call.arguments["user"])
            if not waiting:
                return
        raise AssertionError(f"nobody asked for {sorted(waiting)}")

    # --- what people do ---

    async def say(self, person: User, command: str, text: str = "") -> Reply:
        """A slash command, answered in time and only to the one who gave it."""
        reply = await self.fake.command(person.id, f"/{command}", text)
        assert reply.error is None, f"/{command} was not answered: {reply.error}"
        assert reply.ephemeral
        return reply

    async def press(self, person: User, where: Reply | Message, label: str) -> Reply:
        """A click on the button with this label, answered."""
        reply = await self.fake.click(person.id, where, text=label)
        assert reply.error is None, f"{label} was not answered: {reply.error}"
        return reply

    async def word(self, person: User, containing: str, count: int = 1) -> Message:
        """The so-manieth direct message with these words."""

        def look() -> Message | None:
            found = [one for one in self.fake.direct_messages(person.id) if containing in one.shown]
            return found[count - 1] if len(found) >= count else None

        return await self.fake.wait_for(look, f"direct message {count} to {person.name}: {containing}")

    # --- what everybody sees ---

    async def seen(self, by: User, name: str, text: str = "") -> str:
        """In which group of `/whosin` a name stands: available, away, offline or nowhere."""
        return group_of((await self.say(by, "whosin", text)).shown, name)

    async def agrees(self, by: User, name: str, presence: str) -> None:
        """`/whosin` and the API come to say the same of somebody. Real seconds."""
        await self.program.until_presence(name, presence)
        assert await self.seen(by, name) == presence

    async def feed(self, state: str) -> None:
        """Move the clock on until the workspace's feed is so: trying again waits by the program's clock."""
        for _ in range(100):
            feeds = (await self.program.get("/v1/availability"))["feeds"]
            if [feed["state"] for feed in feeds if feed["platform"] == "slack"] == [state]:
                return
            await self.advance(1)
        raise AssertionError(f"Slack's feed is not {state}: {feeds}")

    async def another_socket(self, opened: int) -> None:
        """Wait until more sockets than that were opened."""
        await self.until(lambda: self.fake.sockets.opened > opened, "another socket")

    async def wait_for_posts(self, count: int) -> None:
        """Wait until so many messages stand in #general."""
        await self.until(lambda: len(self.fake.messages("C1")) >= count, f"{count} posts")

    async def until(self, true: Callable[[], object], what: str) -> None:
        """Wait for something that the program does at Slack."""
        await self.fake.wait_for(lambda: true() or None, what)


def group_of(roster: str, name: str) -> str:
    """In which group of a roster's page a name stands."""
    group = NOT_SEEN
    for line in roster.splitlines():
        if heading := HEADING.match(line):
            group = heading[1].lower()
        elif line.startswith(f"*{name}*"):
            return group
    return NOT_SEEN


@asynccontextmanager
async def slack_scene(
    where: Path | WholeProgram,
    mode: Literal["socket", "http"] = "socket",
    secret: str = "fake",
    **config: Any,
) -> AsyncIterator[SlackScene]:
    """A Slack, and a program to be started in it (in a folder, or one that is there already).

    At the end nothing that was sent may have broken one of Slack's rules, pinged anybody or come before
    a Retry-After had passed, and no secret may be read anywhere.
    """
    program = where if isinstance(where, WholeProgram) else WholeProgram(where, {}, until_monday())
    scene = SlackScene(program, mode, config, secret)
    async with scene.fake as fake:
        scene.configure()
        yield scene
        assert fake.violations == []
        assert fake.pings() == []
        assert fake.impatient_calls == []
        shown = scene.program.log.read_text() + "".join(one.shown for one in fake.world.messages)
        for secret in (fake.bot_token, fake.app_token, fake.signing_secret, scene.program.key):
            assert secret not in shown
        assert not SECRET_ADDRESS.search(shown)
