"""What the running program would say, read from the database beside it: `rollcall who`.

Nothing is written, and nobody is disturbed: facts are judged at now, feeds are as the program noted them.
What it holds in memory alone (the newest heartbeats of consoles) is as it last stored it.
"""

from datetime import datetime, tzinfo

from msgspec import Struct

from bot.core import Rollcall
from bot.domain.errors import NotFound
from bot.domain.facts import FeedState, Presence
from bot.domain.named import meant, spoken
from bot.message import Line, Moment, TimeStyle, words
from bot.ports import Transaction
from bot.replies import LABELS, closed_line, platform_name, roster_line
from bot.roster import Row
from bot.service.stored_feeds import stored_feeds


class Seen(Struct, frozen=True):
    """Who there is, by name."""

    title: str
    rows: list[Row]
    as_of: datetime


async def look(core: Rollcall, team: str | None = None) -> Seen:
    """Everybody, or a team by a slug that it has or had, or its name; the core's roster is theirs then.
    Raises NotFound for a team that is not there."""
    now = core.clock.now()

    def read(tx: Transaction) -> None:
        organization_id = tx.members.organization(core.config.organization.slug)
        if organization_id is None:  # never started
            return
        core.organization_id = organization_id
        core.lists.take(tx.members.teams(organization_id), tx.members.skills(organization_id))
        core.workspaces.update((one.id, one) for one in tx.members.workspaces(organization_id))
        everyone = list(tx.members.everyone(organization_id))
        feeds = stored_feeds(tx, organization_id, core.config, (agent for agent, _ in everyone), now)
        core.roster.load(everyone, feeds.values(), tx.presence.loads(organization_id, now), now)

    await core.store.read(read)
    await core.holidays.glance(core.teams, now)
    title, slug = core.config.organization.name, None
    if team is not None:
        slug = meant(team, spoken(core.teams))
        if slug is None:
            there = ", ".join(one.slug for one in core.teams) or "none yet"
            raise NotFound(f"There is no team {words(team, 40)}. There are: {there}.")
        title = next(one.name for one in core.teams if one.slug == slug)
    return Seen(title, core.roster.rows(now, slug), now)


def page(core: Rollcall, seen: Seen, zone: tzinfo) -> list[str]:
    """The roster as plain lines, with clock times in that zone."""
    order = (Presence.AVAILABLE, Presence.AWAY, Presence.OFFLINE)
    groups = {one: [row for row in seen.rows if row.verdict.presence is one] for one in order}
    counts = ", ".join(f"{len(groups[one])} {LABELS[one].lower()}" for one in order)
    lines = [f"{words(seen.title)}: {counts}", f"As of {seen.as_of.astimezone(zone):%Y-%m-%d %H:%M %Z}"]
    for feed in core.roster.feeds.values():
        if feed.state is not FeedState.LIVE:
            name = words(core.workspaces[feed.id].name, 40)
            lost = _plain((Moment(feed.lost_at, TimeStyle.DATE_TIME),), zone)
            where = f"{platform_name(feed.platform, first=True)} ({name})"
            lines.append(f"{where} has not been seen since {lost}: who is there is unconfirmed.")
    closed = [team for team in core.teams if not core.roster.open(seen.as_of, team.slug)]
    lines += [
        _plain(closed_line(one.name, core.roster.opens_at(seen.as_of, one.slug)), zone) for one in closed
    ]
    for presence in order:
        if groups[presence]:
            lines += ["", f"{LABELS[presence]} ({len(groups[presence])})"]
            lines += [f"  {_plain(roster_line(row, seen.as_of), zone)}" for row in groups[presence]]
    if not seen.rows:
        lines += ["", "Nobody is an agent here yet."]
    return lines


def _plain(line: Line, zone: tzinfo) -> str:
    told = []
    for span in line:
        if isinstance(span, Moment):
            told.append(f"{span.at.astimezone(zone):%Y-%m-%d %H:%M}")
        else:
            told.append(span if isinstance(span, str) else span.text)
    return "".join(told)
