"""What Kubernetes' services may be: headless, dual stack, without pods, with ports by name or number."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.worlds import HOME, RATINGS, Files, endpoints, facts, said
from support.manifests import Object, Place, endpoint_slice, pod, service
from tideover_core.model import ClusterFacts, Locality, ServiceKey, Vantage
from tideover_core.names import Target
from tideover_core.plan import plan
from tideover_core.world import merge
from tideover_discovery.kubernetes.services import MAX_HOSTNAMES

HEADLESS = service("ratings", clusterIP="None")


def six(addresses: list[Place], **fields: Any) -> Object:
    return {**endpoint_slice("ratings", addresses, suffix="six", **fields), "addressType": "IPv6"}


def hosted(*named: tuple[str, str], suffix: str = "abcde") -> Object:
    """A slice whose endpoints have hostnames."""
    places = [Place(address, pod=f"p-{name}") for address, name in named]
    found = endpoint_slice("ratings", places, suffix=suffix)
    for end, (_, name) in zip(found["endpoints"], named, strict=True):
        if name:
            end["hostname"] = name
    return found


# --- ports


@pytest.mark.parametrize(
    ("ports", "slices", "expected"),
    [
        ([{"port": 80, "name": "web", "targetPort": "http"}], [("web", 8080)], {80: 8080}),
        ([{"port": 80, "name": "", "targetPort": 8080}], [("", 8080)], {80: 8080}),
        (
            [{"port": 80, "name": "web"}, {"port": 81, "name": "admin"}],
            [("admin", 9090), ("web", 8080)],
            {80: 8080, 81: 9090},
        ),
        (
            [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}],
            [("a", 8080), ("b", 8080)],
            {80: 8080, 81: 8080},
        ),
        ([{"port": 80, "name": "web"}], [("web", 8080), ("metrics", 9100)], {80: 8080}),
        ([{"port": 80}, {"port": 53, "name": "dns", "protocol": "UDP"}], [("http", 1)], {80: 1}),
    ],
)
def test_ports_by_name_or_number(
    ports: list[dict[str, Any]], slices: list[tuple[str, int]], expected: dict[int, int]
) -> None:
    one = endpoint_slice("ratings", [Place("10.0.0.1")])
    one["ports"] = [{"name": name, "port": number} for name, number in slices]
    found = facts(service("ratings", ports=ports), one).services[RATINGS]
    assert {number: ends[0].port for number, ends in found.endpoints.items()} == expected


def test_a_named_target_port_that_pods_give_other_numbers() -> None:
    """Kubernetes makes a slice for each number; all of them are the one port."""
    found = facts(
        service("ratings", ports=[{"port": 80, "name": "web", "targetPort": "http"}]),
        endpoint_slice("ratings", [Place("10.0.0.1")], port=8080, port_name="web", suffix="a"),
        endpoint_slice("ratings", [Place("10.0.0.2")], port=8081, port_name="web", suffix="b"),
    )
    assert [e.key[1:] for e in endpoints(found, 80)] == [("10.0.0.1", 8080), ("10.0.0.2", 8081)]


def test_ports_that_differ_between_clusters_are_all_served_and_the_conflict_is_shown() -> None:
    def cluster(name: str, address: str, created: str, **ports: int) -> ClusterFacts:
        one = service("ratings", ports=[{"port": number, "name": port} for port, number in ports.items()])
        one["metadata"]["creationTimestamp"] = created
        part = endpoint_slice("ratings", [Place(address)])
        part["ports"] = [{"name": port, "port": number} for port, number in ports.items()]
        return Files(cluster=name).say(one, part)

    world = merge(
        [
            cluster("paris", "10.0.0.1", "2026-01-01T00:00:00Z", http=80, grpc=81),
            cluster("dublin", "10.1.0.1", "2026-01-02T00:00:00Z", http=80, tcp=81, http2=82),
        ]
    )
    ports = world.services[RATINGS].ports
    assert [(port.number, port.protocol.value) for port in ports] == [
        (80, "http"),
        (81, "grpc"),
        (82, "http2"),
    ]
    assert [(problem.message, problem.consequence) for problem in world.problems] == [
        (
            "port 81 is tcp in dublin, grpc in paris",
            "served as grpc, as the oldest Service says, with the endpoints of all",
        ),
        (
            "port 82 is in dublin only, not in paris",
            "served everywhere, with the endpoints of those that have it",
        ),
    ]
    both = {"10.0.0.1", "10.1.0.1"}
    for number, addresses in {80: both, 81: both, 82: {"10.1.0.1"}}.items():
        answer = plan(world, Target(RATINGS, number), Vantage(HOME, "paris", "default"))
        assert answer is not None
        places = [place for level in answer.priorities for place in level.localities]
        assert {placed.endpoint.address for place in places for placed in place.endpoints} == addresses


# --- headless


def test_pods_of_a_headless_service_have_hostnames() -> None:
    found = facts(HEADLESS, hosted(("10.0.0.1", "pg-0"), ("10.0.0.2", "pg-1"), ("10.0.0.3", "")))
    ratings = found.services[RATINGS]
    assert (ratings.headless, ratings.hostnames) == (True, ("pg-0", "pg-1"))
    assert [e.hostname for e in endpoints(found)] == ["pg-0", "pg-1", ""]


def test_hostnames_count_for_headless_services_only() -> None:
    found = facts(service("ratings", clusterIP="10.96.0.7"), hosted(("10.0.0.1", "pg-0")))
    assert (found.services[RATINGS].headless, found.services[RATINGS].hostnames) == (False, ())
    assert endpoints(found)[0].hostname == ""


def test_a_service_that_turns_headless_gets_hosts() -> None:
    files = Files()
    part = hosted(("10.0.0.1", "pg-0"))
    assert files.say(service("ratings"), part).services[RATINGS].hostnames == ()
    assert files.say(HEADLESS, part).services[RATINGS].hostnames == ("pg-0",)
    assert endpoints(files.say(service("ratings"), part))[0].hostname == ""


@pytest.mark.parametrize("name", ["a.b", "A", "x" * 64, "@pg", "pg#1", "-a", "аbc"])
def test_a_hostname_that_is_none_is_said_and_the_endpoint_counts(name: str) -> None:
    found = facts(HEADLESS, hosted(("10.0.0.1", name)))
    assert found.services[RATINGS].hostnames == ()
    assert len(endpoints(found)) == 1
    assert "is no DNS label; the endpoint has no host of its own" in said(found)[0]


def test_more_hosts_of_pods_than_are_served_are_said() -> None:
    many = [(f"10.0.{n // 250}.{n % 250}", f"pg-{n:05}") for n in range(MAX_HOSTNAMES + 5)]
    found = facts(HEADLESS, hosted(*many))
    assert len(found.services[RATINGS].hostnames) == MAX_HOSTNAMES
    assert len(endpoints(found)) == MAX_HOSTNAMES + 5
    assert said(found) == [
        "Service bookinfo/ratings: 1005 of its pods have hostnames, more than 1000; "
        "the last by name have no host of their own; the service has them all"
    ]


def test_a_headless_service_without_ports_has_no_endpoints() -> None:
    without = endpoint_slice("ratings", [Place("10.0.0.1")]) | {"ports": []}
    found = facts(service("ratings", ports=(), clusterIP="None"), without)
    assert found.services[RATINGS].endpoints == {}
    assert found.problems == ()


# --- dual stack


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        (["IPv4", "IPv6"], ["10.0.0.1", "10.0.0.2"]),
        (["IPv6", "IPv4"], ["fd00::1", "fd00::2"]),
        (["IPv4"], ["10.0.0.1", "10.0.0.2"]),
        (None, ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_each_pod_of_a_dual_stack_service_counts_once(
    families: list[str] | None, expected: list[str]
) -> None:
    found = facts(
        service("ratings", ipFamilies=families),
        endpoint_slice("ratings", [Place("10.0.0.1", pod="p1"), Place("10.0.0.2", pod="p2")]),
        six([Place("fd00::1", pod="p1"), Place("fd00::2", pod="p2")]),
    )
    assert [e.address for e in endpoints(found)] == expected
    assert found.problems == ()


def test_a_pod_without_an_address_of_the_first_family_keeps_the_one_it_has() -> None:
    found = facts(
        service("ratings", ipFamilies=["IPv6", "IPv4"]),
        endpoint_slice("ratings", [Place("10.0.0.1", pod="p1"), Place("10.0.0.2", pod="p2")]),
        six([Place("fd00::1", pod="p1")]),
    )
    assert [(e.address, e.pod) for e in endpoints(found)] == [("10.0.0.2", "p2"), ("fd00::1", "p1")]


def test_a_pod_whose_first_address_is_refused_keeps_the_other() -> None:
    found = facts(
        service("ratings", ipFamilies=["IPv4", "IPv6"]),
        endpoint_slice("ratings", [Place("169.254.1.1", pod="p1"), Place("10.0.0.2", pod="p2")]),
        six([Place("fd00::1", pod="p1"), Place("fd00::2", pod="p2")]),
    )
    assert [e.address for e in endpoints(found)] == ["10.0.0.2", "fd00::1"]


def test_of_endpoints_without_pods_only_the_first_family_counts_and_that_is_said() -> None:
    found = facts(
        service("ratings", ipFamilies=["IPv4", "IPv6"]),
        endpoint_slice("ratings", [Place("10.0.0.1")]),
        six([Place("fd00::1")]),
    )
    assert [e.address for e in endpoints(found)] == ["10.0.0.1"]
    assert "1 endpoints without pods have no IPv4 address" in said(found)[0]


def test_a_service_of_one_family_is_served_at_it_whatever_it_is() -> None:
    only_six = six([Place("fd00::1"), Place("fd00::2", pod="p2")])
    found = facts(service("ratings", ipFamilies=["IPv6"]), only_six)
    assert [e.address for e in endpoints(found)] == ["fd00::1", "fd00::2"]


# --- conditions, places, moves


@pytest.mark.parametrize(
    ("said_", "expected"),
    [
        ({}, (True, True, False)),
        ({"conditions": None}, (True, True, False)),
        ({"conditions": {}}, (True, True, False)),
        ({"conditions": {"ready": None, "serving": None, "terminating": None}}, (True, True, False)),
        ({"conditions": {"ready": False}}, (False, False, False)),
        ({"conditions": {"ready": False, "serving": True, "terminating": True}}, (False, True, True)),
        # publishNotReadyAddresses: the controller says ready, though the pod does not serve or terminates
        ({"conditions": {"ready": True, "serving": False, "terminating": False}}, (True, False, False)),
        ({"conditions": {"ready": True, "serving": False, "terminating": True}}, (True, False, True)),
    ],
)
def test_conditions_that_are_not_said_have_kubernetes_defaults(
    said_: dict[str, Any], expected: tuple[bool, bool, bool]
) -> None:
    one = endpoint_slice("ratings", [Place("10.0.0.1")])
    one["endpoints"] = [{"addresses": ["10.0.0.1"], **said_}]
    (endpoint,) = endpoints(facts(service("ratings", publishNotReadyAddresses=True), one))
    assert (endpoint.ready, endpoint.serving, endpoint.terminating) == expected


def test_the_zone_is_the_endpoints_own() -> None:
    places = [Place("10.0.0.1", "a"), Place("10.0.0.2", "b")]
    found = facts(service("ratings"), endpoint_slice("ratings", places))
    assert [e.locality for e in endpoints(found)] == [Locality("eu-west", "a"), Locality("eu-west", "b")]


@pytest.mark.parametrize(
    "target",
    [
        None,
        {"kind": "Pod"},
        {"kind": "Node", "name": "p1"},
        {"name": "p1"},
        {"kind": "Pod", "name": "p1", "namespace": "elsewhere"},
    ],
)
def test_endpoints_without_a_pod_that_is_known_count_as_they_are(target: dict[str, str] | None) -> None:
    one = endpoint_slice("ratings", [Place("10.0.0.1", pod="p1")])
    one["endpoints"][0]["targetRef"] = target
    (endpoint,) = endpoints(facts(service("ratings"), one, pod("p1", labels={"version": "v1"})))
    assert (endpoint.address, dict(endpoint.labels), endpoint.weight) == ("10.0.0.1", {}, 1)


def test_a_manual_slice_of_a_service_without_selector() -> None:
    """Databases outside of Kubernetes: no selector, no pods, a label put on by hand."""
    outside = service("ratings")
    del outside["spec"]["selector"]
    by_hand = endpoint_slice("ratings", [Place("192.168.7.1", ready=None)], suffix="by-hand")
    by_hand["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "ops@example.com"
    assert [(e.address, e.ready) for e in endpoints(facts(outside, by_hand))] == [("192.168.7.1", True)]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_an_endpoint_that_moves_to_another_service_leaves_the_first(order: tuple[str, str]) -> None:
    files = Files()
    base = [service("ratings"), service("reviews")]
    one = endpoint_slice("ratings", [Place("10.0.0.1")], suffix=order[0])
    files.say(*base, one)
    found = files.say(*base, endpoint_slice("reviews", [Place("10.0.0.1")], suffix=order[1]))
    assert endpoints(found) == ()
    reviews = found.services[ServiceKey("bookinfo", "reviews")]
    assert [e.address for e in reviews.endpoints[9080]] == ["10.0.0.1"]
