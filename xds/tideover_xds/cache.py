"""What is served, built when someone asks and kept while someone holds it.

A client reads through its view. A view holds slots: one resource for one group of clients that
share every byte of it. When a slot's last view goes, so does the slot.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from weakref import WeakValueDictionary

from tideover_core.model import ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.policy import Retry
from tideover_core.resolve import resolve
from tideover_core.world import Service, World, located
from tideover_wire.node import Client
from tideover_wire.resource import Resource, TypeUrl

from .border import Changes
from .catalog import Catalog
from .changes import difference, names
from .epochs import Epochs
from .resources.listener import with_usable_ports
from .resources.route import ServiceHosts, route_table, service_hosts
from .resources.types import TYPES, Built, Key, ResourceType, Stales, vantage_key


class Slot:
    """One resource of one group of clients, and the update in which it was last right."""

    __slots__ = ("__weakref__", "built", "epoch")

    def __init__(self) -> None:
        self.built: Built | None = None
        self.epoch = -1


class Cache:
    """The newest world, and everything built from it. One event loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epochs = Epochs()
        self.catalog = Catalog(world)
        self._views: WeakValueDictionary[Hashable, ClientView] = WeakValueDictionary()
        self._slots: WeakValueDictionary[Key, Slot] = WeakValueDictionary()
        self._hosts: dict[ServiceKey, tuple[int, ServiceHosts]] = {}

    def view(self, client: Client) -> ClientView:
        """The live view of this client; equal clients share one."""
        client = with_usable_ports(client)
        key = (
            client.proxyless, client.http_port, tuple(sorted(client.tcp_ports.items())),
            *vantage_key(client.vantage),
        )  # fmt: skip
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = ClientView(self, client)
        return view

    def update(self, world: World) -> Changes | None:
        """Take a new world; the names that may have changed for anyone. None: anything may have."""
        old, self.world = self.world, world
        if old is world:
            return {}
        found = difference(old, world)
        before = self.catalog
        if found.settings:
            self.catalog = Catalog(world)
        moved = [view for view in list(self._views.values()) if view.relocate(found.nodes, found.places)]
        if old.root_namespace != world.root_namespace:
            self.epochs.everything()
            return None
        self.epochs.advance(found, len(world.services))
        if moved or old.complete != world.complete:
            return None
        catalog = self.catalog
        return names(found, old, world, lambda key: {*before.subsets(key), *catalog.subsets(key)})

    def sizes(self) -> tuple[int, int]:
        """(views, resources) that are held now."""
        return len(self._views), len(self._slots)

    def slot(self, key: Key) -> Slot:
        """The slot of this key; new ones are empty."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = Slot()
        return slot

    def hosts(self, service: Service) -> ServiceHosts:
        """The virtual hosts of one service, the same for every client."""
        changed = self.epochs.of(Stales.SETTINGS, service.key)
        epoch, hosts = self._hosts.get(service.key, (-1, None))
        if hosts is None or epoch < changed:
            retries = {
                port.number: resolve(self.world, Target(service.key, port.number), Vantage()).settings.retry
                or Retry()
                for port in service.ports
                if port.protocol.is_http
            }
            hosts = service_hosts(service, retries)
            self._hosts[service.key] = (self.epochs.now, hosts)
        return hosts

    def routes(self, namespace: str) -> Resource:
        """The route table of one namespace."""
        services = self.world.services
        if len(self._hosts) > len(services):
            self._hosts = {key: hosts for key, hosts in self._hosts.items() if key in services}
        return route_table(
            namespace, [(key.namespace, self.hosts(services[key])) for key in sorted(services)]
        )


class ClientView:
    """What equal clients are sent, always of the newest world (`View` of the wire)."""

    def __init__(self, cache: Cache, client: Client) -> None:
        self.client = client
        self.vantage = located(cache.world, client.vantage)
        self._cache = cache
        self._held: dict[TypeUrl, dict[str, _Held]] = {url: {} for url in TYPES}
        self._clusters: tuple[Catalog, Collection[str]] | None = None

    @property
    def world(self) -> World:
        """The newest world."""
        return self._cache.world

    @property
    def namespaces(self) -> Collection[str]:
        """Namespaces with services."""
        return self._cache.catalog.namespaces

    @property
    def complete(self) -> bool:
        """Whether every source is completely known."""
        return self._cache.world.complete

    def get(self, type_url: str, name: str) -> Resource | None:
        """The resource as of now, built when nobody was sent it yet."""
        row = TYPES.get(type_url)  # type: ignore[call-overload]
        if row is None:
            return None
        built = self._built(row, name)
        return built.resource if built is not None else None

    def names(self, type_url: str) -> Collection[str]:
        """What a wildcard covers: clusters and listeners, sorted, and cheap to look a name up in."""
        if type_url == TypeUrl.CLUSTER:
            catalog = self._cache.catalog
            if self._clusters is None or self._clusters[0] is not catalog:
                self._clusters = (catalog, catalog.clusters(self))
            return self._clusters[1]
        if type_url == TypeUrl.LISTENER and not self.client.proxyless:
            return self._cache.catalog.listeners(self)
        return ()

    def routes(self) -> Resource:
        """The route table of this client's namespace."""
        return self._cache.routes(self.vantage.namespace)

    def relocate(self, nodes: frozenset[tuple[str, str]], places: frozenset[str]) -> bool:
        """Stand where the newest world says; whether what this client is sent may differ by that."""
        standing = self.client.vantage
        if standing.cluster not in places and (standing.cluster, standing.node) not in nodes:
            return False
        self.vantage = located(self._cache.world, standing)
        for held in self._held.values():
            held.clear()
        return True

    def _built(self, row: ResourceType, name: str) -> Built | None:
        epochs = self._cache.epochs
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
                return None
            entry = held[name] = _Held(self._cache.slot((row.url, name, *key)), subject)
        slot = entry.slot
        if slot.epoch < epochs.of(row.stales, subject):
            slot.built = _kept(slot.built, row.build(self, name, slot.built))
            slot.epoch = epochs.now
        entry.epoch = epochs.now
        return slot.built


class _Held:
    """A slot that a view uses for a name, and the last update at which it was seen to be right."""

    __slots__ = ("epoch", "slot", "subject")

    def __init__(self, slot: Slot, subject: ServiceKey | None) -> None:
        self.slot, self.subject, self.epoch = slot, subject, -1


def _kept(before: Built | None, after: Built | None) -> Built | None:
    """What was built, with the old resource when it came out the same: identity tells of change."""
    if before is None or after is None or before.resource.version != after.resource.version:
        return after
    return Built(before.resource, after.parts)
