"""The Kubernetes objects that are read, cut down to the fields that count.

Decoded by msgspec, from JSON bytes or from plain dictionaries, with field errors that say where.
Unknown fields of Kubernetes' own kinds are skipped: they say nothing about traffic.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct, field

SERVICE_NAME = "kubernetes.io/service-name"
SOURCE_CLUSTER = "multicluster.kubernetes.io/source-cluster"  # of a slice imported from there
WEIGHT = "tideover.dev/weight"
CAPACITY = "tideover.dev/capacity"  # requests per second
TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"
TOPOLOGY_MODES = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")


def is_label(name: str) -> bool:
    """Whether it is a DNS label, as Kubernetes and Istio want many names to be."""
    return _LABEL.match(name) is not None


class Refusal(ValueError):  # noqa: N818 (the domain's word)
    """An object, or a part of one, that cannot be used; the text says what is wrong."""


class Nameless(Refusal):
    """A slice that names no service: no service can be missing anything because of it."""


class Key(NamedTuple):
    """What tells objects of one cluster apart."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Shape(Struct, frozen=True, gc=False, rename="camel"):
    """Reads camelCase fields into frozen values that the garbage collector need not visit."""


class Metadata(Shape, frozen=True):
    """Names, labels and annotations of an object."""

    name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    generation: Any = None


class Object(Struct, frozen=True, gc=False, rename="camel", tag_field="kind"):
    """What every kind has."""

    metadata: Metadata
    api_version: str = ""


class PortSpec(Shape, frozen=True):
    """One of Service.spec.ports."""

    port: int
    name: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class ServiceSpec(Shape, frozen=True):
    """Service.spec."""

    ports: list[PortSpec] | None = None
    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    ip_families: list[str] | None = field(default=None, name="ipFamilies")
    external_name: str | None = None
    session_affinity: str | None = None
    session_affinity_config: Any = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class Service(Object, frozen=True, tag="Service"):
    """A core/v1 Service."""

    spec: ServiceSpec = ServiceSpec()


class Conditions(Shape, frozen=True):
    """Of one endpoint; None: not said, see `endpoints.conditions`."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Reference(Shape, frozen=True):
    """An endpoint's targetRef."""

    kind: str | None = None
    name: str | None = None
    namespace: str | None = None


class SliceEndpoint(Shape, frozen=True):
    """One of EndpointSlice.endpoints."""

    addresses: list[str]
    conditions: Conditions | None = None
    node_name: str | None = None
    zone: str | None = None
    target_ref: Reference | None = None
    hostname: str | None = None


class SlicePort(Shape, frozen=True):
    """One of EndpointSlice.ports; `name` is the Service port's name."""

    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    name: str | None = None
    protocol: str | None = None


class EndpointSlice(Object, frozen=True, tag="EndpointSlice"):
    """A discovery.k8s.io/v1 EndpointSlice."""

    address_type: str = ""
    endpoints: list[SliceEndpoint] | None = None
    ports: list[SlicePort] | None = None

    @property
    def service(self) -> str:
        """The name of the Service it belongs to, "" when it names none."""
        return (self.metadata.labels or {}).get(SERVICE_NAME, "")


class Pod(Object, frozen=True, tag="Pod"):
    """A core/v1 Pod: only its labels and annotations count, the slice says the rest."""


class Node(Object, frozen=True, tag="Node"):
    """A core/v1 Node: only its labels count."""


class Namespace(Object, frozen=True, tag="Namespace"):
    """A core/v1 Namespace: only its annotations count."""


class ExportSpec(Shape, frozen=True):
    """ServiceExport.spec, which many leave out."""

    exported_labels: dict[str, str] | None = None
    exported_annotations: dict[str, str] | None = None


class ServiceExport(Object, frozen=True, tag="ServiceExport"):
    """A Multi-Cluster Services ServiceExport."""

    spec: ExportSpec = ExportSpec()


class DestinationRule(Object, frozen=True, tag="DestinationRule"):
    """Istio's DestinationRule; its spec is read field by field, so that none is missed."""

    spec: dict[str, Any] = {}


class FailoverPolicy(Object, frozen=True, tag="FailoverPolicy"):
    """Tideover's FailoverPolicy."""

    spec: dict[str, Any] = {}


class TrafficOrder(Object, frozen=True, tag="TrafficOrder"):
    """Tideover's TrafficOrder. Its status tells a replica that starts what others have made of it."""

    spec: dict[str, Any] = {}
    status: Any = None


AnyObject = (
    Service | EndpointSlice | Pod | Node | Namespace | ServiceExport
    | DestinationRule | FailoverPolicy | TrafficOrder
)  # fmt: skip

# kind -> shape, API group, versions that are read, whether it lives in a namespace
KINDS: dict[str, tuple[type[AnyObject], str, frozenset[str], bool]] = {
    "Service": (Service, "", frozenset({"v1"}), True),
    "EndpointSlice": (EndpointSlice, "discovery.k8s.io", frozenset({"v1"}), True),
    "Pod": (Pod, "", frozenset({"v1"}), True),
    "Node": (Node, "", frozenset({"v1"}), False),
    "Namespace": (Namespace, "", frozenset({"v1"}), False),
    "ServiceExport": (ServiceExport, "multicluster.x-k8s.io", frozenset({"v1", "v1beta1", "v1alpha1"}), True),
    "DestinationRule": (
        DestinationRule,
        "networking.istio.io",
        frozenset({"v1", "v1beta1", "v1alpha3"}),
        True,
    ),
    "FailoverPolicy": (FailoverPolicy, "tideover.dev", frozenset({"v1alpha1"}), True),
    "TrafficOrder": (TrafficOrder, "tideover.dev", frozenset({"v1alpha1"}), True),
}
