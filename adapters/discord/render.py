"""A Message as a Discord embed: every word literal, every limit kept however long it is.

Limits: https://docs.discord.com/developers/resources/message#embed-object-embed-limits. Lengths are
counted in UTF-16 units, the strictest reading. Text stands in embeds only, never in a message's
content, because nothing in an embed can ping anyone.
"""

import re
from collections.abc import Sequence
from datetime import UTC

import discord

from bot.message import Code, Line, Message, Moment, Section, Span, Strong, TimeStyle, Tone

DESCRIPTION = 4096
HEADING = 256
COLOURS = {Tone.GOOD: 0x2E9E5B, Tone.AWAY: 0xD9930D, Tone.QUIET: 0x7A8290, Tone.PROBLEM: 0xC9372C}
STYLES = {TimeStyle.TIME: "t", TimeStyle.DATE_TIME: "f", TimeStyle.RELATIVE: "R"}
NOTHING = "…"
_MARKUP = re.compile(r"([\\*_~`|<>\[\]():#]|^[-+]|(?<=\d)\.(?=\s|$))")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def size(text: str) -> int:
    """Length as Discord may count it."""
    return len(text.encode("utf-16-le")) // 2


def literal(text: str) -> str:
    """Words that Discord shows as they are: no mark-up, mention, link, emoji or time comes of them."""
    return _MARKUP.sub(r"\\\1", plain(text)).replace("@", "@\u200b")


def plain(text: str) -> str:
    """Words on one line that can be sent at all."""
    return " ".join(_UNPRINTABLE.sub("", text).split("\n")).replace("\t", " ")


def span_text(span: Span, *, markdown: bool = True) -> str:
    """A span; without markdown where Discord renders none, and then times are in UTC."""
    match span:
        case str():
            return literal(span) if markdown else plain(span)
        case Strong(text=text):
            if not markdown:
                return plain(text)
            return f"**{literal(text)}**" if plain(text).strip() else literal(text)
        case Code(text=text):
            code = plain(text).replace("`", "\u02cb")
            return f"`{code}`" if markdown and code.strip() else code
        case Moment(at=at, style=style):
            if markdown:
                return f"<t:{int(at.timestamp())}:{STYLES[style]}>"
            return at.astimezone(UTC).strftime(
                "%H:%M UTC" if style is TimeStyle.TIME else "%Y-%m-%d %H:%M UTC"
            )


def line_text(line: Line, most: int, *, markdown: bool = True) -> str:
    """A line of at most `most` units. What is too long is cut within words, never within mark-up."""
    texts: list[str] = []
    left = most
    for span in line:
        text = span_text(span, markdown=markdown)
        if size(text) > left - (span is not line[-1]):
            texts.append(_shortened(span, left - 1, markdown=markdown) + "…")
            break
        texts.append(text)
        left -= size(text)
    return "".join(texts)


def _shortened(span: Span, most: int, *, markdown: bool) -> str:
    """As much of a span's words as fits."""
    if isinstance(span, Moment):
        return ""
    words = span if isinstance(span, str) else span.text
    low, high = 0, min(len(words), max(0, most))
    while low < high:
        middle = (low + high + 1) // 2
        if size(span_text(_with_words(span, words[:middle]), markdown=markdown)) <= most:
            low = middle
        else:
            high = middle - 1
    return span_text(_with_words(span, words[:low]), markdown=markdown) if low else ""


def _with_words(span: Span, words: str) -> Span:
    match span:
        case Strong():
            return Strong(words)
        case Code():
            return Code(words)
        case _:
            return words


def block(lines: Sequence[Line], most: int) -> str:
    """Lines of together at most `most` units; those that find no room are counted in the last one."""
    texts: list[str] = []
    left = most
    for number, line in enumerate(lines):
        remaining = len(lines) - number
        reserve = size(_more(remaining - 1)) + 1 if remaining > 1 else 0
        text = line_text(line, DESCRIPTION)
        if size(text) > left - reserve:
            if texts:
                texts.append(_more(remaining))
                break
            text = line_text(line, left - reserve)
        texts.append(text)
        left -= size(text) + 1
    return "\n".join(texts)


def _more(count: int) -> str:
    return f"… and {count} more"


def embed_of(message: Message) -> discord.Embed:
    """The message as one embed; its buttons are `buttons.view_of`'s matter.

    All of it stands in the description: only there does Discord render everything, and a page of the
    roster fits whole, where a field would hold a quarter of it.
    """
    footer, last = _footer(message.footer)
    room = DESCRIPTION - (size(last) + 1 if last else 0)
    kept = room // 2 if message.sections else 0
    texts = [block(message.lines, room - kept)] if message.lines else []
    room -= sum(size(text) for text in texts)
    texts += _sections(message.sections, room)
    embed = discord.Embed(colour=COLOURS[message.tone])
    embed.description = "\n".join([*texts, last] if last else texts).strip() or (None if footer else NOTHING)
    if footer:
        embed.set_footer(text=footer)
    return embed


def _sections(sections: Sequence[Section], room: int) -> list[str]:
    """Sections below each other, with a blank line before each. Every one keeps room for its heading and a
    line, so that a long one can't push out those behind it; those that find none are counted."""
    texts: list[str] = []
    least = [_least(section) for section in sections]
    room -= size(_more(len(sections))) + 1
    for number, section in enumerate(sections):
        here = room - min(sum(least[number + 1 :]), room // 2)
        if here < least[number]:
            texts.append(_more(len(sections) - number))
            break
        heading = line_text(section.heading, HEADING)
        lines = block(section.lines, here - size(heading) - 3)
        texts.append("\n" + "\n".join(text for text in (heading, lines) if text))
        room -= size(texts[-1]) + 1
    return texts


def _least(section: Section) -> int:
    """Room that a section takes at least."""
    return size(line_text(section.heading, HEADING)) + 60


def _footer(footer: Line) -> tuple[str, str]:
    """The footer, or the line that takes its place: Discord shows no reader's own times in footers."""
    if any(isinstance(span, Moment) for span in footer):
        return "", line_text(footer, HEADING).strip()
    return line_text(footer, HEADING, markdown=False).strip(), ""
