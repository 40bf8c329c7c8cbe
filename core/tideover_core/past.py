"""The recent past of one service port in one cluster: ready counts, what vanished, what just appeared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .model import Endpoint, Locality
from .world import Presence

PEAK_S = 300.0  # how long a ready count is remembered
VANISHED_S = 60.0  # how long an endpoint that vanished while ready counts
# how long a new endpoint may take to become ready before it counts as unhealthy: less than a peak is
# remembered, so that the few that start first are never mistaken for all there should be
STARTING_S = 240.0

Address = tuple[str, int]
Peaks = tuple[tuple[float, int], ...]  # (end, ready count): ends rise, counts fall


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered. Times are when something stops to count.

    `ready` is the count of now; `peaks` are higher ones of before. `terminating`: localities where
    something terminates now, whose peak must be known even when it is the count of now.
    """

    ready: Mapping[Locality, int] = field(default_factory=dict)
    peaks: Mapping[Locality, Peaks] = field(default_factory=dict)
    terminating: frozenset[Locality] = frozenset()
    vanished: tuple[tuple[float, Endpoint], ...] = ()
    starting: Mapping[Address, float] = field(default_factory=dict)

    def ends(self) -> Iterator[float]:
        """When parts of it stop to count."""
        yield from (end for peaks in self.peaks.values() for end, _ in peaks)
        yield from (end for end, _ in self.vanished)
        yield from self.starting.values()

    def presence(self) -> Presence:
        """What a decision needs of it; empty when the facts of now say as much."""
        peaks = {locality: peaks[0][1] for locality, peaks in self.peaks.items()}
        quiet = {place: self.ready.get(place, 0) for place in self.terminating if place not in peaks}
        vanished = tuple(endpoint for _, endpoint in self.vanished)
        return Presence(peaks | quiet, vanished, frozenset(self.starting))


@dataclass(frozen=True, slots=True)
class Change:
    """The endpoints of a port before and after. `old` is None when its service was not known;
    `new_may_start` is False when the whole cluster was not: what is not ready there may be so for long."""

    old: tuple[Endpoint, ...] | None
    new: tuple[Endpoint, ...]
    new_may_start: bool = True


def after(past: Past, change: Change, now_s: float) -> Past:
    """The past once endpoints have changed."""
    gone = [e for e in newcomers(change.old or (), change.new) if e.ready and not e.terminating]
    return current(
        Past(
            Counter(endpoint.locality for endpoint in change.new if endpoint.ready),
            _peaks(past, change, now_s),
            frozenset(endpoint.locality for endpoint in change.new if endpoint.terminating),
            (*past.vanished, *((now_s + VANISHED_S, endpoint) for endpoint in gone)),
            _starting(past, change, now_s),
        ),
        now_s,
    )


def newcomers(endpoints: Iterable[Endpoint], others: Iterable[Endpoint]) -> list[Endpoint]:
    """Those whose address and port is not among the others."""
    known = {(endpoint.address, endpoint.port) for endpoint in others}
    return [endpoint for endpoint in endpoints if (endpoint.address, endpoint.port) not in known]


def current(past: Past, now_s: float) -> Past:
    """The past without what has stopped to count."""
    peaks: dict[Locality, Peaks] = {}
    for locality, counts in past.peaks.items():
        floor = past.ready.get(locality, 0)
        kept: list[tuple[float, int]] = []
        # from the newest on: an older count that is no higher says nothing
        for end, count in reversed(counts):
            if end > now_s and count > floor:
                kept.append((end, count))
                floor = count
        if kept:
            peaks[locality] = tuple(reversed(kept))
    return Past(
        past.ready,
        peaks,
        past.terminating,
        tuple(one for one in past.vanished if one[0] > now_s),
        {address: end for address, end in past.starting.items() if end > now_s},
    )


def without_addresses(past: Past, addresses: frozenset[str]) -> Past:
    """The past without vanished endpoints at addresses that somebody uses again."""
    kept = tuple(one for one in past.vanished if one[1].address not in addresses)
    if len(kept) == len(past.vanished):
        return past
    return Past(past.ready, past.peaks, past.terminating, kept, past.starting)


def _peaks(past: Past, change: Change, now_s: float) -> dict[Locality, Peaks]:
    if change.old is None:
        # what still serves while terminating was ready a moment ago, as far as one can tell
        before = Counter(e.locality for e in change.new if e.ready or (e.terminating and e.serving))
    else:
        before = Counter(e.locality for e in change.old if e.ready)
    peaks = dict(past.peaks)
    for locality, count in before.items():
        peaks[locality] = (*peaks.get(locality, ()), (now_s + PEAK_S, count))
    return peaks


def _starting(past: Past, change: Change, now_s: float) -> dict[Address, float]:
    fresh = newcomers(change.new, change.old or ()) if change.new_may_start else []
    ends = {(endpoint.address, endpoint.port): now_s + STARTING_S for endpoint in fresh} | dict(past.starting)
    waiting = [(e.address, e.port) for e in change.new if not e.ready and not e.terminating]
    return {address: ends[address] for address in waiting if address in ends}
