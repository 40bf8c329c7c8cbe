"""Which health is sent for each endpoint of one place: one service port in one cluster and locality.

Envoy spills in proportion to healthy / (healthy + unhealthy). So that this is the truth, endpoints that
are gone without a word still count for a while, and terminating ones stop counting only while enough stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .assignment import Health, Placed
from .model import Endpoint

# terminating endpoints leave the denominator while this much of what is usually there is ready
KEEP_PERCENT = 70
VANISHED = "vanished while ready, counts for 60 s"
STARTING = "starting: not ready yet, and nothing is missing without it"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the past of a place: see `world.Presence`. `usual` None: nothing."""

    vanished: Sequence[Endpoint] = ()
    usual: int | None = None
    starting: frozenset[tuple[str, int]] = frozenset()


def judged(endpoints: Sequence[Endpoint], known: Known) -> list[Placed]:
    """The endpoints of one place with their health, and vanished ones, which all count as lost.

    Those that are more than usual and were never ready yet have no weight (0) and wait. Otherwise a
    rolling update, or more replicas, would move traffic away.
    """
    ready = sum(1 for endpoint in endpoints if endpoint.ready)
    usual = known.usual
    if usual is None:
        leaving = sum(1 for e in endpoints if e.terminating and e.serving and not e.ready)
        usual = ready + leaving + len(known.vanished)
    peak = max(usual, ready)
    keeps = 100 * ready >= KEEP_PERCENT * peak
    gone = [Placed(e, Health.UNHEALTHY, weight(e), (VANISHED,)) for e in known.vanished]
    return [
        Placed(e, Health.UNHEALTHY, 0, (STARTING,))
        if not e.ready and (e.address, e.port) in known.starting
        else _judged(e, ready, peak, keeps)
        for e in endpoints
    ] + gone


def still_counting(vanished: Sequence[Endpoint], present: int, peak_ready: int) -> list[Endpoint]:
    """Those of a place's vanished endpoints that count: as many as are missing to the recent peak."""
    return sorted(vanished, key=lambda endpoint: endpoint.key)[: max(0, peak_ready - present)]


def _judged(endpoint: Endpoint, ready: int, peak: int, keeps: bool) -> Placed:
    causes = () if endpoint.weight == 1 else (f"weight {weight(endpoint)}: its annotation",)
    if endpoint.ready:
        return Placed(endpoint, Health.HEALTHY, weight(endpoint), causes)
    if not endpoint.terminating:
        return Placed(endpoint, Health.UNHEALTHY, weight(endpoint), ("not ready", *causes))
    if keeps:
        why = f"terminating; {ready} ready of the usual {peak}, so it leaves without moving traffic"
        return Placed(endpoint, Health.DRAINING, weight(endpoint), (why, *causes))
    why = f"terminating; {ready} ready of the usual {peak} are below {KEEP_PERCENT} %, so it counts as lost"
    return Placed(endpoint, Health.UNHEALTHY, weight(endpoint), (why, *causes))


def weight(endpoint: Endpoint) -> int:
    """The endpoint's weight, at least 1: Envoy refuses 0."""
    return max(1, endpoint.weight)


def last_resort(placed: Placed) -> Placed:
    """The endpoint when nothing at all is ready: what serves while terminating is used."""
    endpoint = placed.endpoint
    if endpoint.terminating and endpoint.serving:
        why = "nothing is ready, so those that serve while terminating are used"
        return Placed(endpoint, Health.HEALTHY, placed.weight, (why,))
    if placed.weight == 0:
        return Placed(endpoint, Health.UNHEALTHY, weight(endpoint), ("starting: not ready yet",))
    if placed.health is Health.UNHEALTHY:
        return placed
    return Placed(endpoint, Health.UNHEALTHY, placed.weight, ("terminating; nothing is ready",))
