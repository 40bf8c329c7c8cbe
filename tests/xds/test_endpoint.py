"""EDS, read by an independent decoder, and what is not built again."""

from __future__ import annotations

from typing import Any

import pytest
from envoy_data_plane.envoy.config.core.v3 import HealthStatus
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment

from support.xds_worlds import endpoint
from tideover_core.assignment import Assignment, Health, Placed, Priority, WeightedLocality
from tideover_core.model import Locality, ServiceKey
from tideover_core.names import whole_of
from tideover_xds.resources.endpoint import EncodedAssignment, assume_ready, endpoints, fitted
from tideover_xds.resources.proxyless import by_weight

NAME = "bookinfo/ratings:9080"
SERVICE = ServiceKey("bookinfo", "ratings")
HERE, THERE = Locality("eu-west", "eu-west-a", "rack-1"), Locality("eu-north", "eu-north-a")


def placed(address: str, health: Health = Health.HEALTHY, weight: int = 1) -> Placed:
    return Placed(endpoint(address), health, weight)


def place(locality: Locality, *hosts: Placed, weight: int = 1) -> WeightedLocality:
    return WeightedLocality(locality, weight, hosts)


def assignment(*priorities: tuple[WeightedLocality, ...], factor: int = 140) -> Assignment:
    return Assignment(SERVICE, 9080, tuple(map(Priority, priorities)), overprovisioning_percent=factor)


def built(
    answer: Assignment, previous: EncodedAssignment | None = None, version: str = "v1"
) -> EncodedAssignment:
    return endpoints(NAME, answer, version, previous)


def read(answer: Assignment) -> Any:
    return ClusterLoadAssignment.parse(built(answer).resource.body)


def test_places_priorities_weights_and_health_arrive_as_they_are() -> None:
    message = read(
        assignment(
            (place(HERE, placed("10.0.0.1"), placed("10.0.0.2", Health.UNHEALTHY, 3), weight=4),),
            (place(THERE, placed("2001:db8::1", Health.DRAINING), weight=7),),
            factor=200,
        )
    )
    assert message.cluster_name == NAME
    near, far = message.endpoints
    assert (near.locality.region, near.locality.zone, near.locality.sub_zone) == (
        "eu-west",
        "eu-west-a",
        "rack-1",
    )
    assert (near.priority, near.load_balancing_weight, far.priority, far.load_balancing_weight) == (
        0,
        4,
        1,
        7,
    )
    hosts = [
        (one.endpoint.address.socket_address.address, one.health_status, one.load_balancing_weight)
        for one in (*near.lb_endpoints, *far.lb_endpoints)
    ]
    assert hosts == [
        ("10.0.0.1", HealthStatus.HEALTHY, 1),
        ("10.0.0.2", HealthStatus.UNHEALTHY, 3),
        ("2001:db8::1", HealthStatus.DRAINING, 1),
    ]
    assert near.lb_endpoints[0].endpoint.address.socket_address.port_value == 9080
    assert message.policy.overprovisioning_factor == 200


def test_nothing_is_an_assignment_too() -> None:
    message = read(assignment())
    assert (message.cluster_name, message.endpoints) == (NAME, [])
    assert message.policy.endpoint_stale_after is None  # it would remove all hosts


@pytest.mark.parametrize(
    ("weights", "fit"),
    [
        ([3, 1], [3, 1]),
        ([0, 5], [1, 5]),
        ([2**32 - 1], [2**32 - 1]),
        ([2**32, 2**32], [2**31 - 2, 2**31 - 2]),
    ],
)
def test_weights_are_at_least_one_and_their_sum_is_what_envoy_takes(
    weights: list[int], fit: list[int]
) -> None:
    assert fitted(weights) == fit
    assert sum(fitted(weights)) <= 2**32 - 1


def test_a_changed_cluster_changes_the_version_and_not_the_bytes() -> None:
    answer = assignment((place(HERE, placed("10.0.0.1")),))
    one, other = built(answer, version="v1").resource, built(answer, version="v2").resource
    assert one.body == other.body
    assert one.version != other.version


def test_one_changed_endpoint_of_many_leaves_other_places_alone() -> None:
    hosts = [placed(f"10.0.{n >> 8}.{n & 255}") for n in range(2000)]
    far = place(THERE, placed("10.1.0.1"))
    before = built(assignment((place(HERE, *hosts),), (far,)))
    hosts[7] = placed("10.0.0.7", Health.UNHEALTHY)
    after = built(assignment((place(HERE, *hosts),), (far,)), before)
    assert after.resource.version != before.resource.version
    assert after.localities[(1, THERE)] is before.localities[(1, THERE)]
    whole = built(assignment((place(HERE, *hosts),), (far,)))
    assert after.resource.body == whole.resource.body


def test_a_place_that_changes_its_priority_is_encoded_again() -> None:
    here, there = place(HERE, placed("10.0.0.1")), place(THERE, placed("10.1.0.1"))
    before = built(assignment((here,), (there,)))
    message = ClusterLoadAssignment.parse(built(assignment((there,), (here,)), before).resource.body)
    assert [(one.locality.region, one.priority) for one in message.endpoints] == [
        ("eu-north", 0),
        ("eu-west", 1),
    ]


def test_grpc_has_no_panic_mode_so_that_the_last_hope_is_sent_as_healthy() -> None:
    dead = assignment(
        (place(HERE, placed("10.0.0.1", Health.UNHEALTHY), placed("10.0.0.2", Health.DRAINING)),)
    )
    healths = {one.health for one in assume_ready(dead).priorities[0].localities[0].endpoints}
    assert healths == {Health.HEALTHY}


def test_grpc_with_anything_healthy_anywhere_gets_what_is_true() -> None:
    some = assignment(
        (place(HERE, placed("10.0.0.1", Health.UNHEALTHY)),), (place(THERE, placed("10.1.0.1")),)
    )
    assert assume_ready(some) is some


def test_clients_that_know_no_weights_get_endpoints_of_one_weight_in_each_place() -> None:
    sick = placed("10.0.0.3", Health.UNHEALTHY)
    here = place(HERE, placed("10.0.0.1", weight=200), placed("10.0.0.2", weight=1000), sick, weight=3)
    there = place(THERE, placed("10.1.0.1", weight=7), placed("10.1.0.2", weight=7), weight=2)
    same = assignment((there,))
    assert by_weight(same) is same
    (priority,) = by_weight(assignment((here, there))).priorities
    assert [
        (one.locality.subzone, one.weight, [end.endpoint.address for end in one.endpoints])
        for one in priority.localities
    ] == [
        ("rack-1", 25000, ["10.0.0.2", "10.0.0.3"]),
        ("rack-1~1", 5000, ["10.0.0.1"]),
        ("", 20000, ["10.1.0.1", "10.1.0.2"]),
    ]
    assert [whole_of(name) for name in ("~1", "rack-1~12", "rack-1", "a~b")] == [
        "",
        "rack-1",
        "rack-1",
        "a~b",
    ]
