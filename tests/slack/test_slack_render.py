"""Messages as Slack's blocks: within every limit, and every word literal."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.slack import FakeSlack
from fakes.slack_blocks import message_problems
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slack_house import RecordingCore, running
from slack_sdk.models.blocks import Block

from adapters.slack.render import clicked, render
from bot.message import Button, ButtonStyle, Code, Line, Message, Moment, Section, Strong, TimeStyle
from bot.ports import Command

NOW = datetime(2026, 11, 2, 13, 0, tzinfo=UTC)
SOON = NOW + timedelta(hours=1, minutes=30)

words = st.text(max_size=80) | st.text(alphabet="*_~`<>&@!#|\n \u202e\u200d😀a", max_size=4000)
spans = (
    words | words.map(Strong) | words.map(Code) | st.builds(Moment, st.just(SOON), st.sampled_from(TimeStyle))
)
lines = st.lists(spans, max_size=6).map(tuple)
buttons = st.builds(
    Button,
    label=st.text(max_size=200),
    action=st.text(min_size=1, max_size=300),
    arguments=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=3000)), max_size=3).map(tuple),
    style=st.sampled_from(ButtonStyle),
)
messages = st.builds(
    Message,
    lines=st.lists(lines, max_size=40).map(tuple),
    sections=st.lists(
        st.builds(Section, heading=lines, lines=st.lists(lines, max_size=10).map(tuple)), max_size=80
    ).map(tuple),
    buttons=st.lists(buttons, max_size=8).map(tuple),
    footer=lines,
)


def shown(message: Message, zone: str | None = None) -> list[str]:
    """The text of every block."""
    found = []
    for block in render(message, NOW, zone).blocks:
        objects: list[Any] = [block["text"]] if "text" in block else block["elements"]
        found += [one["text"] if isinstance(one["text"], str) else one["text"]["text"] for one in objects]
    return found


def line(*spans: Any) -> str:
    return shown(Message((tuple(spans),)))[0]


LONG = Message((("x" * 9_000,),))
HUGE = Message((), tuple(Section(("Team",), (("y" * 2_900,),)) for _ in range(40)))
LABELLED = Message((("Who?",),), buttons=(Button("z" * 200, "who"),))
WEIGHTY = Message((("Who?",),), buttons=tuple(Button("w", "who", (("a", "v" * 3_000),)) for _ in range(8)))
UNSEEN = Message((("a\x00b\x07c\x1b[31m",),), footer=("\x00",))


@settings(max_examples=30, deadline=None)
@example(LONG, None)
@example(HUGE, None)
@example(LABELLED, None)
@example(WEIGHTY, None)
@example(UNSEEN, None)
@given(messages, st.sampled_from([None, "Europe/Berlin"]))
def test_fault_29_whatever_is_said_slack_takes_it(message: Message, zone: str | None) -> None:
    """Row 29: documented limits, and slack_sdk's own check of each block."""
    rendered = render(message, NOW, zone)
    assert message_problems(rendered.body()) == []
    assert len(rendered.blocks) <= 50
    assert len(rendered.text) <= 3000
    for block in rendered.blocks:
        parsed = Block.parse(json.loads(json.dumps(block)))
        assert parsed is not None
        parsed.validate_json()
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", "".join([rendered.text, *shown(message, zone)]))


def test_fault_29_a_roster_of_thousands_is_cut_with_a_word() -> None:
    """Row 29: pages are the core's; what still comes too long says how much is missing."""
    crowd = Section(("Available",), tuple(((f"agent {n}",)) for n in range(3000)))
    message = Message((("Everybody",),), (crowd,), (Button("More", "who"),))
    assert message_problems(render(message, NOW).body()) == []
    texts = shown(message)
    assert re.search(r"and \d+ more lines than Slack can show", "\n".join(texts))
    assert texts[-1] == "More"


def test_many_small_sections_are_joined_into_few_blocks() -> None:
    many = tuple(Section((f"Team {n}",), (("nobody",),)) for n in range(120))
    rendered = render(Message((), many), NOW)
    assert len(rendered.blocks) <= 10
    assert "*Team 119*" in rendered.blocks[-1]["text"]["text"]


HOSTILE_WORDS = [
    "<!channel>",
    "<!here|here>",
    "<@U1>",
    "<!subteam^S1|@all>",
    "@everyone @channel @here",
    "<https://evil.example|click>",
    "https://evil.example",
    "<mailto:a@b.example|mail>",
    "*bold* _italic_ ~gone~ `code` ```block```",
    "> quoted",
    "&lt;!channel&gt;",
    "<!date^1^{date}|now>",
]


@pytest.mark.parametrize("said", HOSTILE_WORDS)
async def test_fault_28_what_somebody_typed_is_shown_as_typed_and_pings_nobody(said: str) -> None:
    """Row 28, in every place where words stand, through a real client."""

    async def echo(command: Command) -> Message:
        spans: Line = (said, " ", Strong(said), " ", Code(said))
        return Message(
            (spans, (said,)), (Section((said,), (spans,)),), (Button(said, "who"),), footer=(said,)
        )

    async with FakeSlack() as slack:
        slack.add_user("U1", "maria")
        async with running(slack, RecordingCore(answer=echo)) as platform:
            reply = await slack.command("U1", "/whosin")
            await platform.post("C1", await echo(Command("who", None)))  # type: ignore[arg-type]
        assert slack.violations == []
        assert slack.pings() == []
        posted = slack.messages("C1")[0].sent
    marked = [reply.message.text, *(one["text"]["text"] for one in reply.blocks if one["type"] == "section")]
    assert not re.search(r"<(?!date)[!@#h]", "".join(marked)), "nothing Slack would parse"
    assert (posted["unfurl_links"], posted["link_names"], posted["parse"]) == (False, False, "none")
    objects = [block["text"] for block in reply.blocks if block["type"] == "section"]
    assert all(one["verbatim"] for one in objects)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("*bold*", "\u2217bold\u2217"),
        ("_x_ ~y~", "\u02cdx\u02cd \u223cy\u223c"),
        ("a `b`", "a \u02cbb\u02cb"),
        ("billing_eu 5*3 a~b", "billing_eu 5*3 a~b"),
        ("R&D <3", "R&amp;D &lt;3"),
        ("two\nlines\tand\x00more", "two lines andmore"),
    ],
)
def test_words_keep_their_shape_without_slacks_marks(said: str, kept: str) -> None:
    """A mark inside a word can't take effect, so names like billing_eu stay as they are."""
    assert line(said) == kept


def test_a_line_that_begins_with_an_angle_is_no_quotation() -> None:
    assert line("> sold") == "\u200b&gt; sold"


def test_strong_and_code_take_effect_beside_letters() -> None:
    assert line(Strong("Maria"), "s turn, ", Code("/brb 30m")) == "*Maria*\u200bs turn, `/brb 30m`"


def test_a_backtick_cannot_leave_code() -> None:
    assert line(Code("a`b *c*")) == "`a\u02cbb *c*`"


def test_a_time_is_shown_in_the_readers_own_zone() -> None:
    stamp = int(SOON.timestamp())
    assert shown(Message(((Moment(SOON),),)), "Europe/Berlin") == [f"<!date^{stamp}^{{time}}|14:30 UTC>"]


def test_a_time_of_another_day_comes_with_its_day() -> None:
    """The reader's own day decides: 14:30 UTC is tomorrow in Auckland, as 13:00 UTC is."""
    stamp = int(SOON.timestamp())
    day = f"<!date^{stamp}^{{date_short_pretty}} at {{time}}|02 Nov 14:30 UTC>"
    late = Moment(SOON + timedelta(hours=12))
    assert "date_short_pretty" in shown(Message(((late,),)), "Europe/Berlin")[0]
    assert "date_short_pretty" not in shown(Message(((Moment(SOON),),)), "Pacific/Auckland")[0]
    assert line(Moment(SOON)) == day, "whose zone is unknown, the day is said"
    assert line(Moment(SOON, TimeStyle.DATE_TIME)) == day


def test_a_relative_time_is_a_clock_time() -> None:
    assert "{time}" in shown(Message(((Moment(SOON, TimeStyle.RELATIVE),),)), "Europe/Berlin")[0]


def test_a_button_says_what_it_does_by_itself() -> None:
    button = Button("I'm back", "presence me", (("page", "2"), ("team", "é")), ButtonStyle.PRIMARY)
    (made,) = render(Message((("x",),), buttons=(button,)), NOW).blocks[1]["elements"]
    assert made["style"] == "primary"
    assert clicked(made["action_id"], made["value"]) == ("presence me", {"page": "2", "team": "é"})


def test_two_buttons_for_one_command_are_told_apart() -> None:
    pages = (Button("Back", "who", (("page", "1"),)), Button("Next", "who", (("page", "3"),)))
    rendered = render(Message((("x",),), buttons=pages), NOW)
    assert message_problems(rendered.body()) == []
    assert len({one["action_id"] for one in rendered.blocks[1]["elements"]}) == 2


@pytest.mark.parametrize(
    ("action_id", "value"),
    [("other:0:who", "{}"), ("rollcall:who", "{}"), ("rollcall:0:who", "{"), ("rollcall:0:", "{}"), ("", "")],
)
def test_buttons_of_others_are_not_ours(action_id: str, value: str) -> None:
    assert clicked(action_id, value) is None


def test_a_button_that_carries_too_much_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A label can be cut; what a button does can't."""
    heavy = Button("x", "who", (("note", "y" * 2000),))
    assert len(render(Message((("x",),), buttons=(heavy,)), NOW).blocks) == 1
    assert "left out" in caplog.text


def test_an_empty_message_still_says_something_to_notifications() -> None:
    assert render(Message(()), NOW).text == "Rollcall"
