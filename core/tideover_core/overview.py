"""What fails over now, and why: for every service port the places that no longer carry their own load.

Judged without any client: a place fails over when Envoys nearby send part of its traffic elsewhere, by
Envoy's own arithmetic on the endpoints that they are sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .assignment import Health, Placed
from .model import Locality, ServiceKey, Vantage
from .names import Target
from .policy import Spill
from .reach import places
from .resolve import resolve
from .traffic import overprovisioning
from .world import Service, World


@dataclass(frozen=True, slots=True)
class PlaceHealth:
    """One service port in one cluster and locality.

    `counted` are the endpoints in Envoy's denominator: ready, not ready, and lost ones that still count.
    `stays_percent` of the traffic of clients nearby stays here.
    """

    service: ServiceKey
    port: int
    cluster: str
    locality: Locality
    healthy: int
    counted: int
    stays_percent: int
    causes: tuple[str, ...] = ()

    @property
    def fails_over(self) -> bool:
        """Whether traffic leaves this place for want of ready endpoints."""
        return self.stays_percent < 100

    @property
    def cause(self) -> str:
        """Why, in words."""
        leaves = f"{self.healthy} of {self.counted} ready: {100 - self.stays_percent} % of its traffic leaves"
        return f"{leaves} ({', '.join(self.causes)})" if self.causes else leaves

    def __str__(self) -> str:
        return f"port {self.port} at {self.locality} in {self.cluster}: {self.cause}"


def failing_over(world: World) -> tuple[PlaceHealth, ...]:
    """All places of the world that fail over now, by service, port, cluster and locality."""
    return tuple(
        place
        for key in sorted(world.services)
        if _may_fail(world.services[key])
        for place in place_healths(world, world.services[key])
        if place.fails_over
    )


def place_healths(world: World, service: Service) -> Iterator[PlaceHealth]:
    """Every place of a service that has endpoints, or had some a moment ago."""
    for port in service.ports:
        settings = resolve(world, Target(service.key, port.number), Vantage()).settings
        spill = settings.spill or Spill()
        factor = overprovisioning(spill.below_healthy_percent)
        for part in service.parts:
            for locality, placed in places(part, port.number):
                counted = [one for one in placed if one.weight and one.health is not Health.DRAINING]
                healthy = sum(1 for one in counted if one.health is Health.HEALTHY)
                stays = min(100, factor * healthy // len(counted)) if counted else 0
                # min_healthy_endpoints hands everything on, where the place can have so many at all
                if healthy < spill.min_healthy_endpoints <= len(counted):
                    stays = 0
                yield PlaceHealth(
                    service.key,
                    port.number,
                    part.cluster,
                    locality,
                    healthy,
                    len(counted),
                    stays,
                    _reasons(counted),
                )


def _may_fail(service: Service) -> bool:
    """Cheap: with everything ready and nothing remembered, no place can fail over."""
    return any(
        part.presence or not all(e.ready for ends in part.facts.endpoints.values() for e in ends)
        for part in service.parts
    )


def _reasons(counted: list[Placed]) -> tuple[str, ...]:
    """What the endpoints that are not healthy have in common, counted."""
    counts: dict[str, int] = {}
    for one in counted:
        if one.health is Health.UNHEALTHY:
            reason = one.causes[0].partition(";")[0].partition(",")[0]
            counts[reason] = counts.get(reason, 0) + 1
    return tuple(f"{count} {reason}" for reason, count in counts.items())
