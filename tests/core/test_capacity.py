"""What near places cannot carry flows on: shares for clients of each place, and what fits nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.test_merge import RATINGS, cluster, service
from tideover_core.capacity import NO_PLAN, Plan, Shares, carries, client_at, demands, planned
from tideover_core.model import Endpoint, Locality
from tideover_core.names import Target
from tideover_core.orders import Action, ActiveOrder, TrafficOrder
from tideover_core.policy import Capacity, FailoverPolicy, FailoverRule, Fill, Place, Settings
from tideover_core.steering import Admission, PortSteering, Site
from tideover_core.target import parse_target
from tideover_core.world import Mesh, World, merge

A, B = Locality("eu-west", "a"), Locality("eu-west", "b")
NORTH = Locality("eu-north", "n")
PA, PB, DN = Site("paris", A), Site("paris", B), Site("dublin", NORTH)
TARGET = Target(RATINGS, 9080)


def ends(site: Site, count: int, **said: Any) -> list[Endpoint]:
    number = {PA: 1, PB: 2, DN: 3}[site]
    return [
        Endpoint(f"10.{number}.0.{n}", 9080, site.cluster, "default", site.locality, **said)
        for n in range(1, count + 1)
    ]


def world(
    *found: Endpoint, each: float | None = 10.0, fill: Fill = Fill.WATERFALL_BY_ZONE, **mesh: Any
) -> World:
    found = found or (*ends(PA, 2), *ends(PB, 2), *ends(DN, 4))
    policy = FailoverPolicy("bookinfo", "p", (RATINGS,), Settings(capacity=Capacity(each, fill)))
    clusters = [
        cluster(name, service(RATINGS, *(e for e in found if e.cluster == name)), locality=home)
        for name, home in (("paris", Locality("eu-west")), ("dublin", Locality("eu-north")))
    ]
    return merge(clusters, Mesh(failover_policies=(policy,), **mesh))


def percents(shares: Shares) -> dict[str, dict[str, int]]:
    return {
        place.zone: {site.locality.zone: round(100 * share) for site, share in row.items()}
        for place, row in shares.items()
    }


@pytest.mark.parametrize(
    ("demand", "shares", "shortfall"),
    [
        ({A: 15}, {}, 0),  # everything fits where it goes anyway
        ({A: 30}, {"a": {"a": 67, "b": 33}}, 0),
        ({A: 60}, {"a": {"a": 33, "b": 33, "n": 33}}, 0),
        ({A: 15, B: 30}, {"a": {"a": 100}, "b": {"a": 17, "b": 67, "n": 17}}, 0),
        ({A: 90}, {"a": {"a": 25, "b": 25, "n": 50}}, 10),
    ],
)
def test_zone_by_zone(
    demand: dict[Locality, float], shares: dict[str, dict[str, int]], shortfall: float
) -> None:
    plan = planned(world(), TARGET, demand)
    assert percents(plan.shares) == shares
    assert plan.shortfall == pytest.approx(shortfall)
    assert sum(load.expected for load in plan.loads.values()) == pytest.approx(sum(demand.values()))


def test_places_that_a_policy_excludes_get_nothing_however_full_the_others_are() -> None:
    near_only = Settings(failover=(FailoverRule(Place(), (Place(region="eu-west"),)),), others=False)
    also = FailoverPolicy("bookinfo", "q", (RATINGS,), near_only)
    now = world()
    now = merge(now.clusters.values(), Mesh(failover_policies=(*now.failover_policies, also)))
    found = planned(now, TARGET, {A: 60})
    assert percents(found.shares) == {"a": {"a": 50, "b": 50}}
    assert found.shortfall == pytest.approx(20)


def test_by_region_its_zones_fill_together() -> None:
    assert planned(world(fill=Fill.WATERFALL_BY_REGION), TARGET, {A: 19}).shares == {}
    plan = planned(world(fill=Fill.WATERFALL_BY_REGION), TARGET, {A: 30})
    assert percents(plan.shares) == {"a": {"a": 50, "b": 50}}
    plan = planned(world(fill=Fill.WATERFALL_BY_REGION), TARGET, {A: 60})
    assert percents(plan.shares) == {"a": {"a": 33, "b": 33, "n": 33}}


def test_sprays_hold_at_any_load() -> None:
    assert percents(planned(world(fill=Fill.SPRAY_IN_REGION), TARGET, {A: 1}).shares) == {
        "a": {"a": 50, "b": 50}
    }
    assert percents(planned(world(fill=Fill.SPRAY_EVERYWHERE, each=None), TARGET, {A: 1}).shares) == {
        "a": {"a": 25, "b": 25, "n": 50}
    }


def test_what_the_pod_says_counts_before_the_policy_and_what_was_learned_after_it() -> None:
    strong = world(*ends(PA, 2, capacity=50.0), *ends(PB, 2), *ends(DN, 4))
    assert planned(strong, TARGET, {A: 90}).shares == {}
    assert planned(world(each=None), TARGET, {A: 90}) == NO_PLAN
    learned = planned(world(each=None), TARGET, {A: 30}, {PA: 10.0})
    assert percents(learned.shares) == {"a": {"a": 67, "b": 33}}


def test_what_is_not_ready_or_judged_down_or_drained_carries_nothing() -> None:
    half = world(*ends(PA, 1), *ends(PA, 2, ready=False)[1:], *ends(PB, 2), *ends(DN, 4))
    assert percents(planned(half, TARGET, {A: 30}).shares) == {"a": {"a": 33, "b": 67}}
    down = PortSteering(sites={PA: Admission(0, "503")})
    judged = world(steering={RATINGS: {9080: down}})
    # the survivors hold the failover exactly; the lost place is no reason for shares by itself
    assert planned(judged, TARGET, {A: 15}).shares == {}
    assert percents(planned(judged, TARGET, {A: 30}).shares) == {"a": {"b": 67, "n": 33}}
    order = TrafficOrder("t", "o", Action.DRAIN, parse_target("zone/b"))
    drained = world(orders=(ActiveOrder(order, 100.0),))
    assert percents(planned(drained, TARGET, {A: 30}).shares) == {"a": {"a": 67, "n": 33}}


def test_what_comes_back_gets_its_step_of_what_it_would_get() -> None:
    back = world(steering={RATINGS: {9080: PortSteering(sites={PA: Admission(25, "step 2 of 4")})}})
    assert percents(planned(back, TARGET, {A: 20}).shares) == {"a": {"a": 25, "b": 75}}


def test_a_path_that_comes_back_gets_its_step_and_only_from_there() -> None:
    back = PortSteering(pairs={(A, PA): Admission(25, "step 2 of 4")})
    now = world(steering={RATINGS: {9080: back}})
    plan = planned(now, TARGET, {A: 40})
    assert percents(plan.shares) == {"a": {"a": 25, "b": 50, "n": 25}}
    assert sum(load.expected for load in plan.loads.values()) == pytest.approx(40)
    plan = planned(now, TARGET, {A: 40, B: 20})
    assert percents(plan.shares)["a"]["a"] == 25
    # who has no broken path may use the rest of it
    assert percents(plan.shares)["b"]["a"] == 50
    assert plan.loads[PA].expected == pytest.approx(20)


def test_an_endpoint_that_comes_back_carries_its_step() -> None:
    first = ends(PA, 2)[0]
    back = PortSteering(endpoints={first.key: Admission(50, "step 3 of 4")})
    plan = planned(world(steering={RATINGS: {9080: back}}), TARGET, {A: 30})
    assert plan.loads[PA].capacity == 15
    assert percents(plan.shares) == {"a": {"a": 50, "b": 50}}


def test_limits_do_not_come_and_go_with_rounding() -> None:
    now = world()
    first = planned(now, TARGET, {A: 21})
    assert first.shares
    # a little less fits again, but not by much; a little more is not worth another push
    assert planned(now, TARGET, {A: 19.5}, before=first).shares
    assert planned(now, TARGET, {A: 17}, before=first).shares == {}
    settled = planned(now, TARGET, {A: 30})
    assert planned(now, TARGET, {A: 29.8}, before=settled).shares is settled.shares
    # more than a place carries is never kept while there is room elsewhere
    assert planned(now, TARGET, {A: 30.2}, before=settled).shares is not settled.shares


def test_demands_are_sums_over_destinations() -> None:
    loads = {(RATINGS, 9080, A, PA): 5.0, (RATINGS, 9080, A, PB): 2.0, (RATINGS, 9080, NORTH, DN): 1.0}
    assert demands(loads) == {TARGET: {A: 7.0, NORTH: 1.0}}


def test_of_an_unknown_service_there_is_no_plan() -> None:
    assert planned(World(), TARGET, {A: 1.0}) == Plan()


def test_what_endpoints_carry_is_known_only_when_it_is_of_all() -> None:
    two, one = ends(PA, 2, capacity=7.0), ends(PB, 1)
    assert carries(two, Capacity()) == 14
    assert carries([*two, *one], Capacity()) is None
    assert carries([*two, *one], Capacity(10.0)) == 24
    assert carries([*two, *one], Capacity(), 3.0) == 17
    assert carries(ends(PB, 1, weight=4), Capacity(10.0)) == 40


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (Locality("eu-north", ""), "dublin"),  # its own
        (Locality("eu-north", "zz"), "dublin"),  # of its region
        (Locality("mars", "a"), ""),
        (Locality("eu-west", "worker"), "dublin"),  # where a node of it stands
    ],
)
def test_a_client_at_a_place_is_of_a_cluster_that_is_there(place: Locality, found: str) -> None:
    now = world()
    dublin = replace(now.clusters["dublin"], nodes={"n1": Locality("eu-west", "worker")})
    now = merge([dublin, now.clusters["paris"]], Mesh())
    assert client_at(now, place).cluster == found
