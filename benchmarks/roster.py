"""The roster in memory: moves of its index, whole transitions, memory an agent, loading.

    python benchmarks/roster.py

Each rate stands beside a floor of the same run: what the bare dicts or structs alone cost. Medians of
5 rounds. The agents have two accounts, two links, a team, a skill, a check-in and strings as long as the
platforms' own. `--agents 10000` for a quick look.
"""

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from bot.config import Config
from bot.domain.agent import Agent, Identity
from bot.domain.choices import choose_available
from bot.domain.facts import Facts, Feed, FeedState, Link, Observation, Policy, Seen, new_agent
from bot.domain.ids import new_id
from bot.domain.pool import Pool
from bot.domain.presence import Verdict
from bot.domain.transition import observe
from bot.ports import Transaction
from bot.roster import Roster
from bot.service import configured
from storage.database import ensure_schema, open_inline

ROUNDS = 5
START = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
APART = timedelta(milliseconds=30)
"""Between one agent's arrival and the next: 100,000 within the first hour."""
POLICY = Policy()
CONFIG = Config.model_validate(
    {
        "team": [{"slug": f"team-{number}", "name": f"Team {number}"} for number in range(20)],
        "skill": [{"slug": skill, "name": skill.title()} for skill in ("french", "billing", "hardware")],
    }
)


class Place(msgspec.Struct, frozen=True):
    """Where the agents are."""

    organization_id: str
    guild_id: str
    slack_id: str


def feeds_of(place: Place) -> list[Feed]:
    """Both live."""
    trust = timedelta(seconds=120)
    return [
        Feed(place.guild_id, "discord", FeedState.LIVE, 1, START, START, timedelta(seconds=60), trust),
        Feed(place.slack_id, "slack", FeedState.LIVE, 1, START, START, timedelta(seconds=150), trust),
    ]


def person(number: int, place: Place, feeds: dict[str, Feed]) -> tuple[Agent, Facts]:
    """Somebody whom both platforms see, and who has said that they are available, a while apart."""
    joined = START + number * APART
    name = (
        f"{('Maria', 'Chidi', 'Aleksandra', 'Jo')[number % 4]} {('Schmidt', 'Okafor')[number % 2]}-{number}"
    )
    snowflake, slack_user = f"{80351110224678912 + number * 1_000_003:018}", f"U07{number:08X}"
    picture = f"{number:024x}"
    agent = Agent(
        new_id("agt", joined),
        place.organization_id,
        name,
        zone=("Europe/Berlin", "Europe/Paris")[number % 2],
        capacity=3,
        teams=(f"team-{number % 20}",),
        skills=(("french", "billing", "hardware")[number % 3],),
        identities=(
            Identity(
                new_id("idn", joined),
                place.guild_id,
                "discord",
                snowflake,
                name,
                f"https://cdn.discordapp.com/avatars/{snowflake}/{picture}00000000.png?size=1024",
            ),
            Identity(
                new_id("idn", joined),
                place.slack_id,
                "slack",
                slack_user,
                name,
                f"https://avatars.slack-edge.com/2026-03-09/710{number:010}_{picture[-20:]}_192.png",
            ),
        ),
    )
    facts = new_agent(agent.id, joined)
    for nth, identity in enumerate(agent.identities):
        at = joined + (nth + 1) * SECOND
        seen = Observation(identity.id, identity.workspace_id, Seen.CONNECTED, at, 1, 1_000 + number)
        facts, _ = observe(facts, seen, feeds, POLICY, at, agent.zone)
    at = joined + 9 * SECOND
    facts, _ = choose_available(facts, feeds, POLICY, at, identity_id=agent.identities[0].id)
    return agent, facts


def people(count: int, place: Place) -> Iterable[tuple[Agent, Facts]]:
    """So many of them, one after the other."""
    feeds = {feed.id: feed for feed in feeds_of(place)}
    return (person(number, place, feeds) for number in range(count))


def last(count: int) -> datetime:
    """When all of them have arrived."""
    return START + count * APART + timedelta(minutes=1)


def timed(work: Callable[[], object]) -> float:
    """Seconds of the processor's time, which others on the machine take less from than from the clock's;
    the collector rests, as it does not count against either side."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


def rates(ours: Callable[[], int], floor: Callable[[], int]) -> tuple[float, float, float]:
    """Ours and the floor a second, and their ratio: in turn, medians."""
    pairs = []
    counts = [0, 0]

    def counted(which: int, work: Callable[[], int]) -> None:
        counts[which] = work()

    for _ in range(ROUNDS):
        mine = timed(partial(counted, 0, ours))
        bare = timed(partial(counted, 1, floor))
        pairs.append((counts[0] / mine, counts[1] / bare))
    ratio = statistics.median(mine / bare for mine, bare in pairs)
    return statistics.median(one for one, _ in pairs), statistics.median(two for _, two in pairs), ratio


# --- moves ---


def moves() -> tuple[float, float, float]:
    """`Pool.move` of 10,000 agents to another load ratio and back; the floor: two bare dicts."""
    ids = [new_id("agt", START) for _ in range(10_000)]
    pool = Pool()
    for agent_id in ids:
        pool.move(agent_id, None, 0.0)
    idle: dict[str, None] = dict.fromkeys(ids)
    busy: dict[str, None] = {}

    def ours() -> int:
        move = pool.move
        for _ in range(5):
            for agent_id in ids:
                move(agent_id, 0.0, 0.5)
            for agent_id in ids:
                move(agent_id, 0.5, 0.0)
        return 10 * len(ids)

    def floor() -> int:
        for _ in range(5):
            for agent_id in ids:
                del idle[agent_id]
                busy[agent_id] = None
            for agent_id in ids:
                del busy[agent_id]
                idle[agent_id] = None
        return 10 * len(ids)

    return rates(ours, floor)


# --- transitions ---


def transitions() -> tuple[float, float, float]:
    """10,000 agents lose their only link and get it back: observed, decided, put, pools and all.

    Storage aside: what it would do to the facts, a new version, is done. The floor makes the three structs
    that no transition can do without: a link, facts, a verdict.
    """
    place = Place("org_1", "wsp_guild", "wsp_slack")
    feeds = feeds_of(place)
    roster = Roster(POLICY)
    alone = [
        (agent, replace(facts, check_in=None, links=facts.links[:1]))
        for agent, facts in people(10_000, place)
    ]
    at = last(10_000)
    roster.load(alone, feeds, [], at)
    agents = [agent for agent, _ in alone]
    seqs = iter(range(1_000_000, 10_000_000))

    def ours() -> int:
        nonlocal at
        for seen in (Seen.DISCONNECTED, Seen.CONNECTED):
            at += SECOND
            seq = next(seqs)
            put, facts_of, known, policy = roster.put, roster.facts, roster.feeds, roster.policy
            for agent in agents:
                identity = agent.identities[0]
                before = facts_of(agent.id)
                assert before is not None
                observation = Observation(identity.id, place.guild_id, seen, at, 1, seq)
                after, _ = observe(before, observation, known, policy, at, agent.zone)
                put(agent, replace(after, version=before.version + 1), at)
        return 2 * len(agents)

    first = alone[0][1]
    link, verdict = first.links[0], Verdict(first.interval.presence, "set", "agent", "", True, None, True)

    def floor() -> int:
        for _ in range(2 * len(agents)):
            links = (Link(link.identity_id, link.feed_id, link.state, at, 1, 1, False),)
            Facts(
                first.agent_id,
                first.intent,
                first.interval,
                1,
                None,
                links,
                at,
                at,
                None,
                None,
                at,
            )
            Verdict(verdict.presence, "set", "agent", "", True, None, True)
        return 2 * len(agents)

    figures = rates(ours, floor)
    assert roster.pool(at).routable == len(agents)
    return figures


# --- memory ---


def bytes_an_agent(count: int) -> dict[str, float]:
    """What an agent costs in memory, by part, as tracemalloc counts it; the spare of dicts included."""
    place = Place("org_1", new_id("wsp", START), new_id("wsp", START))
    feeds = feeds_of(place)
    known = {feed.id: feed for feed in feeds}
    gc.collect()
    tracemalloc.start()
    try:
        kept: list[object] = [None] * count
        before = tracemalloc.get_traced_memory()[0]
        roster = Roster(POLICY)
        for number in range(count):
            agent, facts = person(number, place, known)
            kept[number] = facts
            del agent
        of_facts = tracemalloc.get_traced_memory()[0] - before
        kept.clear()
        del facts
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        kept = [person(number, place, known) for number in range(count)]
        of_both = tracemalloc.get_traced_memory()[0] - before - 64 * count
        roster.load(kept, feeds, [], last(count))  # type: ignore[arg-type]
        kept.clear()
        gc.collect()
        in_all = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(roster) == count
    return {
        "in all": in_all / count,
        "the agent with two accounts": (of_both - of_facts) / count,
        "the facts with two links": of_facts / count,
        "the roster's own": (in_all - of_both) / count,
    }


# --- loading ---


async def stored(url: str, count: int) -> Place:
    """The agents in a SQLite file. Answers where they are."""
    ensure_schema(url)
    store = open_inline(url, "normal")

    def found(tx: Transaction) -> Place:
        organization_id = configured.prepare(tx, CONFIG, START)
        guild = tx.members.ensure_workspace(organization_id, "discord", "1", "Guild", START)
        slack = tx.members.ensure_workspace(organization_id, "slack", "T1", "Slack", START)
        return Place(organization_id, guild.id, slack.id)

    def add(batch: list[tuple[Agent, Facts]], tx: Transaction) -> None:
        for agent, facts in batch:
            tx.members.add(agent, facts, START)

    try:
        place = await store.write(found)
        everybody = list(people(count, place))
        for first in range(0, count, 5_000):
            await store.write(partial(add, everybody[first : first + 5_000]))
        return place
    finally:
        await store.close()


def read(url: str, organization_id: str, feeds: list[Feed], count: int) -> Roster:
    """What a start does: everybody out of the file and into a roster."""

    async def reading() -> Roster:
        store = open_inline(url)
        try:
            everyone = await store.read(lambda tx: list(tx.members.everyone(organization_id)))
        finally:
            await store.close()
        roster = Roster(POLICY)
        roster.load(everyone, feeds, [], last(count))
        return roster

    return asyncio.run(reading())


class Loading(msgspec.Struct, frozen=True):
    """Seconds, and what an agent holds in memory who came out of the file."""

    from_structs: float
    from_file: float
    decoded: float
    """The floor: as many structs out of MessagePack, which msgspec does in C."""
    bytes_an_agent: float


def loading(count: int) -> Loading:
    """Into the roster: from decoded structs, and from a SQLite file with the reading."""
    place = Place("org_1", new_id("wsp", START), new_id("wsp", START))
    everybody = list(people(count, place))
    packed = [msgspec.msgpack.encode(one) for one in everybody]
    decoder = msgspec.msgpack.Decoder(tuple[Agent, Facts])

    def decoded() -> object:
        return [decoder.decode(one) for one in packed]

    def structs() -> None:
        Roster(POLICY).load(everybody, feeds_of(place), [], last(count))

    bare = statistics.median(timed(decoded) for _ in range(ROUNDS))
    from_structs = statistics.median(timed(structs) for _ in range(ROUNDS))
    everybody.clear()
    packed.clear()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'rollcall.db'}"
        place = asyncio.run(stored(url, count))
        feeds = feeds_of(place)
        from_file = []
        for _ in range(ROUNDS):
            gc.collect()
            began = time.perf_counter()
            roster = read(url, place.organization_id, feeds, count)
            from_file.append(time.perf_counter() - began)
            assert roster.pool(last(count)).routable == count
            del roster
        gc.collect()
        tracemalloc.start()
        try:
            roster = read(url, place.organization_id, feeds, count)
            gc.collect()
            size = tracemalloc.get_traced_memory()[0] / len(roster)
        finally:
            tracemalloc.stop()
    return Loading(from_structs, statistics.median(from_file), bare, size)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--agents", type=int, default=100_000, help="for memory and loading")
    given = parser.parse_args()
    table = Table("what", "measured", "asked for", "floor", "of the floor")
    met = []

    def row(what: str, measured: str, target: str, floor: str, ratio: str, enough: bool) -> None:
        table.add_row(what, measured + ("" if enough else "  [bold]not reached[/]"), target, floor, ratio)
        met.append(enough)

    rate, floor, ratio = moves()
    row("index moves/s", f"{rate:,.0f}", "≥ 1,000,000", f"{floor:,.0f} dict", f"{ratio:.2f}", rate >= 1e6)
    rate, floor, ratio = transitions()
    row("transitions/s", f"{rate:,.0f}", "≥ 100,000", f"{floor:,.0f} structs", f"{ratio:.2f}", rate >= 1e5)
    parts = bytes_an_agent(given.agents)
    in_all = parts.pop("in all")
    row("bytes an agent", f"{in_all:,.0f}", "≤ 1,200", "", "", in_all <= 1_200)
    for part, size in parts.items():
        table.add_row(f"  {part}", f"{size:,.0f}", "", "", "")
    loaded = loading(given.agents)
    table.add_row("  out of SQLite, in all", f"{loaded.bytes_an_agent:,.0f}", "", "", "")
    most = 2.0 * given.agents / 100_000
    row(
        f"{given.agents:,} out of SQLite, s",
        f"{loaded.from_file:.2f}",
        f"≤ {most:g}",
        f"{loaded.decoded:.2f} msgpack",
        f"{loaded.from_file / loaded.decoded:.1f}",
        loaded.from_file <= most,
    )
    table.add_row("  of that the roster's, s", f"{loaded.from_structs:.2f}", "", "", "")
    Console(width=110).print(table)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
