"""What is served, built when someone asks and kept while someone holds it: the newest world, the
views of it (`views.py`), and what of it is made once for all of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from weakref import WeakValueDictionary

from tideover_core.model import Problem, ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.policy import Retry
from tideover_core.resolve import resolve
from tideover_core.world import Service, World
from tideover_wire.node import Client
from tideover_wire.resource import Resource, TypeUrl

from .border import Changes
from .catalog import Catalog
from .changes import Difference, difference, names
from .epochs import Epochs
from .interest import Interest, interest
from .resources.listener import with_usable_ports
from .resources.route import ServiceHosts, route_table, service_hosts
from .resources.types import Stales
from .views import ClientView, GroupView, Slots, group_key

_MOST_RECENT = 16  # groups kept although their last client has gone: most come back within seconds


class Cache:
    """The newest world, and everything built from it. One event loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epochs = Epochs()
        self.catalog = Catalog(world)
        self.interest = interest(world)
        self.slots = Slots()
        self.broken: dict[tuple[TypeUrl, str], str] = {}
        self._views: WeakValueDictionary[Hashable, ClientView] = WeakValueDictionary()
        self._groups: WeakValueDictionary[Hashable, GroupView] = WeakValueDictionary()
        self._recent: OrderedDict[Hashable, GroupView] = OrderedDict()
        self._hosts: dict[ServiceKey, tuple[int, ServiceHosts]] = {}

    def view(self, client: Client) -> ClientView:
        """The live view of this client; equal clients share one."""
        client = with_usable_ports(client)
        key = group_key(client, client.vantage)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = ClientView(self, client)
        return view

    def group(self, client: Client, vantage: Vantage) -> GroupView:
        """The view of all clients that want the same ports and stand like this."""
        key = group_key(client, vantage)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = GroupView(self, client, vantage)
        self._recent[key] = group
        self._recent.move_to_end(key)
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)
        return group

    def update(self, world: World) -> Changes | None:
        """Take a new world; the names that may have changed for anyone. None: anything may have."""
        old, before = self.world, self.catalog
        if old is world:
            return {}
        # what may fail comes first: after a mistake of ours all is as it was, and the next world counts
        found = difference(old, world)
        catalog = Catalog(world) if found.settings else before
        reads = self._interest_in(world, found)
        changes = names(found, old, world, lambda key: {*before.subsets(key), *catalog.subsets(key)})
        self.world, self.catalog, self.interest = world, catalog, reads
        everything = old.root_namespace != world.root_namespace
        if everything:
            self.epochs.everything()
        else:
            self.epochs.advance(found, len(world.services))
        moved = self._relocate(found)
        return None if everything or moved or old.complete != world.complete else changes

    def problems(self) -> tuple[Problem, ...]:
        """Resources that could not be built, which is a mistake of the program; clients keep the last."""
        return tuple(
            Problem(f"Resource {name}", f"cannot be built: {message}", "clients keep what they have")
            for (_, name), message in sorted(self.broken.items())
        )

    def sizes(self) -> tuple[int, int, int]:
        """(clients' views, groups' views, resources) that are held now."""
        return len(self._views), len(self._groups), len(self.slots)

    def _interest_in(self, world: World, found: Difference) -> Interest:
        """What of clients counts; the same object while nothing of it changed."""
        rules = (self.world.destination_rules, self.world.failover_policies)
        if not found.settings and rules == (world.destination_rules, world.failover_policies):
            return self.interest
        now = interest(world)
        return self.interest if now == self.interest else now

    def _relocate(self, found: Difference) -> bool:
        """Clients whose node or cluster changed stand elsewhere; whether there were any."""
        if not found.nodes and not found.places:
            return False
        for group in list(self._groups.values()):
            group.forget(found.nodes)
        moved = [view for view in list(self._views.values()) if view.relocate(found.nodes, found.places)]
        return bool(moved)

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
