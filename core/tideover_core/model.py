"""Values that everything shares: places, services, endpoints, and what one cluster says of them.

All are frozen: change means a new value, and an unchanged part keeps its identity, so that
"did this change?" is an `is` check. Mappings in them are never mutated after construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .exports import Export
    from .orders import TrafficOrder
    from .policy import DestinationRule, FailoverPolicy

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Locality:
    """Where something runs; written `region/zone/subzone`, an unknown part is empty."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    def __str__(self) -> str:
        return f"{self.region}/{self.zone}/{self.subzone}"

    @classmethod
    def parse(cls, text: str) -> Locality:
        """Read `region/zone/subzone`, tail parts optional. ValueError on more than three parts."""
        parts = text.split("/")
        if len(parts) > 3:
            raise ValueError(f"locality {text!r} has more than three parts; write region/zone/subzone")
        return cls(*parts)


class Protocol(StrEnum):
    """What a service port speaks, as far as routing must know. WebSocket is HTTP with an upgrade."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"
    TLS = "tls"

    @property
    def is_http(self) -> bool:
        """Whether requests of this port are routed by host, rather than by a TCP listener."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC)


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """A service is the same in every cluster when namespace and name are."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ServiceKey:
        """Read `namespace/name`. ValueError on anything else."""
        namespace, slash, name = text.partition("/")
        if not slash or not namespace or not name or "/" in name:
            raise ValueError(f"{text!r} is no service; write NAMESPACE/NAME")
        return cls(namespace, name)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service: `number` is what clients ask for, not what pods listen on."""

    number: int
    name: str
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and port that serves one service port, as its own cluster describes it.

    Identity on the wire is (network, address, port). `ready`, `serving` and `terminating` are the
    slice's conditions with Kubernetes' defaults applied.
    """

    address: str
    port: int
    cluster: str
    network: str
    locality: Locality
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    weight: int = 1
    node: str = ""
    pod: str = ""
    labels: Labels = field(default_factory=dict)
    hostname: str = ""  # of a headless service's pod: a host of its own
    capacity: float = 0.0  # requests per second that it carries, as its pod says; 0: it does not say

    @property
    def key(self) -> tuple[str, str, int]:
        """(network, address, port)."""
        return (self.network, self.address, self.port)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something refused, with what happens instead. Shown by `check` and `status`, and logged once."""

    object: str  # "EndpointSlice bookinfo/ratings-abc", or a file, or a cluster
    message: str  # what is wrong
    consequence: str  # what happens now: "ignored, its last good version stays"
    where: str = ""  # "clusters/paris/ratings.yaml:12"


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A Service and its endpoints in one cluster. `endpoints` is keyed by service port number."""

    key: ServiceKey
    ports: tuple[ServicePort, ...]
    endpoints: Mapping[int, tuple[Endpoint, ...]]
    traffic_distribution: str = ""  # PreferClose, PreferSameZone, PreferSameNode, or ""
    internal_traffic_local: bool = False  # internalTrafficPolicy: Local
    created: str = ""  # RFC 3339, "" when the manifest does not say
    headless: bool = False
    hostnames: tuple[str, ...] = ()  # those of its endpoints that are served, sorted; headless ones only


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """All that one owner says of one Kubernetes cluster at one generation.

    Freshness (stale since when, and why) stands beside it in `SourceStatus`, never in here.
    """

    cluster: str
    network: str
    locality: Locality
    services: Mapping[ServiceKey, ServiceFacts] = field(default_factory=dict)
    destination_rules: tuple[DestinationRule, ...] = ()
    failover_policies: tuple[FailoverPolicy, ...] = ()
    exports: Mapping[ServiceKey, Export] = field(default_factory=dict)  # ServiceExport objects
    nodes: Mapping[str, Locality] = field(default_factory=dict)
    node_labels: Mapping[str, Labels] = field(default_factory=dict)  # node -> its labels, for `near`
    problems: tuple[Problem, ...] = ()
    generation: int = 0
    orders: tuple[TrafficOrder, ...] = ()  # oldest first; nothing acts on them yet


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How well a source of facts is known; beside the facts, outside every hash."""

    cluster: str
    known: bool  # listed completely at least once, or restored from the snapshot
    stale_since_s: float | None = None  # Unix time; None while fresh
    reason: str = ""  # why it is stale or unknown


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where a client stands: all of it that a decision may read."""

    locality: Locality = Locality()
    cluster: str = ""
    network: str = "default"
    namespace: str = ""
    node: str = ""
    labels: Labels = field(default_factory=dict)
