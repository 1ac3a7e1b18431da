"""Who gives a command: an agent, a lead, somebody who becomes an agent by it, or nobody who may.

Platforms say who somebody is with each command; whether that is enough is decided here, each time.
"""

from bot.commands import GROUP, CommandSpec, Who, names_on, quoted
from bot.core import Rollcall
from bot.domain.agent import Agent, Role
from bot.domain.errors import Forbidden, NotEnrolled, NotFound, Removed
from bot.ports import Person, PersonKind


def names(core: Rollcall, platform: str) -> dict[str, str]:
    """What the commands are called on a platform."""
    table = {"discord": core.config.discord, "slack": core.config.slack}.get(platform)
    return names_on(platform, table.names if table is not None else None)


async def admit(core: Rollcall, person: Person, spec: CommandSpec) -> Agent | None:
    """The agent who gives the command, enrolled if they may be. None: somebody of the organization who is
    no agent, for what needs none. Raises NotEnrolled, Removed, Forbidden."""
    profile = person.profile
    if profile.kind is not PersonKind.MEMBER:
        raise NotEnrolled("Only full members of this workspace can use Rollcall. An admin can make you one.")
    await core.profile_changed(person.workspace_id, profile)
    agent = core.roster.by_identity(person.workspace_id, profile.external_id)
    lead = is_lead(core, person, agent)
    if spec.who is Who.LEAD and not lead:
        raise Forbidden("Only leads can do that. Ask one of them, or an admin of this workspace.")
    if agent is not None:
        return agent
    stored = await core.store.read(
        lambda tx: tx.members.by_identity(person.workspace_id, profile.external_id)
    )
    enrol = f"`/{names(core, person.platform)[GROUP]} enrol @{quoted(profile.name)}`"
    if stored is not None and stored.removed and (spec.who is Who.AGENT or not lead):
        raise Removed(f"You're no longer an agent here. A lead can bring you back with {enrol}.")
    if not (profile.may_enrol or lead):
        raise NotEnrolled(f"You're not an agent here. A lead can make you one with {enrol}.")
    if spec.who is not Who.AGENT:
        return None
    return await core.enrol(person.workspace_id, profile, "agent:self")


def still(core: Rollcall, person: Person, agent: Agent) -> None:
    """For whoever changes themselves, to be asked when nothing else can change them. Raises NotFound where
    the account has come to another agent since the command was admitted."""
    known = core.roster.by_identity(person.workspace_id, person.profile.external_id)
    if known is None or known.id != agent.id:
        raise NotFound("That agent was removed just now.")


def belongs(core: Rollcall, person: Person) -> bool:
    """Whether somebody is an agent, a lead, or may become an agent by themselves."""
    agent = core.roster.by_identity(person.workspace_id, person.profile.external_id)
    known = agent is not None or person.profile.may_enrol or is_lead(core, person, agent)
    return known and person.profile.kind is PersonKind.MEMBER


def is_lead(core: Rollcall, person: Person, agent: Agent | None) -> bool:
    """Named, or an admin by what the platform says with this very command."""
    workspace = core.workspaces.get(person.workspace_id)
    external = workspace.external_id if workspace else ""
    named = f"{person.platform}:{external}:{person.profile.external_id}"
    return (
        person.profile.is_admin
        or named in core.config.organization.leads
        or (agent is not None and agent.role is Role.LEAD)
    )
