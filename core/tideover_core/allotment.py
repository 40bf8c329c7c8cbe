"""Capacity plans of all services, kept from look to look. Mutable inside; pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from .capacity import NO_PLAN, Plan, Rates, demands, planned
from .fullness import Fullness, ready_weight
from .model import Locality, ServiceKey, Vantage
from .names import Target
from .resolve import resolve
from .steering import NO_STEERING, Loads, PortSteering, Site, Steering
from .world import Service, World

# so many looks a source that is no longer heard counts as it was: no data is not bad data
UNHEARD_LOOKS = 60
_NOTHING = PortSteering()


class Allotment:
    """Who is given how much of what is called, for services whose capacity is known.

    `learn`: the most that one endpoint of a site was seen to carry well counts as its capacity where neither
    policy nor pods say anything.
    """

    def __init__(self, *, learn: bool = False) -> None:
        self.plans: Mapping[Target, Plan] = {}
        self.fullness = Fullness()
        self._learn = learn
        self._demand: dict[Target, dict[Locality, tuple[float, int]]] = {}
        self._learned: dict[Target, dict[Site, float]] = {}
        self._limited: dict[ServiceKey, tuple[Service, bool]] = {}
        self._rules: tuple[object, object] = ((), ())

    def configure(self, *, learn: bool) -> None:
        """Whether to learn, from now on; what was learned is kept, and counts only while that is on."""
        self._learn = learn

    def allot(
        self,
        world: World,
        steering: Mapping[ServiceKey, Steering],
        loads: Loads,
        failed: Loads = MappingProxyType({}),
    ) -> None:
        """Plan anew from what is called now, and what fails of it. `steering` is what health makes of it now,
        which `world` need not have yet. Look about once a second, and when that changes.

        When nobody is heard at all, everything stays as it is.
        """
        if not loads:
            return
        if self._learn:
            self._look(
                world, steering, {calls: rate - failed.get(calls, 0.0) for calls, rate in loads.items()}
            )
        self._hear(demands(loads), demands(failed))
        plans: dict[Target, Plan] = {}
        for target, heard in self._demand.items():
            demand = {place: rate for place, (rate, _) in heard.items()}
            service = world.services.get(target.service)
            if service is not None and self._has_limits(world, service, target):
                seen = _judged(world, service, steering.get(target.service, NO_STEERING))
                plan = planned(seen, target, demand, self._rates(target), self.plans.get(target, NO_PLAN))
                if plan != NO_PLAN:
                    plans[target] = plan
        self.plans = plans

    def steered(self, steering: Mapping[ServiceKey, Steering]) -> Mapping[ServiceKey, Steering]:
        """The steering of health with the shares of these plans; itself when there are none."""
        shares = {target: plan.shares for target, plan in self.plans.items() if plan.shares}
        if not shares:
            return steering
        steered = dict(steering)
        for target, found in shares.items():
            ports = steered.get(target.service, NO_STEERING)
            port = replace(ports.get(target.port, PortSteering()), shares=found)
            steered[target.service] = {**ports, target.port: port}
        return steered

    def shortfalls(self) -> Mapping[Target, Plan]:
        """What nobody has room for."""
        return {target: plan for target, plan in self.plans.items() if plan.shortfall > 0}

    def rates(self) -> Mapping[Target, Rates]:
        """What was learned, if that is to count, by service port: requests per second of one endpoint."""
        targets = self._learned.keys() | self.fullness.rates.keys()
        return {target: rates for target in targets if (rates := self._rates(target))}

    def learned(self) -> list[tuple[str, int, str, str, float]]:
        """What was learned, to be saved: service, port, cluster, locality, requests per second."""
        return [
            (str(target.service), target.port, site.cluster, str(site.locality), rate)
            for target, rates in sorted(self._learned.items(), key=lambda item: str(item[0]))
            for site, rate in sorted(rates.items())
        ]

    def restore(self, learned: list[tuple[str, int, str, str, float]]) -> None:
        """Take back what was learned. ValueError on nonsense."""
        for service, port, cluster, locality, rate in learned:
            target = Target(ServiceKey.parse(service), int(port))
            self._learned.setdefault(target, {})[Site(cluster, Locality.parse(locality))] = float(rate)

    def _hear(
        self,
        now: Mapping[Target, Mapping[Locality, float]],
        failed: Mapping[Target, Mapping[Locality, float]],
    ) -> None:
        """Who asks for how much. What failed may have been called once more: between what went well and all
        of it lies what is asked for, and what was asked for before is the best guess."""
        for target in self._demand.keys() | now.keys():
            heard, bad = now.get(target, {}), failed.get(target, {})
            before = self._demand.get(target, {})
            kept = {
                place: (rate, left - 1)
                for place, (rate, left) in before.items()
                if place not in heard and left > 0
            }
            asked = {
                place: max(rate - bad.get(place, 0.0), min(rate, before.get(place, (rate, 0))[0]))
                for place, rate in heard.items()
            }
            both = kept | {place: (rate, UNHEARD_LOOKS) for place, rate in asked.items()}
            if both:
                self._demand[target] = both
            else:
                self._demand.pop(target, None)

    def _rates(self, target: Target) -> Rates | None:
        learned = self._learned.get(target, {}) if self._learn else {}
        return {**learned, **self.fullness.rates.get(target, {})} or None

    def _has_limits(self, world: World, service: Service, target: Target) -> bool:
        if target in self._learned:
            return True
        rules = (world.destination_rules, world.failover_policies)
        if any(now is not then for now, then in zip(rules, self._rules, strict=True)):
            self._rules, self._limited = rules, {}
        known = self._limited.get(service.key)
        if known is None or known[0] is not service:
            said = resolve(world, target, Vantage()).settings.capacity is not None
            known = self._limited[service.key] = (service, said or _pods_say(service))
        return known[1]

    def _look(self, world: World, steering: Mapping[ServiceKey, Steering], loads: Loads) -> None:
        """Remember the most that each site was seen to carry, unless it is judged."""
        received: dict[tuple[Target, Site], float] = {}
        for (key, port, _, site), rate in loads.items():
            name = (Target(key, port), site)
            received[name] = received.get(name, 0.0) + rate
        for (target, site), rate in received.items():
            service = world.services.get(target.service)
            judged = steering.get(target.service, NO_STEERING).get(target.port, PortSteering())
            ready = ready_weight(service, target.port, site) if service is not None else 0
            if ready and site not in judged.sites and not judged.endpoints:
                rates = self._learned.setdefault(target, {})
                rates[site] = max(rates.get(site, 0.0), rate / ready)


def _judged(world: World, service: Service, steering: Steering) -> World:
    """The world as health sees this service now."""
    if service.steering is steering or _same_verdicts(service.steering, steering):
        return world
    return replace(world, services={**world.services, service.key: replace(service, steering=steering)})


def _same_verdicts(one: Steering, other: Steering) -> bool:
    return all(
        replace(one.get(port, _NOTHING), shares={}) == replace(other.get(port, _NOTHING), shares={})
        for port in one.keys() | other.keys()
    )


def _pods_say(service: Service) -> bool:
    return any(
        one.capacity for part in service.parts for found in part.facts.endpoints.values() for one in found
    )
