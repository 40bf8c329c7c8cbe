"""A Service and what its slices add, into ServiceFacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tideover_core.model import Endpoint, Problem, ServiceFacts, ServiceKey, ServicePort

from .endpoints import Frame, Part, Refusals, in_order, join
from .manifest import Item
from .objects import TOPOLOGY_MODES, TRAFFIC_DISTRIBUTION, Namespace, Refusal, Service
from .ports import service_port

MAX_HOSTNAMES = 1000  # of one service: each has a cluster of its own in every Envoy
_DISTRIBUTIONS = {name.lower(): name for name in ("PreferClose", "PreferSameZone", "PreferSameNode")}


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
        headless=spec.cluster_ip == "None",
        family=next(iter(spec.ip_families or ()), ""),
        traffic_distribution=distribution,
        internal_traffic_local=spec.internal_traffic_policy == "Local",
        created=service.metadata.creation_timestamp or "",
        where=item.where,
        problems=tuple(refuse.found),
    )


def service_facts(said: Frame, parts: Sequence[Part]) -> tuple[ServiceFacts | None, tuple[Problem, ...]]:
    """The facts of one service, None when it is of a kind that cannot be served, and its problems."""
    if not said.served:
        return None, said.problems
    refuse = Refusals(f"Service {said.key}", said.where)
    endpoints = {
        port.number: _each_once(_endpoints(port.number, parts), said.family, refuse) for port in said.ports
    }
    facts = ServiceFacts(
        said.key,
        said.ports,
        endpoints,
        said.traffic_distribution,
        said.internal_traffic_local,
        said.created,
        said.headless,
        _hostnames(endpoints, refuse) if said.headless else (),
    )
    return facts, (*said.problems, *refuse.found, *(problem for part in parts for problem in part.problems))


def _endpoints(port: int, parts: Sequence[Part]) -> tuple[Endpoint, ...]:
    there = [endpoints for part in parts if (endpoints := part.endpoints.get(port))]
    if len(there) < 2:
        return there[0] if there else ()
    found: dict[tuple[str, int], Endpoint] = {}
    for endpoints in there:
        for endpoint in endpoints:
            join(endpoint, found)
    return in_order(found)


def _each_once(endpoints: tuple[Endpoint, ...], family: str, refuse: Refusals) -> tuple[Endpoint, ...]:
    """Of a dual-stack service, each pod at its address of the first family: it would count twice.

    A pod without one keeps the address it has. Of endpoints without pods nobody knows which are the same:
    where the Service says its families only those of the first count, as for kube-proxy.
    """
    six = [":" in endpoint.address for endpoint in endpoints]
    if all(six) or not any(six):
        return endpoints
    first = [one for one, is_six in zip(endpoints, six, strict=True) if is_six == (family == "IPv6")]
    pods = {endpoint.pod for endpoint in first}
    others = [one for one, is_six in zip(endpoints, six, strict=True) if is_six != (family == "IPv6")]
    kept = [one for one in others if (one.pod not in pods if one.pod else not family)]
    if unknown := sum(not one.pod for one in others if family):
        refuse(
            f"{unknown} endpoints without pods have no {family} address, its first family",
            "they are left out: most likely they are the others once more",
        )
    return tuple(sorted((*first, *kept), key=lambda endpoint: (endpoint.address, endpoint.port)))


def _hostnames(endpoints: Mapping[int, tuple[Endpoint, ...]], refuse: Refusals) -> tuple[str, ...]:
    names = {endpoint.hostname for there in endpoints.values() for endpoint in there} - {""}
    if len(names) > MAX_HOSTNAMES:
        refuse(
            f"{len(names)} of its pods have hostnames, more than {MAX_HOSTNAMES}",
            "the last by name have no host of their own; the service has them all",
        )
    return tuple(sorted(names)[:MAX_HOSTNAMES])


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
