"""Feeds as they are kept, with the times that the configuration gives them."""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from bot.config import Config
from bot.domain.agent import Agent, Workspace
from bot.domain.facts import Feed, FeedState, SlackAway
from bot.ports import Transaction

log = logging.getLogger("rollcall.feeds")
SILENT = timedelta(seconds=90)
"""A running program notes every 30 s that its live feeds are live; after three of these nobody does."""


def timed(
    config: Config,
    workspace: Workspace,
    state: FeedState,
    epoch: int,
    live_at: datetime,
    lost_at: datetime,
    agents: int,
) -> Feed:
    """A feed with the times it deserves: where it is polled, they follow from how many agents there are."""
    table = config.presence
    cycle, grace = timedelta(), table.console_grace
    if workspace.platform == "discord":
        grace = table.discord_grace
    elif workspace.platform == "slack" and config.slack is not None:
        cycle = timedelta(minutes=agents / config.slack.polls_per_minute)
        grace = max(table.slack_grace, 2 * cycle)
        if grace > table.slack_grace and table.slack_away is SlackAway.ABSENT:
            log.warning(
                "slack_grace is lengthened to %.0f s: two polling cycles of %d agents",
                grace.total_seconds(),
                agents,
            )
    trust = max(table.blind_trust, 2 * cycle)
    return Feed(workspace.id, workspace.platform, state, epoch, live_at, lost_at, grace, trust)


def stored_feeds(
    tx: Transaction, organization_id: str, config: Config, everyone: Iterable[Agent], now: datetime
) -> dict[str, Feed]:
    """The feeds as the program that runs beside us noted them. One that is live and was not noted so for
    `SILENT` was lost then: nobody runs."""
    agents = Counter(one.workspace_id for agent in everyone for one in agent.identities if one.present)
    workspaces = {one.id: one for one in tx.members.workspaces(organization_id)}
    found = {}
    for was in tx.presence.feeds(organization_id):
        state, lost_at, seen_at = was.state, was.lost_at, max(was.seen_at, was.live_at)
        if state is FeedState.LIVE and seen_at + SILENT < now:
            state, lost_at = FeedState.DOWN, seen_at
        feed = timed(config, workspaces[was.id], state, was.epoch, was.live_at, lost_at, agents[was.id])
        found[was.id] = replace(feed, ended=was.ended)
    return found
