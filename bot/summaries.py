"""Scheduled summaries: claimed by a row, composed from the roster and the history, posted once."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.config import Config, SummaryTable
from bot.core import Rollcall, Trouble
from bot.domain.errors import RollcallError
from bot.domain.facts import Presence
from bot.domain.schedule import CATCH_UP, Schedule, Slot, due_slot
from bot.domain.summary import Fold, fold
from bot.message import Line, Message, Moment, Section, Strong, TimeStyle, Tone, words
from bot.ports import ChatPlatform, RetryLater, Transaction, Undeliverable
from bot.roster import Row

log = logging.getLogger("rollcall.summaries")
LOOKS_BACK = timedelta(hours=24)
POST_WITHIN = 60.0
"""Seconds for one post, so that a platform that never answers holds up no other summary."""
RETRY = timedelta(seconds=30)
"""How long a platform that can't take it is left alone, where it does not say."""
TROUBLES: Mapping[str, str] = {
    "late": "the platform did not take it for an hour. The next one is tried at its time.",
    "refused": "it can't be posted there. Invite the bot to that channel, or correct `channel` under "
    "[[summary]]. The next one is tried at its time.",
    "unknown": "posting it failed, and nobody knows whether it got there, so it is not tried again. The "
    "next one is tried at its time; the log says more.",
}
"""What people are told of a summary that ended otherwise than posted."""
NAMES = 20
"""Names in one group; more are counted."""


def schedules(config: Config) -> dict[str, Schedule]:
    """The configured summaries as schedules, by slug."""
    return {
        table.slug: Schedule(table.slug, table.at, table.days, table.zone or config.organization.zone)
        for table in config.summary
    }


async def post_due(core: Rollcall, platforms: Mapping[str, ChatPlatform]) -> int:
    """Post every summary that is due and that nobody has posted. Answers how many were posted.

    What is in the way of one is told to people and never touches another.
    """
    posted = 0
    times = schedules(core.config)
    try:
        await _tell_unfinished(core)
    except RollcallError as problem:
        log.warning("what became of the last summaries waits to be looked at: %s", problem.code)
    for table in core.config.summary:
        name, _, channel = table.channel.partition(":")
        platform = platforms.get(name)
        if platform is None:
            _tell(
                core,
                table,
                f"The summary {table.slug} can't be posted: the platform {name} does not run here. Set it "
                "up, or correct `channel` under [[summary]].",
            )
            continue
        slot = due_slot(times[table.slug], core.clock.now())
        if slot is None:
            continue
        try:
            posted += await _post(core, platform, channel, table, slot)
        except RollcallError as problem:
            log.warning("summary %s waits: %s", table.slug, problem.code)
        except Exception:
            log.exception("summary %s failed", table.slug)
    return posted


def _tell(core: Rollcall, table: SummaryTable, trouble: str | None) -> None:
    """A banner of this schedule's own, or None when a later one was posted.

    Not by `core.report`: there a platform and its workspaces have one banner each, and this is none of them.
    """
    platform = table.channel.partition(":")[0]
    key = (platform, f"summary:{table.slug}")
    old = core.troubles.get(key)
    if trouble is None:
        core.troubles.pop(key, None)
    elif old is None or old.sentence != trouble:
        log.warning("%s", trouble, extra={"schedule": table.slug})
        core.troubles[key] = Trouble(platform, None, trouble, core.clock.now())


async def _tell_unfinished(core: Rollcall) -> None:
    """Close what was begun and never finished, as after a kill in the middle of posting, and say so.

    Only one look is taken at a time, so what stands here as begun is nobody's work any more.
    """
    now, organization_id = core.clock.now(), core.organization_id

    def close(tx: Transaction) -> list[tuple[SummaryTable, str]]:
        found = []
        for table in core.config.summary:
            slot = tx.ledger.setting(organization_id, _begun(table.slug))
            if slot:
                tx.ledger.finish_summary(organization_id, table.slug, slot, "unknown", now)
                tx.ledger.put_setting(organization_id, _begun(table.slug), "", now)
                found.append((table, slot))
        return found

    begun = await core.store.read(
        lambda tx: [tx.ledger.setting(organization_id, _begun(table.slug)) for table in core.config.summary]
    )
    for table, slot in await core.store.write(close) if any(begun) else ():
        _tell(
            core,
            table,
            f"The summary {table.slug} for {table.channel}, due {slot}, was begun and never noted as posted: "
            "Rollcall was stopped, or its database failed. Nobody knows whether it got there, so it is not "
            "posted again. Look in the channel; the next one is tried at its time.",
        )


def _begun(slug: str) -> str:
    """The setting that names the slot being posted; empty when there is none."""
    return f"summary_begun:{slug}"


async def _post(
    core: Rollcall, platform: ChatPlatform, channel: str, table: SummaryTable, slot: Slot
) -> bool:
    now, key = core.clock.now(), (core.organization_id, slot.schedule, slot.name)
    if not await core.store.write(lambda tx: tx.ledger.claim_summary(*key, now)):
        return False
    message = await compose(core, table, slot, now)

    def begin(tx: Transaction) -> None:
        tx.ledger.begin_summary(*key)
        tx.ledger.put_setting(core.organization_id, _begun(table.slug), slot.name, now)

    await core.store.write(begin)
    message_id = None
    try:
        async with asyncio.timeout(POST_WITHIN):
            message_id = await platform.post(channel, message)
        outcome = "posted"
    except RetryLater as problem:
        until = core.clock.now() + _wait(problem)
        if until + RETRY < slot.due_at + CATCH_UP:
            log.info("summary %s waits until %s", slot.schedule, until.isoformat())

            def release(tx: Transaction) -> None:
                tx.ledger.release_summary(*key, until)
                tx.ledger.put_setting(core.organization_id, _begun(table.slug), "", now)

            await core.store.write(release)
            return False
        outcome = "late"
    except Undeliverable:
        outcome = "refused"
    except Exception:
        log.exception("summary %s: posting it failed", slot.schedule)
        outcome = "unknown"
    done = core.clock.now()
    trouble = TROUBLES.get(outcome)
    _tell(core, table, trouble and f"The summary {table.slug} for {table.channel}: {trouble}")

    def finish(tx: Transaction) -> None:
        tx.ledger.finish_summary(*key, outcome, done, message_id)
        tx.ledger.put_setting(core.organization_id, _begun(table.slug), "", done)

    await core.store.write(finish)
    if outcome == "posted":
        log.info("summary posted", extra={"schedule": slot.schedule, "slot": slot.name})
    return outcome == "posted"


def _wait(problem: RetryLater) -> timedelta:
    """As long as the platform asks for; more than the time for catching up comes to the same."""
    if problem.after is None:
        return RETRY
    return timedelta(seconds=min(max(problem.after, 0.0), CATCH_UP.total_seconds()))


async def compose(core: Rollcall, table: SummaryTable, slot: Slot, now: datetime) -> Message:
    """The summary of a team at `now`, looking back 24 h."""
    slug = core.lists.team_now(table.team)
    rows = core.roster.rows(now, slug)
    since = now - LOOKS_BACK
    ids = [row.agent.id for row in rows]
    history = await core.store.read(lambda tx: tx.presence.history(ids, since, now))
    title = next((team.name for team in core.teams if team.slug == slug), slug)
    return summary_message(title, rows, fold(history, since, now), now)


def summary_message(title: str, rows: Sequence[Row], past: Fold, now: datetime) -> Message:
    """A short text: who is there now, and how well the last day was covered."""
    groups = []
    for presence, label in (
        (Presence.AVAILABLE, "Available"),
        (Presence.AWAY, "Away"),
        (Presence.OFFLINE, "Offline"),
    ):
        those = [row for row in rows if row.verdict.presence is presence]
        if those:
            heading: Line = (Strong(f"{label} ({len(those)})"),)
            groups.append(Section(heading, (_names(those),)))
    first: Line = (Strong(words(title, 60)), " at ", Moment(now, TimeStyle.DATE_TIME))
    lines = [first]
    if not rows:
        lines.append(("Nobody is in this team yet.",))
    else:
        hours = sum((time for time in past.available.values()), timedelta()).total_seconds() / 3600
        lines.append(
            (
                f"In the last 24 h somebody was available {past.share:.0%} of the time, "
                f"{hours:.1f} agent hours in all.",
            )
        )
    tone = Tone.GOOD if any(row.verdict.presence is Presence.AVAILABLE for row in rows) else Tone.QUIET
    return Message(tuple(lines), tuple(groups), tone=tone)


def _names(rows: Sequence[Row]) -> Line:
    shown = ", ".join(words(row.agent.name, 40) for row in rows[:NAMES])
    more = len(rows) - NAMES
    return (shown + (f" and {more} more" if more > 0 else ""),)
