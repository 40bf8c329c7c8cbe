"""What gRPC clients without a proxy are sent instead: they know no weights of endpoints.

A locality whose endpoints differ in weight (one comes back in steps, a pod says what it takes, two clusters
share a place) becomes several, told apart by their subzone; load reports are read without that.
"""

from __future__ import annotations

from dataclasses import replace

from tideover_core.assignment import Assignment, Health, Placed, Priority, WeightedLocality
from tideover_core.names import part_of

_SCALE = 10_000  # so that parts of small weights are still right


def by_weight(assignment: Assignment) -> Assignment:
    """The same, with endpoints of one weight in each locality; itself where that is so."""
    if not any(_differ(place) for priority in assignment.priorities for place in priority.localities):
        return assignment
    return replace(assignment, priorities=tuple(_told_apart(one) for one in assignment.priorities))


def _differ(place: WeightedLocality) -> bool:
    first = place.endpoints[0].weight if place.endpoints else 0
    return any(one.weight != first for one in place.endpoints)


def _told_apart(priority: Priority) -> Priority:
    if not any(_differ(place) for place in priority.localities):
        return priority
    parts = tuple(part for place in priority.localities for part in _parts(place))
    return replace(priority, localities=parts)


def _parts(place: WeightedLocality) -> list[WeightedLocality]:
    """Who is not healthy gets no calls anyway, and has no part in the weight."""
    healthy: dict[int, list[Placed]] = {}
    for one in place.endpoints:
        if one.health is Health.HEALTHY:
            healthy.setdefault(one.weight, []).append(one)
    if len(healthy) < 2:
        return [replace(place, weight=place.weight * _SCALE)]
    others = [one for one in place.endpoints if one.health is not Health.HEALTHY]
    whole = sum(weight * len(found) for weight, found in healthy.items())
    return [
        replace(
            place,
            locality=replace(place.locality, subzone=part_of(place.locality.subzone, number)),
            weight=max(1, round(place.weight * _SCALE * weight * len(found) / whole)),
            endpoints=(*found, *(others if not number else ())),
        )
        for number, (weight, found) in enumerate(sorted(healthy.items(), reverse=True))
    ]
