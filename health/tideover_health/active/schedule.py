"""When each target is checked: spread evenly over its interval by hash, and all of them within a rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from .checks import Target

JITTER = 0.1  # of the period; so that checks do not stay in step with what the service does by itself


@dataclass(frozen=True, slots=True)
class Pace:
    """How many checks per second are wanted, and what is admitted: the rest is spread longer."""

    wanted_per_s: float
    most_per_s: float

    @property
    def stretch(self) -> float:
        """What every interval is multiplied by, 1 or more."""
        return max(1.0, self.wanted_per_s / self.most_per_s)

    def period_s(self, target: Target) -> float:
        """How often this one is checked."""
        return max(target.check.interval_s, target.check.timeout_s, _SHORTEST_S) * self.stretch


_SHORTEST_S = 0.05  # an interval of 0 is refused with the policy; never a busy loop, whatever it says


def pace(targets: Iterable[Target], most_per_s: float) -> Pace:
    """What these targets ask for, against what is admitted."""
    unstretched = Pace(0, most_per_s)
    return Pace(sum(1 / unstretched.period_s(target) for target in targets), most_per_s)


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
