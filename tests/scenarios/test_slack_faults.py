"""What Slack does to an app, and what its agents notice: the whole program, one fault at a time."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from fakes.slack import HOSTILE
from slack_scene import HOUR, MINUTE, SlackScene, slack_scene


async def quick_availability(scene: SlackScene) -> set[str]:
    """The API's answer, which nothing at Slack may delay."""
    began = time.perf_counter()
    names = await scene.program.routable()
    assert time.perf_counter() - began < 0.5
    return names


async def test_fault_14_sockets_come_and_go_and_no_command_is_lost(tmp_path: Path) -> None:
    """Refreshed, warned, dropped and refused; at last half-open: commands work again within 45 s."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.polled([maria, ben])
        before = scene.program.history("ben")

        for refresh in (True, False):
            opened = scene.fake.sockets.opened
            await scene.fake.disconnect_sockets("refresh_requested" if refresh else "warning")
            await scene.say(maria, "brb", "in the middle of it")
            await scene.another_socket(opened)
            assert "You're *Available*" in (await scene.say(maria, "available")).shown
        scene.fake.refuse_sockets(1)
        scene.fake.drop_sockets()
        await scene.until(lambda: not scene.fake.sockets.connections, "the sockets to break")
        async with asyncio.timeout(15):
            while not scene.fake.sockets.connections:
                await scene.advance(0.5)
        assert "You're *Away*" in (await scene.say(maria, "brb", "lunch")).shown
        assert "You're *Available*" in (await scene.say(maria, "available")).shown
        assert await scene.program.troubles() == []

        scene.fake.freeze_sockets()
        frozen_at = time.monotonic()
        lost = await scene.fake.command(maria.id, "/brb", "unheard")
        assert lost.error == "operation_timeout", "Slack itself tells her that nothing happened"
        assert await quick_availability(scene) == {"maria", "ben"}
        await scene.fake.wait_for_connection(timeout=45)
        assert "You're *Away*" in (await scene.say(maria, "brb", "heard")).shown
        assert time.monotonic() - frozen_at < 45
        assert "unheard" not in (await scene.say(ben, "whosin")).shown
        assert scene.program.history("ben") == before, "presence is asked for elsewhere"


async def test_fault_15_what_comes_again_late_and_out_of_order_counts_once(tmp_path: Path) -> None:
    """One change and one reply each; a profile of before never overwrites one of after."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.polled([maria, ben])
        reply = await scene.say(maria, "brb", "30m lunch")
        changed = scene.program.history("maria")
        shown = len(scene.fake.ephemeral_messages(maria.id))
        await scene.fake.redeliver(2)
        assert scene.program.history("maria") == changed
        assert len(scene.fake.ephemeral_messages(maria.id)) == shown
        await scene.press(maria, reply, "I'm back")
        changed, edits = scene.program.history("maria"), reply.message.edits
        await scene.fake.redeliver(2)
        assert (scene.program.history("maria"), reply.message.edits) == (changed, edits)
        assert await scene.seen(ben, "maria") == "available"

        # Said in this order, delivered in the other one: what arrived last holds, each took effect once.
        scene.fake.hold_envelopes()
        said = [
            asyncio.create_task(scene.fake.command(maria.id, command, text))
            for command, text in (("/available", ""), ("/brb", "second"), ("/brb", "third"))
        ]
        await scene.until(lambda: len(scene.fake.sockets.held or ()) == 3, "three held commands")
        await scene.advance(2)
        await scene.fake.release_envelopes(reverse=True)
        assert all(one.error is None for one in await asyncio.gather(*said))
        notes = "SELECT presence, note FROM interval WHERE since > ? ORDER BY since"
        since = scene.program.rows(notes, int(changed[-1].since.timestamp() * 1_000_000))
        assert since == [("away", "third"), ("away", "second"), ("available", "")]
        assert await scene.seen(ben, "maria") == "available"

        scene.fake.delay_envelopes(0.3)
        assert "You're *Away*" in (await scene.say(maria, "brb", "late")).shown
        scene.fake.delay_envelopes(0)

        old = maria.as_json(scene.fake.world.clock() - 60, with_email=False)
        await scene.advance(5)
        newer = await scene.fake.user_changed(maria.id, name="maria k.", tz="America/New_York")
        await scene.fake.redeliver(2, same_envelope=False)
        await scene.program.until_presence("maria k.", "away")
        await scene.fake.event("user_change", user=old, cache_ts=old["updated"])
        await scene.fake.user_changed(ben.id, name="benno")
        await scene.program.until_presence("benno", "available")
        assert newer.acked
        assert (await scene.program.about("maria k."))["zone"] == "America/New_York"


async def test_fault_16_slack_that_limits_fails_and_drags_delays_a_word_and_loses_none(
    tmp_path: Path,
) -> None:
    """Retry-After is obeyed, a 5xx is tried again, and neither commands nor the API notice."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben, kim = scene.member("maria"), scene.member("ben"), scene.member("kim")
        await scene.ready()
        for person in (maria, ben):
            await scene.say(person, "available")
        await scene.polled([maria, ben])
        before = scene.program.history("ben")

        # A short pause of polling is nothing anybody should hear of.
        scene.fake.rate_limit("users.getPresence", retry_after=30)
        polls = scene.fake.calls("users.getPresence")
        await scene.advance(20)
        await scene.until(lambda: scene.fake.calls("users.getPresence")[-1].status == 429, "a 429")
        asked = len(scene.fake.calls("users.getPresence"))
        assert asked > len(polls)
        await scene.advance(25)
        assert len(scene.fake.calls("users.getPresence")) == asked, "before Retry-After nobody asks"
        await scene.polled([maria, ben])
        assert await scene.program.troubles() == []

        # A long failure is blindness: unconfirmed, told, and forgotten when it is over.
        scene.fake.fail("users.getPresence", status=503, times=None)
        await scene.feed("down")
        (banner,) = await scene.program.troubles()
        assert banner.startswith("Slack can't be reached since ")
        assert "presence is shown as it was last seen, marked unconfirmed." in banner
        assert (await scene.program.about("ben"))["presence"] == "available"
        assert "Who is there is unconfirmed." in (await scene.say(ben, "whosin")).shown
        assert await quick_availability(scene) == {"maria", "ben"}, "their own words still count"
        scene.fake.heal()
        await scene.feed("live")
        await scene.polled([maria, ben])
        assert await scene.program.troubles() == []
        assert scene.program.history("ben") == before

        # A direct message waits for as long as Slack says, then for Slack to be well again.
        await scene.say(maria, "brb", "5m")
        await scene.say(ben, "brb", "6m")
        scene.fake.rate_limit("chat.postMessage", retry_after=120)
        scene.fake.fail("chat.postMessage", status=503, times=3)
        await scene.advance(5 * MINUTE + 1)
        await scene.fake.wait_for_call("chat.postMessage")
        assert await quick_availability(scene) == {"maria"}
        for _ in range(11):
            await scene.advance(10)
            assert len(scene.fake.calls("chat.postMessage")) == 1, "nor is ben's word tried meanwhile"
        async with asyncio.timeout(10):
            while not all(scene.fake.direct_messages(person.id) for person in (maria, ben)):
                await scene.advance(15)
        for person in (maria, ben):
            (word,) = scene.fake.direct_messages(person.id)
            assert "Your time away is over" in word.shown

        # A Slack that drags: who is known is answered at once, who is new a little later.
        scene.fake.slow("*", 3.5)
        assert (await scene.say(maria, "brb", "tea")).latency < 0.5
        assert await quick_availability(scene) == {"ben"}
        new = await scene.say(kim, "available")
        assert "You're *Available*" in new.shown
        assert new.latency < 2.5, "acknowledged within Slack's three seconds"
        scene.fake.heal()


@pytest.mark.parametrize("how", ["revoked", "uninstalled"])
async def test_fault_17_without_its_token_it_stops_calling_and_says_what_to_do(
    tmp_path: Path, how: str
) -> None:
    """A banner with the repair, not one call more, history and API as before; a restart mends it."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben = scene.member("maria"), scene.member("ben")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.polled([maria])
        await scene.advance(8 * HOUR + MINUTE)
        await scene.say(ben, "available")
        before = scene.program.history("maria")

        if how == "revoked":
            scene.fake.revoke_token()
        else:
            await scene.fake.uninstall()
        async with asyncio.timeout(5):
            while not await scene.program.troubles():
                await scene.advance(1)
        (banner,) = await scene.program.troubles()
        error = "token_revoked" if how == "revoked" else "account_inactive"
        assert f"Slack refuses the bot token ({error}), so Rollcall has stopped calling Slack." in banner
        assert "put its Bot User OAuth Token into slack.bot_token and restart Rollcall" in banner
        calls = len(scene.fake.calls())
        for _ in range(5):
            await scene.advance(10 * MINUTE)
        assert len(scene.fake.calls()) == calls
        assert (await scene.program.about("maria"))["presence"] == "available"
        assert (await scene.program.about("maria"))["unconfirmed_since"] is not None
        assert await quick_availability(scene) == {"ben"}, "ben's own word still counts"

        scene.fake.restore_token()
        await scene.restart()
        await scene.polled([maria, ben])
        assert await scene.program.troubles() == []
        assert await scene.program.routable() == {"maria", "ben"}
        assert scene.program.history("maria")[: len(before) - 1] == before[:-1]


async def test_fault_33_by_http_only_what_slack_signed_is_heard(tmp_path: Path) -> None:
    """Through Rollcall's own port: 401 and never 500 for the rest, and a day works as by socket."""
    async with slack_scene(tmp_path, "http") as scene, scene.program:
        maria, ben = scene.member("maria", zone="Europe/Berlin"), scene.member("ben")
        await scene.ready()
        assert await scene.fake.verify_url()
        await scene.say(maria, "available")
        for variant in HOSTILE:
            answer = await scene.fake.send_hostile(variant)
            assert answer.status == 401, variant
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{scene.program.address}/slack/events")).status_code == 405
        assert [one["name"] for one in (await scene.program.get("/v1/agents"))["agents"]] == ["maria"]

        await scene.say(ben, "available")
        away = await scene.say(maria, "brb", "30m lunch")
        await scene.fake.redeliver(2)
        assert await scene.seen(ben, "maria") == "away"
        await scene.restart(kill=True)
        assert await scene.seen(ben, "maria") == "away"
        assert "You're *Available*" in (await scene.press(maria, away, "I'm back")).shown
        await scene.fake.user_changed(maria.id, name="maria k.")
        await scene.program.until_presence("maria k.", "available")
        errors = [line for line in scene.program.logged() if line["level"] == "error"]
        assert errors == []


ODD = {
    "<!channel> <!here> @everyone": "&lt;!channel&gt; &lt;!here&gt; @everyone",
    "<@U001> <@W1|x> <!subteam^S1>": "&lt;!subteam^S1&gt;",
    "*bold* _it_ ~no~ `code`": "∗bold∗ ˍitˍ ∼no∼ ˋcodeˋ",
    "<https://evil.example|click here>": "click here",
    "> quote\n# heading\n• item": "quote # heading • item",
    "\u202egnihton\u202c \u2066x\u2069": "gnihton x",
    "Z̸̢̛͉̲̗͎̾̈́̆̅alg̵̡̛͖͔͉̒̌̎͝o": "alg",
    "nul\x00bell\x07": "nulbell",
    "👩‍👩‍👧‍👦" * 30: "👩‍👩‍👧‍👦",
    "{{7*7}} ${jndi:x} =cmd() %s %n": "{{7*7}} ${jndi:x} =cmd() %s %n",
}
"""Row 28 and 29: what is typed, and what of it is surely read."""


async def test_fault_28_and_29_what_people_write_is_shown_as_written_and_pings_nobody(tmp_path: Path) -> None:
    """In reasons and in names, in every place where words stand; too long is told, not cut silently."""
    async with slack_scene(tmp_path) as scene, scene.program:
        people = [scene.member("zoe")]
        await scene.ready()
        for number, odd in enumerate(ODD):
            person = scene.fake.add_user(f"UODD{number}", odd[:80], real_name=odd, presence="active")
            people.append(person)
            said = await scene.say(person, "available", odd)
            assert "You're *Available*" in said.shown
            assert ODD[odd] in (await scene.say(person, "brb", f"30m {odd}")).shown
        roster = (await scene.say(people[0], "whosin")).shown
        for odd, shown in ODD.items():
            assert shown in roster, odd
        for person in people[1:]:
            await scene.say(people[0], "presence", f"why <@{person.id}>")
            await scene.say(people[0], "presence", f"why {person.name}")
            await scene.say(person, "presence", "me")
        long = "x" * 5000
        refused = (await scene.say(people[0], "brb", f"30m {long}")).shown
        assert "That is longer than 4000 characters. Say it shorter, please." in refused
        assert "*Away* until" in (await scene.say(people[0], "brb", "30m " + "y" * 3900)).shown
        await scene.say(people[0], "presence", "timezone <!channel>")
        await scene.say(people[0], "presence", "*why* <!here>")
        await scene.advance(31 * MINUTE)
        await scene.word(people[1], "Your time away is over")
        assert len((await scene.program.get("/v1/agents"))["agents"]) == len(people)
        assert [line for line in scene.program.logged() if line["level"] == "error"] == []


async def test_fault_35_no_secret_is_told_even_where_slack_or_a_proxy_quotes_it(tmp_path: Path) -> None:
    """Not in a log at its most talkative, a banner, a metric or an error; the scene looks at all messages."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria = scene.member("maria")
        await scene.ready()
        await scene.say(maria, "available")
        await scene.say(maria, "brb", "5m")
        quoted = f"no {scene.fake.bot_token} {scene.fake.app_token} allowed"
        scene.fake.fail("chat.postMessage", error=quoted)
        scene.fake.fail("users.getPresence", error=quoted, times=None)
        scene.fake.fail("apps.connections.open", error=quoted, times=None)
        scene.fake.drop_sockets()
        await scene.advance(5 * MINUTE + 1)
        await scene.fake.wait_for_call("chat.postMessage")
        async with asyncio.timeout(10):
            while "Slack gives no socket (no [secret]" not in " ".join(await scene.program.troubles()):
                await scene.advance(5)
        told = scene.program.log.read_text()
        assert "chat.postMessage was refused: no [secret]" in told
        headers = {"Authorization": f"Bearer {scene.program.key}"}
        async with httpx.AsyncClient(base_url=scene.program.address) as client:
            for path in ("/v1/availability", "/v1/agents", "/metrics", "/readyz", "/openapi.json"):
                told += (await client.get(path, headers=headers)).text
        for secret in (scene.fake.bot_token, scene.fake.app_token, scene.program.key):
            assert secret not in told


async def test_fault_18_a_member_is_renamed_moves_and_is_deactivated(tmp_path: Path) -> None:
    """Found by id whatever the name; gone at once with `deleted`, also when that was missed while down."""
    async with slack_scene(tmp_path) as scene, scene.program:
        maria, ben, ann = (scene.member(name) for name in ("maria", "ben", "ann"))
        await scene.ready()
        for person in (maria, ben, ann):
            await scene.say(person, "available")
        agent_id = (await scene.program.about("maria"))["id"]
        await scene.fake.user_changed(maria.id, name="maria.k", tz="Asia/Kathmandu")
        await scene.program.until_about("maria.k", lambda one: one["zone"] == "Asia/Kathmandu", "her zone")
        assert (await scene.program.about("maria.k"))["id"] == agent_id
        assert "Asia/Kathmandu" in (await scene.say(maria, "presence", "me")).shown

        history = scene.program.history("maria.k")
        await scene.fake.deactivate(maria.id)
        async with asyncio.timeout(5):
            while await scene.seen(ben, "maria.k") != "nowhere":
                await asyncio.sleep(0.02)
        assert await scene.program.routable() == {"ben", "ann"}
        kept = scene.program.history("maria.k")
        assert kept[: len(history) - 1] == history[:-1], "the history stays"
        assert (kept[-1].presence, kept[-1].reason) == ("offline", "removed")

        assert scene.program.process is not None
        assert await scene.program.stop() == 0
        ann.deleted, ann.updated = True, ann.updated + 10
        ben.name, ben.updated = "benno", ben.updated + 10
        await scene.program.start()
        await scene.ready()
        async with asyncio.timeout(5):
            while await scene.program.routable() != {"benno"}:
                await scene.advance(1)
        assert (await scene.program.get("/v1/agents"))["agents"][0]["name"] == "benno"

        # Reactivated, she is still no agent: leaving removed her, and only a lead brings her back.
        await scene.fake.user_changed(maria.id, deleted=False)
        assert "You're no longer an agent here" in (await scene.say(maria, "available")).shown
        lead = scene.fake.add_user("UADMIN", "adele", is_admin=True, presence="active")
        assert "*maria.k* is an agent now" in (await scene.say(lead, "presence", "enrol @maria.k")).shown
