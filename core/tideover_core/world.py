"""All of it at one instant: clusters' facts merged into services, and the policies that count.

Replaced, never edited: `merge` keeps the identity of every service whose parts did not change, so
that "did this service change?" is an `is` check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .model import ClusterFacts, Endpoint, Locality, Problem, ServiceFacts, ServiceKey, ServicePort, Vantage
from .policy import DestinationRule, FailoverPolicy


class Sameness(StrEnum):
    """Which services of one namespace and name in several clusters are one service."""

    ALL = "all"
    EXPORTED = "exported"


@dataclass(frozen=True, slots=True)
class Presence:
    """What one service port in one cluster had lately (see `presence.py`); beside the facts.

    `peak_ready`: the highest ready count of the last 5 minutes, by locality.
    `vanished`: endpoints that disappeared while ready, without terminating first, and still count.
    """

    peak_ready: Mapping[Locality, int] = field(default_factory=dict)
    vanished: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What one cluster adds to a service. `presence` is keyed by service port number."""

    cluster: str
    facts: ServiceFacts
    presence: Mapping[int, Presence] = field(default_factory=dict)
    exported: bool = True  # False: with `sameness: exported`, not for clients of other clusters


@dataclass(frozen=True, slots=True)
class Service:
    """A service over all clusters. `ports` is the union, by number; `parts` are sorted by cluster."""

    key: ServiceKey
    ports: tuple[ServicePort, ...]
    parts: tuple[Part, ...]

    def port(self, number: int) -> ServicePort | None:
        """The port of that number, or None."""
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True, slots=True)
class Mesh:
    """What is configured for the whole mesh: `tideover.yaml` and the `policies` folder."""

    sameness: Sameness = Sameness.ALL
    root_namespace: str = "tideover-system"
    destination_rules: tuple[DestinationRule, ...] = ()
    failover_policies: tuple[FailoverPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """Services, policies and clusters at one instant. Freshness stands beside it (`SourceStatus`).

    `complete`: every configured source is completely known (listed, or restored from the snapshot).
    `destination_rules` and `failover_policies` are the union of all clusters' and the mesh's, oldest
    first; they keep their identity (the tuple and its items) while nothing in them changed.
    `problems` are conflicts that only show in the merge (an address claimed twice, ports that differ).
    """

    services: Mapping[ServiceKey, Service] = field(default_factory=dict)
    clusters: Mapping[str, ClusterFacts] = field(default_factory=dict)
    destination_rules: tuple[DestinationRule, ...] = ()
    failover_policies: tuple[FailoverPolicy, ...] = ()
    root_namespace: str = "tideover-system"
    complete: bool = True
    problems: tuple[Problem, ...] = ()


Presences = Mapping[tuple[str, ServiceKey], Mapping[int, Presence]]


def merge(
    clusters: Iterable[ClusterFacts],
    mesh: Mesh = Mesh(),
    presences: Presences | None = None,
    previous: World | None = None,
    *,
    complete: bool = True,
) -> World:
    """The world of these clusters, in any order; what equals its part of `previous` is that part."""
    raise NotImplementedError


def located(world: World, vantage: Vantage) -> Vantage:
    """The vantage with what it does not say: its node's locality, else its cluster's; its network."""
    raise NotImplementedError
