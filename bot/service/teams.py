"""Teams and skills as leads change them in chat and programs over the API, and who is in them.

Each function is one operation on one transaction. `kind` is `team` or `skill`.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Literal

import regex
from msgspec.structs import replace

from bot.domain.agent import Agent, Skill, Team, slug_among
from bot.domain.errors import BadInput, NotFound
from bot.domain.events import AuditEntry, Event
from bot.domain.ids import new_id
from bot.domain.named import clash
from bot.domain.slugs import slug_of
from bot.message import words
from bot.ports import Transaction
from bot.service import members
from bot.service.deliveries import is_first
from bot.service.revision import refuse_stale

LONGEST_NAME = 80
"""Characters, as in the configuration."""
Kind = Literal["team", "skill"]
CREATED = {"team": "team.created", "skill": "skill.created"}
RENAMED = {"team": "team.renamed", "skill": "skill.renamed"}
"""Under another name, or known by another slug."""
ENDED = {"team": "team.ended", "skill": "skill.ended"}
Listed = Team | Skill
_UNSEEN = regex.compile(r"[\s\p{C}\p{M}\u115f\u1160\u2800\u3164\uffa0]")
"""What shows nothing by itself, also where it counts as a letter or a symbol."""


def name_of(typed: str, field: str) -> str:
    """A name as typed, fit to be shown. Raises BadInput for none that can be seen, or a longer one than 80
    characters, as people count them."""
    name = words(typed, LONGEST_NAME + 1)
    if not _UNSEEN.sub("", name) or len(regex.findall(r"\X", name)) > LONGEST_NAME or _cut(typed, name):
        raise BadInput(f"A name has 1 to {LONGEST_NAME} characters, such as `Billing EU`.", field=field)
    return name


def _cut(typed: str, name: str) -> bool:
    """Whether `words` had to cut it, which it does by marks and code points too."""
    return name.endswith("…") and not typed.rstrip().endswith("…")


def _shown(name: str) -> str:
    return words(name, 40).replace("`", "")


def _refuse_other(
    tx: Transaction, organization_id: str, kind: Kind, slug: str, name: str, field: str
) -> None:
    """A team and a skill of one name: `/who german` would show but one of them."""
    what: Kind = "skill" if kind == "team" else "team"
    there = clash(all_of(tx, organization_id, what), slug, name)
    if there is not None:
        raise BadInput(
            f"There is a {what} `{there.slug}`, called `{_shown(there.name)}`, and who asks for one would be "
            "shown the other. Take another name.",
            field=field,
        )


def announce(
    tx: Transaction, organization_id: str, kind: str, listed: Listed, actor: str, now: datetime, was: str = ""
) -> None:
    """Tell the audit and other programs of a change of a team or skill. `was`: its slug of before."""
    about = {"slug": listed.slug, "name": listed.name, **({"was": was} if was else {})}
    tx.ledger.audit(AuditEntry(new_id("aud", now), organization_id, now, actor, kind, listed.slug, about))
    tx.ledger.events([Event(new_id("evt", now), organization_id, None, kind, now, about)])


def all_of(tx: Transaction, organization_id: str, kind: Kind) -> Sequence[Listed]:
    """The teams, or the skills."""
    return tx.members.teams(organization_id) if kind == "team" else tx.members.skills(organization_id)


def known(there: Sequence[Listed], slugs: Collection[str], field: str) -> tuple[str, ...]:
    """The slugs as they now are, in the order of the list, each once. `field`: `teams` or `skills`. Raises
    BadInput for one that there is not."""
    found = {slug: slug_among(there, slug) for slug in slugs}
    for slug, present in found.items():
        if present is None:
            some = ", ".join(one.slug for one in there[:20]) or "none yet"
            raise BadInput(f"There is no {field[:-1]} {words(slug, 40)}. Known: {some}.", field=field)
    return tuple(one.slug for one in there if one.slug in found.values())


def _save(tx: Transaction, organization_id: str, listed: Listed, now: datetime) -> None:
    if isinstance(listed, Team):
        tx.members.save_team(organization_id, listed, now)
    else:
        tx.members.save_skill(organization_id, listed, now)


# --- the lists ---


def _refusal(kind: Kind, there: Listed, slug: str, *, new: bool, by_slug: bool) -> BadInput:
    name, field = _shown(there.name), "slug" if by_slug else "name"
    if slug in there.aliases:
        sentence = f"`{slug}` was the slug of the {kind} `{there.slug}`, and still leads to it."
    elif new or by_slug:
        sentence = f"There is a {kind} `{there.slug}` already, called `{name}`."
    else:
        sentence = f"The {kind} `{there.slug}` is called `{name}`."
    return BadInput(f"{sentence} Take another {field}.", field=field)


def create(
    tx: Transaction,
    organization_id: str,
    kind: Kind,
    typed: str,
    actor: str,
    now: datetime,
    *,
    slug: str = "",
    color: str = "",
    delivery: str = "",
) -> Listed:
    """A new one of that name. Where no slug is given it comes of the name; where nothing of that makes one,
    `team-1`, ….

    Raises BadInput where one of that slug or name is there already.
    """
    name = name_of(typed, "name")
    listed = all_of(tx, organization_id, kind)
    given, slug = slug, slug or slug_of(name) or _free(kind, listed)
    there = clash(listed, slug, name)
    if not is_first(tx, organization_id, delivery, now) and there is not None:
        return there
    if there is not None:
        by_slug = bool(given) and there.name.casefold() != name.casefold()
        raise _refusal(kind, there, slug, new=True, by_slug=by_slug)
    _refuse_other(tx, organization_id, kind, slug, name, "name")
    if kind == "team":
        _refuse_ended(tx, organization_id, slug, "slug" if given else "name")
    made: Listed = Team(slug, name, color) if kind == "team" else Skill(slug, name)
    tx.members.end_list(organization_id, made, now)  # nobody who was in one of that slug long ago
    _save(tx, organization_id, made, now)
    announce(tx, organization_id, CREATED[kind], made, actor, now)
    return made


def _refuse_ended(tx: Transaction, organization_id: str, slug: str, field: str) -> None:
    """A key of some teams is of those that there were: another team of an ended one's slug is none of its."""
    for key in tx.ledger.keys(organization_id):
        if key.revoked_at is None and slug in key.teams:
            raise BadInput(
                f"The key `{_shown(key.name)}` is of a team `{slug}` that has ended, and would see this one. "
                f"Revoke the key first, or take another {field}.",
                field=field,
            )


def _free(kind: Kind, listed: Sequence[Listed]) -> str:
    taken = {slug for one in listed for slug in (one.slug, *one.aliases)}
    return next(slug for number in range(1, len(taken) + 2) if (slug := f"{kind}-{number}") not in taken)


def change(
    tx: Transaction,
    organization_id: str,
    kind: Kind,
    slug: str,
    actor: str,
    now: datetime,
    *,
    name: str | None = None,
    new_slug: str | None = None,
    color: str | None = None,
    read: Collection[str] = (),
    delivery: str = "",
) -> Listed:
    """Another name, slug or colour. A name leaves the slug alone, by which programs know it; a changed slug
    goes on to work.

    Raises NotFound, Stale (see `refuse_stale`), and BadInput where another one has that name or slug.
    """
    listed = all_of(tx, organization_id, kind)
    present = slug_among(listed, slug)
    old = next((one for one in listed if one.slug == present), None)
    if old is None:
        raise NotFound(f"There is no such {kind}, or not any more.")
    refuse_stale(old, read)
    changed: Listed = old if name is None else replace(old, name=name_of(name, "name"))
    if isinstance(changed, Team) and color is not None:
        changed = replace(changed, color=color)
    if new_slug is not None and new_slug != old.slug:
        former = tuple(one for one in (*old.aliases, old.slug) if one != new_slug)
        changed = replace(changed, slug=new_slug, aliases=former)
    if not is_first(tx, organization_id, delivery, now) or changed == old:
        return old
    moved = changed.slug != old.slug
    other = clash([one for one in listed if one is not old], changed.slug, changed.name)
    if other is not None:
        by_slug = moved and other.name.casefold() != changed.name.casefold()
        raise _refusal(kind, other, changed.slug, new=False, by_slug=by_slug)
    if moved or changed.name != old.name:
        _refuse_other(tx, organization_id, kind, changed.slug, changed.name, "name")
    if moved:
        tx.members.change_slug(organization_id, old, changed.slug)
    _save(tx, organization_id, changed, now)
    event = RENAMED[kind] if moved or changed.name != old.name else "team.updated"
    announce(tx, organization_id, event, changed, actor, now, old.slug if moved else "")
    return changed


def end(
    tx: Transaction,
    organization_id: str,
    kind: Kind,
    slug: str,
    actor: str,
    now: datetime,
    read: Collection[str] = (),
) -> Listed:
    """Archive one: nobody is in it any more. Raises NotFound and Stale."""
    listed = all_of(tx, organization_id, kind)
    present = slug_among(listed, slug)
    old = next((one for one in listed if one.slug == present), None)
    if old is None:
        raise NotFound(f"There is no such {kind}, or not any more.")
    refuse_stale(old, read)
    tx.members.end_list(organization_id, old, now)
    announce(tx, organization_id, ENDED[kind], old, actor, now)
    return old


def ensure_skill(tx: Transaction, organization_id: str, typed: str, actor: str, now: datetime) -> Listed:
    """The skill of that name, made if it is new. Raises BadInput for no name."""
    name = name_of(typed, "skill")
    there = clash(tx.members.skills(organization_id), slug_of(name), name)
    if there is None:
        _refuse_other(tx, organization_id, "skill", slug_of(name), name, "skill")
    return there or create(tx, organization_id, "skill", typed, actor, now)


# --- who is in them ---


def place(
    tx: Transaction,
    agent_id: str,
    kind: Kind,
    slug: str,
    inside: bool,
    actor: str,
    now: datetime,
    delivery: str = "",
    look: Callable[[Agent], Agent] = lambda one: one,
) -> Agent:
    """Put somebody into a team or take them out; give them a skill or take it. `look` at them first: it may
    refuse.

    What is so already writes nothing. Raises NotFound for somebody unknown or removed, and for a slug that
    no team or skill has or had.
    """
    agent = tx.members.agent(agent_id)
    if agent is None or agent.removed:
        raise NotFound("There is no such agent any more.")
    listed = all_of(tx, agent.organization_id, kind)
    order, present = [one.slug for one in listed], slug_among(listed, slug)
    if present is None:
        raise NotFound(f"There is no such {kind} any more.")

    def placed(stored: Agent) -> Agent:
        one = look(stored)
        has = {*(one.teams if kind == "team" else one.skills)} - {present} | ({present} if inside else set())
        slugs = tuple(slug for slug in order if slug in has)
        return replace(one, teams=slugs) if kind == "team" else replace(one, skills=slugs)

    done = {"team": ("team.left", "team.joined"), "skill": ("skill.removed", "skill.added")}[kind][inside]
    return alter(tx, agent_id, placed, done, {kind: present}, actor, now, delivery)


def alter(
    tx: Transaction,
    agent_id: str,
    change: Callable[[Agent], Agent],
    kind: str,
    said: members.About,
    actor: str,
    now: datetime,
    delivery: str = "",
) -> Agent:
    """Change an agent as stored, with an event and an audit row of that kind that say what changed.

    What is so already writes nothing. Raises NotFound for somebody unknown or removed.
    """
    agent = tx.members.agent(agent_id)
    if agent is None or agent.removed:
        raise NotFound("There is no such agent any more.")
    if not is_first(tx, agent.organization_id, delivery, now):
        return agent
    changed = change(agent)
    return agent if changed == agent else members.save(tx, changed, actor, now, kind, said)
