"""What is kept although its cluster no longer says it: laid over what it says, each thing for a time.

Pure. The guard (`guard.py`) decides what is held; here is how it is kept, given up and put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .model import ClusterFacts, Endpoint, ServiceFacts, ServiceKey

# (field of ClusterFacts, what names the object in it)
Name = tuple[str, Any]
OTHERS = ("destination_rules", "failover_policies", "orders", "exports")
End = tuple[int, tuple[str, str, int]]  # service port number, endpoint's key


@dataclass(frozen=True, slots=True)
class HeldEnd:
    """An endpoint of a service port, and when there will be another look."""

    number: int
    endpoint: Endpoint
    until_s: float

    @property
    def key(self) -> End:
        """What names it in its service."""
        return (self.number, self.endpoint.key)


@dataclass(frozen=True, slots=True)
class HeldService:
    """Endpoints of one service. `facts`: the service as it last was; `until_s`: when it is gone, else 0."""

    facts: ServiceFacts
    until_s: float
    ends: tuple[HeldEnd, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """All that is held of one cluster. `others`: policies, orders and exports, with their time."""

    services: Mapping[ServiceKey, HeldService] = field(default_factory=dict)
    others: Mapping[Name, tuple[Any, float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.services or self.others)

    def addresses(self) -> frozenset[str]:
        """Distinct addresses."""
        return frozenset(end.endpoint.address for held in self.services.values() for end in held.ends)

    def next_look_s(self) -> float | None:
        """When there is the next thing to look at again."""
        times = [held.until_s for held in self.services.values() if held.until_s]
        times += [end.until_s for held in self.services.values() for end in held.ends]
        times += [until_s for _, until_s in self.others.values()]
        return min(times, default=None)

    def after(self, now_s: float) -> Holding:
        """Without what had its time, and was not there in a second look."""
        services = {}
        for key, held in self.services.items():
            ends = tuple(end for end in held.ends if end.until_s > now_s)
            until_s = held.until_s if held.until_s > now_s else 0.0
            if ends or until_s:
                same = len(ends) == len(held.ends) and until_s == held.until_s
                services[key] = held if same else replace(held, ends=ends, until_s=until_s)
        others = {name: (value, until_s) for name, (value, until_s) in self.others.items() if until_s > now_s}
        return Holding(services, others)

    def without(
        self, said: ClusterFacts, changed: Iterable[ServiceKey], newcomers: Mapping[str, frozenset[str]]
    ) -> Holding:
        """Without what the cluster says again. `newcomers`: addresses that have just appeared, with the pods
        that have them: one that another pod has now is never given to the service that had it before."""
        if not self:
            return self
        changes: dict[ServiceKey, HeldService | None] = {}
        touched = self.services if newcomers else changed
        for key in touched:
            held = self.services.get(key)
            if held is None:
                continue
            back = ends_of(said.services.get(key))
            ends = tuple(
                end for end in held.ends if end.key not in back and not taken(key, end.endpoint, newcomers)
            )
            gone = key in said.services and not ends
            if gone or len(ends) != len(held.ends):
                changes[key] = None if gone else replace(held, ends=ends)
        others = self.others
        if others:
            there = named(said)
            if any(name in there for name in others):
                others = {name: value for name, value in others.items() if name not in there}
        if not changes and others is self.others:
            return self
        services = {key: changes.get(key, held) for key, held in self.services.items()}
        return Holding({key: held for key, held in services.items() if held is not None}, others)


NOTHING_HELD = Holding()


def restored(held: HeldService, said: ServiceFacts | None, before: ServiceFacts | None) -> ServiceFacts:
    """A service as the cluster says it, with what is held of it, in the order of `before`; `before` itself
    when that is what comes of it."""
    if said is None and held.facts is before and len(held.ends) == sum(map(len, before.endpoints.values())):
        return before  # all of it, as it was
    base = said or replace(held.facts, endpoints={}, hostnames=())
    ends: dict[int, dict[tuple[str, str, int], Endpoint]] = {
        number: {end.key: end for end in there} for number, there in base.endpoints.items()
    }
    if said is None:
        ends |= {number: {} for number in held.facts.endpoints if number not in ends}
    hostnames = set(base.hostnames)
    for end in held.ends:
        ends.setdefault(end.number, {}).setdefault(end.endpoint.key, end.endpoint)
        if end.endpoint.hostname in held.facts.hostnames:
            hostnames.add(end.endpoint.hostname)
    numbers = {port.number for port in base.ports}
    kept = {end.number for end in held.ends} - numbers
    ports = (*base.ports, *(port for port in held.facts.ports if port.number in kept))
    found = replace(
        base,
        ports=ports,
        endpoints={number: _ordered(there, number, before) for number, there in ends.items()},
        hostnames=tuple(sorted(hostnames)),
    )
    return before if before is not None and before == found else found


def others_restored(said: ClusterFacts, holding: Holding, before: ClusterFacts) -> ClusterFacts:
    """The cluster's facts with the policies, orders and exports that are held."""
    changes: dict[str, Any] = {}
    for name, (value, _) in holding.others.items():
        where, key = name
        found = changes.setdefault(where, dict(_named(said, where)))
        found.setdefault((where, key), value)
    for where, found in changes.items():
        changes[where] = _together(where, found, before)
    return replace(said, **changes) if changes else said


def named(facts: ClusterFacts) -> Mapping[Name, Any]:
    """Policies, orders and exports by what names them."""
    found: dict[Name, Any] = {}
    for where in OTHERS:
        found |= _named(facts, where)
    return found


def _named(facts: ClusterFacts, where: str) -> Mapping[Name, Any]:
    if where == "exports":
        return {(where, key): value for key, value in facts.exports.items()}
    return {(where, (one.namespace, one.name)): one for one in getattr(facts, where)}


def _together(where: str, found: Mapping[Name, Any], before: ClusterFacts) -> Any:
    earlier = getattr(before, where)
    if where == "exports":
        exports = {key: value for (_, key), value in found.items()}
        return earlier if earlier == exports else exports
    order = {(one.namespace, one.name): n for n, one in enumerate(earlier)}
    policies = tuple(sorted(found.values(), key=lambda one: order.get((one.namespace, one.name), len(order))))
    return earlier if earlier == policies else policies


def ends_of(facts: ServiceFacts | None) -> frozenset[End]:
    """What names its endpoints."""
    if facts is None:
        return frozenset()
    return frozenset((number, end.key) for number, ends in facts.endpoints.items() for end in ends)


def taken(key: ServiceKey, endpoint: Endpoint, users: Mapping[str, frozenset[str]]) -> bool:
    """Whether its address is another pod's now."""
    pods = users.get(endpoint.address)
    return pods is not None and pod_of(key, endpoint) not in pods


def pod_of(key: ServiceKey, endpoint: Endpoint) -> str:
    """The pod of an endpoint; one without is known by its address alone."""
    return f"{key.namespace}/{endpoint.pod}" if endpoint.pod else ""


def _ordered(
    there: Mapping[tuple[str, str, int], Endpoint], number: int, before: ServiceFacts | None
) -> tuple[Endpoint, ...]:
    earlier = before.endpoints.get(number, ()) if before is not None else ()
    order = {end.key: n for n, end in enumerate(earlier)}
    return tuple(sorted(there.values(), key=lambda end: order.get(end.key, len(order))))
