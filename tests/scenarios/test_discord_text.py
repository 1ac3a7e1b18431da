"""What people type and are called, however nasty: literal, within every limit, pinging nobody."""

from pathlib import Path

import pytest
import regex
from discord_scene import discord_scene
from fakes.discord_interactions import Reply
from fakes.discord_model import MANAGE_GUILD, Message

PINGS = (
    "@everyone",
    "@here",
    "<@{id}>",
    "<@!{id}>",
    "<@&{role}>",
    "<#{channel}>",
    "@\u200beveryone <@{id}>",
    "`@everyone` ```@here```",
    "||@everyone||",
    "\\<@{id}>",
    "\\\\<@&{role}>",
    "[free chats](https://evil.example/@everyone)",
    "https://evil.example/?<@{id}>",
    "<https://evil.example>",
    "**bold** __under__ ~~struck~~ > quote # heading - list",
    "</available:1>",
    "<:emoji:123456789012345678>",
    "<t:0:R> <id:customize>",
    "@everyone\n@here\r\n<@{id}>",
)
FAMILY = "👨‍👩‍👧‍👦"
NASTY = {
    "as long as Discord lets it be": "x" * 500,
    "right to left": "\u202e\u2066gnp.exe\u2069 שלום עולם مرحبا",
    "zalgo": "Z" + "\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308" * 40 + "algo",
    "families": FAMILY * 20,
    "controls": "a\x00b\x07c\x1b[31md\u2028e\ufefff",
    "every plane": "𝕳𝖊𝖑𝖑𝖔 \U0001f469\U0001f3fd\u200d\U0001f4bb \U000e0041 ﷽" * 5,
    "only spaces": " \u3000\u00a0\u200b ",
}


async def test_no_word_of_a_person_pings_or_becomes_mark_up(tmp_path: Path) -> None:
    """Row 28: in notes, reasons, names, wrong times, wrong zones, direct messages, the roster, a summary.

    The fake keeps a violation for everything that would ping; here it is seen that it stays literal too.
    """
    async with discord_scene(tmp_path) as scene:
        channel = scene.fake.add_channel(scene.guild, "daily")
        place = f"discord:{scene.guild.id}/{channel.id}"
        daily = {"slug": "daily", "team": "support", "channel": place, "at": "09:00", "zone": "UTC"}
        scene.program.config["summary"] = [daily]
        scene.program.config["organization"] = {"name": "Acme @everyone", "zone": "UTC"}
        async with scene.program:
            maria, ben = scene.agent("Maria"), scene.agent("Ben")
            ids = {"id": ben.id, "role": scene.role.id, "channel": channel.id}
            await scene.ready()
            await scene.say(maria, "available")
            for ping in PINGS:
                text = ping.format(**ids)
                scene.fake.rename(ben, guild=scene.guild, nick=text[:32])
                literal(await scene.say(ben, "available", note=text))
                literal(await scene.say(maria, "presence why", agent=ben))
                literal(await scene.say(ben, "away", until="1m", reason=text))
                literal(await scene.say(maria, "who"))
                literal(await scene.say(maria, "away", until=text, reason=text))
                literal(await scene.say(maria, "presence timezone", zone=text))
                literal(await scene.say(maria, "who", team=text))
            await scene.advance(2 * 60)
            literal(await scene.fake.wait_for_message(ben, "Your time away is over"))
            await scene.advance(59 * 60)
            summary = await scene.fake.wait_for_message(channel)
            literal(summary)
            assert "@everyone" not in summary.content


def literal(shown: Reply | Message) -> None:
    """Nothing that Discord would turn into a mention, a link, an emoji or a time; all of it in the embed,
    where nothing pings. In code everything is literal."""
    assert shown.content == ""
    text = regex.sub(r"`[^`]*`", "", shown.text)
    marks = regex.findall(r"(?<!\\)<(?:@[!&]?|#|:|a:|/|id:|http)[^>]*>|@everyone|@here|(?<!\\)\]\(http", text)
    assert marks == []
    assert "<t:0:R>" not in text


def as_a_name(text: str) -> str:
    """As much of it as Discord takes for a nickname, whole characters only."""
    name = ""
    for character in regex.findall(r"\X", text):
        if len(name) + len(character) > 32:
            break
        name += character
    return name


@pytest.mark.parametrize("name", NASTY)
async def test_whatever_is_typed_is_kept_and_shown_within_every_limit(tmp_path: Path, name: str) -> None:
    """Row 29: kept whole in the database, shown isolated and cut by what a reader sees as one character."""
    async with discord_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.agent("Maria"), scene.agent("Ben")
        lead_role = scene.fake.add_role(scene.guild, "Managers", permissions=MANAGE_GUILD)
        scene.fake.give_role(ben, scene.guild, lead_role)
        await scene.ready()
        text = NASTY[name]
        scene.fake.rename(maria, guild=scene.guild, nick=as_a_name(text))
        for person in (maria, ben):
            await scene.say(person, "available", note=text)
        for reply in (
            await scene.say(maria, "away", until="30m", reason=text),
            await scene.say(maria, "presence me"),
            await scene.say(ben, "who"),
            await scene.say(ben, "presence why", agent=maria),
            await scene.say(maria, "away", until=text),
            await scene.say(ben, "presence remove", agent=maria),
        ):
            assert not regex.search(r"[\u202a-\u202e\u2066-\u2069\x00-\x09\x0b-\x1f]", reply.text)
            assert not regex.search(r"\p{M}{4}", reply.text)
            if name == "families":
                torn = [one for one in regex.findall(r"\X", reply.text) if one[0] in FAMILY and one != FAMILY]
                assert torn == []
        stored = {reason.strip() for (reason,) in scene.program.rows("SELECT intent_reason FROM presence")}
        assert regex.sub(r"[\x00-\x08\x0b-\x1f]", "", text).strip() in stored
