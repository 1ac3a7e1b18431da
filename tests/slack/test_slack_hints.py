"""Huddles and do-not-disturb, as Slack tells them, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from fakes.slack import FakeSlack
from slack_house import RecordingCore, eventually, running

from adapters.slack import app, hints
from adapters.slack.hints import Hints
from bot.domain.hints import HintKind

CALL, QUIET = HintKind.CALL, HintKind.DO_NOT_DISTURB


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        for user_id, name in (("U1", "maria"), ("U2", "bob"), ("U3", "carol")):
            fake.add_user(user_id, name)
        yield fake
        assert fake.violations == []
        assert fake.impatient_calls == []


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes takes moments."""
    monkeypatch.setattr(app, "REFRESH_PAUSE", 0.01)
    monkeypatch.setattr(hints, "PAUSE", 0.02)
    monkeypatch.setattr(hints, "CYCLE", 0.05)
    monkeypatch.setattr(hints, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(hints, "SETUP_WAIT", 0.05)


def core_of(*user_ids: str) -> RecordingCore:
    core = RecordingCore()
    core.watch(*user_ids)
    return core


def holds(core: RecordingCore, user_id: str, kind: HintKind = CALL) -> bool | None:
    """What the core was told last; None: nothing, or forgotten."""
    told = core.hints.get((user_id, kind))
    return told.holds if told else None


async def looked_up(slack: FakeSlack, core: RecordingCore, *user_ids: str) -> None:
    """The round over all agents that follows a start is over."""
    await eventually(lambda: all(holds(core, one) is not None for one in user_ids))
    await asyncio.sleep(0.05)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


# --- huddles ---


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_who_enters_a_huddle_is_in_a_call_until_they_leave(slack: FakeSlack, mode: str) -> None:
    """Slack says until when it is to be believed, should nobody hear of the end."""
    core = core_of("U1")
    async with running(slack, core, mode):
        await looked_up(slack, core, "U1")
        assert holds(core, "U1") is False
        assert (await slack.huddle("U1", seconds=600)).acked
        await eventually(lambda: holds(core, "U1"))
        assert core.hints["U1", CALL].until_at == at(slack.user("U1").huddle_ends)
        assert (await slack.huddle("U1", False)).acked
        await eventually(lambda: holds(core, "U1") is False)


async def test_events_that_come_twice_or_in_the_wrong_order_change_nothing(slack: FakeSlack) -> None:
    """In and out, delivered as out and in, and each once more: she is out."""
    core = core_of("U1")
    async with running(slack, core):
        await looked_up(slack, core, "U1")
        before = len(core.hint_words)
        slack.hold_envelopes()
        both = [asyncio.create_task(slack.huddle("U1", inside)) for inside in (True, False)]
        await asyncio.sleep(0.05)
        await slack.release_envelopes(reverse=True)
        await asyncio.gather(*both)
        await slack.redeliver(2)
        await slack.redeliver(same_envelope=False)
        assert (await slack.user_changed("U2", name="bobby")).acked
        await eventually(lambda: any(one.name == "bobby" for one in core.profiles))
    assert not any(word.holds for word in core.hint_words[before:])
    assert holds(core, "U1") is None, "left, and with it all hints"


async def test_a_lost_socket_forgets_huddles_and_whoever_was_in_one_is_asked_for_first(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """She left it meanwhile, and no event ever tells; another entered one."""
    core = core_of("U1", "U2", "U3")
    async with running(slack, core):
        await looked_up(slack, core, "U1", "U2", "U3")
        await slack.huddle("U3")
        await eventually(lambda: holds(core, "U3"))
        asked = len(slack.calls("users.info"))
        slack.refuse_sockets(1)
        slack.drop_sockets()
        await eventually(lambda: CALL in core.hints_lost_of)
        assert holds(core, "U3") is None
        for user_id, state in (("U3", "default_unset"), ("U2", "in_a_huddle")):
            slack.user(user_id).huddle_state = state  # type: ignore[assignment]
        await eventually(lambda: holds(core, "U2"))
        assert holds(core, "U3") is False
        assert slack.calls("users.info")[asked].arguments["user"] == "U3"


async def test_a_socket_that_slack_replaces_in_good_time_loses_nothing(slack: FakeSlack) -> None:
    """The new one is open before the old one goes, so nothing is missed, and nobody asked for."""
    core = core_of("U1")
    async with running(slack, core):
        await looked_up(slack, core, "U1")
        await slack.huddle("U1")
        await eventually(lambda: holds(core, "U1"))
        opened = slack.sockets.opened
        await slack.disconnect_sockets("refresh_requested")
        await eventually(lambda: slack.sockets.opened > opened)
        await slack.huddle("U1", False)
        await eventually(lambda: holds(core, "U1") is False)
        assert CALL not in core.hints_lost_of


async def test_a_restart_asks_who_is_in_a_huddle(slack: FakeSlack) -> None:
    slack.user("U1").huddle_state = "in_a_huddle"
    for _ in range(2):
        core = core_of("U1", "U2")
        async with running(slack, core):
            await eventually(lambda core=core: holds(core, "U1"))  # type: ignore[misc]
            await eventually(lambda core=core: holds(core, "U2") is False)  # type: ignore[misc]


def test_an_answer_gives_way_to_an_event_that_came_after_its_question() -> None:
    """The answer was written before she entered, and was long on its way; the next one counts again."""
    core = RecordingCore()
    told = Hints(core, set(HintKind))
    asked, arrived, asked_later = (told.number() for _ in range(3))
    told.user("wsp", {"id": "U1", "profile": {"huddle_state": "in_a_huddle"}}, arrived, 1.0)
    told.user("wsp", {"id": "U1", "profile": {"huddle_state": "default_unset"}}, asked)
    assert holds(core, "U1") is True
    told.user("wsp", {"id": "U1", "profile": {"huddle_state": "default_unset"}}, asked_later)
    assert holds(core, "U1") is False


@pytest.mark.parametrize(
    "status",
    [
        None,
        "on",
        {},
        {"dnd_enabled": True},
        {"dnd_enabled": True, "next_dnd_start_ts": 9, "next_dnd_end_ts": 9},
        {"dnd_enabled": True, "next_dnd_start_ts": "x", "next_dnd_end_ts": 1e300},
    ],
)
def test_a_status_that_makes_no_sense_disturbs_nobody(status: object) -> None:
    core = RecordingCore()
    Hints(core, set(HintKind)).dnd("wsp", "U1", status, 1)
    assert not holds(core, "U1", QUIET)


def test_memory_does_not_grow_with_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack tells of everybody's huddles, and most are no agents."""
    monkeypatch.setattr(hints, "KEPT", 10)
    told = Hints(RecordingCore(), set(HintKind))
    for number in range(50):
        user = {"id": f"V{number}", "profile": {"huddle_state": "in_a_huddle"}}
        told.user("wsp", user, told.number(), float(number + 1))
    assert len(told._newest) == 10
    assert told.first(["V1", "V49"]) == ["V49", "V1"]


def test_a_user_object_without_a_word_of_huddles_says_nothing() -> None:
    """Strangers come reduced."""
    core = RecordingCore()
    Hints(core, set(HintKind)).user("wsp", {"id": "U1", "profile": {"real_name": "Maria"}}, 1)
    assert core.hint_words == []


# --- do-not-disturb ---


async def test_do_not_disturb_is_asked_for_only_where_it_is_wanted(slack: FakeSlack) -> None:
    slack.user("U1").dnd = (slack.world.clock() - 60, slack.world.clock() + 60)
    core = core_of("U1")
    async with running(slack, core):
        await looked_up(slack, core, "U1")
        assert await slack.pause("U1", slack.world.clock() - 9, slack.world.clock() + 9) is not None
        await slack.huddle("U1")
        await eventually(lambda: holds(core, "U1"))
    assert slack.calls("dnd.teamInfo") == []
    assert {word.kind for word in core.hint_words} == {CALL}


async def test_a_schedule_is_passed_on_with_its_span_and_its_end_too(slack: FakeSlack) -> None:
    """`dnd_enabled` alone says nothing: maria's begins tonight, bob's is on, carol has none."""
    now = slack.world.clock()
    slack.user("U1").dnd, slack.user("U2").dnd = (now + 3600, now + 7200), (now - 60, now + 60)
    core = core_of("U1", "U2", "U3")
    async with running(slack, core, do_not_disturb=True):
        await eventually(lambda: holds(core, "U3", QUIET) is False)
        told = {user_id: core.hints[user_id, QUIET] for user_id in ("U1", "U2")}
        assert [(told[one].since, told[one].until_at) for one in told] == [
            (at(now + 3600), at(now + 7200)),
            (at(now - 60), at(now + 60)),
        ]
        slack.user("U2").dnd = None
        await eventually(lambda: holds(core, "U2", QUIET) is False)


async def test_a_change_of_do_not_disturb_is_told_at_once(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the event, long before the next round; and one that came late is known by its time."""
    monkeypatch.setattr(hints, "CYCLE", 3600.0)
    core, now = core_of("U1"), slack.world.clock()
    async with running(slack, core, do_not_disturb=True):
        await eventually(lambda: holds(core, "U1", QUIET) is False)
        await slack.pause("U1", now - 1, now + 60)
        await eventually(lambda: holds(core, "U1", QUIET))
        slack.hold_envelopes()
        both = [asyncio.create_task(slack.pause("U1", begins, now + 99)) for begins in (now - 2, None)]
        await asyncio.sleep(0.05)
        await slack.release_envelopes(reverse=True)
        await asyncio.gather(*both)
        await eventually(lambda: holds(core, "U1", QUIET) is False)
        await asyncio.sleep(0.05)
        assert holds(core, "U1", QUIET) is False
    assert len(slack.calls("dnd.teamInfo")) == 1


async def test_many_are_asked_for_fifty_at_a_time_within_slacks_limit(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "CYCLE", 3600.0)
    many = [slack.add_user(f"V{number:03}", f"v{number}").id for number in range(120)]
    core = core_of(*many)
    monkeypatch.setattr(app, "REFRESH_PAUSE", 60.0)
    slack.enforce_rate_limits()
    async with running(slack, core, do_not_disturb=True):
        await eventually(lambda: all((one, QUIET) in core.hints for one in many))
    asked = [len(call.arguments["users"].split(",")) for call in slack.calls("dnd.teamInfo")]
    assert asked == [50, 50, 20]


async def test_one_whom_slack_does_not_show_spoils_nothing_for_the_others(slack: FakeSlack) -> None:
    slack.user("U2").is_stranger = True
    slack.user("U3").dnd = (slack.world.clock() - 60, slack.world.clock() + 60)
    core = core_of("U1", "U2", "U3")
    async with running(slack, core, do_not_disturb=True):
        await eventually(lambda: holds(core, "U3", QUIET) and holds(core, "U1", QUIET) is False)
    assert ("U2", QUIET) not in {(word.external_id, word.kind) for word in core.hint_words}


async def test_without_the_scope_people_are_told_and_the_rest_works_on(slack: FakeSlack) -> None:
    """It is looked for again, and once it is there everything is seen."""
    token = slack.world.tokens[slack.bot_token]
    token.scopes.discard("dnd:read")
    slack.user("U1").dnd = (slack.world.clock() - 60, slack.world.clock() + 60)
    core = core_of("U1")
    async with running(slack, core, do_not_disturb=True):
        await eventually(lambda: any("dnd:read" in one for one in core.banners))
        await slack.huddle("U1")
        await eventually(lambda: holds(core, "U1"))
        token.scopes.add("dnd:read")
        await eventually(lambda: holds(core, "U1", QUIET))
        await eventually(lambda: not any("do-not-disturb" in one for one in core.banners))


async def test_answers_that_stay_away_forget_do_not_disturb_until_they_come_again(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then everybody is asked for at once, also those who had answered in that round."""
    monkeypatch.setattr(hints, "CYCLE", 3600.0)
    monkeypatch.setattr(hints, "PAUSE", 0.2)
    many = [slack.add_user(f"V{number:03}", f"v{number}").id for number in range(50)]
    slack.user("U1").dnd = (slack.world.clock() - 60, slack.world.clock() + 60)
    core = core_of("U1", *many)
    async with running(slack, core, do_not_disturb=True):
        await eventually(lambda: holds(core, "U1", QUIET))
        slack.fail("dnd.teamInfo", status=503, times=None)
        await eventually(lambda: holds(core, "U1", QUIET) is None)
        assert CALL not in core.hints_lost_of, "huddles come another way"
        slack.heal()
        await eventually(lambda: holds(core, "U1", QUIET))


async def test_a_refused_token_forgets_all_hints(slack: FakeSlack) -> None:
    core = core_of("U1")
    async with running(slack, core, do_not_disturb=True):
        await slack.huddle("U1")
        await eventually(lambda: holds(core, "U1"))
        slack.revoke_token(error="invalid_auth")
        await eventually(lambda: core.hints == {})
