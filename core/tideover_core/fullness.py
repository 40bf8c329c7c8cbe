"""What endpoints carry, from how full they say they are (ORCA), for policies with a target. Pure.

One that is 40 % full with 100 calls a second carries 200 at a target of 80 %.
"""

from __future__ import annotations

from collections.abc import Mapping

from .model import ServiceKey, Vantage
from .names import Target
from .resolve import resolve
from .steering import Loads, Site
from .world import Service, World

LEAST = 0.1  # of 1; with less it is mostly what a backend does without any calls
FULLEST = 10.0
LEAST_PER_S = 1.0  # calls to a site
WEIGHT = 0.3  # of what is seen now against what was seen before


class Fullness:
    """Estimates, kept from look to look: who is given less says less, and carries as much as before."""

    def __init__(self) -> None:
        self.rates: dict[Target, dict[Site, float]] = {}  # requests per second of one endpoint of weight 1

    def hear(self, world: World, loads: Loads, said: Mapping[tuple[ServiceKey, int, Site], float]) -> None:
        """How full backends of these sites are, of 1, and how often called. Look about once a second."""
        if not said:
            if self.rates:
                self._forget(world)
            return
        called: dict[tuple[ServiceKey, int, Site], float] = {}
        for key, port, _, site in loads:
            if (key, port, site) in said:
                called[key, port, site] = called.get((key, port, site), 0.0) + loads[key, port, _, site]
        for (key, port, site), full in said.items():
            service, rate = world.services.get(key), called.get((key, port, site), 0.0)
            weight = ready_weight(service, port, site) if service is not None else 0
            if weight and rate >= LEAST_PER_S and LEAST <= full <= FULLEST:
                target = Target(key, port)
                if (percent := target_percent(world, target)) is not None:
                    self._take(target, site, rate / weight * percent / 100 / full)
        self._forget(world)

    def _take(self, target: Target, site: Site, rate: float) -> None:
        rates = self.rates.setdefault(target, {})
        before = rates.get(site, rate)
        rates[site] = before + WEIGHT * (rate - before)

    def _forget(self, world: World) -> None:
        """What no policy asks for any more, and what is gone."""
        for target in list(self.rates):
            if target.service not in world.services or target_percent(world, target) is None:
                del self.rates[target]


def target_percent(world: World, target: Target) -> float | None:
    """How full the policy wants endpoints to be; None: it does not say."""
    said = resolve(world, target, Vantage()).settings.capacity
    return said.target_utilization_percent if said is not None else None


def ready_weight(service: Service, port: int, site: Site) -> int:
    """Of the endpoints of a site."""
    return sum(
        max(1, one.weight)
        for part in service.parts
        if part.cluster == site.cluster
        for one in part.facts.endpoints.get(port, ())
        if one.ready and one.locality == site.locality
    )
