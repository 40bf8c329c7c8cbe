"""What is seen of health, by whom: values that servers and probers make and the judge takes. All times in
seconds, all counts of the period that a signal is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tideover_core.model import Locality


@dataclass(frozen=True, slots=True)
class Voter:
    """Who reports. One vote per Envoy of proven identity; all that prove nothing share one.

    `node` is the Kubernetes node, proven or matched with facts; "" unknown. `cluster` and `locality` are
    where it stands, completed by the world (`world.located`).
    """

    id: str  # "" is the shared vote of those without proof
    cluster: str = ""
    locality: Locality = field(default_factory=Locality)
    node: str = ""

    @property
    def proven(self) -> bool:
        """Whether it has a vote of its own."""
        return bool(self.id)


class Row(NamedTuple):
    """Calls of one Envoy to one destination. `address` is None where the whole locality is meant.

    `failed` counts attempts, retries too, not users' failures.
    """

    name: str  # wire name, namespace/service:port, perhaps #subset
    locality: Locality  # of the destination
    succeeded: int
    failed: int
    in_progress: int = 0
    address: tuple[str, int] | None = None
    metrics: tuple[tuple[str, float, int], ...] = ()  # ORCA: name, sum, how many answers said it


@dataclass(frozen=True, slots=True)
class Report:
    """One load report, cut down and checked. `interval_s` is how long it is about, never arrival times."""

    voter: Voter
    interval_s: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One result of an active check of an endpoint. `checker` is who looked: our prober or an Envoy (HDS)."""

    checker: Voter
    name: str  # wire name
    address: tuple[str, int]
    healthy: bool
    detail: str = ""  # "HTTP 503", "no answer within 0.5 s"


@dataclass(frozen=True, slots=True)
class Members:
    """What load reports cannot say, from Envoy's metrics service: total ejection, and slow answers.

    `latency_ms`: quantile of answers from that zone, or None. Counts are of one cluster in one Envoy.
    """

    voter: Voter
    name: str
    total: int
    healthy: int
    ejected: int
    latency_ms: tuple[tuple[Locality, float], ...] = ()  # by destination, the 99th percentile


Signal = Report | Checked | Members
