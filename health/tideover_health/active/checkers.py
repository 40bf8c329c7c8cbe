"""Which Envoys check which endpoints: a few for each, from different places and nodes, and never too many.

A ring of each place's Envoys, and the places in an order of its own for each endpoint: who comes or goes
changes only what it checked itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from tideover_core.model import Locality

from .checks import Target

MOST_PER_ENDPOINT = 3
MOST_PER_CHECKER = 100
MOST_TRIES = 32
MOST_TARGETS = 5_000  # all Envoys together (0.1 s to share out); the rest is our own prober's


@dataclass(frozen=True, slots=True)
class Checker:
    """An Envoy that offers to check. `number` is unique; `id` is what its place on the ring comes from."""

    number: int
    id: str
    network: str
    locality: Locality = field(default_factory=Locality)
    node: str = ""
    proven: bool = True


@dataclass(slots=True)
class _Ring:
    """The checkers of one place, by hash."""

    order: int
    checkers: list[Checker]
    hashes: list[int]

    def from_(self, start: int) -> Iterable[Checker]:
        """Those that follow a point of the ring; a few, so that a full ring is not searched for everyone."""
        first = bisect_left(self.hashes, start)
        last = first + MOST_TRIES
        yield from self.checkers[first:last]
        yield from self.checkers[: min(first, max(0, last - len(self.checkers)))]


def assign(
    checkers: Sequence[Checker], targets: Sequence[Target], *, most: int = MOST_PER_ENDPOINT
) -> Mapping[int, tuple[Target, ...]]:
    """Checker number -> what it checks. Proven ones alone where a network has any; same network only."""
    rings = {network: _rings(checkers, network) for network in {one.network for one in checkers}}
    work: dict[int, list[Target]] = {one.number: [] for one in checkers}
    for target in targets[:MOST_TARGETS]:
        for checker in _chosen(rings.get(target.network, []), target, work, most):
            work[checker.number].append(target)
    return {number: tuple(one) for number, one in work.items()}


def _rings(checkers: Sequence[Checker], network: str) -> list[_Ring]:
    here = [one for one in checkers if one.network == network]
    here = [one for one in here if one.proven] or here
    places: dict[Locality, list[tuple[int, Checker]]] = {}
    for one in here:
        places.setdefault(one.locality, []).append((_hash(one.id), one))
    rings = []
    for locality in sorted(places):
        ordered = sorted(places[locality], key=lambda pair: (pair[0], pair[1].number))
        rings.append(_Ring(_hash(str(locality)), [one for _, one in ordered], [h for h, _ in ordered]))
    return rings


def _chosen(
    rings: Sequence[_Ring], target: Target, work: Mapping[int, Sequence[Target]], most: int
) -> list[Checker]:
    """One of each place while there are places, then others, on nodes not taken yet while there are any."""
    point = _hash(str(target.key))
    # different for each endpoint, and the same whoever else is there
    ordered = sorted(rings, key=lambda ring: _mixed(ring.order ^ point))
    chosen: list[Checker] = []
    nodes: set[str] = set()
    for strict in (True, False):  # as to nodes
        taken = {one.locality for one in chosen}
        ordered.sort(key=lambda ring: ring.checkers[0].locality in taken)
        walks = [iter(ring.from_(point)) for ring in ordered]
        while walks and len(chosen) < most:
            left = []
            for walk in walks:
                found = next(
                    (
                        one
                        for one in walk
                        if len(work[one.number]) < MOST_PER_CHECKER
                        and one not in chosen
                        and not (strict and one.node and one.node in nodes)
                    ),
                    None,
                )
                if found is not None and len(chosen) < most:
                    chosen.append(found)
                    nodes.add(found.node)
                    left.append(walk)
            walks = left
        if len(chosen) >= most:
            break
    return chosen


def _hash(text: str) -> int:
    return _mixed(crc32(text.encode()))


def _mixed(number: int) -> int:
    """32 bits from 32 bits; neighbours land far apart."""
    number = (number ^ number >> 16) * 0x45D9F3B & 0xFFFFFFFF
    number = (number ^ number >> 16) * 0x45D9F3B & 0xFFFFFFFF
    return number ^ number >> 16
