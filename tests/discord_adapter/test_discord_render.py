"""Messages as embeds: literal words, kept limits, times in the reader's zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from discord.ui import Button as Shown
from discord.ui import View
from fakes.discord_limits import CREATE_FIELDS, Form, check_message, pings
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.buttons import click_of, custom_id, view_of
from adapters.discord.render import embed_of, literal, size
from bot.message import (
    Button,
    ButtonStyle,
    Code,
    Line,
    Message,
    Moment,
    Section,
    Span,
    Strong,
    TimeStyle,
    Tone,
)

AT = datetime(2026, 3, 4, 14, 30, tzinfo=UTC)
NASTY = [
    "@everyone",
    "@here",
    "<@81384788765712384>",
    "<@!81384788765712384>",
    "<@&81384788765712384>",
    "<#81384788765712384>",
    "</away:81384788765712384>",
    "<:pepe:81384788765712384>",
    "<a:pepe:81384788765712384>",
    "<id:browse>",
    "<t:0:R>",
    ":skull:",
    "https://evil.example/x_y",
    "<https://evil.example>",
    "[click](https://evil.example)",
    "[click](<https://evil.example>)",
    "discord.gg/abc",
    "**bold** __under__ ~~gone~~ ||spoiler||",
    "`code` ```block```",
    "# heading",
    "-# small",
    "- item",
    "1. item",
    "> quote",
    ">>> quote",
    "\\@everyone",
    "\\\\<@1>",
    "\\",
    "a\nb\r\nc\td",
    "\x00\x1b[31m",
    "\ud800",
]
RENDERED = re.compile(r"(?<!\\)(\\\\)*[*_~`|<>\[\]():#]")
"""Mark-up that no backslash disarms."""


def disarmed(text: str) -> bool:
    """Nothing in it is left for Discord to render."""
    return RENDERED.search(re.sub(r"\\[^0-9A-Za-z\s]", "", text)) is None


@pytest.mark.parametrize("nasty", NASTY)
def test_row_28_words_stay_words(nasty: str) -> None:
    text = literal(nasty)
    assert disarmed(text)
    assert list(pings({"content": text})) == []
    assert not re.match(r"(-#? |\+ |\d+\. )", text)
    assert "\n" not in text


@pytest.mark.parametrize("nasty", NASTY)
def test_row_28_nothing_a_person_typed_leaves_its_place_in_a_message(nasty: str) -> None:
    """In every place of a message the same words, so that each renderer is tried."""
    message = Message(
        lines=((nasty, Strong(nasty), Code(nasty)),),
        sections=(Section((nasty,), ((nasty,), (Strong(nasty), " ", Moment(AT)))),),
        footer=(nasty,),
    )
    embed = embed_of(message)
    assert embed.description is not None
    without_ours = re.sub(r"\*\*(?:\\.|[^\\*])+\*\*|`[^`]*`|<t:\d+:t>", "", embed.description)
    assert disarmed(without_ours)
    assert embed.description.count("\n") <= 4


def test_row_28_what_is_shown_as_code_ends_where_its_words_end() -> None:
    """A back-tick of somebody's own would end it, and the rest be read as mark-up."""
    embed = embed_of(Message(lines=((Code("a` **b** `c"), "."),)))
    assert embed.description == "`a\u02cb **b** \u02cbc`."


spans: st.SearchStrategy[Span] = st.one_of(
    st.text(max_size=300),
    st.sampled_from(NASTY),
    st.text(max_size=6000),
    st.text(max_size=300).map(Strong),
    st.text(max_size=300).map(Code),
    st.builds(Moment, st.just(AT), st.sampled_from(list(TimeStyle))),
)
lines: st.SearchStrategy[Line] = st.lists(spans, max_size=5).map(tuple)
buttons = st.builds(
    Button,
    st.text(max_size=120),
    st.sampled_from(["available", "away", "who", "presence off"]),
    st.lists(st.tuples(st.text(max_size=20), st.text(max_size=60)), max_size=3).map(tuple),
    st.sampled_from(list(ButtonStyle)),
)
messages = st.builds(
    Message,
    lines=st.lists(lines, max_size=60).map(tuple),
    sections=st.lists(st.builds(Section, lines, st.lists(lines, max_size=40).map(tuple)), max_size=40).map(
        tuple
    ),
    buttons=st.lists(buttons, max_size=9).map(tuple),
    tone=st.sampled_from(list(Tone)),
    footer=lines,
)


@settings(max_examples=60, deadline=None)
@given(messages)
async def test_whatever_is_said_keeps_discords_limits(message: Message) -> None:
    """Checked by the fake's own reading of Discord's reference, which shares no code with the renderer."""
    body: dict[str, object] = {"embeds": [embed_of(message).to_dict()], "allowed_mentions": {"parse": []}}
    view = view_of(message.buttons, "81384788765712384")
    if view is not None:
        body["components"] = view.to_components()
    form = Form()
    check_message(form, body, CREATE_FIELDS)
    assert form.faults == []


def test_long_content_is_cut_at_the_end_of_a_line_and_says_how_much_is_left_out() -> None:
    embed = embed_of(Message(lines=tuple((f"agent number {number} " + "x" * 80,) for number in range(100))))
    shown = (embed.description or "").split("\n")
    assert shown[-1] == f"… and {100 - (len(shown) - 1)} more"
    assert all(line.endswith("x" * 80) for line in shown[:-1])
    assert size(embed.description or "") > 3900


def test_a_long_section_leaves_room_for_those_behind_it() -> None:
    long = tuple((f"agent {number} " + "x" * 90,) for number in range(60))
    sections = tuple(Section((Strong(name),), long) for name in ("Available", "Away", "Offline"))
    description = embed_of(Message(lines=(("Roster",),), sections=sections)).description or ""
    assert [name for name in ("Available", "Away", "Offline") if f"**{name}**" in description] == [
        "Available",
        "Away",
        "Offline",
    ]
    assert description.count("more") == 3


def test_a_page_of_the_roster_at_its_longest_is_shown_whole() -> None:
    row = (Strong("m" * 80), "  " + "r" * 80, " until ", Moment(AT))
    message = Message(lines=(("Roster",),), sections=(Section((Strong("Away (15)"),), (row,) * 15),))
    assert (embed_of(message).description or "").count("m" * 80) == 15


def test_a_line_too_long_is_cut_within_words_not_within_mark_up() -> None:
    description = embed_of(Message(lines=((Strong("*" * 5000),),))).description or ""
    assert description.startswith("**\\*")
    assert description.endswith("\\***…")


def test_times_are_shown_in_the_readers_own_zone() -> None:
    late = AT + timedelta(hours=1)
    styled = tuple(Moment(late, style) for style in TimeStyle)
    unix = int(late.timestamp())
    embed = embed_of(Message(lines=(styled,), footer=("as of ", Moment(AT))))
    assert embed.description == f"<t:{unix}:t><t:{unix}:f><t:{unix}:R>\nas of <t:{int(AT.timestamp())}:t>"


def test_an_empty_message_is_still_one() -> None:
    assert embed_of(Message(lines=())).description


def test_a_button_says_all_that_its_click_needs() -> None:
    button = Button("More", "who", (("team", "billing & more"), ("page", "2")))
    click = click_of(custom_id(button, 3, "81384788765712384"))
    assert click is not None
    assert (click.action, click.arguments) == ("who", {"team": "billing & more", "page": "2"})
    assert click.guild_id == 81384788765712384


def test_a_custom_id_of_somebody_else_is_none_of_ours() -> None:
    assert click_of("poll:1") is None


async def test_two_buttons_that_do_the_same_are_both_shown() -> None:
    view = view_of((Button("A", "who"), Button("B", "who")))
    assert isinstance(view, View)
    assert len({button.custom_id for button in view.children if isinstance(button, Shown)}) == 2


async def test_a_button_that_says_more_than_discord_keeps_is_left_out() -> None:
    assert view_of((Button("A", "who", (("team", "x" * 100),)),)) is None
