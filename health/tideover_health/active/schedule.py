"""When each target is checked: spread evenly over its interval by hash, and all of them within a rate.

What is too much is taken from the namespaces that ask for most: ten thousand endpoints of one leave the
others theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zlib import crc32

from .checks import Target

JITTER = 0.1  # of the period; so that checks do not stay in step with what the service does by itself


@dataclass(frozen=True, slots=True)
class Pace:
    """How many checks per second are wanted, and what is admitted: the rest is spread longer.

    `stretches`: what the intervals of these namespaces are multiplied by, more than 1.
    """

    wanted_per_s: float
    most_per_s: float
    stretches: Mapping[str, float] = field(default_factory=dict)

    @property
    def stretch(self) -> float:
        """What the intervals of the namespace that asks for most are multiplied by, 1 or more."""
        return max(self.stretches.values(), default=1.0)

    def period_s(self, target: Target) -> float:
        """How often this one is checked."""
        return _period_s(target) * self.stretches.get(target.namespace, 1.0)


_SHORTEST_S = 0.05  # an interval of 0 is refused with the policy; never a busy loop, whatever it says


def pace(targets: Iterable[Target], most_per_s: float) -> Pace:
    """What these targets ask for, against what is admitted."""
    wanted: dict[str, float] = {}  # per second, by namespace
    for target in targets:
        wanted[target.namespace] = wanted.get(target.namespace, 0.0) + 1 / _period_s(target)
    most = _fair(sorted(wanted.values()), most_per_s)
    stretches = {namespace: per_s / most for namespace, per_s in wanted.items() if per_s > most}
    return Pace(sum(wanted.values()), most_per_s, stretches)


def _fair(wanted: list[float], left: float) -> float:
    """The most that any may have so that all together have what is left; from the smallest on."""
    for number, one in enumerate(wanted):
        share = left / (len(wanted) - number)
        if one > share:
            return share
        left -= one
    return math.inf


def _period_s(target: Target) -> float:
    return max(target.check.interval_s, target.check.timeout_s, _SHORTEST_S)


def next_due_s(target: Target, pace: Pace, now_s: float, seed: str = "") -> float:
    """The next time to check after `now_s`: a fixed phase by hash of the key, a little jitter by hash too.

    Replicas differ by their `seed`, so that they do not all ask at once.
    """
    period_s = pace.period_s(target)
    key = f"{seed} {target.key}".encode()
    phase = _fraction(crc32(key))
    number = math.floor(now_s / period_s - phase) + 1
    # within the period and never before `now_s`
    late = JITTER * _fraction(crc32(number.to_bytes(8, "big", signed=True), crc32(key)))
    return max((number + phase + late) * period_s, math.nextafter(now_s, math.inf))


def _fraction(checksum: int) -> float:
    """0 up to 1, from 32 bits, mixed: neighbours of crc32 are alike."""
    return (checksum * 2654435761 % 2**32) / 2**32
