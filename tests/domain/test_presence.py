"""The rules of presence, one after the other, as they happen to Ana.

Ana is @ana on Discord and on Slack; it is Monday, nine o'clock. The numbers are those of `docs/presence.md`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bot.domain.choices import act, choose_available, choose_away, sign_off
from bot.domain.errors import SignedOff
from bot.domain.facts import (
    Choice,
    Feed,
    FeedState,
    Interval,
    LinkState,
    Observation,
    OnReturn,
    Policy,
    Presence,
    Seen,
    SlackAway,
    new_agent,
    with_end,
)
from bot.domain.presence import Verdict, judge
from bot.domain.transition import Moved, Notice, Step, Told, disconnect_identity, observe, review, settle

NINE = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
DISCORD, SLACK, BETA = "ana@guild", "ana@acme", "ana@beta"
FEED_OF = {DISCORD: "guild", SLACK: "acme", BETA: "beta"}
AVAILABLE, AWAY, OFFLINE = Presence.AVAILABLE, Presence.AWAY, Presence.OFFLINE


def after(**duration: float) -> datetime:
    """So long after nine."""
    return NINE + timedelta(**duration)


class Ana:
    """An agent, her feeds, and what came of all that happened, in the order of time."""

    def __init__(self, *, feeds: tuple[str, ...] = (DISCORD, SLACK), **policy: object) -> None:
        """Enrolled at nine; Discord's grace 60 s, Slack's 150 s; both trusted blindly for 120 s."""
        self.policy = Policy(**policy)  # type: ignore[arg-type]
        self.facts = new_agent("agt_ana", NINE)
        self.zone: str | None = None
        self.intervals: list[Interval] = [self.facts.interval]
        self.told: list[tuple[Told, datetime]] = []
        self.seq = 0
        self.feeds = {
            FEED_OF[identity]: Feed(
                FEED_OF[identity],
                "discord" if identity == DISCORD else "slack",
                FeedState.LIVE,
                epoch=1,
                live_at=NINE - timedelta(hours=1),
                lost_at=NINE - timedelta(hours=1),
                grace=timedelta(seconds=60 if identity == DISCORD else 150),
                trust=timedelta(seconds=120),
            )
            for identity in feeds
        }

    def on_beta(self) -> None:
        """She is in a second Slack workspace too."""
        self.feeds["beta"] = replace(self.feeds["acme"], id="beta")

    def take(self, step: Step) -> None:
        self.facts, changes = step
        for change in changes:
            if isinstance(change, Moved):
                self.intervals.append(change.after)
            elif isinstance(change, Notice):
                self.told.append((change.told, change.at))

    def seen(self, seen: Seen, on: str, at: datetime, *, dated: datetime | None = None) -> None:
        """A feed says something of her."""
        self.seq += 1
        epoch = self.feeds[FEED_OF[on]].epoch
        self.observed(Observation(on, FEED_OF[on], seen, dated or at, epoch, self.seq), at)

    def observed(self, observation: Observation, at: datetime) -> None:
        self.take(observe(self.facts, observation, self.feeds, self.policy, at, self.zone))

    def connects(self, on: str = DISCORD, at: datetime = NINE) -> None:
        self.seen(Seen.CONNECTED, on, at)

    def disconnects(self, at: datetime, on: str = DISCORD) -> None:
        self.seen(Seen.DISCONNECTED, on, at)

    def goes_idle(self, at: datetime) -> None:
        self.seen(Seen.AWAY, SLACK, at)

    def available(self, at: datetime = NINE, *, on: str | None = DISCORD, by: str = "agent") -> None:
        self.take(choose_available(self.facts, self.feeds, self.policy, at, by=by, identity_id=on))

    def available_without_check_in(self, at: datetime = NINE) -> None:
        """A lead says so: nothing but what is observed keeps her logged in."""
        self.available(at, on=None, by="lead:agt_bob")

    def away(
        self, at: datetime, *, until: datetime | None = None, reason: str = "", by: str = "agent"
    ) -> None:
        self.take(choose_away(self.facts, self.feeds, self.policy, at, by=by, reason=reason, until_at=until))

    def signs_off(self, at: datetime, by: str = "agent") -> None:
        self.take(sign_off(self.facts, self.feeds, self.policy, at, by=by))

    def acts(self, at: datetime) -> None:
        self.take(act(self.facts, self.feeds, self.policy, at, self.zone))

    def leaves(self, workspace_of: str, at: datetime) -> None:
        self.take(disconnect_identity(self.facts, workspace_of, self.feeds, self.policy, at, self.zone))

    def feed(self, of: str, at: datetime, **fields: object) -> None:
        """A feed changes: all is settled by the old one, then reviewed by the new."""
        self.passes(at)
        old = self.feeds[FEED_OF[of]]
        self.feeds = {**self.feeds, old.id: replace(old, **fields)}
        self.take(review(self.facts, self.feeds, self.policy, at, self.zone))

    def feed_lost(self, of: str, at: datetime) -> None:
        self.feed(of, at, state=FeedState.DOWN, lost_at=at)

    def feed_resumes(self, of: str, at: datetime) -> None:
        self.feed(of, at, state=FeedState.LIVE, live_at=at)

    def feed_begins_anew(self, of: str, at: datetime) -> None:
        old = self.feeds[FEED_OF[of]]
        self.feed(
            of, at, state=FeedState.LIVE, live_at=at, epoch=old.epoch + 1, ended=with_end(old, old.lost_at)
        )

    def feed_off(self, of: str, at: datetime) -> None:
        self.passes(at)
        self.feeds = {name: feed for name, feed in self.feeds.items() if name != FEED_OF[of]}
        self.take(review(self.facts, self.feeds, self.policy, at, self.zone))

    def passes(self, until: datetime) -> None:
        """Time passes, and the clock ticks."""
        self.take(settle(self.facts, self.feeds, self.policy, until))

    def verdict(self, at: datetime) -> Verdict:
        facts, _ = settle(self.facts, self.feeds, self.policy, at)
        return judge(facts, self.feeds, self.policy, at)

    def presence(self, at: datetime) -> Presence:
        return self.verdict(at).presence

    def why(self, at: datetime) -> tuple[Presence, str, str]:
        found = self.verdict(at)
        return found.presence, found.reason, found.source

    def history(self) -> list[tuple[datetime, Presence, str]]:
        return [(one.since, one.presence, one.reason) for one in self.intervals]


# Before any rule


def test_a_new_agent_is_offline_and_once_connected_away_because_nothing_is_set_yet() -> None:
    ana = Ana()
    assert ana.why(NINE) == (OFFLINE, "not_connected", "rule:enrolled")
    ana.connects(at=after(minutes=1))
    assert ana.why(after(minutes=1)) == (AWAY, "not_set", "rule:enrolled")


def test_an_agent_who_says_so_is_available_and_may_be_offered_work() -> None:
    ana = Ana()
    ana.available()
    assert ana.why(NINE) == (AVAILABLE, "set", "agent")
    assert ana.verdict(NINE).reachable


def test_an_agents_own_words_are_shown_and_change_the_history() -> None:
    ana = Ana()
    ana.connects()
    ana.away(after(minutes=1), reason="lunch")
    ana.away(after(minutes=2), reason="still lunch")
    assert [(one.note, one.since) for one in ana.intervals[-2:]] == [
        ("lunch", after(minutes=1)),
        ("still lunch", after(minutes=2)),
    ]
    assert ana.facts.interval.standing_since == NINE


# Rule 1: links


def test_who_drops_on_one_platform_stays_available_on_the_other() -> None:
    """Fault 19: one person on both platforms is one presence; the link that stays is enough for new work."""
    ana = Ana()
    ana.connects(DISCORD)
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.disconnects(after(hours=1), on=DISCORD)
    for at in (after(hours=1), after(hours=1, seconds=60), after(hours=1, seconds=61), after(hours=5)):
        assert ana.presence(at) is AVAILABLE
        assert ana.verdict(at).reachable
    ana.passes(after(hours=5))
    assert ana.facts.interval.since == NINE


def test_who_drops_on_both_platforms_is_offline_when_the_later_grace_ends() -> None:
    ana = Ana(slack_away=SlackAway.ABSENT)
    ana.connects(DISCORD)
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(hours=1))
    ana.disconnects(after(hours=1), on=DISCORD)
    assert ana.presence(after(hours=1, seconds=150)) is AVAILABLE
    assert ana.why(after(hours=1, seconds=150) + MOMENT) == (OFFLINE, "disconnected", "slack")


def test_a_suspect_link_beside_a_connected_one_neither_helps_nor_harms() -> None:
    ana = Ana()
    ana.connects(DISCORD)
    ana.connects(SLACK)
    ana.available_without_check_in()
    before = ana.verdict(after(minutes=1))
    ana.disconnects(after(minutes=1))
    assert ana.verdict(after(minutes=1)) == before


# Rule 2: grace


def test_agent_stays_available_until_the_grace_has_passed() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.disconnects(after(hours=1))
    assert ana.presence(after(hours=1, seconds=60)) is AVAILABLE
    assert ana.why(after(hours=1, seconds=60) + MOMENT) == (OFFLINE, "disconnected", "discord")


def test_nobody_is_offered_new_work_within_the_grace() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.disconnects(after(hours=1))
    assert not ana.verdict(after(hours=1)).reachable


def test_back_within_the_grace_nobody_notices() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.disconnects(after(hours=1))
    ana.connects(at=after(hours=1, seconds=60))
    ana.passes(after(hours=3))
    assert ana.facts.interval.since == NINE
    assert ana.verdict(after(hours=3)).reachable
    assert ana.told == []


def test_a_disconnect_that_we_hear_of_after_its_grace_counts_from_when_we_heard() -> None:
    """History already told is not rewritten."""
    ana = Ana()
    ana.connects()
    ana.available(NINE)
    ana.seen(Seen.DISCONNECTED, DISCORD, after(minutes=20), dated=after(minutes=10))
    assert ana.presence(after(minutes=20)) is OFFLINE
    assert ana.history()[-1] == (after(minutes=20), OFFLINE, "disconnected")


# Rule 3: Slack's away is weak


def test_who_is_idle_on_slack_stays_routable_for_15_minutes() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    assert ana.verdict(after(minutes=45)).reachable
    later = ana.verdict(after(minutes=45) + MOMENT)
    assert (later.presence, later.reachable) == (AVAILABLE, False)


def test_who_is_idle_is_asked_still_there_and_offline_10_minutes_later() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    ana.passes(after(minutes=55))
    assert ana.told == [(Told.STILL_THERE, after(minutes=45))]
    assert ana.presence(after(minutes=55)) is AVAILABLE
    ana.passes(after(hours=2))
    assert ana.history()[-1] == (after(minutes=55), OFFLINE, "disconnected")
    assert len(ana.told) == 1


def test_whatever_the_agent_does_in_rollcall_starts_the_idle_time_again() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    ana.acts(after(minutes=50))
    assert ana.verdict(after(minutes=65)).reachable
    ana.passes(after(minutes=70))
    assert [at for told, at in ana.told if told is Told.STILL_THERE] == [
        after(minutes=45),
        after(minutes=65),
    ]
    assert ana.presence(after(minutes=75)) is AVAILABLE
    assert ana.presence(after(minutes=75) + MOMENT) is OFFLINE


def test_an_action_brings_back_who_was_offline_by_slacks_away_alone() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    ana.acts(after(minutes=60))
    assert ana.why(after(minutes=60))[0] is AVAILABLE
    assert [presence for _, presence, _ in ana.history()][-3:] == [AVAILABLE, OFFLINE, AVAILABLE]


def test_an_action_does_not_bring_back_a_link_that_is_known_to_be_gone() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    ana.passes(after(hours=1))
    ana.disconnects(after(hours=1), on=SLACK)
    ana.acts(after(hours=1, minutes=1))
    assert ana.presence(after(hours=1, minutes=1)) is OFFLINE


def test_nobody_is_asked_while_a_check_in_or_another_link_stands_for_them() -> None:
    checked_in, on_both = Ana(), Ana()
    checked_in.available()
    on_both.available_without_check_in()
    on_both.connects(DISCORD)
    for ana in (checked_in, on_both):
        ana.connects(SLACK)
        ana.goes_idle(after(minutes=30))
        ana.passes(after(hours=2))
        assert ana.told == []


def test_who_is_away_is_not_asked_whether_they_are_there() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.goes_idle(after(minutes=30))
    ana.passes(after(hours=2))
    assert ana.told == []


def test_who_loses_the_other_link_is_asked_only_when_its_grace_has_passed() -> None:
    """Idle for long on Slack, connected on Discord; Discord drops. Back within the grace: no question."""
    for back in (True, False):
        ana = Ana()
        ana.connects(SLACK)
        ana.connects(DISCORD)
        ana.available_without_check_in()
        ana.goes_idle(after(minutes=30))
        ana.disconnects(after(minutes=50))
        if back:
            ana.connects(DISCORD, after(minutes=50, seconds=30))
        ana.passes(after(minutes=54))
        assert ana.told == ([] if back else [(Told.STILL_THERE, after(minutes=51))])


def test_idle_on_two_slacks_the_later_one_decides_when_to_ask() -> None:
    ana = Ana()
    ana.on_beta()
    ana.connects(SLACK)
    ana.connects(BETA)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    ana.seen(Seen.AWAY, BETA, after(minutes=40))
    ana.passes(after(hours=2))
    assert ana.told == [(Told.STILL_THERE, after(minutes=55))]
    assert ana.history()[-1] == (after(minutes=65), OFFLINE, "disconnected")


def test_who_came_on_another_slack_after_the_question_is_asked_again() -> None:
    """Slack is polled, so being away there may be older than our seeing it."""
    ana = Ana()
    ana.on_beta()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    ana.connects(BETA, after(minutes=46))
    ana.seen(Seen.AWAY, BETA, after(minutes=47), dated=after(minutes=36))
    ana.passes(after(minutes=54))
    assert ana.told == [(Told.STILL_THERE, after(minutes=45)), (Told.STILL_THERE, after(minutes=51))]


def test_an_away_that_we_hear_of_too_late_counts_from_when_we_heard() -> None:
    """Her check-in lapsed at 17:00, but it was Slack that said at 17:10 that she is long gone."""
    ana = Ana()
    ana.connects(SLACK)
    ana.available(on=SLACK)
    ana.seen(Seen.AWAY, SLACK, after(hours=8, minutes=10), dated=after(hours=7, minutes=30))
    assert ana.why(after(hours=8, minutes=10)) == (OFFLINE, "disconnected", "slack")
    assert ana.history()[-1][0] == after(hours=8, minutes=10)


def test_an_away_that_we_hear_of_too_late_ends_no_check_in() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available(on=SLACK)
    ana.seen(Seen.AWAY, SLACK, after(hours=1), dated=after(minutes=10))
    assert ana.verdict(after(hours=7)).reachable


def test_slacks_away_can_be_taken_for_a_disconnect_or_for_nothing() -> None:
    absent, ignored = Ana(slack_away=SlackAway.ABSENT), Ana(slack_away=SlackAway.IGNORE)
    for ana in (absent, ignored):
        ana.connects(SLACK)
        ana.available_without_check_in()
        ana.goes_idle(after(hours=1))
    assert absent.presence(after(hours=1, seconds=150)) is AVAILABLE
    assert absent.presence(after(hours=1, seconds=150) + MOMENT) is OFFLINE
    assert ignored.verdict(after(hours=3)).reachable


def test_a_weak_word_after_a_disconnect_gives_no_more_time() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.disconnects(after(hours=1), on=SLACK)
    ana.goes_idle(after(hours=1, seconds=100))
    assert ana.presence(after(hours=1, seconds=150) + MOMENT) is OFFLINE


# Rule 4: check-ins


def test_without_any_feed_a_check_in_keeps_an_agent_available_for_8_hours() -> None:
    ana = Ana(feeds=())
    ana.available()
    assert ana.verdict(after(hours=8)).reachable
    assert ana.why(after(hours=8) + MOMENT) == (OFFLINE, "check_in_lapsed", "check_in")


def test_a_word_comes_15_minutes_before_a_check_in_lapses() -> None:
    ana = Ana(feeds=())
    ana.available()
    ana.passes(after(hours=10))
    assert ana.told == [(Told.CHECK_IN_ENDING, after(hours=7, minutes=45))]


def test_no_word_when_a_link_will_carry_on() -> None:
    ana = Ana()
    ana.available()
    ana.connects()
    ana.passes(after(hours=10))
    assert ana.told == []
    assert ana.presence(after(hours=10)) is AVAILABLE


def test_the_word_comes_also_when_what_else_there_is_ends_before_the_check_in() -> None:
    """A disconnect in its grace is no reason to keep quiet: when the check-in lapses nothing is left."""
    ana = Ana()
    ana.connects(SLACK)
    ana.connects(DISCORD)
    ana.available(on=SLACK)
    ana.disconnects(after(minutes=1), on=SLACK)
    ana.connects(SLACK, after(minutes=2))
    ana.goes_idle(after(hours=7, minutes=30))
    ana.disconnects(after(hours=7, minutes=44, seconds=30), on=DISCORD)
    ana.passes(after(hours=9))
    assert ana.told[0] == (Told.CHECK_IN_ENDING, after(hours=7, minutes=45))
    assert ana.history()[-1] == (after(hours=8), OFFLINE, "check_in_lapsed")


def test_other_commands_renew_a_check_in_that_holds_and_only_that() -> None:
    ana = Ana(feeds=())
    ana.available()
    ana.acts(after(hours=5))
    assert ana.presence(after(hours=13)) is AVAILABLE
    assert ana.presence(after(hours=13) + MOMENT) is OFFLINE
    ana.acts(after(hours=14))
    assert ana.presence(after(hours=14)) is OFFLINE


def test_whoever_renewed_a_check_in_gets_the_word_again_before_it_lapses() -> None:
    ana = Ana(feeds=())
    ana.available()
    ana.acts(after(hours=7, minutes=50))
    ana.passes(after(hours=20))
    assert ana.told == [
        (Told.CHECK_IN_ENDING, after(hours=7, minutes=45)),
        (Told.CHECK_IN_ENDING, after(hours=15, minutes=35)),
    ]


def test_a_leads_word_opens_no_check_in_and_connects_nobody() -> None:
    """Rule 10: they are told that she is still Offline."""
    ana = Ana()
    ana.available(on=DISCORD, by="lead:agt_bob")
    assert ana.why(NINE) == (OFFLINE, "not_connected", "rule:enrolled")
    ana.connects(at=after(minutes=1))
    assert ana.why(after(minutes=1)) == (AVAILABLE, "set", "lead:agt_bob")


def test_a_strong_disconnect_of_the_same_identity_ends_the_check_in() -> None:
    ana = Ana()
    ana.connects()
    ana.available(after(minutes=1))
    ana.disconnects(after(minutes=10))
    assert not ana.verdict(after(minutes=10)).reachable
    assert ana.presence(after(minutes=11)) is AVAILABLE
    assert ana.why(after(minutes=11) + MOMENT) == (OFFLINE, "disconnected", "discord")


def test_a_disconnect_elsewhere_or_earlier_leaves_the_check_in_alone() -> None:
    elsewhere, earlier = Ana(), Ana()
    elsewhere.connects(DISCORD)
    elsewhere.available(after(minutes=1), on=SLACK)
    elsewhere.disconnects(after(minutes=10))
    earlier.connects(DISCORD)
    earlier.disconnects(after(minutes=1))
    earlier.available(after(minutes=1, seconds=30), on=DISCORD)
    for ana in (elsewhere, earlier):
        assert ana.verdict(after(hours=2)).reachable


def test_slacks_away_never_ends_a_check_in() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available(after(minutes=1), on=SLACK)
    ana.goes_idle(after(minutes=10))
    assert ana.verdict(after(hours=7)).reachable


def test_a_first_snapshot_that_says_offline_is_no_disconnect() -> None:
    ana = Ana()
    ana.available()
    ana.disconnects(after(minutes=5))
    assert ana.verdict(after(hours=7)).reachable


# Rule 5: blind


def test_a_lost_feed_says_nothing_about_the_agents_behind_it() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.feed_lost(DISCORD, after(hours=1))
    found = ana.verdict(after(hours=1, seconds=120))
    assert (found.presence, found.reachable, found.confirmed) == (AVAILABLE, True, True)
    assert found.unconfirmed_since == after(hours=1)


def test_after_blind_trust_nobody_is_routed_and_the_history_says_unconfirmed() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.feed_lost(DISCORD, after(hours=1))
    found = ana.verdict(after(hours=1, seconds=120) + MOMENT)
    assert (found.presence, found.reachable, found.confirmed) == (AVAILABLE, False, False)
    ana.passes(after(hours=2))
    assert (ana.facts.interval.since, ana.facts.interval.confirmed) == (
        after(hours=1, seconds=120),
        False,
    )


def test_a_feed_that_comes_and_goes_without_showing_somebody_makes_nothing_surer() -> None:
    """The link is unconfirmed since the first loss, however often there were others."""
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    for minutes in (60, 61, 62):
        ana.feed_lost(DISCORD, after(minutes=minutes))
        ana.feed_begins_anew(DISCORD, after(minutes=minutes, seconds=30))
    assert ana.verdict(after(minutes=62)).unconfirmed_since == after(minutes=60)
    assert ana.verdict(after(minutes=62)).reachable
    assert not ana.verdict(after(minutes=62) + MOMENT).reachable
    ana.passes(after(hours=9) + MOMENT)
    assert (ana.facts.interval.presence, ana.facts.interval.since) == (OFFLINE, after(hours=9))


def test_of_feeds_lost_together_the_shorter_trust_marks_the_history() -> None:
    """Whichever link happened to be seen first."""
    for first, second in ((DISCORD, SLACK), (SLACK, DISCORD)):
        ana = Ana()
        ana.connects(first)
        ana.connects(second)
        ana.available_without_check_in()
        ana.feed(SLACK, after(minutes=30), trust=timedelta(minutes=10))
        for lost in (DISCORD, SLACK):
            ana.feed_lost(lost, after(hours=1))
        assert ana.verdict(after(hours=1, seconds=120)).confirmed
        later = ana.verdict(after(hours=1, seconds=120) + MOMENT)
        assert (later.confirmed, later.reachable) == (False, True)


def test_whoever_was_not_seen_for_8_hours_is_offline() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.feed_lost(DISCORD, after(hours=1))
    assert ana.presence(after(hours=9)) is AVAILABLE
    assert ana.why(after(hours=9) + MOMENT) == (OFFLINE, "unobserved", "unobserved")


def test_a_short_blind_spell_leaves_no_trace_in_the_history() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.feed_lost(DISCORD, after(hours=1))
    ana.feed_resumes(DISCORD, after(hours=1, seconds=120))
    ana.passes(after(hours=3))
    assert ana.facts.interval.since == NINE


def test_a_check_in_needs_no_feed_to_be_confirmed() -> None:
    ana = Ana()
    ana.connects()
    ana.available()
    ana.feed_lost(DISCORD, after(hours=1))
    found = ana.verdict(after(hours=3))
    assert (found.reachable, found.confirmed, found.unconfirmed_since) == (True, True, None)


def test_a_disconnect_in_its_grace_when_the_feed_is_lost_waits_until_it_is_back() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.disconnects(after(hours=1))
    ana.feed_lost(DISCORD, after(hours=1, seconds=60))
    assert ana.presence(after(hours=2)) is AVAILABLE
    assert not ana.verdict(after(hours=1, seconds=61)).reachable


def test_a_deadline_at_the_very_instant_of_something_new_is_not_lost() -> None:
    """A check-in lapses at 17:00; a lead sets her note at 17:00 sharp. She is Offline since 17:00."""
    ana = Ana(feeds=())
    ana.available()
    ana.away(after(hours=8), by="lead:agt_bob")
    ana.passes(after(hours=9))
    assert ana.history()[-1] == (after(hours=8), OFFLINE, "check_in_lapsed")


# Rule 6: coming back from blindness


def test_no_disconnect_has_consequences_before_a_feed_come_back_has_settled() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.disconnects(after(hours=1))
    ana.feed_lost(DISCORD, after(hours=1, seconds=30))
    ana.feed_resumes(DISCORD, after(hours=2))
    assert ana.presence(after(hours=2, seconds=60)) is AVAILABLE
    assert ana.presence(after(hours=2, seconds=60) + MOMENT) is OFFLINE


def test_who_went_idle_before_a_blind_spell_has_the_settling_time_too() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.available_without_check_in()
    ana.goes_idle(after(minutes=30))
    ana.feed_lost(SLACK, after(minutes=35))
    ana.feed_resumes(SLACK, after(hours=2))
    assert ana.presence(after(hours=2, seconds=60)) is AVAILABLE
    assert ana.presence(after(hours=2, seconds=60) + MOMENT) is OFFLINE
    ana.passes(after(hours=3))
    assert ana.told == [(Told.STILL_THERE, after(hours=2))]


def test_after_a_feed_began_anew_a_link_counts_only_when_seen_again() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.feed_lost(DISCORD, after(hours=1))
    ana.feed_begins_anew(DISCORD, after(hours=2))
    assert not ana.verdict(after(hours=2)).reachable
    ana.connects(at=after(hours=2, seconds=1))
    assert ana.verdict(after(hours=2, seconds=1)).reachable


# Rule 7: timed away


def test_a_timed_away_ends_by_itself_and_what_was_beneath_comes_back() -> None:
    ana = Ana()
    ana.connects()
    ana.available()
    ana.away(after(hours=1), until=after(hours=1, minutes=30), reason="lunch")
    assert ana.why(after(hours=1, minutes=30)) == (AWAY, "set", "agent")
    assert ana.why(after(hours=1, minutes=30) + MOMENT) == (AVAILABLE, "set", "rule:until")
    ana.passes(after(hours=2))
    assert ana.facts.interval.since == after(hours=1, minutes=30)
    assert ana.told == [(Told.AWAY_ENDED, after(hours=1, minutes=30))]


def test_a_timed_away_over_another_keeps_what_was_beneath_the_first() -> None:
    ana = Ana()
    ana.connects()
    ana.available()
    ana.away(after(hours=1), until=after(hours=2))
    ana.away(after(hours=1, minutes=5), until=after(hours=3))
    assert ana.presence(after(hours=3)) is AWAY
    assert ana.presence(after(hours=3) + MOMENT) is AVAILABLE


def test_an_away_without_a_time_forgets_what_was_beneath() -> None:
    ana = Ana()
    ana.connects()
    ana.available()
    ana.away(after(hours=1), until=after(hours=2))
    ana.away(after(hours=1, minutes=5))
    ana.away(after(hours=1, minutes=6), until=after(hours=3))
    ana.passes(after(hours=4))
    assert ana.why(after(hours=4)) == (AWAY, "set", "rule:until")
    assert ana.told == []


def test_an_away_that_ended_while_offline_is_available_again_within_2_hours() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.away(after(hours=1), until=after(hours=2), by="lead:agt_bob")
    ana.disconnects(after(hours=1))
    ana.connects(at=after(hours=4))
    assert ana.why(after(hours=4)) == (AVAILABLE, "set", "rule:until")


def test_an_away_that_ended_longer_ago_is_a_long_absence_like_any_other() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.away(after(hours=1), until=after(hours=2), by="lead:agt_bob")
    ana.disconnects(after(hours=1))
    ana.connects(at=after(hours=4) + MOMENT)
    assert ana.why(after(hours=4) + MOMENT) == (AWAY, "returned", "rule:return")


# Rule 8: return


def offline_from_ten(**policy: object) -> Ana:
    """Available by a lead's word, and Offline since ten o'clock sharp."""
    ana = Ana(**policy)  # type: ignore[arg-type]
    ana.connects()
    ana.available_without_check_in()
    ana.disconnects(after(minutes=59))
    ana.passes(after(hours=1, minutes=5))
    return ana


def test_a_gap_under_30_minutes_changes_nothing() -> None:
    ana = offline_from_ten()
    ana.connects(at=after(hours=1, minutes=30) - MOMENT)
    assert ana.presence(after(hours=2)) is AVAILABLE
    assert ana.told == []


def test_after_30_minutes_the_agent_is_away_and_gets_one_word() -> None:
    ana = offline_from_ten()
    ana.connects(at=after(hours=1, minutes=30))
    assert ana.why(after(hours=2)) == (AWAY, "returned", "rule:return")
    assert ana.told == [(Told.RETURNED, after(hours=1, minutes=30))]


def test_the_word_on_return_comes_once_a_day_of_the_agents_own_calendar() -> None:
    """In Auckland Tuesday begins at 11:00 UTC on Monday."""
    for zone, words in ((None, 1), ("Pacific/Auckland", 2)):
        ana = offline_from_ten()
        ana.zone = zone
        ana.connects(at=after(hours=1, minutes=45))
        ana.available_without_check_in(after(hours=1, minutes=46))
        ana.disconnects(after(hours=1, minutes=47))
        ana.connects(at=after(hours=3))
        assert ana.presence(after(hours=3)) is AWAY
        assert len(ana.told) == words


def test_an_untimed_away_of_an_earlier_day_stays_and_is_asked_about() -> None:
    ana = Ana()
    ana.connects()
    ana.away(after(hours=1))
    ana.disconnects(after(hours=8))
    ana.connects(at=after(hours=24))
    assert ana.why(after(hours=24)) == (AWAY, "set", "agent")
    assert ana.told == [(Told.RETURNED, after(hours=24))]


def test_an_away_of_the_same_day_survives_a_reconnect_without_a_word() -> None:
    ana = Ana()
    ana.connects()
    ana.away(after(hours=1))
    ana.disconnects(after(hours=2))
    ana.connects(at=after(hours=4))
    assert ana.presence(after(hours=4)) is AWAY
    assert ana.told == []


def test_an_untimed_away_that_came_back_while_offline_is_asked_about() -> None:
    """Away on Friday, and over it away until Monday nine: on Monday she may have forgotten the first."""
    ana = Ana()
    ana.connects()
    ana.away(after(hours=1))
    ana.away(after(hours=2), until=after(hours=72))
    ana.disconnects(after(hours=3))
    ana.connects(at=after(hours=73))
    assert ana.told == [(Told.RETURNED, after(hours=73))]


def test_a_timed_away_stays_on_return() -> None:
    ana = Ana()
    ana.connects()
    ana.away(after(hours=1), until=after(hours=30))
    ana.disconnects(after(hours=2))
    ana.connects(at=after(hours=24))
    assert ana.presence(after(hours=24)) is AWAY
    assert ana.told == []


def test_policy_decides_what_a_long_absence_does() -> None:
    previous, available = (
        offline_from_ten(on_return=OnReturn.PREVIOUS),
        offline_from_ten(on_return=OnReturn.AVAILABLE),
    )
    for ana in (previous, available):
        ana.connects(at=after(hours=5))
        assert ana.presence(after(hours=5)) is AVAILABLE
        assert ana.told == []


def test_policy_available_makes_the_away_available_after_a_long_absence_only() -> None:
    for gap, presence in (
        (timedelta(minutes=30), AVAILABLE),
        (timedelta(minutes=30) - MOMENT, AWAY),
    ):
        ana = Ana(on_return=OnReturn.AVAILABLE)
        ana.connects()
        ana.away(after(minutes=10))
        ana.disconnects(after(minutes=59))
        ana.connects(at=after(hours=1) + gap)
        assert ana.presence(after(hours=1) + gap) is presence


def test_who_says_available_on_return_is_not_asked() -> None:
    ana = offline_from_ten()
    ana.available(after(hours=5))
    assert ana.why(after(hours=5)) == (AVAILABLE, "set", "agent")
    assert ana.told == []


# Rule 9: sign off


def test_signed_off_is_offline_whatever_the_platforms_say() -> None:
    ana = Ana()
    ana.connects()
    ana.available()
    ana.signs_off(after(hours=8))
    ana.connects(SLACK, after(hours=9))
    assert ana.why(after(hours=20)) == (OFFLINE, "signed_off", "agent")
    found = ana.verdict(after(hours=20))
    assert (found.confirmed, found.unconfirmed_since) == (True, None)


def test_only_the_agents_own_available_ends_a_sign_off() -> None:
    ana = Ana()
    ana.connects()
    ana.signs_off(after(hours=8))
    facts = ana.facts
    with pytest.raises(SignedOff, match="You're signed off"):
        ana.away(after(hours=9))
    with pytest.raises(SignedOff, match="They signed off"):
        ana.away(after(hours=9), by="lead:agt_bob")
    with pytest.raises(SignedOff, match="They signed off"):
        ana.available_without_check_in(after(hours=9))
    assert ana.facts is facts
    ana.available(after(hours=9))
    assert ana.presence(after(hours=9)) is AVAILABLE


def test_signing_off_takes_back_the_word_that_one_is_there() -> None:
    """And coming out of it without one, connected nowhere, gives Offline a new reason."""
    ana = Ana(feeds=())
    ana.available()
    ana.signs_off(after(hours=1))
    assert ana.facts.check_in is None
    ana.available(after(hours=2), on=None)
    assert ana.why(after(hours=2)) == (OFFLINE, "not_connected", "rule:enrolled")
    assert ana.facts.interval.standing_since == after(hours=1)


def test_a_lead_who_signs_somebody_off_is_not_taken_for_them() -> None:
    """`acted_at` and `last_seen_at` are the agent's own."""
    ana = Ana()
    ana.connects()
    ana.signs_off(after(hours=1), by="lead:agt_bob")
    assert (ana.facts.acted_at, ana.facts.last_seen_at) == (None, NINE)
    assert ana.facts.intent.choice is Choice.OFF


# Rule 11: order


def test_what_is_older_than_the_links_newest_fact_is_dropped() -> None:
    ana = Ana()
    ana.connects()
    ana.disconnects(after(minutes=1))
    ana.connects(at=after(minutes=1, seconds=10))
    facts = ana.facts
    ana.observed(Observation(DISCORD, "guild", Seen.DISCONNECTED, after(minutes=1), 1, 2), after(minutes=2))
    assert ana.facts is facts


def test_what_a_feed_said_before_it_began_anew_is_dropped() -> None:
    ana = Ana()
    ana.connects()
    ana.feed_begins_anew(DISCORD, after(hours=1))
    ana.connects(at=after(hours=1))
    facts = ana.facts
    late = Observation(DISCORD, "guild", Seen.DISCONNECTED, after(minutes=59), 1, 99)
    ana.observed(late, after(hours=1, minutes=1))
    assert ana.facts is facts


def test_a_repetition_changes_only_the_orders_mark() -> None:
    ana = Ana()
    ana.connects()
    interval = ana.facts.interval
    ana.connects(at=after(hours=1))
    (link,) = ana.facts.links
    assert (link.state, link.since, link.seq) == (LinkState.CONNECTED, NINE, 2)
    assert ana.facts.interval == interval


# Rule 12: history


def test_every_interval_begins_where_the_verdict_changed_not_where_somebody_looked() -> None:
    """A clock that slept through the night wakes, and the history is that of one that did not."""
    ana = Ana()
    ana.connects()
    ana.available()
    ana.away(after(hours=1), until=after(hours=1, minutes=30))
    ana.disconnects(after(hours=3))
    ana.passes(after(hours=20))
    assert ana.history() == [
        (NINE, OFFLINE, "not_connected"),
        (NINE, AWAY, "not_set"),
        (NINE, AVAILABLE, "set"),
        (after(hours=1), AWAY, "set"),
        (after(hours=1, minutes=30), AVAILABLE, "set"),
        (after(hours=3, minutes=1), OFFLINE, "disconnected"),
    ]


def test_an_offline_that_stands_keeps_its_reason() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.disconnects(after(hours=1))
    ana.disconnects(after(hours=3), on=SLACK)
    ana.passes(after(hours=9))
    assert ana.why(after(hours=9)) == (OFFLINE, "disconnected", "discord")


def test_last_seen_is_the_last_strong_evidence() -> None:
    ana = Ana()
    ana.connects(SLACK)
    ana.goes_idle(after(minutes=10))
    assert ana.facts.last_seen_at == NINE
    ana.acts(after(minutes=20))
    assert ana.facts.last_seen_at == after(minutes=20)
    ana.connects(SLACK, after(minutes=30))
    assert ana.facts.last_seen_at == after(minutes=30)


# Rule 13: removal, and feeds that are switched off


def test_who_leaves_a_workspace_is_disconnected_there_without_grace() -> None:
    ana = Ana()
    ana.connects()
    ana.available()
    ana.leaves(DISCORD, after(hours=1))
    assert ana.why(after(hours=1)) == (OFFLINE, "removed", "rule:removed")
    assert ana.history()[-1][0] == after(hours=1)


def test_who_leaves_one_workspace_stays_in_the_other() -> None:
    ana = Ana()
    ana.connects(DISCORD)
    ana.connects(SLACK)
    ana.available(on=DISCORD)
    ana.leaves(DISCORD, after(hours=1))
    assert ana.verdict(after(hours=3)).reachable
    assert ana.facts.check_in is None


def test_a_feed_that_is_switched_off_has_no_links() -> None:
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    ana.feed_off(DISCORD, after(hours=1))
    assert ana.why(after(hours=1)) == (OFFLINE, "switched_off", "rule:switched_off")


def test_a_feed_switched_on_again_brings_no_old_link_back() -> None:
    """Weeks may lie between; what was seen before proves nothing."""
    ana = Ana()
    ana.connects()
    ana.available_without_check_in()
    guild = ana.feeds["guild"]
    ana.feed_off(DISCORD, after(hours=1))
    ana.feeds["guild"] = guild
    ana.take(review(ana.facts, ana.feeds, ana.policy, after(hours=2), None))
    assert ana.presence(after(hours=2)) is OFFLINE
