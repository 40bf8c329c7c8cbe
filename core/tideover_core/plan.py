"""The answer for one service port and one vantage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from .assignment import Assignment, Health, LeftOut, Placed, Priority, WeightedLocality
from .leaving import emptied
from .model import Locality, Vantage
from .names import Target
from .order import DISTRIBUTED, Key, Order, Rank, order_of
from .policy import Scope, Settings, Spill
from .reach import Asked, reach
from .resolve import known, node_labels, resolve, subset_of
from .spill import withheld
from .traffic import Hosts, expected_percents, overprovisioning
from .weights import by_endpoints, by_shares
from .world import World

PANIC_PERCENT = 1.0  # healthy_panic_threshold of every cluster that is sent


def plan(world: World, target: Target, vantage: Vantage) -> Assignment | None:
    """The assignment; None when the world has no such service, port or subset.

    `vantage` is complete (see `world.located`). A service whose complete facts say zero gives an
    assignment without priorities.
    """
    service = world.services.get(target.service)
    if service is None or not known(world, target, vantage):
        return None
    subset = subset_of(world, target, vantage) if target.subset else None
    resolved = resolve(world, target, vantage)
    settings = resolved.settings
    asked = Asked(
        target.port,
        subset.labels if subset is not None else None,
        settings.scope or Scope.ANYWHERE,
        resolved.cause("scope"),
        target.hostname,
    )
    reached = reach(service, asked, vantage)
    spill = settings.spill or Spill()
    order = order_of(resolved, vantage, partial(node_labels, world))
    usable, excluded = _usable(reached.placed, order)
    kept, drained = emptied(usable, {part.cluster: part.leaving for part in service.parts if part.leaving})
    placed = withheld(kept, spill.min_healthy_endpoints, resolved.cause("spill"))
    levels = _levels(placed, order)
    factor = overprovisioning(spill.below_healthy_percent)
    return Assignment(
        service=target.service,
        port=target.port,
        priorities=_priorities([levels[key].weighted(order) for key in sorted(levels)], factor, settings),
        subset=target.subset,
        left_out=(*reached.left_out, *excluded, *drained),
        overprovisioning_percent=factor,
        policies=resolved.policies,
    )


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


def _usable(placed: Sequence[Placed], order: Order) -> tuple[Sequence[Placed], list[LeftOut]]:
    """Without the places that the order excludes."""
    if order.others:
        return placed, []
    ranked = [(one, order.rank(one.endpoint).excluded) for one in placed]
    excluded = [LeftOut(one.endpoint, reason) for one, reason in ranked if reason]
    return [one for one, reason in ranked if not reason], excluded


def _levels(placed: Iterable[Placed], order: Order) -> dict[Key, _Level]:
    levels: dict[Key, _Level] = {}
    for one in placed:
        rank = order.rank(one.endpoint)
        level = levels.get(rank.key)
        if level is None:
            level = levels[rank.key] = _Level(shared=rank.key == DISTRIBUTED)
        level.add(rank, one)
    return levels


def _priorities(
    levels: Sequence[tuple[WeightedLocality, ...]], factor: int, settings: Settings
) -> tuple[Priority, ...]:
    panic = max(PANIC_PERCENT, settings.outlier.min_health_percent if settings.outlier else 0)
    expected = expected_percents([_hosts(level) for level in levels], factor, panic)
    return tuple(Priority(level, percent) for level, percent in zip(levels, expected, strict=True))


def _hosts(level: Iterable[WeightedLocality]) -> Hosts:
    healths = Counter(placed.health for locality in level for placed in locality.endpoints)
    total = sum(healths.values())
    return Hosts(healths[Health.HEALTHY], total - healths[Health.DRAINING], total)
