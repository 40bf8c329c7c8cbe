"""What an order would do, before it does: per service what moves, from where to where, and to what load.

Computed with `plan`, before and after, for every place of the mesh and for all clients there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .assignment import Assignment, Health
from .capacity import Rates, carries
from .exports import is_clusters_own
from .levels import endpoint_shares
from .model import Endpoint, Locality, ServiceKey, Vantage
from .names import Target
from .orders import Action, ActiveOrder, TrafficOrder
from .plan import plan
from .policy import Capacity
from .resolve import resolve
from .simulate import held
from .steering import EndpointKey, Loads, Site
from .world import Service, World, located

Askers = Mapping[tuple[ServiceKey, int], Collection[Vantage]]  # who is subscribed
MOST_ASKERS = 32  # vantages of clients, per service port, besides all places of the mesh
_LEAST_PERCENT = 0.05


@dataclass(frozen=True, slots=True)
class Move:
    """A part of a service port's traffic that goes elsewhere. `per_s` is None where loads are not known."""

    service: ServiceKey
    port: int
    origin: Site
    to: Site
    percent: float
    per_s: float | None


@dataclass(frozen=True, slots=True)
class Filled:
    """What a place that gets more would have to carry. `endpoints` are those that are healthy."""

    service: ServiceKey
    port: int
    site: Site
    before_percent: float
    after_percent: float
    endpoints: int
    per_s: float | None
    capacity_per_s: float | None

    @property
    def too_much(self) -> bool:
        """Whether more is expected than it carries."""
        return self.per_s is not None and self.capacity_per_s is not None and self.per_s > self.capacity_per_s


@dataclass(frozen=True, slots=True)
class Bereft:
    """Clients that would have no healthy place any more."""

    service: ServiceKey
    port: int
    locality: Locality
    cluster: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """All of it. `endpoints`: how many the target holds."""

    endpoints: int = 0
    moves: tuple[Move, ...] = ()
    filled: tuple[Filled, ...] = ()
    bereft: tuple[Bereft, ...] = ()
    loads_known: bool = False


@dataclass(slots=True)
class _Sum:
    """One service port, summed over its vantages, each with the weight of its traffic."""

    weight: float = 0.0
    moved: dict[tuple[Site, Site], float] = field(default_factory=dict)
    before: dict[Site, float] = field(default_factory=dict)
    after: dict[Site, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of those who call: where they are, what they call now, what places were seen to carry."""

    askers: Askers = field(default_factory=dict)
    loads: Loads = field(default_factory=dict)
    learned: Mapping[Target, Rates] = field(default_factory=dict)


def outlook(world: World, order: TrafficOrder, known: Known = Known()) -> Outlook:
    """What the world would be with this order wholly in force."""
    active = ActiveOrder(order, order.percent, emptied=True)
    changed = replace(world, orders=(*_others(world, order), active))
    places, loads = mesh_vantages(world), known.loads
    found = [_of_port(world, changed, target, active, (places, known)) for target in _held_by(world, order)]
    return Outlook(
        held(world, order.target),
        tuple(move for one in found for move in one.moves),
        tuple(filled for one in found for filled in one.filled),
        tuple(bereft for one in found for bereft in one.bereft),
        bool(loads),
    )


def bereft(world: World, order: TrafficOrder, askers: Askers) -> tuple[Bereft, ...]:
    """Whom it would leave without any healthy place: as `outlook` says, without all the rest."""
    if order.action is not Action.DRAIN or order.percent < 100:
        return ()
    active, places = ActiveOrder(order, order.percent, emptied=True), mesh_vantages(world)
    others = replace(world, orders=_others(world, order))
    found: dict[Bereft, None] = {}
    for target in _held_by(world, order):
        for vantage in _vantages(target, places, askers):
            was = plan(world, target, vantage)
            if was is not None and _loses_all(others, target.service, was, active):
                found[_bereft(target, vantage)] = None
    return tuple(found)


def _bereft(target: Target, vantage: Vantage) -> Bereft:
    locality = Locality(vantage.locality.region, vantage.locality.zone)
    return Bereft(target.service, target.port, locality, vantage.cluster)


def _others(world: World, order: TrafficOrder) -> tuple[ActiveOrder, ...]:
    """The orders in force without what this one asked for before."""
    name = (order.namespace, order.name)
    return tuple(one for one in world.orders if (one.order.namespace, one.order.name) != name)


def _held_by(world: World, order: TrafficOrder) -> Iterator[Target]:
    for service in world.services.values():
        if order.target.service in (None, service.key):
            yield from (Target(service.key, port) for port in _ports_held(service, order))


def mesh_vantages(world: World) -> tuple[Vantage, ...]:
    """A client in every place where any cluster has anything."""
    places = {(name, facts.locality) for name, facts in world.clusters.items()}
    for name, facts in world.clusters.items():
        for service in facts.services.values():
            places.update((name, e.locality) for ends in service.endpoints.values() for e in ends)
    return tuple(
        located(world, Vantage(locality, cluster, network=""))
        for cluster, locality in sorted(places, key=lambda one: (one[0], one[1]))
    )


def _ports_held(service: Service, order: TrafficOrder) -> Iterator[int]:
    for port in service.ports:
        if any(
            order.target.holds(service.key, endpoint)
            for part in service.parts
            for endpoint in part.facts.endpoints.get(port.number, ())
        ):
            yield port.number


def _of_port(
    before: World,
    after: World,
    target: Target,
    active: ActiveOrder,
    asked: tuple[Iterable[Vantage], Known],
) -> Outlook:
    places, known = asked
    loads = known.loads
    vantages = _vantages(target, places, known.askers)
    weights = _weights(target, vantages, loads)
    total = _Sum()
    bereft: dict[Bereft, None] = {}
    healthy: dict[EndpointKey, Endpoint] = {}
    for vantage, weight in zip(vantages, weights, strict=True):
        was, now = plan(before, target, vantage), plan(after, target, vantage)
        if was is None or now is None:
            continue
        healthy |= {e.key: e for e in _healthy(was)}
        _add(total, was, now, weight)
        if _loses_all(before, target.service, was, active):
            bereft[_bereft(target, vantage)] = None
    whole = total.weight or 1.0
    per_s = sum(load for key, load in loads.items() if key[:2] == target[:2]) if loads else None
    moves = tuple(
        Move(*target[:2], origin, to, 100 * part / whole, per_s and per_s * part / whole)
        for (origin, to), part in sorted(total.moved.items())
        if 100 * part / whole >= _LEAST_PERCENT
    )
    grown = [site for site, part in sorted(total.after.items()) if part > total.before.get(site, 0) + 1e-6]
    learned = known.learned.get(target, {})
    filled = tuple(
        _filled(before, target, site, total, (healthy, per_s, learned.get(site))) for site in grown
    )
    return Outlook(0, moves, filled, tuple(bereft))


def _filled(
    world: World,
    target: Target,
    site: Site,
    total: _Sum,
    known: tuple[Mapping[EndpointKey, Endpoint], float | None, float | None],
) -> Filled:
    healthy, per_s, learned = known
    here = [e for e in healthy.values() if (e.cluster, e.locality) == site]
    said = resolve(world, target, Vantage()).settings.capacity or Capacity()
    whole = total.weight or 1.0
    after = total.after.get(site, 0.0) / whole
    return Filled(
        *target[:2],
        site,
        100 * total.before.get(site, 0.0) / whole,
        100 * after,
        len(here),
        None if per_s is None else per_s * after,
        carries(here, said, learned) if here else None,
    )


def _vantages(target: Target, places: Iterable[Vantage], askers: Askers) -> list[Vantage]:
    """Each place once, as the service's own namespace sees it; then clients that see more than a place."""
    found = {
        (v.locality, v.cluster): replace(v, namespace=v.namespace or target.service.namespace) for v in places
    }
    vantages = list(found.values())
    for asker in list(askers.get(target[:2], ()))[:MOST_ASKERS]:
        known = found.get((asker.locality, asker.cluster))
        if known is not None and asker.namespace in ("", known.namespace) and not asker.labels:
            continue
        vantages.append(asker)
    return vantages


def _weights(target: Target, vantages: Iterable[Vantage], loads: Loads) -> list[float]:
    """How much traffic each stands for; all the same where loads are not known."""
    sources: dict[Locality, float] = {}
    for (service, port, source, _), load in loads.items():
        if (service, port) == target[:2]:
            place = Locality(source.region, source.zone)
            sources[place] = sources.get(place, 0.0) + load
    places = [Locality(v.locality.region, v.locality.zone) for v in vantages]
    if not any(sources.get(place) for place in places):
        return [1.0] * len(places)
    return [sources.get(place, 0.0) / places.count(place) for place in places]


def _add(total: _Sum, was: Assignment, now: Assignment, weight: float) -> None:
    before, after = _by_site(was), _by_site(now)
    total.weight += weight
    for sums, shares in ((total.before, before), (total.after, after)):
        for site, share in shares.items():
            sums[site] = sums.get(site, 0.0) + weight * share
    gains = {s: gain for s, share in after.items() if (gain := share - before.get(s, 0.0)) > 1e-9}
    gained = sum(gains.values())
    for site, share in before.items():
        lost = share - after.get(site, 0.0)
        if lost <= 1e-9:
            continue
        for to, gain in gains.items():
            part = weight * lost * gain / gained
            total.moved[site, to] = total.moved.get((site, to), 0.0) + part


def _by_site(assignment: Assignment) -> dict[Site, float]:
    ends = {
        one.endpoint.key: one.endpoint
        for p in assignment.priorities
        for x in p.localities
        for one in x.endpoints
    }
    shares: dict[Site, float] = {}
    found = endpoint_shares(assignment.priorities, assignment.overprovisioning_percent)
    for key, share in found.items():
        site = Site(ends[key].cluster, ends[key].locality)
        shares[site] = shares.get(site, 0.0) + share
    return shares


def _healthy(assignment: Assignment) -> Iterator[Endpoint]:
    for priority in assignment.priorities:
        for locality in priority.localities:
            yield from (one.endpoint for one in locality.endpoints if one.health is Health.HEALTHY)


def _loses_all(world: World, service: ServiceKey, was: Assignment, active: ActiveOrder) -> bool:
    """Whether all that is healthy now would be drained; what each cluster has of its own stays as it is."""
    drains = [
        one.order.target
        for one in (*world.orders, active)
        if one.order.action is Action.DRAIN and one.order.percent >= 100
    ]
    if active.order.target not in drains or (
        is_clusters_own(service) and active.order.target.service is None
    ):
        return False
    healthy = list(_healthy(was))
    return bool(healthy) and all(any(aim.holds(service, e) for aim in drains) for e in healthy)
