"""What answers of one place say beyond well or failed, to one reporter: how long they took, and what backends
say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

SLOW_MS = 1000.0  # below that nothing is called slow
SLOWER = 10.0  # than it usually is
SLOWER_THAN_OTHERS = 4.0
USUAL_SAMPLES = 10
MAX_METRICS = 8  # that backends say, of one place


class Backends(NamedTuple):
    """What backends of one place said of themselves (ORCA) to one reporter: means over its last report."""

    at_s: float
    means: Mapping[str, float]


class Latency:
    """How long answers took that one reporter got from one place: the 99th percentile, now and usually."""

    __slots__ = ("at_s", "now_ms", "samples", "slow", "usual_ms")

    def __init__(self) -> None:
        self.now_ms = self.usual_ms = self.at_s = 0.0
        self.samples = 0
        self.slow = False

    def add(self, now_ms: float, fastest_ms: float, now_s: float) -> None:
        """One look. `fastest_ms`: of other places, 0 where nobody is known to call any.

        What is slow does not become usual: the place is compared with what it was when it was well.
        """
        self.now_ms, self.at_s = now_ms, now_s
        self.slow = (
            self.samples >= USUAL_SAMPLES
            and now_ms >= max(SLOW_MS, SLOWER * self.usual_ms)
            and now_ms >= SLOWER_THAN_OTHERS * fastest_ms
        )
        if not self.slow:
            self.samples += 1
            self.usual_ms += (now_ms - self.usual_ms) / min(self.samples, 100)


def means(said: Iterable[tuple[str, float, int]]) -> Mapping[str, float]:
    """By name, of sums over so many answers; a name may come more than once, of several priorities."""
    sums: dict[str, tuple[float, int]] = {}
    for name, total, answers in said:
        if answers > 0 and (name in sums or len(sums) < MAX_METRICS):
            before = sums.get(name, (0.0, 0))
            sums[name] = (before[0] + total, before[1] + answers)
    return {name: total / answers for name, (total, answers) in sums.items()}
