"""What only shows when clusters are put together: said as problems, with who wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from .model import Problem, ServiceKey
from .policy import DestinationRule, FailoverPolicy, Settings

if TYPE_CHECKING:
    from .world import Service


def conflicts_of_services(
    services: Mapping[ServiceKey, Service],
    known: Mapping[ServiceKey, Service],
    known_problems: Sequence[Problem],
) -> tuple[Problem, ...]:
    """What clusters say differently of one service; of one still in `known`, what `known_problems` has."""
    kept: dict[str, list[Problem]] = {}
    for problem in known_problems:
        kept.setdefault(problem.object, []).append(problem)
    found: list[Problem] = []
    for key, service in services.items():
        if len(service.parts) < 2 and not (service.parts and service.parts[0].contested):
            continue
        if known.get(key) is service:
            found += kept.get(f"Service {key}", []) if kept else []
        else:
            found += _ports_that_differ(service)
            found += _traffic_distributions(service)
            found += _addresses_claimed_twice(service)
            found += _pods_of_others(service)
    return tuple(found)


def conflicts_of_rules(
    rules: Sequence[DestinationRule], policies: Sequence[FailoverPolicy]
) -> tuple[Problem, ...]:
    """Policies that say different things of the same, oldest first."""
    by_target: dict[tuple[object, ...], list[DestinationRule | FailoverPolicy]] = {}
    for rule in rules:
        chosen = (*sorted(rule.workload_selector.items()), *sorted(rule.export_to))
        by_target.setdefault((rule.namespace, rule.host, chosen), []).append(rule)
    for policy in policies:
        for target in policy.targets or (None,):
            by_target.setdefault((policy.namespace, target), []).append(policy)
    disputes: dict[tuple[str, str], dict[str, None]] = {}
    for alike in by_target.values():
        for name, older, younger in _disputed(alike) if len(alike) > 1 else ():
            disputes.setdefault((str(younger), str(older)), {})[name] = None
    return (
        *_rules_of_one_name((*rules, *policies)),
        *(
            Problem(
                younger, f"says {', '.join(names)} otherwise than {older} for the same services", OLDER_WINS
            )
            for (younger, older), names in disputes.items()
            if younger != older
        ),
    )


OLDER_WINS = "the older one wins there; its other fields count"


def _disputed(
    alike: Sequence[DestinationRule | FailoverPolicy],
) -> Iterator[tuple[str, DestinationRule | FailoverPolicy, DestinationRule | FailoverPolicy]]:
    """(field, who wins, who loses) of policies of one target, oldest first."""
    first: dict[str, DestinationRule | FailoverPolicy] = {}
    for rule in alike:
        for field in fields(Settings):
            value = getattr(rule.settings, field.name)
            if value is None:
                continue
            older = first.setdefault(field.name, rule)
            if getattr(older.settings, field.name) != value:
                yield field.name, older, rule


def _oldest(service: Service) -> str:
    exported = any(part.exported_at for part in service.parts)
    return "the oldest ServiceExport" if exported else "the oldest Service"


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
                f"served as {port.protocol.value}, as {_oldest(service)} says, with the endpoints of all",
            )
        if 0 < len(spoken) < len(service.parts):
            without = ", ".join(part.cluster for part in service.parts if part.cluster not in spoken)
            yield Problem(
                f"Service {service.key}",
                f"port {port.number} is in {', '.join(spoken)} only, not in {without}",
                "served everywhere, with the endpoints of those that have it",
            )


def _traffic_distributions(service: Service) -> Iterable[Problem]:
    said = {part.cluster: part.facts.traffic_distribution for part in service.parts}
    if len(set(filter(None, said.values()))) > 1:
        each = ", ".join(f"{value} in {cluster}" for cluster, value in said.items() if value)
        yield Problem(
            f"Service {service.key}", f"trafficDistribution is {each}", f"{_oldest(service)} decides"
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


def _pods_of_others(service: Service) -> Iterable[Problem]:
    """Addresses at which another cluster has a pod of another service."""
    holders = Counter(address for part in service.parts for address in part.contested)
    for part in service.parts:
        lone = [address for address in part.contested if holders[address] == 1]
        if not lone:
            continue
        network, address, number = min(lone)
        more = f" (and {len(lone) - 1} more)" if len(lone) > 1 else ""
        others = ", ".join(name for name in part.contested[min(lone)] if name != part.cluster)
        where = f"{address}:{number}{more} of cluster {part.cluster}, network {network},"
        yield Problem(
            f"Service {service.key}",
            f"{where} is also a pod of another service in {others}",
            "each client gets its own cluster's; two networks would tell them apart",
        )


def _rules_of_one_name(rules: Iterable[DestinationRule | FailoverPolicy]) -> Iterable[Problem]:
    names: dict[str, int] = {}
    for rule in rules:
        names[str(rule)] = names.get(str(rule), 0) + 1
    for name, count in names.items():
        if count > 1:
            yield Problem(name, f"has {count} different forms in several places", "per field the oldest wins")
