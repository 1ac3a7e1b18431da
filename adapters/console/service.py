"""The console: a chat platform in the terminal, for one workspace, `console:local`.

Whoever sits at the prompt is connected; a program may connect and drop the others, and type for
them. What they may do, and what it means, the core decides as for every other platform.
"""

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import count
from zoneinfo import ZoneInfo

from adapters.console import table as tables
from adapters.console.screen import Screen
from bot import replies
from bot.commands import GROUP, names_on, read_line
from bot.domain.agent import Identity, Workspace
from bot.domain.errors import UnknownCommand
from bot.domain.facts import Seen
from bot.lookup import find_zone
from bot.message import Button, Line, Message, Strong, Tone
from bot.ports import AsgiApp, Command, Core, Person, Profile, Sighting, Undeliverable

NAME, LOCAL = "console", "local"
KEPT = 20
"""Direct messages kept for somebody who is not at the prompt; older ones are dropped."""
OWN = {
    "as": "Be somebody else: /as maria",
    "quiet": "Hide what the others do, or show it again",
    "quit": "Leave",
}
"""Words of the console's own, beside the command table."""


class ConsolePlatform:
    """Implements `bot.ports.ChatPlatform`."""

    name = NAME
    mounts: Mapping[str, AsgiApp] = {}

    def __init__(self, table: tables.ConsoleTable, core: Core, screen: Screen) -> None:
        self.core = core
        self.screen = screen
        self.names = names_on(NAME)
        self.people: dict[str, Profile] = {person.id: person.profile for person in table.people}
        self.me = table.people[0].id
        """Who sits at the prompt."""
        self.taken = {self.me} if screen.interactive else set()
        """Everybody who was at the prompt: they stay connected, and nobody types for them."""
        self.connected = set(self.taken)
        """Who is connected: told to the core when the feed begins, and from then on as it changes."""
        self.quiet = False
        self.beside: list[Callable[[], Coroutine[object, object, None]]] = []
        """What runs as long as the console does, once it is live."""
        self.choices: dict[str, Sequence[Button]] = {}
        """The buttons last shown to somebody: they are pressed by number."""
        self._zones: dict[str, str] = {}
        self._kept: dict[str, deque[Message]] = defaultdict(lambda: deque(maxlen=KEPT))
        self.workspace_id = ""
        self._epoch = 0
        self._seq = count()
        self._ids = count(1)

    # --- running ---

    async def run(self) -> None:
        """Serves until cancelled, and runs what stands beside it: the prompt, the demo's cast."""
        workspace = await self.core.workspace(NAME, LOCAL, "this terminal")
        self.workspace_id = workspace.id
        for person in self.people:
            zone = await self.core.setting(_zone_key(person))
            if zone:
                self._zones[person] = zone
        self._epoch = await self.core.feed_live(workspace.id)
        await self._tell_who_is_there(self.people)
        async with asyncio.TaskGroup() as group:
            for part in self.beside:
                group.create_task(part())
            await asyncio.Event().wait()

    async def connect(self, person: str) -> None:
        """Somebody is there."""
        self.connected.add(person)
        await self._tell_who_is_there([person])

    async def drop(self, person: str) -> None:
        """Somebody's connection is gone."""
        self.connected.discard(person)
        await self._tell_who_is_there([person])

    async def _tell_who_is_there(self, people: Sequence[str] | Mapping[str, Profile]) -> None:
        now = self.core.clock.now()
        sightings = [
            Sighting(
                person,
                Seen.CONNECTED if person in self.connected else Seen.DISCONNECTED,
                now,
                next(self._seq),
            )
            for person in people
        ]
        await self.core.observe(self.workspace_id, self._epoch, sightings)

    # --- typing ---

    async def sit_down(self, person: str) -> None:
        """Somebody comes to the prompt; who sat there stays connected. Shows what was kept for them."""
        self.me = person
        self.taken.add(person)
        await self.connect(person)
        while self._kept[person]:
            self.show(self._kept[person].popleft())

    async def type(self, person: str, line: str) -> Message:
        """A line as somebody types it, `/brb 30m lunch`: the answer."""
        word, rest = typed_words(line)
        shown = {name.lower(): known for known, name in self.names.items()}
        name = shown.get(word.lower())
        if name is None:
            return self._unknown(word)
        text = rest.strip()
        said = Command(name, self._person(person), text=text, mentioned=self._mentioned(text))
        answer = await self._dispatch(person, said)
        if name == GROUP and text.lower().startswith("timezone ") and answer.tone is Tone.GOOD:
            await self._moved(person, text.partition(" ")[2])
        return answer

    async def suggest(self, command: str, parameter: str, typed: str) -> Sequence[tuple[str, str]]:
        """(label, value) pairs for what whoever sits at the prompt is typing."""
        return await self.core.suggest(self._person(self.me), command, parameter, typed)

    async def press(self, person: str, number: int) -> Message:
        """A button by the number it was last shown under."""
        buttons = self.choices.get(person, ())
        if not 1 <= number <= len(buttons):
            return _problem(f"There is no choice {number} just now.")
        button = buttons[number - 1]
        said = Command(button.action, self._person(person), dict(button.arguments), clicked=True)
        return await self._dispatch(person, said)

    async def _dispatch(self, person: str, said: Command) -> Message:
        """Who types is there. Somebody who becomes an agent by this command is only now watched."""
        tracked = self._is_tracked(person)
        if person not in self.connected:
            await self.connect(person)
        answer = await self.core.dispatch(said)
        if not tracked:
            await self._tell_who_is_there([person])
        return answer

    def _is_tracked(self, person: str) -> bool:
        return any(one.external_id == person for one in self.core.tracked(self.workspace_id))

    def can_take_chats(self, person: str) -> bool:
        """Whether new chats may come to somebody just now, load apart."""
        tracked = self.core.tracked(self.workspace_id) if self.workspace_id else ()
        return any(one.external_id == person and one.available for one in tracked)

    def _person(self, person: str) -> Person:
        return Person(self.workspace_id, NAME, self.people[person])

    def _mentioned(self, text: str) -> tuple[Profile, ...]:
        """The people whose `@id` or `@Name` stands in the text."""
        marked = {word.casefold() for word in re.findall(r"@(\S+)", text)}
        return tuple(
            profile
            for person, profile in self.people.items()
            if person in marked or profile.name.casefold() in marked
        )

    def _unknown(self, word: str) -> Message:
        if word.lower() in OWN:
            return _problem(f"/{word} is for the one at the prompt.")
        if word.lower() in self.names:  # what Discord and the documents call it
            return _problem(f"There is no command /{word}. Did you mean /{self.names[word.lower()]}?")
        try:
            read_line(word, {**self.names, **{own: own for own in OWN}})
        except UnknownCommand as problem:
            return replies.refusal(problem)
        raise AssertionError(f"{word!r} is known after all")

    async def _moved(self, person: str, zone: str) -> None:
        """Clock times are shown in the zone in which they are read."""
        self._zones[person] = find_zone(zone)
        await self.core.put_setting(_zone_key(person), self._zones[person])

    # --- showing ---

    def zone(self, person: str) -> ZoneInfo:
        """In which somebody reads clock times."""
        return ZoneInfo(self._zones.get(person) or self.people[person].zone or "UTC")

    def show(self, message: Message) -> None:
        """To the one at the prompt."""
        if message.buttons:
            self.choices[self.me] = message.buttons
        self.screen.show(message, self.core.clock.now(), self.zone(self.me))

    def tell(self, line: Line, colour: str = "") -> None:
        """One line of what the others do, unless the one at the prompt wants it quiet."""
        if not self.quiet:
            self.screen.tell(line, self.core.clock.now(), self.zone(self.me), colour)

    async def send_direct(self, identity: Identity, workspace: Workspace, message: Message) -> str:
        """Shown at the prompt of the person it is for, now or when they sit down there."""
        person = identity.external_id
        if person not in self.people:
            raise Undeliverable(f"nobody called {person} uses this console")
        if self.screen.interactive and person == self.me:
            self.show(message)
        elif self.screen.interactive:
            self._kept[person].append(message)
        else:
            self.tell(("to ", Strong(self.people[person].name), ": ", *_first_line(message)))
        return f"console-{next(self._ids)}"

    async def post(self, channel: str, message: Message) -> str:
        """On the screen, under the channel's name."""
        self.screen.tell((Strong(f"#{channel}"),), self.core.clock.now(), self.zone(self.me))
        self.screen.show(message, self.core.clock.now(), self.zone(self.me))
        return f"console-{next(self._ids)}"


def typed_words(line: str) -> tuple[str, str]:
    """The command that a line begins with, without its slash, and the rest. Whatever space was pasted
    with it, a tab or a no-break space, stands between words as a plain one does."""
    parts = line.strip().removeprefix("/").split(maxsplit=1)
    return (parts[0] if parts else "", parts[1] if len(parts) > 1 else "")


def _zone_key(person: str) -> str:
    return f"console.zone.{person}"


def _first_line(message: Message) -> Line:
    return message.lines[0] if message.lines else ()


def _problem(sentence: str) -> Message:
    return Message(((sentence,),), tone=Tone.PROBLEM)
