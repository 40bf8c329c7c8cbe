"""Load reports (LRS) of Envoy and gRPC: what is asked for, and the counts in what comes.

Each report repeats the whole node, 61 kB of it: it is cut away unread. What is absurd costs its own row or
cluster only, with a reason; the rest of the report counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

from envoy.config.core.v3.address_pb2 import Address
from envoy.config.core.v3.base_pb2 import Locality as LocalityMessage
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.load_stats.v3 import lrs_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from tideover_core.model import Locality
from tideover_core.names import parse_wire_name, whole_of
from tideover_health.signals import Row
from tideover_proto.loads.v1 import loads_pb2
from tideover_wire.node import Client, read_node

SERVICE, METHOD = "envoy.service.load_stats.v3.LoadReportingService", "StreamLoadStats"
assert lrs_pb2.DESCRIPTOR.services_by_name["LoadReportingService"].full_name == SERVICE

SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 0.1, 3600.0  # of what is asked for, and of what is believed
MOST_ROWS = 20_000  # of one report, clusters or localities or endpoints; more than an Envoy calls in earnest
MOST_PER_SECOND = 1_000_000  # calls of one Envoy to one place
MOST_IN_PROGRESS = 10_000_000
MOST_METRICS = 32  # of one row
_MOST_BYTES = 256  # of one name, place or address
_MOST_REASONS = 8  # told of one report
_MOST_PERIODS = 16  # different intervals in one report

_NODE = b"\x0a"  # field 1, length-delimited


@dataclass(frozen=True, slots=True)
class Counted:
    """What one report says. `periods`: rows by how many seconds they are about; mostly one, empty when idle.

    `refused` counts what was left out, `reasons` are the first of them in words.
    """

    periods: Mapping[float, Sequence[Row]] = field(default_factory=dict)
    names: frozenset[str] = frozenset()  # wire names with traffic
    refused: int = 0
    reasons: tuple[str, ...] = ()


def hello(raw: bytes) -> Client | None:
    """Who reports, from the first message; None when it does not say. ValueError when it is none."""
    node = _parsed(loads_pb2.Request, raw).node
    return read_node(_parsed(Node, node)) if node else None


def counted(raw: bytes) -> Counted:
    """The counts of a report. ValueError when the bytes are none."""
    reading = _Reading()
    clusters = _parsed(loads_pb2.Request, without_node(raw)).cluster_stats
    for cluster in clusters if len(clusters) <= MOST_ROWS else clusters[:MOST_ROWS]:
        reading.take(cluster)
    if clusters:
        reading.idle(clusters[0])
    names = frozenset(row.name for rows in reading.periods.values() for row in rows)
    return Counted(reading.periods, names, reading.refused, tuple(reading.reasons))


def question(interval_s: float, *, by_endpoint: bool) -> bytes:
    """A LoadStatsResponse: report on all clusters, this often. Never 0, which means without a pause."""
    nanos = round(min(max(interval_s, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S) * 1e9)
    interval = Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
    message = lrs_pb2.LoadStatsResponse(
        send_all_clusters=True, load_reporting_interval=interval, report_endpoint_granularity=by_endpoint
    )
    return bytes(message.SerializeToString())


def size(raw: bytes) -> int:
    """How many bytes of a message have to be read; the node is not."""
    return len(raw) - _after_node(raw)


def without_node(raw: bytes) -> bytes:
    """The message without the node in front of it; as it is when that cannot be read."""
    start = _after_node(raw)
    return raw[start:] if start else raw


def _after_node(raw: bytes) -> int:
    start = 0
    while raw[start : start + 1] == _NODE:
        length, at = _varint(raw, start + 1)
        if at + length > len(raw):
            return 0
        start = at + length
    return start


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number that stands there and where it ends; one beyond all bytes when it does not end."""
    number = 0
    for shift, byte in zip(range(0, 35, 7), raw[at : at + 5], strict=False):
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
    return len(raw) + 1, at


class _Sum(NamedTuple):
    """Counts before they become a row."""

    locality: Locality
    address: tuple[str, int] | None
    succeeded: int
    failed: int
    in_progress: int
    metrics: tuple[tuple[str, float, int], ...]


class _Reading:
    """One report, cluster by cluster."""

    def __init__(self) -> None:
        self.periods: dict[float, list[Row]] = {}
        self.refused = 0
        self.reasons: list[str] = []
        self._rows_left = MOST_ROWS

    def take(self, cluster: Any) -> None:
        """Add the rows of one cluster. Clusters that are not ours, and idle ones, have none."""
        places, raw_name = cluster.upstream_locality_stats, cluster.cluster_name
        name = _name(raw_name) if places and len(raw_name) <= _MOST_BYTES else ""
        if not name:
            return
        interval = cluster.load_report_interval
        interval_s = interval.seconds + interval.nanos / 1e9
        if not 0 < interval_s <= LONGEST_INTERVAL_S:
            self._refuse(name, f"an interval of {interval_s:g} s")
            return
        period = self._period(name, interval_s)
        most = int(MOST_PER_SECOND * max(1.0, interval_s))
        sums: list[_Sum] = []
        for place in self._bounded(name, places):
            self._place(name, place, most, sums)
        if len(sums) > 1 and len({(one.locality, one.address) for one in sums}) < len(sums):
            sums = _together(sums)
        if sums and period is not None:
            period.extend(_rows(name, sums, cluster.total_dropped_requests))

    def idle(self, cluster: Any) -> None:
        """A report without any calls still says that somebody listens."""
        interval = cluster.load_report_interval
        interval_s = interval.seconds + interval.nanos / 1e9
        if not self.periods and not self.refused and 0 < interval_s <= LONGEST_INTERVAL_S:
            self.periods[interval_s] = []

    def _place(self, name: str, place: Any, most: int, sums: list[_Sum]) -> None:
        raw = place.locality
        locality = _locality(raw) if len(raw) <= _MOST_BYTES else None
        if locality is None:
            self._refuse(name, "a locality that is none")
            return
        if counts := self._counts(name, place, most):
            sums.append(_Sum(locality, None, *counts))
        if endpoints := place.upstream_endpoint_stats:
            for endpoint in self._bounded(name, endpoints):
                raw = endpoint.address
                address = _address(raw) if len(raw) <= _MOST_BYTES else None
                if address is None:
                    self._refuse(name, "an endpoint without an address that can be called")
                elif counts := self._counts(name, endpoint, most):
                    sums.append(_Sum(locality, address, *counts))

    def _bounded(self, name: str, stats: Sequence[Any]) -> Sequence[Any]:
        """As many of these as may still be read of this report."""
        if (count := len(stats)) > self._rows_left:
            self._refuse(name, f"{count} rows, while {self._rows_left} of {MOST_ROWS} are left")
            stats = stats[: self._rows_left]
        self._rows_left -= len(stats)
        return stats

    def _counts(
        self, name: str, stats: Any, most: int
    ) -> tuple[int, int, int, tuple[tuple[str, float, int], ...]] | None:
        """None when nothing is said, or nothing that can be believed."""
        succeeded, failed = stats.total_successful_requests, stats.total_error_requests
        in_progress = stats.total_requests_in_progress
        said = stats.load_metric_stats
        if not (succeeded or failed or in_progress or said):
            return None
        if max(succeeded, failed) > most or in_progress > MOST_IN_PROGRESS:
            # a negative number is one of these as well: on the wire it is above 2**63
            self._refuse(name, f"{max(succeeded, failed, in_progress)} calls")
            return None
        return succeeded, failed, in_progress, self._metrics(name, said) if said else ()

    def _metrics(self, name: str, said: Sequence[Any]) -> tuple[tuple[str, float, int], ...]:
        found = []
        for metric in said[:MOST_METRICS]:
            raw, answers = metric.metric_name, metric.num_requests_finished_with_metric
            known = _text(raw) if len(raw) <= _MOST_BYTES else ""
            total = metric.total_metric_value
            if total == 0 and known.endswith("_utilization"):
                continue  # what a backend does not say, Envoy reports as 0
            if known and isfinite(total) and 0 < answers <= MOST_IN_PROGRESS:
                found.append((known, total, answers))
            else:
                self._refuse(name, f"a metric of {total:g} in {answers} answers")
        return tuple(found)

    def _period(self, name: str, interval_s: float) -> list[Row] | None:
        """The rows of about this interval: clusters' clocks differ by microseconds, new ones' by more."""
        for known_s, rows in self.periods.items():
            if abs(known_s - interval_s) <= known_s / 10:
                return rows
        if len(self.periods) < _MOST_PERIODS:
            return self.periods.setdefault(interval_s, [])
        self._refuse(name, "an interval unlike those of all other clusters")
        return None

    def _refuse(self, name: str, what: str) -> None:
        self.refused += 1
        if len(self.reasons) < _MOST_REASONS:
            self.reasons.append(f"{name}: {what}; not counted")


def _together(sums: Iterable[_Sum]) -> list[_Sum]:
    """One for each place: it may be at two priorities, or in parts."""
    found: dict[tuple[Locality, tuple[str, int] | None], _Sum] = {}
    for one in sums:
        key = (one.locality, one.address)
        known = found.get(key)
        found[key] = (
            one
            if known is None
            else _Sum(
                *key,
                known.succeeded + one.succeeded,
                known.failed + one.failed,
                known.in_progress + one.in_progress,
                (*known.metrics, *one.metrics),
            )
        )
    return list(found.values())


def _rows(name: str, sums: Iterable[_Sum], dropped: int) -> Iterable[Row]:
    """Calls that a circuit breaker of this Envoy's own refused are no failures of the destination.

    Which places they would have gone to is not said: each place's failures shrink alike.
    """
    failed = sum(one.failed for one in sums if one.address is None) if dropped else 0
    kept = max(0, failed - dropped)
    for locality, address, succeeded, errors, in_progress, metrics in sums:
        left = -(-errors * kept // failed) if failed else errors
        if succeeded or left or in_progress or metrics:
            yield Row(name, locality, succeeded, left, in_progress, address, metrics)


def _parsed(message: Any, raw: bytes) -> Any:
    try:
        return message.FromString(raw)
    except DecodeError as error:
        raise ValueError(f"not a {message.DESCRIPTOR.name}: {error}") from error


@lru_cache(maxsize=1 << 13)  # keys of all caches here are at most _MOST_BYTES long
def _name(raw: bytes) -> str:
    """A wire name of ours; "" for all others, such as the cluster of the control plane itself."""
    name = _text(raw)
    return name if name and parse_wire_name(name) is not None else ""


@lru_cache(maxsize=1 << 12)
def _locality(raw: bytes) -> Locality | None:
    try:
        message = LocalityMessage.FromString(raw)
    except DecodeError:
        return None
    return Locality(message.region, message.zone, whole_of(message.sub_zone))


@lru_cache(maxsize=1 << 15)
def _address(raw: bytes) -> tuple[str, int] | None:
    """IP address and port; of an endpoint behind a tunnel those in its id."""
    try:
        message = Address.FromString(raw)
    except DecodeError:
        return None
    socket = message.socket_address
    host, port = socket.address, socket.port_value
    if message.HasField("envoy_internal_address"):
        host, _, digits = message.envoy_internal_address.endpoint_id.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0
    return (host, port) if host and 0 < port < 65536 else None


@lru_cache(maxsize=1 << 10)
def _text(raw: bytes) -> str:
    """What is no UTF-8 is no name."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return ""
