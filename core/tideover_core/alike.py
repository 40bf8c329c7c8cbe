"""Names that a person may have meant, and which names there are: for what is typed and does not exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from .model import Locality
from .target import Aim
from .world import World


def like(name: str, known: Iterable[str]) -> str:
    """ "; did you mean a, b?", or an empty text."""
    near = _near(name, list(known))
    return f"; did you mean {', '.join(near)}?" if near else ""


def unknown(world: World, aim: Aim) -> str:
    """What the aim names and nobody has, with names like it; "" when all of it is known."""
    for kind, name, known in _named(world, aim):
        if name not in known:
            return f"there is no {kind} {name}{like(name, known)}"
    return ""


def localities(world: World) -> set[Locality]:
    """Everywhere that anything is."""
    found = {facts.locality for facts in world.clusters.values()}
    for facts in world.clusters.values():
        found.update(facts.nodes.values())
        for service in facts.services.values():
            found.update(endpoint.locality for ends in service.endpoints.values() for endpoint in ends)
    return found


def _named(world: World, aim: Aim) -> Iterator[tuple[str, str, Collection[str]]]:
    """What the aim names, by kind, with all the names that there are of that kind."""
    if aim.cluster is not None:
        yield "cluster", aim.cluster, world.clusters.keys()
    if aim.service is not None:
        yield "service", str(aim.service), {str(key) for key in world.services}
    if aim.service_cluster is not None:
        yield "cluster", aim.service_cluster, world.clusters.keys()
    if aim.region is not None:
        yield "region", aim.region, {place.region for place in localities(world)} - {""}
    if aim.zone is not None:
        yield "zone", aim.zone, {place.zone for place in localities(world)} - {""}


def _near(name: str, known: Collection[str]) -> list[str]:
    """At most three: of the same name elsewhere, else of a name that is spelt like it."""
    last = name.rpartition("/")[2]
    by_last: dict[str, list[str]] = {}
    for one in sorted(known):
        by_last.setdefault(one.rpartition("/")[2], []).append(one)
    spelt = [last] if last in by_last else get_close_matches(last, by_last, n=3)
    return [one for match in spelt for one in by_last[match]][:3]
