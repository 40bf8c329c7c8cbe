"""What fails over now, and why: for every service port the places that no longer carry their own load.

Told without any client: a place fails over when Envoys nearby send part of its traffic elsewhere, by
Envoy's own arithmetic on the endpoints that they are sent, or because health admits only a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .assignment import Health, Placed
from .model import Locality, ServiceKey, Vantage
from .names import Target
from .policy import Spill
from .reach import places
from .resolve import resolve
from .steering import PortSteering, Site
from .traffic import overprovisioning
from .world import Service, World


@dataclass(frozen=True, slots=True)
class PlaceHealth:
    """One service port in one cluster and locality.

    `counted` are the endpoints in Envoy's denominator: ready, not ready, and lost ones that still count.
    `stays_percent` of the traffic of clients nearby stays here; `ready_percent` would if only readiness
    counted. `source`: the place whose clients alone are meant (a broken path), else None.
    """

    service: ServiceKey
    port: int
    cluster: str
    locality: Locality
    healthy: int
    counted: int
    stays_percent: int
    causes: tuple[str, ...] = ()
    ready_percent: int = 100
    source: Locality | None = None

    @property
    def fails_over(self) -> bool:
        """Whether traffic leaves this place."""
        return self.stays_percent < 100

    @property
    def place(self) -> str:
        """Where, in words."""
        calls = f"calls from {self.source} to " if self.source is not None else ""
        return f"{calls}{self.locality} in {self.cluster}"

    @property
    def cause(self) -> str:
        """Why, in words."""
        leaves = f"{self.healthy} of {self.counted} ready: {100 - self.stays_percent} % of its traffic leaves"
        return f"{leaves} ({', '.join(self.causes)})" if self.causes else leaves

    def __str__(self) -> str:
        at = "" if self.source is not None else "at "
        return f"port {self.port} {at}{self.place}: {self.cause}"


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
                stays = _Stays(spill, factor, len(counted))
                yield from _places(service, (port.number, Site(part.cluster, locality)), counted, stays)


@dataclass(frozen=True, slots=True)
class _Stays:
    """Envoy's arithmetic of how much stays in a place with so many endpoints."""

    spill: Spill
    factor: int
    counted: int

    def percent(self, healthy: int) -> int:
        """With so many of them healthy."""
        # min_healthy_endpoints hands everything on, where the place can have so many at all
        if not self.counted or healthy < self.spill.min_healthy_endpoints <= self.counted:
            return 0
        return min(100, self.factor * healthy // self.counted)


def _places(
    service: Service, at: tuple[int, Site], counted: list[Placed], stays: _Stays
) -> Iterator[PlaceHealth]:
    """One place, and the paths to it that are judged by themselves."""
    port, site = at
    steering = service.steering.get(port, PortSteering())
    healthy = [one for one in counted if one.health is Health.HEALTHY]
    ready = stays.percent(len(healthy))
    admissions = {one.endpoint.key: steering.endpoints.get(one.endpoint.key) for one in healthy}
    whole = steering.sites.get(site)
    admitted = [
        min([100.0, *(one.percent for one in (whole, own) if one is not None)]) for own in admissions.values()
    ]
    causes = [*_reasons(counted), *([whole.cause] if whole is not None else [])]
    causes += dict.fromkeys(own.cause for own in admissions.values() if own is not None)
    here = PlaceHealth(
        service.key, port, site.cluster, site.locality, len(healthy), len(counted),
        _mixed(admitted, stays), tuple(causes), ready,
    )  # fmt: skip
    yield here
    for (source, to), admission in steering.pairs.items():
        if to == site and admission.percent < here.stays_percent:
            left = round(here.stays_percent * admission.percent / 100)
            yield replace(here, stays_percent=left, causes=(admission.cause,), source=source)


def _mixed(admitted: list[float], stays: _Stays) -> int:
    """What stays when each healthy endpoint is up for that percent of the traffic."""
    before, total = 0.0, 0.0
    for percent in sorted({*admitted, 100.0}):
        total += (percent - before) * stays.percent(sum(one >= percent for one in admitted))
        before = percent
    return round(total / 100)


def _may_fail(service: Service) -> bool:
    """Cheap: with everything ready, nothing remembered and nothing judged, no place can fail over."""
    return bool(service.steering) or any(
        part.presence or not all(e.ready for ends in part.facts.endpoints.values() for e in ends)
        for part in service.parts
    )


def _reasons(counted: list[Placed]) -> list[str]:
    """What the endpoints that are not healthy have in common, counted."""
    counts: dict[str, int] = {}
    for one in counted:
        if one.health is Health.UNHEALTHY:
            reason = one.causes[0].partition(";")[0].partition(",")[0]
            counts[reason] = counts.get(reason, 0) + 1
    return [f"{count} {reason}" for reason, count in counts.items()]
