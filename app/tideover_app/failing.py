"""What fails over, followed from world to world: only services that changed are looked at again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tideover_core.difference import differing
from tideover_core.model import ServiceKey
from tideover_core.overview import PlaceHealth, place_healths
from tideover_core.world import Service, World

PlaceName = tuple[ServiceKey, int, str, str]  # service, port, cluster, place in words


@dataclass(frozen=True, slots=True)
class Failing:
    """The places of a world that fail over, with the services they were found in."""

    places: Mapping[PlaceName, PlaceHealth]
    services: Mapping[ServiceKey, Service]
    rules: tuple[object, ...]  # the policies and orders that were in force, by identity

    @property
    def service_count(self) -> int:
        """How many services fail over somewhere."""
        return len({name[0] for name in self.places})


NOTHING = Failing({}, {}, ((), (), ()))


def failing(world: World, before: Failing) -> Failing:
    """The places that fail over now; what is known of services that stayed the same is taken over."""
    rules = (world.destination_rules, world.failover_policies, world.orders)
    same_rules = all(now is then for now, then in zip(rules, before.rules, strict=True))
    changed = differing(before.services if same_rules else {}, world.services)
    places = {name: place for name, place in before.places.items() if name[0] not in changed}
    if not same_rules:
        places.clear()
    for key in changed & world.services.keys():
        for place in place_healths(world, world.services[key]):
            if place.fails_over:
                source = f" (calls from {place.source})" if place.source else ""
                places[key, place.port, place.cluster, f"{place.locality}{source}"] = place
    return Failing(places, world.services, rules)
