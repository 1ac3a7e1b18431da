"""`rollcall apply`: makes the roster what a file says, in one transaction (`docs/operations.md`).

What changes is told in plain lines. A dry run does the very same and is then undone by the caller.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from bot.config import Config
from bot.domain.agent import Agent, Identity, Role, Workspace
from bot.domain.errors import BadInput, Conflict
from bot.domain.facts import Facts, begin_again, new_agent
from bot.domain.ids import new_id
from bot.domain.transition import remove
from bot.message import words
from bot.ports import Transaction
from bot.service import configured, externals, members
from bot.service.listing import ACTOR, Lists, apply_lists, works
from bot.service.presence import Step, record
from bot.service.roster_file import AgentRow, RosterFile, account_of, hours_of
from bot.service.stored_feeds import stored_feeds


class Apply(Struct, frozen=True):
    """What is to be applied."""

    file: RosterFile
    prune: bool
    """What is not in the file goes: agents are removed, teams and skills end."""
    config: Config


def apply(tx: Transaction, wanted: Apply, now: datetime) -> list[str]:
    """Make it so; answers what that changed, a line each. Raises BadInput, having changed nothing."""
    organization_id = _organization(tx, wanted.config, now)
    told: list[str] = []
    everyone = [agent for agent, _ in tx.members.everyone(organization_id)]
    lists = apply_lists(tx, organization_id, wanted.file, wanted.prune, wanted.config, now, told)
    agents = _Agents(tx, organization_id, wanted, lists, everyone, now, told)
    agents.find()
    agents.refuse_shared_ids()
    agents.prune()
    agents.release()
    agents.save()
    return told


def _organization(tx: Transaction, config: Config, now: datetime) -> str:
    """Before the first start: as that start would make it, so that it finds nothing to do over."""
    organization_id = tx.members.organization(config.organization.slug)
    if organization_id is not None:
        kept = tx.ledger.setting(organization_id, configured.REMEMBERED)
        if kept or any(True for _ in tx.members.everyone(organization_id)):
            return organization_id
    begun = configured.begin(tx, config, now)
    configured.remember(tx, begun, now)
    return begun.organization_id


class _Change(Struct):
    """One row of the file, and whom it is about."""

    row: AgentRow
    before: Agent | None
    """None: somebody new."""
    after: Agent


class _Agents:
    """The agents' part of one application."""

    def __init__(
        self,
        tx: Transaction,
        organization_id: str,
        wanted: Apply,
        lists: Lists,
        everyone: Sequence[Agent],
        now: datetime,
        told: list[str],
    ) -> None:
        """`everyone`: as they were before the lists were changed."""
        self._tx = tx
        self._organization_id = organization_id
        self._wanted = wanted
        self._lists = lists
        self._said = configured.Configured.of(wanted.config).known_as(
            tx.members.teams(organization_id), tx.members.skills(organization_id)
        )
        self._now = now
        self._told = told
        self._workspaces = {
            (one.platform, one.external_id): one for one in tx.members.workspaces(organization_id)
        }
        self._everyone = {agent.id: agent for agent in everyone}
        self._by_account = {
            (identity.workspace_id, identity.external_id): agent.id
            for agent in self._everyone.values()
            for identity in agent.identities
        }
        self._changes: list[_Change] = []
        self._gone: set[str] = set()
        """Who is pruned. Nobody without an account, whom no file can name."""

    def find(self) -> None:
        """Whom each row is about, and what they become. Raises BadInput."""
        named: dict[str, AgentRow] = {}
        for said in self._wanted.file.agent:
            row = self._by_present_slugs(said)
            self._check(row)
            before = self._known(row)
            if before is not None and named.setdefault(before.id, row) is not row:
                raise BadInput(
                    f"{_of(row)} and {_of(named[before.id])} are one agent: put their accounts into one "
                    "[[agent]]."
                )
            self._changes.append(_Change(row, before, self._wished(row, before)))
        if self._wanted.prune:
            named_ids = {change.after.id for change in self._changes}
            self._gone = {
                agent.id
                for agent in self._everyone.values()
                if agent.id not in named_ids and any(one.present for one in agent.identities)
            }

    def _by_present_slugs(self, row: AgentRow) -> AgentRow:
        """A slug of before leads to what has another one now, as everywhere."""
        teams, skills = self._lists.former_teams, self._lists.former_skills
        return row.model_copy(
            update={
                "teams": row.teams and tuple(teams.get(slug, slug) for slug in row.teams),
                "skills": row.skills and tuple(skills.get(slug, slug) for slug in row.skills),
            }
        )

    def _check(self, row: AgentRow) -> None:
        for what, slugs, known in (
            ("teams", row.teams, self._lists.teams),
            ("skills", row.skills, self._lists.skills),
        ):
            for slug in slugs or ():
                if slug not in known:
                    table = what.removesuffix("s")
                    raise BadInput(
                        f"{_of(row)}, {what}: there is no {table} {slug}. Add it to the file, as in "
                        f'[[{table}]] slug = "{slug}", name = "{slug.capitalize()}".'
                    )
        spaces = [account_of(one)[:2] for one in row.accounts]
        if len(set(spaces)) < len(spaces):
            raise BadInput(
                f"{_of(row)}, accounts: two of them are in one workspace, and so are two people. "
                "Write an [[agent]] for each."
            )

    def _known(self, row: AgentRow) -> Agent | None:
        """Also somebody who was removed. Raises BadInput where the accounts are several agents'."""
        found: dict[str, Agent] = {}
        for name in row.accounts:
            platform, space, person = account_of(name)
            workspace = self._workspaces.get((platform, space))
            if workspace is None:
                continue
            agent_id = self._by_account.get((workspace.id, person))
            agent = (
                self._everyone[agent_id]
                if agent_id is not None
                else self._tx.members.by_identity(workspace.id, person)
            )
            if agent is not None:
                found[agent.id] = agent
        if len(found) > 1:
            raise BadInput(
                f"{_of(row)}, accounts: they are {len(found)} agents' already. Write an [[agent]] for each; "
                "people make them one by /presence link, so that nobody else can."
            )
        return next(iter(found.values()), None)

    def _wished(self, row: AgentRow, before: Agent | None) -> Agent:
        if before is None or before.removed:
            accounts = before.identities if before is not None else ()
            identities = tuple(
                replace(one, present=one.present or self._is_in(row, one))
                for one in self._with_accounts(row, accounts)
            )
            agent_id = before.id if before is not None else new_id("agt", self._now)
            kept = before.externals if before is not None else ()
            base = Agent(agent_id, self._organization_id, row.name, identities=identities, externals=kept)
            if before is not None:
                base = replace(
                    base,
                    zone=before.zone,
                    zone_by_hand=before.zone_by_hand,
                    capacity=before.capacity,
                    hours=before.hours,
                )
            base = self._said.places([*self._workspaces.values()]).given(base)
        else:
            base = replace(before, identities=self._with_accounts(row, before.identities))
        return replace(
            base,
            role=base.role if row.role is None else Role(row.role),
            capacity=base.capacity if row.capacity is None else row.capacity,
            zone=base.zone if row.zone is None else row.zone,
            zone_by_hand=base.zone_by_hand if row.zone_by_hand is None else row.zone_by_hand,
            teams=_ordered(base.teams if row.teams is None else row.teams, self._lists.teams),
            skills=_ordered(base.skills if row.skills is None else row.skills, self._lists.skills),
            externals=base.externals if row.external_ids is None else tuple(sorted(row.external_ids.items())),
            hours=hours_of(row.hours, base.hours),
        )

    def _with_accounts(self, row: AgentRow, there: tuple[Identity, ...]) -> tuple[Identity, ...]:
        """The accounts the agent has, and those of the row that are new. Raises BadInput for a second one in
        a workspace."""
        identities = there
        for name in row.accounts:
            platform, space, person = account_of(name)
            workspace = self._workspace(platform, space)
            if any(one.workspace_id == workspace.id and one.external_id == person for one in there):
                continue
            if any(one.workspace_id == workspace.id and one.present for one in there):
                raise BadInput(
                    f"{_of(row)}, accounts: they have another account in that workspace ({name} is new). "
                    "Two accounts of one workspace are two people: write an [[agent]] for each."
                )
            identities = (
                *identities,
                Identity(new_id("idn", self._now), workspace.id, platform, person, row.name),
            )
        return identities

    def _workspace(self, platform: str, external_id: str) -> Workspace:
        known = self._workspaces.get((platform, external_id))
        if known is None:  # it gets its own name when Rollcall is there
            known = self._tx.members.ensure_workspace(
                self._organization_id, platform, external_id, external_id, self._now
            )
            self._workspaces[platform, external_id] = known
        return known

    def _is_in(self, row: AgentRow, identity: Identity) -> bool:
        return any(
            self._workspace(platform, space).id == identity.workspace_id and person == identity.external_id
            for platform, space, person in map(account_of, row.accounts)
        )

    def _lock(self, before: Agent) -> None:
        """Nobody else changes them until this is over. Raises Conflict where somebody just has."""
        stored = self._tx.members.agent(before.id)
        if stored is None or self._as_listed(stored) != self._as_listed(before):
            raise Conflict(f"{words(before.name, 40)} was changed just now, so nothing was. Apply it again.")

    def _as_listed(self, agent: Agent) -> Agent:
        """With those of their teams and skills that were there before and still are."""
        teams = [slug for slug in self._lists.teams if slug not in self._lists.fresh_teams]
        skills = [slug for slug in self._lists.skills if slug not in self._lists.fresh_skills]
        return replace(agent, teams=_ordered(agent.teams, teams), skills=_ordered(agent.skills, skills))

    def _haunted(self) -> set[str]:
        """Who had been in a team or skill that ended long ago, and would be in the new one of its name."""
        if not (self._lists.fresh_teams or self._lists.fresh_skills):
            return set()
        return {
            agent.id
            for agent, _ in self._tx.members.everyone(self._organization_id)
            if not self._lists.fresh_teams.isdisjoint(agent.teams)
            or not self._lists.fresh_skills.isdisjoint(agent.skills)
        }

    def refuse_shared_ids(self) -> None:
        """An id in another system is one agent's. Raises BadInput, naming both."""
        after = {agent.id: agent for agent in self._everyone.values() if agent.id not in self._gone}
        after |= {change.after.id: change.after for change in self._changes}
        holders: dict[tuple[str, str], Agent] = {}
        for agent in after.values():
            for pair in agent.externals:
                other = holders.setdefault(pair, agent)
                if other is not agent:
                    system, external_id = pair
                    raise BadInput(
                        f"external_ids: {words(external_id, 40)} in {system} would be both "
                        f"{words(agent.name, 40)} and {words(other.name, 40)}. One id is one agent's."
                    )

    def release(self) -> None:
        """Ids that pass from one agent to another are given back first; those of removed ones are taken."""
        for change in self._changes:
            before = change.before
            if before is not None and before != change.after:
                self._lock(before)
            if before is not None and set(before.externals) - set(change.after.externals):
                kept = tuple(pair for pair in before.externals if pair in change.after.externals)
                self._tx.members.save(replace(before, externals=kept), self._now)
            for system, external_id in change.after.externals:
                holder = self._tx.members.by_external(self._organization_id, system, external_id)
                if holder is not None and holder.removed and holder.id != change.after.id:
                    externals.take(self._tx, holder, system, ACTOR, self._now)

    def save(self) -> None:
        """Everybody in the file, as the file says; others leave the teams and skills that have ended."""
        haunted = self._haunted()
        for change in self._changes:
            before, after = change.before, change.after
            who = f"{words(after.name, 40)} ({change.row.accounts[0]})"
            if before is None:
                self._tx.members.add(after, new_agent(after.id, self._now), self._now)
                members.announce(self._tx, after, "agent.enrolled", ACTOR, self._now)
                self._told.append(f"{who}: enrolled")
            elif before.removed:
                self._tx.members.save(after, self._now)
                facts = self._facts(after)
                begun = begin_again(facts, self._now)
                self._tx.presence.save(facts, begun, [begun.interval])
                members.announce(self._tx, after, "agent.enrolled", ACTOR, self._now)
                self._told.append(f"{who}: enrolled again")
            elif after != before:
                members.save(self._tx, after, ACTOR, self._now)
                shown = _differs(before, after)
                self._told += [f"{who}: {'; '.join(shown)}"] if shown else []
            elif after.id in haunted:
                self._tx.members.save(after, self._now)
        handled = {change.after.id for change in self._changes} | self._gone
        for agent in self._everyone.values():
            left = replace(
                agent,
                teams=_ordered(agent.teams, self._lists.teams),
                skills=_ordered(agent.skills, self._lists.skills),
            )
            if agent.id in handled:
                continue
            if left != agent:
                members.save(self._tx, left, ACTOR, self._now)
            elif agent.id in haunted:
                self._tx.members.save(left, self._now)

    def prune(self) -> None:
        """Whoever is not in the file is no longer an agent (design, 2.13)."""
        feeds = stored_feeds(
            self._tx, self._organization_id, self._wanted.config, self._everyone.values(), self._now
        )
        policy = self._wanted.config.presence.policy()
        for agent_id in sorted(self._gone):
            agent = self._everyone[agent_id]
            self._lock(agent)
            before = self._facts(agent)
            after, changes = remove(before, feeds, policy, self._now, agent.zone)
            members.save(self._tx, replace(agent, removed=True), ACTOR, self._now, "agent.removed")
            record(self._tx, self._organization_id, Step(before, after, changes, ACTOR), self._now)
            self._told.append(f"{words(agent.name, 40)} ({agent.id}): removed")

    def _facts(self, agent: Agent) -> Facts:
        facts = self._tx.presence.facts(agent.id)
        if facts is None:
            raise BadInput(f"{words(agent.name, 40)} has no presence on record. Run: rollcall db check")
        return facts


def _of(row: AgentRow) -> str:
    return f"[[agent]] {words(row.name, 40)} ({row.accounts[0]})"


def _ordered(slugs: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """In the order of the list, as storage keeps them."""
    return tuple(slug for slug in order if slug in slugs)


def _differs(before: Agent, after: Agent) -> list[str]:
    """What changes of somebody, each in a few words."""
    told = []
    if after.role is not before.role:
        told.append("is a lead" if after.role is Role.LEAD else "is no named lead")
    if after.capacity != before.capacity:
        told.append(f"takes {after.capacity} at once, took {before.capacity}")
    if (after.zone, after.zone_by_hand) != (before.zone, before.zone_by_hand):
        by_hand = ", set by hand" if after.zone_by_hand else ""
        told.append(f"zone {after.zone or 'unknown'}{by_hand}, was {before.zone or 'unknown'}")
    for verb, other, old, new in (
        ("joins", "leaves", before.teams, after.teams),
        ("has the skill", "loses the skill", before.skills, after.skills),
    ):
        told += [f"{verb} {slug}" for slug in new if slug not in old]
        told += [f"{other} {slug}" for slug in old if slug not in new]
    if after.hours != before.hours:
        told.append(works(after.hours))
    was, now = dict(before.externals), dict(after.externals)
    told += [f"is {words(now[one], 40)} in {one}" for one in now if was.get(one) != now[one]]
    told += [f"is nobody in {one}" for one in was if one not in now]
    known = {one.id for one in before.identities}
    told += [
        f"has the account {one.platform} {one.external_id}" for one in after.identities if one.id not in known
    ]
    return told
