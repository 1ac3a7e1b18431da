"""A small team to store, and ways to open it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from bot.domain.agent import Agent, Identity, Skill, Team, Workspace
from bot.domain.events import AuditEntry, Event
from bot.domain.facts import Choice, Facts, Intent, Interval, Presence, new_agent
from bot.domain.hours import DayOff, Hours
from bot.domain.hours_text import read_weekly
from bot.ports import Store, Transaction

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Small(Struct, frozen=True):
    """What is in the database before a test begins."""

    organization_id: str
    slack: Workspace
    discord: Workspace
    agents: Sequence[Agent]


def agent_of(number: int, organization_id: str, slack: str, discord: str) -> Agent:
    """The agent of that number, in both workspaces. Ids differ between organizations."""
    own = organization_id[-6:]
    return Agent(
        f"agt_{own}{number:020}",
        organization_id,
        f"Agent {number}",
        zone="Europe/Berlin",
        capacity=3,
        teams=("support",),
        skills=("german",),
        identities=(
            Identity(f"idn_{own}{number:019}b", slack, "slack", f"U{number}", f"Agent {number}"),
            Identity(
                f"idn_{own}{number:019}a", discord, "discord", f"{number}", "in the guild", "https://a/b.png"
            ),
        ),
        externals=(("chatwoot", str(number)),),
        hours=Hours("Europe/Berlin", read_weekly("mon-fri 9-12 13-17"), (DayOff(START.date(), START.date()),))
        if number
        else None,
    )


def fill(tx: Transaction, agents: int, slug: str = "default") -> Small:
    """One organization with two workspaces, two teams, two skills and so many agents."""
    organization_id = tx.members.ensure_organization(slug, "Support", START)
    slack = tx.members.ensure_workspace(organization_id, "slack", "T1", "Our Slack", START)
    discord = tx.members.ensure_workspace(organization_id, "discord", "1001", "Our guild", START)
    tx.members.save_teams(
        organization_id, [Team("support", "Support"), Team("billing", "Billing", "#ff0000")], START
    )
    tx.members.save_skills(organization_id, [Skill("german", "German"), Skill("dutch", "Dutch")], START)
    made = [agent_of(number, organization_id, slack.id, discord.id) for number in range(agents)]
    for agent in made:
        tx.members.add(agent, new_agent(agent.id, START), START)
    return Small(organization_id, slack, discord, made)


async def filled(store: Store, agents: int = 2) -> Small:
    """The small team, stored."""
    return await store.write(lambda tx: fill(tx, agents))


def toggled(facts: Facts, at: datetime) -> tuple[Facts, list[Interval]]:
    """The same agent with the other presence, from `at` on."""
    away = facts.interval.presence is Presence.AVAILABLE
    presence = Presence.AWAY if away else Presence.AVAILABLE
    interval = Interval(presence, at, "set", "agent")
    intent = Intent(Choice.AWAY if away else Choice.AVAILABLE, at, "agent")
    return replace(facts, intent=intent, interval=interval), [interval]


def changing(
    agent_id: str, organization_id: str, number: int, between: Callable[[str], None] = lambda step: None
) -> Callable[[Transaction], Facts]:
    """A change of intent as the service makes one, `number` seconds after the start: facts read, facts
    and interval saved, an audit row, an event. `between` is told each step that has been done."""
    at = START + timedelta(seconds=number)

    def operation(tx: Transaction) -> Facts:
        between("begun")
        before = tx.presence.facts(agent_id)
        assert before is not None
        between("facts read")
        after, intervals = toggled(before, max(at, before.interval.since + timedelta(microseconds=1)))
        saved = tx.presence.save(before, after, intervals)
        between("facts saved")
        tx.ledger.audit(
            AuditEntry(f"aud_{agent_id}_{number}", organization_id, at, "operator", "set", agent_id)
        )
        between("audited")
        tx.ledger.events([event(organization_id, agent_id, number, at)])
        between("events owed")
        return saved

    return operation


def event(organization_id: str, agent_id: str, number: int, at: datetime = START) -> Event:
    """The event of the change of that number."""
    return Event(f"evt_{agent_id}_{number}", organization_id, agent_id, "presence.changed", at, {"n": number})
