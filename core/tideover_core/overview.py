"""What fails over now, and why: for every service port the places that no longer carry their own load.

Told without any client: a place fails over when Envoys nearby send part of its traffic elsewhere, by
Envoy's own arithmetic on the endpoints that they are sent, or because verdicts or orders admit only a
part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .assignment import Health, Placed
from .holds import FREE, WHOLE, Hold, Holding, Holds, by_order, of_service, percent_of
from .model import Locality, ServiceKey, Vantage
from .names import Target
from .orders import Action, ActiveOrder
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
        if _may_fail(world, world.services[key])
        for place in place_healths(world, world.services[key])
        if place.fails_over
    )


def place_healths(world: World, service: Service) -> Iterator[PlaceHealth]:
    """Every place of a service that has endpoints, or had some a moment ago, and the paths to it that are
    judged by themselves."""
    orders = of_service(world.orders, service.key)
    leaving = {part.cluster: part.leaving for part in service.parts if part.leaving}
    for port in service.ports:
        settings = resolve(world, Target(service.key, port.number), Vantage()).settings
        spill = settings.spill or Spill()
        stays = _Stays(overprovisioning(spill.below_healthy_percent), spill.min_healthy_endpoints)
        steering = service.steering.get(port.number, PortSteering())
        drains = [one for one in orders if one.order.action is Action.DRAIN]
        holding = Holding(service.key, steering, drains, leaving)
        sites = [
            (Site(part.cluster, locality), placed)
            for part in service.parts
            for locality, placed in places(part, port.number)
        ]
        everything = [one for _, placed in sites for one in placed]
        if not _leaves_any(holding, everything):
            holding, steering = Holding(service.key, PortSteering(), (), {}), PortSteering()
        moving = [one for one in orders if _has_receivers(one, everything, holding)]
        for site, placed in sites:
            counted = [one for one in placed if one.weight and one.health is not Health.DRAINING]
            at = (service.key, port.number, site)
            here = _place(at, counted, holding.holds(counted, Vantage(site.locality)), stays)
            shifted, shifts = _shifted(service.key, moving, counted)
            left = round(here.stays_percent * (1 - shifted))
            here = replace(here, stays_percent=left, causes=(*here.causes, *shifts))
            yield here
            for source, to in steering.pairs:
                holds = holding.holds(counted, Vantage(source)) if to == site else {}
                there = _place(at, counted, holds, stays) if holds else here
                if there.stays_percent < here.stays_percent:
                    yield replace(there, source=source)


@dataclass(frozen=True, slots=True)
class _Stays:
    """Envoy's arithmetic of how much stays in a place."""

    factor: int
    min_healthy: int

    def percent(self, healthy: int, counted: int) -> int:
        """With so many healthy of those that count."""
        # min_healthy_endpoints hands everything on, where the place can have so many at all
        if not counted or healthy < self.min_healthy <= counted:
            return 0
        return min(100, self.factor * healthy // counted)


def _leaves_any(holding: Holding, placed: Sequence[Placed]) -> bool:
    """Whether anybody healthy is admitted anything: else nothing of this counts (see `standing`)."""
    healthy = [one for one in placed if one.health is Health.HEALTHY]
    holds = holding.holds(healthy, Vantage())
    return any(holds.get(one.endpoint.key, FREE).admitted > 0 for one in healthy)


def _place(
    at: tuple[ServiceKey, int, Site], counted: Sequence[Placed], holds: Holds, stays: _Stays
) -> PlaceHealth:
    """One place, with what holds its endpoints back."""
    service, port, site = at
    healthy = sum(1 for one in counted if one.health is Health.HEALTHY)
    ready = stays.percent(healthy, len(counted))
    free = [holds.get(one.endpoint.key, FREE) for one in counted]
    left = round(_mixed(counted, free, stays)) if holds else ready
    said = dict.fromkeys(cause for hold in free for cause in (*hold.judgements, *hold.orders))
    causes = (*_reasons(counted), *said)
    return PlaceHealth(service, port, *site, healthy, len(counted), left, causes, ready)


def _mixed(counted: Sequence[Placed], free: Sequence[Hold], stays: _Stays) -> float:
    """The percent that stays, of traffic each part of which sees others as down."""
    bounds = sorted({0.0, WHOLE, *(value for hold in free for value in (hold.judged, hold.ordered))})
    total = 0.0
    for low, high in pairwise(bounds):
        left = [
            one.health is Health.HEALTHY and hold.judged > low
            for one, hold in zip(counted, free, strict=True)
            if hold.ordered > low
        ]
        total += stays.percent(sum(left), len(left)) * (high - low) / WHOLE
    return total


def _has_receivers(active: ActiveOrder, placed: Sequence[Placed], holding: Holding) -> bool:
    """Whether a shift has anybody to go to: else it moves nothing. Other orders need none."""
    to = active.order.to
    if active.order.action is not Action.SHIFT or to is None:
        return True
    there = [
        one for one in placed if one.health is Health.HEALTHY and to.holds(holding.service, one.endpoint)
    ]
    holds = holding.holds(there, Vantage())
    return any(holds.get(one.endpoint.key, FREE).admitted > 0 for one in there)


def _shifted(
    service: ServiceKey, orders: Sequence[ActiveOrder], counted: Sequence[Placed]
) -> tuple[float, tuple[str, ...]]:
    """(the part of a place's traffic that shifts take, which they are)."""
    frozen = [one.order.target for one in orders if one.order.action is Action.FREEZE]
    shifts = [one for one in orders if one.order.action is Action.SHIFT]
    moved, said = 0.0, dict[str, None]()
    for one in counted if shifts else ():
        if any(aim.holds(service, one.endpoint) for aim in frozen):
            continue
        holding = [shift for shift in shifts if shift.order.target.holds(service, one.endpoint)]
        said |= dict.fromkeys(map(by_order, holding))
        moved += one.weight * max((percent_of(shift.percent) for shift in holding), default=0.0)
    return moved / (WHOLE * (sum(one.weight for one in counted) or 1)), tuple(said)


def _may_fail(world: World, service: Service) -> bool:
    """Cheap: with everything ready, nothing remembered and nothing steered, no place can fail over."""
    return (
        bool(service.steering)
        or bool(of_service(world.orders, service.key))
        or any(
            part.presence
            or part.leaving
            or not all(e.ready for ends in part.facts.endpoints.values() for e in ends)
            for part in service.parts
        )
    )


def _reasons(counted: Sequence[Placed]) -> list[str]:
    """What the endpoints that are not healthy have in common, counted."""
    counts: dict[str, int] = {}
    for one in counted:
        if one.health is Health.UNHEALTHY:
            reason = one.causes[0].partition(";")[0].partition(",")[0]
            counts[reason] = counts.get(reason, 0) + 1
    return [f"{count} {reason}" for reason, count in counts.items()]
