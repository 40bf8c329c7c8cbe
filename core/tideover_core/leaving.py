"""Clusters that are to be emptied: first no new calls (DRAINING), later nothing at all.

Never the last choice: whoever has nothing else healthy goes on with what it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from .assignment import Health, LeftOut, Placed

# from the first to the second: calls that run may end, and load reports of before have come
DRAIN_S = 30.0


class Leaving(StrEnum):
    """How far a cluster is on its way out."""

    NO = ""
    DRAINING = "draining"
    DRAINED = "drained"


def emptied(
    placed: Sequence[Placed], leaving: Mapping[str, Leaving]
) -> tuple[Sequence[Placed], list[LeftOut]]:
    """What is sent, and what is no longer, of all that a vantage may use. `leaving`: by cluster.

    DRAINING leaves Envoy's denominator, so what is drained moves no traffic of its neighbours; an UNHEALTHY
    one would count on as lost, and Envoy keeps counting one that turns from UNHEALTHY to DRAINING in place.
    So what is not healthy is left out at once.
    """
    if not leaving or not any(leaving.get(one.endpoint.cluster) for one in placed):
        return placed, []
    healthy = [one for one in placed if one.health is Health.HEALTHY]
    if all(leaving.get(one.endpoint.cluster) for one in healthy):
        return [_last(one) if leaving.get(one.endpoint.cluster) else one for one in placed], []
    sent: list[Placed] = []
    left_out: list[LeftOut] = []
    for one in placed:
        cluster = one.endpoint.cluster
        stage = leaving.get(cluster, Leaving.NO)
        if not stage:
            sent.append(one)
        elif stage is Leaving.DRAINING and one.health is not Health.UNHEALTHY:
            why = f"draining: cluster {cluster} is leaving, so it gets no new calls"
            sent.append(replace(one, health=Health.DRAINING, causes=(why, *one.causes)))
        else:
            left_out.append(LeftOut(one.endpoint, f"drained: cluster {cluster} is leaving"))
    return sent, left_out


def _last(one: Placed) -> Placed:
    why = f"cluster {one.endpoint.cluster} is leaving, but nothing else is healthy"
    return replace(one, causes=(why, *one.causes))
