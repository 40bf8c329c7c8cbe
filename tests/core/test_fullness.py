"""Capacity from how full backends say they are: only where a policy asks, and only as far as it is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_allotment import calls
from core.test_capacity import DN, PA, PB, TARGET, A, percents, world
from core.test_merge import RATINGS
from tideover_core.allotment import Allotment
from tideover_core.policy import Capacity, Settings
from tideover_core.steering import Site
from tideover_core.world import Mesh, World, merge


def asking(percent: float | None = 80.0, each: float | None = None) -> World:
    """The policy wants endpoints that full."""
    before = world()
    (policy,) = before.failover_policies
    settings = Settings(capacity=Capacity(each, target_utilization_percent=percent))
    return merge(before.clusters.values(), Mesh(failover_policies=(replace(policy, settings=settings),)))


def full(of: float, *sites: Site) -> dict[object, float]:
    return {(RATINGS, 9080, one): of for one in sites}


def test_what_is_above_the_target_flows_on_and_comes_back_with_room() -> None:
    kept, now = Allotment(), asking()
    # two endpoints with 30 calls together are 120 % full: at 80 % they carry 20
    for _ in range(3):
        kept.fullness.hear(now, calls(30), full(1.2, PA))
        kept.allot(now, {}, calls(30))
    assert kept.fullness.rates[TARGET][PA] == pytest.approx(10)
    assert percents(kept.steered({})[RATINGS][9080].shares) == {"a": {"a": 67, "b": 33}}
    # it was made faster: the same calls fill half of it
    for _ in range(20):
        kept.fullness.hear(now, calls(20), full(0.4, PA))
        kept.allot(now, {}, calls(20))
    assert kept.fullness.rates[TARGET][PA] == pytest.approx(20, rel=0.01)
    assert kept.steered({}) == {}


@pytest.mark.parametrize(
    ("rate", "said"),
    [(30.0, 0.05), (0.5, 0.5), (30.0, 1e9), (30.0, -1.0), (30.0, float("nan")), (30.0, 0.0)],
    ids=["idle", "hardly called", "absurd", "negative", "no number", "nothing"],
)
def test_what_says_little_or_nonsense_is_no_capacity(rate: float, said: float) -> None:
    kept = Allotment()
    kept.fullness.hear(asking(), calls(rate), full(said, PA, PB))
    assert kept.fullness.rates == {}


def test_it_counts_where_a_policy_asks_and_says_no_number_itself() -> None:
    kept = Allotment()
    kept.fullness.hear(asking(None), calls(30), full(1.2, PA))
    assert kept.fullness.rates == {}
    kept.fullness.hear(asking(), calls(30), full(1.2, PA, DN))  # nobody calls dublin
    assert set(kept.fullness.rates[TARGET]) == {PA}
    kept.allot(asking(each=1000.0), {}, {(RATINGS, 9080, A, PA): 30.0})
    assert kept.steered({}) == {}
    kept.fullness.hear(asking(None), {}, {})  # the policy asks no more
    assert kept.fullness.rates == {}
