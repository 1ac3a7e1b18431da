"""The prompt: a line is typed, completed, remembered and answered; what happens meanwhile stands above it."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from adapters.console.render import literal
from adapters.console.service import OWN, ConsolePlatform, typed_words
from bot.commands import BY_NAME, GROUP, TOP, Kind
from bot.message import Message, Strong, Tone

HELP = {"help", "?"}
LEAVE = {"quit", "exit"}


class Prompt:
    """The one place where a person types."""

    def __init__(self, console: ConsolePlatform) -> None:
        self._console = console
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory(),
            completer=CommandCompleter(console),
            complete_while_typing=False,
            refresh_interval=1.0,
        )

    async def run(self) -> None:
        """Until cancelled. Ctrl-C and Ctrl-D ask the program to leave."""
        with patch_stdout(raw=True), _logs_above_the_prompt():
            while True:
                try:
                    line = await self._session.prompt_async(self._before, handle_sigint=False)
                except (KeyboardInterrupt, EOFError):
                    break
                word, rest = typed_words(line)
                if word.lower() in LEAVE:
                    break
                await self._entered(line.strip(), word.lower(), rest.strip())
        # The prompt took the key from which the terminal would have made this signal.
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    def _before(self) -> StyleAndTextTuples:
        """Who one is, with a green dot while chats may come."""
        console = self._console
        dot = ("fg:ansigreen", "●") if console.can_take_chats(console.me) else ("fg:ansibrightblack", "○")
        return [dot, ("bold", f" {literal(console.people[console.me].name)}"), ("fg:ansicyan", " › ")]

    async def _entered(self, line: str, word: str, rest: str) -> None:
        console = self._console
        if not line:
            return
        if line.isascii() and line.isdigit():
            console.show(await console.press(console.me, int(line[:4])))
        elif word == "as":
            await self._sit_down(rest)
        elif word == "quiet":
            console.quiet = not console.quiet
            console.show(
                _said("The others are hidden now." if console.quiet else "The others are shown again.")
            )
        elif word in HELP:
            console.show(await console.type(console.me, f"{console.names[GROUP]} help"))
        elif line.startswith("/") or word in console.names.values():
            console.show(await console.type(console.me, line))
        else:
            console.show(_said("Commands begin with a slash: /presence help shows them.", Tone.PROBLEM))

    async def _sit_down(self, wanted: str) -> None:
        console = self._console
        wanted = wanted.lstrip("@").casefold()
        found = next(
            (
                person
                for person, profile in console.people.items()
                if wanted in (person, profile.name.casefold())
            ),
            None,
        )
        if found is None:
            who = ", ".join(console.people)
            console.show(_said(f"Whom do you want to be? /as and one of: {who}.", Tone.PROBLEM))
            return
        zone = console.zone(found)
        there = f" now, in {zone.key}, where it is {console.core.clock.now().astimezone(zone):%H:%M}."
        console.show(Message((("You're ", Strong(console.people[found].name), there),)))
        await console.sit_down(found)


def _said(sentence: str, tone: Tone = Tone.QUIET) -> Message:
    return Message(((sentence,),), tone=tone)


@contextmanager
def _logs_above_the_prompt() -> Iterator[None]:
    """Logs went to the error stream as it was before the prompt; a line there would tear it apart."""
    moved = [
        (handler, handler.stream)
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.__stderr__, sys.__stdout__)
    ]
    for handler, _ in moved:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler, before in moved:
            handler.setStream(before)


class CommandCompleter(Completer):
    """Completes commands, and what can stand behind them, by what the core suggests."""

    def __init__(self, console: ConsolePlatform) -> None:
        self._console = console

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Nothing at once: all of it is asked of the core."""
        return iter(())

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """What the word under the cursor may become."""
        text = document.text_before_cursor.lstrip()
        if text and not text.startswith("/"):
            return
        typed = text.removeprefix("/")
        command, space, rest = typed.partition(" ")
        if not space:
            for name, told in self._commands():
                if name.startswith(command.lower()):
                    yield Completion(f"/{name} ", -len(text), display=f"/{name}", display_meta=told)
            return
        for value, shown, told, length in await self._behind(command.lower(), rest):
            yield Completion(value, -length, display=shown, display_meta=told)

    def _commands(self) -> Sequence[tuple[str, str]]:
        names = self._console.names
        top = [(names[name], BY_NAME[name].help) for name in TOP]
        return [*top, (names[GROUP], "me, off, why, timezone, help"), *OWN.items()]

    async def _behind(self, command: str, rest: str) -> Sequence[tuple[str, str, str, int]]:
        """(what is put in, what is shown, its help, how much of `rest` it replaces)."""
        console = self._console
        if command == "as":
            people = [(person, profile.name) for person, profile in console.people.items()]
            return [(one, one, name, len(rest)) for one, name in people if one.startswith(rest.lower())]
        name = next((known for known, shown in console.names.items() if shown == command), "")
        if name == GROUP:
            sub, space, rest = rest.partition(" ")
            if not space:
                subs = [(spec.name.partition(" ")[2] or spec.name, spec.help) for spec in BY_NAME.values()]
                return [(f"{one} ", one, told, len(sub)) for one, told in subs if one.startswith(sub.lower())]
            name = sub if sub in TOP else f"{GROUP} {sub}"
        return await self._arguments(name, rest)

    async def _arguments(self, name: str, rest: str) -> Sequence[tuple[str, str, str, int]]:
        spec = BY_NAME.get(name)
        found: list[tuple[str, str, str, int]] = []
        for parameter in spec.parameters if spec is not None else ():
            if parameter.kind in (Kind.TEXT, Kind.TIME):
                continue
            several = parameter.kind in (Kind.TEAM, Kind.SKILL)
            typed = rest.rpartition(" ")[2] if several else rest
            told = parameter.kind.value
            for label, value in await self._console.suggest(name, parameter.name, typed.lstrip("@")):
                found.append((value, literal(value), told if label == value else label, len(typed)))
        return found
