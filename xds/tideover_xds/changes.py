"""What of the served resources may differ between two worlds: names, never contents.

Too many names cost a comparison of versions per stream, one too few is an update that never comes:
so where it is not cheap to be exact, this says too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tideover_core.difference import differing
from tideover_core.model import ClusterFacts, ServiceKey
from tideover_core.names import wire_name
from tideover_core.policy import DestinationRule, FailoverPolicy
from tideover_core.world import Part, Service, World
from tideover_wire.resource import TypeUrl

from .resources.hosts import every_host, qualified, written
from .resources.route import HTTP_ROUTES

Item = TypeVar("Item", DestinationRule, FailoverPolicy)


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one world to the next.

    `settings` are services whose ports, policies or annotations changed, or that came or went;
    `calls` are those of them whose ports or retries may have: what routes and listeners hold.
    `facts` are the others of which endpoints changed, with the ports whose endpoints did.
    `nodes` are (cluster, node) whose locality or labels changed, and `places` clusters whose locality
    or network did: what clients that stand there are sent may differ.
    """

    settings: frozenset[ServiceKey] = frozenset()
    calls: frozenset[ServiceKey] = frozenset()
    facts: Mapping[ServiceKey, frozenset[int]] = field(default_factory=dict)
    nodes: frozenset[tuple[str, str]] = frozenset()
    places: frozenset[str] = frozenset()


def difference(old: World, new: World) -> Difference:
    """Compare by identity first: a service whose parts did not change is the same object."""
    shaped, facts = _services(old, new)
    ruled = _ruled(old, new)
    policed, retried = _policed(old, new)
    nodes = _nodes(old.clusters, new.clusters)
    settings = shaped | ruled | policed
    if nodes:
        facts = {**facts, **_with_endpoints_on(new, nodes)}
    if old.orders is not new.orders:
        facts = {**facts, **_ordered(old, new)}
    return Difference(
        settings=settings,
        calls=shaped | retried,
        facts={key: ports for key, ports in facts.items() if key not in settings},
        nodes=nodes,
        places=_places(old.clusters, new.clusters),
    )


def names(
    found: Difference, old: World, new: World, subsets: Callable[[ServiceKey], Iterable[str]]
) -> Mapping[str, frozenset[str]]:
    """The names of resources that may differ, by type URL; types without any are absent."""
    clusters = frozenset(_wire_names(found.settings, (old, new), subsets))
    listeners = frozenset(_listener_names(found.calls, (old, new), subsets))
    by_type = {
        TypeUrl.CLUSTER: clusters,
        TypeUrl.ENDPOINT: clusters | frozenset(_assignment_names(found.facts, subsets)),
        TypeUrl.LISTENER: listeners,
        TypeUrl.ROUTE: frozenset({HTTP_ROUTES}) if found.calls else frozenset[str](),
    }
    return {url.value: some for url, some in by_type.items() if some}


def _services(old: World, new: World) -> tuple[frozenset[ServiceKey], Mapping[ServiceKey, frozenset[int]]]:
    """(services whose shape changed, others with the ports of which endpoints did)."""
    shaped: set[ServiceKey] = set()
    facts: dict[ServiceKey, frozenset[int]] = {}
    for key in differing(old.services, new.services):
        before, service = old.services.get(key), new.services.get(key)
        if before is not None and service is not None and _shape(before) == _shape(service):
            facts[key] = _ports_with_changes(before, service)
        else:
            shaped.add(key)
    return frozenset(shaped), facts


def _ports_with_changes(before: Service, service: Service) -> frozenset[int]:
    """Ports whose endpoints, or what is made of them, changed; the two services have one shape."""
    return frozenset(
        port.number
        for port in service.ports
        if before.steering.get(port.number) != service.steering.get(port.number)
        or any(
            was is not now and _differ_in(port.number, was, now)
            for was, now in zip(before.parts, service.parts, strict=True)
        )
    )


def _differ_in(port: int, was: Part, now: Part) -> bool:
    return (
        was.facts.endpoints.get(port) != now.facts.endpoints.get(port)
        or (was.contested, was.leaving) != (now.contested, now.leaving)
        or was.presence.get(port) != now.presence.get(port)
    )


def _ordered(old: World, new: World) -> Mapping[ServiceKey, frozenset[int]]:
    """Services, all their ports, of which an order that came, went or changed may hold anything."""
    changed = [one for one in old.orders if one not in new.orders]
    changed += [one for one in new.orders if one not in old.orders]
    about = [
        (aim.service, aim.service_cluster or aim.cluster) for one in changed for aim in (one.order.target,)
    ]
    return {
        key: frozenset(port.number for port in service.ports)
        for key, service in new.services.items()
        if any(
            (wanted is None or wanted == key)
            and (cluster is None or any(part.cluster == cluster for part in service.parts))
            for wanted, cluster in about
        )
    }


def _shape(service: Service) -> tuple[object, ...]:
    """All of a service but its endpoints: what settings and routes may depend on."""
    return (service.ports, tuple(_shape_of_part(part) for part in service.parts))


def _shape_of_part(part: Part) -> tuple[object, ...]:
    facts = part.facts
    return (
        part.cluster, part.exported, part.exported_at, facts.ports, facts.traffic_distribution,
        facts.internal_traffic_local, facts.created, facts.hostnames,
    )  # fmt: skip


def _ruled(old: World, new: World) -> frozenset[ServiceKey]:
    """Services that a changed DestinationRule is about."""
    if old.root_namespace != new.root_namespace:
        return frozenset(new.services)
    changed = _changed(old.destination_rules, new.destination_rules)
    return frozenset(key for rule in changed for key in about(rule, new))


def _policed(old: World, new: World) -> tuple[frozenset[ServiceKey], frozenset[ServiceKey]]:
    """(services that a changed FailoverPolicy is about, those of them of whose retries it speaks)."""
    if old.root_namespace != new.root_namespace:
        return frozenset(new.services), frozenset(new.services)
    policed: set[ServiceKey] = set()
    retried: set[ServiceKey] = set()
    for policy in _changed(old.failover_policies, new.failover_policies):
        policed.update(_targets(policy, new))
        if policy.settings.retry is not None:
            retried.update(_targets(policy, new))
    return frozenset(policed), frozenset(retried)


def _changed(old: tuple[Item, ...], new: tuple[Item, ...]) -> list[Item]:
    """Items of one but not of the other. Items are compared, not hashed: they hold mappings."""
    if old is new:
        return []
    before, after = {id(item) for item in old}, {id(item) for item in new}
    gone = [item for item in old if id(item) not in after]
    came = [item for item in new if id(item) not in before]
    return [item for item in gone if item not in came] + [item for item in came if item not in gone]


def about(rule: DestinationRule, world: World) -> Iterator[ServiceKey]:
    """The services that a DestinationRule's host may mean, whoever its clients are."""
    host = rule.host
    if host.startswith("*"):
        end = host[1:]
        yield from (key for key in world.services if _ends_with(key, end))
        return
    said = written(host, rule.namespace)
    if said is not None and said.service in world.services:
        yield said.service


def _ends_with(service: ServiceKey, end: str) -> bool:
    hosts = qualified(service)
    return not hosts or any(host.endswith(end) for host in hosts)


def _targets(policy: FailoverPolicy, world: World) -> Iterator[ServiceKey]:
    if policy.targets:
        yield from (key for key in policy.targets if key in world.services)
    else:
        mesh_wide = policy.namespace == world.root_namespace
        yield from (key for key in world.services if mesh_wide or key.namespace == policy.namespace)


def _nodes(old: Mapping[str, ClusterFacts], new: Mapping[str, ClusterFacts]) -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for name, facts in new.items():
        before = old.get(name)
        if before is facts:
            continue
        for was, now in (
            (before.nodes if before else {}, facts.nodes),
            (before.node_labels if before else {}, facts.node_labels),
        ):
            if was is not now:
                found.update(
                    (name, node) for node in was.keys() | now.keys() if was.get(node) != now.get(node)
                )
    return frozenset(found)


def _places(old: Mapping[str, ClusterFacts], new: Mapping[str, ClusterFacts]) -> frozenset[str]:
    def place(facts: ClusterFacts | None) -> tuple[object, ...] | None:
        return (facts.locality, facts.network) if facts is not None else None

    changed = (name for name in old.keys() | new.keys() if old.get(name) is not new.get(name))
    return frozenset(name for name in changed if place(old.get(name)) != place(new.get(name)))


def _with_endpoints_on(
    world: World, nodes: frozenset[tuple[str, str]]
) -> Mapping[ServiceKey, frozenset[int]]:
    return {
        key: frozenset(port.number for port in service.ports)
        for key, service in world.services.items()
        if any(
            (endpoint.cluster, endpoint.node) in nodes
            for part in service.parts
            for group in part.facts.endpoints.values()
            for endpoint in group
        )
    }


def _wire_names(
    keys: Iterable[ServiceKey], worlds: tuple[World, World], subsets: Callable[[ServiceKey], Iterable[str]]
) -> Iterator[str]:
    for key, service in _in(worlds, keys):
        for port in service.ports:
            yield wire_name(key, port.number)
            yield from (wire_name(key, port.number, subset) for subset in subsets(key))


def _assignment_names(
    facts: Mapping[ServiceKey, frozenset[int]], subsets: Callable[[ServiceKey], Iterable[str]]
) -> Iterator[str]:
    for key, ports in facts.items():
        own = tuple(subsets(key))
        for port in ports:
            yield wire_name(key, port)
            yield from (wire_name(key, port, subset) for subset in own)


def _listener_names(
    keys: Iterable[ServiceKey], worlds: tuple[World, World], subsets: Callable[[ServiceKey], Iterable[str]]
) -> Iterator[str]:
    """Sidecars' listeners are called as their cluster, proxyless clients' as they write the host."""
    yield from _wire_names(keys, worlds, subsets)
    for _, service in _in(worlds, keys):
        yield from every_host(service)


def _in(worlds: tuple[World, World], keys: Iterable[ServiceKey]) -> Iterator[tuple[ServiceKey, Service]]:
    for key in keys:
        for world in worlds:
            service = world.services.get(key)
            if service is not None:
                yield key, service
