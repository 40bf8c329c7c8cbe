"""The recent past of one service port in one cluster: how many there were, what vanished, what just appeared.

Of a place's *members* those that leave, or have just appeared and wait to be ready, are no part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .model import Endpoint, Locality
from .world import Presence

PEAK_S = 300.0  # how long a count is remembered
HELD_S = 30.0  # how long there must be that many members before a place usually has them
VANISHED_S = 60.0  # how long an endpoint that vanished while ready counts
STARTING_S = 240.0  # how long one more than usual may take to become ready before it counts as unhealthy

Address = tuple[str, int]
Peaks = tuple[tuple[float, int], ...]  # (end, count): ends rise, counts fall


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered. Times are when something stops to count.

    `ready` and `members` are the counts of now; `peaks` are higher ready counts of before, `held` higher
    numbers of members that lasted, `rises` numbers from which they rose lately. `terminating`: localities
    where something terminates now, whose peaks must be known even when they are the counts of now.
    """

    ready: Mapping[Locality, int] = field(default_factory=dict)
    members: Mapping[Locality, int] = field(default_factory=dict)
    peaks: Mapping[Locality, Peaks] = field(default_factory=dict)
    held: Mapping[Locality, Peaks] = field(default_factory=dict)
    rises: Mapping[Locality, Peaks] = field(default_factory=dict)
    terminating: frozenset[Locality] = frozenset()
    vanished: tuple[tuple[float, Endpoint], ...] = ()
    starting: Mapping[Address, float] = field(default_factory=dict)

    def ends(self) -> Iterator[float]:
        """When parts of it stop to count."""
        for counts in (self.peaks, self.held, self.rises):
            yield from (end for peaks in counts.values() for end, _ in peaks)
        yield from (end for end, _ in self.vanished)
        yield from self.starting.values()

    def presence(self) -> Presence:
        """What a decision needs of it; empty when the facts of now say as much."""
        ready = {place: self.ready.get(place, 0) for place in self.terminating}
        members = {place: self.members.get(place, 0) for place in self.terminating}
        return Presence(
            ready | {place: peaks[0][1] for place, peaks in self.peaks.items()},
            tuple(endpoint for _, endpoint in self.vanished),
            frozenset(self.starting),
            members | {place: held[0][1] for place, held in self.held.items()},
        )

    def is_over(self) -> bool:
        """Whether nothing is left to remember."""
        return not (self.terminating or any(True for _ in self.ends()))


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
    before = _members_before(change, past.starting)
    held = {
        # as many as there were all of the time for the last half minute
        place: min([count, *(low for end, low in past.rises.get(place, ()) if end > now_s)])
        for place, count in before.items()
    }
    lasted = _and(past.held, held, now_s + PEAK_S)
    starting = _starting(past, change, lasted, now_s)
    members = _members(change.new, starting)
    rose = {place: before[place] for place, count in members.items() if count > before[place]}
    if change.old is None and not change.new_may_start:
        rose = {}  # of what is seen for the first time there is no telling since when it is there
    return current(
        Past(
            Counter(endpoint.locality for endpoint in change.new if endpoint.ready),
            members,
            _and(past.peaks, _ready_before(change), now_s + PEAK_S),
            lasted,
            _and(past.rises, rose, now_s + HELD_S),
            frozenset(endpoint.locality for endpoint in change.new if endpoint.terminating),
            (*past.vanished, *((now_s + VANISHED_S, endpoint) for endpoint in gone)),
            starting,
        ),
        now_s,
    )


def newcomers(endpoints: Iterable[Endpoint], others: Iterable[Endpoint]) -> list[Endpoint]:
    """Those whose address and port is not among the others."""
    known = {(endpoint.address, endpoint.port) for endpoint in others}
    return [endpoint for endpoint in endpoints if (endpoint.address, endpoint.port) not in known]


def current(past: Past, now_s: float) -> Past:
    """The past without what has stopped to count."""
    rises = {place: tuple(one for one in counts if one[0] > now_s) for place, counts in past.rises.items()}
    return Past(
        past.ready,
        past.members,
        _higher(past.peaks, past.ready, now_s),
        _higher(past.held, past.members, now_s),
        {place: counts for place, counts in rises.items() if counts},
        past.terminating,
        tuple(one for one in past.vanished if one[0] > now_s),
        {address: end for address, end in past.starting.items() if end > now_s},
    )


def without_addresses(past: Past, network: str, addresses: frozenset[str]) -> Past:
    """The past without vanished endpoints at addresses of a network that somebody uses again."""
    kept = tuple(one for one in past.vanished if one[1].network != network or one[1].address not in addresses)
    if len(kept) == len(past.vanished):
        return past
    return replace(past, vanished=kept)


def _ready_before(change: Change) -> Counter[Locality]:
    if change.old is not None:
        return Counter(e.locality for e in change.old if e.ready)
    if change.new_may_start:
        return Counter()
    # what still serves while terminating was ready a moment ago, as far as one can tell
    return Counter(e.locality for e in change.new if e.ready or (e.terminating and e.serving))


def _members_before(change: Change, starting: Mapping[Address, float]) -> Counter[Locality]:
    if change.old is not None:
        return _members(change.old, starting)
    if change.new_may_start:
        return Counter()
    # what still serves while terminating was there a moment ago, as far as one can tell
    serving = [e for e in change.new if e.terminating and e.serving]
    return _members(change.new, starting) + Counter(e.locality for e in serving)


def _members(endpoints: Iterable[Endpoint], starting: Mapping[Address, float]) -> Counter[Locality]:
    return Counter(e.locality for e in endpoints if not e.terminating and (e.address, e.port) not in starting)


def _and(
    known: Mapping[Locality, Peaks], counts: Mapping[Locality, int], end_s: float
) -> dict[Locality, Peaks]:
    added = {place: (*known.get(place, ()), (end_s, count)) for place, count in counts.items()}
    return {**known, **added}


def _higher(
    known: Mapping[Locality, Peaks], now: Mapping[Locality, int], now_s: float
) -> dict[Locality, Peaks]:
    """The counts that still say something: not over, and higher than now and than any newer one."""
    found: dict[Locality, Peaks] = {}
    for place, counts in known.items():
        floor = now.get(place, 0)
        kept: list[tuple[float, int]] = []
        for end, count in reversed(counts):
            if end > now_s and count > floor:
                kept.append((end, count))
                floor = count
        if kept:
            found[place] = tuple(reversed(kept))
    return found


def _starting(
    past: Past, change: Change, lasted: Mapping[Locality, Peaks], now_s: float
) -> dict[Address, float]:
    """Those that wait to be ready, and until when: as many as a place has more than it usually had.

    Where nothing is ready nobody waits: what comes is the place itself, and its first ready one is not
    all of it. Who has ceased to wait never does again, so that one after the other may not hide a loss.
    """
    ready = _ready_before(change)
    fresh = newcomers(change.new, change.old or ()) if change.new_may_start else []
    ends = {(e.address, e.port): now_s + STARTING_S for e in fresh if ready[e.locality]} | dict(past.starting)
    waiting: dict[Locality, list[tuple[float, Address]]] = {}
    for e in change.new:
        if not e.ready and not e.terminating and (end := ends.get((e.address, e.port), 0.0)) > now_s:
            waiting.setdefault(e.locality, []).append((end, (e.address, e.port)))
    # those that leave count as there: a loss is not to count twice, with who leaves and who comes instead
    there = Counter(e.locality for e in change.new)
    kept: dict[Address, float] = {}
    for place, found in waiting.items():
        usual = max((count for end, count in lasted.get(place, ()) if end > now_s), default=0)
        youngest = sorted(found, reverse=True)[: max(0, there[place] - usual)]
        kept |= {address: end for end, address in youngest}
    return kept
