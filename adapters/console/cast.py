"""The demo's cast: a made-up team that comes, goes, drops and returns by itself.

They act as people do, by typing commands and by being connected or not; what comes of it the
program decides. One round of the story takes about two minutes.
"""

import signal
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from adapters.console.service import ConsolePlatform
from bot.domain.facts import LinkState, Presence
from bot.message import Code, Line, Moment, Strong, words
from bot.roster import Roster, Row

PEOPLE = (
    ("alex", "Alex", None),
    ("maria", "Maria", "Europe/Madrid"),
    ("ben", "Ben", "Europe/London"),
    ("chloe", "Chloe", "America/New_York"),
    ("dev", "Dev", "Asia/Kolkata"),
    ("emma", "Emma", "Europe/Berlin"),
)
"""(id, name, time zone); the first is you, in the machine's zone."""
DROP, BACK = "drops", "is back"
OPENING = (
    ("maria", "/available"),
    ("ben", "/available billing only today"),
    ("chloe", "/brb 30m lunch"),
    ("emma", "/available"),
    ("dev", "/presence off"),
)


class Scene(Struct, frozen=True):
    """After a pause in seconds somebody types a line, drops, or is back."""

    pause: float
    person: str
    act: str


STORY = (
    Scene(4, "emma", DROP),
    Scene(6, "ben", "/brb 1m coffee"),
    Scene(8, "dev", "/available"),
    Scene(9, "emma", BACK),
    Scene(8, "maria", "/brb 40m training"),
    Scene(7, "chloe", "/available"),
    Scene(6, "dev", DROP),
    Scene(12, "maria", "/available"),
    Scene(9, "emma", "/brb team meeting"),
    Scene(9, "ben", "/presence off"),
    Scene(13, "emma", "/available"),
    Scene(8, "chloe", "/brb 30m lunch"),
    Scene(9, "dev", BACK),
    Scene(8, "dev", "/presence off"),
    Scene(6, "ben", "/available billing only today"),
)
"""Emma's gap ends within the grace, Dev's outlasts it; Ben's minute ends by itself."""
COLOURS = {Presence.AVAILABLE: "green", Presence.AWAY: "yellow", Presence.OFFLINE: "bright_black"}
LOOK_EVERY = 0.5


class Cast:
    """Plays the story on a console, and tells what the program made of it."""

    def __init__(self, console: ConsolePlatform, roster: Roster, grace: float) -> None:
        self._console = console
        self._roster = roster
        self._grace = grace
        self._shown: dict[str, tuple[Presence, str, str, datetime | None]] = {}

    def resume(self) -> None:
        """Whoever was connected when the data was written is connected again."""
        for agent in self._roster.everyone():
            facts = self._roster.facts(agent.id)
            there = facts is not None and any(link.state is LinkState.CONNECTED for link in facts.links)
            self._console.connected |= {
                identity.external_id
                for identity in agent.identities
                if there and identity.external_id in self._console.people
            }

    async def enter(self) -> None:
        """The first scene of a fresh demo: all become agents, and say where they are."""
        if len(self._roster) == 0:
            for person in self._console.people:
                await self._console.type(person, "/presence me")
            for person, line in OPENING:
                await self._console.type(person, line)
        self._news()

    async def play(self) -> None:
        """The story, again and again, until cancelled."""
        while True:
            for scene in STORY:
                await self._console.core.clock.sleep(scene.pause)
                if scene.person not in self._console.taken:
                    await self.act(scene.person, scene.act)

    async def act(self, person: str, act: str) -> None:
        """Somebody types a line, drops or is back; not twice."""
        name = Strong(self._console.people[person].name)
        if act == DROP and person in self._console.connected:
            await self._console.drop(person)
            self._console.tell(
                (name, f" lost the connection: Offline in {self._grace:.0f} s, unless it returns")
            )
        elif act == BACK and person not in self._console.connected:
            await self._console.connect(person)
            self._console.tell((name, " is connected again"))
        elif act not in (DROP, BACK):
            self._console.tell((name, " types ", Code(act)))
            await self._console.type(person, act)

    async def watch(self) -> None:
        """Tell every change of presence but that of the one at the prompt, who is answered anyway.
        Ends the program when nobody reads any more."""
        while True:
            if self._console.screen.gone:
                signal.raise_signal(signal.SIGTERM)
            self.tell_news()
            await self._console.core.clock.sleep(LOOK_EVERY)

    def tell_news(self) -> None:
        """What has changed since it was last told."""
        for line, colour in self._news():
            self._console.tell(line, colour)

    def _news(self) -> Sequence[tuple[Line, str]]:
        now = self._console.core.clock.now()
        told: list[tuple[Line, str]] = []
        for row in self._roster.rows(now):
            verdict = row.verdict
            state = (verdict.presence, verdict.reason, row.note, row.facts.intent.until_at)
            before = self._shown.get(row.agent.id)
            self._shown[row.agent.id] = state
            mine = any(identity.external_id == self._console.me for identity in row.agent.identities)
            if before is not None and before != state and not (mine and self._console.screen.interactive):
                told.append((news_of(row), COLOURS[verdict.presence]))
        return told


def news_of(row: Row) -> Line:
    """Where somebody now is, and why: `Ben is Away until 14:32: Lunch`."""
    verdict, until = row.verdict, row.facts.intent.until_at
    because = {
        "signed_off": ": signed off",
        "disconnected": ": connection lost",
        "returned": ": back after a longer absence",
        "not_set": ": not set yet",
    }.get(verdict.reason, "")
    line: Line = (Strong(words(row.agent.name, 40)), f" is {verdict.presence.value.capitalize()}")
    if verdict.presence is Presence.AWAY and until is not None:
        line = (*line, " until ", Moment(until))
    return (*line, because, *((": ", words(row.note, 60)) if row.note else ()))
