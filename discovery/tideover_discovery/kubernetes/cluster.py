"""One cluster's objects into ClusterFacts; what did not change keeps its identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import is_

from tideover_core import policy as core
from tideover_core.model import ClusterFacts, Locality, Problem, ServiceFacts, ServiceKey

from .doubt import in_doubt, still, together
from .endpoints import Ground, pod_key
from .listing import Listing
from .manifest import Item
from .objects import EndpointSlice, Key, Namespace, Node, Pod
from .places import endpoint_locality, node_locality
from .services import Around, service_facts


@dataclass(frozen=True, slots=True)
class Built:
    """A service's facts with all that they were made of."""

    service: Item
    slices: tuple[Item, ...]
    pods: Mapping[tuple[str, str], Pod | None]
    nodes: Mapping[str, Locality | None]
    namespace: Namespace | None
    facts: ServiceFacts | None
    problems: tuple[Problem, ...]

    def made_of(self, service: Item, slices: tuple[Item, ...], namespace: Namespace | None) -> bool:
        """Whether it was made of these very objects."""
        return (
            self.service is service
            and self.namespace is namespace
            and len(self.slices) == len(slices)
            and all(map(is_, self.slices, slices))
        )


@dataclass(frozen=True, slots=True)
class Assembled:
    """Facts, and what is kept to make the next ones quickly."""

    facts: ClusterFacts
    listing: Listing = field(default_factory=Listing)
    built: Mapping[ServiceKey, Built] = field(default_factory=dict)
    kept: frozenset[ServiceKey] = frozenset()  # from the snapshot, while their objects are in doubt


@dataclass(slots=True)
class _Sorted:
    """Objects by kind."""

    services: dict[ServiceKey, Item] = field(default_factory=dict)
    slices: dict[ServiceKey, list[Item]] = field(default_factory=dict)
    pods: dict[tuple[str, str], Pod] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    exports: set[ServiceKey] = field(default_factory=set)
    rules: list[core.DestinationRule] = field(default_factory=list)
    policies: list[core.FailoverPolicy] = field(default_factory=list)


def _sorted(items: Mapping[Key, Item]) -> _Sorted:
    found = _Sorted()
    for (kind, namespace, name), item in items.items():
        body = item.body
        if isinstance(body, Pod):
            found.pods[namespace, name] = body
        elif isinstance(body, EndpointSlice):
            found.slices.setdefault(ServiceKey(namespace, body.service), []).append(item)
        elif kind == "Service":
            found.services[ServiceKey(namespace, name)] = item
        elif isinstance(body, Node):
            found.nodes[name] = body
        elif isinstance(body, Namespace):
            found.namespaces[name] = body
        elif kind == "ServiceExport":
            found.exports.add(ServiceKey(namespace, name))
        elif isinstance(item.policy, core.DestinationRule):
            found.rules.append(item.policy)
        elif isinstance(item.policy, core.FailoverPolicy):
            found.policies.append(item.policy)
    return found


def assemble(ground: Ground, listing: Listing, previous: Assembled) -> Assembled:
    """The facts that this listing says. Equal facts are the previous ones; else the generation rises."""
    found = _sorted(listing.items)
    said = {name: node_locality(node.metadata.labels or {}) for name, node in found.nodes.items()}
    problems = [*listing.problems, *_unsupported(listing.items)]
    services: dict[ServiceKey, ServiceFacts] = {}
    built: dict[ServiceKey, Built] = {}
    for key in sorted(found.services):
        made = built[key] = _build(ground, key, found, said, previous.built.get(key))
        problems += made.problems
        if made.facts is not None:
            services[key] = made.facts
    problems += _orphans(found)
    found.rules += still(previous.facts.destination_rules, found.rules, listing)
    found.policies += still(previous.facts.failover_policies, found.policies, listing)
    kept = _kept(listing, previous, services)
    facts = ClusterFacts(
        cluster=ground.cluster,
        network=ground.network,
        locality=ground.locality,
        services=services,
        destination_rules=tuple(sorted(found.rules, key=core.age)),
        failover_policies=tuple(sorted(found.policies, key=core.age)),
        exports=frozenset(found.exports),
        nodes={name: endpoint_locality("", there, "", ground.locality) for name, there in said.items()},
        node_labels={name: node.metadata.labels or {} for name, node in found.nodes.items()},
        problems=tuple(problems),
        generation=previous.facts.generation,
    )
    if facts.generation and facts == previous.facts:
        return Assembled(previous.facts, listing, built, kept)
    return Assembled(replace(facts, generation=facts.generation + 1), listing, built, kept)


def _build(
    ground: Ground, key: ServiceKey, found: _Sorted, nodes: Mapping[str, Locality], old: Built | None
) -> Built:
    """One service; the old one when nothing that it was made of has changed."""
    item = found.services[key]
    slices = tuple(sorted(found.slices.get(key, ()), key=lambda part: part.body.metadata.name))
    namespace = found.namespaces.get(key.namespace)
    if old is not None and old.made_of(item, slices, namespace):
        pods = {name: found.pods.get(name) for name in old.pods}
        there = {name: nodes.get(name) for name in old.nodes}
        if pods == old.pods and there == old.nodes:
            return old
    else:
        pods, there = {}, {}
        for part in slices:
            for said in part.body.endpoints or ():  # type: ignore[union-attr]
                if (pod := pod_key(said, key.namespace)) is not None:
                    pods[pod] = found.pods.get(pod)
                if said.node_name:
                    there[said.node_name] = nodes.get(said.node_name)
    facts, problems = service_facts(item, slices, Around(ground, pods, there, namespace))
    if old is not None and facts == old.facts:
        facts = old.facts
    return Built(item, slices, pods, there, namespace, facts, problems)


def _kept(
    listing: Listing, previous: Assembled, services: dict[ServiceKey, ServiceFacts]
) -> frozenset[ServiceKey]:
    """Put back into `services` what only the snapshot knows, while it may be in what is broken now."""
    if not listing.unsure and not listing.doubtful:
        return frozenset()
    kept = set()
    for key, before in previous.facts.services.items():
        listed_well = key in previous.built and key not in previous.kept
        if not listed_well and in_doubt(listing, key):
            services[key] = together(before, services.get(key))
            kept.add(key)
    return frozenset(kept)


def _unsupported(items: Mapping[Key, Item]) -> list[Problem]:
    return [
        Problem(str(key), message, "the rest of the policy applies", item.where)
        for key, item in sorted((key, item) for key, item in items.items() if item.unsupported)
        for message in item.unsupported
    ]


def _orphans(found: _Sorted) -> list[Problem]:
    """Slices of Services that do not exist."""
    return [
        Problem(
            f"EndpointSlice {key.namespace}/{item.body.metadata.name}",
            f"its Service {key} does not exist",
            "ignored",
            item.where,
        )
        for key in sorted(found.slices)
        if key not in found.services
        for item in found.slices[key]
    ]
