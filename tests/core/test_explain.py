"""What people are told: the JSON shape of explain, and what fails over now."""

from __future__ import annotations

import json
from dataclasses import replace

from support.golden import Case, load_cases
from tideover_core.explain import explained
from tideover_core.model import Locality
from tideover_core.overview import failing_over, place_healths
from tideover_core.plan import plan
from tideover_core.steering import Admission, PortSteering, Site


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
        "remarks": [],
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


def steered(steering: PortSteering) -> list[str]:
    """What fails over in a healthy world that health judges so."""
    found = case("the zone first, then the region")
    service = replace(found.world.services[found.target.service], steering={9080: steering})
    return [str(one) for one in failing_over(replace(found.world, services={service.key: service}))]


PARIS_A = Site("paris", Locality("eu-west", "a"))


def test_what_health_does_not_admit_leaves_and_the_cause_is_told() -> None:
    assert steered(PortSteering(sites={PARIS_A: Admission(0, "calls fail")})) == [
        "port 9080 at eu-west/a/ in paris: 3 of 3 ready: 100 % of its traffic leaves (calls fail)"
    ]
    assert steered(PortSteering(sites={PARIS_A: Admission(25, "step 25 %")})) == [
        "port 9080 at eu-west/a/ in paris: 3 of 3 ready: 75 % of its traffic leaves (step 25 %)"
    ]
    pair = (Locality("eu-north", "a"), PARIS_A)
    assert steered(PortSteering(pairs={pair: Admission(0, "no path")})) == [
        "port 9080 calls from eu-north/a/ to eu-west/a/ in paris: "
        "3 of 3 ready: 100 % of its traffic leaves (no path)"
    ]


def test_endpoints_that_health_does_not_admit_count_as_envoy_counts() -> None:
    found = case("the zone first, then the region")
    (part,) = [one for one in found.world.services[found.target.service].parts if one.cluster == "paris"]
    keys = [one.key for one in part.facts.endpoints[9080] if one.locality.zone == "a"]
    two = {key: Admission(0, "HTTP 503") for key in keys[:2]}
    assert steered(PortSteering(endpoints=two)) == [
        "port 9080 at eu-west/a/ in paris: 3 of 3 ready: 54 % of its traffic leaves (HTTP 503)"
    ]  # Envoy's factor: 1.4 x 1/3 stay
    halves = {key: Admission(50, "step 50 %") for key in keys[:2]}
    assert "27 % of its traffic leaves" in steered(PortSteering(endpoints=halves))[0]
