"""How demand flows to places that can be full: the nearest first, each up to its capacity.

Plain arithmetic on requests per second. A site whose capacity is not known is never full (`inf`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf

from .model import Locality
from .steering import Site

Tier = Mapping[Site, float]  # sites that are equally preferred, each with its weight
NOTHING = 1e-9  # less than this is rounding


@dataclass(frozen=True, slots=True)
class Source:
    """Calls from one place: requests per second, and where they may go, the preferred first."""

    demand: float
    tiers: Sequence[Tier]

    def sites(self) -> dict[Site, float]:
        """All destinations with their weights, in order."""
        return {site: weight for tier in self.tiers for site, weight in tier.items()}


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests per second by source and destination. `shortfall`: what fits nowhere, by source.

    What fits nowhere is in `sent` all the same: spread by capacity, so that none is toppled before the rest.
    """

    sent: Mapping[Locality, Mapping[Site, float]]
    shortfall: Mapping[Locality, float]

    def received(self) -> dict[Site, float]:
        """Requests per second by destination."""
        totals: dict[Site, float] = {}
        for row in self.sent.values():
            for site, rate in row.items():
                totals[site] = totals.get(site, 0.0) + rate
        return totals


def unlimited(sources: Mapping[Locality, Source]) -> Flow:
    """The flow if nothing were ever full: everything to the first tier, by weight."""
    sent = {
        place: _split(source.demand, source.tiers[0]) if source.tiers else {}
        for place, source in sources.items()
    }
    return Flow(sent, {})


def filled(sources: Mapping[Locality, Source], capacity: Mapping[Site, float]) -> Flow:
    """The flow that fills sites, tier by tier, up to their capacity. Sites that are absent are never full.

    In one tier all sources are served alike: who asks for twice as much of a site gets twice as much.
    """
    sent: dict[Locality, dict[Site, float]] = {place: {} for place in sources}
    left = {place: source.demand for place, source in sources.items()}
    free = {site: capacity.get(site, inf) for source in sources.values() for site in source.sites()}
    for number in range(max((len(source.tiers) for source in sources.values()), default=0)):
        tiers = {place: s.tiers[number] for place, s in sources.items() if number < len(s.tiers)}
        _fill(tiers, left, free, sent)
    shortfall = {place: rate for place, rate in left.items() if rate > NOTHING}
    for place, rate in shortfall.items():
        for site, extra in _split(rate, _by_capacity(sources[place], capacity)).items():
            sent[place][site] = sent[place].get(site, 0.0) + extra
    return Flow(sent, shortfall)


def _fill(
    tiers: Mapping[Locality, Tier],
    left: dict[Locality, float],
    free: dict[Site, float],
    sent: dict[Locality, dict[Site, float]],
) -> None:
    """Give one tier's demand to its sites. Each round empties a demand or fills a site, so it ends."""
    for _ in range(len(free) + len(left) + 1):
        asked = {
            place: _split(left[place], {site: w for site, w in tier.items() if free[site] > NOTHING})
            for place, tier in tiers.items()
            if left[place] > NOTHING
        }
        totals: dict[Site, float] = {}
        for row in asked.values():
            for site, rate in row.items():
                totals[site] = totals.get(site, 0.0) + rate
        if not totals:
            return
        granted = {site: min(1.0, free[site] / total) if total else 0.0 for site, total in totals.items()}
        for place, row in asked.items():
            for site, rate in row.items():
                given = rate * granted[site]
                left[place] -= given
                free[site] = max(0.0, free[site] - given)
                sent[place][site] = sent[place].get(site, 0.0) + given


def _split(rate: float, weights: Mapping[Site, float]) -> dict[Site, float]:
    total = sum(weights.values())
    return {site: rate * weight / total for site, weight in weights.items()} if total > 0 else {}


def _by_capacity(source: Source, capacity: Mapping[Site, float]) -> dict[Site, float]:
    """The weights of what fits nowhere: by capacity; only known ones can have been full."""
    known = {site: capacity.get(site, inf) for site in source.sites()}
    finite = {site: rate for site, rate in known.items() if not isinf(rate) and rate > 0}
    # nothing has any room at all: as the endpoints are
    return finite or source.sites()
