"""Weights of localities inside one priority: the sum of their endpoints, or the shares of `distribute`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .assignment import Health, Placed, WeightedLocality
from .model import Locality
from .policy import Share

# shares that are no whole numbers are sent in thousandths of a percent
_FINE = 1000


def by_endpoints(
    placed: Mapping[Locality, Sequence[Placed]], cause: Mapping[Locality, Iterable[str]]
) -> tuple[WeightedLocality, ...]:
    """Localities weighted by the endpoints that they have; draining ones add nothing."""
    localities = []
    for locality in sorted(placed):
        found = placed[locality]
        counted = [one for one in found if one.health is not Health.DRAINING]
        total = max(1, sum(one.weight for one in counted))
        why = f"weight {total}: {len(counted)} endpoint{'s' if len(counted) != 1 else ''}"
        localities.append(WeightedLocality(locality, total, tuple(found), (*cause[locality], why)))
    return tuple(localities)


def by_shares(
    placed: Mapping[Locality, Sequence[tuple[int, Placed]]],
    shares: Sequence[Share],
    cause: Mapping[Locality, Iterable[str]],
) -> tuple[WeightedLocality, ...]:
    """Localities weighted by the shares that they serve; a share is split by its endpoints' weights.

    Endpoints come with the number of their share. Where one locality serves several shares (of two
    clusters, say), the endpoints' weights carry the split.
    """
    everything = [pair for found in placed.values() for pair in found]
    alive = {number for number, one in everything if one.health is not Health.DRAINING}

    def counted(number: int, one: Placed) -> int:
        # draining ones add nothing, except to a share that has no others
        return one.weight if one.health is not Health.DRAINING or number not in alive else 0

    totals: dict[int, int] = {}
    for number, one in everything:
        totals[number] = totals.get(number, 0) + counted(number, one)
    masses = {
        locality: [shares[number].percent * counted(number, one) / totals[number] for number, one in found]
        for locality, found in placed.items()
    }
    sums = {locality: sum(parts) for locality, parts in masses.items()}
    # a weight is at least 1, which must stay next to nothing where only draining endpoints are
    whole = all(total >= 1 and abs(total - round(total)) < 1e-9 for total in sums.values())
    scale = 1 if whole else _FINE
    localities = []
    for locality in sorted(placed):
        found = placed[locality]
        endpoints = tuple(one for _, one in found)
        if len({number for number, _ in found}) > 1:
            endpoints = tuple(
                replace(one, weight=max(1, round(mass * _FINE)))
                for one, mass in zip(endpoints, masses[locality], strict=True)
            )
        total = max(1, round(sums[locality] * scale))
        localities.append(WeightedLocality(locality, total, endpoints, tuple(cause[locality])))
    return tuple(localities)
