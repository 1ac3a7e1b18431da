"""What leads do for others, and agents for themselves: presence of somebody, teams, skills, capacity.

Who may: setting others, capacity, making and renaming are a lead's; joining, leaving, and having a skill
or not, is everybody's own, and a lead's for others. Checked with each command (`bot.admission`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from bot import admission, team_replies
from bot.asked import Asked, actor_of, time_away
from bot.commands import quoted, spelled
from bot.config.values import known_zone
from bot.core import Rollcall
from bot.domain.agent import Agent, Skill
from bot.domain.choices import choose_available, choose_away
from bot.domain.errors import BadInput, Forbidden, NotEnrolled, NotFound
from bot.domain.facts import Facts
from bot.domain.slugs import slug_of
from bot.domain.transition import Notice, Told
from bot.domain.transition import Step as Decision
from bot.lookup import find_agent
from bot.message import Message
from bot.ports import Transaction
from bot.roster import Row
from bot.service import teams

T = TypeVar("T")
MOST_CHATS = 100
NAME_OF = "name."
"""Settings that keep the names of leads who are no agents, by `lead:platform:person`."""


async def author(core: Rollcall, row: Row) -> str:
    """The name of the lead who set the presence that somebody has; empty where no lead did."""
    by = row.verdict.source
    if not by.startswith("lead:"):
        return ""
    agent_id = by.removeprefix("lead:")
    agent = core.roster.agent(agent_id)
    if agent is not None:
        return agent.name

    def kept(tx: Transaction) -> str | None:
        removed = tx.members.agent(agent_id)
        return removed.name if removed is not None else tx.ledger.setting(core.organization_id, NAME_OF + by)

    return await core.store.read(kept) or "a lead"


class Leading:
    """The use cases, by the table's names."""

    def __init__(self, core: Rollcall) -> None:
        self.core = core
        self._lists = asyncio.Lock()
        """One change of the lists at a time, so that a slug is not taken twice."""
        self.use_cases: Mapping[str, Callable[[Asked], Awaitable[Message]]] = {
            "presence set": self._set,
            "presence capacity": self._capacity,
            "presence team list": self._team_list,
            "presence team join": self._team_join,
            "presence team leave": self._team_leave,
            "presence team create": self._team_create,
            "presence team rename": self._team_rename,
            "presence skill list": self._skill_list,
            "presence skill add": self._skill_add,
            "presence skill remove": self._skill_remove,
        }

    # --- somebody's presence, and how much they take ---

    async def _set(self, asked: Asked) -> Message:
        agent, choice = self._named(asked), asked.arguments["presence"]
        until, reason = asked.arguments.get("until", ""), asked.arguments.get("reason", "").strip()
        oneself = asked.agent is not None and asked.agent.id == agent.id
        by, name = ("agent", "") if oneself else await self._lead(asked)
        feeds, policy = self.core.roster.feeds, self.core.policy
        if choice == "available":
            if asked.command.text is None and until.strip():
                raise BadInput("Only Away has an end. Leave `until` empty for Available.", field="until")
            here = self.core.roster.identity(
                asked.command.person.workspace_id, asked.command.person.profile.external_id
            )
            chosen = partial(
                choose_available,
                note=" ".join(filter(None, (until.strip(), reason))),
                identity_id=here[1].id if oneself and here is not None else None,
            )
        else:
            away = time_away(asked, self._zone(asked), self.core.reasons)
            chosen = partial(
                choose_away, reason=away.reason, reason_code=away.reason_code, until_at=away.until_at
            )

        def decide(facts: Facts, at: datetime) -> Decision:
            after, changes = chosen(facts, feeds, policy, at, by=by)
            return after, changes if oneself else (*changes, Notice(Told.SET_BY_LEAD, at, name))

        await self.core.change(
            agent.id, decide, actor_of(asked), f"presence.{choice}", asked.command.delivery
        )
        row = self.core.roster.row(agent.id, self.core.clock.now())
        if row is None:
            raise NotFound("That agent was removed just now.")
        return team_replies.was_set(row, asked.names, oneself=oneself)

    async def _lead(self, asked: Asked) -> tuple[str, str]:
        """Who sets it, as facts keep it, and their name, which is kept where no agent has it."""
        if asked.agent is not None:
            return f"lead:{asked.agent.id}", asked.agent.name
        person = asked.command.person
        by, name = f"lead:{person.platform}:{person.profile.external_id}", person.profile.name or "A lead"
        if await self.core.setting(NAME_OF + by) != name:
            await self.core.put_setting(NAME_OF + by, name)
        return by, name

    def _zone(self, asked: Asked) -> str | None:
        """Clock times are read by the clock of whoever types them."""
        if asked.agent is not None:
            return asked.agent.zone
        return known_zone(asked.command.person.profile.zone) or self.core.config.organization.zone

    async def _capacity(self, asked: Asked) -> Message:
        agent, typed = self._named(asked), asked.arguments["chats"].strip()
        if not (typed.isascii() and typed.isdecimal() and 1 <= int(typed[:9]) <= MOST_CHATS):
            raise BadInput(
                f"Chats at once is a number from 1 to {MOST_CHATS}, such as `3`. Somebody who shall take "
                "none is set Away.",
                field="chats",
            )
        chats = int(typed)
        agent = await self._alter(
            asked, agent, lambda one: replace(one, capacity=chats), "agent.capacity", {"capacity": chats}
        )
        return team_replies.capacity(agent)

    # --- teams ---

    async def _team_list(self, asked: Asked) -> Message:
        return team_replies.listed(
            "team", [(team.slug, team.name) for team in self.core.teams], self._holders("team"), asked.names
        )

    async def _team_join(self, asked: Asked) -> Message:
        agent, slug = self._whose(asked), asked.arguments["team"]
        order = [team.slug for team in self.core.teams]
        agent = await self._alter(
            asked,
            agent,
            lambda one: replace(one, teams=_with(one.teams, slug, order)),
            "team.joined",
            {"team": slug},
        )
        return self._membership(asked, agent, slug)

    async def _team_leave(self, asked: Asked) -> Message:
        agent, slug = self._whose(asked), asked.arguments["team"]
        agent = await self._alter(
            asked,
            agent,
            lambda one: replace(one, teams=_without(one.teams, slug)),
            "team.left",
            {"team": slug},
        )
        return self._membership(asked, agent, slug)

    def _membership(self, asked: Asked, agent: Agent, slug: str) -> Message:
        """How it now is, also where the change had been delivered before."""
        reply = team_replies.joined if slug in agent.teams else team_replies.left
        return reply(agent, self._team_name(slug), oneself=_oneself(asked, agent))

    async def _team_create(self, asked: Asked) -> Message:
        typed, actor = asked.arguments["name"], actor_of(asked)
        team = await self._change_lists(
            lambda tx, now: teams.create_team(
                tx, self.core.organization_id, typed, actor, now, asked.command.delivery
            )
        )
        return team_replies.created(team, asked.names)

    async def _team_rename(self, asked: Asked) -> Message:
        slug, typed, actor = asked.arguments["team"], asked.arguments.get("name", ""), actor_of(asked)
        old = self._team_name(slug)
        team = await self._change_lists(
            lambda tx, now: teams.rename_team(
                tx, self.core.organization_id, slug, typed, actor, now, asked.command.delivery
            )
        )
        return team_replies.renamed(old, team)

    def _team_name(self, slug: str) -> str:
        return next((team.name for team in self.core.teams if team.slug == slug), slug)

    # --- skills ---

    async def _skill_list(self, asked: Asked) -> Message:
        return team_replies.listed(
            "skill",
            [(skill.slug, skill.name) for skill in self.core.skills],
            self._holders("skill"),
            asked.names,
        )

    async def _skill_add(self, asked: Asked) -> Message:
        agent, typed, actor = self._whose(asked), asked.arguments["skill"], actor_of(asked)
        wanted, name = slug_of(typed), typed.casefold()
        known = next(
            (one for one in self.core.skills if one.slug == wanted or one.name.casefold() == name), None
        )
        skill = known
        if skill is None:
            if not admission.is_lead(self.core, asked.command.person, asked.agent):
                raise Forbidden(
                    f"There is no skill `{quoted(typed)}`, and only leads make new ones. "
                    f"`{spelled('presence skill list', asked.names)}` shows those that there are."
                )
            skill = await self._change_lists(
                lambda tx, now: teams.ensure_skill(tx, self.core.organization_id, typed, actor, now)
            )
        slug, order = skill.slug, [one.slug for one in self.core.skills]
        agent = await self._alter(
            asked,
            agent,
            lambda one: replace(one, skills=_with(one.skills, slug, order)),
            "skill.added",
            {"skill": slug},
        )
        if slug not in agent.skills:
            return team_replies.unskilled(agent, skill.name, oneself=_oneself(asked, agent))
        return team_replies.skilled(agent, skill, oneself=_oneself(asked, agent), new=known is None)

    async def _skill_remove(self, asked: Asked) -> Message:
        agent, slug = self._whose(asked), asked.arguments["skill"]
        skill = next((one for one in self.core.skills if one.slug == slug), Skill(slug, slug))
        agent = await self._alter(
            asked,
            agent,
            lambda one: replace(one, skills=_without(one.skills, slug)),
            "skill.removed",
            {"skill": slug},
        )
        if slug in agent.skills:
            return team_replies.skilled(agent, skill, oneself=_oneself(asked, agent), new=False)
        return team_replies.unskilled(agent, skill.name, oneself=_oneself(asked, agent))

    # --- whom, and how ---

    def _holders(self, what: str) -> Mapping[str, Sequence[str]]:
        """By slug, the names of who is in the team or has the skill."""
        found: dict[str, list[str]] = {}
        for agent in sorted(self.core.roster.everyone(), key=lambda one: one.name.casefold()):
            for slug in agent.teams if what == "team" else agent.skills:
                found.setdefault(slug, []).append(agent.name)
        return found

    def _named(self, asked: Asked) -> Agent:
        """The agent whom the command names: by mention, or by the whole name."""
        named = asked.arguments["agent"]
        try:
            return find_agent(self.core, asked.command.person.workspace_id, named, exact=True)
        except NotFound:
            wanted = named.strip().strip("<@>")
            for profile in asked.command.mentioned:
                if wanted == profile.external_id or wanted.casefold() == profile.name.casefold():
                    enrol = f"{spelled('presence enrol', asked.names)} @{quoted(profile.name)}"
                    raise NotFound(
                        f"`{quoted(profile.name)}` is no agent. Type `{enrol}` first.", field="agent"
                    ) from None
            raise

    def _whose(self, asked: Asked) -> Agent:
        """Whom it is for: oneself, or whom a lead names."""
        if asked.arguments.get("agent", "").strip():
            agent = self._named(asked)
            if not _oneself(asked, agent) and not admission.is_lead(
                self.core, asked.command.person, asked.agent
            ):
                own = f"{spelled(asked.spec.name, asked.names)} {asked.spec.hint.split()[0]}"
                raise Forbidden(f"Only leads can do that for others. For yourself, type `{own}`.")
            return agent
        if asked.agent is None:
            start = spelled("available", asked.names)
            raise NotEnrolled(f"You're not an agent yet. Type `{start}` to become one, or name somebody.")
        return asked.agent

    async def _alter(
        self,
        asked: Asked,
        agent: Agent,
        change: Callable[[Agent], Agent],
        kind: str,
        said: Mapping[str, str | int | bool | None],
    ) -> Agent:
        now, actor = self.core.clock.now(), actor_of(asked)
        return await self.core.changes.stored(
            agent.id,
            lambda tx: teams.alter(tx, agent.id, change, kind, said, actor, now, asked.command.delivery),
        )

    async def _change_lists(self, operation: Callable[[Transaction, datetime], T]) -> T:
        """Change the teams or skills, and show them."""
        now = self.core.clock.now()
        async with self._lists:
            changed = await self.core.store.write(lambda tx: operation(tx, now))
            self.core.changes.events_written.set()
            await self.core.read_lists()
            return changed


def _with(slugs: Sequence[str], slug: str, order: Sequence[str]) -> tuple[str, ...]:
    """In the order of the list."""
    return tuple(one for one in order if one == slug or one in slugs)


def _without(slugs: Sequence[str], slug: str) -> tuple[str, ...]:
    return tuple(one for one in slugs if one != slug)


def _oneself(asked: Asked, agent: Agent) -> bool:
    return asked.agent is not None and asked.agent.id == agent.id
