"""Prometheus metrics of a replica: read when asked for, from what is there anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import tideover_core
from tideover_core.model import ClusterFacts, Endpoint

from .fleet import Fleet
from .replica import Replica

MERGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(slots=True)
class Gauges:
    """Values that have no other home; whoever knows them sets them."""

    event_loop_lag_s: Callable[[], float] = lambda: 0.0
    state_saved_at_s: float | None = None  # Unix time of the last good write
    state_failures: int = 0
    services_failing_over: int = 0
    tls_rotations: int = 0
    configurations_applied: int = 0
    configurations_refused: int = 0


class Metrics(Collector):
    """The registry of one replica. `clock` gives Unix time."""

    def __init__(self, replica: Replica, fleet: Fleet, gauges: Gauges, clock: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        # looks at the replica, and gives what takes longer than the event loop may wait
        self.look: Callable[[], Callable[[], None]] = lambda: lambda: None
        self.merges = Histogram(
            "tideover_world_merge_seconds",
            "Time to merge all facts into a new world",
            buckets=MERGE_BUCKETS_S,
            registry=self.registry,
        )
        self._replica = replica
        self._fleet = fleet
        self._gauges = gauges
        self._clock = clock
        self._counted: dict[str, tuple[ClusterFacts, Counter[str]]] = {}
        self.registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing beforehand: the registry must not collect while it is being made."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        yield from self._of_replica()
        yield from self._of_clients()
        yield from self._of_sources()
        yield from self._of_watches()
        yield from self._of_endpoints()

    def _of_replica(self) -> Iterator[Metric]:
        now_s, gauges, replica = self._clock(), self._gauges, self._replica
        build = GaugeMetricFamily("tideover_build_info", "Version", labels=["version", "replica", "region"])
        build.add_metric([tideover_core.__version__, replica.name, replica.region], 1)
        yield build
        yield _gauge("tideover_uptime_seconds", "Since the start", now_s - replica.started_at_s)
        yield _gauge("tideover_ready", "1 when /readyz says yes", replica.readiness().ready)
        yield _gauge("tideover_world_complete", "1 when every source is known", replica.world.value.complete)
        yield _gauge(
            "tideover_problems", "What is refused now, see `tideover status`", len(replica.problems())
        )
        yield _gauge(
            "tideover_services_failing_over", "Services that fail over now", gauges.services_failing_over
        )
        yield _gauge("tideover_event_loop_lag_seconds", "Lateness of the loop", gauges.event_loop_lag_s())
        if gauges.state_saved_at_s is not None:
            age_s = max(0.0, now_s - gauges.state_saved_at_s)
            yield _gauge("tideover_state_age_seconds", "Since facts were last written to `state`", age_s)
        yield _counter(
            "tideover_state_write_failures", "Writes to `state` that failed", gauges.state_failures
        )
        yield _counter("tideover_tls_rotations", "TLS material read anew", gauges.tls_rotations)
        applied = CounterMetricFamily(
            "tideover_configurations", "Changes of tideover.yaml while running", labels=["result"]
        )
        applied.add_metric(["applied"], gauges.configurations_applied)
        applied.add_metric(["refused"], gauges.configurations_refused)
        yield applied

    def _of_clients(self) -> Iterator[Metric]:
        totals = self._fleet.totals
        yield _gauge("tideover_xds_streams", "Open streams of clients", len(self._fleet))
        yield _counter("tideover_xds_streams_opened", "Streams since the start", totals.opened)
        yield _counter("tideover_xds_streams_refused", "Streams ended for a bad request", totals.refused)
        answers = CounterMetricFamily(
            "tideover_xds_responses", "Responses by what clients made of them", labels=["type", "result"]
        )
        for result, counts in (("accepted", totals.acked), ("refused", totals.nacked)):
            for type_url, count in sorted(counts.items()):
                answers.add_metric([type_url.rsplit(".", 1)[-1], result], count)
        yield answers

    def _of_sources(self) -> Iterator[Metric]:
        known = GaugeMetricFamily("tideover_cluster_known", "1 when listed or restored", labels=["cluster"])
        stale = GaugeMetricFamily(
            "tideover_cluster_stale_seconds", "How long facts are stale; 0 while fresh", labels=["cluster"]
        )
        for cluster, status in self._replica.sources().items():
            known.add_metric([cluster], status.known)
            since_s = status.stale_since_s
            stale.add_metric([cluster], 0.0 if since_s is None else max(0.0, self._clock() - since_s))
        held = GaugeMetricFamily(
            "tideover_cluster_held_endpoints",
            "Addresses that vanished at once and are held back; 0 while none are",
            labels=["cluster"],
        )
        for cluster, origin in self._replica.origins().items():
            held.add_metric([cluster], origin.held.addresses if origin.held is not None else 0)
        yield known
        yield stale
        yield held

    def _of_watches(self) -> Iterator[Metric]:
        """How the watches of live clusters have gone."""
        labels = ["cluster", "kind"]
        lists = CounterMetricFamily("tideover_watch_lists", "Complete lists of a live cluster", labels=labels)
        begun = CounterMetricFamily("tideover_watch_starts", "Watches begun, again or anew", labels=labels)
        events = CounterMetricFamily("tideover_watch_events", "Objects that watches told of", labels=labels)
        errors = CounterMetricFamily(
            "tideover_watch_errors", "Lists and watches that ended badly", labels=[*labels, "cause"]
        )
        for one in self._replica.watching():
            lists.add_metric([one.cluster, one.kind], one.lists)
            begun.add_metric([one.cluster, one.kind], one.watches)
            events.add_metric([one.cluster, one.kind], one.events)
            for cause, count in sorted(one.errors.items()):
                errors.add_metric([one.cluster, one.kind, cause], count)
        yield from (lists, begun, events, errors)

    def _of_endpoints(self) -> Iterator[Metric]:
        services = GaugeMetricFamily("tideover_services", "Services by cluster", labels=["cluster"])
        endpoints = GaugeMetricFamily(
            "tideover_endpoints", "Endpoints of service ports by cluster", labels=["cluster", "condition"]
        )
        counted = {}
        for cluster, facts in sorted(self._replica.world.value.clusters.items()):
            before = self._counted.get(cluster)
            counts = before[1] if before is not None and before[0] is facts else _counts(facts)
            counted[cluster] = (facts, counts)
            services.add_metric([cluster], len(facts.services))
            for condition in ("ready", "not_ready", "terminating"):
                endpoints.add_metric([cluster, condition], counts[condition])
        self._counted = counted
        yield services
        yield endpoints


def _counts(facts: ClusterFacts) -> Counter[str]:
    return Counter(
        _condition(endpoint)
        for service in facts.services.values()
        for endpoints in service.endpoints.values()
        for endpoint in endpoints
    )


def _condition(endpoint: Endpoint) -> str:
    if endpoint.terminating:
        return "terminating"
    return "ready" if endpoint.ready else "not_ready"


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
