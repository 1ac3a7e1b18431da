"""What leads do for others, and agents for themselves: presence of somebody, teams, skills, capacity.

Who may: setting others, capacity, making and renaming are a lead's; joining, leaving, and having a skill
or not, is everybody's own, and a lead's for others. Checked with each command (`bot.admission`).
"""

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from bot import admission, team_replies
from bot.asked import Asked, actor_of, theirs, time_away
from bot.commands import quoted, spelled
from bot.config.values import known_zone
from bot.core import Rollcall
from bot.domain.agent import Agent, Skill
from bot.domain.choices import choose_available, choose_away
from bot.domain.errors import BadInput, Forbidden, NotEnrolled, NotFound
from bot.domain.facts import Facts
from bot.domain.named import clash, spoken
from bot.domain.slugs import slug_of
from bot.domain.transition import Notice, Told
from bot.domain.transition import Step as Decision
from bot.lookup import find_agent
from bot.message import Message
from bot.ports import Transaction
from bot.roster import Row
from bot.service import teams
from bot.service.deliveries import is_first

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
            "presence skill delete": self._skill_delete,
        }

    # --- somebody's presence, and how much they take ---

    async def _set(self, asked: Asked) -> Message:
        agent, choice = self.named(asked), asked.arguments["presence"]
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
                hours=agent.hours,
            )
        else:
            away = time_away(asked, self._zone(asked), self.core.reasons)
            chosen = partial(
                choose_away,
                reason=away.reason,
                reason_code=away.reason_code,
                until_at=away.until_at,
                hours=agent.hours,
            )

        def decide(facts: Facts, at: datetime) -> Decision:
            if oneself:
                admission.still(self.core, asked.command.person, agent)
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
        agent, typed = self.named(asked), asked.arguments["chats"].strip()
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
        agent, slug = self.whose(asked), asked.arguments["team"]
        agent = await self._place(asked, agent, "team", slug, inside=True)
        return self._membership(asked, agent, slug)

    async def _team_leave(self, asked: Asked) -> Message:
        agent, slug = self.whose(asked), asked.arguments["team"]
        agent = await self._place(asked, agent, "team", slug, inside=False)
        return self._membership(asked, agent, slug)

    def _membership(self, asked: Asked, agent: Agent, slug: str) -> Message:
        """How it now is, also where the change had been delivered before."""
        reply = team_replies.joined if slug in agent.teams else team_replies.left
        return reply(agent, self._team_name(slug), oneself=_oneself(asked, agent))

    async def _team_create(self, asked: Asked) -> Message:
        typed, actor = asked.arguments["name"], actor_of(asked)
        team = await self.core.lists.change(
            lambda tx, now: teams.create(
                tx, self.core.organization_id, "team", typed, actor, now, delivery=asked.command.delivery
            )
        )
        return team_replies.created(team, asked.names)

    async def _team_rename(self, asked: Asked) -> Message:
        slug, typed, actor = asked.arguments["team"], asked.arguments.get("name", ""), actor_of(asked)
        old = self._team_name(slug)
        team = await self.core.lists.change(
            lambda tx, now: teams.change(
                tx,
                self.core.organization_id,
                "team",
                slug,
                actor,
                now,
                name=typed,
                delivery=asked.command.delivery,
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
        agent, typed, actor = self.whose(asked), asked.arguments["skill"], actor_of(asked)
        known = clash(self.core.skills, slug_of(typed), typed.rstrip(":"))
        skill: teams.Listed | None = known
        if skill is None:
            if not admission.is_lead(self.core, asked.command.person, asked.agent):
                raise Forbidden(
                    f"There is no skill `{quoted(typed)}`, and only leads make new ones. "
                    f"`{spelled('presence skill list', asked.names)}` shows those that there are."
                )
            typed = self._new_skill(asked, typed)
            skill = await self.core.lists.change(
                lambda tx, now: teams.ensure_skill(tx, self.core.organization_id, typed, actor, now)
            )
        slug = skill.slug
        agent = await self._place(asked, agent, "skill", slug, inside=True)
        if slug not in agent.skills:
            return team_replies.unskilled(agent, skill.name, oneself=_oneself(asked, agent))
        return team_replies.skilled(agent, skill, oneself=_oneself(asked, agent), new=known is None)

    async def _skill_remove(self, asked: Asked) -> Message:
        agent, slug = self.whose(asked), asked.arguments["skill"]
        skill = next((one for one in self.core.skills if one.slug == slug), Skill(slug, slug))
        agent = await self._place(asked, agent, "skill", slug, inside=False)
        if slug in agent.skills:
            return team_replies.skilled(agent, skill, oneself=_oneself(asked, agent), new=False)
        return team_replies.unskilled(agent, skill.name, oneself=_oneself(asked, agent))

    def _new_skill(self, asked: Asked, typed: str) -> str:
        """The name of a skill that is to be made. Raises BadInput for what looks like a slip: a person in
        it, or nearly a skill that there is. A colon behind it says that it is none."""
        name = typed.rstrip(":").strip()
        shown = quoted(name)
        people = {word for one in asked.command.mentioned for word in (one.external_id, one.name)}
        if name.startswith(("@", "<@")) or name.partition(" ")[0] in people:
            raise BadInput("The skill comes first, then the person, such as `german @Tom`.", field="skill")
        if typed.endswith(":"):
            return name
        plain = name.casefold()
        for agent in self.core.roster.everyone():
            if plain.endswith(f" {agent.name.casefold()}"):
                skill = quoted(name[: -len(agent.name)].strip())
                raise BadInput(
                    f"Do you mean the skill `{skill}` for {quoted(agent.name)}? Put a colon between them: "
                    f"`{skill}: {quoted(agent.name)}`. If all of it is the skill, put one behind it: "
                    f"`{shown}:`.",
                    field="skill",
                )
        near = difflib.get_close_matches(plain, spoken(self.core.skills), n=1, cutoff=0.75)
        if near:
            raise BadInput(
                f"There is no skill `{shown}`. Did you mean `{near[0]}`? If it is to be a new one, type it "
                f"with a colon behind it: `{shown}:`.",
                field="skill",
            )
        return name

    async def _skill_delete(self, asked: Asked) -> Message:
        slug, actor = asked.arguments["skill"], actor_of(asked)
        skill = next((one for one in self.core.skills if one.slug == slug), Skill(slug, slug))
        if any(one.slug in (slug, *skill.aliases) for one in self.core.config.skill):
            raise BadInput(
                f"`{slug}` stands in the configuration, and would be there again with the next start. "
                "Whoever runs Rollcall takes it out there.",
                field="skill",
            )
        if holders := self._holders("skill").get(slug):
            more = f" and {len(holders) - 1} more still have" if holders[1:] else " still has"
            raise BadInput(
                f"{quoted(holders[0])}{more} the skill `{slug}`. Take it from them first, with "
                f"`{spelled('presence skill remove', asked.names)} {slug} @somebody`.",
                field="skill",
            )
        organization_id = self.core.organization_id

        def end(tx: Transaction, now: datetime) -> None:
            if is_first(tx, organization_id, asked.command.delivery, now):
                teams.end(tx, organization_id, "skill", slug, actor, now)

        await self.core.lists.change(end)
        return team_replies.ended(skill)

    # --- whom, and how ---

    def _holders(self, what: str) -> Mapping[str, Sequence[str]]:
        """By slug, the names of who is in the team or has the skill."""
        found: dict[str, list[str]] = {}
        for agent in sorted(self.core.roster.everyone(), key=lambda one: one.name.casefold()):
            for slug in agent.teams if what == "team" else agent.skills:
                found.setdefault(slug, []).append(agent.name)
        return found

    def named(self, asked: Asked) -> Agent:
        """The agent whom the command names: by mention, or by the whole name."""
        named, workspace_id = asked.arguments["agent"], asked.command.person.workspace_id
        wanted = named.strip().strip("<@>")
        for profile in asked.command.mentioned:
            if wanted == profile.external_id or wanted.casefold() == profile.name.casefold():
                agent = self.core.roster.by_identity(workspace_id, profile.external_id)
                if agent is not None:
                    return agent
                enrol = f"{spelled('presence enrol', asked.names)} @{quoted(profile.name)}"
                raise NotFound(f"`{quoted(profile.name)}` is no agent. Type `{enrol}` first.", field="agent")
        return find_agent(self.core, workspace_id, named, exact=True)

    def whose(self, asked: Asked) -> Agent:
        """Whom it is for: oneself, or whom a lead names."""
        if asked.arguments.get("agent", "").strip():
            agent = self.named(asked)
            if not _oneself(asked, agent) and not admission.is_lead(
                self.core, asked.command.person, asked.agent
            ):
                own = f"{spelled(asked.spec.name, asked.names)} {asked.spec.hint.partition(' [')[0]}"
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
            lambda tx: teams.alter(
                tx,
                agent.id,
                lambda one: change(theirs(asked, one) if _oneself(asked, one) else one),
                kind,
                said,
                actor,
                now,
                asked.command.delivery,
            ),
        )

    async def _place(self, asked: Asked, agent: Agent, kind: teams.Kind, slug: str, *, inside: bool) -> Agent:
        now, actor = self.core.clock.now(), actor_of(asked)
        return await self.core.changes.stored(
            agent.id,
            lambda tx: teams.place(
                tx,
                agent.id,
                kind,
                slug,
                inside,
                actor,
                now,
                asked.command.delivery,
                lambda one: theirs(asked, one) if _oneself(asked, one) else one,
            ),
        )


def _oneself(asked: Asked, agent: Agent) -> bool:
    return asked.agent is not None and asked.agent.id == agent.id
