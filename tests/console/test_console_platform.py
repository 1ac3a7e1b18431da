"""The console as a chat platform: who types, who is there, who is told; on a real core."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from desk import START, ManualClock
from desk import read as words

from adapters.console import table as tables
from adapters.console.cast import OPENING, PEOPLE, STORY, Cast
from adapters.console.demo import configuration
from adapters.console.platform import platform
from adapters.console.screen import Screen
from adapters.console.service import ConsolePlatform
from adapters.console.table import read
from bot.config import Config, ConfigError
from bot.dispatch import Desk
from bot.domain.when import parse_when
from bot.message import Line, Message
from bot.ports import Undeliverable
from storage.database import open_inline

PEOPLE_TABLE: Mapping[str, Any] = {
    "people": [
        {"id": "alex", "name": "Alex", "zone": "Europe/Berlin"},
        {"id": "maria", "name": "Maria", "zone": "Europe/Madrid"},
    ]
}
CONFIG: Mapping[str, Any] = {
    "organization": {"leads": ["console:local:alex"]},
    "team": [{"slug": "support", "name": "Support", "everyone": True}],
    "platforms": {"console": PEOPLE_TABLE},
}


class PaperScreen(Screen):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__(interactive=True, colour=False)
        self.shown: list[str] = []

    def show(self, message: Message, now: datetime, zone: ZoneInfo) -> None:
        self.shown.append(words(message))
        super().show(message, now, zone)

    def tell(self, line: Line, now: datetime, zone: ZoneInfo, colour: str = "") -> None:
        self.shown.append(words(Message((line,))))

    def write(self, text: str) -> None:
        """Nowhere else."""


async def open_desk(config: Mapping[str, Any] = CONFIG) -> Desk:
    desk = Desk(Config.model_validate(config), open_inline(), ManualClock())
    await desk.start()
    return desk


@asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[tuple[ConsolePlatform, PaperScreen]]:
    """The console of a desk, live, with Alex at the prompt."""
    screen, live = PaperScreen(), asyncio.Event()
    console = ConsolePlatform(read(desk.config.platforms["console"]), desk, screen)

    async def tell() -> None:
        live.set()

    console.beside.append(tell)
    task = asyncio.create_task(console.run())
    try:
        async with asyncio.timeout(5):
            await live.wait()
        yield console, screen
    finally:
        task.cancel()
        await asyncio.wait({task})
        await desk.dispatcher.finish()


def presence(desk: Desk, name: str) -> str:
    rows = desk.roster.rows(desk.clock.now())
    return next(row for row in rows if row.agent.name == name).verdict.presence.value


async def test_a_command_is_answered_and_who_types_is_connected() -> None:
    desk = await open_desk()
    async with running(desk) as (console, _):
        assert "You're Available." in words(await console.type("maria", "/available"))
        row = desk.roster.rows(desk.clock.now())[0]
        assert row.agent.name == "Maria"
        assert [link.state.value for link in row.facts.links] == ["connected"]
        assert console.can_take_chats("maria")
        assert not console.can_take_chats("alex")


async def test_a_dropped_connection_is_offline_after_the_grace_and_not_before() -> None:
    desk = await open_desk()
    clock = desk.clock
    assert isinstance(clock, ManualClock)
    async with running(desk) as (console, _):
        await console.type("maria", "/available")
        clock.advance(minutes=2)
        await console.drop("maria")
        clock.advance(seconds=65)
        assert presence(desk, "Maria") == "available"
        clock.advance(microseconds=1)
        assert presence(desk, "Maria") == "offline"
        await console.connect("maria")
        assert presence(desk, "Maria") == "available"


async def test_a_button_is_pressed_by_its_number() -> None:
    desk = await open_desk()
    async with running(desk) as (console, _):
        console.show(await console.type("alex", "/brb"))
        assert words(await console.press("alex", 2)).startswith("You've signed off.")
        assert words(await console.press("alex", 1)).startswith("You're Available.")
        for wrong in (0, 3):
            assert words(await console.press("alex", wrong)) == f"There is no choice {wrong} just now."
        assert presence(desk, "Alex") == "available"


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("/availble", "There is no command /availble. Did you mean /available?"),
        ("/away 30m", "There is no command /away. Did you mean /brb?"),
        ("/Who", "There is no command /Who. Did you mean /whosin?"),
        ("/quit now", "/quit is for the one at the prompt."),
        ("/xyzzy", "There is no command /xyzzy. Type /presence help for the commands."),
    ],
)
async def test_an_unknown_command_is_told_with_the_nearest(typed: str, answer: str) -> None:
    desk = await open_desk()
    async with running(desk) as (console, _):
        assert words(await console.type("alex", typed)) == answer


@pytest.mark.parametrize("space", ["\u00a0", "\t", "\u3000", " \u202f "])
async def test_space_that_was_pasted_with_a_command_is_space(space: str) -> None:
    """Fault row 29: behind the slash it ended the console with a traceback."""
    desk = await open_desk()
    async with running(desk) as (console, _):
        assert "You're Available." in words(await console.type("alex", f"/{space}available"))
        assert "Lunch" in words(await console.type("alex", f"{space}/brb{space}30m lunch{space}"))
        assert "There is no command" in words(await console.type("alex", f"/{space}"))


async def test_a_direct_message_waits_for_the_person_it_is_for() -> None:
    desk = await open_desk()
    async with running(desk) as (console, screen):
        await console.type("maria", "/available")
        agent, identity = desk.roster.identity(console.workspace_id, "maria") or (None, None)
        assert agent is not None
        assert identity is not None
        workspace = desk.workspaces[console.workspace_id]
        await console.send_direct(identity, workspace, Message((("Still there?",),)))
        assert screen.shown == []
        await console.sit_down("maria")
        assert screen.shown == ["Still there?"]
        await console.send_direct(identity, workspace, Message((("And now?",),)))
        assert screen.shown == ["Still there?", "And now?"]


async def test_nobody_who_is_not_of_this_console_gets_a_direct_message() -> None:
    desk = await open_desk()
    async with running(desk) as (console, _):
        await console.type("maria", "/available")
        known = desk.roster.identity(console.workspace_id, "maria")
        assert known is not None
        del console.people["maria"]
        with pytest.raises(Undeliverable):
            await console.send_direct(known[1], desk.workspaces[console.workspace_id], Message((("Hi",),)))


async def test_a_post_stands_below_its_channel() -> None:
    desk = await open_desk()
    async with running(desk) as (console, screen):
        console.quiet = True
        first = await console.post("support", Message((("Summary",),)))
        assert first != await console.post("support", Message((("Summary",),)))
        assert screen.shown == ["#support", "Summary"] * 2


async def test_a_lead_enrols_somebody_by_name_and_brings_them_back() -> None:
    desk = await open_desk()
    async with running(desk) as (console, _):
        assert "is an agent now" in words(await console.type("alex", "/presence enrol @Maria"))
        assert "no longer an agent" in words(await console.type("alex", "/presence remove @maria"))
        assert "You're no longer an agent here." in words(await console.type("maria", "/available"))
        assert "is an agent now" in words(await console.type("alex", "/presence enrol @maria"))


async def test_times_are_shown_in_the_zone_in_which_they_are_read_after_a_restart_too() -> None:
    desk = await open_desk()
    async with running(desk) as (console, _):
        assert console.zone("maria") == ZoneInfo("Europe/Madrid")
        assert "I don't know" in words(await console.type("maria", "/presence timezone Mars"))
        await console.type("maria", "/presence timezone asia/tokyo")
        assert console.zone("maria") == ZoneInfo("Asia/Tokyo")
    async with running(desk) as (console, _):
        assert console.zone("maria") == ZoneInfo("Asia/Tokyo")
        assert console.zone("alex") == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("machine", ["Asia/Tokyo", None])
async def test_whoever_has_no_zone_of_their_own_has_the_machines(
    machine: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The zone in which times are shown is the one in which they are read, from the first command on."""
    monkeypatch.setattr(tables, "machine_zone", lambda: machine)
    desk = await open_desk({**CONFIG, "platforms": {"console": {"people": [{"id": "sam"}]}}})
    async with running(desk) as (console, _):
        answer = words(await console.type("sam", "/brb until 23:59"))
        assert console.zone("sam") == ZoneInfo(machine or "UTC")
        assert ("Away until" in answer) is (machine is not None)
        assert ("I don't know your time zone" in answer) is (machine is None)


@pytest.mark.parametrize(
    ("setting", "zone"),
    [(":Asia/Tokyo", "Asia/Tokyo"), ("localtime", None), ("CET-1CEST", None), ("Mars/Olympus", None)],
)
def test_a_machine_without_a_named_zone_has_none(setting: str, zone: str | None) -> None:
    """In a process of its own, because a process reads its setting once."""
    program = "from adapters.console.table import machine_zone; print(machine_zone())"
    asked = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": setting},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert asked.stdout.strip() == str(zone)


def test_without_its_table_there_is_no_console() -> None:
    config = Config.model_validate({})
    assert platform(config, Desk(config, open_inline(), ManualClock())) is None


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"peple": []}, "platforms.console.peple is not a key; did you mean people?"),
        ({"people": [{"id": "a", "zon": "UTC"}]}, "console.people.0.zon is not a key; did you mean zone?"),
        ({"people": [{"id": "a"}, {"id": "a"}]}, 'people: "a" stands twice; each id must be another.'),
        ({"people": [{"id": "a", "zone": "Mars"}]}, "write an IANA time zone such as Europe/Berlin"),
    ],
)  # fmt: skip
def test_a_fault_in_its_table_is_named(table: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace(".", r"\.")):
        read(table)


# --- the demo's cast ---


async def test_every_line_of_the_story_is_understood(tmp_path: Any) -> None:
    """At any time of day: no line of it may be one that the program has to ask back about."""
    desk = await open_desk(configuration(tmp_path, 0).model_dump())
    clock = desk.clock
    assert isinstance(clock, ManualClock)
    async with running(desk) as (console, _):
        for hour in range(0, 24, 3):
            for person, line in [*OPENING, *((scene.person, scene.act) for scene in STORY)]:
                if line.startswith("/"):
                    assert (await console.type(person, line)).tone.value != "problem", (hour, line)
            clock.advance(hours=3)


async def test_the_cast_shows_every_kind_of_coming_and_going(tmp_path: Any) -> None:
    """Once through the story in moved time: a gap that nobody notices, one that ends Offline, a timed
    away that ends by itself."""
    desk = await open_desk(configuration(tmp_path, 0).model_dump())
    clock = desk.clock
    assert isinstance(clock, ManualClock)
    async with running(desk) as (console, screen):
        cast = Cast(console, desk.roster, 45)
        await cast.enter()
        assert {row.agent.name for row in desk.roster.rows(clock.now())} == {name for _, name, _ in PEOPLE}
        end = START
        for scene in [*STORY, *STORY]:
            for _ in range(int(scene.pause)):
                end = clock.advance(seconds=1)
                await desk.tick()
                cast.tell_news()
            await cast.act(scene.person, scene.act)
            cast.tell_news()
    told = [line for line in screen.shown if " is " in line]
    assert "Dev is Offline: connection lost" in told
    assert "Emma is Offline: connection lost" not in told
    assert any(line.startswith("Ben is Away until") for line in told)
    assert "Ben is Available: billing only today" in told
    assert 150 < (end - START).total_seconds() < 400
    assert not any(line.startswith("Alex") for line in told)


def test_the_people_of_the_demo_live_in_real_zones() -> None:
    for _, _, zone in PEOPLE:
        assert parse_when("30m", START, zone).until_at is not None
