"""All of it at one instant: clusters' facts merged into services, and the policies that count.

Replaced, never edited: `merge` keeps the identity of every service whose parts did not change, so
that "did this service change?" is an `is` check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from operator import is_
from typing import Any, TypeVar

from . import exports
from .claims import NO_CLAIMS, Address, Claims, changes, disputed, of_service, renewed
from .conflicts import conflicts_of_rules, conflicts_of_services
from .difference import differing
from .leaving import Leaving
from .model import ClusterFacts, Endpoint, Locality, Problem, ServiceFacts, ServiceKey, ServicePort, Vantage
from .orders import ActiveOrder
from .policy import DestinationRule, FailoverPolicy, age
from .steering import NO_STEERING, Steering

K = TypeVar("K")
V = TypeVar("V")
Rule = TypeVar("Rule", DestinationRule, FailoverPolicy)


class Sameness(StrEnum):
    """Which services of one namespace and name in several clusters are one service."""

    ALL = "all"
    EXPORTED = "exported"


@dataclass(frozen=True, slots=True)
class Presence:
    """What one service port in one cluster had lately (see `presence.py`); beside the facts.

    `peak_ready`: the highest ready count of the last 5 minutes, by locality.
    `usual`: how many it had lately for half a minute, which the surge of a rolling update does not last.
    `vanished`: endpoints that disappeared while ready, without terminating first, and still count.
    `starting`: (address, port) of those that are more than usual and were never ready yet.
    """

    peak_ready: Mapping[Locality, int] = field(default_factory=dict)
    vanished: tuple[Endpoint, ...] = ()
    starting: frozenset[tuple[str, int]] = frozenset()
    usual: Mapping[Locality, int] = field(default_factory=dict)


NO_PRESENCE: Mapping[int, Presence] = {}
Presences = Mapping[tuple[str, ServiceKey], Mapping[int, Presence]]  # by cluster and service, then port


@dataclass(frozen=True, slots=True)
class Part:
    """What one cluster adds to a service. `presence` is keyed by service port number."""

    cluster: str
    facts: ServiceFacts
    presence: Mapping[int, Presence] = field(default_factory=dict)
    exported: bool = True  # False: not for clients of other clusters
    exported_at: str = ""  # with `sameness: exported`, the creation time of its ServiceExport
    # addresses of its pods that other clusters claim too, with all claimants (see `claims.py`)
    contested: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    leaving: Leaving = Leaving.NO  # the whole cluster is

    @property
    def age(self) -> tuple[bool, str, str]:
        """Sorts parts by who decides: the oldest export, else the oldest Service, then the cluster's name."""
        return (not self.exported, *exports.age(self.cluster, self.exported_at or self.facts.created))


@dataclass(frozen=True, slots=True)
class Service:
    """A service over all clusters. `ports` is the union, by number; `parts` are sorted by cluster.

    `steering` is what health and capacity make of it (see `steering.py`), by service port number.
    """

    key: ServiceKey
    ports: tuple[ServicePort, ...]
    parts: tuple[Part, ...]
    steering: Steering = field(default_factory=dict)

    @property
    def exported(self) -> bool:
        """Whether any cluster shares it with the others: only then it has hosts of the cluster set."""
        return any(part.exported for part in self.parts)

    @property
    def hostnames(self) -> tuple[str, ...]:
        """The pods that have hosts of their own, in any cluster, sorted."""
        named = [part.facts.hostnames for part in self.parts if part.facts.hostnames]
        return named[0] if len(named) == 1 else tuple(sorted({name for names in named for name in names}))

    def port(self, number: int) -> ServicePort | None:
        """The port of that number, or None."""
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True, slots=True)
class Mesh:
    """What is configured for the whole mesh: `tideover.yaml` and the `policies` folder.

    `leaving`: clusters that are being emptied (see `leaving.py`), and how far they are. `steering` and
    `orders` are what health and operators make of the traffic now.
    """

    sameness: Sameness = Sameness.ALL
    root_namespace: str = "tideover-system"
    destination_rules: tuple[DestinationRule, ...] = ()
    failover_policies: tuple[FailoverPolicy, ...] = ()
    leaving: Mapping[str, Leaving] = field(default_factory=dict)
    steering: Mapping[ServiceKey, Steering] = field(default_factory=dict)
    orders: tuple[ActiveOrder, ...] = ()


@dataclass(frozen=True, slots=True)
class MergedWith:
    """What a world was merged with, as it was given: the next merge looks only at what differs from it."""

    presences: Presences = field(default_factory=dict)
    steering: Mapping[ServiceKey, Steering] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """Services, policies and clusters at one instant. Freshness stands beside it (`SourceStatus`).

    `complete`: every configured source is completely known (listed, or restored from the snapshot).
    `destination_rules` and `failover_policies` are the union of all clusters' and the mesh's, oldest
    first; they keep their identity (the tuple and its items) while nothing in them changed.
    `problems` are conflicts that only show in the merge (an address claimed twice, ports that differ).
    `orders` are those in force at this instant. `merged_with` is for the next merge.
    """

    services: Mapping[ServiceKey, Service] = field(default_factory=dict)
    clusters: Mapping[str, ClusterFacts] = field(default_factory=dict)
    destination_rules: tuple[DestinationRule, ...] = ()
    failover_policies: tuple[FailoverPolicy, ...] = ()
    root_namespace: str = "tideover-system"
    complete: bool = True
    problems: tuple[Problem, ...] = ()
    sameness: Sameness = Sameness.ALL
    claims: Claims = NO_CLAIMS
    leaving: Mapping[str, Leaving] = field(default_factory=dict)
    orders: tuple[ActiveOrder, ...] = ()
    merged_with: MergedWith = field(default_factory=MergedWith, repr=False, compare=False)


def merge(
    clusters: Iterable[ClusterFacts],
    mesh: Mesh = Mesh(),
    presences: Presences | None = None,
    previous: World | None = None,
    *,
    complete: bool = True,
) -> World:
    """The world of these clusters, in any order; what equals its part of `previous` is that part.

    Of two facts of one cluster the newer generation counts. Nothing changed: `previous` itself.
    """
    before = previous or World()
    ordered = sorted(clusters, key=lambda facts: (facts.cluster, facts.generation))
    by_name = {facts.cluster: facts for facts in ordered}
    touched = _touched(by_name, mesh, presences or {}, before)
    claims = renewed(before.claims, changes(before.clusters, by_name, touched))
    touched |= disputed(by_name, before.claims, claims)
    services = _services(by_name, presences or {}, before, Look(touched, mesh, claims))
    rules = _union(before.destination_rules, [*_all(by_name, "destination_rules"), *mesh.destination_rules])
    policies = _union(
        before.failover_policies, [*_all(by_name, "failover_policies"), *mesh.failover_policies]
    )
    now = World(
        services=services,
        clusters=_kept(before.clusters, by_name),
        destination_rules=rules,
        failover_policies=policies,
        root_namespace=mesh.root_namespace,
        complete=complete,
        problems=_problems(services, rules, policies, before),
        sameness=mesh.sameness,
        claims=claims,
        leaving=before.leaving if before.leaving == mesh.leaving else mesh.leaving,
        orders=before.orders if before.orders == mesh.orders else mesh.orders,
        merged_with=MergedWith(presences or {}, mesh.steering),
    )
    return previous if previous is not None and _same(now, previous) else now


def located(world: World, vantage: Vantage) -> Vantage:
    """The vantage with what it does not say: its node's locality, else its cluster's; its network."""
    facts = world.clusters.get(vantage.cluster)
    locality, network = vantage.locality, vantage.network
    if facts is not None:
        if locality == Locality():
            locality = facts.nodes.get(vantage.node, Locality())
        if locality == Locality():
            locality = facts.locality
        # "default" is also what a client that says nothing is read as
        if network in ("", "default"):
            network = facts.network
    network = network or "default"
    if locality == vantage.locality and network == vantage.network:
        return vantage
    return replace(vantage, locality=locality, network=network)


@dataclass(frozen=True, slots=True)
class Look:
    """The services to look at again, and what counts for all of them."""

    touched: set[ServiceKey]
    mesh: Mesh
    claims: Claims


def _services(
    clusters: Mapping[str, ClusterFacts], presences: Presences, before: World, look: Look
) -> Mapping[ServiceKey, Service]:
    """All services; only those that some cluster touched are looked at again."""
    exported_only = look.mesh.sameness is Sameness.EXPORTED
    changed: dict[ServiceKey, Service] = {}
    gone: list[ServiceKey] = []
    for key in look.touched:
        parts = [
            Part(
                cluster=name,
                facts=found,
                presence=presences.get((name, key), NO_PRESENCE),
                exported=key in facts.exports if exported_only else not exports.is_clusters_own(key),
                exported_at=_exported_at(facts, key, look.mesh),
                contested=of_service(look.claims, found),
                leaving=look.mesh.leaving.get(name, Leaving.NO),
            )
            for name, facts in clusters.items()
            if (found := facts.services.get(key)) is not None
        ]
        if not parts:
            gone += [key] if key in before.services else []
            continue
        steering = look.mesh.steering.get(key, NO_STEERING)
        service = _service(key, parts, before.services.get(key), steering)
        if service is not before.services.get(key):
            changed[key] = service
    if not changed and not gone:
        return before.services
    services = {**before.services, **changed}
    for key in gone:
        services.pop(key, None)
    # a new key is last in a dict; the order of a world is by name
    return services if changed.keys() <= before.services.keys() else dict(sorted(services.items()))


def _problems(
    services: Mapping[ServiceKey, Service],
    rules: tuple[DestinationRule, ...],
    policies: tuple[FailoverPolicy, ...],
    before: World,
) -> tuple[Problem, ...]:
    of_services = conflicts_of_services(services, before.services, before.problems)
    if rules is before.destination_rules and policies is before.failover_policies:
        return of_services + tuple(p for p in before.problems if not p.object.startswith("Service "))
    return of_services + conflicts_of_rules(rules, policies)


def _touched(
    clusters: Mapping[str, ClusterFacts], mesh: Mesh, presences: Presences, before: World
) -> set[ServiceKey]:
    """Services whose facts, presence or export may differ from those of the world before."""
    if mesh.sameness is not before.sameness:
        return {key for facts in (*clusters.values(), *before.clusters.values()) for key in facts.services}
    touched = {key for _, key in differing(before.merged_with.presences, presences)}
    touched |= differing(before.merged_with.steering, mesh.steering)
    nothing = ClusterFacts("", "", Locality())
    for name in clusters.keys() | before.clusters.keys():
        old, new = before.clusters.get(name, nothing), clusters.get(name, nothing)
        touched |= differing(old.services, new.services)
        if old.exports is not new.exports:
            either = old.exports.keys() | new.exports.keys()
            touched |= {key for key in either if old.exports.get(key) != new.exports.get(key)}
        if before.leaving.get(name) != mesh.leaving.get(name):
            touched |= new.services.keys()
    return touched


def _service(key: ServiceKey, parts: list[Part], before: Service | None, steering: Steering) -> Service:
    """The service; `before`, or its parts or steering, where they are equal."""
    if before is None:
        return Service(key, union_ports(parts), tuple(parts), steering)
    known = {part.cluster: part for part in before.parts}
    kept = tuple(_part(part, known.get(part.cluster)) for part in parts)
    steering = before.steering if before.steering == steering else steering
    same_parts = len(kept) == len(before.parts) and all(map(is_, kept, before.parts))
    if same_parts and steering is before.steering:
        return before
    return Service(key, before.ports if same_parts else union_ports(kept), kept, steering)


def _exported_at(facts: ClusterFacts, key: ServiceKey, mesh: Mesh) -> str:
    export = facts.exports.get(key) if mesh.sameness is Sameness.EXPORTED else None
    return export.created if export is not None else ""


def _part(part: Part, before: Part | None) -> Part:
    if before is None or (before.exported, before.exported_at) != (part.exported, part.exported_at):
        return part
    if before.leaving is not part.leaving:
        return part
    same_facts = before.facts is part.facts or before.facts == part.facts
    same_presence = before.presence is part.presence or before.presence == part.presence
    return before if same_facts and same_presence and before.contested == part.contested else part


def union_ports(parts: Iterable[Part]) -> tuple[ServicePort, ...]:
    """The ports of all parts by number; where they differ the oldest says what a port is."""
    ports: dict[int, ServicePort] = {}
    for part in sorted(parts, key=lambda part: part.age):
        for port in part.facts.ports:
            ports.setdefault(port.number, port)
    return tuple(ports[number] for number in sorted(ports))


def _all(clusters: Mapping[str, ClusterFacts], field_name: str) -> list[Any]:
    return [rule for facts in clusters.values() for rule in getattr(facts, field_name)]


def _union(before: tuple[Rule, ...], found: Iterable[Rule]) -> tuple[Rule, ...]:
    """All rules, oldest first; one that several clusters hold alike counts once, as its oldest copy."""
    known: dict[tuple[str, str], list[Rule]] = {}
    for rule in before:
        known.setdefault((rule.namespace, rule.name), []).append(rule)
    union: dict[tuple[str, str], list[Rule]] = {}
    for rule in sorted(found, key=age):
        same_name = union.setdefault((rule.namespace, rule.name), [])
        if not any(rule is other or replace(rule, created=other.created) == other for other in same_name):
            candidates = known.get((rule.namespace, rule.name), [])
            same_name.append(next((old for old in candidates if old is rule or old == rule), rule))
    rules = tuple(sorted((rule for same_name in union.values() for rule in same_name), key=age))
    return before if len(rules) == len(before) and all(map(is_, rules, before)) else rules


def _kept(before: Mapping[K, V], now: Mapping[K, V]) -> Mapping[K, V]:
    same = len(before) == len(now) and all(before.get(key) is value for key, value in now.items())
    return before if same else now


def _same(now: World, before: World) -> bool:
    return (
        now.services is before.services
        and now.clusters is before.clusters
        and now.destination_rules is before.destination_rules
        and now.failover_policies is before.failover_policies
        and now.root_namespace == before.root_namespace
        and now.complete == before.complete
        and now.sameness is before.sameness
        and now.problems == before.problems
        and now.leaving == before.leaving
        and now.orders is before.orders
    )
