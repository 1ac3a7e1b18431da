"""Messages as text for a terminal."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from adapters.console.render import Renderer, literal
from bot.message import Button, Code, Line, Message, Moment, Section, Strong, TimeStyle, Tone

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
"""A Sunday, 19:00 in Berlin."""
BERLIN = ZoneInfo("Europe/Berlin")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PLAIN, COLOURED = Renderer(colour=False), Renderer(colour=True)


def plain(message: Message, width: int = 60) -> list[str]:
    """The lines, without what stands before each."""
    return [
        line.removeprefix("▌").lstrip(" ") for line in PLAIN.message(message, NOW, BERLIN, width).splitlines()
    ]


@pytest.mark.parametrize(
    ("hours", "style", "shown"),
    [
        (1, TimeStyle.TIME, "20:00"),
        (5, TimeStyle.TIME, "00:00 tomorrow"),
        (-20, TimeStyle.TIME, "23:00 yesterday"),
        (24 * 3, TimeStyle.TIME, "Wednesday 19:00"),
        (24 * 3, TimeStyle.DATE_TIME, "Wed 25 Nov 19:00"),
        (24 * 20, TimeStyle.TIME, "Sat 12 Dec 19:00"),
        (24 * -2, TimeStyle.DATE_TIME, "Fri 20 Nov 19:00"),
    ],
)
def test_times_are_the_readers_own_with_the_day_where_it_is_not_today(
    hours: int, style: TimeStyle, shown: str
) -> None:
    assert plain(Message(((Moment(NOW + timedelta(hours=hours), style),),))) == [shown]


def test_sections_footer_and_numbered_buttons_follow_each_other() -> None:
    message = Message(
        (("Who",),),
        (Section((Strong("Away (1)"),), (("Ben",),)),),
        (Button("I'm back", "available"), Button("Sign off", "presence off")),
        Tone.AWAY,
        ("As of ", Moment(NOW)),
    )
    assert plain(message) == [
        "Who",
        "",
        "Away (1)",
        "Ben",
        "",
        "As of 19:00",
        "[1] I'm back   [2] Sign off",
    ]


def test_what_does_not_fit_goes_on_below_further_in() -> None:
    """Of commands and of lines in a section; plain sentences go on at the margin."""
    long = "seven words that do not fit here"
    message = Message(((long,), (Code("/away"), f" {long}")), (Section((Strong("Head"),), ((long,),)),))
    assert PLAIN.message(message, NOW, BERLIN, 24).splitlines() == [
        "▌ seven words that do",
        "▌ not fit here",
        "▌ /away seven words",
        "▌   that do not fit here",
        "▌",
        "▌ Head",
        "▌   seven words that",
        "▌     do not fit here",
    ]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("\x1b[2J", "<U+001B>[2J"),
        ("a\rb\nc\x07", "a<U+000D>b<U+000A>c<U+0007>"),
        ("\x9b2J", "<U+009B>2J"),
        ("a\u202eb\u2066c", "a<U+202E>b<U+2066>c"),
        ("\ud800", "<U+D800>"),
        ("\u2028", "<U+2028>"),
        ("👩\u200d👧 fine", "👩\u200d👧 fine"),
        ("[bold]:smile:", "[bold]:smile:"),
    ],
)
def test_what_is_no_picture_is_shown_as_its_code_point(typed: str, shown: str) -> None:
    assert literal(typed) == shown
    assert "".join(plain(Message(((typed,),)))) == shown


@given(
    words=st.lists(st.text(max_size=80), min_size=1, max_size=4),
    width=st.integers(min_value=1, max_value=120),
    coloured=st.booleans(),
)
def test_no_words_escape_their_line_or_the_width(words: list[str], width: int, coloured: bool) -> None:
    """Whatever is typed: only our own colours, only our own line ends, and never wider than the screen."""
    line: Line = (words[0], Strong(words[-1]), Code(words[0]))
    message = Message(
        (line,), (Section(line, (line,)),), (Button(words[-1], "who"),), Tone.PROBLEM, footer=line
    )
    text = (COLOURED if coloured else PLAIN).message(message, NOW, BERLIN, width)
    bare = COLOURS.sub("", text)
    assert coloured or bare == text
    assert text.endswith("\n")
    for shown in bare.removesuffix("\n").split("\n"):
        assert shown.startswith("▌")
        assert cell_len(shown) <= max(width, 20)
        assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"}
