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

DESCRIPTION, FIELDS, FIELD_NAME, FIELD_VALUE, FOOTER, TOTAL = 4096, 25, 256, 1024, 2048, 6000
COLOURS = {Tone.GOOD: 0x2E9E5B, Tone.AWAY: 0xD9930D, Tone.QUIET: 0x7A8290, Tone.PROBLEM: 0xC9372C}
STYLES = {TimeStyle.TIME: "t", TimeStyle.DATE_TIME: "f", TimeStyle.RELATIVE: "R"}
NOTHING = "…"
BLANK = "\u200b"
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
            return f"**{literal(text)}**" if markdown and text.strip() else literal(text)
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
    """The message as one embed; its buttons are `buttons.view_of`'s matter."""
    footer, late_footer = _footer(message.footer)
    room = TOTAL - size(footer) - (size(late_footer) + 1 if late_footer else 0)
    wanted = [section for section in message.sections if section.lines or section.heading]
    shown = wanted[: FIELDS - 2]
    # Every section keeps room for its heading and a line, so that the first can't push out the last.
    kept = sum(_least(section) for section in shown) + 2 * size(_more(len(wanted)))
    text = block(message.lines, max(1, min(DESCRIPTION, room - kept))) if message.lines else ""
    embed = discord.Embed(colour=COLOURS[message.tone], description=text or None)
    room -= size(text)
    for number, section in enumerate(shown):
        room_here = room - sum(_least(later) for later in shown[number + 1 :]) - 2 * size(_more(len(wanted)))
        name = line_text(section.heading, FIELD_NAME, markdown=False).strip() or BLANK
        value = block(section.lines, max(1, min(FIELD_VALUE, room_here - size(name)))).strip() or BLANK
        embed.add_field(name=name, value=value, inline=False)
        room -= size(name) + size(value)
    if len(wanted) > len(shown):
        embed.add_field(name=BLANK, value=_more(len(wanted) - len(shown)), inline=False)
    if late_footer:
        embed.add_field(name=BLANK, value=late_footer, inline=False)
    if footer:
        embed.set_footer(text=footer)
    if not (text or embed.fields or footer):
        embed.description = NOTHING
    return embed


def _least(section: Section) -> int:
    """Room that every section is sure of."""
    return min(FIELD_NAME, size(line_text(section.heading, FIELD_NAME, markdown=False)) + 1) + 40


def _footer(footer: Line) -> tuple[str, str]:
    """The footer, or the field that takes its place: Discord shows no reader's own times in footers."""
    if any(isinstance(span, Moment) for span in footer):
        return "", line_text(footer, 300).strip()
    return line_text(footer, 300, markdown=False).strip(), ""
