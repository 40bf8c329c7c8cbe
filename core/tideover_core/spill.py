"""`minHealthyEndpoints`: a place with fewer healthy endpoints than this hands its traffic on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .assignment import Health, Placed
from .model import Locality


def withheld(placed: Sequence[Placed], min_healthy: int, policy: str) -> Sequence[Placed]:
    """The endpoints, those of places with too few healthy ones sent as unhealthy.

    Ignored where the place never has so many, and where nothing healthy would be left at all.
    """
    if min_healthy <= 0:
        return placed
    healthy: dict[Locality, int] = {}
    counted: dict[Locality, int] = {}
    for one in placed:
        locality = one.endpoint.locality
        healthy[locality] = healthy.get(locality, 0) + (one.health is Health.HEALTHY)
        counted[locality] = counted.get(locality, 0) + (one.health is not Health.DRAINING)
    weak = {place for place, n in healthy.items() if 0 < n < min_healthy <= counted[place]}
    if all(n == 0 or place in weak for place, n in healthy.items()):
        return placed
    why = {
        place: f"{healthy[place]} healthy here, minHealthyEndpoints is {min_healthy} ({policy})"
        for place in weak
    }
    return [
        replace(one, health=Health.UNHEALTHY, causes=(why[one.endpoint.locality], *one.causes))
        if one.health is Health.HEALTHY and one.endpoint.locality in weak
        else one
        for one in placed
    ]
