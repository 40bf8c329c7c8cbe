"""A Service and its slices into ServiceFacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tideover_core.model import Endpoint, Locality, Problem, ServiceFacts, ServiceKey, ServicePort

from .endpoints import Gathering, Ground
from .manifest import Item
from .objects import EndpointSlice, Namespace, Pod, Refusal, Service
from .ports import service_port

TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"
TOPOLOGY_MODES = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_DISTRIBUTIONS = {name.lower(): name for name in ("PreferClose", "PreferSameZone", "PreferSameNode")}


@dataclass(frozen=True, slots=True)
class Around:
    """What a service is read with."""

    ground: Ground
    pods: Mapping[tuple[str, str], Pod | None]
    nodes: Mapping[str, Locality | None]
    namespace: Namespace | None


@dataclass(slots=True)
class _Refusals:
    """Problems of one object, each once: every port of a slice meets the same bad address."""

    object: str
    where: str
    found: list[Problem]
    told: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, message: str, consequence: str) -> None:
        if (message, consequence) not in self.told:
            self.told.add((message, consequence))
            self.found.append(Problem(self.object, message, consequence, self.where))


def service_facts(
    item: Item, slices: Sequence[Item], around: Around
) -> tuple[ServiceFacts | None, tuple[Problem, ...]]:
    """The facts of one service, None when it is of a kind that cannot be served, and its problems."""
    service = item.body
    assert isinstance(service, Service)
    key = ServiceKey(service.metadata.namespace or "default", service.metadata.name)
    problems: list[Problem] = []
    refuse = _Refusals(f"Service {key}", item.where, problems)
    spec = service.spec
    if spec.type == "ExternalName":
        refuse(f"type ExternalName ({spec.external_name or ''}) has no endpoints", "the service is ignored")
        return None, tuple(problems)
    ports = _ports(service, refuse)
    facts = ServiceFacts(
        key,
        ports,
        _endpoints(key, ports, slices, around, problems),
        _traffic_distribution(service, around.namespace, refuse),
        spec.internal_traffic_policy == "Local",
        service.metadata.creation_timestamp or "",
    )
    if spec.session_affinity == "ClientIP":
        refuse("sessionAffinity: ClientIP is not supported", "calls of one client may reach any endpoint")
    return facts, tuple(problems)


def _ports(service: Service, refuse: _Refusals) -> tuple[ServicePort, ...]:
    found: dict[int, ServicePort] = {}
    for spec in service.spec.ports or ():
        try:
            port = service_port(spec)
        except Refusal as error:
            refuse(str(error), "this port is skipped; only TCP is served")
            continue
        if port.number in found:
            refuse(f"port {port.number} occurs twice", "the first counts")
            continue
        found[port.number] = port
    return tuple(found[number] for number in sorted(found))


def _endpoints(
    key: ServiceKey,
    ports: Sequence[ServicePort],
    slices: Sequence[Item],
    around: Around,
    problems: list[Problem],
) -> dict[int, tuple[Endpoint, ...]]:
    """Slice ports carry the Service port's name; that is all that ties them together."""
    by_name = {port.name: port.number for port in ports}
    found: dict[int, dict[tuple[str, int], Endpoint]] = {port.number: {} for port in ports}
    for item in slices:
        body = item.body
        assert isinstance(body, EndpointSlice)
        refuse = _Refusals(f"EndpointSlice {key.namespace}/{body.metadata.name}", item.where, problems)
        if body.address_type == "FQDN":
            refuse("addressType FQDN is not supported", "the slice is ignored")
            continue
        gathering = Gathering(around.ground, key.namespace, around.pods, around.nodes, refuse)
        for port in body.ports or ():
            if (port.protocol or "TCP") != "TCP":
                continue  # the Service's port says so already
            number = by_name.get(port.name or "")
            if number is None:
                refuse(f"its port {port.name or ''!r} is no TCP port of the Service", "that port is ignored")
            elif port.port is None:
                refuse(f"its port {port.name or ''!r} has no number", "that port is ignored")
            else:
                gathering.add(body, port, found[number])
    return {number: tuple(sorted(there.values(), key=_by_address)) for number, there in found.items()}


def _by_address(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.address, endpoint.port


def _traffic_distribution(service: Service, namespace: Namespace | None, refuse: _Refusals) -> str:
    """The field, else Istio's annotation on the Service, else on its Namespace."""
    annotations = service.metadata.annotations or {}
    for name in TOPOLOGY_MODES:
        if annotations.get(name, "Disabled").lower() not in ("disabled", ""):
            refuse(f"annotation {name} is not supported", "ignored; set spec.trafficDistribution instead")
    said = service.spec.traffic_distribution or annotations.get(TRAFFIC_DISTRIBUTION)
    if said is None and namespace is not None:
        said = (namespace.metadata.annotations or {}).get(TRAFFIC_DISTRIBUTION)
    if not said or said.lower() == "any":
        return ""
    known = _DISTRIBUTIONS.get(said.lower())
    if known is None:
        refuse(f"trafficDistribution {said!r} is unknown", "the default order counts")
    return known or ""
