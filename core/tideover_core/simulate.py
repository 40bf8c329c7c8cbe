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
    return sum(1 for service, endpoint in _all_endpoints(world) if aim.holds(service, endpoint))


def _all_endpoints(world: World) -> Iterable[tuple[ServiceKey, Endpoint]]:
    for key, service in world.services.items():
        for part in service.parts:
            for endpoints in part.facts.endpoints.values():
                for endpoint in endpoints:
                    yield key, endpoint


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
