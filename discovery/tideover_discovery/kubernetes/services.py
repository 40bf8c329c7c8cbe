"""A Service and what its slices add, into ServiceFacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tideover_core.model import Endpoint, Problem, ServiceFacts, ServiceKey, ServicePort

from .endpoints import Part, Refusals, in_order, join
from .manifest import Item
from .objects import TOPOLOGY_MODES, TRAFFIC_DISTRIBUTION, Namespace, Refusal, Service
from .ports import service_port

_DISTRIBUTIONS = {name.lower(): name for name in ("PreferClose", "PreferSameZone", "PreferSameNode")}


@dataclass(frozen=True, slots=True)
class Frame:
    """What a Service says without its slices. `served`: it is of a kind that can have endpoints."""

    key: ServiceKey
    served: bool = True
    ports: tuple[ServicePort, ...] = ()
    by_name: Mapping[str, int] = field(default_factory=dict)  # port numbers
    traffic_distribution: str = ""
    internal_traffic_local: bool = False
    created: str = ""
    problems: tuple[Problem, ...] = ()


def frame(item: Item, namespace: Namespace | None) -> Frame:
    """What a Service says for itself; its namespace may say what it does not."""
    service = item.body
    assert isinstance(service, Service)
    key = ServiceKey(service.metadata.namespace or "default", service.metadata.name)
    refuse = Refusals(f"Service {key}", item.where)
    spec = service.spec
    if spec.type == "ExternalName":
        refuse(f"type ExternalName ({spec.external_name or ''}) has no endpoints", "the service is ignored")
        return Frame(key, served=False, problems=tuple(refuse.found))
    ports = _ports(service, refuse)
    distribution = _traffic_distribution(service, namespace, refuse)
    if spec.session_affinity == "ClientIP":
        refuse("sessionAffinity: ClientIP is not supported", "calls of one client may reach any endpoint")
    return Frame(
        key,
        ports=ports,
        by_name={port.name: port.number for port in ports},
        traffic_distribution=distribution,
        internal_traffic_local=spec.internal_traffic_policy == "Local",
        created=service.metadata.creation_timestamp or "",
        problems=tuple(refuse.found),
    )


def service_facts(said: Frame, parts: Sequence[Part]) -> ServiceFacts | None:
    """The facts of one service, None when it is of a kind that cannot be served."""
    if not said.served:
        return None
    return ServiceFacts(
        said.key,
        said.ports,
        {port.number: _endpoints(port.number, parts) for port in said.ports},
        said.traffic_distribution,
        said.internal_traffic_local,
        said.created,
    )


def _endpoints(port: int, parts: Sequence[Part]) -> tuple[Endpoint, ...]:
    there = [endpoints for part in parts if (endpoints := part.endpoints.get(port))]
    if len(there) < 2:
        return there[0] if there else ()
    found: dict[tuple[str, int], Endpoint] = {}
    for endpoints in there:
        for endpoint in endpoints:
            join(endpoint, found)
    return in_order(found)


def _ports(service: Service, refuse: Refusals) -> tuple[ServicePort, ...]:
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


def _traffic_distribution(service: Service, namespace: Namespace | None, refuse: Refusals) -> str:
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
