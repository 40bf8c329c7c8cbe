"""What the calls say: pure arithmetic on lists of calls, for the live table, the promises and the report.

Times are seconds on one monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

WINDOW_S = 0.2
MOVED_SHARE = 0.99
FEWEST_CALLS = 5  # a window with fewer says nothing


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its caller saw it. `served_by` is "" when it failed.

    `cut`: a call that must not be repeated lost its connection after it had been sent, so that
    nobody may retry it; it failed too, but no control plane can prevent that.
    """

    caller: str  # the cluster it came from
    service: str
    method: str
    began_s: float
    ended_s: float
    served_by: str = ""  # a cluster
    status: int = 0
    cut: bool = False
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether the caller got no good answer."""
        return not self.served_by


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls a fault is about: those from one cluster, to some services."""

    caller: str
    services: frozenset[str]

    def holds(self, call: Call) -> bool:
        """Whether the call is one of them."""
        return call.caller == self.caller and call.service in self.services


@dataclass(frozen=True, slots=True)
class Count:
    """Calls, of which failed (cut ones not counted), and cut."""

    calls: int
    failed: int
    cut: int


def count(calls: Iterable[Call]) -> Count:
    """Count them."""
    seen = failed = cut = 0
    for call in calls:
        seen += 1
        cut += call.cut
        failed += call.failed and not call.cut
    return Count(seen, failed, cut)


def seconds_until_moved(
    calls: Sequence[Call], changed_s: float, until_s: float, there: Callable[[str], bool]
) -> float | None:
    """Seconds from `changed_s` until 99 % of the calls were served `there`; None when they never were.

    It is the end of the first call of the earliest window (of 0.2 s, over the ends of calls) in
    which 99 % of the calls were answered from `there`, provided that it stayed so: of all later
    answers until `until_s`, 99 % too came from there. Failed calls were served nowhere. A window
    that is not over by `until_s` says nothing.
    """
    ended = sorted((c.ended_s, c.served_by) for c in calls if changed_s <= c.ended_s <= until_s)
    times = [end for end, _ in ended]
    hits = _sums(there(where) for _, where in ended)
    answers = _sums(where != "" for _, where in ended)
    for first, began_s in enumerate(times):
        if began_s + WINDOW_S > until_s:
            break
        after = bisect_left(times, began_s + WINDOW_S)
        seen = after - first
        if seen < FEWEST_CALLS or hits[after] - hits[first] < MOVED_SHARE * seen:
            continue
        later = answers[-1] - answers[first]
        if hits[-1] - hits[first] >= MOVED_SHARE * later:
            return began_s - changed_s
    return None


def served_share(calls: Iterable[Call]) -> dict[str, float]:
    """Share of calls by the cluster that served them, "" for failed ones; empty without calls."""
    by_place = Counter(call.served_by for call in calls)
    total = by_place.total()
    return {place: number / total for place, number in by_place.items()}


def ended_between(calls: Sequence[Call], begin_s: float, end_s: float) -> list[Call]:
    """The calls that ended in [begin, end): `calls` are in the order in which they ended."""
    first = bisect_left(calls, begin_s, key=_end)
    return list(calls[first : bisect_left(calls, end_s, key=_end)])


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The value that `percent` of them do not exceed (nearest rank); None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


@dataclass(frozen=True, slots=True)
class Bin:
    """A slice of a timeline: calls per second by where they were served ("" is failed)."""

    began_s: float
    per_second: dict[str, float]


def timeline(calls: Iterable[Call], begin_s: float, end_s: float, bin_s: float) -> list[Bin]:
    """Bins from `begin_s` to `end_s`, by the ends of the calls; empty bins included."""
    number = max(1, round((end_s - begin_s) / bin_s))
    counts = [Counter[str]() for _ in range(number)]
    for call in calls:
        index = int((call.ended_s - begin_s) // bin_s)
        if 0 <= index < number:
            counts[index][call.served_by] += 1
    return [
        Bin(begin_s + index * bin_s, {place: n / bin_s for place, n in counter.items()})
        for index, counter in enumerate(counts)
    ]


def _end(call: Call) -> float:
    return call.ended_s


def _sums(flags: Iterable[bool]) -> list[int]:
    """Running sums: `sums[j] - sums[i]` is how many are true in [i, j)."""
    sums = [0]
    for flag in flags:
        sums.append(sums[-1] + flag)
    return sums
