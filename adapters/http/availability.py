"""`GET /v1/availability`, the hot route: bytes from memory, made anew only when the answer has changed.

The bytes of one question are kept until its pool's revision, a team's being open, a feed or a trouble
changes. Each call
settles the roster to `now` first, so that the answer never waits for a tick, and puts `as_of` in.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime

from adapters.http.documents import (
    Availability,
    Counts,
    Encoded,
    Sight,
    counts_of,
    encode,
    feed_body,
    routable_agent,
    trouble_body,
    works_for,
)
from adapters.http.incoming import echoed, nearest, query_of, whole_number
from adapters.http.problems import Fault, Problem
from adapters.http.sight import sees
from bot.core import Rollcall
from bot.domain.agent import slug_among
from bot.domain.facts import Presence
from bot.roster import Row

PATH = "/v1/availability"
PARAMETERS = ("team", "skill", "limit")
DEFAULT_LIMIT, MOST_AGENTS = 20, 100
MOST_QUESTIONS = 256
"""Questions whose bytes are kept: some 25 kB each with 100 agents, so a few MB at most."""


class Question:
    """One query string, understood, with the bytes that last answered it."""

    __slots__ = ("built", "limit", "seen", "sight", "skills", "team")

    def __init__(
        self, team: str | None, skills: tuple[str, ...], limit: int, sight: Sight | None = None
    ) -> None:
        self.team = team
        self.sight = sight
        self.skills = skills
        self.limit = limit
        self.seen: object = None
        self.built: Encoded


class AvailabilityRoute:
    """Answers the hot route."""

    def __init__(self, core: Rollcall) -> None:
        self._core = core
        self.questions: dict[bytes | tuple[Sight, bytes], Question] = {}
        self._known: tuple[object, object] = (None, None)

    def answer(self, query: bytes, now: datetime, sight: Sight | None = None) -> Encoded:
        """The answer that is true at `now`, for who sees these teams (None: all). Raises Problem for a query
        that can't be understood."""
        core = self._core
        if self._known[0] is not core.teams or self._known[1] is not core.skills:
            self._known = (core.teams, core.skills)
            self.questions.clear()
        asked = query if sight is None else (sight, query)
        question = self.questions.get(asked)
        if question is None:
            question = understood(core, query, sight)
            if len(self.questions) >= MOST_QUESTIONS:
                del self.questions[next(iter(self.questions))]
            self.questions[asked] = question
        skills = question.skills
        pool = core.roster.pool(now, question.team, skills[0] if skills else None)
        seen = (
            pool.revision,
            list(core.roster.feeds.values()),
            list(core.troubles.values()),
            len(core.workspaces),
            core.roster.turns,
        )
        if seen != question.seen:
            question.built = encode(compose(core, question, now))
            question.seen = seen
        return question.built


def understood(core: Rollcall, query: bytes, sight: Sight | None = None) -> Question:
    """A query string as a question. Raises Problem."""
    found = query_of(query, PARAMETERS, repeatable=("skill",))
    team = found["team"][0] if "team" in found else None
    limit = whole_number(found.get("limit", ["20"])[0], "limit", 1, MOST_AGENTS, str(DEFAULT_LIMIT))
    skills = known_skills(core, found.get("skill", []))
    return Question(known_team(core, team, sight), skills, limit, sight)


def known_team(core: Rollcall, slug: str | None, sight: Sight | None = None) -> str | None:
    """The slug that the team now has, if there is such a team for who sees these (None: all). Raises Problem:
    "nobody" would be a lie for a mistyped team."""
    if slug is None:
        return None
    there = [team for team in core.teams if sight is None or team.slug in sight]
    present = slug_among(there, slug)
    if present is None:
        raise _no_such("team", slug, [team.slug for team in there])
    return present


def known_skills(core: Rollcall, slugs: list[str]) -> tuple[str, ...]:
    """The slugs in order, each once, if there are such skills. Raises Problem."""
    found = {slug: slug_among(core.skills, slug) for slug in slugs}
    for slug, present in found.items():
        if present is None:
            raise _no_such("skill", slug, [skill.slug for skill in core.skills])
    return tuple(sorted({present for present in found.values() if present is not None}))


def _no_such(what: str, slug: str, known: list[str]) -> Problem:
    shown = echoed(slug)
    near = nearest(slug, known)
    if near:
        hint = f"Did you mean {near}?"
    elif known:
        hint = f"Known: {', '.join(sorted(known)[:20])}."
    else:
        hint = f"There is none yet; POST /v1/{what}s makes one."
    return Problem(
        "bad_value",
        f"There is no {what} {shown}. {hint}" if shown else f"{what} is empty. {hint}",
        [Fault(what, f"the slug of a {what}", near or next(iter(sorted(known)), ""), "query")],
    )


def compose(core: Rollcall, question: Question, now: datetime) -> Availability:
    """Who is routable at `now`."""
    team, skills, sight = question.team, question.skills, question.sight
    within = team or (next(iter(sight)) if sight is not None and len(sight) == 1 else None)
    if sight is not None and within is None:
        rows, routable, counts = _of_several(core, question, sight, now)
    elif len(skills) < 2:
        rows, routable = core.roster.best(now, question.limit, within, skills)
        counts = counts_of(core, now, within, skills[0] if skills else None)
    else:
        rows, routable = core.roster.best(now, question.limit, within, skills)
        counts = _counted(core.roster.rows(now, within, skills[0]), skills)
    if sight is not None and within is None:
        is_open = any(core.roster.open(now, slug) for slug in sight)
        expected = [at for slug in sight if (at := core.roster.next_expected(now, slug, skills)) is not None]
        next_at = min(expected, default=None)
    else:
        is_open = core.roster.open(now, within)
        next_at = core.roster.next_expected(now, within, skills)
    return Availability(
        team,
        skills,
        is_open,
        next_at,
        routable,
        counts,
        tuple(routable_agent(row, sight) for row in rows),
        tuple(feed_body(core, feed) for feed in core.roster.feeds.values()),
        tuple(trouble_body(core, trouble) for trouble in core.troubles.values()),
    )


def _counted(rows: Iterable[Row], skills: Collection[str]) -> Counts:
    """Several skills, or several teams, have no pool of their own, so their agents are counted."""
    wanted = set(skills)
    tally = Counter(row.verdict.presence for row in rows if wanted.issubset(row.agent.skills))
    return Counts(tally[Presence.AVAILABLE], tally[Presence.AWAY], tally[Presence.OFFLINE])


def _of_several(
    core: Rollcall, question: Question, sight: Sight, now: datetime
) -> tuple[list[Row], int, Counts]:
    """The best of several teams, how many they are, and all by presence."""
    everybody, _ = core.roster.best(now, len(core.roster), None, question.skills)
    best = [row for row in everybody if works_for(core, row.agent, sight, now)]
    there = (row for row in core.roster.rows(now) if sees(sight, row.agent))
    return best[: question.limit], len(best), _counted(there, question.skills)
