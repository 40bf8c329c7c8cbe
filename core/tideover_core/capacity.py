"""Capacity: what near places cannot carry flows on, so that a failover does not topple who survives.

From what is called now (requests per second by source place) and what each place carries follow the shares
that clients of each source place are sent, and what nobody has room for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

from .assignment import Health, Placed
from .filling import NOTHING, Flow, Source, Tier, filled, unlimited
from .holds import FREE, WHOLE, holding
from .model import Endpoint, Locality, Vantage
from .names import Target
from .order import Key, order_of
from .policy import Capacity, Fill, Scope
from .reach import Asked, reach
from .resolve import Resolved, node_labels, resolve
from .steering import Loads, PortSteering, Site
from .world import World, located

Shares = Mapping[Locality, Mapping[Site, float]]
Demand = Mapping[Locality, float]  # requests per second by source place
Rates = Mapping[Site, float]  # requests per second that one endpoint of weight 1 there carries

# limits stay in force until every place would be this much below them without
RELAXED = 0.9
# a share that differs by less is not sent again, unless a place would be above its limit
STEP = 0.02
Levels = list[dict[Site, list[Placed]]]  # the preferred first
_SPRAYS = (Fill.SPRAY_IN_REGION, Fill.SPRAY_EVERYWHERE)


@dataclass(frozen=True, slots=True)
class Load:
    """One site of a service port: what it carries and what it is sent, in requests per second."""

    capacity: float
    expected: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What capacity makes of one service port. No shares: nothing is full, priorities say it all."""

    shares: Shares = field(default_factory=dict)
    loads: Mapping[Site, Load] = field(default_factory=dict)
    shortfall: float = 0.0  # requests per second that fit nowhere


NO_PLAN = Plan()


def planned(
    world: World, target: Target, demand: Demand, learned: Rates | None = None, before: Plan = NO_PLAN
) -> Plan:
    """The plan for one service port. `world` has the steering of health; capacity of what it took away is 0.

    `before` is the plan in force, which changes only for more than rounding. `learned`: rates for sites of
    which neither policy nor pods say anything.
    """
    service = world.services.get(target.service)
    if service is None or not demand:
        return NO_PLAN
    steering = service.steering.get(target.port, PortSteering())
    sources: dict[Locality, Source] = {}
    usual: dict[Locality, Source] = {}  # as the priorities say
    carried: dict[Site, float] = {}
    fill = Fill.WATERFALL_BY_ZONE
    for place, calls in sorted(demand.items()):
        vantage = client_at(world, place)
        resolved = resolve(world, target, vantage)
        said = resolved.settings.capacity or Capacity()
        fill = said.fill
        levels = _levels(world, target, vantage, resolved)
        for site, placed in ((site, placed) for level in levels for site, placed in level.items()):
            rate = carries((one.endpoint for one in placed), said, (learned or {}).get(site))
            if rate is not None:
                carried[site] = rate * _part(placed, steering)
        for number, (some, seen) in enumerate(_seen(calls, levels, place, steering)):
            part = replace(place, subzone=str(number) if number else "")
            sources[part] = Source(some, _tiers(seen, steering, fill, place))
            usual[part] = Source(some, _tiers(seen, steering, Fill.WATERFALL_BY_ZONE, place))
    if not carried and fill not in _SPRAYS:
        return NO_PLAN
    capacity = _admitted(sources, carried, steering)
    natural = unlimited(usual)
    if fill not in _SPRAYS and not _full(natural, capacity, RELAXED if before.shares else 1.0):
        return Plan({}, _loads(capacity, natural))
    return _plan(sources, capacity, before)


def client_at(world: World, place: Locality) -> Vantage:
    """A client at that place: of a cluster that has nodes or endpoints there, else of none."""
    for name, facts in sorted(world.clusters.items()):
        own = facts.locality
        if place in facts.nodes.values() or (own.region, own.zone) == (place.region, place.zone):
            return located(world, Vantage(place, name))
    near = (name for name, facts in sorted(world.clusters.items()) if facts.locality.region == place.region)
    return located(world, Vantage(place, next(near, "")))


def demands(loads: Loads) -> dict[Target, dict[Locality, float]]:
    """Requests per second by service port and source, from those by destination."""
    found: dict[Target, dict[Locality, float]] = {}
    for (service, port, source, _), rate in loads.items():
        by_source = found.setdefault(Target(service, port), {})
        by_source[source] = by_source.get(source, 0.0) + rate
    return found


def _levels(world: World, target: Target, vantage: Vantage, resolved: Resolved) -> Levels:
    """What this vantage may use and is well, by preference; what health or orders took away is not there."""
    service = world.services[target.service]
    asked = Asked(target.port, None, resolved.settings.scope or Scope.ANYWHERE)
    order = order_of(resolved, vantage, partial(node_labels, world))
    placed = reach(service, asked, vantage).placed
    holds = holding(world, service, target.port).holds(placed, vantage)
    levels: dict[Key, dict[Site, list[Placed]]] = {}
    for one in placed:
        endpoint, rank = one.endpoint, order.rank(one.endpoint)
        admitted = holds.get(endpoint.key, FREE).admitted > 0
        if one.health is Health.HEALTHY and not rank.excluded and admitted:
            site = Site(endpoint.cluster, endpoint.locality)
            levels.setdefault(rank.key, {}).setdefault(site, []).append(one)
    return [levels[key] for key in sorted(levels)]


def _seen(
    calls: float, levels: Levels, place: Locality, steering: PortSteering
) -> Iterator[tuple[float, Levels]]:
    """What parts of the calls see while paths from there come back: a mixture, as without capacity."""
    back = {
        site: admission.percent
        for (source, site), admission in steering.pairs.items()
        if source == place and 0 < admission.percent < WHOLE
    }
    for low, high in pairwise(sorted({0.0, WHOLE, *back.values()})):
        seen = [
            {site: found for site, found in level.items() if back.get(site, WHOLE) > low} for level in levels
        ]
        yield calls * (high - low) / WHOLE, [level for level in seen if level] or levels


def _part(placed: Iterable[Placed], steering: PortSteering) -> float:
    """Of these, by weight, what verdicts on single ones admit."""
    whole = sum(one.weight for one in placed)
    return _weight(placed, steering) / whole if whole else 1.0


def _weight(placed: Iterable[Placed], steering: PortSteering) -> float:
    judged = steering.endpoints
    return sum(
        one.weight * (judged[key].percent / WHOLE if (key := one.endpoint.key) in judged else 1.0)
        for one in placed
    )


def _tiers(levels: Levels, steering: PortSteering, fill: Fill, home: Locality) -> list[Tier]:
    weighed = [{site: _weight(found, steering) for site, found in level.items()} for level in levels]
    match fill:
        case Fill.WATERFALL_BY_ZONE:
            return list(weighed)
        case Fill.SPRAY_EVERYWHERE:
            return [{site: weight for level in weighed for site, weight in level.items()}]
        case _:
            regions: dict[str, dict[Site, float]] = {home.region: {}}
            for level in weighed:
                for site, weight in level.items():
                    regions.setdefault(site.locality.region, {})[site] = weight
            return [tier for tier in regions.values() if tier]


def carries(endpoints: Iterable[Endpoint], said: Capacity, learned: float | None = None) -> float | None:
    """Requests per second that these carry together; None where that of any is not known.

    Of each: what its pod says, else the policy, else what was learned (for a weight of 1).
    """
    each = said.requests_per_second_per_endpoint or learned
    total = 0.0
    for one in endpoints:
        if not (rate := one.capacity or (each or 0.0) * max(1, one.weight)):
            return None
        total += rate
    return total


def _admitted(
    sources: Mapping[Locality, Source], carried: Mapping[Site, float], steering: PortSteering
) -> dict[Site, float]:
    """Capacities as far as health admits calls: what comes back carries its step's part of its share."""
    capacity = dict(carried)
    if steering.sites:
        whole = filled(sources, carried).received()
        for site, admission in steering.sites.items():
            if site in whole:
                part = whole[site] * admission.percent / 100
                capacity[site] = min(capacity.get(site, part), part)
    return capacity


def _full(flow: Flow, capacity: Mapping[Site, float], limit: float) -> bool:
    received = flow.received()
    return any(received.get(site, 0.0) > limit * carries + NOTHING for site, carries in capacity.items())


def _plan(sources: Mapping[Locality, Source], capacity: Mapping[Site, float], before: Plan) -> Plan:
    flow = filled(sources, capacity)
    sent: dict[Locality, dict[Site, float]] = {}
    demand: dict[Locality, float] = {}
    for part, row in flow.sent.items():
        place = replace(part, subzone="")
        demand[place] = demand.get(place, 0.0) + sources[part].demand
        for site, rate in row.items():
            sent.setdefault(place, {})[site] = sent.get(place, {}).get(site, 0.0) + rate
    shares: Shares = {place: _fractions(row) for place, row in sent.items() if row}
    if _settled(shares, before.shares) and not _too_much(demand, capacity, before.shares, flow):
        shares = before.shares
    return Plan(shares, _loads(capacity, flow), sum(flow.shortfall.values()))


def _loads(capacity: Mapping[Site, float], flow: Flow) -> dict[Site, Load]:
    received = flow.received()
    return {site: Load(rate, received.get(site, 0.0)) for site, rate in sorted(capacity.items())}


def _fractions(row: Mapping[Site, float]) -> dict[Site, float]:
    total = sum(row.values())
    return {site: rate / total for site, rate in sorted(row.items()) if rate > NOTHING} if total else {}


def _settled(shares: Shares, before: Shares) -> bool:
    """Whether the shares in force are as good as these."""
    return shares.keys() == before.keys() and all(
        abs(row.get(site, 0.0) - before[place].get(site, 0.0)) < STEP
        for place, row in shares.items()
        for site in row.keys() | before[place].keys()
    )


def _too_much(demand: Demand, capacity: Mapping[Site, float], shares: Shares, best: Flow) -> bool:
    """Whether the shares in force send a place more than it carries, though there is room elsewhere."""
    received: dict[Site, float] = {}
    for place, row in shares.items():
        for site, fraction in row.items():
            received[site] = received.get(site, 0.0) + fraction * demand[place]
    least = best.received()
    return any(
        site in capacity and rate > max(capacity[site], least.get(site, 0.0)) + NOTHING
        for site, rate in received.items()
    )
