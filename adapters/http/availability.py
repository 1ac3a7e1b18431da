"""`GET /v1/availability`, the hot route: bytes from memory, made anew only when the answer has changed.

The bytes of one question are kept until its pool's revision, a team's being open, a feed or a trouble
changes. Each call
settles the roster to `now` first, so that the answer never waits for a tick, and puts `as_of` in.
"""

from datetime import datetime

from adapters.http.documents import (
    Availability,
    Counts,
    Encoded,
    counts_of,
    encode,
    feed_body,
    routable_agent,
    trouble_body,
)
from adapters.http.incoming import echoed, nearest, query_of, whole_number
from adapters.http.problems import Fault, Problem
from bot.core import Rollcall
from bot.domain.facts import Presence

PATH = "/v1/availability"
PARAMETERS = ("team", "skill", "limit")
DEFAULT_LIMIT, MOST_AGENTS = 20, 100
MOST_QUESTIONS = 256
"""Questions whose bytes are kept: some 25 kB each with 100 agents, so a few MB at most."""


class Question:
    """One query string, understood, with the bytes that last answered it."""

    __slots__ = ("built", "limit", "seen", "skills", "team")

    def __init__(self, team: str | None, skills: tuple[str, ...], limit: int) -> None:
        self.team = team
        self.skills = skills
        self.limit = limit
        self.seen: object = None
        self.built: Encoded


class AvailabilityRoute:
    """Answers the hot route."""

    def __init__(self, core: Rollcall) -> None:
        self._core = core
        self.questions: dict[bytes, Question] = {}
        self._known: tuple[object, object] = (None, None)

    def answer(self, query: bytes, now: datetime) -> Encoded:
        """The answer that is true at `now`. Raises Problem for a query that can't be understood."""
        core = self._core
        if self._known[0] is not core.teams or self._known[1] is not core.skills:
            self._known = (core.teams, core.skills)
            self.questions.clear()
        question = self.questions.get(query)
        if question is None:
            question = understood(core, query)
            if len(self.questions) >= MOST_QUESTIONS:
                del self.questions[next(iter(self.questions))]
            self.questions[query] = question
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


def understood(core: Rollcall, query: bytes) -> Question:
    """A query string as a question. Raises Problem."""
    found = query_of(query, PARAMETERS, repeatable=("skill",))
    team = found["team"][0] if "team" in found else None
    limit = whole_number(found.get("limit", ["20"])[0], "limit", 1, MOST_AGENTS, str(DEFAULT_LIMIT))
    skills = known_skills(core, found.get("skill", []))
    return Question(known_team(core, team), skills, limit)


def known_team(core: Rollcall, slug: str | None) -> str | None:
    """The slug, if there is such a team. Raises Problem: "nobody" would be a lie for a mistyped team."""
    if slug is None or any(team.slug == slug for team in core.teams):
        return slug
    raise _no_such("team", slug, [team.slug for team in core.teams])


def known_skills(core: Rollcall, slugs: list[str]) -> tuple[str, ...]:
    """The slugs in order, each once, if there are such skills. Raises Problem."""
    known = [skill.slug for skill in core.skills]
    for slug in slugs:
        if slug not in known:
            raise _no_such("skill", slug, known)
    return tuple(sorted(set(slugs)))


def _no_such(what: str, slug: str, known: list[str]) -> Problem:
    shown = echoed(slug)
    near = nearest(slug, known)
    if near:
        hint = f"Did you mean {near}?"
    elif known:
        hint = f"Known: {', '.join(sorted(known)[:20])}."
    else:
        hint = f"There is none yet; see [[{what}]] in the configuration."
    return Problem(
        "bad_value",
        f"There is no {what} {shown}. {hint}" if shown else f"{what} is empty. {hint}",
        [Fault(what, f"the slug of a {what}", near or next(iter(sorted(known)), ""), "query")],
    )


def compose(core: Rollcall, question: Question, now: datetime) -> Availability:
    """Who is routable at `now`."""
    team, skills = question.team, question.skills
    rows, routable = core.roster.best(now, question.limit, team, skills)
    if len(skills) < 2:
        counts = counts_of(core, now, team, skills[0] if skills else None)
    else:
        counts = _counted(core, question, now)
    return Availability(
        team,
        skills,
        core.roster.open(now, team),
        core.roster.next_expected(now, team, skills),
        routable,
        counts,
        tuple(routable_agent(row) for row in rows),
        tuple(feed_body(core, feed) for feed in core.roster.feeds.values()),
        tuple(trouble_body(core, trouble) for trouble in core.troubles.values()),
    )


def _counted(core: Rollcall, question: Question, now: datetime) -> Counts:
    """Several skills have no pool of their own, so their agents are counted."""
    wanted = set(question.skills)
    tally = dict.fromkeys(Presence, 0)
    for row in core.roster.rows(now, question.team, question.skills[0]):
        if wanted.issubset(row.agent.skills):
            tally[row.verdict.presence] += 1
    return Counts(tally[Presence.AVAILABLE], tally[Presence.AWAY], tally[Presence.OFFLINE])
