"""Working days in Slack, played through with the whole program as a process."""

from pathlib import Path

import pytest
from slack_scene import HOUR, MINUTE, SlackScene, slack_scene

BAD_TIMES = {
    "until 25:99": "hours run from 0 to 23, minutes from 00 to 59, as in `until 14:30`",
    "31d": "an away lasts at most 30 days. Type a shorter one, as in `2h`",
    "until 6:00": "so 06:00 has passed. Type `until 18:00`, `until tomorrow 06:00`",
    "0m": "must be at least a minute, as in `30m`",
    "-5m": "must be at least a minute, as in `30m`",
    "until 14:30 15:30": "that is more than one time. Type when you come back, as in `lunch 30m`",
    "99999999999h": "an away lasts at most 30 days",
}
"""Row 30: the rule and an example for each."""
FULL_MEMBERS = "Only full members of this workspace can use Rollcall."


async def test_a_day_from_the_first_available_to_signing_off(tmp_path: Path) -> None:
    """Enrolled by a first command, at lunch and back by itself, "I'm back", signed off with the phone on."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria", zone="Europe/Berlin"), scene.member("ben")
        strangers = [
            scene.fake.add_user("UGUEST", "guest", is_restricted=True),
            scene.fake.add_user("USINGLE", "single", is_ultra_restricted=True),
            scene.fake.add_user("UOTHER", "other", is_stranger=True),
            scene.fake.add_user("UROBOT", "robot", is_bot=True),
        ]
        await scene.ready()
        for stranger in strangers:
            for command in ("available", "brb", "whosin", "presence"):
                assert FULL_MEMBERS in (await scene.say(stranger, command)).shown
        assert (await scene.program.get("/v1/agents"))["agents"] == []
        assert "Nobody is an agent here yet." in (await scene.say(maria, "whosin")).shown

        said = await scene.say(maria, "available", "only billing today")
        assert "You're *Available*: only billing today." in said.shown
        await scene.say(ben, "available")
        assert await scene.seen(ben, "maria") == "available"
        assert await scene.program.routable() == {"maria", "ben"}

        said = await scene.say(maria, "brb", "30m lunch")
        assert "You're *Away* until <!date^" in said.shown
        assert ": Lunch. No new chats come to you." in said.shown
        assert "Then you're Available again by yourself." in said.shown
        assert "Lunch" in (await scene.say(ben, "whosin")).shown
        assert await scene.program.routable() == {"ben"}

        await scene.advance(29 * MINUTE)
        assert await scene.seen(ben, "maria") == "away"
        await scene.advance(2 * MINUTE)
        told = await scene.word(maria, "Your time away is over")
        assert await scene.seen(ben, "maria") == "available"
        away, back = scene.program.history("maria")[-2:]
        assert (away.presence, back.presence) == ("away", "available")
        assert (back.since - away.since).total_seconds() == pytest.approx(30 * MINUTE, abs=1)

        more = await scene.press(maria, told, "30 more minutes")
        assert "You're *Away* until <!date^" in more.shown
        assert scene.fake.direct_messages(maria.id) == [told], "the word itself was changed"
        assert "You're *Available*" in (await scene.press(maria, told, "I'm back")).shown
        assert await scene.seen(ben, "maria") == "available"

        off = await scene.say(maria, "presence", "off")
        assert "You've signed off. You're *Offline*" in off.shown
        scene.presence(maria, "away")
        await scene.polled([maria])
        scene.presence(maria, "active")
        await scene.polled([maria])
        await scene.advance(10 * HOUR)
        await scene.polled([maria])
        await scene.agrees(ben, "maria", "offline")
        assert "You're *Available*" in (await scene.press(maria, off, "I'm available")).shown
        assert await scene.seen(ben, "maria") == "available"


async def on_the_link_alone(scene: SlackScene, *people: str) -> None:
    """Eight hours later no check-in is left, and Slack still shows them active."""
    await scene.advance(8 * HOUR + MINUTE)
    for name in people:
        about = await scene.program.about(name)
        assert (about["presence"], about["routable"]) == ("available", True), about


async def test_who_slack_shows_as_away_is_asked_and_then_offline(tmp_path: Path) -> None:
    """Rule 3: routable for 15 min, "Still there?" with two buttons, Offline 10 min later.

    Then returns after less and after more than half an hour (rule 8).
    """
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben, ann, kim, wes = (scene.member(name) for name in ("maria", "ben", "ann", "kim", "wes"))
        people = (maria, ben, ann, kim)
        await scene.ready()
        for person in people:
            await scene.say(person, "available")
        await scene.polled(people)
        await on_the_link_alone(scene, "maria", "ben", "ann", "kim")
        await scene.say(kim, "available")

        for person in people:
            scene.presence(person, "away")
        await scene.polled(people)
        idle_at = scene.now()
        await scene.advance(13 * MINUTE)
        assert await scene.program.routable() == {"maria", "ben", "ann", "kim"}
        assert scene.fake.direct_messages(ann.id) == []
        await scene.advance(3 * MINUTE)
        asked = {person.name: await scene.word(person, "Still there?") for person in (maria, ben, ann)}
        assert scene.fake.direct_messages(kim.id) == [], "kim said so just now"
        assert await scene.program.routable() == {"kim"}
        assert await scene.seen(wes, "ann") == "available"
        why = await scene.program.get(f"/v1/agents/{(await scene.program.about('ann'))['id']}/eligibility")
        assert [reason["code"] for reason in why["reasons"]] == ["connection_lost"]

        assert "You're *Available*" in (await scene.press(maria, asked["maria"], "I'm here")).shown
        assert "You're *Away*" in (await scene.press(ben, asked["ben"], "I'm away")).shown
        assert await scene.program.routable() == {"maria", "kim"}
        await scene.advance(10 * MINUTE)
        await scene.agrees(wes, "ann", "offline")
        assert await scene.seen(wes, "maria") == "available"
        gone = scene.program.history("ann")[-1]
        assert (gone.presence, gone.reason) == ("offline", "disconnected")
        assert (gone.since - idle_at).total_seconds() == pytest.approx(25 * MINUTE, abs=40)

        await scene.advance(20 * MINUTE)
        scene.presence(ann, "active")
        await scene.polled([ann])
        await scene.agrees(wes, "ann", "available")
        assert len(scene.fake.direct_messages(ann.id)) == 1, "back within half an hour, nothing is asked"

        scene.presence(ann, "away")
        await scene.polled([ann])
        await scene.advance(26 * MINUTE)
        await scene.agrees(wes, "ann", "offline")
        await scene.advance(31 * MINUTE)
        scene.presence(ann, "active")
        await scene.polled([ann])
        await scene.agrees(wes, "ann", "away")
        first = await scene.word(ann, "Welcome back")
        assert "back, not available yet" in (await scene.say(wes, "whosin")).shown

        # Gone and back once more: once a day is enough.
        scene.presence(ann, "away")
        await scene.polled([ann])
        await scene.advance(26 * MINUTE)
        await scene.agrees(wes, "ann", "offline")
        scene.presence(ann, "active")
        await scene.polled([ann])
        await scene.agrees(wes, "ann", "away")
        welcomes = [one for one in scene.fake.direct_messages(ann.id) if "Welcome back" in one.shown]
        assert welcomes == [first]
        assert "You're *Available*" in (await scene.press(ann, first, "I'm available")).shown
        await scene.agrees(wes, "ann", "available")


@pytest.mark.parametrize("policy", ["absent", "ignore"])
async def test_slacks_away_can_count_as_gone_or_as_nothing(tmp_path: Path, policy: str) -> None:
    """`slack_away`: "absent" is a disconnect with a grace of its own, "ignore" changes nothing."""
    async with slack_scene(tmp_path, presence={"slack_away": policy}) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.polled([maria, ben])
        scene.presence(maria, "away")
        await scene.polled([maria])
        await scene.advance(100)
        assert await scene.seen(ben, "maria") == "available"
        assert await scene.program.routable() == ({"ben"} if policy == "absent" else {"maria", "ben"})
        await scene.advance(60)
        if policy == "absent":
            # Strong evidence, later than their word of this morning: it counts no more.
            await scene.agrees(ben, "maria", "offline")
            scene.presence(maria, "active")
            await scene.polled([maria])
            await scene.agrees(ben, "maria", "available")
        else:
            await scene.advance(HOUR)
            assert await scene.program.routable() == {"maria", "ben"}
        assert scene.fake.direct_messages(maria.id) == []


async def test_the_roster_of_sixty_has_pages_a_refresh_and_teams(tmp_path: Path) -> None:
    """15 on a page; Next, Back and Refresh change the private message they stand on."""
    async with slack_scene(tmp_path) as scene, scene.program:
        people = [scene.member(f"agent {number:02}") for number in range(60)]
        await scene.ready()
        for person in people:
            await scene.say(person, "available")
        first, last = people[0], people[59]
        page = await scene.say(first, "whosin")
        assert "60 available · 0 away · 0 offline" in page.shown
        assert "page 1 of 4" in page.shown
        assert [control.text for control in page.controls] == ["Refresh", "Next"]
        for number in (2, 3, 4):
            await scene.press(first, page, "Next")
            assert f"page {number} of 4" in page.shown
        assert "*agent 59*" in page.shown
        assert "*agent 44*" not in page.shown
        assert [control.text for control in page.controls] == ["Refresh", "Back"]
        await scene.say(last, "brb", "fire drill")
        await scene.press(first, page, "Refresh")
        assert "59 available · 1 away · 0 offline" in page.shown
        assert "fire drill" in page.shown
        await scene.press(first, page, "Back")
        assert "page 3 of 4" in page.shown
        assert len(scene.fake.ephemeral_messages(first.id)) == 2, "one message, changed in place"

        assert "Nobody is in the team *Billing* yet." in (await scene.say(first, "whosin", "billing")).shown
        assert "59 available · 1 away" in (await scene.say(first, "presence", "who support")).shown
        unknown = (await scene.say(first, "whosin", "bilge")).shown
        assert "There is no team or skill `bilge`. There are `support`, `billing`, `german`." in unknown
        assert "You typed: `/whosin bilge`" in unknown


async def test_an_agent_asks_how_they_are_seen_and_times_are_read_kindly(tmp_path: Path) -> None:
    """/presence me, why, timezone, help; row 30: bad times and zones, with what was typed kept."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria", zone=None), scene.member("ben", zone="Europe/Berlin")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.polled([maria])
        me = (await scene.say(maria, "presence", "me")).shown
        assert "You're *Available* since <!date^" in me
        assert "New chats can come to you." in me
        assert "Slack: connected since <!date^" in me
        assert "You become Offline if Slack shows you as away for 25 min and I hear" in me
        assert "No time zone set: type `/presence timezone Europe/Berlin`" in me
        assert "*maria* can take a chat now." in (await scene.say(ben, "presence", "why @maria")).shown

        # Clock times need a zone, which Slack does not tell of everybody.
        asked = (await scene.say(maria, "brb", "until 14:30 dentist")).shown
        assert "I don't know your time zone" in asked
        assert "You typed: `/brb until 14:30 dentist`" in asked
        wrong = (await scene.say(maria, "presence", "timezone Europe/Berln")).shown
        assert "Europe/Berlin" in wrong
        assert "You typed: `/presence timezone Europe/Berln`" in wrong
        zone = (await scene.say(maria, "presence", "timezone Europe/Berlin")).shown
        assert "Your time zone is Europe/Berlin; it is 09:" in zone or "it is 10:" in zone
        assert "You're *Away* until <!date^" in (await scene.say(maria, "brb", "until 14:30 dentist")).shown

        assert "You're *Offline*" in (await scene.say(ben, "presence", "me")).shown
        before = scene.program.history("ben")
        for typed, answer in BAD_TIMES.items():
            said = (await scene.say(ben, "brb", typed)).shown
            assert answer in said
            assert f"You typed: `/brb {typed}`" in said
        assert scene.program.history("ben") == before, "what can't be read changes nothing"
        mistyped = (await scene.say(ben, "presence", "tiemzone Europe/Berlin")).shown
        assert "There is no command `/presence tiemzone`. Did you mean `/presence timezone`?" in mistyped
        missing = (await scene.say(ben, "presence", "timezone")).shown
        assert "Type for example `/presence timezone Europe/Berlin`." in missing
        assert "There is no agent `@nobody`." in (await scene.say(ben, "presence", "why @nobody")).shown

        for text in ("", "help"):
            text = (await scene.say(ben, "presence", text)).shown
            assert "`/brb [30m, until 14:30, tomorrow 9am] [reason]`" in text
            assert "enrol" not in text, "what only leads may do is not offered to others"
        admin = scene.fake.add_user("UADMIN", "adele", is_admin=True)
        assert "`/presence enrol @somebody`" in (await scene.say(admin, "presence", "help")).shown
