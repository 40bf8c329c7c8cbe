"""What only shows when clusters are put together: said as problems, with who wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .model import Problem, ServiceKey
from .policy import DestinationRule, FailoverPolicy

if TYPE_CHECKING:
    from .world import Service


def conflicts(
    services: Mapping[ServiceKey, Service],
    rules: Iterable[DestinationRule | FailoverPolicy],
    known: Mapping[ServiceKey, Service],
    known_problems: Sequence[Problem],
) -> tuple[Problem, ...]:
    """All conflicts; those of a service that is still the one in `known` are taken from `known_problems`."""
    kept: dict[str, list[Problem]] = {}
    for problem in known_problems:
        kept.setdefault(problem.object, []).append(problem)
    found: list[Problem] = []
    for key, service in services.items():
        if len(service.parts) < 2:
            continue
        if known.get(key) is service:
            found += kept.get(f"Service {key}", []) if kept else []
        else:
            found += [
                *_ports_that_differ(service),
                *_traffic_distributions(service),
                *_addresses_claimed_twice(service),
            ]
    return (*found, *_rules_of_one_name(rules))


def _ports_that_differ(service: Service) -> Iterable[Problem]:
    for port in service.ports:
        spoken = {
            part.cluster: other.protocol.value
            for part in service.parts
            for other in part.facts.ports
            if other.number == port.number
        }
        if len(set(spoken.values())) > 1:
            said = ", ".join(f"{protocol} in {cluster}" for cluster, protocol in spoken.items())
            yield Problem(
                f"Service {service.key}",
                f"port {port.number} is {said}",
                f"served as {port.protocol.value}, as the oldest Service says, with the endpoints of all",
            )


def _traffic_distributions(service: Service) -> Iterable[Problem]:
    said = {part.cluster: part.facts.traffic_distribution for part in service.parts}
    if len(set(filter(None, said.values()))) > 1:
        each = ", ".join(f"{value} in {cluster}" for cluster, value in said.items() if value)
        yield Problem(
            f"Service {service.key}", f"trafficDistribution is {each}", "the oldest Service decides"
        )


def _addresses_claimed_twice(service: Service) -> Iterable[Problem]:
    claims: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    for port in service.ports:
        owners: dict[tuple[str, str, int], str] = {}
        for part in service.parts:
            for endpoint in part.facts.endpoints.get(port.number, ()):
                owner = owners.setdefault(endpoint.key, part.cluster)
                if owner != part.cluster:
                    claims.setdefault((owner, part.cluster), []).append(endpoint.key)
    for (owner, other), keys in claims.items():
        network, address, number = min(keys)
        more = f" (and {len(set(keys)) - 1} more)" if len(set(keys)) > 1 else ""
        yield Problem(
            f"Service {service.key}",
            f"{address}:{number}{more} on network {network} is claimed by clusters {owner} and {other}",
            f"each client gets its own cluster's, others get {owner}'s; two networks would tell them apart",
        )


def _rules_of_one_name(rules: Iterable[DestinationRule | FailoverPolicy]) -> Iterable[Problem]:
    names: dict[str, int] = {}
    for rule in rules:
        names[str(rule)] = names.get(str(rule), 0) + 1
    for name, count in names.items():
        if count > 1:
            yield Problem(name, f"has {count} different forms in several places", "per field the oldest wins")
