"""What if: the world with places, services or endpoints taken away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .model import Endpoint, ServiceKey
from .target import Aim
from .world import NO_PRESENCE, Part, Service, World


def without(world: World, aims: Iterable[Aim]) -> World:
    """The world in which nothing that any of the aims holds exists; what is not touched stays the same.

    Services stay, with what endpoints are left. Nothing of the past is assumed about touched ones.
    """
    wanted = tuple(aims)
    services = {key: _without(service, wanted) for key, service in world.services.items()}
    if all(services[key] is service for key, service in world.services.items()):
        return world
    return replace(world, services=services)


def held(world: World, aim: Aim) -> int:
    """How many endpoints (of all service ports) an aim holds: 0 is most likely a typing mistake."""
    services = (aim.service,) if aim.service is not None else world.services
    return sum(
        aim.holds(key, endpoint)
        for key in services
        if key in world.services
        for endpoint in _endpoints(world.services[key])
    )


class Held:
    """The same for many aims in one world, which is read only once."""

    def __init__(self, world: World) -> None:
        self._known: dict[Aim, int] = {}
        self._alike: dict[ServiceKey, list[tuple[Endpoint, int]]] = {}  # one of each place, and how many
        self._at: dict[str, list[tuple[ServiceKey, Endpoint]]] = {}  # by address
        for key, service in world.services.items():
            places: dict[tuple[object, ...], list[Endpoint]] = {}
            for one in _endpoints(service):
                places.setdefault((one.cluster, one.network, one.locality), []).append(one)
                self._at.setdefault(one.address, []).append((key, one))
            self._alike[key] = [(ends[0], len(ends)) for ends in places.values()]

    def count(self, aim: Aim) -> int:
        """How many endpoints (of all service ports) the aim holds."""
        if aim not in self._known:
            self._known[aim] = self._count(aim)
        return self._known[aim]

    def _count(self, aim: Aim) -> int:
        if aim.address is not None:
            return sum(aim.holds(key, one) for key, one in self._at.get(aim.address, ()))
        services = self._alike if aim.service is None else (aim.service,)
        return sum(n for key in services for one, n in self._alike.get(key, ()) if aim.holds(key, one))


def _endpoints(service: Service) -> Iterable[Endpoint]:
    for part in service.parts:
        for endpoints in part.facts.endpoints.values():
            yield from endpoints


def _without(service: Service, aims: Sequence[Aim]) -> Service:
    # most aims rule out most services at once
    about = [aim for aim in aims if aim.service in (None, service.key)]
    if not about:
        return service
    parts = tuple(_part(part, service.key, about) for part in service.parts)
    same = all(new is old for new, old in zip(parts, service.parts, strict=True))
    return service if same else replace(service, parts=parts)


def _part(part: Part, service: ServiceKey, aims: Sequence[Aim]) -> Part:
    left = {
        port: tuple(e for e in endpoints if not any(aim.holds(service, e) for aim in aims))
        for port, endpoints in part.facts.endpoints.items()
    }
    if all(len(left[port]) == len(endpoints) for port, endpoints in part.facts.endpoints.items()):
        return part
    return replace(part, facts=replace(part.facts, endpoints=left), presence=NO_PRESENCE)
