"""Views of the newest world: one per group of clients that nothing tells apart, which holds what it
was sent; and before it one per client, which knows its group.

A group holds slots: one resource for all groups that share every byte of it.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Protocol
from weakref import WeakValueDictionary

from tideover_core.model import ServiceKey, Vantage
from tideover_core.world import World, located
from tideover_wire.node import Client
from tideover_wire.resource import Resource, TypeUrl

from .catalog import Catalog
from .epochs import Epochs
from .interest import Interest
from .resources.types import TYPES, Built, Key, ResourceType, Stales, vantage_key

Changed = frozenset[tuple[str, str]]  # (cluster, node)


class Slot:
    """One resource of one group of clients, and the update in which it was last right."""

    __slots__ = ("__weakref__", "built", "epoch")

    def __init__(self) -> None:
        self.built: Built | None = None
        self.epoch = -1


class Slots:
    """All slots that anybody holds; when a slot's last holder goes, so does the slot."""

    def __init__(self) -> None:
        self._slots: WeakValueDictionary[Key, Slot] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._slots)

    def of(self, key: Key) -> Slot:
        """The slot of this key; new ones are empty."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = Slot()
        return slot


class Newest(Protocol):
    """What views read: always of the newest world (the cache)."""

    world: World
    epochs: Epochs
    catalog: Catalog
    interest: Interest
    slots: Slots
    broken: dict[tuple[TypeUrl, str], str]  # resource -> why it could not be built

    def group(self, client: Client, vantage: Vantage) -> GroupView:
        """The view of all clients that want the same ports and stand like this."""
        ...

    def routes(self, namespace: str) -> Resource:
        """The route table of one namespace."""
        ...


class ClientView:
    """What one client is sent (`View` of the wire): what its group is, wherever it belongs now."""

    def __init__(self, newest: Newest, client: Client) -> None:
        self._newest = newest
        self._client = client
        self._interest = newest.interest
        self.vantage = located(newest.world, client.vantage)
        self._group = newest.group(client, self._interest.cut(self.vantage))

    @property
    def complete(self) -> bool:
        """Whether every source is completely known."""
        return self._newest.world.complete

    def get(self, type_url: str, name: str) -> Resource | None:
        """The resource as of now, built when nobody was sent it yet."""
        return self._current().get(type_url, name)

    def names(self, type_url: str) -> Collection[str]:
        """What a wildcard covers: clusters and listeners, sorted, and cheap to look a name up in."""
        return self._current().names(type_url)

    def relocate(self, nodes: Changed, places: Collection[str]) -> bool:
        """Stand where the newest world says; whether what it is sent may differ by that."""
        standing = self._client.vantage
        if standing.cluster not in places and (standing.cluster, standing.node) not in nodes:
            return False
        before, self.vantage = self.vantage, located(self._newest.world, standing)
        self._group = self._newest.group(self._client, self._interest.cut(self.vantage))
        return before != self.vantage or bool(self._interest.labels)

    def _current(self) -> GroupView:
        if self._interest is not self._newest.interest:
            self._interest = self._newest.interest
            self._group = self._newest.group(self._client, self._interest.cut(self.vantage))
        return self._group


class GroupView:
    """What clients of one kind, place and namespace are sent (`Reader` of the builds)."""

    def __init__(self, newest: Newest, client: Client, vantage: Vantage) -> None:
        self.client = client
        self.vantage = vantage
        self._newest = newest
        self._held: dict[TypeUrl, dict[str, _Held]] = {url: {} for url in TYPES}
        self._clusters: tuple[Catalog, Set[str]] | None = None

    @property
    def world(self) -> World:
        """The newest world."""
        return self._newest.world

    @property
    def namespaces(self) -> Collection[str]:
        """Namespaces with services."""
        return self._newest.catalog.namespaces

    def get(self, type_url: str, name: str) -> Resource | None:
        """The resource as of now."""
        row = TYPES.get(type_url)  # type: ignore[call-overload]
        if row is None:
            return None
        before = self._held[row.url].get(name)
        try:
            built = self._built(row, name)
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one resource: it stays as it was (law 1)
            self._newest.broken[row.url, name] = f"{type(error).__name__}: {error}"
            if before is None:
                return None
            self._held[row.url][name] = before
            built = before.slot.built
        return built.resource if built is not None else None

    def names(self, type_url: str) -> Collection[str]:
        """What a wildcard covers."""
        catalog = self._newest.catalog
        if type_url == TypeUrl.CLUSTER:
            if self._clusters is None or self._clusters[0] is not catalog:
                self._clusters = (catalog, catalog.clusters(self))
                self._let_go(self._clusters[1])
            return self._clusters[1]
        if type_url == TypeUrl.LISTENER and not self.client.proxyless:
            return catalog.listeners(self)
        return ()

    def routes(self) -> Resource:
        """The route table of these clients' namespace."""
        return self._newest.routes(self.vantage.namespace)

    def forget(self, nodes: Changed) -> None:
        """Find everything anew if these clients' node has other labels now."""
        if (self.vantage.cluster, self.vantage.node) in nodes:
            for held in self._held.values():
                held.clear()

    def _let_go(self, clusters: Set[str]) -> None:
        """Hold nothing under names that are no more: what a wildcard does not cover nobody asks for again."""
        for url in (TypeUrl.CLUSTER, TypeUrl.ENDPOINT):
            held = self._held[url]
            for name in held.keys() - clusters:
                del held[name]
                self._newest.broken.pop((url, name), None)

    def _built(self, row: ResourceType, name: str) -> Built | None:
        epochs = self._newest.epochs
        held = self._held[row.url]
        entry = held.get(name)
        if entry is not None:
            if entry.epoch == epochs.now:
                return entry.slot.built
            subject = entry.subject
        else:
            subject = row.subject(self, name)
        if entry is None or entry.epoch < epochs.of(Stales.SETTINGS if subject else row.stales, subject):
            key = row.shared_by(self, name)
            if key is None:
                held.pop(name, None)
                self._newest.broken.pop((row.url, name), None)
                return None
            entry = held[name] = _Held(self._newest.slots.of((row.url, name, *key)), subject)
        slot = entry.slot
        if slot.epoch < epochs.of(row.stales, subject):
            slot.built = _kept(slot.built, row.build(self, name, slot.built))
            slot.epoch = epochs.now
            self._newest.broken.pop((row.url, name), None)
        entry.epoch = epochs.now
        return slot.built


class _Held:
    """A slot that a group uses for a name, and the last update at which it was seen to be right."""

    __slots__ = ("epoch", "slot", "subject")

    def __init__(self, slot: Slot, subject: ServiceKey | None) -> None:
        self.slot, self.subject, self.epoch = slot, subject, -1


def _kept(before: Built | None, after: Built | None) -> Built | None:
    """What was built, with the old resource when it came out the same: identity tells of change."""
    if before is None or after is None or before.resource.version != after.resource.version:
        return after
    return Built(before.resource, after.parts)


def group_key(client: Client, vantage: Vantage) -> Key:
    """What tells groups apart."""
    ports = tuple(sorted(client.tcp_ports.items()))
    return (client.proxyless, client.http_port, ports, *vantage_key(vantage))
