"""The world is judged before it is served: what is new in it gets its traffic in steps, from the start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from core.test_merge import RATINGS, cluster, end, service
from tideover_app.config import Config
from tideover_app.metrics import Gauges, Metrics
from tideover_app.run_health import HealthKeeper
from tideover_app.run_replica import RunningReplica
from tideover_app.run_world import WorldKeeper
from tideover_core.model import ClusterFacts, Locality, ServiceKey
from tideover_core.steering import Site, Steering
from tideover_core.world import World
from tideover_health.judge import Judge

DUBLIN = Site("dublin", Locality("eu-west", "a"))


class Sources:
    known = heard = True

    def __init__(self, *facts: ClusterFacts) -> None:
        self.now = facts

    def facts(self) -> tuple[ClusterFacts, ...]:
        return self.now


@pytest.fixture
def replica() -> RunningReplica:
    return RunningReplica("r", "", start_grace_s=0, tell=lambda happening: None)


def test_a_new_place_is_never_served_whole(replica: RunningReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    gauges = Gauges()
    keeper = WorldKeeper(Config(), replica, Metrics(replica, replica.fleet, gauges, time.time), gauges)
    changes: list[int] = []
    health = HealthKeeper(Judge(), replica, lambda: changes.append(1))
    keeper.steering = health.foreseen
    served: list[Mapping[ServiceKey, Steering]] = []
    take = keeper.cache.update

    def update(world: World) -> Any:
        served.append({key: one.steering for key, one in world.services.items()})
        return take(world)

    monkeypatch.setattr(keeper.cache, "update", update)
    nothing = SimpleNamespace(destination_rules=(), failover_policies=())
    policies: Any = SimpleNamespace(
        known=True, heard=True, value=nothing, facts=lambda: ClusterFacts("", "", Locality())
    )
    now_s = [1000.0]
    monkeypatch.setattr(health, "_now_s", lambda: now_s[0])
    paris = cluster("paris", service(RATINGS, end("10.0.0.1")))
    sources: Any = Sources(paris)
    keeper.renew(sources, policies)
    now_s[0] += 1000
    sources.now = (paris, cluster("dublin", service(RATINGS, end("10.1.0.1", "dublin"))))
    keeper.renew(sources, policies)
    # one push each, and who is new has its first step in it
    assert [one[RATINGS].get(9080) is not None for one in served] == [False, True]
    assert served[-1][RATINGS][9080].sites[DUBLIN].percent == 5
    assert not changes
    keeper.renew(sources, policies)
    assert served[-1] == served[-2]
