"""Which part of the calls each cluster got, from when its backends were called and what happened then."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Any

from support.load import Load
from support.mesh import Mesh

GIVEN = re.compile(r"is given ([\d.]+) % of its share|is given (all) of its share")


@dataclass(frozen=True, slots=True)
class Step:
    """What a place is given from `begin_s` until `end_s` (`time.monotonic`), of 1."""

    share: float
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Got:
    """So many of so many calls."""

    some: int
    all: int

    def at_most(self, share: float) -> bool:
        """Whether that share explains so many: four standard deviations of a choice call by call, which one
        of 30,000 exceeds, and the call that is about to end."""
        return self.some <= self.all * share + 4 * sqrt(self.all * share * (1 - share)) + 1

    def at_least(self, share: float) -> bool:
        """The same downwards."""
        return Got(self.all - self.some, self.all).at_most(1 - share)


def attempts(world: Mesh, cluster: str, begin_s: float, end_s: float) -> Got:
    """Of all tries, retries too, those that came to that cluster."""
    at = {
        name: sum(begin_s <= at_s < end_s for at_s in backend.at_s)
        for name, backend in world.backends.items()
    }
    return Got(sum(at[name] for name in world.names(cluster)), sum(at.values()))


def answers(calls: Load, cluster: str, begin_s: float, end_s: float) -> Got:
    """Of the calls of one client those that this cluster answered."""
    seen = [one.served_by for one in calls.calls if begin_s <= one.at_s < end_s and one.status == 200]
    return Got(sum(name.startswith(cluster) for name in seen), len(seen))


def steps(events: Iterable[dict[str, Any]], now_s: float) -> list[Step]:
    """What the only place that is judged was given, one after the other, as `tideover events` tells it.

    An event is told before its steering is sent: until the next one no more than its share may be seen.
    """
    later_s = time.monotonic() - time.time()
    found = [
        (_unix_s(one["at"]) + later_s, 1.0 if said[2] else float(said[1]) / 100)
        for one in events
        if (said := GIVEN.search(one["message"]))
    ]
    ends = [at_s for at_s, _ in found[1:]] + [now_s]
    return [Step(share, at_s, end_s) for (at_s, share), end_s in zip(found, ends, strict=True)]


def _unix_s(text: str) -> float:
    """Of a time with up to nine digits after the point."""
    whole, _, part = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{part or 0}")
