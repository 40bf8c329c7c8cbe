"""What policies say, from every source in one shape, and which one wins for each field.

`Settings` is one layer: None means "this layer does not say". DestinationRule, FailoverPolicy and
a Service's own annotations are all translated into it at the border (`discovery`).
Percentages are 0 to 100; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .model import Labels, Locality, ServiceKey
from .orders import TrafficOrder


class Scope(StrEnum):
    """How far a service's traffic may ever go (data residency)."""

    ANYWHERE = "Anywhere"
    REGION = "Region"
    NETWORK = "Network"
    CLUSTER = "Cluster"


class LoadBalancing(StrEnum):
    """How one endpoint is picked inside a locality."""

    LEAST_REQUEST = "LEAST_REQUEST"
    ROUND_ROBIN = "ROUND_ROBIN"
    RANDOM = "RANDOM"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a policy points. Parts that are None match anything; together they mean "and"."""

    region: str | None = None
    zone: str | None = None
    subzone: str | None = None
    cluster: str | None = None
    network: str | None = None

    def holds(self, locality: Locality, cluster: str, network: str) -> bool:
        """Whether something at that locality, cluster and network is inside this place."""
        return (
            (self.region is None or self.region == locality.region)
            and (self.zone is None or self.zone == locality.zone)
            and (self.subzone is None or self.subzone == locality.subzone)
            and (self.cluster is None or self.cluster == cluster)
            and (self.network is None or self.network == network)
        )

    @property
    def narrowness(self) -> int:
        """How many parts it names."""
        parts = (self.region, self.zone, self.subzone, self.cluster, self.network)
        return sum(part is not None for part in parts)

    def __str__(self) -> str:
        parts = [(k, getattr(self, k)) for k in ("region", "zone", "subzone", "cluster", "network")]
        return ",".join(f"{k}/{v}" for k, v in parts if v is not None) or "anywhere"


@dataclass(frozen=True, slots=True)
class FailoverRule:
    """For clients in `origin`: these places, in this order, after the near ones."""

    origin: Place
    to: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage of the traffic for one place."""

    place: Place
    percent: float


@dataclass(frozen=True, slots=True)
class DistributeRule:
    """For clients in `origin`: traffic by weight. The shares sum to 100."""

    origin: Place
    to: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Spill:
    """When traffic leaves a priority. None: Envoy's factor of 1.4 (below 71.4 % healthy)."""

    below_healthy_percent: float | None = None
    min_healthy_endpoints: int = 0


@dataclass(frozen=True, slots=True)
class Outlier:
    """Ejection by each Envoy of its own. None: Envoy does not look at that signal."""

    consecutive_gateway_errors: int | None = 5
    consecutive_local_origin_errors: int | None = 5
    consecutive_5xx: int | None = None
    split_local_origin: bool = True
    interval_s: float = 1.0
    base_ejection_s: float = 30.0
    max_ejection_percent: int = 100
    min_health_percent: int = 0

    @property
    def ejects(self) -> bool:
        """Whether it ever ejects anything."""
        signals = (
            self.consecutive_gateway_errors,
            self.consecutive_local_origin_errors,
            self.consecutive_5xx,
        )
        return self.max_ejection_percent > 0 and any(signals)


@dataclass(frozen=True, slots=True)
class TcpKeepalive:
    """TCP keepalive of upstream connections."""

    time_s: float = 10.0
    interval_s: float = 3.0
    probes: int = 3


@dataclass(frozen=True, slots=True)
class ConnectionPool:
    """Limits of upstream connections. None: Tideover's default (practically no limit)."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None
    max_requests_per_connection: int | None = None
    max_concurrent_streams: int | None = None
    connect_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    max_connection_duration_s: float | None = None
    tcp_keepalive: TcpKeepalive | None = None
    http2_upgrade: bool | None = None  # h2UpgradePolicy


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` are retries after the first try."""

    attempts: int = 2
    budget_percent: float = 20.0
    min_concurrent: int = 1000
    idempotent: bool = False
    per_try_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class FleetHealth:
    """When what the fleet reports counts as broken, and as well again; between the two nothing changes."""

    unhealthy_above_error_percent: float = 50.0
    healthy_below_error_percent: float = 10.0
    window_s: float = 10.0
    min_requests: int = 20
    min_reporters: int = 3


class CheckKind(StrEnum):
    """How an endpoint is asked whether it is well."""

    HTTP = "http"
    TCP = "tcp"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class ActiveCheck:
    """`path`: of HTTP; `service`: of the gRPC health protocol."""

    kind: CheckKind = CheckKind.HTTP
    path: str = "/"
    service: str = ""
    interval_s: float = 1.0
    timeout_s: float = 0.5
    unhealthy_threshold: int = 2
    healthy_threshold: int = 2


@dataclass(frozen=True, slots=True)
class Failback:
    """How what recovered gets its traffic back: `steps` are percent of its share, the last is 100."""

    hold_down_s: float = 30.0
    steps: tuple[float, ...] = (5.0, 25.0, 50.0, 100.0)
    step_every_s: float = 10.0
    abort_above_error_percent: float = 5.0


class Fill(StrEnum):
    """Who takes what is above the capacity of a place."""

    WATERFALL_BY_ZONE = "WaterfallByZone"
    WATERFALL_BY_REGION = "WaterfallByRegion"
    SPRAY_IN_REGION = "SprayInRegion"
    SPRAY_EVERYWHERE = "SprayEverywhere"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one endpoint of weight 1 carries; None: what its pod's annotation says, else what it carries when
    it says that it is `target_utilization_percent` full (ORCA), else no limit."""

    requests_per_second_per_endpoint: float | None = None
    fill: Fill = Fill.WATERFALL_BY_ZONE
    target_utilization_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """One layer of policy. None: not said here, a less specific layer decides.

    `near` holds keys, nearest last: an endpoint is as near as the number of keys, from the first on,
    in which it equals the client. A key is a word (network, cluster, region, zone, subzone, node), the
    label that Kubernetes or Istio has for one of these, any other pod or node label, or `key=value`
    (the endpoint has that value, whatever the client's is): Istio's failoverPriority, word for word.
    """

    enabled: bool | None = None  # localityLbSetting.enabled
    near: tuple[str, ...] | None = None
    scope: Scope | None = None
    failover: tuple[FailoverRule, ...] | None = None
    others: bool | None = None  # places after those that `failover` names
    distribute: tuple[DistributeRule, ...] | None = None
    spill: Spill | None = None
    outlier: Outlier | None = None
    connection_pool: ConnectionPool | None = None
    load_balancing: LoadBalancing | None = None
    retry: Retry | None = None
    max_drained_percent: float | None = None
    fleet_health: FleetHealth | None = None
    active_check: ActiveCheck | None = None
    failback: Failback | None = None
    capacity: Capacity | None = None


@dataclass(frozen=True, slots=True)
class Subset:
    """A named part of a service's endpoints, by pod labels. `port_settings` as in DestinationRule."""

    name: str
    labels: Labels
    settings: Settings = Settings()
    port_settings: Mapping[int, Settings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """Istio's DestinationRule, as far as it is supported. `host` is fully qualified, or a wildcard."""

    namespace: str
    name: str
    host: str
    settings: Settings = Settings()
    port_settings: Mapping[int, Settings] = field(default_factory=dict)
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ("*",)
    workload_selector: Labels = field(default_factory=dict)
    created: str = ""

    def __str__(self) -> str:
        return f"DestinationRule {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class FailoverPolicy:
    """Tideover's own policy. No targets: the whole namespace; none in the root namespace: the mesh."""

    namespace: str
    name: str
    targets: tuple[ServiceKey, ...] = ()
    settings: Settings = Settings()
    created: str = ""

    def __str__(self) -> str:
        return f"FailoverPolicy {self.namespace}/{self.name}"


def age(rule: DestinationRule | FailoverPolicy | TrafficOrder) -> tuple[str, str, str]:
    """What orders policies that conflict: the oldest first, then by name; unknown ages come last."""
    return (rule.created or "~", rule.namespace, rule.name)
