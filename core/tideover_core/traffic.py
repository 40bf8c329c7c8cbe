"""How much of the traffic Envoy sends to each priority: its own arithmetic, whole percents included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hosts:
    """The endpoints of one priority: `counted` are all but the draining ones."""

    healthy: int
    counted: int
    total: int


def overprovisioning(below_healthy_percent: float | None) -> int:
    """Envoy's factor, in percent, for "spill below this percentage of healthy endpoints"."""
    if below_healthy_percent is None:
        return 140
    # Envoy spills once healthy percent * factor < 100; at 0 the last healthy endpoint keeps it all
    # below one percent (or no number at all) the factor could overflow 32 bits in Envoy's product
    percent = below_healthy_percent if below_healthy_percent > 1 else 1.0
    return max(100, round(10_000 / percent))


def expected_percents(
    priorities: Sequence[Hosts], overprovisioning_percent: int, panic_percent: float
) -> list[float]:
    """The expected percentage per priority, as Envoy 1.40 computes it; they sum to 100."""
    health = [
        min(100, overprovisioning_percent * hosts.healthy // hosts.counted) if hosts.counted else 0
        for hosts in priorities
    ]
    available = min(100, sum(health))
    if available < 100 and all(_panics(hosts, panic_percent) for hosts in priorities):
        return _by_size(priorities)
    loads: list[int] = []
    left = 100
    for value in health:
        loads.append(min(left, value * 100 // available) if available else 0)
        left -= loads[-1]
    return _with_rest(loads, [value > 0 for value in health])


def _panics(hosts: Hosts, panic_percent: float) -> bool:
    return (100 * hosts.healthy / hosts.counted if hosts.counted else 0.0) < panic_percent


def _by_size(priorities: Sequence[Hosts]) -> list[float]:
    total = sum(hosts.total for hosts in priorities)
    loads = [100 * hosts.total // total if total else 0 for hosts in priorities]
    return _with_rest(loads, [hosts.total > 0 for hosts in priorities])


def _with_rest(loads: list[int], usable: Sequence[bool]) -> list[float]:
    """What rounding left over goes to the first usable priority, or to the first at all."""
    if loads:
        first = next((i for i, use in enumerate(usable) if use), 0)
        loads[first] += 100 - sum(loads)
    return [float(load) for load in loads]
