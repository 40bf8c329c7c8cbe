"""Envoy's metrics service: members and latencies of our clusters, out of the statistics that are sent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from envoy.config.core.v3.base_pb2 import Node
from google.protobuf.message import DecodeError

from tideover_core.names import parse_wire_name
from tideover_proto.metrics.v1 import metrics_pb2
from tideover_wire.node import Client, read_node

SERVICE, METHOD = "envoy.service.metrics.v3.MetricsService", "StreamMetrics"
MOST_FAMILIES = 50_000  # of one message: some ten for each of 5,000 clusters
MOST_ZONES = 64  # of one cluster
QUANTILE = 0.99
_GAUGES = {
    "membership_total": "total",
    "membership_healthy": "healthy",
    "outlier_detection.ejections_active": "ejected",
}
_LATENCY = ".upstream_rq_time"
_EJECTIONS = "outlier_detection.ejections_enforced_"
CAUSES = frozenset(  # of ejections, as Envoy names them
    {
        "consecutive_5xx", "consecutive_gateway_failure", "consecutive_local_origin_failure", "success_rate",
        "failure_percentage", "local_origin_success_rate", "local_origin_failure_percentage",
    }
)  # fmt: skip


@dataclass(slots=True)
class Cluster:
    """What one message says of one cluster. `latency_ms` by the zone of the destination."""

    total: int = -1
    healthy: int = -1
    ejected: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict)
    ejections: dict[str, int] = field(default_factory=dict)  # since the Envoy started, by cause

    @property
    def known(self) -> bool:
        """Whether its members were said, sensibly."""
        return 0 <= self.healthy <= self.total and self.ejected >= 0


def hello(raw: bytes) -> Client | None:
    """Who sends, which only the first message of a stream says. ValueError when it is no message."""
    message = _parse(raw)
    if not message.HasField("identifier"):
        return None
    try:
        return read_node(Node.FromString(message.identifier.node))
    except DecodeError as error:
        raise ValueError(f"not a node: {error}") from error


def clusters(raw: bytes, zone: str) -> dict[str, Cluster]:
    """Wire name -> what is said of it, by an Envoy of this zone. ValueError when it is no message."""
    found: dict[str, Cluster] = {}
    foreign: set[str] = set()
    for family in islice(_parse(raw).envoy_metrics, MOST_FAMILIES):
        kind, _, rest = family.name.partition(".")
        name, _, statistic = rest.partition(".")
        name = _wire_name(name)
        if kind != "cluster" or not statistic or name in foreign:
            continue
        cluster = found.get(name)
        if cluster is None:
            if parse_wire_name(name) is None:
                foreign.add(name)
                continue
            cluster = found[name] = Cluster()
        _take(cluster, statistic, family.metric, zone)
    return {name: cluster for name, cluster in found.items() if cluster.known}


class Counts:
    """Counters of one Envoy, from message to message: only what was seen to grow counts."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], int] | None = None  # None: nothing was said yet

    def grown(self, found: Mapping[str, Cluster]) -> Counter[str]:
        """How many ejections are new, by cause; of one cluster never more than it has endpoints."""
        grown: Counter[str] = Counter()
        before = self._before
        now = {} if before is None else before
        for name, cluster in found.items():
            for cause, count in cluster.ejections.items():
                # Envoy sends a counter from its first count on
                known = count if before is None else now.get((name, cause), 0)
                if (more := min(count - known, cluster.total)) > 0:
                    grown[cause] += more
                now[name, cause] = count
        self._before = now
        return grown


def _wire_name(said: str) -> str:
    """Envoy writes `_` for `:` in names of statistics; names of services have no `_`."""
    name, mark, subset = said.partition("#")
    service, _, port = name.rpartition("_")
    return f"{service}:{port}{mark}{subset}"


def _take(cluster: Cluster, statistic: str, metrics: Iterable[Any], zone: str) -> None:
    gauge = _GAUGES.get(statistic)
    if gauge is not None:
        for metric in islice(metrics, 1):
            value = metric.gauge.value
            # NaN and what no cluster has is as good as nothing said
            setattr(cluster, gauge, int(value) if 0 <= value < 1e9 else -1)
        return
    if statistic.startswith(_EJECTIONS):
        cause = statistic.removeprefix(_EJECTIONS)
        for metric in islice(metrics, 1 if cause in CAUSES else 0):
            value = metric.counter.value
            cluster.ejections[cause] = int(value) if 0 <= value < 1e15 else 0
        return
    prefix = f"zone.{zone}."
    # a zone may have dots in its name: the client's own is known, what is left is the destination's
    if zone and statistic.startswith(prefix) and statistic.endswith(_LATENCY):
        destination = statistic[len(prefix) : -len(_LATENCY)]
        if destination and len(cluster.latency_ms) < MOST_ZONES:
            for metric in islice(metrics, 1):
                value = _quantile(metric.summary)
                if value is not None:
                    cluster.latency_ms[destination] = value


def _quantile(summary: Any) -> float | None:
    """The quantile that counts, of what was answered since the last message; None without an answer."""
    if not summary.sample_count:
        return None
    for one in islice(summary.quantile, 32):
        if math.isclose(one.quantile, QUANTILE) and 0 <= one.value < math.inf:
            return float(one.value)
    return None


def _parse(raw: bytes) -> Any:
    try:
        return metrics_pb2.StreamMetrics.FromString(raw)
    except DecodeError as error:
        raise ValueError(f"not a message of the metrics service: {error}") from error
