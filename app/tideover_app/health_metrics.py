"""Prometheus metrics of health: read when asked for, with labels of which there are not many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tideover_core.capacity import client_at
from tideover_core.model import Locality, ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.plan import plan
from tideover_core.world import Service, World
from tideover_health.verdict import Kind, State

from .health_view import HealthView
from .replica import Replica

MOST_PORTS = 100  # service ports whose shares are told: those in trouble, then those with the most calls
MOST_SOURCES = 8  # places whose clients are looked at, of one service port
Share = Mapping[tuple[str, int], float]  # (locality, priority) -> percent


@dataclass(frozen=True, slots=True)
class _Planned:
    """The shares that one source place was planned, and of which service under which policies."""

    service: Service
    rules: tuple[object, ...]
    shares: Share


class HealthMetrics(Collector):
    """What a replica judges."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._planned: dict[tuple[ServiceKey, int, Locality], _Planned] = {}
        self._traffic: tuple[tuple[tuple[str, str, str, str], float], ...] | None = None

    def look(self) -> Callable[[], None]:
        """Look at the replica now; what is returned plans the traffic of that moment, which may take seconds
        when much changed: to be called elsewhere, one at a time. The next `collect` shows it."""
        world, view = self._replica.world.value, self._replica.health()

        def plan_traffic() -> None:
            self._traffic = tuple(self._planned_traffic(world, view))

        return plan_traffic

    def describe(self) -> list[Metric]:
        """Nothing beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        view = self._replica.health()
        yield from self._of_verdicts(view)
        yield from self._of_reports(view)
        yield from self._of_capacity(view)
        yield self._of_traffic()

    def _of_verdicts(self, view: HealthView) -> Iterator[Metric]:
        verdicts = GaugeMetricFamily(
            "tideover_verdicts", "What is not simply healthy, by state", labels=["kind", "state"]
        )
        counts = Counter((one.subject.kind, one.state) for one in view.verdicts)
        for kind in Kind:
            for state in State:
                if state is not State.HEALTHY:
                    verdicts.add_metric([kind.value, state.value], counts[kind, state])
        yield verdicts
        yield GaugeMetricFamily(
            "tideover_health_alarms",
            "Services that look sick everywhere, or that nobody has room for",
            value=len(view.alarms),
        )
        ejections = CounterMetricFamily(
            "tideover_ejections",
            "How often something was given no more calls: by verdicts (judge), by outlier detection (envoy)",
            labels=["source", "kind", "cause"],
        )
        for labels, count in sorted(view.ejections.items()):
            ejections.add_metric(labels, count)
        yield ejections

    def _of_capacity(self, view: HealthView) -> Iterator[Metric]:
        """Of service ports of which something is full first: bounded."""
        labels = ["service", "port"]
        short = GaugeMetricFamily(
            "tideover_capacity_shortfall_requests_per_second",
            "Calls of a service port that fit nowhere",
            labels=labels,
        )
        places = [*labels, "cluster", "locality"]
        carried = GaugeMetricFamily(
            "tideover_capacity_requests_per_second",
            "What a place carries, as far as health admits calls",
            labels=places,
        )
        expected = GaugeMetricFamily(
            "tideover_capacity_expected_requests_per_second", "What a place is sent", labels=places
        )
        plans = sorted(
            view.plans.items(), key=lambda one: (-one[1].shortfall, not one[1].shares, str(one[0]))
        )
        for target, planned in plans[:MOST_PORTS]:
            port = [str(target.service), str(target.port)]
            short.add_metric(port, planned.shortfall)
            for site, load in planned.loads.items():
                carried.add_metric([*port, site.cluster, str(site.locality)], load.capacity)
                expected.add_metric([*port, site.cluster, str(site.locality)], load.expected)
        yield from (short, carried, expected)

    def _of_reports(self, view: HealthView) -> Iterator[Metric]:
        heard = view.heard
        for name, what, at_s in (
            ("report", "a client reported calls", heard.last_report_s),
            ("check", "an active check said something", heard.last_check_s),
        ):
            if at_s is not None:
                age_s = max(0.0, view.at_s - at_s)  # both on the clock that never jumps
                yield GaugeMetricFamily(f"tideover_last_{name}_seconds", f"Since {what}", value=age_s)
        reporters = GaugeMetricFamily(
            "tideover_reporters", "Clients that report; unproven ones share one vote", labels=["identity"]
        )
        reporters.add_metric(["proven"], view.pace.proven)
        reporters.add_metric(["unproven"], view.pace.unproven)
        yield reporters
        yield GaugeMetricFamily(
            "tideover_report_interval_seconds", "Between two reports of a client", value=view.pace.interval_s
        )
        yield GaugeMetricFamily(
            "tideover_detection_seconds",
            "Longest time until a failure is judged, where enough is called",
            value=view.pace.detection_s,
        )
        looking = view.looking
        if looking.prober is not None:
            yield GaugeMetricFamily(
                "tideover_checks_stretch",
                "Checks of this replica are rarer than policies say by this factor, to stay within the rate",
                value=looking.prober.stretch,
            )
            checks = CounterMetricFamily(
                "tideover_checks", "Active checks of this replica by result", labels=["result"]
            )
            for result in ("passed", "failed", "not_looked"):
                checks.add_metric([result], getattr(looking.prober, result))
            yield checks
        dropped = CounterMetricFamily(
            "tideover_reports_dropped", "Rows and checks that do not count, by reason", labels=["reason"]
        )
        for reason, count in sorted(heard.dropped.items()):
            dropped.add_metric([reason], count)
        yield dropped

    def _of_traffic(self) -> Metric:
        """As it was planned at the last `look`."""
        traffic = GaugeMetricFamily(
            "tideover_traffic_percent",
            "Expected share of a service port's calls",
            labels=["service", "port", "locality", "priority"],
        )
        if self._traffic is None:
            self.look()()
        for labels, percent in self._traffic or ():
            traffic.add_metric(labels, percent)
        return traffic

    def _planned_traffic(
        self, world: World, view: HealthView
    ) -> Iterator[tuple[tuple[str, str, str, str], float]]:
        """By Envoy's arithmetic, weighted by the calls that each place makes."""
        callers = _callers(view)
        planned: dict[tuple[ServiceKey, int, Locality], _Planned] = {}
        client = cache(partial(client_at, world))  # of a cluster there: networks and scopes count
        for key, port in _chosen(world, view, callers):
            sources = callers.get((key, port)) or _own_places(world.services[key], port)
            shares = self._shares(world, (key, port), sources, planned, client)
            for (locality, priority), percent in sorted(shares.items()):
                yield (str(key), str(port), locality, str(priority)), round(percent, 2)
        self._planned = planned

    def _shares(
        self,
        world: World,
        what: tuple[ServiceKey, int],
        sources: Mapping[Locality, float],
        planned: dict[tuple[ServiceKey, int, Locality], _Planned],
        client: Callable[[Locality], Vantage],
    ) -> Share:
        key, port = what
        service = world.services[key]
        rules = (world.destination_rules, world.failover_policies, world.orders)
        largest = sorted(sources.items(), key=lambda one: (-one[1], one[0]))[:MOST_SOURCES]
        total = sum(weight for _, weight in largest) or 1.0
        shares: Counter[tuple[str, int]] = Counter()
        for source, weight in largest:
            known = self._planned.get((key, port, source))
            same = known is not None and known.service is service
            if known is None or not same or any(a is not b for a, b in zip(known.rules, rules, strict=True)):
                known = _Planned(service, rules, _planned(world, Target(key, port), client(source)))
            planned[key, port, source] = known
            for where, percent in known.shares.items():
                shares[where] += percent * weight / total  # type: ignore[assignment]  # a Counter of floats
        return shares


def _planned(world: World, target: Target, client: Vantage) -> Share:
    assignment = plan(world, target, client)
    shares: dict[tuple[str, int], float] = {}
    for number, priority in enumerate(assignment.priorities if assignment is not None else ()):
        total = sum(place.weight for place in priority.localities) or 1
        for place in priority.localities:
            where = (str(place.locality), number)
            share = priority.expected_traffic_percent * place.weight / total
            shares[where] = shares.get(where, 0.0) + share
    return shares


def _callers(view: HealthView) -> dict[tuple[ServiceKey, int], dict[Locality, float]]:
    """Calls per second of each service port, by where the callers are."""
    callers: dict[tuple[ServiceKey, int], dict[Locality, float]] = {}
    for (key, port, source, _), rate in view.loads.items():
        by_source = callers.setdefault((key, port), {})
        by_source[source] = by_source.get(source, 0.0) + rate
    return callers


def _own_places(service: Service, port: int) -> dict[Locality, float]:
    """Nobody is known to call: as if clients were where the service is."""
    places = {e.locality for part in service.parts for e in part.facts.endpoints.get(port, ())}
    return dict.fromkeys((Locality(one.region, one.zone) for one in places), 1.0)


def _chosen(
    world: World, view: HealthView, callers: Mapping[tuple[ServiceKey, int], Mapping[Locality, float]]
) -> list[tuple[ServiceKey, int]]:
    """The service ports to tell of: bounded, those in trouble first."""
    judged = {(one.service, one.port) for one in view.verdicts}
    judged |= {(key, port) for key, service in world.services.items() for port in service.steering}
    busiest = sorted(callers, key=lambda one: -sum(callers[one].values()))
    chosen = [*sorted(judged), *(one for one in busiest if one not in judged)]
    return [
        (key, port)
        for key, port in chosen
        if key in world.services and world.services[key].port(port) is not None
    ][:MOST_PORTS]
