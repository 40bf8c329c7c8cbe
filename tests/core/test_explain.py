"""What people are told: the JSON shape of explain, and what fails over now."""

from __future__ import annotations

import json

from support.golden import Case, load_cases
from tideover_core.explain import explained
from tideover_core.overview import failing_over, place_healths
from tideover_core.plan import plan


def case(name: str) -> Case:
    return next(found for found in load_cases() if name in found.name)


def told(name: str) -> dict[str, object]:
    found = case(name)
    assignment = plan(found.world, found.target, found.located)
    assert assignment is not None
    return explained(assignment, found.located, "3f2a")


def test_the_shape_is_the_one_of_the_interfaces() -> None:
    answer = told("an address that two clusters of one network claim is the own")
    assert json.loads(json.dumps(answer)) == answer
    assert answer == {
        "service": "bookinfo/ratings",
        "port": 9080,
        "subset": "",
        "vantage": {"locality": "eu-west/a/", "cluster": "paris", "network": "default"},
        "priorities": [
            {
                "priority": 0,
                "expectedTrafficPercent": 70.0,
                "localities": [
                    {
                        "locality": "eu-west/a/",
                        "weight": 2,
                        "causes": ["near: same zone", "weight 2: 2 endpoints"],
                        "endpoints": [
                            {
                                "address": "10.0.1.1",
                                "port": 9080,
                                "cluster": "paris",
                                "network": "default",
                                "weight": 1,
                                "health": "UNHEALTHY",
                                "causes": ["not ready"],
                            },
                            {
                                "address": "10.0.1.2",
                                "port": 9080,
                                "cluster": "paris",
                                "network": "default",
                                "weight": 1,
                                "health": "HEALTHY",
                                "causes": [],
                            },
                        ],
                    }
                ],
            },
            {
                "priority": 1,
                "expectedTrafficPercent": 30.0,
                "localities": [
                    {
                        "locality": "eu-north/a/",
                        "weight": 1,
                        "causes": ["near: same network", "weight 1: 1 endpoint"],
                        "endpoints": [
                            {
                                "address": "10.1.1.1",
                                "port": 9080,
                                "cluster": "dublin",
                                "network": "default",
                                "weight": 1,
                                "health": "HEALTHY",
                                "causes": [],
                            }
                        ],
                    }
                ],
            },
        ],
        "leftOut": [
            {
                "address": "10.0.1.1",
                "port": 9080,
                "cluster": "dublin",
                "network": "default",
                "reason": "cluster paris claims the same address, and counts first here",
            }
        ],
        "overprovisioningPercent": 140,
        "policies": [],
        "version": "3f2a",
    }


def causes(name: str) -> list[tuple[str, ...]]:
    found = case(name)
    assignment = plan(found.world, found.target, found.located)
    assert assignment is not None
    return [place.causes for priority in assignment.priorities for place in priority.localities]


def test_every_place_of_a_policy_names_the_policy() -> None:
    assert causes("ordered places after the near ones") == [
        ("near: same zone", "weight 2: 2 endpoints"),
        ("near: same region", "weight 2: 2 endpoints"),
        ("failover: place 1, cluster/virginia (FailoverPolicy bookinfo/ratings)", "weight 2: 2 endpoints"),
        ("failover: place 2, region/eu-north (FailoverPolicy bookinfo/ratings)", "weight 2: 2 endpoints"),
        ("others: after the places of failover (FailoverPolicy bookinfo/ratings)", "weight 2: 2 endpoints"),
    ]


def test_distribute_names_its_share() -> None:
    assert causes("distribute splits by weight")[1] == (
        "distribute: 70 % to region/eu-west,zone/a (DestinationRule bookinfo/ratings)",
    )


def test_enabled_false_says_who_said_so() -> None:
    assert causes("enabled false turns the preference off")[0][0] == (
        "near: everything is equally near (DestinationRule bookinfo/ratings)"
    )


def test_policies_that_count_are_listed() -> None:
    found = case("what the more specific one does not say")
    assignment = plan(found.world, found.target, found.located)
    assert assignment is not None
    assert assignment.policies == ("DestinationRule bookinfo/ratings", "FailoverPolicy tideover-system/mesh")


def test_a_place_that_cannot_serve_its_own_load_fails_over() -> None:
    (place,) = failing_over(case("one ready of a hundred").world)
    assert (place.cluster, str(place.locality), place.port) == ("paris", "eu-west/a/", 9080)
    assert place.cause == "1 of 100 ready: 99 % of its traffic leaves (99 not ready)"
    assert str(place) == f"port 9080 at eu-west/a/ in paris: {place.cause}"


def test_what_vanished_is_said() -> None:
    (place,) = failing_over(case("what vanished while ready counts").world)
    assert place.cause == "2 of 10 ready: 72 % of its traffic leaves (8 vanished while ready)"


def test_a_rolling_update_or_a_scale_up_fails_nothing_over() -> None:
    assert failing_over(case("a rolling update moves nothing - the old ones leave").world) == ()
    assert failing_over(case("more replicas move nothing").world) == ()


def test_a_policy_of_spill_counts() -> None:
    assert failing_over(case("spill below 70 % healthy").world) == ()
    assert [place.stays_percent for place in failing_over(case("spill below 100 %").world)] == [70]
    (place,) = failing_over(case("fewer than minHealthyEndpoints hand").world)
    assert place.stays_percent == 0


def test_a_healthy_world_has_places_and_none_fails() -> None:
    found = case("the zone first, then the region")
    assert failing_over(found.world) == ()
    healths = list(place_healths(found.world, found.world.services[found.target.service]))
    assert [(h.cluster, h.healthy, h.counted, h.stays_percent) for h in healths] == [
        ("dublin", 4, 4, 100),
        ("paris", 3, 3, 100),
        ("paris", 2, 2, 100),
    ]
