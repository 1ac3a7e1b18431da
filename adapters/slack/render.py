"""A `Message` as Slack's blocks, within Slack's limits whatever is in it, with every word literal.

Limits: docs.slack.dev/reference/block-kit and /messaging/formatting-message-text. Text objects are
`verbatim`, so that Slack links and mentions nothing by itself; `& < >` are escaped; characters that
would format (`* _ ~`, backtick, a leading `>`) have no escape in mrkdwn and are shown as lookalikes
where they could take effect.
"""

import json
import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from bot.message import Button, ButtonStyle, Code, Line, Message, Moment, Span, Strong, TimeStyle

Json = dict[str, Any]

TEXT = 2900
"""Below a section's 3,000 characters."""
WHOLE = 12_000
"""Characters in a message's blocks; above about this much Slack answers msg_blocks_too_long."""
TEXT_BLOCKS = 46
"""Of 50: buttons, footer and the word about what was left out come on top."""
CHUNK = 400
"""Characters of a person's words kept in one piece: escaped at most five times as many."""
BUTTONS, LABEL, VALUE, ACTION_ID = 5, 75, 2000, 255
ACTION = "rollcall"
JOINT = "\u200b"
_LOOKALIKES = {"*": "\u2217", "_": "\u02cd", "~": "\u223c", "`": "\u02cb"}
_MEANING = re.compile(r"[*_~`&<>]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

log = logging.getLogger("rollcall.slack")


class Rendered(Struct, frozen=True):
    """What Slack is sent: `text` is what notifications and screen readers say."""

    text: str
    blocks: list[Json]

    def body(self) -> Json:
        """The two fields that every way of sending a message knows."""
        return {"text": self.text, "blocks": self.blocks}


def render(message: Message, now: datetime, zone: str | None = None) -> Rendered:
    """`zone` is the reader's, where there is one reader and it is known."""
    paragraphs = [[_line(line, now, zone) for line in message.lines]]
    for section in message.sections:
        heading = _line(tuple(_strong(span) for span in section.heading), now, zone)
        paragraphs.append([heading, *(_line(line, now, zone) for line in section.lines)])
    texts, left_out = _texts(paragraphs)
    blocks: list[Json] = [{"type": "section", "text": _mrkdwn(text)} for text in texts]
    if left_out:
        said = f"… and {left_out} more {'line' if left_out == 1 else 'lines'} than Slack can show"
        blocks.append({"type": "context", "elements": [_mrkdwn(said)]})
    if buttons := [one for at, button in enumerate(message.buttons[:BUTTONS]) for one in _button(at, button)]:
        blocks.append({"type": "actions", "elements": buttons})
    if footer := "".join(_line(message.footer, now, zone)).strip():
        first = next(_packed([_line(message.footer, now, zone)])) if len(footer) > TEXT else footer
        blocks.append({"type": "context", "elements": [_mrkdwn(first)]})
    return Rendered(texts[0] if texts else "Rollcall", blocks)


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _button(at: int, button: Button) -> Iterator[Json]:
    value = json.dumps(dict(button.arguments), ensure_ascii=True, separators=(",", ":"))
    action_id = f"{ACTION}:{at}:{button.action}"
    if len(value) > VALUE or len(action_id) > ACTION_ID:
        log.error("The button %r carries more than Slack takes and is left out", button.action)
        return
    label = _plain(button.label).strip()
    shown: Json = {
        "type": "button",
        "action_id": action_id,
        "text": {
            "type": "plain_text",
            "text": (label if _size(label) <= LABEL else _cut(label, LABEL)) or "…",
        },
        "value": value,
    }
    if button.style is not ButtonStyle.PLAIN:
        shown["style"] = button.style.value
    yield shown


def clicked(action_id: str, value: str) -> tuple[str, dict[str, str]] | None:
    """The command and arguments of a button made by `render`, now or before a restart; None if it is none."""
    mark, _, rest = action_id.partition(":")
    at, _, action = rest.partition(":")
    if mark != ACTION or not at.isdigit() or not action:
        return None
    try:
        given = json.loads(value or "{}")
    except ValueError:
        return None
    if not isinstance(given, dict):
        return None
    return action, {str(name): str(said) for name, said in given.items()}


# --- lines ---------------------------------------------------------------------------------------


def _line(line: Line, now: datetime, zone: str | None) -> list[str]:
    """The line as pieces that must not be divided."""
    pieces: list[str] = []
    joint = False
    for span in line:
        for piece in _span(span, now, zone):
            marked = isinstance(span, Strong | Code)
            # Marks take effect only at the border of a word; a zero-width space makes one.
            border = pieces and (_wordlike(pieces[-1][-1]) or _wordlike(piece[0]) or (joint and marked))
            if border and (joint or marked):
                pieces.append(JOINT)
            pieces.append(piece)
            joint = marked
    if pieces and pieces[0].startswith("&gt;"):
        pieces.insert(0, JOINT)
    return pieces


def _span(span: Span, now: datetime, zone: str | None) -> Iterator[str]:
    if isinstance(span, Moment):
        yield _moment(span, now, zone)
        return
    plain = _plain(span if isinstance(span, str) else span.text)
    for start in range(0, len(plain), CHUNK):
        chunk = plain[start : start + CHUNK]
        inner = chunk.strip()
        if isinstance(span, str) or not inner:
            yield literal(chunk)
            continue
        before, _, after = chunk.partition(inner)
        if isinstance(span, Strong):
            yield f"{before}*{literal(inner)}*{after}"
        else:
            yield f"{before}`{_escaped(inner.replace('`', _LOOKALIKES['`']))}`{after}"


def _strong(span: Span) -> Span:
    return Strong(span) if isinstance(span, str) else span


def _plain(text: str) -> str:
    """One line without control characters and lone surrogates, which Slack's JSON can't carry."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text
    kept = (one for one in " ".join(text.split()) if unicodedata.category(one) not in {"Cc", "Cs"})
    edges = (text[:1].isspace(), text[-1:].isspace())
    inner = "".join(kept)
    return (" " if edges[0] else "") + inner + (" " if edges[1] and inner else "")


def literal(text: str) -> str:
    """The text such that Slack shows it as it is: no mention, no link, no formatting."""
    if not _MEANING.search(text):
        return text
    shown = []
    for at, one in enumerate(text):
        inside = 0 < at < len(text) - 1 and text[at - 1].isalnum() and text[at + 1].isalnum()
        shown.append(_LOOKALIKES.get(one, one) if one == "`" or not inside else one)
    return _escaped("".join(shown))


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(one, one) for one in text)


def _wordlike(one: str) -> bool:
    return one.isalnum()


def _moment(moment: Moment, now: datetime, zone: str | None) -> str:
    """`<!date^…>`, which Slack shows in the reader's own zone; with the day unless it is surely today."""
    today = zone is not None and (
        moment.at.astimezone(ZoneInfo(zone)).date() == now.astimezone(ZoneInfo(zone)).date()
    )
    with_day = moment.style is TimeStyle.DATE_TIME or not today
    token = "{date_short_pretty} at {time}" if with_day else "{time}"
    fallback = f"{moment.at:%d %b %H:%M} UTC" if with_day else f"{moment.at:%H:%M} UTC"
    return f"<!date^{int(moment.at.timestamp())}^{token}|{fallback}>"


# --- packing -------------------------------------------------------------------------------------


def _texts(paragraphs: Sequence[Sequence[list[str]]]) -> tuple[list[str], int]:
    """Texts for section blocks, and how many lines found no room."""
    kept: list[list[list[str]]] = []
    room, left_out = WHOLE, 0
    for paragraph in paragraphs:
        fitting = []
        for line in paragraph:
            size = sum(map(_size, line)) + 1
            if left_out or size > room:
                left_out += 1
            else:
                room -= size
                fitting.append(line)
        if any("".join(line).strip() for line in fitting):
            kept.append(fitting)
    if len(kept) > TEXT_BLOCKS // 2:
        joined: list[list[str]] = []
        for paragraph in kept:
            joined += [*([[]] if joined else []), *paragraph]
        kept = [joined]
    texts = [text for paragraph in kept for text in _packed(paragraph) if text.strip()]
    return texts[:TEXT_BLOCKS], left_out


def _packed(lines: Sequence[list[str]]) -> Iterator[str]:
    """Lines joined into texts of at most `TEXT` characters, broken between pieces only."""
    text = ""
    for at, line in enumerate(lines):
        for piece in (*(["\n"] if at else []), *line):
            if _size(text) + _size(piece) > TEXT:
                yield text
                text = ""
            if text or piece != "\n":
                text += piece
    yield text


def _size(text: str) -> int:
    """In UTF-16 units, the way Slack's clients count: never less than the characters."""
    return len(text) if text.isascii() else len(text) + sum(one > "\uffff" for one in text)


def _cut(text: str, most: int) -> str:
    kept, size = [], 1
    for one in text:
        size += _size(one)
        if size > most:
            break
        kept.append(one)
    return "".join(kept).rstrip() + "…"
