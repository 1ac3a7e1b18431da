"""Scheduled summaries: claimed by a row, composed from the roster and the history, posted once."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.config import Config, SummaryTable
from bot.core import Rollcall
from bot.domain.facts import Presence
from bot.domain.schedule import Schedule, Slot, due_slot
from bot.domain.summary import Fold, fold
from bot.message import Line, Message, Moment, Section, Strong, TimeStyle, Tone, words
from bot.ports import ChatPlatform, RetryLater, Undeliverable
from bot.roster import Row

log = logging.getLogger("rollcall.summaries")
LOOKS_BACK = timedelta(hours=24)
NAMES = 20
"""Names in one group; more are counted."""


def schedules(config: Config) -> dict[str, Schedule]:
    """The configured summaries as schedules, by slug."""
    return {
        table.slug: Schedule(table.slug, table.at, table.days, table.zone or config.organization.zone)
        for table in config.summary
    }


async def post_due(core: Rollcall, platforms: Mapping[str, ChatPlatform]) -> int:
    """Post every summary that is due and that nobody has posted. Answers how many were posted."""
    posted = 0
    times = schedules(core.config)
    for table in core.config.summary:
        slot = due_slot(times[table.slug], core.clock.now())
        if slot is not None and await _post(core, platforms, table, slot):
            posted += 1
    return posted


async def _post(
    core: Rollcall, platforms: Mapping[str, ChatPlatform], table: SummaryTable, slot: Slot
) -> bool:
    name, _, channel = table.channel.partition(":")
    platform = platforms.get(name)
    if platform is None:
        return False
    now, organization_id = core.clock.now(), core.organization_id
    if not await core.store.write(
        lambda tx: tx.ledger.claim_summary(organization_id, slot.schedule, slot.name, now)
    ):
        return False
    message = await compose(core, table, slot, now)
    await core.store.write(lambda tx: tx.ledger.begin_summary(organization_id, slot.schedule, slot.name))
    try:
        message_id = await platform.post(channel, message)
    except (RetryLater, Undeliverable) as problem:
        log.warning("summary %s could not be posted: %s", slot.schedule, type(problem).__name__)
        if isinstance(problem, RetryLater):
            await core.store.write(
                lambda tx: tx.ledger.release_summary(organization_id, slot.schedule, slot.name)
            )
        else:
            core.report(
                name,
                None,
                f"The summary {slot.schedule} can't be posted to {table.channel}: invite the bot to that "
                "channel, or correct `channel` under [[summary]].",
            )
        return False
    done = core.clock.now()
    await core.store.write(
        lambda tx: tx.ledger.finish_summary(organization_id, slot.schedule, slot.name, message_id, done)
    )
    log.info("summary posted", extra={"schedule": slot.schedule, "slot": slot.name})
    return True


async def compose(core: Rollcall, table: SummaryTable, slot: Slot, now: datetime) -> Message:
    """The summary of a team at `now`, looking back 24 h."""
    rows = core.roster.rows(now, table.team)
    since = now - LOOKS_BACK
    ids = [row.agent.id for row in rows]
    history = await core.store.read(lambda tx: tx.presence.history(ids, since, now))
    title = next((team.name for team in core.teams if team.slug == table.team), table.team)
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
