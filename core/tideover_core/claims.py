"""Which pods' addresses several clusters of one network claim, kept up from one world to the next.

Pod ranges overlap between clusters that were never meant to share a network. A client that is sent
another cluster's address which its own cluster has too reaches another pod, maybe of another service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .model import ClusterFacts, ServiceFacts, ServiceKey

Address = tuple[str, str, int]  # network, address, port
Change = tuple[str, ServiceFacts | None, ServiceFacts | None]  # cluster, before, now


@dataclass(frozen=True, slots=True)
class Claims:
    """`owners`: every pod's address with the clusters that list it, once per service port that does.

    `contested`: those of two clusters and more, each with the clusters' names, sorted.
    """

    owners: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    contested: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)


NO_CLAIMS = Claims()


def changes(
    before: Mapping[str, ClusterFacts], now: Mapping[str, ClusterFacts], touched: Iterable[ServiceKey]
) -> Iterator[Change]:
    """What each cluster says differently of the touched services."""
    keys = tuple(touched)
    for name in before.keys() | now.keys():
        old = before[name].services if name in before else {}
        new = now[name].services if name in now else {}
        if old is not new:
            yield from (
                (name, old.get(key), new.get(key)) for key in keys if old.get(key) is not new.get(key)
            )


def renewed(claims: Claims, changed: Iterable[Change]) -> Claims:
    """The claims after these services changed; the same object when nobody claims anything else."""
    moved: dict[Address, Counter[str]] = {}
    for cluster, before, now in changed:
        difference = Counter(_addresses(now))
        difference.subtract(_addresses(before))
        for address, count in difference.items():
            if count:
                moved.setdefault(address, Counter())[cluster] += count
    if not moved:
        return claims
    owners, contested = dict(claims.owners), dict(claims.contested)
    for address, counts in moved.items():
        listed = Counter(owners.pop(address, ()))
        listed.update(counts)
        names = tuple(sorted((+listed).elements()))
        contested.pop(address, None)
        if names:
            owners[address] = names
        if len(set(names)) > 1:
            contested[address] = tuple(dict.fromkeys(names))
    return Claims(owners, claims.contested if contested == claims.contested else contested)


def disputed(clusters: Mapping[str, ClusterFacts], before: Claims, now: Claims) -> set[ServiceKey]:
    """The services with an endpoint at an address for which the claimants changed."""
    if now.contested is before.contested:
        return set()
    addresses = {
        address
        for address in now.contested.keys() | before.contested.keys()
        if now.contested.get(address) != before.contested.get(address)
    }
    return {
        key
        for facts in clusters.values()
        for key, service in facts.services.items()
        if any(e.key in addresses for endpoints in service.endpoints.values() for e in endpoints)
    }


def of_service(claims: Claims, facts: ServiceFacts) -> Mapping[Address, tuple[str, ...]]:
    """The contested addresses among a service's endpoints in one cluster."""
    if not claims.contested:
        return {}
    return {
        address: claims.contested[address] for address in _addresses(facts) if address in claims.contested
    }


def _addresses(facts: ServiceFacts | None) -> list[Address]:
    """Of pods only: a database outside that two clusters list is one and the same."""
    if facts is None:
        return []
    return [e.key for endpoints in facts.endpoints.values() for e in endpoints if e.pod]
