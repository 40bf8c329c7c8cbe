"""What `simulate` makes of its targets: a place that nobody knows is a typing mistake, not a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tideover_core.alike import like, localities, unknown
from tideover_core.model import Locality
from tideover_core.simulate import held, without
from tideover_core.target import Aim
from tideover_core.world import World

from .explain import UnknownError


def bereft(world: World, aims: Sequence[Aim]) -> tuple[World, tuple[str, ...]]:
    """The world without these, and remarks on those that hold nothing. UnknownError for unknown names."""
    for aim in aims:
        if missing := unknown(world, aim):
            raise UnknownError(f"--without {aim}: {missing}")
    remarks = tuple(f"--without {aim} takes nothing away" for aim in aims if not held(world, aim))
    return (without(world, aims) if aims else world), remarks


def odd_place(world: World, place: Locality) -> Iterator[str]:
    """A remark on a vantage in a region or zone where nothing is: most likely a typing mistake."""
    places = localities(world)
    regions = {one.region for one in places} - {""}
    zones = {one.zone for one in places if one.region == place.region} - {""}
    if place.region and place.region not in regions:
        yield f"--from {place}: nothing is in a region {place.region}{like(place.region, regions)}"
    elif place.zone and place.zone not in zones:
        yield f"--from {place}: nothing is in a zone {place.zone} of {place.region}{like(place.zone, zones)}"
