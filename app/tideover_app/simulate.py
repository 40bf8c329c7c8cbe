"""What `simulate` makes of its targets: a place that nobody knows is a typing mistake, not a scenario."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tideover_core.model import Locality
from tideover_core.simulate import held, without
from tideover_core.target import Aim
from tideover_core.world import World

from .explain import UnknownError, like


def bereft(world: World, aims: Sequence[Aim]) -> tuple[World, tuple[str, ...]]:
    """The world without these, and remarks on those that hold nothing. UnknownError for unknown names."""
    for aim in aims:
        for kind, name, known in _named(world, aim):
            if name not in known:
                raise UnknownError(f"--without {aim}: there is no {kind} {name}{like(name, known)}")
    remarks = tuple(f"--without {aim} takes nothing away" for aim in aims if not held(world, aim))
    return (without(world, aims) if aims else world), remarks


def odd_place(world: World, place: Locality) -> Iterator[str]:
    """A remark on a vantage in a region or zone where nothing is: most likely a typing mistake."""
    places = _localities(world)
    regions = {one.region for one in places} - {""}
    zones = {one.zone for one in places if one.region == place.region} - {""}
    if place.region and place.region not in regions:
        yield f"--from {place}: nothing is in a region {place.region}{like(place.region, regions)}"
    elif place.zone and place.zone not in zones:
        yield f"--from {place}: nothing is in a zone {place.zone} of {place.region}{like(place.zone, zones)}"


def _named(world: World, aim: Aim) -> Iterator[tuple[str, str, Collection[str]]]:
    """What the aim names, by kind, with all the names that there are of that kind."""
    if aim.cluster is not None:
        yield "cluster", aim.cluster, world.clusters.keys()
    if aim.service is not None:
        yield "service", str(aim.service), {str(key) for key in world.services}
    if aim.service_cluster is not None:
        yield "cluster", aim.service_cluster, world.clusters.keys()
    if aim.region is not None:
        yield "region", aim.region, {place.region for place in _localities(world)} - {""}
    if aim.zone is not None:
        yield "zone", aim.zone, {place.zone for place in _localities(world)} - {""}


def _localities(world: World) -> set[Locality]:
    found = {facts.locality for facts in world.clusters.values()}
    for facts in world.clusters.values():
        found.update(facts.nodes.values())
        for service in facts.services.values():
            found.update(endpoint.locality for ends in service.endpoints.values() for endpoint in ends)
    return found
