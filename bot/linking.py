"""`/presence link` and `/presence unlink`: one person on several platforms (`docs/linking.md`)."""

import asyncio
from functools import partial

from bot import admission, link_replies
from bot.commands import quoted
from bot.core import Rollcall
from bot.domain.agent import Agent, Identity
from bot.domain.errors import BadInput, Conflict, Forbidden, NotFound
from bot.domain.ids import new_id
from bot.message import Message
from bot.ports import Command, LinkCode, Person
from bot.service import linking
from bot.service.linking import LASTS, TRIES, Outcome, Sides, Typed, Written

REFUSED = (
    "That code doesn't work here. It may be mistyped, used, or older than ten minutes, or five codes that "
    "you typed were wrong; then none works for ten minutes. Nothing was changed. Ask for a new code on your "
    "other platform, and type it here."
)
"""The same for every reason: a refusal must not tell whoever guesses how near they are."""


def _house(core: Rollcall) -> linking.House:
    return linking.House(core.organization_id, core.config, core.roster.feeds, core.policy)


async def ask(core: Rollcall, command: Command, agent: Agent) -> Message:
    """A new code for the agent; those before it are void."""
    person, now = command.person, core.clock.now()
    elsewhere = sorted(
        {one.platform for one in core.workspaces.values() if one.id not in _workspaces_of(agent)}
    )
    if not elsewhere:
        raise Forbidden("You're linked everywhere already: Rollcall is in no other workspace.")
    identity = _identity(core, person)[1]
    for _ in range(TRIES):
        typed = linking.drawn()
        secret_hash = await asyncio.to_thread(linking.hashed, core.organization_id, typed)
        code = LinkCode(core.organization_id, typed.name, secret_hash, agent.id, identity.id, now + LASTS)
        kept = await core.store.write(
            partial(
                linking.ask,
                house=_house(core),
                agent=agent,
                identity=identity,
                code=code,
                delivery=command.delivery,
                now=now,
            )
        )
        if kept:
            where = [(platform, admission.names(core, platform)) for platform in elsewhere]
            return link_replies.code(f"{typed.name}-{typed.secret}", now + LASTS, where)
        if command.delivery:
            break
    raise Conflict("I've answered that already. For another code, type it once more.")


async def confirm(core: Rollcall, command: Command, agent: Agent | None, text: str) -> Message:
    """Somebody types a code. Raises Forbidden, in the same words whatever is wrong with it."""
    person, typed = command.person, linking.read(text)
    secret_hash = b""
    asker_id = ""
    if typed.name:
        secret_hash = await asyncio.to_thread(linking.hashed, core.organization_id, typed)
        asker_id = await _asker(core, typed)
    confirmer_id = agent.id if agent else ""
    written = await core.changes.together(
        sorted({one for one in (asker_id, confirmer_id) if one}),
        lambda before, now, tx: linking.confirm(
            before,
            tx,
            house=_house(core),
            sides=Sides(asker_id, confirmer_id),
            person=person,
            typed=typed,
            secret_hash=secret_hash,
            delivery=command.delivery,
            now=now,
        ),
    )
    _show(core, written)
    known = core.roster.by_identity(person.workspace_id, person.profile.external_id)
    linked = known is not None and len(_accounts(known)) > 1
    if (
        known is None
        or written.outcome is Outcome.REFUSED
        or (written.outcome is Outcome.REPEATED and not linked)
    ):
        raise Forbidden(REFUSED)
    names = admission.names(core, person.platform)
    if written.outcome is Outcome.OWN:
        return link_replies.own(names)
    return link_replies.linked(known, _identity(core, person)[1], names, written.clashes)


async def _asker(core: Rollcall, typed: Typed) -> str:
    """Whose code of that name is open, so that they can be locked; whether it is right is not asked."""
    now = core.clock.now()
    code = await core.store.read(lambda tx: tx.linking.code(core.organization_id, typed.name, now, TRIES))
    return code.agent_id if code and core.roster.agent(code.agent_id) else ""


async def unlink(core: Rollcall, command: Command, agent: Agent, platform: str) -> Message:
    """One account is an agent of its own again: the one on that platform, else the one that this is typed
    on."""
    _, here = _identity(core, command.person)
    accounts = _accounts(agent)
    identity = here
    if platform:
        there = [one for one in accounts if one.platform == platform.strip().lower()]
        if not there:
            some = " or ".join(f"`{name}`" for name in sorted({one.platform for one in accounts}))
            raise BadInput(
                f"You have no account on `{quoted(platform)}` here. Type {some}.", field="platform"
            )
        identity = here if here in there and len(there) == 1 else there[-1]
    names = admission.names(core, command.person.platform)
    if len(accounts) < 2:
        return link_replies.alone(names)
    new_agent_id = new_id("agt", core.clock.now())
    written = await core.changes.together(
        [agent.id],
        lambda before, now, tx: linking.unlink(
            before,
            tx,
            house=_house(core),
            agent_id=agent.id,
            identity_id=identity.id,
            new_agent_id=new_agent_id,
            tell=identity.id != here.id,
            actor=f"agent:{agent.id}",
            delivery=command.delivery,
            now=now,
        ),
        also=new_agent_id,
    )
    _show(core, written)
    if written.outcome is Outcome.REPEATED:
        return link_replies.alone(names)
    return link_replies.unlinked(identity, names, here=identity.id == here.id)


def _show(core: Rollcall, written: Written) -> None:
    """What is beside the agents themselves: what they hold elsewhere, how long a round of polling takes,
    and that a word is owed."""
    for load in written.loads:
        core.roster.put_load(load, core.clock.now())
    for agent, _ in written.agents:
        for identity in agent.identities:
            core.feeds.refit(identity.workspace_id)
    if written.agents:
        core.notices_owed.set()


def _accounts(agent: Agent) -> list[Identity]:
    return [identity for identity in agent.identities if identity.present]


def _workspaces_of(agent: Agent) -> set[str]:
    return {identity.workspace_id for identity in _accounts(agent)}


def _identity(core: Rollcall, person: Person) -> tuple[Agent, Identity]:
    known = core.roster.identity(person.workspace_id, person.profile.external_id)
    if known is None:
        raise NotFound("That agent was removed just now.")
    return known
