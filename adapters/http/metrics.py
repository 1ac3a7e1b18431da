"""Metrics for Prometheus: what the API did, and how the roster stands. Names stand in docs/http-api.md.

Requests are counted in plain numbers and put into Prometheus's form when they are asked for: a counter
and a histogram of prometheus_client cost more than the rest of the hot route's bookkeeping.
"""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adapters.http.stream import Stream
from bot.core import Rollcall
from bot.domain.facts import FeedState

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: from the hot route's tenths of a millisecond to what a client would give up on."""


class Requests(Collector):
    """How many requests there were, and how long they took."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, int], int] = {}
        self._times: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """One more request. `route` is a template, never an address: labels stay few."""
        counted = (method, route, status)
        self.counts[counted] = self.counts.get(counted, 0) + 1
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = [0] * (len(BOUNDS) + 1)
            self._sums[route] = 0.0
        times[bisect_left(BOUNDS, seconds)] += 1
        self._sums[route] += seconds

    def collect(self) -> Iterator[Metric]:
        """In Prometheus's form."""
        count = CounterMetricFamily(
            "rollcall_http_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        for (method, route, status), number in self.counts.items():
            count.add_metric([method, route, str(status)], number)
        yield count
        taken = HistogramMetricFamily(
            "rollcall_http_request_seconds", "Seconds from head to answer.", labels=["route"]
        )
        for route, times in self._times.items():
            buckets, total = [], 0
            for bound, number in zip((*map(str, BOUNDS), "+Inf"), times, strict=True):
                total += number
                buckets.append((bound, total))
            taken.add_metric([route], buckets, self._sums[route])
        yield taken


OF = "organization"


class Standing(Collector):
    """How each organization stands at the instant of the question."""

    def __init__(self) -> None:
        self.of: list[tuple[Rollcall, Stream]] = []

    def collect(self) -> Iterator[Metric]:
        """In Prometheus's form."""
        agents = GaugeMetricFamily("rollcall_agents", "Agents by presence.", labels=[OF, "presence"])
        routable = GaugeMetricFamily(
            "rollcall_routable_agents", "Agents who may be offered new work now.", labels=[OF]
        )
        feeds = GaugeMetricFamily(
            "rollcall_feed_live",
            "1 where a platform's stream is live.",
            labels=[OF, "platform", "workspace"],
        )
        there = GaugeMetricFamily(
            "rollcall_feed_agents", "Agents with an account there.", labels=[OF, "platform", "workspace"]
        )
        seen = GaugeMetricFamily(
            "rollcall_feed_agents_seen",
            "Of these, who were seen since the stream began anew.",
            labels=[OF, "platform", "workspace"],
        )
        troubles = GaugeMetricFamily(
            "rollcall_troubles", "Things wrong with platforms that need somebody.", labels=[OF]
        )
        listeners = GaugeMetricFamily(
            "rollcall_event_listeners", "Streams of events that are open.", labels=[OF]
        )
        dropped = CounterMetricFamily(
            "rollcall_event_listeners_dropped",
            "Streams that were ended because too much waited for them.",
            labels=[OF],
        )
        ready = GaugeMetricFamily("rollcall_ready", "1 while Rollcall answers.", labels=[OF])
        for core, stream in self.of:
            slug = core.config.organization.slug
            pool = core.roster.pool(core.clock.now())
            agents.add_metric([slug, "available"], pool.available)
            agents.add_metric([slug, "away"], pool.away)
            agents.add_metric([slug, "offline"], pool.offline)
            routable.add_metric([slug], pool.routable)
            for feed in core.roster.feeds.values():
                workspace = core.workspaces.get(feed.id)
                labels = [slug, feed.platform, workspace.external_id if workspace else feed.id]
                feeds.add_metric(labels, float(feed.state is FeedState.LIVE))
                of_them, of_all = core.roster.seen_on(feed.id)
                seen.add_metric(labels, of_them)
                there.add_metric(labels, of_all)
            troubles.add_metric([slug], len(core.troubles))
            listeners.add_metric([slug], stream.listeners)
            dropped.add_metric([slug], stream.dropped)
            ready.add_metric([slug], float(core.ready))
        yield from (agents, routable, feeds, there, seen, troubles, listeners, dropped, ready)


class Metrics:
    """One program's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.requests = Requests()
        self._standing = Standing()
        self.registry = CollectorRegistry()
        self.registry.register(self.requests)
        self.registry.register(self._standing)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def add(self, core: Rollcall, stream: Stream) -> None:
        """One organization more."""
        self._standing.of.append((core, stream))

    def page(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self.registry)
