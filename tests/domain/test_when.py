"""The grammar of times: every form, what is no time, what is asked back, and any text at all."""

import time as stopwatch
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.when import BadTime, TimeError, TimePassed, TooLong, When, ZoneUnknown, parse_when

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 6, 11, 13, 10, tzinfo=UTC)  # Wednesday, 15:10 in Berlin, as docs/times.md says
DOC = (Path(__file__).parents[2] / "docs" / "times.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in DOC.splitlines()
    if line.startswith("| `")
]
EXAMPLES = [row for row in ROWS if not row[1].startswith("`")]
REFUSALS = [row for row in ROWS if row[1].startswith("`")]


def read(text: str, now: datetime = NOW, zone: str | None = "Europe/Berlin") -> When:
    """What `text` says to somebody in Berlin."""
    return parse_when(text, now, zone)


def outcome(text: str, now: datetime = NOW, zone: str | None = "Europe/Berlin") -> When | TimeError:
    """What `text` says, or the module's own refusal; any other error goes through."""
    try:
        return parse_when(text, now, zone)
    except TimeError as refusal:
        return refusal


def june(day: int, hour: int, minute: int = 0) -> datetime:
    """An instant by Berlin's clocks."""
    return datetime(2025, 6, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


# What the document promises


@pytest.mark.parametrize(("typed", "back", "reason"), EXAMPLES)
def test_every_example_in_the_document_reads_as_it_says(typed: str, back: str, reason: str) -> None:
    """Also in upper case and with space around it."""
    text, reason = typed.strip("`"), reason.strip("`")
    until_at = None if back == "not said" else datetime.strptime(f"2025 {back} +0200", "%Y %a %d %b %H:%M %z")
    assert read(text) == When(until_at, reason)
    assert read(f" \n{text.upper()}\t ") == When(until_at, reason.upper())


@pytest.mark.parametrize(("typed", "code", "answer"), REFUSALS)
def test_every_refusal_in_the_document_answers_as_it_says(typed: str, code: str, answer: str) -> None:
    """Code, sentence, field, and the text to type again."""
    text = typed.strip("`")
    error = outcome(text)
    assert isinstance(error, TimeError)
    assert (f"`{error.code}`", error.sentence, error.field, error.text) == (code, answer, "until", text)


def test_the_document_has_every_kind_of_row_and_every_code() -> None:
    """So that the two tests above can't pass on an empty table."""
    assert len(EXAMPLES) > 70
    assert len(REFUSALS) >= 10
    assert {error.code for error in TimeError.__subclasses__() if f"`{error.code}`" not in DOC} == set()


# Beyond the document

NO_TIMES = """
from 16:30|since 14:30|by 30m|dinner after 19:00|won 25:99|ratio 16:9|30m-lunch|call/30m|x30m
30ms|30mm|until lunch|until|back|for|in|+|-5|for 30 customers|in 2025|until today|today
twice a week|a day trip
until tomorrow's release|3 d printing|prep for 14:30|lunch eod|30m🍕|until 14:30x|²m
tomorrow 9 customers|on hold|(|(30m|30m)|half|hour|until  lunch|until    x
x1,30m|a 14:30 call|٣٠m|tomorrow is a holiday|call Bob 4pm sharp
monday morning standup|eow report|in a bit|back soon|back later|3 customers|ticket 12|room 5|360 review
1 on 1|1:1 with Bob|am tired|ones|tens of tickets|3 days' worth|in monday|until 3 customers are done
prep for 4pm meeting|half day off|good morning|work around 4pm|call after 5|dinner for 2 guests
"""


@pytest.mark.parametrize("text", ["", *(text for line in NO_TIMES.split("\n") for text in line.split("|"))])
def test_what_is_not_clearly_a_time_is_a_reason(text: str) -> None:
    """Whole and untouched."""
    assert read(text) == When(None, text)


BEFORE_LENGTHS: dict[str, list[str]] = {"around": [], "about": []}
"""`about 2h` is a length like any other."""
GUARDS = "at from since before after by around about to of the last past every over under than @"


@pytest.mark.parametrize("word", GUARDS.split())
def test_a_time_that_something_else_is_about_is_part_of_the_reason(word: str) -> None:
    """A standup at 4pm begins then; the last 2h are over."""
    for text in (
        f"work {word} 4pm",
        f"{word} 16:30 shift work",
        *BEFORE_LENGTHS.get(word, [f"work {word} 2h"]),
    ):
        assert read(text) == When(None, text)


@pytest.mark.parametrize(
    "text",
    [
        "30m 30m",
        "tomorrow 9am, monday 10:00",
        "lunch for 30m until 17:00",
        "16:30 lunch 1h",
        "9am to 10am",
        "until 16:30 30m lunch",
        "lunch 30m until 17:00",
        "standup 16:30, until 17:00",
        "1h tomorrow",
        "monday 16:30 friday",
        "lunch at 16:00 for 30m",
        "from 16:00 for 30 min",
        "dentist at 16:00, 1h",
        "30 mins from 16:00",
        "30m walk at 5",
        "meeting at 3 for 30m",
        "lunch 1h / 30m",
    ],
)
def test_two_times_are_asked_back(text: str) -> None:
    """Whichever was meant, the other would be lost."""
    with pytest.raises(BadTime, match="more than one time"):
        read(text)


IMPOSSIBLE = "until 24:00|until 13pm|0:30am|until 14:60|back at 25|until 2460|99:99|1h75|0 min|for -1h|0.0h"


@pytest.mark.parametrize("text", IMPOSSIBLE.split("|"))
def test_an_impossible_time_is_refused(text: str) -> None:
    """The sentence gives an example to copy."""
    with pytest.raises(BadTime, match=r"as in `|Type `"):
        read(text)


def test_twelve_hour_times_put_noon_and_midnight_where_they_belong() -> None:
    """12am starts the day, 12pm is noon."""
    assert read("12pm", june(11, 0)).until_at == june(11, 12)
    assert read("tomorrow 12am").until_at == june(12, 0)
    assert read("12:30am", june(11, 0)).until_at == june(11, 0, 30)


def test_a_clock_time_at_this_very_minute_has_passed() -> None:
    """An away that ends as it begins is none."""
    with pytest.raises(TimePassed, match="It is 15:10 now, so 15:10 has passed"):
        read("until 15:10")
    assert read("until 15:11").until_at == june(11, 15, 11)


def test_the_end_of_the_day_is_given_and_can_have_passed() -> None:
    """`end_of_day` comes from whoever knows the agent's hours."""
    assert parse_when("eod", NOW, "Europe/Berlin", end_of_day=time(17, 30)).until_at == june(11, 17, 30)
    with pytest.raises(TimePassed, match=r"so 14:00 has passed\. Type `until tomorrow 14:00`"):
        parse_when("eod", NOW, "Europe/Berlin", end_of_day=time(14, 0))


BAD_ZONES = [None, "", "Berlin", "Mars/Olympus", "../../etc/passwd", "Europe/Berlin\0", "x" * 5000]


@pytest.mark.parametrize("text", ["until 16:30", "4pm", "monday", "eod", "tomorrow 9am dentist"])
@pytest.mark.parametrize("zone", BAD_ZONES)
def test_without_a_known_zone_calendar_times_are_asked_back(text: str, zone: str | None) -> None:
    """Fault row 30: a bad zone is an unknown one. The text is kept, and lengths and reasons still work."""
    with pytest.raises(ZoneUnknown, match="`/presence timezone Europe/Berlin`, or type a length") as refusal:
        parse_when(text, NOW, zone)
    assert refusal.value.text == text
    assert read("30m lunch", zone=zone) == When(NOW + timedelta(minutes=30), "lunch")
    assert read("lunch", zone=zone) == When(None, "lunch")


def test_the_document_quotes_the_answer_to_an_unknown_zone() -> None:
    """Word for word."""
    error = outcome("until 16:30", zone=None)
    assert isinstance(error, ZoneUnknown)
    assert f"> {error.sentence}\n" in DOC


def test_the_longest_away_still_counts_and_more_does_not() -> None:
    """The bound is inclusive, for lengths and for days."""
    assert read("30d").until_at == NOW + timedelta(days=30)
    for text in ("30d 1m", "9" * 4000 + "w", "1000000h", "5 weeks"):
        with pytest.raises(TooLong, match="at most 30 days"):
            read(text)
    with pytest.raises(TooLong, match="at most 120 minutes"):
        parse_when("tomorrow", NOW, "Europe/Berlin", longest=timedelta(hours=2))


def test_a_refusal_quotes_little_and_on_one_line() -> None:
    """However long the number and however odd the space in it."""
    error = outcome("for\n" + "9" * 4000 + "d")
    assert isinstance(error, TooLong)
    assert len(error.sentence) < 250
    assert "\n" not in error.sentence


def test_what_phones_put_in_reads_as_what_was_meant() -> None:
    """Full-width digits, the narrow space before pm, the curly apostrophe."""
    assert read("３０ｍ　休憩") == When(NOW + timedelta(minutes=30), "休憩")
    assert read("４：３０ｐｍ").until_at == read("4:30\u202fpm").until_at == june(11, 16, 30)
    assert read("I’ll be back at 4pm") == When(june(11, 16), "")


# Any text at all

REASONS = [
    "lunch",
    "school run",
    "обед",
    "休憩",
    "🍕",
    "👩‍👩‍👧",
    ":pizza:",
    "sick :(",
    "@everyone <!here>",
    "a  b",
    "x\u202ey",
]
SHAPES = ["{time} {reason}", "{reason} {time}", "{reason}, {time}", "{time} - {reason}", "{reason} ({time})"]
LENGTHS = {
    **{f"{n}{unit}": n for n in (1, 20, 90, 600) for unit in ("m", "min", " mins", " minutes")},
    **{f"{n}{unit}": 60 * n for n in (1, 2, 24) for unit in ("h", " h", "hr", " hours")},
    **{f"{lead}30m": 30 for lead in ("for ", "in ", "+", "until ", "back in ", "back ")},
    **{"1h05": 65, "9h59m": 599, "1 week": 7 * 24 * 60, "0.5h": 30, "1d, 1h and 1m": 25 * 60 + 1},
}
CLOCKS = [
    "{:%H:%M}", "{:%H.%M}", "{:%I:%M%p}", "{:%I.%M %p}", "until {:%H:%M}", "till {:%I:%M%p}",
    "back at {:%H.%M}", "until {:%Hh%M}", "tomorrow {:%H:%M}", "until tomorrow at {:%I:%M%p}",
    "monday {:%H:%M}", "back on monday {:%H.%M}",
]  # fmt: skip


@given(st.sampled_from(sorted(LENGTHS)), st.sampled_from(REASONS), st.sampled_from(SHAPES))
def test_a_length_reads_the_same_on_either_side_of_any_reason(form: str, reason: str, shape: str) -> None:
    """And the reason comes out exactly as typed."""
    expected = When(NOW + timedelta(minutes=LENGTHS[form]), reason)
    assert read(shape.format(time=form, reason=reason)) == expected


@given(st.times(), st.sampled_from(CLOCKS), st.sampled_from(REASONS), st.sampled_from(SHAPES))
def test_every_clock_time_round_trips(clock: time, form: str, reason: str, shape: str) -> None:
    """Today's if it is ahead, tomorrow's, Monday's; today's that has passed is refused."""
    day = 16 if "monday" in form else 12 if "tomorrow" in form else 11
    expected = june(day, clock.hour, clock.minute)
    text = shape.format(time=form.format(clock), reason=reason)
    if "%H.%M" in form and " at " not in form and 1 <= clock.minute <= 9:  # "20.06" may be a date
        assert isinstance(outcome(form.format(clock)), BadTime)
    elif expected > NOW:
        assert read(form.format(clock)) == When(expected, "")
        assert read(text) == When(expected, reason)
    else:
        assert isinstance(outcome(text), TimePassed)


WORDS = """
until till back at for in an half hour h m d w 1h30 14h30 30m 30 9 1430 14:30 25:99 3pm 13pm p.m. noon
midnight eod end of day today tomorrow monday wed , . : - + ( ) ! 0m -5m 99999999999d 1.5h ３０ｍ 🍕 :pizza:
\u202e \0 ' to
"""
PIECES = st.lists(st.sampled_from(WORDS.split()) | st.text(max_size=8), max_size=9)


@given(
    st.text() | PIECES.map(" ".join) | PIECES.map("".join),
    st.datetimes(
        NOW.replace(year=2020, tzinfo=None), NOW.replace(year=2035, tzinfo=None), timezones=st.just(UTC)
    ),
    st.sampled_from(["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", None]),
)
@example("tomorrow", datetime(2011, 12, 29, 20, tzinfo=UTC), "Pacific/Apia")  # a Friday that never was
@example("\ud800 30m \x00", NOW, "Europe/Berlin")
@settings(max_examples=400, deadline=None)
def test_any_text_gives_a_time_ahead_a_reason_or_a_kind_refusal(
    text: str, now: datetime, zone: str | None
) -> None:
    """Fault rows 29, 30: no other error, never the past nor above the longest, never an altered word."""
    when = outcome(text, now, zone)
    if isinstance(when, TimeError):
        assert when.text == text
        assert any(hint in when.sentence for hint in ("Type `", "type a length such as `", "as in `"))
    elif when.until_at is None:
        assert when.reason == text.strip()
    else:
        assert when.until_at.utcoffset() == timedelta(0)
        assert now < when.until_at <= now + timedelta(days=30)
        cuts = [(when.reason[:cut].rstrip(), when.reason[cut:]) for cut in range(len(when.reason) + 1)]
        # What stood before the time and what stood after it, each as typed.
        assert any(text.lstrip().startswith(a) and text.rstrip().endswith(b.lstrip()) for a, b in cuts)


NASTY = [
    " ", "1", "9 ", "30m ", "1h, ", "1h" + " " * 500, "an" + " " * 500, "until ", "until 9 ~", "back at 9",
    "monday ", "tomorrow at ", "(", "(30m ", ":a", "1,", "1.", "+1", "30m!", "14:30 - ", "half an ", "at  ",
    "~ ", "\u202e", "👩‍👩‍👧", "\0", "1h and ", "at 4pm 1h ", "16:30 some ", "12 june ", "monday week ",
]  # fmt: skip


@pytest.mark.parametrize("piece", NASTY)
def test_forty_thousand_characters_are_read_in_one_pass(piece: str) -> None:
    """Fault row 29: a quadratic match would take minutes here; one pass takes a tenth of a second."""
    text = (piece * 40_000)[:40_000]
    started = stopwatch.perf_counter()
    for odd in (text + "x", "x " + text + " 30m"):
        when = outcome(odd)
        assert isinstance(when, TimeError) or when.reason
    assert stopwatch.perf_counter() - started < 5
