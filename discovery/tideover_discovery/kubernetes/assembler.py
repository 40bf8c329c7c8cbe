"""One cluster's objects into ClusterFacts, change by change: only what a change touches is made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tideover_core.exports import Export
from tideover_core.model import ClusterFacts, Labels, Locality, Problem, ServiceFacts, ServiceKey

from .doubt import NO_DOUBTS, Doubts, in_doubt, together
from .endpoints import Around, Frame, Ground, Part, part_of, pod_key
from .exported import export
from .listing import Listing, changes
from .manifest import Item
from .objects import EndpointSlice, Key, Namespace, Node, Pod, Service, ServiceExport
from .places import endpoint_locality, node_locality
from .policy_objects import PolicyObjects
from .services import frame, service_facts


@dataclass(slots=True)
class _Slice:
    """A slice, the service it belongs to, and what it adds to it; None: to be read again."""

    item: Item
    service: ServiceKey
    part: Part | None = None

    @property
    def body(self) -> EndpointSlice:
        assert isinstance(self.item.body, EndpointSlice)
        return self.item.body


@dataclass(slots=True)
class _Service:
    """A Service, its slices by their keys, and what was made of them; `again`: the Service is to be read."""

    item: Item | None = None
    slices: dict[Key, _Slice] = field(default_factory=dict)
    again: bool = True
    frame: Frame | None = None
    facts: ServiceFacts | None = None


@dataclass(slots=True)
class _Pod:
    """A pod, known or only referred to, and the slices that refer to it."""

    pod: Pod | None = None
    slices: tuple[Key, ...] = ()


@dataclass(slots=True)
class _Node:
    """A node, known or only referred to, and the slices that refer to it."""

    locality: Locality | None = None
    slices: set[Key] = field(default_factory=set)


class Assembler:
    """Facts of one cluster, kept up to date.

    `facts` are the newest. They are never edited: what a change does not touch keeps its identity, equal
    facts are the former ones, and any difference raises the generation. `initial` are facts of an earlier
    life: what may be in something that was never good in this one stays as they say.

    The owner tells changes, by key: the new Item, or None for what is gone. The order in which objects
    arrive does not matter: equal objects give equal facts. The cost is in proportion to what changed.
    """

    def __init__(self, ground: Ground, initial: ClusterFacts | None = None) -> None:
        self.facts = initial or ClusterFacts(ground.cluster, ground.network, ground.locality)
        self._ground = ground
        self._around = Around(ground, self._pod, self._locality)
        self._listing = Listing()
        self._remembered = frozenset(self.facts.services)  # known from the snapshot, not listed well yet
        self._services: dict[ServiceKey, _Service] = {}
        self._exported: dict[ServiceKey, ServiceExport] = {}
        self._exports_again: set[ServiceKey] = set()
        self._slices: dict[Key, _Slice] = {}
        self._pods: dict[Key, _Pod] = {}
        self._nodes: dict[str, _Node] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._policies = PolicyObjects()
        self._touched: set[ServiceKey] = set()
        self._problems: dict[ServiceKey, tuple[Problem, ...]] = {}
        self._present: frozenset[ServiceKey] | None = None
        # parts of the facts as the objects say them, replaced when they change
        self._said: Mapping[ServiceKey, ServiceFacts] = {}
        self._told: Mapping[ServiceKey, ServiceFacts] | None = None  # what `facts` has of it
        self._exports: Mapping[ServiceKey, Export] = {}
        self._places: Mapping[str, Locality] = {}
        self._labels: Mapping[str, Labels] = {}

    @property
    def slices_present(self) -> frozenset[ServiceKey]:
        """Services that have at least one EndpointSlice object, with or without endpoints in it."""
        if self._present is None:
            self._present = frozenset(key for key, there in self._services.items() if there.slices)
        return self._present

    def refers_to(self, key: Key) -> bool:
        """Whether an endpoint is of this Pod, or on this Node."""
        if key.kind == "Pod":
            pod = self._pods.get(key)
            return pod is not None and bool(pod.slices)
        node = self._nodes.get(key.name) if key.kind == "Node" else None
        return node is not None and bool(node.slices)

    def update(self, changed: Mapping[Key, Item | None], doubts: Doubts = NO_DOUBTS) -> ClusterFacts:
        """The facts after these changes; `doubts` are all there are now, not only new ones."""
        nodes: dict[str, Node | None] = {}
        for key, item in changed.items():
            if key.kind == "Node":
                nodes[key.name] = item.body if item is not None and isinstance(item.body, Node) else None
            else:
                self._take(key, item)
        if nodes:
            self._take_nodes(nodes)
        self._make()
        if self._exports_again:
            self._make_exports()
        self._publish(doubts)
        return self.facts

    def listed(self, listing: Listing) -> ClusterFacts:
        """The facts when these are all objects there are."""
        if listing is self._listing:
            return self.facts
        found = self.update(changes(self._listing, listing), listing.doubts)
        self._listing = listing
        return found

    def _take(self, key: Key, item: Item | None) -> None:
        """Note one change, and which services it touches."""
        if key.kind == "EndpointSlice":
            self._take_slice(key, item)
        elif key.kind == "Pod":
            self._take_pod(key, item.body if item is not None and isinstance(item.body, Pod) else None)
        elif key.kind == "Service":
            service = ServiceKey(key.namespace, key.name)
            there = self._services.setdefault(service, _Service())
            if there.item is None or there.item != item:
                there.item, there.again = item, True
                self._touched.add(service)
                if service in self._exported:
                    self._exports_again.add(service)
        elif key.kind == "Namespace":
            self._take_namespace(key.name, item)
        elif key.kind == "ServiceExport":
            self._take_export(ServiceKey(key.namespace, key.name), item)
        else:
            self._policies.take(key, item)

    def _take_slice(self, key: Key, item: Item | None) -> None:
        old = self._slices.get(key)
        if old is not None and old.item == item:
            return
        self._slices.pop(key, None)
        new = None
        if item is not None and isinstance(item.body, EndpointSlice):
            new = self._slices[key] = _Slice(item, ServiceKey(key.namespace, item.body.service))
        self._refer(key, old.body if old is not None else None, new.body if new is not None else None)
        if old is not None and (new is None or new.service != old.service):
            del self._services[old.service].slices[key]
            self._touched.add(old.service)
            self._present = None
        if new is not None:
            there = self._services.setdefault(new.service, _Service())
            if not there.slices:
                self._present = None
            there.slices[key] = new
            self._touched.add(new.service)

    def _refer(self, key: Key, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        """Note which pods and nodes a slice refers to."""
        pods_before, nodes_before = _references(key, old)
        pods_now, nodes_now = _references(key, new)
        one = (key,)  # shared by all pods of the slice
        for pod in pods_now - pods_before:
            known = self._pods.setdefault(pod, _Pod())
            known.slices = (*known.slices, key) if known.slices else one
        for pod in pods_before - pods_now:
            known = self._pods[pod]
            known.slices = tuple(slice_ for slice_ in known.slices if slice_ != key)
            if known.pod is None and not known.slices:
                del self._pods[pod]
        for node in nodes_now - nodes_before:
            self._nodes.setdefault(node, _Node()).slices.add(key)
        for node in nodes_before - nodes_now:
            there = self._nodes[node]
            there.slices.discard(key)
            if there.locality is None and not there.slices:
                del self._nodes[node]

    def _take_pod(self, key: Key, pod: Pod | None) -> None:
        known = self._pods.get(key)
        if known is None:
            if pod is not None:
                self._pods[key] = _Pod(pod)
            return
        if known.pod != pod:
            known.pod = pod
            self._read_again(known.slices)
        if pod is None and not known.slices:
            del self._pods[key]

    def _take_nodes(self, nodes: Mapping[str, Node | None]) -> None:
        places, labels = dict(self._places), dict(self._labels)
        for name, node in nodes.items():
            known = self._nodes.setdefault(name, _Node())
            there = None if node is None else node_locality(node.metadata.labels or {})
            if known.locality != there:
                known.locality = there
                self._read_again(known.slices)
            if node is None or there is None:
                places.pop(name, None)
                labels.pop(name, None)
                if not known.slices:
                    del self._nodes[name]
            else:
                places[name] = endpoint_locality("", there, "", self._ground.locality)
                labels[name] = node.metadata.labels or {}
        self._places = self._places if places == self._places else places
        self._labels = self._labels if labels == self._labels else labels

    def _take_namespace(self, name: str, item: Item | None) -> None:
        old = self._namespaces.pop(name, None)
        if item is not None and isinstance(item.body, Namespace):
            self._namespaces[name] = item.body
        if self._namespaces.get(name) == old:
            return
        for key, there in self._services.items():
            if key.namespace == name:
                there.again = True
                self._touched.add(key)

    def _take_export(self, service: ServiceKey, item: Item | None) -> None:
        if item is not None and isinstance(item.body, ServiceExport):
            self._exported[service] = item.body
        else:
            self._exported.pop(service, None)
        self._exports_again.add(service)

    def _read_again(self, slices: Iterable[Key]) -> None:
        for key in slices:
            there = self._slices[key]
            there.part = None
            self._touched.add(there.service)

    def _make(self) -> None:
        """Make the facts of every service that was touched."""
        said: dict[ServiceKey, ServiceFacts] = {}
        gone: list[ServiceKey] = []
        for key in self._touched:
            there = self._services[key]
            facts, problems = self._one(key, there)
            if problems:
                self._problems[key] = problems
            else:
                self._problems.pop(key, None)
            if facts is None:
                there.facts = None
                gone.append(key)
            elif facts != there.facts:
                there.facts = said[key] = facts
            if there.item is None and not there.slices:
                del self._services[key]
        self._touched.clear()
        if said or any(key in self._said for key in gone):
            self._say(said, gone)

    def _make_exports(self) -> None:
        """Make again what is exported, where a ServiceExport or its Service changed."""
        found = dict(self._exports)
        for key in self._exports_again:
            said, there = self._exported.get(key), self._services.get(key)
            body = there.item.body if there is not None and there.item is not None else None
            found.pop(key, None)
            if said is not None:
                found[key] = export(said, body if isinstance(body, Service) else None)
        self._exports_again.clear()
        self._exports = self._exports if found == self._exports else found

    def _say(self, changed: Mapping[ServiceKey, ServiceFacts], gone: Iterable[ServiceKey]) -> None:
        """Replace what the objects say; services stand in order."""
        said = {**self._said, **changed}
        if len(said) > len(self._said):
            said = {key: said[key] for key in sorted(said)}
        for key in gone:
            said.pop(key, None)
        self._said = said

    def _one(self, key: ServiceKey, there: _Service) -> tuple[ServiceFacts | None, tuple[Problem, ...]]:
        slices = [there.slices[name] for name in sorted(there.slices)]
        if there.item is None:
            return None, tuple(_orphan(key, part.item) for part in slices)
        said = there.frame
        if said is None or there.again:
            there.frame = frame(there.item, self._namespaces.get(key.namespace))
            there.again = False
            if said is None or (said.by_name, said.headless) != (there.frame.by_name, there.frame.headless):
                for part in slices:
                    part.part = None
            said = there.frame
        parts = []
        for part in slices if said.served else ():
            if part.part is None:
                part.part = part_of(part.item, said, self._around)
            parts.append(part.part)
        return service_facts(said, parts)

    def _publish(self, doubts: Doubts) -> None:
        before, meant = self.facts, self._policies.meant(self.facts, doubts)
        said = self._with_remembered(doubts)
        unchanged = said is self._told
        of_services = (problem for key in sorted(self._problems) for problem in self._problems[key])
        facts = ClusterFacts(
            cluster=self._ground.cluster,
            network=self._ground.network,
            locality=self._ground.locality,
            services=before.services if unchanged else said,
            destination_rules=meant.rules,
            failover_policies=meant.policies,
            orders=meant.orders,
            exports=self._exports,
            nodes=self._places,
            node_labels=self._labels,
            problems=(*doubts.problems, *self._policies.problems, *of_services),
            generation=before.generation,
        )
        # what was told and is replaced differs: 2,000 services need not be compared to see it
        certain = self._told is not None and not unchanged
        self._told = said if said is self._said else None
        if certain or not before.generation or facts != before:
            self.facts = replace(facts, generation=before.generation + 1)

    def _with_remembered(self, doubts: Doubts) -> Mapping[ServiceKey, ServiceFacts]:
        """With what only the snapshot knows, while it may be in what is broken now."""
        kept = {key for key in self._remembered if in_doubt(doubts, key)} if doubts else set()
        self._remembered = frozenset(kept)
        if not kept:
            return self._said
        before = self.facts.services
        return {**self._said, **{key: together(before[key], self._said.get(key)) for key in sorted(kept)}}

    def _pod(self, key: Key) -> Pod | None:
        known = self._pods.get(key)
        return known.pod if known else None

    def _locality(self, node: str) -> Locality | None:
        known = self._nodes.get(node)
        return known.locality if known else None


def _references(key: Key, body: EndpointSlice | None) -> tuple[set[Key], set[str]]:
    """The pods and nodes that a slice refers to."""
    endpoints = (body.endpoints if body is not None else None) or ()
    pods = {pod for said in endpoints if (pod := pod_key(said, key.namespace)) is not None}
    return pods, {said.node_name for said in endpoints if said.node_name}


def _orphan(service: ServiceKey, item: Item) -> Problem:
    name = f"EndpointSlice {service.namespace}/{item.body.metadata.name}"
    called = str(service) if str(service).isascii() else ascii(str(service))  # one may look like another
    return Problem(name, f"its Service {called} does not exist", "ignored", item.where)
