"""Multi-Cluster Services: what clusters export under one name, merged as KEP-1645 says.

Properties that differ are decided by the oldest ServiceExport, then by the cluster's name; ports are the
union of all, first by name, then by protocol and number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from .model import Labels, ServiceKey

_API_SERVER = ServiceKey("default", "kubernetes")


def is_clusters_own(service: ServiceKey) -> bool:
    """Whether it means each cluster's own thing under one name, as in Istio: its API server, and whatever
    is in kube-system. Only a ServiceExport (`sameness: exported`) shares it."""
    return service.namespace == "kube-system" or service == _API_SERVER


@dataclass(frozen=True, slots=True)
class ExportedPort:
    """A port as its Service writes it; also those that Tideover does not serve, such as UDP."""

    number: int
    name: str = ""
    transport: str = "TCP"
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """What a Service says of itself that counts for the service over all clusters."""

    ports: tuple[ExportedPort, ...] = ()
    headless: bool = False
    session_affinity: str = "None"
    affinity_timeout_s: int | None = None
    internal_traffic_policy: str = ""
    traffic_distribution: str = ""
    families: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """A ServiceExport and the Service of its name.

    `offered` is None where there is none that can be exported, and `fault` says why: NoService or
    InvalidServiceType. `labels` and `annotations` are those that the export hands on.
    """

    created: str = ""
    offered: Offered | None = None
    fault: str = ""
    labels: Labels = field(default_factory=dict)
    annotations: Labels = field(default_factory=dict)


NO_SERVICE = "NoService"
INVALID_TYPE = "InvalidServiceType"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A property of which exports say different things. `reason` and `property` are those of the API."""

    reason: str
    property: str
    disagree: int  # exports that say something other than the oldest


@dataclass(frozen=True, slots=True)
class Merged:
    """One service over all clusters that export it: `clusters` oldest export first, which decides."""

    offered: Offered
    clusters: tuple[str, ...]
    labels: Labels
    annotations: Labels
    conflicts: tuple[Conflict, ...] = ()


# reason -> (the property's name in the API, the field of `Offered`); in the order in which they are told
_DECIDED = {
    "TypeConflict": ("type", "headless"),
    "SessionAffinityConflict": ("sessionAffinity", "session_affinity"),
    "SessionAffinityConfigConflict": ("sessionAffinityConfig", "affinity_timeout_s"),
    "InternalTrafficPolicyConflict": ("internalTrafficPolicy", "internal_traffic_policy"),
    "TrafficDistributionConflict": ("trafficDistribution", "traffic_distribution"),
    "IPFamilyConflict": ("ipFamilies", "families"),
}
assert {name for _, name in _DECIDED.values()} == {one.name for one in fields(Offered)} - {"ports"}


def age(cluster: str, created: str) -> tuple[str, str]:
    """Sorts exports, and Services, by age, then by cluster; one that does not say its age is the youngest."""
    return (created or "~", cluster)


def merged(exports: Mapping[str, Export]) -> Merged | None:
    """What the clusters' exports of one name come to; None when none of them has a Service to export."""
    ordered = sorted(exports.items(), key=lambda one: age(one[0], one[1].created))
    valid = [(cluster, export, export.offered) for cluster, export in ordered if export.offered is not None]
    if not valid:
        return None
    offers = [offered for _, _, offered in valid]
    _, oldest, first = valid[0]
    ports: list[object] = [frozenset(offered.ports) for offered in offers]
    said = [("PortConflict", "ports", ports)]
    said += [
        (reason, name, [getattr(offered, attribute) for offered in offers])
        for reason, (name, attribute) in _DECIDED.items()
    ]
    said.append(("AnnotationsConflict", "annotations", [export.annotations for _, export, _ in valid]))
    said.append(("LabelsConflict", "labels", [export.labels for _, export, _ in valid]))
    return Merged(
        Offered(union(offers), *(getattr(first, one.name) for one in fields(Offered)[1:])),
        tuple(cluster for cluster, _, _ in valid),
        oldest.labels,
        oldest.annotations,
        tuple(
            Conflict(reason, name, disagree)
            for reason, name, values in said
            if (disagree := sum(value != values[0] for value in values))
        ),
    )


def union(offers: list[Offered]) -> tuple[ExportedPort, ...]:
    """The ports of all, oldest first, without two of one name or of one protocol and number."""
    ports: dict[str, ExportedPort] = {}
    numbers: set[tuple[str, int]] = set()
    for offered in offers:
        for port in offered.ports:
            if port.name not in ports and (port.transport, port.number) not in numbers:
                ports[port.name] = port
                numbers.add((port.transport, port.number))
    return tuple(ports.values())
