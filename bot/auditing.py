"""`/presence audit`: who changed what, the newest first, in words."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from bot.asked import Asked
from bot.core import Rollcall
from bot.domain.agent import Agent
from bot.domain.events import AuditEntry
from bot.lookup import find_agent
from bot.message import Line, Message, Moment, Strong, TimeStyle, words
from bot.ports import Transaction
from bot.replies import platform_name

SHOWN = 20
LONGEST_NAME = 30
DEEDS: Mapping[str, tuple[str, str]] = {
    "presence.available": ("is Available", "set {who} Available"),
    "presence.away": ("went Away", "set {who} Away"),
    "presence.off": ("signed off", "signed {who} off"),
    "agent.enrolled": ("became an agent", "made {who} an agent"),
    "agent.updated": (
        "changed their name, zone, teams, skills, hours or ids",
        "changed name, zone, teams, skills, hours or ids of {who}",
    ),
    "agent.removed": ("is no agent any more", "removed {who}"),
    "agent.left": ("left a workspace", "says that {who} left a workspace"),
    "agent.account_deleted": ("deleted an account", "says that an account of {who} was deleted"),
    "agent.capacity": ("takes {capacity} at once", "lets {who} take {capacity} at once"),
    "agent.back": ("is in a workspace again", "says that {who} is in a workspace again"),
    "agent.hours": ("changed their working hours", "changed the working hours of {who}"),
    "agent.linked": ("linked an account on {platform}", "linked an account on {platform} to {who}"),
    "agent.merged": ("became part of {into}", "made {who} part of {into}"),
    "agent.unlinked": ("unlinked an account on {platform}", "unlinked an account of {who} on {platform}"),
    "link.asked": ("asked for a code to link accounts",) * 2,
    "link.refused": ("typed a code that does not work",) * 2,
    "team.created": ("made the team {name}",) * 2,
    "team.renamed": ("called the team {slug} {name}",) * 2,
    "team.updated": ("changed the team {name}",) * 2,
    "team.hours": ("changed the hours of the team {slug}",) * 2,
    "team.ended": ("ended the team {name}",) * 2,
    "team.joined": ("joined the team {team}", "put {who} into the team {team}"),
    "team.left": ("left the team {team}", "took {who} out of the team {team}"),
    "skill.created": ("made the skill {name}",) * 2,
    "skill.renamed": ("called the skill {slug} {name}",) * 2,
    "skill.ended": ("ended the skill {name}",) * 2,
    "skill.added": ("has the skill {skill}", "gave {who} the skill {skill}"),
    "skill.removed": ("has no longer the skill {skill}", "took the skill {skill} from {who}"),
    "key.created": ("made the key {key}",) * 2,
    "key.rotated": ("gave the key {key} a new secret",) * 2,
    "key.revoked": ("revoked the key {key}",) * 2,
    "database.restored": ("restored the database from {subject}",) * 2,
}
"""What somebody did: of themselves, and to somebody else. What is not here is told by its own name."""


class Names(Struct, frozen=True):
    """What agents and keys are called, by id."""

    agents: Mapping[str, str]
    keys: Mapping[str, str]

    def agent(self, agent_id: str) -> str:
        """Also of somebody who was removed."""
        return words(self.agents.get(agent_id, agent_id), LONGEST_NAME)

    def actor(self, actor: str) -> str:
        """Who did it, as people say it."""
        kind, _, rest = actor.partition(":")
        if kind == "agent":
            return self.agent(rest)
        if kind == "key":
            return f"The key {words(self.keys.get(rest, rest), LONGEST_NAME)}"
        if kind == "platform":
            return platform_name(rest, first=True)
        if kind == "person":
            platform, _, person = rest.partition(":")
            return f"{words(person, LONGEST_NAME)} on {platform_name(platform)}"
        return "The command line" if actor == "operator" else words(actor, LONGEST_NAME)


async def page(core: Rollcall, asked: Asked) -> Message:
    """The newest entries of everybody, or of one agent. Raises NotFound for somebody who is no agent."""
    named = asked.arguments.get("agent", "").strip()
    agent = find_agent(core, asked.command.person.workspace_id, named, exact=True) if named else None

    def read(tx: Transaction) -> tuple[Sequence[AuditEntry], Names]:
        entries = tx.ledger.newest_audit(core.organization_id, agent.id if agent else None, SHOWN)
        return entries, _names(core, tx, entries)

    entries, names = await core.store.read(read)
    about: Line = (Strong(words(agent.name, 60)), ": ") if agent is not None else ()
    if not entries:
        return Message(((*about, "nothing is in the audit yet."),))
    first: Line = (*about, "who changed what, the newest first")
    return Message((first, *(line_of(entry, names) for entry in entries)))


def _names(core: Rollcall, tx: Transaction, entries: Sequence[AuditEntry]) -> Names:
    ids = {entry.subject for entry in entries} | {entry.actor.removeprefix("agent:") for entry in entries}
    ids |= {str(entry.data.get("into")) for entry in entries}
    agents: dict[str, str] = {}
    for agent_id in ids:
        if agent_id.startswith("agt_"):
            found: Agent | None = core.roster.agent(agent_id) or tx.members.agent(agent_id)
            if found is not None and found.organization_id == core.organization_id:
                agents[agent_id] = found.name
    keys = {key.id: key.name for key in tx.ledger.keys(core.organization_id)}
    return Names(agents, keys)


def line_of(entry: AuditEntry, names: Names) -> Line:
    """An entry as a line: when, who, what."""
    oneself = entry.actor in (f"agent:{entry.subject}", "agent:self")
    who = names.agent(entry.subject)
    deeds = DEEDS.get(entry.action)
    if deeds is None:
        said = words(f"{entry.action} {who}", 80)
    else:
        about = {key: words(str(value), LONGEST_NAME) for key, value in entry.data.items()}
        about |= {"who": who, "subject": words(entry.subject, 60)}
        key_id = entry.subject.removeprefix("key:")
        about["key"] = words(names.keys.get(key_id, key_id), LONGEST_NAME)
        if "platform" in about:
            about["platform"] = platform_name(about["platform"])
        if "into" in about:
            about["into"] = names.agent(str(entry.data["into"]))
        said = deeds[not oneself].format_map(_Said(about))
    by = who if oneself else names.actor(entry.actor)
    return (Moment(entry.at, TimeStyle.DATE_TIME), " · ", Strong(by), f" {said}")


class _Said(dict[str, str]):
    """What an older entry does not hold is left open."""

    def __missing__(self, key: str) -> str:
        return "…"
