"""The names that wildcards cover, by group of clients that see the same subsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from tideover_core.model import ServiceKey
from tideover_core.names import POD, wire_name
from tideover_core.resolve import subsets
from tideover_core.world import World

from .changes import about
from .resources.listener import HTTP_LISTENER
from .resources.types import Reader, known_target


class Catalog:
    """The names in one world. Lazy: a list is made when the first of its clients asks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.namespaces = frozenset(key.namespace for key in world.services)
        self._clusters: dict[tuple[tuple[str, ...], ...], dict[str, None]] = {}
        self._subsets = _subsets(world)

    def subsets(self, key: ServiceKey) -> frozenset[str]:
        """Names of the subsets and pods of a service that any client may see."""
        return self._subsets.get(key, frozenset())

    def clusters(self, reader: Reader) -> Set[str]:
        """All cluster names that this client sees, sorted."""
        seen = {key: subsets(self._world, key, reader.vantage) for key in self._subsets}
        shared_by = tuple(seen.values())
        found = self._clusters.get(shared_by)
        if found is None:
            found = self._clusters[shared_by] = dict.fromkeys(sorted(self._names(seen)))
        return found.keys()

    def listeners(self, reader: Reader) -> tuple[str, ...]:
        """The HTTP listener, and the TCP listeners of services that exist."""
        tcp = (name for name in reader.client.tcp_ports if known_target(reader, name) is not None)
        return tuple(sorted((HTTP_LISTENER, *tcp)))

    def _names(self, seen: Mapping[ServiceKey, tuple[str, ...]]) -> Iterator[str]:
        for key, service in self._world.services.items():
            for port in service.ports:
                for subset in ("", *seen.get(key, ())):
                    yield wire_name(key, port.number, subset)


def _subsets(world: World) -> dict[ServiceKey, frozenset[str]]:
    """By service, what may stand behind `#`: subsets of DestinationRules, and pods that have hosts."""
    found = {
        key: frozenset(POD + name for name in names)
        for key, service in world.services.items()
        if (names := service.hostnames)
    }
    for rule in world.destination_rules:
        if rule.subsets:
            own = frozenset(subset.name for subset in rule.subsets)
            for key in about(rule, world):
                found[key] = found.get(key, frozenset()) | own
    return found
