"""Two agents of one person as a storage holds them, and the code by which they become one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct

from bot.config import Config
from bot.domain.agent import Agent, Workspace
from bot.domain.choices import choose_available
from bot.domain.facts import Facts, Policy
from bot.ports import LinkCode, Person, Profile, Store, Transaction
from bot.service import configured, linking, members
from bot.service.linking import LASTS, House, Sides, Typed, Written
from bot.service.presence import Step, record

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TYPED = Typed("K7QD", "2MXP")
CONFIG = Config.model_validate({"team": [{"slug": "support", "name": "Support", "everyone": True}]})


class Two(Struct, frozen=True):
    """One person's two agents."""

    house: House
    slack: Workspace
    discord: Workspace
    asker: Agent
    confirmer: Agent

    @property
    def code(self) -> LinkCode:
        """The asker's."""
        identity = self.asker.identities[0]
        secret_hash = linking.hashed(self.house.organization_id, TYPED)
        return LinkCode(
            self.house.organization_id, TYPED.name, secret_hash, self.asker.id, identity.id, START + LASTS
        )

    def person(self, external_id: str = "91") -> Person:
        """Somebody of the guild."""
        return Person(self.discord.id, "discord", Profile(external_id, external_id, may_enrol=True))


def put_in(tx: Transaction) -> Two:
    """Both are Available, the one in Discord seen there, and the other has a code."""
    organization_id = configured.prepare(tx, CONFIG, START)
    slack = tx.members.ensure_workspace(organization_id, "slack", "T1", "Acme", START)
    discord = tx.members.ensure_workspace(organization_id, "discord", "9", "Acme guild", START)
    house = House(organization_id, CONFIG, {}, Policy())
    made = []
    for workspace, external_id in ((slack, "U1"), (discord, "91")):
        profile = Profile(external_id, external_id, may_enrol=True)
        agent, facts = members.enrol(tx, organization_id, workspace, profile, CONFIG, "agent:self", START)
        identity_id = agent.identities[0].id
        after, changes = choose_available(facts, {}, Policy(), START, identity_id=identity_id)
        record(tx, organization_id, Step(facts, after, changes), START)
        made.append(agent)
    two = Two(house, slack, discord, *made)
    assert linking.ask(tx, house, two.asker, two.asker.identities[0], two.code, "", START)
    return two


async def two_agents(store: Store) -> Two:
    """Stored."""
    return await store.write(put_in)


def confirming(
    two: Two, person: Person, confirmer_id: str, typed: Typed = TYPED, now: datetime = START
) -> Callable[[Transaction], Written]:
    """The operation by which somebody types a code."""

    def operation(tx: Transaction) -> Written:
        before: dict[str, Facts] = {}
        for agent_id in filter(None, (two.asker.id, confirmer_id)):
            facts = tx.presence.facts(agent_id)
            assert facts is not None
            before[agent_id] = facts
        return linking.confirm(
            before,
            tx,
            house=two.house,
            sides=Sides(two.asker.id, confirmer_id),
            person=person,
            typed=typed,
            secret_hash=linking.hashed(two.house.organization_id, typed),
            delivery="",
            now=now,
        )

    return operation
