"""Priorities from an order of preference: what is equally preferred is one, its localities weighted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .assignment import Health, Placed, Priority, WeightedLocality
from .model import Locality
from .order import DISTRIBUTED, Key, Order, Rank
from .spill import withheld
from .traffic import Hosts, expected_percents
from .weights import by_endpoints, by_shares


@dataclass(frozen=True, slots=True)
class Levelling:
    """How the endpoints of one assignment become priorities.

    `overprovisioning_percent` and `panic_percent` are Envoy's; `min_healthy` (said by `min_healthy_cause`) is
    what a place must have so that it is used.
    """

    order: Order
    overprovisioning_percent: int
    panic_percent: float
    min_healthy: int = 0
    min_healthy_cause: str = ""

    def priorities(self, placed: Sequence[Placed]) -> tuple[Priority, ...]:
        """The priorities that these endpoints make, with the traffic that Envoy gives each."""
        return self.expected(self.levels(self.counted(placed)), self.panic_percent)

    def counted(self, placed: Sequence[Placed]) -> Sequence[Placed]:
        """The endpoints, those of places with too few healthy ones as unhealthy."""
        return withheld(placed, self.min_healthy, self.min_healthy_cause)

    def levels(self, placed: Iterable[Placed]) -> list[tuple[WeightedLocality, ...]]:
        """What is equally preferred, the most preferred first."""
        levels: dict[Key, _Level] = {}
        for one in placed:
            rank = self.order.rank(one.endpoint)
            level = levels.get(rank.key)
            if level is None:
                level = levels[rank.key] = _Level(shared=rank.key == DISTRIBUTED)
            level.add(rank, one)
        return [levels[key].weighted(self.order) for key in sorted(levels)]

    def expected(
        self, levels: Sequence[tuple[WeightedLocality, ...]], panic_percent: float
    ) -> tuple[Priority, ...]:
        """These levels as priorities."""
        hosts = [_hosts(level) for level in levels]
        percents = expected_percents(hosts, self.overprovisioning_percent, panic_percent)
        return tuple(Priority(level, percent) for level, percent in zip(levels, percents, strict=True))


@dataclass(frozen=True, slots=True)
class _Level:
    """What is equally preferred: endpoints by locality, each with the number of its share."""

    shared: bool
    localities: dict[Locality, list[tuple[int, Placed]]] = field(default_factory=dict)
    causes: dict[Locality, dict[str, None]] = field(default_factory=dict)  # ordered set

    def add(self, rank: Rank, placed: Placed) -> None:
        locality = placed.endpoint.locality
        found = self.localities.get(locality)
        if found is None:
            found = self.localities[locality] = []
            self.causes[locality] = {}
        found.append((rank.share, placed))
        self.causes[locality][rank.cause] = None

    def weighted(self, order: Order) -> tuple[WeightedLocality, ...]:
        ordered = {locality: _in_order(found) for locality, found in self.localities.items()}
        if self.shared:
            return by_shares(ordered, order.shares, self.causes)
        return by_endpoints({k: [one for _, one in found] for k, found in ordered.items()}, self.causes)


def _in_order(found: list[tuple[int, Placed]]) -> list[tuple[int, Placed]]:
    """By address. What one cluster says of a place is in that order already."""
    if found[0][1].endpoint.cluster == found[-1][1].endpoint.cluster:
        return found
    return sorted(found, key=lambda one: one[1].endpoint.key)


def _hosts(level: Iterable[WeightedLocality]) -> Hosts:
    healths = Counter(placed.health for locality in level for placed in locality.endpoints)
    total = sum(healths.values())
    return Hosts(healths[Health.HEALTHY], total - healths[Health.DRAINING], total)


def endpoint_shares(
    priorities: Iterable[Priority], overprovisioning_percent: int
) -> Mapping[tuple[str, str, int], float]:
    """The fraction of the traffic that each healthy endpoint gets of these priorities, by Envoy's own
    arithmetic; they sum to 1. By `Endpoint.key`; who gets nothing is absent."""
    lost, shares = 0.0, dict[tuple[str, str, int], float]()
    spare: list[tuple[WeightedLocality, float]] = []
    for priority in priorities:
        effective = [(place, _effective(place, overprovisioning_percent)) for place in priority.localities]
        total = sum(weight for _, weight in effective)
        load = priority.expected_traffic_percent / 100
        if not total:
            lost += load
            continue
        spare = spare or effective
        for place, weight in effective:
            _divide(place, load * weight / total, shares)
    if lost and spare:
        # whole percents: one healthy endpoint of 200 is none to Envoy, until it panics
        total = sum(weight for _, weight in spare)
        for place, weight in spare:
            _divide(place, lost * weight / total, shares)
    return shares


def _effective(place: WeightedLocality, overprovisioning_percent: int) -> float:
    """A locality's weight as Envoy uses it inside its priority."""
    healthy = sum(1 for one in place.endpoints if one.health is Health.HEALTHY)
    counted = sum(1 for one in place.endpoints if one.health is not Health.DRAINING)
    return place.weight * min(1.0, overprovisioning_percent / 100 * healthy / counted) if healthy else 0.0


def _divide(place: WeightedLocality, share: float, shares: dict[tuple[str, str, int], float]) -> None:
    if share <= 0:
        return
    healthy = [one for one in place.endpoints if one.health is Health.HEALTHY]
    each = share / sum(one.weight for one in healthy)
    for one in healthy:
        key = one.endpoint.key
        shares[key] = shares.get(key, 0.0) + each * one.weight
