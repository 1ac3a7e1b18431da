"""Accounts that become an agent of their own again, and links that are undone (`docs/linking.md`)."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime

from msgspec.structs import replace

from bot.domain import merging
from bot.domain.agent import Agent, Identity
from bot.domain.errors import NotFound
from bot.domain.facts import Facts, Presence
from bot.domain.merging import Own
from bot.domain.transition import Told
from bot.message import words
from bot.ports import Transaction, Undo
from bot.service import members
from bot.service.deliveries import is_first
from bot.service.linking import House, Outcome, Written, audit, in_order, notice, places_in
from bot.service.presence import Step, moved, record


def unlink(
    before: Mapping[str, Facts],
    tx: Transaction,
    *,
    house: House,
    agent_id: str,
    here_id: str,
    identity_id: str,
    code: str,
    new_agent_id: str,
    actor: str,
    delivery: str,
    now: datetime,
) -> Written:
    """An account becomes an agent of its own again, with nothing set; history stays where it is. Or all that
    came by a `code` do, together, when the account that it was asked on (`here_id`) undoes the link. Raises
    NotFound where these accounts are no longer the agent's, or the only ones that are left of them."""
    if not is_first(tx, house.organization_id, delivery, now):
        return Written(Outcome.REPEATED)
    agent = tx.members.agent(agent_id)
    undos = tx.linking.undos(house.organization_id, now)
    theirs = {one.id for one in agent.identities} if agent else set()
    leaving = theirs & (_brought_by(undos, agent_id, here_id, code) if code else {identity_id})
    if agent is None or not leaving or not any(one.present for one in _without(agent, leaving)):
        raise NotFound("That account is not linked to another one any more.")
    undone = [
        one
        for one in undos
        if one.agent_id == agent_id and theirs & {*one.came} and leaving >= theirs & {*one.came}
    ]
    undo = undone[-1] if undone else None
    (left, changes), fresh = merging.part(
        before[agent_id],
        leaving,
        new_agent_id,
        house.feeds,
        house.policy,
        now,
        _said(undo, agent) if undo is not None else None,
    )
    rest, alone = _parted(tx, house, agent, leaving, new_agent_id, undone)
    members.save(tx, rest, actor, now)
    facts = record(tx, house.organization_id, Step(before[agent_id], left, changes), now)
    tx.members.add(alone, fresh, now)
    members.announce(tx, alone, "agent.enrolled", actor, now)
    if fresh.interval.presence is not Presence.OFFLINE:
        tx.ledger.events([moved(house.organization_id, alone.id, fresh.interval, now)])
    for identity in alone.identities:
        audit(tx, house, now, actor, "agent.unlinked", agent_id, platform=identity.platform, agent=alone.id)
        if identity.id != here_id and identity.present:
            tx.ledger.notice(notice(house, alone.id, Told.UNLINKED, identity.id, now))
    return Written(Outcome.LINKED, ((rest, facts), (alone, fresh)))


def _without(agent: Agent, leaving: Set[str]) -> Sequence[Identity]:
    return [one for one in agent.identities if one.id not in leaving]


def _brought_by(undos: Sequence[Undo], agent_id: str, here_id: str, code: str) -> set[str]:
    """The accounts that leave when the link by a code is undone from the account it was asked on: those that
    came by it, and by the codes that were asked for on these; or, where the other has meanwhile been linked
    on and the agent is another's now, one's own."""
    undo = next((one for one in undos if (one.name, one.identity_id) == (code, here_id)), None)
    if undo is None:
        return set()
    if undo.agent_id != agent_id:
        return {*undo.own}
    leaving = {*undo.came}
    for later in undos:  # the oldest first
        if later.agent_id == agent_id and later.identity_id in leaving:
            leaving.update(later.came)
    return leaving


def _said(undo: Undo, agent: Agent) -> Own:
    """What counts again: a check-in only on an account that is there."""
    said = undo.said
    there = {one.id for one in agent.identities if one.present}
    if said.check_in is not None and said.check_in.identity_id not in there:
        return replace(said, check_in=None)
    return said


def _parted(
    tx: Transaction, house: House, agent: Agent, leaving: Set[str], new_agent_id: str, undone: Sequence[Undo]
) -> tuple[Agent, Agent]:
    """What is left of an agent, and the agent whom the accounts that leave become: with what the
    configuration gives to them, and where a link is undone with what came by it. Hours that somebody has
    set since stay: who set them, on which account, can't be told."""
    rest = merging.without(agent, leaving)
    identities = tuple(one for one in agent.identities if one.id in leaving)
    name = words(identities[0].name) or identities[0].external_id
    gone = not any(one.present for one in identities)
    alone = Agent(new_agent_id, agent.organization_id, name, agent.zone, removed=gone, identities=identities)
    places = places_in(tx, house)
    alone = places.given(alone)
    if undone:
        undo = undone[-1]
        came = [pair for pair in undo.externals if pair in agent.externals]
        alone = replace(
            alone,
            teams=tuple(dict.fromkeys((*alone.teams, *(one for one in undo.teams if one in agent.teams)))),
            skills=tuple(
                dict.fromkeys((*alone.skills, *(one for one in undo.skills if one in agent.skills)))
            ),
            externals=tuple(came),
            hours=next((one.hours for one in undone if one.hours is not None), None),
        )
        rest = replace(
            rest,
            teams=tuple(one for one in rest.teams if one not in undo.teams),
            skills=tuple(one for one in rest.skills if one not in undo.skills),
            externals=tuple(pair for pair in rest.externals if pair not in came),
            hours=None if any(one.hours_came and one.hours == rest.hours for one in undone) else rest.hours,
        )
    return replace(rest, role=places.role(rest)), in_order(tx, alone)
